-- Snapshots. Three kinds: general ones, which stand for this machine; images and builds,
-- which are simulated (their steps are logged, nothing is pulled or installed); and
-- copies of a sandbox's files, which new sandboxes start from.

local cqueues = require "cqueues"
local httpd = require "daytona.devserver.http"
local build = require "daytona.devserver.control.build"
local checks = require "daytona.devserver.control.checks"
local children = require "daytona.devserver.control.children"
local files = require "daytona.devserver.control.files"
local limits = require "daytona.devserver.control.limits"
local params = require "daytona.devserver.control.params"
local passing = require "daytona.devserver.control.passing"
local regions = require "daytona.devserver.control.regions"
local sandboxes = require "daytona.devserver.control.sandboxes"
local json = require "daytona.devserver.http.json"

local snapshots = { GENERAL_ID = "8f4a1c52-0000-4000-8000-000000000003" }

local COPY_SECONDS = 600

local REGIONS = { "local", "us", "eu" }

-- General ones -------------------------------------------------------------------------------

local function general(context, id, name, class, cpu, mem, disk)
  return {
    id = id, general = true, name = name, image = name, state = "active", entrypoint = { "sleep", "infinity" },
    cpu = cpu, mem = mem, disk = disk, sandboxClass = class, created = context.started, updated = context.started,
    regions = REGIONS,
  }
end

---Puts those in that are always there.
---@param context table
function snapshots.add_general(context)
  local id = snapshots.GENERAL_ID
  local function put(last, ...) context.records.snapshots:put(general(context, id:sub(1, -2) .. last, ...)) end
  put("3", sandboxes.SNAPSHOT, "container", 1, 1, 3)
  if context.legacy then return end
  put("4", "daytona-vm-small", "linux-vm", 1, 1, 3)
  put("5", "daytona-vm-medium", "linux-vm", 2, 4, 8)
  put("6", "daytona-vm-large", "linux-vm", 4, 8, 10)
end

-- Publishing -----------------------------------------------------------------------------------

local function or_null(value)
  if value == nil then return json.null end
  return value
end

local function published_build(info)
  if not info then return nil end
  local copy = {}
  for name, value in pairs(info) do copy[name] = value end
  copy.contextHashes = json.array(info.contextHashes or {})
  return copy
end

---@param snapshot table
---@return table
function snapshots.describe(snapshot)
  return {
    id = snapshot.id, organizationId = not snapshot.general and sandboxes.ORGANIZATION or nil,
    general = snapshot.general or false, name = snapshot.name, imageName = snapshot.image or "",
    state = snapshot.state, size = or_null(snapshot.size), entrypoint = or_null(snapshot.entrypoint),
    cpu = snapshot.cpu, gpu = 0, mem = snapshot.mem, disk = snapshot.disk,
    errorReason = or_null(snapshot.error_reason), createdAt = httpd.timestamp(snapshot.created),
    updatedAt = httpd.timestamp(snapshot.updated),
    lastUsedAt = snapshot.used and httpd.timestamp(snapshot.used) or json.null,
    regionIds = json.array(snapshot.regions or { regions.DEFAULT }), sandboxClass = snapshot.sandboxClass,
    sourceSandboxId = or_null(snapshot.source), buildInfo = published_build(snapshot.build_info),
    initialRunnerId = snapshot.ref and sandboxes.RUNNER or nil, ref = snapshot.ref,
  }
end

-- States -------------------------------------------------------------------------------------

local move, wait = passing.mover "snapshot", passing.wait

