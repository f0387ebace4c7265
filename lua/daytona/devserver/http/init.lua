-- The HTTP server kit of the local server: routes, JSON, error envelopes,
-- authentication, streamed bodies, WebSocket hand-over and faults, on lua-http
-- and cqueues. Both the control plane and the toolbox daemon are made of it.
-- It knows no endpoint, no sandbox and no process.
--
-- Making a server:
--
--   local app = httpd.new {
--     key = "secret",             -- bearer key; nil: no authentication
--     source = "DAYTONA_API",     -- or "DAYTONA_DAEMON"; goes into envelopes
--     prefix = "/api",            -- optional: taken off every path (but /__devserver/)
--     authenticate = function(req) return ok end,       -- optional, replaces the key
--     envelope = function(req, failure) return status, body, headers end, -- optional
--     not_found = function(req) return status, body, headers end,         -- optional
--     divert = function(req) return handler end,         -- optional: takes requests that are
--                                    -- not for the routes, and not for the key (nil: it is);
--                                    -- req.source is what their envelopes name
--     faults = faults,            -- optional, from daytona.devserver.http.faults
--     clock = clock,              -- optional, from daytona.devserver.clock
--     tls = context,              -- optional: HTTPS (HTTP/2 when the client offers it)
--     legacy = "0.190",           -- optional: envelopes without code and source
--     on_request = function(req, status) end, -- optional, after each request
--   }
--   app:route("GET", "/sandbox/:id", function(req) return 200, { id = req.params.id } end)
--   app:route("GET", "/health", handler, { auth = false })   -- or auth = function(req)
--   app:serve(socket)             -- inside a cqueues coroutine: accepts until app:stop()
--
-- A pattern is made of literal segments, ":name" (one segment, percent-decoded,
-- so it may contain slashes) and a last "*name" (the rest). Literals win.
--
-- A handler runs in a coroutine of its own connection, may wait with cqueues
-- freely, and returns
--
--   status                        an empty body
--   status, table                 JSON; httpd.array(t) writes [] when t is empty
--   status, string, headers       these bytes (headers = { ["content-type"] = ... })
--   status, function(write), headers
--                                 a streamed body: write(data) gives true, or nil
--                                 once the client is gone. Chunked, unless the
--                                 headers have a content-length
--   nothing, after req:websocket()
--
-- It fails with httpd.fail(status, code, message), which raises and becomes the
-- envelope { statusCode, message, code, source, timestamp, path, method }. Any
-- other error is logged on stderr and becomes a 500. HEAD is routed like any
-- method; the body of its answer is not sent.
--
-- The request:
--
--   req.method  req.path  req.params  req.query  req.headers   (lower-case names)
--     path is without the prefix and still encoded; query[name] is the first value
--   req:values(name)              all values of a repeated query key, as a list
--   req:body(max)                 the whole body (413 above max, 64 MiB by default)
--   req:json()                    decoded object; httpd.fail 400 if it is none
--   req:read(timeout)             next chunk; nil at the end; nil, err if cut off
--   req:gone()                    true once the client has vanished
--   req:wait(timeout, ...)        waits for any of the cqueues pollables, at most
--                                 timeout seconds; returns true if the client is gone
--   req:websocket{ protocols = {...}, headers = {...} }
--                                 upgrades; returns a socket of lua-http's websocket
--                                 (send, receive, close), or fails with 400. It is
--                                 closed when the handler returns, if it is still open
--   req.app, req.started (monotonic seconds)
--   req.shaped                    whether a fault is at work on this request
--   req.fault                     that fault; what it does to a WebSocket is its owner's part
--
-- `app:stats()` counts connections and requests.

local cqueues = require "cqueues"
local ce = require "cqueues.errno"
local cs = require "cqueues.socket"
local psocket = require "posix.sys.socket"
local h1_connection = require "http.h1_connection"
local h2_connection = require "http.h2_connection"
local new_headers = require "http.headers".new
local websocket = require "http.websocket"
local reasons = require "http.h1_reason_phrases"
local json = require "daytona.devserver.http.json"

local httpd = { array = json.array, null = json.null }

local MAX_BODY = 64 * 1024 * 1024
local IDLE_TIMEOUT = 70           -- seconds a connection may stay quiet
local HEADER_TIMEOUT = 10
local DRAIN_BYTES = 4 * 1024 * 1024 -- of a body nobody read, before hanging up
local SLICE = 64 * 1024           -- the largest piece written at once
local JSON_TYPE = "application/json; charset=utf-8"

