-- POST /sandbox: what a body may say, what the sandbox is then, and how long the answer
-- is held. The order of the checks is the service's.

local httpd = require "daytona.devserver.http"
local build = require "daytona.devserver.control.build"
local checks = require "daytona.devserver.control.checks"
local limits = require "daytona.devserver.control.limits"
local regions = require "daytona.devserver.control.regions"
local sandboxes = require "daytona.devserver.control.sandboxes"
local secrets = require "daytona.devserver.control.secrets"
local snapshots = require "daytona.devserver.control.snapshots"
local telemetry = require "daytona.devserver.control.telemetry"
local volumes = require "daytona.devserver.control.volumes"
local warm_pools = require "daytona.devserver.control.warm_pools"
local json = require "daytona.devserver.http.json"

local create = { HOLD = 30 }   -- seconds that create, start and recover may hold their answer

local FIELDS = {
  name = "string", snapshot = "string", user = "string", env = "object", labels = "object",
  public = "boolean", networkBlockAll = "boolean", networkAllowList = "string",
  domainAllowList = "string", outboundProxyUrl = "string", otelEndpointOverride = "string",
  target = "string", cpu = "natural", memory = "natural", disk = "natural", gpu = "natural",
  gpuType = "list", spot = "boolean", autoStopInterval = "number", autoPauseInterval = "number",
  autoArchiveInterval = "number", autoDeleteInterval = "number", ttlMinutes = "number",
  volumes = "list", buildInfo = "object", linkedSandbox = "string", secrets = "list",
  kvm = "boolean", queueTimeout = "positive",
}

local GPUS = { "H100", "H200", "B200", "B300", "L40S", "RTX-PRO-6000", "RTX-4090", "RTX-5090", "MI355X" }
local LEGACY_GPUS = { "H100", "RTX-PRO-6000" }
-- Fields that the service had not yet when it was 0.190, and dropped silently.
local NEWER = { "outboundProxyUrl", "spot", "autoPauseInterval", "ttlMinutes", "secrets", "kvm", "queueTimeout" }

local VM = { ["linux-vm"] = true, windows = true }

-- Checks -------------------------------------------------------------------------------

local function check_gpus(context, body)
  local known, names = {}, context.legacy and LEGACY_GPUS or GPUS
  for _, name in ipairs(names) do known[name] = true end
  for _, name in ipairs(body.gpuType or {}) do
    if not known[name] then
      checks.bad("each value in gpuType must be one of the following values: %s", table.concat(names, ", "))
    end
  end
end

local BAD_NAME = "name must not contain HTML tags, URLs, or control characters"

-- (The service says of a name that is no text that it is a bad one, too.)
local function check_name(name)
  if type(name) == "string" then checks.name(name) end
  if name == nil or name == json.null or type(name) == "string" then return end
  checks.bad("%s, name must be a string", BAD_NAME)
end

local function read(context, req)
  local body = req:json()
  check_name(body.name)
  body = checks.fields(req, body, FIELDS)
  if context.legacy then
    for _, name in ipairs(NEWER) do body[name] = nil end
  end
  check_gpus(context, body)
  if body.snapshot and not body.snapshot:find("%S") then body.snapshot = nil end
  if body.buildInfo and body.snapshot then
    checks.bad "Cannot specify a snapshot when using a build info entry"
  end
  volumes.check(req, body.volumes)
  return body
end

local function check_link(context, body)
  if not body.linkedSandbox then return nil end
  if body.buildInfo then
    checks.bad "linkedSandbox is not supported with declarative builds. Create a sandbox from a snapshot"
  end
  if body.autoDeleteInterval ~= 0 then
    checks.bad "Linked sandboxes must be ephemeral (set autoDeleteInterval to 0)"
  end
  local other = checks.box(context, body.linkedSandbox)
  if other.linked then checks.bad("Sandbox %s is already linked to another sandbox", body.linkedSandbox) end
  return other.id
