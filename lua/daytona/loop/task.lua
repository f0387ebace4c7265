-- Tasks: functions that run side by side in one thread, each as a coroutine. A
-- task belongs to the one that spawned it: it ends no later, and is cancelled
-- with it. How a task waits is the loop's business (daytona.loop).

local compat = require "daytona.base.compat"
local errors = require "daytona.base.errors"
local interrupt = require "daytona.loop.interrupt"
local loop = require "daytona.loop"
local deadline = require "daytona.loop.deadline"
local options = require "daytona.base.options"
local methods = require "daytona.base.methods"
local misuse = require "daytona.base.misuse"
local unhandled = require "daytona.loop.unhandled"

local task = {}

---@class daytona.Task
---@field canceled boolean  cancel was called on it, or on a task above it
local Task = {}
Task.__index = Task
Task.__name = "daytona.Task"

local complete

--- One task ------------------------------------------------------------------------

local function text_of(e)
  local ok, text = pcall(tostring, e)
  return ok and text or "(an error that cannot be shown)"
end

-- What a function raised, as an error object. Those of this library pass as
-- they are.
local function as_error(self, e)
  if errors.is(e) then return e end
  local text = text_of(e)
  if text:find("attempt to yield across", 1, true) then text = compat.yield_help end
  local err = errors.new { kind = "task", message = text, cause = e }
  err.traceback = self.trace and text .. self.trace or debug.traceback(self.co, text)
  return err
end

-- A task ends also where there is no memory to say how: with this.
local NO_MEMORY = errors.new { kind = "task", message = "not enough memory" }

-- What fn(...) returns; nil when it found no memory.
local function tried(fn, ...)
  local fine, result = pcall(fn, ...)
  if fine then return result end
  if result ~= NO_MEMORY.message then error(result, 0) end
end

-- All of them, or those that were not spawned in a shield.
local function cancel_children(self, but_shielded)
  if not self.children then return end
  for child, shields in pairs(self.children) do
    if not but_shielded or shields == 0 then child:cancel() end
  end
end

-- To whom asks: a failure has been heard then.
local function results_of(self)
  if self.failure then
    if self.watch then self.watch.err = nil end
    return nil, self.failure
  end
  return compat.unpack(self.results, 1, self.results.n)
end

local function leave_parent(self, parent)
  if not parent then return end
  parent.children[self] = nil
  if parent.draining and not next(parent.children) then complete(parent) end
  self.parent = nil
end

-- The task and all its children have ended. Where something is raised on the way, for want
-- of memory, it is begun anew.
function complete(self)
  self.finished, self.of = true, nil
  loop.release(self)
  leave_parent(self, self.parent)
  loop.forget(self)
  local on_done = self.on_done
  self.on_done = nil
  if on_done then on_done(results_of(self)) end
end

-- Whether somebody hears of a failure in any case, or nobody is to.
local function is_heard(self)
  return self.group or self.on_done or self.waiter or self.canceled or self.detached
    or self.failure.kind == "canceled"
end

---For the loop: the coroutine is dead; it returned or, with ok false, raised.
---@private
function Task:ended(ok, ...)
  if ok then self.results = tried(compat.pack, ...) end
  if not self.results then
    self.failure = not ok and tried(as_error, self, (...)) or NO_MEMORY
    tried(cancel_children, self)
    if self.group then tried(self.group.fail, self.group, self.failure) end
    if not is_heard(self) then self.watch = tried(unhandled.watch, self.failure) end
  end
  if self.children and next(self.children) then
    self.draining = true
  else
    complete(self)
  end
end

---For the loop: it has ended, and something kept that from being told: an interrupt, or
---want of memory.
---@private
function Task:ended_unheard()
  if not (self.results or self.failure) then
    local interrupted = interrupt.pending()
    return self:ended(false, interrupted and errors.new { kind = "canceled", message = "the task was canceled" }
      or NO_MEMORY)
  end
  if self.failure then
    cancel_children(self)
    if self.group then self.group:fail(self.failure) end
  end
  if not self.finished and self.children and next(self.children) then
    self.draining = true
  else
    complete(self)
  end
end

-- Runs fn(...). Of the functions of the program that it is about, `of` is told to errors.
local function begin(group, of, parent, fn, ...)
  local self = setmetatable({
    group = group,
    of = of,
    parent = parent,
    canceled = parent ~= nil and parent.canceled and parent.shields == 0,
    shields = 0,
    finished = false,
    -- Room for what comes later: a table that grows is dear.
    ready = nil, after = nil, co = nil, mask = nil, next = nil, prev = nil, source = nil, waiter = nil,
    results = nil,
  }, Task)
  if parent then
    parent.children = parent.children or {}
    parent.children[self] = parent.shields
  end
  loop.launch(self, fn, ...)
  return self
end

---Starts fn(...) as a task below the one that runs.
---@param group? table     who hears of its failure: `fail` of it is called
---@param of? function     the program's function that errors may name
---@param fn function
---@param ... any
---@return daytona.Task
function task.start(group, of, fn, ...)
  loop.prepare()
  return begin(group, of, loop.current(), fn, ...)
end

local start = task.start

