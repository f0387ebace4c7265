-- The control plane's routes: which call does what to which sandbox, with the
-- service's statuses. States are lifecycle's business, checks are checks.lua's.

local httpd = require "daytona.devserver.http"
local build = require "daytona.devserver.control.build"
local checks = require "daytona.devserver.control.checks"
local files = require "daytona.devserver.control.files"
local list = require "daytona.devserver.control.list"
local previews = require "daytona.devserver.control.previews"
local sandboxes = require "daytona.devserver.control.sandboxes"
local ssh = require "daytona.devserver.control.ssh"
local telemetry = require "daytona.devserver.control.telemetry"
local json = require "daytona.devserver.http.json"

local routes = {}

local HOLD = 30   -- seconds create, start and recover may hold their answer

local BUSY = "Sandbox state change in progress"

local function found(context, req)
  local box = context.store:find(req.params.id)
  if not box then
    httpd.fail(404, nil, ("Sandbox with ID or name %s not found"):format(req.params.id))
  end
  return box
end

local function found_by_id(context, req)
  local box = found(context, req)
  if box.id ~= req.params.id then
    httpd.fail(404, nil, ("Sandbox with ID %s not found"):format(req.params.id))
  end
  return box
end

local function refuse_busy(box)
  if box.state ~= box.desired and box.state ~= "error" and box.state ~= "build_failed" then
    httpd.fail(409, nil, BUSY)
  end
end

-- A route on a sandbox that answers with it.
local function on_sandbox(context, method, path, handler)
  context.app:route(method, "/sandbox/:id" .. path, function(req)
    local box = found(context, req)
    handler(box, req)
    return 200, context.store:dto(box)
  end)
end

-- Create ----------------------------------------------------------------------------

local function snapshot_of(body)
  if body.buildInfo then return nil end
  local name = body.snapshot or sandboxes.SNAPSHOT
  if name ~= sandboxes.SNAPSHOT and name ~= routes.snapshot_id then
    checks.bad("Snapshot %s not found. Did you add it through the Daytona Dashboard?", name)
  end
  return sandboxes.SNAPSHOT
end

local function link_of(context, body)
  if not body.linkedSandbox then return nil end
  local other = context.store:find(body.linkedSandbox)
  if not other then checks.bad("Linked sandbox %s not found", body.linkedSandbox) end
  if other.linked then checks.bad("Linked sandbox %s is linked itself", body.linkedSandbox) end
  return other.id
end

local function archive_interval(minutes)
  if minutes == 0 then return sandboxes.MAX_ARCHIVE end
  return math.min(minutes, sandboxes.MAX_ARCHIVE)
end

local function new_box(context, body)
  local now, id = context.clock:now(), sandboxes.uuid()
  local built = body.buildInfo ~= nil
  local reference = built and ("daytona-local-build-%s:latest"):format(sandboxes.token(6)) or nil
  return {
    id = id, name = body.name or id, user = body.user or "daytona", env = body.env or {},
    labels = body.labels or {}, public = body.public or false,
    target = body.target and body.target ~= "" and body.target or "local",
    snapshot = snapshot_of(body), linked = link_of(context, body),
    cpu = body.cpu or 1, memory = body.memory or 1, disk = body.disk or 3, gpu = 0,
    state = built and "pending_build" or "creating", desired = "started",
    auto_stop = body.autoStopInterval or 15, auto_pause = 0,
    auto_archive = archive_interval(body.autoArchiveInterval or 10080),
    auto_delete = body.autoDeleteInterval or -1,
    destroy_at = (body.ttlMinutes or 0) > 0 and now + body.ttlMinutes * 60 or nil,
    network_block_all = body.networkBlockAll or false,
    network_allow_list = body.networkAllowList, domain_allow_list = body.domainAllowList,
    outbound_proxy_url = body.outboundProxyUrl, otel_endpoint = body.otelEndpointOverride,
    build_info = built and build.record(body.buildInfo, now, reference) or nil,
    created = now, updated = now, activity = now,
    signing_key = sandboxes.token(16), preview_token = sandboxes.token(12),
  }
end

