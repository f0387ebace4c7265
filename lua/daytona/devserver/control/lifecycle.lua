-- The life of a sandbox: its states, the transitions between them, and the timers
-- that stop, archive and destroy it. Knows no HTTP.
--
-- An action sets the desired state and returns; a coroutine of the sandbox then
-- walks it there, one transitional state at a time, and is the only one to change
-- `box.state`. Rules (faults with a `state`) may keep a sandbox in a transitional
-- state or let it fail there.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local build = require "daytona.devserver.control.build"
local freezer = require "daytona.devserver.control.freezer"
local gate = require "daytona.devserver.control.gate"
local sandboxes = require "daytona.devserver.control.sandboxes"

local Lifecycle = {}
Lifecycle.__index = Lifecycle

local STEP = 0.02        -- seconds a transitional state lasts, on the service's clock
local REACTION = 0.01    -- seconds before an action begins to show
local READABLE = 86400   -- seconds that a sandbox destroyed by its queue timeout can be read by id

-- What some of them last with the service (`lag`): backups and builds wait for sweeps.
local LAGS = { archiving = 15, pending_build = 10, building_snapshot = 15, restoring = 2, snapshotting = 1,
  creating = 0.5, starting = 0.5, stopping = 0.5, destroying = 0.5, pausing = 0.3, resuming = 0.4, resizing = 0.4 }

-- What it takes to get from a state towards a desired one.
local ROUTES = {
  started = {
    creating = "started", pending_build = "building_snapshot", building_snapshot = "creating",
    stopped = "starting", starting = "started", archived = "restoring", restoring = "started",
    error = "started", stopping = "stopped", archiving = "archived",
    pausing = "paused", paused = "resuming", resuming = "started",
  },
  stopped = {
    started = "stopping", stopping = "stopped", creating = "started",
    starting = "started", error = "stopped", restoring = "started",
    pausing = "paused", paused = "stopping", resuming = "started",
  },
  archived = { stopped = "archiving", archiving = "archived" },
  paused = { started = "pausing", pausing = "paused" },
}

-- States that a job is done in, and that end where they began.
local JOBS = { resizing = true, snapshotting = true, forking = true }

local TRANSITIONAL = {}
for state in ([[creating pending_build building_snapshot starting restoring stopping archiving
  pausing resuming resizing snapshotting forking destroying]]):gmatch("%S+") do TRANSITIONAL[state] = true end

---@param store table
---@param clock table
---@param make_daemon fun(box): table?, string?
---@param rule fun(state: string, name: string, holding?: table): table?  a fault for a state, if any
---@param note fun(box: table, now: number)  told of each state that is come into
---@param refuse table  app that answers at the ports of sandboxes that are not started
function Lifecycle.new(store, clock, make_daemon, rule, note, refuse)
  return setmetatable({
    store = store, clock = clock, make_daemon = make_daemon, rule = rule, note = note, refuse = refuse,
    timed = {}, wake = condition.new(), rules_changed = condition.new(),
    tell = function() end,   -- of events: told of each with its sandbox, the old and the new
    furnish = function() return true end,   -- copies what the sandbox is made from
    lag = false,             -- whether states last as long as with the service
  }, Lifecycle)
end

---Whether a sandbox is on its way from one state to another.
---@param box table
---@return boolean
function Lifecycle.changing(box)
  if TRANSITIONAL[box.state] then return true end
  if box.state == "error" or box.state == "build_failed" then return false end
  return box.state ~= box.desired
end

-- Transitions -----------------------------------------------------------------------

local function set_state(self, box, state)
  local old = box.state
  box.state = state
  box.entered = self.clock:now()
  if state == "stopped" then box.stopped_at = self.clock:now() end
  self.note(box, box.entered)
  self.store:changed(box)
  if old ~= state then self.tell("sandbox.state.updated", box, old, state) end
  if box.moved then box.moved:signal() end
  self:schedule(box)
end

-- Ends the sandbox's daemon; its port is answered by us until it starts again.
local function release(self, box, force)
  local d = box.daemon
  freezer.thaw(box)
  box.daemon = nil
  if d then d:stop(force or box.force) end
  box.force = nil
  if box.gate then box.gate:enter(self.refuse) end
end

local function fail(self, box, rule)
  if JOBS[box.state] then   -- nothing tells that such a job has failed
    box.job = nil
    return set_state(self, box, box.back_to)
  end
  box.error_reason = rule.error_reason or "injected failure"
  box.recoverable = rule.recoverable
  release(self, box)
  set_state(self, box, rule.becomes)
end

-- Waits where a rule says so. Returns false when the sandbox failed here.
local function obey_rules(self, box)
  local rule
  local state = box.recovering and "recovering" or box.state
  while true do
    rule = self.rule(state, box.name, rule)
    if not rule then return true end
    if rule.becomes then
      fail(self, box, rule)
      return JOBS[state] or false
    end
    if box.desired == "destroyed" and box.state ~= "destroying" then return true end
    cqueues.poll(self.rules_changed, box.redirected)
  end
