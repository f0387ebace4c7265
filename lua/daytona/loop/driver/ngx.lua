-- The driver for OpenResty, and nginx with lua-nginx-module.
--
-- One engine a worker serves all of its requests. Whoever waits, a request or a
-- task of one, waits on a semaphore and is resumed by nginx in its own request;
-- tasks are light threads of the request that spawned them. While anything is in
-- flight one more light thread, the pump, in a timer, steps the engine.
--
-- nginx cannot watch the engine's descriptor, so a doorbell (daytona.core) turns
-- it into bytes on a unix socket, which the pump reads; where there is no
-- doorbell the pump looks every 1 to 10 ms. When nothing is in flight there is
-- neither pump nor read: a worker that is to exit can. Small requests need none of it:
-- they go over nginx's own sockets (daytona.loop.driver.ngx_carriers).
--
-- nginx ends light threads without a word (a client that hung up, ngx.exit,
-- ngx.thread.kill). So the pump looks now and then for waiters that are no longer
-- in their semaphore. It knows no HTTP.

local compat = require "daytona.base.compat"
local carriers = require "daytona.loop.driver.ngx_carriers"
local core = require "daytona.base.native"
local semaphore = require "ngx.semaphore"

local ngx = ngx or package.loaded.ngx
local get_phase = ngx.get_phase
local log, ERR, NOTICE = ngx.log, ngx.ERR, ngx.NOTICE
local timer_at = ngx.timer.at
local tcp = ngx.socket.tcp
local is_yieldable = core.is_yieldable
local max, min = math.max, math.min
local now = core.now
local next, pairs, pcall, tostring = next, pairs, pcall, tostring
local running, status = coroutine.running, coroutine.status
local thread_spawn, thread_wait = ngx.thread.spawn, ngx.thread.wait

-- slice: seconds that one step, or one light thread, may keep the worker busy; there
-- may be many, one after the other.
-- rest: a sleep that is over at once would not let nginx go on.
local _M = { name = "ngx", slice = 0.002, rest = 0.0005 }

-- Seconds between two looks for light threads that were ended.
local SWEEP = 0.5

-- Between two looks at the engine where there is no doorbell, seconds.
local SHORTEST_NAP, LONGEST_NAP = 0.001, 0.01

-- Seconds until a timer that was begun must run: nginx drops those beyond
-- lua_max_running_timers without a word to us.
local TIMER_LIMIT = 1

-- Steps of one pump. What nginx takes for each is given back when its timer ends.
local STEPS = 10000

-- The longest waits that nginx takes, milliseconds and seconds.
local LONG_MS = 2147483647
local LONG = 2147483

local CAN_WAIT = {
  rewrite = true, server_rewrite = true, access = true, content = true, timer = true, preread = true,
  ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}

local NO_TIMERS = {
  init = "init_by_lua runs before there are workers: make it in a timer that init_worker_by_lua starts",
  exit_worker = "the worker exits", -- calls block there, and start none
}

local loop
local waiting = {}     -- waiters whose light threads are suspended
local pumping = false  -- the pump runs, or is about to
local begun = false    -- it runs
local stepping = false
local woken = false    -- the last step woke somebody
local nudge            -- ends the pump's nap
local bell             -- the doorbell; nil before the first, false when there is none to be had
local wanted = true    -- a doorbell is
local next_sweep = 0
local looking = false  -- a timer looks after those who wait for what is carried
local leaving = false  -- the worker exits: nobody can be suspended any more, and nobody minds who blocks

---True where nginx runs this Lua, which is beyond doubt.
function _M.detect()
  return type(get_phase) == "function", "this is nginx", true
end

---Whether to use the doorbell's thread (the default); without it the engine is
---looked at every 1 to 10 ms while something is in flight. For this worker.
---@param on boolean
function _M.use_doorbell(on)
  wanted = on
end

---Whether small requests go over nginx's own sockets (the default) or libcurl's, as all
---others do. For this worker.
---@param on boolean
function _M.use_sockets(on)
  carriers.use(on)
end

---How the pump waits now, or would: "doorbell" or "sleep".
---@return string
function _M.waits_by()
  return wanted and bell ~= false and "doorbell" or "sleep"
end

--- Stepping --------------------------------------------------------------------------

local function step()
  if stepping then return end
  stepping, woken = true, false
  local ok, err = pcall(loop.step, _M.slice)
  stepping = false
  if not ok then log(ERR, "daytona: ", tostring(err)) end
