-- Who is told of requests as they go out and come back, and what is noted of them: hooks,
-- W3C trace contexts, traces. Loaded by the first client that wants it; others pay nothing.

local connections = require "daytona.http.connection"
local loop = require "daytona.loop"
local random = require "daytona.base.random"
local redact = require "daytona.base.redact"

local hooks = {}

---What a client wants to be told.
---@class daytona.Hooks
---@field on_request? fun(info: daytona.RequestInfo)
---@field on_response? fun(info: daytona.RequestInfo)
---@field on_retry? fun(info: daytona.RequestInfo)
---@field traceparent? boolean|string|fun(): string?
---@field trace? boolean

---A request, as hooks see it: no header, no body, no secret.
---@class daytona.RequestInfo
---@field operation? string   "create", "exec", ...
---@field method string
---@field url string          without its query
---@field try integer         1 for the first
---@field traceparent? string that was sent with it
---@field status? integer     of the answer
---@field err? daytona.Error  of what failed, or made another try needed
---@field delay? number       seconds until the next try
---@field trace? daytona.Trace

---How a request went; seconds. `dns`, `connect`, `tls` and `first_byte` are of its last try, from its start, and 0
---for what did not happen.
---@class daytona.Trace
---@field seconds number     all of it, pauses included
---@field dns? number
---@field connect? number
---@field tls? number
---@field first_byte? number
---@field total? number      of the last try
---@field reused boolean     an existing connection was used
---@field received integer   bytes of the answer's body
---@field sent integer       bytes of the request's body
---@field tries integer
---@field reasons string[]   why there was another, one for each
---@field request_id? string what the service calls the last try, for its support
---@field throttle_left? integer  requests that the service allows now, as it says

---@param settings daytona.Config
---@return daytona.Hooks
function hooks.new(settings)
  return {
    on_request = settings.on_request, on_response = settings.on_response, on_retry = settings.on_retry,
    traceparent = settings.traceparent or nil, trace = settings.trace,
  }
end

--- Trace contexts ------------------------------------------------------------------------------

local PARENT = "^(%x%x)%-(%x+)%-%x+%-(%x%x)$"

-- A child of the caller's, or a new trace. nil where there is no context to be in.
local function traceparent_of(wanted)
  if type(wanted) == "function" then wanted = wanted() end
  if not wanted then return nil end
  local version, trace, flags
  if type(wanted) == "string" then version, trace, flags = wanted:match(PARENT) end
  if wanted ~= true and not (trace and #trace == 32 and version ~= "ff") then return nil end
  return ("00-%s-%s-%s"):format((trace or random.hex(16)):lower(), random.hex(8), flags or "01")
end

--- One request -----------------------------------------------------------------------------------

---@class daytona.Observer
---@field hooks daytona.Hooks
---@field info daytona.RequestInfo
---@field trace daytona.Trace
---@field wants_trace boolean
---@field begun number
local Observer = {}
Observer.__index = Observer

---For http: what every try is to carry.
function Observer:prepare(call)
  call.timing = self.wants_trace or nil
  local parent = self.info.traceparent
  if not parent then return end
  local lines = {}
  for i, line in ipairs(call.headers or {}) do lines[i] = line end
  lines[#lines + 1] = "traceparent: " .. parent
  call.headers = lines
end

---For http: a try begins.
function Observer:begins(call)
  local info = self.info
  info.method, info.url = call.method, redact(call.url:gsub("%?.*$", ""), self.secrets)
  if self.hooks.on_request then self.hooks.on_request(info) end
end

---For http: a try is over, whatever came of it.
function Observer:tried(transfer)
  local trace = self.trace
  local _, _, reused = transfer:trace()
  local received, _, sent = transfer:progress()
  trace.reused, trace.received, trace.sent = reused, received, sent
  self.info.status = transfer:status()
  if not self.wants_trace then return end
  trace.dns, trace.connect, trace.tls, trace.first_byte, trace.total = transfer:timing()
  local headers = {}
  for name, value in pairs(transfer:headers()) do
    headers[name:lower()] = value
    if name:lower():find "^x%-ratelimit%-remaining" then trace.throttle_left = tonumber(value) end
  end
  trace.request_id = require("daytona.http.failure").request_id(headers)
end

---For http: there is going to be another try.
function Observer:repeats(err, delay, tries)
  local info = self.info
  self.trace.reasons[#self.trace.reasons + 1] = err.code or err.status and tostring(err.status) or err.kind
  info.err, info.delay = err, delay
  if self.hooks.on_retry then self.hooks.on_retry(info) end
  info.err, info.delay, info.status, info.try = nil, nil, nil, tries.n + 1
  self.trace.tries = info.try
end

local function finished(self, response, err)
  local info, trace = self.info, self.trace
  trace.seconds = loop.now() - self.begun
  info.trace, info.err = trace, err
  if self.wants_trace and (response or err) then (response or err).trace = trace end
  if self.hooks.on_response then self.hooks.on_response(info) end
  return response, err
end

local NONE = {}

---A request that is watched.
---@param connection daytona.Connection
---@param request daytona.Request
---@param send fun(connection: daytona.Connection, request: daytona.Request): daytona.Response?, daytona.Error?
---@return daytona.Response?
---@return daytona.Error?
function hooks.observed(connection, request, send)
  local wanted = connection.hooks or NONE
  local self = setmetatable({
    hooks = wanted, begun = loop.now(), secrets = connections.secrets_in(connection, request),
    wants_trace = wanted.trace or request.trace or wanted.on_response ~= nil,
    info = { operation = request.operation, try = 1, traceparent = traceparent_of(wanted.traceparent) },
    trace = { seconds = 0, reused = false, received = 0, sent = 0, tries = 1, reasons = {} },
  }, Observer)
  request.observer = self
  return finished(self, send(connection, request))
end

return hooks
