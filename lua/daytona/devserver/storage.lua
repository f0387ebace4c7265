-- A small object store for the contexts of images: the part of S3's interface that
-- programs use for uploads (PUT, HEAD, GET, DELETE, listing, multipart), on a port of its
-- own. Requests carry an AWS signature (version 4) with the credentials of a grant, session
-- token included, which is good for an hour and for one organization's keys. It knows
-- nothing of sandboxes.

local digest = require "openssl.digest"
local hmac = require "openssl.hmac"
local rand = require "openssl.rand"
local cqueues = require "cqueues"
local util = require "http.util"
local unistd = require "posix.unistd"
local stat = require "posix.sys.stat"
local httpd = require "daytona.devserver.http"
local files = require "daytona.devserver.control.files"

local Storage = {}
Storage.__index = Storage

local REGION, BUCKET = "us-east-1", "daytona"
local LIFETIME = 3600             -- seconds that a grant is good for
local SKEW = 900                  -- seconds that a client's clock may differ
local UNSIGNED = "UNSIGNED-PAYLOAD"
local XML = { ["content-type"] = "application/xml" }

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function random(n) return hex(rand.bytes(n)) end
local function sha256(text) return hex(digest.new("sha256"):final(text)) end
local function sign(key, text) return hmac.new(key, "sha256"):final(text) end

local ENTITIES = { ["<"] = "&lt;", [">"] = "&gt;", ["&"] = "&amp;", ['"'] = "&quot;" }
local function xml(text) return (text:gsub('[<>&"]', ENTITIES)) end

local HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'

local function refuse(status, code, message)
  httpd.fail(status, nil, message, {
    headers = XML, body = HEAD .. ("<Error><Code>%s</Code><Message>%s</Message></Error>"):format(code, xml(message)),
  })
end

-- Grants -----------------------------------------------------------------------------------

---@param options { dir: string, clock: table, tls: any, faults: table, url: fun(port: integer): string }
function Storage.new(options)
  return setmetatable({
    dir = options.dir .. "/objects", clock = options.clock, tls = options.tls, faults = options.faults,
    url = options.url, grants = {}, uploads = {},
  }, Storage)
end

---Credentials for the keys of an organization, as the service hands them out.
---@param organization string
---@return table
function Storage:grant(organization)
  self:listen()
  local grant = {
    key = "DLS" .. random(8):upper(), secret = random(20), token = random(32), organization = organization,
    expires = self.clock:now() + LIFETIME,
  }
  self.grants[grant.key] = grant
  return {
    accessKey = grant.key, secret = grant.secret, sessionToken = grant.token, storageUrl = self.url(self.port),
    organizationId = organization, bucket = BUCKET, region = REGION,
  }
end

-- Signatures ---------------------------------------------------------------------------------

