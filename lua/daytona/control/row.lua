-- Rows: what lists are made of. Of what came of a sandbox the values alone, one after the
-- other; rows with the same fields share their names, so that ten thousand held cost little.
-- The first use of a method makes a row a sandbox, in place.

local names = require "daytona.http.names"
local record = require "daytona.control.record"
local sandbox = require "daytona.control.sandbox"

local row = {}

--- Packing --------------------------------------------------------------------------------

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

-- Packs an answer: its values, and their shape, which is one of `shapes` or, completed by
-- `made`, a new one among them. The one that was used last is the first.
local function pack(raw, shapes, made)
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

-- Takes a packed answer apart again: it, as it came. The table is empty then.
local function unpacked(values, shape)
  local raw = {}
  for i, name in ipairs(shape.names) do raw[name], values[i] = values[i], nil end
  return raw
end

--- Rows -----------------------------------------------------------------------------------

local Meta = sandbox.Meta

local function grown(self, shape)
  local raw = unpacked(self, shape)
  self.client = shape.client
  return sandbox.become(self, raw)
end

-- Makes a shape the metatable of the rows that have it.
local function completed(shape, client)
  shape.__name, shape.__close, shape.is_row, shape.client = Meta.__name, Meta.__close, true, client
  function shape.__index(self, key)
    if not record.own[key] then
      local place = type(key) == "string" and shape.place[names.camel_name(key)]
      if place then return record.value(key, rawget(self, place)) end
      if sandbox.methods[key] == nil then return nil end
    end
    return grown(self, shape)[key]
  end
  function shape.__tostring(self) return Meta.__tostring(self) end
  function shape.__pairs(self) return Meta.__pairs(grown(self, shape)) end
  return shape
end

---A row of a list: reads like a sandbox, and becomes one when it is used.
---@param client daytona.Client
---@param raw table  is not kept
---@return daytona.Sandbox
function row.new(client, raw)
  local shapes = rawget(client, "_rows")
  if not shapes then
    shapes = {}
    rawset(client, "_rows", shapes)
  end
  return setmetatable(pack(raw, shapes, function(shape) return completed(shape, client) end))
end

return row