local function create(context, req)
  local body = checks.create(req:json())
  local box = new_box(context, body)
  if context.store.by_name[box.name] then
    httpd.fail(409, nil, ("Sandbox with name %s already exists"):format(box.name))
  end
  if box.build_info then
    local _, problem = build.parse(box.build_info.dockerfileContent)
    if problem then checks.bad("Invalid Dockerfile: %s", problem) end
  end
  context.store:insert(box)
  local made, message = context.store:prepare(box)
  if not made then
    context.store:remove(box)
    error("cannot make the sandbox's folder: " .. tostring(message))
  end
  context.store:changed(box)
  telemetry.note(box, box.created)
  context.life:go(box)
  if not box.build_info then context.life:await(box, { started = true }, HOLD, req) end
  return 200, context.store:dto(box)
end

-- Actions ---------------------------------------------------------------------------

local function await_start(context, box, req)
  context.life:await(box, { started = true }, HOLD, req)
  if box.state == "error" or box.state == "build_failed" then
    checks.bad("%s", box.error_reason or "Sandbox failed to start")
  end
end

local function start(context, box, req)
  refuse_busy(box)
  if box.state == "started" then return end
  if box.state ~= "stopped" and box.state ~= "archived" then
    checks.bad("Sandbox is not in valid state")
  end
  box.preview_token = sandboxes.token(12)
  context.life:want(box, "started")
  await_start(context, box, req)
end

local function stop(context, box, req)
  refuse_busy(box)
  if box.state ~= "started" then checks.bad("Sandbox is not started") end
  box.force = req.query.force == "true" or nil
  context.life:want(box, "stopped")
end

local function archive(context, box)
  refuse_busy(box)
  if box.auto_delete == 0 then checks.bad("Ephemeral sandboxes cannot be archived") end
  if box.state ~= "stopped" then checks.bad("Sandbox is not stopped") end
  box.desired = "archived"
  box.state = "archiving"
  context.life:want(box, "archived")
end

local function recover(context, box, req)
  if box.state ~= "error" then checks.bad("Sandbox must be in error state to recover") end
  if not box.recoverable then checks.bad("Sandbox is not recoverable") end
  local skip = req.query.skipStart == "true"
  context.life:want(box, skip and "stopped" or "started")
  if not skip then await_start(context, box, req) end
end

local function resize(context, box, req)
  refuse_busy(box)
  local body = checks.fields(req:json(), { cpu = "positive", memory = "positive", disk = "positive" })
  if box.state ~= "started" and box.state ~= "stopped" then
    checks.bad("Sandbox must be started or stopped to resize")
  end
  local changed = false
  for name, value in pairs(body) do
    changed = changed or value ~= box[name]
    if box.state == "started" and (name == "disk" and value ~= box.disk or value < box[name]) then
      checks.bad("A running sandbox can only be given more cpu or memory")
    elseif name == "disk" and value < box.disk then
      checks.bad("Disk size cannot be reduced")
    end
  end
  if not changed then checks.bad("Nothing to resize") end
  for name, value in pairs(body) do box[name] = value end
  box.before_resize, box.desired = box.state, box.state
  box.state = "resizing"
  context.life:want(box, box.desired)
end

local function set_network(context, box, req)
  local body = checks.fields(req:json(), {
    networkBlockAll = "boolean", networkAllowList = "string", domainAllowList = "string",
  })
  if next(body) == nil then checks.bad("At least one network setting must be given") end
  local allow, domains = body.networkAllowList, body.domainAllowList
  if allow then checks.allow_list(allow) end
  if domains then checks.domains(domains) end
  if body.networkBlockAll ~= nil then
    box.network_block_all = body.networkBlockAll
    box.network_allow_list = nil
  end
  if allow and body.networkBlockAll ~= true then
    box.network_allow_list = allow ~= "" and allow or nil
    if allow ~= "" then box.network_block_all = false end
  end
  if domains then box.domain_allow_list = domains ~= "" and domains or nil end
  context.store:changed(box)
end

local function add_actions(context)
  on_sandbox(context, "GET", "", function() end)
  context.app:route("DELETE", "/sandbox/:id", function(req)
    local box = found(context, req)
    if box.desired == "destroyed" then httpd.fail(409, nil, BUSY) end
    context.life:delete(box)
    if context.legacy then return 200 end
    return 200, context.store:dto(box)
  end)
  on_sandbox(context, "POST", "/start", function(box, req) start(context, box, req) end)
  on_sandbox(context, "POST", "/stop", function(box, req) stop(context, box, req) end)
  on_sandbox(context, "POST", "/archive", function(box) archive(context, box) end)
  on_sandbox(context, "POST", "/recover", function(box, req) recover(context, box, req) end)
  on_sandbox(context, "POST", "/resize", function(box, req) resize(context, box, req) end)
  on_sandbox(context, "POST", "/network-settings", function(box, req)
    set_network(context, box, req)
  end)
  on_sandbox(context, "POST", "/pause", function()
    httpd.fail(422, nil, "Pause is not supported for this sandbox class")
  end)
  on_sandbox(context, "POST", "/fork", function()
    httpd.fail(422, nil, "Fork is not supported for this sandbox class")
  end)
