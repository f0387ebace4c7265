-- Runs what is in a buffer in a sandbox and shows its output in a split, line by
-- line as it is printed. One sandbox serves the whole session: it is made at the
-- first run and deleted when the editor is left. The editor never waits.

local daytona = require "daytona"

local M = {}

local sandbox      -- once there is one
local running      -- the task, while something runs
local job          -- what it reads from, once that has begun
local status = ""  -- for the statusline
local output       -- the buffer of the split

-- Filetype -> the program that runs it.
local INTERPRETERS = { python = "python3 -u", javascript = "node", sh = "sh", bash = "bash", lua = "lua" }

-- Where the text goes in the sandbox.
local SOURCE = ".sandbox_run"

--- The split ---------------------------------------------------------------------------

local function set_status(text)
  status = text
  vim.cmd "redrawstatus!"
end

local function new_buffer()
  local buffer = vim.api.nvim_create_buf(false, true)
  vim.bo[buffer].bufhidden = "hide"
  vim.api.nvim_buf_set_name(buffer, "sandbox://output")
  for _, key in ipairs { "q", "<C-c>" } do
    vim.keymap.set("n", key, M.cancel, { buffer = buffer, desc = "End what runs in the sandbox" })
  end
  return buffer
end

-- Shows the split; the cursor stays where it is.
local function show_output()
  if not output or not vim.api.nvim_buf_is_valid(output) then output = new_buffer() end
  if vim.fn.bufwinid(output) == -1 then
    local window = vim.api.nvim_get_current_win()
    vim.cmd "botright 12split"
    vim.api.nvim_win_set_buf(0, output)
    vim.api.nvim_set_current_win(window)
  end
end

local function open_output()
  show_output()
  vim.api.nvim_buf_set_lines(output, 0, -1, false, {})
end

-- Windows of the output whose cursor is at its end: they are to stay there.
local function followers(last)
  return vim.tbl_filter(function(window)
    return vim.api.nvim_win_get_cursor(window)[1] >= last
  end, vim.fn.win_findbuf(output))
end

local function show(text)
  if not vim.api.nvim_buf_is_valid(output) then return end
  local lines = vim.split(text:gsub("\n$", ""), "\n")
  local last = vim.api.nvim_buf_line_count(output)
  local empty = last == 1 and vim.api.nvim_buf_get_lines(output, 0, 1, false)[1] == ""
  local windows = followers(last)
  vim.api.nvim_buf_set_lines(output, empty and 0 or last, -1, false, lines)
  last = vim.api.nvim_buf_line_count(output)
  for _, window in ipairs(windows) do vim.api.nvim_win_set_cursor(window, { last, 0 }) end
end

--- Running -----------------------------------------------------------------------------

-- The session's sandbox. It stops by itself, and is deleted then, should the
-- editor not live to do it.
local function get_sandbox()
  if sandbox then return sandbox end
  set_status "sandbox: starting"
  vim.notify "starting a sandbox ..."
  local err
  sandbox, err = daytona.create { ephemeral = true, auto_stop_interval = 15 }
  vim.api.nvim_echo({ { "" } }, false, {})
  return sandbox, err
end

-- What the statusline and the split say at the end.
local function ending(result, err)
  if daytona.is_error(err, "canceled") then return "cancelled" end
  if not result then return "failed: " .. tostring(err) end
  if result.reason == "canceled" then return "cancelled" end
  return "exit " .. result.exit_code
end

-- Starts the interpreter on the text. The job, or nil and an error.
local function begin(interpreter, text)
  local sb, err = get_sandbox()
  if not sb then return nil, err end
  local info
  info, err = sb.fs:write(SOURCE, text)
  if not info then return nil, err end
  return sb:popen(interpreter .. " " .. SOURCE, { stderr = "stdout" })
end

local function execute(interpreter, text)
  local err
  job, err = begin(interpreter, text)
  if not job then return nil, err end
  set_status "sandbox: running"
  for line in job:lines() do show(line) end
  local result
  result, err = job:wait()
  job:remove()
  return result, err
end

-- Runs in the main loop, when the task is done.
local function finish(result, err)
  running, job = nil, nil
  local text = ending(result, err)
  show("[" .. text .. "]")
  set_status("sandbox: " .. text)
  -- It may have stopped, or been deleted, meanwhile: the next run makes another.
  if daytona.is_error(err, "not_found") or daytona.is_error(err, "unavailable") then sandbox = nil end
end

---Runs lines of the current buffer.
---@param first integer
---@param last integer
function M.run(first, last)
  if running then return vim.notify("something runs already; :SandboxCancel ends it", vim.log.levels.WARN) end
  local interpreter = INTERPRETERS[vim.bo.filetype]
  if not interpreter then
    return vim.notify("cannot run the filetype '" .. vim.bo.filetype .. "'", vim.log.levels.ERROR)
  end
  local text = table.concat(vim.api.nvim_buf_get_lines(0, first - 1, last, false), "\n") .. "\n"
  open_output()
  local task = daytona.callback(execute)(interpreter, text, vim.schedule_wrap(finish))
  if not task:done() then running = task end
end

---Shows the output again.
function M.open()
  show_output()
end

---Ends what runs, in the sandbox too.
function M.cancel()
  if not running then return end
  set_status "sandbox: stopping"
  -- A job that is killed ends its output: the task comes to its end by itself.
  if job then daytona.spawn(job.kill, job) else running:cancel() end
end

---For 'statusline': %{v:lua.require'sandbox_run'.status()}
---@return string
function M.status()
  return status
end

-- A bounded wait: the sandbox is ephemeral, so all is well even if it is too short.
vim.api.nvim_create_autocmd("VimLeavePre", {
  callback = function()
    if running then running:cancel() end
    if sandbox then daytona.spawn(sandbox.delete, sandbox):wait(2) end
  end,
})

return M
