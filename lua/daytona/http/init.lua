-- One request and its answer: what is sent, deadlines, what an answer is. What follows a try
-- that failed is in retry.lua.
--
-- The two are the only place that turns transport codes and statuses into errors. They know
-- no endpoint, and wait only through the loop.

local core = require "daytona.base.native"
local connections = require "daytona.http.connection"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local loop = require "daytona.loop"

-- Loaded with the first thing that goes wrong.
local function retrying()
  return require "daytona.http.retry"
end

local http = {
  connection = connections.new, rebase = connections.rebase, context_of = connections.context_of,
}

local DONE = core.DONE
local refused = connections.refused

--- Requests -----------------------------------------------------------------------

---@class daytona.Request
---@field method? string            GET
---@field path? string              appended to the connection's base, or
---@field url? string               a whole URL
---@field query? table              list of {name, value}, or a map
---@field json? any                 sent as JSON
---@field lists? table<string, true> fields of `json` that are arrays even when empty
---@field body? string              sent as it is
---@field body_is_json? boolean     `body` is a JSON text
---@field body_file? file*          sent from its position, or
---@field body_source? fun(): string?, any  the next chunk, nil at the end; nil, reason to give up
---@field body_length? integer      of body_file or body_source, when known
---@field rewind? fun(): boolean    begins `body_source` anew, for a further try; false where it cannot
---@field parts? table[]            multipart: as daytona.core.Part, and one may have `source`
---@field headers? table<string, string>
---@field timeout? number           seconds for all of it, 0 none
---@field idle_timeout? number      seconds without a byte, 0 none
---@field safe? boolean             repeating it is harmless (GET, HEAD, PUT, DELETE are)
---@field sink_file? file*          where the body goes, or
---@field sink? file*|fun(chunk: string): any, any  false, reason to give up; or a file that may block
---@field on_headers? fun(transfer: daytona.core.Transfer)  called before the first chunk of the sink
---@field on_end? fun(transfer: daytona.core.Transfer)  called when a try is over
---@field accept? integer|fun(status: integer, headers?: table<string, string>): any  a further status that is an answer,
---not a failure; its body is not checked
---@field max_bytes? integer
---@field on_progress? fun(done: integer, total?: integer)
---@field may_be_json? boolean       a long body whose type is JSON is decoded: `json`
---@field answer? "object"|"list"|"string"|"any"  the JSON that must come back
---@field optional? boolean         ... unless the body is empty
---@field endpoint? { number: string, text: string }  as of http.call: an answer of just these needs no `json`
---@field flaw? fun(value: any, request: daytona.Request): string?, daytona.Error?  what that JSON is instead of what it should be, or nil; an error when it was not looked at to its end
---@field with_headers? boolean     response.headers is wanted
---@field sign? { scope: string, id: string, secret: string }  signed as AWS has it: "aws:amz:REGION:SERVICE", and the key
---@field operation? string         for errors
---@field what? string              for errors: the path or name in question
---@field sandbox? any              for errors
---@field secrets? string[]         more texts that errors must not show
---@field trace? boolean             the response, or the error, gets a `trace`: see http/hooks.lua
---@field on_abandon? fun(err: daytona.Error, request: daytona.Request)  see http.request
---@field on_leave? fun(request: daytona.Request, may: boolean)  told true before each try, and false when Ctrl-C strikes
---in one of which nothing has left: for those who must know whether a request may have left

---@class daytona.Response
---@field status integer
---@field body string
---@field json? any                      when `answer` was asked for
---@field number? integer                when `endpoint` was, and fits: these two instead of `json`
---@field text? string
---@field headers? table<string, string> when `with_headers`
---@field trace table                  with `trace = true`: how it went

-- Of more bytes than that long_json.lua makes what is wanted.
local LONG = 32 * 1024

local JSON_HEADER = "Content-Type: application/json"

-- Why the core did not start a transfer.
local function unstarted(refusal, errno)
  if not errno then return { kind = "invalid", code = "bad_argument", message = tostring(refusal) } end
  local code = refusal:find "^sink" and "sink" or "source"
  return { kind = "io", code = code, message = refusal, errno = errno }
end

