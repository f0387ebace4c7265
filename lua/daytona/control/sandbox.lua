-- A sandbox: the object. Its fields are the service's (record.lua), its methods and nouns
-- stand in files of their own, here and in toolbox/, and come together here. The rows of
-- lists, which become sandboxes when they are used, are in row.lua.

local core = require "daytona.base.native"
local life = require "daytona.control.life"
local methods = require "daytona.base.methods"
local process = require "daytona.toolbox.process"
local record = require "daytona.control.record"
local way = require "daytona.control.way"

---A sandbox. Its fields are the service's, in snake_case, as of the last answer
---about it; `refresh` asks again. `raw` is that answer as it came.
---
---What belongs together stands under a noun: `fs`, `git`, `interpreter`, `computer`, `machine`,
---`running`, `preview`, `ssh`, `telemetry`, `settings`, `family`, `life`. All of `settings`,
---`telemetry`, `family`, `life`, `machine` and `running` also stands at the sandbox itself
---(`sb:set_labels{}` is `sb.settings:set_labels{}`, `sb:pause()` is `sb.life:pause()`), and so do
---`preview_url` (`preview:url`), `expire_preview_url` (`preview:expire`), `download_url`,
---`upload_url`, `rotate_signing_key` (of `preview`), `ssh_access` (`ssh:access`) and
---`revoke_ssh_access` (`ssh:revoke`). `pairs` and completion show what stands at the sandbox
---alone, the nouns, and the steps of every program.
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
---@field life daytona.Life
---@field machine daytona.Machine
---@field running daytona.Running
local Sandbox = {}

--- Methods -----------------------------------------------------------------------------------

Sandbox.exec = process.exec

Sandbox.refresh = life.refresh

-- What is loaded with its first use.
local later = methods.later

Sandbox.wait = later("daytona.control.wait", "wait")
Sandbox.start = later("daytona.control.changes", "start")
Sandbox.stop = later("daytona.control.changes", "stop")
Sandbox.delete = later("daytona.control.change", "delete")
Sandbox.close = later("daytona.control.scope", "close")
Sandbox.run = later("daytona.toolbox.run", "run")
Sandbox.session = later("daytona.toolbox.session", "session")
Sandbox.popen = later("daytona.toolbox.job", "popen")
Sandbox.pty = later("daytona.toolbox.pty", "open")
Sandbox.lsp = later("daytona.toolbox.lsp", "lsp")
Sandbox.explain = later("daytona.control.explain", "explain")
Sandbox.wait_for = later("daytona.control.wait_for", "wait_for")
Sandbox.request = later("daytona.control.raw", "of_sandbox")
Sandbox.touch = later("daytona.control.family", "touch")
Sandbox.resize = later("daytona.control.family", "resize")
Sandbox.create_snapshot = later("daytona.control.family", "create_snapshot")

-- What also stands under a noun is there, but not shown: `pairs` and completion show no more
-- than thirty names besides the fields.
local Unseen = {}

Unseen.pause = later("daytona.control.changes", "pause")
Unseen.resume = later("daytona.control.changes", "resume")
Unseen.archive = later("daytona.control.changes", "archive")
Unseen.recover = later("daytona.control.recovery", "recover")
Unseen.ensure_started = later("daytona.control.recovery", "ensure_started")
Unseen.fork = later("daytona.control.fork", "fork")
Unseen.sessions = later("daytona.toolbox.session", "sessions")
Unseen.entrypoint = later("daytona.toolbox.session", "entrypoint")
Unseen.job = later("daytona.toolbox.job", "job")
Unseen.jobs = later("daytona.toolbox.job", "jobs")
Unseen.ptys = later("daytona.toolbox.pty", "list")
Unseen.home_dir = later("daytona.toolbox.machine", "home_dir")
Unseen.work_dir = later("daytona.toolbox.machine", "work_dir")
Unseen.version = later("daytona.toolbox.machine", "version")
Unseen.ports = later("daytona.toolbox.machine", "ports")
Unseen.port_in_use = later("daytona.toolbox.machine", "port_in_use")
Unseen.wait_for_port = later("daytona.toolbox.machine", "wait_for_port")
Unseen.keep_alive = later("daytona.toolbox.machine", "keep_alive")
Unseen.toolbox = way.toolbox -- for the nouns alone

--- Nouns -------------------------------------------------------------------------------------

