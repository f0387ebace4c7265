-- A daemon that says what a spec wants it to say, right or wrong, over HTTP and
-- WebSockets; in a process of its own. The script travels in the address:
--
--   local peer = require("spec.support.scripted_daemon").start()
--   local sandbox = peer:sandbox { ["/process/pty/x/connect"] = {
--     { "text", '{"type":"control","status":"connected"}' },
--     { "binary", "$ " }, { "receive" }, { "close", 1011, '{"exitCode":3}' },
--   } }
--   peer:close()
--
-- Steps: { "status", 404, body, content_type } a plain answer; { "text", data },
-- { "binary", data }, { "many", count, kind, data, times } (each data:rep(times));
-- { "say", header } sends the request's header (":path") as text; { "receive" }
-- waits for a message, { "quote" } sends the last one back as an interpreter's
-- output; { "raw", "820161" } sends bytes as they are, in hexadecimal; { "sleep",
-- seconds }; { "deaf" } reads nothing any more; { "close", code, reason }; { "drop" }
-- ends the connection without a word. After the last step the peer waits until the
-- client goes. A path without a script is
-- answered 404, as an old daemon does. The process ends when this one does.

if not ... or ... == "spec.support.scripted_daemon" then
  local base64 = require "daytona.base.native".base64
  local cjson = require "cjson"
  local Peer = {}
  Peer.__index = Peer

  local HERE = debug.getinfo(1, "S").source:sub(2)

  ---A sandbox object whose daemon follows the script, reached at another address
  ---where one is given. Its client repeats nothing.
  function Peer:sandbox(script, url)
    local sandbox = self.client:attach "scripted"
    sandbox.toolbox_proxy_url = (url or self.url) .. "/" .. base64(cjson.encode(script), true)
    return sandbox
  end

  function Peer:close()
    if self.out then self.out:close() end
    self.out = nil
  end

  local function start()
    local out = assert(io.popen("exec luajit '" .. HERE .. "' serve </dev/null", "r"))
    local port = out:read "*l"
    assert(port, "the scripted daemon did not start")
    local client = assert(require "daytona".new {
      api_key = "secret-key", api_url = "http://127.0.0.1:1", max_retries = 0,
    })
    return setmetatable({ out = out, url = "http://127.0.0.1:" .. port, client = client }, Peer)
  end

  return { start = start }
end

local cjson = require "cjson"
local cqueues = require "cqueues"
local headers = require "http.headers"
local server = require "http.server"
local websocket = require "http.websocket"
local base64 = require "basexx"

local Talk = {}
Talk.__index = Talk

function Talk:text(data) self.ws:send(data, "text") end
function Talk:binary(data) self.ws:send(data, "binary") end

function Talk:many(count, kind, data, times)
  data = data:rep(times or 1)
  for _ = 1, count do self.ws:send(data, kind) end
end

function Talk:say(header) self.ws:send(self.request:get(header) or "none", "text") end
function Talk:receive() self.last = self.ws:receive() end
function Talk:quote() self.ws:send(cjson.encode { type = "stdout", text = self.last }, "text") end

function Talk:raw(hex)
  self.ws.socket:write((hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)))
  self.ws.socket:flush()
end

function Talk:deaf() cqueues.sleep(3600) end -- luacheck: ignore 212
function Talk:sleep(seconds) cqueues.sleep(seconds) end -- luacheck: ignore 212

function Talk:close(code, reason)
  self.over = true
  self.ws:close(code, reason)
end

function Talk:drop()
  self.over = true
  self.ws.socket:flush()
  self.ws.socket:shutdown "rw"
end

local function answer(stream, status, body, kind)
  local head = headers.new()
  head:append(":status", tostring(status))
  head:append("content-type", kind or "application/json")
  stream:write_headers(head, false)
  stream:write_chunk(body or "", true)
end

local function converse(stream, request, steps)
  local ws = assert(websocket.new_from_stream(stream, request))
  assert(ws:accept {})
  local talk = setmetatable({ ws = ws, request = request }, Talk)
  for _, step in ipairs(steps) do talk[step[1]](talk, unpack(step, 2)) end
  while not talk.over do
    if not ws:receive() then talk.over = true end
  end
end

local function serve(_, stream)
  local request = assert(stream:get_headers())
  local script, path = request:get(":path"):match "^/([^/]+)/[^/]+([^?]*)"
  local steps = cjson.decode(base64.from_url64(script))[path]
  if not steps then return answer(stream, 404, "404 page not found", "text/plain") end
  if steps[1] and steps[1][1] == "status" then return answer(stream, unpack(steps[1], 2)) end
  converse(stream, request, steps)
end

local loop = cqueues.new()
local listener = assert(server.listen {
  host = "127.0.0.1", port = 0, cq = loop, onstream = serve,
  onerror = function() end, -- clients that go away are what is tested
})
assert(listener:listen())
print((select(3, listener:localname())))
io.stdout:flush()

-- The reading end of our output closes when the parent does.
loop:wrap(function()
  cqueues.poll { pollfd = 1, events = "r" }
  os.exit(0)
end)

assert(loop:loop())
