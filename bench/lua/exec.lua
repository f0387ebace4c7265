-- One command after the other: exec.lua API_URL N
-- Prints what the last N cost, after 50 that open the connection.
local daytona = require "daytona"

local client = daytona.new { api_url = arg[1], api_key = "bench" }
local sandbox = assert(client:get("bench"))
local n = tonumber(arg[2])

local function run(count)
  for _ = 1, count do
    local r = assert(sandbox:exec("uname -a"))
    assert(r.exit_code == 0)
  end
end

run(50)
local core = require "daytona.core"
local cpu, wall = os.clock(), core.now()
run(n)
print(('{"cpu":%.6f,"wall":%.6f,"n":%d}'):format(os.clock() - cpu, core.now() - wall, n))
