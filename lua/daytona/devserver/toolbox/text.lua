--- Text as the service writes it: valid UTF-8 whatever a program printed, and
-- the forms in which Go prints times and file modes. Pure functions.

local ffi = require "ffi"
local bit = require "bit"

local text = {}

local REPLACEMENT = "\239\191\189"

-- The length of the UTF-8 sequence at p[0], of which `left` bytes are there;
-- 0 when it is invalid, -1 when it is cut off but valid so far.
local function sequence_length(p, left)
  local b = p[0]
  local length
  local low, high = 0x80, 0xbf
  if b >= 0xc2 and b <= 0xdf then
    length = 2
  elseif b >= 0xe0 and b <= 0xef then
    length = 3
    if b == 0xe0 then low = 0xa0 elseif b == 0xed then high = 0x9f end
  elseif b >= 0xf0 and b <= 0xf4 then
    length = 4
    if b == 0xf0 then low = 0x90 elseif b == 0xf4 then high = 0x8f end
  else
    return 0
  end
  for i = 1, length - 1 do
    if i >= left then
      return -1
    end
    if p[i] < low or p[i] > high then
      return 0
    end
    low, high = 0x80, 0xbf
  end
  return length
end

-- Whether every byte is ASCII, four at a time.
local function is_ascii(s)
  local words = ffi.cast("const uint32_t *", s)
  local count = (#s - #s % 4) / 4
  for i = 0, count - 1 do
    if bit.band(words[i], 0x80808080) ~= 0 then
      return false
    end
  end
  return not s:find("[\128-\255]", count * 4 + 1)
end

--- Replaces each byte that is not part of valid UTF-8 by U+FFFD. A clean text
-- costs one scan and is returned as it is.
---@param s string
---@param partial boolean?  keep back a sequence cut off at the end instead of replacing it
---@return string valid
---@return string rest  the bytes kept back, else ""
function text.utf8(s, partial)
  if is_ascii(s) then
    return s, ""
  end
  local p, size = ffi.cast("const unsigned char *", s), #s
  local pieces, from, i = {}, 1, 0
  while i < size do
    if p[i] < 0x80 then
      i = i + 1
    else
      local length = sequence_length(p + i, size - i)
      if length > 0 then
        i = i + length
      elseif length < 0 and partial then
        break
      else
        pieces[#pieces + 1] = s:sub(from, i)
        pieces[#pieces + 1] = REPLACEMENT
        i = i + 1
        from = i + 1
      end
    end
  end
  if #pieces == 0 and i == size then
    return s, ""
  end
  pieces[#pieces + 1] = s:sub(from, i)
  return table.concat(pieces), s:sub(i + 1)
end

local function fraction(nsec)
  if nsec == 0 then
    return ""
  end
  return (("%.9f"):format(nsec / 1e9):sub(2):gsub("0+$", ""))
end

--- RFC 3339 with as many decimals as needed, in UTC.
function text.rfc3339(sec, nsec)
  return os.date("!%Y-%m-%dT%H:%M:%S", sec) .. fraction(nsec or 0) .. "Z"
end

--- As Go prints a time, in UTC.
function text.go_time(sec, nsec)
  return os.date("!%Y-%m-%d %H:%M:%S", sec) .. fraction(nsec or 0) .. " +0000 UTC"
end

local KIND = { [0x4000] = "d", [0xa000] = "L", [0x6000] = "D", [0x1000] = "p",
               [0xc000] = "S", [0x2000] = "Dc" }

--- A file's mode as Go prints it, such as "drwxr-xr-x".
---@param mode integer  st_mode
function text.go_mode(mode)
  local kind = bit.band(mode, 0xf000)
  local prefix = KIND[kind] or ""
  if bit.band(mode, 0x800) ~= 0 then prefix = prefix .. "u" end
  if bit.band(mode, 0x400) ~= 0 then prefix = prefix .. "g" end
  if bit.band(mode, 0x200) ~= 0 then prefix = prefix .. "t" end
  local rwx = {}
  for i = 8, 0, -1 do
    local letter = ("xwr"):sub(i % 3 + 1, i % 3 + 1)
    rwx[#rwx + 1] = bit.band(mode, bit.lshift(1, i)) ~= 0 and letter or "-"
  end
  return (prefix == "" and "-" or prefix) .. table.concat(rwx)
end

return text
