--- Base64, both alphabets. Pure functions.

local ffi = require "ffi"
local bit = require "bit"

local base64 = {}

local PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local URL = PLAIN:sub(1, 62) .. "-_"

local function encode(data, alphabet)
  local from, size = ffi.cast("const uint8_t *", data), #data
  local letters = ffi.cast("const uint8_t *", alphabet)
  local out = ffi.new("uint8_t[?]", math.ceil(size / 3) * 4)
  local at = 0
  for i = 0, size - 1, 3 do
    local b = i + 1 < size and from[i + 1] or 0
    local c = i + 2 < size and from[i + 2] or 0
    local n = bit.bor(bit.lshift(from[i], 16), bit.lshift(b, 8), c)
    out[at] = letters[bit.rshift(n, 18)]
    out[at + 1] = letters[bit.band(bit.rshift(n, 12), 63)]
    out[at + 2] = letters[bit.band(bit.rshift(n, 6), 63)]
    out[at + 3] = letters[bit.band(n, 63)]
    at = at + 4
  end
  return ffi.string(out, math.ceil(size * 4 / 3))
end

---@param data string
---@return string  with padding
function base64.encode(data)
  local text = encode(data, PLAIN)
  return text .. ("="):rep(-#text % 4)
end

--- In the URL-safe alphabet, without padding.
---@param data string
---@return string
function base64.encode_url(data)
  return encode(data, URL)
end

local VALUE = {}
for i = 1, 64 do VALUE[URL:byte(i)] = i - 1 end

--- From the plain alphabet, with padding or without.
---@param text string
---@return string? data # nil when something else is in it
function base64.decode(text)
  return base64.decode_url((text:gsub("=+$", ""):gsub("[+/]", { ["+"] = "-", ["/"] = "_" })))
end

--- From the URL-safe alphabet, without padding.
---@param text string
---@return string? data  nil when something else is in it
function base64.decode_url(text)
  local out, bits, held = {}, 0, 0
  for i = 1, #text do
    local six = VALUE[text:byte(i)]
    if not six then return nil end
    held, bits = held * 64 + six, bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = string.char(math.floor(held / 2 ^ bits))
      held = held % 2 ^ bits
    end
  end
  return table.concat(out)
end

return base64
