-- Snapshots: what sandboxes are made from. `client.snapshots`.

local calls = require "daytona.control.calls"
local asked = require "daytona.control.create_options"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local resource = require "daytona.control.resource"
local walk = require "daytona.control.walk"

---A snapshot. Its fields are the service's, as of the last answer about it.
---@class daytona.Snapshot
---@field id string
---@field name string
---@field state string          "pending", "building", "pulling", "active", "inactive", "error", "build_failed", "removing"
---@field image_name? string    of an image; "" for what was built or made of a sandbox
---@field general boolean       the service's own, for everybody
---@field cpu number
---@field mem number            GiB
---@field disk number           GiB
---@field gpu number
---@field size? number          GB
---@field entrypoint? string[]
---@field error_reason? string
---@field region_ids? string[]
---@field sandbox_class? string
---@field source_sandbox_id? string
---@field created_at string
---@field last_used_at? string
---@field raw table
---@field client daytona.Client
local Snapshot = resource.class("daytona.Snapshot", "snapshot")

---The snapshots of an account, and the service's own: `client.snapshots`.
---@class daytona.Snapshots
---@field client daytona.Client
local Snapshots, new = resource.collection("daytona.Snapshots", "snapshots")

local api = calls.of_service {
  list       = resource.pages(Snapshot, "/snapshots"),
  create     = resource.one(Snapshot, "POST", "/snapshots", { what = "name", lists = { "entrypoint" } }),
  get        = resource.one(Snapshot, "GET", "/snapshots/{snapshot}"),
  activate   = resource.one(Snapshot, "POST", "/snapshots/{snapshot}/activate"),
  deactivate = { "POST", "/snapshots/{snapshot}/deactivate", safe = true },
  delete     = { "DELETE", "/snapshots/{snapshot}" },
}

local GOING = { removing = true }

-- States from which another is not reached, but by a call.
local FAILED = { error = true, build_failed = true, removing = true }

--- One of them --------------------------------------------------------------------------------

---Asks the service for the current fields.
---@return daytona.Snapshot?
---@return daytona.Error?
function Snapshot:refresh()
  return api.get(self, nil, { operation = "refresh" })
end

-- Waits for a state; `dead` are those from which it cannot come.
local function wait_for(self, operation, targets, deadline, dead)
  local fine, err = resource.wait(self, {
    operation = operation, refresh = api.get, targets = targets, dead = dead or FAILED, deadline = deadline,
  })
  if not fine then return nil, err end
  return self
end

local WAIT = { timeout = "seconds" }

---Waits until it can be used ("active"). kind "state" when that failed, with the reason;
---"timeout" when the time is over.
---@param opts? { timeout?: number }|number  seconds (600, 0 for none)
---@return daytona.Snapshot?
---@return daytona.Error?
function Snapshot:wait(opts)
  opts = options.check("wait", WAIT, type(opts) == "number" and { timeout = opts } or opts)
  local fine, err = api.get(self)
  if not fine then return nil, err end
  return wait_for(self, "wait", { active = true }, loop.after(opts.timeout or 600))
end

local CHANGE = { timeout = "seconds", wait = "boolean" }

-- It was put away just now: the service takes it out again some time later only.
local function is_busy(err)
  return err.kind == "invalid" and err.message:find("still in progress", 1, true) ~= nil
end

local BUSY_STEP = 5

---Brings back what was put away, and waits until it can be used. Success when it is
---active already.
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Snapshot?
---@return daytona.Error?
function Snapshot:activate(opts)
  opts = options.check("activate", CHANGE, opts)
  local deadline = loop.after(opts.timeout or 60)
  local fine, err = api.activate(self)
  while not fine and is_busy(err) and (not deadline or loop.now() + BUSY_STEP < deadline) do
    local slept, why = loop.sleep(BUSY_STEP)
    if not slept then return nil, why end
    fine, err = api.activate(self)
  end
  if not fine then
    local there = (err.kind == "invalid" or calls.is_lost(err)) and api.get(self)
    if not there or self.state == "inactive" or FAILED[self.state] then return nil, err end
  end
  if opts.wait == false then return self end
  return wait_for(self, "activate", { active = true }, deadline)
end

---Puts it away: nothing can be made from it until it is activated again.
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Snapshot?
---@return daytona.Error?
function Snapshot:deactivate(opts)
  opts = options.check("deactivate", CHANGE, opts)
  local done, err = api.deactivate(self)
  if not done then return nil, err end
  if opts.wait == false then return self end
  return wait_for(self, "deactivate", { inactive = true }, loop.after(opts.timeout or 60))
end

