-- How old a job's line is when it has been read: lines so far apart that one look is answered for
-- each, and lines that come faster than questions do.
--
--   bin/daytona-devserver -- lua5.4 bench/lua/job_line.lua [LINK [rtt=0.1]]
--
-- LINK is the built bench/c/link.c: then the sandbox is that far away. Prints the least, the
-- lower quarter and the median of the ages, and the longest, in milliseconds.

local daytona = require "daytona"
local core = require "daytona.core"

local CLOCK = [[
import sys, time
for _ in range(int(sys.argv[1])):
    time.sleep(float(sys.argv[2]))
    print(time.monotonic())
]]

local client <close> = assert(daytona.new())
local sb <close> = assert(client:create())
assert(sb:exec "true")

local link, said = nil, os.tmpname()
if arg[1] then
  link = assert(io.popen(("exec %s %s %s >%s"):format(arg[1], sb.toolbox_proxy_url:match ":(%d+)",
    arg[2] or "rtt=0.1", said), "w"))
  local port
  repeat
    daytona.sleep(0.02)
    port = io.open(said):read "l"
  until port
  sb.toolbox_proxy_url = sb.toolbox_proxy_url:gsub(":%d+", ":" .. port:match "%d+$")
end

local function measure(name, lines, apart)
  local ages = {}
  local job = assert(sb:popen { "python3", "-uc", CLOCK, tostring(lines), tostring(apart) })
  for line in job:lines() do ages[#ages + 1] = (core.now() - tonumber(line)) * 1e3 end
  assert(#ages == lines)
  job:close()
  table.sort(ages)
  print(("%s: %.2f ms at least, a quarter below %.2f, half below %.2f, the longest %.2f"):format(
    name, ages[1], ages[lines // 4], ages[lines // 2], ages[lines]))
end

measure("20 lines 0.5 s apart", 20, 0.5)
measure("40 lines 0.1 s apart", 40, 0.1)
measure("200 lines 0.01 s apart", 200, 0.01)
if link then link:close() end
os.remove(said)
