-- What the daemon's answer to a command or code means, where it is more than an exit code and
-- output: a result, or an error. It sends nothing.

local errors = require "daytona.base.errors"
local exec_result = require "daytona.toolbox.exec_result"

local outcome = {}

-- How the daemon says, as the output of exit code -1, that nothing was started.
local START_FAILURES = { "^chdir ", "^fork/exec ", "^exec: " }

local START_KINDS = {
  { "no such file or directory", "not_found" },
  { "executable file not found", "not_found" },
  { "permission denied", "forbidden" },
}

---The kind of error that a result of exit code -1 is, where nothing was started; nil
---where something was.
---@param result string
---@return daytona.ErrorKind?
function outcome.start_failure(result)
  for _, pattern in ipairs(START_FAILURES) do
    if result:find(pattern) then
      for _, row in ipairs(START_KINDS) do
        if result:find(row[1], 1, true) then return row[2] end
      end
      return "invalid"
    end
  end
end

---The last line of a text with something in it.
---@param text string
---@return string
function outcome.last_line(text)
  return text:match("([^\n]*%S[^\n]*)%s*$") or ""
end

---What is to be said of a start that failed. Of a directory that is not there the
---daemon says that the shell is not.
---@param result string
---@param cwd? string
---@return string
function outcome.start_message(result, cwd)
  local why = cwd and result:match "^fork/exec .*: ([^:\n]+)"
  return why and "cannot start in " .. cwd .. ": " .. why or outcome.last_line(result)
end

local function failure(request, fields)
  fields.operation, fields.sandbox, fields.secrets = request.operation, request.sandbox, request.secrets
  return nil, errors.new(fields)
end

local Result = exec_result.Result

local function is_text(value) return value == nil or type(value) == "string" end

---The result in a daemon's answer, or nil when it is of another shape.
---@param response daytona.Response
---@return daytona.ExecResult?
function outcome.read(response)
  local answer = response.json
  if not answer then
    return setmetatable({
      exit_code = response.number, result = response.text, timed_out = false, trace = response.trace,
    }, Result)
  end
  local code, output, out, err = answer.exitCode, answer.result, answer.stdout, answer.stderr
  if code == nil then code = answer.code end -- old daemons
  if code == nil then code = -1 end
  if output == nil then output = "" end
  if type(code) ~= "number" or type(output) ~= "string" or not is_text(out) or not is_text(err) then return nil end
  return setmetatable({
    exit_code = code, result = output, timed_out = false, stdout = out, stderr = err, trace = response.trace,
  }, Result)
end

-- Whether its time was over: by the daemon's own word, or because it was ended from
-- here when the daemon said nothing, as when a child that left its group holds its
-- output. (A status without one of the daemon's codes comes from something in
-- between, and says nothing about the command.)
local function is_over_time(err, request)
  if err.kind == "process_timeout" or err.status == 408 then return true end
  return err.code == "timeout" and not err.status and request.stopped or false
end

---What an error of the call is to the caller: a result when its time was over.
---@param err daytona.Error
---@param request table  of exec_call.lua
---@param check? boolean
---@return daytona.ExecResult?
---@return daytona.Error?
function outcome.failed(err, request, check)
  if not is_over_time(err, request) then return nil, err end
  if check then
    err.kind = "process_timeout"
    return nil, err
  end
  return setmetatable({ exit_code = -1, result = "", timed_out = true, trace = err.trace }, Result)
end

---What a daemon's result means (nil: it was of another shape): itself; nil, err when
---nothing was started, or (with check) the command was not successful.
---@param request table  of exec_call.lua
---@param status? integer
---@param result? daytona.ExecResult
---@param check? boolean
---@return daytona.ExecResult?
---@return daytona.Error?
function outcome.conclude(request, status, result, check)
  if not result then
    return failure(request, {
      kind = "protocol", status = status, message = "the answer is not what a command gives",
    })
  end
  local code, output = result.exit_code, result.result
  local kind = code == -1 and outcome.start_failure(output)
  if kind then
    return failure(request, {
      kind = kind, code = "PROCESS_START_FAILED", message = outcome.start_message(output, request.cwd),
    })
  end
  if check and code ~= 0 then
    local last = outcome.last_line(output:sub(-1000))
    return failure(request, {
      kind = "exit", message = "exit status " .. code .. (last ~= "" and ": " .. last or ""),
      exit_code = code, result = output,
    })
  end
  return result
end

---What came back of a command that was not just an exit code and output, as of exec_call.send.
---@param code? integer
---@param response? string|daytona.Response
---@param err? daytona.Error
---@param request table
---@param check? boolean
---@return daytona.ExecResult?
---@return daytona.Error?
function outcome.unusual(code, response, err, request, check)
  if code then
    return outcome.conclude(request, 200, exec_result.new(code, response), check)
  elseif response then
    return outcome.conclude(request, response.status, outcome.read(response), check)
  end
  return outcome.failed(err, request, check)
end

return outcome
