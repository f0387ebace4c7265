-- What the methods of public classes have in common: those that are loaded with
-- their first use, and that each says so when it is called with a dot in place of
-- the colon.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"

local methods = {}

---A function that is in a module of its own, which is loaded with its first call.
---@param module string
---@param name string
---@return function
function methods.later(module, name)
  local found
  return function(...)
    found = found or require(module)[name]
    return found(...)
  end
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

---A method that checks that it got an object of its class; see `guard`.
---@param method function
---@param name string
---@param class_name string
---@param usage string
---@return function
function methods.checked(method, name, class_name, usage)
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

local checked, byte = methods.checked, string.byte

-- Whether it is the name of a metamethod. (`sub` would make a text of each.)
local function is_meta(name)
  return byte(name, 2) == 95 and byte(name) == 95
end

---What `pairs` of an object shows: its fields, and the methods of its class.
---@param self table
---@param class table  where the methods are
---@return function, table
function methods.listing(self, class)
  local all = {}
  for name, value in next, class do
    if type(value) == "function" and not is_meta(name) then all[name] = value end
  end
  for name, value in next, self do
    if type(name) ~= "string" or name:sub(1, 1) ~= "_" then all[name] = value end
  end
  return next, all
end

-- Turns a stub, { object }, into what its module makes, in place.
local function become(stub, module)
  local real = require(module).new(rawget(stub, 1))
  rawset(stub, 1, nil)
  for name, value in next, real do rawset(stub, name, value) end
  return setmetatable(stub, getmetatable(real))
end

local function stub_of(module)
  local meta = {}
  function meta.__index(stub, key) return become(stub, module)[key] end
  function meta.__tostring(stub) return tostring(become(stub, module)) end
  function meta.__pairs(stub) return pairs(become(stub, module)) end
  return meta
end

-- Table of nouns -> noun -> metatable of what stands for it until it is used.
local stubs = {}

local function stubs_of(nouns)
  local metas = {}
  for name, module in next, nouns do metas[name] = stub_of(module) end
  stubs[nouns] = metas
  return metas
end

---Gives an object its nouns: fields that can be seen, each of which loads its module,
---and becomes what `new(object)` there returns, when it is first used.
---@param self table
---@param nouns table<string, string>  field -> module; always the same table
function methods.nouns(self, nouns)
  core.stubs(self, stubs[nouns] or stubs_of(nouns))
end

---The last place where a class looks for a name: one of another client raises, and says what
---that is here.
---@param class_name string
---@param usage string
---@return fun(_: table, name: any): any
function methods.elsewhere(class_name, usage)
  return function(_, name) return require("daytona.base.sdk_names").look(class_name, usage, name) end
end

---Makes every method of a class check that it got an object of it, and raise at the
---caller's line when it did not; metamethods stay as they are. `pairs` of an object then shows
---them, an editor completes no others, and names of other clients say ours.
---@param class table        where the methods are
---@param class_name string  `__name` of the metatables of its objects
---@param usage string       how programs write such an object: "sb.fs"
---@param but? string        a method that does so itself, or is called here alone
function methods.guard(class, class_name, usage, but)
  local seen = setmetatable({}, { __index = class })
  for name, method in pairs(class) do
    if type(method) == "function" and not is_meta(name) then
      if name ~= but then class[name] = checked(method, name, class_name, usage) end
      seen[name] = class[name]
    end
  end
  if class.__index ~= class then return end
  class.__index = seen
  class.__pairs = class.__pairs or function(self) return methods.listing(self, class) end
  if not getmetatable(class) then
    setmetatable(class, { __index = methods.elsewhere(class_name, usage) })
  end
end

return methods