-- As S3 wants it: everything but letters, digits and -_.~ encoded, upper case.
local function encode(text, keep_slash)
  return (text:gsub(keep_slash and "[^%w%-_%.~/]" or "[^%w%-_%.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function canonical_query(req)
  local list = {}
  for pair in (req.target:match("%?(.*)$") or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    list[#list + 1] = encode(util.decodeURIComponent(name)) .. "=" .. encode(util.decodeURIComponent(value))
  end
  table.sort(list)
  return table.concat(list, "&")
end

local function canonical_request(req, signed, payload)
  local lines = {}
  for name in signed:gmatch("[^;]+") do
    local value = (req.headers[name] or ""):gsub("%s+", " "):match("^%s*(.-)%s*$")
    lines[#lines + 1] = name .. ":" .. value
  end
  return table.concat({
    req.method, encode(util.decodeURIComponent(req.full_path), true), canonical_query(req),
    table.concat(lines, "\n") .. "\n", signed, payload,
  }, "\n")
end

local function signature(grant, scope, time, request)
  local date, region, service = scope:match("^([^/]*)/([^/]*)/([^/]*)/aws4_request$")
  if not date then return nil end
  local key = sign(sign(sign(sign("AWS4" .. grant.secret, date), region), service), "aws4_request")
  return hex(sign(key, table.concat({ "AWS4-HMAC-SHA256", time, scope, sha256(request) }, "\n")))
end

local function seconds_of(time)
  local y, mo, d, h, mi, s = (time or ""):match("^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z$")
  if not y then return nil end
  local now = os.time()
  local zone = os.time(os.date("*t", now)) - os.time(os.date("!*t", now))
  return os.time { year = y, month = mo, day = d, hour = h, min = mi, sec = s, isdst = false } + zone
end

local function check_token(self, grant, req, signed)
  if req.headers["x-amz-security-token"] ~= grant.token then
    refuse(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
  end
  local names = ";" .. signed .. ";"
  for _, name in ipairs { "host", "x-amz-date", "x-amz-security-token" } do
    if not names:find(";" .. name .. ";", 1, true) then
      refuse(403, "AccessDenied", name .. " is not among the signed headers")
    end
  end
  if self.clock:now() >= grant.expires then
    refuse(400, "ExpiredToken", "The provided token has expired.")
  end
end

-- Who asks, when the signature is right.
local function authenticate(self, req)
  local credential, signed, given = (req.headers.authorization or ""):match(
    "^AWS4%-HMAC%-SHA256%s+Credential=([^,]+),%s*SignedHeaders=([^,]+),%s*Signature=(%x+)$")
  if not credential then refuse(403, "AccessDenied", "Access Denied") end
  local key, scope = credential:match("^([^/]+)/(.+)$")
  local grant = self.grants[key]
  if not grant then
    refuse(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
  end
  local time = req.headers["x-amz-date"]
  local seconds = seconds_of(time)
  if not seconds or math.abs(seconds - os.time()) > SKEW then
    refuse(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
  end
  check_token(self, grant, req, signed)
  local payload = req.headers["x-amz-content-sha256"] or sha256(req.method == "POST" and req:body() or "")
  local wanted = signature(grant, scope, time, canonical_request(req, signed, payload))
  if not wanted or not httpd.same(wanted, given) then
    refuse(403, "SignatureDoesNotMatch",
      "The request signature we calculated does not match the signature you provided. "
        .. "Check your key and signing method.")
  end
  return grant, payload
end

-- Objects ------------------------------------------------------------------------------------

-- The path of an object on disk. The grant is for its organization's keys only.
local function locate(self, grant, req)
  local key = util.decodeURIComponent(req.full_path):match("^/" .. BUCKET .. "/(.+)$")
  if not key then refuse(404, "NoSuchBucket", "The specified bucket does not exist") end
  local own = key:sub(1, #grant.organization + 1) == grant.organization .. "/"
  if not own or key:find("%z") or ("/" .. key .. "/"):find("/%.%.?/") then
    refuse(403, "AccessDenied", "Access Denied")
  end
  return self.dir .. "/" .. encode(key), key   -- one file for a key, whatever its slashes
end

-- Writes a request's body to a file; its MD5. The hash that was signed must be the body's.
local function store(self, req, payload, path)
  if payload:find("^STREAMING") then refuse(501, "NotImplemented", "Chunked signatures are not implemented.") end
  files.mkdir(self.dir)
  local temporary = path .. "." .. random(4)
  local file, why = io.open(temporary, "wb")
  if not file then refuse(507, "InternalError", tostring(why)) end
  local sha, md5 = digest.new "sha256", digest.new "md5"
  local ok, err = true, nil
  while ok do
    local chunk, cut = req:read(120)
    if not chunk then
      err = cut
      break
    end
    sha:update(chunk)
    md5:update(chunk)
    ok, why = file:write(chunk)
  end
  if not file:close() then ok = nil end
  local wrong = not err and payload ~= UNSIGNED and hex(sha:final()) ~= payload
  if not ok or err or wrong then unistd.unlink(temporary) end
  if not ok then refuse(507, "InternalError", tostring(why)) end
  if err then refuse(400, "IncompleteBody", "You did not provide the number of bytes specified by Content-Length.") end
  if wrong then
    refuse(400, "XAmzContentSHA256Mismatch",
      "The provided 'x-amz-content-sha256' header does not match what was computed.")
  end
  assert(os.rename(temporary, path))
  return hex(md5:final())
end

local function etag(value) return { etag = '"' .. value .. '"' } end

local function put(self, grant, req, payload)
  local path = locate(self, grant, req)
  local value = store(self, req, payload, path)
  files.write(path .. ".etag", value)
  return 200, "", etag(value)
end

local function send(path, info, value)
  return 200, function(write)
    local file = io.open(path, "rb")
    while file do
      local data = file:read(65536)
      if not data or not write(data) then break end
    end
    if file then file:close() end
  end, {
    etag = '"' .. value .. '"', ["content-length"] = tostring(info.st_size),
    ["content-type"] = "application/octet-stream",
    ["last-modified"] = os.date("!%a, %d %b %Y %H:%M:%S GMT", info.st_mtime),
  }
end

local function get(self, grant, req)
  local path = locate(self, grant, req)
  local info = stat.stat(path)
  if not info then
    if req.method == "HEAD" then return 404, "" end
    refuse(404, "NoSuchKey", "The specified key does not exist.")
  end
  return send(path, info, files.read(path .. ".etag") or "")
end

local function delete(self, grant, req)
  local path = locate(self, grant, req)
  unistd.unlink(path)
  unistd.unlink(path .. ".etag")
  return 204
end

local function list(self, grant, req)
  local prefix = req.query.prefix or ""
  if prefix ~= grant.organization and prefix:sub(1, #grant.organization + 1) ~= grant.organization .. "/" then
    refuse(403, "AccessDenied", "Access Denied")
  end
  local out = {}
  for _, name in ipairs(files.list(self.dir)) do
    local key = util.decodeURIComponent(name)
    if not key:find("%.etag$") and key:sub(1, #prefix) == prefix then
      out[#out + 1] = ("<Contents><Key>%s</Key><Size>%d</Size></Contents>"):format(xml(key),
        stat.stat(self.dir .. "/" .. name).st_size)
    end
  end
  return 200, HEAD .. ("<ListBucketResult><Name>%s</Name><Prefix>%s</Prefix><KeyCount>%d</KeyCount>"
    .. "<IsTruncated>false</IsTruncated>%s</ListBucketResult>"):format(
      BUCKET, xml(prefix), #out, table.concat(out)), XML
end

-- Uploads in parts ----------------------------------------------------------------------------

local function begin(self, grant, req)
  local path, key = locate(self, grant, req)
  local id = random(16)
  self.uploads[id] = { path = path, parts = {} }
  return 200, HEAD .. ("<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key>"
    .. "<UploadId>%s</UploadId></InitiateMultipartUploadResult>"):format(BUCKET, xml(key), id), XML
end

local function upload_of(self, grant, req)
  local path = locate(self, grant, req)
  local upload = self.uploads[req.query.uploadId]
  if not upload or upload.path ~= path then
    refuse(404, "NoSuchUpload", "The specified multipart upload does not exist.")
  end
  return upload
end

local function put_part(self, grant, req, payload)
  local upload, number = upload_of(self, grant, req), tonumber(req.query.partNumber)
  if not number or number < 1 or number > 10000 or number % 1 ~= 0 then
    refuse(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
  end
  local path = ("%s.%s.%d"):format(upload.path, req.query.uploadId, number)
  local value = store(self, req, payload, path)
  upload.parts[number] = { path = path, etag = value }
  return 200, "", etag(value)
end

local function drop(self, id)
  for _, part in pairs(self.uploads[id].parts) do unistd.unlink(part.path) end
  self.uploads[id] = nil
end

local function join(parts, path)
  local out = assert(io.open(path, "wb"))
  local md5 = digest.new "md5"
  for _, part in ipairs(parts) do
    local file = assert(io.open(part.path, "rb"))
    for data in function() return file:read(1048576) end do
      assert(out:write(data))
      cqueues.sleep(0)
    end
    file:close()
    md5:update((part.etag:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)))
  end
  assert(out:close())
  return hex(md5:final()) .. "-" .. #parts
end

local function complete(self, grant, req)
  local upload, parts, last = upload_of(self, grant, req), {}, 0
  for text in req:body():gmatch("<Part>(.-)</Part>") do
    local number = tonumber(text:match("<PartNumber>%s*(%d+)%s*</PartNumber>"))
    local given = (text:match("<ETag>(.-)</ETag>") or ""):gsub("&quot;", ""):gsub('"', "")
    local part = number and upload.parts[number]
    if not part or part.etag ~= given then
      refuse(400, "InvalidPart", "One or more of the specified parts could not be found.")
    end
    if number <= last then refuse(400, "InvalidPartOrder", "The list of parts was not in ascending order.") end
    parts[#parts + 1], last = part, number
  end
  if #parts == 0 then refuse(400, "MalformedXML", "The XML you provided was not well-formed.") end
  local value = join(parts, upload.path)
  files.write(upload.path .. ".etag", value)
  drop(self, req.query.uploadId)
  return 200, HEAD .. ("<CompleteMultipartUploadResult><Bucket>%s</Bucket>"
    .. "<ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>"):format(BUCKET, value), XML
end

local function abort(self, grant, req)
  upload_of(self, grant, req)
  drop(self, req.query.uploadId)
  return 204
end

-- The server ------------------------------------------------------------------------------------

local function handler_of(req)
  local q = req.query
  if req.method == "GET" and util.decodeURIComponent(req.full_path):find("^/" .. BUCKET .. "/?$") then return list end
  if req.method == "POST" then return q.uploads and begin or q.uploadId and complete end
  if req.method == "PUT" then return q.uploadId and put_part or put end
  if req.method == "DELETE" then return q.uploadId and abort or delete end
  if req.method == "GET" or req.method == "HEAD" then return get end
end

local function serve(self, req)
  local handler = handler_of(req)
  if not handler then refuse(405, "MethodNotAllowed", "The specified method is not allowed against this resource.") end
  local grant, payload = authenticate(self, req)
  return handler(self, grant, req, payload)
end

---Opens the store's port, unless it is open.
function Storage:listen()
  if self.app then return end
  local listener, port = httpd.listen(0)
  if not listener then error("cannot listen: " .. tostring(port)) end
  self.port = port
  self.app = httpd.new {
    source = "STORAGE", tls = self.tls, faults = self.faults, clock = self.clock,
    on_request = self.faults and function(req, status) self.faults:note(req, status) end,
    divert = function(req) return function() return serve(self, req) end end,
  }
  cqueues.running():wrap(function() self.app:serve(listener) end)
end

function Storage:stop()
  if self.app then self.app:stop() end
end

return Storage
