-- The stateful Python interpreter of a sandbox: code runs in contexts that keep
-- their variables, and what it prints arrives as it is printed.
--
-- One connection is one run. Its outcome is told by how the daemon closes the
-- connection; the messages before that are not enough to go by.

local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.calls"
local json = require "daytona.http.json"
local long_json = require "daytona.http.long_json"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local websocket = require "daytona.http.websocket"
local oldest_first = require "daytona.toolbox.oldest_first"
local variables = require "daytona.base.variables"

local function context_flaw(answer)
  if type(answer.id) ~= "string" then return "no context (it has no id)" end
end

local api = calls.of_daemon {
  create_context = { "POST",   "/process/interpreter/context", "object", body = true, flaw = context_flaw },
  contexts       = { "GET",    "/process/interpreter/context", "object" },
  delete_context = { "DELETE", "/process/interpreter/context/{context}" },
  run            = { "GET",    "/process/interpreter/execute" }, -- opened as a WebSocket
}

-- Seconds code may run when nothing is said.
local DEFAULT_TIMEOUT = 600

-- The daemon's number for seconds has 31 bits.
local LONGEST_TIMEOUT = 2147483647

-- Bytes of output that are collected.
local MAX_OUTPUT = 64 * 1024 * 1024

-- Larger strings take a while to be made.
local LARGE = 256 * 1024

---The Python interpreter of a sandbox, whose variables stay: `sb.interpreter`.
---@class daytona.Interpreter
local Interpreter = {}
Interpreter.__index = Interpreter
Interpreter.__name = "daytona.Interpreter"

---@private
function Interpreter:__tostring()
  return "interpreter of " .. tostring(self.sandbox)
end

local M = {}

-- Seconds: that the daemon may take, when the time is over, to end code that ignores
-- its interrupt; between looks whether the daemon has begun.
M.grace, M.look = 7, 20

---@param sandbox daytona.Sandbox
---@return daytona.Interpreter
function M.new(sandbox)
  return setmetatable({ sandbox = sandbox }, Interpreter)
end

--- Contexts --------------------------------------------------------------------------

---A namespace of its own, with a process of its own.
---@class daytona.InterpreterContext
---@field id string
---@field cwd string
---@field language string   "python"
---@field created_at string
---@field active boolean    false: its process died; the next run begins with an empty one (with old daemons each is "gone")
---@field package interpreter daytona.Interpreter
local Context = { __name = "daytona.InterpreterContext" }
Context.__index = Context

---@private
function Context:__tostring()
  return "interpreter context (" .. tostring(self.id) .. ")"
end

local function new_context(interpreter, fields)
  fields.interpreter = interpreter
  return setmetatable(fields, Context)
end

local function id_of(what, context)
  local id = type(context) == "table" and context.id or context
  if type(id) ~= "string" or id == "" then
    errors.misuse(1, "%s must be a context or its id, got %s", what, type(context))
  end
  return id
end

local CREATE = { cwd = "text", language = { "python" } }

---Makes a context. Code that names none runs in one that is always there.
---@param opts? { cwd?: string, language?: "python" }
---@return daytona.InterpreterContext?
---@return daytona.Error?
function Interpreter:create_context(opts)
  local fields, err = api.create_context(self, options.check("create_context", CREATE, opts))
  if not fields then return nil, err end
  return new_context(self, fields)
end

---The contexts that were made, oldest first.
---@return daytona.InterpreterContext[]?
---@return daytona.Error?
function Interpreter:contexts()
  local answer, err = api.contexts(self)
  if not answer then return nil, err end
  return oldest_first(answer.contexts, function(fields) return new_context(self, fields) end, "created_at")
end

---Ends a context and what runs in it.
---@param context daytona.InterpreterContext|string  it, or its id
---@return true?
---@return daytona.Error?
function Interpreter:delete_context(context)
  return api.delete_context(self, { context = id_of("delete_context: the context", context) })
end

---Ends the context and what runs in it.
---@return true?
---@return daytona.Error?
function Context:delete()
  return self.interpreter:delete_context(self)
end

---Deletes the context, shielded from cancellation: what the end of a scope does. Success
---when it is gone already.
---@return true?
---@return daytona.Error?
function Context:close()
  local done, err = loop.shield(Context.delete, self)
  if done or errors.is(err, "not_found") then return true end
  return nil, err
end

---@private
Context.__close = Context.close

--- Running -----------------------------------------------------------------------------

---What code did.
---@class daytona.InterpreterResult
---@field stdout? string      what it printed, unless that went to on_stdout
---@field stderr? string      the same, unless to on_stderr
---@field output? string      both, in order of arrival, unless one went to a function
---@field error? { name: string, value: string, traceback: string }  the exception that ended it
---@field timed_out boolean   it was interrupted because its time was over
local Result = { __name = "daytona.InterpreterResult" }
Result.__index = Result

