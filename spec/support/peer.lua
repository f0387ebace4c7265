-- A scripted HTTP peer in a process of its own, for specs. The path of a request
-- chooses what happens to it; spec/support/peer_server.lua lists the paths.
--
--   local peer = require("spec.support.peer").start()
--   peer.url .. "/status/503"      what to request
--   peer:stats().requests["/ok"]   how many of those have arrived
--   peer:wait("/hold")             blocks this program until one has
--   peer.url .. "/__wait?path=..." the same as a request, for use in a task
--   peer:release("/hold")
--   peer:close()                   ends the process
--
-- The process also ends when this one does.

local socket = require "cqueues.socket"

local Peer = {}
Peer.__index = Peer

local HERE = debug.getinfo(1, "S").source:match("^@(.*)peer%.lua$")

-- Seconds after which a question is given up: a spec is wrong then.
local PATIENCE = 20

local function start()
  local out = assert(io.popen("exec luajit '" .. HERE .. "peer_server.lua' </dev/null", "r"))
  local port = tonumber(out:read("*l"))
  assert(port, "the scripted peer did not start")
  return setmetatable({ out = out, port = port, url = "http://127.0.0.1:" .. port }, Peer)
end

---Asks one question over a connection of its own. The body of the answer.
function Peer:ask(path)
  local sock = socket.connect { host = "127.0.0.1", port = self.port, nodelay = true }
  sock:settimeout(PATIENCE)
  sock:setmode("bn", "bn")
  assert(sock:xwrite("GET " .. path .. " HTTP/1.1\r\nHost: peer\r\n\r\n", PATIENCE))
  local length = 0
  for line in sock:lines("*l") do
    if line:gsub("\r", "") == "" then break end
    length = tonumber(line:match("^[Cc]ontent%-[Ll]ength: (%d+)")) or length
  end
  local body = length > 0 and sock:read(length) or ""
  sock:close()
  return assert(body, "no answer from the scripted peer")
end

---Counts: connections, open, total, and by path requests, bodies, hangups.
function Peer:stats()
  return assert((loadstring or load)(self:ask("/__stats")))()
end

---Blocks until `n` requests of that path have arrived, or as many "bodies" or
---"hangups".
function Peer:wait(path, n, what)
  self:ask(("/__wait?path=%s&n=%d&what=%s"):format(path, n or 1, what or "requests"))
end

---Answers the requests that are held at that path.
function Peer:release(path)
  self:ask("/__release?path=" .. path)
end

---Ends the process and waits for its end. Idempotent.
function Peer:close()
  if self.out then self.out:close() end
  self.out = nil
end

return { start = start }
