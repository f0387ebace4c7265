-- Requests that are no good, many at once, at a server's port: cut short, with bits turned,
-- glued together, or nothing but bytes. LuaJIT runs it:
--
--   luajit spec/support/noise.lua PORT SEED COUNT [PATH...]
--
-- Every hundredth is a good one, for the path /health or what is given; the last line
-- says "COUNT sent, N good ones, M of them answered".

local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local port, seed, count = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local path = arg[4] or "/health"

local AT_ONCE = 40
local PATIENCE = 5      -- seconds for an answer to a good one

math.randomseed(seed)
local random = math.random

local LENGTHS = { "", " ", "x", "-5", "+5", "5,5", "5, 5", "0x5", "5.0", "99999999999999999999",
  "5\r\n folded: x", "5" }
local CODINGS = { "chunked", "gzip, chunked", "\vchunked", "chunked, chunked", "identity", "", ";", "chunked;q=1" }
local METHODS = { "GET", "POST", "DELETE", "OPTIONS", "CONNECT", "G\0T", "get", "" }
local NAMES = { "Host", "Authorization", "Content-Type", "Connection", "Upgrade", "Expect", "TE", "Trailer",
  "X-\0", "Bad Name", "Cookie", ":path", "Sec-WebSocket-Key" }
local VALUES = { "x", "Bearer x", "close", "upgrade", "websocket", "100-continue", "\r", "\n", "\127", "gzip;q=x",
  (","):rep(50), "" }

local function any(list) return list[random(#list)] end

local function bytes(n)
  local list = {}
  for i = 1, n do list[i] = string.char(random(0, 255)) end
  return table.concat(list)
end

local function request()
  local target = any { path, "/", "/api/sandbox", "*", "/%zz", "//" }
  local lines = { ("%s %s HTTP/1.%d"):format(any(METHODS), target, random(0, 2)) }
  for _ = 1, random(0, 4) do lines[#lines + 1] = any(NAMES) .. any { ": ", ":", " : " } .. any(VALUES) end
  if random() < 0.6 then lines[#lines + 1] = "Content-Length: " .. any(LENGTHS) end
  if random() < 0.4 then lines[#lines + 1] = "Transfer-Encoding: " .. any(CODINGS) end
  local body = any { "", "hello", "5\r\nhello\r\n0\r\n\r\n", "fffffff\r\nx", "g\r\n", bytes(random(40)) }
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

local function turned(text)
  for _ = 1, random(3) do
    local at = random(#text)
    text = text:sub(1, at - 1) .. string.char(random(0, 255)) .. text:sub(at + 1)
  end
  return text
end

local KINDS = {
  request,
  function() return turned(request()) end,
  function() local text = request() return text:sub(1, random(#text)) end,
  function() return request() .. request() .. request() end,
  function() return bytes(random(200)) end,
  function()
    local headers = ("A: " .. ("b"):rep(random(300)) .. "\r\n"):rep(random(150))
    return ("GET %s HTTP/1.1\r\n%s\r\n\r\n"):format(path, headers)
  end,
}

local function quiet(_, _, why) return why end

local function connect()
  local sock = socket.connect { host = "127.0.0.1", port = port, nodelay = true }
  sock:onerror(quiet)
  sock:setmode("b", "bn")
  return sock
end

local function bad()
  local sock = connect()
  sock:xwrite(any(KINDS)(), "bn", 1)
  if random() < 0.5 then sock:shutdown "w" end
  if random() < 0.7 then sock:xread(-4096, "b", 0.05) end
  cqueues.cancel(sock:pollfd())
  sock:close()
end

local function good()
  local sock = connect()
  sock:xwrite(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(path), "bn", 1)
  local line = sock:xread("*l", "b", PATIENCE)
  cqueues.cancel(sock:pollfd())
  sock:close()
  return line ~= nil and line:find("^HTTP/1.1 [24]%d%d ") ~= nil
end

local sent, asked, answered = 0, 0, 0
local loop = cqueues.new()
for _ = 1, AT_ONCE do
  loop:wrap(function()
    while sent < count do
      sent = sent + 1
      if sent % 100 == 0 then
        asked = asked + 1
        if good() then answered = answered + 1 end
      else
        bad()
      end
    end
  end)
end
assert(loop:loop())
print(("%d sent, %d good ones, %d of them answered"):format(sent, asked, answered))
