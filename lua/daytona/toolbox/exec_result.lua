-- What a command or code did: the object. What of a daemon's answer becomes one is said in
-- exec_outcome.lua.

local exec_result = {}

---What a command or code did.
---@class daytona.ExecResult
---@field exit_code integer   of the command; -1 when the daemon could not tell
---@field result string       what it printed, both streams in order of arrival
---@field output string       the same
---@field timed_out boolean   it was ended because its time was over
---@field stdout? string      where the daemon keeps the streams apart
---@field stderr? string
---@field trace? daytona.Trace  how the call went, of a client with `trace = true`

---What code did.
---@class daytona.RunResult: daytona.ExecResult
---@field artifacts { stdout: string, charts: daytona.Chart[] }  charts: what matplotlib drew
local Result = { __name = "daytona.ExecResult" }

-- What was printed is also called `output`, as in other results.
---@private
function Result:__index(name)
  if name == "output" then return self.result end
end

-- So much of the output is shown.
local SHOWN = 60

---How a command ended, and the beginning of what it printed, in one line.
---@param exit_code integer
---@param output string
---@return string
function exec_result.summary(exit_code, output)
  local text = require("daytona.base.printable").line(output:sub(1, 2 * SHOWN))
  if #text > SHOWN then text = text:sub(1, SHOWN):gsub("[\128-\255]*$", "") .. "..." end
  return string.format("exit %d, %d bytes%s", exit_code, #output, text ~= "" and ": " .. text or "")
end

---"exit 0, 12 bytes: the beginning"
---@private
function Result:__tostring()
  if self.timed_out then return "timed out" end
  return exec_result.summary(self.exit_code, self.result)
end

---A result.
---@param exit_code integer
---@param output string
---@return daytona.ExecResult
function exec_result.new(exit_code, output)
  return setmetatable({ exit_code = exit_code, result = output, timed_out = false }, Result)
end

-- For who makes them without a call: every one is looked at in `exec`.
exec_result.Result = Result

return exec_result
