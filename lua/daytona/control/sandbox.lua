-- A sandbox: its fields, its life (start, stop, delete, waiting) and its
-- settings. What runs or is stored inside it is in process.lua, session.lua, job.lua,
-- pty.lua, interpreter.lua, fs.lua, git.lua, lsp.lua, computer.lua, machine.lua, telemetry.lua,
-- access.lua.

local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local process = require "daytona.toolbox.process"
local random = require "daytona.base.random"
local url = require "daytona.http.url"
local names = require "daytona.http.names"

---A sandbox. Its fields are the service's, in snake_case, as of the last answer
---about it; `refresh` asks again. `raw` is that answer as it came.
---@class daytona.Sandbox
---@field id string
---@field name? string
---@field state? string         "started", "stopped", ...
---@field organization_id? string
---@field user? string
---@field target? string
---@field env? table<string, string>
---@field labels? table<string, string>
---@field public? boolean
---@field cpu? number
---@field memory? number        GiB
---@field disk? number          GiB
---@field gpu? number
---@field snapshot? string      name of the snapshot it was made from
---@field auto_stop_interval? integer     minutes
---@field auto_archive_interval? integer  minutes
---@field auto_delete_interval? integer   minutes; negative: never
---@field error_reason? string
---@field created_at? string
---@field updated_at? string
---@field last_activity_at? string
---@field toolbox_proxy_url? string
---@field raw table
---@field client daytona.Client
---@field fs daytona.FileSystem
---@field git daytona.Git
---@field interpreter daytona.Interpreter
---@field computer daytona.Computer
---@field session fun(self: daytona.Sandbox, id?: string, opts?: { create?: boolean }): daytona.Session?, daytona.Error?
---@field sessions fun(self: daytona.Sandbox): daytona.Session[]?, daytona.Error?
---@field entrypoint fun(self: daytona.Sandbox): daytona.Command?, daytona.Error?
---@field popen fun(self: daytona.Sandbox, command: string|string[], opts?: table): daytona.Job?, daytona.Error?
---@field job fun(self: daytona.Sandbox, id: string, opts?: { offset?: integer, stderr_offset?: integer }): daytona.Job?, daytona.Error?
---@field jobs fun(self: daytona.Sandbox): daytona.Job[]?, daytona.Error?
---@field pty fun(self: daytona.Sandbox, which?: string|table): daytona.Pty?, daytona.Error?
---@field ptys fun(self: daytona.Sandbox): daytona.Pty[]?, daytona.Error?
---@field lsp fun(self: daytona.Sandbox, language: string, root: string): daytona.LanguageServer
local Sandbox = {}

Sandbox.exec = process.exec
Sandbox.run = process.run

-- What is loaded with its first use.
local later = methods.later

Sandbox.session = later("daytona.toolbox.session", "session")
Sandbox.sessions = later("daytona.toolbox.session", "sessions")
Sandbox.entrypoint = later("daytona.toolbox.session", "entrypoint")
Sandbox.popen = later("daytona.toolbox.job", "popen")
Sandbox.job = later("daytona.toolbox.job", "job")
Sandbox.jobs = later("daytona.toolbox.job", "jobs")
Sandbox.pty = later("daytona.toolbox.pty", "open")
Sandbox.ptys = later("daytona.toolbox.pty", "list")
Sandbox.lsp = later("daytona.toolbox.lsp", "lsp")
Sandbox.ports = later("daytona.toolbox.machine", "ports")
Sandbox.port_in_use = later("daytona.toolbox.machine", "port_in_use")
Sandbox.wait_for_port = later("daytona.toolbox.machine", "wait_for_port")
Sandbox.set_env = later("daytona.toolbox.machine", "set_env")
Sandbox.metrics_latest = later("daytona.toolbox.machine", "metrics_latest")
Sandbox.keep_alive = later("daytona.toolbox.machine", "keep_alive")
Sandbox.metrics = later("daytona.control.telemetry", "metrics")
Sandbox.build_logs = later("daytona.control.build_log", "build_logs")
Sandbox.logs = later("daytona.control.telemetry", "logs")
Sandbox.traces = later("daytona.control.telemetry", "traces")
Sandbox.trace = later("daytona.control.telemetry", "trace")
Sandbox.download_url = later("daytona.control.access", "download_url")
Sandbox.upload_url = later("daytona.control.access", "upload_url")
Sandbox.rotate_signing_key = later("daytona.control.access", "rotate_signing_key")
Sandbox.ssh_access = later("daytona.control.access", "ssh_access")
Sandbox.revoke_ssh_access = later("daytona.control.access", "revoke_ssh_access")
Sandbox.expire_preview_url = later("daytona.control.access", "expire_preview_url")

