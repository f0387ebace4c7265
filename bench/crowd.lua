-- How many processes that share one limit fare, on paper: the service's throttler and the
-- delays of the client's own code (http.delay_after), with a clock that nobody waits for.
-- scripts/crowd does the same with processes, as many as one machine has room for.
--
--   lua5.4 bench/crowd.lua [PROCESSES [ROUNDS [LIMIT [SECONDS]]]]     10000, 1, 300, 60
--
-- after make; run from the top of the checkout. Every process makes ROUNDS sandboxes, one
-- after the other, where all together may make LIMIT in so many SECONDS.

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
package.cpath = "./build/lua5.4/?.so;" .. package.cpath

local http = require "daytona.http"
local random = require "daytona.base.random"

local function number(i, default) return tonumber(arg[i]) or default end
local PROCESSES, ROUNDS, LIMIT, WINDOW = number(1, 10000), number(2, 1), number(3, 300), number(4, 60)
local ANSWER = 0.05 -- seconds from a request to the next

--- What happens next: a heap of { when, process } ------------------------------------------

local heap = {}

local function push(when, process)
  local i = #heap + 1
  local entry = { when, process }
  while i > 1 and heap[i // 2][1] > when do
    heap[i] = heap[i // 2]
    i = i // 2
  end
  heap[i] = entry
end

local function pop()
  local first, last = heap[1], table.remove(heap)
  if not heap[1] then return first end
  local i = 1
  while true do
    local child = 2 * i
    if not heap[child] then break end
    if heap[child + 1] and heap[child + 1][1] < heap[child][1] then child = child + 1 end
    if heap[child][1] >= last[1] then break end
    heap[i] = heap[child]
    i = child
  end
  heap[i] = last
  return first
end

--- The service's throttler --------------------------------------------------------------------

local count = { ends = -1, used = 0 }

-- nil where the request may pass, else the whole seconds that it is told to wait.
local function refused(now)
  if now >= count.ends then count = { ends = now + WINDOW, used = 0 } end
  if not count.blocked then
    count.used = count.used + 1
    if count.used <= LIMIT then return nil end
    count.blocked, count.ends = true, now + WINDOW
  end
  return math.ceil(count.ends - now)
end

--- The crowd ------------------------------------------------------------------------------------

local made, asked, last, starts, waits, seconds = 0, 0, 0, {}, {}, {}
for _ = 1, PROCESSES do push(random.chance(), { left = ROUNDS, since = 0 }) end
while heap[1] do
  local event = pop()
  local now, process = event[1], event[2]
  asked = asked + 1
  seconds[now // 1] = (seconds[now // 1] or 0) + 1
  local delay = refused(now)
  if delay then
    push(now + http.delay_after({ retry_after = delay }, 1), process)
  else
    if now - last > WINDOW / 2 or made == 0 then starts[#starts + 1] = { now, made } end
    made, last = made + 1, now
    waits[#waits + 1] = now - process.since
    process.left, process.since = process.left - 1, now
    if process.left > 0 then push(now + ANSWER, process) end
  end
end

table.sort(waits)
local first, final, peak = starts[1], starts[#starts], 0
for second, n in pairs(seconds) do
  if second > 1 then peak = math.max(peak, n) end
end
print(("%d processes, %d sandboxes, at most %d in %g seconds:"):format(PROCESSES, made, LIMIT, WINDOW))
if #starts > 1 then
  print(("  of the limit            %.1f %%"):format(
    100 * (final[2] - first[2]) / (final[1] - first[1]) / (LIMIT / WINDOW)))
end
print(("  seconds, by turns       %.0f"):format(made / LIMIT * WINDOW))
print(("  a creation waits        median %.0f s, longest %.0f s"):format(waits[#waits // 2 + 1], waits[#waits]))
print(("  requests a creation     %.1f"):format(asked / made))
print(("  requests a second       %.0f, in the busiest %d"):format(asked / last, peak))
