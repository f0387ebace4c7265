-- The query of a URL.

local escape = require("daytona.http.url").escape

local function query_text(value)
  if type(value) == "number" and value % 1 == 0 then return string.format("%d", value) end
  return tostring(value)
end

---`?a=1&b=2` of a list of {name, value} pairs or of a map; "" when empty. A
---list as value repeats the name. Maps are written in order of name.
---@param query table
---@return string
return function(query)
  local fields = query
  if query[1] == nil then
    fields = {}
    for name in pairs(query) do fields[#fields + 1] = name end
    table.sort(fields)
    for i = 1, #fields do fields[i] = { fields[i], query[fields[i]] } end
  end
  local out = {}
  local function add(name, value)
    out[#out + 1] = escape(name) .. "=" .. escape(query_text(value))
  end
  for i = 1, #fields do
    local name, value = fields[i][1], fields[i][2]
    if type(value) == "table" then
      for j = 1, #value do add(name, value[j]) end
    elseif value ~= nil then
      add(name, value)
    end
  end
  return out[1] and "?" .. table.concat(out, "&") or ""
end
