--- multipart/form-data, read as a stream: the content of a part is handed on
-- as it arrives, straight from the read buffer, in constant memory.

local ffi = require "ffi"
local sys = require "daytona.devserver.toolbox.sys"

ffi.cdef "void *memmove(void *to, const void *from, size_t n);"

local multipart = {}

local BUFFER_SIZE = 1024 * 1024
local LONGEST_HEADER = 64 * 1024

--- The boundary named by a Content-Type.
---@param content_type string?
---@return string? boundary  nil when it is not multipart/form-data
function multipart.boundary(content_type)
  if not content_type or not content_type:lower():find "^multipart/form%-data%s*;" then
    return nil
  end
  local at = content_type:lower():find "[;%s]boundary="
  local value = at and content_type:sub(at + 10)
  return value and (value:match '^"([^"]+)"' or value:match '^([^%s;,]+)')
end

-- A parameter of a header such as name="a \" b".
local function parameter(header, name)
  local quoted = header:match("[;%s]" .. name .. '="(.*)$')
  if not quoted then
    return header:match("[;%s]" .. name .. "=([^%s;\"]+)")
  end
  local out, i = {}, 1
  while i <= #quoted do
    local c = quoted:sub(i, i)
    if c == '"' then break end
    if c == "\\" and quoted:sub(i + 1, i + 1):find '["\\]' then
      i = i + 1
      c = quoted:sub(i, i)
    end
    out[#out + 1] = c
    i = i + 1
  end
  return table.concat(out)
end

local function parse_headers(block)
  local part = {}
  for name, value in block:gmatch "([^\r\n:]+):[ \t]*([^\r\n]*)" do
    if name:lower() == "content-disposition" then
      part.name = parameter(value, "name")
      part.filename = parameter(value, "filename")
    elseif name:lower() == "content-type" then
      part.content_type = value
    end
  end
  return part
end

local Reader = {}
Reader.__index = Reader

-- Brings in more bytes behind those that are held. Returns nil, err at the end.
---@private
function Reader:fill()
  if self.from > 0 then
    ffi.C.memmove(self.buffer, self.buffer + self.from, self.size)
    self.from = 0
  end
  local n, err = self.read(self.buffer + self.size, BUFFER_SIZE - self.size)
  if not n or n == 0 then
    return nil, err or "unexpected EOF"
  end
  self.size = self.size + n
  return true
end

function Reader:at()
  return self.buffer + self.from
end

function Reader:skip(n)
  self.from, self.size = self.from + n, self.size - n
end

-- Whether the delimiter at an offset is one, not just text that begins like it:
-- nil when more bytes are needed to tell.
function Reader:is_delimiter(offset)
  local after = offset + #self.delimiter
  if self.size < after + 2 then return nil end
  local next_two = ffi.string(self:at() + after, 2)
  return next_two == "\r\n" or next_two == "--"
end

-- Hands the bytes before the next delimiter to sink(pointer, size) and passes
-- the delimiter.
function Reader:content(sink)
  local delimiter = self.delimiter
  while true do
    local at = sys.find(self:at(), self.size, delimiter, #delimiter)
    local sure = at and self:is_delimiter(at)
    local ready = at or self.size - #delimiter + 1
    if sure == false then ready = at + 1 end
    if ready > 0 then
      if sink then sink(self:at(), ready) end
      self:skip(ready)
    end
    if sure then
      self:skip(#delimiter)
      return true
    elseif sure == nil then
      local ok, err = self:fill()
      if not ok then return nil, err end
    end
  end
end

-- Reads the header block of a part. Returns nil at the closing delimiter,
-- false and a message when there is none.
function Reader:headers()
  if ffi.string(self:at(), 2) == "--" then return nil end
  while true do
    local stop = sys.find(self:at(), self.size, "\r\n\r\n", 4)
    if stop then
      local block = ffi.string(self:at(), stop)
      self:skip(stop + 4)
      return parse_headers(block)
    elseif self.size > LONGEST_HEADER then
      return false, "part header too long"
    end
    local ok, err = self:fill()
    if not ok then return false, err end
  end
end

--- Reads a whole body. For each part, `on_part(part)` (part.name, part.filename,
-- part.content_type) may return a sink: sink(pointer, size) gets its content
-- piece by piece; then sink(nil, ok), where ok is nil if it was cut off.
---@param read fun(to: ffi.cdata*, max: integer): integer?, string?
---@param boundary string
---@param on_part fun(part: table): function?
---@return boolean? ok  once the closing boundary was seen
---@return string? err
function multipart.parse(read, boundary, on_part)
  local reader = setmetatable({
    read = read, buffer = sys.buffer(BUFFER_SIZE), from = 0, size = 2,
    delimiter = "\r\n--" .. boundary,
  }, Reader)
  ffi.copy(reader.buffer, "\r\n", 2)     -- the first delimiter needs none before it
  local ok, err = reader:content(nil)
  while ok do
    local part
    part, err = reader:headers()
    if part == nil then return true end
    if not part then return nil, err end
    local sink = on_part(part)
    ok, err = reader:content(sink)
    if sink then sink(nil, ok) end
  end
  return nil, err
end

return multipart
