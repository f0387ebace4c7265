-- The life of a sandbox: its states, waiting for one, and the changes that lead from
-- one to another: start, stop, pause, archive, recover, delete. Methods of sandboxes.
--
-- The service answers most changes before they are made, lets some hold, refuses them
-- while another is under way, and its answers may be lost: whether a change was made is
-- always found out by a look.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local record = require "daytona.control.record"
local watch = require "daytona.control.watch"

local life = {}

local row, fetch = record.row, record.fetch

local api = calls.of_service {
  start   = row("POST",   "/sandbox/{sandbox}/start"),
  stop    = row("POST",   "/sandbox/{sandbox}/stop", { query = { "force" } }),
  pause   = row("POST",   "/sandbox/{sandbox}/pause"),
  archive = row("POST",   "/sandbox/{sandbox}/archive"),
  recover = row("POST",   "/sandbox/{sandbox}/recover", { query = { "skip_start" } }),
  delete  = row("DELETE", "/sandbox/{sandbox}", { optional = true }),
}

---Asks the service for the current fields.
---@param self daytona.Sandbox
---@param opts? { timeout?: number }
---@return daytona.Sandbox?
---@return daytona.Error?
function life.refresh(self, opts)
  opts = options.check("refresh", { timeout = "seconds" }, opts)
  return fetch(self, nil, { timeout = opts.timeout })
end

--- States -------------------------------------------------------------------------------

-- What nothing but an effort leads out of.
local FAILED = { error = true, build_failed = true }

local GONE = { destroying = true, destroyed = true }

-- The states on the way to "started".
local COMING_UP = {
  creating = true, pending_build = true, building_snapshot = true, pulling_snapshot = true, unknown = true,
  restoring = true, starting = true, resuming = true,
}

-- The states that lead back to where they came from.
local PASSING = { resizing = true, snapshotting = true, forking = true }

local function left_until(deadline)
  return deadline and deadline - loop.now()
end

local deadline_after, is_lost = watch.deadline_after, watch.is_lost

-- Looks once. The state, or nil, err; gone is the state "destroyed".
local function look(self, gone_is_fine, timeout)
  local fine, err = fetch(self, nil, { timeout = timeout })
  if fine then return self.state or "unknown" end
  if gone_is_fine and errors.is(err, "not_found") then
    self.state = "destroyed"
    return self.state
  end
  return nil, err
end

local function state_error(self, operation, message, fields)
  local err = fields or {}
  err.kind, err.operation, err.sandbox = err.kind or "state", operation, self
  err.message, err.state = message, self.state
  return errors.new(err)
end

-- What destroyed it, in a word and as a code.
local function why_gone(self)
  if self.queue_timed_out_at then return "it waited too long for a machine", "queue_timeout" end
  if self.spot_evicted_at then return "its spot machine was taken back", "spot_evicted" end
  return "it was deleted", "destroyed"
end

local function gone_error(self, operation)
  local why, code = why_gone(self)
  return state_error(self, operation, "the sandbox is " .. tostring(self.state) .. ": " .. why, { code = code })
end

local function failed_error(self, operation)
  local reason = self.error_reason
  return state_error(self, operation, "the sandbox is in state " .. tostring(self.state)
    .. (reason and reason ~= "" and ": " .. reason or ""))
end

-- Whether what is wanted can no longer come: the error that says so, or nil.
local function dead_end(self, operation, targets, changed)
  local state = self.state
  if targets[state] or targets.destroyed or targets.destroying then
    return changed and FAILED[state] and not targets[state] and failed_error(self, operation) or nil
  end
  if GONE[state] or self.desired_state == "destroyed" then return gone_error(self, operation) end
  return changed and FAILED[state] and failed_error(self, operation) or nil
end

--- Waiting ------------------------------------------------------------------------------

local FIRST_POLL, LONGEST_POLL, POLL_GROWTH = watch.FIRST_POLL, watch.LONGEST_POLL, watch.POLL_GROWTH

local LOOK_TIMEOUT = watch.LOOK_TIMEOUT

-- The failure of a step on the way, as one of the whole operation.
local function failed_on_the_way(self, operation, err)
  err.operation, err.sandbox, err.state = operation, self, self.state
  return nil, err
end

