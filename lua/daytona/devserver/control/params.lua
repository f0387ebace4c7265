-- What stands in the query of a request: numbers, times, choices. Each answers nil
-- for what is absent or empty, and raises the kit's 400 for what is no good.

local checks = require "daytona.devserver.control.checks"

local params = {}

---@param req table
---@param name string
---@param least integer
---@param most? integer
---@return integer?
function params.integer(req, name, least, most)
  local text = req.query[name]
  if text == nil or text == "" then return nil end
  local value = text:find("^%-?%d+$") and tonumber(text)
  if most and (not value or value > most) then checks.bad("%s must not be greater than %d", name, most) end
  if not value or value < least then checks.bad("%s must not be less than %d", name, least) end
  return value
end

-- What is neither is false, unless the app is strict.
---@return boolean?
function params.boolean(req, name)
  local text = req.query[name]
  if text == nil or text == "" then return nil end
  if req.app.strict and text ~= "true" and text ~= "false" then checks.bad("%s must be a boolean value", name) end
  return text == "true"
end

-- "a, b, c" of the keys of a set.
local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

---@param allowed table<string, any>
---@return string?
function params.choice(req, name, allowed, default)
  local text = req.query[name]
  if text == nil or text == "" then return default end
  if not allowed[text] then checks.bad("%s must be one of the following values: %s", name, names_of(allowed)) end
  return text
end

---The values of a repeated key, as a set.
---@param allowed? table<string, any>
---@return table<string, true>?
function params.set(req, name, allowed)
  local values = req:values(name)
  if #values == 0 then return nil end
  local wanted = {}
  for _, value in ipairs(values) do
    if allowed and not allowed[value] then
      checks.bad("each value must be one of the following values: %s", names_of(allowed))
    end
    wanted[value] = true
  end
  return wanted
end

-- Seconds since the epoch of an ISO 8601 time.
local function parse_time(text)
  local y, mo, d, rest = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
  if not y then return nil end
  local h, mi, s, zone = rest:match("^[T ](%d%d):(%d%d):?([%d%.]*)(.*)$")
  if rest ~= "" and not h then return nil end
  y, mo, d = tonumber(y), tonumber(mo), tonumber(d)
  if mo < 1 or mo > 12 or d < 1 or d > 31 then return nil end
  local shifted = mo <= 2 and y - 1 or y
  local era = math.floor(shifted / 400)
  local yoe = shifted - era * 400
  local doy = math.floor((153 * (mo + (mo > 2 and -3 or 9)) + 2) / 5) + d - 1
  local days = era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
  local t = days * 86400 + (tonumber(h) or 0) * 3600 + (tonumber(mi) or 0) * 60 + (tonumber(s) or 0)
  local sign, zh, zm = (zone or ""):match("^([%+%-])(%d%d):?(%d%d)$")
  if sign then t = t - (sign == "+" and 1 or -1) * (zh * 3600 + zm * 60) end
  return t
end

---@return number? seconds since the epoch
function params.time(req, name)
  local text = req.query[name]
  if text == nil or text == "" then return nil end
  local t = parse_time(text)
  if not t then checks.bad("%s must be a valid ISO 8601 date string", name) end
  return t
end

return params
