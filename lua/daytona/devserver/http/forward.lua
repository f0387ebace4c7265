--- Hands a request of the kit to an HTTP server on a port of this machine, and
-- its answer back: bodies as they come, WebSockets too. Knows no sandbox.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local socket = require "cqueues.socket"
local httpd = require "daytona.devserver.http"

local forward = {}

local CONNECT_SECONDS = 5
local LARGEST_HEAD = 256 * 1024
local BLOCK = 65536

-- Headers that concern one connection.
local HOP = {
  connection = true, ["keep-alive"] = true, ["proxy-connection"] = true, te = true,
  trailer = true, ["transfer-encoding"] = true, upgrade = true, expect = true,
}

-- What opened the way here, and is not the other server's business.
local KEYS = { authorization = true, ["x-daytona-preview-token"] = true }

local function without_keys(name, value)
  return not KEYS[name] and value or nil
end

local function quiet(_, _, why) return why end

local function connect(host, port)
  local peer = socket.connect { host = host, port = port, nodelay = true }
  peer:onerror(quiet)
  local ok = peer:connect(CONNECT_SECONDS)
  if ok and ok ~= 0 and type(ok) ~= "number" then
    peer:setmode("b", "bn")
    peer:setvbuf("full", BLOCK)
    peer:setmaxline(LARGEST_HEAD)
    return peer
  end
  peer:close()
end

local function close(peer)
  cqueues.cancel(peer:pollfd())
  peer:close()
end

local function is_upgrade(req)
  return (req.headers.upgrade or "") ~= "" and (req.headers.connection or ""):lower():find "upgrade"
end

