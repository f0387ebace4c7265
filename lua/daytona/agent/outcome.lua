-- What comes of a call, as a result: without secrets, and of a failure what a model can do
-- about it.

local errors = require "daytona.base.errors"
local known = require "daytona.base.known_secrets"
local ordered = require "daytona.http.ordered_json"
local output = require "daytona.agent.output"

local M = {}

---A failure.
---@param kind string
---@param message string
---@param retryable? boolean
---@return daytona.ToolResult
function M.failure(kind, message, retryable)
  return { ok = false, text = message, images = {}, truncated = false,
    error = { kind = kind, message = message, retryable = retryable or false } }
end

-- What a model can do about it.
local HINTS = {
  auth = "The API key is missing or wrong; ask the user for it.",
  config = "Ask the user to set DAYTONA_API_KEY.",
  timeout = "It may have happened all the same: look before trying again.",
  connection = "The service could not be reached; try again.",
  rate_limited = "Wait a little and try again.",
  unavailable = "Try again in a moment.",
  state = "Look at the sandbox's state; it may have to be started.",
}

local function hint_for(err)
  if err.code == "FILE_NOT_FOUND" then return "List the folder to see what is there." end
  if err.kind == "not_found" and err.operation == "get" then return "List the sandboxes to see which there are." end
  return HINTS[err.kind]
end

-- A raised text tells a mistake in the arguments (then it has no position), or in a tool.
local function kind_of(err)
  if err.kind ~= "task" then return err.kind end
  return tostring(err.message):find "^[^\n]-:%d+: " and "internal" or "invalid"
end

---A failure of an error, or of a text.
---@param err any
---@param secrets string[]
---@return daytona.ToolResult
function M.failed(err, secrets)
  if not errors.is(err) then return M.failure("failed", known.hide(output.clean(tostring(err)), secrets)) end
  local hint = hint_for(err)
  local message = err.kind == "task" and err.message or tostring(err)
  message = known.hide(output.clean(message), secrets)
  return M.failure(kind_of(err), hint and message .. "\n" .. hint or message, err.retryable)
end

local function hidden(value, secrets)
  if type(value) == "string" then return known.hide(value, secrets) end
  if type(value) ~= "table" then return value end
  for key, item in pairs(value) do value[key] = hidden(item, secrets) end
  return value
end

---A success.
---@param data table
---@param more any        what the tool says besides
---@param secrets string[]
---@return daytona.ToolResult
function M.succeeded(data, more, secrets)
  if type(more) ~= "table" then more = {} end
  if secrets[1] then hidden(data, secrets) end
  local text, why = more.text and known.hide(output.clean(more.text), secrets), nil
  if not text then text, why = ordered.encode(data) end
  if not text then return M.failure("internal", "the result cannot be shown: " .. why) end
  return {
    ok = true, data = data, text = text, images = more.images or {},
    truncated = more.truncated or false, read_more = more.read_more, sandbox = more.sandbox,
  }
end

return M
