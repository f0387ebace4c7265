-- Ways into a sandbox for others: signed file URLs, SSH, and the end of signed
-- previews. Methods of sandboxes, kept apart from their life in sandbox.lua.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local url = require "daytona.http.url"
local names = require "daytona.http.names"

local access = {}

-- What is asked of the control plane about a sandbox.
local CALLS = {
  signing_key        = { "GET",    "/sandbox/{}/signing-key", "string" },
  rotate_signing_key = { "POST",   "/sandbox/{}/signing-key/rotate", "string" },
  ssh_access         = { "POST",   "/sandbox/{}/ssh-access", "object" },
  revoke_ssh_access  = { "DELETE", "/sandbox/{}/ssh-access" },
  expire_preview_url = { "POST",   "/sandbox/{}/ports/{}/signed-preview-url/{}/expire", safe = true },
}

local function call(self, operation, request, ...)
  local spec = CALLS[operation]
  request = request or {}
  request.method, request.path, request.answer = spec[1], url.path(spec[2], self.id, ...), spec[3]
  request.safe = spec.safe
  request.operation, request.sandbox = operation, self
  local response, err = http.request(self.client:connection_of(operation), request)
  if not response then return nil, err end
  return response.json or true
end

--- Signed file URLs ----------------------------------------------------------------------

-- How long a key is used without asking for it again, seconds.
local KEY_LIFETIME = 15

local DEFAULT_TTL = 3600

-- Sandbox -> its key and when it came: beside the object, so that whoever prints
-- that does not print the key.
local keys = setmetatable({}, { __mode = "k" })

local function signing_key(self)
  local known = keys[self]
  if known and loop.now() - known.at < KEY_LIFETIME then return known.key end
  local key, err = call(self, "signing_key")
  if not key then return nil, err end
  keys[self] = { key = key, at = loop.now() }
  return key
end

---The signature of a URL. `path` as it is, not escaped; `expires` in seconds
---since 1970, 0 for never.
---@param key string
---@param method "GET"|"POST"
---@param path string
---@param expires integer
---@return string
function access.sign(key, method, path, expires)
  local text = string.format("v1:files:%s:%s:%d", method, path, expires)
  return "v1_" .. core.base64(core.hmac_sha256(key, text), true)
end

local TTL = { ttl = "count" }

local function signed_url(self, operation, method, endpoint, path, opts)
  options.argument(operation .. ": the path", "text", path)
  if path:find("%z") then errors.misuse(1, "%s: the path holds a NUL byte", operation) end
  opts = options.check(operation, TTL, opts)
  local connection, err = self:toolbox()
  if not connection then return nil, err end
  local key
  key, err = signing_key(self)
  if not key then return nil, err end
  local ttl = opts.ttl or DEFAULT_TTL
  local expires = ttl > 0 and os.time() + ttl or 0
  return connection.base .. endpoint .. url.query {
    { "path", path }, { "expires", expires }, { "signature", access.sign(key, method, path, expires) },
  }
end

---A URL that anybody can fetch a file of the sandbox with (GET, HEAD), while it is
---started, until it expires: in `ttl` seconds (3600), with 0 never. Making one
---takes no request, but for the key every 15 seconds at most.
---@param self daytona.Sandbox
---@param path string
---@param opts? { ttl?: integer }
---@return string?
---@return daytona.Error?
function access.download_url(self, path, opts)
  return signed_url(self, "download_url", "GET", "/files/download", path, opts)
end

---A URL that anybody can put a file into the sandbox with: POST, the content as
---the body or as the field "file" of a form. Otherwise as `download_url`.
---@param self daytona.Sandbox
---@param path string
---@param opts? { ttl?: integer }
---@return string?
---@return daytona.Error?
function access.upload_url(self, path, opts)
  return signed_url(self, "upload_url", "POST", "/files/upload-v2", path, opts)
end

---Changes the key that file URLs are signed with: all that were made till now are
---good no more.
---@param self daytona.Sandbox
---@return true?
---@return daytona.Error?
function access.rotate_signing_key(self)
  keys[self] = nil
  local key, err = call(self, "rotate_signing_key")
  if not key then return nil, err end
  keys[self] = { key = key, at = loop.now() }
  return true
end

--- Previews ------------------------------------------------------------------------------

---Ends a signed preview before its time: the token of what `preview_url` with
---`signed` or `expires_in` returned, and its port.
---@param self daytona.Sandbox
---@param port integer
---@param token string
---@return true?
---@return daytona.Error?
function access.expire_preview_url(self, port, token)
  options.argument("expire_preview_url: the port", options.range(1, 65535), port)
  options.argument("expire_preview_url: the token", "text", token)
  local done, err = call(self, "expire_preview_url", { secrets = { token } }, port, token)
  if not done then return nil, err end
  return true
end

--- SSH -----------------------------------------------------------------------------------

local SSH = { expires_in = "seconds" }

---Lets in by SSH who has the token, for `expires_in` seconds (3600; the service
---counts minutes, so this is rounded up). A token given out before is good no more.
---@param self daytona.Sandbox
---@param opts? { expires_in?: number }
---@return { id: string, token: string, ssh_command: string, expires_at: string, sandbox_id: string }?
---@return daytona.Error?
function access.ssh_access(self, opts)
  opts = options.check("ssh_access", SSH, opts)
  local minutes = math.max(1, math.ceil((opts.expires_in or 3600) / 60))
  local raw, err = call(self, "ssh_access", { query = { expiresInMinutes = minutes } })
  if not raw then return nil, err end
  return names.to_lua(raw)
end

---Takes SSH access away: of one token, or of all.
---@param self daytona.Sandbox
---@param token? string
---@return true?
---@return daytona.Error?
function access.revoke_ssh_access(self, token)
  if token ~= nil then options.argument("revoke_ssh_access: the token", "text", token) end
  local done, err = call(self, "revoke_ssh_access", { query = { token = token }, secrets = { token } })
  if not done then return nil, err end
  return true
end

return access
