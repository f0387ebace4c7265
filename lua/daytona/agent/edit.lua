-- Changes of a text by what it says: `old` must be there exactly once, so that a model
-- cannot change another place than it meant.

local edit = {}

local function line_at(text, at)
  return select(2, text:sub(1, at - 1):gsub("\n", "")) + 1
end

local function places(text, old)
  local list, at = {}, 1
  while true do
    local from, to = text:find(old, at, true)
    if not from then return list end
    list[#list + 1] = { from, to }
    at = to + 1
  end
end

local function squeezed(text)
  return (text:gsub("%s+", " "))
end

local function missing(text, old)
  if squeezed(text):find(squeezed(old), 1, true) then
    return "old_string is not in the file as it stands; it is there with other white space: copy it exactly"
  end
  return "old_string is not in the file; read the file, and copy the text exactly"
end

local function ambiguous(text, found)
  local lines = {}
  for i = 1, math.min(#found, 10) do lines[i] = tostring(line_at(text, found[i][1])) end
  return ("old_string is in the file %d times (lines %s); add lines around it until it is there once, "
    .. "or set replace_all"):format(#found, table.concat(lines, ", "))
end

---The text with `old` replaced, and how often that was. nil and why not.
---@param text string
---@param one { old_string: string, new_string: string, replace_all?: boolean }
---@return string?
---@return integer|string count_or_why
function edit.apply(text, one)
  local old, new = one.old_string, one.new_string
  if old == new then return nil, "old_string and new_string are the same" end
  local found = places(text, old)
  if not found[1] then return nil, missing(text, old) end
  if found[2] and not one.replace_all then return nil, ambiguous(text, found) end
  local out, from = {}, 1
  for _, place in ipairs(found) do
    out[#out + 1] = text:sub(from, place[1] - 1)
    out[#out + 1] = new
    from = place[2] + 1
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out), #found
end

return edit