local Meta = { __name = "daytona.Sandbox" }

-- What is made when it is first asked for: file, and so module, by field.
local NOUNS = {
  fs = "daytona.toolbox.fs", git = "daytona.toolbox.git",
  interpreter = "daytona.toolbox.interpreter", computer = "daytona.toolbox.computer",
}

function Meta.__index(self, key)
  local member = Sandbox[key]
  if member ~= nil then return member end
  if NOUNS[key] then
    local noun = require(NOUNS[key]).new(self)
    rawset(self, key, noun)
    return noun
  end
end

---"sandbox (name, started)"
function Meta.__tostring(self)
  local name = self.name or self.id
  return string.format("sandbox (%s, %s)", tostring(name), tostring(self.state or "unknown"))
end

-- How long the end of a scope may take to delete a sandbox, seconds.
local CLOSE_TIMEOUT = 30

---Deletes the sandbox, shielded from cancellation, for at most 30 seconds. This
---is what `local sb <close> = ...` and `daytona.using` do at the end. Raises
---nothing; returns what `delete` does.
---@return true?
---@return daytona.Error?
function Sandbox:close()
  return loop.shield(Sandbox.delete, self, { timeout = CLOSE_TIMEOUT })
end

function Meta.__close(self)
  Sandbox.close(self)
end

--- Fields ---------------------------------------------------------------------------

-- Takes over an answer of the service.
local function apply(self, raw)
  for name in pairs(self.raw or {}) do
    local field = names.snake_name(name)
    if Sandbox[field] == nil and field ~= "id" then self[field] = nil end
  end
  for name, value in pairs(raw) do
    local field = names.snake_name(name)
    -- A field that is new to us must not hide a method.
    if Sandbox[field] == nil and field ~= "client" then
      if field == "labels" or field == "env" then self[field] = value
      else self[field] = names.to_lua(value) end
    end
  end
  self.raw = raw
  return self
end

local M = {}

---A sandbox object of a service's answer.
---@param client daytona.Client
---@param raw table
---@return daytona.Sandbox
function M.new(client, raw)
  return apply(setmetatable({ client = client }, Meta), raw)
end

-- What is relied on here; whatever else comes is the caller's to look at.
local TYPES = {
  id = "string", name = "string", state = "string", errorReason = "string", toolboxProxyUrl = "string",
  labels = "table", env = "table",
}

---What an answer about a sandbox is instead, or nil: the `flaw` of requests.
---@param raw table
---@return string?
function M.flaw(raw)
  for field, kind in pairs(TYPES) do
    local value = raw[field]
    if value ~= nil and type(value) ~= kind then
      return string.format("no sandbox ('%s' is a %s)", field, type(value))
    end
    if kind == "table" then
      for _, item in pairs(value or {}) do
        if type(item) ~= "string" then return string.format("no sandbox ('%s' holds a %s)", field, type(item)) end
      end
    end
  end
end

---The same where the answer must be a whole sandbox.
---@param raw table
---@return string?
function M.absent(raw)
  if raw.id == nil or raw.id == "" then return "no sandbox (it has no id)" end
  return M.flaw(raw)
end

--- Rows: what lists are made of --------------------------------------------------------

-- A row is the answer's item behind a metatable, nothing more, so that a list of
-- 10,000 costs little. The first use of a method makes it a sandbox, in place.
local Row = { __name = "daytona.Sandbox", __tostring = Meta.__tostring }

function Row.__index(self, key)
  local value = rawget(self, "raw")[names.camel_name(key)]
  if value ~= nil and Sandbox[key] == nil then
    if type(value) == "table" and key ~= "labels" and key ~= "env" then return names.to_lua(value) end
    return value
  end
  if Sandbox[key] == nil and not NOUNS[key] then return nil end
  return apply(setmetatable(self, Meta), rawget(self, "raw"))[key]
end

Row.__close = Meta.__close

---A row of a list: reads like a sandbox, and becomes one when it is used.
---@param client daytona.Client
---@param raw table
---@return daytona.Sandbox
function M.row(client, raw)
  return setmetatable({ client = client, raw = raw }, Row)
