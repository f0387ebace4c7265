-- WebSockets to a sandbox's daemon: opened over a connection of http.lua, with
-- its headers, TLS, proxy and errors; messages are waited for through the loop.
--
--   local socket = websocket.open(connection, { path = "/x", operation = "pty" })
--   socket:send("hello", true)
--   local data = socket:receive()
--   socket:close()
--
-- Nothing here knows an endpoint or what is said over it, and a connection that
-- breaks stays broken: taking up again is for who knows where to go on.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local http = require "daytona.http"
local loop = require "daytona.loop"

local websocket = {}

local HEADERS, READABLE, WRITABLE, DONE = core.HEADERS, core.READABLE, core.WRITABLE, core.DONE

-- Seconds for the answer to the opening; for the other side's part of closing.
local OPEN_TIMEOUT, CLOSE_TIMEOUT = 30, 2

-- Seconds between signs of life where nothing else is said: proxies want to see them, and
-- a line that is lost without a word shows by them, before two such intervals and a quarter
-- are over.
websocket.ping_interval = 20

---@class daytona.SocketRequest
---@field path string             appended to the connection's base
---@field query? table            list of {name, value}, or a map
---@field headers? table<string, string>
---@field protocols? string       offered, "a, b"
---@field timeout? number         seconds until it is open, 30; 0 none
---@field idle_timeout? number    seconds without a byte either way
---@field ping_interval? number   seconds, 20; at its multiples, those of all sockets
---together, silent peers are pinged, and must answer until the next one; 0 none
---@field patient? boolean        before anything came from the peer no ping needs an answer
---@field max_message? integer    bytes; the connection's max_bytes
---@field safe? boolean           opening it twice is harmless
---@field retries? integer        the connection's max_retries
---@field operation? string       for errors
---@field what? string            for errors
---@field sandbox? any            for errors
---@field secrets? string[]       more texts that errors must not show

---@class daytona.Socket
---@field code? integer    after the end: the other side's close code
---@field reason? string   and its reason
---@field op daytona.Op
---@field closed? boolean  by us: who still waits for a message is told "canceled"
local Socket = {}
Socket.__index = Socket
Socket.__name = "daytona.Socket"

---@private
function Socket:__tostring()
  return "websocket (" .. (self.op.done and "closed" or "open") .. ")"
end

--- Opening ---------------------------------------------------------------------------

local function positive(seconds)
  return seconds and seconds > 0 and seconds or nil
end

