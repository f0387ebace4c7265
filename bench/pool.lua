-- Many small tasks over a few sandboxes of the local server, one of which is deleted under them
-- every second: whether every result is there, in order, and what is left.
--
--   lua5.4 bench/pool.lua [TASKS [SANDBOXES]]     10000, 20; after make; from the top of the checkout

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
package.cpath = "./build/" .. (jit and "luajit" or "lua" .. _VERSION:match "%d.%d") .. "/?.so;" .. package.cpath

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local loop = require "daytona.loop"

local TASKS, SANDBOXES = tonumber(arg[1]) or 10000, tonumber(arg[2]) or 20

local server = assert(devserver.start())
local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key, ledger = false })
local pool = client:pool { size = SANDBOXES, create = { labels = { bench = "pool" } } }

local list, calls, reported, killed, twice = {}, 0, {}, 0, 0
for i = 1, TASKS do list[i] = i end

local function kill()
  while loop.sleep(1) do
    local boxes = assert(client:list { labels = { bench = "pool" }, states = { "started" } }).items
    local box = boxes[math.random(math.max(#boxes, 1))]
    if box and client:delete(box.id) then killed = killed + 1 end
  end
end

local killer = daytona.spawn(kill)
local begun = loop.now()
local results, err = daytona.spawn(function()
  return pool:map(list, function(box, i)
    calls = calls + 1
    local result, why = box:exec("echo " .. i)
    if not result then return nil, why end
    if result.exit_code ~= 0 then return nil, why end
    return tonumber(result.result)
  end, { retries = 20, on_result = function(i)
    if reported[i] then twice = twice + 1 end
    reported[i] = true
  end })
end):wait()
local seconds = loop.now() - begun
killer:cancel()
assert(results, tostring(err))

local wrong = 0
for i = 1, TASKS do
  if results[i] ~= i then wrong = wrong + 1 end
end
pool:close()
local left = 0
for box in client:each() do
  if box.desired_state ~= "destroyed" and box.state ~= "destroying" then left = left + 1 end
end
print(("%d tasks over %d sandboxes, one deleted every second:"):format(TASKS, SANDBOXES))
print(("  %.1f s; %d deleted; %d further tries"):format(seconds, killed, calls - TASKS))
print(("  wrong or missing results: %d; reported twice: %d; sandboxes left: %d"):format(wrong, twice, left))
client:close()
server:stop()
os.exit(wrong + twice + left == 0)
