-- A command with options, or one that is not like most: what is checked, what is sent. `exec`
-- itself is in process.lua, how a command is put in command_line.lua.

local command_line = require "daytona.toolbox.command_line"
local exec_call = require "daytona.toolbox.exec_call"
local exec_result = require "daytona.toolbox.exec_result"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local outcome = require "daytona.toolbox.exec_outcome"
local variables = require "daytona.base.variables"

local M = {}

local EXEC = {
  cwd = "text", env = "variables", timeout = "seconds", check = "boolean", stdin = "string", max_bytes = "positive",
  on_stdout = "callable", on_stderr = "callable", on_output = "callable",
}

local function check_self(self)
  methods.check(self, "exec", "daytona.Sandbox", "sandbox")
end

---The body of a command without options that is not like most; raises when it is none.
---@param self daytona.Sandbox
---@param command any
---@param rest string  of exec_call.rest
---@return string
function M.body(self, command, rest)
  check_self(self)
  return exec_call.script_body(command_line.wrap(command_line.command_text("exec", command), nil, ""), rest)
end

-- The body, the patience, and what errors and limits are about, of a command with options.
local function prepared(command, opts)
  local env, exports, secrets
  if opts.cwd then command_line.refuse_nul("exec: option 'cwd'", opts.cwd) end
  if opts.env then env, exports, secrets = command_line.environment("exec", opts.env) end
  local timeout = opts.timeout or exec_call.DEFAULT_TIMEOUT
  local rest = exec_call.rest(command_line.whole_seconds("exec", timeout), env, opts.cwd)
  local body = not opts.stdin and (exports or "") == "" and exec_call.body(command, rest)
    or exec_call.script_body(
      command_line.wrap(command_line.command_text("exec", command), opts.stdin, exports or ""), rest)
  local patience = timeout > 0 and timeout + exec_call.GRACE or 0
  return body, patience, { cwd = opts.cwd, secrets = secrets, max_bytes = opts.max_bytes }
end

local function exec_live(self, command, opts)
  local timeout = opts.timeout or exec_call.DEFAULT_TIMEOUT
  command_line.command_text("exec", command)
  command_line.whole_seconds("exec", timeout)
  local _, secrets = variables("exec", opts.env)
  return require "daytona.toolbox.exec_live"(self, command, opts, timeout, secrets)
end

---Runs a command with options; see process.exec.
---@param self daytona.Sandbox
---@param command string|(string|number)[]
---@param opts table
---@return daytona.ExecResult?
---@return daytona.Error?
function M.exec(self, command, opts)
  check_self(self)
  options.check("exec", EXEC, opts)
  if opts.on_stdout or opts.on_stderr or opts.on_output then return exec_live(self, command, opts) end
  local body, patience, about = prepared(command, opts)
  local code, output, err, request = exec_call.send(self, body, patience, about)
  if code and code >= 0 and not opts.check then return exec_result.new(code, output) end
  return outcome.unusual(code, output, err, request or exec_call.request(self, body, patience, about), opts.check)
end

return M
