-- What ends a handler without an answer of its own: failures, which become error
-- envelopes, and the client's hanging up, which becomes nothing.

local reasons = require "http.h1_reason_phrases"
local text = require "daytona.devserver.http.text"

local failure = {}

local Failure = {}
Failure.__index = Failure
---@private
Failure.__tostring = function(f) return f.status .. " " .. f.message end

---Raised to end a handler whose client is gone: nothing is answered or logged.
failure.hangup = setmetatable({}, { __tostring = function() return "client hung up" end })

---Ends a handler with an error answer. Raises always.
---@param status integer
---@param code? string
---@param message? string
---@param extra? { headers?: table<string, string>, body?: string|table }  `body` replaces the envelope
function failure.fail(status, code, message, extra)
  extra = extra or {}
  error(setmetatable({
    status = status, code = code, message = message or reasons[tostring(status)],
    headers = extra.headers, body = extra.body,
  }, Failure), 0)
end

---Whether `e` was raised by `failure.fail`.
---@return boolean
function failure.is(e)
  return getmetatable(e) == Failure
end

---The answer that a failure becomes, unless the app has an envelope of its own.
---@param req table
---@return integer status, table body, table? headers
function failure.envelope(req, f)
  local source = req.source or req.app.source
  local api = source == "DAYTONA_API"
  local new = not req.app.legacy
  -- (the old API's envelope has less than today's, and than the daemon's)
  return f.status, {
    statusCode = f.status,
    error = api and reasons[tostring(f.status)] or nil,
    message = f.message,
    code = new and f.code or nil,
    source = new and source or nil,
    timestamp = text.timestamp(),
    path = api and req.target or req.full_path,
    method = (new or not api) and req.method or nil,
  }, f.headers
end

---For xpcall: failures and hang-ups as they are, anything else with a traceback.
function failure.trace(e)
  if failure.is(e) or e == failure.hangup then return e end
  return debug.traceback(tostring(e), 2)
end

return failure
