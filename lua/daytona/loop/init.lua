-- The loop: the engine of this Lua state, and waiting. One engine is made at
-- first use and again after a fork; whoever waits in a task yields to the loop,
-- everybody else waits through the driver of the host. Nothing here knows HTTP,
-- and nothing but `interrupt` ends what others began.
--
-- Two things can be waited for: an op (a transfer in flight) and a task. Each
-- has in `waiter` the first of those who wait for it, a list in the order in which
-- they came. A waiter is a task, or a table of the same fields for a caller outside
-- tasks:
--   ready          false until woken, then by what: "event", "deadline", "canceled";
--                  nil of a task that does not wait
--   mask           the events that wake it
--   next, prev     in the list, where the first one's `prev` is the last
--   when, slot     in the heap of timers
--   co, after      of tasks only; `after` in the list of those that are ready
--   source         what it waits for

local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local host = require "daytona.loop.host"
local interrupt = require "daytona.loop.interrupt"
local timers = require "daytona.loop.timers"

local band, bor, running = compat.band, compat.bor, compat.running
local pcall, resume, yield, isyieldable = pcall, coroutine.resume, coroutine.yield, compat.isyieldable
local now = core.now
local DONE = core.DONE
local loaded, embedded, jit = package.loaded, compat.embedded, rawget(_G, "jit")

local loop = { now = now }

---To one host at a time; for engines that are made from now on. nil: 256.
---@type integer?
loop.max_connections = nil

-- How long an exchange waits by itself, seconds.
local SHORT = 0.05

-- Whether Ctrl-C raises in whatever coroutine runs; PUC Lua's strikes the main
-- thread only.
local STRIKES_TASKS = compat.name == "luajit"

local engine               -- nil until first used
local ops                  -- in flight, by id; weak: who forgets an op ends it
local heap                 -- deadlines of waiters
local live                 -- every task that is not done
local head, tail           -- tasks to resume, a list by their `after`: it needs no memory;
local queued = 0           -- so many
local LAST = {}            -- what is `after` the last one
local current              -- the task that runs, or nil
local driver, driver_why   -- nil until first used
local sure = false         -- the driver was chosen, or the host seen running
local kick, notify, refuse, carry -- the driver's, or nil
local hosted               -- where tasks are threads of the host: those, by coroutine
local hosting              -- what is done otherwise there: hosted.lua
local deferred = false     -- the driver was asked to resume the ready tasks
local turn                 -- when what runs now is to let its host go on; nil: never
local spare = {}           -- waiters of callers outside tasks, for the next ones
local left = { false, 0 }  -- the transfer and id of an exchange that goes on
local struck               -- the error that ended the wait of one
local shaken = false       -- something was raised in the rounds: what it made us miss is to be found
local stricken = false     -- Ctrl-C has struck in a task, and the main program is being told

-- What hosted.lua needs of this file; completed at its end.
local inside = {}

local function forget_all()
  ops = setmetatable({}, { __mode = "v" })
  heap = timers.new()
  live = {}
  head, tail, queued = nil, LAST, 0
end

forget_all()

--- Errors ------------------------------------------------------------------------

local function canceled()
  return errors.new { kind = "canceled", message = "the task was canceled" }
end

local function lost()
  return errors.new {
    kind = "canceled", code = "forked",
    message = "this was begun by another process, before a fork",
  }
end

local function too_late()
  return errors.new { kind = "timeout", code = "wait", message = "it did not happen in time" }
end

--- The driver --------------------------------------------------------------------

local recheck

-- Whether tasks are threads of the host, from now on.
local function host_tasks(yes)
  hosted = yes and (hosted or setmetatable({}, { __mode = "kv" })) or nil
  hosting = yes and (hosting or require("daytona.loop.hosted").of(inside)) or nil
  inside.hosted, inside.driver, inside.carry = hosted, driver, carry
end

local function install(found, why, certain)
  if found ~= driver then
    if driver and engine then driver.detach() end
    driver = found
    if engine then driver.attach(loop) end
  end
  driver_why, sure, notify, refuse, carry = why, certain, found.wake, found.refuse, found.carry
  host_tasks(found.spawn ~= nil)
  kick = certain and found.kick or nil
  if not certain then kick = recheck end
