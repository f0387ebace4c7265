-- The service did not say yes to a change. Perhaps because there is nothing to do, or it is
-- under way already; perhaps because another change is; perhaps it never said anything. A look
-- at the sandbox tells.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local life = require "daytona.control.life"

---What an error means that a change was answered with.
---@param self daytona.Sandbox
---@param change { ends: table<string, boolean>, under_way: table<string, boolean>, wants: string, gone_is_fine?: boolean }
---@param err daytona.Error  gets to say what a look tells of it
---@return "done"|"wait"|"busy"|"odd"|nil  nil when the refusal stands
return function(self, change, err)
  if errors.is(err, "not_found") and change.gone_is_fine then
    self.state = "destroyed"
    return "done"
  end
  local lost = calls.is_lost(err)
  if err.kind == "state" then
    err.state = life.look(self, false, life.LOOK_TIMEOUT) -- it was tried, and failed
  end
  if not lost and err.kind ~= "conflict" and err.kind ~= "invalid" then return nil end
  local state = life.look(self, change.gone_is_fine, life.LOOK_TIMEOUT)
  if not state then return lost and "odd" or nil end
  if change.ends[state] then return "done" end
  if change.under_way[state] then return "wait" end
  if lost then return self.desired_state == change.wants and "wait" or "odd" end
  if life.FAILED[state] and err.kind == "invalid" then -- nothing is wrong with the request
    err.kind, err.state = "state", state
    err.message = err.message .. (self.error_reason and ": " .. self.error_reason or "")
  end
  return err.kind == "conflict" and "busy" or nil
end
