-- Applies a patch to the files of a sandbox: what will be in each is worked out first, so
-- that a patch that does not fit changes nothing.

local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local patch = require "daytona.agent.patch"
local paths = require "daytona.agent.paths"

local patches = {}

-- Operation -> fn(sandbox, operation): what to write where, and what to remove.
local PLAN = {}

function PLAN.add(sandbox, operation)
  local there, err = sandbox.fs:exists(operation.path)
  if there == nil then return nil, err end
  if there then return nil, "there is such a file already" end
  local text, why = patch.added(operation.body)
  if not text then return nil, why end
  return { path = operation.path, text = text, change = "added" }
end

function PLAN.update(sandbox, operation)
  local old, err = sandbox.fs:read(operation.path)
  if not old then return nil, err end
  if operation.move_to and not operation.body[1] then
    return { path = operation.move_to, text = old, remove = operation.path, change = "moved from " .. operation.path }
  end
  local text, why = patch.apply(old, operation.body)
  if not text then return nil, why end
  if not operation.move_to then return { path = operation.path, text = text, change = "updated" } end
  return { path = operation.move_to, text = text, remove = operation.path, change = "moved from " .. operation.path }
end

PLAN["delete"] = function(sandbox, operation)
  local info, err = sandbox.fs:stat(operation.path)
  if not info then return nil, err end
  if info.is_dir then return nil, "it is a folder" end
  return { path = operation.path, remove = operation.path, change = "deleted" }
end

local function carry_out(sandbox, step)
  if step.text then
    local done, err = sandbox.fs:write(step.path, step.text)
    if not done then return nil, err end
  end
  if not step.remove then return true end
  return sandbox.fs:remove(step.remove)
end

local function why_not(operation, err)
  return ("%s: %s"):format(operation.path, errors.is(err) and err.message or tostring(err))
end

-- The same, of files below a folder.
local function placed(operation, folder)
  local out = {}
  for name, value in pairs(operation) do out[name] = value end
  out.path = paths.below(folder, operation.path)
  out.move_to = operation.move_to and paths.below(folder, operation.move_to)
  return out
end

---Carries out the operations of `patch.parse`, whose paths start from a folder (nil: the
---working directory).
---@param sandbox daytona.Sandbox
---@param operations table[]
---@param folder? string
---@return table? data  { files = { { path, change }, ... } }
---@return any more
function patches.apply(sandbox, operations, folder)
  local steps, seen = {}, {}
  for i, written in ipairs(operations) do
    local operation = placed(written, folder)
    if seen[operation.path] then return nil, operation.path .. " is in the patch twice; nothing was changed" end
    seen[operation.path] = true
    local step, err = PLAN[operation.kind](sandbox, operation)
    if not step then return nil, why_not(operation, err) .. "\nNothing was changed." end
    steps[i] = step
  end
  local files, lines = json.array(), {}
  for i, step in ipairs(steps) do
    local done, err = carry_out(sandbox, step)
    if not done then return nil, ("%s\n%d of %d files were changed."):format(why_not(step, err), i - 1, #steps) end
    files[i] = { path = step.path, change = step.change }
    lines[i] = step.path .. ": " .. step.change
  end
  return { files = files }, { text = table.concat(lines, "\n") }
end

return patches
