-- The service's events, as they come: one connection a client, open while somebody
-- listens and half a minute longer, so that one wait after the other finds it open.
--
-- It runs by itself, in the rounds of the loop, and waits for nothing: frames are taken
-- as they arrive, and a connection that breaks is made again after a while, a different
-- one in each process. Every event of the organization comes; who listens for an object
-- hears of that alone. Nothing is told twice: after a break whoever waits must look.
--
-- It only ever makes something faster or cheaper: where the service has no events, or
-- they cannot be had, waits go on by looking.

local connections = require "daytona.http.connection"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local random = require "daytona.base.random"
local socket_io = require "daytona.http.socket_io"
local websocket = require "daytona.http.websocket"

local event_stream = {}

-- How long it stays open when nobody listens; at most between tries, of which the moment is
-- random so that ten thousand processes do not come back as one; without a word the server
-- is not believed to be there. Seconds. A frame has so many bytes at most.
local LINGER, FIRST_DELAY, LONGEST_DELAY, SILENCE = 30, 5, 30, 60
local LARGEST = 4 * 1024 * 1024

-- So many events are remembered, without what they were about.
local REMEMBERED = 200

-- Answers that may be others a little later. What else is no WebSocket says that there
-- are no events, or none for us.
local PASSING = { [408] = true, [429] = true, [500] = true, [502] = true, [503] = true, [504] = true }

---@class daytona.EventStream
---@field client daytona.Client
---@field op? daytona.Op        the connection, from when it is being opened
---@field engine? userdata      that it is of: after a fork it is the parent's
---@field live boolean          we are let in: events come
---@field proven boolean        one has come
---@field refused? daytona.Error  why there will never be any
---@field heard number          when the last frame came
---@field failures integer      inside a row
---@field next_try number       not before
---@field timer? table          of the next try
---@field left_at number        when the last listener went
---@field recent { at: integer, name: string, id: string, old?: string, new?: string }[]  the last of all events
---@field leaving? daytona.Op   a connection that is being closed
---@field listeners table<daytona.Listener, true>  weak, as those by key: who forgets one hears no more
---@field by_key table<string, table<daytona.Listener, true>>
local Stream = {}
Stream.__index = Stream

---Who hears of one object, or of all.
---@class daytona.Listener
---@field stream daytona.EventStream
---@field key? string     "sandbox ID"; nil: everything
---@field latch daytona.Latch
---@field news? table     the object in the last event, as it came
---@field look boolean    something may have been missed
---@field on_event? fun(name: string, kind: string, object: table, payload: table)
---@field on_gap? fun()
---@field closed? boolean
local Listener = {}
Listener.__index = Listener

--- Telling ---------------------------------------------------------------------------------

local WEAK = { __mode = "k" }

local function wake(listener)
  listener.latch:open()
end

local function is_wanted(self)
  return next(self.listeners) ~= nil
end

-- Nobody listens any more: the connection keeps nobody awake, and is closed by and by.
local function let_rest(self)
  self.left_at = loop.now()
  if self.timer then
    loop.untimer(self.timer)
    self.timer = nil
  end
  if self.op then loop.rest(self.op, true) end
end

-- After a break, or the beginning: what happened before is not told.
local function everybody_looks(self)
  for listener in pairs(self.listeners) do
    listener.look = true
    if listener.on_gap then listener.on_gap() end
    wake(listener)
  end
end

---What an event is about: kind and object, as it came. nil for what nobody knows here.
---@param name string
---@param payload table
---@return string? kind  "sandbox", "snapshot", "volume", "runner"
---@return table? object
function event_stream.subject(name, payload)
  local kind = name:match "^(%l+)%."
  local object = kind and type(payload[kind]) == "table" and payload[kind] or payload
  if type(object.id) ~= "string" then return nil end
  return kind, object
end

local function remember(self, name, object, payload)
  local recent = self.recent
  if #recent >= REMEMBERED then table.remove(recent, 1) end
  recent[#recent + 1] = {
    at = os.time(), name = name, id = object.id, old = payload.oldState or payload.oldDesiredState,
    new = payload.newState or payload.newDesiredState,
  }