end

local function detect()
  install(host.find())
end

-- That a library is loaded does not mean that its loop runs. Until one is seen
-- running, or a driver is chosen, every start looks again.
function recheck()
  if driver.blocks and not host.any() then return end
  local found, why, certain = host.find()
  if found ~= driver or certain then install(found, why, certain) end
  if driver.kick then driver.kick() end
end

-- The task whose own coroutine this is. Inside a coroutine that a task made for
-- itself (a generator) a wait is like one outside tasks.
local function own_task()
  if hosted then return hosted[running()] end
  if not current then return nil end
  local co = running()
  return co and (co == current.co or co == current.inner) and current or nil
end

-- Raises where nobody could wait for what is begun.
local function refuse_start()
  if not refuse or (not hosted and own_task()) then return end
  local refusal = refuse()
  if refusal then error(refusal, 0) end
end

---Chooses the driver of the host: "block" (none), "manual" (LÖVE, frame loops),
---"uv" (Neovim, luv), "cqueues", "ngx" (OpenResty), or a driver of your own (a table; see
---doc/architecture.md). Raises on an unknown name, and while something is in
---flight.
---@param which string|table
function loop.use(which)
  local chosen = require "daytona.loop.choice"(which)
  if chosen ~= driver and loop.busy() then
    errors.misuse(2, "the driver cannot be changed while something is in flight")
  end
  install(chosen, "daytona.use chose it", true)
end

---The driver in use, and why it is that one.
---@return string name
---@return string why
function loop.driver_info()
  if not driver then detect() end
  return driver.name, driver_why
end

--- The engine --------------------------------------------------------------------

-- In a child after a fork: everything in flight is the parent's business.
local function leave_parents()
  engine:abandon()
  driver.detach()
  engine = nil
  forget_all()
  if current then live[current] = true end
end

---The engine of this Lua state.
---@return daytona.core.Engine
function loop.engine()
  if engine then
    if engine:is_ours() then return engine end
    leave_parents()
  end
  if not driver then detect() end
  engine = core.new { max_connections = loop.max_connections }
  driver.attach(loop)
  return engine
end

loop.profile, loop.call = core.profile, core.call

---@class daytona.Op
---@field id integer
---@field transfer daytona.core.Transfer|daytona.core.WebSocket
---@field done boolean   DONE has happened
---@field events integer those that nobody has waited for yet
---@field on_lost? fun(op: daytona.Op)  called, in a thread of its own, when the host
---has ended the thread that waited for the op; without it the op is cancelled
---@field waiter? table
---@field resting? boolean  see loop.rest

-- The op of a transfer, which is in flight unless it is done already.
local function register(id, transfer, done)
  -- With room for what will be known of it: a table that grows is dear.
  local op = { id = id, transfer = transfer, done = done, events = 0, waiter = nil, request = nil, on_lost = nil }
  if done then return op end
  ops[id] = op
  if kick then kick() end
  return op
end

local function begin(method, options)
  local current_engine = engine or loop.engine()
  refuse_start()
  local transfer, id, errno = current_engine[method](current_engine, options)
  if not transfer then
    if id ~= "forked" then return nil, id, errno end
    current_engine = loop.engine()
    transfer, id, errno = current_engine[method](current_engine, options)
    if not transfer then return nil, id, errno end
  end
  return register(id, transfer, false)
end

