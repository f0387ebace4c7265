-- A file that comes in as many requests as it takes: what is cut is taken up again where
-- it ended, if the file is still the same. Bytes of two versions never come together.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local pace = require "daytona.toolbox.fs.pace"

local fetch = {}

---The code of an error that says that the file is another one now.
fetch.CHANGED = "FILE_CHANGED"

-- A file is known by when it was changed, to the second, only if that was so long before
-- it was sent: what is changed later has another time then. (A file's clock may be some
-- milliseconds slow.)
local SETTLED = 2

---One file on its way.
---@class daytona.Fetch
---@field package send fun(request: table): daytona.Response?, daytona.Error?
---@field package connection daytona.Connection
---@field package opts table
---@field package clock daytona.Pace
---@field package got integer        bytes that are kept
---@field package total? integer     bytes in all, where the first answer said so
---@field package version? table<string, string>  the headers by which it is known again
---@field package keep fun(chunk: string): any, any
local Fetch = {}
Fetch.__index = Fetch

-- The headers by which a file is known again; nil where they do not tell.
local function version_of(headers)
  if headers["content-encoding"] then return nil end
  local tag, modified = headers.etag, headers["last-modified"]
  if tag and tag:sub(1, 2) ~= "W/" then return { etag = tag } end
  local http_date = require("daytona.http.failure").http_date
  local at, now = http_date(modified or ""), http_date(headers.date or "")
  if not at or not now or now - at < SETTLED then return nil end
  return { ["last-modified"] = modified }
end

local function problem(kind, code, message)
  return errors.new { kind = kind, code = code, operation = "download", message = message }
end

local function changed()
  return problem("conflict", fetch.CHANGED, "the file changed while it was sent")
end

-- What is wrong with an answer that goes on where the one before ended, or nil; and bytes
-- at its beginning that are there already.
local function check_rest(self, status, header)
  for name, value in pairs(self.version) do
    if header(name) ~= value then return changed() end
  end
  local first, size = 0, tonumber(header "content-length")
  if status == 206 then
    local from, all = (header "content-range" or ""):match("^bytes (%d+)%-%d+/(%d+)$")
    first, size = tonumber(from), tonumber(all)
    if first ~= self.got then return problem("protocol", nil, "another part of the file came than was asked for") end
  end
  if self.total and size ~= self.total then return changed() end
  return nil, self.got - first
end

-- Keeps what goes on; who ignores ranges sends all of it once more.
local function rest_sink(self)
  local wrong, skip
  local function on_headers(transfer)
    wrong, skip = check_rest(self, transfer:status(), function(name) return transfer:header(name) end)
  end
  local function sink(chunk)
    if wrong then return false, wrong end
    if skip > 0 then
      local seen = math.min(skip, #chunk)
      chunk, skip = chunk:sub(seen + 1), skip - seen
      if chunk == "" then return true end
    end
    return self:take(chunk)
  end
  return sink, on_headers
end

function Fetch:take(chunk)
  self.got = self.got + #chunk
  local most = self.opts.max_bytes
  if most and self.got > most then
    return false, problem("too_large", "too_large", "the file is larger than allowed")
  end
  return self.keep(chunk)
end

-- Bytes of an answer that went into its file: those of a failure do not.
local function written(transfer)
  local status = transfer:status()
  return status and status >= 200 and status < 300 and (transfer:progress()) or 0
end

-- What the next request asks for.
local function request_of(self)
  local opts, first = self.opts, self.got == 0
  local request = {
    with_headers = true, timeout = self.clock:left() or 0, idle_timeout = opts.idle_timeout,
    max_bytes = opts.max_bytes, on_progress = opts.on_progress,
  }
  if first and self.file then
    request[core.may_block(self.file) and "sink" or "sink_file"] = self.file
    request.on_end = function(transfer) self.got = written(transfer) end
  elseif first then
    request.sink = function(chunk) return self:take(chunk) end
  else
    local known = self.version
    request.headers = { Range = ("bytes=%d-"):format(self.got), ["If-Range"] = known.etag or known["last-modified"] }
    request.sink, request.on_headers = rest_sink(self)
    if opts.on_progress then request.on_progress = function() opts.on_progress(self.got, self.total) end end
  end
  return request
end

---Codes of a line that broke, after which what arrived is taken up again.
fetch.BROKEN = { truncated = true, reset = true, idle_timeout = true }

-- Learns by what the file is known again, from the answer that was cut.
local function learn(self, headers)
  if self.version or not headers then return end
  self.version, self.total = version_of(headers), tonumber(headers["content-length"])
end

-- Whether it can go on after a failure, of a try that brought something or did not;
-- and whether, where it cannot, it could from the beginning.
local function may_go_on(self, err, brought)
  if err.status == 416 and self.got > 0 then return false, true end
  if err.code == fetch.CHANGED then return false, true end
  if not fetch.BROKEN[err.code] or self.connection.max_retries == 0 then return false end
  if not brought and err.code == "idle_timeout" then return false end
  if self.got > 0 then learn(self, err.headers) end
  local known = self.got == 0 or self.version ~= nil
  return known, not known
end

-- Tries that bring nothing are counted, as those of a request.
local function run(self)
  local tries = 0
  while true do
    local before = self.got
    local response, err = self.send(request_of(self))
    if self.file and before == 0 then core.catch_up(self.file) end
    if response then return response end
    tries = self.got > before and 1 or tries + 1
    local goes_on, anew = may_go_on(self, err, self.got > before)
    if err.status == 416 and anew then err = changed() end
    if not goes_on or tries > self.connection.max_retries then return nil, err, anew end
    local fine, why = self.clock:try_again(tries, err)
    if not fine then return nil, why end
  end
end

---Fetches a file, by `send(request)`, which sends one request for it; the request says
---what of it is wanted, and where that goes. Whatever can be taken up again is: the client
---must retry at all, and the file be known again by its tag, or its size and time.
---
---Returns the last response, bytes in all and how many were announced. nil, err when that
---cannot be, with code FILE_CHANGED when it is another file now; and whether it could be
---from the beginning.
---@param connection daytona.Connection
---@param send fun(request: table): daytona.Response?, daytona.Error?
---@param target file*|fun(chunk: string): any, any  a file is written from where it is; nothing waits in it
---@param opts { timeout?: number, idle_timeout?: number, on_progress?: function, max_bytes?: integer }
---@return daytona.Response?
---@return integer|daytona.Error
---@return integer|boolean|nil announced
function fetch.run(connection, send, target, opts)
  local self = setmetatable({
    connection = connection, send = send, opts = opts, clock = pace.new("download", opts.timeout), got = 0,
  }, Fetch)
  if io.type(target) == "file" then
    self.file = target
    self.keep = function(chunk)
      local fine, why = target:write(chunk)
      if not fine then return false, errors.new { kind = "io", operation = "download", message = why } end
    end
  else
    self.keep = target
  end
  local response, err, anew = run(self)
  if not response then return nil, err, anew end
  local announced = self.total
  if not announced and not response.headers["content-encoding"] then
    announced = tonumber(response.headers["content-length"])
  end
  return response, self.got, announced
end

return fetch
