-- What a user far away waits for: scripts and transfers over a line with a round-trip time
-- (bench/c/link.c), TLS 1.3 and HTTP/2, beside the official SDKs and curl in the same run; and
-- a file over one that is cut every second; and a source tree over a slow one.
--
--   lua5.4 bench/net.lua [--write] [ROUNDS]      after make; run from the top of the checkout
--
-- Prints medians: seconds, round trips (seconds through the round-trip time, without
-- what a creation takes over there; what the programs compute is in them), connections, and bytes on the line. Peers that are not
-- installed (make bench-peers) are named. What fails is said in its place; the rest goes on, and the end is a failure.
-- --write also puts the tables into bench/README.md.

local cjson = require("cjson").new()

local write = arg[1] == "--write"
local rounds = tonumber(arg[write and 2 or 1]) or 3

local tools = dofile "bench/tools.lua"
local read, save, output, median = tools.read, tools.save, tools.output, tools.median

local here, dir = output "pwd", output "mktemp -d"
os.execute("chmod 755 " .. dir) -- nginx, started by root, reads as somebody else
local leash = tools.at_end(("kill $(cat %s/pid); rm -rf %s"):format(dir, dir))
local modules = output "ls -d /usr/lib/nginx/modules /usr/lib64/nginx/modules 2>/dev/null | head -n 1"

--- The line ------------------------------------------------------------------------------------

local API, TOOLBOX = math.random(20000, 25999), math.random(26000, 32000)
local SIZE = 100 * 1000 * 1000

local function prepare()
  assert(os.execute(("mkdir -p build/bench && ${CC:-cc} -O2 -o build/bench/link bench/c/link.c && "
    .. "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
    .. "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout %s/key.pem -out %s/certificate.pem 2>/dev/null && "
    .. "truncate -s %d %s/big"):format(dir, dir, SIZE, dir)))
end

local running -- the line that is up

-- A line and a service behind it. The link's answers go to a file; its input is a pipe.
local function start(settings, delay)
  local ports = dir .. "/ports"
  os.remove(ports)
  local link = assert(io.popen(("exec build/bench/link %d %d %s >%s"):format(API, TOOLBOX, settings, ports), "w"))
  link:setvbuf "line"
  local api, reached
  repeat
    os.execute "sleep 0.02"
    local file = io.open(ports)
    api, reached = (file and file:read "a" or ""):match "^(%d+)\n(%d+)\n"
    if file then file:close() end
  until reached
  save(dir .. "/conf", (read "bench/net.conf"):gsub("@(%u+)@", {
    DIR = dir, MODULES = modules, API = tostring(API), TOOLBOX = tostring(TOOLBOX), REACHED = reached,
    FILE = dir .. "/big", DELAY = tostring(delay or 0),
  }))
  local pid = output(("ulimit -n $(ulimit -Hn); PATH=$PATH:/usr/sbin; "
    .. "nginx -c %s/conf -e %s/error.log >/dev/null 2>&1 & echo $!"):format(dir, dir))
  assert(os.execute(("for i in $(seq 200); do curl -sk https://127.0.0.1:%d/api/config >/dev/null && exit 0; "
    .. "sleep 0.05; done; exit 1"):format(API)), "nginx does not start")
  local line = { url = ("https://localhost:%s/api"):format(api), reached = reached }
  running = line
  function line.stats()
    local before = #read(ports)
    link:write "stats\n"
    local text
    repeat
      os.execute "sleep 0.01"
      text = read(ports):sub(before + 1):match "^(%b{})\n"
    until text
    return cjson.decode(text)
  end
  function line.stop()
    os.execute(("kill %s; while kill -0 %s 2>/dev/null; do sleep 0.02; done"):format(pid, pid))
    link:close()
    running = nil
  end
  return line
end

--- Contenders -----------------------------------------------------------------------------------

local function ours(lua, script, url, words, note)
  return ("env BENCH_CA=%s/certificate.pem %s LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' "
    .. "LUA_CPATH='%s/build/%s/?.so;;' %s bench/lua/%s.lua %s %s"):format(dir,
    note and "BENCH_LEDGER=" .. dir .. "/" .. lua or "", here, here, here, lua, lua, script, url, words or "")
end

