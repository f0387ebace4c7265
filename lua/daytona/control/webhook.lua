-- Webhooks: what the service posts to an address of yours when something happens. It
-- signs them as Svix does, which delivers them.

local core = require "daytona.base.native"
local base64 = require "daytona.base.base64"
local errors = require "daytona.base.errors"
local events = require "daytona.control.events"
local json = require "daytona.http.json"
local options = require "daytona.base.options"

local webhook = {}

-- How old a message may be, or its clock be ahead, seconds.
local TOLERANCE = 300

local function fail(kind, code, fmt, ...)
  return nil, errors.new { kind = kind, code = code, operation = "webhook", message = fmt:format(...) }
end

-- Headers by lower-case name; of several values, as some servers give them, the last.
local function lower(headers)
  local out = {}
  for name, value in pairs(headers) do
    if type(value) == "table" then value = value[#value] end
    if type(name) == "string" then out[name:lower()] = value end
  end
  return out
end

-- The same whether and where two texts differ takes the same time.
local function same(a, b)
  local salt = core.random(32)
  return core.hmac_sha256(salt, a) == core.hmac_sha256(salt, b)
end

local function key_of(secret)
  local key = base64.decode((secret:gsub("^whsec_", "")))
  if not key or key == "" then
    errors.misuse(1, "webhook.parse: the secret is not one: it is base64 behind 'whsec_'")
  end
  return key
end

-- Whether one of the signatures in the header is that of the message under one of the keys.
local function is_signed(list, content, secrets)
  for _, secret in ipairs(secrets) do
    local mine = base64.encode(core.hmac_sha256(key_of(secret), content))
    for version, theirs in list:gmatch "(v%d+%w*),(%S+)" do
      if version == "v1" and same(mine, theirs) then return true end
    end
  end
  return false
end

-- true, or nil, err.
local function verify(body, headers, secrets, tolerance, now)
  local function header(name) return headers["svix-" .. name] or headers["webhook-" .. name] end
  local id, timestamp, signature = header "id", header "timestamp", header "signature"
  if not (id and timestamp and signature) then
    return fail("auth", "unsigned", "the message is not signed: it lacks svix-id, svix-timestamp or svix-signature")
  end
  local time = timestamp:match "^%d+$" and tonumber(timestamp)
  if not time then return fail("auth", "timestamp", "its svix-timestamp is no number of seconds") end
  if not is_signed(signature, id .. "." .. timestamp .. "." .. body, secrets) then
    return fail("auth", "signature", "its signature is not that of the secret")
  end
  if tolerance > 0 and math.abs(now - time) > tolerance then
    return fail("auth", "timestamp", "it was sent %d seconds ago, which is too long", now - time)
  end
  return true
end

local function secret(value)
  if type(value) == "string" then return value ~= "", "the endpoint's signing secret, or a list of them" end
  return type(value) == "table" and type(value[1]) == "string", "the endpoint's signing secret, or a list of them"
end

local OPTIONS = { secret = secret, unverified = "boolean", tolerance = "seconds", client = "table", now = "number" }

---The event of a webhook's request. With `secret` (of the endpoint, "whsec_...";
---several while they are changed) the signature and its age are checked: kind "auth" where
---they are wrong, so that the request is to be answered 4xx. Without it, `unverified`
---says that somebody else has checked. kind "protocol" where the body is no event.
---
---    local event, err = daytona.webhook.parse(body, headers, { secret = os.getenv "WEBHOOK_SECRET" })
---
---The event is as those of `client:events`; its object is there with `client`, and has
---only the fields that the message names until `refresh`.
---@param body string   the request's, byte by byte as it came
---@param headers table<string, string|string[]>  the request's, in any letter case
---@param opts { secret?: string|string[], unverified?: boolean, tolerance?: number, client?: daytona.Client, now?: number }
---tolerance: seconds that it may be old (300, 0 for any); now: the time, seconds since 1970
---@return daytona.Event?
---@return daytona.Error?
function webhook.parse(body, headers, opts)
  options.argument("webhook.parse: the body", "string", body)
  options.argument("webhook.parse: the headers", "table", headers)
  opts = options.check("webhook.parse", OPTIONS, opts)
  if not opts.secret and not opts.unverified then
    errors.misuse(1, "webhook.parse: give the endpoint's 'secret', or say 'unverified = true'")
  end
  if opts.secret then
    local secrets = type(opts.secret) == "table" and opts.secret or { opts.secret }
    local fine, err = verify(body, lower(headers), secrets, opts.tolerance or TOLERANCE, opts.now or os.time())
    if not fine then return nil, err end
  end
  local payload = json.decode(body)
  local name = type(payload) == "table" and payload.event
  local kind = type(name) == "string" and name:match "^(%l+)%."
  if not kind or type(payload.id) ~= "string" then return fail("protocol", "json", "the body is no event") end
  local object = {}
  for field, value in pairs(payload) do
    if field ~= "event" and field ~= "timestamp" and field ~= "oldState" and field ~= "newState" then
      object[field] = value
    end
  end
  if not object.state and type(payload.newState) == "string" then object.state = payload.newState end
  return events.event(opts.client, name, kind, object, payload)
end

return webhook
