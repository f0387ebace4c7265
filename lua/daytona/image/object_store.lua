-- The object store that images' files are handed over in: the part of S3's interface that
-- uploads need. Keys come as grants, for an hour; libcurl signs with them.

local connections = require "daytona.http.connection"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local group = require "daytona.loop.group"
local http = require "daytona.http"
local loop = require "daytona.loop"
local printable = require "daytona.base.printable"

local M = {}

---Bytes up to which an archive goes in one piece; of a piece of a larger one.
M.SINGLE, M.PART = 64 * 1024 * 1024, 16 * 1024 * 1024

-- S3's limit. Seconds that a grant is used: it is good for an hour. Tries of a request.
local MOST_PARTS, FRESH, TRIES = 10000, 3000, 4
-- Seconds without a byte.
local SILENCE = 60
local NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

---What the service grants: where, and with which key.
---@class daytona.StorageGrant
---@field access_key string
---@field secret string
---@field session_token? string
---@field storage_url string
---@field organization_id string
---@field bucket string
---@field region? string

---@class daytona.ObjectStore
---@field package way daytona.Connection
---@field package ask fun(): daytona.StorageGrant?, daytona.Error?
---@field package deadline? number
local Store = {}
Store.__index = Store

---A store whose grants come from `ask`.
---@param way daytona.Connection  of the client: its rules of TLS and proxy hold, its key stays
---@param ask fun(): daytona.StorageGrant?, daytona.Error?
---@param deadline? number
---@return daytona.ObjectStore
function M.new(way, ask, deadline)
  local own = http.rebase(way, "")
  -- libcurl would sign the program's name, which proxies may change and stores do not look at.
  own.profile, own.max_retries = way.bare(true), 0
  return setmetatable({ way = own, ask = ask, deadline = deadline }, Store)
end

---Whether libcurl can sign: older ones leave headers out. nil, err where it cannot.
---@param version? string  of libcurl
---@return true?
---@return daytona.Error?
function M.can_sign(version)
  local major, minor = (version or core.curl_version()):match "libcurl/(%d+)%.(%d+)"
  if tonumber(major) > 7 or tonumber(minor) >= 88 then return true end
  return nil, errors.new {
    kind = "unsupported", operation = "image", message = "local files need libcurl 7.88 or newer, which signs uploads",
  }
end

-- The grant in use, or a new one.
local function grant_of(self)
  if self.grant and loop.now() < self.granted + FRESH then return self.grant end
  local grant, err = self.ask()
  if not grant then return nil, err end
  self.grant, self.granted = grant, loop.now()
  return grant
end

--- One request ---------------------------------------------------------------------------

local function unescaped(text)
  return (text:gsub("&(%w+);", { lt = "<", gt = ">", quot = '"', apos = "'", amp = "&" }))
end

local function element(xml, name)
  local found = xml and xml:match("<" .. name .. ">%s*(.-)%s*</" .. name .. ">")
  return found and unescaped(found)
end

local KIND = {
  ExpiredToken = "auth", InvalidToken = "auth", InvalidAccessKeyId = "auth", SlowDown = "unavailable",
  InternalError = "server", NoSuchUpload = "not_found", EntityTooLarge = "too_large", RequestTimeout = "connection",
}

local function explained(err, code, message)
  if message then err.message = printable.text(message) end
  err.code, err.kind = code or err.code, KIND[code] or err.kind
  if code == "RequestTimeTooSkewed" then err.message = err.message .. " (this machine's clock is wrong)" end
  return err
end

-- What an answer says went wrong, in the store's own words.
local function explain(err)
  return explained(err, element(err.body, "Code"), element(err.body, "Message"))
end

local PASSING = { connection = true, timeout = true, unavailable = true, server = true, rate_limited = true }

local function may_repeat(self, err)
  if err.code == "ExpiredToken" or err.code == "InvalidToken" then
    self.grant = nil
    return true
  end
  return PASSING[err.kind] and not (self.deadline and loop.now() >= self.deadline)
end

-- Tries fn() until it returns something, or it makes no sense to try again.
local function persist(self, fn)
  for try = 1, TRIES do
    local value, err = fn()
    if value ~= nil or try == TRIES or not may_repeat(self, err) then return value, err end
    local slept, why = http.pause(http.delay_after(err, try), self.deadline)
    if not slept then return nil, why or err end
  end
end

local function address(grant, key, query)
  local base = grant.storage_url:gsub("/+$", "")
  if not base:find "^%a[%w+.-]*://" then base = "https://" .. base end
  return ("%s/%s/%s/%s%s"):format(base, grant.bucket, grant.organization_id, key, query or "")
end

