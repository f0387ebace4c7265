-- What kind of file it is, as its name says, or its first bytes.

local core = require "daytona.base.native"

local mime = {}

local BY_NAME = {
  txt = "text/plain", md = "text/markdown", csv = "text/csv", html = "text/html", css = "text/css",
  js = "text/javascript", ts = "text/typescript", py = "text/x-python", lua = "text/x-lua", sh = "text/x-sh",
  json = "application/json", xml = "application/xml", yaml = "application/yaml", yml = "application/yaml",
  pdf = "application/pdf", zip = "application/zip", gz = "application/gzip", tar = "application/x-tar",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", webp = "image/webp",
  svg = "image/svg+xml", mp4 = "video/mp4", mp3 = "audio/mpeg", wav = "audio/wav",
}

local BY_CONTENT = {
  { "^\137PNG\r\n", "image/png" }, { "^\255\216\255", "image/jpeg" }, { "^GIF8", "image/gif" },
  { "^RIFF....WEBP", "image/webp" }, { "^%%PDF%-", "application/pdf" }, { "^PK\3\4", "application/zip" },
  { "^\31\139", "application/gzip" },
}

---The media type of a file of that name and content.
---@param name string
---@param data string
---@return string
function mime.of(name, data)
  local known = BY_NAME[(name:match "%.(%w+)$" or ""):lower()]
  if known then return known end
  for _, row in ipairs(BY_CONTENT) do
    if data:find(row[1]) then return row[2] end
  end
  return core.is_utf8(data) and not data:find("\0", 1, true) and "text/plain" or "application/octet-stream"
end

return mime