local function header_lines(request, is_json)
  local headers = request.headers
  if not headers then return is_json and { JSON_HEADER } or nil end
  local lines = {}
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. tostring(value) end
  if is_json then lines[#lines + 1] = JSON_HEADER end
  return lines
end

-- The body as text, when the request holds it in memory.
local function body_text(request)
  if request.json == nil then return request.body end
  local text, problem = json.encode(request.json, request.lists)
  if not text then errors.misuse(1, "%s: %s", request.operation or "request", problem) end
  return text
end

local query_text -- loaded with the first query

local function with_query(target, query)
  query_text = query_text or require "daytona.http.query"
  return target .. query_text(query)
end

-- What stays the same over all tries of a request.
local function prepare(connection, request)
  local is_json = request.json ~= nil or request.body_is_json
  local target = request.url or (connection.base .. request.path)
  if request.query then target = with_query(target, request.query) end
  local timeout = request.timeout or connection.timeout
  local call = {
    url = target, method = request.method or "GET", profile = connection.profile,
    headers = header_lines(request, is_json), body = body_text(request),
    connect_timeout = connection.connect_timeout,
    timeout = timeout > 0 and timeout or nil, idle_timeout = request.idle_timeout,
    max_bytes = request.max_bytes or connection.max_bytes,
  }
  if request.body_file or request.body_source or request.parts then
    require("daytona.http.sources").add(call, request)
  end
  if request.sink_file then call.sink_file, call.max_bytes = request.sink_file, request.max_bytes end
  if request.sink then call.sink_queue, call.max_bytes = true, request.max_bytes end
  if request.on_progress then call.progress = true end
  if request.observer then request.observer:prepare(call) end
  local key = request.sign
  if key then call.sigv4, call.user, call.password = key.scope, key.id, key.secret end
  return call
end

--- Waiting --------------------------------------------------------------------------

local function wait_for_stream(op, request)
  return require("daytona.http.stream").run(op, request)
end

--- Further tries ---------------------------------------------------------------------

---Seconds to wait before a further try, after so many that failed.
---@param try integer
---@return number
function http.backoff(try) return retrying().backoff(try) end

---The same, or what the service asks for and a little more.
---@param err daytona.Error
---@param try integer
---@return number
function http.delay_after(err, try) return retrying().delay_after(err, try) end

---Sleeps before the next try: true; false when the deadline would pass
---meanwhile; nil, err when the task was cancelled.
---@param delay number
---@param deadline? number
---@return boolean?
---@return daytona.Error?
function http.pause(delay, deadline) return retrying().pause(delay, deadline) end

--- One try -------------------------------------------------------------------------

---The `on_lost` of an op with its `request`: the thread of the host that waited is no more.
---Called in another one.
---@param op daytona.Op
function http.lost(op)
  local sent = op.transfer:trace()
  loop.close(op)
  retrying().abandon(op.request, sent, errors.new { kind = "canceled", message = "the caller was ended" })
end

---What loop.exchange needs for sending JSON texts to an endpoint. Kept in
---`connection.calls`, by the endpoint: look there first. An exchange costs no table,
---so it is for the call that is made most; where it returns no status, `http.request`
---goes on with its op (if there is one) and the same request.
---@param connection daytona.Connection
---@param endpoint { path: string, number: string, text: string }  always the same table
---@return daytona.core.Call?  nil: it is for `http.request`, which also says what is wrong
function http.call(connection, endpoint)
  if connection.hooks then return nil end -- an exchange tells nobody of itself
  local call = loop.call(connection.profile, "POST", connection.base .. endpoint.path, JSON_HEADER,
    connection.connect_timeout, endpoint.number, endpoint.text)
  connection.calls[endpoint] = call
  return call
end

-- What a transfer that is over brought: as transfer:result(). The number and the text that an
-- endpoint answers with are read from where they arrived, which gives the response itself.
local function result_of(connection, request, transfer, waited)
  local call = waited and request.endpoint and not request.observer and connection.calls[request.endpoint]
  if call then
    local status, body, text = loop.take(call, transfer)
    if text then return status, { status = status, number = body, text = text } end
    if status then return status, body end
  end
  local status, body, message, errno = transfer:result(LONG)
  if status and not body then body = require("daytona.http.long_json").of(transfer, request, message) end
  return status, body, message, errno
end

-- What came back from one try:
--   an answer:  status, body (or the response), headers (nil unless wanted)
--   a failure:  nil, err, code, sent, answered   (code nil: the wait ended)
local function try_once(connection, request, op, streams)
  op.request, op.on_lost = request, request.on_abandon and http.lost
  local transfer = op.transfer
  local fine, waited, why = true, op.done, nil
  if not waited then
    fine, waited, why = loop.pcall(streams and wait_for_stream or loop.wait, op, streams and request or DONE)
  end
  if not fine then -- Ctrl-C, or a function of the caller's raised: `waited` is the error
    local sent = transfer:trace()
    loop.close(op)
    if not sent and request.on_leave then request.on_leave(request, false) end
    retrying().abandon(request, sent, errors.new { kind = "canceled", message = "interrupted" })
    error(waited, 0)
  end
  if request.on_end then request.on_end(transfer) end
  local status, body, message, errno = result_of(connection, request, transfer, waited)
  if not waited or not status then
    local failed = { why = not waited and why or nil, code = body, message = message, errno = errno }
    return retrying().unanswered(connection, request, op, failed)
  end
  if request.observer then request.observer:tried(transfer) end
  local headers
  if request.with_headers or status < 200 or status > 299 then headers = transfer:headers() end
  loop.close(op)
  return status, body, headers
end

--- Answers --------------------------------------------------------------------------

local IS = {
  object = function(value) return type(value) == "table" and value[1] == nil end,
  list = function(value) return type(value) == "table" and (value[1] ~= nil or next(value) == nil) end,
  string = function(value) return type(value) == "string" end,
  any = function(value) return value ~= nil end,
}

local function wrong_answer(connection, request, status, body, why)
  local start = body:sub(1, 200)
  return refused(connection, request, {
    kind = "protocol", code = "json", status = status,
    message = "the answer is " .. why .. (start ~= "" and ": " .. start or ""),
  })
end

---What a 2xx answer is to the request. nil, err when it is not what was wanted.
---@param connection daytona.Connection
---@param request daytona.Request
---@param status integer
---@param body string|{ value: any, start: string }
---@param headers? table<string, string>
---@return daytona.Response?
---@return daytona.Error?
function http.answer(connection, request, status, body, headers)
  local endpoint, wanted = request.endpoint, request.answer
  local long = type(body) == "table" and body
  if endpoint and not long then
    local number, text = core.json_pair(body, endpoint.number, endpoint.text)
    if number then return { status = status, body = body, number = number, text = text } end
  end
  if long then body = long.start end
  local response = { status = status, body = body, headers = headers }
  if long then response.json = long.value end
  if not wanted or (request.optional and body == "") then return response end
  local value, problem = response.json, nil
  if value == nil then
    value, problem = (#body > LONG and require "daytona.http.long_json" or json).decode(body)
  end
  if value == nil then
    return wrong_answer(connection, request, status, body, body == "" and "empty" or tostring(problem))
  end
  if value == json.null and wanted == "list" then value = {} end -- old servers
  if not IS[wanted](value) then
    return wrong_answer(connection, request, status, body, "not the JSON " .. wanted .. " it should be")
  end
  local flaw, err
  if request.flaw then flaw, err = request.flaw(value, request) end
  if err then return nil, err end
  if flaw then return wrong_answer(connection, request, status, body, flaw) end
  response.json = value
  return response
end

local answer = http.answer

local function is_accepted(accept, status, headers)
  return accept == status or type(accept) == "function" and accept(status, headers)
end

---Sends a request and waits for its answer.
---
---Returns a response for a status of 2xx; else nil and an error. What cannot have
---left this machine is tried again for every method; resets without a byte of an
---answer and 502, 503, 504 only where repeating is harmless, 429 always, after the
---delay the service names, as often as it is throttled; never beyond the deadline. Without an answer `err.sent`
---says whether the request left, in any try. `on_abandon` is called,
---shielded from cancellation, when a part of the request left and no answer came
---because of a deadline, a cancel or Ctrl-C. Raises when what is to be sent
---cannot be JSON.
---@param connection daytona.Connection
---@param request daytona.Request
---@param op? daytona.Op  the first try, under way already
---@return daytona.Response?
---@return daytona.Error?
function http.request(connection, request, op)
  if (connection.hooks or request.trace) and not request.observer then
    return require("daytona.http.hooks").observed(connection, request, http.request)
  end
  local call = not op and prepare(connection, request)
  local streams = request.sink or request.on_progress or request.body_source or request.parts
  local timeout = request.timeout or connection.timeout
  local deadline = timeout > 0 and loop.now() + timeout
  local places = (streams or request.body_file) and require("daytona.http.sources").positions(request)
  local tries -- from the first that failed on
  while true do
    local refusal, errno
    if request.observer then request.observer:begins(call) end
    if request.on_leave then request.on_leave(request, true) end
    if not op then op, refusal, errno = loop.start(call) end
    if not op then return refused(connection, request, unstarted(refusal, errno)) end
    local status, body, more, sent, answered = try_once(connection, request, op, streams)
    if status and request.accept and is_accepted(request.accept, status, more) then
      return { status = status, body = body, headers = more }
    end
    if status and type(body) == "table" and body.number then return body end
    if status and status >= 200 and status < 300 then
      return answer(connection, request, status, body, more)
    end
    local err
    op, call = nil, call or prepare(connection, request)
    tries = tries or { n = 1, failed = 0, redirects = 0, deadline = deadline, places = places }
    call, err = retrying().another(connection, request, tries, call, status, body, more, sent, answered)
    if not call then return nil, err end
    if deadline then call.timeout = math.max(deadline - loop.now(), 0.001) end
  end
end

return http
