-- What went wrong, from an answer's status, code and text or from how a transfer
-- ended: which kind of error that is. It sends nothing, retries nothing and knows
-- no endpoint.

local errors = require "daytona.base.errors"
local printable = require "daytona.base.printable"
local redact = require "daytona.base.redact"

local failure = {}

-- The start of a body that is kept for support.
local BODY_KEPT = 64 * 1024
local MESSAGE_KEPT = 4096

local any_case = {
  __index = function(headers, name)
    if type(name) == "string" then return rawget(headers, name:lower()) end
  end,
}

local function lower_headers(headers)
  local out = {}
  for name, value in pairs(headers) do out[name:lower()] = value end
  return setmetatable(out, any_case)
end

--- From answers ----------------------------------------------------------------

local STATUS_KIND = {
  [401] = "auth", [403] = "forbidden", [404] = "not_found",
  [408] = "timeout", [409] = "conflict", [410] = "gone",
  [429] = "rate_limited", [502] = "unavailable", [503] = "unavailable",
  [504] = "timeout",
}

-- The daemon's codes say more than the status they travel with.
local CODE_KIND = {
  GIT_AUTH_FAILED = "auth",
  GIT_REPO_NOT_FOUND = "not_found",
  GIT_BRANCH_NOT_FOUND = "not_found",
  GIT_BRANCH_EXISTS = "conflict",
  GIT_PUSH_REJECTED = "conflict",
  GIT_DIRTY_WORKTREE = "conflict",
  GIT_MERGE_CONFLICT = "conflict",
  GIT_TRANSPORT_FAILED = "unavailable",
  GIT_REMOTE_REJECTED = "invalid",
  FILE_NOT_FOUND = "not_found",
  FILE_ACCESS_DENIED = "forbidden",
  INVALID_FILE_PATH = "invalid",
  FILE_READ_FAILED = "server",
  LSP_SERVER_NOT_INITIALIZED = "invalid",
  PROCESS_EXECUTION_TIMEOUT = "process_timeout",
  PROCESS_NOT_FOUND = "not_found",
  SESSION_ENDED = "gone",
  COMMAND_ALREADY_COMPLETED = "gone",
  A11Y_UNAVAILABLE = "unavailable",
  RECORDING_STILL_ACTIVE = "conflict",
  RECORDING_FFMPEG_NOT_FOUND = "unavailable",
  BAD_REQUEST = "invalid",
  INVALID_REQUEST_BODY = "invalid",
  UNAUTHORIZED = "auth",
  FORBIDDEN = "forbidden",
  NOT_FOUND = "not_found",
  REQUEST_TIMEOUT = "timeout",
  CONFLICT = "conflict",
  GONE = "gone",
  UNPROCESSABLE_ENTITY = "invalid",
}

-- These name a lasting condition: waiting does not install a program.
local LASTING = {
  A11Y_UNAVAILABLE = true, RECORDING_FFMPEG_NOT_FOUND = true,
}

local function kind_of(status, code, message)
  local by_code = code and CODE_KIND[code]
  if by_code then return by_code end
  if status == 500 and message:find("session not found", 1, true) then return "not_found" end
  local by_status = STATUS_KIND[status]
  if by_status then return by_status end
  if status >= 500 then return "server" end
  if status >= 400 then return "invalid" end
  return "protocol"
end

