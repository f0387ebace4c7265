-- Events on their way from a task that makes them to a loop that takes them, in order.

local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"

local events = {}

---@class daytona.EventQueue
local Queue = {}
Queue.__index = Queue

---@return daytona.EventQueue
function events.new()
  return setmetatable({ first = 1, last = 0 }, Queue)
end

local function tell(self)
  local latch = self.latch
  self.latch = nil
  if latch then latch:open() end
end

---Adds an event.
---@param event table
function Queue:put(event)
  self.last = self.last + 1
  self[self.last] = event
  tell(self)
end

---There will be no more; perhaps because of an error.
---@param err? any
function Queue:finish(err)
  self.finished, self.err = true, err
  tell(self)
end

---Waits for the next event. nil at the end; nil, err after a failure, or when the task that
---waits is cancelled.
---@return table?
---@return any err
function Queue:next()
  while self.first > self.last do
    if self.finished then return nil, self.err end
    self.latch = self.latch or new_latch()
    local came, err = loop.join(self.latch)
    if not came then return nil, err end
  end
  local event = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  return event
end

return events
