-- Until when something may take, as people say it: seconds, as a number or in a table with
-- `timeout`, and 0 for no limit. Waits want a moment on the clock of `loop.now`.

local loop = require "daytona.loop"
local options = require "daytona.base.options"

local deadline = {}

---The moment that a caller's limit means. Raises at the caller's line on what is none.
---@param what string  the function, for the message: "wait"
---@param given? number|{ timeout?: number }
---@param default? number  seconds, where nothing is given
---@return number?
function deadline.of(what, given, default)
  if given == nil then return loop.after(default) end
  return loop.after(options.timeout(what, given) or default)
end

return deadline