---"fine", "timed out", or the exception
---@private
function Result:__tostring()
  if self.timed_out then return "timed out" end
  local e = self.error
  if e then return e.name .. (e.value ~= "" and ": " .. e.value or "") end
  return "fine"
end

-- What a run has come to so far.
---@class daytona.InterpreterRun
---@field opts table
---@field socket daytona.Socket
---@field out table<string, string[]>
---@field size integer
---@field began number
---@field timeout integer
---@field context table   of errors

local function failure(run, fields)
  fields.operation, fields.sandbox, fields.what = "run", run.sandbox, run.context_id
  fields.secrets = run.secrets
  fields.result = fields.result or table.concat(run.out.stdout)
  return errors.new(fields)
end

local function text_field(message, name)
  local value = message[name]
  return type(value) == "string" and value or ""
end

local function note_error(run, name, value, traceback)
  run.error = { name = name, value = value, traceback = traceback }
  if run.opts.on_error then run.opts.on_error(run.error) end
end

-- true, or nil, err.
local function note_output(run, stream, text)
  local callback = run.opts["on_" .. stream]
  if callback then
    callback(text)
    return true
  end
  run.size = run.size + #text
  if run.size > run.max_bytes then
    return nil, failure(run, {
      kind = "too_large", code = "too_large", message = "more output than the cap allows", result = "",
    })
  end
  local list, all = run.out[stream], run.out.output
  list[#list + 1], all[#all + 1] = text, text
  return true
end

-- Takes a message in. true, or nil, err.
local function note(run, data)
  local message = long_json.decode(data)
  if type(message) ~= "table" then
    return nil, failure(run, { kind = "protocol", code = "json", message = "the daemon's message is not JSON" })
  end
  local kind = message.type
  if kind == "stdout" or kind == "stderr" then
    return note_output(run, kind, text_field(message, "text"))
  elseif kind == "error" then
    note_error(run, text_field(message, "name"), text_field(message, "value"), text_field(message, "traceback"))
  end
  return true -- "control" says nothing that the close does not
end

-- A stream in one, unless somebody else got it. Others get their turn before a long one is made.
local function joined(run, list, is_told)
  if is_told then return nil end
  loop.breathe(run.size > LARGE)
  return table.concat(list)
end

local function result_of(run, timed_out)
  local opts, out = run.opts, run.out
  local result = setmetatable({ error = run.error, timed_out = timed_out }, Result)
  result.stdout = joined(run, out.stdout, opts.on_stdout)
  result.stderr = joined(run, out.stderr, opts.on_stderr)
  if result.stderr == "" then
    result.output = result.stdout
  else
    result.output = joined(run, out.output, opts.on_stdout or opts.on_stderr)
  end
  return result
end

-- An interrupt is the daemon's, when the time was over, or the code's own. Code
-- that raises KeyboardInterrupt itself does so before.
local function interrupted(run)
  local elapsed = loop.now() - run.began
  if run.timeout > 0 and elapsed >= run.timeout - 0.05 then return result_of(run, true) end
  if not run.error then note_error(run, "KeyboardInterrupt", "", "") end
  return result_of(run, false)
end

-- Close codes and the beginnings of reasons: kind, code, message (the reason).
local FAILURES = {
  { 1001, "context shutdown", "gone", "CONTEXT_DELETED", "the context was deleted" },
  { 1001, "", "gone", "INTERPRETER_ENDED", "the interpreter's process ended, and its variables are lost" },
  { 1008, "context not found", "not_found", "PROCESS_NOT_FOUND" },
  { 1008, "slow consumer", "connection", "slow_consumer" },
  { 1008, "", "invalid", "closed" },
  { 1002, "", "invalid", "closed" },
  { 1011, "", "server", "closed" },
}

local function outcome(run, code, reason)
  if code == 1000 then return result_of(run, false) end
  if code == 4008 then return interrupted(run) end
  for _, row in ipairs(FAILURES) do
    if code == row[1] and reason:sub(1, #row[2]) == row[2] then
      local said = reason ~= "" and reason or string.format("the daemon closed the connection (%d)", code)
      return nil, failure(run, { kind = row[3], code = row[4], message = row[5] or said })
    end
  end
  return nil, failure(run, {
    kind = "connection", code = "closed",
    message = string.format("the daemon closed the connection (%d%s)", code, reason ~= "" and ": " .. reason or ""),
  })
end

-- Until when the daemon must have ended the code. A run waits for those before it in
-- its context; till then the daemon does not read, so what is not heard of, were it
-- by a ping, may not have begun.
local function latest_end(run)
  local heard = run.socket:heard()
  return heard and heard + run.timeout + M.grace or loop.now() + M.look
end

local function late(run)
  return nil, failure(run, {
    kind = "timeout", code = "wait", message = "the daemon did not end the code when its time was over",
  })
end

-- Until the daemon closes the connection: result, or nil, err.
local function follow(run)
  while true do
    local data, what, reason = run.socket:receive(run.deadline)
    if data == false then return outcome(run, what, reason) end
    if data then
      local fine, err = note(run, data)
      if not fine then return nil, err end
    elseif errors.is(what, "wait") then
      run.deadline = latest_end(run)
      if loop.now() >= run.deadline then return late(run) end
    else
      what.result = what.result or table.concat(run.out.stdout)
      return nil, what
    end
  end
end

local function hang_up(run)
  run.socket:abort()
end

local function converse(run)
  local sent, err = run.socket:send(run.request, true, run.deadline)
  if not sent then return nil, err end
  return follow(run)
end

local RUN = {
  context = "any", env = "variables", timeout = "seconds", on_stdout = "callable", on_stderr = "callable",
  on_error = "callable", check = "boolean", max_bytes = "positive",
}

local RUN_HERE = options.copy(RUN)
RUN_HERE.context = nil

local function request_text(code, env, context_id, timeout)
  local text, problem = json.encode {
    code = code, contextId = context_id, timeout = timeout, envs = env,
  }
  if not text then errors.misuse(1, "run: %s", problem) end
  return text
end

-- With `check`: an exception or an end of time is an error.
local function checked(run, result, err)
  if not result or not run.opts.check then return result, err end
  if result.timed_out then
    return nil, failure(run, {
      kind = "process_timeout", message = string.format("not done within %d seconds", run.timeout),
    })
  elseif result.error then
    local e = result.error
    return nil, failure(run, {
      kind = "exit", code = e.name, message = e.name .. (e.value ~= "" and ": " .. e.value or ""),
      traceback = e.traceback,
    })
  end
  return result
end

---Runs Python code in a context and waits until it has ended.
---
---Output is collected, or goes to `on_stdout` and `on_stderr` as it comes; an
---exception to `on_error` and into `result.error`, with name, value and
---traceback. After `timeout` seconds (600; 0 for none) the code is interrupted
---and the result is `timed_out`; a KeyboardInterrupt of its own, before that, is
---an exception like others. With `check` both are errors (kinds "exit" and
---"process_timeout"). `env` is there for this run. Runs in one context come one
---after the other, and the time of each counts from its own beginning.
---
---Fails with kind "not_found" when there is no such context, "gone" when its
---process ended meanwhile, "timeout" when the daemon did not end the code itself.
---`err.result` is what was printed till then. Code whose caller gave up runs on
---over there until its time is over, or its context is deleted.
---@param code string
---@param opts? { context?: daytona.InterpreterContext|string, env?: table<string, string|number>, timeout?: number, on_stdout?: fun(text: string), on_stderr?: fun(text: string), on_error?: fun(err: { name: string, value: string, traceback: string }), check?: boolean, max_bytes?: integer }
---@return daytona.InterpreterResult?
---@return daytona.Error?
function Interpreter:run(code, opts)
  options.argument("run: code", "text", code)
  opts = options.check("run", RUN, opts)
  local context_id = opts.context and id_of("run: option 'context'", opts.context) or nil
  local timeout = math.ceil(opts.timeout or DEFAULT_TIMEOUT)
  if timeout > LONGEST_TIMEOUT then errors.misuse(1, "run: the timeout is longer than %d seconds", LONGEST_TIMEOUT) end
  local env, secrets = variables("run", opts.env)
  local run = {
    opts = opts, sandbox = self.sandbox, context_id = context_id, secrets = secrets, timeout = timeout,
    request = request_text(code, env, context_id, timeout), out = { stdout = {}, stderr = {}, output = {} }, size = 0,
    max_bytes = opts.max_bytes or MAX_OUTPUT,
  }
  local connection, err = self.sandbox:toolbox()
  if not connection then return nil, err end
  run.socket, err = websocket.open(connection, {
    path = calls.path(api.run, self), safe = true, patient = true, operation = "run", sandbox = self.sandbox,
    what = context_id, secrets = secrets,
  })
  if not run.socket then return nil, err end
  run.began = loop.now()
  run.deadline = timeout > 0 and run.began + timeout + M.grace or nil
  local result
  result, err = loop.guard(converse, hang_up, run)
  hang_up(run)
  return checked(run, result, err)
end

---Runs code in this context: see daytona.Interpreter.run.
---@param code string
---@param opts? table  as there, without `context`
---@return daytona.InterpreterResult?
---@return daytona.Error?
function Context:run(code, opts)
  opts = options.copy(options.check("run", RUN_HERE, opts))
  opts.context = self
  return self.interpreter:run(code, opts)
end

methods.guard(Context, "daytona.InterpreterContext", "context")
methods.guard(Interpreter, "daytona.Interpreter", "sandbox.interpreter")

return M
