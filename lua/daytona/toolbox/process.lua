-- Commands and code in a sandbox: `exec` and `run`.
--
-- The daemon feeds a command to its shell's standard input, answers when it has
-- ended, and lets it run on when the caller goes away. So a command is wrapped
-- here such that it cannot read its own text, survives any bytes, and can be
-- found and ended when its caller gave up.

local base64 = require "daytona.base.base64"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"

local process = {}

local EXEC_PATH = "/process/execute"
local RUN_PATH = "/process/code-run"

-- The label that the service's clients keep a sandbox's language in.
process.LANGUAGE_LABEL = "code-toolbox-language"

-- Seconds a command may run when nothing is said, and how much longer the
-- client waits than the daemon, whose word about a timeout is the better one.
local DEFAULT_TIMEOUT, GRACE = 600, 5

-- The daemon's number for seconds has 32 bits.
local LONGEST_TIMEOUT = 4294967295

-- Marks every process of a command, in its environment.
local MARKER = "DAYTONA_EXEC_ID"

--- What is sent ------------------------------------------------------------------------

local is_utf8, new_id = core.is_utf8, core.unique

local function refuse_nul(what, text)
  if text:find("\0", 1, true) then errors.misuse(1, "%s holds a NUL byte", what) end
end

local function encoded(text)
  return "\"$(printf %s '" .. base64.encode(text) .. "' | base64 -d)\""
end

-- Shell lines that set a variable to bytes JSON cannot carry. The x keeps line
-- ends, which $( ) would strip.
local function export_line(name, value)
  return name .. "=\"$(printf %s '" .. base64.encode(value) .. "' | base64 -d; printf x)\"; export "
    .. name .. "=\"${" .. name .. "%x}\"\n"
end

-- The script for the shell's standard input: `command` cannot read the rest of
-- it, because it gets an input of its own.
local function wrap(command, stdin, exports)
  local text
  if is_utf8(command) then text = shell.quote(command) else text = encoded(command) end
  if stdin then
    return exports .. "printf %s '" .. base64.encode(stdin) .. "' | base64 -d | eval " .. text
  end
  return exports .. "eval " .. text .. " </dev/null"
end

-- A command as shell text; raises when it is none.
local function command_text(operation, command)
  if type(command) == "table" then
    options.argument(operation .. ": the argument list", "list", command)
    if command[1] == nil then errors.misuse(1, "%s: the argument list is empty", operation) end
    if command[1] == "" then errors.misuse(1, "%s: the program's name is empty", operation) end
    command = shell.join(command)
  elseif type(command) ~= "string" then
    errors.misuse(1, "%s: the command must be a string or a list of strings, got %s", operation, type(command))
  elseif not command:find("%S") then
    errors.misuse(1, "%s: the command is empty", operation)
  end
  refuse_nul(operation .. ": the command", command)
  return command
end

-- Splits `env` into what JSON can carry and shell lines for the rest, and lists
-- its values, which errors must not show.
local function environment(operation, env)
  local plain, exports, secrets = {}, "", options.environment(operation, env)
  for name, value in pairs(env) do
    refuse_nul(operation .. ": the environment variable " .. name, value)
    if is_utf8(value) then plain[name] = value else exports = exports .. export_line(name, value) end
  end
  return plain, exports, secrets
end

local function whole_seconds(operation, timeout)
  local seconds = math.ceil(timeout)
  if seconds > LONGEST_TIMEOUT then
    errors.misuse(1, "%s: the timeout is longer than %d seconds", operation, LONGEST_TIMEOUT)
  end
  return seconds
end

--- Ending a command whose caller is gone -------------------------------------------------

