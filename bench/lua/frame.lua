-- A frame loop with commands in flight: frame.lua API_URL FRAMES [STUCK_URL]
-- With a third argument, a name is being resolved all the while, in vain.
-- Prints the longest daytona.update(0.002), in seconds.
local daytona = require "daytona"
local core = require "daytona.core"

daytona.use "manual"
local client = daytona.new { api_url = arg[1], api_key = "bench" }
local longest, running = 0, 0

local function command(sandbox)
  running = running + 1
  daytona.spawn(function()
    local r = assert(sandbox:exec("uname -a"))
    assert(r.exit_code == 0)
    running = running - 1
  end)
end

local sandbox
daytona.spawn(function() sandbox = assert(client:get("bench")) end)
local stuck = arg[3] and daytona.spawn(function()
  return daytona.new { api_url = arg[3], api_key = "bench" }:get("x")
end)
for _ = 1, tonumber(arg[2]) do
  while sandbox and running < 20 do command(sandbox) end
  local start = core.now()
  daytona.update(0.002)
  longest = math.max(longest, core.now() - start)
end
if stuck then
  local start = core.now()
  stuck:cancel()
  daytona.update(0.002)
  longest = math.max(longest, core.now() - start)
end
print(('{"longest":%.6f}'):format(longest))
os.exit(true, false)
