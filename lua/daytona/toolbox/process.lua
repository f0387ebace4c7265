-- Commands and code in a sandbox: `exec` and `run`. How a command is put is said in
-- command_line.lua, how it is sent in exec_call.lua, what comes of it in exec_result.lua.

local calls = require "daytona.toolbox.calls"
local command_line = require "daytona.toolbox.command_line"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local exec_call = require "daytona.toolbox.exec_call"
local exec_result = require "daytona.toolbox.exec_result"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"

local process = {}

-- The label that the service's clients keep a sandbox's language in.
process.LANGUAGE_LABEL = "code-toolbox-language"

-- Seconds a command may run when nothing is said, and how much longer the
-- client waits than the daemon, whose word about a timeout is the better one.
local DEFAULT_TIMEOUT, GRACE = 600, 5

local api = calls.of_daemon {
  run = { "POST", "/process/code-run", "response", as_is = true, raw = true },
}

--- Commands -------------------------------------------------------------------------------

local EXEC = {
  cwd = "text", env = "variables", timeout = "seconds", check = "boolean", stdin = "string", max_bytes = "positive",
  on_stdout = "callable", on_stderr = "callable", on_output = "callable",
}

local Result, body_of, send = exec_result.Result, exec_call.body, exec_call.send

-- `exec` without options is the call that is made most: of it no more than this is called.
local json_command, BEFORE, AFTER = core.json_command, exec_call.BEFORE, exec_call.AFTER

local USUAL_REST, USUAL_PATIENCE = exec_call.rest(DEFAULT_TIMEOUT), DEFAULT_TIMEOUT + GRACE

local function check_self(self)
  methods.check(self, "exec", "daytona.Sandbox", "sandbox")
end

-- What came back of a command that was not just an exit code and output.
local function unusual(code, response, err, request, check)
  if code then
    return exec_result.conclude(request, 200, exec_result.new(code, response), check)
  elseif response then
    return exec_result.conclude(request, response.status, exec_result.read(response), check)
  end
  return exec_result.failed(err, request, check)
end

-- The body, the patience, and what errors and limits are about, of a command with options.
local function prepared(command, opts)
  local env, exports, secrets
  if opts.cwd then command_line.refuse_nul("exec: option 'cwd'", opts.cwd) end
  if opts.env then env, exports, secrets = command_line.environment("exec", opts.env) end
  local timeout = opts.timeout or DEFAULT_TIMEOUT
  local rest = exec_call.rest(command_line.whole_seconds("exec", timeout), env, opts.cwd)
  local body = not opts.stdin and (exports or "") == "" and body_of(command, rest)
    or exec_call.script_body(
      command_line.wrap(command_line.command_text("exec", command), opts.stdin, exports or ""), rest)
  return body, timeout > 0 and timeout + GRACE or 0, { cwd = opts.cwd, secrets = secrets, max_bytes = opts.max_bytes }
end

local function exec_live(self, command, opts)
  local timeout = opts.timeout or DEFAULT_TIMEOUT
  command_line.command_text("exec", command)
  command_line.whole_seconds("exec", timeout)
  local _, secrets = options.environment("exec", opts.env)
  return require "daytona.toolbox.exec_live"(self, command, opts, timeout, secrets)
end

local function exec_with(self, command, opts)
  check_self(self)
  options.check("exec", EXEC, opts)
  if opts.on_stdout or opts.on_stderr or opts.on_output then return exec_live(self, command, opts) end
  local body, patience, about = prepared(command, opts)
  local code, output, err, request = send(self, body, patience, about)
  if code and code >= 0 and not opts.check then return exec_result.new(code, output) end
  return unusual(code, output, err, request or exec_call.request(self, body, patience, about), opts.check)
end

---Runs a command in the sandbox's shell and waits until it has ended.
---
---A string is shell text, of any size and any bytes but NUL; a list is a program
---and its arguments, quoted here. Its standard input is empty, or `stdin`.
---Returns a result whatever the exit status; with `check`, another status than 0
---is an error of kind "exit". When its `timeout` (600 seconds; 0 for none) is
---over, the command is killed, what it printed is lost and the result is
---`timed_out`. A command is never sent twice; when the caller's task is
---cancelled or the program interrupted, the command is ended too. When the
---connection is lost meanwhile (kind "connection"), it goes on over there and what
---becomes of it is not told: `popen` is for what must not be lost. A directory
---that does not exist is an error of kind "not_found". Bytes of the output that
---are not UTF-8 come back as U+FFFD: binary data goes through files.
---
---With `on_stdout`, `on_stderr` or `on_output` (both streams: the chunk, and which) what is
---printed goes to these functions as it comes, byte for byte, and is not in the result; a
---stream that no function hears is, by its name too. Such a command runs as a job, as of
---`popen`: connections that break are taken up again, and when this call is given up, or a
---function raises, the command is ended.
---@param command string|(string|number)[]
---@param opts? { cwd?: string, env?: table<string, string|number>, timeout?: number, check?: boolean, stdin?: string, max_bytes?: integer, on_stdout?: fun(chunk: string), on_stderr?: fun(chunk: string), on_output?: fun(chunk: string, stream: "stdout"|"stderr") }
---@return daytona.ExecResult?
---@return daytona.Error?
function process.exec(self, command, opts)
  if opts then return exec_with(self, command, opts) end
  local body = json_command(BEFORE, command, AFTER, USUAL_REST)
  if not body then
    check_self(self)
    body = exec_call.script_body(command_line.wrap(command_line.command_text("exec", command), nil, ""), USUAL_REST)
  end
  local code, output, err, request = send(self, body, USUAL_PATIENCE)
  if code and code >= 0 then return setmetatable({ exit_code = code, result = output, timed_out = false }, Result) end
  return unusual(code, output, err, request or exec_call.request(self, body, USUAL_PATIENCE))
