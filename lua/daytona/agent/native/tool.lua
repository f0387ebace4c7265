-- What the tools that models bring along have in common: they work in the toolset's
-- sandbox, and may do anything there.

local errors = require "daytona.base.errors"

local M = {}

local RUN = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = true }

---Makes a tool of these fields, whose `run` is given the sandbox, arguments and call.
---@param fields table
---@return daytona.Tool
function M.new(fields)
  local run = fields.run
  fields.annotations = RUN
  function fields.run(args, call)
    local sandbox, err = call:home()
    if not sandbox then return nil, err end
    return run(sandbox, args, call)
  end
  return fields
end

---The id of a call of OpenAI's.
---@param call table
---@return string
function M.call_id(call)
  return call.call_id or call.id or errors.misuse(1, "result: the model's call has no call_id")
end

return M