---Starts fn(...) as a task, at once and up to its first wait. Its parent is the
---task that calls this, if any. Raises when fn is not a function.
---@param fn function
---@param ... any
---@return daytona.Task
function task.spawn(fn, ...)
  if type(fn) ~= "function" then
    errors.misuse(2, "spawn: a function expected, got %s", type(fn))
  end
  return start(nil, fn, fn, ...)
end

---Starts fn(...) beside everything: nobody waits for it, not even the task that calls
---this. What it raises is told as what no task waits for is. It lives as long as the loop does its rounds.
---@param fn function
---@param ... any
function task.background(fn, ...)
  loop.prepare()
  if not loop.background(fn, ...) then begin(nil, fn, nil, fn, ...) end
end

---Makes of fn a function whose last argument is a callback, as event-driven code
---and other coroutine libraries want it. A call runs fn with the other arguments
---as a task of its own and returns that task; the callback then gets what fn
---returned, or nil and an error as from `task:wait`. An error that the callback
---raises is the host's, like that of any callback.
---
---    local exec = nio.wrap(daytona.callback(sb.exec), 3)  -- sb, command, done
---@param fn function
---@return fun(...): daytona.Task
function task.callback(fn)
  if type(fn) ~= "function" then
    errors.misuse(2, "callback: a function expected, got %s", type(fn))
  end
  return function(...)
    local n = select("#", ...)
    local on_done = n > 0 and select(n, ...) or nil
    if type(on_done) ~= "function" then
      errors.misuse(2, "the last argument must be a callback, not %s", type(on_done))
    end
    local args = { ... }
    local self = start(nil, fn, fn, compat.unpack(args, 1, n - 1))
    if self.finished then on_done(results_of(self)) else self.on_done = on_done end
    return self
  end
end

---Whether the task and its children have ended.
---@return boolean
function Task:done()
  return self.finished
end

---Asks the task and its children to stop: the wait in progress and every later
---one returns nil and an error of kind "canceled", except inside what cleans up.
---The task ends when it returns. Idempotent; nothing happens to a task that is
---done.
function Task:cancel()
  if self.finished or self.canceled then return end
  self.canceled = true
  cancel_children(self, self.shields > 0)
  loop.interrupt(self)
end

---For the loop: the last shield around a cancelled task has ended. What was spawned
---there and goes on is cancelled now.
---@private
function Task:exposed()
  cancel_children(self)
end

local function refuse_deadlock(self)
  local above = loop.current()
  while above do
    if above == self then
      errors.misuse(3, "a task cannot wait for itself or for a task above it")
    end
    above = above.parent
  end
end

-- The error of a wait that was over before the task: says which one it was.
local function named(self, err)
  if err.code ~= "wait" then return err end
  local info = self.of and debug.getinfo(self.of, "S")
  local place = info and info.what ~= "C" and (" (its function: %s:%d)"):format(info.short_src, info.linedefined) or ""
  err.message = "the task did not end in time" .. place
  return err
end

---Waits until the task is done and returns what its function returned. nil and
---an error when the function raised (kind "task", with `traceback`; an error of
---this library as it is), after `timeout` seconds (kind "timeout", the task goes
---on; nil or 0: no limit), or when the waiting task is cancelled ("canceled").
---
---A failure that nobody waits for is told when the task is thrown away (see
---daytona.on_unhandled).
---@param timeout? number|{ timeout?: number }
---@return any ...
function Task:wait(timeout)
  local limit = deadline.of("wait", timeout)
  if not self.finished then
    refuse_deadlock(self)
    local ended, err = loop.join(self, limit)
    if not ended then return nil, named(self, err) end
  end
  return results_of(self)
end

---Lets the task go its own way: the task that spawned it does not wait for it any more
---nor cancel it, and a failure of it is not told. It can still be waited for.
---@return daytona.Task self
function Task:detach()
  self.detached = true
  if self.watch then self.watch.err = nil end
  leave_parent(self, self.parent)
  return self
end

---Calls fn(...) and gives it so many seconds; what it returns is returned. When they are
---over its waits are cancelled, and when it has ended (what cleans up may take longer),
---nil and an error of kind "timeout" (code "within") are returned. What it raises becomes
---nil, err as of a task.
---@generic T
---@param seconds number  0: no limit
---@param fn fun(...: any): T, ...
---@param ... any
---@return T?
---@return daytona.Error|any ...
function task.within(seconds, fn, ...)
  options.argument("within: the limit", "seconds", seconds)
  options.argument("within: what is called", "callable", fn)
  local self = start(nil, fn, fn, ...)
  local ended, err = loop.join(self, loop.after(seconds))
  if ended then return results_of(self) end
  self:cancel()
  loop.shield(self.wait, self)
  if err.kind ~= "timeout" then return nil, err end
  return nil, errors.new {
    kind = "timeout", code = "within", cause = self.failure,
    message = ("it was not done within %g s"):format(seconds),
  }
end

---@private
function Task:__tostring()
  local state = "running"
  if self.failure then
    state = "failed"
  elseif self.finished then
    state = "done"
  elseif self.canceled then
    state = "canceled"
  end
  return "task (" .. state .. ")"
end

--- What there is to know of all of them ----------------------------------------------

function misuse.task_function()
  local current = loop.current()
  return current and current.of
end

-- A field that is not there is nil at once: no other client has names for tasks.
setmetatable(Task, {})
methods.guard(Task, "daytona.Task", "task", "ended")

return task
