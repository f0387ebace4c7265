-- Sessions: shells in a sandbox that stay, and the commands given to them
-- (command.lua).
--
-- An answer that is lost must not make a command run twice. So a command carries a mark, by
-- which it is found again.

local api = require "daytona.toolbox.session_calls"
local commands = require "daytona.toolbox.command"
local command_line = require "daytona.toolbox.command_line"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local failed = require "daytona.toolbox.failed"
local exec_result = require "daytona.toolbox.exec_result"
local outcome = require "daytona.toolbox.exec_outcome"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local sorted = require "daytona.base.sorted"
local watch = require "daytona.toolbox.watch"
local withdraw = require "daytona.toolbox.withdraw"

local M = {}

local ENTRYPOINT_COMMAND = "entrypoint_command"

-- Seconds: that a command of `exec` may take; that a question for the shell may; a
-- deletion, for which the daemon allows 5.
local EXEC_TIMEOUT, PROBE_TIMEOUT, DELETE_TIMEOUT = 600, 10, 30

-- Seconds that one request waits for a command, before its end is watched for.
M.patience = 2

-- The mark of a command, a comment at its end (before it, where a here-document
-- could take it in); and what asks whether a shell still lives.
local MARK, AT_END, IN_FRONT = "# daytona-lua:", "\n# daytona%-lua:[%w.-]+$", "^# daytona%-lua:[%w.-]+\n"
local PROBE = ": daytona-lua-probe"

--- Results -------------------------------------------------------------------------------

---What a command of `exec` did.
---@class daytona.SessionResult: daytona.Log
---@field exit_code integer   of the command; -1 when its shell died with it and an old daemon does not tell
---@field result string       as `output`
---@field command daytona.Command
local Result = { __name = "daytona.SessionResult" }
Result.__index = Result

---"exit 0, 12 bytes: the beginning"
---@private
function Result:__tostring()
  return exec_result.summary(self.exit_code, self.output)
end

