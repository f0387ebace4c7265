-- A sandbox: the object. Its fields are the service's (record.lua), its methods and nouns
-- stand in files of their own, here and in toolbox/, and come together here; so do the
-- rows that lists are made of.

local life = require "daytona.control.life"
local methods = require "daytona.base.methods"
local names = require "daytona.http.names"
local process = require "daytona.toolbox.process"
local record = require "daytona.control.record"
local way = require "daytona.control.way"

---A sandbox. Its fields are the service's, in snake_case, as of the last answer
---about it; `refresh` asks again. `raw` is that answer as it came.
---
---What belongs together stands under a noun: `fs`, `git`, `interpreter`, `computer`,
---`preview`, `ssh`, `telemetry`, `settings`, `family`. All of `settings`, `telemetry` and
---`family` also stands at the sandbox itself (`sb:set_labels{}` is
---`sb.settings:set_labels{}`), and so do `preview_url` (`preview:url`), `expire_preview_url` (`preview:expire`),
---`download_url`, `upload_url`, `rotate_signing_key` (of `preview`), `ssh_access`
---(`ssh:access`) and `revoke_ssh_access` (`ssh:revoke`).
---@class daytona.Sandbox
---@field id string
---@field name? string
---@field state? string         "started", "stopped", ...
---@field desired_state? string what the service wants it to become
---@field organization_id? string
---@field user? string
---@field target? string
---@field env? table<string, string>
---@field labels? table<string, string>
---@field ["public"]? boolean
---@field cpu? number
---@field memory? number        GiB
---@field disk? number          GiB
---@field gpu? number
---@field snapshot? string      name of the snapshot it was made from
---@field sandbox_class? string "container", "linux-vm", ...
---@field auto_stop_interval? integer     minutes
---@field auto_pause_interval? integer    minutes
---@field auto_archive_interval? integer  minutes
---@field auto_delete_interval? integer   minutes; negative: never
---@field auto_destroy_at? string  when its `ttl_minutes` are over
---@field error_reason? string
---@field recoverable? boolean  of state "error": whether `recover` may help
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
---@field preview daytona.Preview
---@field ssh daytona.Ssh
---@field telemetry daytona.Telemetry
---@field settings daytona.Settings
---@field family daytona.Family
---@field start fun(self: daytona.Sandbox, opts?: { timeout?: number, wait?: boolean }): daytona.Sandbox?, daytona.Error?
---@field stop fun(self: daytona.Sandbox, opts?: { timeout?: number, wait?: boolean, force?: boolean }): daytona.Sandbox?, daytona.Error?
---@field pause fun(self: daytona.Sandbox, opts?: { timeout?: number, wait?: boolean }): daytona.Sandbox?, daytona.Error?
---@field resume fun(self: daytona.Sandbox, opts?: { timeout?: number, wait?: boolean }): daytona.Sandbox?, daytona.Error?
---@field archive fun(self: daytona.Sandbox, opts?: { timeout?: number, wait?: boolean }): daytona.Sandbox?, daytona.Error?
---@field delete fun(self: daytona.Sandbox, opts?: { timeout?: number, wait?: boolean, force?: boolean, missing_ok?: boolean }): true?, daytona.Error?
---@field recover fun(self: daytona.Sandbox, opts?: { timeout?: number, wait?: boolean, skip_start?: boolean }): daytona.Sandbox?, daytona.Error?
---@field ensure_started fun(self: daytona.Sandbox, opts?: { timeout?: number }): daytona.Sandbox?, daytona.Error?
---@field close fun(self: daytona.Sandbox): true?, daytona.Error?
---@field run fun(self: daytona.Sandbox, code: string, opts?: { language?: "python"|"javascript"|"typescript", argv?: (string|number)[], env?: table<string, string|number>, timeout?: number, check?: boolean, max_bytes?: integer, on_stdout?: fun(chunk: string), on_stderr?: fun(chunk: string), on_output?: fun(chunk: string, stream: "stdout"|"stderr") }): daytona.RunResult?, daytona.Error?
---@field session fun(self: daytona.Sandbox, id?: string, opts?: { create?: boolean }): daytona.Session?, daytona.Error?
---@field sessions fun(self: daytona.Sandbox): daytona.Session[]?, daytona.Error?
---@field entrypoint fun(self: daytona.Sandbox): daytona.Command?, daytona.Error?
---@field popen fun(self: daytona.Sandbox, command: string|string[], opts?: table): daytona.Job?, daytona.Error?
---@field job fun(self: daytona.Sandbox, id: string, opts?: { offset?: integer, stderr_offset?: integer }): daytona.Job?, daytona.Error?
---@field jobs fun(self: daytona.Sandbox): daytona.Job[]?, daytona.Error?
---@field pty fun(self: daytona.Sandbox, which?: string|table): daytona.Pty?, daytona.Error?
---@field ptys fun(self: daytona.Sandbox): daytona.Pty[]?, daytona.Error?
---@field lsp fun(self: daytona.Sandbox, language: string, root: string): daytona.LanguageServer
---@field preview_url fun(self: daytona.Sandbox, port: integer, opts?: { signed?: boolean, expires_in?: integer }): { url: string, token: string, port?: integer, sandbox_id: string }?, daytona.Error?
---@field expire_preview_url fun(self: daytona.Sandbox, port: integer, token: string): true?, daytona.Error?
---@field download_url fun(self: daytona.Sandbox, path: string, opts?: { ttl?: integer }): string?, daytona.Error?
---@field upload_url fun(self: daytona.Sandbox, path: string, opts?: { ttl?: integer }): string?, daytona.Error?
---@field rotate_signing_key fun(self: daytona.Sandbox): true?, daytona.Error?
---@field ssh_access fun(self: daytona.Sandbox, opts?: { expires_in?: number }): { id: string, token: string, ssh_command: string, expires_at: string, sandbox_id: string }?, daytona.Error?
---@field revoke_ssh_access fun(self: daytona.Sandbox, token?: string): true?, daytona.Error?
---@field forks fun(self: daytona.Sandbox, opts?: { include_destroyed?: boolean }): daytona.Sandbox[]?, daytona.Error?
---@field parent fun(self: daytona.Sandbox): daytona.Sandbox?, daytona.Error?
---@field ancestors fun(self: daytona.Sandbox): daytona.Sandbox[]?, daytona.Error?
---@field set_labels fun(self: daytona.Sandbox, labels: table<string, string>): daytona.Sandbox?, daytona.Error?
---@field merge_labels fun(self: daytona.Sandbox, labels: table<string, string>): daytona.Sandbox?, daytona.Error?
---@field set_auto_stop_interval fun(self: daytona.Sandbox, minutes: integer): daytona.Sandbox?, daytona.Error?
---@field set_auto_pause_interval fun(self: daytona.Sandbox, minutes: integer): daytona.Sandbox?, daytona.Error?
---@field set_auto_archive_interval fun(self: daytona.Sandbox, minutes: integer): daytona.Sandbox?, daytona.Error?
---@field set_auto_delete_interval fun(self: daytona.Sandbox, minutes: integer): daytona.Sandbox?, daytona.Error?
---@field set_ttl fun(self: daytona.Sandbox, minutes: integer): daytona.Sandbox?, daytona.Error?
---@field set_public fun(self: daytona.Sandbox, public: boolean): daytona.Sandbox?, daytona.Error?
---@field set_network fun(self: daytona.Sandbox, limits: { block_all?: boolean, allow?: string|string[], domains?: string|string[] }): daytona.Sandbox?, daytona.Error?
---@field set_secrets fun(self: daytona.Sandbox, secrets: table<string, string>): daytona.Sandbox?, daytona.Error?
---@field disown fun(self: daytona.Sandbox): daytona.Sandbox?, daytona.Error?
---@field set_env fun(self: daytona.Sandbox, changes: { set?: table<string, string>, unset?: string[] }): true?, daytona.Error?
---@field metrics fun(self: daytona.Sandbox, opts?: { from?: number|string, to?: number|string }): daytona.Metrics[]?, daytona.Error?
---@field metrics_latest fun(self: daytona.Sandbox): daytona.Metrics?, daytona.Error?
---@field logs fun(self: daytona.Sandbox, opts?: table): daytona.TelemetryPage?, daytona.Error?
---@field traces fun(self: daytona.Sandbox, opts?: table): daytona.TelemetryPage?, daytona.Error?
---@field trace fun(self: daytona.Sandbox, trace_id: string): table[]?, daytona.Error?
---@field explain fun(self: daytona.Sandbox): daytona.Report?, daytona.Error?
---@field wait_for fun(self: daytona.Sandbox, what: daytona.WaitFor): daytona.Sandbox?, daytona.Error?
---@field request fun(self: daytona.Sandbox, method: string, path: string, opts?: daytona.RequestOptions): daytona.Response?, daytona.Error?
---@field build_logs fun(self: daytona.Sandbox, opts?: { timeout?: number, max_bytes?: integer }): string?, daytona.Error?
local Sandbox = {}

