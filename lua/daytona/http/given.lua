-- What callers give to a method that is a row (calls.method), by `args` and `options` of it.

local options = require "daytona.base.options"

local M = {}

local EMPTY = {}

local IN_REQUEST = { timeout = true, max_bytes = true }

---Checks what a caller gave, and sorts it: values, fields of the request.
---@param made { row: daytona.Call, operation: string }
---@param given any[]
---@param count integer
---@return table values
---@return table request
function M.check(made, given, count)
  local args, operation = made.row.args or EMPTY, made.operation
  local values, request = {}, {}
  for i = 1, #args do
    local name, kind = args[i][1], args[i][2]
    local value = given[i]
    if value ~= nil or not args[i].optional then
      values[name] = options.argument(operation .. ": the " .. name:gsub("_", " "), kind, value)
    end
  end
  local opts = count > #args and given[#args + 1] or nil
  for name, value in pairs(options.check(operation, made.row.options or EMPTY, opts)) do
    if IN_REQUEST[name] then request[name] = value else values[name] = value end
  end
  if made.row.prepare then made.row.prepare(values, request) end
  return values, request
end

return M
