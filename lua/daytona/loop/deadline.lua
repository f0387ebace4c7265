-- Until when something may take. People say seconds, as a number or in a table with
-- `timeout`, and 0 for no limit; waits want a moment on the clock of `loop.now`.

local loop = require "daytona.loop"
local options = require "daytona.base.options"

local deadline = {}

---The moment at which so many seconds are over; nil for none (nil, 0).
---@param seconds? number
---@return number?
function deadline.after(seconds)
  return seconds and seconds > 0 and loop.now() + seconds or nil
end

---The moment that a caller's limit means. Raises at the caller's line on what is none.
---@param what string  the function, for the message: "wait"
---@param given? number|{ timeout?: number }
---@param default? number  seconds, where nothing is given
---@return number?
function deadline.of(what, given, default)
  if given == nil then return deadline.after(default) end
  return deadline.after(options.timeout(what, given) or default)
end

---Seconds that are left, 0 at least; nil without a limit.
---@param moment? number
---@return number?
function deadline.left(moment)
  return moment and math.max(moment - loop.now(), 0)
end

return deadline
