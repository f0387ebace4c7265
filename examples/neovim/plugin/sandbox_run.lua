-- :SandboxRun     runs the buffer, or the lines of a range, in a sandbox
-- :SandboxCancel  ends what runs
-- :SandboxOpen    shows the output again

vim.api.nvim_create_user_command("SandboxRun", function(command)
  require("sandbox_run").run(command.line1, command.line2)
end, { range = "%", desc = "Run the buffer or the range in a sandbox" })

vim.api.nvim_create_user_command("SandboxCancel", function()
  require("sandbox_run").cancel()
end, { desc = "End what runs in the sandbox" })

vim.api.nvim_create_user_command("SandboxOpen", function()
  require("sandbox_run").open()
end, { desc = "Show the output of the sandbox" })