local function peers(script, url)
  local list = {}
  if os.execute "test -e bench/peers/node/node_modules/@daytona/sdk/package.json" then
    list[#list + 1] = { "TypeScript SDK", ("NODE_EXTRA_CA_CERTS=%s/certificate.pem node bench/peers/node/%s.js %s")
      :format(dir, script, url) }
  end
  if os.execute "test -e bench/peers/python/venv/pyvenv.cfg" then
    list[#list + 1] = { "Python SDK", ("env PYTHONWARNINGS=ignore SSL_CERT_FILE=%s/certificate.pem "
      .. "REQUESTS_CA_BUNDLE=%s/certificate.pem bench/peers/python/venv/bin/python bench/peers/python/%s.py %s")
      :format(dir, dir, script, url) }
  end
  if os.execute "test -e bench/peers/go/peer" then
    list[#list + 1] = { "Go SDK", ("env SSL_CERT_FILE=%s/certificate.pem bench/peers/go/peer %s %s")
      :format(dir, script, url) }
  end
  return list
end

local function seconds_of(command)
  local text, ok = output(("bash -c 'TIMEFORMAT=%%R; time \"$@\" >%s/out' - sh -c %q 2>&1"):format(dir, command))
  if not ok then error(command .. "\n" .. text) end
  local printed = read(dir .. "/out")
  local wall = printed:match '"wall":([%d.]+)'
  return tonumber(wall) or tonumber(text:match "([%d.]+)$")
end

-- All take their turn in every round.
local function compete(line, contenders)
  local seconds, stats = {}, {}
  for _ = 1, rounds do
    for _, contender in ipairs(contenders) do
      local name = contender[1]
      line.stats()
      seconds[name] = seconds[name] or {}
      table.insert(seconds[name], seconds_of(contender[2]))
      stats[name] = line.stats()
    end
  end
  for _, contender in ipairs(contenders) do contender.seconds = median(seconds[contender[1]]) end
  for _, contender in ipairs(contenders) do contender.stats = stats[contender[1]] end
end

--- Tables ----------------------------------------------------------------------------------------

local load, said = tools.load(), {}

