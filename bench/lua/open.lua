-- 250 terminals and 250 follows, open at once in one thread on the local server,
-- and idle. Prints how often this process was woken in 5 seconds, after 10 quiet
-- ones, between two of the moments at which all are pinged.
local daytona = require "daytona"
local core = require "daytona.core"
local devserver = require "daytona.devserver"

local COUNT, QUIET, WATCHED, MOMENTS = 250, 10, 5, 20

local function wakeups()
  local file = assert(io.open "/proc/self/status")
  local text = file:read "*a"
  file:close()
  return tonumber(text:match "\nvoluntary_ctxt_switches:%s*(%d+)")
end

local server = assert(devserver.start())
local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
local sandbox = assert(client:create())
local session = assert(sandbox:session())
local command = assert(session:exec("echo ready; exec sleep 1000", { async = true }))

local count, tasks = 0, {}

local function terminal()
  local pty = assert(sandbox:pty())
  assert(pty:read())
  count = count + 1
  while pty:read() do end -- luacheck: ignore 542
end

local function follow()
  local log = assert(command:follow())
  assert(log:read() == "stdout")
  count = count + 1
  log:read()
end

for _ = 1, COUNT do
  table.insert(tasks, daytona.spawn(terminal))
  table.insert(tasks, daytona.spawn(follow))
end
while count < 2 * COUNT do assert(daytona.sleep(0.1)) end
assert(daytona.sleep(QUIET))
local since = core.now() % MOMENTS
if since < 2 then assert(daytona.sleep(2 - since)) end
if since > MOMENTS - WATCHED - 1 then assert(daytona.sleep(MOMENTS + 2 - since)) end

local before = wakeups()
assert(daytona.sleep(WATCHED))
local woken = wakeups() - before - 1 -- the sleep's own end
for _, task in ipairs(tasks) do task:cancel() end
for _, task in ipairs(tasks) do task:wait() end
server:stop()
print(('{"woken":%d}'):format(woken))
