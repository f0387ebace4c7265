-- Jobs: commands that outlive whoever started them, used like `io.popen`'s files.
--
-- A job runs in the sandbox under a supervisor of its own (job_script.lua); what it
-- prints goes to files there, and this side fetches it, one request at a time, each
-- answered as soon as there is something new. So a lost connection loses nothing,
-- and any program that knows a job's id can go on where another one stopped.
--
-- Everything is sent in such a way that sending it twice does it once.

local base64 = require "daytona.base.base64"
local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local formats = require "daytona.base.formats"
local http = require "daytona.http"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local numeral = require "daytona.base.numeral"
local options = require "daytona.base.options"
local process = require "daytona.toolbox.process"
local script = require "daytona.toolbox.job_script"
local shell = require "daytona.base.shell"
local task = require "daytona.loop.task"

local M = {}

-- Seconds: that one look waits for news (proxies cut quiet requests after 30); that
-- other calls may take; between a request to end and making it so.
local LOOK, CALL_TIMEOUT, GRACE = 20, 30, 5

-- Bytes of output in one answer: first, and when there is more and more. So many can
-- be decoded in a second, which must not hold the host up.
local FIRST_PIECE, LARGEST_PIECE, DECODED = 64 * 1024, 1024 * 1024, 128 * 1024 * 1024

-- Bytes of input in one request; seconds that the job has to read them.
local INPUT_PIECE, WRITE_TIMEOUT = 256 * 1024, 60

-- So many looks may fail in a row, when trying again may help.
local FAILED_LOOKS = 5

-- So often a script is sent again whose answer broke off.
local TRUNCATED_TRIES = 2

--- Requests -------------------------------------------------------------------------------

local function failure(sandbox, operation, id, kind, code, message)
  return nil, errors.new {
    kind = kind, code = code, operation = operation, sandbox = sandbox, what = id, message = message,
  }
end

-- Ways in which an answer breaks off.
local BROKE_OFF = { truncated = true, reset = true }

-- Sends a script, again when its answer broke off: all but signals may come twice.
local function send(connection, request)
  for _ = 1, TRUNCATED_TRIES do
    local response, err = http.request(connection, request)
    if response or not BROKE_OFF[err.code] or not request.safe then return response, err end
  end
  return http.request(connection, request)
end

-- Runs a script of job_script.lua. What it printed, or nil, err. `o`: seconds, cwd,
-- secrets, once (not to be repeated), on_abandon.
local function run(sandbox, operation, id, text, o)
  o = o or {}
  local connection, err = sandbox:toolbox()
  if not connection then return nil, err end
  local seconds = math.ceil(o.seconds or CALL_TIMEOUT)
  local response
  response, err = send(connection, {
    method = "POST", path = "/process/execute", answer = "object", operation = operation, sandbox = sandbox,
    what = id, json = { command = text, timeout = seconds, cwd = o.cwd }, timeout = seconds + 5,
    safe = not o.once, secrets = o.secrets, on_abandon = o.on_abandon,
  })
  if not response then
    if err.kind == "process_timeout" then err.kind = "timeout" end
    return nil, err
  end
  local result = response.json.result
  if type(result) ~= "string" then
    return failure(sandbox, operation, id, "protocol", "json", "the answer is not what a command gives")
  end
  local kind = response.json.exitCode == -1 and process.start_failure(result)
  if kind then
    return failure(sandbox, operation, id, kind, "PROCESS_START_FAILED", process.start_message(result, o.cwd))
  end
  if result:find("^gone") then
    return failure(sandbox, operation, id, "not_found", "JOB_NOT_FOUND", "there is no such job")
  end
  return result
end

-- What a script could not do, in the system's words: "failed <words>".
local function not_done(sandbox, operation, id, answer)
  local why = errors.one_line(answer:match "^failed(.*)" or "")
  local kind = why:find("ermission denied", 1, true) and "forbidden" or "io"
  if why == "" then why = "what the job needs cannot be written" end
  return failure(sandbox, operation, id, kind, "JOB_FAILED", why)
end

-- An answer that no script of ours gives.
local function strange(sandbox, operation, id, answer)
  if answer:find "^failed" then return not_done(sandbox, operation, id, answer) end
  local said = process.last_line(answer:sub(1, 1000))
  return failure(sandbox, operation, id, "protocol", "JOB_FAILED",
    said ~= "" and "the sandbox's shell answered: " .. said or "the sandbox's shell did not answer")
end

