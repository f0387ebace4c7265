-- The changes of a sandbox: start, stop, pause, archive, delete. Methods of sandboxes.
--
-- The service answers most changes before they are made, lets some hold, refuses them
-- while another is under way, and its answers may be lost: whether a change was made is
-- always found out by a look (verdict.lua).

local calls = require "daytona.control.calls"
local deadlines = require "daytona.loop.deadline"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local record = require "daytona.control.record"

local M = {}

local api = calls.of_service {
  start   = record.row("POST",   "/sandbox/{sandbox}/start"),
  stop    = record.row("POST",   "/sandbox/{sandbox}/stop", { query = { "force" } }),
  pause   = record.row("POST",   "/sandbox/{sandbox}/pause"),
  archive = record.row("POST",   "/sandbox/{sandbox}/archive"),
  delete  = record.row("DELETE", "/sandbox/{sandbox}", { optional = true }),
}

--- Asking for a change ---------------------------------------------------------------------

-- What each change is: where it must end; what is on the way there; what the service
-- then wants of the sandbox.
local CHANGES = {
  start = { ends = { started = true }, under_way = life.COMING_UP, wants = "started" },
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

-- Between two requests for a change that the service has no time for; seconds.
local FIRST_PAUSE, LONGEST_PAUSE, PAUSE_GROWTH = 0.2, 5, 1.5

-- So often, at most, a change is asked for again after an answer that tells nothing.
local ODD_ANSWERS = 3

-- Asks for a change until the service takes it. "done", "wait", or nil, err. While the
-- service is busy with another change it is asked again until `busy_until`.
local function ask(self, operation, values, deadline, busy_until)
  local change = CHANGES[operation]
  local delay, odd, most = FIRST_PAUSE, 0, math.min(ODD_ANSWERS, self.client.connection.max_retries)
  while true do
    local left = deadlines.left(deadline)
    local fine, err = api[operation](self, values, { timeout = left and math.max(left, 0.001) or 0 })
    if fine then return "wait" end
    local verdict = require "daytona.control.verdict"(self, change, err)
    if verdict == "odd" then odd = odd + 1 end
    if verdict == "done" or verdict == "wait" then return verdict end
    if not verdict or odd > most then return nil, err end
    left = deadlines.left(verdict == "busy" and busy_until or deadline)
    if left and left <= delay then return nil, err end
    local slept, why = loop.sleep(delay)
    if not slept then return life.failed_on_the_way(self, operation, why) end
    delay = math.min(delay * PAUSE_GROWTH, LONGEST_PAUSE)
  end
end

-- Makes a change: options are `timeout`, `wait`, and for `delete` here within `busy`.
-- self, or nil, err.
local function change_state(self, operation, values, opts)
  local change, before = CHANGES[operation], self.state
  local deadline = deadlines.after(opts.timeout or 60)
  local busy_until = opts.busy and loop.now() + opts.busy or deadline
  local verdict, err = ask(self, operation, values, deadline, busy_until)
  if not verdict then return nil, err end
  if verdict == "wait" and opts.wait ~= false then
    local fine
    local waiting = require "daytona.control.wait"
    fine, err = waiting.wait_until(self, operation, change.ends, deadline, before, change.gone_is_fine)
    if not fine then return nil, err end
  end
  return life.changed(self, operation == "delete" or life.GONE[self.state])
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
function M.start(self, opts)
  return change_state(self, "start", nil, options.check("start", CHANGE, opts))
end

---Stops it and waits until it is stopped; an ephemeral sandbox is destroyed by this.
---Success when it is stopped, or gone, already.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean, force?: boolean }  force: kill at once
---@return daytona.Sandbox?
---@return daytona.Error?
function M.stop(self, opts)
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
function M.pause(self, opts)
  return change_state(self, "pause", nil, options.check("pause", CHANGE, opts))
end

---Goes on with a paused sandbox: `start` under another name. Previews keep their token.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }
---@return daytona.Sandbox?
---@return daytona.Error?
function M.resume(self, opts)
  return change_state(self, "start", nil, options.check("resume", CHANGE, opts))
end

---Moves a stopped sandbox into cold storage, where it costs less and starts slower, and
---waits until that is done; it takes the service from seconds to minutes. kind "invalid"
---when it is not stopped, or ephemeral.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }  seconds (300, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function M.archive(self, opts)
  opts = options.copy(options.check("archive", CHANGE, opts))
  opts.timeout = opts.timeout or 300
  return change_state(self, "archive", nil, opts)
end

local DELETE = { timeout = "seconds", wait = "boolean", force = "boolean", missing_ok = "boolean" }

---The same of checked options, and `busy`: for so many seconds it is asked again while the
---service is at another change.
---@param self daytona.Sandbox
---@param opts { timeout?: number, wait?: boolean, force?: boolean, busy?: number }
---@return true?
---@return daytona.Error?
function M.delete_now(self, opts)
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
function M.delete(self, opts)
  opts = options.check("delete", DELETE, opts)
  if opts.missing_ok == false then
    local there, err = record.fetch(self, nil, { timeout = opts.timeout or 60 })
    if not there then return life.failed_on_the_way(self, "delete", err) end
  end
  return M.delete_now(self, opts)
end

return M
