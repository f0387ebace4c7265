-- What concerns the service as a whole: configuration, health, keys, the organization and
-- what it uses, users, registries, storage.

local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local limits = require "daytona.devserver.control.limits"
local regions = require "daytona.devserver.control.regions"
local sandboxes = require "daytona.devserver.control.sandboxes"
local json = require "daytona.devserver.http.json"

local service = {}

-- Configuration ------------------------------------------------------------------------------

local function rate_limits(context)
  local set = context.throttle.set
  return {
    authenticated = set.authenticated or {}, sandboxCreate = set["sandbox-create"] or {},
    sandboxLifecycle = set["sandbox-lifecycle"] or {},
  }
end

function service.config(context)
  return 200, {
    version = context.version, environment = "local", linkedAccountsEnabled = false,
    announcements = {}, maintananceMode = false, rateLimit = rate_limits(context),
    oidc = { issuer = context.api_url, clientId = "daytona-local", audience = "daytona-local", provider = "local" },
    proxyTemplateUrl = ("%s://{{PORT}}-{{sandboxId}}.localhost:%d"):format(context.scheme, context.port),
    proxyToolboxUrl = context.store.proxy_url, defaultSnapshot = sandboxes.SNAPSHOT,
    dashboardUrl = context.api_url, maxAutoArchiveInterval = sandboxes.MAX_ARCHIVE,
  }
end

function service.health(context)
  return 200, { status = "ok", version = context.version }
end

---What is for the service's own machines.
function service.not_for_users()
  httpd.fail(403, nil, "Invalid authentication context")
end

-- Keys and people ----------------------------------------------------------------------------

-- The calls of people are not for keys. (A token of a user is the same text here, sent with
-- the organization that it is for.)
local function only_people(req)
  if not req.headers["x-daytona-organization-id"] then httpd.fail(401, nil, "Invalid credentials") end
end

local PERMISSIONS = { "write:registries", "delete:registries", "write:snapshots", "delete:snapshots", "write:sandboxes",
  "delete:sandboxes", "read:volumes", "write:volumes", "delete:volumes", "write:regions", "delete:regions",
  "manage:secrets", "read:limits" }

