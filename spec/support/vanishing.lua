-- A TCP relay in a process of its own whose side of the network goes away at a
-- chosen byte and comes back: listener first, then every connection, so that who
-- is cut off cannot even connect anew. The server behind it is the real one and
-- lives on. LuaJIT runs it; the same file is what specs load.
--
--   local relay = require("spec.support.vanishing").start(port)
--   relay:arm(12, "close")        goes away when 12 more bytes were said to it, of
--                                 which none is passed on, once; 0: at once
--   relay:arm("answer", "reset")  when the server begins to answer what was said
--                                 from now on; none of that is passed on
--   relay:arm(n, "lose")          then what connections there are say and hear nothing any
--                                 more, and nobody is told; new ones pass
--   relay:sleep()  relay:wake()   nothing passes any more, and then all of it, late
--   relay:idle(0.3)               connections that were silent for so many seconds are reset
--   relay:arm(n, how, { away = 0.03, back = "silent" })  seconds until it is back;
--                                 what it is then: silent, or no TLS ("plain")
--   relay:wait()                  until it is back, if it went; how many bytes were
--                                 said to it since it was armed
--   relay:mend()                  from now on it is what it was
--   relay.url  relay.port  relay:close()

local socket = require "cqueues.socket"

if not ... or ... == "spec.support.vanishing" then
  local Relay = {}
  Relay.__index = Relay

  local HERE = debug.getinfo(1, "S").source:sub(2)
  local PATIENCE = 20

  local function ask(self, ...)
    local control = socket.connect { host = "127.0.0.1", port = self.control, nodelay = true }
    control:setmode("bn", "bn")
    control:settimeout(PATIENCE)
    assert(control:xwrite(table.concat({ ... }, " ") .. "\n", PATIENCE))
    local answer = assert(control:read "*l", "no word from the relay")
    control:close()
    return answer
  end

  function Relay:arm(at, how, opts)
    opts = opts or {}
    ask(self, "arm", at, how, opts.away or 0.03, opts.back or "same")
  end

  function Relay:wait() return tonumber((ask(self, "wait"))) end
  function Relay:mend() ask(self, "mend") end
  function Relay:idle(seconds) ask(self, "idle", seconds) end
  function Relay:sleep() assert(os.execute("kill -STOP " .. self.pid)) end
  function Relay:wake() assert(os.execute("kill -CONT " .. self.pid)) end

  function Relay:close()
    self:wake()
    self.out:close()
  end

  local function start(port)
    local out = assert(io.popen(("exec luajit '%s' serve %s </dev/null"):format(HERE, port)))
    local own, control, pid = out:read("*n", "*n", "*n")
    assert(pid, "the relay did not start")
    return setmetatable({
      out = out, port = own, control = control, pid = ("%d"):format(pid), url = "http://127.0.0.1:" .. own,
    }, Relay)
  end

  return { start = start }
end

local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local ffi = require "ffi"

ffi.cdef [[
struct dt_linger { int l_onoff; int l_linger; };
int setsockopt(int fd, int level, int name, const void *value, unsigned size);
int getpid(void);
]]

local target = tonumber(arg[2])
local loop = cqueues.new()
local changed = condition.new() -- signalled when it went or came back
local pairs_of = {}             -- client socket -> server socket
local plan                      -- what was armed, until it happens
local said = 0                  -- bytes since it was armed
local lost = {}                 -- client sockets that nothing passes any more
local spoke = {}                -- client socket -> when something last passed
local away = false
local manner = "same"
local listener, port, accept_all

-- Who stands at a socket when it is closed here ends with it.
local function spawn(f, ...)
  local arguments = { ... }
  loop:wrap(function()
    local fine, problem = pcall(f, unpack(arguments))
    if not fine and not tostring(problem):find "socket closed" then error(problem, 0) end
  end)
end

local function listen()
  listener = assert(socket.listen { host = "127.0.0.1", port = port or 0, reuseaddr = true, nodelay = true })
  assert(listener:listen())
  port = port or select(3, listener:localname())
end

local function raw(s)
  s:setmode("bn", "bn")
  s:onerror(function(_, _, code) return code end)
  return s
end

-- What is closed with this is reset instead.
local function make_it_a_reset(s)
  local SOL_SOCKET, SO_LINGER = 1, 13
  local linger = ffi.new("struct dt_linger", 1, 0)
  ffi.C.setsockopt(s:pollfd(), SOL_SOCKET, SO_LINGER, linger, ffi.sizeof(linger))
