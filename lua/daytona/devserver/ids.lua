-- Random names, as the service writes them; and bytes in hexadecimal.

local rand = require "openssl.rand"

local ids = {}

---@param bytes string
---@return string
function ids.to_hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

---A random name of `n` bytes, in hexadecimal.
---@param n integer
---@return string
function ids.hex(n)
  return ids.to_hex(rand.bytes(n))
end

---A random UUID of version 4.
---@return string
function ids.uuid()
  local h = ids.hex(16)
  return ("%s-%s-4%s-a%s-%s"):format(h:sub(1, 8), h:sub(9, 12), h:sub(14, 16), h:sub(18, 20), h:sub(21, 32))
end

return ids
