-- Volumes: folders that sandboxes share, mounted where each wants them.

local cqueues = require "cqueues"
local ffi = require "ffi"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"
local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local files = require "daytona.devserver.control.files"
local limits = require "daytona.devserver.control.limits"
local passing = require "daytona.devserver.control.passing"
local sandboxes = require "daytona.devserver.control.sandboxes"
local json = require "daytona.devserver.http.json"

ffi.cdef [[
int setxattr(const char *path, const char *name, const void *value, size_t size, int flags);
]]

local volumes = {}

-- A default ACL of rwx for everybody: version 2, then owner, group and others.
local ANYBODY = "\2\0\0\0" .. ("\1\0\7\0" .. "\4\0\7\0" .. "\32\0\7\0"):gsub("....", "%0\255\255\255\255")

---What is published of one.
---@param volume table
---@return table
function volumes.describe(volume)
  return {
    id = volume.id, name = volume.name, organizationId = sandboxes.ORGANIZATION, state = volume.state,
    createdAt = httpd.timestamp(volume.created), updatedAt = httpd.timestamp(volume.updated),
    lastUsedAt = volume.used and httpd.timestamp(volume.used) or nil, errorReason = volume.error_reason or json.null,
  }
end

-- States ---------------------------------------------------------------------------------

local move, wait = passing.mover "volume", passing.wait

