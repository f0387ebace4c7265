-- Waiting for a state of a sandbox, and which states say that it will not come.

local errors = require "daytona.base.errors"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local record = require "daytona.control.record"

local waiting = {}

local FAILED, GONE = life.FAILED, life.GONE

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
function waiting.failed_error(self, operation)
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
function waiting.dead_end(self, operation, targets, changed)
  local state = self.state
  if targets[state] or targets.destroyed or targets.destroying then
    return changed and FAILED[state] and not targets[state] and waiting.failed_error(self, operation) or nil
  end
  if GONE[state] or self.desired_state == "destroyed" then return gone_error(self, operation) end
  return changed and FAILED[state] and waiting.failed_error(self, operation) or nil
end

--- Waiting ------------------------------------------------------------------------------

---Looks, seldomer and seldomer, until `judge` says that it is over (see watch.lua).
---@param self daytona.Sandbox
---@param operation string
---@param judge fun(): boolean|nil, daytona.Error?  true; or nil, nil to go on; or nil, err
---@param deadline? number
---@param gone_is_fine? boolean  404 is the state "destroyed"
---@param at_once? boolean       what is known of it is not to be believed
---@return true?
---@return daytona.Error?
function waiting.watch(self, operation, judge, deadline, gone_is_fine, at_once)
  local watch = require "daytona.control.watch"
  return watch.over {
    judge = judge, deadline = deadline, at_once = at_once, client = self.client, key = "sandbox " .. self.id,
    hear = function(news)
      local all = watch.merged(rawget(self, "raw"), news)
      if all then record.apply(self, all) end
      return all ~= nil
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
    return nil, waiting.dead_end(self, operation, targets, changed)
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
function waiting.wait_until(self, operation, targets, deadline, before, gone_is_fine)
  local judge = judge_of(self, operation, targets, before)
  local over, err = judge()
  if over or err then return over, err end
  return waiting.watch(self, operation, judge, deadline, gone_is_fine)
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
function waiting.wait(self, states, opts)
  states = states or "started"
  if type(states) == "string" then states = { states } end
  options.argument("wait: states", "list", states)
  opts = options.check("wait", WAIT, type(opts) == "number" and { timeout = opts } or opts)
  local targets = {}
  for _, state in ipairs(states) do targets[state] = true end
  -- Who waits for the end waits through an error that was there before.
  local judge = judge_of(self, "wait", targets, targets.destroyed and self.state or nil)
  local fine, err = waiting.watch(self, "wait", judge, loop.after(opts.timeout or 60), targets.destroyed, true)
  if not fine then return nil, err end
  return self
end

return waiting
