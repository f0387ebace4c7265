-- Standard input, for what runs elsewhere: what there is of it at once, and what comes
-- while the loop goes on.

local core = require "daytona.base.native"
local loop = require "daytona.loop"
local output = require "daytona.cli.output"
local task = require "daytona.loop.task"

local input = {}

-- Bytes that are sent in one piece: at first, when they cost no request of their own, and later.
local FIRST, PIECE = 8 * 1024 * 1024, 256 * 1024

-- Seconds that a program may leave a piece of its input unread.
local PATIENCE = 7 * 86400

---Whether there is any to be passed on: a terminal's is the user's.
---@return boolean
function input.is_given()
  return not output.is_terminal(0)
end

-- What can be had without waiting, about so many bytes at most, and whether that was all.
local function gathered(most)
  local chunks, size = {}, 0
  while size < most and core.input_wait(-1, 0) do
    local chunk = core.input_read()
    if not chunk then return table.concat(chunks), true end
    chunks[#chunks + 1] = chunk
    size = size + #chunk
  end
  return table.concat(chunks), false
end

---The beginning of it, as far as it is there; and whether that was all.
---@return string text
---@return boolean whole
function input.beginning()
  return gathered(FIRST)
end

---A source for uploads: the next chunk, which is waited for; nil at the end, nil and why.
---@return string?
---@return string?
function input.source()
  while true do
    if core.input_wait(-1) then
      local chunk, why = core.input_read()
      if chunk ~= "" then return chunk, why end
    end
  end
end

-- Waits for the terminal's or pipe's next bytes and for the engine, whichever comes first.
local function pass_on(self)
  while not self.run:done() and self.job do
    local fd = loop.busy() and loop.engine():fd() or -1
    if core.input_wait(fd, loop.timeout()) then
      local text, whole = gathered(PIECE)
      if text ~= "" and not self.job:write(text, { timeout = PATIENCE }) then return end -- it reads no more
      if whole then return self.job:close_stdin() end
    end
    loop.step()
  end
end

local function cancel(self)
  self.run:cancel()
  self.run:wait()
end

---Runs `start(on_job)`, which calls `on_job(job)` once there is a job, in a task, and gives
---that job standard input from `text` on. What `start` returned.
---@param text string
---@param start fun(on_job: fun(job: daytona.Job)): any, any
---@return any ...
function input.feed(text, start)
  local self = {}
  self.run = task.spawn(start, function(job) self.job = job end)
  return loop.guard(function()
    while not self.job and not self.run:done() do loop.sleep(0.005) end
    if self.job and (text == "" or self.job:write(text, { timeout = PATIENCE })) then loop.drive(pass_on, self) end
    return self.run:wait()
  end, cancel, self)
end

return input
