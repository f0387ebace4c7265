--- File contents: downloads with ranges, uploads, and both in bulk. Nothing is
-- ever held whole.

local ffi = require "ffi"
local json = require "daytona.devserver.http.json"
local httpd = require "daytona.devserver.http"
local body = require "daytona.devserver.toolbox.body"
local failures = require "daytona.devserver.toolbox.failures"
local files = require "daytona.devserver.toolbox.files"
local multipart = require "daytona.devserver.toolbox.multipart"
local paths = require "daytona.devserver.toolbox.paths"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"

local transfer = {}

-- Names in headers ---------------------------------------------------------

-- A name as quoted latin-1 text; what that cannot say becomes "_".
local function latin1(name)
  name = text.utf8(name):gsub("[\r\n%z]", ""):gsub("[\1-\31\127]", "_")
  name = name:gsub("[\194-\244][\128-\191]+", function(c)
    local first, second = c:byte(1, 2)
    if #c == 2 and first <= 195 then
      return string.char((first - 192) * 64 + second - 128)
    end
    return "_"
  end)
  return (name:gsub('[\\"]', "\\%0"))
end

local function percent(name)
  return (name:gsub("[^%w!#$&+%-.^_`|~]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

local function file_names(name)
  return ('filename="%s"; filename*=utf-8\'\'%s'):format(latin1(name), percent(name))
end

-- Download -----------------------------------------------------------------

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8,
                 Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

local function http_date(sec)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", sec)
end

local function days_since_epoch(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * month - 457) / 5) + day - 719469
end

local function parse_http_date(given)
  local day, month, year, h, m, s =
    (given or ""):match "^%a+, (%d+) (%a+) (%d+) (%d+):(%d+):(%d+) GMT$"
  if not MONTHS[month] then return nil end
  local days = days_since_epoch(tonumber(year), MONTHS[month], tonumber(day))
  return days * 86400 + h * 3600 + m * 60 + s
end

-- What part of `size` bytes is asked for: offset and count; nil when all of it;
-- false when the range cannot be satisfied, and then whether it was one at all. Of an
-- empty file everything is a part: some clients ask for a range always.
local function parse_range(given, size)
  if not given then return nil end
  local first, last = given:match "^bytes=%s*(%d*)%s*%-%s*(%d*)%s*$"
  if not first then
    -- Several ranges may be answered with the whole; nonsense may not.
    if given:find "^bytes=[%d%s,-]+$" and given:find "%d" then return nil end
    return false, false
  end
  first, last = tonumber(first), tonumber(last)
  if not first then
    if not last or last == 0 then return false, last ~= nil end
    if size == 0 then return nil end
    local count = math.min(last, size)
    return size - count, count
  end
  if last and last < first then return false, false end
  if size == 0 then return nil end
  if first >= size then return false, true end
  return first, math.min(last or size - 1, size - 1) - first + 1
end

local function open_regular(path)
  local fd, errno = sys.open(path, sys.O_RDONLY + sys.O_NONBLOCK)
  if not fd then return nil, errno end
  local info = sys.fstat(fd)
  if info.kind ~= sys.S_IFREG then
    sys.close(fd)
    return nil, info.kind == sys.S_IFDIR and sys.EISDIR or sys.EINVAL
  end
  return fd, info
end

-- Whether the client's copy is still good (304).
local function not_modified(req, info)
  local since = parse_http_date(req.headers["if-modified-since"])
  return since and not req.headers["if-none-match"] and info.mtime <= since
end

local function wanted_range(req, info)
  local condition = req.headers["if-range"]
  if condition and parse_http_date(condition) ~= info.mtime then return nil end
  return parse_range(req.headers.range, info.size)
end

-- Streams part of an open file and closes it. An answer that would come out
-- too short is broken off, so that the client notices.
local function streamed(req, fd, offset, count)
  return function(write)
    local ok = body.send_file(req, write, fd, offset, count, false)
    sys.close(fd)
    if not ok then req:hangup() end
  end
end

--- The answer with a file, or the part of it that is asked for.
function transfer.send(req, path)
  local fd, info = open_regular(path)
  if not fd then failures.file(info, "open " .. path) end
  local headers = {
    ["content-type"] = "application/octet-stream",
    ["content-disposition"] = "attachment; " .. file_names(paths.base(path)),
    ["content-description"] = "File Transfer", ["content-transfer-encoding"] = "binary",
    expires = "0", ["cache-control"] = "must-revalidate", pragma = "public",
    ["last-modified"] = http_date(info.mtime), ["accept-ranges"] = "bytes",
  }
  if not_modified(req, info) then
    sys.close(fd)
    headers["content-type"], headers["accept-ranges"] = nil, nil
    return 304, nil, headers
  end
  local offset, count = wanted_range(req, info)
  if offset == false then
    sys.close(fd)
    headers["content-type"], headers["content-range"] = "text/plain; charset=utf-8", nil
    if not count then return 416, "invalid range\n", headers end
    headers["content-range"] = "bytes */" .. ("%d"):format(info.size)
    return 416, "invalid range: failed to overlap\n", headers
  end
  local status = offset and 206 or 200
  if offset then
    headers["content-range"] = ("bytes %d-%d/%d"):format(offset, offset + count - 1, info.size)
  end
  offset, count = offset or 0, count or info.size
  headers["content-length"] = ("%d"):format(count)
  if req.method == "HEAD" then
    sys.close(fd)
    return status, function() end, headers
  end
  return status, streamed(req, fd, offset, count), headers
end

--- GET and HEAD /files/download
function transfer.download(req)
  return transfer.send(req, paths.required(req, "path"))
end

-- Bulk download ------------------------------------------------------------

local BOUNDARY = "DAYTONA-FILE-BOUNDARY"

local TYPES = {
  avif = "image/avif", css = "text/css; charset=utf-8", csv = "text/csv; charset=utf-8",
  gif = "image/gif", gz = "application/gzip", htm = "text/html; charset=utf-8",
  html = "text/html; charset=utf-8", jpeg = "image/jpeg", jpg = "image/jpeg",
  js = "text/javascript; charset=utf-8", json = "application/json",
  md = "text/markdown; charset=utf-8", mjs = "text/javascript; charset=utf-8",
  mp4 = "video/mp4", pdf = "application/pdf", png = "image/png",
  py = "text/x-python; charset=utf-8", svg = "image/svg+xml", tar = "application/x-tar",
  txt = "text/plain; charset=utf-8", wasm = "application/wasm", webp = "image/webp",
  xml = "text/xml; charset=utf-8", zip = "application/zip",
}

local function part_error(req, path, errno)
  local status, code, message = 500, "FILE_READ_FAILED",
    ("failed to open file: open %s: %s"):format(path, errno and sys.strerror(errno) or "")
  if path == "" then
    status, code, message = 400, "INVALID_FILE_PATH", "invalid file path: path is empty"
  elseif errno == sys.ENOENT then
    status, code, message = 404, "FILE_NOT_FOUND", "file not found: " .. path
  elseif errno == sys.EACCES then
    status, code, message = 403, "FILE_ACCESS_DENIED", "permission denied: " .. path
  elseif errno == sys.EISDIR then
    status, code, message = 400, "INVALID_FILE_PATH",
      "invalid file path: path points to a directory: " .. path
  end
  return json.encode {
    statusCode = status, message = text.utf8(message), code = code,
    source = not req.app.legacy and req.app.source or nil,
    timestamp = httpd.timestamp(), path = text.utf8(path), method = "POST",
  }
end

local function write_error_part(req, write, path, errno)
  return write(("--%s\r\nContent-Disposition: form-data; name=\"error\"; %s\r\n"
    .. "Content-Type: application/json; charset=utf-8\r\n\r\n%s\r\n")
    :format(BOUNDARY, file_names(path), part_error(req, path, errno)))
end

local function write_file_part(req, write, path)
  local fd, info = open_regular(path)
  if path == "" or not fd then
    if fd then sys.close(fd) end
    return write_error_part(req, write, path, info)
  end
  local extension = (path:match "%.([^./]+)$" or ""):lower()
  local ok = write(("--%s\r\nContent-Disposition: form-data; name=\"file\"; %s\r\n"
    .. "Content-Length: %d\r\nContent-Type: %s\r\n\r\n"):format(BOUNDARY, file_names(path),
      info.size, TYPES[extension] or "application/octet-stream"))
  ok = ok and body.send_file(req, write, fd, 0, info.size, true)
  sys.close(fd)
  return ok and write "\r\n"
end

--- POST /files/bulk-download
function transfer.bulk_download(req)
  local ok, given = pcall(req.json, req)
  local list = ok and given.paths
  local valid = type(list) == "table" and #list > 0
  for _, path in ipairs(valid and list or {}) do
    valid = valid and type(path) == "string" and not path:find("\0", 1, true)
  end
  if not valid then
    failures.raise(400, "request body must be {\"paths\": [ ... ]} and non-empty")
  end
  return 200, function(write)
    for _, path in ipairs(list) do
      if not write_file_part(req, write, path) then
        return req:hangup()
      end
    end
    write("--" .. BOUNDARY .. "--\r\n")
  end, { ["content-type"] = "multipart/form-data; boundary=" .. BOUNDARY }
end

-- Upload -------------------------------------------------------------------

-- Where uploaded bytes go: an open file and what went wrong with it.
local Target = {}
Target.__index = Target

local function open_target(path, mode)
  local dir = paths.dir(path)
  local ok, errno = files.make_dirs(dir, mode or 493)
  if not ok then
    return nil, ("%s: mkdir %s: %s"):format(path, dir, sys.strerror(errno)), errno
  end
  local fd, open_errno = sys.open(path, sys.O_WRONLY + sys.O_CREAT + sys.O_TRUNC, 438)
  if not fd then
    return nil, ("%s: create: open %s: %s"):format(path, path, sys.strerror(open_errno)), open_errno
  end
  return setmetatable({ path = path, fd = fd, bytes = 0 }, Target)
end

function Target:write(data, size)
  if self.errno then return end
  local ok, errno = sys.write_all(self.fd, data, size)
  if ok then
    self.bytes = self.bytes + size
  else
    self.errno = errno
    self.err = ("%s: write: write %s: %s"):format(self.path, self.path, sys.strerror(errno))
  end
end

function Target:close()
  sys.close(self.fd)
end

local function upload_target(path, mode)
  local target, err, errno = open_target(path, mode)
  if not target then failures.file(errno, err:gsub(": [^:]*$", "")) end
  return target
end

local function upload_multipart(req, path, boundary, mode)
  local target
  local ok, err = multipart.parse(body.reader(req), boundary, function(part)
    if part.name ~= "file" or target then return nil end
    target = upload_target(path, mode)
    return function(data, size)
      if data then target:write(data, size) else target:close() end
    end
  end)
  if not ok then failures.raise(400, "reading part: " .. err) end
  if not target then failures.raise(400, "http: no such file") end
  return target
end

local function upload_raw(req, path)
  local target = upload_target(path)
  local read, size = body.reader(req), 1024 * 1024
  local buffer = sys.buffer(size)
  local n, err
  repeat
    n, err = read(buffer, size)
    if n then target:write(buffer, n) end
  until not n or n == 0 or target.errno
  target:close()
  if not n then failures.raise(400, err) end
  return target
end

local function finish_upload(target)
  if target.errno then
    failures.file(target.errno, "write " .. target.path)
  end
end

--- POST /files/upload-v2
function transfer.upload(req)
  local path = paths.required(req, "path")
  local boundary = multipart.boundary(req.headers["content-type"])
  finish_upload(boundary and upload_multipart(req, path, boundary) or upload_raw(req, path))
  return 200, { name = text.utf8(paths.base(path)), path = text.utf8(path), type = "file" }
end

--- POST /files/upload, the older form
function transfer.legacy_upload(req)
  local path = paths.required(req, "path")
  local boundary = multipart.boundary(req.headers["content-type"])
  if not boundary then
    failures.raise(400, "request Content-Type isn't multipart/form-data")
  end
  finish_upload(upload_multipart(req, path, boundary, 488))   -- 0750, of folders that it makes
  return 200
end

-- Bulk upload --------------------------------------------------------------

local LONGEST_PATH = 64 * 1024

-- A sink that collects a short text and gives it to `done`.
local function text_sink(done)
  local pieces, size = {}, 0
  return function(data, n)
    if not data then return done(table.concat(pieces)) end
    size = size + n
    if size <= LONGEST_PATH then
      pieces[#pieces + 1] = ffi.string(data, n)
    end
  end
end

local function file_sink(path, outcome)
  local target, err = open_target(path)
  if not target then
    outcome.errors[#outcome.errors + 1] = err
    return nil
  end
  return function(data, n)
    if data then return target:write(data, n) end
    target:close()
    local complete = n
    if not complete then
      return
    elseif target.err then
      outcome.errors[#outcome.errors + 1] = target.err
    else
      outcome.files[#outcome.files + 1] = { path = path, bytes = target.bytes }
    end
  end
end

--- POST /files/bulk-upload
function transfer.bulk_upload(req)
  local boundary = multipart.boundary(req.headers["content-type"])
  if not boundary then failures.raise(400, "invalid multipart form") end
  local outcome, destinations = { errors = {}, files = {} }, {}
  local function fail(format, ...)
    outcome.errors[#outcome.errors + 1] = format:format(...)
  end
  local ok, err = multipart.parse(body.reader(req), boundary, function(part)
    local key, kind = (part.name or ""):match "^files%[(.*)%]%.(%a+)$"
    if kind == "path" then
      return text_sink(function(given)
        local path = given:match "^%s*(.-)%s*$"
        if path == "" then return fail("path[%s]: empty path", key) end
        destinations[key] = path
      end)
    elseif kind == "file" then
      local path = destinations[key]
      if not path then return fail("file[%s]: missing .path metadata", key) end
      return file_sink(path, outcome)
    end
  end)
  if not ok then fail("reading part: %s", err) end
  for _, file in ipairs(outcome.files) do file.path = text.utf8(file.path) end
  local listed = outcome.files[1] and outcome.files or json.null
  if outcome.errors[1] then
    return 400, { errors = outcome.errors, files = listed }
  end
  return 200, { files = listed }
end

return transfer
