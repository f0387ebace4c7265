-- One request, as a handler sees it (the fields and methods are listed in init.lua),
-- over a stream of lua-http.
--
-- Of lua-http's streams this file uses, beside what its manual lists, `state` and the
-- connection's `socket`: nothing else tells whether a client that waits for its answer
-- has hung up.

local cqueues = require "cqueues"
local ce = require "cqueues.errno"
local psocket = require "posix.sys.socket"
local new_headers = require "http.headers".new
local websocket = require "http.websocket"
local failure = require "daytona.devserver.http.failure"
local json = require "daytona.devserver.http.json"
local text = require "daytona.devserver.http.text"

local Request = { ADMIN = "/__devserver/" }   -- below it are the calls of the local server alone
Request.__index = Request

local MAX_BODY = 64 * 1024 * 1024
local ADMIN = Request.ADMIN

local function header_fields(headers)
  local fields = {}
  for name, value in headers:each() do
    if name == ":authority" then name = "host" end
    local old = fields[name]
    fields[name] = old and (old .. ", " .. value) or value
  end
  return fields
end

-- The path that routes see; nothing below another prefix than the app's is for them.
local function set_path(req, prefix)
  req.path = req.full_path
  if not prefix or req.path:sub(1, #ADMIN) == ADMIN then return end
  if req.path:sub(1, #prefix) ~= prefix then
    req.outside = true
    return
  end
  req.path = req.path:sub(#prefix + 1)
  if req.path == "" then req.path = "/" end
end

---@param app table
---@param stream table
---@param headers table  of lua-http
function Request.new(app, stream, headers)
  local target = headers:get(":path") or "/"
  local path, query = target:match("^([^?]*)%??(.*)$")
  local req = setmetatable({
    app = app, stream = stream, headers = header_fields(headers), raw_headers = headers,
    params = {}, method = headers:get(":method"), target = target, full_path = path,
    started = cqueues.monotime(),
  }, Request)
  req.query, req.all_values = text.query(query)
  set_path(req, app.prefix)
  return req
end

function Request:values(name)
  return self.all_values[name] or {}
end

-- Bodies -------------------------------------------------------------------------

-- (A body that ends early is no error in lua-http's eyes: the stream stays open.)
local function ended(stream)
  return stream.state ~= "open" and stream.state ~= "half closed (local)"
end

---The next piece of the request body: a string, nil at the end, or nil and a
---message when the client hung up or went quiet for `timeout` seconds.
function Request:read(timeout)
  if not self.reading then
    self.reading = true
    if (self.headers.expect or ""):lower() == "100-continue" then
      self.stream:write_continue()
    end
  end
  local chunk, err, errno = self.stream:get_next_chunk(timeout)
  if chunk then return chunk end
  if err or errno then return nil, err or ce.strerror(errno) end
  if not ended(self.stream) then return nil, "the client hung up" end
  return nil
end

local function too_large(req)
  if req.app.too_large and req.path:sub(1, #ADMIN) ~= ADMIN then req.app.too_large(req) end
  failure.fail(413, nil, "Payload Too Large")
end

local function limit_of(req, max)
  if max then return max end
  if req.path:sub(1, #ADMIN) == ADMIN then return MAX_BODY end
  return req.app.max_body or MAX_BODY
end

function Request:body(max)
  if self.whole then return self.whole end
  max = limit_of(self, max)
  local length = tonumber(self.headers["content-length"])
  if length and length > max then too_large(self) end
  local pieces, size = {}, 0
  while true do
    local chunk, err = self:read()
    if not chunk then
      if err then failure.fail(400, nil, "incomplete body") end
      break
    end
    size = size + #chunk
    if size > max then too_large(self) end
    pieces[#pieces + 1] = chunk
  end
  self.whole = table.concat(pieces)
  return self.whole
end

---The body as a JSON object (a table). Fails with 400 when it is something else;
---the code is INVALID_REQUEST_BODY in the daemon.
function Request:json()
  local body = self:body()
  local value, err = json.decode(body)
  if self.app.read_json then return self.app.read_json(self, body, value, err) end
  if type(value) ~= "table" then
    local daemon = self.app.source == "DAYTONA_DAEMON"
    local message = body == "" and "EOF" or err or "expected an object"
    failure.fail(400, daemon and "INVALID_REQUEST_BODY" or nil,
      (daemon and "invalid body request: " or "") .. message)
  end
  return value
end

-- Clients that leave ---------------------------------------------------------------

---Whether the client has vanished (hung up, or reset the stream).
function Request:gone()
  local conn = self.stream.connection
  if conn.version == 2 then return self.stream.state == "closed" end
  local socket = conn.socket
  if not socket then return not self.upgraded end
  if socket:eof("w") or socket:error("w") then return true end
  if not ended(self.stream) then return false end
  local ok, _, errno = socket:fill(1, 0)
  if ok then return false end
  if errno == ce.ETIMEDOUT or errno == ce.EAGAIN then
    socket:clearerr("r")
    return false
  end
  return true
end

function Request:wait(timeout, ...)
  if self:gone() then return true end
  local conn = self.stream.connection
  local watch
  if conn.version == 2 then
    watch = self.stream.chunk_cond
  elseif conn.socket and conn.socket:pending() == 0 and ended(self.stream) then
    -- (a request pipelined behind this one would wake us for nothing)
    watch = { pollfd = conn.socket:pollfd(), events = "r" }
  end
  local list = { ... }
  if watch then list[#list + 1] = watch end
  list[#list + 1] = timeout
  cqueues.poll(unpack(list))
  return self:gone()
end

---Hangs up at once, with a TCP reset when asked to. For faults.
---@param reset? boolean
function Request:hangup(reset)
  local conn = self.stream.connection
  local socket = conn.socket
  if socket then
    if reset then
      psocket.setsockopt(socket:pollfd(), psocket.SOL_SOCKET, psocket.SO_LINGER, 1, 0)
    end
    conn.socket = nil
    cqueues.cancel(socket:pollfd())
    socket:close()
  end
  error(failure.hangup, 0)
end

---Sends bytes as they are, without regard to HTTP. For faults.
---@param bytes string
function Request:raw(bytes)
  local socket = self.stream.connection.socket
  if socket then socket:xwrite(bytes, "bn") end
end

-- WebSockets -----------------------------------------------------------------------

---Upgrades this request to a WebSocket. Fails with 400 when it asks for none.
---@param options? { protocols?: string[], headers?: table<string, string> }
function Request:websocket(options)
  options = options or {}
  -- (lua-http raises where a header cannot be parsed)
  local ok, ws, err = pcall(websocket.new_from_stream, self.stream, self.raw_headers)
  if not ok or not ws then
    failure.fail(400, "BAD_REQUEST", "websocket: " .. (ok and tostring(err) or "invalid header"))
  end
  local headers
  if options.headers then
    headers = new_headers()
    for name, value in pairs(options.headers) do headers:append(name, value) end
  end
  self.upgraded = true
  self.app.counts.websockets = self.app.counts.websockets + 1
  if not ws:accept({ headers = headers, protocols = options.protocols }) then
    error(failure.hangup, 0)
  end
  self.ws = ws
  self.status = 101
  return ws
end

return Request
