-- How old a job's line is when it has been read: lines so far apart that one look is answered for
-- each, and lines that come faster than questions do.
--
--   bin/daytona-devserver -- lua5.4 bench/lua/job_line.lua [LINK [rtt=0.1]]
--
-- Each is read twice in turn: asked for ahead, and one request at a time.
--
-- LINK is the built bench/c/link.c: then the sandbox is that far away. Prints the least, the
-- lower quarter and the median of the ages, and the longest, in milliseconds.

local daytona = require "daytona"
local core = require "daytona.core"
local ahead = require "daytona.toolbox.job_ahead"

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

-- The n-th of sorted ages from the end of the first second on, or of the first second.
local function measure(name, lines, apart)
  local begin, rest = {}, {}
  local job = assert(sb:popen { "python3", "-uc", CLOCK, tostring(lines), tostring(apart) })
  local n = 0
  for line in job:lines() do
    local ages = n * apart < 1 and begin or rest
    n, ages[#ages + 1] = n + 1, (core.now() - tonumber(line)) * 1e3
  end
  assert(n == lines)
  job:close()
  table.sort(begin)
  table.sort(rest)
  print(("| %s | %.1f | %.1f | %.1f | %.1f | %.1f |"):format(name, begin[#begin], rest[1], rest[(#rest + 1) // 2],
    rest[math.ceil(#rest * 0.95)], rest[#rest]))
end

local most = ahead.most

print "| lines | first second: longest | then: least | half below | 95 % below | longest |"
print "| --- | ---: | ---: | ---: | ---: | ---: |"
for _, rate in ipairs { 2, 10, 50, 200 } do
  local lines = rate == 2 and 10 or rate * 4
  for _, way in ipairs { "one at a time", "ahead" } do
    ahead.most = way == "ahead" and most or 0
    measure(("%d a second, %s"):format(rate, way), lines, 1 / rate)
  end
end
if link then link:close() end
os.remove(said)
