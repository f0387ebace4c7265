-- PUC Lua 5.1 cannot yield across pcall, but can catch what a coroutine raises. One that
-- stands for its task waits as the task does.

local compat = require "daytona.base.compat"

local resume, yield = coroutine.resume, coroutine.yield

-- What a coroutine inside a task yields is the task's; what the task is given back
-- is its own. Whether its function returned, and what.
local function pump(co, ok, ...)
  if not ok or coroutine.status(co) == "dead" then return ok, ... end
  return pump(co, resume(co, yield(...)))
end

local function left_inner(task, before, ...)
  task.inner = before
  return ...
end

---@param task daytona.Task  that runs now
---@param fn function
---@param ... any
return function(task, fn, ...)
  local co, before = compat.coroutine(fn), task.inner
  task.inner = co
  return left_inner(task, before, pump(co, resume(co, ...)))
end
