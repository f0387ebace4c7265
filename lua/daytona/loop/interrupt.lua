-- Ctrl-C in the standalone interpreter: which error is one, and what follows from it.
-- The interpreter's handler gives the signal its default action back, and makes Lua
-- raise "interrupted!" where it runs; a text of the program's own may end so, too.

local core = require "daytona.base.native"

local interrupt = {
  spent = false, -- one was noticed: since then the interpreter may have armed it anew
}

-- How long tasks may clean up, seconds.
local GRACE = 5

local stopping = false
local armed = core.catches_interrupts()

---Looks whether Ctrl-C would raise.
function interrupt.arm()
  armed = core.catches_interrupts()
  interrupt.spent = not armed
end

---Whether `e` is the error that Ctrl-C raises.
---@param e any
---@return boolean
function interrupt.is(e)
  if type(e) ~= "string" or not (e == "interrupted!" or e:find ":%d+: interrupted!$") then return false end
  return armed and not core.catches_interrupts()
end

---The main program was interrupted in a wait. Its tasks are cancelled and may clean up
---for a while; another interrupt ends that.
---@param loop table  daytona.loop
function interrupt.clean_up(loop)
  interrupt.spent = true
  if stopping then return end
  stopping = true
  pcall(loop.stop, GRACE)
  stopping = false
end

return interrupt