end

-- Settings ----------------------------------------------------------------------------

-- POST /sandbox/:id/<path>/:value with a number.
local function on_number(context, path, least, apply)
  on_sandbox(context, "POST", "/" .. path .. "/:value", function(box, req)
    apply(box, checks.number(req.params.value, path .. " interval", least))
    context.store:changed(box)
    context.life:schedule(box)
  end)
end

local function add_settings(context)
  on_number(context, "autostop", 0, function(box, n) box.auto_stop = n end)
  on_number(context, "autoarchive", 0, function(box, n) box.auto_archive = archive_interval(n) end)
  on_number(context, "autodelete", nil, function(box, n) box.auto_delete = n < 0 and -1 or n end)
  on_number(context, "autopause", 0, function(box, n)
    if n > 0 then checks.bad("Auto-pause is not supported for this sandbox class") end
    box.auto_pause = n
  end)
  on_number(context, "ttl", 0, function(box, n)
    box.destroy_at = n > 0 and context.clock:now() + n * 60 or nil
  end)
  on_sandbox(context, "POST", "/public/:value", function(box, req)
    if req.params.value ~= "true" and req.params.value ~= "false" then
      checks.bad("Validation failed (boolean string is expected)")
    end
    box.public = req.params.value == "true"
    context.store:changed(box)
  end)
  on_sandbox(context, "PUT", "/secrets", function(_, req)
    local body = checks.fields(req:json(), { secrets = "list" })
    if not body.secrets then checks.bad("secrets must be an array") end
    local _, name = next(body.secrets[1] or {})
    if name then checks.bad("Secret '%s' not found", name) end
  end)
  context.app:route("PUT", "/sandbox/:id/labels", function(req)
    local box = found(context, req)
    local body = checks.fields(req:json(), { labels = "map" })
    if not body.labels then checks.bad("labels must be an object of strings") end
    box.labels = body.labels
    context.store:changed(box)
    if context.legacy then return 200, context.store:dto(box) end
    return 200, { labels = box.labels }
  end)
  context.app:route("POST", "/sandbox/:id/last-activity", function(req)
    context.store:touch(found_by_id(context, req))
    return 201
  end)
end

-- Addresses and keys ----------------------------------------------------------------------

local function add_addresses(context)
  local app = context.app
  app:route("GET", "/sandbox/:id/toolbox-proxy-url", function(req)
    return 200, { url = context.store:address(found_by_id(context, req)) }
  end)
  local function key(rotate)
    return function(req)
      local box = found_by_id(context, req)
      if rotate then
        box.signing_key = sandboxes.token(16)
        context.store:changed(box)
        context.push(box, "PUT", "/__devserver/signing-key", { key = box.signing_key })
      end
      return 200, ('"%s"'):format(box.signing_key), { ["content-type"] = "application/json" }
    end
  end
  app:route("GET", "/sandbox/:id/signing-key", key(false))
  app:route("POST", "/sandbox/:id/signing-key/rotate", key(true))
end

local function build_log(context, req, follow)
  local box = found(context, req)
  local path = context.store:folder(box) .. "/build.log"
  return function(write)
    local sent = 0
    while true do
      local building = box.state == "pending_build" or box.state == "building_snapshot"
      local text = files.read(path) or ""
      if #text > sent and not write(text:sub(sent + 1)) then return end
      sent = #text
      if not follow or not building then return end
      if req:wait(0.05) then return end
    end
  end
end

local function add_builds(context)
  context.app:route("GET", "/sandbox/:id/build-logs-url", function(req)
    local box = found(context, req)
    if not box.build_info then httpd.fail(404, nil, "Sandbox has no build info") end
    return 200, { url = ("%s/sandbox/%s/build-logs"):format(context.api_url, box.id) }
  end)
  context.app:route("GET", "/sandbox/:id/build-logs", function(req)
    local box = found(context, req)
    if not box.build_info then httpd.fail(404, nil, "Sandbox has no build info") end
    return 200, build_log(context, req, req.query.follow == "true"),
      { ["content-type"] = "application/octet-stream" }
  end)
