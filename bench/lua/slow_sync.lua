-- A source tree over a slow line and back, packed on its way and not: this project's own files, copied
-- until they are so many megabytes.
--
--   TMPDIR=/dev/shm bin/daytona-devserver -- lua5.4 bench/lua/slow_sync.lua LINK [MB] [rtt=0.1] [rate=20e6]
--
-- LINK is the built bench/c/link.c. Prints for each way seconds, until all was sent or had come and until all was
-- in its place, CPU seconds of this program, what the line carried, and a second `sync`, when nothing has changed.

local daytona = require "daytona"
local core = require "daytona.core"

local link, size = arg[1], tonumber(arg[2] or 50) * 1e6
local settings = table.concat(arg, " ", 3)
if settings == "" then settings = "rtt=0.1 rate=20e6" end

local output = dofile("bench/tools.lua").output

local dir = output "test -w /dev/shm && TMPDIR=/dev/shm; mktemp -d ${TMPDIR:+-p $TMPDIR}"
local tree = dir .. "/tree"
local one = tonumber((output "cat $(git ls-files bench doc examples interop lua scripts spec src) | wc -c"))
for i = 1, math.ceil(size / one) do
  local into = ("%s/%d"):format(tree, i)
  assert(os.execute(("mkdir -p %s && git ls-files -z bench doc examples interop lua scripts spec src | "
    .. "xargs -0 cp --parents -t %s && find %s -exec touch -d @1700000000 {} +"):format(into, into, into)))
end

local said = dir .. "/said"
local relay, answered

local function ask()
  answered = answered + 1
  relay:write "stats\n"
  while true do
    local n, last = 0, nil
    for text in io.lines(said) do n, last = n + 1, text end
    if n > answered then return last end
    daytona.sleep(0.02)
  end
end

-- One way, and the same once more.
local function transfer(name, sb, folder, direction)
  local start, cpu = core.now(), os.clock()
  local sent
  local result = assert(sb.fs:sync(folder, "tree", {
    direction = direction, on_progress = function() sent = core.now() - start end,
  }))
  local seconds, busy = core.now() - start, os.clock() - cpu
  local carried = ask()
  start = core.now()
  local again = assert(sb.fs:sync(folder, "tree", { direction = direction }))
  assert(again.uploaded + again.downloaded == 0)
  local still = core.now() - start
  print(("%s: %d files, %.1f MB in %.2f s (sent after %.2f s), %.2f s of CPU, the line: %s"):format(name,
    result.uploaded + result.downloaded, result.bytes / 1e6, seconds, sent, busy, carried))
  print(("  nothing changed: %.2f s, the line: %s"):format(still, ask()))
end

local function measure(name, opts)
  local client <close> = assert(daytona.new(opts))
  local sb <close> = assert(client:create())
  assert(sb:exec "true")
  relay = assert(io.popen(("exec %s %s %s >%s"):format(link, sb.toolbox_proxy_url:match ":(%d+)", settings, said), "w"))
  relay:setvbuf "no"
  local port
  repeat
    daytona.sleep(0.02)
    port = output("head -n 1 " .. said)
  until port ~= ""
  answered = 0
  sb.toolbox_proxy_url = sb.toolbox_proxy_url:gsub(":%d+", ":" .. port:match "%d+$")
  ask()
  transfer(name .. " up", sb, tree, "up")
  transfer(name .. " down", sb, dir .. "/" .. name, "down")
  assert(os.execute(("diff -r %s %s/%s"):format(tree, dir, name)))
  relay:close()
end

local fine, why = pcall(function()
  measure("packed", {})
  measure("plain", { compression = false })
end)
os.execute("rm -rf " .. dir)
assert(fine, why)
