-- Following what a session's command prints, live, byte for byte.
--
-- The daemon sends a log from its beginning, cut anywhere, says nothing of the
-- exit code and closes about a second after the command's end. So bytes are
-- counted: a connection that breaks is made again and what was seen is passed
-- over. And when the log becomes quiet the command is looked at (watch.lua says
-- how often): once it has ended, and the log's size has arrived, there is nothing to
-- wait for. When that size cannot be had, the daemon's own end is awaited.

local api = require "daytona.toolbox.session_calls"
local calls = require "daytona.toolbox.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local reader = require "daytona.toolbox.reader"
local watch = require "daytona.toolbox.watch"
local websocket = require "daytona.http.websocket"

local M = {}

-- A connection may break so often without a new byte, unless it had held for so
-- many seconds (some proxies end what is quiet).
local FAILURES, HELD = 5, 10

-- A look, or finding out by pings that the line is lost, takes so much of `idle_timeout` that
-- the rest of it is left for another connection.
local SHARE = 0.25

-- Seconds that the daemon's own end is awaited when the log's size is not known;
-- then what is missing is fetched.
M.settle = 2

local NAMES = { [0] = "stdout", "stdout", "stderr" }

---A log that is being followed. Called, or in a generic `for`, it gives the next
---stream ("stdout" or "stderr") and chunk, nil at the end, and raises errors; in
---Lua 5.4 leaving that `for` closes it. It takes up again by itself when the
---connection breaks.
---@class daytona.Follow
---@field command daytona.Command
---@field exit_code? integer  after the end; -1 as for daytona.Command
---@field stdout daytona.FollowStream
---@field stderr daytona.FollowStream
---@overload fun(): ("stdout"|"stderr")?, string?
local Follow = { __name = "daytona.Follow" }
Follow.__index = Follow

---"follow (id)"
---@private
function Follow:__tostring()
  return "follow (" .. self.command.id .. (self.over and ", ended)" or ")")
end

---One stream of a log that is followed, read like a file: `read`, `lines`, `chunk`,
---`chunks` as of daytona.Job's outputs. What the other one brings meanwhile is kept for it.
---@class daytona.FollowStream
---@field package follow daytona.Follow
---@field package buffer daytona.LineBuffer
local Stream = { __name = "daytona.FollowStream" }
Stream.__index = Stream

Stream.read, Stream.lines, Stream.chunk, Stream.chunks = reader.read, reader.lines, reader.chunk, reader.chunks

local function new_stream(follow)
  return setmetatable({ follow = follow, buffer = line_buffer.new() }, Stream)
end

---A reader of a command's log; with `snapshot` only of what is there now.
---@param command daytona.Command
---@param opts { timeout?: number, idle_timeout?: number, snapshot?: boolean }
---@return daytona.Follow
function M.new(command, opts)
  local idle = opts.idle_timeout and opts.idle_timeout > 0 and opts.idle_timeout or nil
  local self = setmetatable({
    command = command, snapshot = opts.snapshot, deadline = loop.after(opts.timeout), idle_timeout = idle,
    demux = core.demux(true), pieces = {}, piece = 1, count = 0, -- pieces[piece..count] are to be handed out
    seen = 0, skip = 0, failures = 0, moved = loop.now(), watch = watch.new(command, true),
  }, Follow)
  self.watch.look_timeout = idle and idle * SHARE
  self.stdout, self.stderr = new_stream(self), new_stream(self)
  return self
end

--- Ends ------------------------------------------------------------------------------------

local function let_go(self)
  if self.socket then self.socket:abort() end
  self.socket = nil
end

local function fail(self, err)
  let_go(self)
  self.over, self.failure = true, err
  return nil, err
end

local function finish(self)
  let_go(self)
  self.over = true
  self.exit_code = self.command.exit_code
  self.piece, self.count = 1, self.demux:finish(self.pieces)
  return true
end

local function timed_out(self, code, message, cause)
  return nil, errors.new {
    kind = "timeout", code = code, operation = "follow", what = self.command.id, sandbox = self.command.sandbox,
    message = message, cause = cause,
  }
end

-- Whether nothing has come for too long, and the error that says so.
local function has_idled(self)
  if not self.idle_timeout or loop.now() < self.moved + self.idle_timeout then return false end
  if self.socket or not self.broke then
    return true, select(2, timed_out(self, "idle_timeout", "the command printed nothing for too long"))
  end
  return true, select(2, timed_out(self, "idle_timeout",
    "the connection was lost, and there was none for too long: " .. self.broke.message, self.broke))
end

--- What arrives -----------------------------------------------------------------------------