local function masked(key) return key:sub(1, 3) .. ("*"):rep(#key - 6) .. key:sub(-3) end

local function key_of(context)
  return {
    name = "local", value = masked(context.key), createdAt = httpd.timestamp(context.started),
    permissions = json.array(PERMISSIONS), lastUsedAt = json.null, expiresAt = json.null, userId = "local",
    organizationId = not context.legacy and sandboxes.ORGANIZATION or nil,
  }
end

function service.current_key(context) return 200, key_of(context) end

function service.keys(context, req)
  only_people(req)
  return 200, json.array { key_of(context) }
end

function service.user(context, req)
  only_people(req)
  return 200, {
    id = "local", name = "local", email = "local@localhost", emailVerified = false, publicKeys = json.array {},
    createdAt = httpd.timestamp(context.started),
  }
end

-- The organization ------------------------------------------------------------------------------

local function organization(context)
  local made = httpd.timestamp(context.started)
  local set = limits.of(context)
  return {
    id = sandboxes.ORGANIZATION, name = "Local", createdBy = "local", personal = true,
    createdAt = made, updatedAt = made,
    suspended = false, suspensionReason = json.null, suspendedAt = json.null, suspendedUntil = json.null,
    maxCpuPerSandbox = set.cpu or json.null, maxMemoryPerSandbox = set.memory or json.null,
    maxDiskPerSandbox = set.disk or json.null, defaultRegionId = regions.DEFAULT, defaultQueueTimeout = json.null,
  }
end

local function own(req)
  only_people(req)
  if req.params.id and req.params.id ~= sandboxes.ORGANIZATION then
    httpd.fail(403, nil, "Invalid authentication context")
  end
end

function service.organizations(context, req)
  own(req)
  return 200, json.array { organization(context) }
end

function service.organization(context, req)
  own(req)
  return 200, organization(context)
end

function service.organization_of(context) return organization(context) end

-- Without limits there is as much as there can be.
local PLENTY = 1000000

local function quota(context)
  local set = limits.of(context)
  return {
    regionId = regions.DEFAULT, sandboxClass = "container", totalCpuQuota = set.total_cpu or PLENTY,
    totalMemoryQuota = set.total_memory or PLENTY, totalDiskQuota = set.total_disk or PLENTY, totalGpuQuota = 0,
    maxCpuPerSandbox = set.cpu or json.null, maxMemoryPerSandbox = set.memory or json.null,
    maxDiskPerSandbox = set.disk or json.null, maxDiskPerNonEphemeralSandbox = json.null,
  }
end

function service.region_quota(context)
  local answer = quota(context)
  answer.organizationId = sandboxes.ORGANIZATION
  return answer
end

local function count(records, wanted)
  local n = 0
  for _, record in pairs(records.by_id) do
    if wanted(record) then n = n + 1 end
  end
  return n
end

function service.usage(context, req)
  own(req)
  local used, region, set = limits.usage(context), quota(context), limits.of(context)
  region.currentCpuUsage, region.currentMemoryUsage = used.cpu, used.memory
  region.currentDiskUsage, region.currentGpuUsage = used.disk, 0
  return 200, {
    regionUsage = json.array { region },
    totalSnapshotQuota = set.snapshots or PLENTY, totalVolumeQuota = set.volumes or PLENTY,
    currentSnapshotUsage = count(context.records.snapshots, function(s) return not s.general end),
    currentVolumeUsage = count(context.records.volumes, function(v) return v.state ~= "deleted" end),
  }
end

function service.set_default_region(context, req)
  own(req)
  regions.find(context, req:json().defaultRegionId)
  return 204
end

function service.classes(_, req)
  own(req)
  return 200, json.array { "container", "linux-vm" }
end

function service.gpu_capacity(context, req)
  own(req)
  return 200, { observedAt = httpd.timestamp(context.clock:now()), capacity = json.array {} }
end

---Nothing is written down here.
function service.audit()
  return 200, { items = json.array {}, total = 0, page = 1, totalPages = 0 }
end

-- Registries -------------------------------------------------------------------------------------

local function described(registry)
  local made, changed = httpd.timestamp(registry.created), httpd.timestamp(registry.updated)
  return {
    id = registry.id, name = registry.name, url = registry.url, username = registry.username,
    project = registry.project, registryType = "organization", createdAt = made, updatedAt = changed,
  }
end

local REGISTRY = { name = "string", url = "string", username = "string", password = "string", project = "string" }

local function read_registry(req, required)
  local body = checks.fields(req, req:json(), REGISTRY)
  local problems = {}
  if not body.name then problems[#problems + 1] = "name must be a string" end
  if not (body.url or ""):find("^%w") then problems[#problems + 1] = "url must be a URL address" end
  for _, field in ipairs(required) do
    if not body[field] then problems[#problems + 1] = field .. " must be a string" end
  end
  if problems[1] then checks.bad("%s", table.concat(problems, ", ")) end
  return body
end

local function registry_of(context, req)
  return context.records.registries.by_id[req.params.id]
    or httpd.fail(404, nil, ("Docker registry with ID %s not found"):format(req.params.id))
end

function service.registries(context)
  local list = json.array {}
  for i, registry in ipairs(context.records.registries:all()) do list[i] = described(registry) end
  return 200, list
end

function service.registry(context, req) return 200, described(registry_of(context, req)) end

function service.add_registry(context, req)
  local body = read_registry(req, { "username", "password" })
  local now = context.clock:now()
  body.id, body.project, body.created, body.updated = sandboxes.uuid(), body.project or "", now, now
  checks.kept(context.records.registries:keep(body))
  return 201, described(body)
end

function service.change_registry(context, req)
  local registry, body = registry_of(context, req), read_registry(req, { "username" })
  registry.name, registry.url, registry.username, registry.project = body.name, body.url, body.username, body.project
  registry.password = body.password or registry.password
  registry.updated = context.clock:now()
  checks.kept(context.records.registries:keep(registry))
  return 200, described(registry)
end

function service.remove_registry(context, req)
  context.records.registries:remove(registry_of(context, req))
  return 204
end

-- Storage ----------------------------------------------------------------------------------------

function service.push_access(context)
  local access = context.storage:grant(sandboxes.ORGANIZATION)
  if context.legacy then access.region = nil end
  return 200, access
end

return service
