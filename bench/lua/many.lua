-- What many quiet things cost a client: many.lua PORT KIND N CHUNKS [CERTIFICATE], against bench/c/many.c, whose
-- input this program's output is (bench/many.lua makes the two pipes).
--
-- Prints bytes of memory each, and for what is talked to the CPU time of a chunk of 100 bytes, where
-- 20 come to each together, and where each comes alone: in rounds, so that it is always the same.
local daytona = require "daytona"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"

local port, kind, n = arg[1], arg[2], tonumber(arg[3])
local CHUNKS, certificate = tonumber(arg[4]), arg[5] -- chunks in all; the certificate of a daemon that speaks TLS
local url = (certificate and "https" or "http") .. "://127.0.0.1:" .. port

local function resident()
  local file = assert(io.open "/proc/self/statm")
  local pages = file:read "*n" and file:read "*n"
  file:close()
  return pages * 4096
end

local client = assert(daytona.new {
  api_key = "bench", api_url = url, ca_file = certificate, events = false, ledger = false,
  connect_timeout = 200, -- ten thousand handshakes at once take their time
  max_connections = kind == "connections" and n + 10 or nil,
})
local sandbox = client:attach "bench"
sandbox.toolbox_proxy_url = url

local ready = 0
local came, goal, all_here = 0, math.huge, nil -- bytes

local function take(data)
  came = came + #data
  if came >= goal then all_here:open() end
end

-- What fails ends the measurement.
local function each(fn)
  local function guarded()
    local fine, why = loop.pcall(fn)
    if not fine then
      io.stderr:write(tostring(why), "\n")
      os.exit(1)
    end
  end
  for _ = 1, n do daytona.spawn(guarded) end
end

local function until_ready()
  while ready < n do assert(daytona.sleep(0.05)) end
end

local kinds = {}

function kinds.tasks()
  each(function()
    ready = ready + 1
    daytona.sleep(1000)
  end)
end

function kinds.connections()
  each(function()
    assert(sandbox:exec "true")
    ready = ready + 1
  end)
end

function kinds.follows()
  local command = assert(assert(sandbox:session "s"):exec("x", { async = true }))
  each(function()
    local log = assert(command:follow())
    assert(log:read())
    ready = ready + 1
    while true do
      local stream, data = log:read()
      if not stream then break end
      take(data)
    end
  end)
end

function kinds.terminals()
  each(function()
    local pty = assert(sandbox:pty { timeout = 120 })
    ready = ready + 1
    while true do
      local data = pty:read()
      if not data then break end
      take(data)
    end
  end)
end

-- Everything that is made once is made before.
assert(sandbox:exec "true")
daytona.spawn(function() daytona.sleep(0.001) end):wait()
collectgarbage() collectgarbage()
local before = resident()
kinds[kind]()
until_ready()
assert(daytona.sleep(3)) -- the first looks at the command are over
collectgarbage() collectgarbage()
local each_bytes = (resident() - before) / n


-- CPU time of a chunk, of CHUNKS, where so many come to each at once.
local function cost(together)
  local rounds = math.max(1, math.floor(CHUNKS / n / together))
  local size = kind == "follows" and 97 or 100
  local cpu = os.clock()
  for _ = 1, rounds do
    all_here = new_latch()
    goal = came + n * together * size
    io.write("say ", together, "\n")
    io.flush()
    assert(loop.join(all_here, loop.now() + 60))
  end
  return ("%.2f µs"):format((os.clock() - cpu) / (rounds * n * together) * 1e6)
end

local talks = kind == "follows" or kind == "terminals"
local together, alone = talks and cost(20) or "", talks and cost(1) or ""
if certificate then kind = kind .. ", TLS" end
io.stderr:write(("| %s | %d | %.0f | %s | %s |\n"):format(kind, n, each_bytes, together, alone))
os.exit(0)
