-- Warm pools: sandboxes of a snapshot that run before anybody asks for them. One is given
-- to a creation that wants just that snapshot, with the usual user, no environment, no
-- volumes and no secrets; another then takes its place.

local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local regions = require "daytona.devserver.control.regions"
local sandboxes = require "daytona.devserver.control.sandboxes"
local snapshots = require "daytona.devserver.control.snapshots"
local json = require "daytona.devserver.http.json"

local warm_pools = {}

-- The sandboxes of a pool that nobody has yet.
local function waiting(context, pool)
  local list = {}
  for _, box in pairs(context.store.by_id) do
    if box.warm_pool == pool.id and box.warm and box.desired ~= "destroyed" then list[#list + 1] = box end
  end
  return list
end

local function ready(context, pool)
  local list = {}
  for _, box in ipairs(waiting(context, pool)) do
    if box.state == "started" then list[#list + 1] = box end
  end
  return list
end

local function describe(context, pool)
  return {
    id = pool.id, organizationId = sandboxes.ORGANIZATION, snapshot = pool.snapshot, target = pool.target,
    pool = pool.pool, currentSize = #ready(context, pool), cpu = pool.cpu, mem = pool.mem, disk = pool.disk,
    osUser = "daytona", env = {}, errorReason = pool.error_reason or json.null,
    createdAt = httpd.timestamp(pool.created), updatedAt = httpd.timestamp(pool.updated),
  }
end

local function add_one(context, pool)
  local create = context.create   -- (the file needs this one)
  local snapshot = context.records.snapshots:find(pool.snapshot)
  if not snapshot or snapshot.state ~= "active" then
    pool.error_reason = ("Snapshot %s not found"):format(pool.snapshot)
    return false
  end
  local box = create.record(context, { autoStopInterval = 0 }, {
    region = pool.target, snapshot = snapshot,
    size = { cpu = snapshot.cpu, memory = snapshot.mem, disk = snapshot.disk },
  })
  box.warm_pool, box.warm = pool.id, true
  create.begin(context, box)
  return true
end

-- Brings a pool to its size.
local function fill(context, pool)
  local list = waiting(context, pool)
  for _ = #list + 1, pool.pool do
    if not add_one(context, pool) then return end
  end
  for i = pool.pool + 1, #list do
    if not context.life.changing(list[i]) then context.life:delete(list[i]) end
  end
end

local function untouched(body)
  local function none(map) return not map or next(map) == nil end
  return not body.user and none(body.env) and none(body.volumes) and none(body.secrets) and not body.linkedSandbox
end

local function matching(context, snapshot, region)
  for _, pool in pairs(context.records.warm_pools.by_id) do
    local same = pool.snapshot == snapshot.name or pool.snapshot == snapshot.id
    local box = same and pool.target == region and ready(context, pool)[1]
    if box then return pool, box end
  end
end

-- Makes it the sandbox that was asked for.
local function hand_over(context, box, wanted)
  for _, field in ipairs { "labels", "public", "auto_stop", "auto_pause", "auto_archive", "auto_delete", "destroy_at",
    "network_block_all", "network_allow_list", "domain_allow_list", "created", "activity" } do
    box[field] = wanted[field]
  end
  box.warm = nil
  if wanted.name ~= wanted.id then context.store:rename(box, wanted.name) end
  context.store:changed(box)
  context.life:schedule(box)
end

---A sandbox of a pool for a creation that a pool serves; nil for others.
---@param context table
---@param body table
---@param source table
---@return table?
function warm_pools.take(context, body, source)
  if not source.snapshot or not untouched(body) then return nil end
  local pool, box = matching(context, source.snapshot, source.region)
  if not box then return nil end
  hand_over(context, box, context.create.record(context, body, source))
  context.events:created("sandbox", box)
  fill(context, pool)
  return box
end

local MISSING = "pool must not be less than %d, pool must be a number conforming to the specified constraints"

-- Calls ------------------------------------------------------------------------------------

local function found(context, req)
  return context.records.warm_pools.by_id[req.params.id]
    or httpd.fail(404, nil, ("Warm pool with ID %s not found"):format(req.params.id))
end

function warm_pools.list(context)
  local list = json.array {}
  for i, pool in ipairs(context.records.warm_pools:all()) do list[i] = describe(context, pool) end
  return 200, list
end

function warm_pools.create(context, req)
  local body = checks.fields(req, req:json(), { snapshot = "string", pool = "positive", target = "string" })
  if not body.pool then checks.bad(MISSING:format(1)) end
  if not body.snapshot then checks.bad "snapshot must be a string" end
  local region = regions.find(context, body.target)
  local snapshot = snapshots.usable(context, body.snapshot, region)
  local now = context.clock:now()
  local pool = {
    id = sandboxes.uuid(), snapshot = body.snapshot, target = region, pool = body.pool, cpu = snapshot.cpu,
    mem = snapshot.mem, disk = snapshot.disk, created = now, updated = now,
  }
  checks.kept(context.records.warm_pools:keep(pool))
  local answer = describe(context, pool)
  fill(context, pool)
  return 201, answer
end

function warm_pools.update(context, req)
  local pool = found(context, req)
  local body = checks.fields(req, req:json(), { pool = "natural" })
  if not body.pool then checks.bad(MISSING:format(0)) end
  pool.pool, pool.updated = body.pool, context.clock:now()
  checks.kept(context.records.warm_pools:keep(pool))
  fill(context, pool)
  return 200, describe(context, pool)
end

function warm_pools.delete(context, req)
  local pool = found(context, req)
  pool.pool = 0
  fill(context, pool)
  context.records.warm_pools:remove(pool)
  return 204
end

return warm_pools
