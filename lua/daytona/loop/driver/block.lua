-- The driver for programs without an event loop of their own: a wait outside
-- tasks blocks, and runs the tasks meanwhile. It knows no HTTP.

local interrupt = require "daytona.loop.interrupt"

local block = { name = "block", blocks = true }

local loop

---Plain Lua is what remains when no other host is found.
function block.detect()
  return true, "no other host was found"
end

function block.attach(the_loop)
  loop = the_loop
end

function block.detach() end

local function poll_until(waiter)
  while not waiter.ready do
    if loop.poll() then interrupt.check() end
  end
end

---Blocks until the waiter is ready. False and the error when Ctrl-C came.
---@param waiter { ready: boolean }
---@return boolean, any
function block.wait(waiter)
  return pcall(poll_until, waiter)
end

return block
