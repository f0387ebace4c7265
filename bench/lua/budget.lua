-- What calls of the library take of a frame: budget.lua [CALL]
-- In a sandbox of the local server, one call at a time. Prints for each the longest
-- daytona.update(0.002) beyond its budget, in seconds. With BUDGET_TRACE=1: where a task
-- is when a frame is late.
local daytona = require "daytona"
local core = require "daytona.core"
local devserver = require "daytona.devserver"

local BUDGET = 0.002
local pipe = assert(io.popen "test -w /dev/shm && TMPDIR=/dev/shm; mktemp -d ${TMPDIR:+-p $TMPDIR}")
local scratch = assert(pipe:read "*l")
pipe:close()

local server = assert(devserver.start { dir = scratch .. "/server" })
daytona.use "manual"
local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })

local begun, told = 0, true
local function trace()
  if told or core.now() - begun < BUDGET + 0.0015 then return end
  told = true
  io.stderr:write(debug.traceback("late"), "\n")
end

-- Runs fn in a task, frame by frame. What other programs on this machine take does not
-- count: time that passed, but not for us.
local function over(fn, traced)
  local task = daytona.spawn(function()
    if traced then debug.sethook(trace, "", 100) end
    return fn()
  end)
  local longest = 0
  repeat
    local cpu, start = os.clock(), core.now()
    begun, told = start, false
    daytona.update(BUDGET)
    told = true
    longest = math.max(longest, math.min(core.now() - start, os.clock() - cpu) - BUDGET)
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
    head -c 4194304 /dev/zero | tr '\0' x >text]], { check = true })
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
local function up() return assert(fs:sync(scratch .. "/tree", "tree2")) end

local CALLS = {
  { "list", function() return #assert(fs:list "many") == 2000 end },
  { "glob", function() return #assert(fs:glob("many", "*")) >= 2000 end },
  { "grep", function() return assert(fs:grep("tree", "1")) end },
  { "down", down }, { "down_again", down }, { "up", up }, { "up_again", up },
  { "download_many", function() return assert(fs:download_many(wanted)) end },
  { "upload_many", function() return assert(fs:upload_many(given)) end },
  { "write", function() return assert(fs:write("w", big)) end },
  { "read", function() return #assert(fs:read "big") == 16777216 end },
  { "exec", function() return #assert(box:exec "cat text").result == 4194304 end },
}

local fields = {}
local fine, why = pcall(function()
  for _, call in ipairs(CALLS) do
    if not arg[1] or arg[1] == call[1] or arg[1]:find "^http" then
      collectgarbage() -- the garbage of the calls before is not this one's
      fields[#fields + 1] = ('"%s":%.6f'):format(call[1], math.max(over(call[2], os.getenv "BUDGET_TRACE"), 0))
    end
  end
end)
server:stop()
os.execute("rm -rf " .. scratch)
assert(fine, why)
print("{" .. table.concat(fields, ",") .. "}")
os.exit(true, false)
