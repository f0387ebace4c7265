-- The connection of a terminal: what its messages mean, how it is opened and lost.
--
-- The daemon sends output as binary messages and news about the terminal as text; how its
-- shell ended is told by a message, by the reason of the close, or by the close alone. A
-- connection that was lost leaves the shell running.

local api = require "daytona.toolbox.pty_calls"
local calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local failed = require "daytona.toolbox.failed"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local websocket = require "daytona.http.websocket"

local link = {}

-- Offered with the opening: that the end may be told by a message of its own.
link.EXIT_CONTROL = "X-Daytona-Pty-Exit-Control"

-- Seconds for what is left of the output after the end of the shell was told.
local DRAIN_TIMEOUT = 3

-- The daemon sends messages of up to 32 KiB.
local LARGEST_OUTPUT = 1024 * 1024

--- Messages ------------------------------------------------------------------------

-- How a terminal ended, in the same words whichever way it was told.
local function note_exit(self, code, reason)
  if reason == "" then reason = nil end
  reason = reason and reason:gsub("^%((.*)%)$", "%1"):gsub("^SIGINT %- ", "")
  self.exit_code, self.reason = code, code ~= 0 and reason or nil
end

-- The control message in a text, or nil: then it is output, whatever it looks like.
local function control_in(data, is_text)
  if not is_text or data:sub(1, 1) ~= "{" then return nil end
  local value = json.decode(data)
  if type(value) == "table" and value.type == "control" then return value end
end

local REFUSALS = {
  { "has terminated", "gone", "SESSION_ENDED" },
  { "no such file or directory", "not_found" },
  { "permission denied", "forbidden" },
  { " not found", "not_found", "PROCESS_NOT_FOUND" },
}

---Kind and code of what the daemon says in words alone; nil when that says nothing.
---@param text string
---@return daytona.ErrorKind?
---@return string? code
function link.meaning(text)
  for _, row in ipairs(REFUSALS) do
    if text:find(row[1], 1, true) then return row[2], row[3] end
  end
end

-- The error for a terminal that could not be had.
local function refusal(self, text)
  text = type(text) == "string" and text or "the terminal failed"
  local kind, code = link.meaning(text)
  return failed(self, "pty", { kind = kind or "server", code = code, message = text })
end

---Lets go of the connection at once.
---@param self daytona.Pty
function link.hang_up(self)
  local socket = self.socket
  self.socket = nil
  if socket then socket:abort() end
  if self.gone then self.gone:open() end
end

local hang_up = link.hang_up

local function end_of(self)
  hang_up(self)
  self.ended, self.active = true, false
  return false
end

local function lose(self, err)
  hang_up(self)
  self.lost = err
  return nil, err
end

local function exit_in(reason)
  local value = reason and reason:sub(1, 1) == "{" and json.decode(reason)
  if type(value) == "table" and type(value.exitCode) == "number" then return value end
end

-- The daemon closed the connection: false when that was the end of the shell.
local function closed(self, code, reason)
  local exit = exit_in(reason)
  if self.exit_code then return end_of(self) end
  if exit then
    note_exit(self, exit.exitCode, exit.exitReason)
    return end_of(self)
  elseif code == 1000 then
    note_exit(self, 0)
    return end_of(self)
  end
  local said = code == 1005 and "without a word" or string.format("%d%s", code, reason ~= "" and ": " .. reason or "")
  if reason == "PTY session unavailable" then
    return lose(self, failed(self, "pty", {
      kind = "gone", code = "SESSION_ENDED", message = "the terminal has ended; its exit code is not known",
    }))
  end
  return lose(self, failed(self, "pty", {
    kind = "connection", code = code == 1008 and "slow_consumer" or "closed",
    message = "the connection was closed (" .. said .. "); the shell may still run",
  }))
end

local function obey(self, control)
  if control.status == "connected" then
    self.connected = true
  elseif control.status == "exited" and type(control.exitCode) == "number" then
    self.connected = true
    note_exit(self, control.exitCode, control.exitReason)
    -- What was printed last may come after this, and then the close.
    self.drain_until = loop.now() + DRAIN_TIMEOUT
  elseif control.status == "error" then
    return lose(self, refusal(self, control.error))
  end
  return ""
end

---Waits for a message. Returns the output in it, "" when it was about the
---terminal; false at its end; nil, err (the connection is lost, or `deadline`).
---@param self daytona.Pty
---@param deadline? number  on the clock of loop.now
---@return string|false|nil
---@return daytona.Error?
function link.take(self, deadline)
  local socket = self.socket
  local limit = self.exit_code and math.min(deadline or math.huge, self.drain_until) or deadline
  local data, what, reason = socket:receive(limit)
  if self.socket ~= socket then -- disconnected by another task meanwhile
    if self.ended then return false end
    return nil, self.lost or failed(self, "read", { kind = "canceled", message = "disconnected" })
  elseif data then
    local control = control_in(data, what)
    if control then return obey(self, control) end
    return data
  elseif data == false then
    return closed(self, what, reason)
  elseif self.exit_code and not errors.is(what, "canceled") and (not deadline or loop.now() < deadline) then
    return end_of(self) -- how it ended is known, so what broke then does not matter
  elseif errors.is(what, "wait") then
    return nil, what
  end
  return lose(self, what)
end

--- Connecting ------------------------------------------------------------------------

local function await_connected(self, deadline)
  self.connected = false
  repeat
    local data, err = link.take(self, deadline)
    if data == nil then
      hang_up(self)
      if errors.is(err, "wait") then
        err = failed(self, "pty", {
          kind = "timeout", code = "connect_timeout", message = "the terminal did not answer in time",
        })
      end
      return nil, err
    end
    if data then self.buffer:push(data) end
  until data == false or self.connected
  return self
end

---Opens the way to the daemon that `request` describes and waits until the
---terminal is at its end. self, or nil, err.
---@param self daytona.Pty
---@param request daytona.SocketRequest
---@param timeout number  seconds, 0 for none
---@return daytona.Pty?
---@return daytona.Error?
function link.open(self, request, timeout)
  local sandbox = self.sandbox
  local connection, err = sandbox:toolbox()
  if not connection then return nil, err end
  local deadline = timeout > 0 and loop.now() + timeout or nil
  request.operation, request.what, request.sandbox = "pty", self.id, sandbox
  request.timeout, request.max_message = timeout, LARGEST_OUTPUT
  request.ping_interval = self.ping_interval
  local socket
  socket, err = websocket.open(connection, request)
  if not socket then return nil, err end
  self.socket, self.lost, self.reader, self.gone = socket, nil, nil, new_latch()
  return await_connected(self, deadline)
end

---Connects to a terminal that is there.
---@param self daytona.Pty
---@param timeout number
---@return daytona.Pty?
---@return daytona.Error?
function link.attach(self, timeout)
  return link.open(self, { path = calls.path(api.connect, self), protocols = link.EXIT_CONTROL, safe = true }, timeout)
end

return link
