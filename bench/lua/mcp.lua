-- An MCP server on standard input and output, from outside: seconds from its start to its
-- first answer, CPU of a call (execute command), its largest resident memory in KB.
--
--   mcp.lua API_URL CALLS COMMAND...

local json = require "daytona.http.json"
local now = require("daytona.base.native").now

local calls = tonumber(arg[2])
local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir " .. folder .. " && mkfifo " .. folder .. "/in")

local command = ("echo $$; exec env DAYTONA_API_URL=%s DAYTONA_API_KEY=bench DAYTONA_TARGET=local %s <%s/in")
  :format(arg[1], table.concat(arg, " ", 3), folder)
local begun = now()
local output = assert(io.popen(command))
local input = assert(io.open(folder .. "/in", "w"))
local pid = output:read "*l"

local read = dofile("bench/tools.lua").read

-- User and system time, seconds.
local function cpu()
  local after = read("/proc/" .. pid .. "/stat"):match "%) (.*)"
  local list = {}
  for word in after:gmatch "%S+" do list[#list + 1] = tonumber(word) or 0 end
  return (list[12] + list[13]) / 100
end

local function ask(id, method, params)
  input:write(json.encode { jsonrpc = "2.0", id = id, method = method, params = params }, "\n")
  input:flush()
  local message = assert(json.decode(assert(output:read "*l")))
  assert(message.result and not message.result.isError, method)
  return message.result
end

ask(1, "initialize", { protocolVersion = "2025-11-25", capabilities = {}, clientInfo = { name = "b", version = "1" } })
local first = now() - begun
input:write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
assert(#ask(2, "tools/list", {}).tools == 12)

local execute = { name = "daytona_execute_command", arguments = { sandboxId = "bench", command = "uname -a" } }
for i = 1, 20 do ask(2 + i, "tools/call", execute) end
local before = cpu()
for i = 1, calls do ask(100 + i, "tools/call", execute) end
local each = (cpu() - before) / calls
local memory = tonumber(read("/proc/" .. pid .. "/status"):match "VmHWM:%s*(%d+)")

input:close()
output:close()
os.execute("rm -rf " .. folder)
print(("{\"first\":%.6f,\"each\":%.9f,\"memory\":%d}"):format(first, each, memory))
