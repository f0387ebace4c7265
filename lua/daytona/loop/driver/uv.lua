-- The driver for libuv's loop: Neovim (vim.uv, vim.loop) and programs on luv.
--
-- One poll handle watches the engine's descriptor and one timer its deadlines,
-- both only while something is in flight: an idle editor stays asleep, and
-- uv.run() of a plain program comes to its end. In Neovim tasks are resumed
-- through vim.schedule, so that they may call the editor.
--
-- A call outside tasks blocks, and libuv's loop with it: a loop that runs
-- already must not be run again inside itself. It knows no HTTP.

local block = require "daytona.loop.driver.block"
local core = require "daytona.base.native"

-- slice: seconds that one callback may keep the loop busy.
local driver = { name = "uv", slice = 0.004 }

-- Seconds that tasks may clean up when the editor is left.
local FAREWELL = 2

-- libuv's loop is shared with the child of a fork, who would disturb it.
local home = core.pid()

local editor = rawget(_G, "vim")
local loop, uv
local poll, timer          -- nil while detached
local watching = false     -- the poll handle is active
local stepping = false
local inherited = {}       -- handles that came through a fork, never to be closed

local function is_editor()
  if type(editor) ~= "table" or type(editor.schedule) ~= "function" then return false end
  return not (editor.is_thread and editor.is_thread())
end

local function libuv()
  if is_editor() then return editor.uv or editor.loop end
  return package.loaded.luv or package.loaded.uv
end

---True in Neovim, and where luv is loaded: certainly so while its loop runs.
function driver.detect()
  if core.pid() ~= home then return false end
  if is_editor() then return true, "this is Neovim", true end
  local found = libuv()
  if type(found) ~= "table" or not found.new_poll then return false end
  if found.loop_mode and found.loop_mode() then return true, "the loop of luv is running", true end
  return true, "luv is loaded", false
end

--- Watching ------------------------------------------------------------------------

local step

local function rest()
  if not watching then return end
  watching = false
  poll:stop()
  timer:stop()
end

local function milliseconds(seconds)
  return math.ceil(seconds * 1000)
end

local function watch()
  if not poll then return end
  if not loop.busy() then return rest() end
  if not watching then
    watching = true
    poll:start("r", step)
  end
  local seconds = loop.timeout()
  if seconds then timer:start(milliseconds(seconds), 0, step) else timer:stop() end
end

-- A raise in here is one of a program's callbacks: it is libuv's host that shows
-- it, once everything is in order.
local function guarded(fn, ...)
  stepping = true
  local ok, err = pcall(fn, ...)
  stepping = false
  watch()
  if not ok then error(err, 0) end
end

function step()
  guarded(loop.step, driver.slice)
end

---The loop has something new to do.
function driver.kick()
  if not stepping then watch() end
end

--- Attaching -----------------------------------------------------------------------

local function resume_in_editor(fn)
  editor.schedule(function() guarded(fn) end)
end

---For the editor's last moment: commands are stopped, and what tasks were to
---clean up is cleaned up.
function driver.leave()
  if poll then loop.stop(FAREWELL) end
end

local will_leave = false

-- Later, as this may be a fast event.
local function clean_up_at_exit()
  if will_leave then return end
  will_leave = true
  editor.schedule(function()
    editor.cmd [[
      augroup daytona
        autocmd!
        autocmd VimLeavePre * lua require("daytona.loop.driver.uv").leave()
      augroup END
    ]]
  end)
end

function driver.attach(the_loop)
  block.attach(the_loop)
  loop = the_loop
  if core.pid() ~= home then return end
  uv = libuv() or require "luv"
  poll = assert(uv.new_poll(loop.engine():fd()))
  timer = assert(uv.new_timer())
  if not is_editor() then return end
  driver.defer = resume_in_editor
  clean_up_at_exit()
end

function driver.detach()
  if not poll then return end
  if core.pid() == home then
    rest()
    poll:close()
    timer:close()
  else
    inherited[#inherited + 1] = { poll, timer }
  end
  poll, timer, watching = nil, nil, false
end

--- Waiting -------------------------------------------------------------------------

---Why a caller outside tasks cannot wait here, or nil.
function driver.refuse()
  if is_editor() and editor.in_fast_event() then
    return "a call outside tasks cannot wait in a fast event of Neovim (see :help api-fast): "
      .. "make it in a task (daytona.spawn), or inside vim.schedule"
  end
end

local function waited(ok, ...)
  watch()
  return ok, ...
end

---Blocks until the waiter is ready. False and the error when Ctrl-C came.
function driver.wait(waiter)
  return waited(block.wait(waiter))
end

function driver.wake() end

return driver