local function request_head(req, target, o)
  local lines = { ("%s %s HTTP/1.1"):format(req.method, target) }
  local chunked = req.headers["transfer-encoding"] ~= nil
  for name, value in req.raw_headers:each() do
    if name == ":authority" then name = "host" end
    if name:sub(1, 1) ~= ":" and not HOP[name] and not (chunked and name == "content-length") then
      value = (o.pass or without_keys)(name, value)
      if value then lines[#lines + 1] = name .. ": " .. value end
    end
  end
  for name, value in pairs(o.headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  if is_upgrade(req) then
    lines[#lines + 1] = "connection: Upgrade"
    lines[#lines + 1] = "upgrade: " .. req.headers.upgrade
  else
    lines[#lines + 1] = "connection: close"
    if chunked then lines[#lines + 1] = "transfer-encoding: chunked" end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function send_request(req, peer, target, o)
  if not peer:xwrite(request_head(req, target, o), "bn") then return nil end
  local chunked = req.headers["transfer-encoding"] ~= nil
  if not chunked and not req.headers["content-length"] then return true end
  while true do
    local chunk = req:read(120)
    if not chunk then break end
    if chunked and chunk ~= "" then chunk = ("%x\r\n%s\r\n"):format(#chunk, chunk) end
    if not peer:xwrite(chunk, "bn") then return nil end
  end
  return not chunked or peer:xwrite("0\r\n\r\n", "bn")
end

local function read_head(peer)
  local line = peer:xread("*L", "b")
  local status = line and tonumber(line:match "^HTTP/1%.[01] (%d%d%d)")
  if not status then return nil end
  local headers = {}
  for _ = 1, 1000 do
    line = peer:xread("*L", "b")
    if not line then return nil end
    if line == "\r\n" or line == "\n" then return status, headers end
    local name, value = line:match "^([^:%s]+):[ \t]*(.-)%s*$"
    if name then
      name = name:lower()
      headers[name] = headers[name] or {}
      table.insert(headers[name], value)
    end
  end
end

-- Passes on `count` bytes, or all up to the end. False when they were cut off.
local function copy(peer, count, write)
  while count ~= 0 do
    local data = peer:xread(-math.min(count or BLOCK, BLOCK), "b")
    if not data or data == "" then return count == nil end
    if count then count = count - #data end
    if not write(data) then return true end
  end
  return true
end

local function copy_chunks(peer, write)
  while true do
    local size = tonumber((peer:xread("*L", "b") or ""):match "^%x+", 16)
    if not size then return false end
    if size == 0 then return true end
    if not copy(peer, size, write) or not peer:xread("*L", "b") then return false end
  end
end

local function answer(req, peer, status, headers, more)
  local length = headers["content-length"] and tonumber(headers["content-length"][1])
  local chunked = headers["transfer-encoding"] ~= nil
  for name in pairs(HOP) do headers[name] = nil end
  for name, value in pairs(more or {}) do
    headers[name] = headers[name] or {}
    table.insert(headers[name], value)
  end
  if length then headers["content-length"] = ("%d"):format(length) end
  if req.method == "HEAD" or status == 204 or status == 304 then
    close(peer)
    return status, function() end, headers
  end
  return status, function(write)
    local ok = chunked and copy_chunks(peer, write) or not chunked and copy(peer, length, write)
    close(peer)
    if not ok then req:hangup() end
  end, headers
end

-- Copies one way until either side ends, and then ends both.
local function pump(from, to, pumps)
  while true do
    local data = from:xread(-BLOCK, "b")
    if not data or data == "" or not to:xwrite(data, "bn") then break end
  end
  from:shutdown()
  to:shutdown()
  pumps.running = pumps.running - 1
  pumps.changed:signal()
end

-- After 101: bytes both ways until one side ends.
local function switch(req, peer, headers)
  local client = req.stream.connection:take_socket()
  req.upgraded = true
  client:onerror(quiet)
  client:setmode("b", "bn")
  local lines = { "HTTP/1.1 101 Switching Protocols" }
  for name, values in pairs(headers) do
    for _, value in ipairs(values) do lines[#lines + 1] = name .. ": " .. value end
  end
  client:xwrite(table.concat(lines, "\r\n") .. "\r\n\r\n", "bn")
  local pumps = { running = 2, changed = condition.new() }
  cqueues.running():wrap(pump, client, peer, pumps)
  cqueues.running():wrap(pump, peer, client, pumps)
  while pumps.running > 0 do pumps.changed:wait() end
  close(client)
  close(peer)
end

--- A request's target without one key of its query.
---@param target string
---@param name string
---@return string
function forward.without(target, name)
  local path, query = target:match "^([^?]*)%??(.*)$"
  local kept = {}
  for pair in query:gmatch "[^&]+" do
    local key = httpd.decode(pair:match "^[^=]*", true):gsub("%[%d*%]$", "")   -- as req.query has it
    if key ~= name then kept[#kept + 1] = pair end
  end
  return path .. (kept[1] and "?" .. table.concat(kept, "&") or "")
end

--- Answers a request with what the server on a port answers. For handlers:
-- `return forward.to(req, 8000, "/path?query")`. Fails with 502 when there is none.
---@param req table
---@param port integer
---@param target string # path and query, as they are to be sent
---@param o { host: string?, pass: (fun(name: string, value: string): string?)?, headers: table<string, string>?, answer: table<string, string>? }? # host: where (default 127.0.0.1); pass: what of a header goes on (default: all but credentials); headers: further ones; answer: further ones of the answer
function forward.to(req, port, target, o)
  o = o or {}
  local host = o.host or "127.0.0.1"
  local peer = connect(host, port)
  local status, headers
  if peer and send_request(req, peer, target, o) then
    repeat
      status, headers = read_head(peer)
    until not status or status == 101 or status >= 200
  end
  if not status then
    if peer then close(peer) end
    httpd.fail(502, "BAD_GATEWAY", peer and "proxy upstream error: no answer"
      or ("proxy upstream error: dial tcp %s:%d: connect: connection refused"):format(host, port))
  end
  if status == 101 then return switch(req, peer, headers) end
  return answer(req, peer, status, headers, o.answer)
end

return forward
