-- A sandbox whose daemon's answers a spec says, request by request, without a server: what
-- is asked in which order, and what is made of the answers.
--
--   local canned = require("spec.support.canned").start {
--     ["GET /git/status"] = { currentBranch = "main" },       an object, as JSON
--     ["POST /git/add"] = true,                               an empty answer
--     ["GET /files/download"] = "text",                       a body
--     ["POST /git/push"] = { 500, '{"message":"no"}' },       a status and a body
--     ["GET /version"] = function(request, n) ... end,        any of these, for its n-th request
--   }
--   canned.sandbox
--   canned:asked()      "POST /git/add", ... since that was asked last
--   canned.requests     as they were sent (daytona.Request)
--   canned.slept       seconds of each sleep
--
-- It lasts until the next one begins, or `stop`; `failed`, `kind_of` and `misused` are for its specs.
--
-- A sink gets a body piece by piece; headers stand third: { 200, { "one", "two" }, { etag = "x" } }. An error object
-- as fourth is what came behind these pieces. What a body's source brings is in `request.got`.
-- What has no answer is answered 404 as by an old daemon. An error object is returned as what
-- came of the request.
--
--     ["WS /process/pty/x/connect"] = { { "text", data }, { "binary", data }, { "wait", 2 }, { "heard" },
--       { "close", 1000, "reason" }, { "fail", err } },       what comes over a WebSocket, or a function as above
--   canned.sockets     those that were opened: `request`, `sent` (messages), `over`
--
-- The clock stands still but in sleeps and where a WebSocket waits: `canned.now` on it.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local http = require "daytona.http"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local watch = require "daytona.toolbox.watch"
local websocket = require "daytona.http.websocket"

local Canned = {}
Canned.__index = Canned

-- Status, body and headers of what a spec gave.
local function answer_of(given)
  if given == true then return 200, "" end
  if type(given) == "string" then return 200, given, { ["content-type"] = "text/plain" } end
  if type(given[1]) == "number" then return given[1], given[2] or "", given[3] end
  return 200, json.encode(given), { ["content-type"] = "application/json" }
end

