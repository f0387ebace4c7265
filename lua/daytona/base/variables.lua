-- Environment variables that a caller gives.

local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"

---Checks the names of environment variables, and lists the values, which errors
---must not show. The variables as texts, and these values.
---@param operation string
---@param env? table<string, string|number>
---@return table<string, string>? texts  nil without `env`
---@return string[] secrets
return function(operation, env)
  if not env then return nil, {} end
  local texts, secrets = {}, {}
  for name, value in pairs(env) do
    if not shell.is_name(name) then
      errors.misuse(1, "%s: '%s' cannot be the name of an environment variable", operation, name)
    end
    texts[name] = options.text(value)
    secrets[#secrets + 1] = texts[name]
  end
  return texts, secrets
end