---Looks, seldomer and seldomer, until `judge` says that it is over (see watch.lua).
---@param self daytona.Sandbox
---@param operation string
---@param judge fun(): boolean|nil, daytona.Error?  true; or nil, nil to go on; or nil, err
---@param deadline? number
---@param gone_is_fine? boolean  404 is the state "destroyed"
---@param at_once? boolean       what is known of it is not to be believed
---@return true?
---@return daytona.Error?
function life.watch(self, operation, judge, deadline, gone_is_fine, at_once)
  return watch.over {
    judge = judge, deadline = deadline, at_once = at_once, client = self.client, key = "sandbox " .. self.id,
    hear = function(news)
      local all = watch.merged(rawget(self, "raw"), news)
      return all and record.apply(self, all) and true or false
    end,
    look = function(timeout) return look(self, gone_is_fine, timeout) end,
    failed = function(err) return failed_on_the_way(self, operation, err) end,
    late = function()
      return nil, state_error(self, operation, string.format("the sandbox was still %s when the time was over",
        tostring(self.state)), { kind = "timeout", code = "wait" })
    end,
  }
end

-- Whether it is in one of the states. A failed state counts only when it was seen to come.
local function judge_of(self, operation, targets, before)
  local changed = false
  return function()
    changed = changed or self.state ~= before
    if targets[self.state] then return true end
    return nil, dead_end(self, operation, targets, changed)
  end
end

---Waits until the state is one of `targets`. A failed state counts only when it was seen
---to come: `before` is the state when the wait was asked for.
---@param self daytona.Sandbox
---@param operation string
---@param targets table<string, boolean>
---@param deadline? number
---@param before? string
---@param gone_is_fine? boolean
---@return true?
---@return daytona.Error?
function life.wait_until(self, operation, targets, deadline, before, gone_is_fine)
  local judge = judge_of(self, operation, targets, before)
  local over, err = judge()
  if over or err then return over, err end
  return life.watch(self, operation, judge, deadline, gone_is_fine)
end

local wait_until = life.wait_until

local WAIT = { timeout = "seconds" }

---Waits until the sandbox is in one of the states; a sandbox that is gone is in state
---"destroyed". Ends at once, with kind "state", when it comes into a state from which
---none of them can come: "error" and "build_failed", "destroying" and "destroyed", where
---the code says why ("queue_timeout", "spot_evicted", "destroyed"). When the time is over:
---kind "timeout", with the last state in the error's `state`.
---@param self daytona.Sandbox
---@param states? string|string[]         "started"
---@param opts? { timeout?: number }|number  seconds; 60, 0 for none
---@return daytona.Sandbox?
---@return daytona.Error?
function life.wait(self, states, opts)
  states = states or "started"
  if type(states) == "string" then states = { states } end
  options.argument("wait: states", "list", states)
  opts = options.check("wait", WAIT, type(opts) == "number" and { timeout = opts } or opts)
  local targets = {}
  for _, state in ipairs(states) do targets[state] = true end
  -- Who waits for the end waits through an error that was there before.
  local judge = judge_of(self, "wait", targets, targets.destroyed and self.state or nil)
  local fine, err = life.watch(self, "wait", judge, deadline_after(opts.timeout or 60), targets.destroyed, true)
  if not fine then return nil, err end
  return self
end

--- Who wants to know -------------------------------------------------------------------------

local listeners = {}

