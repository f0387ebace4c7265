-- Terminals in a sandbox: an interactive shell each, over a WebSocket (pty_link.lua). They
-- are made by pty_create.lua, and read by reader.lua.

local api = require "daytona.toolbox.pty_calls"
local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local create = require "daytona.toolbox.pty_create"
local errors = require "daytona.base.errors"
local failed = require "daytona.toolbox.failed"
local line_buffer = require "daytona.base.line_buffer"
local link = require "daytona.toolbox.pty_link"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local reader = require "daytona.toolbox.reader"
local oldest_first = require "daytona.toolbox.oldest_first"
local withdraw = require "daytona.toolbox.withdraw"
local variables = require "daytona.base.variables"

local M = {}

-- Seconds until a terminal must be there; that input may take; for ending one at the end
-- of a scope.
local CONNECT_TIMEOUT, WRITE_TIMEOUT, CLOSE_TIMEOUT = 10, 60, 10

-- The daemon takes messages of up to 64 KiB.
local LARGEST_INPUT = 32768

local MOST_CELLS = 1000

---A terminal in a sandbox.
---@class daytona.Pty
---@field id string
---@field sandbox daytona.Sandbox
---@field cols? integer
---@field rows? integer
---@field cwd? string
---@field env? table<string, string>  what it was given, and TERM
---@field active? boolean       its shell ran when that was asked
---@field lazy_start? boolean
---@field created_at? string
---@field ended boolean         its shell has ended, and all output was read
---@field exit_code? integer    of the shell, once that is known
---@field reason? string        why, for an exit code that is not 0: "SIGKILL", "Ctrl+C", "signal 9", "non-zero exit"
---@field package socket? daytona.Socket
---@field package buffer daytona.LineBuffer  output that came, and was not asked for yet
---@field package ours boolean    this object made it, so its `close` ends it
---@field package reader any      the task that reads, or MAIN
---@field package lost? daytona.Error
---@field package gone? daytona.Latch  open when the connection is over
local Pty = { __name = "daytona.Pty", line_end = "\r?\n$" }
Pty.__index = Pty

local MAIN = {}

---"terminal (lua-1f2e, connected)"
---@private
function Pty:__tostring()
  local state = self.socket and "connected" or "not connected"
  if self.ended then state = string.format("ended, exit code %d", self.exit_code) end
  return string.format("terminal (%s, %s)", self.id, state)
end

local function new(sandbox, id)
  return setmetatable({ id = id, sandbox = sandbox, buffer = line_buffer.new(), ended = false, ours = false }, Pty)
end

-- Takes over what the daemon says about a terminal.
local function apply(self, said)
  for name, value in pairs(said) do
    if name == "envs" then
      self.env = value
    elseif Pty[name] == nil and name ~= "id" then
      self[name] = value
    end
  end
  return self
end

--- Connecting --------------------------------------------------------------------------

local CONNECT_OPTIONS = { timeout = "seconds", ping_interval = "seconds" }

---Connects to the terminal, also after `disconnect` or a lost connection. What
---was printed meanwhile is not repeated; writing "\12" (Ctrl+L) makes most
---programs draw themselves again. Any number of connections may exist: all get
---the output. kind "not_found" or "gone" when it has ended.
---@param opts? number|{ timeout?: number, ping_interval?: number }  seconds: 10; 20, 0 for no pings
---@return daytona.Pty?
---@return daytona.Error?
function Pty:connect(opts)
  opts = options.timed("connect", CONNECT_OPTIONS, opts)
  if self.ended then
    return nil, failed(self, "pty", { kind = "gone", code = "SESSION_ENDED", message = "the terminal has ended" })
  end
  if self.socket and not self.socket:done() then return self end
  link.hang_up(self)
  self.ping_interval = opts.ping_interval or self.ping_interval
  return link.attach(self, opts.timeout or CONNECT_TIMEOUT)
end

--- Opening -----------------------------------------------------------------------------

-- After these the terminal may be there, although nobody has it.
local UNCERTAIN = { timeout = true, canceled = true, connection = true }

-- Ends what may have come to be. Called shielded.
local function undo(self)
  link.hang_up(self)
  withdraw(function() return api.kill(self, nil, { timeout = CLOSE_TIMEOUT }) end)
end

local OPEN = {
  cols = options.range(1, MOST_CELLS), rows = options.range(1, MOST_CELLS), cwd = "text", env = "variables",
  id = options.id, lazy = "boolean", timeout = "seconds", ping_interval = "seconds",
}

