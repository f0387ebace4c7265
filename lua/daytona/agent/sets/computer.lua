-- The set "computer": the desktop of the toolset's sandbox.

local desktop = require "daytona.agent.desktop"

local M = {}

local function home(_, call) return call:home() end

---@return daytona.Tool[]
function M.tools()
  local list = {}
  for _, rows in ipairs { desktop.ROWS, desktop.NEWER } do
    for _, row in ipairs(rows) do list[#list + 1] = desktop.tool(row, "computer_", {}, true, home) end
  end
  return list
end

return M