local REASONS = {
  [301] = "Moved Permanently", [302] = "Found", [303] = "See Other",
  [304] = "Not Modified", [307] = "Temporary Redirect", [308] = "Permanent Redirect",
  [400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required",
  [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
  [408] = "Request Timeout", [409] = "Conflict", [410] = "Gone",
  [413] = "Content Too Large", [415] = "Unsupported Media Type",
  [416] = "Range Not Satisfiable", [422] = "Unprocessable Content",
  [429] = "Too Many Requests", [500] = "Internal Server Error",
  [501] = "Not Implemented", [502] = "Bad Gateway", [503] = "Service Unavailable",
  [504] = "Gateway Timeout",
}

local function own_message(status, context)
  local reason = REASONS[status]
  local said = reason and string.format("%d %s", status, reason) or string.format("status %d", status)
  local request = context.method and context.path and (context.method .. " " .. context.path)
  if not request then return "the server answered " .. said end
  return request .. " was answered " .. said
end

local text_in

-- A list of texts, joined as the service does it.
local function list_text(list)
  local out = {}
  for i = 1, #list do out[#out + 1] = text_in(list[i]) end
  return out[1] and table.concat(out, ", ")
end

-- The message in a decoded body of any shape, or nil. (The decoder limits its depth.)
function text_in(value)
  if type(value) == "string" then return value:find("%S") and value or nil end
  if type(value) ~= "table" then return nil end
  if value[1] ~= nil then return list_text(value) end
  return text_in(value.message) or text_in(value.error) or text_in(value.errors) or text_in(value.detail)
    or text_in(value.constraints)
end

local function string_field(body, name, old_name)
  local value = body[name]
  if type(value) ~= "string" and old_name then value = body[old_name] end
  if type(value) == "string" and value ~= "" then return value end
  local inner = body.error
  if type(inner) == "table" then return string_field(inner, name, old_name) end
end

local function html_text(body)
  local title = body:match("<[Tt][Ii][Tt][Ll][Ee][^>]*>(.-)</") or body:match("<[Hh]1[^>]*>(.-)</")
  title = title and printable.line(title:gsub("<[^>]*>", " "))
  return title ~= "" and title or nil
end

local function plain_text(body)
  if body:find("^%s*<[!%a]") then return html_text(body) end
  if not body:find("%S") or body:find("%z") then return nil end
  return printable.line(body:sub(1, 1000))
end

local function decoded(response)
  if response.json ~= nil then return response.json end
  local body = response.body
  if not body or not body:find("^%s*[{%[\"]") then return nil end
  return (require("daytona.http.json").decode(body))
end

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6,
  Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

---Seconds since 1970 of a moment of UTC.
---@param year number|string
---@param month number|string
---@param day number|string
---@param h number|string
---@param m number|string
---@param s number|string
---@return number
function failure.utc(year, month, day, h, m, s)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
  return days * 86400 + tonumber(h) * 3600 + tonumber(m) * 60 + tonumber(s)
end

---Seconds since 1970 of "Sun, 06 Nov 1994 08:49:37 GMT", or nil.
---@param text string
---@return number?
function failure.http_date(text)
  local day, month, year, h, m, s = text:match("(%d+)[ -](%a%a%a)[ -](%d%d%d%d) (%d+):(%d+):(%d+)")
  return MONTHS[month] and failure.utc(year, MONTHS[month], day, h, m, s)
end

local http_date = failure.http_date

local function delay_in(value, headers)
  local seconds = tonumber(value)
  if not seconds then
    local at = http_date(value)
    local now = headers.date and http_date(headers.date) or os.time()
    seconds = at and at - now
  end
  if seconds and seconds == seconds and seconds < math.huge then return math.max(seconds, 0) end
end

---Seconds the service asks to wait: from `Retry-After`, or the longest
---`Retry-After-<throttler>`. nil when it does not say.
---@param headers table<string, string>  lower-case names
---@return number?
function failure.retry_after(headers)
  local longest
  for name, value in pairs(headers) do
    -- Some models' endpoints say milliseconds beside it.
    if name == "retry-after" or name:sub(1, 12) == "retry-after-" and name ~= "retry-after-ms" then
      local seconds = delay_in(value, headers)
      if seconds and (not longest or seconds > longest) then longest = seconds end
    end
  end
  return longest
end

---What the service calls a request, for its support; nil where it does not say.
---@param headers table<string, string>  lower-case names
---@return string?
function failure.request_id(headers)
  return headers["x-request-id"] or headers["x-daytona-request-id"] or headers["request-id"]
    or headers["x-correlation-id"] or headers["cf-ray"]
end

---An error for an answer whose status is not 2xx. Bodies of every shape are
---understood: an object, a list, a string, HTML, text, nothing.
---@param response { status: integer, headers?: table<string, string>, body?: string, json?: any }
---@param context? { operation?: string, sandbox?: any, what?: string, method?: string, path?: string, secrets?: string[] }
---@return daytona.Error
function failure.from_response(response, context)
  context = context or {}
  local status = response.status
  local headers = lower_headers(response.headers or {})
  local value = decoded(response)
  local object = type(value) == "table" and value or {}
  local raw = response.body
  local text = text_in(value) or (value == nil and raw and plain_text(raw)) or own_message(status, context)
  local code = string_field(object, "code", "error_code")
  local details = string_field(object, "details")
  if details and not text:find(details, 1, true) then text = text .. ": " .. details end
  if #text > MESSAGE_KEPT then text = text:sub(1, MESSAGE_KEPT) .. "..." end
  local kind = kind_of(status, code, text)
  -- What the service's framework says of a path that is none of its own.
  local unknown = status == 404 and text:match("^Cannot %u+ (/%S*)$")
  if unknown and not unknown:find("^/api") then text = text .. ": does api_url end in /api?" end
  if status == 401 and text == "Unauthorized" then text = text .. ": the service does not accept this key" end
  local retryable
  if code and LASTING[code] then retryable = false end
  return errors.new {
    kind = kind, message = text, status = status, code = code,
    source = string_field(object, "source"),
    operation = context.operation, sandbox = context.sandbox, what = context.what,
    retryable = retryable, retry_after = failure.retry_after(headers),
    headers = headers, request_id = failure.request_id(headers),
    body = raw and raw ~= "" and redact(raw:sub(1, BODY_KEPT), context.secrets) or nil,
    secrets = context.secrets,
  }
end

--- From the transport ------------------------------------------------------------

local TRANSPORT_KIND = {
  timeout = "timeout", connect_timeout = "timeout", idle_timeout = "timeout",
  canceled = "canceled", resolve = "connection", connect = "connection",
  reset = "connection", truncated = "connection", tls = "tls",
  protocol = "protocol", too_large = "too_large", sink = "io", source = "io",
  bad_argument = "invalid", out_of_memory = "internal", forked = "internal",
  internal = "internal",
}

local TRANSPORT_TEXT = {
  timeout = "no answer within the time allowed",
  connect_timeout = "could not connect within the time allowed",
  idle_timeout = "nothing moved for too long",
  canceled = "canceled",
  resolve = "the host name could not be resolved",
  connect = "could not connect",
  reset = "the connection was lost",
  truncated = "the answer ended before its end",
  tls = "no secure connection could be made",
  protocol = "the answer is not HTTP",
  too_large = "the answer is larger than allowed",
  sink = "what was received could not be written",
  source = "what was to be sent could not be read",
}

---An error for a transfer that ended without an answer.
---@param code string      see daytona.core.Code
---@param message? string  detail
---@param errno? integer
---@param context? { operation?: string, sandbox?: any, what?: string, secrets?: string[], headers?: table<string, string> }
---@return daytona.Error
function failure.from_transport(code, message, errno, context)
  context = context or {}
  local text = TRANSPORT_TEXT[code] or code
  if message and message ~= "" and message ~= text then text = text .. ": " .. message end
  return errors.new {
    kind = TRANSPORT_KIND[code] or "internal", code = code, message = text,
    errno = errno and errno ~= 0 and errno or nil,
    operation = context.operation, sandbox = context.sandbox, what = context.what,
    secrets = context.secrets, headers = context.headers and lower_headers(context.headers),
  }
end

return failure
