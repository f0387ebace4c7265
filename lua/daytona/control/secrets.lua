-- Secrets: values that the service gives to programs in sandboxes without showing them.
-- `client.secrets`. A value is sent and never comes back: no object, no text and no error
-- here holds one.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local resource = require "daytona.control.resource"
local walk = require "daytona.control.walk"

---A secret. Its fields are the service's, as of the last answer about it.
---@class daytona.Secret
---@field id string
---@field name string
---@field description? string
---@field placeholder string   what programs find in its place; the value is put in on the way out
---@field hosts string[]       to which alone it is sent; empty: to all
---@field created_at string
---@field updated_at string
---@field raw table
---@field client daytona.Client
local Secret = resource.class("daytona.Secret", "secret")

---The secrets of an account: `client.secrets`. kind "unsupported" at a service that has
---none yet.
---@class daytona.Secrets
---@field client daytona.Client
local Secrets, new = resource.collection("daytona.Secrets", "secrets")

local SENT = { secret = { "value" }, lists = { "hosts" } }

local api = calls.of_service {
  list    = resource.pages(Secret, "/secret/paginated"),
  create  = resource.one(Secret, "POST", "/secret", { what = "name", secret = SENT.secret, lists = SENT.lists }),
  get     = resource.one(Secret, "GET", "/secret/{secret}"),
  update  = resource.one(Secret, "PATCH", "/secret/{secret}",
    { secret = SENT.secret, lists = SENT.lists, safe = true }),
  delete  = { "DELETE", "/secret/{secret}" },
}

--- One of them --------------------------------------------------------------------------------

---Asks the service for the current fields.
---@return daytona.Secret?
---@return daytona.Error?
function Secret:refresh()
  return api.get(self, nil, { operation = "refresh" })
end

local UPDATE = { value = "text", description = "string", hosts = "list" }

---Changes what is said; the rest stays. Sandboxes that have it get the new value.
---@param changes { value?: string, description?: string, hosts?: string[] }
---@return daytona.Secret?
---@return daytona.Error?
function Secret:update(changes)
  options.argument("update: the changes", "table", changes)
  changes = options.check("update", UPDATE, changes)
  if next(changes) == nil then errors.misuse(1, "update: one of value, description, hosts is needed") end
  return api.update(self, changes)
end

---Deletes it. Success when it is gone already.
---@param opts? { timeout?: number }
---@return true?
---@return daytona.Error?
function Secret:delete(opts)
  opts = options.check("delete", { timeout = "seconds", wait = "boolean" }, opts)
  return resource.delete(self, api.delete, api.get, {}, opts.timeout)
end

--- All of them --------------------------------------------------------------------------------

local FILTER = {
  cursor = "text", limit = options.range(1, 200), name = "text", sort = { "name", "createdAt", "updatedAt" },
  order = { "asc", "desc" },
}

---One page of secrets.
---@param filter? { cursor?: string, limit?: integer, name?: string, sort?: string, order?: string }
---@return { items: daytona.Secret[], total?: integer, next_cursor?: string }?
---@return daytona.Error?
function Secrets:list(filter)
  return api.list(self, options.check("list", FILTER, filter))
end

---All secrets, page by page as they are needed. Raises when a page cannot be had.
---@param filter? { limit?: integer, name?: string, sort?: string, order?: string }  `limit` is the size of a page
---@return fun(): daytona.Secret?
function Secrets:each(filter)
  local values = options.copy(options.check("each", FILTER, filter))
  return walk.over(function(cursor)
    values.cursor = cursor
    return api.list(self, values)
  end, values.cursor)
end

-- The service finds names by a part of them.
local function find(self, name)
  local cursor
  repeat
    local page, err = api.list(self, { name = name, cursor = cursor }, { operation = "get" })
    if not page then return nil, err end
    for _, secret in ipairs(page.items) do
      if secret.name == name then return secret end
    end
    cursor = page.next_cursor
  until not cursor
  return nil, errors.new { kind = "not_found", operation = "get", what = name, message = "there is no such secret" }
end

---The secret of that name or id. kind "not_found" when there is none.
---@param name_or_id string
---@return daytona.Secret?
---@return daytona.Error?
function Secrets:get(name_or_id)
  options.argument("get: the name or id", "text", name_or_id)
  if resource.is_id(name_or_id) then
    local secret, err = api.get(self, { secret = name_or_id })
    if secret or not errors.is(err, "not_found") then return secret, err end
  end
  return find(self, name_or_id)
end

local CREATE = { name = "text", value = "text", description = "string", hosts = "list" }

---Keeps a value under a name: a letter or "_" first, then letters, digits, "_", "-".
---Where `hosts` are said ("api.example.org", "*.example.org") it is sent to these alone.
---kind "conflict" when the name is taken.
---@param opts { name: string, value: string, description?: string, hosts?: string[] }
---@return daytona.Secret?
---@return daytona.Error?
function Secrets:create(opts)
  options.argument("create: the secret", "table", opts)
  opts = options.check("create", CREATE, opts)
  if not opts.name or not opts.value then errors.misuse(1, "create: name and value are needed") end
  local secret, err = api.create(self, opts)
  if secret or not calls.is_lost(err) then return secret, err end
  local found = find(self, opts.name)
  if not found then return nil, err end
  -- It may be another's of that name, or hold another value: what was asked for is made sure of.
  return found:update { value = opts.value, description = opts.description, hosts = opts.hosts }
end

---Changes by object, name or id, as `secret:update`.
---@param which string|daytona.Secret
---@param changes { value?: string, description?: string, hosts?: string[] }
---@return daytona.Secret?
---@return daytona.Error?
function Secrets:update(which, changes)
  local secret, err = resource.resolve(Secret, "update", which, function(name) return self:get(name) end)
  if not secret then return nil, err end
  return secret:update(changes)
end

---Deletes by object, name or id. Of a name or id: kind "not_found" where there is none,
---unless `missing_ok`.
---@param which string|daytona.Secret
---@param opts? { timeout?: number, missing_ok?: boolean }
---@return true?
---@return daytona.Error?
function Secrets:delete(which, opts)
  return resource.delete_of(Secret, which, opts, function(name) return self:get(name) end)
end

resource.guard(Secret, "daytona.Secret", "secret")
resource.guard(Secrets, "daytona.Secrets", "client.secrets")

return { new = new }
