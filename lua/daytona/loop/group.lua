-- Many tasks for one list: workers that share the jobs. The first failure stops them
-- all, or each job settles for itself.

local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local task = require "daytona.loop.task"

local M = {}

---@class daytona.GroupOptions
---@field concurrency? integer  so many at a time; all at once without
---@field settle? boolean       a failure stops nothing: each result is `{ value, err }`
---@field on_result? fun(index: integer, value: any, err?: daytona.Error)  called as each one ends
local OPTIONS = { concurrency = "positive", settle = "boolean", on_result = "callable" }

local Group = {}
Group.__index = Group

---For tasks: a worker raised. Nobody takes another job then.
---@private
function Group:fail(err)
  if self.failure then return end
  self.failure = err
  for i = 1, #self.workers do self.workers[i]:cancel() end
end

-- nil with a reason is how this library says that something failed.
local function error_of(first, second)
  if first ~= nil or second == nil then return nil end
  if errors.is(second) then return second end
  local fine, text = pcall(tostring, second)
  return errors.new { kind = "task", message = fine and text or "(no text)", cause = second }
end

-- What became of job i.
local function settle(self, i, first, second)
  local err = error_of(first, second)
  if self.settles then
    self.results[i] = { first, err }
  elseif err then
    self:fail(err)
  else
    self.results[i] = first
  end
  if self.on_result then self.on_result(i, first, err) end
end

-- A task for the job, so that what it raises is its own result.
local function apart(self, i)
  return task.start(self.heard, self.of or self.list[i], self.job, self.list, i):wait()
end

local function work(self)
  local worker = loop.current()
  while not self.failure and self.taken < self.results.n do
    local i = self.taken + 1
    self.taken, worker.of = i, self.of or self.list[i]
    if self.settles then
      settle(self, i, apart(self, i))
      if worker.canceled then return end
    else
      settle(self, i, self.job(self.list, i))
    end
  end
end

local function wait_all(workers)
  for i = 1, #workers do workers[i]:wait() end
end

local HEARD = { fail = function() end }

-- Runs job(list, i) for 1 to n. They call `of`, or the items.
local function run(job, of, list, n, opts)
  local self = setmetatable({
    job = job, of = of, list = list, taken = 0, workers = {}, results = { n = n },
    settles = opts.settle, on_result = opts.on_result, heard = HEARD,
  }, Group)
  for i = 1, math.min(n, opts.concurrency or math.huge) do
    if self.failure or self.taken >= n then break end
    self.workers[i] = task.start(self, of, work, self)
  end
  -- Shielded: a cancelled caller has cancelled the workers; they are to end.
  loop.shield(wait_all, self.workers)
  if self.failure then return nil, self.failure end
  local rested, err = loop.cancellation()
  if self.settles and not rested then return nil, err end
  return self.results
end

local function call_listed(list, i)
  return list[i]()
end

---Runs functions side by side. A list of the first result of each, in order,
---with their number in `n`. When one raises, or returns nil and a reason, the
---others are cancelled and, once they have ended, nil and that error returned.
---
---With `settle` none is cancelled, and each item of the list is `{ value, err }`.
---`on_result(index, value, err)` is called when one has ended. (Type checkers know what is in
---the list where all functions return the same type.)
---@generic T
---@param fns (fun(): T, any)[]
---@param opts? daytona.GroupOptions
---@return T[]?
---@return daytona.Error?
---@overload fun<T>(fns: [(fun(): T, any)], opts?: daytona.GroupOptions): T[]?, daytona.Error?
---@overload fun(fns: function[], opts: { settle: true, concurrency?: integer, on_result?: function }): { [1]: any, [2]: daytona.Error? }[]?, daytona.Error?
function M.gather(fns, opts)
  if type(fns) ~= "table" then errors.misuse(2, "gather: a list of functions expected") end
  for i = 1, #fns do
    if type(fns[i]) ~= "function" then errors.misuse(2, "gather: item %d is not a function", i) end
  end
  return run(call_listed, nil, fns, #fns, options.check("gather", OPTIONS, opts))
end

---Calls fn(item, index) for every item, all at once or `concurrency` at a time.
---Results, failures and options as with `gather`.
---@generic T, R
---@param list T[]
---@param fn fun(item: T, index: integer): R, any
---@param opts? daytona.GroupOptions
---@return R[]?
---@return daytona.Error?
---@overload fun(list: any[], fn: function, opts: { settle: true, concurrency?: integer, on_result?: function }): { [1]: any, [2]: daytona.Error? }[]?, daytona.Error?
function M.map(list, fn, opts)
  if type(list) ~= "table" then errors.misuse(2, "map: a list expected, got %s", type(list)) end
  if type(fn) ~= "function" then errors.misuse(2, "map: a function expected, got %s", type(fn)) end
  local function job(items, i)
    return fn(items[i], i)
  end
  return run(job, fn, list, #list, options.check("map", OPTIONS, opts))
end

return M
