-- Requests and round trips of each call, on connections that stand, against the local
-- server behind a line (bench/c/link.c). Requests are its turns: how often the client speaks
-- on a connection after the server has, so that what is said on a WebSocket counts too. Round
-- trips are what a line with a round-trip time adds to the call's time, through that time.
--
--   lua5.4 bench/round_trips.lua [ROUNDS]      after make; run from the top of the checkout

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
package.cpath = "./build/" .. (jit and "luajit" or "lua" .. _VERSION:match "%d.%d") .. "/?.so;" .. package.cpath

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local loop = require "daytona.loop"

local ROUNDS = tonumber((...)) or 3
local RTT = 0.2

local tools = dofile "bench/tools.lua"
local output, write, median = tools.output, tools.save, tools.median

local server = assert(devserver.start())
local dir = output "mktemp -d"

local function read(path) return tools.read(path) or "" end

-- A line to the local server: its `port`; `stats()` since the last time; `stop()`.
local function start_line(rtt)
  assert(output("mkdir -p build/bench && ${CC:-cc} -O2 -o build/bench/link bench/c/link.c && echo made") == "made")
  local ports = ("%s/port%g"):format(dir, rtt)
  local command = ("exec build/bench/link %s rtt=%g >%s"):format(server.api_url:match ":(%d+)/", rtt, ports)
  local link = assert(io.popen(command, "w"))
  link:setvbuf "line"
  local line = {}
  repeat
    loop.sleep(0.02)
    line.port = read(ports):match "^(%d+)\n"
  until line.port
  function line.stats()
    local before = #read(ports)
    local text
    link:write "stats\n"
    repeat
      loop.sleep(0.005)
      text = read(ports):sub(before + 1):match "^(%b{})\n"
    until text
    return tonumber(text:match '"turns":(%d+)'), tonumber(text:match '"connections":(%d+)')
  end
  function line.stop() link:close() end
  return line
end

--- The calls ----------------------------------------------------------------------------------

-- A call: its name; what is done before, not counted, whose value the call is given; the call.
local CALLS = {
  { "create", nil, function(at) at.made = assert(at.client:create()) end },
  { "create, its first `exec`", nil, function(at)
    at.second = assert(at.client:create())
    at.reach(at.second)
    assert(at.second:exec "true")
  end },
  { "get", nil, function(at) assert(at.client:get(at.made.id)) end },
  { "list, one page", nil, function(at) assert(at.client:list()) end },
  { "exec", nil, function(at) assert(at.box:exec "true") end },
  { "run", nil, function(at) assert(at.box:run "print(1)") end },
  { "popen", nil, function(at) at.job = assert(at.box:popen "echo one; exec cat") end },
  { "its first line", nil, function(at) assert(at.job:read "*l") end },
  { "its end: kill, close", nil, function(at)
    assert(at.job:kill "KILL")
    at.job:close()
  end },
  { "popen, line, close", nil, function(at)
    local job = assert(at.box:popen "echo one")
    assert(job:read "*l" == "one")
    assert(job:close())
  end },
  { "session", nil, function(at) at.session = assert(at.box:session()) end },
  { "its first exec", nil, function(at) assert(at.session:exec "true") end },
  { "exec in a session", nil, function(at) assert(at.session:exec "true") end },
  { "follow to the end", function(at)
    at.command = assert(at.session:exec("echo one", { async = true }))
  end, function(at)
    local text = ""
    for _, chunk in at.command:follow() do text = text .. chunk end
    assert(text == "one\n")
  end },
  { "session:delete", nil, function(at) assert(at.session:delete()) end },
  { "pty open", nil, function(at) at.pty = assert(at.box:pty()) end },
  { "a key, to its echo", function(at)
    while at.pty:read { timeout = 1 } do end -- luacheck: ignore 542 (the prompt)
  end, function(at)
    assert(at.pty:write "x")
    assert(at.pty:read { timeout = 5 })
  end },
  { "pty close", nil, function(at) at.pty:close() end },
  { "fs:write", nil, function(at) assert(at.box.fs:write("a", "text")) end },
  { "fs:read", nil, function(at) assert(at.box.fs:read "a") end },
  { "fs:list", nil, function(at) assert(at.box.fs:list ".") end },
  { "fs:upload, 1 MiB", nil, function(at) assert(at.box.fs:upload(dir .. "/big", "big")) end },
  { "fs:download, 1 MiB", nil, function(at) assert(at.box.fs:download("big", dir .. "/back")) end },
  { "fs:upload_many, 20 files", nil, function(at)
    local files = {}
    for i = 1, 20 do files[i] = { { data = "text " .. i }, "many/" .. i } end
    assert(at.box.fs:upload_many(files))
  end },
  { "fs:sync, 20 new files", nil, function(at) assert(at.box.fs:sync(dir .. "/tree", at.tree)) end },
  { "fs:sync, nothing changed", nil, function(at) assert(at.box.fs:sync(dir .. "/tree", at.tree)) end },
  { "git:clone", nil, function(at) assert(at.box.git:clone("file://" .. at.home .. "/origin", at.copy)) end },
  { "git:status", nil, function(at) assert(at.box.git:status(at.copy)) end },
  { "wait_for_port, listened on", function(at)
    at.listener = assert(at.box:popen { "python3", "-um", "http.server", "8123" })
    assert(at.box:wait_for_port(8123))
  end, function(at) assert(at.box:wait_for_port(8123)) end },
  { "stop, waiting", function(at) at.listener:kill "KILL" end, function(at) assert(at.made:stop()) end },
  { "start, waiting", nil, function(at) assert(at.made:start()) end },
  { "delete", nil, function(at) assert(at.made:delete()) end },
  { "delete, waiting", nil, function(at) assert(at.second:delete { wait = true }) end },
}