-- What a spec gave for a request, which is noted.
local function given_for(self, name, request)
  self.requests[#self.requests + 1], self.names[#self.names + 1] = request, name
  self.counts[name] = (self.counts[name] or 0) + 1
  local given = self.routes[name]
  if type(given) == "function" then given = given(request, self.counts[name]) end
  return given
end

-- Hands a body over, as a transfer would. true, or nil, err.
local function pour(request, status, body, headers, err)
  local poured = 0
  local transfer = {
    progress = function() return poured end,
    status = function() return status end, headers = function() return headers end,
    header = function(_, name) return headers[name:lower()] end,
  }
  for i, piece in ipairs(type(body) == "table" and body or { body }) do
    if i == 1 and request.on_headers then request.on_headers(transfer) end
    if request.sink_file then request.sink_file:write(piece) end
    poured = poured + #piece
    local kept, why = true, nil
    if request.sink then kept, why = request.sink(piece) end
    if kept == false then return nil, errors.is(why) and why or failure.from_transport("sink", tostring(why)) end
  end
  if request.on_end then request.on_end(transfer) end
  if err then err.headers = err.headers or headers end
  return not err or nil, err
end

local function drain(source)
  local pieces = {}
  for chunk in source do pieces[#pieces + 1] = chunk end
  return table.concat(pieces)
end

local function answered(self, connection, request)
  if request.body_is_json then request.json = json.decode(request.body) end -- as a command has it
  if request.body_source then request.got = drain(request.body_source) end
  local given = given_for(self, (request.method or "GET") .. " " .. request.path, request)
  if given == nil then given = { 404, "404 page not found" } end
  if errors.is(given) then return nil, given end
  local status, body, headers = answer_of(given)
  local broken = type(given) == "table" and errors.is(given[4]) and given[4] or nil
  if status < 300 and (request.sink or request.sink_file) then
    local fine, err = pour(request, status, body, headers or {}, broken)
    if not fine then return nil, err end
    return { status = status, body = "", headers = headers or {} }
  end
  if broken then return nil, broken end
  if request.accept == status then return { status = status, body = body, headers = headers } end
  if status >= 200 and status < 300 then return http.answer(connection, request, status, body, headers or {}) end
  return nil, failure.from_response({ status = status, body = body, headers = headers },
    http.context_of(connection, request))
end

local Socket = {}
Socket.__index = Socket

-- Steps that wait are gone through in parts, as deadlines have it.
function Socket:receive(deadline, plain)
  local canned = self.canned
  while true do
    local step = self.steps[self.at]
    if self.over then return nil, failure.from_transport "canceled" end
    if step and step[1] == "heard" then
      self.heard_at, self.at = canned.now, self.at + 1
    elseif step and step[1] ~= "wait" then
      self.at = self.at + 1
      if step[1] == "close" then return false, step[2], step[3] or "" end
      if step[1] == "fail" then return nil, step[2] end
      return step[2], step[1] == "text"
    else
      local left = step and step[2] or math.huge
      assert(left < math.huge or deadline, "the WebSocket waits for ever")
      if deadline and deadline - canned.now < left then
        if step then step[2] = left - math.max(deadline - canned.now, 0) end
        canned.now = math.max(canned.now, deadline)
        return nil, not plain and errors.new { kind = "timeout", code = "wait", message = "nothing came" } or nil
      end
      canned.now, self.at = canned.now + left, self.at + 1
    end
  end
end

function Socket:send(data, text)
  if self.refuses then return nil, self.refuses end
  self.sent[#self.sent + 1] = (text and "text " or "binary ") .. data
  return true
end

function Socket:heard() return self.heard_at end
function Socket:done() return self.over end
function Socket:abort() self.over = true end
Socket.close = Socket.abort

local function opened(self, request)
  local given = given_for(self, "WS " .. request.path, request)
  if given == nil then return nil, failure.from_response { status = 404, body = "404 page not found" } end
  if errors.is(given) then return nil, given end
  local steps = {}
  for i, step in ipairs(given) do steps[i] = { step[1], step[2], step[3] } end
  local socket = setmetatable({ canned = self, request = request, steps = steps, at = 1, sent = {}, over = false },
    Socket)
  self.sockets[#self.sockets + 1] = socket
  return socket
end

---What was asked since this was called last.
---@return string[]
function Canned:asked()
  local names = self.names
  self.names = {}
  return names
end

function Canned:stop()
  local real = self.real
  http.request, websocket.open = real.request, real.open
  loop.now, loop.sleep = real.now, real.sleep -- luacheck: ignore 122
end

local M = {}

local running

---Ends the one that runs, if there is one: for `after_each`.
function M.stop()
  if running then running:stop() end
  running = nil
end

---Begins one, in the place of the one that runs.
function M.start(routes)
  M.stop()
  local self = setmetatable({
    routes = routes, requests = {}, names = {}, counts = {}, sockets = {}, slept = {}, now = 1000,
    real = { request = http.request, open = websocket.open, now = loop.now, sleep = loop.sleep },
  }, Canned)
  -- With hooks no command takes the short way past http.request.
  self.client = assert(daytona.new {
    api_key = "secret-key", api_url = "http://127.0.0.1:1", max_retries = 0, on_request = function() end,
  })
  self.sandbox = self.client:attach "canned"
  self.sandbox.toolbox_proxy_url = "http://127.0.0.1:1/toolbox"
  http.request = function(connection, request) return answered(self, connection, request) end
  websocket.open = function(_, request) return opened(self, request) end
  watch.next_turn = 0
  loop.now = function() return self.now end -- luacheck: ignore 122
  loop.sleep = function(seconds) -- luacheck: ignore 122
    self.slept[#self.slept + 1], self.now = seconds, self.now + seconds
    return true
  end
  running = self
  return self
end

---The answer of a daemon that fails.
function M.failed(status, message, code)
  return { status, json.encode { message = message, code = code } }
end

---What a call returned, or the kind and code of its error.
function M.kind_of(value, err)
  if value ~= nil and (value ~= false or err == nil) then return value end
  return err and err.kind .. (err.code and " " .. err.code or "")
end

---Asserts that fn(...) raises a text with these words.
function M.misused(words, fn, ...)
  local given, n = { ... }, select("#", ...)
  local fine, text = pcall(function() return (fn((table.unpack or unpack)(given, 1, n))) end)
  assert(not fine)
  assert(tostring(text):find(words, 1, true), text)
end

return M