end

---Whether a value is a sandbox, or a row of a list.
---@param value any
---@return boolean
function M.is(value)
  local meta = getmetatable(value)
  return meta == Meta or meta == Row
end

--- Requests about it ---------------------------------------------------------------------

-- What is done to a sandbox: method, path (`{}` is its id), what comes back.
local CALLS = {
  refresh         = { "GET",    "/sandbox/{}" },
  start           = { "POST",   "/sandbox/{}/start" },
  stop            = { "POST",   "/sandbox/{}/stop" },
  delete          = { "DELETE", "/sandbox/{}", optional = true },
  set_labels      = { "PUT",    "/sandbox/{}/labels" },
  set_auto_stop_interval    = { "POST", "/sandbox/{}/autostop/{}", safe = true },
  set_auto_archive_interval = { "POST", "/sandbox/{}/autoarchive/{}", safe = true },
  set_auto_delete_interval  = { "POST", "/sandbox/{}/autodelete/{}", safe = true },
  touch           = { "POST",   "/sandbox/{}/last-activity", answer = "none", safe = true },
  preview_url     = { "GET",    "/sandbox/{}/ports/{}/preview-url" },
  signed_preview_url = { "GET", "/sandbox/{}/ports/{}/signed-preview-url" },
  toolbox_url     = { "GET",    "/sandbox/{}/toolbox-proxy-url" },
}

-- Asked of the sandbox itself, not of the control plane.
local TOOLBOX_CALLS = {
  home_dir = { "GET", "/user-home-dir" },
  work_dir = { "GET", "/work-dir" },
  version  = { "GET", "/version" },
}

-- Makes one of CALLS; `more` are further fields of the request.
local function call(self, operation, more, number)
  local spec = CALLS[operation]
  local request = more or {}
  request.method, request.path = spec[1], url.path(spec[2], self.id, number)
  request.answer, request.optional, request.safe = spec.answer or "object", spec.optional, spec.safe
  if request.answer == "none" then request.answer = nil end
  request.flaw = M.flaw
  request.operation, request.sandbox = operation, self
  local response, err = http.request(self.client:connection_of(operation), request)
  if not response then return nil, err end
  return response.json or true
end

-- The same, when what comes back is the sandbox. self, or nil, err.
local function call_and_apply(self, operation, more, number)
  local raw, err = call(self, operation, more, number)
  if not raw then return nil, err end
  if raw ~= true and raw.id then apply(self, raw) end
  return self
end

---Asks the service for the current fields.
---@param opts? { timeout?: number }
---@return daytona.Sandbox?
---@return daytona.Error?
function Sandbox:refresh(opts)
  opts = options.check("refresh", { timeout = "seconds" }, opts)
  return call_and_apply(self, "refresh", { timeout = opts.timeout })
end

--- Waiting ------------------------------------------------------------------------------

local FAILED = { error = true, build_failed = true }

-- Between looks: the first is early for the sake of near servers.
local FIRST_POLL, LONGEST_POLL, POLL_GROWTH = 0.05, 5, 1.5

-- A single look may take so long, and so many may fail in a row.
local LOOK_TIMEOUT, FAILED_LOOKS = 30, 5

local function left_until(deadline)
  return deadline and deadline - loop.now()
end

local function deadline_after(timeout)
  return timeout > 0 and loop.now() + timeout or nil
end

-- Looks once. The state, or nil, err; gone is the state "destroyed".
local function look(self, gone_is_fine, timeout)
  local fine, err = call_and_apply(self, "refresh", { timeout = timeout })
  if fine then return self.state or "unknown" end
  if gone_is_fine and errors.is(err, "not_found") then
    self.state = "destroyed"
    return self.state
  end
  return nil, err
end

local function state_error(self, operation, message, code)
  return errors.new {
    kind = code and "timeout" or "state", code = code, operation = operation, sandbox = self,
    message = message,
  }
end

local function failed_error(self, operation)
  local reason = self.error_reason
  return state_error(self, operation, "the sandbox is in state " .. tostring(self.state)
    .. (reason and reason ~= "" and ": " .. reason or ""))
end

-- The failure of a step on the way, as one of the whole operation.
local function failed_on_the_way(self, operation, err)
  err.operation, err.sandbox = operation, self
  return nil, err
end

