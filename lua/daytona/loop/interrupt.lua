-- Ctrl-C in the standalone interpreter, and the signals of a trap: which errors are
-- theirs, and what follows from one. The interpreter's handler gives the signal its
-- default action back, and makes Lua raise "interrupted!" where it runs; a text of the
-- program's own may end so, too.

local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"

local interrupt = {
  spent = false, -- one was noticed: since then the interpreter may have armed it anew
}

-- How long tasks may clean up, seconds.
local GRACE = 5

local stopping = false
local armed

-- The core has LuaJIT's compiler rest when a signal raises, until the next may, and what it has
-- compiled by then unused: it may stand still for ever in a state that is being closed. Here it
-- is forgotten, so that there is room for what is compiled later.
local jit = rawget(_G, "jit")
local compiles = jit and jit.status()

local function compile_again()
  if compiles and not jit.status() then jit.on() end
end

---Looks whether Ctrl-C would raise.
function interrupt.arm()
  armed = core.catches_interrupts()
  if armed then compile_again() end
  if armed and not compat.embedded then core.follow_interrupts() end
  interrupt.spent = not armed
end

interrupt.arm()
interrupt.spent = false

local function has_struck()
  return armed and not core.catches_interrupts()
end

---Whether `e` is the error that Ctrl-C or a trap raises.
---@param e any
---@return boolean
function interrupt.is(e)
  if type(e) ~= "string" then return false end
  if e == "interrupted!" or e:find ":%d+: interrupted!$" then return has_struck() end
  local signal = e:match "ended by (SIG%u+)$"
  return signal ~= nil and signal == core.struck()
end

---Whether an error that ended the program, or a part of it, is such a one: also when the
---handler is there again, for the next.
---@param e any
---@return boolean
function interrupt.ended(e)
  return interrupt.is(e) or type(e) == "string" and e:find "interrupted!$" ~= nil and interrupt.pending()
end

---Raises what Ctrl-C raises, if the standalone interpreter (or a trap) has asked its main
---thread to stop and the caller, being another coroutine, cannot notice.
function interrupt.check()
  if compat.name == "luajit" or not compat.running() then return end
  local main = debug.getregistry()[1]
  if type(main) ~= "thread" or debug.gethook(main) ~= "external hook" then return end
  local signal = core.struck()
  error(signal and "ended by " .. signal or "interrupted!", 0)
end

local function noticed()
  interrupt.spent = true
  core.be_patient()
end

---Whether the program was interrupted, by all that is known, and cleans up.
---@return boolean
function interrupt.pending()
  if not interrupt.spent and (has_struck() or core.struck()) then noticed() end
  return interrupt.spent
end

-- Where `require` leaves a mark of what it is loading, and refuses that for ever when the
-- loading was ended by an error.
local marks = compat.name == "luajit" or compat.name == "lua5.1"

---After an interrupt: the module that it kept from being loaded can be.
function interrupt.load_again()
  if not marks then return end
  for name, value in pairs(package.loaded) do
    local kind = type(value) -- modules here are tables and functions; a mark is anything else
    if kind ~= "table" and kind ~= "function" and name:find "^daytona%." then package.loaded[name] = nil end
  end
end

---The main program was interrupted. Its tasks are cancelled and may clean up
---for a while; another interrupt ends that.
---@param loop table  daytona.loop
function interrupt.clean_up(loop)
  core.unheard()
  if jit then pcall(jit.flush) end -- see compile_again; it must not in a finalizer
  interrupt.load_again()
  noticed()
  if stopping then return end
  stopping = true
  pcall(loop.stop, GRACE)
  stopping = false
end

---For plain programs: SIGTERM, SIGHUP and SIGPIPE raise errors in the main program, as
---Ctrl-C does, so that scopes end and tasks clean up; "ended by SIGTERM" is their text.
---Once: what comes later is treated as a second Ctrl-C. Signals that are ignored stay so.
---(As with Ctrl-C, a loop that LuaJIT has compiled notices at its next wait.)
---Raises under hosts, whose business signals are, and where there is no telling which
---the main thread is (a coroutine of PUC 5.1 or LuaJIT).
function interrupt.trap()
  if compat.embedded then errors.misuse(1, "trap: signals are the business of the host here") end
  if jit and not core.struck() then compiles = jit.status() end
  compile_again()
  interrupt.load_again()
  if not core.trap() then errors.misuse(1, "trap: call it outside coroutines") end
end

return interrupt
