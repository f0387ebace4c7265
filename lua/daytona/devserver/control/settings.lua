-- What can be set on a sandbox without a change of its state.

local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local create = require "daytona.devserver.control.create"
local secrets = require "daytona.devserver.control.secrets"
local json = require "daytona.devserver.http.json"

local settings = {}

local function keep(context, box, fields)
  checks.kept(context.store:update(box, fields))
  context.life:schedule(box)
end

-- Intervals ------------------------------------------------------------------------------

-- A handler that sets a field to what `convert` makes of the number in the path.
local function interval(field, name, convert)
  return function(context, box, req)
    local value = checks.integer(req.params.value)
    checks.interval(name, value)
    keep(context, box, { [field] = convert(value, context, box) })
  end
end

local function same(value) return value end

settings.auto_stop = interval("auto_stop", "autoStopInterval", same)
settings.auto_archive = interval("auto_archive", "autoArchiveInterval", create.archive_interval)
settings.auto_delete = interval("auto_delete", "autoDeleteInterval", same)

settings.auto_pause = interval("auto_pause", "autoPauseInterval", function(value, _, box)
  if value > 0 and box.class == "container" then
    checks.bad "Auto-pause is not supported for this sandbox class"
  end
  return value
end)

settings.ttl = interval("destroy_at", "ttlMinutes", function(value, context)
  return value > 0 and context.clock:now() + value * 60 or context.store.NONE
end)

-- Labels, public, activity -------------------------------------------------------------------

-- (The service keeps whatever it is given.)
function settings.labels(context, box, req)
  local labels = req:json().labels
  if labels == json.null or labels == nil then labels = {} end
  if req.app.strict then checks.fields(req, { labels = labels }, { labels = "object" }) end
  keep(context, box, { labels = labels })
  if context.legacy then return end
  return { labels = box.labels }
end

function settings.public(context, box, req)
  local value = req.params.value
  if req.app.strict and value ~= "true" and value ~= "false" then
    checks.bad "Validation failed (boolean string is expected)"
  end
  keep(context, box, { public = value == "true" })
end

function settings.touch(context, box)
  context.store:touch(box)
  return ""
end

-- Network --------------------------------------------------------------------------------------

local NETWORK = { "networkBlockAll", "networkAllowList", "domainAllowList" }

local function read_network(req)
  local body = req:json()
  for _, name in ipairs(NETWORK) do
    if body[name] == json.null then
      checks.bad("%s must be a %s", name, name == "networkBlockAll" and "boolean value" or "string")
    end
  end
  body = checks.fields(req, body, {
    networkBlockAll = "boolean", networkAllowList = "string", domainAllowList = "string",
  })
  if next(body) == nil then
    checks.bad "At least one of networkBlockAll, networkAllowList or domainAllowList must be provided"
  end
  return body
end

function settings.network(context, box, req)
  local body = read_network(req)
  local allow, domains = body.networkAllowList, body.domainAllowList
  if allow then checks.allow_list(allow) end
  if domains then checks.domains(domains) end
  if context.life.changing(box) then
    httpd.fail(409, nil, "An operation is already in progress for this resource")
  end
  local none, fields = context.store.NONE, {}
  if body.networkBlockAll ~= nil then
    fields.network_block_all, fields.network_allow_list = body.networkBlockAll, none
  end
  if allow then fields.network_allow_list = allow ~= "" and allow or none end
  if allow and allow ~= "" then fields.network_block_all = false end
  if domains then fields.domain_allow_list = domains ~= "" and domains or none end
  keep(context, box, fields)
end

-- Secrets ----------------------------------------------------------------------------------------

function settings.secrets(context, box, req)
  local body = checks.fields(req, req:json(), { secrets = "list" })
  if not body.secrets then checks.bad "secrets must be an array" end
  local before, set = box.secrets or {}, {}
  keep(context, box, { secrets = secrets.resolve(context, body.secrets) or context.store.NONE })
  local unset = json.array {}
  for name in pairs(before) do
    if not (box.secrets or {})[name] then unset[#unset + 1] = name end
  end
  for name, secret in pairs(box.secrets or {}) do set[name] = secret.placeholder end
  context.push(box, "POST", "/env", { set = set, unset = unset })
end

return settings
