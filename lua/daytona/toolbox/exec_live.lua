-- Commands whose output is heard while they run: for `exec` with functions. The daemon's
-- call for commands tells nothing before the end, so such a command is a job (job.lua),
-- which ends with the call, however that ends.

local errors = require "daytona.base.errors"
local exec_result = require "daytona.toolbox.exec_result"
local outcome = require "daytona.toolbox.exec_outcome"
local job = require "daytona.toolbox.job"
local job_output = require "daytona.toolbox.job_output"
local loop = require "daytona.loop"

-- Bytes of what was printed that an error of a failed command may need.
local TAIL = 1000

---@class daytona.LiveRun
---@field job daytona.Job
---@field opts table
---@field kept string[]      what no function hears, both streams
---@field apart table<string, string[]>  the same, by stream
---@field size integer       bytes of it
---@field tail string        the end of all that was printed

-- Hands a piece to those who hear it, or keeps it. true, or nil, err.
local function pass_on(run, stream, chunk)
  local opts = run.opts
  local own, all = opts["on_" .. stream], opts.on_output
  run.tail = (run.tail .. chunk:sub(-TAIL)):sub(-TAIL)
  if own then own(chunk) end
  if all then all(chunk, stream) end
  if own or all then return true end
  run.size = run.size + #chunk
  if run.size > (opts.max_bytes or run.job.sandbox:toolbox().max_bytes) then
    return nil, errors.new {
      kind = "too_large", code = "too_large", operation = "exec", sandbox = run.job.sandbox,
      message = "the output is larger than allowed",
    }
  end
  local apart = run.apart[stream]
  run.kept[#run.kept + 1], apart[#apart + 1] = chunk, chunk
  return true
end

local STREAMS = { "stdout", "stderr" }

-- Until the job has ended and all was handed out. true, or nil, err.
local function listen(run)
  local there = run.job
  while true do
    for _, stream in ipairs(STREAMS) do
      local chunk = there[stream].buffer:take(math.huge)
      local fine, err = true, nil
      if chunk then fine, err = pass_on(run, stream, chunk) end
      if not fine then return nil, err end
    end
    local more, err = job_output.fill_both(there)
    if more == nil then return nil, err end
    if not more then return true end
  end
end

local function stop(run)
  run.job:__close()
end

local function result_of(run)
  local ended = run.job.result
  local result = exec_result.new(ended.exit_code, table.concat(run.kept))
  result.timed_out = ended.timed_out
  if ended.timed_out then result.exit_code = -1 end
  for _, stream in ipairs(STREAMS) do
    if not (run.opts["on_" .. stream] or run.opts.on_output) then result[stream] = table.concat(run.apart[stream]) end
  end
  return result
end

local function checked(run, result)
  if not run.opts.check then return result end
  local fields = { operation = "exec", sandbox = run.job.sandbox, secrets = run.secrets, result = result.result }
  if result.timed_out then
    fields.kind, fields.message = "process_timeout", "the command's time was over"
  elseif result.exit_code == 0 then
    return result
  else
    local last = outcome.last_line(run.tail)
    fields.kind, fields.exit_code = "exit", result.exit_code
    fields.message = "exit status " .. result.exit_code .. (last ~= "" and ": " .. last or "")
  end
  return nil, errors.new(fields)
end

---Runs a command and hands out what it prints as it comes.
---@param sandbox daytona.Sandbox
---@param command string|(string|number)[]
---@param opts table        of `exec`; `stdin = true` and `on_job`, which is called with the job, for input that comes later
---@param timeout number    seconds, 0 for none
---@param secrets? string[]  what errors must not show
---@return daytona.ExecResult?
---@return daytona.Error?
return function(sandbox, command, opts, timeout, secrets)
  local merged = opts.on_output and not opts.on_stdout and not opts.on_stderr
  local there, err = job.popen(sandbox, command, {
    cwd = opts.cwd, env = opts.env, stdin = opts.stdin, timeout = timeout, stderr = merged and "stdout" or nil,
  })
  if not there then
    err.operation = "exec"
    return nil, err
  end
  local run = {
    job = there, opts = opts, kept = {}, apart = { stdout = {}, stderr = {} }, size = 0, tail = "", secrets = secrets,
  }
  if opts.on_job then opts.on_job(there) end
  local fine
  fine, err = loop.guard(listen, stop, run)
  if not fine then
    stop(run)
    err.operation = "exec"
    return nil, err
  end
  there:remove()
  return checked(run, result_of(run))
end
