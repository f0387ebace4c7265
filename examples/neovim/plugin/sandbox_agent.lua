-- :SandboxAgent TASK     gives an agent the buffer's file in a sandbox, shows its edits as a diff
-- :SandboxAgentCancel    ends it

vim.api.nvim_create_user_command("SandboxAgent", function(command)
  require("sandbox_agent").run(command.args)
end, { nargs = "+", desc = "Give an agent a task about this buffer" })

vim.api.nvim_create_user_command("SandboxAgentCancel", function()
  require("sandbox_agent").cancel()
end, { desc = "End the agent" })
