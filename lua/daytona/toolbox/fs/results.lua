-- What calls about many files have in common: the list they are given, and what is said
-- of each file in it.

local errors = require "daytona.base.errors"
local options = require "daytona.base.options"

local results = {}

---What became of one file.
---@class daytona.FileResult
---@field path string          that of the sandbox
---@field size? integer        bytes that were moved
---@field data? string         of a download without a target
---@field saved_as? string     of a download to a local path
---@field error? daytona.Error why it was not moved

---Raises unless it is a list.
---@param operation string
---@param list any
---@return table
function results.check_list(operation, list)
  options.argument(operation .. ": the list", "table", list)
  for name in pairs(list) do
    if type(name) ~= "number" then errors.misuse(1, "%s: the list has a field '%s'", operation, tostring(name)) end
  end
  return list
end

---The list, or nil and an error that says how many failed, and holds it.
---@param self daytona.FileSystem
---@param operation string
---@param list daytona.FileResult[]
---@return daytona.FileResult[]?
---@return daytona.Error?
function results.summary(self, operation, list)
  local failed, first = 0, nil
  for _, result in ipairs(list) do
    if result.error then failed, first = failed + 1, first or result end
  end
  if failed == 0 then return list end
  local cause = first.error
  return nil, errors.new {
    kind = cause.kind, code = cause.code, status = cause.status, operation = operation, sandbox = self.sandbox,
    what = first.path, cause = cause, results = list, retryable = cause.retryable,
    message = failed == 1 and #list == 1 and cause.message
      or string.format("%d of %d files failed, the first: %s", failed, #list, cause.message),
  }
end

---Gives an error to those of which nothing was heard.
---@param list daytona.FileResult[]
---@param err daytona.Error
function results.fail_rest(list, err)
  for _, result in ipairs(list) do
    if not result.size and not result.error then result.error = err end
  end
end

return results
