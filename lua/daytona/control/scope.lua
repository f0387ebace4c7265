-- The end of a sandbox's use: deleting what this program made and nobody wants any more, also
-- where the service will not just now.

local change = require "daytona.control.change"
local errors = require "daytona.base.errors"
local life = require "daytona.control.life"
local loop = require "daytona.loop"

local scope = {}

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
  until change.delete_now(self, { timeout = PATIENCE, busy = PURSUIT_STEP }) or loop.now() > until_then
end

-- Waits out a throttle, and deletes then. true, or nil.
local function after_throttle(self, err)
  local delay = err.kind == "rate_limited" and err.retry_after
  if not delay or delay > LONGEST_THROTTLE then return nil end
  return loop.sleep(delay + 1) and change.delete_now(self, { timeout = PATIENCE, busy = BUSY })
end

local function dispose(self)
  local gone, err = change.delete_now(self, { timeout = PATIENCE, busy = BUSY })
  if gone then return true end
  if errors.is(err, "forbidden") or errors.is(err, "auth") then return nil, err end
  life.changed(self, false, true)
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
function scope.dispose(self)
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
function scope.close(self)
  if not life.is_ours(self) or self.state == "destroyed" then return true end
  return loop.shield(scope.dispose, self)
end

return scope
