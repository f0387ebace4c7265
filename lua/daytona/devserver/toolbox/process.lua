--- POST /process/execute: one shell script, run to its end, its output in the
-- answer. `process.run` is the part that code-run shares.
--
-- The script is the shell's standard input, not an argument: it may be of any
-- size, and a program in it that reads standard input eats the rest.

local cqueues = require "cqueues"
local ffi = require "ffi"
local posix_signal = require "posix.signal"
local json = require "daytona.devserver.http.json"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"

local process = {}

-- How long the answer waits for background processes that still hold the
-- output, once the shell itself has ended.
process.drain_seconds = 30

local BUFFER_SIZE = 256 * 1024
local buffer = sys.buffer(BUFFER_SIZE)

-- Reads what is there. Returns whether the end was reached.
local function take(fd, chunks)
  while true do
    local n, errno = sys.read(fd, buffer, BUFFER_SIZE)
    if not n then
      return errno ~= sys.EAGAIN
    elseif n == 0 then
      return true
    end
    chunks[#chunks + 1] = ffi.string(buffer, n)
    if n == BUFFER_SIZE then
      cqueues.sleep(0)      -- other requests get their turn
    end
  end
end

-- Writes `input` to a pipe and closes it, in a coroutine of its own when the
-- pipe is too small for it.
local function feed_and_close(fd, input)
  sys.nonblock(fd)
  local n = sys.write(fd, input, #input)
  if n == #input then
    return sys.close(fd)
  end
  cqueues.running():wrap(function()
    sys.feed(fd, input:sub((n or 0) + 1))
    sys.close(fd)
  end)
end

-- Collects output until the program has ended and its output is closed.
-- Returns false when `deadline` passed first.
local function collect(child, fd, chunks, deadline)
  local eof, give_up = false, nil
  while true do
    eof = eof or take(fd, chunks)
    local now = cqueues.monotime()
    if child.exit_code then
      give_up = give_up or now + process.drain_seconds
    end
    if child.exit_code and (eof or now >= give_up) then
      return true
    elseif deadline and now >= deadline then
      return false
    end
    local limit = math.min(deadline or math.huge, give_up or math.huge)
    local timeout = limit < math.huge and limit - now or nil
    if eof then
      child.ended:wait(timeout)
    else
      sys.wait_fd(fd, "r", timeout, not child.exit_code and child.ended or nil)
    end
  end
end

---@class daytona.devserver.run
---@field script string  the shell's standard input
---@field code string?  what the script may read from descriptor 3
---@field cwd string?
---@field envs table<string, string>?
---@field timeout number?  seconds

--- Runs a shell script. Ends the request with 408 when it takes too long: its
-- group is killed and what it had printed is lost. What has left the group and holds
-- the output delays that, as it delays an ordinary end.
---@param o daytona.devserver.run
---@return integer exit_code  -1 when the shell was killed by a signal or could not start
---@return string[] chunks  what it printed, both streams in order of arrival
function process.run(o)
  local in_read, in_write = sys.pipe()
  local out_read, out_write = sys.pipe()
  local code_read, code_write
  if o.code then
    code_read, code_write = sys.pipe()
  end
  sys.widen_pipe(out_read)
  sys.nonblock(out_read)
  local child, _, errno = spawn.start {
    argv = { environment.shell() }, env = environment.list(o.envs),
    cwd = o.cwd ~= "" and o.cwd or nil,
    stdin = in_read, stdout = out_write, third = code_read,
  }
  sys.close(in_read)
  sys.close(out_write)
  if code_read then sys.close(code_read) end
  if not child then
    sys.close(in_write)
    sys.close(out_read)
    if code_write then sys.close(code_write) end
    -- (the service does not say which of the two, the shell or the folder, is missing)
    return -1, { ("fork/exec %s: %s"):format(environment.shell(), sys.strerror(errno)) }
  end
  feed_and_close(in_write, o.script)
  if code_write then feed_and_close(code_write, o.code) end
  local timeout = o.timeout and o.timeout > 0 and o.timeout or nil
  local chunks = {}
  local in_time = collect(child, out_read, chunks, timeout and cqueues.monotime() + timeout)
  if not in_time then       -- what left the group lives on, and the answer waits for its output
    child:kill_group(posix_signal.SIGKILL)
    collect(child, out_read, {})
  end
  sys.close(out_read)
  if not in_time then
    failures.code(408, "PROCESS_EXECUTION_TIMEOUT", "command execution timeout")
  end
  return child.exit_code, chunks
end

-- An answer of more bytes goes out piece by piece, and so never packed.
local ONE_PIECE = 8 * 1024 * 1024

-- Turns chunks of bytes into the inside of a JSON string, chunk by chunk and in
-- place, so that a big output is never in one piece.
local function escape(chunks)
  local rest, size = "", 0
  for i = 1, #chunks do
    local valid
    valid, rest = text.utf8(rest .. chunks[i], i < #chunks)
    chunks[i] = json.encode(valid):sub(2, -2)
    size = size + #chunks[i]
  end
  return size
end

--- The answer of execute and code-run.
---@param exit_code integer
---@param chunks string[]  taken over
---@param artifacts table?
function process.answer(exit_code, chunks, artifacts)
  local head = ('{"exitCode":%d,"result":"'):format(exit_code)
  local tail = artifacts and '","artifacts":' .. json.encode(artifacts) .. "}" or '"}'
  local size = escape(chunks) + #head + #tail
  local headers = { ["content-type"] = "application/json; charset=utf-8" }
  if size <= ONE_PIECE then return 200, head .. table.concat(chunks) .. tail, headers end
  headers["content-length"] = size
  return 200, function(write)
    write(head)
    for i = 1, #chunks do
      if not write(chunks[i]) then return end
      chunks[i] = false
    end
    write(tail)
  end, headers
end

--- POST /process/execute
function process.execute(req)
  local f = fields.read(req, {
    command = "string!", cwd = "string", envs = "map", timeout = "uint32",
  })
  if not f.command:find "%S" then
    failures.raise(400, "command cannot be empty or whitespace-only")
  end
  environment.check(f.envs)
  return process.answer(process.run {
    script = f.command, cwd = f.cwd, envs = f.envs, timeout = f.timeout,
  })
end

return process
