-- What can be done to a sandbox as a whole: which states allow it, and with which words
-- the service refuses. (Getting there is lifecycle's business.)

local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local create = require "daytona.devserver.control.create"
local limits = require "daytona.devserver.control.limits"
local params = require "daytona.devserver.control.params"
local sandboxes = require "daytona.devserver.control.sandboxes"
local snapshots = require "daytona.devserver.control.snapshots"
local json = require "daytona.devserver.http.json"

local actions = {}

local BUSY = "Sandbox state change in progress"
local OPEN_JOB = "An operation is already in progress for this resource"

local VM = { ["linux-vm"] = true, windows = true }
local CHANGING_TO = { started = true }

local function conflict(message) httpd.fail(409, nil, message) end

local function refuse_busy(context, box, except)
  if box.state ~= except and context.life.changing(box) then conflict(BUSY) end
end

local function refuse_errored(box)
  if box.state == "error" or box.state == "build_failed" then checks.bad "Sandbox is in an errored state" end
end

-- Waits until the change begins to show, as it does in the service's answers.
local function await_move(context, box, req)
  local before = box.state
  context.life:await(box, function(state) return state ~= before end, 1, req)
end

-- Answers of actions are without the time of the last activity.
local function answer(context, box)
  local dto = context.store:dto(box)
  dto.lastActivityAt = nil
  return dto
end

function actions.get() end

-- Start and stop -------------------------------------------------------------------------

function actions.start(context, box, req)
  refuse_errored(box)
  if box.state == "archiving" and box.desired == "started" then conflict(BUSY) end
  refuse_busy(context, box, "archiving")
  if box.state == "started" then return end
  local held = box.state == "stopped" or box.state == "paused"
  if not held and box.state ~= "archived" and box.state ~= "archiving" then
    checks.bad "Sandbox is not in valid state"
  end
  if box.state ~= "paused" then box.preview_token = sandboxes.preview_token(32) end
  context.life:want(box, "started")
  local first = answer(context, box)
  if not held then return first end
  context.life:await(box, CHANGING_TO, create.HOLD, req)
  create.check_started(box)
  return answer(context, box)
end

function actions.stop(context, box, req)
  refuse_errored(box)
  refuse_busy(context, box)
  if box.state ~= "started" and box.state ~= "paused" then checks.bad "Sandbox is not in a stoppable state" end
  box.force = req.query.force == "true" or nil
  if box.auto_delete == 0 then
    context.life:delete(box)
  else
    context.life:want(box, "stopped")
  end
  await_move(context, box, req)
  return answer(context, box)
end

-- The living forks of a sandbox, or with `all` also those that are being destroyed.
local function forks_of(context, box, all)
  local list = {}
  for _, other in pairs(context.store.by_id) do
    if other.parent == box.id and (all or other.desired ~= "destroyed") then list[#list + 1] = other end
  end
  table.sort(list, function(a, b) return a.created < b.created end)
  return list
end

function actions.delete(context, box, req)
  if box.desired == "destroyed" then conflict(BUSY) end
  refuse_busy(context, box, "archiving")
  if box.recovering then conflict(OPEN_JOB) end
  if #forks_of(context, box) > 0 then
    checks.bad "Cannot delete sandbox which has active fork children. The forks must be deleted first."
  end
  local archiving = box.state == "archiving"
  context.life:delete(box)
  if archiving then return answer(context, box) end
  if box.state ~= "error" and box.state ~= "build_failed" then await_move(context, box, req) end
  return answer(context, box)
end

-- Rest -----------------------------------------------------------------------------------

function actions.pause(context, box)
  refuse_errored(box)
  if box.state ~= "started" then checks.bad "Sandbox must be in started state to pause" end
  if not VM[box.class] then httpd.fail(422, nil, "Pausing is not supported for this sandbox") end
  refuse_busy(context, box)
  context.life:move(box, "pausing", "paused")
end

function actions.archive(context, box)
  refuse_errored(box)
  refuse_busy(context, box)
  if box.state ~= "stopped" then checks.bad "Sandbox is not stopped" end
  if box.auto_delete == 0 then checks.bad "Ephemeral sandboxes cannot be archived" end
  box.backup_state = "InProgress"
  context.life:move(box, "archiving", "archived")
end

function actions.backup(context, box)
  box.backup_state, box.backed_up = "Completed", context.clock:now()
  context.store:changed(box)
end

function actions.recover(context, box, req)
  if box.recovering then conflict(OPEN_JOB) end
  if box.state ~= "error" or not box.recoverable then checks.bad "Sandbox is not in a recoverable state" end
  local skip = params.boolean(req, "skipStart") or false
  context.life:recover(box, skip and "stopped" or "started")
  if skip then return end
  context.life:await(box, CHANGING_TO, create.HOLD, req)
end

-- Size -----------------------------------------------------------------------------------

local NOTHING = "No resource changes specified - sandbox is already at the desired configuration"

local function check_resize(context, box, size)
  local running = box.state == "started"
  if size.disk and running then checks.bad "Disk resize can only be performed on a stopped sandbox" end
  limits.check_one(context, size)
  if running and size.cpu and size.cpu < box.cpu then
    checks.bad "Sandbox must be in stopped state to decrease the number of CPU cores"
  end
  if running and size.memory and size.memory < box.memory then
    checks.bad "Sandbox must be in stopped state to decrease memory"
  end
  if size.disk and size.disk < box.disk then checks.bad "Sandbox disk size cannot be decreased" end
  local changed = false
  for name, value in pairs(size) do changed = changed or value ~= box[name] end
  if not changed then checks.bad(NOTHING) end
end

function actions.resize(context, box, req)
  local size = checks.fields(req, req:json(), { cpu = "positive", memory = "positive", disk = "positive" })
  if box.state ~= "started" and box.state ~= "stopped" then
    checks.bad "Sandbox must be in started or stopped state to resize"
  end
  refuse_busy(context, box)
  check_resize(context, box, size)
  context.life:work(box, "resizing", function()
    for name, value in pairs(size) do box[name] = value end
    context.store:changed(box)
  end)
end

-- Copies ---------------------------------------------------------------------------------

function actions.snapshot(context, box, req)
  local body = checks.fields(req, req:json(), { name = "string", includeMemory = "boolean" })
  if not body.name then checks.bad "name must be a string" end
  checks.name(body.name)
  if body.includeMemory and (context.legacy or not VM[box.class]) then
    checks.bad "includeMemory is only supported for Windows sandboxes"
  end
  if box.state ~= "started" and box.state ~= "stopped" then
    checks.bad "Sandbox must be in started or stopped state to create a snapshot"
  end
  refuse_busy(context, box)
  context.life:work(box, "snapshotting", function() return snapshots.of_sandbox(context, box, body.name) end)
end

local function fork_record(context, box, name)
  local now, id = context.clock:now(), sandboxes.uuid()
  local child = {}
  for _, field in ipairs { "user", "env", "labels", "public", "target", "snapshot", "cpu", "memory", "disk", "gpu",
    "gpu_type", "class", "kvm", "volumes", "secrets", "auto_stop", "auto_pause", "auto_archive", "auto_delete",
    "network_block_all", "network_allow_list" } do
    child[field] = box[field]
  end
  child.id, child.name, child.parent, child.made_from = id, name or id, box.id, box.id
  child.state, child.desired = "creating", "started"
  child.created, child.updated, child.activity = now, now, now
  child.signing_key, child.preview_token = sandboxes.token(16), sandboxes.preview_token(32)
  return child
end

function actions.fork(context, box, req)
  local body = checks.fields(req, req:json(), { name = "string" })
  if body.name == "" then body.name = nil end
  if body.name then checks.name(body.name) end
  if box.state ~= "started" then
    refuse_errored(box)
    checks.bad "Sandbox must be in started state to fork"
  end
  if not VM[box.class] then httpd.fail(422, nil, "Forking is not supported for this sandbox") end
  if body.name and context.store.by_name[body.name] then
    conflict "Sandbox with this name already exists"
  end
  limits.check_sandbox(context, box)
  local child = fork_record(context, box, body.name)
  context.life:work(box, "forking")
  context.store:insert(child)
  local ok, message = context.store:prepare(child)
  if ok then ok, message = context.store:changed(child) end
  if not ok then context.store:remove(child) end
  checks.kept(ok, message)
  context.events:created("sandbox", child)
  context.life:go(child)
  return context.store:dto(child)
end

local function dtos(context, list)
  local out = json.array {}
  for i = 1, math.min(#list, 100) do out[i] = context.store:dto(list[i]) end
  return out
end

function actions.forks(context, box, req)
  return dtos(context, forks_of(context, box, req.query.includeDestroyed == "true"))
end

function actions.parent(context, box, req)
  local parent = box.parent and context.store:find(box.parent)
  if not parent then httpd.fail(404, nil, ("Parent sandbox not found for sandbox %s"):format(req.params.id)) end
  return context.store:dto(parent)
end

function actions.ancestors(context, box)
  local list = {}
  local at = box.parent and context.store:find(box.parent)
  while at and #list < 50 do
    table.insert(list, 1, at)
    at = at.parent and context.store:find(at.parent)
  end
  return dtos(context, list)
end

return actions