local function result(sent, log, check)
  log.exit_code, log.command, log.result = sent.exit_code, sent, log.output
  setmetatable(log, Result)
  if not check or log.exit_code == 0 then return log end
  local last = outcome.last_line((log.stderr ~= "" and log.stderr or log.output):sub(-1000))
  return nil, errors.new {
    kind = "exit", operation = "session exec", sandbox = sent.sandbox, what = sent.session.id,
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
---@private
function Session:__tostring()
  return "session (" .. self.id .. (self.ended and ", ended)" or ")")
end

local function new_session(sandbox, id, created)
  return setmetatable({ id = id, sandbox = sandbox, created = created or false, ended = false }, Session)
end

-- Ends what was asked for and given up.
local function undo(session)
  withdraw(function() return api.delete(session, nil, { timeout = DELETE_TIMEOUT }) end)
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
  if id ~= nil then options.identifier("session: the id", id) end
  if id == watch.ENTRYPOINT then errors.misuse(1, "session: 'entrypoint' is had by sandbox:entrypoint()") end
  local session = new_session(self, id or "lua-" .. command_line.new_id():gsub("%.$", ""))
  if opts.create == false then
    local answer, err = api.get(session)
    if not answer then return nil, err end
    return session
  end
  local answer, err = api.create(session, { session_id = session.id }, {
    on_abandon = not id and function() undo(session) end or nil,
  })
  if not answer and not errors.is(err, "conflict") then return nil, err end
  session.created = answer ~= nil
  return session
end

---The sandbox's sessions, in order of name, without that of its entrypoint.
---@return daytona.Session[]?
---@return daytona.Error?
function M.sessions(self)
  local answer, err = api.list(self)
  if not answer then return nil, err end
  local list = {}
  for _, raw in ipairs(answer) do
    if type(raw) == "table" and type(raw.session_id) == "string" then
      list[#list + 1] = new_session(self, raw.session_id)
    end
    loop.breathe()
  end
  return sorted(list, function(a, b) return a.id < b.id end, loop.breathe)
end

---The program that the sandbox was started with, as a command: `logs`, `follow`,
---`wait`. Kind "not_found" when there is none.
---@return daytona.Command?
---@return daytona.Error?
function M.entrypoint(self)
  local answer, err = api.entrypoint(self, nil, { what = watch.ENTRYPOINT })
  if not answer then return nil, err end
  local raw = type(answer.commands) == "table" and answer.commands[1] or {}
  return commands.new(new_session(self, watch.ENTRYPOINT), ENTRYPOINT_COMMAND, raw.command, raw.exit_code)
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
  local answer, err = api.get(self)
  if not answer then return nil, err end
  return type(answer.commands) == "table" and answer.commands or {}
end

---The commands that were given to the session. Old daemons list them in no order.
---@return daytona.Command[]?
---@return daytona.Error?
function Session:commands()
  local list, err = listed(self)
  if not list then return nil, err end
  local all = {}
  for _, raw in ipairs(list) do
    if type(raw) == "table" and type(raw.id) == "string" and raw.command ~= PROBE then
      local text = type(raw.command) == "string" and unmarked(raw.command) or nil
      all[#all + 1] = commands.new(self, raw.id, text, raw.exit_code)
    end
    loop.breathe()
  end
  return all
end

---A command by its id. No request is made.
---@param id string
---@return daytona.Command
function Session:command(id)
  return commands.new(self, options.identifier("command: the id", id))
end

---Whether the session's shell still takes commands: true, false, or nil and an
---error when that is not known.
---@return boolean?
---@return daytona.Error?
function Session:is_alive()
  if self.ended then return false end
  local answer, err = api.exec(self, { command = PROBE, run_async = true }, { timeout = PROBE_TIMEOUT })
  if answer then return true end
  if errors.is(err, "gone") or errors.is(err, "not_found") then
    self.ended = true
    return false
  end
  return nil, err
end

-- Answers that are not the command's own.
local NOT_ITS_OWN = { unavailable = true, timeout = true, server = true, protocol = true }

-- Perhaps it runs: it left and no answer came, or not its own.
local function may_have_arrived(err)
  if err.sent ~= nil then return err.sent end
  return err.status ~= nil and NOT_ITS_OWN[err.kind] or false
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
        return commands.new(self, raw.id, unmarked(raw.command), raw.exit_code)
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
  local mark = MARK .. command_line.new_id()
  local answer, err = api.exec(self, {
    command = marked(text, mark), run_async = async, suppress_input_echo = opts.echo == false or nil,
  }, { timeout = timeout, max_bytes = opts.max_bytes })
  if answer then return answer end
  if errors.is(err, "gone") then self.ended = true end
  if not may_have_arrived(err) then return nil, err end
  local found, why = find(self, mark)
  if found then return nil, nil, found end
  return nil, found == nil and why or err
end

local function sent_command(self, answer, text)
  local id = answer.cmd_id
  if type(id) ~= "string" then
    return nil, failed(self, "session exec", {
      kind = "protocol", code = "json", message = "the answer names no command",
    })
  end
  return commands.new(self, id, text, answer.exit_code)
end

-- Waits for the end of a command that was sent at `begin`.
local function await(sent, begin, deadline, opts)
  local code, err = watch.wait(sent, deadline, begin)
  if not code then
    if errors.is(err, "timeout") then err.command = sent end
    return nil, err
  end
  local log
  log, err = sent:logs { max_bytes = opts.max_bytes }
  if not log then return nil, err end
  return result(sent, log, opts.check)
end

-- Runs a command to its end.
local function run(self, text, opts)
  local timeout, begin = opts.timeout or EXEC_TIMEOUT, loop.now()
  local deadline = timeout > 0 and begin + timeout or nil
  local answer, err, sent = send(self, text, opts, false, deadline and math.min(M.patience, timeout) or M.patience)
  if answer then sent, err = sent_command(self, answer, text) end
  if not sent then return nil, err end
  if answer and sent.exit_code then return result(sent, commands.read_log(answer), opts.check) end
  return await(sent, begin, deadline, opts)
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
---@param command string|(string|number)[]
---@param opts { async: true, echo?: boolean, timeout?: number }
---@return daytona.Command?
---@return daytona.Error?
---@overload fun(self: daytona.Session, command: string|(string|number)[], opts?: { async?: false, timeout?: number, check?: boolean, max_bytes?: integer }): daytona.SessionResult?, daytona.Error?
function Session:exec(command, opts)
  opts = options.check("exec", EXEC, opts)
  local text = command_line.command_text("exec", command)
  if not core.is_utf8(text) then text = "eval " .. command_line.encoded(text) end
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
  local answer, err = api.delete(self, nil, { timeout = opts.timeout or DELETE_TIMEOUT })
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

---@private
Session.__close = Session.close

methods.guard(Session, "daytona.Session", "session")

return M
