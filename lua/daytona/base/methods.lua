-- What the methods of public classes have in common: those that are loaded with
-- their first use, and that each says so when it is called with a dot in place of
-- the colon.

local errors = require "daytona.base.errors"

local methods = {}

---A function that is in a module of its own, which is loaded with its first call.
---@param module string
---@param name string
---@return function
function methods.later(module, name)
  return function(...) return require(module)[name](...) end
end

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
  local known -- a metatable that passed
  return function(self, ...)
    local meta = getmetatable(self)
    if meta == nil or meta ~= known then
      check(self, name, class_name, usage)
      known = meta
    end
    return method(self, ...)
  end
end

---Makes every method of a class check that it got an object of it; raises at the
---caller's line when it did not. What objects find by other ways than their
---metatable's name is not theirs: metamethods stay as they are.
---@param class table        where the methods are
---@param class_name string  `__name` of the metatables of its objects
---@param usage string       how programs write such an object: "sb.fs"
---@param but? string        a method that does so itself, or is called here alone
function methods.guard(class, class_name, usage, but)
  for name, method in pairs(class) do
    if type(method) == "function" and name:sub(1, 2) ~= "__" and name ~= but then
      class[name] = checked(method, name, class_name, usage)
    end
  end
end

return methods