-- For any POSIX shell, busybox included: looks for processes with the marker in
-- their environment, asks them and their groups to end, then makes them. It
-- looks again for a while, because the command may only just be starting, and
-- never finds itself, because the marker is in its text alone. (Without -z the grep
-- of busybox sees the first variable only.)
local KILL_SCRIPT = [[
[ -z "$ZSH_VERSION" ] || emulate sh
signal=TERM; seen=; rounds=0
while [ $rounds -lt 20 ]; do
  found=$(grep -lszF '%s' /proc/[0-9]*/environ 2>/dev/null)
  if [ -n "$found" ]; then
    seen=1
    for file in $found; do
      pid=${file#/proc/}; pid=${pid%%/environ}
      kill -s $signal -- "-$pid" 2>/dev/null
      kill -s $signal "$pid" 2>/dev/null
    done
    if [ $rounds -ge 4 ]; then signal=KILL; fi
  elif [ -n "$seen" ]; then
    exit 0
  fi
  rounds=$((rounds + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
]]

local KILL_TIMEOUT = 6

-- on_abandon of the request: called shielded, so it may wait. Notes whether the
-- command is known to have been ended.
local function stop_remote(_, request)
  local script = KILL_SCRIPT:format(MARKER .. "=" .. request.exec_id)
  request.stopped = http.request(request.connection, {
    method = "POST", path = EXEC_PATH, operation = "stop command", sandbox = request.sandbox,
    json = { command = script, timeout = KILL_TIMEOUT - 1 }, timeout = KILL_TIMEOUT,
  }) ~= nil
end

--- What comes back ------------------------------------------------------------------------

---What a command or code did.
---@class daytona.ExecResult
---@field exit_code integer   -1 when the daemon could not tell
---@field result string       what it printed, both streams in order of arrival
---@field timed_out boolean   it was ended because its time was over
---@field stdout? string      where the daemon keeps the streams apart
---@field stderr? string
---@field artifacts? { stdout: string, charts: daytona.Chart[] }  of `run`
local Result = { __name = "daytona.ExecResult" }
Result.__index = Result

---"exit 0, 12 bytes"
function Result:__tostring()
  if self.timed_out then return "timed out" end
  return string.format("exit %d, %d bytes", self.exit_code, #self.result)
end

-- How the daemon says, as the output of exit code -1, that nothing was started.
local START_FAILURES = { "^chdir ", "^fork/exec ", "^exec: " }

local START_KINDS = {
  { "no such file or directory", "not_found" },
  { "executable file not found", "not_found" },
  { "permission denied", "forbidden" },
}

local function start_failure(result)
  for _, pattern in ipairs(START_FAILURES) do
    if result:find(pattern) then
      for _, row in ipairs(START_KINDS) do
        if result:find(row[1], 1, true) then return row[2] end
      end
      return "invalid"
    end
  end
end

local function last_line(text)
  return text:match("([^\n]*%S[^\n]*)%s*$") or ""
end

-- What is to be said of a start that failed. Of a directory that is not there the
-- daemon says that the shell is not.
local function start_message(result, cwd)
  local why = cwd and result:match "^fork/exec .*: ([^:\n]+)"
  return why and "cannot start in " .. cwd .. ": " .. why or last_line(result)
end

local function failure(request, fields)
  fields.operation, fields.sandbox, fields.secrets = request.operation, request.sandbox, request.secrets
  return nil, errors.new(fields)
end

local function is_text(value) return value == nil or type(value) == "string" end

-- The result in a daemon's answer, or nil when it is of another shape.
local function read_result(response)
  local answer = response.json
  if not answer then
    return setmetatable({ exit_code = response.number, result = response.text, timed_out = false }, Result)
  end
  local code, output, out, err = answer.exitCode, answer.result, answer.stdout, answer.stderr
  if code == nil then code = answer.code end -- old daemons
  if code == nil then code = -1 end
  if output == nil then output = "" end
  if type(code) ~= "number" or type(output) ~= "string" or not is_text(out) or not is_text(err) then return nil end
  return setmetatable({ exit_code = code, result = output, timed_out = false, stdout = out, stderr = err }, Result)
end

-- Whether its time was over: by the daemon's own word, or because it was ended from
-- here when the daemon said nothing, as when a child that left its group holds its
-- output. (A status without one of the daemon's codes comes from something in
-- between, and says nothing about the command.)
local function is_over_time(err, request)
  if err.kind == "process_timeout" or err.status == 408 then return true end
  return err.code == "timeout" and not err.status and request.stopped or false
end

local function failed(err, request, check)
  if err.status == 401 then err = require("daytona.toolbox.calls").explain(err) end
  if not is_over_time(err, request) then return nil, err end
  if check then
    err.kind = "process_timeout"
    return nil, err
  end
  return setmetatable({ exit_code = -1, result = "", timed_out = true }, Result)
end

-- What a daemon's result means (nil: it was of another shape): itself; nil, err when
-- nothing was started, or (with check) the command was not successful.
local function conclude(request, status, result, check)
  if not result then
    return failure(request, {
      kind = "protocol", status = status, message = "the answer is not what a command gives",
    })
  end
  local code, output = result.exit_code, result.result
  local kind = code == -1 and start_failure(output)
  if kind then
    return failure(request, {
      kind = kind, code = "PROCESS_START_FAILED", message = start_message(output, request.cwd),
    })
  end
  if check and code ~= 0 then
    local last = last_line(output:sub(-1000))
    return failure(request, {
      kind = "exit", message = "exit status " .. code .. (last ~= "" and ": " .. last or ""),
      exit_code = code, result = output,
    })
  end
  return result
end

--- The calls ------------------------------------------------------------------------------

local EXEC = {
  cwd = "text", env = "map", timeout = "seconds", check = "boolean", stdin = "string", max_bytes = "positive",
}

local json_string, json_command = core.json_string, core.json_command
local exchange = loop.exchange

-- What the daemon answers when nothing is unusual.
local EXEC_CALL = { path = EXEC_PATH, number = "exitCode", text = "result" }

-- What all requests of `exec` have in common.
local ExecRequest = {
  method = "POST", path = EXEC_PATH, endpoint = EXEC_CALL, answer = "object", operation = "exec", body_is_json = true,
  on_abandon = stop_remote,
}
ExecRequest.__index = ExecRequest

local function limit(seconds)
  return seconds > 0 and string.format(',"timeout":%d', seconds) or ""
end

local ENVS = ',"envs":{"' .. MARKER .. '":"'
local DEFAULTS = '"}' .. limit(DEFAULT_TIMEOUT) .. "}"

-- What stands around a command that is like most, up to its id.
local BEFORE, AFTER = '{"command":"eval \'', '\' </dev/null"' .. ENVS

-- Further fields of the body.
local function variables(env)
  local text = ""
  for name, value in pairs(env) do text = text .. ',"' .. name .. '":' .. json_string(value) end
  return text
end

local function directory(cwd)
  local text = json_string(cwd)
  if not text then errors.misuse(1, "exec: option 'cwd' is not valid UTF-8") end
  return ',"cwd":' .. text
end

local function check_self(self)
  methods.check(self, "exec", "daytona.Sandbox", "sandbox")
end

-- The body for a command that is not like most.
local function unusual_body(command, stdin, exports, rest)
  return '{"command":' .. json_string(wrap(command_text("exec", command), stdin, exports)) .. ENVS .. new_id() .. rest
end

-- The id in a body. In the command before it no quotation mark stands alone.
local function id_in(body)
  return body:match('"' .. MARKER .. '":"([^"]+)"')
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
---@param command string|string[]
---@param opts? { cwd?: string, env?: table<string, string>, timeout?: number, check?: boolean, stdin?: string, max_bytes?: integer }
---@return daytona.ExecResult?
---@return daytona.Error?
function process.exec(self, command, opts)
  local timeout, rest, body = DEFAULT_TIMEOUT, DEFAULTS, nil
  local check, stdin, secrets, max_bytes
  local exports = ""
  if opts then
    check_self(self)
    options.check("exec", EXEC, opts)
    local env
    timeout, check, stdin, max_bytes = opts.timeout or timeout, opts.check, opts.stdin, opts.max_bytes
    if opts.cwd then refuse_nul("exec: option 'cwd'", opts.cwd) end
    if opts.env then env, exports, secrets = environment("exec", opts.env) end
    rest = '"' .. (env and variables(env) or "") .. "}" .. limit(whole_seconds("exec", timeout))
      .. (opts.cwd and directory(opts.cwd) or "") .. "}"
  end
  if not stdin and exports == "" then body = json_command(BEFORE, command, AFTER, rest) end
  if not body then
    check_self(self)
    body = unusual_body(command, stdin, exports, rest)
  end
  local connection, err = self._toolbox, nil
  -- Has anything changed of what toolbox() looked at?
  if not connection or connection.state ~= self.state or connection.address ~= self.toolbox_proxy_url
    or self.client.closed then
    check_self(self)
    connection, err = self:toolbox()
    if not connection then return nil, err end
  end
  local patience = timeout > 0 and timeout + GRACE or 0
  local call = connection.calls[EXEC_CALL] or http.call(connection, EXEC_CALL)
  local status, first, output
  if call then status, first, output = exchange(call, body, patience, max_bytes or connection.max_bytes) end
  if output and first >= 0 and not check then
    return setmetatable({ exit_code = first, result = output, timed_out = false }, Result)
  end
  local request = setmetatable({
    sandbox = self, connection = connection, body = body, timeout = patience, max_bytes = max_bytes, secrets = secrets,
    exec_id = id_in(body), cwd = opts and opts.cwd,
  }, ExecRequest)
  local response
  if output then
    response = { status = status, number = first, text = output }
  elseif status then
    response, err = http.answer(connection, request, status, first)
  else
    response, err = http.request(connection, request, first)
  end
  if not response then return failed(err, request, check) end
  return conclude(request, response.status, read_result(response), check)
end

local LANGUAGES = { python = true, javascript = true, typescript = true }

local RUN = {
  language = { "python", "javascript", "typescript" }, argv = "list", env = "map", timeout = "seconds",
  check = "boolean", max_bytes = "positive",
}

local function quoted_all(argv)
  local out = {}
  for i = 1, #argv do
    refuse_nul("run: an argument", argv[i])
    out[i] = shell.quote(argv[i])
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

-- Old daemons: the code goes to its interpreter by a command.
local function run_by_exec(self, language, code, arguments, opts)
  local script = require "daytona.toolbox.run_script"(language, code, arguments)
  local result, err = process.exec(self, script, {
    env = opts.env, timeout = opts.timeout, check = opts.check, max_bytes = opts.max_bytes,
  })
  if not result then
    err.operation = "run"
    return nil, err
  end
  result.artifacts = artifacts({}, result)
  return result
end

---Runs source text and waits until it has ended.
---
---The language is the option, else the one the sandbox was made for, else
---python. `argv` arrives in the program exactly as given. Charts drawn with
---matplotlib are in `result.artifacts.charts` (old daemons know neither this call, for
---which `exec` stands in, nor charts). Otherwise as `exec`.
---@param code string
---@param opts? { language?: "python"|"javascript"|"typescript", argv?: string[], env?: table<string, string>, timeout?: number, check?: boolean, max_bytes?: integer }
---@return daytona.ExecResult?
---@return daytona.Error?
function process.run(self, code, opts)
  options.argument("run: code", "text", code)
  opts = options.check("run", RUN, opts)
  local env, exports, secrets = environment("run", opts.env or {})
  if exports ~= "" then errors.misuse(1, "run: an environment variable is not valid UTF-8; use exec for it") end
  local labelled = self.labels and self.labels[process.LANGUAGE_LABEL]
  local language = opts.language or (LANGUAGES[labelled] and labelled) or "python"
  local timeout = opts.timeout or DEFAULT_TIMEOUT
  local seconds = whole_seconds("run", timeout)
  env[MARKER] = new_id()
  local arguments = quoted_all(opts.argv or {})
  if rawget(self, "_runs_by_exec") then return run_by_exec(self, language, code, arguments, opts) end
  local connection, err = self:toolbox()
  if not connection then return nil, err end
  local response, result
  local request = {
    method = "POST", path = RUN_PATH, answer = "object", operation = "run", sandbox = self, connection = connection,
    json = {
      code = code, language = language, envs = env,
      argv = arguments[1] and arguments or nil,
      timeout = seconds > 0 and seconds or nil,
    },
    timeout = timeout > 0 and timeout + GRACE or 0, max_bytes = opts.max_bytes,
    secrets = secrets, exec_id = env[MARKER], on_abandon = stop_remote,
  }
  response, err = http.request(connection, request)
  if err and is_unknown(err) then
    rawset(self, "_runs_by_exec", true)
    return run_by_exec(self, language, code, arguments, opts)
  end
  if response then
    result, err = conclude(request, response.status, read_result(response), opts.check)
  else
    result, err = failed(err, request, opts.check)
  end
  if not result then return nil, err end
  result.artifacts = artifacts(response and response.json or {}, result)
  return result
end

-- For sessions and jobs, which take commands as `exec` does.
process.command_text, process.encoded, process.environment = command_text, encoded, environment
process.refuse_nul, process.whole_seconds, process.last_line = refuse_nul, whole_seconds, last_line
process.new_id, process.start_failure, process.start_message = new_id, start_failure, start_message

return process