-- Makes a folder that every sandbox may write in, whatever user it is, and so what is made
-- in it (where the file system has ACLs).
local function make_folder(path)
  local ok, message = files.mkdir(path)
  if not ok then return nil, message end
  stat.chmod(path, 511)
  ffi.C.setxattr(path, "system.posix_acl_default", ANYBODY, #ANYBODY, 0)
  return true
end

local function make(context, volume)
  wait(context)
  move(context, volume, "creating")
  wait(context)
  local ok, message = make_folder(context.records.volumes:folder(volume) .. "/data")
  volume.error_reason = not ok and message or nil
  move(context, volume, ok and "ready" or "error")
end

local function destroy(context, volume)
  wait(context)
  move(context, volume, "deleting")
  wait(context)
  files.remove(context.records.volumes:folder(volume) .. "/data")
  volume.hidden = true
  context.records.volumes:rename(volume, volume.name .. "-deleted")
  context.records.volumes.by_name[volume.name] = nil
  move(context, volume, "deleted")
end

---Goes on with what an earlier server left in the middle.
---@param context table
function volumes.resume(context)
  for _, volume in ipairs(context.records.volumes:all()) do
    if volume.state == "pending_create" or volume.state == "creating" then
      cqueues.running():wrap(make, context, volume)
    elseif volume.state == "pending_delete" or volume.state == "deleting" then
      cqueues.running():wrap(destroy, context, volume)
    end
  end
end

-- In sandboxes ----------------------------------------------------------------------------

---Checks the list of a body as to its form.
---@param req table
---@param list? table[]
function volumes.check(req, list)
  for i, entry in ipairs(list or {}) do
    if type(entry) ~= "table" then
      checks.bad "each value in nested property volumes must be either object or array"
    end
    for _, field in ipairs { "volumeId", "mountPath" } do
      if type(entry[field]) ~= "string" then checks.bad("volumes.%d.%s must be a string", i - 1, field) end
    end
    if req.app.strict then
      checks.fields(req, entry, { volumeId = "string", mountPath = "string", subpath = "string" })
    end
  end
end

local function check_subpath(path)
  if path and (("/" .. path .. "/"):find("/%.%.?/") or path:find("^/") or path:find("%z")) then
    checks.bad("Invalid volume subpath %s", path)
  end
end

---What a sandbox keeps of the list of a body: volumes by id. Fails where one is unknown,
---not ready, or has no good place.
---@param context table
---@param list? table[]
---@return table[]?
function volumes.resolve(context, list)
  if not list or not list[1] then return nil end
  local mounted = {}
  for i, entry in ipairs(list) do
    local volume = context.records.volumes:find(entry.volumeId)
    if not volume then httpd.fail(404, nil, ("Volume '%s' not found"):format(entry.volumeId)) end
    if volume.state ~= "ready" then
      checks.bad("Volume '%s' is not in a ready state. Current state: %s", volume.name, volume.state)
    end
    checks.mount_path(entry.mountPath)
    check_subpath(entry.subpath)
    mounted[i] = { volumeId = volume.id, mountPath = entry.mountPath, subpath = entry.subpath }
    volume.used = context.clock:now()
  end
  return mounted
end

-- A folder below another, made where it is missing. Links do not count as folders: a
-- sandbox may have made them.
local function descend(path, below, make_one)
  for part in below:gmatch("[^/]+") do
    path = path .. "/" .. part
    local info = stat.lstat(path)
    if info and stat.S_ISDIR(info.st_mode) == 0 or not info and not make_one(path) then return nil end
  end
  return path
end

-- The folder of a volume, or one in it.
local function folder_of(context, volume, subpath)
  return descend(context.records.volumes:folder(volume) .. "/data", subpath or "", make_folder)
end

-- Makes the place in the sandbox's home that a volume is to be at, as its user would.
local function make_place(home, target)
  local below = (target .. "/"):match("^/home/daytona/(.*)$")
  if not below then return true end
  local owner = stat.stat(home)
  return owner and descend(home, below, function(path)
    return files.mkdir(path) and stat.chmod(path, 493) and unistd.chown(path, owner.st_uid, owner.st_gid)
  end)
end

---The folders that a sandbox's volumes are, each with its place inside.
---@param context table
---@param box table
---@return { source: string, target: string }[]
function volumes.mounts(context, box)
  local list = {}
  for _, entry in ipairs(box.volumes or {}) do
    local volume = context.records.volumes.by_id[entry.volumeId]
    local source = volume and folder_of(context, volume, entry.subpath)
    if source and make_place(context.store:folder(box) .. "/home", entry.mountPath) then
      list[#list + 1] = { source = source, target = entry.mountPath }
    end
  end
  return list
end

-- Who uses a volume, or nil.
local function user_of(context, volume)
  for _, box in pairs(context.store.by_id) do
    if box.desired ~= "destroyed" then
      for _, entry in ipairs(box.volumes or {}) do
        if entry.volumeId == volume.id then return box end
      end
    end
  end
end

-- Calls -----------------------------------------------------------------------------------

function volumes.list(context, req)
  local list = json.array {}
  for _, volume in ipairs(context.records.volumes:all()) do
    if volume.state ~= "deleted" or req.query.includeDeleted == "true" then
      list[#list + 1] = volumes.describe(volume)
    end
  end
  return 200, list
end

local function count(context)
  local n = 0
  for _, volume in pairs(context.records.volumes.by_id) do
    if volume.state ~= "deleted" then n = n + 1 end
  end
  return n
end

function volumes.create(context, req)
  local body = checks.fields(req, req:json(), { name = "string" })
  if not body.name then checks.bad "name must be a string" end
  if context.records.volumes.by_name[body.name] then
    checks.bad("Volume with name %s already exists", body.name)
  end
  limits.check_count(context, "volumes", count(context))
  local now, id = context.clock:now(), sandboxes.uuid()
  local volume = {
    id = id, name = body.name ~= "" and body.name or id, state = "pending_create", created = now, updated = now,
  }
  checks.kept(context.records.volumes:keep(volume))
  context.events:created("volume", volume)
  local answer = volumes.describe(volume)
  cqueues.running():wrap(make, context, volume)
  return 200, answer
end

local function by_id(context, req)
  return context.records.volumes.by_id[req.params.id]
    or httpd.fail(404, nil, ("Volume with ID %s not found"):format(req.params.id))
end

function volumes.get(context, req) return 200, volumes.describe(by_id(context, req)) end

function volumes.by_name(context, req)
  local volume = context.records.volumes.by_name[req.params.name]
  if not volume then httpd.fail(404, nil, ("Volume with name %s not found"):format(req.params.name)) end
  return 200, volumes.describe(volume)
end

function volumes.delete(context, req)
  local volume = by_id(context, req)
  if volume.state ~= "ready" and volume.state ~= "error" then
    checks.bad "Volume must be in 'ready' or 'error' state in order to be deleted"
  end
  local user = user_of(context, volume)
  if user then
    httpd.fail(409, nil, ("Volume cannot be deleted because it is in use by one or more sandboxes (e.g. %s)"):format(
      user.name))
  end
  move(context, volume, "pending_delete")
  cqueues.running():wrap(destroy, context, volume)
  return 200, ""
end

return volumes
