-- Where a model is: the address, the key and the name, from options and the environment,
-- and the requests that go there. The key is the model's own: Daytona's never goes there,
-- and this one nowhere else.

local connections = require "daytona.http.connection"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local loop = require "daytona.loop"
local sse = require "daytona.http.sse"
local url = require "daytona.http.url"
local version = require "daytona.version"

local endpoint = {}

-- Maker -> its variables, its address, and how the key goes there.
local MAKERS = {
  openai = {
    key = "OPENAI_API_KEY", base = "OPENAI_BASE_URL", model = "OPENAI_MODEL", address = "https://api.openai.com/v1",
    headers = function(key) return { "Authorization: Bearer " .. key } end,
  },
  anthropic = {
    key = "ANTHROPIC_API_KEY", base = "ANTHROPIC_BASE_URL", model = "ANTHROPIC_MODEL",
    address = "https://api.anthropic.com",
    headers = function(key) return { "x-api-key: " .. key } end,
  },
}

---Seconds: for a whole reply, and without a byte of it. Bytes of one.
endpoint.TIMEOUT, endpoint.IDLE, endpoint.BYTES = 600, 300, 64 * 1024 * 1024

---@class daytona.ModelEndpoint
---@field driver string           "responses", "messages" or "chat"
---@field model string
---@field address string
---@field connection daytona.Connection
local Endpoint = {}
Endpoint.__index = Endpoint

-- Endpoint -> texts that must never be shown; beside the object, so that whoever prints it
-- does not print them.
local secrets_of = setmetatable({}, { __mode = "k" })

---The key, and what else no result, error or transcript may show.
---@return string[]
function Endpoint:secrets()
  return secrets_of[self]
end

local function fail(fmt, ...)
  return nil, errors.new { kind = "config", operation = "agent", message = fmt:format(...) }
end

local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- Which API: as it is said, else by the model's name, else by the key that is there.
local function driver_of(opts)
  if opts.driver then return opts.driver end
  local named = opts.model and opts.model:find "^claude"
  local only = not opts.model and not variable "OPENAI_API_KEY" and variable "ANTHROPIC_API_KEY"
  return (named or only) and "messages" or "responses"
end

local function check_address(text, insecure_http)
  local parts = url.parse(text)
  if not parts then return fail("base_url is not an http or https URL: %s", text) end
  if parts.userinfo then return fail("base_url must not hold a user name or password") end
  if parts.scheme == "http" and not insecure_http and not url.is_loopback(parts.host) then
    return fail("base_url would send the key unencrypted to %s: use https, or pass insecure_http = true", parts.host)
  end
  return (url.text(parts):gsub("/+$", "")), parts
end

local function check_key(key, maker, parts)
  if key and key:find "[%c ]" then return fail "the model's key holds white space" end
  if key or url.is_loopback(parts.host) then return true end
  return fail("no key for the model: pass api_key, or set %s", maker.key)
end

local function profile_of(opts, maker, key, driver)
  local headers = key and maker.headers(key) or {}
  if driver.version then headers[#headers + 1] = "anthropic-version: " .. driver.version end
  headers[#headers + 1] = "User-Agent: daytona-lua/" .. version.library
  for name, value in pairs(opts.headers or {}) do headers[#headers + 1] = name .. ": " .. value end
  return loop.profile { headers = headers, proxy = opts.proxy, ca_file = opts.ca_file }
end

local function secrets_in(opts, key)
  local secrets = { key }
  for _, value in pairs(opts.headers or {}) do secrets[#secrets + 1] = value end
  return secrets
end

local function connect(opts, maker, key, driver, address)
  return connections.new({
    base = address, profile = profile_of(opts, maker, key, driver), connect_timeout = 10,
    timeout = opts.timeout or endpoint.TIMEOUT, max_bytes = endpoint.BYTES, max_retries = 0,
    bare = function() return loop.profile { proxy = opts.proxy, ca_file = opts.ca_file } end,
  }, secrets_in(opts, key))
end

---The endpoint that options of an agent and the environment name. No request is made.
---nil and an error of kind "config" when a key or the model's name is missing, or the
---address is unusable.
---@param opts daytona.AgentOptions
---@return daytona.ModelEndpoint?
---@return daytona.Error?
function endpoint.new(opts)
  local name = driver_of(opts)
  local driver = require("daytona.agent.model." .. name)
  local maker = MAKERS[driver.maker]
  local address, parts = check_address(opts.base_url or variable(maker.base) or maker.address, opts.insecure_http)
  if not address then return nil, parts end
  -- A key of the environment is for the address of the environment.
  local key = opts.api_key or (not opts.base_url or opts.base_url == variable(maker.base)
    or address == maker.address) and variable(maker.key) or nil
  local fine, err = check_key(key, maker, parts)
  if not fine then return nil, err end
  local model = opts.model or variable(maker.model)
  if not model then return fail("no model: pass model, or set %s", maker.model) end
  local self = setmetatable({
    driver = name, model = model, address = address, connection = connect(opts, maker, key, driver, address),
  }, Endpoint)
  secrets_of[self] = secrets_in(opts, key)
  return self
end

-- The body as JSON text, or nil, err: what a program put into it may be no JSON.
local function encoded(body)
  local text, why = ordered.encode(body)
  if text then return text end
  return fail("the request cannot be sent: %s", why)
end

---Sends a request whose answer is a stream of events, each given to `on_event(name,
---data)` with its data decoded. true, or nil, err. No try is repeated.
---@param path string
---@param body table
---@param on_event fun(event: string, data: table)
---@param timeout? number  seconds
---@return true?
---@return daytona.Error?
function Endpoint:stream(path, body, on_event, timeout)
  local text, err = encoded(body)
  if not text then return nil, err end
  local broken
  local parser = sse.new(function(event)
    if event.data == "[DONE]" or broken then return end
    local data = json.decode(event.data)
    if type(data) == "table" then return on_event(event.event, data) end
    broken = errors.new { kind = "protocol", code = "json", operation = "agent", what = self.model, retryable = true,
      message = "an event of the reply is not JSON: " .. event.data:sub(1, 200), secrets = self:secrets() }
  end)
  local response
  response, err = http.request(self.connection, {
    method = "POST", path = path, body = text, body_is_json = true, operation = "agent", what = self.model,
    headers = { Accept = "text/event-stream" }, timeout = timeout, idle_timeout = endpoint.IDLE,
    sink = function(chunk)
      parser:feed(chunk)
      if broken then return false, broken end
    end,
  })
  if not response then return nil, err end
  return true
end

---Sends a request with one answer, a JSON object.
---@param path string
---@param body table
---@return table?
---@return daytona.Error?
function Endpoint:ask(path, body)
  local text, err = encoded(body)
  if not text then return nil, err end
  local response
  response, err = http.request(self.connection, {
    method = "POST", path = path, body = text, body_is_json = true, operation = "agent", what = self.model,
    answer = "object", timeout = 60,
  })
  return response and response.json, err
end

return endpoint
