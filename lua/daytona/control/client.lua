-- A client: one account at one service. It finds and lists sandboxes; making them
-- is in create.lua, what a sandbox does in sandbox.lua, the wire in http.lua.

local config = require "daytona.control.config"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local sandbox = require "daytona.control.sandbox"
local url = require "daytona.http.url"
local version = require "daytona.version"
local names = require "daytona.http.names"

---@class daytona.Client
---@field api_url string
---@field target? string   the region of new sandboxes
---@field closed boolean
---@field create fun(self: daytona.Client, opts?: daytona.CreateOptions): daytona.Sandbox?, daytona.Error?
local Client = {}
Client.__index = Client
Client.__name = "daytona.Client"

local later = methods.later

local M = {}

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

local function new_profile(settings, headers)
  local agent = "sdk-lua/" .. version.library
  if settings.user_agent then agent = agent .. " " .. settings.user_agent end
  headers[#headers + 1] = "User-Agent: " .. agent -- as an option it would cost more in each request
  return loop.profile {
    headers = headers, proxy = settings.proxy, no_proxy = settings.no_proxy, ca_file = settings.ca_file,
    ca_path = settings.ca_path, client_cert = settings.client_cert, client_key = settings.client_key,
    insecure = settings.insecure,
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
-- of the service, the same rules of TLS and proxy. Made when it is needed.
local function bare_profile(settings)
  local bare = {
    user_agent = settings.user_agent, proxy = settings.proxy, no_proxy = settings.no_proxy,
    ca_file = settings.ca_file, ca_path = settings.ca_path, insecure = settings.insecure,
  }
  local profile
  return function()
    profile = profile or new_profile(bare, {})
    return profile
  end
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
    max_bytes = settings.max_bytes, max_retries = settings.max_retries,
  }, secrets_in(settings))
  return setmetatable({
    api_url = settings.api_url, target = settings.target, closed = false, connection = connection,
    uses_jwt = settings.jwt_token ~= nil, insecure_http = settings.insecure_http,
  }, Client)
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

local function call(self, operation, request)
  request.operation = operation
  local response, err = http.request(self:connection_of(operation), request)
  if not response then return nil, err end
  return response.json
end

Client.create = later("daytona.control.create", "create")

--- Finding ---------------------------------------------------------------------------

---The sandbox of that id or name. kind "not_found" when there is none.
---@param id_or_name string
---@return daytona.Sandbox?
---@return daytona.Error?
function Client:get(id_or_name)
  options.argument("get: the id or name", "text", id_or_name)
  local raw, err = call(self, "get", {
    path = url.path("/sandbox/{}", id_or_name), answer = "object", flaw = sandbox.absent, what = id_or_name,
  })
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

---Deletes a sandbox by id, as `sandbox:delete`.
---@param which string|daytona.Sandbox
---@param opts? table
---@return daytona.Sandbox?
---@return daytona.Error?
function Client:delete(which, opts)
  return sandbox_of(self, "delete", which):delete(opts)
end

--- Listing ---------------------------------------------------------------------------

---What a list is narrowed down by. All of it must match.
---@class daytona.ListFilter
---@field limit? integer     per page, 1 to 200; 100
---@field cursor? string     of the page before
---@field id? string         beginning of the id
---@field name? string       beginning of the name
---@field labels? table<string, string>
---@field states? string|string[]
---@field snapshots? string|string[]
---@field targets? string|string[]
---@field sandbox_classes? string|string[]
---@field min_cpu? integer
---@field max_cpu? integer
---@field min_memory_gib? integer
---@field max_memory_gib? integer
---@field min_disk_gib? integer
---@field max_disk_gib? integer
---@field is_public? boolean
---@field is_recoverable? boolean
---@field include_errored_deleted? boolean
---@field include_warm? boolean
---@field created_at_after? string  ISO 8601
---@field created_at_before? string
---@field last_activity_after? string
---@field last_activity_before? string
---@field auto_destroy_at_after? string
---@field auto_destroy_at_before? string
---@field sort? "name"|"cpu"|"memoryGib"|"diskGib"|"lastActivityAt"|"createdAt"
---@field order? "asc"|"desc"

-- Option -> type, and the service's name where it is another.
local FILTERS = {
  limit = { options.range(1, 200) }, cursor = { "text" }, id = { "text" }, name = { "text" }, labels = { "map" },
  states = { "texts" }, snapshots = { "texts" }, targets = { "texts", "regionIds" },
  sandbox_classes = { "texts" },
  min_cpu = { "positive" }, max_cpu = { "positive" }, min_memory_gib = { "positive" },
  max_memory_gib = { "positive" }, min_disk_gib = { "positive" }, max_disk_gib = { "positive" },
  is_public = { "boolean" }, is_recoverable = { "boolean" }, include_errored_deleted = { "boolean" },
  include_warm = { "boolean" }, created_at_after = { "text" }, created_at_before = { "text" },
  last_activity_after = { "text", "lastEventAfter" }, last_activity_before = { "text", "lastEventBefore" },
  auto_destroy_at_after = { "text" }, auto_destroy_at_before = { "text" },
  sort = { { "name", "cpu", "memoryGib", "diskGib", "lastActivityAt", "createdAt" } },
  order = { { "asc", "desc" } },
}

