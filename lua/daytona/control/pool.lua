-- Pools: warm sandboxes for many short uses, as a service has them; and many tasks spread
-- over a few sandboxes.
--
-- A sandbox of a pool is being made, idle, taken, or ending; all count towards `max`. What
-- is made, reset and deleted is so in the background, so that a caller that gives up costs
-- nothing. Nothing runs while nobody uses the pool, no timer either.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local group = require "daytona.loop.group"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local random = require "daytona.base.random"
local scope = require "daytona.control.scope"
local task = require "daytona.loop.task"

local M = {}

---@class daytona.Pool
---@field client daytona.Client
---@field size integer
---@field max integer
---@field max_idle integer
---@field closed boolean
---@field private idle { box: daytona.Sandbox, since: number }[]
---@field private taken table<daytona.Sandbox, boolean>
---@field private waiters daytona.PoolWaiter[]
---@field private making integer   are being made
---@field private ending integer   are being reset or deleted
local Pool = { __name = "daytona.Pool" }
Pool.__index = Pool

---@class daytona.PoolWaiter
---@field latch daytona.Latch
---@field deadline? number
---@field box? daytona.Sandbox
---@field err? daytona.Error

---@class daytona.PoolOptions
---@field size? integer       so many are kept, made at once; 1, 0: only when they are needed
---@field max? integer        at most so many at a time; `size`
---@field max_idle? integer   more than so many are not kept when they are given back; `size`, at least 1
---@field create? daytona.CreateOptions  what they are; `lease` is 600 unless it says otherwise
---@field reset? fun(sandbox: daytona.Sandbox): any, any  before one is used again; what raises or returns nil or false ends it
---@field check? fun(sandbox: daytona.Sandbox): any       whether one that was idle for some seconds can be used; runs `true` in it
local OPTIONS = {
  size = "count", max = "positive", max_idle = "count", create = "table", reset = "callable", check = "callable",
}

-- Seconds: of a lease; that one may be idle unlooked at; that a look may take; between
-- creations after failures, and the longest; that a caller waits.
local LEASE, FRESH, LOOK, FIRST_PAUSE, LONGEST_PAUSE, PATIENCE = 600, 5, 5, 0.5, 30, 60

local function is_usable(box)
  local result, err = box:exec("true", { timeout = LOOK })
  if not result then return nil, err end
  return result.exit_code == 0
end

local fill

---A pool of sandboxes. It begins to make them at once, in the background: while this
---program waits for something. Close it, or end its scope: that deletes all of them. Should
---this program be killed, `client:reap` deletes them, here at once, elsewhere when their
---lease is over; one that was idle so long is replaced when it is to be taken.
---
---The service's own warm pools, where the account has some, serve its creations as any.
---@param client daytona.Client
---@param opts? daytona.PoolOptions
---@return daytona.Pool
function M.new(client, opts)
  opts = options.check("pool", OPTIONS, opts)
  client:connection_of("pool")
  local size = opts.size or 1
  local max = opts.max or math.max(size, 1)
  if max < size then errors.misuse(1, "pool: max is %d, and size %d", max, size) end
  local create = options.copy(opts.create or {})
  create.lease = create.lease or LEASE
  require("daytona.control.create_options").check(create)
  local self = setmetatable({
    client = client, size = size, max = max, max_idle = opts.max_idle or math.max(size, 1), create = create,
    reset = opts.reset, check = opts.check or is_usable, closed = false, process = core.pid(),
    idle = {}, taken = {}, waiters = {}, making = 0, ending = 0, failures = 0,
  }, Pool)
  fill(self)
  return self
end

--- Counting -------------------------------------------------------------------------------------

local function count_taken(self)
  local n = 0
  for _ in pairs(self.taken) do n = n + 1 end
  return n
end

---What there is now: `idle`, `taken`, `making`, `ending` sandboxes, and `waiting` callers.
---@return { idle: integer, taken: integer, making: integer, ending: integer, waiting: integer }
function Pool:stats()
  return {
    idle = #self.idle, taken = count_taken(self), making = self.making, ending = self.ending, waiting = #self.waiters,
  }
