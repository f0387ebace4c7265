-- Faults that the local server commits on request, so that programs can be
-- tested against a service that misbehaves. Used by the control plane and by the
-- daemons alike; it knows the kit's requests and nothing of sandboxes.
--
-- A fault says which requests it meets and what then happens:
--
--   method   "POST"; nil: any
--   path     as the routes see it (without /api or /toolbox/<id>), "*" stands for
--            any text: "/sandbox/*/start"; nil: any
--   times    how often it strikes, nil: always;  after: requests it lets pass first
--   chance   how likely it strikes each of them, 0 to 1; nil: 1
--
--   delay    seconds before anything happens   } on the service's clock
--   hold     seconds the answer is held back   }
--   headers  further headers of the answer
--   status   with body (text or table), or an envelope with code and message
--   empty    the status with an empty body (502 unless status says otherwise)
--   html     an HTML error page (502)
--   invalid_json  200, JSON that ends in the middle
--   wrong_types   the real answer, with every field of a wrong type
--   throttle      429; a name makes Retry-After-<name>, true a plain Retry-After
--                 (retry_after seconds, 1 by default) and X-RateLimit-* headers
--   garbage  bytes that are no HTTP
--   reset    true or "before": a TCP reset instead of an answer; "mid": in the
--            middle of the body
--   drop     the connection is closed without an answer
--   cut_after  bytes of the body after which the connection is closed
--   slow     bytes a second
--
--   On a WebSocket, which opens as it should, cut_after and slow are about its frames
--   (so a cut may be inside one), reset = "mid" makes the end of one that was cut a
--   TCP reset, and there are two more:
--
--   messages    how many the client gets before the connection is cut, or closed with
--               close_code where that is given; 0: none
--   close_code  with close_reason: the code that the server closes with instead of its
--               own; "none": it hangs up without a close frame
--
--   handled  true: the request takes effect although the fault replaces its answer
--            (a lost answer); by default such a request has no effect
--
-- One with a `state` instead meets sandboxes that enter this transitional state
-- (creating, starting, stopping, ...; "recovering" while one that has failed recovers;
-- "snapshot.pulling" and "snapshot.building" for snapshots; `name` with "*" chooses
-- them): they stay there until the fault is removed, or fail:
--
--   becomes  "error" or "build_failed", with error_reason and recoverable
--
-- The routes, added by `faults:install(app)`, with the app's own key:
--   GET, POST, DELETE /__devserver/faults   the list; POST a fault or a list of them
--   GET /__devserver/requests               what was received: {method, path, status, at},
--                                           paths without /toolbox/<id>, no query; seconds
--                                           of a clock that only goes forward
--   DELETE /__devserver/requests            forgets it
-- Those requests are never struck and not in the log.
--
-- Some that programs meet with the service, written so: an exit code that is being
-- written just now { method = "GET", path = "/process/session/*/command/*", status = 500,
-- times = 1 }; a daemon that lacks a call { path = "/files/upload-v2", status = 404,
-- body = "404 page not found" }; the upstream gone { path = "*", empty = true }.

local cqueues = require "cqueues"
local json = require "daytona.devserver.http.json"

local LOG_LIMIT = 100000   -- requests noted; later ones are not

local Faults = {}
Faults.__index = Faults

local known = {}
for name in ([[method path times after chance delay hold headers status body code message empty
  html invalid_json wrong_types throttle retry_after garbage reset drop cut_after slow
  handled messages close_code close_reason
  state name becomes error_reason recoverable]]):gmatch("%S+") do known[name] = true end

---@param list? table[]
function Faults.new(list)
  local self = setmetatable({ list = {}, log = {} }, Faults)
  for _, fault in ipairs(list or {}) do assert(self:add(fault)) end
  return self
end

local function to_pattern(glob)
  return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