-- Waits until the state is one of `targets`. A failed state counts only when it
-- was seen to come: `before` is the state when the wait was asked for. What may
-- pass (a lost connection, a 502) is tolerated a few times. true, or nil, err.
local function wait_until(self, operation, targets, deadline, before, gone_is_fine)
  if targets[self.state] then return true end
  local delay, failures, changed = FIRST_POLL, 0, self.state ~= before
  while true do
    if changed and FAILED[self.state] then return nil, failed_error(self, operation) end
    local left = left_until(deadline)
    local last = left and left <= 0
    if not last then
      local pause = delay * (0.8 + 0.4 * random.chance())
      local slept, err = loop.sleep(left and math.min(pause, left) or pause)
      if not slept then return failed_on_the_way(self, operation, err) end
      delay = math.min(delay * POLL_GROWTH, LONGEST_POLL)
    end
    local state, err = look(self, gone_is_fine, last and 5 or LOOK_TIMEOUT)
    if state then
      failures = 0
      changed = changed or state ~= before
      if targets[state] then return true end
    else
      failures = failures + 1
      if errors.is(err, "canceled") or not err.retryable or failures > FAILED_LOOKS then
        return failed_on_the_way(self, operation, err)
      end
    end
    if last then
      if changed and FAILED[self.state] then return nil, failed_error(self, operation) end
      return nil, state_error(self, operation, string.format(
        "the sandbox was still %s when the time was over", tostring(self.state)), "wait")
    end
  end
end

M.wait_until = wait_until

local WAIT = { timeout = "seconds" }

---Waits until the sandbox is in one of the states; a sandbox that is gone is
---in state "destroyed". Fails with kind "state" when it comes into state
---"error" or "build_failed", "timeout" when the time is over.
---@param states? string|string[]         "started"
---@param opts? { timeout?: number }      seconds; 60, 0 for none
---@return daytona.Sandbox?
---@return daytona.Error?
function Sandbox:wait(states, opts)
  states = states or "started"
  if type(states) == "string" then states = { states } end
  options.argument("wait: states", "list", states)
  opts = options.check("wait", WAIT, opts)
  local targets = {}
  for _, state in ipairs(states) do targets[state] = true end
  -- Who waits for the end waits through an error that was there before.
  local before = targets.destroyed and self.state or nil
  local state, err = look(self, targets.destroyed, LOOK_TIMEOUT)
  if not state and not err.retryable then return nil, err end
  local fine
  fine, err = wait_until(self, "wait", targets, deadline_after(opts.timeout or 60), before, targets.destroyed)
  if not fine then return nil, err end
  return self
end

--- Start, stop, delete --------------------------------------------------------------------

-- What each change is: where it must end, what is on the way there.
local CHANGES = {
  start = {
    ends = { started = true },
    under_way = { starting = true, restoring = true, resuming = true, creating = true,
                  pulling_snapshot = true, pending_build = true, building_snapshot = true, unknown = true },
  },
  stop = {
    ends = { stopped = true, destroyed = true, archived = true },
    under_way = { stopping = true, archiving = true, destroying = true },
    gone_is_fine = true,
  },
  delete = {
    ends = { destroyed = true },
    under_way = { destroying = true },
    gone_is_fine = true,
  },
}

-- The service refused a change. Perhaps because there is nothing to do, or it is
-- under way already; perhaps because another change is. "done", "wait", "again",
-- or nil when the refusal stands.
local function judge_refusal(self, change, err)
  if errors.is(err, "not_found") then return change.gone_is_fine and "gone" or nil end
  if not (errors.is(err, "conflict") or errors.is(err, "invalid")) then return nil end
  local state = look(self, change.gone_is_fine, LOOK_TIMEOUT)
  if not state then return nil end
  if change.ends[state] then return "done" end
  if change.under_way[state] then return "wait" end
  return errors.is(err, "conflict") and "again" or nil
end

-- Asks for a change until the service takes it. "done", "wait", or nil, err.
local function ask(self, operation, query, deadline)
  local change = CHANGES[operation]
  local delay = 4 * FIRST_POLL
  while true do
    local left = left_until(deadline)
    local fine, err = call_and_apply(self, operation, {
      query = query, timeout = left and math.max(left, 0.001) or 0,
    })
    if fine then return "wait" end
    local verdict = judge_refusal(self, change, err)
    if verdict == "gone" then self.state = "destroyed"; return "done" end
    if verdict ~= "again" then return verdict, err end
    left = left_until(deadline)
    if left and left <= delay then return nil, err end
    local slept, why = loop.sleep(delay)
    if not slept then return failed_on_the_way(self, operation, why) end
    delay = math.min(delay * POLL_GROWTH, LONGEST_POLL)
  end
