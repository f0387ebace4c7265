-- The way back to "started": out of an error, and from any state. Methods of sandboxes.

local calls = require "daytona.control.calls"
local changes = require "daytona.control.changes"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local record = require "daytona.control.record"
local waiting = require "daytona.control.wait"

local recovery = {}

local api = calls.of_service {
  recover = record.row("POST",   "/sandbox/{sandbox}/recover", { query = { "skip_start" } }),
}

local RECOVER = { timeout = "seconds", wait = "boolean", skip_start = "boolean" }

-- The record says "error" while a recovery is at work: it has failed when there is no
-- more to recover, or another reason.
local function recovered(self, ends, reason)
  return function()
    if ends[self.state] then return true end
    local failed = life.FAILED[self.state] and (self.recoverable == false or self.error_reason ~= reason)
    if failed then return nil, waiting.failed_error(self, "recover") end
    return nil, not life.FAILED[self.state] and waiting.dead_end(self, "recover", ends, true) or nil
  end
end

---Brings a sandbox in state "error" back whose record says `recoverable`, and waits until
---it is started; with `skip_start` until it is stopped. kind "state" when that failed;
---"invalid" when it cannot be recovered.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean, skip_start?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function recovery.recover(self, opts)
  opts = options.check("recover", RECOVER, opts)
  local deadline = loop.after(opts.timeout or 60)
  local state, err = life.look(self, false, life.LOOK_TIMEOUT)
  if not state then return life.failed_on_the_way(self, "recover", err) end
  local over = recovered(self, opts.skip_start and { stopped = true, started = true } or { started = true },
    self.error_reason)
  local left = loop.left(deadline)
  local fine
  fine, err = api.recover(self, opts.skip_start and { skip_start = true } or nil, { timeout = left or 0 })
  -- A recovery that is at work refuses a second one; a lost answer tells nothing.
  if not fine and err.kind ~= "conflict" and not calls.is_lost(err) then return nil, err end
  if opts.wait == false then return fine and self, err end
  fine, err = over()
  if not fine and not err then fine, err = waiting.watch(self, "recover", over, deadline) end
  if not fine then return nil, err end
  return self
end

--- From any state -----------------------------------------------------------------------------

-- The states that lead back to where they came from.
local PASSING = { resizing = true, snapshotting = true, forking = true }

-- What leads a step nearer to "started" from a state: the operation, or the states to
-- wait for first.
local function step_from(self)
  local state = self.state
  if life.FAILED[state] and self.recoverable then return "recover" end
  if life.COMING_UP[state] then return nil, { started = true } end
  if PASSING[state] then return nil, { started = true, stopped = true, paused = true } end
  return "start"
end

local WAIT = { timeout = "seconds" }

---Starts it unless it is started, from whatever state: waits for what is under way, and
---recovers it from an error that can be recovered. kind "state" where no way leads there.
---@param self daytona.Sandbox
---@param opts? { timeout?: number }  seconds (60, 0 for none)
---@return daytona.Sandbox?
---@return daytona.Error?
function recovery.ensure_started(self, opts)
  opts = options.check("ensure_started", WAIT, opts)
  local deadline = loop.after(opts.timeout or 60)
  local state, err = life.look(self, false, opts.timeout)
  while state do
    if state == "started" then return self end
    err = waiting.dead_end(self, "ensure_started", { started = true }, not self.recoverable)
    if err then return nil, err end
    local operation, targets = step_from(self)
    local left = deadline and math.max(loop.left(deadline), 0.001) or 0
    if operation then
      state, err = (operation == "recover" and recovery.recover or changes.start)(self, { timeout = left })
    else
      state, err = waiting.wait_until(self, "ensure_started", targets, deadline, self.state)
    end
    state = state and self.state
  end
  return nil, err
end

return recovery
