-- HTTP/2 connections: lua-http's, with what it gets wrong mended.
--
-- * A whole number that fills its prefix (an index of 127, a text of 127 bytes) is written
--   as if it ended there, so that the client cannot read the head, nor any after it.
-- * A socket forgets that it waits for bytes when something is written to it. A connection
--   whose writer was last then waits for nothing, with a request in the kernel's buffer.
-- * What the client allows to be sent is counted around a write that may wait. What it allows
--   meanwhile is lost, until nothing may be sent any more.

local h2_connection = require "http.h2_connection"
local h2_stream = require "http.h2_stream"
local hpack = require "http.hpack"

local h2 = {}

-- Is written by the original with one byte more than needed, and its first byte is right.
local function encode_filled(encode_integer, i, prefix, mask)
  return encode_integer(i + 1, prefix, mask):sub(1, 1) .. "\0"
end

local function mended(encode_integer)
  return function(i, prefix, mask)
    if i == 2 ^ prefix - 1 then return encode_filled(encode_integer, i, prefix, mask) end
    return encode_integer(i, prefix, mask)
  end
end

-- All of the module's functions have this one local in common.
local function mend_integers()
  local original = hpack.encode_integer
  if #original(127, 7, 0) == 2 then return end
  for i = 1, math.huge do
    local name, value = debug.getupvalue(hpack.encode_string, i)
    if not name then return end
    if value == original then
      hpack.encode_integer = mended(original)
      debug.setupvalue(hpack.encode_string, i, hpack.encode_integer)
      return
    end
  end
end

mend_integers()

-- Puts the frame into the socket's buffer, which does not wait, and then waits.
local function mend_credits()
  local write_data_frame = h2_stream.methods.write_data_frame
  function h2_stream.methods:write_data_frame(payload, end_stream, padded, timeout)
    local ok, err, errno = write_data_frame(self, payload, end_stream, padded, 0, "f")
    if not ok then return nil, err, errno end
    return self.connection.socket:flush("n", timeout)
  end
end

mend_credits()

-- It always waits for more to read; `connection.timeout` says whether there is some already.
local function events(self)
  local wanted = self.socket:events() or ""
  return wanted:find("r", 1, true) and wanted or wanted .. "r"
end

---@param socket any  after its handshake
---@return any connection
function h2.new(socket)
  local connection = h2_connection.new(socket, "server")
  connection.events = events
  return connection
end

return h2