end

local function has_resources(body)
  for _, name in ipairs { "cpu", "memory", "disk", "gpu" } do
    if (body[name] or 0) ~= 0 then return true end
  end
  return false
end

-- The snapshot that the sandbox is made from; nil for a build.
local function check_source(context, body, region)
  if body.buildInfo then return nil end
  local snapshot = snapshots.usable(context, body.snapshot or sandboxes.SNAPSHOT, region)
  if has_resources(body) then checks.bad "Cannot specify Sandbox resources when using a snapshot" end
  if body.gpuType and #body.gpuType > 0 then
    checks.bad "Cannot specify GPU type when creating sandbox from snapshot. GPU type is inherited from snapshot."
  end
  return snapshot
end

local function check_size(context, body, size)
  if (body.gpu or 0) > 0 then
    if body.autoDeleteInterval ~= 0 then
      checks.bad "GPU sandboxes must be ephemeral - set autoDeleteInterval to 0"
    end
    checks.bad "Total GPU limit exceeded. Maximum allowed: 0."
  end
  limits.check_sandbox(context, size)
end

local INTERVALS = { "autoStopInterval", "autoArchiveInterval", "autoDeleteInterval", "autoPauseInterval", "ttlMinutes" }

local function check_intervals(body, class)
  for _, field in ipairs(INTERVALS) do
    if body[field] then checks.interval(field, body[field]) end
  end
  if (body.autoPauseInterval or 0) > 0 then
    if (body.autoStopInterval or 0) > 0 then
      checks.bad "autoStopInterval and autoPauseInterval cannot both be set"
    end
    if not VM[class] then checks.bad "Auto-pause is not supported for this sandbox class" end
  end
end

local function check_network(body)
  if body.networkAllowList then checks.allow_list(body.networkAllowList) end
  if body.domainAllowList then checks.domains(body.domainAllowList) end
  if body.outboundProxyUrl and not body.outboundProxyUrl:find("^https?://[^%s]+$") then
    checks.bad "outboundProxyUrl must be a URL address"
  end
end

-- The record ---------------------------------------------------------------------------

---@param minutes number
---@return number
function create.archive_interval(minutes)
  if minutes == 0 then return sandboxes.MAX_ARCHIVE end
  return math.min(minutes, sandboxes.MAX_ARCHIVE)
end

-- A VM that is not told otherwise pauses after an hour, and does not stop.
local function rests(body, class)
  local stop, pause = body.autoStopInterval, body.autoPauseInterval
  if VM[class] and not stop and not pause and body.autoDeleteInterval ~= 0 then return 0, 60 end
  if (pause or 0) > 0 then return 0, pause end
  return stop or 15, 0
end

local function size_of(body, snapshot)
  if snapshot then return { cpu = snapshot.cpu, memory = snapshot.mem, disk = snapshot.disk } end
  local function chosen(value, usual) return (value or 0) ~= 0 and value or usual end
  return { cpu = chosen(body.cpu, 1), memory = chosen(body.memory, 1), disk = chosen(body.disk, 3) }
end

local function given(text) return text and text ~= "" and text or nil end

local function set_network(box, body)
  box.network_allow_list = given(body.networkAllowList)
  box.network_block_all = body.networkBlockAll and not box.network_allow_list or false
  box.domain_allow_list = given(body.domainAllowList)
  box.outbound_proxy_url, box.otel_endpoint = body.outboundProxyUrl, body.otelEndpointOverride
end

local function set_times(context, box, body)
  local now = context.clock:now()
  box.auto_stop, box.auto_pause = rests(body, box.class)
  box.auto_archive = create.archive_interval(body.autoArchiveInterval or 10080)
  box.auto_delete = body.autoDeleteInterval or -1
  box.destroy_at = (body.ttlMinutes or 0) > 0 and now + body.ttlMinutes * 60 or nil
  box.queue_timeout = body.queueTimeout
  box.created, box.updated, box.activity = now, now, now
