-- Methods that say so when they are called with a dot in place of the colon. It
-- changes nothing else about a call.

local errors = require "daytona.errors"

local methods = {}

---Raises at the caller's line when `self` is no object of the class.
---@param self any
---@param name string        of the method
---@param class_name string
---@param usage string
function methods.check(self, name, class_name, usage)
  local meta = getmetatable(self)
  if type(meta) ~= "table" or meta.__name ~= class_name then
    errors.misuse(1, "%s is a method: call it as %s:%s(...), with a colon", name, usage, name)
  end
end

local check = methods.check

local function checked(method, name, class_name, usage)
  return function(self, ...)
    check(self, name, class_name, usage)
    return method(self, ...)
  end
end

---Makes every method of a class check that it got an object of it; raises at the
---caller's line when it did not. What objects find by other ways than their
---metatable's name is not theirs: metamethods stay as they are.
---@param class table        where the methods are
---@param class_name string  `__name` of the metatables of its objects
---@param usage string       how programs write such an object: "sb.fs"
---@param but? string        a method that does so itself
function methods.guard(class, class_name, usage, but)
  for name, method in pairs(class) do
    if type(method) == "function" and name:sub(1, 2) ~= "__" and name ~= but then
      class[name] = checked(method, name, class_name, usage)
    end
  end
end

return methods
