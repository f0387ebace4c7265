-- Patterns of paths as people write them: * and ? and [ ] within a name, ** over any
-- number of folders, none included.

local globs = {}

local WILD = { ["*"] = ".*", ["?"] = "." }

local function name_pattern(text)
  local out, at = {}, 1
  while at <= #text do
    local set = text:match("^%[!?[^%]]+%]", at)
    if set then
      local inside = set:sub(2, -2):gsub("[%%%^]", "%%%0"):gsub("^!", "^")
      out[#out + 1] = "[" .. inside .. "]"
    else
      local c = text:sub(at, at)
      out[#out + 1] = WILD[c] or c:gsub("%p", "%%%0")
    end
    at = at + #(set or " ")
  end
  return "^" .. table.concat(out) .. "$"
end

local function split(text)
  local parts = {}
  for part in text:gmatch "[^/]+" do parts[#parts + 1] = part end
  return parts
end

local function fits(names, i, patterns, j)
  if j > #patterns then return i > #names end
  if patterns[j] == "**" then
    return fits(names, i, patterns, j + 1) or (i <= #names and fits(names, i + 1, patterns, j))
  end
  return i <= #names and names[i]:find(patterns[j]) ~= nil and fits(names, i + 1, patterns, j + 1)
end

---A function that says whether a path (relative) fits the pattern; one without a slash is
---of the last name.
---@param pattern string
---@return fun(path: string): boolean
function globs.matcher(pattern)
  local parts = split(pattern)
  if not pattern:find "/" then table.insert(parts, 1, "**") end
  for i, part in ipairs(parts) do
    if part ~= "**" then parts[i] = name_pattern(part) end
  end
  return function(path) return fits(split(path), 1, parts, 1) end
end

return globs
