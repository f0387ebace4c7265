-- Jobs: commands that outlive whoever started them, used like `io.popen`'s files.
--
-- A job runs in the sandbox under a supervisor of its own (job_script.lua); what it
-- prints goes to files there, from which this side fetches it (job_output.lua). So any
-- program that knows a job's id can go on where another one stopped.

local base64 = require "daytona.base.base64"
local calls = require "daytona.toolbox.job_calls"
local command_line = require "daytona.toolbox.command_line"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local job_output = require "daytona.toolbox.job_output"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local reader = require "daytona.toolbox.reader"
local script = require "daytona.toolbox.job_script"
local shell = require "daytona.base.shell"
local task = require "daytona.loop.task"
local variables = require "daytona.base.variables"

local M = {}

local failure, outcome, run, strange = calls.failure, calls.outcome, calls.run, calls.strange

-- Seconds between a request to end and making it so.
local GRACE = 5

-- Bytes of input in one request; seconds that the job has to read them.
local INPUT_PIECE, WRITE_TIMEOUT = 256 * 1024, 60

--- Jobs ------------------------------------------------------------------------------------

---A command that runs on its own in the sandbox, whatever becomes of this program.
---Read, written and closed like a file of `io.popen`.
---@class daytona.Job
---@field id string
---@field command? string              its text
---@field result? daytona.JobResult    once it is known to have ended
---@field started_at? integer          seconds since 1970, of `sandbox:jobs()`
---@field stdout daytona.JobOutput
---@field stderr daytona.JobOutput     empty with `stderr = "stdout"`
---@field sandbox daytona.Sandbox
---@field package merged? boolean  standard error is known to be a part of standard output
---@field package distance? number  seconds that its start, or the first look at it, took
---@field package bell? daytona.Latch  opened by tasks that bring more of one output
local Job = { __name = "daytona.Job" }
Job.__index = Job

---"job (id, running)"
---@private
function Job:__tostring()
  local state = "running"
  if self.closed then
    state = "closed"
  elseif self.result then
    state = string.format("%s, exit %d", self.result.reason, self.result.exit_code)
  end
  return "job (" .. self.id .. ", " .. state .. ")"
end

---How a job ended.
---@class daytona.JobResult
---@field exit_code integer   of the command; 128 + signal when it was killed by one; -1 when lost
---@field signal? integer
---@field reason "exited"|"signaled"|"canceled"|"timed_out"|"lost"  lost: the sandbox was stopped, or its supervisor killed
---@field timed_out boolean   its time was over

local function new_job(sandbox, id, command, offset, err_offset)
  local job = setmetatable({ id = id, command = command, sandbox = sandbox, closed = false }, Job)
  job.stdout, job.stderr = job_output.new(job, "out", offset), job_output.new(job, "err", err_offset)
  return job
end

local function open_job(self, operation)
  if self.closed then errors.misuse(1, "%s: attempt to use a closed job", operation) end
end

---Reads standard output, as `file:read` does: "l" a line (the default), "L" a line with
---its end, "n" a number, "a" all the rest, an integer that many bytes; several formats
---give several values. Waits for it, with { timeout = seconds } at the end no longer
---than that (kind "timeout"). nil at the end, and where no number is. nil and an error
---when it could not be had; what has come is kept for the next call. Several tasks may
---read: each gets what the others do not.
---@param ... "l"|"L"|"n"|"a"|integer|{ timeout?: number }
---@return string|number|nil
---@return daytona.Error|string|number|nil ...
---@overload fun(self: daytona.Job, format?: "l"|"L"|"a"|integer): string?, daytona.Error?
function Job:read(...)
  open_job(self, "read")
  return reader.read(self.stdout, ...)
end

---Iterates over the lines of standard output, or what else `read` takes, as they are
---printed. Raises errors.
---@param ... "l"|"L"|"n"|integer|{ timeout?: number }
---@return fun(): string|number|nil ...
---@overload fun(self: daytona.Job): fun(): string
function Job:lines(...)
  open_job(self, "lines")
  return reader.lines(self.stdout, ...)
end

--- Input -------------------------------------------------------------------------------------

local function closed_input(self)
  return failure(self.sandbox, "write", self.id, "gone", "INPUT_CLOSED",
    "the job's input is closed (popen opens it with stdin = true)")
end

local function write_piece(self, data, timeout)
  local nonce = command_line.new_id()
  local answer, err = run(self.sandbox, "write", self.id, script.write(self.id, nonce, self.written, data),
    { seconds = timeout })
  if not answer then return nil, err end
  if answer:find("^closed") then return closed_input(self) end
  if not answer:find("^ok") then return strange(self.sandbox, "write", self.id, answer) end
  self.written = nonce
  return true
end

local function write_all(self, data, timeout)
  for i = 1, #data, INPUT_PIECE do
    local fine, err = write_piece(self, data:sub(i, i + INPUT_PIECE - 1), timeout)
    if not fine then return nil, err end
  end
  return true
end

