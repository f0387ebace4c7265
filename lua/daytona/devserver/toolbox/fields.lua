--- Reads the JSON body of a request field by field, with the strictness of the
-- service: unknown fields are ignored, null is absent, wrong types are refused.

local json = require "daytona.devserver.http.json"
local failures = require "daytona.devserver.toolbox.failures"

local fields = {}

local function is_string(v)
  return type(v) == "string"
end

local function is_list(v, item_ok)
  if type(v) ~= "table" then return false end
  local count = 0
  for _, item in pairs(v) do
    count = count + 1
    if not item_ok(item) then return false end
  end
  return count == #v
end

local CHECK = {
  string = is_string,
  boolean = function(v) return type(v) == "boolean" end,
  integer = function(v)
    return type(v) == "number" and v % 1 == 0 and math.abs(v) < 2 ^ 53
  end,
  uint32 = function(v)
    return type(v) == "number" and v % 1 == 0 and v >= 0 and v < 2 ^ 32
  end,
  strings = function(v) return is_list(v, is_string) end,
  object = function(v) return type(v) == "table" end,
  map = function(v)
    if type(v) ~= "table" then return false end
    for key, value in pairs(v) do
      if type(key) ~= "string" or not is_string(value) then return false end
    end
    return true
  end,
}

--- The fields of `body` named in `shape`.
---@param body table  decoded JSON
---@param shape table<string, string>  name → type, with "!" after it when it must be there and not empty
---@return table<string, any>
function fields.pick(body, shape)
  local picked = {}
  for name, kind in pairs(shape) do
    local wanted, required = kind:match "^(%w+)(!?)$"
    local value = body[name]
    if value == json.null then value = nil end
    if value == nil or value == "" and required == "!" then
      if required == "!" then
        failures.body(name .. " is required")
      end
    elseif not CHECK[wanted](value) then
      failures.body(("%s is not of type %s"):format(name, wanted))
    end
    picked[name] = value
  end
  return picked
end

--- As `pick`, from the body of a request.
function fields.read(req, shape)
  return fields.pick(req:json(), shape)
end

return fields