-- Failures ---------------------------------------------------------------

local Failure = {}
Failure.__index = Failure
Failure.__tostring = function(f) return f.status .. " " .. f.message end

---Ends a handler with an error answer. Raises always.
---@param status integer
---@param code? string
---@param message? string
---@param extra? { headers?: table<string, string>, body?: string|table }  `body` replaces the envelope
function httpd.fail(status, code, message, extra)
  extra = extra or {}
  error(setmetatable({
    status = status, code = code, message = message or reasons[tostring(status)],
    headers = extra.headers, body = extra.body,
  }, Failure), 0)
end

---Whether `e` was raised by `httpd.fail`.
---@return boolean
function httpd.is_failure(e)
  return getmetatable(e) == Failure
end

---The current time as the service writes it.
---@param t? number  seconds since the epoch
---@return string
function httpd.timestamp(t)
  t = t or os.time()
  return os.date("!%Y-%m-%dT%H:%M:%S", t) .. string.format(".%03dZ", (t % 1) * 1000)
end

local function default_envelope(req, failure)
  local new, source = not req.app.legacy, req.source or req.app.source
  return failure.status, {
    statusCode = failure.status,
    error = source == "DAYTONA_API" and reasons[tostring(failure.status)] or nil,
    message = failure.message,
    code = new and failure.code or nil,
    source = new and source or nil,
    timestamp = httpd.timestamp(),
    path = req.full_path,
    method = req.method,
  }, failure.headers
end

-- Text helpers -----------------------------------------------------------

