-- The query of a URL.

local escape = require("daytona.http.url").escape

local function field(name, value)
  local kind = type(value)
  if kind == "number" and value % 1 == 0 then
    value = string.format("%d", value)
  elseif kind ~= "string" then
    value = tostring(value)
  end
  return escape(name) .. "=" .. escape(value)
end

-- Appends a field; of a list as value one for each item.
local function append(out, name, value)
  if type(value) == "table" then
    for i = 1, #value do append(out, name, value[i]) end
  elseif value ~= nil then
    out[#out + 1] = field(name, value)
  end
end

local function append_map(out, query)
  local names = {}
  for name in pairs(query) do names[#names + 1] = name end
  table.sort(names)
  for i = 1, #names do append(out, names[i], query[names[i]]) end
end

---`?a=1&b=2` of a list of {name, value} pairs or of a map; "" when empty. A
---list as value repeats the name. Maps are written in order of name.
---@param query table
---@return string
return function(query)
  local name, value = next(query)
  if type(name) == "string" and type(value) ~= "table" and next(query, name) == nil then -- as most
    return "?" .. field(name, value)
  end
  local out = {}
  if query[1] == nil then append_map(out, query) end
  for i = 1, #query do append(out, query[i][1], query[i][2]) end
  return out[1] and "?" .. table.concat(out, "&") or ""
end
