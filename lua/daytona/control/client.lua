-- A client: one account at one service. Making sandboxes is in create.lua, finding them in
-- finding.lua and list.lua, what a sandbox does in sandbox.lua, the wire in http/.

local core = require "daytona.base.native"
local config = require "daytona.control.config"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local url = require "daytona.http.url"

-- The release of the official clients whose contract is kept. The daemon reads it as a
-- semantic version and chooses formats by it, so it is not our own.
local PROTOCOL = "0.205.0"

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
    "X-Daytona-SDK-Version: " .. PROTOCOL,
    "Accept: application/json",
  }
  if settings.jwt_token then
    headers[#headers + 1] = "X-Daytona-Organization-ID: " .. settings.organization_id
  end
  return headers
end

local function new_profile(settings, headers, unnamed)
  local agent = "sdk-lua/" .. core.version
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
  methods.nouns(self, NOUNS)
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
---@private
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

---@private
Client.__close = Client.close

---The way to the control plane; raises when the client is closed.
---@param operation string
---@return daytona.Connection
---@private
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
---@private
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
---@private
function Client:toolbox_connection(address, id)
  local connection = self:connection_of("toolbox")
  local fine, err = self:check_address(address, id)
  if not fine then return nil, err end
  return http.rebase(connection, (address:gsub("/+$", "")) .. "/" .. url.escape(id))
end

Client.create = later("daytona.control.create", "create")
Client.get = later("daytona.control.finding", "get")
Client.attach = later("daytona.control.finding", "attach")
Client.start = later("daytona.control.finding", "start")
Client.stop = later("daytona.control.finding", "stop")
Client.delete = later("daytona.control.finding", "delete")
Client.list = later("daytona.control.list", "list")
Client.each = later("daytona.control.list", "each")
Client.pool = later("daytona.control.pool", "new")
Client.leftovers = later("daytona.control.leftovers", "leftovers")
Client.reap = later("daytona.control.leftovers", "reap")
Client.ping = later("daytona.control.account", "ping")
Client.config = later("daytona.control.account", "config")
Client.key = later("daytona.control.account", "key")
Client.usage = later("daytona.control.account", "usage")

Client.events = later("daytona.control.events", "events")
Client.request = later("daytona.control.raw", "of_client")

methods.guard(Client, "daytona.Client", "client")

return M
