-- Making sandboxes: what may be asked for, and that each is made exactly once, or
-- not at all. Waiting for its start is in sandbox.lua.

local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local process = require "daytona.toolbox.process"
local random = require "daytona.base.random"
local sandbox = require "daytona.control.sandbox"
local url = require "daytona.http.url"
local names = require "daytona.http.names"

local M = {}

local function call(client, request)
  request.operation = "create"
  local response, err = http.request(client:connection_of("create"), request)
  if not response then return nil, err end
  return response.json
end

--- What may be asked for ---------------------------------------------------------------

local function volume_list(value)
  local expected = "a list of { volume_id =, mount_path =, subpath = }"
  if type(value) ~= "table" then return false, expected end
  for _, volume in ipairs(value) do
    if type(volume) ~= "table" or type(volume.volume_id) ~= "string" or type(volume.mount_path) ~= "string" then
      return false, expected
    end
  end
  return true
end

local function image_text(value)
  return type(value) == "string" and value:find("^[^%s%c]+$") ~= nil, "the name of an image, without white space"
end

---@class daytona.CreateOptions
---@field snapshot? string        name or id; the service's default without one and without image
---@field image? string           build from this image instead, "debian:12"
---@field name? string            unique in the organization; chosen here when absent
---@field language? "python"|"javascript"|"typescript"  what `run` takes; python
---@field user? string
---@field env? table<string, string>
---@field labels? table<string, string>
---@field public? boolean         previews need no token
---@field target? string          region
---@field cpu? integer            with image
---@field memory? integer         GiB, with image
---@field disk? integer           GiB, with image
---@field gpu? integer
---@field gpu_type? string|string[]
---@field spot? boolean
---@field auto_stop_interval? integer    minutes; 0 never
---@field auto_pause_interval? integer   minutes; 0 never
---@field auto_archive_interval? integer minutes; 0 as late as possible
---@field auto_delete_interval? integer  minutes; negative never, 0 when it stops
---@field ephemeral? boolean      deleted when it stops
---@field ttl_minutes? integer    deleted after so many minutes in any case
---@field volumes? { volume_id: string, mount_path: string, subpath?: string }[]
---@field secrets? table<string, string>  environment variable -> name of a secret
---@field network_block_all? boolean
---@field network_allow_list? string|string[]
---@field domain_allow_list? string|string[]
---@field outbound_proxy_url? string
---@field otel_endpoint_override? string
---@field linked_sandbox? string
---@field timeout? number         seconds until it must be started; 60, 0 for none
---@field wait? boolean           until it is started; true
---@field on_build_log? fun(line: string)  with image: gets each line of the build's log meanwhile
---@field keep? boolean           a sandbox that fails to start is not deleted
local CREATE = {
  snapshot = "text", image = image_text, name = "text", language = { "python", "javascript", "typescript" },
  user = "text", env = "map", labels = "map", public = "boolean", target = "text",
  cpu = "positive", memory = "positive", disk = "positive", gpu = "count", gpu_type = "texts", spot = "boolean",
  auto_stop_interval = "count", auto_pause_interval = "count", auto_archive_interval = "count",
  auto_delete_interval = "integer", ephemeral = "boolean", ttl_minutes = "count",
  volumes = volume_list, secrets = "map", network_block_all = "boolean",
  network_allow_list = "texts", domain_allow_list = "texts",
  outbound_proxy_url = "text", otel_endpoint_override = "text", linked_sandbox = "text",
  timeout = "seconds", wait = "boolean", keep = "boolean", on_build_log = "callable",
}

-- Options that go to the service as they are, under its name.
local AS_IS = {
  "snapshot", "user", "public", "cpu", "memory", "disk", "gpu", "spot", "auto_stop_interval",
  "auto_pause_interval", "auto_archive_interval", "auto_delete_interval", "ttl_minutes",
  "network_block_all", "outbound_proxy_url", "otel_endpoint_override", "linked_sandbox",
}

local function refuse_contradictions(opts)
  local pauses = (opts.auto_pause_interval or 0) > 0
  if opts.image and opts.snapshot then
    errors.misuse(1, "create: either image or snapshot")
  elseif opts.snapshot and (opts.cpu or opts.memory or opts.disk) then
    errors.misuse(1, "create: a snapshot brings its own cpu, memory and disk; these go with image")
  elseif opts.on_build_log and opts.wait == false then
    errors.misuse(1, "create: on_build_log hears the log while create waits; wait = false says otherwise")
  elseif opts.ephemeral and (opts.auto_delete_interval or 0) ~= 0 then
    errors.misuse(1, "create: an ephemeral sandbox is deleted when it stops; auto_delete_interval says otherwise")
  elseif pauses and (opts.auto_stop_interval or 0) > 0 then
    errors.misuse(1, "create: either auto_stop_interval or auto_pause_interval")
  elseif pauses and (opts.ephemeral or opts.auto_delete_interval == 0) then
    errors.misuse(1, "create: a sandbox that is deleted when it stops cannot pause by itself")
  end
