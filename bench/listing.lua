-- Ten thousand sandboxes listed and held, against the local server: memory of a row, time of
-- the first half and of all, and what had been asked for when the first row was there.
--
--   lua5.4 bench/listing.lua [SANDBOXES]        after make; run from the top of the checkout

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
package.cpath = "./build/" .. (jit and "luajit" or "lua" .. _VERSION:match "%d.%d") .. "/?.so;" .. package.cpath

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local loop = require "daytona.loop"

local COUNT, PAGE = tonumber(arg[1]) or 10000, 100

local function kilobytes()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

local function pages(server)
  local n = 0
  for _, request in ipairs(assert(server:requests())) do
    if request.path:find "/sandbox$" then n = n + 1 end
  end
  return n
end

local server = assert(devserver.start())
local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
assert(client:request("POST", "/__devserver/seed", { json = { count = COUNT }, timeout = 0 }))

local n, asked = 0, nil
for _ in client:each { limit = PAGE } do -- once unmeasured: what is loaded, what grows
  n = n + 1
  if n == 1 then asked = pages(server) end
end
assert(n == COUNT, n)

local before, rows, cpu, begun = kilobytes(), {}, os.clock(), loop.now()
local half
for row in client:each { limit = PAGE } do
  rows[#rows + 1] = row
  if #rows == math.floor(COUNT / 2) then half = { os.clock() - cpu, loop.now() - begun } end
end
local all = { os.clock() - cpu, loop.now() - begun }
local held = kilobytes() - before

print(("%d sandboxes in pages of %d:"):format(COUNT, PAGE))
print(("  pages asked for before the first row: %d"):format(asked))
print(("  memory of a row held: %d bytes"):format(math.ceil(held * 1024 / COUNT)))
print(("  first half: %.2f s of CPU, %.2f s; all: %.2f s, %.2f s"):format(half[1], half[2], all[1], all[2]))
client:close()
server:stop()