end

--- Code -----------------------------------------------------------------------------------

local LANGUAGES = { python = true, javascript = true, typescript = true }

local RUN = {
  language = { "python", "javascript", "typescript" }, argv = "words", env = "variables", timeout = "seconds",
  check = "boolean", max_bytes = "positive", on_stdout = "callable", on_stderr = "callable", on_output = "callable",
}

local function quoted_all(argv)
  local out = command_line.words("run: option 'argv'", argv)
  for i = 1, #out do
    command_line.refuse_nul("run: an argument", out[i])
    out[i] = shell.quote(out[i])
  end
  return out
end

local function artifacts(answer, result)
  local charts = type(answer.artifacts) == "table" and answer.artifacts.charts
  local out = {}
  if type(charts) == "table" then
    local chart = require "daytona.toolbox.chart"
    for i = 1, #charts do
      if type(charts[i]) == "table" then out[#out + 1] = chart.new(charts[i]) end
    end
  end
  return { stdout = result.result, charts = out }
end

-- A daemon that does not know the call answers 404 without a code.
local function is_unknown(err)
  return err.status == 404 and err.code == nil and errors.is(err, "not_found")
end

-- For old daemons, and where the output is heard: the code goes to its interpreter by a
-- command.
local function run_by_exec(self, language, code, arguments, opts)
  local script = require "daytona.toolbox.run_script"(language, code, arguments)
  local result, err = process.exec(self, script, {
    env = opts.env, timeout = opts.timeout, check = opts.check, max_bytes = opts.max_bytes,
    on_stdout = opts.on_stdout, on_stderr = opts.on_stderr, on_output = opts.on_output,
  })
  if not result then
    err.operation = "run"
    return nil, err
  end
  result.artifacts = artifacts({}, result)
  return result
end

-- Runs code by the daemon's own call; nil, err, true where it does not know that.
local function run_code(self, language, code, arguments, opts, env, secrets)
  local timeout = opts.timeout or DEFAULT_TIMEOUT
  local seconds = command_line.whole_seconds("run", timeout)
  env[exec_call.MARKER] = command_line.new_id()
  local request = {
    operation = "run", sandbox = self, secrets = secrets, exec_id = env[exec_call.MARKER], answer = "object",
    timeout = timeout > 0 and timeout + GRACE or 0, max_bytes = opts.max_bytes,
  }
  request.on_abandon = function(err) exec_call.stop(err, request) end
  local response, err = api.run(self, {
    code = code, language = language, envs = env, argv = arguments[1] and arguments or nil,
    timeout = seconds > 0 and seconds or nil,
  }, request)
  local result
  if response then
    result, err = exec_result.conclude(request, response.status, exec_result.read(response), opts.check)
  elseif is_unknown(err) then
    return nil, err, true
  else
    result, err = exec_result.failed(err, request, opts.check)
  end
  if not result then return nil, err end
  result.artifacts = artifacts(response and response.json or {}, result)
  return result
end

---Runs source text and waits until it has ended.
---
---The language is the option, else the one the sandbox was made for, else
---python. `argv` arrives in the program exactly as given. Charts drawn with
---matplotlib are in `result.artifacts.charts` (old daemons know neither this call, for
---which `exec` stands in, nor charts; nor are there any with `on_stdout` and the like).
---Otherwise as `exec`.
---@param code string
---@param opts? { language?: "python"|"javascript"|"typescript", argv?: (string|number)[], env?: table<string, string|number>, timeout?: number, check?: boolean, max_bytes?: integer, on_stdout?: fun(chunk: string), on_stderr?: fun(chunk: string), on_output?: fun(chunk: string, stream: "stdout"|"stderr") }
---@return daytona.RunResult?
---@return daytona.Error?
function process.run(self, code, opts)
  options.argument("run: code", "text", code)
  opts = options.check("run", RUN, opts)
  local env, exports, secrets = command_line.environment("run", opts.env or {})
  if exports ~= "" then errors.misuse(1, "run: an environment variable is not valid UTF-8; use exec for it") end
  local labelled = self.labels and self.labels[process.LANGUAGE_LABEL]
  local language = opts.language or (LANGUAGES[labelled] and labelled) or "python"
  local arguments = quoted_all(opts.argv or {})
  local daemon, err = calls.daemon(self)
  if not daemon then return nil, err end
  local is_heard = opts.on_stdout or opts.on_stderr or opts.on_output
  if not is_heard and daemon:knows "code_run" ~= false then
    local result, problem, is_old = run_code(self, language, code, arguments, opts, env, secrets)
    if not is_old then return result, problem end
    daemon:learn("code_run", false)
  end
  return run_by_exec(self, language, code, arguments, opts)
end

return process
