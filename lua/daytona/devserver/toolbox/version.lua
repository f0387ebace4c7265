--- The client's SDK version, which decides in what form logs are answered.

local version = {}

-- major, minor, patch and whether it is a prerelease; nil when it cannot be read.
local function parse(text)
  local major, minor, patch, rest = text:match "^v?(%d+)%.(%d+)%.(%d+)(.*)$"
  if not major then return nil end
  return { tonumber(major), tonumber(minor), tonumber(patch), rest ~= "" and rest:sub(1, 1) ~= "+" and -1 or 0 }
end

local function less(a, b)
  for i = 1, 4 do
    if a[i] ~= b[i] then return a[i] < b[i] end
  end
  return false
end

--- The version a request names in its header or, on a WebSocket, in a
-- subprotocol token.
---@return string?
---@return string? token  the subprotocol, when it was found there
function version.of(req)
  local header = req.headers["x-daytona-sdk-version"]
  if header and header ~= "" then return header end
  local token = (req.headers["sec-websocket-protocol"] or ""):match "X%-Daytona%-SDK%-Version~[^%s,]+"
  if token then return token:match "~(.*)$", token end
end

local function at_least(text, major, minor)
  local v = parse(text)
  return v and not less(v, { major, minor, 0, 0 })
end

--- Whether the log keeps its prefixes for this client.
function version.wants_prefixes(req)
  local v = version.of(req)
  if not v then return req.headers["x-daytona-split-output"] == "true" end
  return v:find("dev", 1, true) ~= nil or not parse(v) or at_least(v, 0, 27)
end

--- Whether logs are JSON with both streams apart for this client.
function version.wants_streams(req)
  local v = version.of(req)
  return v ~= nil and (v:find("dev", 1, true) ~= nil or at_least(v, 0, 167) == true)
end

--- Whether sessions of this client start in the home directory.
function version.starts_at_home(req)
  local v = version.of(req)
  local parsed = v and parse(v)
  return parsed ~= nil and not v:find("dev", 1, true) and less(parsed, { 0, 103, 0, 0 })
end

--- Whether the client is one that refuses fields it does not know.
function version.decodes_strictly(req)
  local parsed = parse(version.of(req) or "")
  return req.headers["x-daytona-source"] == "sdk-go" and parsed ~= nil
    and less(parsed, { 0, 188, 0, 0 })
end

return version