end

local function open_port(self, box)
  if box.daemon then return true end
  local made, message = self.store:prepare(box)
  if made and not box.gate then box.gate, message = gate.open(box.port) end
  if made and box.gate then
    box.port = box.gate.port
    box.gate:leave()
    box.daemon = self.make_daemon(box)
    return true
  end
  fail(self, box, { becomes = "error", error_reason = tostring(message), recoverable = true })
  return false
end

-- One that has failed keeps its state to the end.
local function destroy(self, box)
  local failed = box.state == "error" or box.state == "build_failed"
  if not failed then
    set_state(self, box, "destroying")
    if not obey_rules(self, box) then return end
  end
  self.clock:sleep(self.lag and LAGS.destroying or STEP)
  release(self, box, true)
  if box.gate then box.gate:close() end
  if not failed then set_state(self, box, "destroyed") end
  if box.queue_timed_out then return end
  self.timed[box] = nil
  self.store:remove(box)
end

local LEAVES_DAEMON = { stopped = true, archived = true }

-- What has to be done for a state that is come into.
local function enter(self, box, state)
  if state == "started" and not open_port(self, box) then return false end
  if LEAVES_DAEMON[state] then release(self, box) end
  if state == "stopping" or state == "resuming" then freezer.thaw(box) end
  if state == "paused" then freezer.freeze(box) end
  if state == "archived" then box.backup_state, box.backed_up = "Completed", self.clock:now() end
  if state == "started" then
    box.error_reason, box.recoverable = nil, nil
    box.daemon_version = sandboxes.VERSION
    self.store:touch(box)
  end
  set_state(self, box, state)
  return true
end

local function last(self, box)
  self.clock:sleep(self.lag and LAGS[box.state] or STEP)
end

-- Stays in a transitional state as long as that lasts, and does what is done there.
-- False when the sandbox failed.
local function transit(self, box)
  local building = box.state == "building_snapshot"
  if building then
    local ok, message = build.run(self.clock, self.store:folder(box), box.build_info)
    if not ok then
      fail(self, box, { becomes = "build_failed", error_reason = message })
      return false
    end
  end
  if not obey_rules(self, box) then return false end
  if not building or self.lag then last(self, box) end
  if box.state == "creating" and box.made_from and not self.furnish(box) then
    fail(self, box, { becomes = "error", error_reason = "cannot copy the snapshot's files" })
    return false
  end
  if box.job then
    local job = box.job
    box.job = nil
    box.afterwards = job(box)
  end
  return true
end

-- Where to go next, or nil when there.
local function next_state(box)
  if JOBS[box.state] then return box.back_to end
  if box.desired == "destroyed" then return "destroying" end
  if box.state == box.desired then return nil end
  local route = ROUTES[box.desired]
  return route and route[box.state]
end

-- A sandbox that recovers says `error` until it has.
local function recover(self, box)
  local ok = obey_rules(self, box)
  box.recovering = nil
  if ok then last(self, box) end
  return ok
end

local function walk(self, box)
  self.clock:sleep(REACTION)
  if box.recovering and not recover(self, box) then return end
  while self.store.by_id[box.id] and box.state ~= "destroyed" do
    if TRANSITIONAL[box.state] and not transit(self, box) then return end
    local state = next_state(box)
    if state == "destroying" then return destroy(self, box) end
    if not state or not enter(self, box, state) then return end
    if box.afterwards then
      box.afterwards()
      box.afterwards = nil
    end
  end
end

---Walks the sandbox towards its desired state, unless that is being done.
function Lifecycle:go(box)
  if box.walking then
    if box.redirected then box.redirected:signal() end
    return
  end
  box.walking = true
  box.redirected = box.redirected or condition.new()
  cqueues.running():wrap(function()
    local ok, err = xpcall(walk, debug.traceback, self, box)
    box.walking = false
    if not ok then io.stderr:write("daytona-devserver: ", box.id, ": ", tostring(err), "\n") end
    if box.moved then box.moved:signal() end
  end)
end

---Sets what the sandbox should become, and begins.
---@param desired string
function Lifecycle:want(box, desired)
  local old = box.desired
  box.desired = desired
  self.store:changed(box)
  if old ~= desired then self.tell("sandbox.desired-state.updated", box, old, desired) end
  self:go(box)
end

---Sets a transitional state at once, and what the sandbox should become after it.
---@param state string
---@param desired string
function Lifecycle:move(box, state, desired)
  set_state(self, box, state)
  self:want(box, desired)
end