---Opens a terminal: an interactive login shell.
---
---With options a new one is made and connected to, in one round trip where the
---daemon can; with the id of one that is there, this connects to that. A new one
---has 80 columns and 24 rows, starts in `cwd` (the working directory) and ends
---when it is closed. With `lazy` it is made without a connection, and its shell
---starts at the first `connect`. Fails with kind "conflict" when the id is
---taken, "not_found" when there is no such terminal or no such directory.
---@param self daytona.Sandbox
---@param which? string|{ cols?: integer, rows?: integer, cwd?: string, env?: table<string, string|number>, id?: string, lazy?: boolean, timeout?: number, ping_interval?: number }  timeout: seconds until it is there, 10; ping_interval: seconds, 20, 0 for none
---@return daytona.Pty?
---@return daytona.Error?
function M.open(self, which)
  if type(which) == "string" then
    options.argument("pty: the id", "text", which)
    return link.attach(new(self, which), CONNECT_TIMEOUT)
  end
  local opts = options.check("pty", OPEN, which)
  local pty = new(self, opts.id or "lua-" .. core.hex(core.random(8)))
  pty.cols, pty.rows, pty.ours, pty.ping_interval = opts.cols or 80, opts.rows or 24, true, opts.ping_interval
  variables("pty", opts.env)
  local function go() return create.make(pty, opts, opts.timeout or CONNECT_TIMEOUT) end
  -- An id of the caller's may belong to a terminal that was there before.
  local function abandon() if pty.made or not opts.id then undo(pty) end end
  local fine, err = loop.guard(go, abandon)
  if fine then return fine end
  if pty.made or UNCERTAIN[err.kind] and err.sent ~= false then loop.shield(abandon) end
  return nil, err
end

---The terminals of the sandbox, oldest first, not connected to.
---@param self daytona.Sandbox
---@return daytona.Pty[]?
---@return daytona.Error?
function M.list(self)
  local answer, err = api.ptys(self)
  if not answer then return nil, err end
  return oldest_first(answer.sessions, function(item) return apply(new(self, item.id), item) end, "created_at")
end

--- Using it --------------------------------------------------------------------------

local function not_connected(self, operation)
  if self.ended then
    return failed(self, operation, {
      kind = "gone", code = "SESSION_ENDED",
      message = string.format("the terminal has ended (exit code %d)", self.exit_code),
    })
  end
  return self.lost or failed(self, operation, {
    kind = "connection", code = "closed", message = "the terminal is not connected; call connect", retryable = false,
  })
end

--- As a source of toolbox/reader.lua.

---@private
function Pty:subject()
  return self.sandbox, self.id
end

---@private
function Pty:fill(deadline)
  if self.ended then return false end
  if not self.socket then return nil, not_connected(self, "read") end
  local data, err = link.take(self, deadline)
  if not data then return data, err end
  self.buffer:push(data)
  return true
end

---The next output, as it comes: bytes, cut anywhere; with formats what `file:read` gives:
---"l" the next line without its end ("\r\n" of most programs), "L" as it is, "n" a number,
---"a" all till the end, an integer that many bytes. nil at the end of the shell
---(then `exit_code` is known); nil and an error when the connection was lost
---(kind "connection": the shell may still run, and `connect` take it up again)
---or, with `timeout`, nothing came for so many seconds (kind "timeout").
---
---A program that prints while nobody reads is held back for a while; then the
---daemon hangs up (code "slow_consumer"). A task that is cancelled while it reads
---or writes loses the connection, for all who use this object. What was received is
---kept for the next call. Several tasks may read: each gets what the others do not.
---@param ... "l"|"L"|"n"|"a"|integer|{ timeout?: number }
---@return string|number|nil
---@return daytona.Error|string|number|nil ...
---@overload fun(self: daytona.Pty, opts?: { timeout?: number }): string?, daytona.Error?
function Pty:read(...)
  self.reader = loop.current() or MAIN
  local first, second = ...
  if first ~= nil and type(first) ~= "table" then return reader.read(self, ...) end
  return reader.chunk(self, first or second)
end

local function iterator(self, ...)
  local given = compat.pack(...)
  return function()
    local data, err = self:read(compat.unpack(given, 1, given.n))
    if data == nil and err then errors.raise(err) end
    return data
  end
end

---The output, chunk by chunk: `for chunk in pty:chunks() do`. Raises when the
---connection is lost.
---@return fun(): string?
function Pty:chunks()
  return iterator(self)
end

---The output, line by line ("l", or "L" with their ends). Raises when the connection
---is lost. A prompt is no line until something ends it: `chunks` shows it.
---@param format? "l"|"L"|"n"|integer
---@return fun(): string|number|nil
function Pty:lines(format)
  return iterator(self, format or "l")
end

---Types into the terminal: bytes, as they are ("\r" is the Enter key, "\3"
---Ctrl+C, "\4" Ctrl+D). Waits while the program does not take them, for at most
---`timeout` seconds. Fails with kind "gone" when the shell has ended.
---@param data string
---@param opts? number|{ timeout?: number }  60; 0 for none
---@return true?
---@return daytona.Error?
function Pty:write(data, opts)
  options.argument("write: the data", "string", data)
  local deadline = reader.deadline("write", options.timeout("write", opts) or WRITE_TIMEOUT)
  for at = 1, #data, LARGEST_INPUT do
    if not self.socket then return nil, not_connected(self, "write") end
    local sent, err = self.socket:send(data:sub(at, at + LARGEST_INPUT - 1), false, deadline)
    if not sent then return nil, err end
  end
  return true
