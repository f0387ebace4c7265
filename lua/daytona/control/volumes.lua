-- Volumes: folders that outlive sandboxes and that several of them share.
-- `client.volumes`.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local resource = require "daytona.control.resource"
local walk = require "daytona.control.walk"

---A volume. Its fields are the service's, as of the last answer about it.
---@class daytona.Volume
---@field id string
---@field name string
---@field state string          "pending_create", "creating", "ready", "pending_delete", "deleting", "deleted", "error"
---@field error_reason? string
---@field created_at string
---@field last_used_at? string
---@field raw table
---@field client daytona.Client
local Volume = resource.class("daytona.Volume", "volume")

---The volumes of an account: `client.volumes`.
---@class daytona.Volumes
---@field client daytona.Client
local Volumes, new = resource.collection("daytona.Volumes", "volumes")

-- 400 is what the service says to a taken name, and to what it cannot do yet.
local function explain_create(err)
  if err.status == 400 and err.message:find("already exists", 1, true) then err.kind = "conflict" end
  return err
end

local function explain_delete(err)
  if err.status == 409 and err.message:find("in use", 1, true) then err.code = "in_use" end
  if err.status == 400 and err.message:find("in order to be deleted", 1, true) then err.kind = "state" end
  return err
end

local api = calls.of_service {
  list    = resource.lists(Volume, "/volumes"),
  create  = resource.one(Volume, "POST", "/volumes", { what = "name", explain = explain_create }),
  get     = resource.one(Volume, "GET", "/volumes/{volume}"),
  by_name = resource.one(Volume, "GET", "/volumes/by-name/{volume}", { operation = "get" }),
  delete  = { "DELETE", "/volumes/{volume}", explain = explain_delete },
}

local READY = { ready = true }
local GOING = { pending_delete = true, deleting = true, deleted = true }
local NEVER_READY = { error = true, pending_delete = true, deleting = true, deleted = true }

--- One of them --------------------------------------------------------------------------------

---Asks the service for the current fields.
---@return daytona.Volume?
---@return daytona.Error?
function Volume:refresh()
  return api.get(self, nil, { operation = "refresh" })
end

local WAIT = { timeout = "seconds" }

---Waits until it can be mounted. kind "state" when it never will, "timeout" when the time
---is over.
---@param opts? { timeout?: number }|number  seconds (60, 0 for none)
---@return daytona.Volume?
---@return daytona.Error?
function Volume:wait_ready(opts)
  opts = options.check("wait_ready", WAIT, type(opts) == "number" and { timeout = opts } or opts)
  local fine, err = resource.wait(self, {
    operation = "wait_ready", refresh = api.get, targets = READY, dead = NEVER_READY,
    deadline = loop.after(opts.timeout or 60),
  })
  if not fine then return nil, err end
  return self
end

local DELETE = { timeout = "seconds", wait = "boolean" }

---Deletes it, with all that is in it. Success when it is gone already; kind "conflict",
---code "in_use", while a sandbox has it mounted. One that is only being made is waited for.
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: until it is gone, false
---@return true?
---@return daytona.Error?
function Volume:delete(opts)
  opts = options.check("delete", DELETE, opts)
  local timeout = opts.timeout or 60
  local deadline = loop.after(timeout)
  local gone, err = resource.delete(self, api.delete, api.get, GOING, timeout)
  if not gone and err.kind == "state" then
    local left = deadline and math.max(deadline - loop.now(), 0.001) or 0
    if api.get(self) and GOING[self.state] then
      gone = true
    elseif self:wait_ready { timeout = left } then
      gone, err = resource.delete(self, api.delete, api.get, GOING, left)
    end
  end
  if not gone then return nil, err end
  if not opts.wait then
    self.state = "pending_delete"
    return true
  end
  return resource.wait(self, {
    operation = "delete", refresh = api.get, targets = { deleted = true }, dead = { error = true },
    gone_is_fine = true, deadline = deadline,
  })
end

--- All of them --------------------------------------------------------------------------------

local LIST = { include_deleted = "boolean" }

---All volumes.
---@param opts? { include_deleted?: boolean }
---@return daytona.Volume[]?
---@return daytona.Error?
function Volumes:list(opts)
  opts = options.check("list", LIST, opts)
  return api.list(self, { include_deleted = opts.include_deleted })
end

---All volumes, one by one. Raises when they cannot be had.
---@param opts? { include_deleted?: boolean }
---@return fun(): daytona.Volume?
function Volumes:each(opts)
  return walk.of(function() return self:list(opts) end)
end

local GET = { create = "boolean" }

---The volume of that name or id. kind "not_found" when there is none; with `create` it is
---made then, and is ready.
---@param name_or_id string
---@param opts? { create?: boolean }
---@return daytona.Volume?
---@return daytona.Error?
function Volumes:get(name_or_id, opts)
  options.argument("get: the name or id", "text", name_or_id)
  opts = options.check("get", GET, opts)
  local volume, err
  if resource.is_id(name_or_id) then volume, err = api.get(self, { volume = name_or_id }) end
  if not volume and (not err or errors.is(err, "not_found")) then
    volume, err = api.by_name(self, { volume = name_or_id })
  end
  if volume or not opts.create or not errors.is(err, "not_found") then return volume, err end
  volume, err = self:create(name_or_id)
  if not volume and errors.is(err, "conflict") then volume, err = api.by_name(self, { volume = name_or_id }) end
  if not volume then return nil, err end
  return volume:wait_ready()
end

local CREATE = { timeout = "seconds", wait = "boolean" }

---Makes a volume and waits until it can be mounted. kind "conflict" when the name is
---taken.
---@param name string
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Volume?
---@return daytona.Error?
function Volumes:create(name, opts)
  options.argument("create: the name", "text", name)
  opts = options.check("create", CREATE, opts)
  local volume, err = api.create(self, { name = name }, { timeout = opts.timeout })
  if not volume and calls.is_lost(err) then
    volume = api.by_name(self, { volume = name }) -- under that name there is but one
  end
  if not volume then return nil, err end
  if opts.wait == false then return volume end
  return volume:wait_ready { timeout = opts.timeout }
end

---Deletes by object, name or id, as `volume:delete`. Of a name or id: kind "not_found"
---where there is none, unless `missing_ok`.
---@param which string|daytona.Volume
---@param opts? { timeout?: number, wait?: boolean, missing_ok?: boolean }
---@return true?
---@return daytona.Error?
function Volumes:delete(which, opts)
  return resource.delete_of(Volume, which, opts, function(name) return self:get(name) end)
end

resource.guard(Volume, "daytona.Volume", "volume")
resource.guard(Volumes, "daytona.Volumes", "client.volumes")

return { new = new, object = resource.maker(Volume) }
