-- Terminals in a sandbox: an interactive shell each, over a WebSocket.
--
-- The daemon sends output as binary messages and news about the terminal as
-- text; how its shell ended is told by a message, by the reason of the close, or
-- by the close alone. A connection that was lost leaves the shell running.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.calls"
local json = require "daytona.http.json"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local url = require "daytona.http.url"
local websocket = require "daytona.http.websocket"
local names = require "daytona.http.names"

local M = {}

local CREATE_CONNECT, CONNECT = "/process/pty/create-connect", "/process/pty/{}/connect"

local call = calls.caller {
  pty    = { "POST",   "/process/pty",             "object" },
  ptys   = { "GET",    "/process/pty",             "object" },
  info   = { "GET",    "/process/pty/{}",          "object" },
  kill   = { "DELETE", "/process/pty/{}" },
  resize = { "POST",   "/process/pty/{}/resize",   safe = true },
}

-- Offered with the opening: that the end may be told by a message of its own.
local EXIT_CONTROL, ENVS = "X-Daytona-Pty-Exit-Control", "X-Daytona-Pty-Envs~"

-- Seconds until a terminal must be there; for what is left of the output after
-- the end of the shell was told; for ending one at the end of a scope.
local CONNECT_TIMEOUT, DRAIN_TIMEOUT, CLOSE_TIMEOUT = 10, 3, 10

-- The daemon takes messages of up to 64 KiB, and sends up to 32.
local LARGEST_INPUT, LARGEST_OUTPUT = 32768, 1024 * 1024

-- Variables travel in a header; more of them than this in a request.
local LONGEST_TOKEN = 6000

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
---@field package held daytona.LineBuffer  output that came, and was not asked for yet
---@field package ours boolean    this object made it, so its `close` ends it
---@field package reader any      the task that reads, or MAIN
---@field package lost? daytona.Error
local Pty = {}
Pty.__index = Pty
Pty.__name = "daytona.Pty"

local MAIN = {}

---"terminal (lua-1f2e, connected)"
function Pty:__tostring()
  local state = self.socket and "connected" or "not connected"
  if self.ended then state = string.format("ended, exit code %d", self.exit_code) end
  return string.format("terminal (%s, %s)", self.id, state)
end

local function new(sandbox, id)
  return setmetatable({ id = id, sandbox = sandbox, held = line_buffer.new(), ended = false, ours = false }, Pty)
end

-- Takes over what the daemon says about a terminal.
local function apply(self, raw)
  for name, value in pairs(raw) do
    if name == "envs" then
      self.env = value
    elseif name ~= "id" then
      local field = names.snake_name(name)
      if Pty[field] == nil then self[field] = value end
    end
  end
  return self
end

local function failure(self, operation, fields)
  fields.operation, fields.what, fields.sandbox = operation, self.id, self.sandbox
  return errors.new(fields)
end

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

-- Kind and code of what the daemon says in words alone; nil when that says nothing.
local function meaning(text)
  for _, row in ipairs(REFUSALS) do
    if text:find(row[1], 1, true) then return row[2], row[3] end
  end
end

-- The error for a terminal that could not be had.
local function refusal(self, text)
  text = type(text) == "string" and text or "the terminal failed"
  local kind, code = meaning(text)
  return failure(self, "pty", { kind = kind or "server", code = code, message = text })
end

local function hang_up(self)
  local socket = self.socket
  self.socket = nil
  if socket then socket:abort() end
