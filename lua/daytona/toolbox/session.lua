-- Sessions: shells in a sandbox that stay, and the commands given to them. What
-- a running command prints is followed in follow.lua.
--
-- The daemon's word is not always enough. A shell that dies (`exit`, `set -e`)
-- leaves older daemons waiting for ever; an answer that is lost must not make a
-- command run twice; a proxy may cut a quiet request. So a command carries a
-- mark, by which it is found again, and its end is watched for, not waited for.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.calls"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local process = require "daytona.toolbox.process"

local M = {}

local ENTRYPOINT, ENTRYPOINT_COMMAND = "entrypoint", "entrypoint_command"

-- Seconds until input is offered again to a command that has no pipe for it yet:
-- first, at most.
local INPUT_AGAIN, INPUT_AGAIN_MOST = 0.02, 0.5

-- Seconds: that a command of `exec` may take; that one request waits for it,
-- before its end is watched for; of input, which may block; of a deletion, for
-- which the daemon allows 5.
local EXEC_TIMEOUT, PATIENCE, INPUT_TIMEOUT, DELETE_TIMEOUT = 600, 2, 10, 30

-- The mark of a command, a comment at its end (before it, where a here-document
-- could take it in); and what asks whether a shell still lives.
local MARK, AT_END, IN_FRONT = "# daytona-lua:", "\n# daytona%-lua:[%w.-]+$", "^# daytona%-lua:[%w.-]+\n"
local PROBE = ": daytona-lua-probe"

--- Requests -----------------------------------------------------------------------------

-- What old daemons say, with status 500, of a shell that is no more.
local SHELL_GONE = { "broken pipe", "failed to write command", "session cancelled" }

local function says(err, texts)
  for i = 1, #texts do
    if err.message:find(texts[i], 1, true) then return true end
  end
  return false
end

-- The same condition has one kind and one code, whatever the daemon's age.
local function normalised(err)
  if err.status == 500 and err.kind == "not_found" then
    err.code = "PROCESS_NOT_FOUND"
  elseif err.status == 500 and says(err, SHELL_GONE) then
    err.kind, err.code, err.retryable = "gone", "SESSION_ENDED", false
  end
  return err
end

local call = calls.caller({
  ["session create"]  = { "POST",   "/process/session", safe = true }, -- repeated, it is there
  ["session list"]    = { "GET",    "/process/session", "list" },
  ["session get"]     = { "GET",    "/process/session/{}", "object" },
  ["session delete"]  = { "DELETE", "/process/session/{}" },
  ["session exec"]    = { "POST",   "/process/session/{}/exec", "object" },
  ["session command"] = { "GET",    "/process/session/{}/command/{}", "object" },
  ["session logs"]    = { "GET",    "/process/session/{}/command/{}/logs" },
  ["session input"]   = { "POST",   "/process/session/{}/command/{}/input" },
  ["entrypoint"]      = { "GET",    "/process/session/entrypoint", "object" },
  ["entrypoint logs"] = { "GET",    "/process/session/entrypoint/logs" },
}, normalised)

local function failure(sandbox, operation, what, kind, code, message)
  return nil, errors.new {
    kind = kind, code = code, operation = operation, sandbox = sandbox, what = what, message = message,
  }
end

-- The daemon uses it as the name of a folder.
local function check_id(what, id)
  return options.identifier(what, id, "^%.+$")
end

--- Watching for the end of a command -----------------------------------------------------

-- Seconds: the first look comes so long after the last sign of life; each later
-- one when the silence has lasted a quarter as long again, but soon enough.
local FIRST_LOOK, GROWTH, LONGEST_WAIT = 0.03, 0.25, 1

-- Seconds of silence after which the shell itself is asked for, and again each
-- time the silence has doubled.
local FIRST_PROBE = 2

-- So many looks may fail in a row.
local FAILED_LOOKS = 5

