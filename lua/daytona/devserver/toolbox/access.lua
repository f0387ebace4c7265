--- Who may call: the sandbox's key as a bearer token, a preview token or a query
-- parameter, or, for one file, a signed URL.

local hmac = require "openssl.hmac"
local httpd = require "daytona.devserver.http"
local seal = require "daytona.devserver.seal"
local base64 = require "daytona.devserver.base64"
local failures = require "daytona.devserver.toolbox.failures"

local access = { QUERY = "DAYTONA_SANDBOX_AUTH_KEY" }

local function bearer(header)
  return (header or ""):match "^[Bb]earer%s+(.+)$"
end

--- Whether a request comes from the control plane itself: not from a client, and not
-- from a preview that the control plane passes on.
function access.is_control_plane(req)
  local given = bearer(req.headers.authorization)
  return given ~= nil and not req.headers["x-daytona-authorization"] and httpd.same(given, req.app.key)
end

--- Whether a request carries the service's key, or the daemon's own. The control plane,
-- when it passes on what belongs to a program in the sandbox, has a header of its own.
function access.has_key(req)
  local given = bearer(req.headers["x-daytona-authorization"] or req.headers.authorization)
    or req.headers["x-daytona-preview-token"] or req.query[access.QUERY]
  if not given then return false end
  local owner = req.app.owner
  return httpd.same(given, req.app.key) or owner ~= nil and seal.is(given, owner)
end

--- The signature of a file URL.
---@param key string  the sandbox's signing key
---@param method string  "GET" or "POST"
---@param path string  as the daemon gets it, not percent-encoded
---@param expires integer|string  Unix seconds; 0 never
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
