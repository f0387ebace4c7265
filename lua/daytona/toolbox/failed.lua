-- The error of what was done with something in a sandbox: a terminal, a command, a picture.

local errors = require "daytona.base.errors"

---@param subject { sandbox: daytona.Sandbox, id?: string }
---@param operation string
---@param fields table  of daytona.Error: kind, code, message, ...
---@return daytona.Error
return function(subject, operation, fields)
  fields.operation, fields.sandbox = operation, subject.sandbox
  if fields.what == nil then fields.what = subject.id end
  return errors.new(fields)
end
