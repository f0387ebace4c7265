-- The rows of lists, packed: of what came of a sandbox, the values alone, one after the other.
-- Rows with the same fields share their names, so that ten thousand held cost little.

local row = {}

---Fields that rows have, and where each one's value is.
---@class daytona.RowShape
---@field names string[]            as they came
---@field place table<string, integer>

local function fits(shape, raw, n)
  local fields = shape.names
  if #fields ~= n then return false end
  for i = 1, n do
    if raw[fields[i]] == nil then return false end
  end
  return true
end

local function shape_of(raw)
  local fields, place = {}, {}
  for name in pairs(raw) do fields[#fields + 1] = name end
  table.sort(fields)
  for i, name in ipairs(fields) do place[name] = i end
  return { names = fields, place = place }
end

---Packs an answer. Its values, and their shape: one of `shapes`, which new ones are added to.
---@generic T: daytona.RowShape
---@param raw table
---@param shapes T[]  the one that was used last is the first
---@param made fun(shape: daytona.RowShape): T  completes a new one
---@return any[] values
---@return T shape
function row.pack(raw, shapes, made)
  local n, found = 0, nil
  for _ in pairs(raw) do n = n + 1 end
  for i, shape in ipairs(shapes) do
    if fits(shape, raw, n) then
      found = i
      break
    end
  end
  local shape = found and shapes[found] or made(shape_of(raw))
  if found ~= 1 then
    if found then table.remove(shapes, found) end
    table.insert(shapes, 1, shape)
  end
  local values = {}
  for i, name in ipairs(shape.names) do values[i] = raw[name] end
  return values, shape
end

---Takes a packed answer apart again: it, as it came. The table is empty then.
---@param values any[]
---@param shape daytona.RowShape
---@return table raw
function row.unpack(values, shape)
  local raw = {}
  for i, name in ipairs(shape.names) do raw[name], values[i] = values[i], nil end
  return raw
end

return row
