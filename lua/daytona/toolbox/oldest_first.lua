-- Lists of the daemon, in the order in which what is in them was made.

local loop = require "daytona.loop"
local sorted = require "daytona.base.sorted"

---What is made of the objects in a list of the daemon, by the time in a field and
---then by id. null is an empty list; what has no id is left out.
---@param raw any
---@param make fun(item: table): table
---@param field string  of what was made: a time, RFC 3339
---@return table[]
return function(raw, make, field)
  local list = {}
  for _, item in ipairs(type(raw) == "table" and raw or {}) do
    if type(item) == "table" and type(item.id) == "string" then list[#list + 1] = make(item) end
    loop.breathe()
  end
  return sorted(list, function(a, b)
    local x, y = tostring(a[field] or ""), tostring(b[field] or "")
    if x ~= y then return x < y end
    return a.id < b.id
  end, loop.breathe)
end
