-- Addresses that lead into a sandbox for others: previews of its ports, plain and signed,
-- and signed URLs of its files. `sb.preview`.

local calls = require "daytona.control.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local files = require("daytona.toolbox.fs.calls").rows
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local query = require "daytona.http.query"

---@class daytona.Preview
---@field sandbox daytona.Sandbox
local Preview = {}
Preview.__index = Preview
Preview.__name = "daytona.Preview"

local M = {}

---@private
function Preview:__tostring()
  return "previews of " .. tostring(self.sandbox)
end

---@param sandbox daytona.Sandbox
---@return daytona.Preview
function M.new(sandbox)
  return setmetatable({ sandbox = sandbox }, Preview)
end

local api = calls.of_service {
  preview_url        = { "GET",  "/sandbox/{sandbox}/ports/{port}/preview-url", "object" },
  signed_preview_url = { "GET",  "/sandbox/{sandbox}/ports/{port}/signed-preview-url", "object" },
  expire_preview_url = { "POST", "/sandbox/{sandbox}/ports/{port}/signed-preview-url/{token}/expire", safe = true,
    secret = { "token" } },
  signing_key        = { "GET",  "/sandbox/{sandbox}/signing-key", "text" },
  rotate_signing_key = { "POST", "/sandbox/{sandbox}/signing-key/rotate", "text" },
}

--- Ports ---------------------------------------------------------------------------------

local PREVIEW = { signed = "boolean", expires_in = options.range(1, 86400) }

---The address of a port inside, for browsers and other programs. A plain one
---comes with a token (to send as X-Daytona-Preview-Token) that dies when the
---sandbox restarts, but not when it is resumed; a signed one holds its own and lives for
---`expires_in` seconds, 60 by default.
---@param port integer|string  a number, or its digits
---@param opts? { signed?: boolean, expires_in?: integer }
---@return { url: string, token: string, port?: integer, sandbox_id: string }?
---@return daytona.Error?
function Preview:url(port, opts)
  port = options.port("preview_url: port", port)
  opts = options.check("preview_url", PREVIEW, opts)
  if opts.signed or opts.expires_in then
    return api.signed_preview_url(self.sandbox, { port = port, expires_in_seconds = opts.expires_in })
  end
  return api.preview_url(self.sandbox, { port = port })
end

---Ends a signed preview before its time: the token of what `url` with `signed` or
---`expires_in` returned, and its port.
---@param port integer|string  a number, or its digits
---@param token string
---@return true?
---@return daytona.Error?
function Preview:expire(port, token)
  port = options.port("expire_preview_url: the port", port)
  options.argument("expire_preview_url: the token", "text", token)
  return api.expire_preview_url(self.sandbox, { port = port, token = token })
end

---An HTTP request to a program that listens on a port inside, through the preview: no key
---goes there, only the preview's token. Any answer of the program is a response, whatever
---its status; redirects are handed back. While nothing listens on the port it is asked
---again, until `timeout` (30 seconds, 0 for none) is over: kind "unavailable". A body or a
---sink that is a function or a file is used once.
---@param port integer|string  a number, or its digits
---@param method string
---@param path string   already escaped, beginning with "/"
---@param opts? daytona.RequestOptions
---@return daytona.Response?
---@return daytona.Error?
function Preview:request(port, method, path, opts)
  port = options.port("request: port", port)
  local raw = require "daytona.control.raw"
  opts = raw.checked(method, path, raw.OPTIONS, opts)
  return require("daytona.control.preview_request").send(self, port, raw.request_of(method, path, opts))
end

--- Files ---------------------------------------------------------------------------------

-- How long a key is used without asking for it again, seconds.
local KEY_LIFETIME = 15

local DEFAULT_TTL = 3600

-- Sandbox -> its key and when it came: beside the object, so that whoever prints
-- that does not print the key.
local keys = setmetatable({}, { __mode = "k" })

-- The service sends the bare key, its document promises a JSON string: either will do.
local function key_of(text, err)
  if not text then return nil, err end
  local key = text:match '^%s*"?([^%s"]+)"?%s*$'
  if key and not key:find("^[%[{<]") then return key end
  return nil, errors.new {
    kind = "protocol", code = "json", message = "the answer is not the signing key it should be",
  }
end

local function signing_key(self)
  local known = keys[self]
  if known and loop.now() - known.at < KEY_LIFETIME then return known.key end
  local key, err = key_of(api.signing_key(self))
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
function M.sign(key, method, path, expires)
  local text = string.format("v1:files:%s:%s:%d", method, path, expires)
  return "v1_" .. core.base64(core.hmac_sha256(key, text), true)
end

local TTL = { ttl = "count" }

local function signed_url(self, operation, row, path, opts)
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
  return connection.base .. row[2] .. query {
    { "path", path }, { "expires", expires }, { "signature", M.sign(key, row[1], path, expires) },
  }
end

---A URL that anybody can fetch a file of the sandbox with (GET, HEAD), while it is
---started, until it expires: in `ttl` seconds (3600), with 0 never. Making one
---takes no request, but for the key every 15 seconds at most.
---@param path string
---@param opts? { ttl?: integer }
---@return string?
---@return daytona.Error?
function Preview:download_url(path, opts)
  return signed_url(self.sandbox, "download_url", files.download, path, opts)
end

---A URL that anybody can put a file into the sandbox with: POST, the content as
---the body or as the field "file" of a form. Otherwise as `download_url`.
---@param path string
---@param opts? { ttl?: integer }
---@return string?
---@return daytona.Error?
function Preview:upload_url(path, opts)
  return signed_url(self.sandbox, "upload_url", files.upload_v2, path, opts)
end

---Changes the key that file URLs are signed with: all that were made till now are
---good no more.
---@return true?
---@return daytona.Error?
function Preview:rotate_signing_key()
  local sandbox = self.sandbox
  keys[sandbox] = nil
  local key, err = key_of(api.rotate_signing_key(sandbox))
  if not key then return nil, err end
  keys[sandbox] = { key = key, at = loop.now() }
  return true
end

methods.guard(Preview, "daytona.Preview", "sandbox.preview")

return M
