-- Apps: their routes, one request after another on each connection, and the sockets.
--
-- lua-http has a server of its own (http.server). It is not used, because it calls
-- `shutdown` on every stream, which spins for ever where an HTTP/1 client has hung up
-- in the middle of a body, and because it begins pipelined requests before the one
-- before them is answered, which the writers of answers.lua do not expect. What
-- it would do beyond that is the twenty lines of `serve_socket` and `App:serve`.
--
-- An HTTP/1 connection whose request is no good is told so (400) and closed; so is one
-- whose body nobody read.

local cqueues = require "cqueues"
local ce = require "cqueues.errno"
local cs = require "cqueues.socket"
local h1_connection = require "http.h1_connection"
local answers = require "daytona.devserver.http.answers"
local failure = require "daytona.devserver.http.failure"
local h2 = require "daytona.devserver.http.h2"
local text = require "daytona.devserver.http.text"
local Request = require "daytona.devserver.http.request"
local Router = require "daytona.devserver.http.router"

local server = {}

local IDLE_TIMEOUT = 70             -- seconds a connection may stay quiet
local HEADER_TIMEOUT = 10
local DRAIN_BYTES = 4 * 1024 * 1024 -- of a body nobody read, before hanging up
local LINGER_SECONDS = 0.5          -- so long an answer may travel before the connection is closed
local LONGEST_LINE = 16384          -- of a head
local LONGEST_NUMBER = 15           -- digits of a length
local BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

local function quiet(_, _, why) return why, why end

local function complain(req, what)
  io.stderr:write("daytona-devserver: ", req.method, " ", req.full_path, ": ", tostring(what), "\n")
end

local App = {}
App.__index = App

-- Routes -----------------------------------------------------------------

---Adds a route. Raises when the same method and pattern exist already.
---@param method string
---@param pattern string
---@param handler fun(req): integer?, any, table?
---@param options? { auth?: boolean|fun(req): boolean }
function App:route(method, pattern, handler, options)
  self.router:add(method, pattern, { handler = handler, auth = options and options.auth })
  return self
end

---Whether a request of that method and path would be handled by a route.
---@param method string
---@param path string  still encoded
---@return boolean
function App:has_route(method, path)
  return self.router:find(method, path) ~= nil
end

local function find_route(app, req)
  if req.outside then return nil end
  local path = req.path
  if app.source == "DAYTONA_API" and #path > 1 then path = path:gsub("/$", "") end
  local route, params = app.router:find(req.method, path)
  if route then req.params = params end
  return route
end

-- One request ------------------------------------------------------------

local function authorized(app, route, req)
  local auth = route and route.auth
  if auth == false then return true end
  if type(auth) == "function" then return auth(req) end
  if app.authenticate then return app.authenticate(req) end
  if not app.key then return true end
  local given = (req.headers.authorization or ""):match("^[Bb]earer%s+(.+)$")
  return given ~= nil and text.same(given, app.key)
end

local function refuse(app, req)
  if app.refuse then app.refuse(req) end
  failure.fail(401, "UNAUTHORIZED", app.source ~= "DAYTONA_DAEMON" and "Invalid credentials"
    or req.headers.authorization and "unauthorized: authentication failed: invalid credentials"
    or "unauthorized: missing authentication: no credentials in the request")
end

local function missing(app, req)
  if app.not_found then return app.not_found(req) end
  if app.source == "DAYTONA_DAEMON" then
    return 404, "404 page not found", { ["content-type"] = "text/plain" }
  end
  failure.fail(404, nil, "Cannot " .. req.method .. " " .. req.full_path)
end