local function take(self, data)
  self.moved = loop.now()
  self.watch:active()
  if self.skip > 0 then
    local known = math.min(self.skip, #data)
    self.skip = self.skip - known
    if known == #data then return true end
    data = data:sub(known + 1)
  end
  self.failures = 0
  self.seen = self.seen + #data
  self.piece, self.count = 1, self.demux:feed(data, self.pieces)
  return true
end

-- Bytes in the log of a command that has ended, where the daemon keeps it; nil
-- when that is not known.
local function log_size(self)
  local command = self.command
  local sandbox = command.sandbox
  local daemon = calls.daemon(sandbox)
  local home = daemon and daemon:home(sandbox)
  if not home then return nil end
  local path = home .. "/.daytona/sessions/" .. command.session.id .. "/" .. command.id .. "/output.log"
  local info = sandbox.fs:stat(path)
  return info and type(info.size) == "number" and info.size or nil
end

-- The command has ended: how much is there still to come?
local function ended(self)
  self.size, self.has_ended = log_size(self), true
  self.settle = loop.now() + M.settle
  return true
end

--- Connections ------------------------------------------------------------------------------

-- Seconds that opening a connection may take.
local function patience(self)
  local now, most = loop.now(), 30
  if self.deadline then most = math.min(most, self.deadline - now) end
  if self.idle_timeout then most = math.min(most, self.moved + self.idle_timeout - now) end
  return math.max(most, 0.001)
end

local function open(self)
  local command = self.command
  local connection, err = command.sandbox:toolbox()
  if not connection then return nil, err end
  local session, usual = command.session.id, websocket.ping_interval
  local path = session == watch.ENTRYPOINT and calls.path(api.entrypoint_logs, command)
    or calls.path(api.logs, command, { session = session })
  return websocket.open(connection, {
    path = path, query = not self.snapshot and { follow = "true" } or nil, safe = true, retries = 0,
    timeout = patience(self), ping_interval = self.idle_timeout and math.min(usual, self.idle_timeout * SHARE),
    operation = "follow", what = command.id, sandbox = command.sandbox,
  })
end

-- The connection is no more. Another one is due, soon.
local function broken(self, err)
  if self.socket and loop.now() - self.opened >= HELD then self.failures = 0 end
  let_go(self)
  self.failures, self.broke = self.failures + 1, err
  if not err.retryable or self.failures > FAILURES then return fail(self, err) end
  local wait = self.failures > 1 and http.delay_after(err, self.failures - 1) or 0
  self.again_at = loop.now() + wait
  return true
end

local function sooner(a, b)
  if a and b then return math.min(a, b) end
  return a or b
end

local function connect(self)
  if self.deadline and loop.now() >= self.deadline then
    return fail(self, select(2, timed_out(self, "wait", "the command was still running when the time was over")))
  end
  local idled, why = has_idled(self)
  if idled then return fail(self, why) end
  if self.again_at and self.again_at > loop.now() then
    local limit = sooner(self.deadline, self.idle_timeout and self.moved + self.idle_timeout)
    local slept, problem = loop.sleep(sooner(self.again_at, limit) - loop.now())
    if not slept then return fail(self, problem) end
    if limit and self.again_at > limit then return true end -- found out above
  end
  local socket, err = open(self)
  if not socket then return broken(self, err) end
  self.socket, self.skip, self.opened = socket, self.seen, loop.now()
  return true
end

local PROPER = { [1000] = true, [1001] = true, [1005] = true }

-- Whether all of the log has come: daemons may close before they have sent it.
-- Where its size is not known, only of nothing at all more is expected, once.
local function is_whole(self)
  self.size = self.size or log_size(self)
  if self.size then return self.seen >= self.size end
  return not self.snapshot or self.seen > 0 or self.failures > 0
end

-- Fetches what is missing, without following: that ends by itself.
local function fetch_rest(self)
  let_go(self)
  self.snapshot, self.settle, self.again_at = true, nil, nil
  return true
end

local function cut_off(self, code, reason)
  return broken(self, errors.new {
    kind = "connection", code = "closed", operation = "follow", what = self.command.id,
    sandbox = self.command.sandbox,
    message = string.format("the log was closed before its end (%d%s)", code, reason ~= "" and ": " .. reason or ""),
  })
end

-- The daemon has closed: the end, or a connection that was cut in the middle.
local function closed(self, code, reason)
  if not PROPER[code] then return cut_off(self, code, reason) end
  if not self.snapshot and not self.has_ended then
    local over, err = self.watch:has_ended()
    if over == nil then return fail(self, err) end
    if not over then return cut_off(self, code, reason) end
  end
  if is_whole(self) then return finish(self) end
  if self.snapshot then return cut_off(self, code, reason) end
  return fetch_rest(self)
end

--- Waiting ----------------------------------------------------------------------------------

local function look(self)
  local over, err = self.watch:look()
  if over == nil then return fail(self, err) end
  if over then return ended(self) end
  return true
end

-- When something else than waiting for bytes is due.
local function next_stop(self, limit)
  local stop = sooner(sooner(limit, self.deadline), self.idle_timeout and self.moved + self.idle_timeout)
  if self.snapshot then return stop end
  return sooner(stop, self.has_ended and self.settle or self.watch.next)
end

-- Nothing came: does what is due. true, or nil, err.
local function tick(self, limit)
  local now = loop.now()
  if not self.snapshot then
    if self.has_ended and now >= self.settle then return fetch_rest(self) end
    if not self.has_ended and now >= self.watch.next then return look(self) end
  end
  if self.deadline and now >= self.deadline then
    return fail(self, select(2, timed_out(self, "wait", "the command was still running when the time was over")))
  end
  local idled, why = has_idled(self)
  if idled then return fail(self, why) end
  if limit and now >= limit then
    return timed_out(self, "wait", "nothing was printed in time")
  end
  return true
end

local function advance(self, limit)
  if self.has_ended and self.size and self.seen >= self.size then return finish(self) end -- all is here
  if not self.socket then return connect(self) end
  local data, more, reason = self.socket:receive(next_stop(self, limit), true)
  if data then return take(self, data) end
  if data == false then return closed(self, more, reason) end
  if not more then return tick(self, limit) end
  return broken(self, more)
end

--- Reading ----------------------------------------------------------------------------------

-- The next stream and chunk of what has come.
local function take_piece(self)
  if self.piece >= self.count then return nil end
  local stream, chunk = self.pieces[self.piece], self.pieces[self.piece + 1]
  self.piece = self.piece + 2
  return NAMES[stream], chunk
end

---@private
function Follow:subject()
  return self.command.sandbox, self.command.id
end

---The next chunk: "stdout" or "stderr", and bytes exactly as they were logged, cut
---anywhere. nil at the end. nil and an error when following came to another end, or
---nothing was printed for `timeout` seconds (kind "timeout", code "wait": it may be
---called again). Several tasks may read: each gets what the others do not.
---@param opts? number|{ timeout?: number }
---@return ("stdout"|"stderr")?
---@return string|daytona.Error|nil
function Follow:read(opts)
  local timeout = opts ~= nil and options.timeout("read", opts)
  local limit = timeout and loop.now() + timeout or nil
  while true do
    local stream, chunk = take_piece(self)
    if stream then return stream, chunk end
    if self.over then return nil, self.failure end
    local fine, err = reader.turn(self, advance, limit)
    if not fine then return nil, err end
  end
end

---@private
function Follow:__call()
  local stream, chunk = self:read()
  if not stream and chunk then errors.raise(chunk) end
  return stream, chunk
end

-- The next whole line of either stream; at the end what has no newline.
local function next_line(self)
  local out, err = self.stdout.buffer, self.stderr.buffer
  while true do
    local line = out:line()
    if line then return "stdout", line:sub(1, -2) end
    line = err:line()
    if line then return "stderr", line:sub(1, -2) end
    local stream, chunk = self()
    if not stream then break end
    self[stream].buffer:push(chunk)
  end
  if out.size > 0 then return "stdout", out:take(math.huge) end
  if err.size > 0 then return "stderr", err:take(math.huge) end
end

---Iterates over lines, without their ends: `for stream, line in follow:lines()`.
---Raises errors.
---@return fun(): ("stdout"|"stderr")?, string?
function Follow:lines()
  return function() return next_line(self) end, nil, nil, self
end

---@private
function Stream:subject()
  return self.follow:subject()
end

function Stream:most()
  return self.follow.command.sandbox:toolbox().max_bytes
end

-- Brings the next piece to its stream. As `fill` of reader.lua.
local function distribute(self, limit)
  local stream, chunk = take_piece(self)
  if not stream and self.over then
    if self.failure then return nil, self.failure end
    return false
  elseif not stream then
    return advance(self, limit)
  end
  local own = self[stream]
  own.buffer:push(chunk)
  if own.buffer.size <= own:most() then return true end
  return fail(self, reader.too_large(own))
end

---@private
function Stream:fill(deadline)
  return reader.turn(self.follow, distribute, deadline)
end

---Stops following; the command goes on. Idempotent.
function Follow:close()
  let_go(self)
  self.over = true
  self.piece, self.count = 1, 0
end

---@private
Follow.__close = Follow.close

--- The call ----------------------------------------------------------------------------------

local OPTIONS = { on_stdout = "callable", on_stderr = "callable", timeout = "seconds", idle_timeout = "seconds" }

local function run(state)
  local self, opts = state[1], state[2]
  local hears = { stdout = opts.on_stdout, stderr = opts.on_stderr }
  while true do
    local stream, chunk = self:read()
    if not stream then return not chunk and self.exit_code or nil, chunk end
    if hears[stream] then hears[stream](chunk) end
  end
end

local function stop(state)
  state[1]:close()
end

---Follows a command: see daytona.Command.follow. `timeout` bounds all of it, and
---`idle_timeout` a silence; by default there is no limit (that the connection is
---alive is always watched).
---@param command daytona.Command
---@param opts? table
---@return any ...
function M.follow(command, opts)
  opts = options.check("follow", OPTIONS, opts)
  local self = M.new(command, opts)
  if opts.on_stdout or opts.on_stderr then return loop.guard(run, stop, { self, opts }) end
  return self, nil, nil, self
end

methods.guard(Follow, "daytona.Follow", "follow")

return M