end

local function change_state(self, operation, query, timeout, wait)
  local change, before = CHANGES[operation], self.state
  local deadline = deadline_after(timeout)
  local verdict, err = ask(self, operation, query, deadline)
  if not verdict then return nil, err end
  if verdict == "done" or not wait then return self end
  local fine
  fine, err = wait_until(self, operation, change.ends, deadline, before, change.gone_is_fine)
  if not fine then return nil, err end
  return self
end

local CHANGE = { timeout = "seconds", wait = "boolean", force = "boolean" }

local START = { timeout = "seconds", wait = "boolean" }

---Starts it (from stopped, archived or paused) and waits until it is started.
---Success when it is started already.
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function Sandbox:start(opts)
  opts = options.check("start", START, opts)
  return change_state(self, "start", nil, opts.timeout or 60, opts.wait ~= false)
end

---Stops it and waits until it is stopped; an ephemeral sandbox is destroyed by
---this. Success when it is stopped, or gone, already.
---@param opts? { timeout?: number, wait?: boolean, force?: boolean }  force: kill at once
---@return daytona.Sandbox?
---@return daytona.Error?
function Sandbox:stop(opts)
  opts = options.check("stop", CHANGE, opts)
  local query = opts.force and { force = true } or nil
  return change_state(self, "stop", query, opts.timeout or 60, opts.wait ~= false)
end

---Deletes it. Success when it is gone already. The service frees it in the
---background; with `wait` the call returns when it is gone.
---@param opts? { timeout?: number, wait?: boolean, force?: boolean }  seconds (60); wait: false
---@return daytona.Sandbox?
---@return daytona.Error?
function Sandbox:delete(opts)
  opts = options.check("delete", CHANGE, opts)
  local query = opts.force and { force = true } or nil
  local name = self.name
  local fine, err = change_state(self, "delete", query, opts.timeout or 60, opts.wait == true)
  self.name = name -- the service gives it another one, to free the name
  if not fine then return nil, err end
  if self.state ~= "destroyed" then self.state = "destroying" end
  return self
end

---Starts it unless it is started.
---@param opts? { timeout?: number }
---@return daytona.Sandbox?
---@return daytona.Error?
function Sandbox:ensure_started(opts)
  opts = options.check("ensure_started", WAIT, opts)
  local state, err = look(self, false, opts.timeout)
  if not state then return nil, err end
  if state == "started" then return self end
  return Sandbox.start(self, opts)
end

--- Settings -----------------------------------------------------------------------------

-- Which language code is run in when none is said; lost with the label.
local LANGUAGE_LABEL = process.LANGUAGE_LABEL

---Replaces all labels. The one that says which language `run` takes is kept
---unless `labels` has it.
---@param labels table<string, string>
---@return daytona.Sandbox?
---@return daytona.Error?
function Sandbox:set_labels(labels)
  local all = options.copy(options.argument("set_labels: labels", "map", labels))
  if not self.labels then
    local fine, why = Sandbox.refresh(self)
    if not fine then return nil, why end
  end
  if all[LANGUAGE_LABEL] == nil then all[LANGUAGE_LABEL] = (self.labels or {})[LANGUAGE_LABEL] end
  local raw, err = call(self, "set_labels", { json = { labels = all } })
  if not raw then return nil, err end
  self.labels = raw.labels or all
  return self
end

---Adds labels to those the sandbox has now, replacing those of the same name.
---@param labels table<string, string>
---@return daytona.Sandbox?
---@return daytona.Error?
function Sandbox:merge_labels(labels)
  options.argument("merge_labels: labels", "map", labels)
  local fine, err = Sandbox.refresh(self)
  if not fine then return nil, err end
  local all = options.copy(self.labels)
  for name, value in pairs(labels) do all[name] = value end
  return Sandbox.set_labels(self, all)
end

local function interval_setter(operation, kind)
  return function(self, minutes)
    options.argument(operation .. ": minutes", kind, minutes)
    return call_and_apply(self, operation, nil, minutes)
  end
end

---Minutes without activity after which it is stopped; 0 never.
---@type fun(self: daytona.Sandbox, minutes: integer): daytona.Sandbox?, daytona.Error?
Sandbox.set_auto_stop_interval = interval_setter("set_auto_stop_interval", "count")

