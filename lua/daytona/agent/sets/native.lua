-- The set "native": the tools that models bring along, executed in a sandbox. A model's
-- API is told their type alone; everybody else gets them described like any tool.

local M = {}

---@return daytona.Tool[]
function M.tools()
  local list = {}
  for _, makers in ipairs {
    require "daytona.agent.native.openai", require "daytona.agent.native.anthropic",
    require "daytona.agent.native.computer_toolset",
  } do
    for _, tool in ipairs(makers) do list[#list + 1] = tool end
  end
  return list
end

return M
