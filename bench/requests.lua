-- Requests per create and per change of state, with the service's events and without,
-- against the local server, whose states last so long as `lag` has them at the service.
--
--   lua5.4 bench/requests.lua        after make; run from the top of the checkout
--
-- The official Python SDK beside it, with events, where bench/peers/install or interop/run has
-- installed it.

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
package.cpath = "./build/" .. (jit and "luajit" or "lua" .. _VERSION:match "%d.%d") .. "/?.so;" .. package.cpath

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local loop = require "daytona.loop"

local ROUNDS = 5

local server = assert(devserver.start { lag = true })

-- How many requests fn makes about sandboxes and snapshots, and how long it takes.
local function measure(fn)
  assert(server:forget_requests())
  local begun = loop.now()
  fn()
  local seconds, n = loop.now() - begun, 0
  for _, request in ipairs(assert(server:requests())) do
    if request.path:find "^/sandbox" or request.path:find "^/snapshots" then n = n + 1 end
  end
  return n, seconds
end

-- Each step's requests and seconds, the mean of some rounds after a first one.
local function run(events)
  local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key, events = events })
  local sums = {}
  for round = 0, ROUNDS do
    local sb
    for i, step in ipairs {
      function() sb = assert(client:create()) end, function() assert(sb:stop()) end,
      function() assert(sb:start()) end, function() assert(sb:delete { wait = true }) end,
      function()
        local image = daytona.image.base "debian:12":run_commands("echo " .. tostring(events) .. round)
        assert(client.snapshots:create { name = ("lua-%s-%d"):format(tostring(events), round), image = image })
      end,
    } do
      local n, seconds = measure(step)
      sums[i] = sums[i] or { 0, 0 }
      if round > 0 then sums[i][1], sums[i][2] = sums[i][1] + n / ROUNDS, sums[i][2] + seconds / ROUNDS end
    end
  end
  client:close()
  return sums
end

-- The same of the Python SDK; empty where there is none.
local function run_python()
  local sums = {}
  for _, python in ipairs { "bench/peers/python/venv/bin/python", "interop/node_modules/.python/bin/python" } do
    local file = io.open(python)
    if file then
      file:close()
      local command = "DAYTONA_API_URL=%s DAYTONA_API_KEY=%s %s bench/peers/python/requests.py %d"
      local pipe = assert(io.popen(command:format(server.api_url, server.api_key, python, ROUNDS)))
      for n, seconds in pipe:read "*a":gmatch "(%S+) (%S+)\n" do sums[#sums + 1] = { n, seconds } end
      pipe:close()
      break
    end
  end
  return sums
end

local looking, listening, python = run(false), run(true), run_python()
print "| | requests, looking | with events | Python SDK | seconds, looking | with events | Python SDK |"
print "| --- | --- | --- | --- | --- | --- | --- |"
for i, name in ipairs { "create", "stop", "start", "delete, waiting", "snapshot of an image" } do
  local a, b, c = looking[i], listening[i], python[i] or { "", "" }
  print(("| %s | %.1f | %.1f | %s | %.2f | %.2f | %s |"):format(name, a[1], b[1], c[1], a[2], b[2], c[2]))
end
server:stop()
