-- The whole of a plain program: how it ends when a signal or an error ends it.

local errors = require "daytona.base.errors"
local interrupt = require "daytona.loop.interrupt"

local main = {}

-- What a shell says of a program that a signal has ended, less 128.
local NUMBERS = { SIGHUP = 1, SIGINT = 2, SIGPIPE = 13, SIGTERM = 15 }

---The exit status of a program that a signal of a trap, or Ctrl-C, has ended; nil where
---`raised` is another error.
---@param raised any
---@return integer?
function main.status_of(raised)
  if not interrupt.ended(raised) then return nil end
  return 128 + NUMBERS[raised:match "SIG%u+" or "SIGINT"]
end

-- A mistake of the program wants its traceback; what the world has caused is one line.
local function traced(raised)
  local is_mistake = type(raised) == "string" and raised:find ":%d+: " and not interrupt.ended(raised)
  return is_mistake and debug.traceback(raised, 2) or raised
end

local function tell(raised)
  local program = type(arg) == "table" and arg[0] or "lua"
  io.stdout:flush()
  io.stderr:write(program, ": ", tostring(raised), "\n")
end

---Runs the whole of a plain program, with a `trap`, and ends it as shells and service managers
---expect: with the exit status that `fn` returns, or 0; after SIGINT, SIGTERM, SIGHUP or SIGPIPE
---without a word and with 128 and the number of the signal; after an error with its text on
---stderr and 1. By then scopes have ended: what the program made is deleted.
---@param fn fun(...): integer?  the program
---@param ... any  its arguments
function main.run(fn, ...)
  if type(fn) ~= "function" then errors.misuse(1, "main: a function expected, got %s", type(fn)) end
  interrupt.trap()
  local n, arguments = select("#", ...), { ... }
  local ok, result = xpcall(function() return fn((table.unpack or unpack)(arguments, 1, n)) end, traced)
  if ok then
    if type(result) == "number" then os.exit(result, true) end
    return
  end
  local status = main.status_of(result)
  if not status then tell(result) end
  os.exit(status or 1, true)
end

return main
