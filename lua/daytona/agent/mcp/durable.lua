-- The tasks extension of MCP: a command that runs long is answered by a task, which the
-- client asks about until it has ended. A task is a job in the sandbox, and its id says
-- which: nothing is kept here, so any server that may use the sandbox can go on with it.

local capture = require "daytona.agent.capture"
local errors = require "daytona.base.errors"
local forms = require "daytona.agent.forms"
local json = require "daytona.http.json"

local durable = {}

-- Milliseconds between a client's looks.
local POLL = 2000

local function id_of(tool, handle)
  return table.concat({ tool.name, handle.sandbox, handle.job }, ":")
end

-- The tool, sandbox and job that an id means.
local function find(toolset, id)
  local name, box, job_id = tostring(id):match "^([%w_-]+):([^:/]+):([%w._-]+)$"
  local tool = name and toolset.by_name[name]
  if not tool or not tool.start or job_id:find "^[.-]" then return nil, "there is no such task" end
  local client, err = toolset:client()
  if not client then return nil, tostring(err) end
  local sandbox
  sandbox, err = toolset:find(client, box)
  if not sandbox then return nil, errors.is(err, "not_found") and "there is no such task" or tostring(err) end
  return tool, sandbox, job_id
end

local function time_text(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end

local function task_of(id, status, started_at)
  return { taskId = id, status = status, createdAt = time_text(started_at), lastUpdatedAt = time_text(os.time()),
    ttlMs = json.null, pollIntervalMs = POLL }
end

-- What the call would have answered.
local function outcome(toolset, tool, sandbox, job)
  local limits = toolset:limits()
  local result = toolset:conclude(tool.name, function(call)
    local done, err = capture.of_job(sandbox, job, {
      lines = limits.lines - 10, bytes = math.floor(limits.bytes * 0.75),
    })
    if not done then return nil, err end
    return tool.finish(call, sandbox, done)
  end)
  return forms.result("mcp", {}, result)
end

-- Waits for a job for a while; it is ended and removed when the request is cancelled.
local function wait(server, job)
  local result, err = job:wait(server.task_after)
  if result then return result end
  if errors.is(err, "canceled") then require("daytona.loop").shield(job.kill, job) end
  return nil, err
end

---Begins a tool's work as a job. The result itself when that ends soon, else a task.
---@param server daytona.McpServer
---@param tool daytona.Tool
---@param arguments? table
---@return table
function durable.begin(server, tool, arguments)
  local toolset = server.toolset
  local begun = toolset:start(tool.name, arguments)
  if not begun.ok then return forms.result("mcp", {}, begun) end
  local handle = begun.data
  local _, sandbox = find(toolset, id_of(tool, handle))
  local job, err = sandbox:job(handle.job)
  if job and wait(server, job) then return outcome(toolset, tool, sandbox, job) end
  if not job then return forms.result("mcp", {}, toolset:conclude(tool.name, function() return nil, err end)) end
  local task = task_of(id_of(tool, handle), "working", os.time())
  task.resultType = "task"
  return task
end

local function job_of(sandbox, job_id)
  local jobs, err = sandbox:jobs()
  if not jobs then return nil, tostring(err) end
  for _, job in ipairs(jobs) do
    if job.id == job_id then return job end
  end
  return nil, "there is no such task"
end

local STATUS = { canceled = "cancelled", lost = "failed" }

---What a task has come to: tasks/get.
---@param toolset daytona.Toolset
---@param id any
---@return table?
---@return string? why
function durable.get(toolset, id)
  local tool, sandbox, job_id = find(toolset, id)
  if not tool then return nil, sandbox end
  local job, why = job_of(sandbox, job_id)
  if not job then return nil, why end
  local status = not job.result and "working" or STATUS[job.result.reason] or "completed"
  local task = task_of(id, status, job.started_at)
  if status == "completed" then
    task.result = outcome(toolset, tool, sandbox, job)
    task.result.resultType = "complete"
  elseif status == "failed" then
    task.error = { code = -32603, message = "the sandbox was stopped, or the job's supervisor was killed" }
  end
  return task
end

---Ends a task: tasks/cancel. An empty acknowledgement.
---@param toolset daytona.Toolset
---@param id any
---@return table?
---@return string? why
function durable.cancel(toolset, id)
  local tool, sandbox, job_id = find(toolset, id)
  if not tool then return nil, sandbox end
  local job, why = job_of(sandbox, job_id)
  if not job then return nil, why end
  local killed, err = job:kill()
  if not killed then return nil, tostring(err) end
  return {}
end

---Answers to what a task asks for; ours ask for nothing: tasks/update.
---@param toolset daytona.Toolset
---@param id any
---@return table?
---@return string? why
function durable.update(toolset, id)
  local tool, why = find(toolset, id)
  if not tool then return nil, why end
  return {}
end

return durable
