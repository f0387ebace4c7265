--- A WebSocket that several coroutines may share: one may wait for messages
-- while others send. Sending never waits; what the client has not taken yet is
-- queued, and counted, so that the owner can hold back or hang up. Knows
-- nothing of what is said over it.
--
-- lua-http makes the upgrade; the frames are read and written here, because its
-- own sockets cannot be closed by one coroutine while another one reads.

local bit = require "bit"
local ffi = require "ffi"
local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local psocket = require "posix.sys.socket"
local httpd = require "daytona.devserver.http"
local sys = require "daytona.devserver.toolbox.sys"

local channel = {}

local LARGEST_MESSAGE = 64 * 1024 * 1024
local CLOSE_PATIENCE = 3      -- seconds the client has to answer a close
local WRITE_PATIENCE = 10     -- seconds without a byte taken until it counts as gone

local CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

---@class daytona.devserver.channel
---@field gone boolean  nothing more can be sent
---@field queued integer  frames that the client has not taken
local Channel = {}
Channel.__index = Channel

--- Upgrades a request. Fails as `req:websocket` does.
---@param req table
---@param o { protocols: string[]?, largest: integer? }?  largest message accepted, bytes
---@return daytona.devserver.channel
function channel.open(req, o)
  o = o or {}
  if req.app.legacy and not req.headers.upgrade then   -- its library answers that by itself
    httpd.fail(400, nil, "Bad Request", {
      body = "Bad Request\n", headers = { ["content-type"] = "text/plain; charset=utf-8" } })
  end
  local ws = req:websocket { protocols = o.protocols }
  local socket = ws.socket
  local held = socket:pending() > 0 and socket:xread(socket:pending(), "b", 0) or ""
  local fault = req.fault or {}
  local self = setmetatable({
    ws = ws, socket = socket, fd = socket:pollfd(), held = held or "",
    largest = o.largest or LARGEST_MESSAGE, out = {}, queued = 0, gone = false,
    changed = condition.new(), fault = fault, messages_left = fault.messages, bytes_left = fault.cut_after,
  }, Channel)
  if fault.messages == 0 or fault.cut_after == 0 then self:break_down() end
  return self
end

-- Faults: see daytona/devserver/http/faults.lua --------------------------------------

