-- What calls of the library take of a frame: budget.lua [CALL...]
-- In a sandbox of the local server, one call at a time. Prints for each the longest
-- daytona.update(0.002) beyond its budget, in seconds of the processor's time of its thread (the
-- best of a few tries), and as *_floor what the host itself takes for the one string of that size
-- that the call returns. With BUDGET_GC=1 the collector of Lua 5.4 is told to go in small steps, as
-- doc/embedding.md recommends. With BUDGET_TRACE=1: where a task is when a frame is late.
local daytona = require "daytona"
local core = require "daytona.core"
local devserver = require "daytona.devserver"

local BUDGET = 0.002
local pipe = assert(io.popen "test -w /dev/shm && TMPDIR=/dev/shm; mktemp -d ${TMPDIR:+-p $TMPDIR}")
local scratch = assert(pipe:read "*l")
pipe:close()

local clock = scratch .. "/thread_time.so"
os.execute("cc -O2 -shared -fPIC -o " .. clock .. " bench/c/thread_time.c")
local thread_time = assert(package.loadlib(clock, "thread_time"))
if os.getenv "BUDGET_GC" and _VERSION == "Lua 5.4" then collectgarbage("incremental", 0, 8) end

local server = assert(devserver.start { dir = scratch .. "/server" })
daytona.use "manual"
local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })

local begun, told = 0, true
local function trace()
  if told or core.now() - begun < BUDGET + 0.0015 then return end
  told = true
  io.stderr:write(debug.traceback("late"), "\n")
end

-- Runs fn in a task, frame by frame. What other programs on this machine and the engine's thread
-- take does not count: time that passed, but not for us.
local function over(fn, traced)
  local task = daytona.spawn(function()
    if traced then debug.sethook(trace, "", 100) end
    return fn()
  end)
  local longest = 0
  repeat
    local cpu, start = thread_time(), core.now()
    begun, told = start, false
    daytona.update(BUDGET)
    told = true
    longest = math.max(longest, math.min(core.now() - start, thread_time() - cpu) - BUDGET)
  until task:done()
  assert(task:wait(0))
  return longest
end

local box, fs
over(function()
  box = assert(client:create())
  fs = box.fs
  return box:exec([[
    mkdir -p many tree; cd many; seq 2000 | xargs touch; cd ../tree
    for i in $(seq 2000); do echo $i >$i; done; cd ..; head -c 16777216 /dev/urandom >big
    head -c 4194304 /dev/zero | tr '\0' x >text; yes "$(seq -s ' ' 20)" | head -c 4194304 >lines
    git init -q repository]], { check = true })
end)

local function numbered(item)
  local list = {}
  for i = 1, 2000 do list[i] = item(i) end
  return list
end

-- Made beforehand: what a program does in its task is its own time.
local wanted = numbered(function(i) return "tree/" .. i end)
local given = numbered(function(i) return { { data = "x" }, "up/" .. i } end)
local big = ("x"):rep(16777216)

local function down() return assert(fs:sync(scratch .. "/tree", "tree", { direction = "down" })) end
local function up() return assert(fs:sync(scratch .. "/tree", "tree2", { checksum = true })) end
local function fresh() fs:remove("tree2", { recursive = true }) end

local function output_of(command)
  return function() return #assert(box:exec(command)).result == 4194304 end
end

local function drained(job)
  for _ in job:lines() do end
  return job:close()
end

-- { name, call, bytes = of the string that it returns, first = what is done before, not measured }
local CALLS = {
  { "list", function() return #assert(fs:list "many") == 2000 end },
  { "glob", function() return #assert(fs:glob("many", "*")) >= 2000 end },
  { "grep", function() return assert(fs:grep("tree", "1")) end },
  { "down", down, first = function() os.execute("rm -rf " .. scratch .. "/tree") end }, { "down_again", down },
  { "up", up, first = fresh }, { "up_again", up },
  { "download_many", function() return assert(fs:download_many(wanted)) end },
  { "upload_many", function() return assert(fs:upload_many(given)) end, first = function()
    fs:remove("up", { recursive = true }) -- else each is compared with what is there, over there
  end },
  { "write", function() return assert(fs:write("w", big)) end },
  { "read", function() return #assert(fs:read "big") == 16777216 end, bytes = 16777216 },
  { "exec", output_of "cat text", bytes = 4194304 },
  { "exec_lines", output_of "cat lines", bytes = 4194304 },
  { "upload", function() return assert(fs:upload(scratch .. "/big", "b")) end,
    first = function() assert(fs:download("big", scratch .. "/big")) end },
  { "download", function() return assert(fs:download("big", scratch .. "/big")) end },
  { "popen", function() return drained(assert(box:popen "head -c 400000 lines")) end },
  { "run", function() return assert(box:run("print('x' * 100000)", { language = "python" })) end },
  { "session", function()
    local session = assert(box:session())
    assert(session:exec "cd /tmp")
    return assert(session:exec "head -c 1000000 /dev/zero | tr '\\0' x") and session:close()
  end },
  { "pty", function()
    local pty = assert(box:pty())
    assert(pty:write "seq 20000; exit\n")
    while pty:read() do end
    return pty:close() or true
  end },
  { "git", function()
    return assert(fs:write("repository/a", "x")) and assert(box.git:add("repository", "a"))
      and assert(box.git:branches "repository")
  end },
  { "info", function()
    return assert(fs:stat "big") and assert(fs:mkdir "d/e") and assert(fs:move("d", "d2"))
      and assert(fs:chmod("text", "600")) and assert(fs:remove("d2", { recursive = true })) and assert(box:refresh())
  end },
  { "replace", function() return assert(fs:replace({ "tree/1" }, "nothing", "something")) end },
  { "create", function()
    local other = assert(client:create())
    return assert(other:delete())
  end },
  { "listing", function() return assert(client:list()) end },
}

local function is_asked(name)
  if not arg[1] or arg[1]:find "^http" then return true end
  for _, asked in ipairs(arg) do
    if asked == name then return true end
  end
end

-- Seconds that the host takes to make a string of so many bytes.
local function birth(bytes)
  collectgarbage()
  local start = thread_time()
  local text = big:sub(2, bytes)
  return thread_time() - start, text
end

local TRIES = 3
local fields = {}
local function note(name, seconds) fields[#fields + 1] = ('"%s":%.6f'):format(name, math.max(seconds, 0)) end

local function measure(call)
  local best, floor = math.huge, call.bytes and 0
  for _ = 1, TRIES do
    if call.first then over(function() call.first() return true end) end
    if call.bytes then floor = math.max(floor, (birth(call.bytes))) end -- the slowest: in fresh memory
    collectgarbage() -- the garbage of the calls before is not this one's
    best = math.min(best, over(call[2], os.getenv "BUDGET_TRACE"))
  end
  note(call[1], best)
  if floor then note(call[1] .. "_floor", floor) end
end

local fine, why = pcall(function()
  for _, call in ipairs(CALLS) do
    if is_asked(call[1]) then measure(call) end
  end
end)
server:stop()
os.execute("rm -rf " .. scratch)
assert(fine, why)
print("{" .. table.concat(fields, ",") .. "}")
os.exit(true, false)
