-- leftovers, reap: sandboxes of programs that are no more.

local output = require "daytona.cli.output"

local remains = {}

-- As JSON: the sandbox's record, and why it is nobody's.
local function facts(item)
  local by = item.owner or {}
  return { sandbox = item.sandbox.raw, why = item.why, host = by.host, pid = by.pid, idle = item.idle }
end

local function print_all(list, as_json)
  local rows = {}
  for i, item in ipairs(list) do
    rows[i] = as_json and facts(item)
      or { item.sandbox.name or item.sandbox.id, item.sandbox.state, output.age(item.sandbox.created_at), item.why,
        item.owner and ("%s/%s"):format(item.owner.host, item.owner.pid) }
  end
  if as_json then return output.json_list(rows) end
  output.table({ "NAME", "STATE", "AGE", "WHY", "OWNER" }, rows)
end

---@param call daytona.cli.Call
function remains.leftovers(call)
  local client, err = call.client()
  if not client then return nil, err end
  local list
  list, err = client:leftovers { labels = call.options.label }
  if not list then return nil, err end
  print_all(list, call.options.json)
end

---@param call daytona.cli.Call
function remains.reap(call)
  local client, err = call.client()
  if not client then return nil, err end
  local list
  list, err = client:reap { labels = call.options.label, dry_run = call.options.dry_run }
  if list or err.deleted then print_all(list or err.deleted, call.options.json) end
  return nil, err
end

return remains