---Deletes it. Success when it is gone already; kind "forbidden" for one of the service's
---own. The name is free again when it is gone: with `wait` the call returns then.
---@param opts? { timeout?: number, wait?: boolean }  seconds (60, 0 for none); wait: false
---@return true?
---@return daytona.Error?
function Snapshot:delete(opts)
  opts = options.check("delete", CHANGE, opts)
  local gone, err = resource.delete(self, api.delete, api.get, GOING, opts.timeout)
  if not gone then return nil, err end
  if not opts.wait then
    self.state = "removing"
    return true
  end
  return resource.wait(self, {
    operation = "delete", refresh = api.get, targets = {}, dead = {}, gone_is_fine = true,
    deadline = loop.after(opts.timeout or 60),
  })
end

---How it was built, as far as it is: the builder's log as text. kind "not_found" for what
---was not built.
---@param opts? { timeout?: number, max_bytes?: integer }
---@return string?
---@return daytona.Error?
function Snapshot:build_logs(opts)
  return require("daytona.control.build_log").build_logs(self, opts)
end

--- All of them --------------------------------------------------------------------------------

local FILTER = {
  page = "positive", limit = options.range(1, 200), name = "text", source_sandbox_id = "text",
  sort = { "name", "state", "lastUsedAt", "createdAt" }, order = { "asc", "desc" },
}

---One page of snapshots.
---@param filter? { page?: integer, limit?: integer, name?: string, source_sandbox_id?: string, sort?: string, order?: string }
---@return { items: daytona.Snapshot[], total: integer, next_cursor?: integer }?
---@return daytona.Error?
function Snapshots:list(filter)
  return api.list(self, options.check("list", FILTER, filter))
end

---All snapshots, page by page as they are needed. Raises when a page cannot be had.
---@param filter? { limit?: integer, name?: string, source_sandbox_id?: string, sort?: string, order?: string }  `limit` is the size of a page
---@return fun(): daytona.Snapshot?
function Snapshots:each(filter)
  local values = options.copy(options.check("each", FILTER, filter))
  return walk.over(function(page)
    values.page = page
    return api.list(self, values)
  end, values.page)
end

---The snapshot of that id or name. kind "not_found" when there is none.
---@param id_or_name string
---@return daytona.Snapshot?
---@return daytona.Error?
function Snapshots:get(id_or_name)
  options.argument("get: the id or name", "text", id_or_name)
  return api.get(self, { snapshot = id_or_name })
end

-- The object that a call is about.
local function of(self, operation, which)
  return resource.resolve(Snapshot, operation, which, function(name) return self:get(name) end)
end

---Activates by object, id or name, as `snapshot:activate`.
---@param which string|daytona.Snapshot
---@param opts? { timeout?: number, wait?: boolean }
---@return daytona.Snapshot?
---@return daytona.Error?
function Snapshots:activate(which, opts)
  local snapshot, err = of(self, "activate", which)
  if not snapshot then return nil, err end
  return snapshot:activate(opts)
end

---Puts away by object, id or name, as `snapshot:deactivate`.
---@param which string|daytona.Snapshot
---@param opts? { timeout?: number, wait?: boolean }
---@return daytona.Snapshot?
---@return daytona.Error?
function Snapshots:deactivate(which, opts)
  local snapshot, err = of(self, "deactivate", which)
  if not snapshot then return nil, err end
  return snapshot:deactivate(opts)
end

---Deletes by object, id or name, as `snapshot:delete`. Of an id or name: kind "not_found"
---where there is none, unless `missing_ok`.
---@param which string|daytona.Snapshot
---@param opts? { timeout?: number, wait?: boolean, missing_ok?: boolean }
---@return true?
---@return daytona.Error?
function Snapshots:delete(which, opts)
  return resource.delete_of(Snapshot, which, opts, function(name) return self:get(name) end)
end

--- Making one ---------------------------------------------------------------------------------

---@class daytona.SnapshotOptions
---@field name string
---@field image? string|daytona.Image  of a registry, with a tag that is not "latest", or a digest: "debian:12"; or a value of daytona.image, which is built
---@field dockerfile? string      built of this text instead
---@field context_hashes? string[] of what the Dockerfile copies, uploaded before
---@field entrypoint? string[]    with image
---@field cpu? integer
---@field memory? integer         GiB
---@field disk? integer           GiB
---@field gpu? integer
---@field gpu_type? string|string[]
---@field region? string          id; the client's `target` when absent
---@field sandbox_class? string   "container", "linux-vm"
---@field timeout? number         seconds until it can be used; 600, 0 for none
---@field wait? boolean           until then; true
---@field on_build_log? fun(line: string)  with what is built: gets each line of the build's log meanwhile
---@field keep? boolean           one that failed is not deleted
---@field extra? table            merged into the request as it is
local CREATE = {
  name = "text", image = asked.is_image, dockerfile = "text", context_hashes = "list", entrypoint = "list",
  cpu = "positive", memory = "positive", disk = "positive", gpu = "count", gpu_type = "texts", region = "text",
  sandbox_class = "text", timeout = "seconds", wait = "boolean", on_build_log = "callable", keep = "boolean",
  extra = "table",
}