-- Sends a request about a key, below the organization's. A response, or nil, err.
local function send(self, request)
  local grant, err = grant_of(self)
  if not grant then return nil, err end
  request.url = address(grant, request.key, request.query)
  request.query = nil
  request.headers = {
    ["x-amz-content-sha256"] = request.hash or NOTHING,
    ["x-amz-security-token"] = grant.session_token ~= "" and grant.session_token or nil,
    ["Content-Type"] = request.method ~= "HEAD" and request.method ~= "DELETE" and "application/x-tar" or nil,
  }
  request.sign = {
    scope = ("aws:amz:%s:s3"):format(grant.region or "us-east-1"), id = grant.access_key, secret = grant.secret,
  }
  request.secrets = { grant.secret, grant.session_token }
  request.operation, request.with_headers, request.idle_timeout = "image upload", true, SILENCE
  request.timeout = self.deadline and math.max(self.deadline - loop.now(), 0.001) or 0
  local response
  response, err = http.request(self.way, request)
  if response then return response end
  return nil, explain(err)
end

--- Objects ---------------------------------------------------------------------------------

---Whether there is an object of that key. A store that may not tell (403) has none.
---@param key string
---@return boolean?
---@return daytona.Error?
function Store:has(key)
  return persist(self, function()
    local response, err = send(self, { method = "HEAD", key = key })
    if response then return true end
    if err.status == 404 or err.status == 403 then return false end
    return nil, err
  end)
end

-- Sends a piece of an archive; the response.
local function put(self, archive, position, size, key, query)
  local hash, err = archive:hash_of(position, size)
  if not hash then return nil, err end
  return persist(self, function()
    local file = archive:open(position)
    local response, why = send(self, {
      method = "PUT", key = key, query = query, hash = hash, body_file = file, body_length = size,
    })
    archive:give_back(file)
    return response, why
  end)
end

--- In parts ---------------------------------------------------------------------------------

local function begin(self, key)
  return persist(self, function()
    local response, err = send(self, { method = "POST", key = key, query = "?uploads=", body = "", safe = true })
    if not response then return nil, err end
    local id = element(response.body, "UploadId")
    if id then return id end
    return connections.refused(self.way, { operation = "image upload" }, {
      kind = "protocol", message = "the store began no upload: " .. response.body:sub(1, 200),
    })
  end)
end

local function encoded(text)
  return (text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function part_size(size)
  return math.max(M.PART, math.ceil(size / MOST_PARTS))
end

-- Sends all parts, several at once; their tags in order.
local function put_parts(self, archive, key, id)
  local step, starts = part_size(archive.size), {}
  for position = 0, archive.size - 1, step do starts[#starts + 1] = position end
  return group.map(starts, function(position, n)
    local query = ("?partNumber=%d&uploadId=%s"):format(n, encoded(id))
    local response, err = put(self, archive, position, math.min(step, archive.size - position), key, query)
    if not response then return nil, err end
    return response.headers.etag or ""
  end, { concurrency = require("daytona.image.archive").READERS })
end

local function completion(tags)
  local out = {}
  for i, tag in ipairs(tags) do
    out[i] = ("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>"):format(i, (tag:gsub('"', "&quot;")))
  end
  return "<CompleteMultipartUpload>" .. table.concat(out) .. "</CompleteMultipartUpload>"
end

-- Joins the parts. A failure may come with status 200, and one whose answer was lost may
-- have been a success.
local function complete(self, key, id, tags)
  local body = completion(tags)
  local done, err = persist(self, function()
    local response, why = send(self, {
      method = "POST", key = key, query = "?uploadId=" .. encoded(id), body = body, hash = core.hex(core.sha256(body)),
    })
    local code = response and element(response.body, "Code")
    if code then
      why = explained(errors.new { kind = "server", operation = "image upload", message = code }, code,
        element(response.body, "Message"))
    end
    return not why or nil, why
  end)
  if done then return true end
  return self:has(key) or nil, err
end

-- Called shielded. Those who may put may not be allowed to drop: the store then does.
local function abort(upload)
  if not upload.id then return end
  send(upload.store, { method = "DELETE", key = upload.key, query = "?uploadId=" .. encoded(upload.id) })
end

local function put_in_parts(upload)
  local self, archive, key = upload.store, upload.archive, upload.key
  local err, tags, fine
  upload.id, err = begin(self, key)
  if not upload.id then return nil, err end
  tags, err = put_parts(self, archive, key, upload.id)
  if tags then fine, err = complete(self, key, upload.id, tags) end
  if fine then return true end
  loop.shield(abort, upload)
  return nil, err
end

---Puts an archive under a key: in one piece, or, where it is large, in several at once. What
---fails on the way is tried again.
---@param key string
---@param archive daytona.ImageArchive
---@return true?
---@return daytona.Error?
function Store:put(key, archive)
  if archive.size > M.SINGLE then
    return loop.guard(put_in_parts, abort, { store = self, archive = archive, key = key })
  end
  local response, err = put(self, archive, 0, archive.size, key)
  return response and true, err
end

return M
