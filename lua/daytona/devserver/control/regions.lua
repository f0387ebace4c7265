-- Regions: three that are always there, and the organization's own. All are this machine.

local rand = require "openssl.rand"
local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local sandboxes = require "daytona.devserver.control.sandboxes"
local json = require "daytona.devserver.http.json"

local regions = { DEFAULT = "local" }

local SHARED = { "local", "us", "eu" }

local FIELDS = { name = "string", proxyUrl = "string", sshGatewayUrl = "string", snapshotManagerUrl = "string" }

local function describe(context, region)
  local shared = not region.created
  return {
    id = region.id, name = region.name, regionType = shared and "shared" or "custom",
    organizationId = shared and json.null or sandboxes.ORGANIZATION,
    createdAt = httpd.timestamp(region.created or context.started),
    updatedAt = httpd.timestamp(region.updated or context.started),
    proxyUrl = region.proxyUrl or json.null, sshGatewayUrl = region.sshGatewayUrl or json.null,
    snapshotManagerUrl = region.snapshotManagerUrl or json.null,
  }
end

local function shared(context)
  local list = json.array {}
  for i, id in ipairs(SHARED) do list[i] = describe(context, { id = id, name = id }) end
  return list
end

---The id of a region given by id or name, the default for none; 404.
---@param context table
---@param wanted? string
---@return string
function regions.find(context, wanted)
  if not wanted or wanted == "" then return regions.DEFAULT end
  for _, id in ipairs(SHARED) do
    if id == wanted then return id end
  end
  local own = context.records.regions:find(wanted)
  if not own then httpd.fail(404, nil, "Region not found") end
  return own.id
end

-- One of the organization's own.
local function own(context, req)
  return context.records.regions.by_id[req.params.id] or httpd.fail(404, nil, "Region not found")
end

function regions.shared(context) return 200, shared(context) end

function regions.list(context)
  local list = shared(context)
  for _, region in ipairs(context.records.regions:all()) do list[#list + 1] = describe(context, region) end
  return 200, list
end

function regions.get(context, req)
  local id = regions.find(context, req.params.id)
  return 200, describe(context, context.records.regions.by_id[id] or { id = id, name = id })
end

function regions.create(context, req)
  local body = checks.fields(req, req:json(), FIELDS)
  if not body.name then checks.bad "name must be a string" end
  if not body.name:find("^[%w_%-]+$") then   -- (it becomes a part of the id, and that the name of a folder)
    checks.bad "name must contain only letters, digits, underscores and dashes"
  end
  if context.records.regions:find(body.name) then
    httpd.fail(409, nil, ("Region with name %s already exists"):format(body.name))
  end
  local now = context.clock:now()
  body.id = body.name .. "_" .. sandboxes.token(2)
  body.created, body.updated = now, now
  checks.kept(context.records.regions:keep(body))
  return 201, { id = body.id }
end

function regions.update(context, req)
  local region = own(context, req)
  for name, value in pairs(checks.fields(req, req:json(), FIELDS)) do
    if name ~= "name" then region[name] = value end
  end
  region.updated = context.clock:now()
  checks.kept(context.records.regions:keep(region))
  return 200, ""
end

function regions.delete(context, req)
  context.records.regions:remove(own(context, req))
  return 204
end

local function random_key()
  return (rand.bytes(20):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function regions.new_key(context, req)
  own(context, req)
  return 200, { apiKey = random_key() }
end

return regions
