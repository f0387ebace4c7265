-- Live output of a command in a session of the local server: how old a line is
-- when it reaches the callback (the way through the server included), and what
-- following a log of 1,000 and of 10,000 chunks costs, in CPU time.
local daytona = require "daytona"
local core = require "daytona.core"
local devserver = require "daytona.devserver"

local server = assert(devserver.start())
local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
local session = assert(assert(client:create()):session())

-- Both programs read the same clock.
local ages = {}
local command = assert(session:exec({ "python3", "-uc", [[
import time
for _ in range(100):
    time.sleep(0.02)
    print(time.monotonic())
]] }, { async = true }))
assert(command:follow { on_stdout = function(line) table.insert(ages, core.now() - tonumber((line:match "%S+"))) end })
assert(#ages >= 90)
table.sort(ages)

-- The server sends a log in frames of 1 KiB.
local function follow(chunks)
  command = assert(session:exec(("yes %s | head -n %d"):format(("x"):rep(1020), chunks), { async = true }))
  assert(command:wait())
  local bytes, cpu = 0, os.clock()
  assert(command:follow { on_stdout = function(data) bytes = bytes + #data end })
  cpu = os.clock() - cpu
  assert(bytes == 1021 * chunks)
  return cpu / chunks
end

follow(1000)
local few, many = follow(1000), follow(10000)
server:stop()
print(('{"age":%.6f,"oldest":%.6f,"few":%.9f,"many":%.9f}'):format(ages[math.ceil(#ages / 2)], ages[#ages], few, many))