---Puts the sandbox into a state that a job is done in; afterwards it is as before.
---@param state "resizing"|"snapshotting"|"forking"
---@param job? fun(box: table): function?  done at the end, if that comes; what it returns is
---  called when the sandbox is as before
function Lifecycle:work(box, state, job)
  box.back_to, box.job = box.state, job
  set_state(self, box, state)
  self:go(box)
end

---Brings a failed sandbox back, up to a desired state.
---@param desired "started"|"stopped"
function Lifecycle:recover(box, desired)
  box.recovering = true
  self:want(box, desired)
end

---Destroys the sandbox; its name is free at once.
function Lifecycle:delete(box)
  self.store:rename(box, ("DESTROYED_%s_%d"):format(box.name, math.floor(self.clock:now() * 1000)))
  self:want(box, "destroyed")
end

---Waits until the sandbox is in one of the states or changes no more, for at most
---`seconds` of the service's clock, or until `req`'s client is gone.
---@param states table<string, true>|fun(state: string): boolean?
---@param seconds number
function Lifecycle:await(box, states, seconds, req)
  box.moved = box.moved or condition.new()
  local deadline = self.clock:now() + seconds
  local function there()
    if type(states) == "function" then return states(box.state) end
    return states[box.state]
  end
  while not there() and box.walking and self.store.by_id[box.id] do
    local left = deadline - self.clock:now()
    if left <= 0 or req:wait(left / self.clock.scale, box.moved, self.clock.moved) then return end
  end
end

-- Timers ------------------------------------------------------------------------------

-- When something is to happen to the sandbox by itself, and what.
local function due(box)
  local when, what
  local function consider(t, action)
    if t and (not when or t < when) then when, what = t, action end
  end
  if box.state == "destroyed" and box.queue_timed_out then
    return box.queue_timed_out + READABLE, "forget"
  end
  if box.desired == "destroyed" then return nil end
  consider(box.destroy_at, "delete")
  if box.queue_timeout and box.state == "pending_build" then
    consider(box.created + box.queue_timeout * 60, "queue_timeout")
  end
  if box.walking then return when, what end
  if box.state == "started" then
    if box.auto_stop > 0 then consider(box.activity + box.auto_stop * 60, "stop") end
    if (box.auto_pause or 0) > 0 then consider(box.activity + box.auto_pause * 60, "pause") end
  elseif box.state == "stopped" then
    if box.auto_delete > 0 then consider(box.stopped_at + box.auto_delete * 60, "delete") end
    if box.auto_archive > 0 and box.auto_delete ~= 0 then
      consider(box.stopped_at + box.auto_archive * 60, "archive")
    end
  end
  return when, what
end

---To be called when a sandbox's state or intervals change.
function Lifecycle:schedule(box)
  if box.synthetic then return end
  self.timed[box] = true
  self.wake:signal()
end

local function act(self, box, what)
  if what == "stop" and box.auto_delete ~= 0 then
    self:want(box, "stopped")
  elseif what == "pause" then
    self:move(box, "pausing", "paused")
  elseif what == "archive" then
    self:want(box, "archived")
  elseif what == "forget" then
    self.timed[box] = nil
    self.store:remove(box)
  else
    if what == "queue_timeout" then box.queue_timed_out = self.clock:now() end
    self:delete(box)
  end
end

---Does what is due, for ever; runs in a coroutine of its own.
function Lifecycle:run_timers()
  while true do
    local now, first = self.clock:now(), nil
    for box in pairs(self.timed) do
      local when, what = due(box)
      if when and when <= now then
        act(self, box, what)
      elseif when and (not first or when < first) then
        first = when
      end
    end
    cqueues.poll(self.wake, self.clock.moved, first and (first - now) / self.clock.scale or nil)
  end
end

---Brings a loaded sandbox back to what it was when the server ended.
function Lifecycle:resume(box)
  if box.desired == "destroyed" and not box.queue_timed_out then
    self.store:remove(box)
    return
  end
  if box.state == "paused" then box.state = "stopped" end   -- what was frozen is gone
  if box.desired == "paused" then box.desired = "stopped" end
  if box.state == "started" then
    if box.desired == "started" then open_port(self, box) end
    self:schedule(box)
  end
  if box.port and not box.gate then   -- clients may still know it
    box.gate = gate.open(box.port)
    release(self, box)
  end
  if box.state ~= box.desired and box.state ~= "error" and box.state ~= "build_failed" then
    self:go(box)
  else
    self:schedule(box)
  end
end

---Ends every daemon, at the end of the server.
function Lifecycle:shut_down()
  local left = 0
  local done = condition.new()
  for _, box in pairs(self.store.by_id) do
    if box.daemon then
      left = left + 1
      cqueues.running():wrap(function()
        release(self, box)
        left = left - 1
        done:signal()
      end)
    end
  end
  while left > 0 do cqueues.poll(done, 5) end
end

return Lifecycle
