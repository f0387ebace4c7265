--- Bodies at the speed of the kernel: request bodies read straight from the
-- socket into a buffer, files sent to the client without passing through Lua.
-- The one file that knows the inside of lua-http's HTTP/1 streams; where they
-- do not allow a short cut it goes the ordinary way.

local ffi = require "ffi"
local cqueues = require "cqueues"
local sys = require "daytona.devserver.toolbox.sys"

local body = {}

local TURN = 8 * 1024 * 1024     -- bytes moved before other requests get their turn
local LARGEST_CHUNK = 64 * 1024 * 1024

-- The socket's descriptor, when nothing (TLS, a fault) stands between it and us.
local function plain_socket(req)
  local connection = req.stream.connection
  local socket = connection.version ~= 2 and connection.socket
  if socket and not req.shaped and not socket:checktls() then
    return socket
  end
end

-- Reads from the socket into the caller's memory. What the kit has buffered
-- already comes first.
local function read_raw(socket, stream, to, max, timeout)
  local fd = socket:pollfd()
  while true do
    local n, errno = sys.read(fd, to, math.min(max, stream.body_read_left))
    if n and n > 0 then
      stream.body_read_left = stream.body_read_left - n
      return n
    elseif n == 0 then
      return nil, "unexpected EOF"
    elseif errno ~= sys.EAGAIN then
      return nil, sys.strerror(errno)
    elseif not sys.wait_fd(fd, "r", timeout) then
      return nil, "the client went quiet"
    end
  end
end

--- A function that copies the next bytes of the request body: read(to, max)
-- returns how many, 0 at the end, or nil and a message when it was cut off.
---@param req table
---@param timeout number?  seconds the client may be quiet, default 120
---@return fun(to: ffi.cdata*, max: integer): integer?, string?
function body.reader(req, timeout)
  timeout = timeout or 120
  local stream, held, moved = req.stream, nil, 0
  return function(to, max)
    moved = moved + max
    if moved > TURN then
      moved = 0
      cqueues.sleep(0)
    end
    local socket = plain_socket(req)
    if not held and req.reading and stream.body_read_type == "length"
      and stream.body_read_left > 0 and socket and socket:pending() == 0 then
      return read_raw(socket, stream, to, max, timeout)
    end
    if not held or held == "" then
      local chunk, err = req:read(timeout)
      if not chunk then
        return not err and 0 or nil, err
      end
      held = chunk
      if chunk == "" then held = nil return 0 end
    end
    local n = math.min(max, #held)
    ffi.copy(to, held, n)
    held = n < #held and held:sub(n + 1) or nil
    return n
  end
end

local function send_range(socket, fd, offset, count)
  local to, stop, moved = socket:pollfd(), offset + count, 0
  while offset < stop do
    local n, errno = sys.sendfile(to, fd, offset, math.min(stop - offset, TURN))
    if n == 0 then
      return nil, "unexpected EOF"
    elseif n then
      offset, moved = offset + n, moved + n
      if moved >= TURN then
        moved = 0
        cqueues.sleep(0)
      end
    elseif errno ~= sys.EAGAIN then
      return nil, sys.strerror(errno)
    else
      sys.wait_fd(to, "w")
    end
  end
  return true
end

local function send_copied(write, fd, offset, count)
  local size = 256 * 1024
  local buffer = sys.buffer(size)
  sys.seek(fd, offset)
  while count > 0 do
    local n = sys.read(fd, buffer, math.min(size, count))
    if not n or n == 0 then return nil, "unexpected EOF" end
    if not write(ffi.string(buffer, n)) then return nil, "the client is gone" end
    count = count - n
  end
  return true
end

local function send_chunks(socket, fd, offset, count)
  while count > 0 do
    local n = math.min(count, LARGEST_CHUNK)
    if not socket:xwrite(("%x\r\n"):format(n), "bn") then return nil, "the client is gone" end
    local ok, err = send_range(socket, fd, offset, n)
    if not ok then return nil, err end
    if not socket:xwrite("\r\n", "bn") then return nil, "the client is gone" end
    offset, count = offset + n, count - n
  end
  return true
end

--- Sends part of a file as (part of) an answer's body; for a handler's streamed
-- body. `chunked` says that the answer has no content-length: it comes in chunks then,
-- unless the connection ends with it.
---@return boolean? ok
---@return string? err
function body.send_file(req, write, fd, offset, count, chunked)
  local socket = plain_socket(req)
  if not socket then
    return send_copied(write, fd, offset, count)
  elseif chunked and not req.last then
    return send_chunks(socket, fd, offset, count)
  end
  return send_range(socket, fd, offset, count)
end

return body
