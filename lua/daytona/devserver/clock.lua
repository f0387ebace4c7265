-- The service's clock: real time that can run faster and be moved forward, so
-- that intervals of minutes and holds of 30 seconds can be tested in moments.
-- Needs a running cqueues loop for sleeping, nothing else.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"

local Clock = {}
Clock.__index = Clock

---@param scale? number  service seconds per real second, 1 by default
---@param start? number  seconds since the epoch, now by default
function Clock.new(scale, start)
  return setmetatable({
    scale = scale or 1, base = start or os.time(), anchor = cqueues.monotime(),
    moved = condition.new(),
  }, Clock)
end

---Seconds since the epoch, on this clock.
---@return number
function Clock:now()
  return self.base + (cqueues.monotime() - self.anchor) * self.scale
end

---Moves the clock forward; sleepers whose time has come wake up.
---@param seconds number
function Clock:advance(seconds)
  self.base = self.base + seconds
  self.moved:signal()
end

---Says what time it is.
---@param now number  seconds since the epoch
function Clock:set(now)
  self.base, self.anchor = now, cqueues.monotime()
  self.moved:signal()
end

---Changes the speed from now on.
---@param scale number
function Clock:set_scale(scale)
  self.base, self.anchor = self:now(), cqueues.monotime()
  self.scale = scale
  self.moved:signal()
end

---Waits until the clock says `when`, or one of the further pollables is ready.
---Returns whether the time has come.
---@param when number
---@return boolean
function Clock:wait_until(when, ...)
  while true do
    local left = when - self:now()
    if left <= 0 then return true end
    local first = cqueues.poll(self.moved, left / self.scale, ...)
    if first ~= self.moved and type(first) ~= "number" then return false end
  end
end

---@param seconds number  on this clock
function Clock:sleep(seconds, ...)
  return self:wait_until(self:now() + seconds, ...)
end

return Clock
