-- Latches: something to wait for that is no transfer and no task.

local loop = require "daytona.loop"

---`loop.join` waits until it is opened, once.
---@class daytona.Latch
---@field is_open boolean
local Latch = {}
Latch.__index = Latch

function Latch:done() return self.is_open end

---Lets all who wait go on.
function Latch:open()
  self.is_open = true
  loop.release(self)
end

---@return daytona.Latch
return function()
  return setmetatable({ is_open = false }, Latch)
end
