-- An agent in a split: it is given the current buffer's file in a sandbox and a task, and
-- what it made of the file is shown as a diff beside the buffer, to be taken or left. The
-- editor never waits.

local daytona = require "daytona"

local M = {}

local running -- the task, while the agent works
local output  -- the buffer of the split

--- The split ---------------------------------------------------------------------------

local function open_output()
  if not output or not vim.api.nvim_buf_is_valid(output) then
    output = vim.api.nvim_create_buf(false, true)
    vim.bo[output].bufhidden, vim.bo[output].filetype = "hide", "markdown"
    vim.api.nvim_buf_set_name(output, "sandbox://agent")
    vim.keymap.set("n", "<C-c>", function() M.cancel() end, { buffer = output, desc = "End the agent" })
  end
  if vim.fn.bufwinid(output) ~= -1 then return end
  local window = vim.api.nvim_get_current_win()
  vim.cmd "botright 15split"
  vim.api.nvim_win_set_buf(0, output)
  vim.wo.wrap = true
  vim.api.nvim_set_current_win(window)
end

-- Adds a text to the end of the split, where the last line goes on.
local function show(text)
  if not vim.api.nvim_buf_is_valid(output) then return end
  local row = vim.api.nvim_buf_line_count(output) - 1
  local column = #vim.api.nvim_buf_get_lines(output, row, row + 1, false)[1]
  vim.api.nvim_buf_set_text(output, row, column, row, column, vim.split(text, "\n"))
  local window = vim.fn.bufwinid(output)
  if window ~= -1 then vim.api.nvim_win_set_cursor(window, { vim.api.nvim_buf_line_count(output), 0 }) end
end

local function show_event(event)
  if event.type == "text" then show(event.text) end
  if event.type == "call" then show(("\n\n    %s %s\n"):format(event.name, event.arguments)) end
  if event.type == "result" then
    local lines = vim.split(event.result.text, "\n")
    show("    " .. table.concat(vim.list_slice(lines, 1, 10), "\n    ") .. "\n\n")
  end
  if event.type == "done" then show(("\n\n[%s, %d steps]\n"):format(event.reason, event.steps)) end
end

--- Its edits -----------------------------------------------------------------------------

-- The agent's text of the file beside the buffer's: `do` and `dp` take a change over.
local function review(buffer, name, text)
  local lines = vim.split(text:gsub("\n$", ""), "\n")
  if vim.deep_equal(lines, vim.api.nvim_buf_get_lines(buffer, 0, -1, false)) then return show "(no change)\n" end
  local window = vim.fn.bufwinid(buffer)
  if window == -1 then return show("(the buffer of " .. name .. " is not shown)\n") end
  vim.api.nvim_set_current_win(window)
  vim.cmd "diffthis"
  vim.cmd "rightbelow vertical new"
  vim.api.nvim_buf_set_lines(0, 0, -1, false, lines)
  vim.bo.buftype, vim.bo.bufhidden, vim.bo.filetype = "nofile", "wipe", vim.bo[buffer].filetype
  vim.cmd "diffthis"
  vim.api.nvim_set_current_win(window)
end

-- In a task: the sandbox with the file, the agent at work, the file as it is then.
local function work(buffer, name, prompt)
  local text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "\n") .. "\n"
  return daytona.using(daytona.assert(daytona.create { ephemeral = true, auto_stop_interval = 15 }), function(sb)
    daytona.assert(sb.fs:write(name, text))
    local agent = daytona.assert(daytona.agent { tools = "coding", sandbox = sb })
    for event in agent:run(("The file %s is in the working directory. %s"):format(name, prompt)) do
      show_event(event)
    end
    review(buffer, name, daytona.assert(sb.fs:read(name)))
    return true
  end)
end

---Gives the agent a task about the current buffer.
---@param prompt string
function M.run(prompt)
  if running then return vim.notify("an agent works already; :SandboxAgentCancel ends it", vim.log.levels.WARN) end
  local buffer = vim.api.nvim_get_current_buf()
  local name = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buffer), ":t")
  open_output()
  show("# " .. prompt .. "\n\n")
  local task = daytona.callback(work)(buffer, name ~= "" and name or "buffer.txt", prompt,
    vim.schedule_wrap(function(_, err)
      running = nil
      if err then show("\n[" .. (daytona.is_error(err, "canceled") and "cancelled" or tostring(err)) .. "]\n") end
    end))
  if not task:done() then running = task end
end

---Ends the agent, and what it runs.
function M.cancel()
  if running then running:cancel() end
end

vim.api.nvim_create_autocmd("VimLeavePre", {
  callback = function()
    if not running then return end
    running:cancel()
    running:wait(2)
  end,
})

return M
