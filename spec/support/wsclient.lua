-- A WebSocket client for specs, made of lua-http; run by LuaJIT with one
-- argument, the name of a file of JSON:
--
--   { url, headers = {}, protocols = [], steps = [ { after, send, kind, close } ], timeout }
--
-- Each step waits until `after` (text) has been seen in what arrived since the
-- step before, then sends or closes. Every event is printed as one line:
-- "open PROTOCOL", "text HEX", "binary HEX", "pong HEX", "close CODE HEX-OF-REASON", "gone".

local cqueues = require "cqueues"
local json = require "cjson"
local websocket = require "http.websocket"

local file = assert(io.open(arg[1], "rb"))
local plan = json.decode(file:read "*a")
file:close()

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local function hex(data)
  return (data:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local ws = websocket.new_from_uri(plan.url, plan.protocols)
for name, value in pairs(plan.headers or {}) do ws.request.headers:append(name:lower(), value) end
local deadline = cqueues.monotime() + (plan.timeout or 20)
local ok, err = ws:connect(10)
if not ok then
  say("refused", tostring(err))
  os.exit(1)
end
say("open", ws.protocol or "")

-- lua-http keeps pongs to itself.
for i = 1, 60 do
  local name, read_frame = debug.getupvalue(ws.receive, i)
  if name == "read_frame" then
    debug.setupvalue(ws.receive, i, function(...)
      local frame, why, errno = read_frame(...)
      if frame and frame.opcode == 0xA then say("pong", hex(frame.data)) end
      return frame, why, errno
    end)
  end
end

local seen, step = "", 1
local function advance()
  while plan.steps and plan.steps[step] do
    local now = plan.steps[step]
    if now.after then
      local _, last = seen:find(now.after, 1, true)
      if not last then return end
      seen = seen:sub(last + 1)
    end
    step = step + 1
    if now.send then ws:send(now.send, now.kind or "text") end
    if now.ping then ws:send_ping(now.ping) end
    if now.drop then ws.socket:shutdown() os.exit(0) end
    if now.close then ws:close(now.close) os.exit(0) end
  end
end

advance()
while true do
  local data, kind, code = ws:receive(deadline - cqueues.monotime())
  if not data then
    local closed = ws.got_close_code
    if type(closed) == "number" then
      say("close", closed, hex(ws.got_close_message or ""))
    else
      say("gone", tostring(kind), tostring(code))
    end
    break
  end
  say(kind, hex(data))
  if plan.steps and plan.steps[step] then
    seen = seen .. data
    advance()
  end
end
