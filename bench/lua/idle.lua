-- Does nothing for some seconds, a connection open: idle.lua API_URL SECONDS
-- bench/run.lua compares how often two of these were woken.
local daytona = require "daytona"

local client = daytona.new { api_url = arg[1], api_key = "bench" }
local sandbox = assert(client:get("bench"))
assert(sandbox:exec("true"))
daytona.sleep(tonumber(arg[2]))
