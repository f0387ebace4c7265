-- Writes tar archives, header by header, as every tar reads them: ustar, with
-- GNU's long names, and a pax record for a time that eleven octal digits cannot say.

local tar = {}

local BLOCK = 512

---What ends an archive.
tar.ENDING = ("\0"):rep(2 * BLOCK)

---Zeros that fill the last block of so many bytes.
---@param size integer
---@return string
function tar.padding(size)
  return ("\0"):rep((BLOCK - size % BLOCK) % BLOCK)
end

-- A table a call is what this costs most: a byte at a time is faster.
local function sum_of(text)
  local sum = 0
  for i = 1, #text do sum = sum + text:byte(i) end
  return sum
end

local TYPES = { file = "0", link = "2", directory = "5", long_name = "L", long_link = "K", pax = "x" }

-- User and group 0; and behind the checksum field, the type and the name of the
-- target: "ustar" and empty names. The sum of the constant parts is known.
local NOBODY = "0000000\0000000000\0"
local MAGIC = "ustar\0" .. "00" .. ("\0"):rep(247)
local CONSTANT_SUM = sum_of(NOBODY) + sum_of(MAGIC) + 8 * 32
local ZEROS = ("\0"):rep(100)

-- 8 GiB and more do not fit in octal digits: GNU's binary form.
local function size_field(size)
  if size < 8 ^ 11 then return ("%011o\0"):format(size) end
  local bytes = {}
  for i = 11, 1, -1 do
    bytes[i] = string.char(size % 256)
    size = math.floor(size / 256)
  end
  return "\128" .. table.concat(bytes)
end

-- The last second that the header can say.
local LATEST = 8 ^ 11 - 1

local function header(kind, name, target, size, mode, seconds)
  local short, link = name:sub(1, 100), target:sub(1, 100)
  local rights = ("%07o\0"):format(mode)
  local extent = size_field(size) .. ("%011o\0"):format(math.min(math.max(seconds, 0), LATEST))
  local sum = sum_of(short) + sum_of(rights) + sum_of(extent) + sum_of(link) + CONSTANT_SUM + TYPES[kind]:byte()
  return short .. ZEROS:sub(#short + 1) .. rights .. NOBODY .. extent .. ("%06o\0 "):format(sum) .. TYPES[kind] .. link
    .. ZEROS:sub(#link + 1) .. MAGIC
end

local function long(kind, text)
  text = text .. "\0"
  return header(kind, "././@LongLink", "", #text, 0, 0) .. text .. tar.padding(#text)
end

local function pax_record(key, value)
  local rest = " " .. key .. "=" .. value .. "\n"
  local size = #rest
  while #tostring(size) + #rest ~= size do size = #tostring(size) + #rest end
  return ("%d"):format(size) .. rest
end

-- Their headers differ in nothing but the size of the record.
local pax_headers = {}

local function pax_header(size)
  local head = pax_headers[size] or header("pax", "@PaxHeader", "", size, 420, 0)
  pax_headers[size] = head
  return head
end

-- A number of seconds with its fraction: half a second before 1970 is -1 s and
-- 500,000,000 ns to the system, and "-0.500000000" here.
local function decimal(seconds, nanoseconds)
  if seconds >= 0 or nanoseconds == 0 then return ("%d.%09d"):format(seconds, nanoseconds) end
  return ("-%d.%09d"):format(-seconds - 1, 1e9 - nanoseconds)
end

-- What goes before the header proper.
local function extra(path, entry)
  local out = ""
  if #path > 100 then out = long("long_name", path) end
  if #(entry.target or "") > 100 then out = out .. long("long_link", entry.target) end
  if entry.exact or entry.seconds < 0 or entry.seconds > LATEST then
    local record = pax_record("mtime", decimal(entry.seconds, entry.nanoseconds or 0))
    out = out .. pax_header(#record) .. record .. tar.padding(#record)
  end
  return out
end

---The headers of an entry. A file's content, padded, is to follow.
---@param path string
---@param entry { type: "file"|"directory"|"link", size?: integer, mode: integer, seconds: integer, nanoseconds?: integer, target?: string, exact?: boolean }  `exact`: to the nanosecond
---@return string
function tar.header(path, entry)
  local size = entry.type == "file" and entry.size or 0
  return extra(path, entry) .. header(entry.type, path, entry.target or "", size, entry.mode, entry.seconds)
end

---Bytes of these headers.
---@param path string
---@param entry table  as of `header`
---@return integer
function tar.size(path, entry)
  return #extra(path, entry) + BLOCK
end

return tar