--- Methods -----------------------------------------------------------------------------------

Sandbox.exec = process.exec

Sandbox.refresh = life.refresh
Sandbox.wait = life.wait
Sandbox.home_dir = way.home_dir
Sandbox.work_dir = way.work_dir
Sandbox.version = way.version

-- What is loaded with its first use.
local later = methods.later

Sandbox.start = later("daytona.control.change", "start")
Sandbox.stop = later("daytona.control.change", "stop")
Sandbox.pause = later("daytona.control.change", "pause")
Sandbox.resume = later("daytona.control.change", "resume")
Sandbox.archive = later("daytona.control.change", "archive")
Sandbox.delete = later("daytona.control.change", "delete")
Sandbox.recover = later("daytona.control.recovery", "recover")
Sandbox.ensure_started = later("daytona.control.recovery", "ensure_started")
Sandbox.close = later("daytona.control.scope", "close")
Sandbox.run = later("daytona.toolbox.run", "run")
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
Sandbox.keep_alive = later("daytona.toolbox.machine", "keep_alive")
Sandbox.explain = later("daytona.control.explain", "explain")
Sandbox.wait_for = later("daytona.control.wait_for", "wait_for")
Sandbox.request = later("daytona.control.raw", "of_sandbox")
Sandbox.touch = later("daytona.control.family", "touch")
Sandbox.resize = later("daytona.control.family", "resize")
Sandbox.fork = later("daytona.control.family", "fork")
Sandbox.create_snapshot = later("daytona.control.family", "create_snapshot")

