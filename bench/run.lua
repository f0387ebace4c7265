-- The benchmarks: starts a canned nginx, runs everything against it several
-- times in turn, and prints one table of medians with ratios and bars.
--
--   lua5.4 bench/run.lua [--write] [ROUNDS] [PART]
--
-- Rows come as they are measured, at the end the table for a document, and how long each part took.
-- A part that fails is a row that says so; the others go on, and the end is a failure.
-- --write also puts the table into bench/README.md. A part alone: exec, rivals, calls, script,
-- big, flight, frames, idle, open, nginx, live, trees, budgets, mcp, kit (with mcp, into a
-- table of its own), logs. Peers that are not installed (make bench-peers) are named. Run
-- from the top of the checkout.

local cjson = require("cjson").new()

local write = arg[1] == "--write"
local rounds = tonumber(arg[write and 2 or 1]) or 5
local only = arg[write and 3 or 2] -- one of PARTS below, or nil for all

local tools = dofile "bench/tools.lua"
local read, save, output, quote, median = tools.read, tools.save, tools.output, tools.quote, tools.median
local here = output "pwd"

-- --- the machine ---------------------------------------------------------------

local dir = output "mktemp -d"
os.execute("chmod 755 " .. dir) -- nginx, started by root, reads as somebody else
local processors = tonumber((output "nproc"))
local load = tools.load()
io.stdout:setvbuf "line"

-- Where a large file takes no disk: in memory, where there is room for two and the rest.
local in_memory = ""
if (tonumber((output "df -kP /dev/shm 2>/dev/null | awk '$1 == \"tmpfs\" { print $4 }'")) or 0) > 4e6 then
  in_memory = output "mktemp -d -p /dev/shm"
end
local leash = tools.at_end(("kill $(cat %s/pid); rm -rf %s %s"):format(quote(dir), quote(dir), in_memory))

-- Server on one processor, client on another, where there are two.
local function pinned(processor)
  return processors > 1 and ("taskset -c %d "):format(processor) or ""
end

local function quit(message)
  leash:close()
  if message then
    io.stderr:write("bench: ", message, "\n")
    os.exit(1)
  end
end

local function compile(name, sources)
  local target = "build/bench/" .. name
  local ok = os.execute("mkdir -p build/bench && ${CC:-cc} -O2 -o " .. target ..
    " bench/c/" .. name .. ".c " .. (sources or "-lcurl"))
  if not ok then error("cannot compile bench/c/" .. name .. ".c", 0) end
  return here .. "/" .. target
end

local measure, easy_loop = compile "measure", compile "easy_loop"
local big = dir .. "/big"
os.execute(("truncate -s 1G %s; cat %s >/dev/null"):format(big, big)) -- and into the page cache

local function start_server()
  local nginx = output "PATH=$PATH:/usr/sbin; command -v nginx"
  if nginx == "" then quit "no nginx" end
  math.randomseed(os.time())
  for _ = 1, 10 do
    local port = math.random(20000, 32000)
    save(dir .. "/conf", (read "bench/nginx.conf"):gsub("@(%u+)@",
      { DIR = dir, PORT = tostring(port), FILE = big }))
    local server_pid = output(("ulimit -n $(ulimit -Hn); %s%s -c %s/conf >/dev/null 2>&1 & echo $!")
      :format(pinned(0), nginx, dir))
    local url = "http://127.0.0.1:" .. port
    if select(2, output("curl -s --retry 20 --retry-connrefused --retry-delay 1 " ..
      url .. "/api/config")) and os.execute("kill -0 " .. server_pid .. " 2>/dev/null") then
      return url
    end
  end
  quit "nginx does not start"
end

local url = start_server()
local api = url .. "/api"

-- Runs a command; returns what it printed (JSON) merged with what it cost.
local function run(command)
  local cost = dir .. "/cost"
  local text, ok = output(("ulimit -n $(ulimit -Hn); %s%s %s %s"):format(pinned(processors - 1),
    measure, cost, command))
  local result = cjson.decode(read(cost) or '{"status":-1}')
  if not ok or result.status ~= 0 then
    error(("status %s from %s\n%s"):format(result.status, command, text), 0)
  end
  if text:sub(1, 1) == "{" then
    for key, value in pairs(cjson.decode(text)) do result[key] = value end
  end
  return result
end

