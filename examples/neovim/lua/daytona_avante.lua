-- Tools for avante.nvim that work in a sandbox.
--
--   require("avante").setup {
--     custom_tools = function() return require("daytona_avante").tools "coding" end,
--     disabled_tools = { "bash" },                          -- so that commands run in the sandbox
--   }

local daytona = require "daytona"

local M = {}

local toolset, sets_of_it, list

---For `custom_tools`: the same list each time it is asked for.
---@param sets? string|table  as of daytona.tools; "coding"
---@param options? daytona.ToolOptions
---@return table[]
function M.tools(sets, options)
  sets = sets or "coding"
  if list and vim.deep_equal(sets, sets_of_it) then return list end
  M.close()
  toolset, sets_of_it = daytona.tools(sets, options), sets
  list = toolset:definitions "avante"
  return list
end

---Deletes the sandbox that the tools made; another is made when it is needed.
function M.close()
  if toolset then toolset:close() end
end

vim.api.nvim_create_autocmd("VimLeavePre", { callback = M.close })

return M