local function close_frame(code, reason)
  local data = string.char(bit.rshift(code, 8), code % 256) .. (reason or "")
  return string.char(128 + CLOSE, #data) .. data
end

-- Ends the connection as the fault says, in the middle of whatever is going on.
function Channel:break_down()
  local fault = self.fault
  if type(fault.close_code) == "number" and not self.bytes_left then
    local data = close_frame(fault.close_code, fault.close_reason)
    sys.write(self.fd, data, #data)
  end
  if fault.reset == "mid" then
    psocket.setsockopt(self.fd, psocket.SOL_SOCKET, psocket.SO_LINGER, 1, 0)
  else
    psocket.shutdown(self.fd, psocket.SHUT_WR)
  end
  self:fail()
end

-- What of the bytes is to go out now, and what later.
function Channel:shape(data)
  if self.bytes_left then data = data:sub(1, self.bytes_left) end
  local slow = self.fault.slow
  local piece = slow and math.max(1, math.ceil(slow / 20)) or #data
  return data:sub(1, piece), data:sub(piece + 1)
end

-- After bytes went out: the pause of a slow server, the end of one that breaks.
function Channel:shaped(count)
  if self.fault.slow then cqueues.sleep(count / self.fault.slow) end
  if self.bytes_left then
    self.bytes_left = self.bytes_left - count
    if self.bytes_left <= 0 then self:break_down() end
  end
end

-- Sending ------------------------------------------------------------------

local function frame(opcode, data)
  local size = #data
  if size < 126 then
    return string.char(128 + opcode, size) .. data
  elseif size < 65536 then
    return string.char(128 + opcode, 126, bit.rshift(size, 8), size % 256) .. data
  end
  local length = {}
  for i = 7, 0, -1 do length[#length + 1] = math.floor(size / 256 ^ i) % 256 end
  return string.char(128 + opcode, 127, unpack(length)) .. data
end

function Channel:fail()
  self.gone = true
  self.out, self.queued = {}, 0
  self.changed:signal()
end

function Channel:write(data)
  local at, left = ffi.cast("const char *", data), #data
  while left > 0 and not self.gone do
    local n, errno = sys.write(self.fd, at, left)
    if n then
      at, left = at + n, left - n
    elseif errno ~= sys.EAGAIN then
      self:fail()
    elseif not sys.wait_fd(self.fd, "w", WRITE_PATIENCE) then
      self:fail()
    end
  end
end

-- Writes what is queued until there is nothing left. One coroutine at a time.
function Channel:write_out()
  while self.queued > 0 and not self.gone do
    local data, frames = table.concat(self.out), #self.out
    self.out = {}
    while data ~= "" and not self.gone do
      local now
      now, data = self:shape(data)
      self:write(now)
      self:shaped(#now)
    end
    self.queued = math.max(0, self.queued - frames)
    self.changed:signal()
  end
  if self.messages_left == 0 and not self.gone then self:break_down() end
  self.writing = false
  self.changed:signal()
end

function Channel:push(opcode, data)
  if self.gone or self.closing or self.messages_left == 0 then return nil end
  if self.messages_left and opcode <= BINARY then self.messages_left = self.messages_left - 1 end
  self.out[#self.out + 1] = frame(opcode, data)
  self.queued = self.queued + 1
  if not self.writing then
    self.writing = true
    cqueues.running():wrap(self.write_out, self)
  end
  return true
end

--- Queues a message.
---@param data string
---@param kind "text"|"binary"
---@return boolean? ok  nil when the client is gone
function Channel:send(data, kind)
  return self:push(kind == "text" and TEXT or BINARY, data)
end

--- Waits until everything queued was taken.
---@return boolean? ok  nil when the client is gone
function Channel:flush()
  while self.writing and not self.gone do
    self.changed:wait()
  end
  return not self.gone or nil
end

-- Receiving ----------------------------------------------------------------

local SIZE = 65536
local buffer = sys.buffer(SIZE)

-- Brings in bytes until `count` are held.
function Channel:need(count)
  if #self.held >= count then return true end
  local pieces, have = { self.held }, #self.held
  while have < count do
    if self.gone then return nil end
    local n, errno = sys.read(self.fd, buffer, SIZE)
    if n and n > 0 then
      pieces[#pieces + 1] = ffi.string(buffer, n)
      have = have + n
    elseif not n and errno == sys.EAGAIN then
      sys.wait_fd(self.fd, "r", nil, self.changed)
    else
      self:fail()
      return nil
    end
  end
  self.held = table.concat(pieces)
  return true
end

function Channel:take(count)
  local data = self.held:sub(1, count)
  self.held = self.held:sub(count + 1)
  return data
end

local function unmask(data, key)
  local size = #data
  local out = ffi.new("uint8_t[?]", size)
  ffi.copy(out, data, size)
  local k = ffi.new("uint8_t[4]")
  ffi.copy(k, key, 4)
  for i = 0, size - 1 do
    out[i] = bit.bxor(out[i], k[bit.band(i, 3)])
  end
  return ffi.string(out, size)
end

-- The next frame: opcode, data, fin; nil when the client is gone, or a close
-- code when it broke the protocol.
function Channel:frame()
  if not self:need(2) then return nil end
  local first, second = self.held:byte(1, 2)
  local length, header = second % 128, 2
  if length >= 126 then
    header = length == 126 and 4 or 10
    if not self:need(header) then return nil end
    local size = 0
    for i = 3, header do size = size * 256 + self.held:byte(i) end
    length = size
  end
  if second < 128 or bit.band(first, 0x70) ~= 0 then return nil, 1002 end
  if length > self.largest then return nil, 1009 end
  if not self:need(header + 4 + length) then return nil end
  self:take(header)
  local key = self:take(4)
  return first % 16, unmask(self:take(length), key), first >= 128
end

-- Answers the client's close.
function Channel:closed(data)
  local code = #data >= 2 and data:byte(1) * 256 + data:byte(2) or 1005
  self:push(CLOSE, data)
  self:flush()
  self:fail()
  return nil, code, data:sub(3)
end

--- Waits for the next message. Pings are answered here, so somebody should
-- always wait.
---@return string? data  nil when the client closed or vanished
---@return string|integer|nil kind_or_code  "text" or "binary", or the close code
---@return string? reason
function Channel:receive()
  local pieces, kind, size = {}, nil, 0
  self.receiving = true
  while true do
    local opcode, data, fin = self:frame()
    if not opcode then
      if data then self:break_off(data) end
      return nil
    elseif opcode == CLOSE then
      return self:closed(data)
    elseif opcode == PING then
      self:push(PONG, data)
    elseif opcode <= BINARY then
      kind = kind or opcode == TEXT and "text" or "binary"
      pieces[#pieces + 1] = data
      size = size + #data
      if size > self.largest or (opcode == CONTINUATION) ~= (#pieces > 1) then
        self:break_off(size > self.largest and 1009 or 1002)
        return nil
      end
      if fin then return table.concat(pieces), kind end
    end
  end
end

--- Waits for messages that nobody wants, in a coroutine of its own, so that
-- pings are answered and the client's going is noticed.
function Channel:ignore_messages()
  cqueues.running():wrap(function()
    while self:receive() do end -- luacheck: ignore 542
  end)
end

-- Closing ------------------------------------------------------------------

--- Ends the connection without a close frame, at once.
function Channel:abort()
  self:fail()
  self.ws.readyState = 3
  if self.socket then
    cqueues.cancel(self.fd)
    self.socket:close()
    self.socket = nil
  end
end

-- Hangs up on a client that broke the protocol.
function Channel:break_off(code)
  self:push(CLOSE, string.char(bit.rshift(code, 8), code % 256))
  self:flush()
  self:fail()
end

--- Sends a close frame after everything queued, waits a little for the client's
-- own, and ends the connection.
---@param code integer
---@param reason string?  at most 123 bytes
function Channel:close(code, reason)
  local other = self.fault.close_code
  if other then code, reason = other, self.fault.close_reason end
  if code == "none" then self:flush() end
  if code ~= "none" and not self.gone and not self.closing then
    self:push(CLOSE, string.char(bit.rshift(code, 8), code % 256) .. (reason or ""))
    self.closing = true
    self:flush()
    self:await_close()
  end
  self:abort()
end

-- Waits until the client has closed too; whoever is in `receive` sees it.
function Channel:await_close()
  local deadline = cqueues.monotime() + CLOSE_PATIENCE
  if not self.receiving then self:ignore_messages() end
  while not self.gone do
    local left = deadline - cqueues.monotime()
    if left <= 0 then return end
    self.changed:wait(left)
  end
end

return channel
