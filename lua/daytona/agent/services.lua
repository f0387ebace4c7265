-- Programs that run on in a sandbox while a model goes on: jobs, by their ids.

local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local output = require "daytona.agent.output"

local services = {}

local LOOK = 0.2 -- seconds between looks at a port

local function tail_of(sandbox, id, lines)
  local result, err = sandbox:exec(
    ('tail -n %d "${HOME:-/tmp}/.daytona/lua-jobs/%s/out" | tail -c 51200'):format(lines, id), { timeout = 30 })
  if not result then return nil, err end
  return output.clean(result.result)
end

local function ended_early(sandbox, job)
  local text = tail_of(sandbox, job.id, 50) or ""
  return nil, ("it ended at once, with exit code %d:\n%s"):format(job.result.exit_code, text)
end

-- Waits until something listens on the port, or the program has ended.
local function wait_for(sandbox, job, port, seconds)
  local deadline = loop.now() + seconds
  repeat
    local ended, err = job:wait(LOOK)
    if ended then return ended_early(sandbox, job) end
    if not errors.is(err, "timeout") then return nil, err end
    if sandbox:port_in_use(port) then return true end
  until loop.now() > deadline
  return nil, ("nothing listens on port %d after %g seconds; it runs on as service %s: look at its logs"):format(
    port, seconds, job.id)
end

---Starts one; with a port, waits until it listens there.
---@param sandbox daytona.Sandbox
---@param args { command: string, cwd?: string, port?: integer, timeout?: number }
---@return table? data
---@return any more
function services.start(sandbox, args)
  local job, err = sandbox:popen(args.command, { cwd = args.cwd, stderr = "stdout" })
  if not job then return nil, err end
  if args.port then
    local fine, why = wait_for(sandbox, job, args.port, args.timeout or 30)
    if not fine then return nil, why end
  end
  local where = args.port and (", and listens on port %d"):format(args.port) or ""
  return { service = job.id, port = args.port }, { text = "it runs as service " .. job.id .. where }
end

-- A job of that id; a name that is none is no such service.
local function find(sandbox, id)
  if id:find "[^%w._-]" or id:find "^[.-]" or #id > 100 then return nil, "there is no such service" end
  local job, err = sandbox:job(id)
  if job then return job end
  return nil, errors.is(err, "not_found") and "there is no such service" or err
end

---The end of what one has printed, and whether it runs.
---@param call daytona.ToolCall
---@param sandbox daytona.Sandbox
---@param id string
---@param lines integer
---@return table? data
---@return any more
function services.logs(call, sandbox, id, lines)
  local job, err = find(sandbox, id)
  if not job then return nil, err end
  local text
  text, err = tail_of(sandbox, id, lines)
  if not text then return nil, err end
  text = call:cap(text, "ends")
  local state = job.result and ("[ended, exit code %d]"):format(job.result.exit_code) or "[running]"
  return { running = job.result == nil, exit_code = job.result and job.result.exit_code, output = text },
    { text = text .. (text:sub(-1) == "\n" and "" or "\n") .. state }
end

---Ends one.
---@param sandbox daytona.Sandbox
---@param id string
---@return table? data
---@return any more
function services.stop(sandbox, id)
  local job, err = find(sandbox, id)
  if not job then return nil, err end
  local fine
  fine, err = job:kill()
  if not fine then return nil, err end
  local result
  result, err = job:wait(15)
  if not result then return nil, err end
  return { service = id, exit_code = result.exit_code }, { text = "service " .. id .. " has ended" }
end

return services
