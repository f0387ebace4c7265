-- The smallest useful program, as a user would write it: script.lua API_URL
local daytona = require "daytona"

local client = daytona.new {
  api_url = arg[1], api_key = "bench", ca_file = os.getenv "BENCH_CA", ledger = os.getenv "BENCH_LEDGER",
}
local sandbox = assert(client:create { language = "python" })
local r = assert(sandbox:exec("uname -a"))
assert(r.exit_code == 0)
assert(sandbox:delete { wait = false })