---Gives the job input, all of it; waits until it is in the job's pipe (64 KiB that
---nobody has read yet). Writers of one job take turns. Kind "gone" when its input is
---closed or it has ended; "timeout" when it does not read, and then how much it got
---is not known. Needs `stdin = true`.
---@param data string
---@param opts? { timeout?: number }  seconds a piece of 256 KiB may take, 60
---@return daytona.Job?
---@return daytona.Error?
function Job:write(data, opts)
  open_job(self, "write")
  options.argument("write: the data", "string", data)
  opts = options.check("write", { timeout = "seconds" }, opts)
  local before = self.writing
  local mine = task.spawn(function()
    if before then before:wait() end
    return write_all(self, data, opts.timeout or WRITE_TIMEOUT)
  end)
  self.writing = mine
  local fine, err = mine:wait()
  if self.writing == mine then self.writing = nil end
  if not fine then return nil, err end
  return self
end

---Ends the job's input: what reads it sees the end of file. Idempotent.
---@return true?
---@return daytona.Error?
function Job:close_stdin()
  open_job(self, "close_stdin")
  local answer, err = run(self.sandbox, "close_stdin", self.id, script.close_input(self.id))
  if not answer then return nil, err end
  if not answer:find("^ok") then return strange(self.sandbox, "close_stdin", self.id, answer) end
  return true
end

--- The end ----------------------------------------------------------------------------------

---Waits until the job has ended. Kind "timeout" when the time is over: it goes on.
---@param opts? number|{ timeout?: number }  seconds; none
---@return daytona.JobResult?
---@return daytona.Error?
function Job:wait(opts)
  open_job(self, "wait")
  local timeout = options.timeout("wait", opts)
  local deadline = timeout and timeout > 0 and loop.now() + timeout or nil
  while not self.result do
    local seconds = job_output.patience(deadline)
    if not seconds then
      return failure(self.sandbox, "wait", self.id, "timeout", "wait",
        "the job was still running when the time was over")
    end
    local fine, err = calls.look(self, nil, seconds, "wait", deadline)
    if not fine then return nil, err end
    if not self.result and seconds == 0 then
      local slept, why = loop.sleep(math.max(math.min(deadline - loop.now(), 0.1), 0))
      if not slept then return nil, why end
    end
  end
  return self.result
end

local SIGNALS = {
  HUP = true, INT = true, QUIT = true, KILL = true, USR1 = true, USR2 = true, TERM = true, CONT = true, STOP = true,
  ALRM = true, WINCH = true, PIPE = true, TSTP = true, TTIN = true, TTOU = true, ABRT = true,
}

local KILL = { grace = "seconds" }

---Without a signal: cancels the job. Its processes get TERM, and after `grace`
---seconds (5) KILL, also when this program is gone; it ends with reason "canceled".
---With a signal ("INT", "USR1", ...) sends that to all of its processes, no more.
---Nothing happens to a job that has ended.
---@param signal? string
---@param opts? { grace?: number }
---@return true?
---@return daytona.Error?
function Job:kill(signal, opts)
  open_job(self, "kill")
  opts = options.check("kill", KILL, opts)
  local text
  if signal == nil then
    text = script.cancel(self.id, opts.grace or GRACE)
  else
    local name = type(signal) == "string" and signal:upper():gsub("^SIG", "")
    if not SIGNALS[name] then errors.misuse(1, "kill: there is no signal '%s'", tostring(signal)) end
    text = script.signal(self.id, name)
  end
  local answer, err = run(self.sandbox, "kill", self.id, text, { once = signal ~= nil })
  if not answer then return nil, err end
  return true
end

---Removes what is kept of a job that has ended; kind "conflict" while it runs.
---Success when nothing is kept any more.
---@return true?
---@return daytona.Error?
function Job:remove()
  local answer, err = run(self.sandbox, "remove", self.id, script.remove(self.id))
  if not answer then
    if errors.is(err, "not_found") then return true end
    return nil, err
  end
  if answer:find("^running") then
    return failure(self.sandbox, "remove", self.id, "conflict", "JOB_RUNNING", "the job is still running")
  end
  return true
end

---As the `close` of io.popen's files: ends the job's input, waits until it has ended,
---and returns true, "exit", 0, or nil, "exit" or "signal", and the code. What is kept
---of it is removed. nil and an error object when that cannot be.
---@return true?
---@return "exit"|"signal"|daytona.Error
---@return integer?
function Job:close()
  open_job(self, "close")
  if self.has_input then
    local fine, err = Job.close_stdin(self)
    if not fine then return nil, err end
  end
  local result, err = Job.wait(self)
  if not result then return nil, err end
  local removed
  removed, err = Job.remove(self)
  if not removed then return nil, err end
  self.closed = true
  job_output.let_go(self)
  if result.signal then return nil, "signal", result.signal end
  return result.exit_code == 0 or nil, "exit", result.exit_code
end

-- Ends and removes a job; with a nonce, only if it was started with that.
local function discard(sandbox, id, nonce)
  return run(sandbox, "discard", id, script.discard(id, nonce), { seconds = 10 })
end

-- The end of its scope ends the job, within about 3 seconds, and removes it.
---@private
function Job:__close()
  if self.closed then return end
  self.closed = true
  job_output.let_go(self)
  loop.shield(discard, self.sandbox, self.id)