local function say(line)
  print(line)
  said[#said + 1] = line
end

local function tell(what, rtt, it, waited)
  say(("| %s | %d ms | %s | %.2f s | %.1f | %d | %.1f |"):format(what, rtt * 1000, it[1], it.seconds,
    (it.seconds - (waited or 0)) / rtt, it.stats.connections, (it.stats.up + it.stats.down) / 1000))
end

local LUAS = { { "Lua 5.4", "lua5.4" }, { "LuaJIT", "luajit" } }

local function scripts(rtt, delay)
  local line = start(("rtt=%g"):format(rtt), delay)
  local list = { { "Lua 5.4", ours("lua5.4", "script", line.url) } }
  for _, lua in ipairs(LUAS) do
    local noted = ours(lua[2], "script", line.url, nil, true)
    seconds_of(noted)
    list[#list + 1] = { lua[1] .. ", noted where", noted }
  end
  for _, peer in ipairs(peers("script", line.url)) do list[#list + 1] = peer end
  compete(line, list)
  line.stop()
  os.execute(("rm -rf %s/lua5.4 %s/luajit"):format(dir, dir))
  for _, it in ipairs(list) do tell(("script, a creation takes %g s"):format(delay), rtt, it, delay) end
end

local function in_flight(rtt)
  local line = start(("rtt=%g"):format(rtt))
  local list = {}
  for _, lua in ipairs(LUAS) do list[#list + 1] = { lua[1], ours(lua[2], "flight", line.url, "1000 256") } end
  compete(line, list)
  line.stop()
  for _, it in ipairs(list) do tell("1,000 execs at once", rtt, it) end
end

local function download(rtt, rate)
  local line = start(("rtt=%g rate=%g"):format(rtt, rate))
  local list = {}
  for _, lua in ipairs(LUAS) do list[#list + 1] = { lua[1], ours(lua[2], "transfer", line.url, "down /dev/null") } end
  list[#list + 1] = { "curl", ("curl -sS --cacert %s/certificate.pem -o /dev/null "
    .. "https://localhost:%s/toolbox/x/files/download"):format(dir, line.reached) }
  compete(line, list)
  line.stop()
  for _, it in ipairs(list) do
    tell(("100 MB down, %d Mbit/s: %.2f of the line"):format(rate / 1e6, SIZE * 8 / rate / it.seconds), rtt, it)
  end
end

-- A file over a line that is cut all the time, to and from the local server.
local function survive(rtt, rate, mib, cut)
  for _, lua in ipairs(LUAS) do
    local command = ("bin/daytona-devserver -- env LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' "
      .. "LUA_CPATH='%s/build/%s/?.so;;' %s bench/lua/survive.lua build/bench/link %d rtt=%g rate=%g cut=%g")
      :format(here, here, here, lua[2], lua[2], mib, rtt, rate, cut)
    local text = output(command)
    assert(text:find "whole: true", text)
    for way, seconds, peak, stats in text:gmatch "(%a+) +([%d.]+) s, peak ([%d.]+) MiB, the line: (%b{})" do
      local it = { lua[1], seconds = tonumber(seconds), stats = cjson.decode(stats) }
      local carried = (it.stats.up + it.stats.down) / (mib * 1024 * 1024)
      tell(("%d MiB %s, %d Mbit/s, cut every %g s: %.2f × the bytes, %.0f MiB of memory")
        :format(mib, way, rate / 1e6, cut, carried, peak), rtt, it)
    end
  end
end

-- How late a job's lines come, asked for ahead and one request at a time, against the local server.
local function job_lines(rtt)
  say(("\nA job's lines, printed to read, in milliseconds, over a line of %d ms:\n"):format(rtt * 1000))
  say((output(("bin/daytona-devserver -- env LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' "
    .. "LUA_CPATH='%s/build/lua5.4/?.so;;' lua5.4 bench/lua/job_line.lua build/bench/link rtt=%g")
    :format(here, here, here, rtt))))
end

-- What bench/lua/slow_sync.lua prints of one way, and of the same once more.
local SYNCED = "([%a ]+): [^\n]- MB in ([%d.]+) s [^\n]-the line: (%b{})\n"
  .. "  nothing changed: ([%d.]+) s, the line: (%b{})"

-- A source tree to the local server and back, packed and not.
local function tree(rtt, rate, megabytes)
  local lua = LUAS[1]
  local text = output(("bin/daytona-devserver -- env LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' "
    .. "LUA_CPATH='%s/build/%s/?.so;;' %s bench/lua/slow_sync.lua build/bench/link %d rtt=%g rate=%g")
    :format(here, here, here, lua[2], lua[2], megabytes, rtt, rate))
  local rows = 0
  for name, seconds, stats, still, turns in text:gmatch(SYNCED) do
    rows = rows + 1
    local what = ("a source tree of %d MB, %s, %d Mbit/s"):format(megabytes, name, rate / 1e6)
    tell(what, rtt, { lua[1], seconds = tonumber(seconds), stats = cjson.decode(stats) })
    tell(what .. ", nothing changed", rtt, { lua[1], seconds = tonumber(still), stats = cjson.decode(turns) })
  end
  assert(rows == 4, text)
end

local failed = 0

local function part(name, fn, ...)
  local began = os.time()
  local fine, why = pcall(fn, ...)
  if not fine then
    failed = failed + 1
    if running then running.stop() end
    io.stderr:write("bench: ", name, ": ", tostring(why), "\n")
    say(("| %s | | **failed** | | | | |"):format(name))
  end
  io.stderr:write(("-- %s: %d s\n"):format(name, os.time() - began))
end

prepare()
say "| what | round trip | who | time | round trips | connections | kB on the line |"
say "| --- | ---: | --- | ---: | ---: | ---: | ---: |"
if #peers("script", "") < 3 then say "| official SDKs | | skipped: not all installed, make bench-peers | | | | |" end
for _, rtt in ipairs { 0.02, 0.1, 0.2 } do
  part("scripts", scripts, rtt, 0)
  part("scripts, slow creations", scripts, rtt, 0.5)
  part("many at once", in_flight, rtt)
end
local of_scripts = rounds
rounds = 1 -- what follows takes long, and is the same each time
part("a download", download, 0.1, 200e6)
part("a file over a line that is cut", survive, 0.02, 400e6, 256, 1)
part("a source tree", tree, 0.1, 20e6, 50)
part("a job's lines", job_lines, 0.1)
leash:close()
if write then
  local head = ("Measured with `make bench-net WRITE=1`: medians of %d rounds (of what is quick; the rest once) on\n"
    .. "%s. Load average before it: %s.\n\n"):format(of_scripts, tools.measured_on(), load)
  tools.put_table("table of the line", head .. table.concat(said, "\n"))
end
if failed > 0 then os.exit(1) end
