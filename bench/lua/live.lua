-- Live output of a command in a session of the local server: how old a line is
-- when it reaches the callback (the way through the server included), what
-- following a log of 1,000 and of 10,000 chunks costs, in CPU time, and how fast a
-- log of 100 MB is that has nothing but tiny lines. And how old a job's line is.
local daytona = require "daytona"
local core = require "daytona.core"
local devserver = require "daytona.devserver"

local server = assert(devserver.start())
local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
local sandbox = assert(client:create())
local session = assert(sandbox:session())

-- Prints the time, by the clock that both programs read.
local CLOCK = { "python3", "-uc", [[
import time
for _ in range(100):
    time.sleep(0.02)
    print(time.monotonic())
]] }

local function ages()
  local list = {}
  return list, function(line) list[#list + 1] = core.now() - tonumber((line:match "%S+")) end
end

local function median(list)
  assert(#list >= 90)
  return dofile("bench/tools.lua").median(list)
end

local followed, note = ages()
assert(assert(session:exec(CLOCK, { async = true })):follow { on_stdout = note })

local printed
printed, note = ages()
local job = assert(sandbox:popen(CLOCK))
while true do
  local line = job:read()
  if not line then break end
  note(line)
end

-- Seconds of CPU time that following takes once the command is over.
local function follow(script, size)
  local command = assert(session:exec(script, { async = true }))
  assert(command:wait())
  local bytes, cpu = 0, os.clock()
  assert(command:follow { on_stdout = function(data) bytes = bytes + #data end })
  cpu = os.clock() - cpu
  assert(bytes == size)
  return cpu
end

-- The server sends a log in frames of 1 KiB.
local function each_chunk(chunks)
  return follow(("yes %s | head -n %d"):format(("x"):rep(1020), chunks), 1021 * chunks) / chunks
end

each_chunk(1000)
local few, many = each_chunk(1000), each_chunk(10000)
local lines = 20e6 -- with its prefix each is 5 bytes of the log
local tiny = follow(("yes | head -n %d"):format(lines), 2 * lines)
server:stop()
print(('{"age":%.6f,"oldest":%.6f,"job":%.6f,"few":%.9f,"many":%.9f,"tiny":%.6f}'):format(
  median(followed), followed[#followed], median(printed), few, many, 5 * lines / tiny))
