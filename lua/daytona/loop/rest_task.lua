-- What a task waits for may rest, as `loop.rest` has it of an op: nobody waits for the task, for now.

local loop = require "daytona.loop"

---Says that nobody waits for what a task waits for just now, or that somebody does again, where that is an op.
---@param task daytona.Task
---@param resting boolean
return function(task, resting)
  local op = task.source
  if op and op.transfer then loop.rest(op, resting) end
end
