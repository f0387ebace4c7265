-- A large file over a line that is cut every few seconds, up and down:
--
--   bin/daytona-devserver -- lua5.4 bench/lua/survive.lua LINK [MiB] [rtt=0.02] [rate=400e6] [cut=5]
--
-- LINK is the built bench/c/link.c. Prints, for each way, seconds, bytes that the line
-- carried for each of the file, connections, and the most memory that this program ever had.

local daytona = require "daytona"
local core = require "daytona.core"

local link, size = arg[1], tonumber(arg[2] or 1024) * 1024 * 1024
local line = table.concat(arg, " ", 3)
if line == "" then line = "rtt=0.02 rate=400e6 cut=5" end

local local_path, back, said = os.tmpname(), os.tmpname(), os.tmpname()
assert(os.execute(("head -c %d /dev/urandom >%s"):format(size, local_path)))

local client = assert(daytona.new())
local sb = assert(client:create())
local relay = assert(io.popen(("exec %s %s %s >%s"):format(link, sb.toolbox_proxy_url:match ":(%d+)", line, said), "w"))
relay:setvbuf "no"

-- The last line that the link has said, once there are `n`.
local function answer(n)
  while true do
    local lines = {}
    for text in io.lines(said) do lines[#lines + 1] = text end
    if lines[n] then return lines[n] end
    daytona.sleep(0.02)
  end
end

local direct = client:attach(sb.id)
direct.toolbox_proxy_url = sb.toolbox_proxy_url
sb.toolbox_proxy_url = sb.toolbox_proxy_url:gsub(":%d+", ":" .. answer(1):match "%d+$")

local function peak()
  local file = assert(io.open "/proc/self/status")
  local text = file:read "*a"
  file:close()
  return tonumber(text:match "VmHWM:%s*(%d+)") / 1024
end

local n = 1
local function measure(way, fn)
  relay:write "stats\n"
  n = n + 1
  answer(n)
  local start = core.now()
  fn()
  local seconds = core.now() - start
  relay:write "stats\n"
  n = n + 1
  print(("%-4s %.1f s, peak %.1f MiB, the line: %s"):format(way, seconds, peak(), answer(n)))
end

measure("up", function() assert(sb.fs:upload(local_path, "big")) end)
assert(direct:exec("touch -d @1700000000 big", { check = true }))
measure("down", function() assert(sb.fs:download("big", back)) end)
local same = os.execute(("cmp -s %s %s"):format(local_path, back))
print("whole: " .. tostring(same == true or same == 0))
relay:close()
client:close()
for _, path in ipairs { local_path, back, said } do os.remove(path) end