---Minutes stopped after which it is archived; 0: as late as the service allows.
---The field afterwards is what the service made of it.
---@type fun(self: daytona.Sandbox, minutes: integer): daytona.Sandbox?, daytona.Error?
Sandbox.set_auto_archive_interval = interval_setter("set_auto_archive_interval", "count")

---Minutes stopped after which it is deleted; 0 at once, negative never.
---@type fun(self: daytona.Sandbox, minutes: integer): daytona.Sandbox?, daytona.Error?
Sandbox.set_auto_delete_interval = interval_setter("set_auto_delete_interval", "integer")

---Counts as activity, so that it is not stopped for being idle.
---@return true?
---@return daytona.Error?
function Sandbox:touch()
  return call(self, "touch")
end

local PREVIEW = { signed = "boolean", expires_in = options.range(1, 86400) }

---The address of a port inside, for browsers and other programs. A plain one
---comes with a token (to send as X-Daytona-Preview-Token) that dies when the
---sandbox restarts; a signed one holds its own and lives for `expires_in`
---seconds, 60 by default.
---@param port integer
---@param opts? { signed?: boolean, expires_in?: integer }
---@return { url: string, token: string, port?: integer, sandbox_id: string }?
---@return daytona.Error?
function Sandbox:preview_url(port, opts)
  options.argument("preview_url: port", options.range(1, 65535), port)
  opts = options.check("preview_url", PREVIEW, opts)
  local operation, query = "preview_url", nil
  if opts.signed or opts.expires_in then
    operation = "signed_preview_url"
    query = opts.expires_in and { expiresInSeconds = opts.expires_in } or nil
  end
  local raw, err = call(self, operation, { query = query }, port)
  if not raw then return nil, err end
  return names.to_lua(raw)
end

--- Inside ---------------------------------------------------------------------------------

local function fetch_toolbox_url(self)
  local raw, err = call(self, "toolbox_url")
  if not raw then return nil, err end
  if type(raw.url) ~= "string" then
    return nil, errors.new {
      kind = "protocol", operation = "connect", sandbox = self, message = "no toolbox URL came back",
    }
  end
  self.toolbox_proxy_url = raw.url
  return raw.url
end

local GONE = { destroying = true, destroyed = true }

-- A connection to the daemon at that address.
local function connect(self, address)
  if not address or address == "" then
    local err
    address, err = fetch_toolbox_url(self)
    if not address then return nil, err end
  end
  local connection, err = self.client:toolbox_connection(address, self.id)
  if not connection then return nil, err end
  connection.address = address
  rawset(self, "_toolbox", connection)
  return connection
end

---The way to the daemon inside. It follows the sandbox's URL, which may change. What
---was looked at to find it is noted in it, for `exec`, which need not ask again.
---@return daytona.Connection?
---@return daytona.Error?
function Sandbox:toolbox()
  if GONE[self.state] then
    return nil, errors.new { kind = "not_found", sandbox = self, message = "the sandbox is deleted" }
  end
  local connection = self._toolbox
  if not connection or connection.address ~= self.toolbox_proxy_url or self.client.closed then
    local err
    connection, err = connect(self, self.toolbox_proxy_url)
    if not connection then return nil, err end
  end
  connection.state = self.state
  return connection
end

local function ask_inside(self, operation, field)
  local connection, err = Sandbox.toolbox(self)
  if not connection then return nil, err end
  local spec = TOOLBOX_CALLS[operation]
  local response
  response, err = http.request(connection, {
    method = spec[1], path = spec[2], answer = "object", operation = operation, sandbox = self,
    flaw = function(raw)
      if type(raw[field]) ~= "string" then return "without '" .. field .. "'" end
    end,
  })
  if not response then return nil, err end
  return response.json[field]
end

---The home directory inside.
---@return string?
---@return daytona.Error?
function Sandbox:home_dir()
  return ask_inside(self, "home_dir", "dir")
end

---The directory that relative paths start from.
---@return string?
---@return daytona.Error?
function Sandbox:work_dir()
  return ask_inside(self, "work_dir", "dir")
end

---The version of the daemon inside.
---@return string?
---@return daytona.Error?
function Sandbox:version()
  return ask_inside(self, "version", "version")
end

M.deadline_after = deadline_after

methods.guard(Sandbox, "daytona.Sandbox", "sandbox", "exec")

return M
