-- The driver for programs on cqueues, and so for lua-http servers.
--
-- A call in a thread of a controller suspends that thread alone. While anything
-- is in flight each controller that has asked for something runs one more
-- thread, the pump, which waits for the engine and steps it; when all is done
-- the pump ends, so that the controller's loop can. There may be several
-- controllers, one inside the other or side by side.
--
-- Calls elsewhere block: outside any controller, and in a coroutine that a
-- thread made for itself. It knows no HTTP.

local block = require "daytona.loop.driver.block"
local core = require "daytona.base.native"
local cqueues = require "cqueues"
local condition = require "cqueues.condition"

-- slice: seconds that one step may keep the other threads waiting.
local driver = { name = "cqueues", slice = 0.004 }

local loop
local source                                     -- what a pump polls; nil while detached
local owner                                      -- the process the source is of
local nudge = condition.new()                    -- there is more to do than the source says
local pumps = setmetatable({}, { __mode = "k" }) -- controllers that have one
local stepping = false

---True while a controller runs. That cqueues is loaded says little: it comes
---with libraries that only block.
function driver.detect()
  return cqueues.running() ~= nil, "a cqueues controller is running", true
end

function driver.attach(the_loop)
  block.attach(the_loop)
  loop, owner = the_loop, core.pid()
  source = { pollfd = loop.engine():fd(), events = "r", timeout = loop.timeout }
end

function driver.detach()
  if core.pid() == owner then cqueues.cancel(source.pollfd) end
  source, pumps = nil, setmetatable({}, { __mode = "k" })
  nudge:signal()
end

local function step()
  stepping = true
  local ok, err = pcall(loop.step, driver.slice)
  stepping = false
  return ok, err
end

local function pump(controller)
  local mine = pumps
  local ok, err = true, nil
  while ok and mine == pumps and loop.busy() do
    cqueues.poll(source, nudge)
    if mine == pumps then ok, err = step() end
  end
  mine[controller] = nil
  nudge:signal() -- the other pumps look, too, whether all is done
  if not ok then error(err, 0) end -- by one of the program's callbacks
end

local function pump_in(controller)
  if pumps[controller] then return end
  pumps[controller] = true
  controller:wrap(pump, controller)
end

---The loop has something new to do.
function driver.kick()
  local controller = cqueues.running()
  if controller then pump_in(controller) end
  if not stepping then nudge:signal() end
end

---Suspends the calling thread until the waiter is ready, or blocks.
function driver.wait(waiter)
  local controller, in_thread = cqueues.running()
  if not in_thread then return block.wait(waiter) end
  pump_in(controller)
  waiter.condition = waiter.condition or condition.new()
  repeat waiter.condition:wait() until waiter.ready
  return true
end

function driver.wake(waiter)
  if waiter.condition then waiter.condition:signal() end
end

return driver