-- Who follows a command hears of its end from the daemon. After FIRST_PROBE it is
-- looked at only for its shell's sake, and all such looks of a program fall on the
-- same moments, so many seconds apart: in between nothing wakes it.
local MOMENTS = 20

-- Nor is a shell asked by each of those who wonder at the same moment. Seconds
-- after which others come for the answer; that it counts; that it may take.
local COME_AGAIN, RECENT, PROBE_TIMEOUT = 1, 1.5, 10

---Looks whether a command has ended, seldomer and seldomer.
---@class daytona.Watch
---@field next number  when to look again, on the clock of `loop.now`
---@field told boolean  the daemon tells of the end, unless the shell died
local Watch = {}
Watch.__index = Watch

---@param command daytona.Command
---@param told boolean
---@return daytona.Watch
function M.watch(command, told)
  local self = setmetatable({ command = command, told = told, failures = 0 }, Watch)
  self:active()
  return self
end

---There was a sign of life.
function Watch:active()
  self.since = loop.now()
  self.next = self.since + FIRST_LOOK
  self.probe_after = FIRST_PROBE
end

-- The exit code; false while it runs; nil, err when that cannot be had.
local function ask(command)
  local answer, err
  if command.id == ENTRYPOINT_COMMAND then
    answer, err = call(command.sandbox, "entrypoint", { what = ENTRYPOINT })
  else
    answer, err = call(command.sandbox, "session command", { what = command.id }, command.session.id, command.id)
  end
  if not answer then return nil, err end
  local raw = answer
  if command.id == ENTRYPOINT_COMMAND then raw = type(raw.commands) == "table" and raw.commands[1] or {} end
  if type(raw.exitCode) ~= "number" then return false end
  command.exit_code = raw.exitCode
  return raw.exitCode
end

-- The shell is dead, and its last command had no exit code. It may have been
-- written just before; or all of the session was deleted.
local function bury(command)
  command.session.ended = true
  local code, err = ask(command)
  if err and errors.is(err, "not_found") then return nil, err end
  if not code then command.exit_code = -1 end
  return true
end

---Asks whether the command has ended: as `look`.
---@return boolean?
---@return daytona.Error?
function Watch:has_ended()
  local code, err = ask(self.command)
  if code then return true end
  self.failures = code == false and 0 or self.failures + 1
  -- An exit code that is just being written is a 500 of old daemons.
  if code == false or (self.failures <= FAILED_LOOKS and (err.retryable or err.kind == "server")) then return false end
  return nil, err
end

-- Whether the shell lives: true, false, or nil when somebody else is asking it.
local function is_shell_alive(session)
  local now = loop.now()
  if session.ended then return false end
  if session.alive_at and now - session.alive_at < RECENT then return true end
  if session.asked_at and now - session.asked_at < PROBE_TIMEOUT then return nil end
  session.asked_at = now
  local alive = session:is_alive()
  session.asked_at, session.alive_at = nil, alive and loop.now() or nil
  return alive ~= false
end

local function next_look(self)
  local now = loop.now()
  local silence = now - self.since
  if self.told and silence >= FIRST_PROBE then return math.ceil((now + silence) / MOMENTS) * MOMENTS end
  return now + math.min(math.max(silence * GROWTH, FIRST_LOOK), LONGEST_WAIT)
end

---Does what is due. true when the command has ended (its `exit_code` is set), false
---when not or not known, nil and an error when that will not be known.
---@return boolean?
---@return daytona.Error?
function Watch:look()
  local command = self.command
  local has_shell = command.id ~= ENTRYPOINT_COMMAND
  local silence = loop.now() - self.since
  if not (self.told and has_shell and silence >= FIRST_PROBE) then
    local over, err = self:has_ended()
    if over ~= false then return over, err end
  end
  self.next = next_look(self)
  if has_shell and silence >= self.probe_after then
    local alive = is_shell_alive(command.session)
    if alive == false then return bury(command) end
    if alive then self.probe_after = 2 * silence else self.next = loop.now() + COME_AGAIN end
  end
  return false
