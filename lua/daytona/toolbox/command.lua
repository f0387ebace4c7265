-- A command in a session: what it has printed, its end, its input. What it prints is
-- followed live in follow.lua, its end is watched for in watch.lua.

local api = require "daytona.toolbox.session_calls"
local core = require "daytona.base.native"
local failed = require "daytona.toolbox.failed"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local watch = require "daytona.toolbox.watch"

local command = {}

-- Seconds: that a wait may take; that input may, which can block; until input is offered
-- again to a command that has no pipe for it yet, first and at most.
local WAIT_TIMEOUT, INPUT_TIMEOUT, INPUT_AGAIN, INPUT_AGAIN_MOST = 600, 10, 0.02, 0.5

--- Logs ----------------------------------------------------------------------------------

---What a command has printed.
---@class daytona.Log
---@field stdout string
---@field stderr string
---@field output string  both, in the order of the log

-- Streams, as the demultiplexer counts them.
local BOTH, STDOUT, STDERR = 0, 1, 2

-- So many bytes of a log are taken apart in one go.
local SLICE = 128 * 1024

-- Whether there is a prefix in it.
local function is_labelled(raw)
  return raw:find("\1\1\1", 1, true) or raw:find("\2\2\2", 1, true)
end

---Takes a raw log apart. Without any prefix it is all standard output.
---@param raw string
---@param stdout? any  what is known of the streams already, when it is text
---@param stderr? any
---@return daytona.Log
function command.split(raw, stdout, stderr)
  local demux = is_labelled(raw) and core.demux(true)
  local function of(stream) -- a string is made in one go: others get their turn before the next
    loop.breathe(#raw > SLICE)
    return demux and demux:gathered(stream) or stream ~= STDERR and raw or ""
  end
  while demux and not demux:gather(raw, SLICE) do loop.breathe() end
  local output = of(BOTH)
  if type(stderr) ~= "string" then stderr = of(STDERR) end
  if type(stdout) ~= "string" then stdout = stderr == "" and output or of(STDOUT) end
  return { stdout = stdout, stderr = stderr, output = output }
end

---The log in a daemon's answer, which keeps the streams apart or not.
---@param answer table
---@return daytona.Log
function command.read_log(answer)
  return command.split(type(answer.output) == "string" and answer.output or "", answer.stdout, answer.stderr)
end

--- Commands ------------------------------------------------------------------------------

---A command that was given to a session.
---@class daytona.Command
---@field id string
---@field command? string      its text, where that is known
---@field exit_code? integer   nil until it is known to have ended; -1: its shell died without a word
---@field session daytona.Session
---@field sandbox daytona.Sandbox
local Command = { __name = "daytona.Command" }
Command.__index = Command

---"command (id, exit 0)"
---@private
function Command:__tostring()
  local state = self.exit_code and string.format("exit %d", self.exit_code) or "running"
  return "command (" .. self.id .. ", " .. state .. ")"
end

---@param session daytona.Session
---@param id string
---@param text? string
---@param exit_code? integer
---@return daytona.Command
function command.new(session, id, text, exit_code)
  return setmetatable({
    id = id, command = text, exit_code = type(exit_code) == "number" and exit_code or nil,
    session = session, sandbox = session.sandbox,
  }, Command)
end

---Asks whether the command has ended, and sets `exit_code` if so.
---@return daytona.Command?
---@return daytona.Error?
function Command:refresh()
  local code, err = watch.ask(self)
  if code == nil then return nil, err end
  return self
end

---Waits until the command has ended; its exit code, -1 when its shell died with
---it and an old daemon does not tell. Kind "timeout" when the time is over: the
---command goes on.
---@param opts? number|{ timeout?: number }  seconds; 600, 0 for none
---@return integer?
---@return daytona.Error?
function Command:wait(opts)
  local timeout = options.timeout("wait", opts) or WAIT_TIMEOUT
  return watch.wait(self, timeout > 0 and loop.now() + timeout or nil, loop.now())
end

local LOGS = { exact = "boolean", max_bytes = "positive", timeout = "seconds" }

-- Byte for byte: over a WebSocket, which does not pass through JSON.
local function exact_logs(self, opts)
  local reader = require("daytona.toolbox.follow").new(self, { snapshot = true, timeout = opts.timeout })
  local streams, all, size = { stdout = {}, stderr = {} }, {}, 0
  local most = opts.max_bytes or self.sandbox:toolbox().max_bytes
  while true do
    local stream, chunk = reader:read()
    if not stream then
      reader:close()
      if chunk then return nil, chunk end
      return {
        stdout = table.concat(streams.stdout), stderr = table.concat(streams.stderr), output = table.concat(all),
      }
    end
    size = size + #chunk
    if size > most then
      reader:close()
      return nil, failed(self, "session logs", {
        kind = "too_large", code = "too_large", message = "the log is larger than allowed",
      })
    end
    local own = streams[stream]
    own[#own + 1], all[#all + 1] = chunk, chunk
  end
end

---What the command has printed so far; all of it, if it was known to have ended.
---Bytes that are not UTF-8 come as U+FFFD unless it is to be `exact`.
---@param opts? { exact?: boolean, max_bytes?: integer, timeout?: number }
---@return daytona.Log?
---@return daytona.Error?
function Command:logs(opts)
  opts = options.check("logs", LOGS, opts)
  if opts.exact then return exact_logs(self, opts) end
  local request = {
    with_headers = true, may_be_json = true, max_bytes = opts.max_bytes, timeout = opts.timeout, what = self.id,
  }
  local response, err
  if self.session.id == watch.ENTRYPOINT then
    response, err = api.entrypoint_logs(self, nil, request)
  else
    response, err = api.logs(self, { session = self.session.id }, request)
  end
  if not response then return nil, err end
  local kind = response.headers["content-type"] or ""
  if not kind:find("json", 1, true) then return command.split(response.body) end
  local answer, problem = response.json, nil
  if answer == nil then answer, problem = json.decode(response.body) end
  if type(answer) ~= "table" then
    return nil, failed(self, "session logs", {
      kind = "protocol", code = "json", message = "the answer is not JSON: " .. tostring(problem),
    })
  end
  return command.read_log(answer)
end

---Follows what the command prints, from its beginning to its end: see
---daytona.Follow. With a function for a stream it runs to the end and returns the
---exit code; without, it returns a reader.
---
---    for stream, chunk in command:follow() do io[stream]:write(chunk) end
---
---It ends with the command: at once when that printed something in its last 2
---seconds, else when the daemon says so, about a second later. Of a shell that died
---with the command old daemons say nothing: that is noticed after 2 seconds of
---silence, or in a longer one within 20 seconds of its doubling.
---@param opts? { on_stdout?: fun(chunk: string), on_stderr?: fun(chunk: string), timeout?: number, idle_timeout?: number }
---@return daytona.Follow|integer|nil
---@return daytona.Error?
---@overload fun(self: daytona.Command): daytona.Follow
function Command:follow(opts)
  return require("daytona.toolbox.follow").follow(self, opts)
end

-- The shell makes the pipe when it comes to the command, which may be a moment
-- after that was given to it, or when those before it are done.
local function has_no_pipe_yet(err)
  return err.message:find("input pipe", 1, true) and err.message:find("no such file", 1, true)
end

-- Offers input once: true; nil, err; false, err when it may be offered again.
local function offer_input(self, text, timeout)
  local answer, err = api.input(self, { session = self.session.id, data = text }, {
    what = self.id, timeout = timeout,
  })
  if answer then return true end
  if err.status ~= 500 then return nil, err end
  -- Of a command that has ended unseen old daemons only say that it went wrong.
  if self.exit_code or self.session.ended or watch.ask(self) then
    err.kind, err.code, err.retryable = "gone", "COMMAND_ALREADY_COMPLETED", false
    return nil, err
  elseif has_no_pipe_yet(err) then
    return false, err
  end
  return nil, err
end

---Gives a running command a line of input; a newline is added unless it ends in
---one. Waits for a command whose turn has not come. Kind "gone" when it has ended,
---"timeout" when it does not read.
---@param text string
---@param opts? number|{ timeout?: number }  seconds; 10, 0 for none
---@return true?
---@return daytona.Error?
function Command:input(text, opts)
  options.argument("input: the text", "text", text)
  local timeout = options.timeout("input", opts) or INPUT_TIMEOUT
  local deadline = timeout > 0 and loop.now() + timeout or nil
  local pause = INPUT_AGAIN
  while true do
    local left = deadline and math.max(deadline - loop.now(), 0.001) or 0
    local taken, err = offer_input(self, text, left)
    if taken ~= false then return taken, err end
    if deadline and loop.now() + pause >= deadline then
      return nil, failed(self, "session input", {
        kind = "timeout", code = "wait", message = "the command had not begun when the time was over",
      })
    end
    local slept, why = loop.sleep(pause)
    if not slept then return nil, why end
    pause = math.min(pause * 2, INPUT_AGAIN_MOST)
  end
end

methods.guard(Command, "daytona.Command", "command")

return command