---Adds a fault, or returns nil and what is wrong with it.
---@param fault table
---@return boolean? added, string? message
function Faults:add(fault)
  if type(fault) ~= "table" then return nil, "a fault must be an object" end
  local copy = { hits = 0, seen = 0 }
  for name, value in pairs(fault) do
    if name ~= "hits" and name ~= "seen" then
      if not known[name] then return nil, "unknown field of a fault: " .. tostring(name) end
      if value ~= json.null then copy[name] = value end
    end
  end
  local glob = copy.state and copy.name or copy.path
  copy.pattern = glob and to_pattern(glob)
  self.list[#self.list + 1] = copy
  return true
end

function Faults:clear() self.list = {} end

---The faults in force, with `hits` (how often each struck).
---@return table[]
function Faults:all()
  local list = {}
  for i, fault in ipairs(self.list) do
    list[i] = {}
    for name, value in pairs(fault) do
      if name ~= "pattern" then list[i][name] = value end
    end
  end
  return list
end

-- A strike: one fault applied to one request -----------------------------------

local Strike = {}
Strike.__index = Strike

local function path_of(req)
  return (req.path:gsub("^/toolbox/[^/]+", ""))
end

-- Counts a match; whether the fault strikes this time.
local function due(fault)
  fault.seen = fault.seen + 1
  if fault.seen <= (fault.after or 0) then return false end
  if fault.times and fault.hits >= fault.times then return false end
  if fault.chance and math.random() >= fault.chance then return false end
  fault.hits = fault.hits + 1
  return true
end

---The fault for this request, as a strike, or nil. Counts.
function Faults:strike(req)
  if #self.list == 0 then return nil end
  local path = path_of(req)
  if path:find("^/__devserver/") then return nil end
  for _, fault in ipairs(self.list) do
    if not fault.state and (not fault.method or fault.method == req.method)
      and (not fault.pattern or path:find(fault.pattern)) and due(fault) then
      return setmetatable({ fault = fault }, Strike)
    end
  end
end

---The fault for a sandbox of this name that is in this transitional state, or
---nil. Counts once for each sandbox that it holds.
---@param state string
---@param name string
---@param holding? table  the fault that held the sandbox when asked before
function Faults:for_state(state, name, holding)
  for _, fault in ipairs(self.list) do
    if fault == holding then return fault end
    if fault.state == state and (not fault.pattern or name:find(fault.pattern)) and due(fault) then
      return fault
    end
  end
end

local function sleep(req, seconds)
  if req.app.clock then req.app.clock:sleep(seconds) else cqueues.sleep(seconds) end
end

local swapped = { string = 12345, number = "12345", boolean = "true", table = "not a table" }

local function wrong_types(value)
  local copy = {}
  for name, field in pairs(value) do copy[name] = swapped[type(field)] end
  return copy
end

-- What a handler's answer consists of: a table for JSON, else text.
local function whole(body)
  if type(body) == "function" then
    local chunks = {}
    body(function(data)
      chunks[#chunks + 1] = data
      return true
    end)
    body = table.concat(chunks)
  end
  local value = type(body) == "string" and json.decode(body)
  return type(value) == "table" and value or body
end

-- (A throttler tells its numbers with every answer but this one.)
local function throttled(fault)
  local name, seconds = fault.throttle, tostring(fault.retry_after or 1)
  if type(name) == "string" then return { ["Retry-After-" .. name] = seconds } end
  return {
    ["Retry-After"] = seconds, ["X-RateLimit-Limit"] = "300", ["X-RateLimit-Remaining"] = "0",
    ["X-RateLimit-Reset"] = seconds,
  }
end

local function envelope(req, status, fault)
  return {
    statusCode = status, message = fault.message or "injected fault", code = fault.code,
    source = req.app.source, timestamp = os.date("!%Y-%m-%dT%H:%M:%S.000Z"),
    path = req.full_path, method = req.method,
  }
end

-- What replaces the answer: status, body, headers; or nil when nothing does.
local function replacement(req, fault)
  if fault.throttle then
    return 429, fault.body or envelope(req, 429, fault), throttled(fault)
  elseif fault.empty then
    return fault.status or 502, "", {}
  elseif fault.html then
    return fault.status or 502, "<html><head><title>Bad gateway</title></head>"
      .. "<body><h1>Bad gateway</h1></body></html>\n", { ["content-type"] = "text/html" }
  elseif fault.invalid_json then
    return fault.status or 200, '{"id":"x","items":[{"na', { ["content-type"] = "application/json" }
  elseif fault.status then
    return fault.status, fault.body or envelope(req, fault.status, fault), {}
  elseif fault.body then
    return 200, fault.body, {}
  end
end

---The answer under this fault; `run` computes the real one.
function Strike:answer(req, run)
  local fault = self.fault
  if fault.delay then sleep(req, fault.delay) end
  local status, body, headers = replacement(req, fault)
  local lost = fault.drop or fault.garbage or (fault.reset and fault.reset ~= "mid")
  if fault.handled or not (status or lost) then
    local real_status, real_body, real_headers = run()
    if not status then status, body, headers = real_status, real_body, real_headers end
  end
  if fault.hold then sleep(req, fault.hold) end
  if fault.garbage then
    req:raw("\0\1\2 this is no HTTP \255\254\r\n\r\n")
  end
  if lost then req:hangup(fault.reset) end
  if fault.wrong_types then
    body = whole(body)
    if type(body) == "table" then body, headers = wrong_types(body), {} end
  end
  if fault.headers then
    local all = {}
    for name, value in pairs(headers or {}) do all[name] = value end
    for name, value in pairs(fault.headers) do all[name] = value end
    headers = all
  end
  return status, body, headers
end

-- A writer that slows, cuts or resets what passes through it.
local Shaped = {}
Shaped.__index = Shaped

function Strike:wrap(req, writer, length)
  local fault = self.fault
  local limit = fault.cut_after
  if fault.reset == "mid" then limit = limit or math.floor((length or 2) / 2) end
  if not limit and not fault.slow then return writer end
  return setmetatable({
    req = req, inner = writer, left = limit, slow = fault.slow, reset = fault.reset,
    head_only = writer.head_only,
  }, Shaped)
end

function Shaped:head(...) return self.inner:head(...) end
function Shaped:flush() return self.inner:flush() end

function Shaped:finish()
  if self.left then self:cut() end
  return self.inner:finish()
end

function Shaped:cut()
  self.inner:flush()
  cqueues.sleep(0.01)   -- or a reset overtakes what was written
  self.req:hangup(self.reset)
end

local function write_slowly(self, data)
  local step = math.max(1, math.ceil(self.slow / 20))
  for i = 1, #data, step do
    local piece = data:sub(i, i + step - 1)
    if not self.inner:write(piece) then return nil end
    cqueues.sleep(#piece / self.slow)
  end
  return true
end

function Shaped:write(data)
  local cut = self.left and #data >= self.left
  if cut then data = data:sub(1, self.left) end
  if self.left then self.left = self.left - #data end
  local ok
  if self.slow then ok = write_slowly(self, data) else ok = self.inner:write(data) end
  if cut then self:cut() end
  return ok
end

-- Routes --------------------------------------------------------------------------

---Notes a request in the log (the kit's `on_request`).
function Faults:note(req, status)
  local path = path_of(req)
  if path:find("^/__devserver/") then return end
  if #self.log >= LOG_LIMIT then return end
  self.log[#self.log + 1] = { method = req.method, path = path, status = status, at = req.at }
end

---Adds faults given as one object or a list; nil and a message if one is bad.
---@param value table
---@return boolean? ok, string? message
function Faults:add_all(value)
  local list = value[1] and value or { value }
  if next(value) == nil then list = {} end
  for _, fault in ipairs(list) do
    local ok, message = self:add(fault)
    if not ok then return nil, message end
  end
  return true
end

---Gives an app these faults, the log, and the routes for both.
---@param app table  of httpd
---@param prefix? string  of the routes
---@param also? { changed: fun(method: string, body?: table), requests: fun(log: table[]): table[], forget: fun() }
---  called after the faults were changed, to complete the log, after it was cleared
---@param auth? fun(req): boolean  who may call the routes, instead of who has the key
function Faults:install(app, prefix, also, auth)
  local httpd = require "daytona.devserver.http"
  local base = (prefix or "") .. "/__devserver"
  local before = app.on_request
  app.faults = self
  app.on_request = function(req, status)
    self:note(req, status)
    if before then before(req, status) end
  end
  local function route(method, path, handler) app:route(method, base .. path, handler, { auth = auth }) end
  route("GET", "/faults", function() return 200, json.array(self:all()) end)
  route("POST", "/faults", function(req)
    local body = req:json()
    local ok, message = self:add_all(body)
    if not ok then httpd.fail(400, nil, message) end
    if also then also.changed("POST", body) end
    return 200, json.array(self:all())
  end)
  route("DELETE", "/faults", function()
    self:clear()
    if also then also.changed("DELETE") end
    return 204
  end)
  route("GET", "/requests", function()
    return 200, json.array(also and also.requests(self.log) or self.log)
  end)
  route("DELETE", "/requests", function()
    self.log = {}
    if also then also.forget() end
    return 204
  end)
end

return Faults