---Starts a transfer. nil and the core's refusal when a part of the request
---holds a forbidden character, or (with the system's error number) when there is no
---descriptor for a file of its; raises on a malformed request. Give it back with
---`loop.close` (or forget it, and the collector does).
---@param request daytona.core.Request
---@return daytona.Op?
---@return string? message
---@return integer? errno
function loop.start(request)
  return begin("start", request)
end


---Opens a WebSocket; otherwise as `loop.start`.
---@param options daytona.core.WebSocketOptions
---@return daytona.Op?
---@return string? message
function loop.open(options)
  return begin("open", options)
end

--- Waking ------------------------------------------------------------------------

-- To the end of the queue, unless it is there.
local function enqueue(task)
  if task.after then return end
  task.after = LAST
  if head then tail.after = task else head = task end
  tail, queued = task, queued + 1
end

local function wake(waiter, why)
  if waiter.ready then return end
  if hosted or not waiter.co then
    waiter.ready = why
    if notify then notify(waiter) end
    return
  end
  waiter.ready = why
  enqueue(waiter)
  if kick then kick() end
end

-- Wakes those who wait for the source and for one of these events. Its end
-- concerns them all.
local function wake_all(source, what)
  local waiter = source.waiter
  while waiter do
    local after = waiter.next
    if what >= DONE or band(waiter.mask, what) ~= 0 then
      if waiter.call then waiter.call() else wake(waiter, "event") end
    end
    waiter = after
  end
end

-- (Without memory it raises, and is called once more.)
local function finish(op)
  op.done = true
  if op.carrier then driver.drop(op) end
  wake_all(op, DONE)
  ops[op.id] = nil
end

---For drivers that carry: the op's transfer is over, and no event tells of that.
---@type fun(op: daytona.Op)
loop.finished = finish

local function note(op, what)
  op.events = op.events == 0 and what or bor(op.events, what)
end

-- Events that the engine has told, and the place of the next. When memory runs out on
-- the way, or Ctrl-C strikes, the rest is for the next step: nobody else will tell.
local told, place

local function dispatch()
  local events = told
  while told == events and place <= #events do
    local op, what = ops[events[place]], events[place + 1]
    if op and what >= DONE then
      if what > DONE then note(op, what - DONE) end
      finish(op)
    elseif op then
      note(op, what)
      wake_all(op, what)
    end
    place = place + 2
  end
  if told == events then told = nil end
end

local function take_events(events)
  if events then
    told, place = events, 1
    dispatch()
  end
end

-- Without memory its time comes once more: there is room where it just was.
local function wake_late(waiter)
  local when = now()
  local fine, why = pcall(wake, waiter, "deadline")
  if fine then return end
  heap:add(waiter, when)
  error(why, 0)
end

local function expire()
  local time = now()
  local waiter = heap:take(time)
  while waiter do
    if waiter.call then waiter.call() else wake_late(waiter) end
    waiter = heap:take(time)
  end
  if heap[1] then engine:alarm(heap:first()) end
end

--- Tasks, as the loop sees them ----------------------------------------------------

-- What a task yields when it waits here.
local PARKED = {}

local function settle(before, task, ok, ...)
  current = before
  if (...) == PARKED or coroutine.status(task.co) ~= "dead" then return end
  task.ready = nil
  if ok or not interrupt.is((...)) then return task:ended(ok, ...) end
  -- LuaJIT's Ctrl-C strikes in whatever coroutine is running: it is meant for
  -- the main program. The task has not failed.
  stricken = true
  task:ended(false, canceled())
  error((...), 0)
end

-- Runs a task until it waits or ends.
local function continue(task, ...)
  local before = current
  current = task
  return settle(before, task, resume(task.co, ...))
end

---Raises where no task can be begun, else takes care that one can.
function loop.prepare()
  if not driver then detect() end
  if hosted then refuse_start() end
end

---Starts fn(...) as a task (of daytona.task), up to its first wait.
function loop.launch(task, fn, ...)
  if hosted then return driver.spawn(hosting.run, task, fn, ...) end
  task.co = compat.coroutine(fn)
  live[task] = true
  return continue(task, ...)
end

local unlink

---Calls fn(...) in a thread of the host that nobody waits for. False where the host has
---none.
---@param fn function
---@return boolean
function loop.background(fn, ...)
  if not hosted then return false end
  driver.background(fn, ...)
  return true
end

---Wakes those who wait for a task (or a latch) that is done.
function loop.release(task)
  if task.slot then heap:remove(task) end -- it died in a wait: where 5.1 cannot yield
  if task.source then unlink(task.source, task) end
  if task.waiter then wake_all(task, DONE) end
end

---A task has ended, and all know.
function loop.forget(task)
  live[task] = nil
end

---Wakes a task that was canceled, unless it is shielded or not waiting.
function loop.interrupt(task)
  if task.ready == false and task.shields == 0 then wake(task, "canceled") end
end

---The task that runs now, or nil.
---@return daytona.Task?
function loop.current()
  if hosted then return own_task() end
  return current
end

-- Resumes as many as were ready when it began, so that timers and transfers get
-- their turn whatever these make ready; fewer when the time is over, but one.
local function run_ready(stop)
  for _ = 1, queued do
    local task = head
    if not task then return end -- a step inside a step took it
    head, queued = task.after, queued - 1
    if head == LAST then head, tail = nil, LAST end -- no task is kept
    task.after = nil
    if task.ready then continue(task) end
    if stop and now() >= stop then return end
  end
end

-- The same, as a turn that ends then.
local function take_turn(stop)
  local before = current
  turn = stop
  local fine, err = pcall(run_ready, stop)
  turn = nil
  if fine then return end
  current, shaken = before, true
  error(err, 0) -- raised by a callback of the program
end

local function run_deferred()
  deferred = false
  take_turn(driver.slice and now() + driver.slice)
end

--- Stepping ------------------------------------------------------------------------

-- Is there a transfer that somebody waits for?
local function in_flight()
  for _, op in pairs(ops) do
    if not op.resting then return true end
  end
  return false
end

---Is anything in flight, any timer set, any task ready?
---@return boolean
function loop.busy()
  return head ~= nil or heap[1] ~= nil or in_flight()
end

---Would `loop.step` resume a task at once?
---@return boolean
function loop.ready()
  return head ~= nil and not deferred
end

---Seconds until `loop.step` must be called even if the engine's descriptor stays
---quiet, nil for never.
---@return number?
function loop.timeout()
  if loop.ready() then return 0 end
  return engine and engine:timeout()
end

---For drivers: does what is ready without blocking and resumes the tasks that
---became ready, for at most about `budget` seconds (nil: no limit).
---@param budget? number
function loop.step(budget)
  if not engine then return run_ready() end
  local stop = budget and now() + budget
  if shaken then loop.resync() end
  if told then dispatch() end
  local events = engine:step(budget)
  take_events(events)
  if heap[1] then expire() end
  if not head then return end
  if not driver.defer then return take_turn(stop) end
  if not deferred then
    deferred = true
    driver.defer(run_deferred)
  end
end

---For frame loops: does what is ready and resumes the tasks that became ready,
---for at most about `budget` seconds (no limit without). Never blocks.
---@param budget? number  seconds
function loop.update(budget)
  if budget ~= nil and (type(budget) ~= "number" or budget < 0) then
    errors.misuse(2, "update: budget is a number of seconds, not %s", tostring(budget))
  end
  loop.step(budget)
end

---Seconds that the host can well be kept from its own work in one go, so that what
---cannot be interrupted is to be small; nil where there is no such work.
---@return number?
function loop.slice()
  return driver and driver.slice
end

---For those who take what is there already without waiting for it: lets the host do
---its own work when it was kept from that for long enough, or what is next is `long`. nil,
---err when the task was cancelled.
---@param long? any
---@return boolean?
---@return daytona.Error?
function loop.breathe(long)
  if not turn or not long and now() < turn or not (hosted or own_task()) then return true end
  return loop.sleep(driver.rest or 0)
end

---For drivers that block: waits until something happens, then as `step`. True
---when a signal came. Raises when nothing is in flight that could end the wait.
---@return boolean? signal
function loop.poll()
  local events, signal
  if shaken then loop.resync() end
  if told then dispatch() end
  if head then
    events = engine:step()
  elseif heap[1] or in_flight() then
    events, signal = engine:poll()
  else
    error("a wait that nothing can end: no request, timer or task is in progress", 0)
  end
  take_events(events)
  if heap[1] then expire() end
  if head then run_ready() end
  return signal
end

--- Ctrl-C ------------------------------------------------------------------------

local host_wait

-- Whether a task has ended and its end has not been told to all, as far as that can be now.
local function is_unburied(task)
  if coroutine.status(task.co) ~= "dead" then return false end
  return not task.draining or task.finished or not next(task.children)
end

---An interrupt, or an error for which there was no memory, may have struck between any two
---instructions. What it made us miss is found again: transfers that ended, tasks that were
---woken, and tasks that ended (what they returned may be lost).
function loop.resync()
  local over = {}
  for _, op in pairs(ops) do
    local status, code = op.transfer:result()
    if status or code then over[#over + 1] = op end
  end
  for i = 1, #over do finish(over[i]) end
  heap:mend(live)
  if heap[1] then engine:alarm(heap:first()) end
  head, tail, queued = nil, LAST, 0
  for task in pairs(live) do task.after = nil end
  local dead = {}
  for task in pairs(live) do
    if task.ready and coroutine.status(task.co) == "suspended" then
      enqueue(task)
    elseif is_unburied(task) then
      dead[#dead + 1] = task
    end
  end
  for i = 1, #dead do dead[i]:ended_unheard() end
  shaken = false
end

---Cancels all tasks and waits until they have ended, for at most `seconds`: for
---the end of the program. Whether they have.
---@param seconds number
---@return boolean
function loop.stop(seconds)
  local waiting = {}
  for task in pairs(live) do
    if coroutine.status(task.co) == "suspended" then waiting[#waiting + 1] = task end
  end
  for i = 1, #waiting do waiting[i]:cancel() end
  local limit = now() + seconds
  for i = 1, #waiting do
    local task = waiting[i]
    if not task:done() and host_wait(task, DONE, limit) ~= "event" then return false end
  end
  return true
end

-- The main program was interrupted, somewhere.
local function heed(source)
  stricken = false
  if not hosted and not running() then current = nil end
  loop.resync()
  if source and source.transfer then source.transfer:cancel() end
  interrupt.clean_up(loop)
end

-- The same where that raised outside of a wait, and nobody has heard of it yet. Whether it did.
local function heed_late()
  if not (stricken or core.unheard()) then return false end
  heed()
  return true
end

-- The driver's wait ended with an error: something is wrong, or the main program
-- was interrupted.
local function interrupted(err, source, before)
  current = before
  if not interrupt.is(err) then error(err, 0) end
  heed(source)
  errors.raise_outside((err:gsub("^.*:%d+: ", "")))
end

local enders = {}

-- The state is being closed, and what a signal raised may have left nobody time for
-- anything. (Not in LuaJIT while its compiler is on: see src/lua_signal.c.)
core.at_end(function()
  if not engine or not engine:is_ours() or jit and jit.status() then return end
  pcall(heed)
  for i = 1, #enders do pcall(enders[i]) end
end)

---Has fn called where the state is closed after a signal has raised, when tasks have
---ended.
---@param fn fun()
function loop.at_end(fn)
  enders[#enders + 1] = fn
end

local function driven(before, ok, ...)
  if ok then return ... end
  interrupted((...), nil, before)
end

---Runs fn(...), which does the rounds of the loop itself (`loop.step`) in place of the
---driver, outside tasks. What Ctrl-C raises in it ends as in a wait: the tasks are
---cancelled and may clean up, and it is raised again.
---@param fn function
---@param ... any
---@return any ...
function loop.drive(fn, ...)
  if interrupt.spent then interrupt.arm() end
  return driven(current, pcall(fn, ...))
end

--- Waiting -----------------------------------------------------------------------

-- A thread of the host has been resumed. Those that are resumed one after the other
-- share a turn, and rest as long as it was.
local function begin_turn()
  local slice, time = driver.slice, now()
  if slice and (not turn or time > turn + slice) then turn = time + slice end
end

local function set_timer(waiter, deadline)
  local first = heap:add(waiter, deadline)
  if not first then return end
  loop.engine():alarm(deadline)
  if kick then kick() end
end

local function link(source, waiter, mask)
  local first = source.waiter
  waiter.mask, waiter.source, waiter.next = mask, source, nil
  if not first then
    source.waiter, waiter.prev = waiter, waiter
    return
  end
  local last = first.prev
  last.next, waiter.prev, first.prev = waiter, last, waiter
end

function unlink(source, waiter)
  local after, before = waiter.next, waiter.prev
  if source.waiter == waiter then source.waiter = after elseif before then before.next = after end
  local behind = after or source.waiter -- whose `prev` it was
  if behind then behind.prev = before end
  waiter.next, waiter.prev, waiter.source = nil, nil, nil
end

-- Whether what can be waited for has come: an op, a task or a latch.
local function is_over(source)
  if source.transfer then return source.done end
  return source:done()
end

-- The wait of a caller outside tasks. Why it ended ("lost": in a child after a
-- fork); raises after Ctrl-C.
function host_wait(source, mask, deadline)
  if not engine then loop.engine() end
  if not struck and heed_late() and source and is_over(source) then return "event" end
  -- The start of a transfer has just looked for the host.
  if not sure and not (source and source.transfer) then recheck() end
  if interrupt.spent then interrupt.arm() end
  local refusal = refuse and refuse()
  if refusal then error(refusal, 0) end
  local n = #spare
  local waiter = spare[n] or {}
  spare[n] = nil
  waiter.ready = false
  if source then link(source, waiter, mask) end
  if deadline then set_timer(waiter, deadline) end
  local before = current
  local ok, err = false, struck
  if struck then struck = nil else ok, err = driver.wait(waiter) end
  if not ok then shaken = true end
  if hosted then begin_turn() end
  if source then unlink(source, waiter) end
  if deadline then heap:remove(waiter) end
  spare[#spare + 1] = waiter
  if ok then return waiter.ready end
  if engine:is_ours() then interrupted(err, source, before) end
  loop.engine()
  if source then return "lost" end
  return host_wait(source, mask, deadline)
end

-- Waits in a task that can wait. Why it ended.
local function park(task, source, mask, deadline)
  -- What raised in a wait (Ctrl-C on LuaJIT, no memory) has left it half begun.
  if task.source then unlink(task.source, task) end
  if task.slot then heap:remove(task) end
  task.ready = false
  if source then link(source, task, mask) end
  if deadline then set_timer(task, deadline) end
  if hosted then
    driver.wait(task)
    begin_turn()
  else
    repeat yield(PARKED) until task.ready
  end
  if source then unlink(source, task) end
  if deadline then heap:remove(task) end
  local why = task.ready
  task.ready = nil
  return why
end

-- The wait of a task. Why it ended.
local function task_wait(task, source, mask, deadline)
  if task.canceled and task.shields == 0 then return "canceled" end
  if hosted then
    refuse_start()
  elseif not isyieldable() then
    error(compat.yield_help, 0)
  end
  return park(task, source, mask, deadline)
end

-- Whether the caller is a task of ours whose wait can raise nothing.
local function waits_in_peace()
  if STRIKES_TASKS or hosted or not current or running() ~= current.co then return false end
  return isyieldable() and not (current.canceled and current.shields == 0)
end

-- In a function of Lua, so that an interrupt is raised here.
local function exchange(call, body, timeout, max_bytes)
  local status, answer, text = engine:exchange(left, SHORT, call, body, timeout, max_bytes)
  return status, answer, text
end

-- The op of the transfer that an exchange left, if it did; `raised` is to be raised
-- where that is waited for, or now.
local function take_over(done, raised)
  local transfer, id = left[1], left[2]
  if transfer then
    left[1], struck = false, raised
    return register(id, transfer, done)
  elseif raised then
    error(raised, 0)
  end
end

---As `call:take(transfer)`, of a transfer that is over; a long answer is read in slices.
---@param call daytona.core.Call
---@param transfer daytona.core.Transfer
---@return integer? status
---@return string|number|nil body
---@return string? text
function loop.take(call, transfer)
  while true do
    local status, answer, text = call:take(transfer)
    if status ~= false then
      ---@cast status -false
      return status, answer, text
    end
    loop.breathe(answer) -- even of who is cancelled, what came is read to its end
  end
end

---Starts a small request from memory to memory. Waits in a task of the loop's own,
---and, a moment, where its end is all there is to wait for: when a 2xx answer came,
---its status and the body, or the number and the text in it that the call names.
---Else nil and an op as from `loop.start`; or nothing at all, when that is to say why.
---@param call daytona.core.Call
---@param body? string
---@param timeout? number
---@param max_bytes? integer
---@param on_lost? fun(op: daytona.Op)  as of ops, which then have these as `body` and
---@param subject? any                  `subject`
---@return integer? status
---@return string|number|daytona.Op|nil body
---@return string? text
function loop.exchange(call, body, timeout, max_bytes, on_lost, subject)
  -- Can the caller only block, with no task or timer that is to run meanwhile?
  if engine and not (head or current or heap[1]) and driver.blocks and (sure
    or not (embedded or loaded.cqueues or loaded.luv or loaded.uv or loaded.ngx)) then -- as in host.any
    if interrupt.spent then interrupt.arm() end
    local fine, status, answer, text = pcall(exchange, call, body, timeout, max_bytes)
    if fine and status then return status, answer, text end
    return nil, take_over(fine and answer, not fine and status or nil)
  end
  if not engine then loop.engine() end
  if hosted then return hosting.exchange(engine, left, call, body, timeout, max_bytes, on_lost, subject) end
  refuse_start()
  engine:exchange(left, 0, call, body, timeout, max_bytes)
  local op = take_over(false)
  if op and waits_in_peace() then
    park(current, op, DONE)
    if op.done then
      local status, answer, text = loop.take(call, op.transfer)
      if status then return status, answer, text end
    end
  end
  return nil, op
end

local function wait(source, mask, deadline)
  local task = own_task()
  if task then return task_wait(task, source, mask, deadline) end
  return host_wait(source, mask, deadline)
end

-- Takes those of the op's events that the mask names; nil when there are none.
local function take(op, mask)
  local events = op.events
  if events == 0 then return op.done and DONE or nil end
  local found = band(events, mask)
  op.events = events - found
  if op.done then return found + DONE end
  return found ~= 0 and found or nil
end

local function abandoned(op)
  op.transfer:cancel()
  return nil, canceled()
end

---Waits until one of the mask's events has happened to the op since they were
---last waited for, and returns the set of those. An op that is done satisfies
---any wait. nil and an error of kind "canceled" when the task was cancelled (the
---transfer then is, too), or "timeout" after `deadline`.
---
---Outside tasks Ctrl-C cancels the transfer and all tasks, gives these 5 s to
---clean up, and is raised again.
---@param op daytona.Op
---@param mask integer
---@param deadline? number  on the clock of `loop.now`
---@param plain? boolean    after `deadline` there is no error: nil alone, for who only looks at the time
---@return integer? events
---@return daytona.Error? err
function loop.wait(op, mask, deadline, plain)
  local task = (current or hosted) and own_task()
  if task and task.canceled and task.shields == 0 and not op.done then return abandoned(op) end
  local found = take(op, mask)
  if found then return found end
  if ops[op.id] ~= op then return nil, lost() end
  local why
  repeat
    if task then
      why = task_wait(task, op, mask, deadline)
    else
      why = host_wait(op, mask, deadline)
    end
    found = take(op, mask)
    if found then return found end
  until why ~= "event" -- another who waits for the same has taken it
  if why == "deadline" then return nil, not plain and too_late() or nil end
  if why == "lost" then return nil, lost() end
  return abandoned(op)
end

---Calls fn, which must not wait, whenever one of the mask's events has happened to the op,
---and once more when it is done: for what runs by itself, in the rounds of the loop.
---@param op daytona.Op
---@param mask integer
---@param fn fun()
function loop.on(op, mask, fn)
  link(op, { call = fn }, mask)
end

---Says that nobody waits for an op, for now, or that somebody does again. What only rests
---keeps no host awake, and no loop from its end; it goes on whenever the loop does its
---rounds for something else.
---@param op daytona.Op
---@param resting boolean
function loop.rest(op, resting)
  if op.done or (op.resting or false) == resting then return end
  op.resting = resting
  if kick then kick() end
end

---For drivers: the host has ended the thread that this waiter stood for; it will
---never run again. What it waited for is nobody's now.
---@param waiter table
function loop.lose(waiter)
  heap:remove(waiter)
  hosting.lose(waiter)
end

---Ends an op and frees what it holds. Idempotent.
---@param op daytona.Op
function loop.close(op)
  op.transfer:close()
  if not op.done then finish(op) end
end

---Waits for a task's end, or a latch. Whether it came; otherwise nil and an error of kind
---"canceled" (the waiting task was cancelled) or "timeout".
---@param task daytona.Task|daytona.Latch
---@param deadline? number
---@return boolean?
---@return daytona.Error?
function loop.join(task, deadline)
  if task:done() then return true end
  local why = wait(task, DONE, deadline)
  if task:done() then return true end
  if why == "lost" then return nil, lost() end
  if why == "deadline" then return nil, too_late() end
  return nil, canceled()
end

---Calls fn, which must not wait, when so many seconds have passed and the loop does its
---rounds. Not for work: for a word about what takes long.
---@param seconds number
---@param fn fun()
---@return table  to be given to loop.untimer
function loop.timer(seconds, fn)
  local entry = { call = fn }
  set_timer(entry, now() + seconds)
  return entry
end

---@param entry table
function loop.untimer(entry)
  heap:remove(entry)
end

---true; nil, err when the current task is cancelled and not shielded.
---@return boolean?
---@return daytona.Error?
function loop.cancellation()
  local task = own_task()
  if task and task.canceled and task.shields == 0 then return nil, canceled() end
  return true
end

---The moment at which so many seconds are over; nil for none (nil, 0).
---@param seconds? number
---@return number?
function loop.after(seconds)
  return seconds and seconds > 0 and loop.now() + seconds or nil
end

---Seconds until a moment, 0 at least; nil without one.
---@param moment? number
---@return number?
function loop.left(moment)
  return moment and math.max(moment - loop.now(), 0)
end

---Sleeps; meanwhile tasks run. nil, err when the task is cancelled.
---@param seconds number
---@return boolean?
---@return daytona.Error?
function loop.sleep(seconds)
  if type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds then
    require "daytona.base.refusal".value("sleep: the time", nil, "seconds, 0 or more", seconds)
  end
  if wait(nil, nil, now() + seconds) == "canceled" then return nil, canceled() end
  return true
end

--- Cleaning up ---------------------------------------------------------------------

---As pcall, also around waits of a task on PUC Lua 5.1. There, in a coroutine that
---is no task's own, errors pass: nothing else could wait in it either.
---@param fn function
---@param ... any
---@return boolean
---@return any ...
function loop.pcall(fn, ...)
  if compat.pcall_yields or not running() then return pcall(fn, ...) end
  local task = own_task()
  if task then return require "daytona.loop.inner_pcall"(task, fn, ...) end
  return true, fn(...)
end

local function unshield(task, ok, ...)
  task.shields = task.shields - 1
  if task.canceled and task.shields == 0 then task:exposed() end
  if not ok then error((...), 0) end
  return ...
end

---Runs fn so that waits inside it, and tasks that it spawns, do not see the
---cancellation of the current task: for cleaning up. Returns what fn returns.
---@param fn function
---@param ... any
---@return any ...
function loop.shield(fn, ...)
  local task = own_task()
  if not task then return fn(...) end
  task.shields = task.shields + 1
  return unshield(task, loop.pcall(fn, ...))
end

local function guarded(on_error, state, ok, ...)
  if ok then return ... end
  if not own_task() then heed_late() elseif interrupt.is((...)) then interrupt.load_again() end
  local fine, again = loop.pcall(loop.shield, on_error, state, (...))
  if not fine then
    if interrupt.ended(again) then
      loop.shield(on_error, state, again)
    elseif interrupt.ended((...)) then
      again = (...) -- that it was Ctrl-C counts more
    end
    errors.raise_again(again)
  end
  errors.raise_again((...))
end

---Returns what fn(state) returns. When that raises (Ctrl-C, above all), calls
---on_error(state, err), shielded, and raises the same error again. Where Ctrl-C strikes
---in that, it is called once more. Tasks are ended first after Ctrl-C.
---@param fn function
---@param on_error function
---@param state any
---@return any ...
function loop.guard(fn, on_error, state)
  return guarded(on_error, state, loop.pcall(fn, state))
end

inside.refuse_start, inside.take_over, inside.own_task, inside.canceled = refuse_start, take_over, own_task, canceled
inside.take = loop.take
inside.park, inside.host_wait, inside.unlink = park, host_wait, unlink

-- An op is in flight, from now on.
function inside.keep(op) ops[op.id] = op end

return loop
