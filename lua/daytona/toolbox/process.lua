-- Commands in a sandbox: `exec`, in its shortest form here. How a command is sent is said in
-- exec_call.lua, what comes of it in exec_outcome.lua. What a plain command does not need is
-- loaded with its first use: a program that starts has other work.

local core = require "daytona.base.native"
local exec_call = require "daytona.toolbox.exec_call"
local exec_result = require "daytona.toolbox.exec_result"

local process = {}

-- The label that the service's clients keep a sandbox's language in.
process.LANGUAGE_LABEL = "code-toolbox-language"

-- `exec` without options is the call that is made most: of it no more than this is called.
local json_command, Result, send = core.json_command, exec_result.Result, exec_call.send
local BEFORE, AFTER = exec_call.BEFORE, exec_call.AFTER

local USUAL_PATIENCE = exec_call.DEFAULT_TIMEOUT + exec_call.GRACE
local USUAL_REST = exec_call.rest(exec_call.DEFAULT_TIMEOUT)

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
  if opts then return require("daytona.toolbox.exec_options").exec(self, command, opts) end
  local body = json_command(BEFORE, command, AFTER, USUAL_REST)
    or require("daytona.toolbox.exec_options").body(self, command, USUAL_REST)
  local code, output, err, request = send(self, body, USUAL_PATIENCE)
  if code and code >= 0 then return setmetatable({ exit_code = code, result = output, timed_out = false }, Result) end
  return require("daytona.toolbox.exec_outcome").unusual(code, output, err,
    request or exec_call.request(self, body, USUAL_PATIENCE))
end

return process
