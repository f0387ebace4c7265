-- Programs of a few lines in an interpreter of their own, for specs about
-- signals, forks and exits.
--
--   local child = require("spec.support.child").start [[ print(core.pid()) ]]
--   child:line(), child:rest(), child:signal("INT")
--
-- `core`, `loop` and `task` are required for the program, ARG holds what `start` was
-- given besides it, and say(...) prints a line at once. Its pid comes first.

local compat = require "daytona.base.compat"

local Child = {}
Child.__index = Child

local PRELUDE = [[
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local core, loop, task = require "daytona.base.native", require "daytona.loop", require "daytona.loop.task"
local function say(...)
  local out = {}
  for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
  io.write(table.concat(out, " "), "\n")
  io.flush()
end
say(("%d"):format(core.pid()))
]]

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function start(program, arg)
  local text = PRELUDE .. ("local ARG = %q\n"):format(arg or "") .. program
  local command = ("exec env -u LUA_INIT %s -e %s </dev/null 2>&1"):format(compat.name, quote(text))
  local out = assert(io.popen(command, "r"))
  local first = out:read("*l")
  local pid = tonumber(first)
  if not pid then error("the child did not start: " .. tostring(first) .. "\n" .. out:read("*a")) end
  return setmetatable({ out = out, pid = pid }, Child)
end

---The next line it prints; nil at its end.
function Child:line()
  return self.out:read("*l")
end

---All it prints until its end; its exit status, where `close` tells it (Lua 5.2 and later).
function Child:rest()
  local text = self.out:read("*a")
  local _, how, status = self.out:close()
  return text, how == "exit" and status or nil
end

---Sends it a signal ("INT").
function Child:signal(name)
  os.execute(("kill -%s %d"):format(name, self.pid))
end

return { start = start }