end

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
    return lose(self, failure(self, "pty", {
      kind = "gone", code = "SESSION_ENDED", message = "the terminal has ended; its exit code is not known",
    }))
  end
  return lose(self, failure(self, "pty", {
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

-- Waits for a message. Returns the output in it, "" when it was about the
-- terminal; false at its end; nil, err (the connection is lost, or `deadline`).
local function take(self, deadline)
  local socket = self.socket
  local limit = self.exit_code and math.min(deadline or math.huge, self.drain_until) or deadline
  local data, what, reason = socket:receive(limit)
  if self.socket ~= socket then -- disconnected by another task meanwhile
    if self.ended then return false end
    return nil, self.lost or failure(self, "read", { kind = "canceled", message = "disconnected" })
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
    local data, err = take(self, deadline)
    if data == nil then
      hang_up(self)
      if errors.is(err, "wait") then
        err = failure(self, "pty", {
          kind = "timeout", code = "connect_timeout", message = "the terminal did not answer in time",
        })
      end
      return nil, err
    end
    if data then self.held:push(data) end
  until data == false or self.connected
  return self
end

-- Opens the way to the daemon that `request` describes and waits until the
-- terminal is at its end. self, or nil, err.
local function open(self, request, timeout)
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
  self.socket, self.lost, self.reader = socket, nil, nil
  return await_connected(self, deadline)
end

local function attach(self, timeout)
  return open(self, { path = url.path(CONNECT, self.id), protocols = EXIT_CONTROL, safe = true }, timeout)
end

local CONNECT_OPTIONS = { timeout = "seconds", ping_interval = "seconds" }

---Connects to the terminal, also after `disconnect` or a lost connection. What
---was printed meanwhile is not repeated; writing "\12" (Ctrl+L) makes most
---programs draw themselves again. Any number of connections may exist: all get
---the output. kind "not_found" or "gone" when it has ended.
---@param opts? { timeout?: number, ping_interval?: number }  seconds: 10; 20, 0 for no pings
---@return daytona.Pty?
---@return daytona.Error?
function Pty:connect(opts)
  opts = options.check("connect", CONNECT_OPTIONS, opts)
  if self.ended then
    return nil, failure(self, "pty", { kind = "gone", code = "SESSION_ENDED", message = "the terminal has ended" })
  end
  if self.socket and not self.socket:done() then return self end
  hang_up(self)
  self.ping_interval = opts.ping_interval or self.ping_interval
  return attach(self, opts.timeout or CONNECT_TIMEOUT)
end

--- Creating ----------------------------------------------------------------------------

-- Sandboxes whose daemon cannot create and connect at once.
local old = setmetatable({}, { __mode = "k" })

local function new_id()
  return "lua-" .. core.hex(core.random(8))
end

-- Checks the variables. Their token, or nil when it would be too long for a
-- header; and their values, which errors must not show.
local function pack_env(env)
  local secrets = options.environment("pty", env)
  if not secrets[1] then return nil, secrets end
  local text, problem = json.encode(env)
  if not text then errors.misuse(1, "pty: option 'env': %s", problem) end
  return ENVS .. core.base64(text, true), secrets
end

-- Why a terminal could not be made, for a daemon that does not say: is it its folder?
local function explain(self, err, cwd)
  local kind, code = meaning(err.message)
  if not kind and cwd then
    local info, problem = self.sandbox.fs:stat(cwd)
    if errors.is(problem, "not_found") then
      kind, err.message = "not_found", "the folder " .. cwd .. " is not there: " .. err.message
    elseif info and not info.is_dir then
      kind, err.message = "invalid", cwd .. " is no folder: " .. err.message
    end
  end
  if kind then err.kind, err.code = kind, code end
  return err
end

-- In two steps, as daemons before create-connect want it.
local function create_first(self, opts, secrets, timeout)
  local raw, err = call(self.sandbox, "pty", {
    json = {
      id = self.id, cols = self.cols, rows = self.rows, cwd = opts.cwd, envs = opts.env, lazyStart = opts.lazy,
    },
    what = self.id, secrets = secrets, timeout = timeout,
  })
  if not raw then return nil, err.status == 500 and explain(self, err, opts.cwd) or err end
  if opts.lazy then return self end
  return attach(self, timeout)
end

local function create_at_once(self, opts, token, secrets, timeout)
  return open(self, {
    path = CREATE_CONNECT,
    query = { { "id", self.id }, { "cols", self.cols }, { "rows", self.rows }, { "cwd", opts.cwd } },
    protocols = token and token .. ", " .. EXIT_CONTROL or EXIT_CONTROL, secrets = secrets,
  }, timeout)
end

local UNKNOWN = { [400] = true, [404] = true }

local function create(self, opts, token, secrets, timeout)
  local sandbox = self.sandbox
  if opts.lazy or old[sandbox] or #(token or "") > LONGEST_TOKEN then
    return create_first(self, opts, secrets, timeout)
  end
  local fine, err = create_at_once(self, opts, token, secrets, timeout)
  if fine or not UNKNOWN[err.status] then return fine, err end
  local unknown = err.status == 404
  fine, err = create_first(self, opts, secrets, timeout)
  if fine and unknown then old[sandbox] = true end
  return fine, err
end

-- After these the terminal may be there, although nobody has it.
local UNCERTAIN = { timeout = true, canceled = true, connection = true }

-- Ends what may have come to be. Called shielded.
local function undo(self)
  hang_up(self)
  calls.undo(call, self.sandbox, "kill", CLOSE_TIMEOUT, self.id)
end

local OPEN = {
  cols = options.range(1, MOST_CELLS), rows = options.range(1, MOST_CELLS), cwd = "text", env = "map", id = options.id,
  lazy = "boolean", timeout = "seconds", ping_interval = "seconds",
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
---@param which? string|{ cols?: integer, rows?: integer, cwd?: string, env?: table<string, string>, id?: string, lazy?: boolean, timeout?: number, ping_interval?: number }  timeout: seconds until it is there, 10; ping_interval: seconds, 20, 0 for none
---@return daytona.Pty?
---@return daytona.Error?
function M.open(self, which)
  if type(which) == "string" then
    options.argument("pty: the id", "text", which)
    return attach(new(self, which), CONNECT_TIMEOUT)
  end
  local opts = options.check("pty", OPEN, which)
  local pty = new(self, opts.id or new_id())
  pty.cols, pty.rows, pty.ours, pty.ping_interval = opts.cols or 80, opts.rows or 24, true, opts.ping_interval
  local token, secrets = pack_env(opts.env)
  local function go() return create(pty, opts, token, secrets, opts.timeout or CONNECT_TIMEOUT) end
  local function abandon() if not opts.id then undo(pty) end end
  local fine, err = loop.guard(go, abandon)
  if fine then return fine end
  -- An id of the caller's may belong to a terminal that was there before.
  if UNCERTAIN[err.kind] and err.code ~= "connect" and err.code ~= "resolve" then loop.shield(abandon) end
  return nil, err
end

---The terminals of the sandbox, oldest first, not connected to.
---@param self daytona.Sandbox
---@return daytona.Pty[]?
---@return daytona.Error?
function M.list(self)
  local raw, err = call(self, "ptys")
  if not raw then return nil, err end
  return calls.oldest_first(raw.sessions, function(item) return apply(new(self, item.id), item) end, "created_at")
end

--- Using it --------------------------------------------------------------------------

local function not_connected(self, operation)
  if self.ended then
    return failure(self, operation, {
      kind = "gone", code = "SESSION_ENDED",
      message = string.format("the terminal has ended (exit code %d)", self.exit_code),
    })
  end
  return self.lost or failure(self, operation, {
    kind = "connection", code = "closed", message = "the terminal is not connected; call connect", retryable = false,
  })
end

local function deadline_of(timeout)
  return timeout and timeout > 0 and loop.now() + timeout or nil
end

local READ = { timeout = "seconds" }

local function next_chunk(self, deadline)
  self.reader = loop.current() or MAIN
  while self.socket do
    local data, err = take(self, deadline)
    if not data then return nil, err end
    if data ~= "" then return data end
  end
  if self.ended then return nil end
  return nil, not_connected(self, "read")
end

local function next_line(self, deadline)
  while true do
    local line = self.held:line()
    if line then return line end
    local data, err = next_chunk(self, deadline)
    if err then return nil, err end
    if not data then return self.held:take(math.huge) end
    self.held:push(data)
  end
end

---The next output, as it comes: bytes, cut anywhere; with "l" the next line, without
---its end ("\r\n" of most programs), with "L" as it is. nil at the end of the shell
---(then `exit_code` is known); nil and an error when the connection was lost
---(kind "connection": the shell may still run, and `connect` take it up again)
---or, with `timeout`, nothing came for so many seconds (kind "timeout").
---
---A program that prints while nobody reads is held back for a while; then the
---daemon hangs up (code "slow_consumer"). A task that is cancelled while it reads
---or writes loses the connection, for all who use this object. What was received is
---kept for the next call.
---@param format? "l"|"L"
---@param opts? { timeout?: number }
---@return string?
---@return daytona.Error?
---@overload fun(self: daytona.Pty, opts: { timeout?: number }): string?, daytona.Error?
function Pty:read(format, opts)
  if type(format) == "table" then format, opts = nil, format end
  opts = options.check("read", READ, opts)
  local deadline = deadline_of(opts.timeout)
  if format == nil then
    local held = self.held:take(math.huge)
    if held then return held end
    return next_chunk(self, deadline)
  end
  local letter = type(format) == "string" and format:match("^%*?([lL])$")
  if not letter then errors.misuse(1, "read: the format must be 'l' or 'L', or none") end
  local line, err = next_line(self, deadline)
  if line and letter == "l" then line = line:gsub("\r?\n$", "") end
  return line, err
end

local function iterator(self, format)
  return function()
    local data, err = self:read(format)
    if not data and err then errors.assert(nil, err) end
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
---@param format? "l"|"L"
---@return fun(): string?
function Pty:lines(format)
  return iterator(self, format or "l")
end

local WRITE = { timeout = "seconds" }

---Types into the terminal: bytes, as they are ("\r" is the Enter key, "\3"
---Ctrl+C, "\4" Ctrl+D). Waits while the program does not take them, for at most
---`timeout` seconds. Fails with kind "gone" when the shell has ended.
---@param data string
---@param opts? { timeout?: number }  60; 0 for none
---@return true?
---@return daytona.Error?
function Pty:write(data, opts)
  options.argument("write: the data", "string", data)
  opts = options.check("write", WRITE, opts)
  local deadline = deadline_of(opts.timeout or 60)
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
  local done, err = call(self.sandbox, "resize", { json = { cols = cols, rows = rows } }, self.id)
  if not done then return nil, err end
  self.cols, self.rows = cols, rows
  return true
end

---Asks the daemon about it: size, folder, whether its shell runs. kind
---"not_found" when that has ended.
---@return daytona.Pty?
---@return daytona.Error?
function Pty:info()
  local raw, err = call(self.sandbox, "info", nil, self.id)
  if not raw then return nil, err end
  return apply(self, raw)
end

-- Whether some other task reads what comes, so that it is not ours to take.
local function read_by_another(self)
  local reader = self.reader
  if not reader or reader == (loop.current() or MAIN) then return false end
  return reader == MAIN or not reader:done()
end

-- Lets the reader find the end. true, or nil, err.
local function await_reader(self, deadline)
  local socket = self.socket
  local happened, err = loop.wait(socket.op, core.DONE, deadline)
  while happened and not self.ended and self.socket == socket and read_by_another(self) do
    if deadline and loop.now() >= deadline then
      return nil, failure(self, "wait", {
        kind = "timeout", code = "wait", message = "the terminal's end was not read in time",
      })
    end
    happened, err = loop.sleep(0.005)
  end
  return happened, err
end

local WAIT = { timeout = "seconds", on_output = "callable" }

---Waits until the shell has ended. Its exit code, and why where that is not 0.
---What it prints meanwhile goes to `on_output`, or to the task that reads the
---terminal, or nowhere. nil and an error when the connection was lost (the shell
---may still run) or, with `timeout`, after so many seconds.
---@param opts? { timeout?: number, on_output?: fun(chunk: string) }
---@return integer?
---@return string|daytona.Error|nil
function Pty:wait(opts)
  opts = options.check("wait", WAIT, opts)
  local deadline, on_output = deadline_of(opts.timeout), opts.on_output
  if on_output then
    local held = self.held:take(math.huge)
    if held then on_output(held) end
  end
  while self.socket do
    local data, err
    if read_by_another(self) then
      data, err = await_reader(self, deadline)
      if not data then return nil, err end
    else
      data, err = take(self, deadline)
      if data == nil then return nil, err end
      if data and data ~= "" and on_output then on_output(data) end
    end
  end
  if self.ended then return self.exit_code, self.reason end
  return nil, not_connected(self, "wait")
end

---Kills the shell and what hangs on it. Success when it has ended already.
---@param opts? { timeout?: number }
---@return true?
---@return daytona.Error?
function Pty:kill(opts)
  opts = options.check("kill", WRITE, opts)
  if self.ended then return true end
  local done, err = call(self.sandbox, "kill", { timeout = opts.timeout }, self.id)
  if done or errors.is(err, "not_found") then return true end
  return nil, err
end

---Leaves the terminal: the shell goes on, and may be connected to again.
---Idempotent, like `close`.
function Pty:disconnect()
  local socket = self.socket
  self.socket = nil
  if socket then socket:close() end
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
  hang_up(self)
  self.ours = false
  return loop.shield(Pty.kill, self, { timeout = CLOSE_TIMEOUT })
end

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
