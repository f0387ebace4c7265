-- Secrets. A sandbox gets a placeholder in its environment, never the value: that, the
-- service puts into requests on their way out, which the local server does not do.

local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local params = require "daytona.devserver.control.params"
local sandboxes = require "daytona.devserver.control.sandboxes"
local json = require "daytona.devserver.http.json"

local secrets = {}

local function describe(secret)
  return {
    id = secret.id, name = secret.name, description = secret.description, placeholder = secret.placeholder,
    hosts = json.array(secret.hosts or {}), createdAt = httpd.timestamp(secret.created),
    updatedAt = httpd.timestamp(secret.updated),
  }
end

---What a sandbox keeps of the list of a body ({ {ENV = name}, ... }); 400 for an unknown
---name.
---@param context table
---@param list? table[]
---@return table<string, { name: string, placeholder: string }>?
function secrets.resolve(context, list)
  local attached = {}
  for _, entry in ipairs(list or {}) do
    if type(entry) ~= "table" then checks.bad "each value in secrets must be an object" end
    for variable, name in pairs(entry) do
      local secret = type(name) == "string" and context.records.secrets.by_name[name]
      if not secret then checks.bad("Secret '%s' not found", tostring(name)) end
      if type(variable) ~= "string" or not variable:find("^[%a_][%w_]*$") then
        checks.bad("Invalid environment variable name '%s'", tostring(variable))
      end
      attached[variable] = { name = name, placeholder = secret.placeholder }
    end
  end
  return next(attached) and attached or nil
end

-- Checks -----------------------------------------------------------------------------------

local function check_hosts(hosts)
  for _, host in ipairs(hosts or {}) do
    if type(host) ~= "string" then checks.bad "each value in hosts must be a string" end
    if not host:gsub("^%*%.", ""):find("^%w[%w%-%.]*$") then checks.bad("Invalid host: %s", host) end
  end
end

local FIELDS = { name = "string", value = "string", description = "string", hosts = "list" }

local function read(req)
  local body = checks.fields(req, req:json(), FIELDS)
  check_hosts(body.hosts)
  return body
end

local function found(context, req)
  return context.records.secrets.by_id[req.params.id]
    or httpd.fail(404, nil, ("Secret with ID %s not found"):format(req.params.id))
end

-- Calls ------------------------------------------------------------------------------------

function secrets.create(context, req)
  local body = read(req)
  for _, field in ipairs { "name", "value" } do
    if not body[field] then checks.bad("%s must be a string", field) end
  end
  if not body.name:find("^[%a_][%w_%-]*$") then
    checks.bad "name must start with a letter or underscore and contain only letters, digits, underscores, and hyphens"
  end
  if context.records.secrets.by_name[body.name] then
    httpd.fail(409, nil, ("Secret with name %s already exists"):format(body.name))
  end
  local now = context.clock:now()
  local secret = {
    id = sandboxes.uuid(), name = body.name, value = body.value, description = body.description, hosts = body.hosts,
    placeholder = "dtn_secret_" .. sandboxes.token(16), created = now, updated = now,
  }
  checks.kept(context.records.secrets:keep(secret))
  return 201, describe(secret)
end

function secrets.list(context)
  local list = json.array {}
  for i, secret in ipairs(context.records.secrets:all()) do list[i] = describe(secret) end
  return 200, list
end

local SORTS = { name = "name", createdAt = "created", updatedAt = "updated" }

function secrets.page(context, req)
  local limit = params.integer(req, "limit", 1, 200) or 100
  local field = SORTS[params.choice(req, "sort", SORTS, "createdAt")]
  local order = params.choice(req, "order", { asc = true, desc = true }, "desc")
  local wanted = (req.query.name or ""):lower()
  local all = {}
  for _, secret in ipairs(context.records.secrets:all(field)) do
    if secret.name:lower():find(wanted, 1, true) then table.insert(all, order == "asc" and #all + 1 or 1, secret) end
  end
  local from = params.integer(req, "cursor", 0) or 0   -- a number here; opaque to clients
  local items = json.array {}
  for i = from + 1, math.min(from + limit, #all) do items[#items + 1] = describe(all[i]) end
  local more = from + limit < #all
  return 200, { items = items, total = #all, nextCursor = more and tostring(from + limit) or json.null }
end

function secrets.get(context, req) return 200, describe(found(context, req)) end

function secrets.update(context, req)
  local secret, body = found(context, req), read(req)
  for _, field in ipairs { "value", "description", "hosts" } do
    if body[field] ~= nil then secret[field] = body[field] end
  end
  secret.updated = context.clock:now()
  checks.kept(context.records.secrets:keep(secret))
  return 200, describe(secret)
end

function secrets.delete(context, req)
  context.records.secrets:remove(found(context, req))
  return 204
end

return secrets