-- Waits where a fault says so (its state is "snapshot." and the snapshot's). False when it failed.
local function obey_rules(context, snapshot)
  local rule
  while true do
    rule = context.faults:for_state("snapshot." .. snapshot.state, snapshot.name, rule)
    if not rule then return true end
    if rule.becomes then
      snapshot.error_reason = rule.error_reason or "injected failure"
      move(context, snapshot, rule.becomes)
      return false
    end
    cqueues.poll(context.life.rules_changed)
  end
end

local function make(context, snapshot)
  wait(context)
  move(context, snapshot, snapshot.build_info and "building" or "pulling")
  if not obey_rules(context, snapshot) then return end
  if snapshot.build_info then
    local ok, message = build.run(context.clock, context.records.snapshots:folder(snapshot), snapshot.build_info)
    if not ok then
      snapshot.error_reason = message
      return move(context, snapshot, "build_failed")
    end
  else
    snapshot.size = 0.25
  end
  wait(context)
  snapshot.used = context.clock:now()
  snapshot.ref = "local/daytona-" .. sandboxes.token(8) .. ":daytona"
  move(context, snapshot, "active")
end

local function remove(context, snapshot)
  wait(context)
  context.records.snapshots:remove(snapshot)
  context.events:removed("snapshot", snapshot)
end

---Goes on with what an earlier server left in the middle.
---@param context table
function snapshots.resume(context)
  local BEGUN = { pending = true, pulling = true, building = true }
  for _, snapshot in ipairs(context.records.snapshots:all()) do
    if BEGUN[snapshot.state] then cqueues.running():wrap(make, context, snapshot) end
    if snapshot.state == "removing" then cqueues.running():wrap(remove, context, snapshot) end
  end
end

-- In sandboxes ----------------------------------------------------------------------------------

local function copy(from, to)
  files.mkdir(to)
  local child = children.spawn("cp", { "-a", from .. "/.", to .. "/" }, {})
  return child and child:wait(COPY_SECONDS) and child.status == 0
end

---The snapshot that a sandbox can be made from; 400 where it cannot.
---@param context table
---@param wanted string  id or name
---@param region string
---@return table
function snapshots.usable(context, wanted, region)
  local snapshot = context.records.snapshots:find(wanted)
  if not snapshot then
    checks.bad("Snapshot %s not found. Did you add it through the Daytona Dashboard?", wanted)
  end
  if snapshot.state ~= "active" then checks.bad("Snapshot %s is %s", wanted, snapshot.state) end
  for _, id in ipairs(snapshot.regions or { regions.DEFAULT }) do
    if id == region then
      snapshot.used = context.clock:now()
      return snapshot
    end
  end
  checks.bad("Snapshot %s is not available in region %s", wanted, region)
end

---Makes a snapshot of a sandbox's files. A name that is taken makes nothing, silently.
---@param context table
---@param box table
---@param name string
---@return function? tell  to be called when the sandbox is as before
function snapshots.of_sandbox(context, box, name)
  if context.records.snapshots.by_name[name] then return end
  local now = context.clock:now()
  local snapshot = {
    id = sandboxes.uuid(), name = name, state = "active", size = 0.3, cpu = box.cpu, mem = box.memory, disk = box.disk,
    sandboxClass = box.class or "container", regions = { box.target }, source = box.id, files = true,
    created = now, updated = now, used = now, ref = "local/daytona-" .. sandboxes.token(8) .. ":daytona",
  }
  local folder = context.records.snapshots:folder(snapshot)
  if not files.mkdir(folder) or not copy(context.store:folder(box) .. "/home", folder .. "/home")
    or not context.records.snapshots:keep(snapshot) then
    files.remove(folder)
    return nil
  end
  return function() context.events:created("snapshot", snapshot) end
end

---Copies what a new sandbox is made from: a snapshot's files, or those of the sandbox
---that it is a fork of.
---@param context table
---@param box table
---@return boolean? ok
function snapshots.furnish(context, box)
  local snapshot = context.records.snapshots.by_id[box.made_from]
  local source = snapshot and context.records.snapshots:folder(snapshot)
  local parent = not snapshot and context.store.by_id[box.made_from]
  if parent then source = context.store:folder(parent) end
  if not source then return nil end
  return copy(source .. "/home", context.store:folder(box) .. "/home")
end

-- Checks ------------------------------------------------------------------------------------

local FIELDS = {
  name = "string", imageName = "string", entrypoint = "list", cpu = "positive", memory = "positive", disk = "positive",
  gpu = "natural", gpuType = "list", buildInfo = "object", regionId = "string", sandboxClass = "string",
}

local function check_image(name)
  if not name:find("[:@][^/]*$") then
    checks.bad "Image name must include a tag (e.g., ubuntu:22.04) or digest (@sha256:...)"
  end
  if name:find(":latest$") then checks.bad 'Images with tag ":latest" are not allowed' end
end

local function check_source(body)
  if body.buildInfo then
    if body.imageName then checks.bad "Cannot specify an image name when using a build info entry" end
    if body.entrypoint then checks.bad "Cannot specify an entrypoint when using a build info entry" end
    return
  end
  if not body.imageName then checks.bad "Must specify an image name when not using a build info entry" end
  check_image(body.imageName)
end

local function read(context, req)
  local body = checks.fields(req, req:json(), FIELDS)
  if not body.name then checks.bad "name must be a string" end
  if (body.gpu or 0) > 1 then checks.bad "gpu must not be greater than 1" end
  if not body.name:find("^[%w_%.:/%-]+$") then
    checks.bad "Invalid snapshot name format. May contain letters, digits, dots, colons, and dashes"
  end
  check_source(body)
  if body.sandboxClass == "windows" then
    checks.bad("Windows snapshots cannot be created via this endpoint; "
      .. "they are produced by snapshot-from-sandbox flows.")
  end
  body.region = regions.find(context, body.regionId)
  limits.check_one(context, body)
  if context.records.snapshots.by_name[body.name] then
    httpd.fail(409, nil, ('Snapshot with name "%s" already exists for this organization'):format(body.name))
  end
  return body
end

-- Calls -------------------------------------------------------------------------------------

local function own_count(context)
  local n = 0
  for _, snapshot in pairs(context.records.snapshots.by_id) do
    if not snapshot.general then n = n + 1 end
  end
  return n
end

local function entrypoint_of(body)
  local list = body.buildInfo and build.parse(body.buildInfo.dockerfileContent or "")
  if list then return build.entrypoint_words(list) end
  return body.entrypoint
end

function snapshots.create(context, req)
  local body = read(context, req)
  limits.check_count(context, "snapshots", own_count(context))
  local now = context.clock:now()
  local snapshot = {
    id = sandboxes.uuid(), name = body.name, image = body.imageName or "", state = "pending",
    entrypoint = entrypoint_of(body), cpu = body.cpu or 1, mem = body.memory or 1, disk = body.disk or 3,
    regions = { body.region }, sandboxClass = body.sandboxClass or "container", created = now, updated = now,
  }
  if body.buildInfo then
    snapshot.build_info = build.record(body.buildInfo, now, build.reference())
  end
  checks.kept(context.records.snapshots:keep(snapshot))
  context.events:created("snapshot", snapshot)
  local answer = snapshots.describe(snapshot)
  cqueues.running():wrap(make, context, snapshot)
  return 200, answer
end

local SORTS = { name = "name", state = "state", lastUsedAt = "used", createdAt = "created" }

local function matching(context, req)
  local field = SORTS[params.choice(req, "sort", SORTS, "lastUsedAt")]
  local order = params.choice(req, "order", { asc = true, desc = true }, "desc")
  local name, source = (req.query.name or ""):lower(), req.query.sourceSandboxId
  local list = {}
  for _, snapshot in ipairs(context.records.snapshots:all()) do
    if snapshot.name:lower():find(name, 1, true) and (not source or snapshot.source == source) then
      list[#list + 1] = snapshot
    end
  end
  local function key(s) return s[field] or (field == "used" and 0 or "") end
  table.sort(list, function(a, b)
    if key(a) == key(b) then return a.id < b.id end
    if order == "asc" then return key(a) < key(b) end
    return key(a) > key(b)
  end)
  return list
end

function snapshots.list(context, req)
  local page, limit = params.integer(req, "page", 1) or 1, params.integer(req, "limit", 1, 200) or 100
  local all = matching(context, req)
  local items = json.array {}
  for i = (page - 1) * limit + 1, math.min(page * limit, #all) do items[#items + 1] = snapshots.describe(all[i]) end
  return 200, { items = items, total = #all, page = page, totalPages = math.ceil(#all / limit) }
end

local function missing(name) httpd.fail(404, nil, ("Snapshot with name %s not found"):format(name)) end

function snapshots.get(context, req)
  return 200, snapshots.describe(context.records.snapshots:find(req.params.id) or missing(req.params.id))
end

-- By id only: these calls take no name.
local function by_id(context, req)
  local id = checks.uuid(req.params.id)
  return context.records.snapshots.by_id[id] or httpd.fail(404, nil, ("Snapshot with ID %s not found"):format(id))
end

function snapshots.delete(context, req)
  local snapshot = by_id(context, req)
  if snapshot.general then httpd.fail(403, nil, "You cannot delete a general snapshot") end
  if snapshot.state ~= "removing" then
    move(context, snapshot, "removing")
    cqueues.running():wrap(remove, context, snapshot)
  end
  return 200, ""
end

function snapshots.activate(context, req)
  local snapshot = by_id(context, req)
  if snapshot.state == "active" then checks.bad("Snapshot %s is already active", snapshot.id) end
  if snapshot.deactivating then
    checks.bad "Snapshot deactivation is still in progress. Please try again in a few minutes."
  end
  if snapshot.state ~= "inactive" then
    checks.bad("Snapshot %s cannot be activated - it is in %s state", snapshot.id, snapshot.state)
  end
  move(context, snapshot, "pending")
  cqueues.running():wrap(make, context, snapshot)
  return 200, snapshots.describe(snapshot)
end

function snapshots.deactivate(context, req)
  local snapshot = by_id(context, req)
  if snapshot.state == "inactive" then return 204 end
  if snapshot.state ~= "active" then checks.bad("Snapshot %s is not active", snapshot.id) end
  move(context, snapshot, "inactive")
  snapshot.deactivating = true
  cqueues.running():wrap(function()
    context.clock:sleep(context.life.lag and 60 or passing.STEP * 4)
    snapshot.deactivating = nil
  end)
  return 204
end

-- Build logs ---------------------------------------------------------------------------------

local function built(context, req)
  local snapshot = by_id(context, req)
  if not snapshot.build_info then httpd.fail(404, nil, ("Snapshot %s has no build info"):format(snapshot.id)) end
  return snapshot
end

function snapshots.log_url(context, req)
  local snapshot = built(context, req)
  return 200, { url = ("%s/snapshots/%s/build-logs"):format(context.api_url, snapshot.id) }
end

-- Where to read the log, and whether it still grows.
function snapshots.log(context, req)
  local snapshot = built(context, req)
  return context.records.snapshots:folder(snapshot) .. "/build.log", function()
    return snapshot.state == "pending" or snapshot.state == "building"
  end
end

return snapshots
