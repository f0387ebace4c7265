--- The log of a session's command: one file in which each line of its output
-- stands after three bytes that name its stream. Written line by line, as the
-- service does it: nothing before its newline, one added at the end, no NUL.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local ffi = require "ffi"
local sys = require "daytona.devserver.toolbox.sys"

local session_log = {}

local PREFIX = { stdout = "\1\1\1", stderr = "\2\2\2" }
local FRAME = 1024

---@class daytona.devserver.log
---@field changed any  a condition: bytes were added, or it ended
---@field ended boolean  nothing will be added any more
local Log = {}
Log.__index = Log

--- A new log in a file.
function session_log.new(path)
  local fd, errno = sys.open(path, sys.O_RDWR + sys.O_CREAT + sys.O_TRUNC + sys.O_APPEND, 420)
  if not fd then error("open " .. path .. ": " .. sys.strerror(errno)) end
  return setmetatable({ path = path, fd = fd, ended = false, changed = condition.new() }, Log)
end

function Log:append(data)
  sys.write_all(self.fd, data, #data)
  self.changed:signal()
end

--- Adds whole lines of a stream, or what stands for one.
function Log:add(stream, lines)
  local prefix = PREFIX[stream]
  lines = lines:gsub("%z", "")
  self:append(prefix .. lines:sub(1, -2):gsub("\n", "\n" .. prefix) .. "\n")
end

function Log:finish()
  self.ended = true
  sys.close(self.fd)
  self.changed:signal()
end

local SIZE = 262144
local buffer = sys.buffer(SIZE)

-- Waits until bytes can be read: false when `stop` was signalled instead. A pipe
-- that nobody has opened for writing yet is not at its end, though it reads so.
local function wait_for_data(fd, stopped, stop)
  while not stopped() do
    if sys.wait_fd(fd, "r", nil, stop) ~= stop then return true end
  end
  return false
end

--- Copies a pipe to the log until all its writers are gone, in the coroutine
-- that calls it.
---@param fd integer  closed at the end
---@param stream "stdout"|"stderr"
---@param stopped fun(): boolean  true to end before that
---@param stop any  a condition, signalled when `stopped` may have changed
function Log:copy(fd, stream, stopped, stop)
  local rest = {}
  local more = wait_for_data(fd, stopped, stop)
  while more do
    local n, errno = sys.read(fd, buffer, SIZE)
    if n and n > 0 then
      local data = ffi.string(buffer, n)
      local last = data:match "^.*()\n"
      if last then
        rest[#rest + 1] = data:sub(1, last)
        self:add(stream, table.concat(rest))
        rest = { data:sub(last + 1) }
      else
        rest[#rest + 1] = data
      end
      if n == SIZE then cqueues.sleep(0) end
    else
      more = not n and errno == sys.EAGAIN and wait_for_data(fd, stopped, stop)
    end
  end
  sys.close(fd)
  local tail = table.concat(rest)
  if tail ~= "" then self:add(stream, tail .. "\n") end
end

-- Reading ------------------------------------------------------------------

--- All of a log.
---@return string
function session_log.read(path)
  local file = io.open(path, "rb")
  local data = file and file:read "*a" or ""
  if file then file:close() end
  return data
end

-- Calls piece(stream, text) for each stretch between prefixes; `stream` is nil
-- before the first.
local function each_piece(raw, piece)
  local out, err = raw:find("\1\1\1", 1, true), raw:find("\2\2\2", 1, true)
  local stream, from = nil, 1
  while out or err do
    local at = math.min(out or math.huge, err or math.huge)
    piece(stream, raw:sub(from, at - 1))
    stream = at == out and "stdout" or "stderr"
    from = at + 3
    if out and out < from then out = raw:find("\1\1\1", from, true) end
    if err and err < from then err = raw:find("\2\2\2", from, true) end
  end
  piece(stream, raw:sub(from))
end

--- The two streams of a log.
---@return string stdout
---@return string stderr
function session_log.split(raw)
  local streams = { stdout = {}, stderr = {} }
  each_piece(raw, function(stream, text)
    if stream then table.insert(streams[stream], text) end
  end)
  return table.concat(streams.stdout), table.concat(streams.stderr)
end

--- A log without its prefixes.
---@return string
function session_log.combined(raw)
  local pieces = {}
  each_piece(raw, function(_, text) pieces[#pieces + 1] = text end)
  return table.concat(pieces)
end

-- Bytes at the end that may be the beginning of a prefix.
local function unfinished(data)
  return data:match "\1\1?$" or data:match "\2\2?$" or ""
end

--- Sends a log to a channel in frames as the service cuts them.
---@param channel daytona.devserver.channel
---@param log table  path, changed, ended; of a Log
---@param o { follow: boolean, prefixes: boolean, delay: number }  delay: seconds between the log's end and the answer's
---@return boolean complete  false when the client went away
function session_log.follow(channel, log, o)
  local fd = sys.open(log.path, sys.O_RDONLY)
  local carry = ""
  local function send(data, last)
    data = carry .. data
    carry = ""
    if not o.prefixes then
      carry = last and "" or unfinished(data)
      data = session_log.combined(data:sub(1, #data - #carry))
    end
    for i = 1, #data, FRAME do
      channel:send(data:sub(i, i + FRAME - 1), "binary")
    end
    return channel:flush()
  end
  local size = 65536
  local block = sys.buffer(size)
  while fd and not channel.gone do
    local n = sys.read(fd, block, size)
    if n and n > 0 then
      send(ffi.string(block, n))
    elseif log.ended or not o.follow then
      break
    else
      cqueues.poll(log.changed, channel.changed)
    end
  end
  if fd then sys.close(fd) end
  send("", true)
  if o.follow and not channel.gone and not log.deleted and o.delay > 0 then
    cqueues.poll(channel.changed, o.delay)
  end
  return not channel.gone
end

return session_log