end

local function tell(self, name, payload)
  local kind, object = event_stream.subject(name, payload)
  if not kind then return end
  remember(self, name, object, payload)
  for listener in pairs(self.by_key[kind .. " " .. object.id] or {}) do
    listener.news, listener.look = object, listener.look or name:find "%.removed$" ~= nil
    wake(listener)
  end
  for listener in pairs(self.by_key.all or {}) do
    listener.on_event(name, kind, object, payload)
    wake(listener)
  end
end

--- The connection ----------------------------------------------------------------------------

local open, ended

-- Lets the connection go; what is there of it is closed properly where that can be.
local function drop(self)
  local op = self.op
  self.op, self.live, self.proven = nil, false, false
  if op then loop.close(op) end
end

local function leave(self)
  local op = self.op
  if op and op.transfer:is_open() then
    op.transfer:send(socket_io.LEAVE, true)
    op.transfer:finish(1000)
    self.op, self.live, self.proven = nil, false, false
    self.leaving = op  -- until it is done: who forgets an op ends it
    loop.on(op, core.DONE, function() if self.leaving == op then self.leaving = nil end end)
    loop.rest(op, true)
  else
    drop(self)
  end
end

local function refuse(self, err)
  self.refused = err
  drop(self)
  everybody_looks(self)
end

local function error_of(self, message)
  return errors.new { kind = "auth", operation = "events", message = message, what = self.client.api_url }
end

local FRAMES = {
  open = function(self)
    self.op.transfer:send(socket_io.connect(connections.credential_of(self.client.connection)), true)
  end,
  ping = function(self, with)
    if not is_wanted(self) and loop.now() - self.left_at >= LINGER then return leave(self) end
    self.op.transfer:send(socket_io.pong(with), true)
  end,
  connected = function(self)
    self.live, self.failures = true, 0
    everybody_looks(self)
  end,
  refused = function(self, why)
    -- The server leaves the connection open: it is ours to close.
    refuse(self, error_of(self, "the service refuses to tell its events: " .. why))
  end,
  event = function(self, name, payload)
    self.proven = true
    tell(self, name, payload)
  end,
  left = function(self) ended(self) end,
}

local function take(self, text)
  self.heard = loop.now()
  if not self.op.resting and not is_wanted(self) then let_rest(self) end
  local kind, value, payload = socket_io.parse(text)
  local react = FRAMES[kind]
  if react then react(self, value, payload) end
end

-- Everything that has come. It may end the connection on the way.
local function receive(self, op)
  while self.op == op do
    local text = op.transfer:receive()
    if not text then break end
    take(self, text)
  end
  if self.op == op and op.done then ended(self) end
end

-- Until the next try: a random part of a time that grows.
local function schedule(self)
  if self.timer then return end
  self.timer = loop.timer(math.max(self.next_try - loop.now(), 0), function()
    self.timer = nil
    if is_wanted(self) and not self.op then open(self) end
  end)
end

-- The connection is no more, for whatever reason.
function ended(self)
  local op = self.op
  local status, code = op.transfer:result()
  drop(self)
  if status == false and not PASSING[code] then
    self.refused = errors.new {
      kind = "unsupported", status = code, operation = "events", what = self.client.api_url,
      message = ("this service tells no events (it answered %d)"):format(code),
    }
  end
  local longest = math.min(FIRST_DELAY * 2 ^ self.failures, LONGEST_DELAY)
  self.failures = self.failures + 1
  self.next_try = loop.now() + longest * random.chance()
  if not is_wanted(self) then return end
  for listener in pairs(self.listeners) do wake(listener) end -- they look for themselves now
  if not self.refused then schedule(self) end
end