local FILTER_SPEC = {}
for name, row in pairs(FILTERS) do FILTER_SPEC[name] = row[1] end

local function list_query(what, filter)
  local query = {}
  for name, value in pairs(filter) do
    if name == "labels" then
      local text, problem = require("daytona.http.json").encode(value)
      if not text then errors.misuse(1, "%s: labels: %s", what, problem) end
      value = text
    end
    query[FILTERS[name][2] or names.camel_name(name)] = value
  end
  return query
end

---@class daytona.Page
---@field items daytona.Sandbox[]  light rows: without env and the like until refreshed
---@field next_cursor? string      for the filter of the next page; nil at the end
local Page = { __name = "daytona.Page" }
Page.__index = Page

function Page:__tostring()
  return string.format("page (%d sandboxes%s)", #self.items, self.next_cursor and ", more" or "")
end

-- The `flaw` of a page.
local function page_flaw(raw)
  local items, cursor = raw.items or {}, raw.nextCursor
  if type(items) ~= "table" or (cursor ~= nil and type(cursor) ~= "string") then return "no page of sandboxes" end
  for i = 1, #items do
    if type(items[i]) ~= "table" or type(items[i].id) ~= "string" then return "no list of sandboxes" end
  end
end

local function fetch_page(self, query)
  local raw, err = call(self, "list", { path = "/sandbox", query = query, answer = "object", flaw = page_flaw })
  if not raw then return nil, err end
  local items, rows = raw.items or {}, {}
  for i = 1, #items do rows[i] = sandbox.row(self, items[i]) end
  local cursor = raw.nextCursor
  return setmetatable({ items = rows, next_cursor = cursor ~= "" and cursor or nil }, Page)
end

---One page of sandboxes.
---@param filter? daytona.ListFilter
---@return daytona.Page?
---@return daytona.Error?
function Client:list(filter)
  filter = options.check("list", FILTER_SPEC, filter)
  return fetch_page(self, list_query("list", filter))
end

local Walk = {}
Walk.__index = Walk

-- The next row, over as many pages as it takes: one may be empty, and not the last.
function Walk:__call()
  while not self.over do
    local page = self.page
    if page and self.at < #page.items then
      self.at = self.at + 1
      return page.items[self.at]
    end
    if page and not page.next_cursor then break end
    if page then self.query.cursor = page.next_cursor end
    local err
    self.page, err = fetch_page(self.client, self.query)
    if not self.page then errors.assert(nil, err) end
    self.at = 0
  end
  self.over, self.page = true, nil
end

function Walk:close()
  self.over, self.page = true, nil
end

Walk.__close = Walk.close

---All sandboxes, page by page as they are needed: `for box in client:each() do`.
---Raises when a page cannot be had.
---@param filter? daytona.ListFilter  `limit` is the size of a page
---@return fun(): daytona.Sandbox?
function Client:each(filter)
  filter = options.check("each", FILTER_SPEC, filter)
  local walk = setmetatable({ client = self, query = list_query("each", filter), at = 0 }, Walk)
  return walk, nil, nil, walk
end

--- The rest --------------------------------------------------------------------------

---Whether the service is there and takes the credential.
---@return true?
---@return daytona.Error?
function Client:ping()
  local path = self.uses_jwt and "/users/me" or "/api-keys/current"
  local raw, err = call(self, "ping", { path = path, answer = "object" })
  if not raw then return nil, err end
  return true
end

---What the service says about itself: version, default_snapshot, rate_limit, ...
---@return table?
---@return daytona.Error?
function Client:config()
  local raw, err = call(self, "config", { path = "/config", answer = "object" })
  if not raw then return nil, err end
  return names.to_lua(raw)
end

local REQUEST = {
  query = "table", json = "any", body = "string", headers = "map", timeout = "seconds", safe = "boolean",
  max_bytes = "positive",
}

---Any call of the service's API: `client:request("GET", "/regions")`. Returns a
---response with `status`, `headers`, `body` and, when the body is JSON, `json`
---as it came, in camelCase.
---@param method string
---@param path string   below api_url, already escaped, beginning with "/"
---@param opts? { query?: table, json?: any, body?: string, headers?: table<string, string>, timeout?: number, safe?: boolean, max_bytes?: integer }
---@return daytona.Response?
---@return daytona.Error?
function Client:request(method, path, opts)
  options.argument("request: the method", "text", method)
  options.argument("request: the path", "text", path)
  if path:sub(1, 1) ~= "/" then errors.misuse(1, "request: the path must begin with '/'") end
  opts = options.check("request", REQUEST, opts)
  local response, err = http.request(self:connection_of("request"), {
    method = method:upper(), path = path, query = opts.query, json = opts.json, body = opts.body,
    headers = opts.headers, timeout = opts.timeout, safe = opts.safe, max_bytes = opts.max_bytes,
    with_headers = true, operation = "request", what = method .. " " .. path,
  })
  if not response then return nil, err end
  local kind = response.headers["content-type"] or ""
  if response.body ~= "" and kind:find("json", 1, true) then
    response.json = require("daytona.http.json").decode(response.body)
  end
  return response
end

methods.guard(Client, "daytona.Client", "client")

return M
