-- The control plane's API: every call, in one table. What each does stands in the file of
-- its noun.

local actions = require "daytona.devserver.control.actions"
local addresses = require "daytona.devserver.control.addresses"
local build_logs = require "daytona.devserver.control.build_logs"
local checks = require "daytona.devserver.control.checks"
local create = require "daytona.devserver.control.create"
local list = require "daytona.devserver.control.list"
local previews = require "daytona.devserver.control.previews"
local regions = require "daytona.devserver.control.regions"
local secrets = require "daytona.devserver.control.secrets"
local service = require "daytona.devserver.control.service"
local settings = require "daytona.devserver.control.settings"
local snapshots = require "daytona.devserver.control.snapshots"
local ssh = require "daytona.devserver.control.ssh"
local telemetry = require "daytona.devserver.control.telemetry"
local volumes = require "daytona.devserver.control.volumes"
local warm_pools = require "daytona.devserver.control.warm_pools"

local json = require "daytona.devserver.http.json"

local routes = {}

-- A handler for a sandbox given by id or name: handler(context, box, req) returns a body,
-- or nothing, which means the sandbox.
local function on(handler, status)
  return function(context, req)
    local box = checks.box(context, req.params.id)
    local body = handler(context, box, req)
    if body == nil then body = context.store:dto(box) end
    return status or 200, body
  end
end

local function delete(context, req)
  local box = checks.box(context, req.params.id)
  return 200, actions.delete(context, box, req)
end

-- `open` needs no key; `new` is not in the legacy service.
local open, new = "open", "new"