---Calls `fn(sandbox, gone, left)` after each change that was made here: those who keep
---count. `left`: it could not be deleted, and nobody holds it any more.
---@param fn fun(sandbox: daytona.Sandbox, gone: boolean?, left: boolean?)
function life.on_change(fn)
  listeners[#listeners + 1] = fn
end

local function changed(self, gone, left)
  for i = 1, #listeners do listeners[i](self, gone, left) end
  return self
end

--- Asking for a change ---------------------------------------------------------------------

-- What each change is: where it must end; what is on the way there; what the service
-- then wants of the sandbox.
local CHANGES = {
  start = { ends = { started = true }, under_way = COMING_UP, wants = "started" },
  stop = {
    ends = { stopped = true, destroyed = true, archived = true },
    under_way = { stopping = true, archiving = true, destroying = true },
    wants = "stopped", gone_is_fine = true,
  },
  pause = { ends = { paused = true }, under_way = { pausing = true }, wants = "paused" },
  archive = { ends = { archived = true }, under_way = { archiving = true }, wants = "archived" },
  delete = {
    ends = { destroyed = true }, under_way = { destroying = true }, wants = "destroyed", gone_is_fine = true,
  },
}

-- The service did not say yes. Perhaps because there is nothing to do, or it is under
-- way already; perhaps because another change is; perhaps it never said anything.
-- "done", "wait", "busy", "odd", or nil when the refusal stands.
local function judge(self, change, err)
  if errors.is(err, "not_found") and change.gone_is_fine then
    self.state = "destroyed"
    return "done"
  end
  local lost = is_lost(err)
  if err.kind == "state" then
    err.state = look(self, false, LOOK_TIMEOUT) -- it was tried, and failed
  end
  if not lost and err.kind ~= "conflict" and err.kind ~= "invalid" then return nil end
  local state = look(self, change.gone_is_fine, LOOK_TIMEOUT)
  if not state then return lost and "odd" or nil end
  if change.ends[state] then return "done" end
  if change.under_way[state] then return "wait" end
  if lost then return self.desired_state == change.wants and "wait" or "odd" end
  if FAILED[state] and err.kind == "invalid" then -- nothing is wrong with the request
    err.kind, err.state = "state", state
    err.message = err.message .. (self.error_reason and ": " .. self.error_reason or "")
  end
  return err.kind == "conflict" and "busy" or nil
end

-- So often, at most, a change is asked for again after an answer that tells nothing.
local ODD_ANSWERS = 3

-- Asks for a change until the service takes it. "done", "wait", or nil, err. While the
-- service is busy with another change it is asked again until `busy_until`.
local function ask(self, operation, values, deadline, busy_until)
  local change = CHANGES[operation]
  local delay, odd, most = 4 * FIRST_POLL, 0, math.min(ODD_ANSWERS, self.client.connection.max_retries)
  while true do
    local left = left_until(deadline)
    local fine, err = api[operation](self, values, { timeout = left and math.max(left, 0.001) or 0 })
    if fine then return "wait" end
    local verdict = judge(self, change, err)
    if verdict == "odd" then odd = odd + 1 end
    if verdict == "done" or verdict == "wait" then return verdict end
    if not verdict or odd > most then return nil, err end
    left = left_until(verdict == "busy" and busy_until or deadline)
    if left and left <= delay then return nil, err end
    local slept, why = loop.sleep(delay)
    if not slept then return failed_on_the_way(self, operation, why) end
    delay = math.min(delay * POLL_GROWTH, LONGEST_POLL)
  end
end

-- Makes a change: options are `timeout`, `wait`, and for `delete` here within `busy`.
-- self, or nil, err.
local function change_state(self, operation, values, opts)
  local change, before = CHANGES[operation], self.state
  local deadline = deadline_after(opts.timeout or 60)
  local busy_until = opts.busy and loop.now() + opts.busy or deadline
  local verdict, err = ask(self, operation, values, deadline, busy_until)
  if not verdict then return nil, err end
  if verdict == "wait" and opts.wait ~= false then
    local fine
    fine, err = wait_until(self, operation, change.ends, deadline, before, change.gone_is_fine)
    if not fine then return nil, err end
  end
  return changed(self, operation == "delete" or GONE[self.state])
end

--- The changes -----------------------------------------------------------------------------

local CHANGE = { timeout = "seconds", wait = "boolean" }

local FORCED = { timeout = "seconds", wait = "boolean", force = "boolean" }

---Starts it (from stopped, archived or paused) and waits until it is started. Success when
---it is started already; kind "state" when it does not come up.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function life.start(self, opts)
  return change_state(self, "start", nil, options.check("start", CHANGE, opts))
end

---Stops it and waits until it is stopped; an ephemeral sandbox is destroyed by this.
---Success when it is stopped, or gone, already.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean, force?: boolean }  force: kill at once
---@return daytona.Sandbox?
---@return daytona.Error?
function life.stop(self, opts)
  opts = options.check("stop", FORCED, opts)
  return change_state(self, "stop", opts.force and { force = true } or nil, opts)
end

