-- The loop where tasks are threads of the host (a driver with `spawn`, as nginx's): how they
-- run, how they wait for a short call, and what follows when the host ends one. Loaded with
-- such a driver.

local compat = require "daytona.base.compat"
local core = require "daytona.base.native"

local DONE, now, running = core.DONE, core.now, compat.running

local hosting = {}

local inside -- what loop/init.lua lends

---@param lent table
---@return table hosting
function hosting.of(lent)
  inside = lent
  return hosting
end

local function keep_trace(e)
  local task = inside.hosted[running()]
  if task then task.trace = debug.traceback("", 2) end
  return e
end

local function ended(task, ...)
  inside.hosted[task.co] = nil
  task:ended(...)
end

---A task, in the thread that it is: fn(...).
---@param task daytona.Task
---@param fn function
function hosting.run(task, fn, ...)
  task.co = running()
  inside.hosted[task.co] = task
  return ended(task, xpcall(fn, keep_trace, ...))
end

-- The op of a transfer that the driver carries. It keeps no host awake by itself.
local function register_carried(left, timeout, body, on_lost, subject)
  local transfer, id = left[1], left[2]
  left[1] = false
  local op = {
    id = id, transfer = transfer, done = false, events = 0, waiter = nil, request = nil, on_lost = on_lost,
    resting = true, carried = true, due = timeout and timeout > 0 and now() + timeout or nil,
    carrier = nil, connect_timeout = nil, body = body, subject = subject,
  }
  inside.keep(op)
  inside.carry(op)
  return op
end

---`loop.exchange` where the host may end who waits.
function hosting.exchange(engine, left, call, body, timeout, max_bytes, on_lost, subject)
  inside.refuse_start()
  local _, _, carried = engine:exchange(left, inside.carry and -1 or 0, call, body, timeout, max_bytes)
  local op
  if carried then
    op = register_carried(left, timeout, body, on_lost, subject)
  else
    op = inside.take_over(false)
    if op then op.on_lost, op.body, op.subject = on_lost, body, subject end
  end
  if not op or not on_lost then return nil, op end
  local task = inside.own_task()
  if task then
    if task.canceled and task.shields == 0 then return nil, op end
    inside.park(task, op, DONE)
  else
    inside.host_wait(op, DONE)
  end
  if op.done then
    local status, answer, text = inside.take(call, op.transfer)
    if status then return status, answer, text end
  end
  return nil, op
end

---The host has ended the thread that a waiter stood for.
---@param waiter table
function hosting.lose(waiter)
  local source = waiter.source
  waiter.ready = true
  if source then inside.unlink(source, waiter) end
  if waiter.co then
    inside.hosted[waiter.co] = nil
    waiter:ended(false, inside.canceled())
  end
  if not (source and source.transfer) or source.done then return end
  if source.on_lost then return inside.driver.background(source.on_lost, source) end
  source.transfer:cancel()
end

return hosting
