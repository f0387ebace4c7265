-- What may be asked for of a new sandbox, and what is sent for it. Making it is in
-- create.lua.

local core = require "daytona.base.native"
local lease = require "daytona.control.lease"
local options = require "daytona.base.options"
local process = require "daytona.toolbox.process"

local M = {}

-- Whether a value is an object of that class.
local function is_object(value, class_name)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.__name == class_name
end

-- A name or an id; also the object itself.
local function named(class_name)
  return function(value)
    return type(value) == "string" and value ~= "" or is_object(value, class_name), "a name, an id or the object"
  end
end

local function id_of(value)
  return type(value) == "table" and value.id or value
end

---Whether a value is a budget; for options.
---@param value any
---@return boolean
---@return string
function M.is_budget(value)
  return is_object(value, "daytona.Budget"), "a budget (daytona.budget)"
end

local is_volume = named "daytona.Volume"

local function volume_list(value)
  local expected = "a list of { volume_id =, mount_path =, subpath = }"
  if type(value) ~= "table" then return false, expected end
  for _, volume in ipairs(value) do
    if type(volume) ~= "table" or not is_volume(volume.volume_id) or type(volume.mount_path) ~= "string" then
      return false, expected
    end
  end
  return true
end

-- The list as it is sent.
local function mounts(volumes)
  local out = {}
  for i, volume in ipairs(volumes) do
    out[i] = { volume_id = id_of(volume.volume_id), mount_path = volume.mount_path, subpath = volume.subpath }
  end
  return out
end

local function is_image(value)
  if is_object(value, "daytona.Image") then return true end
  return type(value) == "string" and value:find("^[^%s%c]+$") ~= nil,
    "the name of an image, without white space, or an image (daytona.image)"
end

M.is_image = is_image

---@class daytona.CreateOptions
---@field snapshot? string|daytona.Snapshot  name or id; the service's default without one and without image
---@field image? string|daytona.Image  build from this image instead: "debian:12", or a value of daytona.image
---@field name? string            unique in the organization; chosen here when absent
---@field language? "python"|"javascript"|"typescript"  what `run` takes; python
---@field user? string
---@field env? table<string, string|number>
---@field labels? table<string, string>
---@field ["public"]? boolean      previews need no token
---@field target? string          region
---@field cpu? integer            with image
---@field memory? integer         GiB, with image
---@field disk? integer           GiB, with image
---@field gpu? integer
---@field gpu_type? string|string[]
---@field spot? boolean          a cheaper machine that may be taken back
---@field kvm? boolean           with /dev/kvm (of virtual machines)
---@field queue_timeout? integer minutes that it may wait for a machine
---@field auto_stop_interval? integer    minutes; 0 never
---@field auto_pause_interval? integer   minutes; 0 never
---@field auto_archive_interval? integer minutes; 0 as late as possible
---@field auto_delete_interval? integer  minutes; negative never, 0 when it stops
---@field ephemeral? boolean      deleted when it stops
---@field ttl_minutes? integer    deleted after so many minutes in any case
---@field volumes? { volume_id: string|daytona.Volume, mount_path: string, subpath?: string }[]  by id, name or object
---@field secrets? table<string, string>  environment variable -> name of a secret
---@field network_block_all? boolean
---@field network_allow_list? string|string[]
---@field domain_allow_list? string|string[]
---@field outbound_proxy_url? string
---@field otel_endpoint_override? string
---@field linked_sandbox? string
---@field lease? number           seconds, 60 or more, that it may be left unused: then any program's `reap` deletes it
---@field owned? boolean          false: it is meant to outlive this program; no `reap` deletes it (see `disown`)
---@field budget? daytona.Budget  that it must fit in; that of the client
---@field extra? table           merged into the request as it is, under the service's names: for fields that this library does not know yet
---@field timeout? number         seconds until it must be started; 60, 0 for none. What then must be cleaned up may take some seconds more
---@field wait? boolean           until it is started; true
---@field on_build_log? fun(line: string)  with image: gets each line of the build's log meanwhile
---@field keep? boolean           a sandbox that fails to start is not deleted
local CREATE = {
  snapshot = named "daytona.Snapshot",
  image = is_image, name = "text", language = { "python", "javascript", "typescript" },
  user = "text", env = "variables", labels = "map", public = "boolean", target = "text",
  cpu = "positive", memory = "positive", disk = "positive", gpu = "count", gpu_type = "texts", spot = "boolean",
  kvm = "boolean", queue_timeout = "positive", extra = "table",
  auto_stop_interval = "count", auto_pause_interval = "count", auto_archive_interval = "count",
  auto_delete_interval = "integer", ephemeral = "boolean", ttl_minutes = "count",
  volumes = volume_list, secrets = "map", network_block_all = "boolean",
  network_allow_list = "texts", domain_allow_list = "texts",
  outbound_proxy_url = "text", otel_endpoint_override = "text", linked_sandbox = "text",
  timeout = "seconds", wait = "boolean", keep = "boolean", on_build_log = "callable",
  lease = lease.seconds, owned = "boolean", budget = M.is_budget,
}

