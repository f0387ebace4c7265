-- Files in sandboxes as MCP's resources, daytona://{sandbox}/{path}: where a result links
-- to for all of a long output. A part of a file is asked for by ?offset=...&length=...

local base64 = require "daytona.base.base64"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local mime = require "daytona.agent.mime"

local resources = {}

-- Bytes of one answer.
local MOST = 1024 * 1024

resources.TEMPLATE = {
  uriTemplate = "daytona://{sandbox}/{+path}{?offset,length}", name = "sandbox-file", title = "A file in a sandbox",
  description = "Content of a file, at most 1 MiB at a time, from offset on.",
}

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The sandbox, path, offset and length that an address means.
local function parse(uri)
  if type(uri) ~= "string" then return nil end
  local sandbox, path, query = uri:match "^daytona://([^/?#]+)/([^?#]+)%??([^#]*)"
  if not sandbox then return nil end
  path = unescape(path)
  if path:sub(1, 2) ~= "./" then path = "/" .. path:gsub("^/+", "") end
  local offset, length = query:match "offset=(%d+)", query:match "length=(%d+)"
  return unescape(sandbox), path, tonumber(offset) or 0, math.min(tonumber(length) or MOST, MOST)
end

---The content of a resource; nil, why, and whether it is not there.
---@param toolset daytona.Toolset
---@param uri any
---@return table?
---@return string? why
---@return boolean? missing
function resources.read(toolset, uri)
  local id, path, offset, length = parse(uri)
  if not id then return nil, "uri must be daytona://{sandbox}/{path}" end
  if path:find "%z" or not core.is_utf8(path) then return nil, "no file can have this path", true end
  local client, err = toolset:client()
  if not client then return nil, tostring(err) end
  local sandbox
  sandbox, err = toolset:find(client, id)
  if not sandbox then return nil, tostring(err), errors.is(err, "not_found") end
  local data
  data, err = sandbox.fs:read(path, { offset = offset, length = length })
  if not data then return nil, tostring(err), errors.is(err, "not_found") end
  local kind = mime.of(path:match "[^/]*$", data)
  if core.is_utf8(data) and not data:find("\0", 1, true) then return { uri = uri, mimeType = kind, text = data } end
  return { uri = uri, mimeType = kind, blob = base64.encode(data) }
end

return resources
