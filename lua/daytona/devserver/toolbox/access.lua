--- Who may call: the sandbox's key as a bearer token, a preview token or a query
-- parameter, or, for one file, a signed URL.

local hmac = require "openssl.hmac"
local httpd = require "daytona.devserver.http"
local base64 = require "daytona.devserver.toolbox.base64"
local failures = require "daytona.devserver.toolbox.failures"

local access = { QUERY = "DAYTONA_SANDBOX_AUTH_KEY" }

--- Whether a request carries the sandbox's key. The control plane, when it passes
-- on what belongs to a program in the sandbox, says so in a header of its own.
function access.has_key(req)
  local inner = req.headers["x-daytona-authorization"]
  local bearer = (inner or req.headers.authorization or ""):match "^[Bb]earer%s+(.+)$"
  local given = bearer or req.headers["x-daytona-preview-token"]
    or req.query[access.QUERY]
  return given ~= nil and httpd.same(given, req.app.key)
end

--- The signature of a file URL.
---@param key string # the sandbox's signing key
---@param method string # "GET" or "POST"
---@param path string # as the daemon gets it, not percent-encoded
---@param expires integer|string # Unix seconds; 0 never
---@return string
function access.signature(key, method, path, expires)
  local canonical = ("v1:files:%s:%s:%s"):format(method, path, expires)
  return "v1_" .. base64.encode_url(hmac.new(key, "sha256"):final(canonical))
end

local function refuse(reason)
  failures.raise(401, "authentication failed: " .. reason)
end

--- For the routes that a signed URL may name: a `signature` in the query counts
-- instead of the key.
function access.signed(req)
  local given = req.query.signature
  if not given then return access.has_key(req) end
  if (req.query.path or "") == "" then
    failures.raise(400, "path query parameter is required")
  end
  local expires = req.query.expires
  if not expires then refuse "expires query parameter is required" end
  if not expires:match "^%d+$" then refuse "invalid expires query parameter" end
  if expires ~= "0" and tonumber(expires) < req.app.clock:now() then refuse "signature is expired" end
  if given:sub(1, 3) ~= "v1_" then refuse "unsupported signature scheme" end
  local method = req.method == "HEAD" and "GET" or req.method
  local key = req.app.signing_key
  if not key or not httpd.same(given, access.signature(key, method, req.query.path, expires)) then
    refuse "invalid signature"
  end
  return true
end

return access