---Undoes percent-encoding.
---@param s string
---@param plus? boolean  "+" is a blank (query strings)
---@return string
function httpd.decode(s, plus)
  if plus then s = s:gsub("%+", " ") end
  return (s:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---Compares in a time that depends on the lengths only.
---@param a string
---@param b string
---@return boolean
function httpd.same(a, b)
  local difference = #a == #b and 0 or 1
  for i = 1, #a do
    if a:byte(i) ~= b:byte((i - 1) % math.max(#b, 1) + 1) then
      difference = difference + 1
    end
  end
  return difference == 0
end

local function parse_query(text)
  local first, all = {}, {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name, value = httpd.decode(name, true), httpd.decode(value, true)
    name = name:gsub("%[%d*%]$", "")   -- states[]=a is how some clients repeat a key
    if first[name] == nil then first[name] = value end
    all[name] = all[name] or {}
    table.insert(all[name], value)
  end
  return first, all
end

-- Requests ---------------------------------------------------------------

local Request = {}
Request.__index = Request

local function new_request(app, stream, headers)
  local req = setmetatable({
    app = app, stream = stream, headers = {}, params = {}, query = {}, all_values = {},
    method = headers:get(":method"), started = cqueues.monotime(),
  }, Request)
  for name, value in headers:each() do
    if name == ":authority" then name = "host" end
    local old = req.headers[name]
    req.headers[name] = old and (old .. ", " .. value) or value
  end
  local target = headers:get(":path") or "/"
  req.target = target
  local path, query = target:match("^([^?]*)%??(.*)$")
  if query ~= "" then req.query, req.all_values = parse_query(query) end
  req.full_path = path
  req.path = path
  if app.prefix and path:sub(1, 13) ~= "/__devserver/" then
    if path:sub(1, #app.prefix) == app.prefix then
      req.path = path:sub(#app.prefix + 1)
      if req.path == "" then req.path = "/" end
    else
      req.outside = true
    end
  end
  req.raw_headers = headers
  return req
end

function Request:values(name)
  return self.all_values[name] or {}
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
  local left = self.stream.body_read_left
  if left and left > 0 then return nil, "the client hung up" end
  return nil
end

function Request:body(max)
  if self.whole then return self.whole end
  max = max or MAX_BODY
  local length = tonumber(self.headers["content-length"])
  if length and length > max then httpd.fail(413, nil, "Payload Too Large") end
  local pieces, size = {}, 0
  while true do
    local chunk, err = self:read()
    if not chunk then
      if err then httpd.fail(400, nil, "incomplete body") end
      break
    end
    size = size + #chunk
    if size > max then httpd.fail(413, nil, "Payload Too Large") end
    pieces[#pieces + 1] = chunk
  end
  self.whole = table.concat(pieces)
  return self.whole
end

---The body as a JSON object (a table). Fails with 400 when it is something else;
---the code is INVALID_REQUEST_BODY in the daemon.
function Request:json()
  local text = self:body()
  local value, err = json.decode(text)
  if type(value) ~= "table" then
    local daemon = self.app.source == "DAYTONA_DAEMON"
    local message = text == "" and "EOF" or err or "expected an object"
    httpd.fail(400, daemon and "INVALID_REQUEST_BODY" or nil,
      (daemon and "invalid body request: " or "") .. message)
  end
  return value
end

---Whether the client has vanished (hung up, or reset the stream).
function Request:gone()
  local conn = self.stream.connection
  if conn.version == 2 then return self.stream.state == "closed" end
  local socket = conn.socket
  if not socket then return not self.upgraded end
  if socket:eof("w") or socket:error("w") then return true end
  if self.stream.state ~= "half closed (remote)" then return false end
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
  elseif conn.socket and conn.socket:pending() == 0
    and self.stream.state == "half closed (remote)" then
    -- (a request pipelined behind this one would wake us for nothing)
    watch = { pollfd = conn.socket:pollfd(), events = "r" }
  end
  local list = { ... }
  if watch then list[#list + 1] = watch end
  list[#list + 1] = timeout
  cqueues.poll(unpack(list))
  return self:gone()
end

---Upgrades this request to a WebSocket. Fails with 400 when it asks for none.
---@param options? { protocols?: string[], headers?: table<string, string> }
function Request:websocket(options)
  options = options or {}
  local ws, err = websocket.new_from_stream(self.stream, self.raw_headers)
  if not ws then
    httpd.fail(400, "BAD_REQUEST", "websocket: " .. tostring(err))
  end
  local headers
  if options.headers then
    headers = new_headers()
    for name, value in pairs(options.headers) do headers:append(name, value) end
  end
  self.upgraded = true
  self.app.counts.websockets = self.app.counts.websockets + 1
  if not ws:accept({ headers = headers, protocols = options.protocols }) then
    error(httpd.hangup, 0)
  end
  self.ws = ws
  self.status = 101
  return ws
end

-- Raised to end a handler whose client is gone: nothing is answered or logged.
httpd.hangup = setmetatable({}, { __tostring = function() return "client hung up" end })

-- Routes -----------------------------------------------------------------

local App = {}
App.__index = App

local function segments(path)
  local list = {}
  for segment in path:gmatch("/([^/]*)") do list[#list + 1] = segment end
  return list
end

---Adds a route. Raises when the same method and pattern exist already.
---@param method string
---@param pattern string
---@param handler fun(req): integer?, any, table?
---@param options? { auth?: boolean|fun(req): boolean }
function App:route(method, pattern, handler, options)
  local node = self.tree
  local names = {}
  for _, segment in ipairs(segments(pattern)) do
    local kind, name = segment:match("^([:*])(.+)$")
    local branch = kind or segment
    if name then names[#names + 1] = name end
    local key = kind and branch or "=" .. branch
    node[key] = node[key] or {}
    node = node[key]
  end
  node.routes = node.routes or {}
  assert(not node.routes[method], "duplicate route " .. method .. " " .. pattern)
  node.routes[method] = {
    handler = handler, names = names, auth = options and options.auth, pattern = pattern,
  }
  return self
end

-- Literal segments first, then one parameter, then the rest; backtracks.
local function search(node, list, i, method, values)
  if i > #list then
    return node.routes and node.routes[method]
  end
  local depth = #values
  local nextnode = node["=" .. list[i]]
  local found = nextnode and search(nextnode, list, i + 1, method, values)
  if found then return found end
  if node[":"] and list[i] ~= "" then
    values[depth + 1] = list[i]
    found = search(node[":"], list, i + 1, method, values)
    if found then return found end
    for k = #values, depth + 1, -1 do values[k] = nil end
  end
  local rest = node["*"]
  if rest and rest.routes and rest.routes[method] then
    values[depth + 1] = table.concat(list, "/", i)
    return rest.routes[method]
  end
end

---Whether a request of that method and path would be handled by a route.
---@param method string
---@param path string  still encoded
---@return boolean
function App:has_route(method, path)
  return search(self.tree, segments(path), 1, method, {}) ~= nil
end

local function find_route(app, req)
  if req.outside then return nil end
  local values = {}
  local route = search(app.tree, segments(req.path), 1, req.method, values)
  if not route then return nil end
  for i, name in ipairs(route.names) do
    req.params[name] = httpd.decode(values[i])
  end
  return route
end

-- Answers ----------------------------------------------------------------
-- A writer hides the protocol version: head(status, headers, length), where a
-- length of nil means chunked; write(data); finish(). All return true, or nil
-- once the connection is unusable. HTTP/1 answers go out in one write.

local H1 = {}
H1.__index = H1

function H1:head(status, headers, length)
  local stream = self.stream
  local lines = { "HTTP/1.1 " .. status .. " " .. (reasons[tostring(status)] or "Unknown") }
  for name, value in pairs(headers) do
    if type(value) == "table" then
      for _, each in ipairs(value) do lines[#lines + 1] = name .. ": " .. each end
    else
      lines[#lines + 1] = name .. ": " .. tostring(value)
    end
  end
  if stream.peer_version == 1.0 then stream.close_when_done = true end
  if length then
    if status ~= 204 and status ~= 304 then lines[#lines + 1] = "content-length: " .. length end
  elseif stream.peer_version == 1.0 then
    stream.close_when_done = true
  else
    lines[#lines + 1] = "transfer-encoding: chunked"
    self.chunked = true
  end
  if stream.close_when_done then lines[#lines + 1] = "connection: close" end
  lines[#lines + 1] = "\r\n"
  stream.body_write_type = "length"   -- tells the stream that an answer is under way
  stream.body_write_left = 0
  self.pending = table.concat(lines, "\r\n")
  return true
end

function H1:raw(data)
  local socket = self.stream.connection.socket
  return socket and socket:xwrite(data, "bn") and true or nil
end

function H1:write(data)
  if self.head_only or data == "" then return true end
  if self.chunked then data = string.format("%x\r\n%s\r\n", #data, data) end
  if self.pending then
    data = self.pending .. data
    self.pending = nil
  end
  return self:raw(data)
end

function H1:flush()
  if not self.pending then return true end
  local data = self.pending
  self.pending = nil
  return self:raw(data)
end

function H1:finish()
  local tail = (self.pending or "") .. ((self.chunked and not self.head_only) and "0\r\n\r\n" or "")
  self.pending = nil
  if tail ~= "" and not self:raw(tail) then return nil end
  local stream = self.stream
  if stream.connection.socket and stream.state ~= "closed" then
    stream:set_state(stream.state == "half closed (remote)" and "closed" or "half closed (local)")
  end
  return true
end

local H2 = {}
H2.__index = H2

function H2:head(status, headers, length)
  local h = new_headers()
  h:append(":status", tostring(status))
  for name, value in pairs(headers) do
    for _, each in ipairs(type(value) == "table" and value or { value }) do
      h:append(name:lower(), tostring(each))
    end
  end
  if length and status ~= 204 and status ~= 304 then h:append("content-length", tostring(length)) end
  self.ended = self.head_only or length == 0
  return self.stream:write_headers(h, self.ended)
end

function H2:write(data)
  if self.ended then return true end
  return self.stream:write_chunk(data, false)
end

function H2.flush() return true end

function H2:finish()
  if self.ended then return true end
  self.ended = true
  return self.stream:write_chunk("", true)
end

local function new_writer(req)
  local kind = req.stream.connection.version == 2 and H2 or H1
  return setmetatable({ stream = req.stream, head_only = req.method == "HEAD" }, kind)
end

---Hangs up at once, with a TCP reset when asked to. For faults.
---@param reset? boolean
function Request:hangup(reset)
  local socket = self.stream.connection.socket
  if socket then
    if reset then
      psocket.setsockopt(socket:pollfd(), psocket.SOL_SOCKET, psocket.SO_LINGER, 1, 0)
    end
    cqueues.cancel(socket:pollfd())
    socket:close()
  end
  self.stream.connection.socket = nil
  error(httpd.hangup, 0)
end

local function as_bytes(body, headers)
  if body == nil then return "" end
  if type(body) == "table" then
    headers["content-type"] = headers["content-type"] or JSON_TYPE
    return json.encode(body)
  end
  return body
end

-- Sends one answer; `shape` (from a fault) may slow or break it.
local function respond(req, status, body, headers, shape)
  local writer = new_writer(req)
  local copy = {}
  for name, value in pairs(headers or {}) do copy[name:lower()] = value end
  req.status = status
  req.answered = true
  local length
  if type(body) ~= "function" then
    body = as_bytes(body, copy)
    length = #body
  else
    length = tonumber(copy["content-length"])
  end
  copy["content-length"] = nil
  if shape then writer = shape:wrap(req, writer, length) end
  if not writer:head(status, copy, length) then return end
  if type(body) == "function" then
    writer:flush()
    if not writer.head_only then
      body(function(data)
        return writer:write(data)
      end)
    end
  else
    for i = 1, #body, SLICE do
      if not writer:write(#body <= SLICE and body or body:sub(i, i + SLICE - 1)) then return end
    end
  end
  writer:finish()
end

-- One request ------------------------------------------------------------

local function authorized(app, route, req)
  local auth = route and route.auth
  if auth == false then return true end
  if type(auth) == "function" then return auth(req) end
  if app.authenticate then return app.authenticate(req) end
  if not app.key then return true end
  local given = (req.headers.authorization or ""):match("^[Bb]earer%s+(.+)$")
  return given ~= nil and httpd.same(given, app.key)
end

local function missing(req)
  local app = req.app
  if app.not_found then return app.not_found(req) end
  if app.source == "DAYTONA_DAEMON" then
    return 404, "404 page not found", { ["content-type"] = "text/plain" }
  end
  httpd.fail(404, nil, "Cannot " .. req.method .. " " .. req.full_path)
end

local function run(app, req)
  local other = app.divert and app.divert(req)
  if other then return other() end
  local route = find_route(app, req)
  if not authorized(app, route, req) then
    local daemon = app.source == "DAYTONA_DAEMON"
    httpd.fail(401, "UNAUTHORIZED", daemon
      and (req.headers.authorization and "unauthorized: authentication failed: invalid credentials"
        or "unauthorized: missing authentication: no credentials in the request")
      or "Unauthorized")
  end
  if not route then return missing(req) end
  return route.handler(req)
end

local function trace(e)
  if httpd.is_failure(e) or e == httpd.hangup then return e end
  return debug.traceback(tostring(e), 2)
end

local function attempt(app, req, fn)
  local ok, status, body, headers = xpcall(fn, trace, app, req)
  if ok then return status, body, headers end
  local failure = status
  if failure == httpd.hangup then error(failure, 0) end
  if not httpd.is_failure(failure) then
    io.stderr:write("daytona-devserver: ", req.method, " ", req.full_path, ": ", failure, "\n")
    failure = { status = 500, code = "INTERNAL_SERVER_ERROR", message = "Internal server error" }
  end
  if failure.body ~= nil then return failure.status, failure.body, failure.headers end
  return (app.envelope or default_envelope)(req, failure)
end

local function answer(app, req)
  local shape = app.faults and app.faults:strike(req)
  local status, body, headers
  req.shaped = shape ~= nil         -- bytes must pass through the answer's writer
  req.fault = shape and shape.fault
  if shape then
    status, body, headers = shape:answer(req, function() return attempt(app, req, run) end)
  else
    status, body, headers = attempt(app, req, run)
  end
  if req.upgraded then
    if req.ws then req.ws:close() end
    return
  end
  respond(req, status or 200, body, headers, shape)
end

local function drain(stream)
  local left = DRAIN_BYTES
  while left > 0 and stream.connection.socket
    and (stream.state == "open" or stream.state == "half closed (local)") do
    local chunk = stream:get_next_chunk(0.5)
    if not chunk then break end
    left = left - #chunk
  end
end

-- Ends a stream whose request or answer is incomplete. (lua-http's own shutdown
-- of an HTTP/1 stream spins when the client hung up in the middle of a body.)
local function abandon(stream)
  local conn = stream.connection
  if conn.version == 2 then return stream:shutdown() end
  if conn.socket then conn.socket:shutdown() end
  stream:set_state("closed")
end

local function handle(app, stream, headers)
  local req = new_request(app, stream, headers)
  app.counts.requests = app.counts.requests + 1
  app.counts.active = app.counts.active + 1
  local ok, err = xpcall(answer, trace, app, req)
  app.counts.active = app.counts.active - 1
  if not ok and err ~= httpd.hangup then
    io.stderr:write("daytona-devserver: ", req.method, " ", req.full_path, ": ", tostring(err), "\n")
  end
  if app.on_request then app.on_request(req, req.status) end
  if req.upgraded then return end
  if ok then drain(stream) end
  if stream.state ~= "closed" then abandon(stream) end
end

-- Connections ------------------------------------------------------------

local function quiet(_, _, why) return why, why end

local function serve_h1(app, conn)
  while not app.stopped and conn.socket do
    local stream = conn:get_next_incoming_stream(IDLE_TIMEOUT)
    if not stream then break end
    local headers = stream:get_headers(HEADER_TIMEOUT)
    if not headers then
      stream:shutdown()
      break
    end
    if not (headers:get("content-length") or "0"):find("^%d+$") then
      conn.socket:xwrite("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "bn")
      abandon(stream)
      break
    end
    handle(app, stream, headers)
  end
end

local function serve_h2(app, conn)
  while not app.stopped do
    local stream = conn:get_next_incoming_stream(IDLE_TIMEOUT)
    if not stream then break end
    app.cq:wrap(function()
      local headers = stream:get_headers(HEADER_TIMEOUT)
      if headers then handle(app, stream, headers) else stream:shutdown() end
    end)
  end
end

local function open_connection(app, socket)
  socket:setmode("b", "b")
  socket:onerror(quiet)
  local version = 1.1
  if app.tls then
    if not socket:starttls(app.tls, HEADER_TIMEOUT) then return nil end
    local ssl = socket:checktls()
    if ssl and ssl:getAlpnSelected() == "h2" then version = 2 end
  end
  if version == 2 then return h2_connection.new(socket, "server") end
  return h1_connection.new(socket, "server", 1.1)
end

local function serve_socket(app, socket)
  local conn
  local ok, err = xpcall(function()
    conn = open_connection(app, socket)
    if not conn then
      socket:close()
    else
      if conn.version == 2 then serve_h2(app, conn) else serve_h1(app, conn) end
      if conn.socket then conn:close() end
    end
  end, debug.traceback)
  if not ok then
    io.stderr:write("daytona-devserver: connection: ", tostring(err), "\n")
    if conn and conn.socket then conn.socket:close() end
  end
  app.counts.open = app.counts.open - 1
end

---Accepts connections on a listening cqueues socket until `app:stop()`. Must run
---in a cqueues coroutine.
---@param listener any
function App:serve(listener)
  self.cq = cqueues.running()
  self.listener = listener
  listener:onerror(quiet)
  while not self.stopped do
    local socket, errno = listener:accept({ nodelay = true }, 0)
    if socket then
      self.counts.connections = self.counts.connections + 1
      self.counts.open = self.counts.open + 1
      self.cq:wrap(serve_socket, self, socket)
    elseif errno == ce.ETIMEDOUT or errno == ce.EAGAIN then
      cqueues.poll(listener)
    elseif errno == ce.EMFILE or errno == ce.ENFILE then
      collectgarbage()
      cqueues.sleep(0.05)
    else
      cqueues.sleep(0.01)
    end
  end
end

---Stops accepting. Requests under way go on.
function App:stop()
  if self.stopped then return end
  self.stopped = true
  if self.listener then
    cqueues.cancel(self.listener:pollfd())
    self.listener:close()
  end
end

---@return { connections: integer, open: integer, requests: integer, active: integer, websockets: integer }
function App:stats()
  local copy = {}
  for name, value in pairs(self.counts) do copy[name] = value end
  return copy
end

---Binds a listening socket on the loopback interface, close-on-exec.
---@param port? integer  0: any
---@return any? socket, integer|string port_or_message
function httpd.listen(port)
  local ok, socket = pcall(cs.listen, {
    host = "127.0.0.1", port = port or 0, reuseaddr = true, family = cs.AF_INET,
  })
  if not ok then return nil, tostring(socket) end
  socket:onerror(function(_, _, why) return why end)
  local bound, errno = socket:listen()
  if not bound then return nil, ce.strerror(errno or 0) end
  local _, _, chosen = socket:localname()
  return socket, chosen
end

---Makes an app (see the top of this file).
function httpd.new(options)
  return setmetatable({
    key = options.key,
    source = options.source or "DAYTONA_API",
    prefix = options.prefix,
    authenticate = options.authenticate,
    envelope = options.envelope,
    not_found = options.not_found,
    divert = options.divert,
    faults = options.faults,
    clock = options.clock,
    on_request = options.on_request,
    tls = options.tls,
    legacy = options.legacy,
    tree = {},
    counts = { connections = 0, open = 0, requests = 0, active = 0, websockets = 0 },
  }, App)
end

return httpd