end

local function as_csv(value)
  return type(value) == "table" and table.concat(value, ",") or value
end

local function as_list(value)
  return type(value) == "string" and { value } or value
end

-- { NAME = secret } -> [ { NAME: secret }, ... ], in order of name.
local function secret_list(secrets)
  local keys, list = {}, {}
  for name in pairs(secrets) do keys[#keys + 1] = name end
  table.sort(keys)
  for i, name in ipairs(keys) do list[i] = { [name] = secrets[name] } end
  return list
end

-- Marks a sandbox whose name the caller chose as made by one call of create, so
-- that it is known again after its answer was lost.
local MARK = "daytona-lua-create"

-- The body of the request, and what the sandbox is known again by.
local function body_of(client, opts)
  local body = {}
  for _, option in ipairs(AS_IS) do body[names.camel_name(option)] = opts[option] end
  local labels = options.copy(opts.labels)
  labels[process.LANGUAGE_LABEL] = opts.language or labels[process.LANGUAGE_LABEL] or "python"
  local nonce = random.hex(8)
  if opts.name then labels[MARK] = nonce end
  body.name, body.labels = opts.name or "lua-" .. nonce, labels
  body.env = opts.env and next(opts.env) and opts.env or nil
  body.target = opts.target or client.target
  if opts.ephemeral then body.autoDeleteInterval = 0 end
  if opts.image then body.buildInfo = { dockerfileContent = "FROM " .. opts.image .. "\n" } end
  body.gpuType = as_list(opts.gpu_type)
  body.volumes = opts.volumes and opts.volumes[1] and names.to_service(opts.volumes) or nil
  body.secrets = opts.secrets and next(opts.secrets) and secret_list(opts.secrets) or nil
  body.networkAllowList, body.domainAllowList = as_csv(opts.network_allow_list), as_csv(opts.domain_allow_list)
  return body, opts.name and nonce or nil
end

--- Once -------------------------------------------------------------------------------

local function values_of(map)
  local values = {}
  for _, value in pairs(map or {}) do values[#values + 1] = value end
  return values
end

-- The state of one create: what was asked for, and how long there is.
---@class daytona.Creation
---@field client daytona.Client
---@field body table
---@field nonce? string   the mark, when the name is the caller's
---@field deadline? number
---@field secrets string[]
---@field keep boolean
---@field on_build_log? fun(line: string)
---@field log? daytona.BuildLog      while it is followed
---@field sandbox? daytona.Sandbox  once the service has made it
---@field unsure? boolean the service may have made it: nobody has looked, or could look, since

-- The sandbox that this very creation made, or nil, err. A name that was chosen
-- here is proof enough, any other needs the mark.
local function find_ours(creation, timeout)
  local raw, err = call(creation.client, {
    method = "GET", path = url.path("/sandbox/{}", creation.body.name), answer = "object",
    flaw = sandbox.absent, timeout = timeout, what = creation.body.name,
  })
  if not raw then return nil, err end
  if creation.nonce and (raw.labels or {})[MARK] ~= creation.nonce then
    return nil, errors.new { kind = "not_found", message = "that name belongs to another sandbox" }
  end
  return raw
end

-- How long an abandoned creation is looked for while the service says that there
-- is none, and while it says nothing; a single look; between looks. Seconds.
local SEARCH, PATIENCE, LOOK, SEARCH_STEP = 3, 30, 10, 0.25

-- Nobody waits for this creation any more, but the service may be at it. Called
-- shielded.
local function undo(creation)
  local begun = loop.now()
  local raw, err
  repeat
    raw, err = find_ours(creation, LOOK)
    if raw then
      local gone
      gone, err = sandbox.new(creation.client, raw):delete { timeout = PATIENCE }
      if gone then return gone end
    end
    local missing = errors.is(err, "not_found")
    if not missing and not err.retryable then return nil, err end
    local limit = begun + (missing and SEARCH or PATIENCE)
  until loop.now() >= limit or not loop.sleep(SEARCH_STEP)
  return nil, err
end

-- on_abandon of the request.
local function undo_abandoned(_, request)
  if not request.creation.keep then undo(request.creation) end
end

local function left_of(creation)
  return creation.deadline and math.max(creation.deadline - loop.now(), 0.001) or 0
end

local function post(creation)
  return call(creation.client, {
    method = "POST", path = "/sandbox", json = creation.body, answer = "object", flaw = sandbox.absent,
    timeout = left_of(creation), what = creation.body.name, secrets = creation.secrets,
    creation = creation, on_abandon = undo_abandoned,
  })
end

-- After these the service may have made the sandbox all the same.
local LOST = { connection = true, unavailable = true, server = true, protocol = true, conflict = true }

-- What was given up was looked after by the request, see undo_abandoned.
local GIVEN_UP = { timeout = true, canceled = true }

local function answer_was_lost(err)
  if err.sent ~= nil then return err.sent and not GIVEN_UP[err.kind] end
  return err.status == 504 or LOST[err.kind] or false
end

local MAY_REPEAT = { connection = true, unavailable = true, timeout = true }

-- The wait for it was cancelled.
local function was_canceled(creation, err)
  err.operation, err.what = "create", creation.body.name
  return nil, err
end

-- Makes the sandbox once: after a lost answer it is looked for by its name, and
-- only asked for again when it is not there. Under the same name a second one
-- cannot come to be. When it fails and `unsure` is left, there may be one.
local function allocate(creation)
  local delay, tries, most = 0.25, 0, creation.client.connection.max_retries
  while true do
    creation.unsure = false
    local raw, err = post(creation)
    if raw then return raw end
    if not answer_was_lost(err) then return nil, err end
    creation.unsure = true
    local found, why = find_ours(creation, creation.deadline and left_of(creation) or nil)
    if found then return found end
    if errors.is(why, "canceled") then return was_canceled(creation, why) end
    if not errors.is(why, "not_found") then return nil, err end
    tries = tries + 1
    local too_late = creation.deadline and loop.now() + delay >= creation.deadline
    if not MAY_REPEAT[err.kind] or tries > most or too_late then
      creation.unsure = false
      return nil, err
    end
    local slept, cancelled = loop.sleep(delay)
    if not slept then return was_canceled(creation, cancelled) end
    delay = delay * 2
  end
end

-- The sandbox is there, or may be, and could not be used: it is deleted unless it
-- is to be kept. Called shielded.
local function dispose(creation, err)
  local box = creation.sandbox
  if creation.log then creation.log:stop() end
  if creation.keep then return end
  if not box then
    if creation.unsure then undo(creation) end
    return
  end
  local gone, why = box:close()
  if not gone and errors.is(err) then
    err.message = err.message .. "; and it could not be deleted: " .. why.message
  end
end

local STARTED = { started = true }

local function create_and_wait(creation)
  local raw, err = allocate(creation)
  if not raw then
    loop.shield(dispose, creation, err)
    return nil, err
  end
  local box = sandbox.new(creation.client, raw)
  creation.sandbox = box
  if not creation.wait then return box end
  if creation.on_build_log and raw.buildInfo then
    creation.log = require("daytona.control.build_log").follow(box, creation.on_build_log)
  end
  local fine
  fine, err = sandbox.wait_until(box, "create", STARTED, creation.deadline, nil, false)
  if creation.log and not errors.is(err, "canceled") then creation.log:finish() end
  if fine then return box end
  loop.shield(dispose, creation, err)
  err.operation, err.sandbox = "create", box
  return nil, err
end

---Makes a sandbox and waits until it is started.
---
---It is made once, whatever happens to the answer. When it is there but does not
---start, or the caller is cancelled or interrupted meanwhile, it is deleted
---again, unless `keep`; the error then carries it in `err.sandbox`.
---What `on_build_log` raises is raised here, after the same.
---@param self daytona.Client
---@param opts? daytona.CreateOptions
---@return daytona.Sandbox?
---@return daytona.Error?
function M.create(self, opts)
  opts = options.check("create", CREATE, opts)
  refuse_contradictions(opts)
  self:connection_of("create")
  local body, nonce = body_of(self, opts)
  return loop.guard(create_and_wait, dispose, {
    client = self, body = body, nonce = nonce, secrets = values_of(opts.env),
    deadline = sandbox.deadline_after(opts.timeout or 60), keep = opts.keep or false, wait = opts.wait ~= false,
    on_build_log = opts.on_build_log,
  })
end

return M
