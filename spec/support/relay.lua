-- A TCP relay in a process of its own that cuts connections where a spec says: the
-- server behind it is the real one. LuaJIT runs it; the same file is what specs
-- load.
--
--   local relay = require("spec.support.relay").start(port)
--   relay:cut { 0, 700, 1 }   the next three WebSockets end after so many bytes of
--                             what the server says once they are open; later ones pass
--   relay:cuts()              how many of these have not happened
--   relay:cut_sent(n, ...)    the next connection that carries an upload ends after n bytes of what we say
--                             from there on (and so on)
--   relay:cut_got(n, ...)     the next connection that begins with a download ends after n bytes of
--                             what the server says (and so on)
--   relay.url  relay:close()

if not ... or ... == "spec.support.relay" then
  local Relay = {}
  Relay.__index = Relay

  local HERE = debug.getinfo(1, "S").source:sub(2)

  local function write(path, text)
    local file = assert(io.open(path .. ".new", "w"))
    file:write(text)
    file:close()
    assert(os.rename(path .. ".new", path))
  end

  local function start(port)
    local plan = os.tmpname()
    local out = assert(io.popen(("exec luajit '%s' serve %s %s </dev/null"):format(HERE, port, plan)))
    local own = assert(out:read "*l", "the relay did not start")
    return setmetatable({ out = out, plan = plan, url = "http://127.0.0.1:" .. own }, Relay)
  end

  function Relay:cut(limits)
    write(self.plan, table.concat(limits, "\n") .. "\n")
  end

  function Relay:cut_sent(...)
    write(self.plan, "sent " .. table.concat({ ... }, "\nsent ") .. "\n")
  end

  function Relay:cut_got(...)
    write(self.plan, "got " .. table.concat({ ... }, "\ngot ") .. "\n")
  end

  function Relay:cuts()
    local n = 0
    for _ in io.lines(self.plan) do n = n + 1 end
    return n
  end

  function Relay:close()
    self.out:close()
    os.remove(self.plan)
  end

  return { start = start }
end

local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local target, plan = arg[2], arg[3]
local loop = cqueues.new()

-- The next limit of the plan, where it is one of that kind, or nil.
local function next_limit(pattern)
  local file = io.open(plan)
  local first, rest = file:read "*l", file:read "*a"
  file:close()
  local limit = first and first:match(pattern)
  if not limit then return nil end
  file = io.open(plan .. ".rest", "w")
  file:write(rest)
  file:close()
  os.rename(plan .. ".rest", plan)
  return tonumber(limit)
end

local function raw(s)
  s:setmode("bn", "bn")
  s:onerror(function(_, _, code) return code end)
  return s
end

local function head_of(s)
  local head = ""
  while not head:find("\r\n\r\n", 1, true) do
    local data = s:read(-4096)
    if not data then return nil end
    head = head .. data
  end
  return head
end

local function upload_limit(data)
  return data:find "^POST [^ ]*/files/" and next_limit "^sent (%d+)$"
end

-- Passes bytes on, `limit` at most (found by `find` in what comes); both ends are shut when it is over.
local function pump(from, to, limit, find)
  while not limit or limit > 0 do
    local data = from:read(limit and -math.min(limit, 65536) or -65536)
    if not data then break end
    if find then limit = limit or find(data) end
    if limit then limit = limit - #data end
    if not to:write(data) then break end
  end
  to:flush()
  from:shutdown "rw"
  to:shutdown "rw"
end

local function serve(client)
  local server = raw(socket.connect { host = "127.0.0.1", port = tonumber(target), nodelay = true })
  local pending = 1
  local function done()
    pending = pending - 1
    if pending > 0 then return end
    client:close()
    server:close()
  end
  local head = head_of(client)
  local is_socket = head and head:lower():find("\r\nupgrade: websocket", 1, true)
  local limit = is_socket and next_limit "^%d+$"
  local sent_limit = head and upload_limit(head)
  local got_limit = head and head:find "^GET [^ ]*/files/download" and next_limit "^got (%d+)$"
  if head and server:write(head) and server:flush() then
    pending = 2
    loop:wrap(function()
      local answer = limit and head_of(server)
      if answer then
        local opening, early = answer:match "^(.-\r\n\r\n)(.*)$"
        client:write(opening .. early:sub(1, limit))
        limit = limit - #early
      end
      pump(server, client, limit or got_limit or nil)
      done()
    end)
    pump(client, server, sent_limit or nil, upload_limit)
  end
  done()
end

local listener = assert(socket.listen { host = "127.0.0.1", port = 0 })
assert(listener:listen())
print((select(3, listener:localname())))
io.stdout:flush()

loop:wrap(function()
  while true do
    local client = listener:accept { nodelay = true }
    if client then loop:wrap(serve, raw(client)) end
  end
end)

-- The reading end of our output closes when the parent does.
loop:wrap(function()
  cqueues.poll { pollfd = 1, events = "r" }
  os.exit(0)
end)

assert(loop:loop())
