-- Finds the C module `daytona.core`: where this Lua looks for C modules, else
-- in the build folder of the checkout that this file lies in, so that a
-- checkout works with nothing but its lua folder on the path.

local compat = require "daytona.base.compat"

local NAME = "daytona.core"

-- The folder that holds lua/daytona/base/native.lua, with a slash at its end.
local function checkout()
  return debug.getinfo(1, "S").source:match("^@(.-)lua[/\\]daytona[/\\]base[/\\]native%.lua$")
end

local function missing(tried, why)
  local text = "the C module of daytona is not built for this Lua (%s).\n"
    .. "In the checkout of daytona run:  make LUA=%s\n"
    .. "or install it from there:  luarocks --lua-version %s make\n(%s)"
  local version = compat.name == "luajit" and "5.1" or compat.name:sub(4)
  error(text:format(compat.name, compat.name, version, tried and tried .. ": " .. why or why), 0)
end

local function from_build(why)
  local root = checkout()
  if not root then missing(nil, why) end
  local path = root .. "build/" .. compat.name .. "/daytona/core.so"
  local open, message = package.loadlib(path, "luaopen_daytona_core")
  if not open then missing(path, message) end
  local core = open(NAME)
  core.path = path
  package.loaded[NAME] = core
  return core
end

local found, core = true, compat.from_cpath(NAME)
if not core then found, core = pcall(require, NAME) end
if not found then
  -- One that is there but cannot be loaded is a fault to show, not to pass by.
  if not tostring(core):find("module '" .. NAME .. "' not found", 1, true) then error(core, 0) end
  core = from_build("no " .. NAME .. " in package.cpath")
end

---@type daytona.core
return core