-- Noun -> its module.
local NOUNS = {
  fs = "daytona.toolbox.fs", git = "daytona.toolbox.git",
  interpreter = "daytona.toolbox.interpreter", computer = "daytona.toolbox.computer",
  running = "daytona.toolbox.running", machine = "daytona.toolbox.machine",
  preview = "daytona.control.preview", ssh = "daytona.control.ssh",
  telemetry = "daytona.control.telemetry", settings = "daytona.control.settings",
  family = "daytona.control.family", life = "daytona.control.changes",
}

-- Methods of nouns that also stand at the sandbox: name there -> noun.
local ALIASES = {
  preview_url = "preview", expire_preview_url = "preview", download_url = "preview", upload_url = "preview",
  rotate_signing_key = "preview", ssh_access = "ssh", revoke_ssh_access = "ssh",
  forks = "family", parent = "family", ancestors = "family", disown = "family",
  metrics = "telemetry", metrics_latest = "telemetry", logs = "telemetry", traces = "telemetry", trace = "telemetry",
  build_logs = "telemetry",
  set_labels = "settings", merge_labels = "settings", set_auto_stop_interval = "settings",
  set_auto_pause_interval = "settings", set_auto_archive_interval = "settings", set_auto_delete_interval = "settings",
  set_ttl = "settings", set_public = "settings", set_network = "settings", set_secrets = "settings",
  set_env = "settings",
}

-- What those of another name are called under their noun.
local RENAMED = {
  preview_url = "url", expire_preview_url = "expire", ssh_access = "access", revoke_ssh_access = "revoke",
}

local elsewhere = methods.elsewhere("daytona.Sandbox", "sandbox")

-- Makes the method that an alias is, with its first use.
local function alias(unseen, name)
  local noun, method = ALIASES[name], RENAMED[name] or name
  if not noun then return elsewhere(unseen, name) end
  local made = methods.checked(function(self, ...)
    local object = self[noun]
    return object[method](object, ...)
  end, name, "daytona.Sandbox", "sandbox")
  rawset(unseen, name, made)
  return made
end

methods.guard(Unseen, "daytona.Sandbox", "sandbox")
methods.guard(Sandbox, "daytona.Sandbox", "sandbox", "exec")

local Meta = { __name = "daytona.Sandbox", __index = Sandbox }

for _, class in ipairs { Sandbox, NOUNS, Unseen, ALIASES } do
  for name in pairs(class) do record.own[name] = true end
end
record.own.client, record.own.raw = true, true

setmetatable(Sandbox, { __index = Unseen })
setmetatable(Unseen, { __index = alias })

---"sandbox (name, started)"
---@private
function Meta.__tostring(self)
  local name = self.name or self.id
  return string.format("sandbox (%s, %s)", tostring(name), tostring(self.state or "unknown"))
end

-- A scope returns nothing: what could not be deleted at its end is told where people look.
---@private
function Meta.__close(self)
  core.hand_over() -- to what deletes it whatever raises
  local gone, err = require("daytona.control.scope").close(self)
  if not gone then
    require("daytona.loop.unhandled").report(err, "a sandbox could not be deleted at the end of its scope")
  end
end

-- Fields, nouns and methods, for those who look what there is.
---@private
function Meta.__pairs(self)
  return methods.listing(self, Sandbox)
end

local M = { Meta = Meta, methods = Sandbox }

---Makes a table with a `client` the sandbox that the service's answer tells of.
---@param self table
---@param raw table
---@return daytona.Sandbox
function M.become(self, raw)
  rawset(self, "_toolbox", false) -- there is no way yet (way.lua)
  methods.nouns(setmetatable(self, Meta), NOUNS)
  return record.apply(self, raw)
end

---A sandbox object of a service's answer.
---@param client daytona.Client
---@param raw table
---@return daytona.Sandbox
function M.new(client, raw)
  return M.become({
    client = client, _toolbox = false, raw = nil,
    -- With room for what it will have: a table that grows is dear.
    id = nil, name = nil, state = nil, desired_state = nil, organization_id = nil, user = nil, target = nil, env = nil,
    labels = nil, public = nil, cpu = nil, memory = nil, disk = nil, gpu = nil, snapshot = nil, sandbox_class = nil,
    auto_stop_interval = nil, auto_archive_interval = nil, auto_delete_interval = nil, created_at = nil,
    updated_at = nil, toolbox_proxy_url = nil, fs = nil, git = nil, interpreter = nil, computer = nil, running = nil,
    machine = nil, preview = nil, ssh = nil, telemetry = nil, settings = nil, family = nil, life = nil,
  }, raw)
end

---Whether a value is a sandbox, or a row of a list.
---@param value any
---@return boolean
function M.is(value)
  local meta = getmetatable(value)
  return meta == Meta or type(meta) == "table" and rawget(meta, "is_row") or false
end

return M
