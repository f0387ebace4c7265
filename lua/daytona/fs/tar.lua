-- Writes tar archives, header by header, as every tar reads them: ustar, with
-- GNU's long names, and a pax record where a time needs its fraction.

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

local function sum_of(text)
  local sum = 0
  for i = 1, #text, 64 do
    local block = { text:byte(i, i + 63) }
    for j = 1, #block do sum = sum + block[j] end
  end
  return sum
end

local TYPES = { file = "0", link = "2", directory = "5", long_name = "L", long_link = "K", pax = "x" }

-- Behind the checksum field and the type: the name of the target, "ustar" and
-- empty names of user and group. The sum of the constant parts is known.
local MAGIC = "ustar\0" .. "00" .. ("\0"):rep(247)
local MAGIC_SUM = sum_of(MAGIC) + 8 * 32

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

local function header(kind, name, target, size, mode, seconds)
  local head = name:sub(1, 100)
  head = head .. ("\0"):rep(100 - #head) .. ("%07o\0000000000\0000000000\0"):format(mode) .. size_field(size)
    .. ("%011o\0"):format(math.min(math.max(seconds, 0), 8 ^ 11 - 1))
  local link = target:sub(1, 100)
  local sum = sum_of(head) + sum_of(link) + MAGIC_SUM + TYPES[kind]:byte()
  return head .. ("%06o\0 "):format(sum) .. TYPES[kind] .. link .. ("\0"):rep(100 - #link) .. MAGIC
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

-- What goes before the header proper.
local function extra(path, entry)
  local out = ""
  if #path > 100 then out = long("long_name", path) end
  if #(entry.target or "") > 100 then out = out .. long("long_link", entry.target) end
  if entry.exact then
    local record = pax_record("mtime", ("%d.%09d"):format(entry.seconds, entry.nanoseconds))
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

---Bytes that an entry takes in the archive.
function tar.size(path, entry)
  local size = entry.type == "file" and entry.size or 0
  return #extra(path, entry) + BLOCK + size + (BLOCK - size % BLOCK) % BLOCK
end

return tar
