-- Randomness from the system, which leaves the program's math.random alone.

local core = require "daytona.base.native"

local random = {}

---`n` random bytes, in hexadecimal.
---@param n integer
---@return string
function random.hex(n)
  return core.hex(core.random(n))
end

---A number from 0 to 1.
---@return number
function random.chance()
  local a, b = core.random(2):byte(1, 2)
  return (a * 256 + b) / 65535
end

return random