--- Nouns -------------------------------------------------------------------------------------

-- Noun -> its module.
local NOUNS = {
  fs = "daytona.toolbox.fs", git = "daytona.toolbox.git",
  interpreter = "daytona.toolbox.interpreter", computer = "daytona.toolbox.computer",
  preview = "daytona.control.preview", ssh = "daytona.control.ssh",
  telemetry = "daytona.control.telemetry", settings = "daytona.control.settings",
  family = "daytona.control.family",
}

-- Method of a sandbox -> noun, and method of that.
local ALIASES = {
  preview_url = { "preview", "url" }, expire_preview_url = { "preview", "expire" },
  ssh_access = { "ssh", "access" }, revoke_ssh_access = { "ssh", "revoke" },
}
for noun, list in pairs {
  family = { "forks", "parent", "ancestors", "disown" },
  preview = { "download_url", "upload_url", "rotate_signing_key" },
  telemetry = { "metrics", "metrics_latest", "logs", "traces", "trace", "build_logs" },
  settings = {
    "set_labels", "merge_labels", "set_auto_stop_interval", "set_auto_pause_interval", "set_auto_archive_interval",
    "set_auto_delete_interval", "set_ttl", "set_public", "set_network", "set_secrets", "set_env",
  },
} do
  for _, name in ipairs(list) do ALIASES[name] = { noun, name } end