end

---"pool (2 idle, 1 taken of 4)"
---@private
function Pool:__tostring()
  return ("pool (%d idle, %d taken of %d%s)"):format(#self.idle, count_taken(self), self.max,
    self.closed and ", closed" or "")
end

local function total(self)
  return #self.idle + count_taken(self) + self.making + self.ending
end

-- For `close`, which waits until nothing is under way.
local function settled(self)
  if self.quiet and self.making + self.ending == 0 and not next(self.taken) then self.quiet:open() end
end

--- Waiting --------------------------------------------------------------------------------------

-- Takes the first of those who still wait.
local function next_waiter(self)
  while self.waiters[1] do
    local waiter = table.remove(self.waiters, 1)
    if not waiter.deadline or loop.now() <= waiter.deadline then return waiter end
  end
end

local function forget(self, waiter)
  for i, other in ipairs(self.waiters) do
    if other == waiter then return table.remove(self.waiters, i) end
  end
end

local function refuse_all(self, err)
  while self.waiters[1] do
    local waiter = table.remove(self.waiters, 1)
    waiter.err = err
    waiter.latch:open()
  end
end

--- Ending ---------------------------------------------------------------------------------------

local function end_now(self, box)
  local gone, err = scope.dispose(box)
  self.ending = self.ending - 1
  settled(self)
  fill(self)
  if not gone then
    require("daytona.loop.unhandled").report(err, "a sandbox of a pool could not be deleted")
  end
end

local function discard(self, box)
  self.taken[box] = nil
  self.ending = self.ending + 1
  task.background(end_now, self, box)
end

