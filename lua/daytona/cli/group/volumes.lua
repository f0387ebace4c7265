-- volume ls, create, delete.

local output = require "daytona.cli.output"
local sandboxes = require "daytona.cli.group.sandboxes"

local volumes = {}

---@param call daytona.cli.Call
function volumes.ls(call)
  local client, err = call.client()
  if not client then return nil, err end
  local found
  found, err = client.volumes:list()
  if not found then return nil, err end
  if call.options.json then return output.json_list(found) end
  local rows = {}
  for i, one in ipairs(found) do rows[i] = { one.name, one.state, output.age(one.created_at), one.id } end
  output.table({ "NAME", "STATE", "AGE", "ID" }, rows)
end

---@param call daytona.cli.Call
function volumes.create(call)
  local client, err = call.client()
  if not client then return nil, err end
  local made
  made, err = client.volumes:create(call.args[1])
  if not made then return nil, err end
  if call.options.json then output.json(made) else output.write(made.name .. "\n") end
end

---@param call daytona.cli.Call
function volumes.delete(call)
  return sandboxes.each(call, function(client, name) return client.volumes:delete(name) end)
end

return volumes
