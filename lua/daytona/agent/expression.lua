-- Expressions in the inputs of a workflow's steps: `{{ $["step"].data.id }}` is what the
-- step called that gave. Also `$['step']`, `$.step`, and `[0]` for the first item of a
-- list. A text that is nothing but one expression becomes the value itself; within a
-- text, it is written there. Values are put in as they are and never read as expressions
-- again. `\{{ $.x }}` stands for itself without the backslash, and braces that do not
-- begin so are none of ours.

local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"

local M = {}

local BEGIN = "()(\\?){{%s*()%$[%[%.]"

--- Reading one ------------------------------------------------------------------------

-- What may follow in a path: a pattern that captures the name (or index) and the place
-- after it, and whether it is an index.
local STEPS = {
  { '^%.([%a_][%w_-]*)()' },
  { '^%[%s*"([^"]*)"%s*%]()' },
  { "^%[%s*'([^']*)'%s*%]()" },
  { "^%[%s*(%d+)%s*%]()", true },
}

local function next_name(text, at)
  for _, step in ipairs(STEPS) do
    local name, after = text:match(step[1], at)
    if name then return step[2] and tonumber(name) or name, after end
  end
end

-- The names of a path that begins (after its "$") at a place, and where its braces end.
local function read(text, at)
  local names = {}
  while true do
    local over = text:match("^%s*}}()", at)
    if over and names[1] then return names, over end
    local name, after = next_name(text, at)
    if not name then return nil, ("cannot read the expression at '%s'"):format(text:sub(at, at + 30)) end
    names[#names + 1], at = name, after
  end
end

--- Finding its value ----------------------------------------------------------------------

local function keys_of(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  return #keys > 0 and "there is: " .. table.concat(keys, ", ") or "there is nothing"
end

local function shown(names, n)
  local out = { "$" }
  for i = 1, n do
    local name = names[i]
    out[i + 1] = type(name) == "number" and ("[%d]"):format(name)
      or i > 1 and name:find "^[%a_][%w_]*$" and "." .. name or ('["%s"]'):format(name)
  end
  return table.concat(out)
end

local function find(names, results)
  local value = results
  for i, name in ipairs(names) do
    if type(value) ~= "table" then
      return nil, ("%s has no value: %s is a %s"):format(shown(names, i), shown(names, i - 1), type(value))
    end
    local found = value[type(name) == "number" and name + 1 or name]
    if found == nil or found == json.null then
      return nil, ("%s has no value; %s"):format(shown(names, i), keys_of(value))
    end
    value = found
  end
  return value
end

--- Putting it in ----------------------------------------------------------------------------

local function as_text(value)
  if type(value) == "string" then return value end
  if type(value) == "table" then return assert(ordered.encode(value)) end
  if type(value) == "number" and value % 1 == 0 then return ("%d"):format(value) end
  return tostring(value)
end

local function resolve_text(text, results)
  local out, done = {}, 1
  local from, escape, at = text:match(BEGIN)
  while from do
    out[#out + 1] = text:sub(done, from - 1)
    if escape ~= "" then
      out[#out + 1], done = "{{", from + 3
    else
      local names, over = read(text, at + 1)
      if not names then return nil, over end
      local value, why = find(names, results)
      if value == nil then return nil, why end
      if from == 1 and over > #text then return value end
      out[#out + 1], done = as_text(value), over
    end
    from, escape, at = text:match(BEGIN, done)
  end
  out[#out + 1] = text:sub(done)
  return table.concat(out)
end

---Whether there is an expression in a value, however deep.
---@param value any
---@return boolean
function M.is_in(value)
  if type(value) == "string" then
    local _, escape = value:match(BEGIN)
    return escape ~= nil
  end
  if type(value) ~= "table" then return false end
  for _, item in pairs(value) do
    if M.is_in(item) then return true end
  end
  return false
end

---The value with every expression in it replaced; a table is copied. nil, and which
---value is missing or what cannot be read.
---@param value any
---@param results table<string, table>  by step
---@return any
---@return string? why
function M.resolve(value, results)
  if type(value) == "string" then return resolve_text(value, results) end
  if type(value) ~= "table" then return value end
  local out = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do
    local resolved, why = M.resolve(item, results)
    if resolved == nil then return nil, why end
    out[key] = resolved
  end
  return out
end

return M
