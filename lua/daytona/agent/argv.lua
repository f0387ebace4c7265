-- Options of the kit's programs: `--name value`, `--name=value`, `--name`.

local M = {}

---The options of a command line by name; those that take none are true. nil and what is
---wrong. `--help` is always one.
---@param argv string[]
---@param known table<string, "value"|"flag">
---@return table<string, string|true>?
---@return string? why
function M.parse(argv, known)
  local given, i = {}, 1
  while argv[i] do
    local name, value = argv[i]:match "^%-%-([%w-]+)=(.*)$"
    name = name or argv[i]:match "^%-%-([%w-]+)$"
    if name == "help" then return { help = true } end
    local takes = known[name or ""]
    if not takes or takes == "flag" and value then return nil, "unknown option: " .. argv[i] end
    if takes == "value" and not value then
      i = i + 1
      value = argv[i]
    end
    if takes == "value" and (not value or value == "") then return nil, "--" .. name .. " needs a value" end
    given[name] = value or true
    i = i + 1
  end
  return given
end

---The words of a list with commas; nil without a text.
---@param text? string
---@return string[]?
function M.words(text)
  if not text then return nil end
  local words = {}
  for word in text:gmatch "[^,%s]+" do words[#words + 1] = word end
  return words
end

return M
