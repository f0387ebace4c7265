-- A try that brought no answer: what it means, whether another may follow, and when.
-- Loaded with the first thing that goes wrong; it waits, but sends nothing itself.

local connections = require "daytona.http.connection"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local loop = require "daytona.loop"
local random = require "daytona.base.random"

local retry = {}

local context_of = connections.context_of

local FIRST_DELAY, LONGEST_DELAY = 0.25, 8

-- Part of a delay that the service names which is added at random: whoever shares its limit
-- was told the same moment. A shorter delay than this many seconds counts as a try.
local SPREAD, THROTTLED = 0.1, 1

local SAFE = { GET = true, HEAD = true, PUT = true, DELETE = true, OPTIONS = true }

--- Failures -----------------------------------------------------------------------

---The wait itself ended: cancelled, or the caller's stream gave up.
---@param err daytona.Error
---@param request daytona.Request
---@return daytona.Error
function retry.explain(err, request)
  if err.operation then return err end
  return errors.new {
    kind = err.kind, code = err.code, message = err.message, operation = request.operation,
    what = request.what, sandbox = request.sandbox, cause = err.cause, errno = err.errno,
  }
end

local ABANDONED = { timeout = true, idle_timeout = true, canceled = true }

---A request that left and was given up may still be at work over there.
---@param request daytona.Request
---@param sent boolean
---@param err daytona.Error
function retry.abandon(request, sent, err)
  if request.on_abandon and sent then loop.shield(request.on_abandon, err, request) end
end

local function is_safe(request)
  if request.safe ~= nil then return request.safe end
  return SAFE[request.method or "GET"] or false
end

local PASSING = { resolve = true, connect = true, connect_timeout = true, reset = true, truncated = true }

-- What the engine knows decides: whether a part of the request left, in any
-- attempt of its own. What did not is sent again, what did only if that is harmless,
-- and if nobody has been given a part of the answer.
local function may_repeat(request, code, sent, answered)
  if not PASSING[code] or answered and (request.sink or request.sink_file) then return false end
  return not sent or is_safe(request)
end

local UNKNOWN_END = { reset = true, timeout = true, idle_timeout = true }

---Puts into a failure without an answer whether its request left.
---@param err daytona.Error
---@param request daytona.Request
---@param sent boolean
---@return daytona.Error
function retry.note_sent(err, request, sent)
  err.sent = sent
  if sent and UNKNOWN_END[err.code] and not is_safe(request) then
    err.message = err.message .. "; the request was sent and may have run"
  end
  return err
end

---What came of a try that brought no answer, which is closed: nil, err, code (nil where the
---wait ended), and whether it was sent and answered.
---@param way daytona.Connection
---@param request daytona.Request
---@param op daytona.Op
---@param failed { why?: daytona.Error, code?: string, message?: string, errno?: integer }  why: the wait ended
---@return nil
---@return daytona.Error
---@return string? code
---@return boolean? sent
---@return boolean? answered
function retry.unanswered(way, request, op, failed)
  local transfer = op.transfer
  local sent, answered = transfer:trace()
  local begun = answered and request.with_headers and transfer:headers() or nil
  if request.observer then request.observer:tried(transfer) end
  loop.close(op)
  if failed.why then
    local err = retry.note_sent(retry.explain(failed.why, request), request, sent)
    retry.abandon(request, sent, err)
    return nil, err
  end
  local context = context_of(way, request)
  context.headers = begun
  local err = failure.from_transport(failed.code, failed.message, failed.errno, context)
  return nil, retry.note_sent(err, request, sent), failed.code, sent, answered
end

local RETRY_STATUS = { [502] = true, [503] = true, [504] = true }

local function may_repeat_answer(request, err)
  if err.status == 429 then return true end
  return RETRY_STATUS[err.status] and err.retryable and is_safe(request)
end

---Seconds to wait before a further try, after so many that failed.
---@param try integer
---@return number
function retry.backoff(try)
  local delay = math.min(FIRST_DELAY * 2 ^ (try - 1), LONGEST_DELAY)
  return delay * (0.5 + random.chance() / 2)
end

---Seconds to wait before a further try, after so many that failed: what the service asks
---for and a little more, or our own.
---@param err daytona.Error
---@param try integer
---@return number
function retry.delay_after(err, try)
  local named = err.retry_after
  return named and named * (1 + SPREAD * random.chance()) or retry.backoff(try)
end

---Sleeps before the next try: true; false when the deadline would pass
---meanwhile; nil, err when the task was cancelled.
---@param delay number
---@param deadline? number
---@return boolean?
---@return daytona.Error?
function retry.pause(delay, deadline)
  if deadline and loop.now() + delay >= deadline then return false end
  return loop.sleep(delay)
end

--- Another try ------------------------------------------------------------------------

-- Whether the body can be sent once more; its files then are where they were.
local function can_resend(request, places)
  local flows = (request.body_source or request.parts) and require("daytona.http.stream").source_of(request)
  if flows then return request.rewind ~= nil and request.rewind() end
  for _, place in ipairs(places or {}) do
    if not place[2] or not place[1]:seek("set", place[2]) then return false end
  end
  return true
end

-- What a try that failed means: the error, and whether another may follow.
local function judge(connection, request, status, body, headers_or_code, sent, answered)
  if status then
    local err = failure.from_response({ status = status, body = body, headers = headers_or_code },
      context_of(connection, request))
    return err, may_repeat_answer(request, err)
  end
  local err, code = body, headers_or_code
  if not code then return err, false end
  if ABANDONED[code] then retry.abandon(request, sent, err) end
  return err, may_repeat(request, code, sent, answered)
end

local REDIRECT = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

-- Seconds until the next try; nil where there is to be none. Being throttled for a while is
-- no failure: others, perhaps many, share the limit, and their turn comes first. Only the
-- deadline ends that.
local function pause_of(connection, tries, err)
  local most, named = connection.max_retries, err.status == 429 and err.retry_after
  local delay = retry.delay_after(err, tries.failed + 1)
  if not named or named < THROTTLED or most == 0 then
    tries.failed = tries.failed + 1
    return tries.failed <= most and delay or nil
  end
  local left = tries.deadline and tries.deadline - loop.now()
  return left and named < left and math.min(delay, (named + left) / 2) or delay
end

---The call of the next try, after one that brought no answer; or nil, err. What comes after
---`call` is what the try came to (`try_once` in http/init.lua).
---@param connection daytona.Connection
---@param request daytona.Request
---@param tries table
---@param call table
---@return table?
---@return daytona.Error?
function retry.another(connection, request, tries, call, status, body, more, sent, answered)
  if status and REDIRECT[status] then
    tries.redirects = tries.redirects + 1
    return require("daytona.http.redirect").follow(connection, request, call,
      { status = status, headers = more, count = tries.redirects },
      function() return can_resend(request, tries.places) end)
  end
  local err, again = judge(connection, request, status, body, more, sent, answered)
  tries.sent = tries.sent or sent
  if tries.sent and not status then err.sent = true end -- if not in this try
  local delay = again and pause_of(connection, tries, err)
  if not delay or not can_resend(request, tries.places) then return nil, err end
  if request.observer then request.observer:repeats(err, delay, tries) end
  local slept, why = retry.pause(delay, tries.deadline)
  if slept == nil then return nil, retry.explain(why, request) end
  if not slept then return nil, err end
  tries.n = tries.n + 1
  return call
end

return retry