-- "exited 3 0" as what happened; nil while it runs.
local function outcome(state)
  local reason, code, signal = state:match("^(%a[%a_]*) (%-?%d+) (%d+)$")
  if not reason then return nil end
  signal = tonumber(signal)
  return { reason = reason, exit_code = tonumber(code), signal = signal > 0 and signal or nil }
end

--- Output ----------------------------------------------------------------------------------

---How a job ended.
---@class daytona.JobResult
---@field exit_code integer   128 + signal when it was killed by one; -1 when lost
---@field signal? integer
---@field reason "exited"|"signaled"|"canceled"|"timed_out"|"lost"  lost: the sandbox was stopped, or its supervisor killed

---One of a job's two outputs, read like a file. Bytes come as they were written.
---@class daytona.JobOutput
---@field job daytona.Job
local JobOutput = { __name = "daytona.JobOutput" }
JobOutput.__index = JobOutput

---"output (id, stdout)"
function JobOutput:__tostring()
  return "output (" .. self.job.id .. ", " .. (self.file == "out" and "stdout" or "stderr") .. ")"
end

local function new_output(job, file, offset)
  return setmetatable({
    job = job, file = file, fetched = offset or 0, piece = FIRST_PIECE, buffer = line_buffer.new(), over = false,
  }, JobOutput)
end