---Freezes it with its memory and waits until it is paused; `resume` goes on where it
---was. kind "unsupported" where its class cannot (containers); "invalid" when it is not
---started.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function life.pause(self, opts)
  return change_state(self, "pause", nil, options.check("pause", CHANGE, opts))
end

---Goes on with a paused sandbox: `start` under another name. Previews keep their token.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }
---@return daytona.Sandbox?
---@return daytona.Error?
function life.resume(self, opts)
  return change_state(self, "start", nil, options.check("resume", CHANGE, opts))
end

---Moves a stopped sandbox into cold storage, where it costs less and starts slower, and
---waits until that is done; it takes the service from seconds to minutes. kind "invalid"
---when it is not stopped, or ephemeral.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }  seconds (300, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function life.archive(self, opts)
  opts = options.copy(options.check("archive", CHANGE, opts))
  opts.timeout = opts.timeout or 300
  return change_state(self, "archive", nil, opts)
end

local RECOVER = { timeout = "seconds", wait = "boolean", skip_start = "boolean" }

-- The record says "error" while a recovery is at work: it has failed when there is no
-- more to recover, or another reason.
local function recovered(self, ends, reason)
  return function()
    if ends[self.state] then return true end
    local failed = FAILED[self.state] and (self.recoverable == false or self.error_reason ~= reason)
    if failed then return nil, failed_error(self, "recover") end
    return nil, not FAILED[self.state] and dead_end(self, "recover", ends, true) or nil
  end
end

---Brings a sandbox in state "error" back whose record says `recoverable`, and waits until
---it is started; with `skip_start` until it is stopped. kind "state" when that failed;
---"invalid" when it cannot be recovered.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean, skip_start?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function life.recover(self, opts)
  opts = options.check("recover", RECOVER, opts)
  local deadline = deadline_after(opts.timeout or 60)
  local state, err = look(self, false, LOOK_TIMEOUT)
  if not state then return failed_on_the_way(self, "recover", err) end
  local over = recovered(self, opts.skip_start and { stopped = true, started = true } or { started = true },
    self.error_reason)
  local left = left_until(deadline)
  local fine
  fine, err = api.recover(self, opts.skip_start and { skip_start = true } or nil, { timeout = left or 0 })
  -- A recovery that is at work refuses a second one; a lost answer tells nothing.
  if not fine and err.kind ~= "conflict" and not is_lost(err) then return nil, err end
  if opts.wait == false then return fine and self, err end
  fine, err = over()
  if not fine and not err then fine, err = life.watch(self, "recover", over, deadline) end
  if not fine then return nil, err end
  return self
end

local DELETE = { timeout = "seconds", wait = "boolean", force = "boolean", missing_ok = "boolean" }

local function delete(self, opts)
  local fine, err = change_state(self, "delete", opts.force and { force = true } or nil, {
    timeout = opts.timeout, wait = opts.wait == true, busy = opts.busy,
  })
  if not fine then return nil, err end
  if self.state ~= "destroyed" then self.state = "destroying" end
  return true
end

---Deletes it. Success when it is gone already, unless `missing_ok` is false. While the
---service is busy with another change of it, it is asked again. The service frees it in
---the background; with `wait` the call returns when it is gone. kind "invalid" while forks
---of it live.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean, force?: boolean, missing_ok?: boolean }  seconds (60); wait: false
---@return true?
---@return daytona.Error?
function life.delete(self, opts)
  opts = options.check("delete", DELETE, opts)
  if opts.missing_ok == false then
    local there, err = fetch(self, nil, { timeout = opts.timeout or 60 })
    if not there then return failed_on_the_way(self, "delete", err) end
  end
  return delete(self, opts)
end

--- From any state -----------------------------------------------------------------------------

-- What leads a step nearer to "started" from a state: the operation, or the states to
-- wait for first.
local function step_from(self)
  local state = self.state
  if FAILED[state] and self.recoverable then return "recover" end
  if COMING_UP[state] then return nil, { started = true } end
  if PASSING[state] then return nil, { started = true, stopped = true, paused = true } end
  return "start"
end

