-- What leads a sandbox from one state to another: start, stop, pause, archive. Methods of
-- sandboxes; and `sb.life`, under which these and their like stand.

local calls = require "daytona.control.calls"
local change = require "daytona.control.change"
local grouping = require "daytona.base.grouping"
local life = require "daytona.control.life"
local options = require "daytona.base.options"
local record = require "daytona.control.record"

local changes = {}

changes.new = grouping("daytona.Life", "life", {
  "start", "stop", "pause", "resume", "archive", "recover", "ensure_started", "delete", "wait",
})

local api = calls.of_service {
  start   = record.row("POST", "/sandbox/{sandbox}/start"),
  stop    = record.row("POST", "/sandbox/{sandbox}/stop", { query = { "force" } }),
  pause   = record.row("POST", "/sandbox/{sandbox}/pause"),
  archive = record.row("POST", "/sandbox/{sandbox}/archive"),
}

local START = { call = api.start, ends = { started = true }, under_way = life.COMING_UP, wants = "started" }
local STOP = {
  call = api.stop, ends = { stopped = true, destroyed = true, archived = true },
  under_way = { stopping = true, archiving = true, destroying = true }, wants = "stopped", gone_is_fine = true,
}
local PAUSE = { call = api.pause, ends = { paused = true }, under_way = { pausing = true }, wants = "paused" }
local ARCHIVE = { call = api.archive, ends = { archived = true }, under_way = { archiving = true }, wants = "archived" }

local CHANGE = { timeout = "seconds", wait = "boolean" }

local FORCED = { timeout = "seconds", wait = "boolean", force = "boolean" }

---Starts it (from stopped, archived or paused) and waits until it is started. Success when
---it is started already; kind "state" when it does not come up.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function changes.start(self, opts)
  return change.make(self, "start", START, nil, options.check("start", CHANGE, opts))
end

---Stops it and waits until it is stopped; an ephemeral sandbox is destroyed by this.
---Success when it is stopped, or gone, already.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean, force?: boolean }  force: kill at once
---@return daytona.Sandbox?
---@return daytona.Error?
function changes.stop(self, opts)
  opts = options.check("stop", FORCED, opts)
  return change.make(self, "stop", STOP, opts.force and { force = true } or nil, opts)
end

---Freezes it with its memory and waits until it is paused; `resume` goes on where it
---was. kind "unsupported" where its class cannot (containers); "invalid" when it is not
---started.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function changes.pause(self, opts)
  return change.make(self, "pause", PAUSE, nil, options.check("pause", CHANGE, opts))
end

---Goes on with a paused sandbox: `start` under another name. Previews keep their token.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }
---@return daytona.Sandbox?
---@return daytona.Error?
function changes.resume(self, opts)
  return change.make(self, "start", START, nil, options.check("resume", CHANGE, opts))
end

---Moves a stopped sandbox into cold storage, where it costs less and starts slower, and
---waits until that is done; it takes the service from seconds to minutes. kind "invalid"
---when it is not stopped, or ephemeral.
---@param self daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean }  seconds (300, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function changes.archive(self, opts)
  opts = options.copy(options.check("archive", CHANGE, opts))
  opts.timeout = opts.timeout or 300
  return change.make(self, "archive", ARCHIVE, nil, opts)
end

return changes
