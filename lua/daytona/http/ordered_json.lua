-- JSON whose fields come in an order of their own, so that the same value is always the same
-- text.

local json = require "daytona.http.json"

local ordered = {}

-- The keys of an object whose order somebody wrote down; the objects' own business.
local orders = setmetatable({}, { __mode = "k" })

local function in_order(object)
  local rank, keys = {}, {}
  for i, key in ipairs(orders[object] or keys) do rank[key] = i end
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    local x, y = rank[a] or math.huge, rank[b] or math.huge
    if x ~= y then return x < y end
    return tostring(a) < tostring(b)
  end)
  local i = 0
  return function()
    i = i + 1
    return keys[i], object[keys[i]]
  end
end

---Notes the order in which `encode` writes the fields of an object; those that are not
---named follow by name. Returns the object.
---@generic T
---@param object T
---@param keys string[]
---@return T
function ordered.note(object, keys)
  orders[object] = keys
  return object
end

---The order that was noted for an object, or nil.
---@param object table
---@return string[]?
function ordered.of(object)
  return orders[object]
end

---Encodes a value: fields come in the order that was noted, else by name. Otherwise as
---`json.encode`.
---@param value any
---@return string? text
---@return string? message
function ordered.encode(value)
  return json.encode(value, in_order)
end

return ordered
