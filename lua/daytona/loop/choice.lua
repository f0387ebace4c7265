-- The driver that a program chooses (`daytona.use`), in place of the one that host.lua finds.

local errors = require "daytona.base.errors"
local DRIVERS = require("daytona.loop.host").DRIVERS

local function names()
  local list = {}
  for i = 1, #DRIVERS do list[i] = DRIVERS[i][1] end
  return list
end

local function is_name(name)
  for i = 1, #DRIVERS do
    if DRIVERS[i][1] == name then return true end
  end
  return false
end

-- What a driver of the program's own must have.
local function check(own)
  if type(own.name) ~= "string" then errors.misuse(2, "use: the driver has no name") end
  for _, name in ipairs { "attach", "detach", "wait" } do
    if type(own[name]) ~= "function" then errors.misuse(2, "use: the driver has no function '%s'", name) end
  end
  return own
end

-- Raises where the library of its host is missing.
local function load_driver(name)
  local fine, found = pcall(require, "daytona.loop.driver." .. name)
  if fine then return found end
  errors.misuse(1, "the driver '%s' cannot be used here: %s", name, (tostring(found):match "[^\n]*"))
end

---The driver of that name, or the program's own. Raises at the caller's line when it
---is none.
---@param which string|table
---@return table driver
return function(which)
  if type(which) == "table" then return check(which) end
  if is_name(which) then return load_driver(which) end
  errors.misuse(2, "unknown driver '%s' (valid: %s)", tostring(which), table.concat(names(), ", "))
end
