-- What goes wrong at a model's endpoint: which errors are worth another try and when, and
-- which say that the conversation is too long.

local errors = require "daytona.base.errors"
local json = require "daytona.http.json"

local trouble = {}

-- What a stream says in place of its end, by type or code -> kind, whether to try again.
local FAILURES = {
  overloaded_error = { "unavailable", true }, api_error = { "server", true }, timeout_error = { "timeout", true },
  rate_limit_error = { "rate_limited", true }, server_error = { "server", true },
  rate_limit_exceeded = { "rate_limited", true }, authentication_error = { "auth" },
  permission_error = { "forbidden" }, not_found_error = { "not_found" },
}

local function text_of(value, otherwise)
  return type(value) == "string" and value ~= "" and value or otherwise
end

---The error of a stream that failed by its own word.
---@param failure table  what it said
---@param endpoint daytona.ModelEndpoint
---@return daytona.Error
function trouble.told(failure, endpoint)
  local code = text_of(failure.code) or text_of(failure.type)
  local known = FAILURES[failure.type] or FAILURES[failure.code] or { "server", false }
  return errors.new {
    kind = known[1], code = code, retryable = known[2] or false, operation = "agent", what = endpoint.model,
    message = text_of(failure.message, "the model's reply failed"), secrets = endpoint:secrets(),
  }
end

---The error of a stream that ended before the reply did.
---@param endpoint daytona.ModelEndpoint
---@return daytona.Error
function trouble.cut(endpoint)
  return errors.new { kind = "connection", code = "truncated", operation = "agent", what = endpoint.model,
    message = "the model's reply ended before its end" }
end

-- What the answer calls its error: code, type.
local function names_in(err)
  local body = err.body and json.decode(err.body)
  local inner = type(body) == "table" and (type(body.error) == "table" and body.error or body) or {}
  return inner.code, inner.type
end

local TOO_LONG = { "prompt is too long", "context length", "context window", "context_length", "maximum context",
  "context size", "too many tokens" }

---Whether an error says that the conversation is longer than the model takes.
---@param err daytona.Error
---@return boolean
function trouble.is_overflow(err)
  if err.code == "context_length_exceeded" or err.status == 413 then return true end
  if err.status and err.status ~= 400 and err.status ~= 422 then return false end
  if not err.status and err.kind ~= "server" and err.kind ~= "invalid" then return false end
  local text = err.message:lower()
  for _, words in ipairs(TOO_LONG) do
    if text:find(words, 1, true) then return true end
  end
  return false
end

local RETRIED = { [408] = true, [409] = true, [429] = true }

---Whether the same request may go better when it is sent again.
---@param err daytona.Error
---@return boolean
function trouble.may_pass(err)
  if not err.status then return err.retryable and err.code ~= "timeout" and err.kind ~= "canceled" end
  local said = err.headers and err.headers["x-should-retry"]
  if said then return said == "true" end
  if names_in(err) == "insufficient_quota" then return false end
  return RETRIED[err.status] or err.status >= 500
end

---Seconds that the answer asks to wait, or nil.
---@param err daytona.Error
---@return number?
function trouble.delay(err)
  local milliseconds = err.headers and tonumber(err.headers["retry-after-ms"])
  if milliseconds then return math.max(milliseconds / 1000, 0) end
  return err.retry_after
end

return trouble
