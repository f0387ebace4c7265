-- Code in a sandbox: `run`. It is run by the daemon's own call, or by a command, where that is
-- old or the output is heard.

local calls = require "daytona.toolbox.calls"
local command_line = require "daytona.toolbox.command_line"
local errors = require "daytona.base.errors"
local exec_call = require "daytona.toolbox.exec_call"
local options = require "daytona.base.options"
local outcome = require "daytona.toolbox.exec_outcome"
local process = require "daytona.toolbox.process"
local shell = require "daytona.base.shell"

local M = {}

local api = calls.of_daemon {
  run = { "POST", "/process/code-run", "response", as_is = true, raw = true },
}

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
  local timeout = opts.timeout or exec_call.DEFAULT_TIMEOUT
  local seconds = command_line.whole_seconds("run", timeout)
  env[exec_call.MARKER] = command_line.new_id()
  local request = {
    operation = "run", sandbox = self, secrets = secrets, exec_id = env[exec_call.MARKER], answer = "object",
    timeout = timeout > 0 and timeout + exec_call.GRACE or 0, max_bytes = opts.max_bytes,
  }
  request.on_abandon = function(err) exec_call.stop(err, request) end
  local response, err = api.run(self, {
    code = code, language = language, envs = env, argv = arguments[1] and arguments or nil,
    timeout = seconds > 0 and seconds or nil,
  }, request)
  local result
  if response then
    result, err = outcome.conclude(request, response.status, outcome.read(response), opts.check)
  elseif is_unknown(err) then
    return nil, err, true
  else
    result, err = outcome.failed(err, request, opts.check)
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
function M.run(self, code, opts)
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

return M
