-- A secret that can be recognised but not read: its digest, with a random salt. A
-- daemon is given this of the service's key, so that it knows who may call and has
-- nothing to betray.

local hmac = require "openssl.hmac"
local ids = require "daytona.devserver.ids"

local seal = {}

local function digest(salt, secret)
  return ids.to_hex(hmac.new(salt, "sha256"):final(secret))
end

---@param secret string
---@return { salt: string, digest: string }
function seal.of(secret)
  local salt = ids.hex(16)
  return { salt = salt, digest = digest(salt, secret) }
end

---Whether `given` is the sealed secret. (Comparing digests tells an onlooker nothing.)
---@param given string
---@param sealed { salt: string, digest: string }
---@return boolean
function seal.is(given, sealed)
  return digest(sealed.salt, given) == sealed.digest
end

return seal