local function query_of(self)
  local query = { socket_io.QUERY[1], socket_io.QUERY[2], { "source", "sdk-lua" } }
  if self.client.organization_id then query[#query + 1] = { "organizationId", self.client.organization_id } end
  return query
end

function open(self)
  local op = websocket.begin(self.client.connection, {
    path = socket_io.PATH, query = query_of(self), max_message = LARGEST, operation = "events",
  })
  if not op then return end
  self.op, self.engine = op, loop.engine()
  loop.on(op, core.READABLE + core.DONE, function()
    if self.op == op then receive(self, op) end
  end)
end

-- Sees to it that there is a connection, or will be one.
local function need(self)
  if self.engine and self.engine ~= loop.engine() then -- it was the parent's, before a fork
    self.op, self.engine, self.timer, self.live, self.proven = nil, nil, nil, false, false
  end
  if self.op then return loop.rest(self.op, false) end
  if self.refused then return end
  if self.next_try > loop.now() then return schedule(self) end
  open(self)
end

--- Listening -----------------------------------------------------------------------------------

local function stream_of(client)
  local stream = rawget(client, "_stream")
  if stream then return stream end
  stream = setmetatable({
    client = client, live = false, proven = false, heard = 0, failures = 0, next_try = 0, left_at = 0,
    listeners = setmetatable({}, WEAK), by_key = {}, recent = {},
  }, Stream)
  rawset(client, "_stream", stream)
  return stream
end

---Begins to listen, for one object or (`on_event`) for everything. nil where there are no
---events to be had. Does not wait.
---@param client daytona.Client
---@param key? string  "sandbox ID"
---@param on_event? fun(name: string, kind: string, object: table, payload: table)  must not wait
---@param on_gap? fun()  events may have been missed; must not wait
---@return daytona.Listener?
---@return daytona.Error?
function event_stream.listen(client, key, on_event, on_gap)
  local self = stream_of(client)
  if self.refused then return nil, self.refused end
  local listener = setmetatable({
    stream = self, key = key or "all", latch = new_latch(), look = false, on_event = on_event, on_gap = on_gap,
  }, Listener)
  local same = self.by_key[listener.key] or setmetatable({}, WEAK)
  self.by_key[listener.key] = same
  same[listener], self.listeners[listener] = true, true
  need(self)
  return listener
end

---Whether what happens to the object is told from now on, so that nobody need look.
---@return boolean
function Listener:is_told()
  local stream = self.stream
  return stream.live and loop.now() - stream.heard < SILENCE
end

---Whether events have come at all, so that it is known that they do.
---@return boolean
function Listener:is_sure()
  return self.stream.proven and self:is_told()
end

---Waits until there is something new, or to look for. true, or nil, err ("timeout",
---"canceled").
---@param deadline? number
---@return true?
---@return daytona.Error?
function Listener:wait(deadline)
  local fine, err = loop.join(self.latch, deadline)
  if self.latch.is_open then self.latch = new_latch() end
  if not fine then return nil, err end
  return true
end

---Takes the news: the object in the last event, or nil; and whether something may have
---been missed.
---@return table?
---@return boolean
function Listener:take()
  local news, look = self.news, self.look
  self.news, self.look = nil, false
  return news, look
end

---Ends it. Idempotent.
function Listener:close()
  local stream = self.stream
  if not stream.listeners[self] then return end
  local same = stream.by_key[self.key]
  stream.listeners[self], same[self] = nil, nil
  if not next(same) then stream.by_key[self.key] = nil end
  self.closed = true
  wake(self)
  if not is_wanted(stream) then let_rest(stream) end
end

---What has been told of an object lately, the oldest first: what was heard while somebody
---listened, no more.
---@param client daytona.Client
---@param id string
---@return { at: integer, name: string, old?: string, new?: string }[]
function event_stream.recent(client, id)
  local stream, list = rawget(client, "_stream"), {}
  for _, event in ipairs(stream and stream.recent or {}) do
    if event.id == id then list[#list + 1] = event end
  end
  return list
end

---Ends the connection, with the client's.
function Stream:stop()
  for listener in pairs(self.listeners) do listener:close() end
  if self.engine == loop.engine() then drop(self) end
end

return event_stream