end

local function vanish(how, seconds, back)
  plan, away, manner = nil, true, back
  cqueues.cancel(listener:pollfd())
  listener:close()
  for client, server in pairs(pairs_of) do
    pairs_of[client] = nil
    if how == "reset" then make_it_a_reset(client) end
    cqueues.cancel(client:pollfd())
    client:close()
    server:shutdown "w"
  end
  spawn(function()
    cqueues.sleep(seconds)
    listen()
    spawn(accept_all, listener)
    away = false
    changed:signal()
  end)
end

local function lose()
  plan = nil
  for client in pairs(pairs_of) do lost[client] = true end
end

local function execute(now)
  if now.how == "lose" then return lose() end
  vanish(now.how, now.away, now.back)
end

-- Whether it is time to go, now that one side has spoken.
local function is_due(by_client)
  if not plan then return false end
  if plan.at == "answer" then return not by_client and said > 0 end
  return said >= plan.at
end

local function hear(client, server)
  while pairs_of[client] do
    local data = client:read(-65536)
    if not data then break end
    if plan then said = said + #data end
    spoke[client] = cqueues.monotime()
    if is_due(true) then
      local gone = plan.how ~= "lose"
      execute(plan)
      if gone then return end
    end
    if not lost[client] and not (plan and plan.at ~= "answer") then server:write(data) end
  end
  server:shutdown "w"
end

-- Nothing that the server says is lost on it, even if nobody hears it.
local function answer(client, server)
  while true do
    local data = server:read(-65536)
    if not data then break end
    if pairs_of[client] and is_due(false) then execute(plan) end
    if pairs_of[client] and not lost[client] then
      spoke[client] = cqueues.monotime()
      client:write(data)
    end
  end
  server:close()
  if pairs_of[client] and not lost[client] then
    pairs_of[client] = nil
    cqueues.cancel(client:pollfd())
    client:close()
  end
end

local function serve(client)
  if manner == "plain" then
    client:write "this is not TLS\r\n"
  end
  if manner ~= "same" then
    while client:read(-4096) do end
    return client:close()
  end
  local server = raw(socket.connect { host = "127.0.0.1", port = target, nodelay = true })
  pairs_of[client], spoke[client] = server, cqueues.monotime()
  spawn(answer, client, server)
  hear(client, server)
end

function accept_all(from)
  while from == listener do
    local client = from:accept { nodelay = true }
    if not client then return end
    spawn(serve, raw(client))
  end
end

local order = {}

function order.arm(at, how, seconds, back)
  said, plan = 0, { at = tonumber(at) or at, how = how, away = tonumber(seconds), back = back }
  if plan.at == 0 then execute(plan) end
  return "armed"
end

function order.wait()
  while away do changed:wait() end
  return said
end

-- Ends what was silent for too long, from now on.
local function end_idle(limit)
  for client, server in pairs(pairs_of) do
    if not lost[client] and cqueues.monotime() - spoke[client] >= limit then
      pairs_of[client] = nil
      make_it_a_reset(client)
      cqueues.cancel(client:pollfd())
      client:close()
      server:shutdown "w"
    end
  end
end

function order.idle(seconds)
  local limit = tonumber(seconds)
  spawn(function()
    while true do
      cqueues.sleep(limit / 10)
      end_idle(limit)
    end
  end)
  return "armed"
end

function order.mend()
  manner = "same"
  return "mended"
end

local control = assert(socket.listen { host = "127.0.0.1", port = 0 })
assert(control:listen())
listen()
io.stdout:write(port, " ", (select(3, control:localname())), " ", ffi.C.getpid(), "\n")
io.stdout:flush()

spawn(accept_all, listener)
spawn(function()
  for asker in control:clients { nodelay = true } do
    spawn(function()
      local words = {}
      for word in raw(asker):read("*l"):gmatch "%S+" do words[#words + 1] = word end
      asker:write(order[words[1]](unpack(words, 2)), "\n")
      asker:close()
    end)
  end
end)

-- The reading end of our output closes when the parent does.
spawn(function()
  cqueues.poll { pollfd = 1, events = "r" }
  os.exit(0)
end)

assert(loop:loop())
