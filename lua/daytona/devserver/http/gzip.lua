-- Bodies of answers as gzip streams, by zlib, for who asks for them so.

local ffi = require "ffi"

ffi.cdef [[
typedef struct {
  const char *next_in; unsigned avail_in; unsigned long total_in;
  char *next_out; unsigned avail_out; unsigned long total_out;
  const char *msg; void *state; void *zalloc; void *zfree; void *opaque;
  int data_type; unsigned long adler; unsigned long reserved;
} daytona_z_stream;
const char *zlibVersion(void);
int deflateInit2_(daytona_z_stream *z, int level, int method, int bits, int memory, int strategy,
                  const char *version, int size);
unsigned long deflateBound(daytona_z_stream *z, unsigned long size);
int deflate(daytona_z_stream *z, int flush);
int deflateEnd(daytona_z_stream *z);
]]

local gzip = {}

-- Less gains nothing; of more, all others would have to wait too long.
local LEAST, MOST = 4096, 8 * 1024 * 1024

-- The fastest level; gzip's frame around it.
local LEVEL, DEFLATED, BITS, MEMORY, STRATEGY = 1, 8, 15 + 16, 8, 0
local FINISH, STREAM_END = 4, 1

-- The library by the name that is there without a compiler, or by the other.
local zlib
for _, name in ipairs { "libz.so.1", "z" } do
  local ok, library = pcall(ffi.load, name)
  zlib = zlib or ok and library
end

local function packed(data)
  local z = ffi.new "daytona_z_stream"
  if zlib.deflateInit2_(z, LEVEL, DEFLATED, BITS, MEMORY, STRATEGY, zlib.zlibVersion(), ffi.sizeof(z)) ~= 0 then
    return nil
  end
  local room = tonumber(zlib.deflateBound(z, #data))
  local out = ffi.new("char[?]", room)
  z.next_in, z.avail_in, z.next_out, z.avail_out = data, #data, out, room
  local code = zlib.deflate(z, FINISH)
  local result = code == STREAM_END and ffi.string(out, room - z.avail_out) or nil
  zlib.deflateEnd(z)
  return result
end

-- Whether an Accept-Encoding names gzip, and does not refuse it.
local function accepts(header)
  for item in (header or ""):lower():gmatch "[^,]+" do
    local name, rest = item:match "^%s*([^%s;]+)(.*)$"
    if name == "gzip" or name == "x-gzip" then return not rest:find ";%s*q=0%.?0*%s*$" end
  end
  return false
end

local function is_text(content_type)
  return content_type ~= nil and (content_type:find "^application/json" or content_type:find "^text/") ~= nil
end

---The body of an answer, packed where that is asked for and pays; then `headers` say so.
---@param accept_encoding? string  of the request
---@param status integer
---@param body string
---@param headers table<string, string|string[]>  of the answer, by lower-case names
---@return string
function gzip.answer(accept_encoding, status, body, headers)
  if not zlib or #body < LEAST or #body > MOST or status == 206 then return body end
  if headers["content-encoding"] or headers.etag or not is_text(headers["content-type"]) then return body end
  headers.vary = headers.vary or "Accept-Encoding"
  local short = accepts(accept_encoding) and packed(body)
  if not short or #short >= #body then return body end
  headers["content-encoding"] = "gzip"
  return short
end

return gzip