local TABLE = {
  { "GET", "/config", service.config, open },
  { "GET", "/health", service.health, open },
  { "GET", "/health/ready", service.health },
  { "GET", "/socket.io", function(context, req) return context.events:serve(req) end, open },

  { "POST", "/sandbox", create.sandbox },
  { "GET", "/sandbox", function(context, req) return 200, list.cursor_page(context.store, req) end },
  { "GET", "/sandbox/paginated", function(context, req) return 200, list.numbered_page(context.store, req) end },
  { "GET", "/sandbox/ssh-access/validate", ssh.validate },
  { "GET", "/sandbox/:id", on(actions.get) },
  { "DELETE", "/sandbox/:id", delete },
  { "POST", "/sandbox/:id/start", on(actions.start) },
  { "POST", "/sandbox/:id/stop", on(actions.stop) },
  { "POST", "/sandbox/:id/pause", on(actions.pause) },
  { "POST", "/sandbox/:id/archive", on(actions.archive) },
  { "POST", "/sandbox/:id/backup", on(actions.backup, 201) },
  { "POST", "/sandbox/:id/recover", on(actions.recover) },
  { "POST", "/sandbox/:id/resize", on(actions.resize) },
  { "POST", "/sandbox/:id/snapshot", on(actions.snapshot) },
  { "POST", "/sandbox/:id/fork", on(actions.fork) },
  { "GET", "/sandbox/:id/forks", on(actions.forks) },
  { "GET", "/sandbox/:id/parent", on(actions.parent) },
  { "GET", "/sandbox/:id/ancestors", on(actions.ancestors) },

  { "POST", "/sandbox/:id/autostop/:value", on(settings.auto_stop, 201) },
  { "POST", "/sandbox/:id/autopause/:value", on(settings.auto_pause, 201), new },
  { "POST", "/sandbox/:id/autoarchive/:value", on(settings.auto_archive, 201) },
  { "POST", "/sandbox/:id/autodelete/:value", on(settings.auto_delete, 201) },
  { "POST", "/sandbox/:id/ttl/:value", on(settings.ttl, 201), new },
  { "POST", "/sandbox/:id/public/:value", on(settings.public, 201) },
  { "PUT", "/sandbox/:id/labels", on(settings.labels) },
  { "PUT", "/sandbox/:id/secrets", on(settings.secrets), new },
  { "GET", "/sandbox/:id/secrets", service.not_for_users, new },
  { "POST", "/sandbox/:id/network-settings", on(settings.network) },
  { "POST", "/sandbox/:id/last-activity", on(settings.touch, 201) },
  { "GET", "/sandbox/:id/organization", on(service.organization_of) },
  { "GET", "/sandbox/:id/region-quota", on(service.region_quota) },

  { "GET", "/sandbox/:id/toolbox-proxy-url", addresses.toolbox_url },
  { "GET", "/sandbox/:id/signing-key", addresses.signing_key, new },
  { "POST", "/sandbox/:id/signing-key/rotate", addresses.rotate_key, new },
  { "GET", "/sandbox/:id/ports/:port/preview-url", on(previews.plain) },
  { "GET", "/sandbox/:id/ports/:port/signed-preview-url", on(previews.signed) },
  { "POST", "/sandbox/:id/ports/:port/signed-preview-url/:token/expire", on(previews.expire, 201) },
  { "GET", "/preview/:id/access", previews.access },
  { "GET", "/preview-login", previews.login, open },
  { "POST", "/sandbox/:id/ssh-access", on(ssh.grant) },
  { "DELETE", "/sandbox/:id/ssh-access", on(ssh.revoke) },

  { "GET", "/sandbox/:id/build-logs-url", on(build_logs.url) },
  { "GET", "/sandbox/:id/build-logs", build_logs.of_sandbox },
  { "GET", "/sandboxes/:id/build-logs", build_logs.of_sandbox },

  { "GET", "/sandbox/:id/telemetry/metrics", on(telemetry.metrics) },
  { "GET", "/sandbox/:id/telemetry/logs", on(telemetry.logs) },
  { "GET", "/sandbox/:id/telemetry/traces", on(telemetry.traces) },
  { "GET", "/sandbox/:id/telemetry/traces/:trace", on(telemetry.trace) },

  { "GET", "/snapshots", snapshots.list },
  { "POST", "/snapshots", snapshots.create },
  { "GET", "/snapshots/:id", snapshots.get },
  { "DELETE", "/snapshots/:id", snapshots.delete },
  { "POST", "/snapshots/:id/activate", snapshots.activate },
  { "POST", "/snapshots/:id/deactivate", snapshots.deactivate },
  { "GET", "/snapshots/:id/build-logs-url", snapshots.log_url },
  { "GET", "/snapshots/:id/build-logs", build_logs.of_snapshot },

  { "GET", "/volumes", volumes.list },
  { "POST", "/volumes", volumes.create },
  { "GET", "/volumes/by-name/:name", volumes.by_name },
  { "GET", "/volumes/:id", volumes.get },
  { "DELETE", "/volumes/:id", volumes.delete },

  { "GET", "/secret", secrets.list, new },
  { "POST", "/secret", secrets.create, new },
  { "GET", "/secret/paginated", secrets.page, new },
  { "GET", "/secret/:id", secrets.get, new },
  { "PATCH", "/secret/:id", secrets.update, new },
  { "DELETE", "/secret/:id", secrets.delete, new },

  { "GET", "/warm-pools", warm_pools.list, new },
  { "POST", "/warm-pools", warm_pools.create, new },
  { "PATCH", "/warm-pools/:id", warm_pools.update, new },
  { "DELETE", "/warm-pools/:id", warm_pools.delete, new },

  { "GET", "/shared-regions", regions.shared, open },
  { "GET", "/regions", regions.list },
  { "POST", "/regions", regions.create },
  { "GET", "/regions/:id", regions.get },
  { "PATCH", "/regions/:id", regions.update },
  { "DELETE", "/regions/:id", regions.delete },
  { "POST", "/regions/:id/regenerate-proxy-api-key", regions.new_key },

  { "GET", "/api-keys", service.keys },
  { "GET", "/api-keys/current", service.current_key },
  { "GET", "/users/me", service.user },
  { "GET", "/organizations", service.organizations },
  { "GET", "/organizations/:id", service.organization },
  { "GET", "/organizations/:id/usage", service.usage },
  { "PATCH", "/organizations/:id/default-region", service.set_default_region },
  { "GET", "/organizations/:id/available-sandbox-classes", service.classes, new },
  { "GET", "/organizations/:id/gpu-capacity", service.gpu_capacity, new },
  { "GET", "/audit/organizations/:id", service.audit },

  { "GET", "/runners", function() return 200, json.array {} end },
  { "GET", "/jobs", service.not_for_users },
  { "GET", "/docker-registry", service.registries },
  { "POST", "/docker-registry", service.add_registry },
  { "GET", "/docker-registry/:id", service.registry },
  { "PATCH", "/docker-registry/:id", service.change_registry },
  { "DELETE", "/docker-registry/:id", service.remove_registry },
  { "GET", "/object-storage/push-access", service.push_access },
}

---Fails as the service does for a path of a sandbox that is not started.
routes.not_started = addresses.not_started

---Adds every call. The context: app, store, records, events, life, clock, throttle, storage,
---scheme, port, api_url, key, started, legacy, version, push(box, method, path, body) to
---reach a running daemon.
---@param context table
function routes.add(context)
  for _, entry in ipairs(TABLE) do
    local method, path, handler, mark = entry[1], entry[2], entry[3], entry[4]
    if not (context.legacy and mark == new) then
      context.app:route(method, path, function(req) return handler(context, req) end,
        mark == open and { auth = false } or nil)
    end
  end
  context.app.divert = function(req) return previews.divert(context, req) end
  context.app.not_found = function(req) return addresses.not_started(context, req) end
end

return routes
