-- What the service is told to build: the Dockerfile of an image, and the names of the files
-- that it copies, which are handed over first.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local url = require "daytona.http.url"

local M = {}

local api = calls.of_service {
  push_access = { "GET", "/object-storage/push-access", "object", operation = "image upload" },
}

---The right to store files, for an hour: a key, and where.
M.push_access = api.push_access

local function refused(address)
  return nil, errors.new {
    kind = "protocol", operation = "image upload",
    message = "the service names an address for files that they must not go to: " .. tostring(address),
  }
end

-- Whether files and their key may go there: not in the clear over a network.
local function is_safe(client, address)
  if not address:find "^%a[%w+.-]*://" then return true end -- https then
  local parts = url.parse(address)
  return parts and (parts.scheme == "https" or url.is_loopback(parts.host) or client.insecure_http)
end

local NEEDED = { "access_key", "secret", "storage_url", "organization_id", "bucket" }

-- Asks for the right to store files.
local function grant_of(client, deadline)
  local grant, err = api.push_access(client, nil, { timeout = deadline and math.max(deadline - loop.now(), 0.001) })
  if not grant then return nil, err end
  for _, field in ipairs(NEEDED) do
    if type(grant[field]) ~= "string" or grant[field] == "" then
      return nil, errors.new {
        kind = "protocol", operation = "image upload", message = "the service grants no storage: no " .. field,
      }
    end
  end
  if not is_safe(client, grant.storage_url) then return refused(grant.storage_url) end
  return grant
end

---What is sent of an image, once its files are there. nil, err when one cannot be read or
---handed over.
---@param client daytona.Client
---@param image daytona.Image
---@param deadline? number
---@return { dockerfile_content: string, context_hashes?: string[] }?
---@return daytona.Error?
function M.info(client, image, deadline)
  local text, err = image:dockerfile()
  if not text then return nil, err end
  if not image:local_files()[1] then return { dockerfile_content = text } end
  local stores = require "daytona.image.object_store"
  local fine
  fine, err = stores.can_sign()
  if not fine then return nil, err end
  local function ask() return grant_of(client, deadline) end
  local hashes
  hashes, err = image:upload(stores.new(client.connection, ask, deadline))
  if not hashes then return nil, err end
  return { dockerfile_content = text, context_hashes = hashes }
end

return M
