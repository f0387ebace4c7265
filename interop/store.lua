-- Puts an archive of a folder into a store, in one piece and in parts, with a temporary key, and
-- is refused with a wrong secret or token. ENDPOINT KEY SECRET TOKEN FOLDER.

local daytona = require "daytona"
local image = require "daytona.image"
local stores = require "daytona.image.object_store"

local endpoint, key, secret, token, folder = arg[1], arg[2], arg[3], arg[4], arg[5]
local client = assert(daytona.new { api_url = endpoint, api_key = "none", ledger = false })

local function store(with)
  return stores.new(client:connection_of "interop", function()
    return {
      access_key = key, secret = with.secret or secret, session_token = with.token or token, storage_url = endpoint,
      organization_id = "o", bucket = "contexts",
    }
  end)
end

local contexts = rawget(image.base "b:1":add_local_dir(folder, "/srv"), "contexts")
local archive = assert(require("daytona.image.archive").pack(contexts[1]))
local good = store {}
assert(good:has "whole" == false)
assert(good:put("whole", archive))
assert(good:has "whole")
stores.SINGLE, stores.PART = 6 * 1048576, 5 * 1048576
assert(good:put("parts", archive))
assert(good:has "parts")
for _, wrong in ipairs { { secret = "wrong" }, { token = "wrong" } } do
  local done, err = store(wrong):put("refused", archive)
  assert(not done and (err.kind == "forbidden" or err.kind == "auth" or err.kind == "invalid"), tostring(err))
end
print "stored"
