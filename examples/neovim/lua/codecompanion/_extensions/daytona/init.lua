-- An extension of CodeCompanion: tools that work in a sandbox, as the group @{daytona} and
-- each by its name.
--
--   require("codecompanion").setup { extensions = { daytona = { opts = { tools = "coding" } } } }
--
-- opts: `tools`, a set or a list of sets and tools ("coding"); `options`, those of
-- daytona.tools; `approval = false` lets tools that change something run without asking.

local daytona = require "daytona"

local M = {}

local toolset

-- What CodeCompanion's configuration has of a tool. Some versions take the entry for the
-- tool, others call its `callback`.
local function entry_of(definition, tool, opts)
  local destructive = (tool.annotations or {}).destructiveHint
  local entry = vim.deepcopy(definition)
  entry.description = tool.title or tool.description
  entry.opts = { require_approval_before = opts.approval ~= false and destructive or false }
  entry.callback = function() return definition end
  return entry
end

---For CodeCompanion.
---@param opts? { tools?: string|table, options?: daytona.ToolOptions, approval?: boolean }
function M.setup(opts)
  opts = opts or {}
  M.close()
  toolset = daytona.tools(opts.tools or "coding", opts.options)
  local config, names = require("codecompanion.config").interactions.chat.tools, {}
  for i, definition in ipairs(toolset:definitions "codecompanion") do
    names[i] = definition.name
    config[names[i]] = entry_of(definition, toolset.by_name[names[i]], opts)
  end
  config.groups = config.groups or {}
  config.groups.daytona = { description = "Work in a Daytona sandbox", tools = names }
end

---Deletes the sandbox that the tools made; another is made when it is needed.
function M.close()
  if toolset then toolset:close() end
end

M.exports = {
  ---@return daytona.Toolset?
  toolset = function() return toolset end,
  close = M.close,
}

vim.api.nvim_create_autocmd("VimLeavePre", { callback = M.close })

return M
