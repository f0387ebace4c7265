-- What an account is: its key, its regions, what it uses of its quota; and what its service
-- says of itself. Methods of clients, and `client.regions`.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local resource = require "daytona.control.resource"
local walk = require "daytona.control.walk"

local account = {}

---A region, where sandboxes run.
---@class daytona.Region
---@field id string
---@field name string
---@field region_type string    "shared", "dedicated", "custom"
---@field proxy_url? string
---@field ssh_gateway_url? string
---@field raw table
---@field client daytona.Client
local Region = resource.class("daytona.Region", "region")

---The regions of an account: `client.regions`.
---@class daytona.Regions
---@field client daytona.Client
local Regions, new = resource.collection("daytona.Regions", "regions")

account.new = new

local api = calls.of_service {
  list   = resource.lists(Region, "/regions"),
  shared = resource.lists(Region, "/shared-regions"),
  config = { "GET", "/config", "object" },
  user   = { "GET", "/users/me", "object", operation = "ping" },
  key    = { "GET", "/api-keys/current", "object" },
  usage  = { "GET", "/organizations/{organization}/usage", "object", what = "none" },
  gpus   = { "GET", "/organizations/{organization}/gpu-capacity", "object", operation = "gpu_capacity",
    what = "none" },
  classes = { "GET", "/organizations/{organization}/available-sandbox-classes", "list", operation = "sandbox_classes",
    what = "none" },
}

local LIST = { shared = "boolean" }

---The regions that `target` can name; with `shared` those that everybody has.
---@param opts? { shared?: boolean }
---@return daytona.Region[]?
---@return daytona.Error?
function Regions:list(opts)
  opts = options.check("list", LIST, opts)
  return (opts.shared and api.shared or api.list)(self)
end

---All regions, one by one. Raises when they cannot be had.
---@param opts? { shared?: boolean }
---@return fun(): daytona.Region?
function Regions:each(opts)
  return walk.of(function() return self:list(opts) end)
end

---The region of that id or name. kind "not_found" when there is none.
---@param id_or_name string
---@return daytona.Region?
---@return daytona.Error?
function Regions:get(id_or_name)
  options.argument("get: the id or name", "text", id_or_name)
  local list, err = api.list(self, nil, { operation = "get", what = id_or_name })
  if not list then return nil, err end
  for _, region in ipairs(list) do
    if region.id == id_or_name or region.name == id_or_name then return region end
  end
  return nil, errors.new {
    kind = "not_found", operation = "get", what = id_or_name, message = "there is no such region",
  }
end

---The key that this client uses, as far as the service shows it: `name`, `permissions`,
---`expires_at`, `organization_id` (newer services), and `value`, masked.
---@param self daytona.Client
---@return { name: string, permissions: string[], created_at: string, expires_at?: string, last_used_at?: string, organization_id?: string, value: string }?
---@return daytona.Error?
function account.key(self)
  return api.key(self)
end

---Whether the service is there and takes the credential.
---@param self daytona.Client
---@return true?
---@return daytona.Error?
function account.ping(self)
  if self.uses_jwt then
    local user, err = api.user(self)
    return user and true, err
  end
  local key, err = account.key(self)
  if not key then
    err.operation = "ping"
    return nil, err
  end
  return true
end

---What the service says about itself: version, default_snapshot, rate_limit, ...
---@param self daytona.Client
---@return table?
---@return daytona.Error?
function account.config(self)
  return api.config(self)
end

-- Whose usage it is: what the client was told, else what the service says of the key.
local function organization_of(self)
  if self.organization_id then return self.organization_id end
  local key = api.key(self, nil, { operation = "usage" })
  local id = key and key.organization_id
  if not id then
    local access, err = require("daytona.control.build").push_access(self, nil, { operation = "usage" })
    if not access then return nil, err end
    id = access.organization_id
  end
  if type(id) ~= "string" then
    return nil, errors.new {
      kind = "unsupported", operation = "usage", message = "the service does not say whose key this is",
    }
  end
  self.organization_id = id
  return id
end

-- Asks about the organization. Some services tell that to people only.
local function ask(self, name)
  local id, err = organization_of(self)
  if not id then return nil, err end
  local answer
  answer, err = api[name](self, { organization = id })
  if not answer and err.status == 401 and not self.uses_jwt then
    err.kind = "forbidden"
    err.message = "the service tells this to who is logged in (jwt_token), not to a key: " .. err.message
  end
  return answer, err
end

---What the account uses, and what it may: by region in `region_usage` (`total_cpu_quota`,
---`current_cpu_usage`, ...), and for snapshots and volumes. kind "forbidden" at services
---that tell this to people who are logged in (a JWT) only.
---@param self daytona.Client
---@return { region_usage: table[], total_snapshot_quota: integer, current_snapshot_usage: integer, total_volume_quota: integer, current_volume_usage: integer }?
---@return daytona.Error?
function account.usage(self)
  return ask(self, "usage")
end

---How many GPUs of each type could be had now, whatever the account's quota. kind
---"unsupported" at an older service.
---@return { observed_at: string, capacity: { gpu_type: string, available_on_demand: integer, available_spot: integer }[] }?
---@return daytona.Error?
function Regions:gpu_capacity()
  return ask(self.client, "gpus")
end

---The classes of sandboxes that the account can have, and where. kind "unsupported" at an
---older service.
---@return table[]?
---@return daytona.Error?
function Regions:sandbox_classes()
  return ask(self.client, "classes")
end

resource.guard(Region, "daytona.Region", "region")
resource.guard(Regions, "daytona.Regions", "client.regions")

return account