local function run(app, req)
  local other = app.divert and app.divert(req)
  if other then return other() end
  local route = find_route(app, req)
  local public = app.source == "DAYTONA_API" and req.path:sub(1, #Request.ADMIN) ~= Request.ADMIN
  if not route and public then return missing(app, req) end   -- what is not there needs no key
  if not authorized(app, route, req) then refuse(app, req) end
  if not route then return missing(app, req) end
  if app.admit then app.admit(req, route) end
  return route.handler(req)
end

local function attempt(app, req)
  local ok, status, body, headers = xpcall(run, failure.trace, app, req)
  if ok then return status, body, headers end
  local f = status
  if f == failure.hangup then error(f, 0) end
  if not failure.is(f) then
    complain(req, f)
    f = { status = 500, code = "INTERNAL_SERVER_ERROR", message = "Internal server error" }
  end
  if f.body ~= nil then return f.status, f.body, f.headers end
  return (app.envelope or failure.envelope)(req, f)
end

local function answer(app, req)
  local shape = app.faults and app.faults:strike(req)
  local status, body, headers
  req.shaped = shape ~= nil         -- bytes must pass through the answer's writer
  req.fault = shape and shape.fault
  if shape then
    status, body, headers = shape:answer(req, function() return attempt(app, req) end)
  else
    status, body, headers = attempt(app, req)
  end
  if req.upgraded then
    if req.ws then req.ws:close() end
    return
  end
  answers.send(req, status or 200, body, headers, shape)
end

-- The end of connections ---------------------------------------------------

-- Lets the client read what was written last (closing with bytes unread resets the
-- connection, which may overtake them), and closes.
local function close_softly(socket)
  socket:onerror(quiet)
  socket:clearerr("r")
  socket:shutdown("w")
  local deadline, left = cqueues.monotime() + LINGER_SECONDS, DRAIN_BYTES
  while left > 0 do
    local data = socket:xread(-65536, "b", math.max(0, deadline - cqueues.monotime()))
    if not data or data == "" then break end
    left = left - #data
  end
  cqueues.cancel(socket:pollfd())
  socket:close()
end

-- Ends a stream whose request or answer is incomplete. (lua-http's own shutdown of an
-- HTTP/1 stream spins when the client hung up in the middle of a body; taking
-- the socket away first ends it at once.)
local function abandon(stream, last_words)
  local conn = stream.connection
  if conn.version == 2 then
    pcall(stream.shutdown, stream) -- raises when the connection is gone
    return
  end
  local socket = conn:take_socket()
  if not socket then return end
  socket:onerror(quiet)
  if last_words then socket:xwrite(last_words, "bn", LINGER_SECONDS) end
  close_softly(socket)
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

local function handle(app, stream, headers)
  local req = Request.new(app, stream, headers)
  req.at = cqueues.monotime()
  req.last = stream.peer_version == 1.0
    or (req.headers.connection or ""):lower():find("close", 1, true) ~= nil
  app.counts.requests = app.counts.requests + 1
  app.counts.active = app.counts.active + 1
  local ok, err = xpcall(answer, failure.trace, app, req)
  app.counts.active = app.counts.active - 1
  if not ok and err ~= failure.hangup then complain(req, err) end
  if app.on_request then app.on_request(req, req.status) end
  if req.upgraded then return end
  if ok then drain(stream) end
  if stream.state ~= "closed" then abandon(stream) end
end

-- Heads ----------------------------------------------------------------------

local function all_same(first, ...)
  for _, other in ipairs { ... } do
    if other ~= first then return false end
  end
  return true
end

-- Whether it is plain how long the body is. (lua-http lets the first of several lengths
-- count, and takes signs and blanks.)
local function has_clear_length(headers)
  local length = headers:get("content-length")
  local coding = headers:get_comma_separated("transfer-encoding")
  if coding then return not length and coding:lower() == "chunked" end
  return not length or (length:find("^%d+$") and #length <= LONGEST_NUMBER
    and all_same(headers:get("content-length")))
end

local function is_well_formed(headers)
  for _, value in headers:each() do
    if value:find("[%z\1-\8\10-\31\127]") then return false end
  end
  return has_clear_length(headers) and select("#", headers:get(":authority")) <= 1
end

local GONE = { [ce.EPIPE] = true, [ce.ECONNRESET] = true, [ce.ETIMEDOUT] = true }

-- The head of a request; nil when there is none, and then whether the client is there
-- to be told.
local function head_of(stream)
  -- (some headers that cannot be parsed make lua-http raise)
  local ok, headers, err, errno = pcall(stream.get_headers, stream, HEADER_TIMEOUT)
  if not ok then return nil, true end
  if not headers then return nil, err ~= nil and not GONE[errno] end
  if not is_well_formed(headers) then return nil, true end
  return headers
end

-- Connections ------------------------------------------------------------

local function serve_h1(app, conn)
  conn:setmaxline(LONGEST_LINE)
  while not app.stopped and conn.socket do
    local stream = conn:get_next_incoming_stream(IDLE_TIMEOUT)
    if not stream then break end
    local headers, talk = head_of(stream)
    if not headers then
      app.counts.malformed = app.counts.malformed + (talk and 1 or 0)
      return abandon(stream, talk and BAD_REQUEST or nil)
    end
    handle(app, stream, headers)
  end
end

local function serve_stream(app, stream)
  local headers = stream:get_headers(HEADER_TIMEOUT)
  if headers then handle(app, stream, headers) else abandon(stream) end
end

-- What a stream raises must not end the program.
local function serve_h2(app, conn)
  while not app.stopped do
    local stream = conn:get_next_incoming_stream(IDLE_TIMEOUT)
    if not stream then break end
    app.cq:wrap(function()
      local ok, err = xpcall(serve_stream, failure.trace, app, stream)
      if not ok then io.stderr:write("daytona-devserver: stream: ", tostring(err), "\n") end
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
  if version == 2 then return h2.new(socket) end
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

---Serves one connection that was accepted elsewhere, in a coroutine of its own.
---@param socket any
function App:take(socket)
  self.cq = self.cq or cqueues.running()
  self.counts.connections = self.counts.connections + 1
  self.counts.open = self.counts.open + 1
  self.cq:wrap(serve_socket, self, socket)
end

---Accepts connections on a listening cqueues socket until `app:stop()`. Must run
---in a cqueues coroutine.
---@param listener any
function App:serve(listener)
  self.cq = cqueues.running()
  table.insert(self.listeners, listener)
  listener:onerror(quiet)
  while not self.stopped do
    local socket, errno = listener:accept({ nodelay = true }, 0)
    if socket then
      self:take(socket)
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
  for _, listener in ipairs(self.listeners) do
    cqueues.cancel(listener:pollfd())
    listener:close()
  end
end

---@return { connections: integer, open: integer, requests: integer, active: integer, websockets: integer, malformed: integer }
function App:stats()
  local copy = {}
  for name, value in pairs(self.counts) do copy[name] = value end
  return copy
end

---Binds a listening socket on the loopback interface, close-on-exec.
---@param port? integer  0: any
---@param host? string  "127.0.0.1" or "::1"
---@return any? socket, integer|string port_or_message
function server.listen(port, host)
  local ok, socket = pcall(cs.listen, {
    host = host or "127.0.0.1", port = port or 0, reuseaddr = true, v6only = host == "::1" or nil,
  })
  if not ok then return nil, tostring(socket) end
  socket:onerror(function(_, _, why) return why end)
  local bound, errno = socket:listen()
  if not bound then return nil, ce.strerror(errno or 0) end
  local _, _, chosen = socket:localname()
  return socket, chosen
end

local OPTIONS = { "key", "prefix", "authenticate", "envelope", "not_found", "divert", "faults", "clock",
  "on_request", "tls", "legacy", "max_body", "too_large", "refuse", "admit", "version", "read_json" }

---Makes an app (see init.lua).
---@param options table
function server.new(options)
  local app = setmetatable({
    source = options.source or "DAYTONA_API", router = Router.new(), listeners = {},
    counts = { connections = 0, open = 0, requests = 0, active = 0, websockets = 0, malformed = 0 },
  }, App)
  for _, name in ipairs(OPTIONS) do app[name] = options[name] end
  return app
end

return server
