-- One call made COUNT times, for counting what it costs (callgrind): call.lua API_URL WHAT COUNT
--
-- WHAT is exec, task (exec in a task), read (300 bytes), get, create (and delete) or popen (a job's
-- line and its end, which needs the local server: no API_URL, "-", takes the environment's).
local daytona = require "daytona"

local url, what, count = arg[1], arg[2], tonumber(arg[3])
local client = daytona.new(url ~= "-" and { api_url = url, api_key = "bench", ledger = os.getenv "BENCH_LEDGER" }
  or { ledger = os.getenv "BENCH_LEDGER" })
local sandbox = assert(client:create { language = "python" })

local CALLS = {
  exec = function() assert(sandbox:exec("uname -a")) end,
  read = function() assert(sandbox.fs:read("notes.txt")) end,
  get = function() assert(client:get(sandbox.id)) end,
  create = function()
    local another = assert(client:create { language = "python" })
    assert(another:delete { wait = false })
  end,
  popen = function()
    local job = assert(sandbox:popen("echo hello; sleep 5"))
    assert(job:read "l")
    job:close()
  end,
}

local function repeated(call)
  for _ = 1, count do call() end
end

if what == "task" then
  assert(daytona.gather { function() repeated(CALLS.exec) end })
else
  repeated(CALLS[what])
end
assert(sandbox:delete { wait = false })
