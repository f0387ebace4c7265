-- create, ls, info, start, stop, delete. What create makes outlives this program, as is meant.

local output = require "daytona.cli.output"

local sandboxes = {}

-- "VOLUME:PATH" of each.
local function mounts(volumes)
  local list = {}
  for name, path in pairs(volumes or {}) do list[#list + 1] = { volume_id = name, mount_path = path } end
  return list
end

local function print_log(line)
  io.stderr:write(line, "\n")
end

-- What is to be built: the name of an image, or what a Dockerfile says.
local function image_of(given)
  if not given.dockerfile then return given.image end
  if given.image then error("create: either --image or --dockerfile", 0) end
  return require("daytona.image").from_dockerfile(given.dockerfile)
end

local function create_options(given)
  local waits, image = not given.no_wait, image_of(given)
  return {
    name = given.name, snapshot = given.snapshot, image = image, language = given.language, env = given.env,
    labels = given.label, volumes = mounts(given.volume), secrets = given.secret, cpu = given.cpu,
    memory = given.memory, disk = given.disk, target = given.target, public = given.public,
    ephemeral = given.ephemeral, auto_stop_interval = given.auto_stop, auto_delete_interval = given.auto_delete,
    ttl_minutes = given.ttl, lease = given.lease, owned = false, network_block_all = given.block_network,
    timeout = given.timeout, wait = waits,
    on_build_log = image and waits and print_log or nil,
  }
end

---@param call daytona.cli.Call
function sandboxes.create(call)
  local client, err = call.client()
  if not client then return nil, err end
  local box
  box, err = client:create(create_options(call.options))
  if not box then return nil, err end
  if call.options.json then output.json(box) else output.write(box.name .. "\n") end
end

-- Pages, until there are enough.
local function rows_of(client, filter, limit)
  local rows = {}
  repeat
    local page, err = client:list(filter)
    if not page then return nil, err end
    for _, row in ipairs(page.items) do
      if limit and #rows >= limit then return rows end
      rows[#rows + 1] = row
    end
    filter.cursor = page.next_cursor
  until not filter.cursor
  return rows
end

local function row(box)
  return {
    box.name or box.id, box.state, output.age(box.created_at), box.cpu, box.memory, box.disk, box.snapshot, box.id,
  }
end

---@param call daytona.cli.Call
function sandboxes.ls(call)
  local client, err = call.client()
  if not client then return nil, err end
  local given = call.options
  local filter = { name = given.name, states = given.state, labels = given.label, limit = 200 }
  local found
  found, err = rows_of(client, filter, given.limit)
  if not found then return nil, err end
  if given.json then return output.json_list(found) end
  local rows = {}
  for i, box in ipairs(found) do rows[i] = row(box) end
  output.table({ "NAME", "STATE", "AGE", "CPU", "GIB", "DISK", "SNAPSHOT", "ID" }, rows)
end

local function map_text(map)
  local list = {}
  for name, value in pairs(map or {}) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return list[1] and table.concat(list, " ") or nil
end

---@param call daytona.cli.Call
function sandboxes.info(call)
  local box, err = call:box()
  if not box then return nil, err end
  if call.options.json then return output.json(box) end
  output.fields {
    { "name", box.name }, { "id", box.id }, { "state", box.state }, { "reason", box.error_reason },
    { "snapshot", box.snapshot }, { "class", box.sandbox_class }, { "region", box.target },
    { "cpu", box.cpu }, { "memory GiB", box.memory }, { "disk GiB", box.disk },
    { "labels", map_text(box.labels) }, { "public", tostring(box.public == true) },
    { "created", box.created_at }, { "last activity", box.last_activity_at },
    { "stops after", (box.auto_stop_interval or 0) > 0 and box.auto_stop_interval .. " min unused" or nil },
    { "deleted after", (box.auto_delete_interval or -1) >= 0 and box.auto_delete_interval .. " min stopped" or nil },
    { "deleted at", box.auto_destroy_at },
  }
end

-- Does so to each that is named. Each failure is told; one is enough for the exit status.
local function each(call, fn)
  local client, err = call.client()
  if not client then return nil, err end
  local results
  results, err = require("daytona.loop.group").map(call.args, function(name) return fn(client, name) end,
    { settle = true, concurrency = 8 })
  if not results then return nil, err end
  local status = 0
  for _, result in ipairs(results) do
    if result[2] then
      io.stderr:write("daytona-lua: ", tostring(result[2]), "\n")
      status = 1
    end
  end
  return status
end

-- `change` of each: the object of that name, and the options.
local function change(call, method)
  local given = call.options
  return each(call, function(client, name)
    local box, err = client:get(name)
    if not box then return nil, err end
    return box[method](box, { timeout = given.timeout, wait = not given.no_wait, force = given.force })
  end)
end

---@param call daytona.cli.Call
function sandboxes.start(call)
  return change(call, "start")
end

---@param call daytona.cli.Call
function sandboxes.stop(call)
  return change(call, "stop")
end

---@param call daytona.cli.Call
function sandboxes.delete(call)
  local given = call.options
  return each(call, function(client, name)
    return client:delete(name, {
      timeout = given.timeout, force = given.force, wait = given.wait, missing_ok = given.missing_ok or false,
    })
  end)
end

sandboxes.each, sandboxes.image_of, sandboxes.print_log = each, image_of, print_log

return sandboxes
