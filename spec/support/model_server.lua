-- A scripted server of a model, the program behind spec/support/model.lua. LuaJIT. It prints
-- its port, and ends when whoever reads its output goes away.

local cqueues = require "cqueues"
local json = require "daytona.http.json"
local socket = require "cqueues.socket"

local script, requests, served = {}, {}, 0

local function read_request(sock)
  local line = sock:read "*l"
  if not line then return nil end
  local request = { path = line:match "^%S+ (%S+)", headers = {} }
  for header in sock:lines "*l" do
    header = header:gsub("\r$", "")
    if header == "" then break end
    local name, value = header:match "^([^:]+):%s*(.-)%s*$"
    request.headers[name:lower()] = value
  end
  local length = tonumber(request.headers["content-length"] or "0")
  request.body = length > 0 and sock:read(length) or ""
  return request
end

local REASON = " Said\r\n"

local function write_answer(sock, entry)
  local head = { "HTTP/1.1 " .. (entry.status or 200) .. REASON .. "Content-Type: text/event-stream\r\n" }
  for name, value in pairs(entry.headers or {}) do head[#head + 1] = name .. ": " .. value .. "\r\n" end
  head[#head + 1] = "Transfer-Encoding: chunked\r\n\r\n"
  sock:write(table.concat(head))
  local size = entry.piece or math.max(#entry.body, 1)
  for at = 1, #entry.body, size do
    local piece = entry.body:sub(at, at + size - 1)
    sock:write(("%x\r\n"):format(#piece), piece, "\r\n")
    sock:flush()
    if entry.piece then cqueues.sleep(0) end
  end
  if entry.hold then
    sock:flush()
    sock:read(1)
  elseif not entry.cut then
    sock:write "0\r\n\r\n"
  end
end

local function answer_json(sock, value)
  local text = assert(json.encode(value))
  sock:write("HTTP/1.1 200 OK\r\nContent-Length: ", #text, "\r\n\r\n", text)
end

local function serve_one(sock, request)
  if request.path == "/__script" then
    script, requests, served = assert(json.decode(request.body)), {}, 0
    return answer_json(sock, { ok = true })
  elseif request.path == "/__requests" then
    return answer_json(sock, json.array(requests))
  end
  requests[#requests + 1] = { path = request.path, headers = request.headers, body = request.body }
  if request.path:find "tokens$" then return answer_json(sock, { input_tokens = script.count or 1 }) end
  served = served + 1
  local entry = script.entries[math.min(served, #script.entries)]
  write_answer(sock, entry)
  return entry.cut
end

local function serve(sock)
  sock:setmode("bn", "bf")
  for request in function() return read_request(sock) end do
    local cut = serve_one(sock, request)
    sock:flush()
    if cut then break end
  end
  sock:close()
end

local loop = cqueues.new()
local listener = socket.listen { host = "127.0.0.1", port = 0 }
listener:listen()
local _, _, port = listener:localname()
print(port)
io.stdout:flush()
loop:wrap(function()
  for sock in listener:clients { nodelay = true } do
    sock:onerror(function(_, _, code) return code end)
    loop:wrap(function() serve(sock) end)
  end
end)
loop:wrap(function()
  cqueues.poll { pollfd = 1, events = "r" } -- nobody reads our output any more
  os.exit(0)
end)
assert(loop:loop())
