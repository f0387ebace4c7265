-- What is said where the C module cannot be had by this Lua.

local compat = require "daytona.base.compat"

local TEXT = [[
the C module of daytona is not built for this Lua (%s).
In the checkout of daytona run:  make LUA=%s
or install it from there:  luarocks --lua-version %s make
(%s)]]

---Raises: there is no C module for this Lua, and how there will be.
---@param why string
return function(why)
  local version = compat.name == "luajit" and "5.1" or compat.name:sub(4)
  error(TEXT:format(compat.name, compat.name, version, why), 0)
end