-- The four lines of an answer, two of which may be long: found, not matched.
local function take_apart(answer)
  local _, head, state, out_size, err_size = answer:find("^([^\n]+)\n(%d+) (%d+)\n")
  local middle = head and answer:find("\n", head + 1, true)
  local last = middle and (answer:find("\n", middle + 1, true) or #answer + 1)
  if not last or last < #answer then return nil end
  return state, out_size, err_size, answer:sub(head + 1, middle - 1), answer:sub(middle + 1, last - 1)
end

-- Looks once: the job's state, and news of `output`, if given. true, or nil, err.
local function look(job, output, seconds, operation)
  local out = output and output.file == "out" and output.fetched or nil
  local err_offset = output and output.file == "err" and output.fetched or nil
  local most = output and output.piece or 0
  local from = output and output.fetched
  local answer, err = run(job.sandbox, operation, job.id,
    script.poll(job.id, out, err_offset, seconds, most), { seconds = seconds + 10 })
  if not answer then return nil, err end
  local state, out_size, err_size, out_text, err_text = take_apart(answer)
  if not state then return strange(job.sandbox, operation, job.id, answer) end
  job.result = outcome(state) or job.result
  if not output or output.fetched ~= from then return true end -- another task was faster
  local size = tonumber(out and out_size or err_size)
  local data = base64.decode(out and out_text or err_text)
  if not data then return strange(job.sandbox, operation, job.id, answer) end
  output.buffer:push(data)
  output.fetched = output.fetched + #data
  output.over = job.result ~= nil and output.fetched >= size
  local slice = loop.slice()
  local largest = slice and math.max(FIRST_PIECE, math.floor(slice * DECODED)) or LARGEST_PIECE
  output.piece = size > output.fetched and math.min(output.piece * 2, largest) or FIRST_PIECE
  return true
end

-- The same, through what may pass.
local function patient_look(job, output, seconds, operation)
  for try = 1, FAILED_LOOKS + 1 do
    local fine, err = look(job, output, seconds, operation)
    if fine then return true end
    if not err.retryable or try > FAILED_LOOKS then return nil, err end
    local slept, why = loop.sleep(err.retry_after or http.backoff(try))
    if not slept then return nil, why end
  end
end

-- Fetches more: true, or false at the end, or nil, err.
local function more(self)
  if self.over then return false end
  return patient_look(self.job, self, LOOK, "read")
end

-- What a format takes of the buffer once `more` has nothing to add.
local READ = {}

function READ.line(self)
  while true do
    local line = self.buffer:line()
    if line then return line end
    local fine, err = more(self)
    if fine == nil then return nil, err end
    if not fine then return self.buffer:take(math.huge) end
  end
end

function READ.all(self)
  local most = self.job.sandbox:toolbox().max_bytes
  while true do
    if self.buffer.size > most then
      return failure(self.job.sandbox, "read", self.job.id, "too_large", "too_large",
        "the output is larger than allowed")
    end
    local fine, err = more(self)
    if fine == nil then return nil, err end
    if not fine then return self.buffer:take(math.huge) or "" end
  end
end

function READ.bytes(self, n)
  while true do
    local data = self.buffer.size >= math.max(n, 1) and self.buffer:take(n)
    if data then return data end
    local fine, err = more(self)
    if fine == nil then return nil, err end
    if not fine then return self.buffer:take(n) end
  end
end

function READ.number(self)
  while true do
    local ahead = self.buffer:ahead(numeral.LONGEST)
    local space = #ahead:match("^%s*")
    local text = numeral.beginning(ahead:sub(space + 1))
    if space > 0 then self.buffer:take(space) end
    local is_whole = space + #text < #ahead or #text == numeral.LONGEST
    local fine, err = true, nil
    if not is_whole then fine, err = more(self) end
    if fine == nil then return nil, err end
    if is_whole or not fine then
      if text ~= "" then self.buffer:take(#text) end
      return tonumber(text)
    end
  end
end

local function without_newline(line, err)
  if line and line:sub(-1) == "\n" then line = line:sub(1, -2) end
  return line, err
end

local function read_one(self, format)
  local rested, stopped = loop.breathe()
  if not rested then return nil, stopped end
  if type(format) == "number" then
    options.argument("read: the number of bytes", "count", format)
    return READ.bytes(self, format)
  end
  local letter = formats.letter(format)
  if letter == "l" then return without_newline(READ.line(self)) end
  if letter == "L" then return READ.line(self) end
  if letter == "n" then return READ.number(self) end
  if letter == "a" then return READ.all(self) end
  errors.misuse(1, "read: the format must be 'l', 'L', 'n', 'a' or a number of bytes")
end

local function read(self, ...)
  local n = select("#", ...)
  if n < 2 then return read_one(self, (...) or "l") end
  return formats.read(read_one, self, n, ...)
end

---Reads as `file:read` does: "l" a line (the default), "L" a line with its end, "n" a
---number, "a" all the rest, an integer that many bytes; several formats give several
---values. Waits for it. nil at the end, and where no number is. nil and an error when
---it could not be had; what was fetched is kept for the next call.
---@param ... "l"|"L"|"n"|"a"|integer
---@return string|number|nil
---@return daytona.Error|string|number|nil ...
function JobOutput:read(...)
  return read(self, ...)
end

---The next piece of what was printed, as soon as there is any: not more than about
---a megabyte. nil at the end; nil, err.
---@return string?
---@return daytona.Error?
function JobOutput:chunk()
  while true do
    local data = self.buffer:take(math.huge)
    if data then return data end
    local fine, err = more(self)
    if not fine then return nil, err end
  end
end

local function or_raise(value, err, ...)
  if value == nil and err then errors.raise(err) end
  return value, err, ...
end

---Iterates over lines, or what else `read` takes, as `file:lines`. Raises errors.
---@param ... "l"|"L"|"n"|integer
---@return fun(): string|number|nil ...
function JobOutput:lines(...)
  local given = compat.pack(...)
  return function() return or_raise(read(self, compat.unpack(given, 1, given.n))) end
end

---Iterates over what is printed as it comes. Raises errors.
---@return fun(): string?
function JobOutput:chunks()
  return function() return or_raise(self:chunk()) end
end

---How many bytes were read: where `sandbox:job(id, { offset = ... })` goes on.
---@return integer
function JobOutput:tell()
  return self.fetched - self.buffer.size
end

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
local Job = { __name = "daytona.Job" }
Job.__index = Job

---"job (id, running)"
function Job:__tostring()
  local state = "running"
  if self.closed then
    state = "closed"
  elseif self.result then
    state = string.format("%s, exit %d", self.result.reason, self.result.exit_code)
  end
  return "job (" .. self.id .. ", " .. state .. ")"
end

local function new_job(sandbox, id, command, offset, err_offset)
  local job = setmetatable({ id = id, command = command, sandbox = sandbox, closed = false }, Job)
  job.stdout, job.stderr = new_output(job, "out", offset), new_output(job, "err", err_offset)
  return job
end

-- It is a folder's name, and an argument of programs.
local function check_id(what, id)
  return options.identifier(what, id, "^[.-]")
end

local function open_job(self, operation)
  if self.closed then errors.misuse(1, "%s: attempt to use a closed job", operation) end
end

---Reads standard output: see daytona.JobOutput.read.
---@param ... "l"|"L"|"n"|"a"|integer
---@return string|number|nil
---@return daytona.Error|string|number|nil ...
function Job:read(...)
  open_job(self, "read")
  return read(self.stdout, ...)
end

---Iterates over the lines of standard output, as they are printed. Raises errors.
---@param ... "l"|"L"|"n"|integer
---@return fun(): string|number|nil ...
function Job:lines(...)
  open_job(self, "lines")
  return JobOutput.lines(self.stdout, ...)
end

--- Input -------------------------------------------------------------------------------------

local function closed_input(self)
  return failure(self.sandbox, "write", self.id, "gone", "INPUT_CLOSED",
    "the job's input is closed (popen opens it with stdin = true)")
end

local function write_piece(self, data, timeout)
  local nonce = process.new_id()
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
    local left = deadline and deadline - loop.now() or LOOK
    if left <= 0 then
      return failure(self.sandbox, "wait", self.id, "timeout", "wait",
        "the job was still running when the time was over")
    end
    -- The last second is waited for here: over there it is counted in whole ones.
    local fine, err = patient_look(self, nil, math.floor(math.min(left, LOOK)), "wait")
    if not fine then return nil, err end
    left = deadline and deadline - loop.now()
    if not self.result and left and left > 0 and left < 1 then
      local slept, why = loop.sleep(math.min(left, 0.1))
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
  if result.signal then return nil, "signal", result.signal end
  return result.exit_code == 0 or nil, "exit", result.exit_code
end

-- Ends and removes a job; with a nonce, only if it was started with that.
local function discard(sandbox, id, nonce)
  return run(sandbox, "discard", id, script.discard(id, nonce), { seconds = 10 })
end

-- The end of its scope ends the job, within about 3 seconds, and removes it.
function Job:__close()
  if self.closed then return end
  self.closed = true
  loop.shield(discard, self.sandbox, self.id)
end

--- The calls ----------------------------------------------------------------------------------

local function is_input(value)
  return type(value) == "boolean" or type(value) == "string", "true, false or a string"
end

-- Whether the answer to its start was lost, or was not the script's.
local function may_have_started(err)
  return BROKE_OFF[err.code] or err.kind == "protocol" or err.kind == "too_large"
    or (err.status or 0) >= 500
end

local POPEN = {
  cwd = "text", env = "map", id = "text", stdin = is_input, timeout = "seconds", stderr = { "stdout", "apart" },
}

-- A file of assignments, and the values, which errors must not show.
local function environment(env)
  local lines, secrets = {}, {}
  for name, value in pairs(env) do
    if not shell.is_name(name) then
      errors.misuse(1, "popen: '%s' cannot be the name of an environment variable", name)
    end
    process.refuse_nul("popen: the environment variable " .. name, value)
    lines[#lines + 1] = "export " .. name .. "=" .. shell.quote(value) .. "\n"
    secrets[#secrets + 1] = value
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
---@param command string|string[]
---@param opts? { cwd?: string, env?: table<string, string>, id?: string, stdin?: boolean|string, timeout?: number, stderr?: "stdout"|"apart" }
---@return daytona.Job?
---@return daytona.Error?
function M.popen(self, command, opts)
  local text = process.command_text("popen", command)
  opts = options.check("popen", POPEN, opts)
  local id = opts.id and check_id("popen: the id", opts.id) or process.new_id():gsub("%.$", "")
  if opts.cwd then
    process.refuse_nul("popen: option 'cwd'", opts.cwd)
    if not core.is_utf8(opts.cwd) then errors.misuse(1, "popen: option 'cwd' is not valid UTF-8") end
  end
  local env, secrets = environment(opts.env or {})
  local data = type(opts.stdin) == "string" and opts.stdin or nil
  local nonce = process.new_id()
  local function undo() discard(self, id, nonce) end
  local answer, err = run(self, "popen", id, script.start {
    id = id, nonce = nonce, command = text .. "\n", env = env, data = data,
    input = data and "file" or opts.stdin and "pipe" or "none",
    seconds = process.whole_seconds("popen", opts.timeout or 0), merge = opts.stderr == "stdout",
  }, { cwd = opts.cwd, secrets = secrets, on_abandon = undo })
  if not answer then
    if may_have_started(err) then loop.shield(undo) end
    return nil, err
  end
  if answer:find("^exists") then
    return failure(self, "popen", id, "conflict", "JOB_EXISTS", "there is a job of this id already")
  elseif not answer:find("^started") then
    return strange(self, "popen", id, answer)
  end
  local job = new_job(self, id, text)
  job.has_input = opts.stdin == true
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
  check_id("job: the id", id)
  opts = options.check("job", TAKE_UP, opts)
  local job = new_job(self, id, nil, opts.offset, opts.stderr_offset)
  local fine, err = look(job, nil, 0, "job")
  if not fine then return nil, err end
  job.has_input = true
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
  end
  table.sort(list, function(a, b)
    if a.started_at ~= b.started_at then return a.started_at < b.started_at end
    return a.id < b.id
  end)
  return list
end

methods.guard(Job, "daytona.Job", "job")

return M
