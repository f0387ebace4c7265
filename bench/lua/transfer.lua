-- One file: transfer.lua API_URL up LOCAL   or   transfer.lua API_URL down LOCAL
local daytona = require "daytona"
local core = require "daytona.core"

local client = daytona.new { api_url = arg[1], api_key = "bench", ca_file = os.getenv "BENCH_CA" }
local sandbox = assert(client:get("bench"))
local start = core.now()
if arg[2] == "up" then
  assert(sandbox.fs:upload(arg[3], "big"))
else
  assert(sandbox.fs:download("big", arg[3]))
end
print(('{"wall":%.6f}'):format(core.now() - start))
