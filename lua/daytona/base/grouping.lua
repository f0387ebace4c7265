-- Nouns that do nothing of their own: under them stand methods of the sandbox that belong
-- together, for those who look what there is. `sb.life:pause()` is `sb:pause()`.

local methods = require "daytona.base.methods"

---The `new` of the module of such a noun.
---@param class_name string
---@param noun string
---@param names string[]  of methods
---@return fun(sandbox: table): table
return function(class_name, noun, names)
  local class = { __name = class_name }
  class.__index = class
  for _, name in ipairs(names) do
    class[name] = function(self, ...)
      local sandbox = self.sandbox
      return sandbox[name](sandbox, ...)
    end
  end
  function class.__tostring(self) return noun .. " of " .. tostring(self.sandbox) end
  methods.guard(class, class_name, "sandbox." .. noun)
  return function(sandbox) return setmetatable({ sandbox = sandbox }, class) end
end