end

local function set_source(context, box, body, snapshot)
  if snapshot then
    box.snapshot, box.made_from = snapshot.name, snapshot.files and snapshot.id or nil
    return
  end
  box.build_info = build.record(body.buildInfo, context.clock:now(), build.reference())
end

---A new sandbox's record.
---@param context table
---@param body table      checked
---@param source { region: string, snapshot?: table, size: table, linked?: string, volumes?: table, secrets?: table }
---@return table
function create.record(context, body, source)
  local id = sandboxes.uuid()
  local box = {
    id = id, name = given(body.name) or id, user = given(body.user) or "daytona", env = body.env or {},
    labels = body.labels or {}, public = body.public or false, target = source.region,
    linked = source.linked, cpu = source.size.cpu, memory = source.size.memory, disk = source.size.disk,
    gpu = 0, gpu_type = nil, spot = body.spot, kvm = body.kvm or false, volumes = source.volumes,
    secrets = source.secrets, class = source.snapshot and source.snapshot.sandboxClass or "container",
    state = source.snapshot and "creating" or "pending_build", desired = "started",
    signing_key = sandboxes.token(16), preview_token = sandboxes.preview_token(32),
  }
  set_network(box, body)
  set_times(context, box, body)
  set_source(context, box, body, source.snapshot)
  return box
end

---Takes a record in and begins to make the sandbox.
---@param context table
---@param box table
function create.begin(context, box)
  context.store:insert(box)
  local ok, message = context.store:prepare(box)
  if ok then ok, message = context.store:changed(box) end
  if not ok then context.store:remove(box) end
  checks.kept(ok, message)
  telemetry.note(box, box.created)
  context.events:created("sandbox", box)
  if not box.build_info then context.life.tell("sandbox.state.updated", box, "unknown", "creating") end
  context.life:schedule(box)
  context.life:go(box)
end

-- The answer -----------------------------------------------------------------------------

-- The record as it was before the hold; what is unset is not there yet.
local function first_answer(context, box)
  local dto = context.store:dto(box)
  for name, value in pairs(dto) do
    if value == json.null and name ~= "snapshot" then dto[name] = nil end
  end
  return dto
end

---Fails as the service does when a sandbox that was to start has failed.
---@param box table
function create.check_started(box)
  if box.state == "error" or box.state == "build_failed" then
    checks.bad("Sandbox failed to start: %s", box.error_reason or "unknown error")
  end
end

local function prepare(context, req)
  local body = read(context, req)
  local linked = check_link(context, body)
  local region = regions.find(context, body.target)
  local snapshot = check_source(context, body, region)
  local size = size_of(body, snapshot)
  check_size(context, body, size)
  local mounted = volumes.resolve(context, body.volumes)
  local attached = secrets.resolve(context, body.secrets)
  local class = snapshot and snapshot.sandboxClass or "container"
  check_intervals(body, class)
  check_network(body)
  if body.kvm and class ~= "linux-vm" then checks.bad "kvm is only supported for linux-vm sandboxes" end
  return body, {
    region = region, snapshot = snapshot, size = size, linked = linked, volumes = mounted, secrets = attached,
  }
end

---@param context table
---@param req table
function create.sandbox(context, req)
  local body, source = prepare(context, req)
  if given(body.name) and context.store.by_name[body.name] then
    httpd.fail(409, nil, ("Sandbox with name %s already exists"):format(body.name))
  end
  local warm = warm_pools.take(context, body, source)
  if warm then return 200, context.store:dto(warm) end
  local box = create.record(context, body, source)
  create.begin(context, box)
  local answer = first_answer(context, box)
  if box.build_info then return 200, answer end
  context.life:await(box, { started = true }, create.HOLD, req)
  create.check_started(box)
  return 200, answer
end

return create
