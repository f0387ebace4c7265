--- How the daemon says no: the codes and message prefixes of the service's
-- error envelope, and what an old daemon ("0.190") said instead.

local httpd = require "daytona.devserver.http"
local sys = require "daytona.devserver.toolbox.sys"

local failures = {}

-- Generic codes carry their prefix in the message; domain codes carry none.
local GENERIC = {
  [400] = { "BAD_REQUEST", "bad request: " },
  [401] = { "UNAUTHORIZED", "unauthorized: " },
  [403] = { "FORBIDDEN", "forbidden: " },
  [404] = { "NOT_FOUND", "not found: " },
  [408] = { "REQUEST_TIMEOUT", "request timeout: " },
  [409] = { "CONFLICT", "conflict: " },
  [410] = { "GONE", "gone: " },
  [422] = { "UNPROCESSABLE_ENTITY", "unprocessable entity: " },
  [500] = { "INTERNAL_SERVER_ERROR", "internal server error: " },
  [502] = { "BAD_GATEWAY", "" },
  [503] = { "SERVICE_UNAVAILABLE", "" },
}

--- Ends the request with a failure whose code follows from its status.
---@param status integer
---@param message string
function failures.raise(status, message)
  local generic = GENERIC[status]
  httpd.fail(status, generic[1], generic[2] .. message)
end

--- Ends the request with words that stand alone where nobody expected the failure.
---@param status integer
---@param message string
function failures.raise_bare(status, message)
  if status == 500 then httpd.fail(500, "INTERNAL_SERVER_ERROR", message) end
  failures.raise(status, message)
end

--- Ends the request with a failure of its own code.
---@param status integer
---@param code string
---@param message string
function failures.code(status, code, message)
  httpd.fail(status, code, message)
end

--- Ends the request because its JSON body is not what the endpoint takes.
function failures.body(message)
  httpd.fail(400, "INVALID_REQUEST_BODY", "invalid body request: " .. message)
end

--- Ends the request because of a failed file operation.
---@param errno integer
---@param what string  the operation and its path, such as "open a.txt"
function failures.file(errno, what)
  local message = what .. ": " .. sys.strerror(errno)
  if errno == sys.ENOENT then
    httpd.fail(404, "FILE_NOT_FOUND", message)
  elseif errno == sys.EACCES or errno == sys.EPERM then
    httpd.fail(403, "FILE_ACCESS_DENIED", message)
  end
  failures.raise(400, message)
end

-- What 0.190 answered where it differs from today by more than its shape.
local LEGACY_STATUS = {
  GIT_TRANSPORT_FAILED = 500, GIT_REMOTE_REJECTED = 500, GIT_BRANCH_EXISTS = 500,
}

local function legacy_envelope(req, failure, status)
  local generic = GENERIC[status] or GENERIC[500]
  local code, prefix = generic[1], generic[2]
  if failure.code == "INVALID_REQUEST_BODY" then
    code, prefix = failure.code, "invalid body request: "
  end
  local message = failure.message
  if message:sub(1, #prefix) ~= prefix then
    message = prefix .. message
  end
  return status, {
    statusCode = status, message = message, code = code,
    timestamp = httpd.timestamp(), path = req.full_path, method = req.method,
  }
end

-- git's own words stand alone where the daemon does not know what they mean.
local function git_envelope(req, failure, status)
  local _, envelope = legacy_envelope(req, failure, status)
  if status == 500 then envelope.message = failure.message end
  return status, envelope
end

-- Of a body that is none it says the same as of any bad request.
local function execute_envelope(req, failure, status)
  local _, envelope = legacy_envelope(req, failure, status)
  if envelope.code == "INVALID_REQUEST_BODY" then
    envelope.code = "BAD_REQUEST"
    envelope.message = envelope.message:gsub("^invalid body request: ", "bad request: invalid request body: ")
  end
  return status, envelope
end

-- The shapes of 0.190; which one is the endpoint's matter.
local LEGACY = {
  envelope = legacy_envelope, execute = execute_envelope, typed = legacy_envelope, git = git_envelope,
  untyped = function(_, failure, status)
    return status, { statusCode = status, message = failure.message,
                     timestamp = "0001-01-01T00:00:00Z", path = "" }
  end,
  empty = function(_, _, status)
    return status
  end,
  plain = function(_, failure, status)
    local generic = GENERIC[status]
    local prefix = generic and generic[2] or ""
    local message = failure.message
    if message:sub(1, #prefix) == prefix then message = message:sub(#prefix + 1) end
    return status, { error = message }
  end,
}

-- Shapes in which a failure that it did not expect has no code.
local UNTYPED = { envelope = true, execute = true }

--- Writes a failure as a daemon of release 0.190 did. For httpd's `envelope`.
function failures.legacy(req, failure)
  local unknown = failure.code == "INTERNAL_SERVER_ERROR" or LEGACY_STATUS[failure.code] ~= nil
  local status = LEGACY_STATUS[failure.code] or failure.status
  if status >= 500 and unknown and UNTYPED[req.legacy_shape or "envelope"] then
    return LEGACY.untyped(req, failure, status)
  end
  return LEGACY[req.legacy_shape or "envelope"](req, failure, status)
end

return failures
