-- A WebSocket server of lua-http in a process of its own, for specs: an
-- implementation that nobody here wrote. LuaJIT runs it; the same file is what
-- specs load.
--
--   local peer = require("spec.support.websocket_peer").start()
--   peer.ws, peer.wss        "ws://127.0.0.1:PORT", the same with TLS
--   peer:close()
--
-- /echo        sends messages back; "close CODE REASON" closes with these
-- /protocols   selects the first subprotocol offered and says it
-- /headers     says the headers X-Test, User-Agent and Authorization
-- /refuse      404 with a JSON body
-- /drop        says "last words" and ends without a close frame
-- /many?N      says the numbers from 1 to N, one a message, and closes
-- /late?N      reads nothing for a while, then N bytes, and says how many
-- /silent      accepts the connection and never answers
--
-- The process ends when this one does.

if not ... or ... == "spec.support.websocket_peer" then
  local Peer = {}
  Peer.__index = Peer

  local HERE = debug.getinfo(1, "S").source:sub(2)

  function Peer:close()
    if self.out then self.out:close() end
    self.out = nil
  end

  local function start()
    local out = assert(io.popen("exec luajit '" .. HERE .. "' serve </dev/null", "r"))
    local plain, secure = out:read("*l", "*l")
    assert(secure, "the WebSocket peer did not start")
    return setmetatable({
      out = out,
      ws = "ws://127.0.0.1:" .. plain,
      wss = "wss://127.0.0.1:" .. secure,
    }, Peer)
  end

  return { start = start }
end

local cqueues = require "cqueues"
local context = require "openssl.ssl.context"
local headers = require "http.headers"
local name = require "openssl.x509.name"
local pkey = require "openssl.pkey"
local server = require "http.server"
local websocket = require "http.websocket"
local x509 = require "openssl.x509"

-- A certificate that nobody has signed.
local function self_signed()
  local key = pkey.new { type = "EC", curve = "prime256v1" }
  local subject = name.new()
  subject:add("CN", "127.0.0.1")
  local certificate = x509.new()
  certificate:setVersion(3)
  certificate:setSerial(1)
  certificate:setSubject(subject)
  certificate:setIssuer(subject)
  certificate:setLifetime(os.time() - 3600, os.time() + 86400)
  certificate:setPublicKey(key)
  certificate:sign(key)
  local ctx = context.new("TLS", true)
  ctx:setPrivateKey(key)
  ctx:setCertificate(certificate)
  return ctx
end

local handlers = {}

function handlers.echo(ws)
  for data, kind in ws:each() do
    local code, reason = data:match "^close (%d+) ?(.*)"
    if code then return ws:close(tonumber(code), reason) end
    ws:send(data, kind)
  end
end

function handlers.protocols(ws, request)
  ws:send((request:get "sec-websocket-protocol"))
  ws:close()
end

function handlers.headers(ws, request)
  for _, field in ipairs { "x-test", "user-agent", "authorization" } do
    ws:send(request:get(field) or "none")
  end
  ws:close()
end

function handlers.drop(ws)
  ws:send "last words"
  ws.socket:flush()
  ws.socket:shutdown "rw"
end

function handlers.many(ws, request)
  for i = 1, tonumber(request:get(":path"):match "%?(%d+)") do ws:send(tostring(i)) end
  ws:close(1000, "done")
end

function handlers.late(ws, request)
  local wanted, got = tonumber(request:get(":path"):match "%?(%d+)"), 0
  cqueues.sleep(0.2)
  while got < wanted do got = got + #ws:receive() end
  ws:send(tostring(got))
  ws:close()
end

local function refuse(stream)
  local answer = headers.new()
  answer:append(":status", "404")
  answer:append("content-type", "application/json")
  stream:write_headers(answer, false)
  stream:write_chunk('{"code":"NOT_FOUND"}', true)
end

local function serve(_, stream)
  local request = assert(stream:get_headers())
  local path = request:get(":path"):match "^/(%w*)"
  if path == "refuse" then return refuse(stream) end
  if path == "silent" then return cqueues.sleep(3600) end
  local ws = assert(websocket.new_from_stream(stream, request))
  local offered = request:get "sec-websocket-protocol"
  assert(ws:accept { protocols = path == "protocols" and { offered:match "^[^,]+" } or nil })
  handlers[path](ws, request)
end

local loop = cqueues.new()

local function listen(ctx)
  local s = assert(server.listen {
    host = "127.0.0.1",
    port = 0,
    tls = ctx ~= nil,
    ctx = ctx,
    cq = loop,
    onstream = serve,
    onerror = function() end, -- clients that go away are what is tested
  })
  assert(s:listen())
  print((select(3, s:localname())))
end

listen(nil)
listen(self_signed())
io.stdout:flush()

-- The reading end of our output closes when the parent does.
loop:wrap(function()
  cqueues.poll { pollfd = 1, events = "r" }
  os.exit(0)
end)

assert(loop:loop())