end

--- The calls ----------------------------------------------------------------------------------

local function is_input(value)
  return type(value) == "boolean" or type(value) == "string", "true, false or a string"
end

local POPEN = {
  cwd = "text", env = "variables", id = "text", stdin = is_input, timeout = "seconds", stderr = { "stdout", "apart" },
}

-- A file of assignments, and the values, which errors must not show.
local function environment(env)
  local texts, secrets = variables("popen", env)
  local lines = {}
  for name, value in pairs(texts) do
    command_line.refuse_nul("popen: the environment variable " .. name, value)
    lines[#lines + 1] = "export " .. name .. "=" .. shell.quote(value) .. "\n"
  end
  return lines[1] and table.concat(lines), secrets
end

---Starts a command that runs on its own: it outlives lost connections and this
---program. Read what it prints as from a file of `io.popen`; its exit status is told
---by `wait` and `close`.
---
---A string is shell text, a list a program and its arguments. Its standard input is
---empty, the string `stdin`, or with `stdin = true` what `write` gives it. Standard
---error is `job.stderr`, or with `stderr = "stdout"` a part of standard output. After
---`timeout` seconds (rounded up; none by default) all its processes are ended over
---there, also when nobody is watching. `id` (letters, digits, "._-") is for
---`sandbox:job(id)`; one that is taken is an error of kind "conflict".
---
---A job that has ended is kept until `job:close()` or `job:remove()`; the end of a
---scope (`local job <close> = ...` in Lua 5.4, or `daytona.using`) ends and removes it.
---What it prints is stored in the sandbox until then.
---@param command string|(string|number)[]
---@param opts? { cwd?: string, env?: table<string, string|number>, id?: string, stdin?: boolean|string, timeout?: number, stderr?: "stdout"|"apart" }
---@return daytona.Job?
---@return daytona.Error?
function M.popen(self, command, opts)
  local text = command_line.command_text("popen", command)
  opts = options.check("popen", POPEN, opts)
  local id = opts.id and options.identifier("popen: the id", opts.id) or command_line.new_id():gsub("%.$", "")
  if opts.cwd then
    command_line.refuse_nul("popen: option 'cwd'", opts.cwd)
    if not core.is_utf8(opts.cwd) then errors.misuse(1, "popen: option 'cwd' is not valid UTF-8") end
  end
  local env, secrets = environment(opts.env or {})
  local data = type(opts.stdin) == "string" and opts.stdin or nil
  local nonce = command_line.new_id()
  local function undo() discard(self, id, nonce) end
  local before = loop.now()
  local answer, err = run(self, "popen", id, script.start {
    id = id, nonce = nonce, command = text .. "\n", env = env, data = data,
    input = data and "file" or opts.stdin and "pipe" or "none",
    seconds = command_line.whole_seconds("popen", opts.timeout or 0), merge = opts.stderr == "stdout",
  }, { cwd = opts.cwd, secrets = secrets, on_abandon = undo })
  if not answer then
    if calls.may_have_run(err) then loop.shield(undo) end
    return nil, err
  end
  if answer:find("^exists") then
    return failure(self, "popen", id, "conflict", "JOB_EXISTS", "there is a job of this id already")
  elseif not answer:find("^started") then
    return strange(self, "popen", id, answer)
  end
  local job = new_job(self, id, text)
  job.distance = loop.now() - before
  job.has_input, job.merged = opts.stdin == true, opts.stderr == "stdout"
  return job
end

local TAKE_UP = { offset = "count", stderr_offset = "count" }

---A job that was started before, perhaps by another program: read on from an offset
---(`job.stdout:tell()`). Kind "not_found" when there is none.
---@param id string
---@param opts? { offset?: integer, stderr_offset?: integer }
---@return daytona.Job?
---@return daytona.Error?
function M.job(self, id, opts)
  options.identifier("job: the id", id)
  opts = options.check("job", TAKE_UP, opts)
  local job = new_job(self, id, nil, opts.offset, opts.stderr_offset)
  local before = loop.now()
  local fine, err = calls.look(job, nil, 0, "job")
  if not fine then return nil, err end
  job.has_input, job.distance = true, loop.now() - before
  return job
end

---The sandbox's jobs, those that run and those that were not removed, in order of
---their start.
---@return daytona.Job[]?
---@return daytona.Error?
function M.jobs(self)
  local answer, err = run(self, "jobs", nil, script.list())
  if not answer then return nil, err end
  local list = {}
  for line in answer:gmatch("[^\n]+") do
    local id, started, text, state = line:match("^(%S+) (%d+) (%S*) (.+)$")
    if id then
      local job = new_job(self, id, ((base64.decode(text) or ""):gsub("\n$", "")))
      job.started_at, job.result, job.has_input = tonumber(started), outcome(state), true
      list[#list + 1] = job
    end
    loop.breathe()
  end
  return require "daytona.base.sorted"(list, function(a, b)
    if a.started_at ~= b.started_at then return a.started_at < b.started_at end
    return a.id < b.id
  end, loop.breathe)
end

methods.guard(Job, "daytona.Job", "job")

return M
