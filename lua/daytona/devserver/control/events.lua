-- What happens, told to who listens: Socket.IO over a WebSocket, /api/socket.io/, as the
-- service does it. There is nothing to subscribe to: every connection with the key gets
-- every event. A connection with a wrong one is told so, and stays open.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local httpd = require "daytona.devserver.http"
local failure = require "daytona.devserver.http.failure"
local json = require "daytona.devserver.http.json"
local sandboxes = require "daytona.devserver.control.sandboxes"

local Events = {}
Events.__index = Events

local PING_INTERVAL, PING_TIMEOUT = 25, 20   -- seconds, as the handshake says
local LAG = 0.02                             -- seconds after which an event goes out
local LONGEST_QUEUE = 10000

---@param clock table
---@param describe table<string, fun(record: table): table>  what is published of each kind
function Events.new(clock, describe)
  return setmetatable({ clock = clock, describe = describe, listeners = {}, count = 0, pending = {} }, Events)
end

-- What happens -----------------------------------------------------------------------------

local function send(listener, text)
  local queue = listener.queue
  if #queue >= LONGEST_QUEUE then listener.closed = true else queue[#queue + 1] = text end
  listener.wake:signal()
end

-- Sends what is due, in order, until there is nothing more.
local function flush(self)
  while self.pending[1] do
    local event = table.remove(self.pending, 1)
    local left = event.due - cqueues.monotime()
    if left > 0 then cqueues.sleep(left) end
    local text = "42" .. json.encode { event.name, event.make() }
    for listener in pairs(self.listeners) do send(listener, text) end
  end
  self.flushing = false
end

local function tell(self, name, make)
  if self.count == 0 then return end
  table.insert(self.pending, { name = name, make = make, due = cqueues.monotime() + LAG })
  if self.flushing then return end
  self.flushing = true
  cqueues.running():wrap(flush, self)
end

---Something of a kind ("sandbox", "snapshot", "volume") was made.
function Events:created(kind, record)
  if self.count == 0 then return end
  local body = self.describe[kind](record)
  tell(self, kind .. ".created", function() return body end)
end

---Its state changed. What goes out shows it as it is then.
function Events:moved(kind, record, old, new)
  tell(self, kind .. ".state.updated", function()
    return { [kind] = self.describe[kind](record), oldState = old, newState = new }
  end)
end

---The state that a sandbox should have changed.
function Events:desired(record, old, new)
  tell(self, "sandbox.desired-state.updated", function()
    return { sandbox = self.describe.sandbox(record), oldDesiredState = old, newDesiredState = new }
  end)
end

function Events:removed(kind, record)
  if self.count == 0 then return end
  local body = self.describe[kind](record)
  tell(self, kind .. ".removed", function() return body end)
end

-- Connections ------------------------------------------------------------------------------

local function write(listener, text)
  return listener.ws:send(text, "text") and true or nil
end

local function faulted(listener)
  local fault = listener.fault
  if not fault or not fault.messages or listener.sent < fault.messages then return false end
  if fault.close_code and fault.close_code ~= "none" then
    listener.ws:close(fault.close_code, fault.close_reason, 0)
  end
  listener.req:hangup(fault.reset)
  return true
end

-- Sends what is queued, and pings, as long as the connection lasts.
local function pump(self, listener)
  local next_ping = self.clock:now() + PING_INTERVAL
  while not listener.closed do
    local text = table.remove(listener.queue, 1)
    if text then
      if faulted(listener) or not write(listener, text) then break end
      listener.sent = listener.sent + 1
    else
      self.clock:wait_until(next_ping, listener.wake)
      if self.clock:now() >= next_ping then
        if listener.waiting_pong then break end
        listener.waiting_pong = self.clock:now() + PING_TIMEOUT
        next_ping = self.clock:now() + PING_INTERVAL
        send(listener, "2")
      end
    end
  end
end

-- What sends; however it ends, so does the connection.
local function writer(self, listener)
  local ok, err = xpcall(pump, failure.trace, self, listener)
  if not ok and err ~= failure.hangup then io.stderr:write("daytona-devserver: events: ", tostring(err), "\n") end
  listener.closed = true
  listener.ws:close(1000, nil, 0)
end

local function admit(self, listener, text)
  local auth = json.decode(text:sub(3))
  local token = type(auth) == "table" and auth.token
  if type(token) ~= "string" or not httpd.same(token, self.key) then
    return send(listener, '44{"message":"Unauthorized"}')
  end
  if not self.listeners[listener] then
    self.listeners[listener] = true
    self.count = self.count + 1
  end
  send(listener, "40" .. json.encode { sid = sandboxes.token(10) })
end

local function leave(self, listener)
  if self.listeners[listener] then
    self.listeners[listener] = nil
    self.count = self.count - 1
  end
end

-- One text of the client. False when it wants to go.
local function hear(self, listener, text)
  local kind = text:sub(1, 2)
  if kind == "40" then
    admit(self, listener, text)
  elseif kind == "41" then
    leave(self, listener)        -- the connection stays
  elseif text:sub(1, 1) == "3" then
    listener.waiting_pong = nil
  elseif text:sub(1, 1) == "2" then
    send(listener, "3" .. text:sub(2))
  end
  return text:sub(1, 1) ~= "1"
end

---GET /socket.io/
function Events:serve(req)
  if req.query.transport ~= "websocket" or req.query.EIO ~= "4" then
    httpd.fail(400, nil, nil, { body = { code = 0, message = "Transport unknown" } })
  end
  local listener = { req = req, ws = req:websocket(), queue = {}, wake = condition.new(), sent = 0, fault = req.fault }
  send(listener, "0" .. json.encode {
    sid = sandboxes.token(10), upgrades = json.array {}, pingInterval = PING_INTERVAL * 1000,
    pingTimeout = PING_TIMEOUT * 1000, maxPayload = 1000000,
  })
  cqueues.running():wrap(writer, self, listener)
  while not listener.closed do
    local text = listener.ws:receive()
    if not text or not hear(self, listener, text) then break end
  end
  leave(self, listener)
  listener.closed = true
  listener.wake:signal()
end

return Events
