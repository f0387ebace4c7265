-- The host: whose loop this Lua state lives in, and the driver that is made for it
-- (daytona.loop.driver.*). What a driver is stands in doc/architecture.md. Nothing
-- here waits.

local compat = require "daytona.base.compat"
local errors = require "daytona.base.errors"

local loaded = package.loaded

local host = {}

-- Looked for in this order when no driver was chosen. What must be there for a
-- driver to be worth loading stands beside it.
local DRIVERS = {
  { "ngx", function() return loaded.ngx or rawget(_G, "ngx") end },
  { "manual", function() return rawget(_G, "love") end },
  { "cqueues", function() return loaded.cqueues end },
  { "uv", function() return rawget(_G, "vim") or loaded.luv or loaded.uv end },
  { "block", function() return true end },
}

---Whether any library of a host is there, so that it is worth looking closer.
function host.any()
  return compat.embedded or loaded.ngx or loaded.cqueues or loaded.luv or loaded.uv
end

---The driver that is certain of its host, else the first that may be right, and
---why, and whether it is certain.
---@return table driver
---@return string why
---@return boolean certain
function host.find()
  local first, first_why
  for i = 1, #DRIVERS do
    local entry = DRIVERS[i]
    if entry[2]() then
      local candidate = entry.driver or require("daytona.loop.driver." .. entry[1])
      entry.driver = candidate -- looked at again by every start: no require then
      local yes, why, certain = candidate.detect()
      if yes and certain then return candidate, why, true end
      if yes and not first then first, first_why = candidate, why end
    end
  end
  return first, first_why, false
end

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
function host.choose(which)
  if type(which) == "table" then return check(which) end
  if is_name(which) then return load_driver(which) end
  errors.misuse(2, "unknown driver '%s' (valid: %s)", tostring(which), table.concat(names(), ", "))
end

return host