---Starts it unless it is started, from whatever state: waits for what is under way, and
---recovers it from an error that can be recovered. kind "state" where no way leads there.
---@param self daytona.Sandbox
---@param opts? { timeout?: number }  seconds (60, 0 for none)
---@return daytona.Sandbox?
---@return daytona.Error?
function life.ensure_started(self, opts)
  opts = options.check("ensure_started", WAIT, opts)
  local deadline = deadline_after(opts.timeout or 60)
  local state, err = look(self, false, opts.timeout)
  while state do
    if state == "started" then return self end
    err = dead_end(self, "ensure_started", { started = true }, not self.recoverable)
    if err then return nil, err end
    local operation, targets = step_from(self)
    local left = deadline and math.max(left_until(deadline), 0.001) or 0
    if operation then
      state, err = life[operation](self, { timeout = left })
    else
      state, err = wait_until(self, "ensure_started", targets, deadline, self.state)
    end
    state = state and self.state
  end
  return nil, err
end

--- The end of a scope ----------------------------------------------------------------------

-- Sandboxes that this program made: those that the end of a scope deletes.
local ours = setmetatable({}, { __mode = "k" })

---Makes a sandbox one of those that `close` deletes.
---@param self daytona.Sandbox
---@return daytona.Sandbox
function life.adopt(self)
  ours[self] = true
  return self
end

---Makes it none of them any more.
---@param self daytona.Sandbox
function life.abandon(self)
  ours[self] = nil
  changed(self, true)
end

-- How long the end of a scope may take to delete a sandbox; how long of it while the
-- service is busy with another change; the longest throttle that is waited for; between
-- tries in the background, and for how long. Seconds.
local PATIENCE, BUSY, LONGEST_THROTTLE, PURSUIT_STEP, PURSUIT = 30, 3, 75, 5, 120

-- Tells the service to destroy it by itself, which it takes in any state: when it is
-- idle for a minute it stops, and when it has stopped it is destroyed. Whether it took that.
local function leave_to_service(self)
  local settings, more = require "daytona.control.settings", { timeout = 5 }
  local deleted = settings.api.set_auto_delete_interval(self, { minutes = 0 }, more)
  local stopped = settings.api.set_auto_stop_interval(self, { minutes = 1 }, more)
  return deleted ~= nil and stopped ~= nil
end

local function pursue(self)
  local until_then = loop.now() + PURSUIT
  repeat
    if not loop.sleep(PURSUIT_STEP) then return end
  until delete(self, { timeout = PATIENCE, busy = PURSUIT_STEP }) or loop.now() > until_then
end

-- Waits out a throttle, and deletes then. true, or nil.
local function after_throttle(self, err)
  local delay = err.kind == "rate_limited" and err.retry_after
  if not delay or delay > LONGEST_THROTTLE then return nil end
  return loop.sleep(delay + 1) and delete(self, { timeout = PATIENCE, busy = BUSY })
end

local function dispose(self)
  local gone, err = delete(self, { timeout = PATIENCE, busy = BUSY })
  if gone then return true end
  if errors.is(err, "forbidden") or errors.is(err, "auth") then return nil, err end
  changed(self, false, true)
  local left = leave_to_service(self)
  if after_throttle(self, err) then return true end
  require("daytona.loop.task").background(pursue, self)
  err.message = err.message .. (left and "; the service was told to destroy it by itself, once it is idle"
    or "; it may still be there")
  return nil, err
end

---Deletes what nobody wants any more. When the service refuses (it is busy with another
---change, it throttles) it is told to destroy the sandbox by itself, and is asked again
---in the background, as long as this program runs its loop. To be called shielded.
---@param self daytona.Sandbox
---@return true?
---@return daytona.Error?  its message says what was left to the service
function life.dispose(self)
  return require("daytona.loop.closing").deleting(self.name or self.id, dispose, self)
end

---The end of its use: deletes the sandbox if this program made it (`create`, `fork`),
---and leaves any other as it is. Shielded from cancellation, for at most 30 seconds; when
---the service throttles, as long as it asks for, up to 75. This is what `local sb <close>`
---and `daytona.using` do; what these could not delete is told as `daytona.on_unhandled`
---says. Raises nothing.
---@param self daytona.Sandbox
---@return true?
---@return daytona.Error?
function life.close(self)
  if not ours[self] or self.state == "destroyed" then return true end
  return loop.shield(life.dispose, self)
end

return life