local function refuse_contradictions(opts)
  if not opts.name then errors.misuse(1, "create: option 'name' is needed") end
  if (opts.image == nil) == (opts.dockerfile == nil) then errors.misuse(1, "create: either image or dockerfile") end
  if opts.dockerfile and opts.entrypoint then
    errors.misuse(1, "create: the entrypoint of what is built stands in its Dockerfile")
  end
  if opts.context_hashes and not opts.dockerfile then errors.misuse(1, "create: context_hashes go with dockerfile") end
  if opts.on_build_log and type(opts.image) == "string" then
    errors.misuse(1, "create: on_build_log goes with what is built, a dockerfile or a value of daytona.image")
  end
end

-- The options with an image value made into what is sent of it, its files handed over.
local function built(self, opts, deadline)
  if type(opts.image) ~= "table" then return opts end
  local image = opts.entrypoint and opts.image:entrypoint(opts.entrypoint) or opts.image
  local info, err = require("daytona.control.build").info(self.client, image, deadline)
  if not info then return nil, err end
  opts = options.copy(opts)
  opts.image, opts.entrypoint = nil, nil
  opts.dockerfile, opts.context_hashes = info.dockerfile_content, info.context_hashes
  return opts
end

local function values_of(self, opts)
  local values = {
    name = opts.name, image_name = opts.image, entrypoint = opts.entrypoint, cpu = opts.cpu, memory = opts.memory,
    disk = opts.disk, gpu = opts.gpu, region_id = opts.region or self.client.target, sandbox_class = opts.sandbox_class,
    gpu_type = type(opts.gpu_type) == "string" and { opts.gpu_type } or opts.gpu_type,
  }
  if opts.dockerfile then
    values.build_info = { dockerfile_content = opts.dockerfile, context_hashes = opts.context_hashes }
  end
  return values
end

-- Asks for it; after a lost answer it is looked for: under that name there is but one.
local function allocate(self, opts, deadline)
  local more = { timeout = deadline and math.max(deadline - loop.now(), 0.001) or nil, extra = opts.extra }
  local snapshot, err = api.create(self, values_of(self, opts), more)
  if snapshot or not calls.is_lost(err) then return snapshot, err end
  local found = api.get(self, { snapshot = opts.name })
  if found and (found.image_name or "") == (opts.image or "") then return found end
  return nil, err
end

local function come_up(making)
  local snapshot, opts = making.snapshot, making.opts
  if opts.on_build_log then
    making.log = require("daytona.control.build_log").follow(snapshot, opts.on_build_log)
  end
  local fine, err = wait_for(snapshot, "create", { active = true }, making.deadline)
  if not making.log or errors.is(err, "canceled") then return fine, err end
  local told, raised = making.log:finish()
  if not told then return false, raised end
  return fine, err
end

local function give_up(making, err)
  if making.log then making.log:stop() end
  err.snapshot = making.snapshot
  if err.kind == "state" and not making.opts.keep then loop.shield(making.snapshot.delete, making.snapshot) end
  return nil, err
end

local function make(making)
  local fine, err = come_up(making)
  if fine then return making.snapshot end
  if fine == nil then return give_up(making, err) end
  error(err, 0)
end

local function interrupted(making)
  if making.log then making.log:stop() end
end

---Makes a snapshot of an image or a Dockerfile, and waits until it can be used. kind
---"conflict" when the name is taken. One that fails is deleted again, unless `keep`: kind
---"state", with the reason. When the time is over, or the wait is cancelled, it goes on
---being made; it is in `err.snapshot`.
---@param opts daytona.SnapshotOptions
---@return daytona.Snapshot?
---@return daytona.Error?
function Snapshots:create(opts)
  options.argument("create: what to make", "table", opts)
  opts = options.check("create", CREATE, opts)
  refuse_contradictions(opts)
  local deadline = loop.after(opts.timeout or 600)
  local snapshot, err
  opts, err = built(self, opts, deadline)
  if not opts then return nil, err end
  snapshot, err = allocate(self, opts, deadline)
  if not snapshot then return nil, err end
  if opts.wait == false then return snapshot end
  return loop.guard(make, interrupted, { snapshot = snapshot, opts = opts, deadline = deadline })
end

resource.guard(Snapshot, "daytona.Snapshot", "snapshot")
resource.guard(Snapshots, "daytona.Snapshots", "client.snapshots")

return { new = new, object = resource.maker(Snapshot) }