local function core_options(connection, request)
  local target = connection.base .. request.path
  if request.query then target = target .. require "daytona.http.query"(request.query) end
  local lines
  for name, value in pairs(request.headers or {}) do
    lines = lines or {}
    lines[#lines + 1] = name .. ": " .. value
  end
  return {
    url = target, headers = lines, protocols = request.protocols, profile = connection.profile,
    max_message = request.max_message or connection.max_bytes,
    connect_timeout = positive(connection.connect_timeout),
    open_timeout = positive(request.timeout or OPEN_TIMEOUT),
    idle_timeout = positive(request.idle_timeout),
    ping_interval = positive(request.ping_interval or websocket.ping_interval), patient = request.patient,
    close_timeout = CLOSE_TIMEOUT,
  }
end

-- The error of an op that is done, whatever it ended with.
local function ending(op, context)
  local status, code, message, errno = op.transfer:result()
  if status == false then -- refused: an HTTP answer
    if code >= 400 then
      return failure.from_response({ status = code, body = message, headers = op.transfer:headers() }, context), code
    end
    return errors.new {
      kind = "protocol", code = "upgrade", status = code, operation = context.operation, what = context.what,
      sandbox = context.sandbox, message = "the server answered without opening a WebSocket",
    }, code
  elseif status then
    return errors.new {
      kind = "connection", code = "closed", operation = context.operation, what = context.what,
      sandbox = context.sandbox, secrets = context.secrets,
      message = string.format("the server closed the connection (%d%s)", status,
        code ~= "" and ": " .. code or ""),
    }
  end
  return failure.from_transport(code or "canceled", message, errno, context)
end

---Begins to open a WebSocket and waits for nothing: for who is called when something
---happens to it (`loop.on`). It is tried once. nil where that cannot even be begun.
---@param connection daytona.Connection
---@param request daytona.SocketRequest
---@return daytona.Op?
function websocket.begin(connection, request)
  return (loop.open(core_options(connection, request)))
end

local function explained(err, context)
  err.operation, err.what, err.sandbox = err.operation or context.operation, err.what or context.what,
    err.sandbox or context.sandbox
  return err
end

-- One try: the op, or nil, err, whether another may follow.
local function try(connection, request, context)
  local op, refusal = loop.open(core_options(connection, request))
  if not op then
    return nil, errors.new {
      kind = "invalid", code = "bad_argument", message = tostring(refusal), operation = context.operation,
      what = context.what, sandbox = context.sandbox, secrets = context.secrets,
    }
  end
  local happened, why = loop.wait(op, HEADERS)
  if happened and op.transfer:is_open() then return op end
  -- It may have been opened and closed again already: that is for `receive`.
  if happened and op.transfer:status() == 101 then return op end
  if not happened then
    why.sent = op.transfer:trace()
    loop.close(op)
    return nil, explained(why, context)
  end
  local err, status = ending(op, context)
  local sent = op.transfer:trace()
  loop.close(op)
  if status then return nil, err, status == 429 or (request.safe and err.retryable) end
  err.sent = sent
  return nil, err, err.retryable and (request.safe or not sent)
end

---Opens a WebSocket and waits until it is open. A refusal is the error that the
---same answer to a request would be. Tried again after failures to connect and
---429; with `safe`, after all that may pass (502, 503, resets) too.
---@param connection daytona.Connection
---@param request daytona.SocketRequest
---@return daytona.Socket?
---@return daytona.Error?
function websocket.open(connection, request)
  local context = http.context_of(connection, request)
  local limit = request.timeout or OPEN_TIMEOUT
  local deadline = limit > 0 and loop.now() + limit or nil
  local tries = 0
  while true do
    local op, err, again = try(connection, request, context)
    if op then return setmetatable({ op = op, context = context }, Socket) end
    tries = tries + 1
    if not again or tries > (request.retries or connection.max_retries) then return nil, err end
    local slept, why = http.pause(http.delay_after(err, tries), deadline)
    if slept == false then return nil, err end
    if not slept then return nil, explained(why, context) end
  end
end

--- Messages ----------------------------------------------------------------------------

-- Everything was received: false, code, reason of a proper close; else nil, err.
local function at_end(self)
  local op = self.op
  if not op.done then
    local happened, why = loop.wait(op, DONE)
    if not happened then return nil, explained(why, self.context) end
  end
  local code, reason = op.transfer:result()
  if not code then return nil, ending(op, self.context) end
  self.code, self.reason = code, reason
  return false, code, reason
end

---The next message and whether it is text. When the other side has closed the
---connection: false, its code (1005: none) and reason. nil and an error when it
---broke, when `deadline` passed (kind "timeout", code "wait": it stays open) or
---the task was cancelled.
---@param deadline? number  on the clock of `loop.now`
---@param plain? boolean    after `deadline` there is no error: nil alone
---@return string|false|nil
---@return boolean|integer|daytona.Error|nil
---@return string? reason
function Socket:receive(deadline, plain)
  local op = self.op
  local transfer = op.transfer
  while true do
    local rested, stopped = loop.breathe()
    if not rested then return nil, explained(stopped, self.context) end
    if self.closed then return nil, failure.from_transport("canceled", nil, nil, self.context) end
    local data, more, message = transfer:receive()
    if data then return data, more end
    if data == false then return at_end(self) end
    if more then return nil, failure.from_transport(more, message, nil, self.context) end
    local happened, why = loop.wait(op, READABLE, deadline, plain)
    if not happened then return nil, why and explained(why, self.context) end
  end
end

---When anything first came since it was opened, were it the answer to a ping, on
---the clock of `loop.now`; nil: nothing yet.
---@return number?
function Socket:heard()
  return self.op.transfer:heard()
end

---The next message if it has arrived, else nil. Never waits.
---@return string?
---@return boolean? text
function Socket:ready()
  local data, text = self.op.transfer:receive()
  if data then return data, text end
end

---Sends a message, waiting while too much is on its way already. true, or nil
---and an error when the connection is over, `deadline` passed or the task was
---cancelled: then nothing of it was sent.
---@param data string
---@param text? boolean    as text; it must be UTF-8
---@param deadline? number on the clock of `loop.now`
---@return true?
---@return daytona.Error?
function Socket:send(data, text, deadline)
  local op = self.op
  while true do
    if self.closed then return nil, failure.from_transport("canceled", nil, nil, self.context) end
    local taken, code, message = op.transfer:send(data, text)
    if taken then return true end
    if taken == nil then
      if op.done then return nil, (ending(op, self.context)) end
      return nil, failure.from_transport(code, message, nil, self.context)
    end
    local happened, why = loop.wait(op, WRITABLE, deadline)
    if not happened then return nil, explained(why, self.context) end
  end
end

local function finish(self, code, reason)
  self.op.transfer:finish(code, reason)
  loop.wait(self.op, DONE, loop.now() + CLOSE_TIMEOUT)
end

---Says goodbye properly and waits, for at most 2 seconds, until that is
---answered. Messages that still come are dropped. Idempotent.
---@param code? integer   1000
---@param reason? string  at most 123 bytes
function Socket:close(code, reason)
  if not self.op.done and self.op.transfer:is_open() then loop.shield(finish, self, code, reason) end
  self:abort()
end

---Ends the connection at once, without a word. Never waits. Idempotent.
function Socket:abort()
  self.closed = true
  loop.close(self.op)
end

---Whether the connection is over (messages may still be there to be received).
---@return boolean
function Socket:done()
  return self.op.done
end

return websocket
