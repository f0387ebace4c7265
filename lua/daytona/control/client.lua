-- A client: one account at one service. It finds sandboxes; making them is in create.lua,
-- listing them in list.lua, what a sandbox does in sandbox.lua, the wire in http/.

local calls = require "daytona.control.calls"
local core = require "daytona.base.native"
local config = require "daytona.control.config"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local record = require "daytona.control.record"
local sandbox = require "daytona.control.sandbox"
local url = require "daytona.http.url"
local version = require "daytona.version"

---@class daytona.Client
---@field api_url string
---@field target? string   the region of new sandboxes
---@field closed boolean
---@field server? daytona.devserver.Server  the local server that `daytona.devserver.client` started for it
---@field package goes_ahead boolean  it connects to where sandboxes are before it must: see ahead.lua
---@field listens boolean  waits listen to the service's events
---@field snapshots daytona.Snapshots
---@field volumes daytona.Volumes
---@field secrets daytona.Secrets
---@field warm_pools daytona.WarmPools
---@field regions daytona.Regions
---@field create fun(self: daytona.Client, opts?: daytona.CreateOptions): daytona.Sandbox?, daytona.Error?
---@field events fun(self: daytona.Client, opts?: { kinds?: string[], timeout?: number }): daytona.Events?, daytona.Error?
---@field request fun(self: daytona.Client, method: string, path: string, opts?: daytona.RequestOptions): daytona.Response?, daytona.Error?
local Client = {}
Client.__index = Client
Client.__name = "daytona.Client"

local later = methods.later

local M = {}

-- Noun -> its module.
local NOUNS = {
  snapshots = "daytona.control.snapshots", volumes = "daytona.control.volumes", secrets = "daytona.control.secrets",
  warm_pools = "daytona.control.warm_pools", regions = "daytona.control.account",
}

--- Making one ------------------------------------------------------------------------