local function on(lua, script, ...)
  return ("env LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' LUA_CPATH='%s/build/%s/?.so;;' " ..
    "%s bench/lua/%s.lua %s %s"):format(here, here, here, lua, lua, script, api,
    table.concat({ ... }, " "))
end

local peers = {}
if read "bench/peers/node/node_modules/@daytona/sdk/package.json" then
  function peers.TypeScript(script, ...)
    return "node bench/peers/node/" .. script .. ".js " .. table.concat({ api, ... }, " ")
  end
end
if read "bench/peers/python/venv/pyvenv.cfg" then
  function peers.Python(script, ...)
    return "env PYTHONWARNINGS=ignore bench/peers/python/venv/bin/python bench/peers/python/" .. script .. ".py " ..
      table.concat({ api, ... }, " ")
  end
end
if read "bench/peers/go/peer" then
  function peers.Go(script, ...) return "bench/peers/go/peer " .. table.concat({ script, api, ... }, " ") end
end
local PEERS = { "TypeScript", "Python", "Go" }

-- --- measuring -----------------------------------------------------------------

-- contenders: { {name, command}, ... }. All take their turn in every round; `before` of one is run
-- each time, not measured.
-- Returns field(name, key): the median of what was measured; and all of it, by name.
local function compete(contenders, times)
  local results = {}
  for _ = 1, times or rounds do
    for _, contender in ipairs(contenders) do
      local name, command = contender[1], contender[2]
      results[name] = results[name] or {}
      if contender.before then os.execute(contender.before) end
      table.insert(results[name], run(command))
    end
  end
  return function(name, key)
    local list = {}
    for _, result in ipairs(results[name] or {}) do
      list[#list + 1] = type(key) == "function" and key(result) or result[key]
    end
    return median(list)
  end, results
end

-- The middle one of what the first took through what the second did, round by round.
local function median_ratio(first, second, of)
  local ratios = {}
  for i, result in ipairs(first) do ratios[i] = of(result) / of(second[i]) end
  return median(ratios)
end

local function installed()
  local names = {}
  for _, name in ipairs(PEERS) do
    if peers[name] then names[#names + 1] = name end
  end
  return names
end

local function with_peers(list, script, ...)
  for _, name in ipairs(installed()) do table.insert(list, { name, peers[name](script, ...) }) end
  return list
end

local rows = {}
local function row(what, value, compared, ratio, bar, met)
  local verdict = met == nil and "" or met and "met" or "**not met**"
  rows[#rows + 1] = { what, value, compared or "", ratio or "", bar or "", verdict }
  print(("%-46s %12s  %-28s %8s  %-9s %s"):format(what, value, compared or "", ratio or "",
    bar or "", verdict))
end

local function ratio(x) return ("%.2f ×"):format(x) end
local function each_us(r) return r.cpu / r.n * 1e6 end
local luas = { { "Lua 5.4", "lua5.4" }, { "LuaJIT", "luajit" } }

-- --- what is measured ----------------------------------------------------------

-- Many short runs in turn: the median of the ratios tells more than the ratio of medians.
local function one_call()
  local n, sandbox = 1000, read("bench/nginx.conf"):match '"id":"([^"]+)"'
  local contenders = {
    { "C", ("%s %s/toolbox/%s/process/execute %d"):format(easy_loop, url, sandbox, n) },
  }
  for _, lua in ipairs(luas) do
    contenders[#contenders + 1] = { lua[1], on(lua[2], "exec", n) }
  end
  local field, all = compete(contenders, rounds * 8)
  local theirs_of = compete(with_peers({}, "exec", n))
  local bare = field("C", each_us)
  row("CPU of one exec: bare libcurl, in C", ("%.1f µs"):format(bare))
  for _, lua in ipairs(luas) do
    local ours = field(lua[1], each_us)
    local middle = median_ratio(all[lua[1]], all.C, each_us)
    row("CPU of one exec: " .. lua[1], ("%.1f µs"):format(ours),
      ("bare libcurl %.1f µs"):format(bare), ratio(middle), "≤ 1.05 ×", middle <= 1.05)
  end
  local ours = field("Lua 5.4", each_us)
  for _, name in ipairs(installed()) do
    local theirs = theirs_of(name, each_us)
    local bar = name == "TypeScript" and 12 or nil
    row("CPU of one exec: Lua 5.4 against " .. name, ("%.1f µs"):format(ours),
      ("%s %.0f µs"):format(name, theirs), ratio(theirs / ours),
      bar and "≥ 12 ×", bar and theirs >= bar * ours)
  end
end

-- The system's Python, where it has httpx.
local python = select(2, output "/usr/bin/python3 -c 'import httpx' 2>&1") and "/usr/bin/python3"

-- What one would use without a client, and without its deadlines and rules.
local function rivals()
  local n = 1000
  local contenders, told = {}, {}
  for _, lua in ipairs(luas) do
    contenders[#contenders + 1] = { lua[1], on(lua[2], "exec", n) }
    for _, rival in ipairs {
      { "luasocket, a connection each", "luasocket" }, { "luasocket, one by hand", "kept" }, { "lua-http", "lua-http" },
    } do
      local name = rival[1] .. ", " .. lua[1]
      if run(on(lua[2], "rival", 1, rival[2])).missing then
        row("CPU of one exec: " .. name, "not installed")
      else
        told[#told + 1] = { name, lua[1], each_us }
        contenders[#contenders + 1] = { name, on(lua[2], "rival", n, rival[2]) }
      end
    end
  end
  told[#told + 1] = { "the program curl", "Lua 5.4", function(r) return (r.user + r.system) / (r.n * 1.1) * 1e6 end }
  contenders[#contenders + 1] = { "the program curl", on("lua5.4", "rival", 100, "curl") }
  if python then
    told[#told + 1] = { "httpx", "Lua 5.4", each_us }
    contenders[#contenders + 1] = { "httpx", ("%s bench/peers/python/httpx_exec.py %s %d"):format(python, api, n) }
  else
    row("CPU of one exec: httpx", "not installed")
  end
  local field = compete(contenders)
  for _, rival in ipairs(told) do
    local theirs, ours = field(rival[1], rival[3]), field(rival[2], each_us)
    row("CPU of one exec: " .. rival[1], ("%.1f µs"):format(theirs), ("%s %.1f µs"):format(rival[2], ours),
      ratio(theirs / ours))
  end
end

-- System calls of the client's process, by strace: those of the longer run less the shorter's.
local function system_calls()
  if output "command -v strace" == "" then return row("System calls of one exec", "no strace") end
  local function count(command)
    local file = dir .. "/calls"
    output(("strace -f -c -U calls,name -o %s %s"):format(file, command))
    return tonumber((read(file) or ""):match "(%d+)%s+total")
  end
  local function counted(name, shorter, longer, per, form)
    row("System calls " .. name, form:format((count(longer) - count(shorter)) / per))
  end
  local target = (in_memory ~= "" and in_memory or dir) .. "/back"
  local sandbox = read("bench/nginx.conf"):match '"id":"([^"]+)"'
  local bare = ("%s %s/toolbox/%s/process/execute "):format(easy_loop, url, sandbox)
  counted("of one exec: bare libcurl, in C", bare .. 100, bare .. 600, 500, "%.2f")
  for _, lua in ipairs(luas) do
    counted("of one exec: " .. lua[1], on(lua[2], "exec", 100), on(lua[2], "exec", 600), 500, "%.2f")
    for _, way in ipairs { { "up", big }, { "down", "/dev/null" }, { "down", target, " to a file" } } do
      counted(("of a MiB %s%s: %s"):format(way[1], way[3] or "", lua[1]), on(lua[2], "exec", 1),
        on(lua[2], "transfer", way[1], way[2]), 1024, "%.1f")
    end
  end
  os.remove(target)
end

local function whole_script()
  local contenders = {}
  for _, lua in ipairs(luas) do contenders[#contenders + 1] = { lua[1], on(lua[2], "script") } end
  local field = compete(with_peers(contenders, "script"))
  for _, lua in ipairs(luas) do
    local wall, rss = field(lua[1], "wall"), field(lua[1], "maxrss") / 1024
    row("Whole script, time: " .. lua[1], ("%.1f ms"):format(wall * 1e3))
    for _, name in ipairs(installed()) do
      local theirs = field(name, "wall")
      local bar = name == "TypeScript" and 30 or nil
      row(("Whole script, time: %s against %s"):format(lua[1], name),
        ("%.1f ms"):format(wall * 1e3), ("%s %.0f ms"):format(name, theirs * 1e3),
        ratio(theirs / wall), bar and "≥ 30 ×", bar and theirs >= bar * wall)
    end
    row("Whole script, resident memory: " .. lua[1], ("%.1f MB"):format(rss), nil, nil,
      "≤ 12 MB", rss <= 12)
  end
  for _, name in ipairs(installed()) do
    row("Whole script, resident memory: " .. name,
      ("%.0f MB"):format(field(name, "maxrss") / 1024))
  end
end

-- The same file by curl and by each Lua, up from `place` or down to it.
local function carried(what, way, place)
  local remote, before = url .. "/toolbox/bench/files/", way == "down" and "rm -f " .. place or nil
  if place == "/dev/null" then before = nil end
  local contenders = { { "curl", way == "up"
    and ("curl -s -o /dev/null -H Expect: -F file=@%s %supload-v2?path=big"):format(place, remote)
    or ("curl -s -o %s %sdownload?path=big"):format(place, remote), before = before } }
  for _, lua in ipairs(luas) do
    contenders[#contenders + 1] = { lua[1], on(lua[2], "transfer", way, place), before = before }
  end
  local field, all = compete(contenders, 9) -- each takes a third of a second, or half as long again
  local curl = 1 / field("curl", "wall")
  for _, lua in ipairs(luas) do
    local ours, rss = 1 / field(lua[1], "wall"), field(lua[1], "maxrss") / 1024
    local faster = median_ratio(all.curl, all[lua[1]], function(r) return r.wall end)
    row(("%s: %s"):format(what, lua[1]), ("%.2f GiB/s"):format(ours),
      ("curl %.2f GiB/s"):format(curl), ratio(faster), "≥ 0.95 ×", faster >= 0.95)
    row(("%s, resident memory: %s"):format(what, lua[1]), ("%.1f MB"):format(rss),
      ("curl %.1f MB"):format(field("curl", "maxrss") / 1024), nil, "≤ 16 MB", rss <= 16)
  end
end

local function big_file()
  carried("1 GiB up", "up", big)
  carried("1 GiB down", "down", "/dev/null")
  if in_memory == "" then return row("1 GiB down, to a file in memory", "skipped", "no room in /dev/shm") end
  carried("1 GiB down, to a file in memory", "down", in_memory .. "/back")
  os.remove(in_memory .. "/back")
end

-- The same by others: 1,000 at once over 64 connections.
local function others_in_flight()
  local n, connections = 1000, 64
  local contenders = { { "Lua 5.4", on("lua5.4", "flight", n, connections) } }
  if peers.Python then contenders[#contenders + 1] = { "Python", peers.Python("flight", n, connections) } end
  if peers.Go then contenders[#contenders + 1] = { "Go", peers.Go("flight", n, connections) } end
  if python then
    contenders[#contenders + 1] =
      { "httpx", ("%s bench/peers/python/httpx_flight.py %s %d %d"):format(python, api, n, connections) }
  end
  local field = compete(contenders)
  local ours = field("Lua 5.4", each_us)
  for i = 2, #contenders do
    local name = contenders[i][1]
    local theirs = field(name, each_us)
    row(("%d in flight, %d connections: %s"):format(n, connections, name), ("%.1f µs each"):format(theirs),
      ("Lua 5.4 %.1f µs"):format(ours), ratio(theirs / ours))
  end
end

local function in_flight()
  local memory = {}
  for _, case in ipairs { { 1000, 64, 0.75 }, { 10000, 64, 0.75 }, { 1000, 1000, 1 } } do
    local n, connections, bar = case[1], case[2], case[3]
    local contenders = {}
    for _, lua in ipairs(luas) do
      contenders[#contenders + 1] = { lua[1], on(lua[2], "flight", n, connections) }
      contenders[#contenders + 1] = { lua[1] .. " alone", on(lua[2], "exec", 1000) }
    end
    local field = compete(contenders)
    for _, lua in ipairs(luas) do
      local ours, alone = field(lua[1], each_us), field(lua[1] .. " alone", each_us)
      row(("%d in flight, %d connections: %s"):format(n, connections, lua[1]),
        ("%.1f µs each"):format(ours), ("one alone %.1f µs"):format(alone), ratio(ours / alone),
        ("≤ %.2f ×"):format(bar), ours <= bar * alone)
      local rss = field(lua[1], "maxrss")
      if connections == 64 and n == 1000 then
        memory[lua[1]] = rss
      elseif connections == 64 then
        row("Memory of one of 10000 in flight: " .. lua[1], ("%.2f KiB"):format((rss - memory[lua[1]]) / (n - 1000)))
      end
    end
  end
  others_in_flight()
end

local function frames()
  -- 192.0.2.0/24 answers nothing: a name server there leaves every query hanging.
  save(dir .. "/resolv.conf", "nameserver 192.0.2.1\n")
  local stuck_names = ("bwrap --dev-bind / / --ro-bind %s/resolv.conf " ..
    "$(readlink -f /etc/resolv.conf) "):format(dir)
  local bwrap = output "command -v bwrap" ~= ""
  local contenders = {}
  for _, lua in ipairs(luas) do
    local name, binary = lua[1], lua[2]
    contenders[#contenders + 1] = { name, on(binary, "frame", 5000) }
    if bwrap then
      contenders[#contenders + 1] = { name .. ", name server stuck",
        stuck_names .. on(binary, "frame", 5000, "http://stuck.example/api") }
    end
  end
  local field = compete(contenders)
  for _, contender in ipairs(contenders) do
    local longest = field(contender[1], "longest")
    row("Longest update(0.002): " .. contender[1], ("%.2f ms"):format(longest * 1e3), nil, nil,
      "≤ 3 ms", longest <= 0.003)
  end
end

local function idle()
  for _, lua in ipairs(luas) do
    local short, long = run(on(lua[2], "idle", 0.5)), run(on(lua[2], "idle", 5.5))
    local extra = math.tointeger(long.switches - short.switches)
    row("Wake-ups in 5 idle seconds: " .. lua[1], ("%d"):format(extra), nil, nil, "0", extra <= 0)
  end
end

-- The client inside nginx: over nginx's sockets, and libcurl's with the two ways of waiting for
-- these; beside what one would write by hand.
local function in_nginx()
  local modules = output "ls -d /usr/lib/nginx/modules /usr/lib64/nginx/modules 2>/dev/null | head -n 1"
  local nginx = output "PATH=$PATH:/usr/sbin; command -v nginx"
  local contenders = {}
  for i, way in ipairs { "by hand", "sockets", "doorbell", "naps" } do
    local folder = dir .. "/nginx-" .. i
    os.execute("mkdir " .. folder)
    save(folder .. "/conf", (read "bench/in_nginx.conf"):gsub("@(%u+)@", {
      HERE = here, API = api, DIR = folder, MODULES = modules, WAY = way, CALLS = "2000",
    }))
    contenders[#contenders + 1] = { way, ("%s -c %s/conf -e %s/error.log"):format(nginx, folder, folder) }
  end
  local field = compete(contenders)
  for _, part in ipairs {
    { "one exec after the other", "time", "cpu_each" }, { "64 at a time", "many_time", "many_cpu" },
  } do
    local hand = field("by hand", part[3])
    for _, contender in ipairs(contenders) do
      local way = contender[1]
      local ours, bar = field(way, part[3]), way == "sockets"
      row(("In nginx, %s: %s"):format(part[1], way), ("CPU %.1f µs each"):format(ours),
        ("wall time %.0f µs"):format(field(way, part[2])), way ~= "by hand" and ratio(ours / hand) or nil,
        bar and "≤ 1.50 ×" or nil, bar and ours <= 1.5 * hand or nil)
    end
  end
end

-- Against the local server, which the program starts; both may use all processors.
local function with_server(lua, ...)
  local everywhere = processors > 1 and ("taskset -c 0-%d "):format(processors - 1) or ""
  return everywhere .. on(lua, ...)
end

-- One program on every Lua.
local function compete_with_server(program)
  local contenders = {}
  for _, lua in ipairs(luas) do contenders[#contenders + 1] = { lua[1], with_server(lua[2], program) } end
  return compete(contenders)
end

local function live_output()
  local field = compete_with_server "live"
  for _, lua in ipairs(luas) do
    local age, few, many = field(lua[1], "age"), field(lua[1], "few"), field(lua[1], "many")
    row("Live output, printed to callback: " .. lua[1], ("%.2f ms"):format(age * 1e3),
      ("of 100 the longest %.2f ms"):format(field(lua[1], "oldest") * 1e3), nil, "≤ 10 ms", age <= 0.01)
    row("CPU of a followed chunk, of 10,000: " .. lua[1], ("%.1f µs"):format(many * 1e6),
      ("of 1,000 %.1f µs"):format(few * 1e6), ratio(many / few), "≤ 1.20 ×", many <= 1.2 * few)
    row("A log of 100 MB of tiny lines, followed: " .. lua[1], ("%.0f MB/s"):format(field(lua[1], "tiny") / 1e6))
    row("A job's line, printed to read: " .. lua[1], ("%.2f ms"):format(field(lua[1], "job") * 1e3))
  end
end

local function open_and_idle()
  for _, lua in ipairs(luas) do
    local woken = math.tointeger(run(with_server(lua[2], "open")).woken)
    row("Wake-ups in 5 idle seconds, 500 open: " .. lua[1], ("%d"):format(woken), nil, nil, "0", woken <= 0)
  end
end

local function trees()
  local saved = rounds
  rounds = math.min(rounds, 3)
  local field = compete_with_server "tree"
  for _, lua in ipairs(luas) do
    local alone, first, nothing = field(lua[1], "single"), field(lua[1], "first"), field(lua[1], "nothing")
    row("5,000 small files, sync: " .. lua[1], ("%.0f ms"):format(first * 1e3),
      ("one by one %.0f ms"):format(alone * 1e3), ratio(alone / first), "≥ 20 ×", alone >= 20 * first)
    row("5,000 small files, nothing changed: " .. lua[1], ("%.0f ms"):format(nothing * 1e3), nil, nil,
      "≤ 150 ms", nothing <= 0.15)
  end
  rounds = saved
end

-- What each call takes of a frame beyond update(0.002). A string is made in one go: where a call
-- returns one of megabytes, what its birth alone takes stands beside it. The collector of Lua 5.4 is
-- told to go in small steps, as doc/embedding.md recommends; what it takes as it comes stands there, too.
local function budgets()
  local saved = rounds
  rounds = 1 -- each is the best of a few tries
  local SMALL_STEPS = "env BUDGET_GC=1 "
  local contenders = {}
  for _, lua in ipairs(luas) do
    contenders[#contenders + 1] = { lua[1], with_server(lua[2], "budget") }
    if lua[2] == "lua5.4" then
      contenders[#contenders + 1] = { "small steps", SMALL_STEPS .. with_server(lua[2], "budget") }
    end
  end
  local field = compete(contenders)
  for _, call in ipairs(dofile "bench/lua/budget_calls.lua".of {}) do
    for _, lua in ipairs(luas) do
      local steps = lua[2] == "lua5.4" and "small steps" or lua[1]
      local over, floor, beside = field(steps, call[1]), field(steps, call[1] .. "_floor"), nil
      if floor then beside = ("one string of that size %.2f ms"):format(floor * 1e3) end
      local usual = field(lua[1], call[1])
      if usual > 0.001 + (floor or 0) then
        beside = (beside and beside .. "; " or "") .. ("collector as it comes %.2f ms"):format(usual * 1e3)
      end
      row(("Over a frame's budget, %s: %s"):format(call[2], lua[1]), ("%.2f ms"):format(over * 1e3), beside, nil,
        floor and "≤ 1 ms + the string" or "≤ 1 ms", over <= 0.001 + (floor or 0))
    end
  end
  rounds = saved
end

-- An MCP server with the twelve operations, beside one on the official SDKs.
local function mcp()
  local function server(command) return on("lua5.4", "mcp", 500, command) end
  local contenders = {}
  for _, lua in ipairs(luas) do
    contenders[#contenders + 1] = { lua[1], server("env -u LUA_PATH -u LUA_CPATH DAYTONA_LUA=" .. lua[2]
      .. " bin/daytona-mcp") }
  end
  local peer = read "bench/peers/node/node_modules/@modelcontextprotocol/sdk/package.json"
  if peer then contenders[#contenders + 1] = { "TypeScript", server "node bench/peers/node/mcp.js" } end
  local field = compete(contenders)
  for _, part in ipairs {
    { "first", "start to first answer", 1e3, "%.1f ms", 20 }, { "memory", "resident memory", 1 / 1024, "%.1f MB", 8 },
    { "each", "CPU of a call", 1e6, "%.0f µs" },
  } do
    local key, what, scale, form, bar = part[1], part[2], part[3], part[4], part[5]
    local theirs = peer and field("TypeScript", key)
    for _, lua in ipairs(luas) do
      local ours = field(lua[1], key)
      row(("MCP server, %s: %s"):format(what, lua[1]), form:format(ours * scale),
        theirs and ("TypeScript " .. form):format(theirs * scale), theirs and ratio(theirs / ours),
        theirs and bar and ("≥ %d ×"):format(bar), theirs and bar and theirs >= bar * ours)
    end
  end
end

-- What the agent kit adds to a command, and to a model's reply.
local function kit()
  local contenders = {}
  for _, lua in ipairs(luas) do contenders[#contenders + 1] = { lua[1], on(lua[2], "kit", 1000) } end
  local field = compete(contenders)
  for _, lua in ipairs(luas) do
    local bare, called = field(lua[1], "bare"), field(lua[1], "call")
    row("CPU of a tool's call: " .. lua[1], ("%.1f µs"):format(called * 1e6),
      ("bare exec %.1f µs"):format(bare * 1e6), ratio(called / bare))
    row("CPU of a step of an agent: " .. lua[1], ("%.0f µs"):format(field(lua[1], "step") * 1e6))
  end
  for _, set in ipairs { { "operations", "twelve tools" }, { "coding", "thirteen tools" } } do
    row(("Definitions of the set %s, %s"):format(set[1], set[2]), ("%d bytes"):format(field("Lua 5.4", set[1])))
  end
end

local function logs()
  local text = output(("%s%s 100"):format(pinned(processors - 1), compile("demux", "src/core/demux.c")))
  for _, case in ipairs { { "1", "tiny lines" }, { "80", "lines of 80 bytes" } } do
    local line = assert(text:match("\n(" .. case[1] .. " [^\n]+)"))
    local _, _, kib = line:match "(%S+)%s+(%S+)%s+(%S+)"
    row(("Log demultiplexing, %s, 1 KiB chunks"):format(case[2]), kib .. " GB/s", nil, nil, "≥ 1 GB/s",
      tonumber(kib) >= 1)
  end
end

-- --- the table -----------------------------------------------------------------

local function markdown()
  local lines = {
    ("Measured with `%s`: medians of %d rounds on")
      :format(only == "kit" and "lua5.4 bench/run.lua --write 3 kit" or "make bench WRITE=1", rounds),
    ("%s. Load average before it: %s."):format(tools.measured_on(), load),
    "",
    "| what | measured | against | ratio | bar | |",
    "| --- | ---: | --- | ---: | --- | --- |",
  }
  for _, cells in ipairs(rows) do lines[#lines + 1] = "| " .. table.concat(cells, " | ") .. " |" end
  return table.concat(lines, "\n")
end

local PARTS = {
  { "exec", one_call }, { "rivals", rivals }, { "calls", system_calls },
  { "script", whole_script }, { "big", big_file }, { "flight", in_flight }, { "frames", frames },
  { "idle", idle }, { "open", open_and_idle }, { "nginx", in_nginx }, { "live", live_output }, { "trees", trees },
  { "budgets", budgets }, { "mcp", mcp }, { "kit", kit }, { "logs", logs },
}

-- A part that is measured beside another.
local NEEDS = { kit = "mcp" }

local missing, failed, took = {}, {}, {}
for _, name in ipairs(PEERS) do
  if not peers[name] then missing[#missing + 1] = name end
end
if missing[1] then
  row("Official SDKs: " .. table.concat(missing, ", "), "skipped", "not installed: make bench-peers")
end

local known = not only
for _, part in ipairs(PARTS) do known = known or only == part[1] end
if not known then quit("there is no part " .. only) end
for _, part in ipairs(PARTS) do
  if not only or only == part[1] or NEEDS[only] == part[1] then
    local began = os.time()
    local fine, why = pcall(part[2])
    took[#took + 1] = ("%s %d s"):format(part[1], os.time() - began)
    if not fine then
      failed[#failed + 1] = part[1] .. ": " .. tostring(why)
      row("Part " .. part[1], "**failed**")
    end
  end
end
if write then tools.put_table(only == "kit" and "table of the kit" or "table", markdown()) end
print("\n" .. markdown() .. "\n")
print("Took: " .. table.concat(took, ", ") .. ".")
quit(failed[1] and table.concat(failed, "\n") or nil)
