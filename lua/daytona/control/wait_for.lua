-- Waiting for what happens in a sandbox: a port, an address, a file, a text in a log, rest.
-- One call for what is else polled by hand.

local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"

local M = {}

local TIMEOUT, FIRST_DELAY, LONGEST_DELAY, GROWTH = 60, 0.1, 2, 1.5

-- So long the sandbox itself looks, ten times a second, in one request.
local ROUND = 20

---What is waited for: one of `port`, `url`, `file`, `log`, `idle`. `file` and `log` together are a text in a file.
---@class daytona.WaitFor
---@field port? integer|string   something listens there; with `url`: where that is asked for
---@field url? string     "/health" (with `port`), or "http://localhost:3000/health": a GET through the preview is
---answered with a status below 400
---@field file? string    there is a file, or folder, of that path
---@field log? string     a text, as it is, in that file; or else in what `of` has printed
---@field of? daytona.Command  with `log`: a command of a session; the sandbox's entrypoint
---@field idle? number    seconds in which less than `cpu` is used
---@field cpu? number     percent of all processors; 5
---@field timeout? number seconds; 60, 0 for none
local WHAT = {
  port = options.is_port, url = "text", file = "text", log = "text", of = "table", idle = "seconds",
  cpu = "number", timeout = "seconds",
}

--- Each of them: true; false, not yet; or nil, err ------------------------------------------------

local function left_of(self)
  return self.deadline and math.max(self.deadline - loop.now(), 0.001) or math.huge
end

-- A shell's condition, looked at from within.
local function holds(self, condition)
  local seconds = math.max(1, math.min(math.ceil(left_of(self)), ROUND))
  local script = "n=%d; while :; do %s && exit 0; n=$((n-1)); [ $n -gt 0 ] || exit 1; sleep 0.1 || sleep 1; done"
  script = script:format(seconds * 10, condition)
  local result, err = self.box:exec(script, { timeout = seconds + 5 })
  if not result then return nil, err end
  return result.exit_code == 0
end

local HOW = {}

function HOW.port(self, what)
  local fine, err = self.box:wait_for_port(what.port, { timeout = self.deadline and left_of(self) or 0 })
  if fine then return true end
  return nil, err
end

function HOW.url(self)
  local response, err = self.box.preview:request(self.port, "GET", self.path, {
    timeout = self.deadline and left_of(self) or 0, max_bytes = 16 * 1024 * 1024,
  })
  if not response then return nil, err end
  return response.status < 400
end

function HOW.file(self, what)
  return holds(self, "[ -e " .. shell.quote(what.file) .. " ]")
end

local function in_file(self, what)
  return holds(self, ("grep -qF -e %s -- %s 2>/dev/null"):format(shell.quote(what.log), shell.quote(what.file)))
end

function HOW.log(self, what)
  if what.file then return in_file(self, what) end
  local command, err = what.of, nil
  if not command then command, err = self.box:entrypoint() end
  if not command then return nil, err end
  local log
  log, err = command:logs()
  if not log then return nil, err end
  return (log.output or log.stdout .. log.stderr):find(what.log, 1, true) ~= nil
end

function HOW.idle(self, what)
  local used, err = self.box:metrics_latest()
  if not used then return nil, err end
  if (tonumber(used.cpu_used_pct) or 0) >= (what.cpu or 5) then
    self.quiet_since = nil
    return false
  end
  self.quiet_since = self.quiet_since or loop.now()
  return loop.now() - self.quiet_since >= what.idle
end

--- Waiting ---------------------------------------------------------------------------------------

local function kind_of(what)
  local found
  for _, name in ipairs { "url", "log", "idle" } do
    if what[name] then
      if found then errors.misuse(1, "wait_for: either '%s' or '%s', not both", found, name) end
      found = name
    end
  end
  if not found then found = what.file and "file" or what.port and "port" end
  if not found then errors.misuse(1, "wait_for: say what: port, url, file, log or idle") end
  local extra = what.port and found ~= "url" and found ~= "port" and "port"
    or what.file and found ~= "log" and found ~= "file" and "file" or what.of and found ~= "log" and "of"
    or what.cpu and found ~= "idle" and "cpu"
  if extra then errors.misuse(1, "wait_for: '%s' does not go with '%s'", extra, found) end
  return found
end

-- Port and path of an address inside.
local function place_of(what)
  local port, path = what.port, what.url
  if path:sub(1, 1) ~= "/" then
    local host, rest
    host, port, rest = path:match "^http://([^/:]+):(%d+)(.*)$"
    if not host or not (host == "localhost" or host:find "^127%.") then
      errors.misuse(1, "wait_for: 'url' is \"/path\", with 'port', or \"http://localhost:PORT/path\"")
    end
    path = rest == "" and "/" or rest
  end
  if not port then errors.misuse(1, "wait_for: 'url' needs 'port'") end
  return tonumber(port), path
end

local function too_late(self, what, kind, cause)
  local of = what[kind]
  return nil, errors.new {
    kind = "timeout", code = "wait", operation = "wait_for", sandbox = self.box, cause = cause,
    message = ("it did not happen within %g seconds: %s %s"):format(what.timeout or TIMEOUT, kind, tostring(of)),
  }
end

---Waits until something is so in the sandbox: a port is listened on, an address answers,
---a file is there, a text stands in a log, or it has come to rest.
---
---    assert(sb:wait_for { port = 3000, timeout = 60 })
---    assert(sb:wait_for { port = 3000, url = "/health" })
---    assert(sb:wait_for { file = "/tmp/server.log", log = "listening" })
---    assert(sb:wait_for { idle = 10 })
---
---self, or nil and an error: kind "timeout" when the time is over; what passes (a lost
---connection, a busy service) is waited through.
---@param self daytona.Sandbox
---@param what daytona.WaitFor
---@return daytona.Sandbox?
---@return daytona.Error?
function M.wait_for(self, what)
  options.argument("wait_for: what", "table", what)
  options.check("wait_for", WHAT, what)
  local kind, timeout, delay = kind_of(what), what.timeout or TIMEOUT, FIRST_DELAY
  local wait = { box = self, deadline = timeout > 0 and loop.now() + timeout or nil }
  if kind == "url" then wait.port, wait.path = place_of(what) end
  while true do
    local so, err = HOW[kind](wait, what)
    if so then return self end
    if so == nil and not err.retryable then return nil, err end
    if wait.deadline and loop.now() + delay >= wait.deadline then return too_late(wait, what, kind, err) end
    local slept, why = loop.sleep(delay)
    if not slept then return nil, why end
    delay = math.min(delay * GROWTH, LONGEST_DELAY)
  end
end

return M
