-- A scripted HTTP/1.1 peer, the program behind spec/support/peer.lua. LuaJIT.
--
-- The path of a request chooses what happens to it; /__... are questions about
-- what has happened. It listens on a free port of 127.0.0.1, prints that port
-- and ends when whoever reads its output goes away. It is no web server: just
-- enough of HTTP to misbehave on purpose.

local ffi = require "ffi"
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

ffi.cdef [[
struct dt_linger { int l_onoff; int l_linger; };
int setsockopt(int fd, int level, int name, const void *value, unsigned size);
]]

local loop = cqueues.new()
local changed = condition.new() -- signalled whenever one of these changes:
local connections = 0           -- that brought a request so far
local open = 0                  -- those that are open now
local total = 0                 -- requests so far (here and above: no questions)
local requests = {}             -- by path: how many have arrived
local bodies = {}               -- by path: whose body has arrived in full
local hangups = {}              -- by path of the last request: connections that
                                -- the client closed
local released = {}             -- by path: how often /__release was asked
local behaviour = {}            -- by first word of the path

--- Reading and writing -----------------------------------------------------------

local function decode(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function read_query(text)
  local query = {}
  for name, value in (text or ""):gmatch("([^&=]+)=?([^&]*)") do
    query[decode(name)] = decode(value)
  end
  return query
end

-- The head of the next request, or nil at the end of the connection.
local function read_head(sock)
  local line = sock:read("*l")
  if not line then return nil end
  local request = { line = line:gsub("\r$", ""), lines = {}, headers = {} }
  local target
  request.method, target = line:match("^(%S+) (%S+)")
  request.target = target or "/"
  local path, query = request.target:match("^([^?]*)%??(.*)$")
  request.path, request.query = path, read_query(query)
  for header in sock:lines("*l") do
    header = header:gsub("\r$", "")
    if header == "" then return request end
    local name, value = header:match("^([^:]+):%s*(.-)%s*$")
    request.lines[#request.lines + 1] = header
    if name then request.headers[name:lower()] = value end
  end
end

local function read_chunked(sock)
  local chunks = {}
  while true do
    local line = sock:read("*l")
    local size = line and tonumber(line:match("^%x+"), 16)
    if not size then return nil end
    local data = size > 0 and sock:read(size) or ""
    sock:read("*l")
    if size == 0 then return table.concat(chunks) end
    chunks[#chunks + 1] = data
  end
end

local function read_body(sock, request)
  if request.headers.expect then sock:write("HTTP/1.1 100 Continue\r\n\r\n") end
  if request.headers["transfer-encoding"] == "chunked" then return read_chunked(sock) end
  local length = tonumber(request.headers["content-length"] or 0)
  if length == 0 then return "" end
  return sock:read(length)
end

local function reply(sock, status, body, headers)
  local head = { ("HTTP/1.1 %d Scripted"):format(status) }
  for i = 1, headers and #headers or 0 do head[#head + 1] = headers[i] end
  if status ~= 204 and status ~= 304 then
    head[#head + 1] = "Content-Length: " .. #body
  end
  sock:write(table.concat(head, "\r\n"), "\r\n\r\n", body)
end

-- Closes so that the client sees a reset instead of an end.
local function reset(sock)
  local SOL_SOCKET, SO_LINGER = 1, 13
  local linger = ffi.new("struct dt_linger", 1, 0)
  ffi.C.setsockopt(sock:pollfd(), SOL_SOCKET, SO_LINGER, linger, ffi.sizeof(linger))
  return "close"
end

local function seconds(request, default)
  return (tonumber(request.query.ms) or default) / 1000
end

-- Waits until the client hangs up (nothing more is expected from it).
local function until_hangup(sock)
  sock:read(1)
  return "hangup"
end

-- Waits until a count has changed. Whether the client hung up instead.
local function change_or_hangup(sock)
  local watch = { pollfd = sock:pollfd(), events = "r" }
  for _, what in ipairs { cqueues.poll(changed, watch) } do
    if what == watch and not sock:read(1) then return true end
  end
  return false
end

local function pattern(n)
  return (("0123456789abcdef"):rep(math.ceil(n / 16)):sub(1, n))
end

local PIECE = pattern(65536)

local function write_bytes(sock, n, write)
  for _ = 1, math.floor(n / #PIECE) do write(sock, PIECE) end
  if n % #PIECE > 0 then write(sock, PIECE:sub(1, n % #PIECE)) end
end

local function write_plain(sock, data)
  sock:write(data)
end

local function write_chunk(sock, data)
  sock:write(("%x\r\n"):format(#data), data, "\r\n")
end

--- Behaviours ----------------------------------------------------------------------
-- Each gets the socket, the request and the rest of the path. "close" ends the
-- connection, "hangup" says that the client did; otherwise the next request is
-- read from it.

-- /ok, /status/503: the answer {"status":503}. ?header=Name:value adds one.
function behaviour.status(sock, request, rest)
  local status = tonumber(rest) or 200
  local headers = { "Content-Type: application/json", request.query.header }
  reply(sock, status, ('{"status":%d}'):format(status), headers)
end

behaviour.ok = behaviour.status

-- /reply?status=&type=&body=&header=: exactly that.
function behaviour.reply(sock, request)
  local query = request.query
  local headers = { "Content-Type: " .. (query.type or "text/plain"), query.header }
  reply(sock, tonumber(query.status) or 200, query.body or "", headers)
end

-- /echo: the request as it came, head and body, as text.
function behaviour.echo(sock, request)
  local head = request.line .. "\n" .. table.concat(request.lines, "\n") .. "\n\n"
  reply(sock, 200, head .. (request.body or ""), { "Content-Type: text/plain" })
end

-- /packed/HEX/...: the file whose path that is in hexadecimal, as a gzip stream where one is taken
-- (and with ?unasked=1 to anybody); else {"asked":false}.
function behaviour.packed(sock, request, rest)
  local taken = (request.headers["accept-encoding"] or ""):find("gzip", 1, true)
  local headers = { "Content-Type: application/json" }
  if not taken and not request.query.unasked then return reply(sock, 200, '{"asked":false}', headers) end
  local path = rest:match("^%x+"):gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
  local file = assert(io.open(path, "rb"))
  headers[2] = "Content-Encoding: gzip"
  reply(sock, tonumber(request.query.status) or 200, file:read "*a", headers)
  file:close()
end

-- /size: how many bytes the body had.
function behaviour.size(sock, request)
  reply(sock, 200, tostring(#(request.body or "")))
end

-- /headers: names in odd letter cases, repeated, without value.
function behaviour.headers(sock)
  reply(sock, 200, "", {
    "X-One: 1", "x-TWICE: a", "X-Twice:b  ", "X-Empty:", "Set-Cookie: c=1", "Set-Cookie: d=2",
  })
end

-- /bytes/N, /chunked/N: N bytes 0123456789abcdef0123...
function behaviour.bytes(sock, _, rest)
  local n = tonumber(rest)
  sock:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(n))
  write_bytes(sock, n, write_plain)
end

function behaviour.chunked(sock, _, rest)
  sock:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
  write_bytes(sock, tonumber(rest), write_chunk)
  sock:write("0\r\n\r\n")
end

-- /delay?ms=100: an answer after that time.
function behaviour.delay(sock, request, rest)
  cqueues.sleep(seconds(request, 100))
  return behaviour.status(sock, request, rest)
end

-- /hold: an answer once /__release?path=... was asked (with the same path).
function behaviour.hold(sock, request)
  local path = request.path
  local before = request.arrived_after_releases
  while released[path] == before do
    if change_or_hangup(sock) then return "hangup" end
  end
  reply(sock, 200, "released")
end

-- /never: not a byte, ever.
behaviour.never = until_hangup

-- /slow-headers?ms=20, /slow-body?ms=20&n=10: a byte at a time.
behaviour["slow-headers"] = function(sock, request)
  for byte in ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"):gmatch(".") do
    if not sock:write(byte) then return "hangup" end
    cqueues.sleep(seconds(request, 20))
  end
end

behaviour["slow-body"] = function(sock, request)
  local n = tonumber(request.query.n) or 10
  sock:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(n))
  for i = 1, n do
    cqueues.sleep(seconds(request, 20))
    if not sock:write(PIECE:sub((i - 1) % 16 + 1, (i - 1) % 16 + 1)) then return "hangup" end
  end
end

-- /stall: the head and half of the body, then nothing.
function behaviour.stall(sock)
  sock:write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
  return until_hangup(sock)
end

-- /truncate, /truncate-chunked: the end comes too early.
function behaviour.truncate(sock)
  sock:write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
  return "close"
end

behaviour["truncate-chunked"] = function(sock)
  sock:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")
  return "close"
end

-- /close-before, /reset-before: no answer. /reset-mid: a reset in the body.
behaviour["close-before"] = function()
  return "close"
end

behaviour["reset-before"] = reset

behaviour["reset-mid"] = function(sock)
  sock:write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
  return reset(sock)
end

-- /garbage: bytes that are not HTTP.
function behaviour.garbage(sock)
  sock:write("\0\1\2 this is not HTTP\r\n\r\n")
  return "close"
end

-- /close: an answer that closes the connection.
function behaviour.close(sock)
  reply(sock, 200, "bye", { "Connection: close" })
  return "close"
end

-- /redirect?to=URL&status=302
function behaviour.redirect(sock, request)
  reply(sock, tonumber(request.query.status) or 302, "", { "Location: " .. (request.query.to or "/ok") })
end

-- /sequence/NAME/502,reset-before,200: the first request gets the first of
-- these, and so on; the last one is repeated. Statuses or behaviours.
function behaviour.sequence(sock, request, rest)
  local steps = {}
  for step in rest:match("[^/]*$"):gmatch("[^,]+") do steps[#steps + 1] = step end
  local step = steps[math.min(requests[request.path], #steps)]
  if tonumber(step) then return behaviour.status(sock, request, step) end
  return behaviour[step](sock, request, "")
end

-- /unread: takes the head of an upload and reads nothing of its body (and so
-- does not notice a hangup).
function behaviour.unread()
  while true do cqueues.sleep(3600) end
end

--- Questions -----------------------------------------------------------------------

local question = {}

local function lua_table(map)
  local out = {}
  for key, n in pairs(map) do out[#out + 1] = ("[%q]=%d"):format(key, n) end
  return "{" .. table.concat(out, ",") .. "}"
end

-- /__stats: a Lua table of counts.
function question.stats(sock)
  reply(sock, 200, ("return{connections=%d,open=%d,total=%d,requests=%s,bodies=%s,hangups=%s}"):format(
    connections, open, total, lua_table(requests), lua_table(bodies), lua_table(hangups)))
end

-- /__wait?path=/hold&n=1&what=requests: answers when so many requests of that
-- path have arrived (or "bodies", or "hangups" of the client).
function question.wait(sock, request)
  local query = request.query
  local counts = ({ bodies = bodies, hangups = hangups })[query.what] or requests
  local n = tonumber(query.n) or 1
  while (counts[query.path] or 0) < n do changed:wait() end
  reply(sock, 200, "")
end

-- /__release?path=/hold
function question.release(sock, request)
  local path = request.query.path
  released[path] = (released[path] or 0) + 1
  changed:signal()
  reply(sock, 200, "")
end

--- Serving -------------------------------------------------------------------------

local function count(counts, path)
  counts[path] = (counts[path] or 0) + 1
  changed:signal()
end

local function serve_behaviour(sock, request)
  local word, rest = request.path:match("^/([^/]*)/?(.*)$")
  total = total + 1
  released[request.path] = released[request.path] or 0
  request.arrived_after_releases = released[request.path]
  count(requests, request.path)
  if word ~= "unread" then
    request.body = read_body(sock, request)
    if not request.body then return "hangup" end
    count(bodies, request.path)
  end
  if not behaviour[word] then return reply(sock, 404, "no such behaviour") end
  return behaviour[word](sock, request, rest)
end

-- Answers a question; false when the request is none.
local function serve_question(sock, request)
  local name = request.path:match("^/__(.*)")
  if not name then return false end
  if question[name] then
    question[name](sock, request)
  else
    reply(sock, 404, "no such question")
  end
  return true
end

-- A connection counts from its first request that is no question.
local function serve(sock)
  sock:setmode("bn", "bn")
  sock:onerror(function(_, _, why) return why end)
  local path, ending
  local request = read_head(sock)
  while request do
    if not serve_question(sock, request) then
      if not path then connections, open = connections + 1, open + 1 end
      path = request.path
      ending = serve_behaviour(sock, request)
    end
    request = not ending and read_head(sock)
  end
  if path then open = open - 1 end
  if path and ending ~= "close" then count(hangups, path) end
  sock:close()
end

local server = socket.listen { host = "127.0.0.1", port = 0 }
local _, _, port = server:localname()
io.stdout:write(port, "\n")
io.stdout:flush()

loop:wrap(function()
  for client in server:clients { nodelay = true } do loop:wrap(serve, client) end
end)

-- The reading end of our output closes when the parent does.
loop:wrap(function()
  cqueues.poll { pollfd = 1, events = "r" }
  os.exit(0)
end)

assert(loop:loop())