local function common_headers(settings)
  local headers = {
    "Authorization: Bearer " .. (settings.api_key or settings.jwt_token),
    "X-Daytona-Source: sdk-lua",
    "X-Daytona-SDK-Version: " .. version.protocol,
    "Accept: application/json",
  }
  if settings.jwt_token then
    headers[#headers + 1] = "X-Daytona-Organization-ID: " .. settings.organization_id
  end
  return headers
end

local function new_profile(settings, headers, unnamed)
  local agent = "sdk-lua/" .. version.library
  if settings.user_agent then agent = agent .. " " .. settings.user_agent end
  if not unnamed then headers[#headers + 1] = "User-Agent: " .. agent end -- as an option it would cost more
  return loop.profile {
    headers = headers, proxy = settings.proxy, no_proxy = settings.no_proxy, ca_file = settings.ca_file,
    ca_path = settings.ca_path, client_cert = settings.client_cert, client_key = settings.client_key,
    insecure = settings.insecure, packed = settings.compression ~= false,
  }
end

-- What must not be shown: the credential, and the proxy's password.
local function secrets_in(settings)
  local secrets = { settings.api_key or settings.jwt_token }
  local parts = settings.proxy and url.parse(settings.proxy)
  local password = parts and parts.userinfo and parts.userinfo:match(":(.+)$")
  secrets[#secrets + 1] = password and url.unescape(password) or nil
  return secrets
end

-- For requests that a redirect sends to another host: no credential, no header
-- of the service, the same rules of TLS and proxy. Made when it is needed. `unnamed`:
-- nor the name of this program.
local function bare_profile(settings)
  local bare = {
    user_agent = settings.user_agent, proxy = settings.proxy, no_proxy = settings.no_proxy,
    ca_file = settings.ca_file, ca_path = settings.ca_path, insecure = settings.insecure,
  }
  local profiles = {}
  return function(unnamed)
    local kind = unnamed and "unnamed" or "named"
    profiles[kind] = profiles[kind] or new_profile(bare, {}, unnamed)
    return profiles[kind]
  end
end

-- What tells accounts at one service apart, of whoever the key is, and tells nothing of it.
local function account_of(settings)
  local text = settings.jwt_token and settings.organization_id or settings.api_key
  return core.hex(core.sha256("account " .. text)):sub(1, 12)
end

---Makes a client of options, the environment and defaults (see daytona.Config).
---No request is made. nil and an error of kind "config" when a credential is
---missing or the address is unusable; raises on an unknown option.
---@param opts? daytona.Config
---@return daytona.Client?
---@return daytona.Error?
function M.new(opts)
  local settings, err = config.resolve(opts)
  if not settings then return nil, err end
  loop.max_connections = loop.max_connections or settings.max_connections
  local connection = http.connection({
    base = settings.api_url, profile = new_profile(settings, common_headers(settings)),
    bare = bare_profile(settings), connect_timeout = settings.connect_timeout, timeout = settings.timeout,
    max_bytes = settings.max_bytes, max_retries = settings.max_retries, compression = settings.compression ~= false,
  }, secrets_in(settings))
  if settings.on_request or settings.on_response or settings.on_retry or settings.traceparent or settings.trace then
    connection.hooks = require("daytona.http.hooks").new(settings)
  end
  local self = setmetatable({
    api_url = settings.api_url, target = settings.target, closed = false, connection = connection,
    uses_jwt = settings.jwt_token ~= nil, insecure_http = settings.insecure_http,
    organization_id = settings.jwt_token and settings.organization_id or nil, listens = settings.events,
  }, Client)
  -- Not where a certificate of the client's belongs to the connection: that goes to nobody
  -- whom the service did not name.
  self.goes_ahead = settings.api_url:sub(1, 6) == "https:" and not settings.client_cert
  self.ledger, self.budget, self.account = settings.ledger, settings.budget, account_of(settings)
  methods.nouns(self, NOUNS, "client")
  return self
end

local default

---The client of this program: made of the environment when it is first needed. nil and
---an error of kind "config" when that says too little.
---@return daytona.Client?
---@return daytona.Error?
function M.default()
  if default and not default.closed then return default end
  local err
  default, err = M.new()
  if not default then return nil, err end
  return default
end

---"daytona client (https://app.daytona.io/api)"
function Client:__tostring()
  return "daytona client (" .. self.api_url .. (self.closed and ", closed)" or ")")
end

---Ends the use of this client and of its sandboxes; nothing remote is touched.
---Idempotent.
function Client:close()
  self.closed = true
  local stream = rawget(self, "_stream")
  if stream then stream:stop() end
end

Client.__close = Client.close

---The way to the control plane; raises when the client is closed.
---@param operation string
---@return daytona.Connection
function Client:connection_of(operation)
  if self.closed then errors.misuse(1, "%s: attempt to use a closed client", operation) end
  return self.connection
end

---Whether the key may go to an address that the service names for a sandbox: not in
---the clear over a network, when the way to the service itself is safe.
---@param address any
---@param id string
---@return true?
---@return daytona.Error?
function Client:check_address(address, id)
  local parts = type(address) == "string" and url.parse(address)
  local plain = parts and parts.scheme == "http" and not url.is_loopback(parts.host)
  if parts and not (plain and self.api_url:sub(1, 6) == "https:" and not self.insecure_http) then return true end
  return nil, errors.new {
    kind = "protocol", operation = "connect", what = id,
    message = "the service names an address for this sandbox that the key must not go to: " .. tostring(address),
  }
end

---The way to a sandbox's daemon, of the address the service names.
---@param address string
---@param id string
---@return daytona.Connection?
---@return daytona.Error?
function Client:toolbox_connection(address, id)
  local connection = self:connection_of("toolbox")
  local fine, err = self:check_address(address, id)
  if not fine then return nil, err end
  return http.rebase(connection, (address:gsub("/+$", "")) .. "/" .. url.escape(id))
end

local api = calls.of_service {
  config = { "GET", "/config", "object" },
  user   = { "GET", "/users/me", "object", operation = "ping" },
}

Client.create = later("daytona.control.create", "create")
Client.list = later("daytona.control.list", "list")
Client.each = later("daytona.control.list", "each")
Client.pool = later("daytona.control.pool", "new")
Client.leftovers = later("daytona.control.leftovers", "leftovers")
Client.reap = later("daytona.control.leftovers", "reap")
Client.key = later("daytona.control.account", "key")
Client.usage = later("daytona.control.account", "usage")

--- Finding ---------------------------------------------------------------------------

---The sandbox of that id or name. kind "not_found" when there is none.
---@param id_or_name string
---@return daytona.Sandbox?
---@return daytona.Error?
function Client:get(id_or_name)
  options.argument("get: the id or name", "text", id_or_name)
  if self.goes_ahead then require("daytona.control.ahead").open(self) end
  local raw, err = record.fetch(self, { sandbox = id_or_name }, { operation = "get", flaw = record.absent })
  if not raw then return nil, err end
  return sandbox.new(self, raw)
end

---A sandbox object of an id, without a request: its fields are unknown until
---`refresh`, its methods work.
---@param id string
---@return daytona.Sandbox
function Client:attach(id)
  options.argument("attach: the id", "text", id)
  return sandbox.new(self, { id = id })
end

local function sandbox_of(self, what, value)
  if sandbox.is(value) then return value end
  if type(value) ~= "string" or value == "" then
    errors.misuse(1, "%s takes a sandbox or its id, got %s", what, type(value))
  end
  return Client.attach(self, value)
end

---Starts a sandbox by id, as `sandbox:start`.
---@param which string|daytona.Sandbox
---@param opts? table
---@return daytona.Sandbox?
---@return daytona.Error?
function Client:start(which, opts)
  return sandbox_of(self, "start", which):start(opts)
end

---Stops a sandbox by id, as `sandbox:stop`.
---@param which string|daytona.Sandbox
---@param opts? table
---@return daytona.Sandbox?
---@return daytona.Error?
function Client:stop(which, opts)
  return sandbox_of(self, "stop", which):stop(opts)
end

---Deletes a sandbox, as `sandbox:delete`. Of an id or a name: kind "not_found" when there
---is none, unless `missing_ok`.
---@param which string|daytona.Sandbox  an id or a name
---@param opts? { timeout?: number, wait?: boolean, force?: boolean, missing_ok?: boolean }
---@return true?
---@return daytona.Error?
function Client:delete(which, opts)
  local box = sandbox_of(self, "delete", which)
  if type(which) == "string" then
    opts = options.copy(options.argument("delete: options", "table", opts or {}))
    opts.missing_ok = opts.missing_ok or false
  end
  return box:delete(opts)
end

--- The rest --------------------------------------------------------------------------

---Whether the service is there and takes the credential.
---@return true?
---@return daytona.Error?
function Client:ping()
  if self.uses_jwt then
    local user, err = api.user(self)
    return user and true, err
  end
  local key, err = require("daytona.control.account").key(self)
  if not key then
    err.operation = "ping"
    return nil, err
  end
  return true
end

---What the service says about itself: version, default_snapshot, rate_limit, ...
---@return table?
---@return daytona.Error?
function Client:config()
  return api.config(self)
end

Client.events = later("daytona.control.events", "events")
Client.request = later("daytona.control.raw", "of_client")

methods.guard(Client, "daytona.Client", "client")

return M