end

--- Logs ----------------------------------------------------------------------------------

---What a command has printed.
---@class daytona.Log
---@field stdout string
---@field stderr string
---@field output string  both, in the order of the log

-- Takes a raw log apart. Without any prefix it is all standard output.
local function split(raw)
  local demux, pieces = core.demux(true), {}
  local all = { {}, {}, {} }
  local function add(n)
    for i = 1, n, 2 do
      local stream, text = pieces[i], pieces[i + 1]
      local own = stream == 2 and all[2] or all[1]
      own[#own + 1] = text
      all[3][#all[3] + 1] = text
    end
  end
  add(demux:feed(raw, pieces))
  add(demux:finish(pieces))
  return { stdout = table.concat(all[1]), stderr = table.concat(all[2]), output = table.concat(all[3]) }
end

M.split = split

-- The log in a daemon's answer, which keeps the streams apart or not.
local function read_log(answer)
  local log = split(type(answer.output) == "string" and answer.output or "")
  if type(answer.stdout) == "string" then log.stdout = answer.stdout end
  if type(answer.stderr) == "string" then log.stderr = answer.stderr end
  return log
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
function Command:__tostring()
  local state = self.exit_code and string.format("exit %d", self.exit_code) or "running"
  return "command (" .. self.id .. ", " .. state .. ")"
end

local function new_command(session, id, text, exit_code)
  return setmetatable({
    id = id, command = text, exit_code = type(exit_code) == "number" and exit_code or nil,
    session = session, sandbox = session.sandbox,
  }, Command)
end

---Asks whether the command has ended, and sets `exit_code` if so.
---@return daytona.Command?
---@return daytona.Error?
function Command:refresh()
  local code, err = ask(self)
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
  local timeout = options.timeout("wait", opts) or EXEC_TIMEOUT
  return M.wait(self, timeout > 0 and loop.now() + timeout or nil, loop.now())
end

-- The same, for what has been silent since that time.
function M.wait(self, deadline, since)
  local watch = M.watch(self, false)
  watch.since = since
  while not self.exit_code do
    local ended, err = watch:look()
    if ended == nil then return nil, err end
    local now = loop.now()
    if not ended and deadline and now >= deadline then
      return failure(self.sandbox, "wait", self.id, "timeout", "wait",
        "the command was still running when the time was over")
    elseif not ended then
      local fine, why = loop.sleep(math.max(math.min(watch.next, deadline or watch.next) - now, 0))
      if not fine then return nil, why end
    end
  end
  return self.exit_code
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
      return failure(self.sandbox, "session logs", self.id, "too_large", "too_large", "the log is larger than allowed")
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
  local request = { with_headers = true, max_bytes = opts.max_bytes, timeout = opts.timeout, what = self.id }
  local is_entrypoint = self.id == ENTRYPOINT_COMMAND
  local response, err = call(self.sandbox, is_entrypoint and "entrypoint logs" or "session logs", request,
    self.session.id, self.id)
  if not response then return nil, err end
  if not (response.headers["content-type"] or ""):find("json", 1, true) then return split(response.body) end
  local answer, problem = json.decode(response.body)
  if type(answer) ~= "table" then
    return failure(self.sandbox, "session logs", self.id, "protocol", "json",
      "the answer is not JSON: " .. tostring(problem))
  end
  return read_log(answer)
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
function Command:follow(opts)
  return require("daytona.toolbox.follow").follow(self, opts)
end

-- The shell makes the pipe when it comes to the command, which may be a moment
-- after that was given to it, or when those before it are done.
local function has_no_pipe_yet(err)
  return says(err, { "input pipe" }) and says(err, { "no such file" })
end

-- Offers input once: true; nil, err; false, err when it may be offered again.
local function offer_input(self, text, timeout)
  local answer, err = call(self.sandbox, "session input", {
    what = self.id, json = { data = text }, timeout = timeout,
  }, self.session.id, self.id)
  if answer then return true end
  if err.status ~= 500 then return nil, err end
  -- Of a command that has ended unseen old daemons only say that it went wrong.
  if self.exit_code or self.session.ended or ask(self) then
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
      return failure(self.sandbox, "session input", self.id, "timeout", "wait",
        "the command had not begun when the time was over")
    end
    local slept, why = loop.sleep(pause)
    if not slept then return nil, why end
    pause = math.min(pause * 2, INPUT_AGAIN_MOST)
  end
end

--- Results -------------------------------------------------------------------------------

---What a command of `exec` did.
---@class daytona.SessionResult: daytona.Log
---@field exit_code integer   -1 when its shell died with it and an old daemon does not tell
---@field command daytona.Command
local Result = { __name = "daytona.SessionResult" }
Result.__index = Result

---"exit 0, 12 bytes"
function Result:__tostring()
  return string.format("exit %d, %d bytes", self.exit_code, #self.output)
end

local function result(command, log, check)
  log.exit_code, log.command = command.exit_code, command
  setmetatable(log, Result)
  if not check or log.exit_code == 0 then return log end
  local last = process.last_line((log.stderr ~= "" and log.stderr or log.output):sub(-1000))
  return nil, errors.new {
    kind = "exit", operation = "session exec", sandbox = command.sandbox, what = command.session.id,
    message = "exit status " .. log.exit_code .. (last ~= "" and ": " .. last or ""),
    exit_code = log.exit_code, result = log.output,
  }
end

--- Sessions ------------------------------------------------------------------------------

---A shell that stays: directory, variables and functions last from one command to
---the next. Commands run one after another.
---@class daytona.Session
---@field id string
---@field sandbox daytona.Sandbox
---@field created boolean  this call has made it; false: it was there
---@field ended boolean    its shell is known to be dead; it takes no more commands
---@field package asked_at? number  on the clock of `loop.now`: somebody is asking the shell
---@field package alive_at? number  it answered
local Session = { __name = "daytona.Session" }
Session.__index = Session

---"session (build)"
function Session:__tostring()
  return "session (" .. self.id .. (self.ended and ", ended)" or ")")
end

local function new_session(sandbox, id, created)
  return setmetatable({ id = id, sandbox = sandbox, created = created or false, ended = false }, Session)
end

---The session of that name, which is made unless it is there (with `create` false
---that is an error of kind "not_found"). Without a name a new one gets one, and is
---deleted again when this call is cancelled.
---@param id? string                    letters, digits and "._-"
---@param opts? { create?: boolean }
---@return daytona.Session?
---@return daytona.Error?
function M.session(self, id, opts)
  opts = options.check("session", { create = "boolean" }, opts)
  if id ~= nil then check_id("session: the id", id) end
  if id == ENTRYPOINT then errors.misuse(1, "session: 'entrypoint' is had by sandbox:entrypoint()") end
  local session = new_session(self, id or "lua-" .. process.new_id():gsub("%.$", ""))
  if opts.create == false then
    local answer, err = call(self, "session get", nil, session.id)
    if not answer then return nil, err end
    return session
  end
  local answer, err = call(self, "session create", {
    json = { sessionId = session.id }, what = session.id,
    on_abandon = not id and function() calls.undo(call, self, "session delete", DELETE_TIMEOUT, session.id) end or nil,
  })
  if not answer and not errors.is(err, "conflict") then return nil, err end
  session.created = answer ~= nil
  return session
end

---The sandbox's sessions, in order of name, without that of its entrypoint.
---@return daytona.Session[]?
---@return daytona.Error?
function M.sessions(self)
  local answer, err = call(self, "session list")
  if not answer then return nil, err end
  local list = {}
  for _, raw in ipairs(answer) do
    if type(raw) == "table" and type(raw.sessionId) == "string" then
      list[#list + 1] = new_session(self, raw.sessionId)
    end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

---The program that the sandbox was started with, as a command: `logs`, `follow`,
---`wait`. Kind "not_found" when there is none.
---@return daytona.Command?
---@return daytona.Error?
function M.entrypoint(self)
  local command = new_command(new_session(self, ENTRYPOINT), ENTRYPOINT_COMMAND)
  local answer, err = call(self, "entrypoint", { what = ENTRYPOINT })
  if not answer then return nil, err end
  local raw = type(answer.commands) == "table" and answer.commands[1] or {}
  command.command = raw.command
  if type(raw.exitCode) == "number" then command.exit_code = raw.exitCode end
  return command
end

local function marked(text, mark)
  if text:find("<<", 1, true) then return mark .. "\n" .. text end
  return text .. "\n" .. mark
end

local function unmarked(text)
  return (text:gsub(AT_END, ""):gsub(IN_FRONT, ""))
end

local function bears(text, mark)
  return text:sub(-#mark) == mark or text:sub(1, #mark) == mark
end

-- The session's commands as the daemon lists them.
local function listed(self)
  local answer, err = call(self.sandbox, "session get", nil, self.id)
  if not answer then return nil, err end
  return type(answer.commands) == "table" and answer.commands or {}
end

---The commands that were given to the session. Old daemons list them in no order.
---@return daytona.Command[]?
---@return daytona.Error?
function Session:commands()
  local list, err = listed(self)
  if not list then return nil, err end
  local commands = {}
  for _, raw in ipairs(list) do
    if type(raw) == "table" and type(raw.id) == "string" and raw.command ~= PROBE then
      local text = type(raw.command) == "string" and unmarked(raw.command) or nil
      commands[#commands + 1] = new_command(self, raw.id, text, raw.exitCode)
    end
  end
  return commands
end

---A command by its id. No request is made.
---@param id string
---@return daytona.Command
function Session:command(id)
  return new_command(self, check_id("command: the id", id))
end

---Whether the session's shell still takes commands: true, false, or nil and an
---error when that is not known.
---@return boolean?
---@return daytona.Error?
function Session:is_alive()
  if self.ended then return false end
  local answer, err = call(self.sandbox, "session exec", {
    json = { command = PROBE, runAsync = true }, timeout = PROBE_TIMEOUT,
  }, self.id)
  if answer then return true end
  if errors.is(err, "gone") or errors.is(err, "not_found") then
    self.ended = true
    return false
  end
  return nil, err
end

-- The answer did not come, or not the command's own: perhaps it runs.
local function may_have_arrived(err)
  local code = err.code
  if code == "idle_timeout" or code == "timeout" or code == "reset" or code == "truncated" then return true end
  return err.status ~= nil and (err.kind == "unavailable" or err.kind == "timeout" or err.kind == "server")
end

-- The listing may be a little behind the lost request.
local FIND_TRIES, FIND_DELAY = 4, 0.1

-- The command with that mark; false when there is none, nil, err when that cannot
-- be known.
local function find(self, mark)
  for try = 1, FIND_TRIES do
    local list, err = listed(self)
    if not list and not (err.retryable or err.kind == "server") then return nil, err end
    for _, raw in ipairs(list or {}) do
      if type(raw) == "table" and type(raw.command) == "string" and bears(raw.command, mark) then
        return new_command(self, raw.id, unmarked(raw.command), raw.exitCode)
      end
    end
    if try == FIND_TRIES then return list and false, err end
    local slept, why = loop.sleep(FIND_DELAY * try)
    if not slept then return nil, why end
  end
end

-- Sends a command. Its answer; or the command, found after its answer was lost;
-- or nil, err. It is never sent twice.
local function send(self, text, opts, async, timeout)
  local mark = MARK .. process.new_id()
  local answer, err = call(self.sandbox, "session exec", {
    json = {
      command = marked(text, mark), runAsync = async, suppressInputEcho = opts.echo == false or nil,
    },
    timeout = timeout, max_bytes = opts.max_bytes,
  }, self.id)
  if answer then return answer end
  if errors.is(err, "gone") then self.ended = true end
  if not may_have_arrived(err) then return nil, err end
  local command, why = find(self, mark)
  if command then return nil, nil, command end
  return nil, command == nil and why or err
end

local function sent_command(self, answer, text)
  local id = answer.cmdId
  if type(id) ~= "string" then
    return failure(self.sandbox, "session exec", self.id, "protocol", "json", "the answer names no command")
  end
  return new_command(self, id, text, answer.exitCode)
end

-- Runs a command to its end.
local function run(self, text, opts)
  local timeout = opts.timeout or EXEC_TIMEOUT
  local begin = loop.now()
  local deadline = timeout > 0 and begin + timeout or nil
  local answer, err, command = send(self, text, opts, false, math.min(PATIENCE, deadline and timeout or PATIENCE))
  if answer and type(answer.exitCode) == "number" then
    command, err = sent_command(self, answer, text)
    if not command then return nil, err end
    return result(command, read_log(answer), opts.check)
  elseif answer then
    command, err = sent_command(self, answer, text)
  end
  if not command then return nil, err end
  local code
  code, err = M.wait(command, deadline, begin)
  if not code then
    if errors.is(err, "timeout") then err.command = command end
    return nil, err
  end
  local log
  log, err = command:logs { max_bytes = opts.max_bytes }
  if not log then return nil, err end
  return result(command, log, opts.check)
end

local EXEC = { async = "boolean", timeout = "seconds", check = "boolean", echo = "boolean", max_bytes = "positive" }

---Runs a command in the session's shell: shell text, or a program and its
---arguments.
---
---It returns when the command has ended, also when that ended the shell; its
---standard input is empty then. What is printed comes back in whole lines, without
---NUL bytes. After `timeout` (600 seconds, 0 for none) the error is of kind
---"timeout" and has the `command`, which goes on, as it does when its caller is
---cancelled: only deleting the session ends it. With `check` another exit status than 0 is an error of kind "exit".
---
---With `async` it returns at once, with a command to follow, wait for and give
---input to; `echo = false` keeps that input out of the log.
---
---A command is never sent twice: when an answer is lost it is looked for.
---@param command string|string[]
---@param opts? { async?: boolean, timeout?: number, check?: boolean, echo?: boolean, max_bytes?: integer }
---@return daytona.SessionResult|daytona.Command|nil
---@return daytona.Error?
function Session:exec(command, opts)
  opts = options.check("exec", EXEC, opts)
  local text = process.command_text("exec", command)
  if not core.is_utf8(text) then text = "eval " .. process.encoded(text) end
  if not opts.async then return run(self, text, opts) end
  local answer, err, found = send(self, text, opts, true, opts.timeout)
  if found then return found end
  if not answer then return nil, err end
  return sent_command(self, answer, text)
end

---Ends all that runs in the session and removes its logs; takes up to 5 seconds
---when something does not want to end. Success when it is gone already.
---@param opts? { timeout?: number }  seconds; 30
---@return true?
---@return daytona.Error?
function Session:delete(opts)
  opts = options.check("delete", { timeout = "seconds" }, opts)
  local answer, err = call(self.sandbox, "session delete", { timeout = opts.timeout or DELETE_TIMEOUT }, self.id)
  if not answer and not errors.is(err, "not_found") then return nil, err end
  self.ended = true
  return true
end

---Deletes the session, shielded from cancellation: what the end of a scope does.
---@return true?
---@return daytona.Error?
function Session:close()
  return loop.shield(Session.delete, self)
end

Session.__close = Session.close

methods.guard(Command, "daytona.Command", "command")
methods.guard(Session, "daytona.Session", "session")

return M
