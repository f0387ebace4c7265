-- Follows logs of tiny lines that grow to 125 MB, and measures how long a printed
-- line takes to reach this program, from a session and from a job. Runs against a
-- local server of its own:
--
--   eval "$(make -s env)"; lua5.4 bench/lua/follow.lua
local clock = os.clock
local daytona = require "daytona"
local loop = require "daytona.loop"

local server = assert(require("daytona.devserver").start {})
local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
local sandbox = assert(client:create())
local session = assert(sandbox:session())

for _, lines in ipairs { 1000000, 5000000, 25000000 } do
  local command = assert(session:exec("yes | head -n " .. lines, { async = true }))
  assert(command:wait(0))
  local begin, cpu, bytes = loop.now(), clock(), 0
  assert(command:follow { on_stdout = function(chunk) bytes = bytes + #chunk end })
  assert(bytes == 2 * lines)
  cpu = clock() - cpu
  print(("log of %4d MB: %.2f s, %.2f s of it CPU, %.0f MB a second of CPU"):format(
    math.floor(5 * lines / 1e6), loop.now() - begin, cpu, 5 * lines / 1e6 / cpu))
end

-- The clock's time is what is printed, so a line says how old it is.
local SCRIPT = "read x; while sleep 0.1; do date +%s.%N; done"

local function age(line)
  local pipe = io.popen "date +%s.%N"
  local now = pipe:read "*l"
  pipe:close()
  return tonumber(now) - tonumber((line:match "[%d.]+"))
end

local function report(what, next_line)
  local ages = {}
  for i = 1, 30 do ages[i] = age(next_line()) end
  table.sort(ages)
  print(("%s: a line is %.1f ms old (median), %.1f ms at most; its process and this measure included"):format(
    what, 1000 * ages[15], 1000 * ages[30]))
end

local command = assert(session:exec(SCRIPT, { async = true, echo = false }))
assert(command:input "go")
local follow = command:follow()
report("session", function() return select(2, follow:read()) end)

local job = assert(sandbox:popen(SCRIPT, { stdin = "go\n" }))
report("job", function() return job:read() end)

assert(sandbox:delete())
server:stop()
