-- The life of a sandbox: its states, and waiting for one. The changes that lead from one to
-- another are in change.lua, the way back to "started" in recovery.lua, the end of its use in
-- scope.lua: what a program that only makes one and runs something does not need.

local deadlines = require "daytona.loop.deadline"
local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local record = require "daytona.control.record"

local life = {}

local fetch = record.fetch

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

life.FAILED, life.GONE = FAILED, GONE

-- The states on the way to "started".
life.COMING_UP = {
  creating = true, pending_build = true, building_snapshot = true, pulling_snapshot = true, unknown = true,
  restoring = true, starting = true, resuming = true,
}

-- A single look may take so long, in seconds.
life.LOOK_TIMEOUT = 30

---Looks once. The state, or nil, err; gone is the state "destroyed".
---@param self daytona.Sandbox
---@param gone_is_fine? boolean
---@param timeout? number
---@return string?
---@return daytona.Error?
function life.look(self, gone_is_fine, timeout)
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

---The error that its state is.
---@param self daytona.Sandbox
---@param operation string
---@return daytona.Error
function life.failed_error(self, operation)
  local reason = self.error_reason
  return state_error(self, operation, "the sandbox is in state " .. tostring(self.state)
    .. (reason and reason ~= "" and ": " .. reason or ""))
end

---Whether what is wanted can no longer come: the error that says so, or nil.
---@param self daytona.Sandbox
---@param operation string
---@param targets table<string, boolean>
---@param changed boolean  its state, since it was asked for
---@return daytona.Error?
function life.dead_end(self, operation, targets, changed)
  local state = self.state
  if targets[state] or targets.destroyed or targets.destroying then
    return changed and FAILED[state] and not targets[state] and life.failed_error(self, operation) or nil
  end
  if GONE[state] or self.desired_state == "destroyed" then return gone_error(self, operation) end
  return changed and FAILED[state] and life.failed_error(self, operation) or nil
end

--- Waiting ------------------------------------------------------------------------------

---The failure of a step on the way, as one of the whole operation.
---@param self daytona.Sandbox
---@param operation string
---@param err daytona.Error
---@return nil
---@return daytona.Error
function life.failed_on_the_way(self, operation, err)
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
  local watch = require "daytona.control.watch"
  return watch.over {
    judge = judge, deadline = deadline, at_once = at_once, client = self.client, key = "sandbox " .. self.id,
    hear = function(news)
      local all = watch.merged(rawget(self, "raw"), news)
      return all and record.apply(self, all) and true or false
    end,
    look = function(timeout) return life.look(self, gone_is_fine, timeout) end,
    failed = function(err) return life.failed_on_the_way(self, operation, err) end,
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
    return nil, life.dead_end(self, operation, targets, changed)
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
  local fine, err = life.watch(self, "wait", judge, deadlines.after(opts.timeout or 60), targets.destroyed, true)
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

---A change was made: tells those who keep count.
---@param self daytona.Sandbox
---@param gone? boolean
---@param left? boolean
---@return daytona.Sandbox
function life.changed(self, gone, left)
  for i = 1, #listeners do listeners[i](self, gone, left) end
  return self
end

--- Whose it is ---------------------------------------------------------------------------

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
  life.changed(self, true)
end

---Whether the end of a scope deletes it.
---@param self daytona.Sandbox
---@return boolean
function life.is_ours(self)
  return ours[self] == true
end

return life