end

---Changes its size, in columns and rows. kind "gone" when it has ended.
---@param cols integer
---@param rows integer
---@return true?
---@return daytona.Error?
function Pty:resize(cols, rows)
  options.argument("resize: cols", OPEN.cols, cols)
  options.argument("resize: rows", OPEN.rows, rows)
  local done, err = api.resize(self, { cols = cols, rows = rows })
  if not done then return nil, err end
  self.cols, self.rows = cols, rows
  return true
end

---Asks the daemon about it: size, folder, whether its shell runs. kind
---"not_found" when that has ended.
---@return daytona.Pty?
---@return daytona.Error?
function Pty:info()
  local said, err = api.info(self)
  if not said then return nil, err end
  return apply(self, said)
end

-- Whether some other task reads what comes, so that it is not ours to take.
local function read_by_another(self)
  local other = self.reader
  if not other or other == (loop.current() or MAIN) then return false end
  return other == MAIN or not other:done()
end

-- Seconds after which who waits sees that the reader is no more.
local LOOK_AFTER_READER = 0.05

-- Lets the reader find the end. true, or nil, err.
local function await_reader(self, deadline)
  local socket = self.socket
  local happened, err = loop.wait(socket.op, core.DONE, deadline)
  while happened and not self.ended and self.socket == socket and read_by_another(self) do
    local now = loop.now()
    if deadline and now >= deadline then return reader.too_late(self) end
    happened, err = loop.join(self.gone, math.min(deadline or math.huge, now + LOOK_AFTER_READER))
    if not happened and errors.is(err, "timeout") then happened = true end
  end
  return happened, err
end

local WAIT = { timeout = "seconds", on_output = "callable" }

---Waits until the shell has ended. Its exit code, and why where that is not 0.
---What it prints meanwhile goes to `on_output`, or to the task that reads the
---terminal, or nowhere. nil and an error when the connection was lost (the shell
---may still run) or, with `timeout`, after so many seconds.
---@param opts? number|{ timeout?: number, on_output?: fun(chunk: string) }
---@return integer?
---@return string|daytona.Error|nil
function Pty:wait(opts)
  opts = options.timed("wait", WAIT, opts)
  local deadline = opts.timeout and opts.timeout > 0 and loop.now() + opts.timeout or nil
  local function take(_, limit)
    local data, err = link.take(self, limit)
    if data and data ~= "" and opts.on_output then opts.on_output(data) end
    if data == nil then return nil, err end
    return true
  end
  local held = opts.on_output and self.buffer:take(math.huge)
  if held then opts.on_output(held) end
  while self.socket do
    local fine, err
    if read_by_another(self) then fine, err = await_reader(self, deadline)
    else fine, err = reader.turn(self, take, deadline) end
    if not fine then return nil, err end
  end
  if self.ended then return self.exit_code, self.reason end
  return nil, not_connected(self, "wait")
end

---Kills the shell and what hangs on it. Success when it has ended already.
---@param opts? number|{ timeout?: number }
---@return true?
---@return daytona.Error?
function Pty:kill(opts)
  local timeout = options.timeout("kill", opts)
  if self.ended then return true end
  local done, err = api.kill(self, nil, { timeout = timeout })
  if done or errors.is(err, "not_found") then return true end
  return nil, err
end

---Leaves the terminal: the shell goes on, and may be connected to again.
---Idempotent, like `close`.
function Pty:disconnect()
  local socket = self.socket
  self.socket = nil
  if socket then socket:close() end
  if self.gone then self.gone:open() end
end

---The end of its use, and of `local pty <close> = ...`: a terminal that this
---object made is killed, one that it connected to is left. Waits for at most 10
---seconds, also in a task that was cancelled.
---@return true?
---@return daytona.Error?
function Pty:close()
  if not self.ours or self.ended then
    self:disconnect()
    return true
  end
  link.hang_up(self)
  self.ours = false
  return loop.shield(Pty.kill, self, { timeout = CLOSE_TIMEOUT })
end

---@private
Pty.__close = Pty.close

---Hands the program's own terminal over to this one until its shell ends, as ssh
---does: raw mode, window size changes, and Enter ~ . to leave. Outside of tasks
---only. Returns what `wait` does; nil and an error of kind "canceled" after ~.,
---"io" when standard input is no terminal.
---@return integer?
---@return string|daytona.Error|nil
function Pty:interact()
  return require("daytona.toolbox.interact")(self)
end

methods.guard(Pty, "daytona.Pty", "pty")

return M