-- Options that go to the service as they are.
local AS_IS = {
  "user", "public", "cpu", "memory", "disk", "gpu", "spot", "kvm", "queue_timeout", "auto_stop_interval",
  "auto_pause_interval", "auto_archive_interval", "auto_delete_interval", "ttl_minutes",
  "network_block_all", "outbound_proxy_url", "otel_endpoint_override", "linked_sandbox",
}

local function as_csv(value)
  return type(value) == "table" and table.concat(value, ",") or value
end

local function as_list(value)
  return type(value) == "string" and { value } or value
end

-- Marks a sandbox whose name the caller chose as made by one call of create, so
-- that it is known again after its answer was lost.
M.MARK = "daytona-lua-create"

-- Variables as the service wants them; nil where there are none.
local function texts(env)
  if not env or not next(env) then return nil end
  local out = {}
  for name, value in pairs(env) do out[name] = options.text(value) end
  return out
end

---The body of the request, and what the sandbox is known again by: the mark of its name,
---where that is the caller's.
---@param client daytona.Client
---@param opts daytona.CreateOptions
---@return table body
---@return string? nonce
function M.body(client, opts)
  local body = {}
  for i = 1, #AS_IS do body[AS_IS[i]] = opts[AS_IS[i]] end
  local labels = options.copy(opts.labels)
  labels[process.LANGUAGE_LABEL] = opts.language or labels[process.LANGUAGE_LABEL] or "python"
  local nonce = core.hex(core.random(8))
  if opts.name then labels[M.MARK] = nonce end
  lease.mark(labels, opts)
  body.name, body.labels = opts.name or "lua-" .. nonce, labels
  body.snapshot = id_of(opts.snapshot)
  body.env = texts(opts.env)
  body.target = opts.target or rawget(client, "target")
  if opts.ephemeral then body.auto_delete_interval = 0 end
  if type(opts.image) == "string" then body.build_info = { dockerfile_content = "FROM " .. opts.image .. "\n" } end
  body.gpu_type = as_list(opts.gpu_type)
  body.volumes = opts.volumes and opts.volumes[1] and mounts(opts.volumes) or nil
  if opts.secrets and next(opts.secrets) then
    body.secrets = require("daytona.control.settings").secret_list(opts.secrets)
  end
  body.network_allow_list, body.domain_allow_list = as_csv(opts.network_allow_list), as_csv(opts.domain_allow_list)
  return body, opts.name and nonce or nil
end

---Checks what is asked for; raises at the caller's line.
---@param opts? daytona.CreateOptions
---@return daytona.CreateOptions
function M.check(opts)
  opts = options.check("create", CREATE, opts)
  if opts.image or opts.snapshot or opts.extra or opts.on_build_log or opts.ephemeral or opts.auto_pause_interval then
    require "daytona.control.contradictions"(opts) -- what may contradict another option
  end
  return opts
end

--- What an older service does not hear ---------------------------------------------------------

-- Option -> the field of the sandbox that shows that it was heard.
local SHOWN = {
  ttl_minutes = "auto_destroy_at", auto_pause_interval = "auto_pause_interval",
  outbound_proxy_url = "outbound_proxy_url",
  kvm = "kvm", spot = "spot",
}

---An option that was given and that the sandbox shows nothing of, or nil. An older service
---ignores what it does not know.
---@param opts daytona.CreateOptions
---@param box daytona.Sandbox
---@return string?
function M.unheard(opts, box)
  for option, field in pairs(SHOWN) do
    local asked = opts[option]
    if asked and asked ~= 0 and not box[field] then return option end
  end
end

return M
