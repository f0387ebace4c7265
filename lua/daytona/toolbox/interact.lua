-- The program's own terminal, handed over to one in a sandbox: what `interact`
-- does. Keys go there as they are pressed, output and size changes follow.
--
-- It waits for the local terminal and for the engine at once, so it takes the
-- place of the driver as long as it lasts.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local failed = require "daytona.toolbox.failed"
local loop = require "daytona.loop"
local task = require "daytona.loop.task"

-- Bytes of input on their way from which on no more is read.
local MOST_WAITING = 262144

-- After Enter, the sequence "~." leaves; "~~" is a "~".
local LEAVE, ESCAPE = ".", "~"

---@class daytona.Interaction
---@field pty daytona.Pty
---@field tty daytona.core.Terminal
---@field queue string[]    input that waits to be sent
---@field waiting integer   bytes in it
---@field fresh boolean     the last key was Enter, or there was none
---@field escaped boolean   a "~" after that is held back
---@field left boolean      "~." was typed, or the local terminal is gone
---@field output daytona.Task

local function send_queue(self)
  while self.queue[1] do
    local text = table.concat(self.queue)
    self.queue = {}
    local sent, err = self.pty:write(text, { timeout = 0 })
    self.waiting = self.waiting - #text
    if not sent then return nil, err end -- the reader will say why
  end
  return true
end

local function send(self, text)
  if text == "" then return end
  self.queue[#self.queue + 1] = text
  self.waiting = self.waiting + #text
  if not self.sender or self.sender:done() then self.sender = task.spawn(send_queue, self) end
end

-- What of the typed text is meant for the other side. Notes when the user leaves.
local function without_escapes(self, text)
  local out = {}
  for c in text:gmatch "." do
    if self.escaped then
      self.escaped = false
      if c == LEAVE then
        self.left = true
        break
      end
      out[#out + 1] = c == ESCAPE and "" or ESCAPE
      out[#out + 1] = c
      self.fresh = c == "\r" or c == "\n"
    elseif self.fresh and c == ESCAPE then
      self.escaped, self.fresh = true, false
    else
      out[#out + 1] = c
      self.fresh = c == "\r" or c == "\n"
    end
  end
  return table.concat(out)
end

local function take_input(self)
  local text = self.tty:read()
  if not text then
    self.left = true
  elseif self.fresh or self.escaped or text:find("[\r\n]") then
    send(self, without_escapes(self, text))
  else
    send(self, text)
  end
end

-- Makes the sizes equal; a change during that is seen to afterwards.
local function fit(self)
  repeat
    local cols, rows = self.tty:size()
    self.resized = false
    if cols and cols > 0 and rows > 0 then self.pty:resize(math.min(cols, 1000), math.min(rows, 1000)) end
  until not self.resized
end

local function follow_size(self)
  self.resized = true
  if not self.fitting or self.fitting:done() then self.fitting = task.spawn(fit, self) end
end

local function print_output(pty)
  while true do
    local chunk, err = pty:read()
    if not chunk then return not err, err end
    io.stdout:write(chunk)
    io.stdout:flush()
  end
end

local function run(self)
  self.tty:raw()
  follow_size(self)
  self.output = task.spawn(print_output, self.pty)
  while not self.output:done() and not self.left do
    local timeout = loop.timeout()
    local input, resized = self.tty:wait(loop.engine():fd(), timeout, self.waiting < MOST_WAITING)
    if resized then follow_size(self) end
    if input then take_input(self) end
    loop.step()
  end
end

local function finish(self)
  for _, name in ipairs { "output", "sender", "fitting" } do
    if self[name] then self[name]:cancel() end
  end
  self.tty:restore()
end

---@param pty daytona.Pty
---@return integer? exit_code
---@return string|daytona.Error|nil reason
return function(pty)
  if loop.current() then errors.misuse(1, "interact: not in a task, it waits for the terminal in its own way") end
  local tty, why = core.terminal()
  if not tty then
    return nil, failed(pty, "interact", {
      kind = "io", message = "standard input is not a terminal: " .. tostring(why),
    })
  end
  local self = { pty = pty, tty = tty, queue = {}, waiting = 0, fresh = true, escaped = false, left = false }
  loop.guard(function() loop.drive(run, self) end, finish, self)
  local over = self.output:done()
  local fine, err = true, nil
  if over then fine, err = self.output:wait() end
  finish(self)
  if not over then
    pty:disconnect()
    return nil, failed(pty, "interact", { kind = "canceled", message = "disconnected" })
  end
  if not fine then return nil, err end
  return pty:wait()
end
