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

local box
over(function()
  box = assert(client:create())
  return box:exec([[
    mkdir -p many tree; cd many; seq 2000 | xargs touch; cd ../tree
    for i in $(seq 2000); do echo $i >$i; done; cd ..; head -c 16777216 /dev/urandom >big
    head -c 4194304 /dev/zero | tr '\0' x >text; yes "$(seq -s ' ' 20)" | head -c 4194304 >lines
    git init -q repository]], { check = true })
end)

local world = {
  box = box, client = client, daytona = daytona, scratch = scratch, shell = os.execute,
  big = ("x"):rep(16777216), -- made beforehand: what a program does in its task is its own time
}
local rows = dofile "bench/lua/budget_calls.lua".of(world)

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
  local text = world.big:sub(2, bytes)
  return thread_time() - start, text
end

local TRIES = tonumber(os.getenv "BUDGET_TRIES") or 3
local fields = {}
local function note(name, seconds) fields[#fields + 1] = ('"%s":%.6f'):format(name, math.max(seconds, 0)) end

-- What the local server is to answer, if that is not its own.
local function prepare(row)
  server:clear_faults()
  if not row.canned then return end
  local path, body = row.canned[1], row.canned[2]
  if type(body) == "function" then body = body() end
  local headers = { ["content-type"] = "application/json" }
  assert(server:faults { { path = path, status = 200, body = body, headers = headers } })
end

local function measure(row)
  local name, call = row[1], row[4]
  local best, floor = math.huge, row.bytes and 0
  for _ = 1, TRIES do
    if row.first then over(function() row.first() return true end) end
    if row.bytes then floor = math.max(floor, (birth(row.bytes))) end -- the slowest: in fresh memory
    collectgarbage() -- the garbage of the calls before is not this one's
    best = math.min(best, over(function() return assert(call(), name) end, os.getenv "BUDGET_TRACE"))
  end
  note(name, best)
  if floor then note(name .. "_floor", floor) end
end

local fine, why = pcall(function()
  for _, row in ipairs(rows) do
    if is_asked(row[1]) then
      over(function() prepare(row) return true end)
      measure(row)
    end
  end
end)
server:stop()
os.execute("rm -rf " .. scratch)
assert(fine, why)
print("{" .. table.concat(fields, ",") .. "}")
os.exit(true, false)
