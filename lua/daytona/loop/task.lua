-- Tasks: functions that run side by side in one thread, each as a coroutine. A
-- task belongs to the one that spawned it: it ends no later, and is cancelled
-- with it. How a task waits is the loop's business (daytona.loop).

local compat = require "daytona.base.compat"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"

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

-- All of them, or those that were not spawned in a shield.
local function cancel_children(self, but_shielded)
  if not self.children then return end
  for child, shields in pairs(self.children) do
    if not but_shielded or shields == 0 then child:cancel() end
  end
end

local function results_of(self)
  if self.failure then return nil, self.failure end
  return compat.unpack(self.results, 1, self.results.n)
end

local function leave_parent(self, parent)
  if not parent then return end
  self.parent = nil
  parent.children[self] = nil
  if parent.draining and not next(parent.children) then complete(parent) end
end

-- The task and all its children have ended.
function complete(self)
  self.finished, self.of = true, nil
  loop.release(self)
  leave_parent(self, self.parent)
  if self.on_done then self.on_done(results_of(self)) end
end

---For the loop: the coroutine is dead; it returned or, with ok false, raised.
---@private
function Task:ended(ok, ...)
  if ok then
    self.results = compat.pack(...)
  else
    self.failure = as_error(self, (...))
    cancel_children(self)
    if self.group then self.group:fail(self.failure) end
  end
  if self.children and next(self.children) then
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
    ready = nil, co = nil, mask = nil, next = nil, prev = nil, source = nil, waiter = nil, results = nil,
  }, Task)
  if parent then
    parent.children = parent.children or {}
    parent.children[self] = parent.shields
  end
  loop.launch(self, fn, ...)
  return self
end

local function start(group, of, fn, ...)
  loop.prepare()
  return begin(group, of, loop.current(), fn, ...)
end

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
---this, and what it raises is nobody's. It lives as long as the loop does its rounds.
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
---    local exec = nio.wrap(daytona.callback(sb.exec), 3)   -- sb, command, callback
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

---Waits until the task is done and returns what its function returned. nil and
---an error when the function raised (kind "task", with `traceback`; an error of
---this library as it is), after `timeout` seconds (kind "timeout", the task goes
---on; nil or 0: no limit), or when the waiting task is cancelled ("canceled").
---
---A failure is seen here and nowhere else: a task that nobody waits for fails in
---silence.
---@param timeout? number
---@return any ...
function Task:wait(timeout)
  if not self.finished then
    if timeout ~= nil and (type(timeout) ~= "number" or timeout < 0 or timeout ~= timeout) then
      errors.misuse(2, "wait: timeout is a number of seconds, not %s", tostring(timeout))
    end
    refuse_deadlock(self)
    local limited = timeout and timeout > 0
    local ended, err = loop.join(self, limited and loop.now() + timeout or nil)
    if not ended then return nil, err end
  end
  return results_of(self)
end

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

--- Many tasks ----------------------------------------------------------------------

-- Workers that share a list of jobs; the first failure stops them all.
local Group = {}
Group.__index = Group

---@private
function Group:fail(err)
  if self.failure then return end
  self.failure = err
  for i = 1, #self.workers do self.workers[i]:cancel() end
end

-- nil with a reason is how this library says that something failed.
local function settle(self, i, first, second)
  if first ~= nil or second == nil then
    self.results[i] = first
  elseif errors.is(second) then
    self:fail(second)
  else
    self:fail(errors.new { kind = "task", message = text_of(second), cause = second })
  end
end

local function work(self)
  local worker = loop.current()
  while not self.failure and self.taken < self.results.n do
    local i = self.taken + 1
    self.taken, worker.of = i, self.of or self.list[i]
    settle(self, i, self.job(self.list, i))
  end
end

local function wait_all(workers)
  for i = 1, #workers do workers[i]:wait() end
end

-- Runs job(list, i) for 1 to n, `limit` at a time. They call `of`, or the items.
local function run_jobs(job, of, list, n, limit)
  local self = setmetatable({
    job = job, of = of, list = list, taken = 0, workers = {}, results = { n = n },
  }, Group)
  for i = 1, math.min(n, limit) do
    if self.failure or self.taken >= n then break end
    self.workers[i] = start(self, of, work, self)
  end
  -- Shielded: a cancelled caller has cancelled the workers; they are to end.
  loop.shield(wait_all, self.workers)
  if self.failure then return nil, self.failure end
  return self.results
end

local function call_listed(list, i)
  return list[i]()
end

---Runs functions side by side. A list of the first result of each, in order,
---with their number in `n`. When one raises, or returns nil and a reason, the
---others are cancelled and, once they have ended, nil and that error returned.
---@param fns function[]
---@return table?
---@return daytona.Error?
function task.gather(fns)
  if type(fns) ~= "table" then errors.misuse(2, "gather: a list of functions expected") end
  for i = 1, #fns do
    if type(fns[i]) ~= "function" then errors.misuse(2, "gather: item %d is not a function", i) end
  end
  return run_jobs(call_listed, nil, fns, #fns, #fns)
end

local MAP_OPTIONS = { concurrency = true }

local function concurrency_of(opts)
  if opts == nil then return math.huge end
  if type(opts) ~= "table" then errors.misuse(3, "map: a table of options expected") end
  for name in pairs(opts) do
    if not MAP_OPTIONS[name] then
      errors.misuse(3, "map: unknown option '%s' (valid: concurrency)", tostring(name))
    end
  end
  local n = opts.concurrency
  if n == nil then return math.huge end
  if type(n) ~= "number" or n < 1 or n ~= math.floor(n) then
    errors.misuse(3, "map: concurrency is a whole number above 0, not %s", tostring(n))
  end
  return n
end

---Calls fn(item, index) for every item, all at once or `concurrency` at a time.
---Results and failures as with `gather`.
---@param list any[]
---@param fn fun(item: any, index: integer): any
---@param opts? { concurrency?: integer }
---@return table?
---@return daytona.Error?
function task.map(list, fn, opts)
  if type(list) ~= "table" then errors.misuse(2, "map: a list expected, got %s", type(list)) end
  if type(fn) ~= "function" then errors.misuse(2, "map: a function expected, got %s", type(fn)) end
  local function job(items, i)
    return fn(items[i], i)
  end
  return run_jobs(job, fn, list, #list, concurrency_of(opts))
end

function errors.task_function()
  local current = loop.current()
  return current and current.of
end

methods.guard(Task, "daytona.Task", "task", "ended")

return task
