-- Ends: of scopes, for Lua without `<close>`; and a list of what is just being ended,
-- for those who are impatient.

local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local interrupt = require "daytona.loop.interrupt"
local loop = require "daytona.loop"
local printable = require "daytona.base.printable"

local closing = {}

--- What is being ended -----------------------------------------------------------

-- So many seconds of clean-up after Ctrl-C need a word.
local QUIET = 0.5

local under_way = {} -- names, in the order in which their end began; by name: how often
local word           -- the timer of the word about them

local function telling()
  local n = #under_way
  if n == 0 then return "" end
  if n == 1 then return ("deleting sandbox %s; Ctrl-C again leaves it\n"):format(under_way[1]) end
  return ("deleting %d sandboxes; Ctrl-C again leaves them\n"):format(n)
end

local function leaving()
  if not under_way[1] then return "" end
  local one = not under_way[2]
  return ("left: %s %s\n"):format(one and "sandbox" or "sandboxes", table.concat(under_way, ", "))
end

-- After Ctrl-C the next one is told what is going on.
local function announce()
  if not interrupt.pending() then return end
  if core.cleaning(telling(), leaving()) then core.tell() end
  if under_way[1] and not word then
    word = loop.timer(QUIET, core.tell)
  elseif word and not under_way[1] then
    loop.untimer(word)
    word = nil
  end
end

local function begin(name)
  under_way[name] = (under_way[name] or 0) + 1
  if under_way[name] > 1 then return end
  under_way[#under_way + 1] = name
  announce()
end

local function over(name)
  under_way[name] = under_way[name] - 1
  if under_way[name] > 0 then return end
  under_way[name] = nil
  for i = 1, #under_way do
    if under_way[i] == name then
      table.remove(under_way, i)
      break
    end
  end
  announce()
end

local function ended(name, fn, subject, ok, ...)
  if not ok and interrupt.ended((...)) then loop.pcall(fn, subject) end
  over(name)
  if not ok then error((...), 0) end
  return ...
end

---Runs fn(subject), which deletes a sandbox of that name; once more when Ctrl-C strikes in
---it. After Ctrl-C another one is held, once, while such a thing goes on, and answered on
---stderr; a third one ends the program and names what it leaves.
---@generic T
---@param name string
---@param fn fun(subject: T): any, ...
---@param subject T
---@return any ...
function closing.deleting(name, fn, subject)
  name = printable.text(tostring(name))
  begin(name)
  return ended(name, fn, subject, loop.pcall(fn, subject))
end

--- Scopes ------------------------------------------------------------------------

-- What `<close>` calls: of a job, for example, another thing than `close`. nil
-- where there is no such thing.
local function closer(object)
  local meta, kind = getmetatable(object), type(object)
  return type(meta) == "table" and meta.__close or (kind == "table" or kind == "userdata") and object.close
end

local function close(object)
  return closer(object)(object)
end

-- Objects whose scopes have not ended, by their order; closed with the Lua state
-- (`os.exit(code, true)`), last ones first. `at_exit` is collected then, and never before.
local open, at_exit = {}, nil

local function close_all()
  for i = #open, 1, -1 do
    local object = open[i]
    open[i] = nil
    if object then loop.pcall(close, object) end
  end
end

-- Where tables have no finalizers (and the host has no exit of its own).
local exit = not (compat.gc_tables or compat.embedded) and "daytona.loop.exit"

-- What was made last is finalized first: the engine is to be there still.
local function watch_exit()
  loop.engine()
  at_exit = setmetatable({}, { __gc = compat.gc_tables and close_all or nil })
end

local function enter(object)
  if not at_exit then watch_exit() end
  if exit then require(exit).watch(close_all) end
  open[#open + 1] = object
end

local function leave(object)
  for i = #open, 1, -1 do
    if open[i] == object then
      table.remove(open, i)
      break
    end
  end
  if exit and not open[1] then require(exit).unwatch() end
end

local function close_left(object)
  leave(object)
  return close(object)
end

local function closed(scope, ...)
  scope.ends = true
  close_left(scope.object)
  return ...
end

local function run(scope)
  return closed(scope, scope.fn(scope.object))
end

-- What raised in its end is not tried again, but where that was Ctrl-C: nobody else will.
local function close_raised(scope, err)
  if not scope.ends or interrupt.ended(err) then close_left(scope.object) end
end

loop.at_end(close_all)

---Calls `fn(object)`, then closes the object, whatever happened: what `<close>`
---does on Lua 5.4; also where `fn` ends the program by `os.exit(code, true)`. Returns what
---`fn` returned; raises what it raised.
---Given `nil, err` it returns those. Raises when there is no object but a function, since
---why there is none is lost then: say `daytona.using(daytona.assert(sb:pty()), fn)`. A
---wrong call raises and leaves the object alone.
---@generic T, R
---@param object T?   with a `close` method, or nil
---@param fn fun(object: T): R, ...  or the error that came with nil
---@return R?
---@return any ...
function closing.using(object, fn)
  local is_function = type(fn) == "function"
  if object == nil and not is_function then return nil, fn end
  local closes = closer(object)
  if not (closes and is_function) then require "daytona.base.refusal".using(object, fn, closes) end
  core.hand_over() -- to the guard
  enter(object)
  return loop.guard(run, close_raised, { object = object, fn = fn, ends = false })
end

return closing