end

-- Whether nginx ended the light thread: nobody waits in its semaphore, or nobody
-- took what was posted to it.
local function is_gone(waiter)
  local count = waiter.semaphore:count()
  return count > 0 or (count == 0 and not waiter.ready)
end

local function sweep()
  if now() < next_sweep then return end
  next_sweep = now() + SWEEP
  local gone
  for waiter in pairs(waiting) do
    if is_gone(waiter) then
      gone = gone or {}
      gone[#gone + 1] = waiter
    end
  end
  for i = 1, gone and #gone or 0 do
    waiting[gone[i]] = nil
    loop.lose(gone[i])
  end
end

--- The doorbell ----------------------------------------------------------------------

local function no_bell(why)
  bell = false
  log(NOTICE, "daytona: no doorbell (", why, "): looking every 1 to 10 ms instead")
end

local function new_bell()
  local why
  bell, why = loop.engine():doorbell()
  if not bell then return no_bell(why) end
  local socket = tcp()
  local ok
  ok, why = socket:connect("unix:" .. bell:path())
  if ok then ok, why = bell:open() end
  if ok then return socket end
  bell:close()
  no_bell(why)
end

-- The pump's end of the doorbell: nginx keeps it while there is no pump.
local function answer_bell()
  if not wanted or bell == false then return end
  local socket
  if bell and bell:is_open() then
    socket = tcp()
    if not socket:connect("unix:" .. bell:path()) then socket = nil end
  else
    if bell then bell:close() end
    socket = new_bell()
  end
  if socket then socket:settimeouts(LONG_MS, LONG_MS, LONG_MS) end
  return socket
end

-- Until the engine has something to do. False when the doorbell is no more.
local function listen(socket)
  local seconds = min(loop.timeout() or SWEEP, SWEEP)
  return bell and bell:arm(seconds) and socket:receive(1) ~= nil
end

--- The pump --------------------------------------------------------------------------

local nap = SHORTEST_NAP

-- A while, or until there is something new to do.
local function doze()
  if woken then nap = SHORTEST_NAP end
  local nudged = nudge:wait(min(nap, loop.timeout() or nap))
  nap = nudged and SHORTEST_NAP or min(nap * 1.5, LONGEST_NAP)
end

local start_pump

local function pump_for_a_while()
  local socket = answer_bell()
  nap = SHORTEST_NAP
  for _ = 1, STEPS do
    if not loop.busy() then break end
    step()
    sweep()
    if not loop.busy() then break end
    if not socket then
      doze()
    elseif not listen(socket) then
      socket = nil
    end
  end
  pumping, begun = false, false
  if socket then socket:setkeepalive(0, 1) end
  if loop.busy() then start_pump() end
end

local function pump()
  if begun then return end -- its timer came late: another one was begun meanwhile
  begun = true
  local ok, err = pcall(pump_for_a_while)
  if ok then return end
  pumping, begun = false, false
  log(ERR, "daytona: ", tostring(err))
  if loop.busy() then start_pump() end
end

-- Whether there is one now.
function start_pump()
  if pumping then return true end
  local ok, err = timer_at(0, pump)
  if not ok then
    log(ERR, "daytona: cannot start a timer (", err, ")")
    return false
  end
  pumping = true
  return true
end

---The loop has something new to do.
function _M.kick()
  if pumping then
    if nudge and nudge:count() < 0 then nudge:post(1) end
  elseif not NO_TIMERS[get_phase()] then
    start_pump()
  end
end

--- Attaching -------------------------------------------------------------------------

-- What was carried is libcurl's now: who waits for it does so in the other way.
local function released(op)
  loop.rest(op, false)
  local waiter = op.waiter
  if not waiter or not waiting[waiter] then return end
  waiting[waiter] = nil
  waiter.semaphore:post(1)
end

function _M.attach(the_loop)
  loop = the_loop
  carriers.attach(loop, released)
end

---In the child of a fork: what waited there was the parent's.
function _M.detach()
  if bell then bell:close() end
  bell, waiting, pumping, begun, looking = nil, {}, false, false, false
  carriers.detach()
end

--- Waiting ---------------------------------------------------------------------------

---Why the caller cannot wait here, or nil.
function _M.refuse()
  local phase = get_phase()
  if phase == "exit_worker" then
    leaving = true
    carriers.use(false)
    return nil
  end
  if not CAN_WAIT[phase] then
    return ("a call cannot wait in nginx's phase '%s': %s"):format(
      phase, NO_TIMERS[phase] or "make it in a timer, ngx.timer.at(0, function() ... end)")
  end
  if not is_yieldable() then return compat.yield_help end
end

-- The pump could not be started: this light thread does its work.
local function pump_for(waiter)
  nap = SHORTEST_NAP
  while not waiter.ready and not start_pump() do
    doze()
    step()
  end
end

-- Until the waiter is ready, or the pump should have begun and has not.
local function wait_in(own, waiter)
  waiting[waiter] = true
  local ok, err = own:wait(begun and LONG or TIMER_LIMIT)
  waiting[waiter] = nil
  if not ok and err ~= "timeout" then error(err, 0) end
  if waiter.ready or begun then return end
  pumping = false
  step()
end

-- Now and then, as long as anybody waits for what is carried.
local function look_after(premature)
  looking = false
  if premature then return end
  step()
  sweep()
  if next(waiting) then looking = timer_at(SWEEP, look_after) end
end

-- How long to wait for a carried op before its deadline is to be seen to.
local function patience(op)
  local left = op.due and min(max(op.due - now(), SHORTEST_NAP), LONG) or LONG
  return carriers.is_served(op) and left or min(left, TIMER_LIMIT)
end

-- Until the waiter is ready, or libcurl has the op's transfer.
local function wait_carried(waiter, op)
  local own = waiter.semaphore or semaphore.new(0)
  waiter.semaphore = own
  repeat
    if not looking then looking = timer_at(SWEEP, look_after) end
    waiting[waiter] = true
    local ok, err = own:wait(patience(op))
    waiting[waiter] = nil
    if not ok then
      if err ~= "timeout" then error(err, 0) end
      step()
      if not waiter.ready and op.carried and not carriers.is_served(op) then carriers.refuse(op) end
    end
  until waiter.ready or not op.carried
end

_M.carry, _M.drop = carriers.carry, carriers.drop

local function block_until(waiter)
  while not waiter.ready do loop.poll() end
  return true
end

---Suspends the calling light thread until the waiter is ready.
function _M.wait(waiter)
  if leaving then return block_until(waiter) end
  local source = waiter.source
  if source and source.carried then
    wait_carried(waiter, source)
    if waiter.ready then return true end
  end
  nudge = nudge or semaphore.new(0)
  step() -- what the caller has just begun leaves at once
  if waiter.ready then return true end
  local own = waiter.semaphore or semaphore.new(0)
  waiter.semaphore = own
  repeat
    if not start_pump() then pump_for(waiter) end
    if not waiter.ready then wait_in(own, waiter) end
  until waiter.ready
  return true
end

---The waiter is ready.
function _M.wake(waiter)
  woken = true
  if waiting[waiter] then waiter.semaphore:post(1) end
end

--- Tasks -----------------------------------------------------------------------------

-- Light threads by the one that spawned them. When they have ended that one alone
-- can bury them; until then nginx keeps each with its stack.
local spawned = setmetatable({}, { __mode = "k" })

local FEW = 16

-- Those that have not ended. One that is dead is of another request, whose light
-- thread nginx has used again.
local function bury(threads)
  local kept, n = {}, 0
  for i = 1, threads.n do
    local thread = threads[i]
    local state = status(thread)
    if state == "zombie" then
      thread_wait(thread)
    elseif state ~= "dead" then
      n = n + 1
      kept[n] = thread
    end
  end
  kept.n, kept.limit = n, n * 2 + FEW
  return kept
end

---Runs fn(...) as a light thread of this request, up to its first wait.
function _M.spawn(fn, ...)
  local parent = running()
  local threads = spawned[parent] or { n = 0, limit = FEW }
  if threads.n >= threads.limit then threads = bury(threads) end
  spawned[parent] = threads
  local thread = thread_spawn(fn, ...)
  threads.n = threads.n + 1
  threads[threads.n] = thread
end

local function in_timer(_, fn, ...)
  return fn(...)
end

---Calls fn(...) in a light thread that belongs to no request, as none is to wait for it or
---end it: in a timer of its own; where nginx refuses that, in one of the caller's.
function _M.background(fn, ...)
  if not timer_at(0, in_timer, fn, ...) then _M.spawn(fn, ...) end
end

return _M
