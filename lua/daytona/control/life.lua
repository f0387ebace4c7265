-- The life of a sandbox: its states, and whose it is. Waiting for a state is in wait.lua,
-- the changes that lead from one to another in change.lua, the way back to "started" in
-- recovery.lua, the end of its use in scope.lua: what a program that only makes one and runs
-- something does not need.

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
