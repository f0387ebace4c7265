-- The end of a scope, for Lua without `<close>`.

local errors = require "daytona.base.errors"
local loop = require "daytona.loop"

local closing = {}

-- What `<close>` calls: of a job, for example, another thing than `close`. nil
-- where there is no such thing.
local function closer(object)
  local meta, kind = getmetatable(object), type(object)
  return type(meta) == "table" and meta.__close or (kind == "table" or kind == "userdata") and object.close
end

local function close(object)
  return closer(object)(object)
end

local function closed(object, ...)
  close(object)
  return ...
end

---Calls `fn(object)`, then closes the object, whatever happened: what `<close>`
---does on Lua 5.4. Returns what `fn` returned; raises what it raised. Given
---`nil, err` it returns those. Raises when there is no object but a function, since
---why there is none is lost then: say `daytona.using(daytona.assert(sb:pty()), fn)`.
---@param object any   with a `close` method, or nil
---@param fn function  or the error that came with nil
---@return any ...
function closing.using(object, fn)
  if object == nil and type(fn) == "function" then
    errors.misuse(1, "using: there is no object: what makes it has failed; daytona.assert(...) around it says why")
  end
  if object == nil then return nil, fn end
  if not closer(object) then errors.misuse(1, "using: a %s has no close method", type(object)) end
  local function body()
    if type(fn) ~= "function" then errors.misuse(1, "using: a function expected, got %s", type(fn)) end
    return fn(object)
  end
  return closed(object, loop.guard(body, close, object))
end

return closing
