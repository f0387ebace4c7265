-- URLs: taking them apart, and escaping what goes into them. No requests.

local url = {}

-- Of the characters that were met so far.
local ESCAPED = setmetatable({}, {
  __index = function(known, character)
    local escaped = string.format("%%%02X", character:byte())
    known[character] = escaped
    return escaped
  end,
})

---Percent-encodes everything but letters, digits and "-._~".
---@param text string
---@return string
function url.escape(text)
  if not text:find("[^%w%-._~]") then return text end
  return (text:gsub("[^%w%-._~]", ESCAPED))
end

local escape = url.escape

---Decodes percent escapes.
---@param text string
---@return string
function url.unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---One escaped segment of a path.
---@param value string|number
---@return string
function url.segment(value)
  if type(value) == "number" then value = string.format("%d", value) end
  -- A segment of dots would be taken for a relative step by proxies.
  if value == "." or value == ".." then return (value:gsub(".", "%%2E")) end
  return escape(value)
end

---Fills a path template: `{}` takes the next argument as one escaped segment.
---@param template string
---@param ... string|number
---@return string
function url.path(template, ...)
  local values, i = { ... }, 0
  return (template:gsub("{}", function()
    i = i + 1
    return url.segment(values[i])
  end))
end

---@class daytona.Url
---@field scheme string    lower case
---@field userinfo? string as written
---@field host string      lower case, brackets kept
---@field port integer     the scheme's own when none is written
---@field path string      with query, "/" at least; no fragment

local PORTS = { http = 80, https = 443 }

---Takes an absolute http or https URL apart; nil when it is none.
---@param text string
---@return daytona.Url?
function url.parse(text)
  local scheme, rest = text:match("^(%a[%w+.-]*)://(.*)$")
  scheme = scheme and scheme:lower()
  if not PORTS[scheme] or rest:find("[%c ]") then return nil end
  local authority, path = rest:match("^([^/?#]*)([^#]*)")
  local userinfo, place = authority:match("^(.*)@(.*)$")
  place = place or authority
  local host, port = place:match("^(%[[%x:.]+%]):?(%d*)$")
  if not host then host, port = place:match("^([^:%[%]]+):?(%d*)$") end
  if not host then return nil end
  if path:sub(1, 1) ~= "/" then path = "/" .. path end
  port = port == "" and PORTS[scheme] or tonumber(port)
  if port < 1 or port > 65535 then return nil end
  return { scheme = scheme, userinfo = userinfo, host = host:lower(), port = port, path = path }
end

---"https://host:443": equal for URLs of one origin.
---@param parts daytona.Url
---@return string
function url.origin(parts)
  return string.format("%s://%s:%d", parts.scheme, parts.host, parts.port)
end

---Whether a host name means this machine for sure.
---@param host string  lower case
---@return boolean
function url.is_loopback(host)
  return host == "localhost" or host == "[::1]" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
    or host:find("%.localhost$") ~= nil
end

---The text of a taken-apart URL, without user information.
---@param parts daytona.Url
---@return string
function url.text(parts)
  local port = parts.port == PORTS[parts.scheme] and "" or ":" .. parts.port
  return parts.scheme .. "://" .. parts.host .. port .. parts.path
end

return url