--- Measuring ----------------------------------------------------------------------------------

-- Seconds, requests and new connections of each call over such a line, once.
local function run(rtt, round)
  local line = start_line(rtt)
  local base = "http://127.0.0.1:" .. line.port
  local client = assert(daytona.new { api_url = base .. "/api", api_key = server.api_key, events = false })
  local function reach(box) box.toolbox_proxy_url = base .. "/toolbox" end
  local at = { client = client, reach = reach, box = assert(client:create()),
    tree = ("tree%g-%d"):format(rtt, round), copy = ("copy%g-%d"):format(rtt, round) }
  reach(at.box)
  local prepared = assert(at.box:exec([[
    git init -q origin && cd origin && echo text >a && git add a &&
    git -c user.name=a -c user.email=a@example.org commit -qm one && cd .. && pwd]], { check = true }))
  at.home = prepared.result:match "%S+"
  local seen = {}
  for i, call in ipairs(CALLS) do
    if call[2] then call[2](at) end
    assert(at.box:exec "true") -- the connections stand
    assert(client:config())
    line.stats()
    local begun = loop.now()
    call[3](at)
    local seconds = loop.now() - begun
    local turns, connections = line.stats()
    seen[i] = { seconds, turns, connections }
  end
  assert(at.box:delete())
  client:close()
  line.stop()
  return seen
end

assert(os.execute("mkdir " .. dir .. "/tree"))
for i = 1, 20 do write(("%s/tree/%d"):format(dir, i), "text " .. i) end
write(dir .. "/big", ("x"):rep(1024 * 1024))

-- The median of all rounds of call i: its seconds, requests or connections.
local function of(runs, i, which)
  local list = {}
  for round, seen in ipairs(runs) do list[round] = seen[i][which] end
  return median(list)
end

local near, far = {}, {}
for round = 1, ROUNDS do near[round], far[round] = run(0, round), run(RTT, round) end
print "| call | requests | new connections | round trips |"
print "| --- | ---: | ---: | ---: |"
for i, call in ipairs(CALLS) do
  local trips = math.max(0, of(far, i, 1) - of(near, i, 1)) / RTT
  print(("| %s | %d | %d | %.1f |"):format(call[1], of(near, i, 2), of(near, i, 3), trips))
end
server:stop()
os.execute("rm -r " .. dir)