end

---Fails as the service does for a path of a sandbox that is not started, and so has no
---daemon; for every other path, too.
---@param req table
function routes.not_started(context, req)
  local id = req.full_path:match("^/toolbox/([^/]+)/")
  if not id then httpd.fail(404, nil, "Cannot " .. req.method .. " " .. req.full_path) end
  local box = context.store:find(id)
  if not box then httpd.fail(404, "NOT_FOUND", ("no such sandbox: %s"):format(id)) end
  checks.bad("no IP address found. Is the Sandbox started?")
end

-- The rest --------------------------------------------------------------------------------

local function config_of(context)
  return {
    version = sandboxes.VERSION, environment = "local", linkedAccountsEnabled = false,
    announcements = {}, maintananceMode = false,
    oidc = { issuer = context.api_url, clientId = "daytona-local", audience = "daytona-local" },
    proxyTemplateUrl = ("%s://{{PORT}}-{{sandboxId}}.localhost:%d"):format(context.scheme, context.port),
    proxyToolboxUrl = context.store.proxy_url, defaultSnapshot = sandboxes.SNAPSHOT,
    dashboardUrl = context.api_url, maxAutoArchiveInterval = sandboxes.MAX_ARCHIVE,
  }
end

local function snapshot(context)
  local made = httpd.timestamp(context.started)
  return {
    id = routes.snapshot_id, general = true, name = sandboxes.SNAPSHOT,
    imageName = sandboxes.SNAPSHOT, state = "active", size = json.null, entrypoint = json.null,
    cpu = 1, gpu = 0, mem = 1, disk = 3, errorReason = json.null, createdAt = made,
    updatedAt = made, lastUsedAt = json.null, sourceSandboxId = json.null,
    sandboxClass = "container", regionIds = json.array { "local" },
  }
end

local function add_service(context)
  local app = context.app
  app:route("GET", "/config", function() return 200, config_of(context) end, { auth = false })
  app:route("GET", "/health", function()
    return 200, { status = "ok", version = sandboxes.VERSION }
  end, { auth = false })
  app:route("GET", "/api-keys/current", function()
    return 200, {
      name = "local", value = "local_****", createdAt = httpd.timestamp(context.started),
      permissions = json.array { "write:sandboxes", "delete:sandboxes" },
      lastUsedAt = json.null, expiresAt = json.null, userId = "local",
    }
  end)
  app:route("GET", "/users/me", function()
    return 200, {
      id = "local", name = "local", email = "local@localhost", emailVerified = false, publicKeys = json.array {},
      createdAt = httpd.timestamp(context.started),
    }
  end)
  app:route("GET", "/snapshots", function()
    return 200, { items = { snapshot(context) }, total = 1, page = 1, totalPages = 1 }
  end)
  app:route("GET", "/snapshots/:id", function(req)
    if req.params.id ~= sandboxes.SNAPSHOT and req.params.id ~= routes.snapshot_id then
      httpd.fail(404, nil, ("Snapshot %s not found"):format(req.params.id))
    end
    return 200, snapshot(context)
  end)
end

routes.snapshot_id = "8f4a1c52-0000-4000-8000-000000000003"

-- What others answer about a sandbox.
local function add_others(context)
  local function on_box(method, path, handler)
    context.app:route(method, "/sandbox/:id" .. path, function(req)
      return 200, handler(found(context, req), req)
    end)
  end
  previews.add(context, on_box)
  ssh.add(context, on_box)
  telemetry.add(context, on_box)
end

---Adds every route. The context: app, store, life, clock, scheme, port, api_url, key,
---started, legacy, push(box, method, path, body) to reach a running daemon.
---@param context table
function routes.add(context)
  add_service(context)
  context.app:route("POST", "/sandbox", function(req) return create(context, req) end)
  context.app:route("GET", "/sandbox", function(req)
    return 200, list.cursor_page(context.store, req)
  end)
  context.app:route("GET", "/sandbox/paginated", function(req)
    return 200, list.numbered_page(context.store, req)
  end)
  add_actions(context)
  add_settings(context)
  add_addresses(context)
  add_others(context)
  add_builds(context)
  context.app.not_found = function(req) return routes.not_started(context, req) end
end

return routes
