-- The driver for frame loops (LÖVE, games, tools with a tick of their own): the
-- program calls `daytona.update(budget)` once a frame, and nothing happens in
-- between. Calls belong into tasks; outside of them they block, as with the
-- driver `block`, and hold the frame up.

local block = require "daytona.loop.driver.block"

local manual = {
  name = "manual",
  slice = 0.0005, -- seconds that a task may add to a frame's budget
  attach = block.attach,
  detach = block.detach,
  wait = block.wait,
}

---True under LÖVE, which puts its modules into the global `love`.
function manual.detect()
  local love = rawget(_G, "love")
  return type(love) == "table" and love.graphics ~= nil, "this is LÖVE"
end

return manual
