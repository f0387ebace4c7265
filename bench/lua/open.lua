-- 250 terminals, or 250 follows of a command, open at once in one thread on the
-- local server, and idle: open.lua API_URL terminals|follows
-- Prints how often this process was woken in 5 seconds, after 10 quiet ones.
local daytona = require "daytona"
local devserver = require "daytona.devserver"

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

local COUNT = 250
local count, tasks = 0, {}

local function terminal()
  local pty = assert(sandbox:pty { ping_interval = 0 })
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

for i = 1, COUNT do tasks[i] = daytona.spawn(arg[2] == "terminals" and terminal or follow) end
while count < COUNT do assert(daytona.sleep(0.1)) end
assert(daytona.sleep(10))

local before = wakeups()
assert(daytona.sleep(5))
local woken = wakeups() - before - 1 -- the sleep's own end
for _, task in ipairs(tasks) do task:cancel() end
for _, task in ipairs(tasks) do task:wait() end
server:stop()
print(('{"woken":%d}'):format(woken))
