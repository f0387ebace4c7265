-- snapshot ls, create, logs, activate, deactivate, delete.

local output = require "daytona.cli.output"
local sandboxes = require "daytona.cli.group.sandboxes"

local snapshots = {}

---@param call daytona.cli.Call
function snapshots.ls(call)
  local client, err = call.client()
  if not client then return nil, err end
  local found, cursor = {}, nil
  repeat
    local page
    page, err = client.snapshots:list { page = cursor, limit = 100 }
    if not page then return nil, err end
    for _, snapshot in ipairs(page.items) do found[#found + 1] = snapshot end
    cursor = page.next_cursor
  until not cursor
  if call.options.json then return output.json_list(found) end
  local rows = {}
  for i, one in ipairs(found) do
    rows[i] = { one.name, one.state, output.age(one.created_at), one.cpu, one.mem, one.disk, one.image_name }
  end
  output.table({ "NAME", "STATE", "AGE", "CPU", "GIB", "DISK", "IMAGE" }, rows)
end

local function build(client, name, given)
  local image = sandboxes.image_of(given)
  return client.snapshots:create {
    name = name, image = image, cpu = given.cpu, memory = given.memory, disk = given.disk, timeout = given.timeout,
    on_build_log = given.dockerfile and sandboxes.print_log or nil,
  }
end

local function of_sandbox(client, name, given)
  local box, err = client:get(given.from)
  if not box then return nil, err end
  return box:create_snapshot(name, { timeout = given.timeout })
end

---@param call daytona.cli.Call
function snapshots.create(call)
  local client, err = call.client()
  if not client then return nil, err end
  local made
  made, err = (call.options.from and of_sandbox or build)(client, call.args[1], call.options)
  if not made then return nil, err end
  if call.options.json then output.json(made) else output.write(made.name .. "\n") end
end

---@param call daytona.cli.Call
function snapshots.logs(call)
  local client, err = call.client()
  if not client then return nil, err end
  local snapshot, text
  snapshot, err = client.snapshots:get(call.args[1])
  if snapshot then text, err = snapshot:build_logs() end
  if not text then return nil, err end
  output.write(text)
end

for _, method in ipairs { "activate", "deactivate", "delete" } do
  ---@param call daytona.cli.Call
  snapshots[method] = function(call)
    return sandboxes.each(call, function(client, name) return client.snapshots[method](client.snapshots, name) end)
  end
end

return snapshots