end

local Aliases = {}
for name, place in pairs(ALIASES) do
  local noun, method = place[1], place[2]
  Aliases[name] = function(self, ...)
    local object = self[noun]
    return object[method](object, ...)
  end
end

-- What `ports` and `wait_for` say, too, is there but not shown.
for _, name in ipairs { "port_in_use", "wait_for_port" } do
  Aliases[name], Sandbox[name] = Sandbox[name], nil
end

Aliases.toolbox = way.toolbox -- for the nouns alone

methods.guard(Aliases, "daytona.Sandbox", "sandbox")
methods.guard(Sandbox, "daytona.Sandbox", "sandbox", "exec")

local Meta = { __name = "daytona.Sandbox", __index = Sandbox }

for _, class in ipairs { Sandbox, NOUNS, Aliases } do
  for name in pairs(class) do record.own[name] = true end
end
record.own.client, record.own.raw = true, true

setmetatable(Sandbox, { __index = Aliases })
setmetatable(Aliases, { __index = methods.elsewhere("daytona.Sandbox", "sandbox") })

---"sandbox (name, started)"
function Meta.__tostring(self)
  local name = self.name or self.id
  return string.format("sandbox (%s, %s)", tostring(name), tostring(self.state or "unknown"))
end

-- A scope returns nothing: what could not be deleted at its end is told where people look.
function Meta.__close(self)
  local gone, err = require("daytona.control.scope").close(self)
  if not gone then
    require("daytona.loop.unhandled").report(err, "a sandbox could not be deleted at the end of its scope")
  end
end

-- Fields, nouns and methods, for those who look what there is.
function Meta.__pairs(self)
  return methods.listing(self, Sandbox)
end

local M = {}

---A sandbox object of a service's answer.
---@param client daytona.Client
---@param raw table
---@return daytona.Sandbox
function M.new(client, raw)
  local self = setmetatable({ client = client, _toolbox = false }, Meta) -- there is no way yet (way.lua)
  methods.nouns(self, NOUNS)
  return record.apply(self, raw)
end

--- Rows: what lists are made of --------------------------------------------------------------

-- A row is the answer's values behind a metatable of those with the same client and fields,
-- so that a list of 10,000 costs little. The first use of a method makes it a sandbox, in place.
local function grown(self, shape)
  local raw = require("daytona.control.row").unpack(self, shape)
  self.client = shape.client
  rawset(self, "_toolbox", false)
  methods.nouns(setmetatable(self, Meta), NOUNS)
  return record.apply(self, raw)
end

-- The metatable of rows of these fields.
local function row_class(client, shape)
  shape.__name, shape.__close, shape.is_row, shape.client = "daytona.Sandbox", Meta.__close, true, client
  function shape.__index(self, key)
    if not record.own[key] then
      local place = type(key) == "string" and shape.place[names.camel_name(key)]
      if place then return record.value(key, rawget(self, place)) end
      if Sandbox[key] == nil then return nil end
    end
    return grown(self, shape)[key]
  end
  function shape.__tostring(self) return Meta.__tostring(self) end
  function shape.__pairs(self) return Meta.__pairs(grown(self, shape)) end
  return shape
end

---A row of a list: reads like a sandbox, and becomes one when it is used.
---@param client daytona.Client
---@param raw table  is not kept
---@return daytona.Sandbox
function M.row(client, raw)
  local shapes = rawget(client, "_rows")
  if not shapes then
    shapes = {}
    rawset(client, "_rows", shapes)
  end
  local pack = require("daytona.control.row").pack -- a program that lists nothing needs none
  return setmetatable(pack(raw, shapes, function(shape) return row_class(client, shape) end))
end

---Whether a value is a sandbox, or a row of a list.
---@param value any
---@return boolean
function M.is(value)
  local meta = getmetatable(value)
  return meta == Meta or type(meta) == "table" and rawget(meta, "is_row") or false
end

return M