-- Gives a sandbox that can be used to whom waits, or keeps it. `doubtful`: to be looked at
-- before it is used again.
local function deliver(self, box, doubtful)
  if self.closed then return discard(self, box) end
  local waiter = next_waiter(self)
  if waiter then
    self.taken[box], waiter.box, waiter.doubtful = true, box, doubtful
    return waiter.latch:open()
  end
  self.taken[box] = nil
  self.idle[#self.idle + 1] = { box = box, since = loop.now(), doubtful = doubtful }
  while #self.idle > self.max_idle do discard(self, table.remove(self.idle, 1).box) end
end

--- Making ---------------------------------------------------------------------------------------

-- Seconds until the next creation may be tried after one that failed.
local function pause_after(self, err)
  local pause = err.retry_after or math.min(FIRST_PAUSE * 2 ^ (self.failures - 1), LONGEST_PAUSE)
  return pause * (1 + random.chance() / 4)
end

local function try_again(self, pause)
  loop.sleep(pause)
  self.resting = false
  fill(self)
end

-- What may pass is waited out, by all together; anything else is told to those who wait.
local function failed(self, err)
  self.failures, self.err = self.failures + 1, err
  if self.closed then return end
  if not err.retryable then return refuse_all(self, err) end
  if self.resting then return end
  self.resting = true
  task.background(try_again, self, pause_after(self, err))
end

local function make(self)
  local fine, box, err = loop.pcall(self.client.create, self.client, self.create)
  if not fine then box, err = nil, errors.is(box) and box or errors.new { kind = "task", message = tostring(box) } end
  self.making = self.making - 1
  if box then
    self.failures, self.err = 0, nil
    deliver(self, box)
  else
    failed(self, err)
  end
  settled(self)
end

-- Begins to make what is missing: those that are kept, those that are waited for.
function fill(self)
  while not self.closed and not self.resting and total(self) < self.max
    and (total(self) < self.size or self.making < #self.waiters) do
    self.making = self.making + 1
    task.background(make, self)
  end
end

--- Taking and giving ------------------------------------------------------------------------------

local function usable(self, operation)
  if self.process ~= core.pid() then errors.misuse(2, "%s: this pool was made before a fork", operation) end
  if self.closed then errors.misuse(2, "%s: attempt to use a closed pool", operation) end
end

local function too_late(self)
  local err = errors.new {
    kind = "timeout", code = "pool", operation = "take", cause = self.err,
    message = ("no sandbox became free in time (%s)"):format(tostring(self)),
  }
  if self.err then err.message = err.message .. ": " .. self.err.message end
  return nil, err
end

local function closed_error()
  return errors.new { kind = "canceled", code = "closed", operation = "take", message = "the pool was closed" }
end

-- Waits for one. It, and whether it is doubtful; or nil, err.
local function wait_for(self, deadline)
  local waiter = { latch = new_latch(), deadline = deadline }
  self.waiters[#self.waiters + 1] = waiter
  fill(self)
  local fine, err = loop.join(waiter.latch, deadline)
  if fine then return waiter.box, waiter.box and waiter.doubtful or waiter.err end
  forget(self, waiter)
  if err.kind == "timeout" then return too_late(self) end
  return nil, err
end

-- Whether one can be used: not when the check fails, whatever it does. It counts as taken
-- meanwhile.
local function passes(self, box)
  local fine, good = loop.pcall(self.check, box)
  return fine and good
end

-- One that is there, or comes: it, and whether it is to be looked at; or nil, err.
local function next_box(self, deadline)
  if self.closed then return nil, closed_error() end
  local one = table.remove(self.idle)
  if not one then return wait_for(self, deadline) end
  self.taken[one.box] = true
  return one.box, one.doubtful or loop.now() - one.since >= FRESH
end

local function take(self, deadline)
  while true do
    local box, doubtful = next_box(self, deadline)
    if not box or not doubtful then return box, doubtful or nil end
    local good = passes(self, box)
    local fine, err = loop.cancellation()
    if fine and good and not self.closed then return box end
    if self.taken[box] then discard(self, box) end -- else closing has
    if not fine then return nil, err end
    if not self.closed and deadline and loop.now() >= deadline then return too_late(self) end
  end
end

local WAIT = { timeout = "seconds" }

---A sandbox for the caller alone, until it gives it back. Waits for one to become free, or
---to be made; kind "timeout", code "pool", when that takes too long, with what keeps new
---ones from being made in `cause`. What makes creations fail for good is returned at once.
---@param opts? { timeout?: number }|number  seconds; 60, 0 for none
---@return daytona.Sandbox?
---@return daytona.Error?
function Pool:take(opts)
  opts = options.timed("take", WAIT, opts)
  usable(self, "take")
  local timeout = opts.timeout or PATIENCE
  return take(self, timeout > 0 and loop.now() + timeout or nil)
end

local function reset_now(self, box)
  local fine, good = loop.pcall(self.reset, box)
  self.ending = self.ending - 1
  if fine and good ~= nil and good ~= false then deliver(self, box) else discard(self, box) end
  settled(self)
end

local ENDED = { destroyed = true, destroying = true, error = true }

local function give(self, box, is_broken, doubtful)
  if is_broken or self.closed or ENDED[box.state] then return discard(self, box) end
  if self.reset then
    self.taken[box] = nil
    self.ending = self.ending + 1
    return task.background(reset_now, self, box)
  end
  deliver(self, box, doubtful)
end

local GIVE = { failed = "boolean" }

---Gives a sandbox back, for others. One that has `failed` is deleted, and another takes its
---place. Does not wait.
---@param box daytona.Sandbox
---@param opts? { failed?: boolean }
function Pool:give(box, opts)
  opts = options.check("give", GIVE, opts)
  if self.closed and not self.taken[box] then return end -- closing has deleted it
  if not self.taken[box] then errors.misuse(1, "give: this sandbox was not taken from this pool") end
  give(self, box, opts.failed)
end

local function returned(self, box, fine, ...)
  if self.taken[box] then give(self, box, not fine, (...) == nil) end
  if not fine then error((...), 0) end
  return ...
end

---Calls fn(sandbox) with one that is taken, and gives it back; deletes it when fn raises.
---Returns what fn returns; nil, err when none could be taken.
---@generic T
---@param fn fun(sandbox: daytona.Sandbox): T?, ...
---@param opts? { timeout?: number }|number  for `take`
---@return T?
---@return any ...
function Pool:with(fn, opts)
  options.argument("with: what to do", "callable", fn)
  local box, err = self:take(opts)
  if not box then return nil, err end
  return returned(self, box, loop.pcall(fn, box))
end

--- Many tasks -------------------------------------------------------------------------------------

-- One call of fn with a sandbox. fine, what it returned or raised; and whether it is worth
-- another try: the sandbox died, or the failure may pass.
local function attempt(self, fn, item, index, deadline)
  local box, why = take(self, deadline)
  if not box then return true, nil, why end
  local fine, value, err = loop.pcall(fn, box, item, index)
  if fine and (value ~= nil or err == nil) then
    give(self, box)
    return true, value
  end
  local cause = fine and err or value
  local going = loop.cancellation()
  local alive = going and passes(self, box)
  if self.taken[box] then give(self, box, not alive) end
  return fine, value, err, going and (not alive or errors.is(cause) and cause.retryable)
end

local function work(self, fn, item, index, retries)
  local fine, value, err, again
  for _ = 0, retries do
    fine, value, err, again = attempt(self, fn, item, index, loop.now() + 2 * PATIENCE)
    if not again then break end
  end
  if not fine then error(value, 0) end
  return value, err
end

---@class daytona.PoolMapOptions
---@field retries? integer  further tries of an item whose sandbox died, or whose failure may pass; 3
---@field settle? boolean   a failure stops nothing: each result is `{ value, err }`
---@field on_result? fun(index: integer, value: any, err?: daytona.Error)  called as each one ends
local MAP = { retries = "count", settle = "boolean", on_result = "callable" }

---Calls fn(sandbox, item, index) for every item, each with a sandbox of its own at the time,
---up to `max` at once. Results in the order of the list, as of daytona.map. A sandbox that
---dies is replaced, and its item tried again, so that fn may be called for an item more than
---once, though never twice at the same time. When the service throttles, the creation of
---new sandboxes waits as long as it says.
---@generic T, R
---@param list T[]
---@param fn fun(sandbox: daytona.Sandbox, item: T, index: integer): R?, ...
---@param opts? daytona.PoolMapOptions
---@return R[]?
---@return daytona.Error?
function Pool:map(list, fn, opts)
  options.argument("map: the list", "table", list)
  options.argument("map: what to do", "callable", fn)
  opts = options.check("map", MAP, opts)
  usable(self, "map")
  local retries = opts.retries or 3
  return group.map(list, function(item, index)
    return work(self, fn, item, index, retries)
  end, { concurrency = self.max, settle = opts.settle, on_result = opts.on_result })
end

--- The end ----------------------------------------------------------------------------------------

local function end_all(self, drain)
  local idle, taken = self.idle, {}
  self.idle = {}
  for box in pairs(self.taken) do taken[#taken + 1] = box end
  for _, one in ipairs(idle) do discard(self, one.box) end
  for _, box in ipairs(drain and {} or taken) do discard(self, box) end
  self.quiet = self.quiet or new_latch()
  settled(self)
  return loop.join(self.quiet)
end

local CLOSE = { drain = "boolean" }

---Deletes all sandboxes of the pool, those that are taken and those that are being made as
---well, and waits until that is done. With `drain` those that are taken are deleted when
---they are given back. Those who wait for one get kind "canceled", code "closed". What could
---not be deleted is told as `daytona.on_unhandled` says. Idempotent.
---@param opts? { drain?: boolean }
---@return true?
---@return daytona.Error?
function Pool:close(opts)
  opts = options.check("close", CLOSE, opts)
  if self.process ~= core.pid() then return true end
  self.closed = true
  refuse_all(self, closed_error())
  return loop.shield(end_all, self, opts.drain)
end

---@private
function Pool:__close()
  self:close()
end

methods.guard(Pool, "daytona.Pool", "pool")

return M
