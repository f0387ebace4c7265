-- A TLS server context with a certificate of its own making, for trying out
-- clients against a server they must not trust, and HTTP/2. Nothing else.

local http_tls = require "http.tls"
local altname = require "openssl.x509.altname"
local bignum = require "openssl.bignum"
local name = require "openssl.x509.name"
local pkey = require "openssl.pkey"
local rand = require "openssl.rand"
local x509 = require "openssl.x509"

local tls = {}

-- HTTP/2 where the client wants it; but previews, which carry anything at all, are
-- passed on as HTTP/1.
local function choose(ssl, offered)
  local preview = (ssl:getHostName() or ""):lower():find("%.localhost$")
  for _, protocol in ipairs(offered) do
    if protocol == "h2" and not preview or protocol == "http/1.1" then return protocol end
  end
end

---@return any context, string certificate  (PEM)
function tls.self_signed()
  local key = pkey.new { type = "EC", curve = "prime256v1" }
  local subject = name.new()
  subject:add("CN", "localhost")
  local alt = altname.new()
  alt:add("DNS", "localhost")
  alt:add("DNS", "*.localhost")
  alt:add("IP", "127.0.0.1")
  alt:add("IP", "::1")
  local certificate = x509.new()
  certificate:setVersion(3)
  certificate:setSerial(bignum.fromBinary(rand.bytes(16)))
  certificate:setSubject(subject)
  certificate:setIssuer(subject)
  certificate:setSubjectAlt(alt)
  certificate:setLifetime(os.time() - 3600, os.time() + 86400 * 365)
  certificate:setPublicKey(key)
  certificate:sign(key)
  local context = http_tls.new_server_context()
  context:setPrivateKey(key)
  context:setCertificate(certificate)
  context:setAlpnSelect(choose)
  return context, certificate:toPEM()
end

return tls
