-- The host: whose loop this Lua state lives in, and the driver that is made for it
-- (daytona.loop.driver.*). What a driver is stands in doc/architecture.md. Nothing
-- here waits. (Where a program chooses: choice.lua.)

local compat = require "daytona.base.compat"

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

host.DRIVERS = DRIVERS

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

return host
