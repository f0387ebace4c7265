-- Warm pools: sandboxes that the service keeps ready, so that a create takes one at once.
-- `client.warm_pools`. One serves creates of its snapshot without variables, volumes and
-- secrets.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local resource = require "daytona.control.resource"
local walk = require "daytona.control.walk"

---A warm pool. Its fields are the service's, as of the last answer about it.
---@class daytona.WarmPool
---@field id string
---@field snapshot string
---@field target string
---@field pool integer          how many it is to hold
---@field current_size integer  how many it holds
---@field error_reason? string
---@field raw table
---@field client daytona.Client
local WarmPool = resource.class("daytona.WarmPool", "warm pool")

---The warm pools of an account: `client.warm_pools`. kind "unsupported" at a service that
---has none yet.
---@class daytona.WarmPools
---@field client daytona.Client
local WarmPools, new = resource.collection("daytona.WarmPools", "warm pools")

local api = calls.of_service {
  list     = resource.lists(WarmPool, "/warm-pools"),
  create   = resource.one(WarmPool, "POST", "/warm-pools", { what = "snapshot" }),
  set_size = resource.one(WarmPool, "PATCH", "/warm-pools/{pool_id}", { safe = true }),
  delete   = { "DELETE", "/warm-pools/{pool_id}" },
}

---"warm pool (snapshot, 2 of 3)"
---@private
function WarmPool:__tostring()
  return string.format("warm pool (%s, %s of %s)", tostring(self.snapshot), tostring(self.current_size),
    tostring(self.pool))
end

---Asks the service for the current fields.
---@return daytona.WarmPool?
---@return daytona.Error?
function WarmPool:refresh()
  local list, err = api.list(self, nil, { operation = "refresh" })
  if not list then return nil, err end
  for _, pool in ipairs(list) do
    if pool.id == self.id then return resource.apply(self, pool.raw) end
  end
  return nil, errors.new {
    kind = "not_found", operation = "refresh", what = self.id, message = "there is no such pool",
  }
end

---Changes how many it is to hold; 0 drains it.
---@param size integer
---@return daytona.WarmPool?
---@return daytona.Error?
function WarmPool:set_size(size)
  options.argument("set_size: the size", "count", size)
  return api.set_size(self, { pool = size })
end

local DELETE = { timeout = "seconds", wait = "boolean" }

---Deletes it, with the sandboxes in it. Success when it is gone already.
---@param opts? { timeout?: number }
---@return true?
---@return daytona.Error?
function WarmPool:delete(opts)
  opts = options.check("delete", DELETE, opts)
  return resource.delete(self, api.delete, function() return self:refresh() end, {}, opts.timeout)
end

---All warm pools.
---@return daytona.WarmPool[]?
---@return daytona.Error?
function WarmPools:list()
  return api.list(self)
end

---All warm pools, one by one. Raises when they cannot be had.
---@return fun(): daytona.WarmPool?
function WarmPools:each()
  return walk.of(function() return self:list() end)
end

---The warm pool of that id, or the only one of that snapshot. kind "not_found" when there
---is none.
---@param id_or_snapshot string
---@return daytona.WarmPool?
---@return daytona.Error?
function WarmPools:get(id_or_snapshot)
  options.argument("get: the id or snapshot", "text", id_or_snapshot)
  local list, err = api.list(self, nil, { operation = "get", what = id_or_snapshot })
  if not list then return nil, err end
  local found
  for _, pool in ipairs(list) do
    if pool.id == id_or_snapshot then return pool end
    if pool.snapshot == id_or_snapshot then
      if found then
        return nil, errors.new {
          kind = "conflict", operation = "get", what = id_or_snapshot, message = "there are several pools of it",
        }
      end
      found = pool
    end
  end
  if found then return found end
  return nil, errors.new {
    kind = "not_found", operation = "get", what = id_or_snapshot, message = "there is no such pool",
  }
end

local CREATE = { snapshot = "text", size = "positive", target = "text" }

---Makes a warm pool.
---@param opts { snapshot: string, size: integer, target?: string }  region: the client's when absent
---@return daytona.WarmPool?
---@return daytona.Error?
function WarmPools:create(opts)
  options.argument("create: the pool", "table", opts)
  opts = options.check("create", CREATE, opts)
  if not opts.snapshot or not opts.size then errors.misuse(1, "create: snapshot and size are needed") end
  return api.create(self, { snapshot = opts.snapshot, pool = opts.size, target = opts.target or self.client.target })
end

---Deletes by object, id, or snapshot where there is one pool of it. Kind "not_found" where
---there is none, unless `missing_ok`.
---@param which string|daytona.WarmPool
---@param opts? { timeout?: number, missing_ok?: boolean }
---@return true?
---@return daytona.Error?
function WarmPools:delete(which, opts)
  return resource.delete_of(WarmPool, which, opts, function(name) return self:get(name) end)
end

resource.guard(WarmPool, "daytona.WarmPool", "pool")
resource.guard(WarmPools, "daytona.WarmPools", "client.warm_pools")

return { new = new }
