-- Finds the C module `daytona.core`: where this Lua looks for C modules, else
-- in the build folder of the checkout that this file lies in, so that a
-- checkout works with nothing but its lua folder on the path.

local compat = require "daytona.base.compat"

local NAME = "daytona.core"

-- The folder that holds lua/daytona/base/native.lua, with a slash at its end.
local function checkout()
  return debug.getinfo(1, "S").source:match("^@(.-)lua[/\\]daytona[/\\]base[/\\]native%.lua$")
end

local function from_build(why)
  local root = checkout()
  local path = root and root .. "build/" .. compat.name .. "/daytona/core.so"
  local open, message
  if path then open, message = package.loadlib(path, "luaopen_daytona_core") end
  if not open then
    if message then why = ("%s; %s"):format(why, message) end
    require "daytona.base.not_built"(why)
  end
  local core = open(NAME)
  core.path = path
  package.loaded[NAME] = core
  return core
end

-- One that is for another Lua is passed by; any other that is there but cannot be loaded is a
-- fault to show.
local function else_where(said)
  if said:find("module '" .. NAME .. "' not found", 1, true) then
    return from_build("no " .. NAME .. " in package.cpath")
  elseif not (said:find "symbol[^/]-luaL?_" or said:find "luaL?_%w+: symbol") then -- glibc and macOS; musl
    error(said, 0)
  end
  return from_build((said:match "from file '(.-)'" or NAME) .. " is for another Lua")
end

local found, core = true, compat.from_cpath(NAME)
if not core then found, core = pcall(require, NAME) end
if not found then core = else_where(tostring(core)) end

---@type daytona.core
return core
