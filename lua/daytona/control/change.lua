-- How the state of a sandbox is changed, and its end: `delete`. The other changes are in
-- changes.lua.
--
-- The service answers most changes before they are made, lets some hold, refuses them
-- while another is under way, and its answers may be lost: whether a change was made is
-- always found out by a look (verdict.lua).

local calls = require "daytona.control.calls"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local record = require "daytona.control.record"

local M = {}

---What a change is: how it is asked for; where it must end; what is on the way there; what
---the service then wants of the sandbox.
---@class daytona.Change
---@field call fun(subject: table, values?: table, request?: table): any, daytona.Error?
---@field ends table<string, boolean>
---@field under_way table<string, boolean>
---@field wants string
---@field gone_is_fine? boolean

--- Asking for a change ---------------------------------------------------------------------

-- Between two requests for a change that the service has no time for; seconds.
local FIRST_PAUSE, LONGEST_PAUSE, PAUSE_GROWTH = 0.2, 5, 1.5

-- So often, at most, a change is asked for again after an answer that tells nothing.
local ODD_ANSWERS = 3

-- Asks for a change until the service takes it. "done", "wait", or nil, err. While the
-- service is busy with another change it is asked again until `busy_until`.
local function ask(self, operation, change, values, deadline, busy_until)
  local delay, odd, most = FIRST_PAUSE, 0, math.min(ODD_ANSWERS, self.client.connection.max_retries)
  while true do
    local left = loop.left(deadline)
    local fine, err = change.call(self, values, { timeout = left and math.max(left, 0.001) or 0 })
    if fine then return "wait" end
    local verdict = require "daytona.control.verdict"(self, change, err)
    if verdict == "odd" then odd = odd + 1 end
    if verdict == "done" or verdict == "wait" then return verdict end
    if not verdict or odd > most then return nil, err end
    left = loop.left(verdict == "busy" and busy_until or deadline)
    if left and left <= delay then return nil, err end
    local slept, why = loop.sleep(delay)
    if not slept then return life.failed_on_the_way(self, operation, why) end
    delay = math.min(delay * PAUSE_GROWTH, LONGEST_PAUSE)
  end
end

---Makes a change. For `busy` seconds, where that is said, it is asked again while the service
---is at another.
---@param self daytona.Sandbox
---@param operation string
---@param change daytona.Change
---@param values? table
---@param opts { timeout?: number, wait?: boolean, busy?: number }
---@return daytona.Sandbox?
---@return daytona.Error?
function M.make(self, operation, change, values, opts)
  local before = self.state
  local deadline = loop.after(opts.timeout or 60)
  local busy_until = opts.busy and loop.now() + opts.busy or deadline
  local verdict, err = ask(self, operation, change, values, deadline, busy_until)
  if not verdict then return nil, err end
  if verdict == "wait" and opts.wait ~= false then
    local fine
    local waiting = require "daytona.control.wait"
    fine, err = waiting.wait_until(self, operation, change.ends, deadline, before, change.gone_is_fine)
    if not fine then return nil, err end
  end
  return life.changed(self, change.wants == "destroyed" or life.GONE[self.state])
end

--- Deleting --------------------------------------------------------------------------------

local deletion = {
  call = calls.of_service({ delete = record.row("DELETE", "/sandbox/{sandbox}", { optional = true }) }).delete,
  ends = { destroyed = true }, under_way = { destroying = true }, wants = "destroyed", gone_is_fine = true,
}

local DELETE = { timeout = "seconds", wait = "boolean", force = "boolean", missing_ok = "boolean" }

---The same of checked options, and `busy`: for so many seconds it is asked again while the
---service is at another change.
---@param self daytona.Sandbox
---@param opts { timeout?: number, wait?: boolean, force?: boolean, busy?: number }
---@return true?
---@return daytona.Error?
function M.delete_now(self, opts)
  local fine, err = M.make(self, "delete", deletion, opts.force and { force = true } or nil, {
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
function M.delete(self, opts)
  opts = options.check("delete", DELETE, opts)
  if opts.missing_ok == false then
    local there, err = record.fetch(self, nil, { timeout = opts.timeout or 60 })
    if not there then return life.failed_on_the_way(self, "delete", err) end
  end
  return M.delete_now(self, opts)
end

return M
