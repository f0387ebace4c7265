-- Commands in flight at once, in one thread: flight.lua API_URL N CONNECTIONS
-- Prints what all of them cost together, after as many that open connections.
local daytona = require "daytona"
local core = require "daytona.core"

local n = tonumber(arg[2])
local client = daytona.new {
  api_url = arg[1], api_key = "bench", ca_file = os.getenv "BENCH_CA", max_connections = tonumber(arg[3]),
}
local sandbox = assert(client:get("bench"))

local function run()
  local tasks = {}
  for i = 1, n do
    tasks[i] = daytona.spawn(function() return sandbox:exec("uname -a") end)
  end
  for i = 1, n do
    local r = assert(tasks[i]:wait())
    assert(r.exit_code == 0)
  end
end

run()
collectgarbage()
local cpu, wall = os.clock(), core.now()
run()
print(('{"cpu":%.6f,"wall":%.6f,"n":%d}'):format(os.clock() - cpu, core.now() - wall, n))
