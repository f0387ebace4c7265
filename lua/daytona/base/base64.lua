-- Base64 as the client wants it: done by the core, lenient with white space.

local core = require "daytona.base.native"

local base64 = {}

---@param data string
---@return string
function base64.encode(data)
  return core.base64(data)
end

---Decodes standard and URL-safe base64, with or without padding; white space
---is skipped. nil when something else is in it.
---@param text string
---@return string?
function base64.decode(text)
  return core.unbase64(text) or core.unbase64((text:gsub("%s+", "")))
end

return base64
