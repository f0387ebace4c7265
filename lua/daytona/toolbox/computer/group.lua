-- What the groups of `sandbox.computer` have in common: their classes, and what their
-- errors mean.

local errors = require "daytona.base.errors"
local methods = require "daytona.base.methods"

local group = {}

---Makes a class of one group, and a function that makes such a group of a sandbox.
---@param class table
---@param name string  of the class, behind "daytona."
---@return fun(sandbox: daytona.Sandbox): table
function group.class(class, name)
  local shown = name:lower()
  class.__index = class
  class.__name = "daytona." .. name
  function class:__tostring()
    return shown .. " of " .. tostring(self.sandbox)
  end
  return function(sandbox) return setmetatable({ sandbox = sandbox }, class) end
end

---Closes a class that has all its methods.
---@param class table
---@param field? string  where it stands in `sandbox.computer`
function group.guard(class, field)
  methods.guard(class, class.__name, "sandbox.computer" .. (field and "." .. field or ""))
end

-- How the display's absence is told.
local NO_DISPLAY = { "display is not started", "display not started", "open display", "connect to display" }

---An `explain` of calls that need the display: without one they are "unavailable".
---@param err daytona.Error
---@return daytona.Error
function group.explain(err)
  local text = err.message:lower()
  for _, words in ipairs(NO_DISPLAY) do
    if text:find(words, 1, true) then
      err.kind, err.retryable = "unavailable", false
      err.message = err.message .. "; sandbox.computer:start() starts it"
      return err
    end
  end
  return err
end

---A list in an answer, by a `refine`; null means that it is empty.
---@param field string
---@return fun(answer: table): table[]
function group.list_in(field)
  return function(answer)
    local list = answer[field]
    return type(list) == "table" and list or {}
  end
end

---The id of what may be an object or its id; raises for what is neither.
---@param operation string
---@param value any
---@param what string
---@return string
function group.id_of(operation, value, what)
  local id = type(value) == "table" and value.id or value
  if type(id) ~= "string" or id == "" then
    errors.misuse(1, "%s: takes a %s or its id, got %s", operation, what, type(value))
  end
  return id
end

return group
