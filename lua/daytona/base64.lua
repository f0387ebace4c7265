-- Base64, both ways, by tables of pairs: three bytes are two 12-bit halves.
-- The tables are made at first use, since few programs need them.

local unpack = require("daytona.compat").unpack

local base64 = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- Bytes that are handled at a time; string.byte returns that many values.
local BLOCK = 48

local pair_of -- 0..4095 -> two letters

local function encode_table()
  local pairs_of = {}
  for i = 0, 4095 do
    local high, low = math.floor(i / 64) + 1, i % 64 + 1
    pairs_of[i] = ALPHABET:sub(high, high) .. ALPHABET:sub(low, low)
  end
  return pairs_of
end

local function encode_rest(rest)
  local a, b, c = rest:byte(1, 3)
  local bits = a * 65536 + (b or 0) * 256 + (c or 0)
  local text = pair_of[math.floor(bits / 4096)] .. pair_of[bits % 4096]
  if c then return text end
  return b and text:sub(1, 3) .. "=" or text:sub(1, 2) .. "=="
end

---@param data string
---@return string
function base64.encode(data)
  pair_of = pair_of or encode_table()
  local pair, byte, floor = pair_of, string.byte, math.floor
  local out, n = {}, 0
  local whole = #data - #data % 3
  for i = 1, whole, 3 do
    local a, b, c = byte(data, i, i + 2)
    local bits = a * 65536 + b * 256 + c
    out[n + 1], out[n + 2] = pair[floor(bits / 4096)], pair[bits % 4096]
    n = n + 2
  end
  if whole < #data then out[n + 1] = encode_rest(data:sub(whole + 1)) end
  return table.concat(out)
end

local value_of -- byte of a letter -> 0..63

local function decode_table()
  local values = {}
  for i = 1, #ALPHABET do values[ALPHABET:byte(i)] = i - 1 end
  values[("-"):byte()], values[("_"):byte()] = 62, 63
  return values
end

-- Two or three letters at the end stand for one or two bytes.
local function decode_rest(text, at, left)
  local a, b, c = text:byte(at, at + left - 1)
  a, b, c = value_of[a], value_of[b], c and value_of[c] or (left == 2 and 0 or nil)
  if not (a and b and c) then return nil end
  local bits = a * 262144 + b * 4096 + c * 64
  local one, two = math.floor(bits / 65536), math.floor(bits / 256) % 256
  return left == 2 and string.char(one) or string.char(one, two)
end

---Decodes standard and URL-safe base64, with or without padding; white space
---is skipped. nil when something else is in it.
---@param text string
---@return string?
function base64.decode(text)
  value_of = value_of or decode_table()
  if text:find("%s") then text = text:gsub("%s+", "") end
  text = text:gsub("=+$", "")
  local left = #text % 4
  if left == 1 then return nil end
  local value, byte, char, floor = value_of, string.byte, string.char, math.floor
  local out, n, block, m = {}, 0, {}, 0
  for i = 1, #text - left, 4 do
    local a, b, c, d = byte(text, i, i + 3)
    a, b, c, d = value[a], value[b], value[c], value[d]
    if not (a and b and c and d) then return nil end
    local bits = a * 262144 + b * 4096 + c * 64 + d
    block[m + 1], block[m + 2], block[m + 3] = floor(bits / 65536), floor(bits / 256) % 256, bits % 256
    m = m + 3
    if m == BLOCK then
      n = n + 1
      out[n], m = char(unpack(block, 1, BLOCK)), 0
    end
  end
  n = n + 1
  out[n] = char(unpack(block, 1, m))
  if left > 0 then
    local rest = decode_rest(text, #text - left + 1, left)
    if not rest then return nil end
    out[n + 1] = rest
  end
  return table.concat(out)
end

return base64
