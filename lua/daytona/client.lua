-- A client: one account at one service. It makes, finds and lists sandboxes.
-- What a sandbox does is in sandbox.lua; the wire is in http.lua.

local config = require "daytona.config"
local errors = require "daytona.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local methods = require "daytona.methods"
local options = require "daytona.options"
local process = require "daytona.process"
local random = require "daytona.random"
local sandbox = require "daytona.sandbox"
local url = require "daytona.url"
local version = require "daytona.version"
local wire = require "daytona.wire"

---@class daytona.Client
---@field api_url string
---@field target? string   the region of new sandboxes
---@field closed boolean
local Client = {}
Client.__index = Client
Client.__name = "daytona.Client"

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

--- Creating --------------------------------------------------------------------------

local function text_or_list(value)
  local fine = type(value) == "string" and value ~= ""
  if type(value) == "table" then
    fine = true
    for _, item in ipairs(value) do fine = fine and type(item) == "string" end
  end
  return fine, "a string or a list of strings"
end

local function volume_list(value)
  local expected = "a list of { volume_id =, mount_path =, subpath = }"
  if type(value) ~= "table" then return false, expected end
  for _, volume in ipairs(value) do
    if type(volume) ~= "table" or type(volume.volume_id) ~= "string" or type(volume.mount_path) ~= "string" then
      return false, expected
    end
  end
  return true
end

local function image_text(value)
  return type(value) == "string" and value:find("^[^%s%c]+$") ~= nil, "the name of an image, without white space"
end

---@class daytona.CreateOptions
---@field snapshot? string        name or id; the service's default without one and without image
---@field image? string           build from this image instead, "debian:12"
---@field name? string            unique in the organization; chosen here when absent
---@field language? "python"|"javascript"|"typescript"  what `run` takes; python
---@field user? string
---@field env? table<string, string>
---@field labels? table<string, string>
---@field public? boolean         previews need no token
---@field target? string          region
---@field cpu? integer            with image
---@field memory? integer         GiB, with image
---@field disk? integer           GiB, with image
---@field gpu? integer
---@field gpu_type? string|string[]
---@field spot? boolean
---@field auto_stop_interval? integer    minutes; 0 never
---@field auto_pause_interval? integer   minutes; 0 never
---@field auto_archive_interval? integer minutes; 0 as late as possible
---@field auto_delete_interval? integer  minutes; negative never, 0 when it stops
---@field ephemeral? boolean      deleted when it stops
---@field ttl_minutes? integer    deleted after so many minutes in any case
---@field volumes? { volume_id: string, mount_path: string, subpath?: string }[]
---@field secrets? table<string, string>  environment variable -> name of a secret
---@field network_block_all? boolean
---@field network_allow_list? string|string[]
---@field domain_allow_list? string|string[]
---@field outbound_proxy_url? string
---@field otel_endpoint_override? string
---@field linked_sandbox? string
---@field timeout? number         seconds until it must be started; 60, 0 for none
---@field wait? boolean           until it is started; true
---@field on_build_log? fun(line: string)  with image: gets each line of the build's log meanwhile
---@field keep? boolean           a sandbox that fails to start is not deleted
local CREATE = {
  snapshot = "text", image = image_text, name = "text", language = { "python", "javascript", "typescript" },
  user = "text", env = "map", labels = "map", public = "boolean", target = "text",
  cpu = "positive", memory = "positive", disk = "positive", gpu = "count", gpu_type = text_or_list, spot = "boolean",
  auto_stop_interval = "count", auto_pause_interval = "count", auto_archive_interval = "count",
  auto_delete_interval = "integer", ephemeral = "boolean", ttl_minutes = "count",
  volumes = volume_list, secrets = "map", network_block_all = "boolean",
  network_allow_list = text_or_list, domain_allow_list = text_or_list,
  outbound_proxy_url = "text", otel_endpoint_override = "text", linked_sandbox = "text",
  timeout = "seconds", wait = "boolean", keep = "boolean", on_build_log = "callable",
}

-- Options that go to the service as they are, under its name.
local AS_IS = {
  "snapshot", "user", "public", "cpu", "memory", "disk", "gpu", "spot", "auto_stop_interval",
  "auto_pause_interval", "auto_archive_interval", "auto_delete_interval", "ttl_minutes",
  "network_block_all", "outbound_proxy_url", "otel_endpoint_override", "linked_sandbox",
}

local function refuse_contradictions(opts)
  local pauses = (opts.auto_pause_interval or 0) > 0
  if opts.image and opts.snapshot then
    errors.misuse(1, "create: either image or snapshot")
  elseif opts.snapshot and (opts.cpu or opts.memory or opts.disk) then
    errors.misuse(1, "create: a snapshot brings its own cpu, memory and disk; these go with image")
  elseif opts.on_build_log and opts.wait == false then
    errors.misuse(1, "create: on_build_log hears the log while create waits; wait = false says otherwise")
  elseif opts.ephemeral and (opts.auto_delete_interval or 0) ~= 0 then
    errors.misuse(1, "create: an ephemeral sandbox is deleted when it stops; auto_delete_interval says otherwise")
  elseif pauses and (opts.auto_stop_interval or 0) > 0 then
    errors.misuse(1, "create: either auto_stop_interval or auto_pause_interval")
  elseif pauses and (opts.ephemeral or opts.auto_delete_interval == 0) then
    errors.misuse(1, "create: a sandbox that is deleted when it stops cannot pause by itself")
  end
end

local function as_csv(value)
  return type(value) == "table" and table.concat(value, ",") or value
end

local function as_list(value)
  return type(value) == "string" and { value } or value
end

-- { NAME = secret } -> [ { NAME: secret }, ... ], in order of name.
local function secret_list(secrets)
  local names, list = {}, {}
  for name in pairs(secrets) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = { [name] = secrets[name] } end
  return list
end

-- Marks a sandbox whose name the caller chose as made by one call of create, so
-- that it is known again after its answer was lost.
local MARK = "daytona-lua-create"

-- The body of the request, and what the sandbox is known again by.
local function create_body(self, opts)
  local body = {}
  for _, option in ipairs(AS_IS) do body[wire.camel_name(option)] = opts[option] end
  local labels = options.copy(opts.labels)
  labels[process.LANGUAGE_LABEL] = opts.language or labels[process.LANGUAGE_LABEL] or "python"
  local nonce = random.hex(8)
  if opts.name then labels[MARK] = nonce end
  body.name, body.labels = opts.name or "lua-" .. nonce, labels
  body.env = opts.env and next(opts.env) and opts.env or nil
  body.target = opts.target or self.target
  if opts.ephemeral then body.autoDeleteInterval = 0 end
  if opts.image then body.buildInfo = { dockerfileContent = "FROM " .. opts.image .. "\n" } end
  body.gpuType = as_list(opts.gpu_type)
  body.volumes = opts.volumes and opts.volumes[1] and wire.to_service(opts.volumes) or nil
  body.secrets = opts.secrets and next(opts.secrets) and secret_list(opts.secrets) or nil
  body.networkAllowList, body.domainAllowList = as_csv(opts.network_allow_list), as_csv(opts.domain_allow_list)
  return body, opts.name and nonce or nil
end

local function values_of(map)
  local values = {}
  for _, value in pairs(map or {}) do values[#values + 1] = value end
  return values
end

-- The state of one create: what was asked for, and how long there is.
---@class daytona.Creation
---@field client daytona.Client
---@field body table
---@field nonce? string   the mark, when the name is the caller's
---@field deadline? number
---@field secrets string[]
---@field keep boolean
---@field on_build_log? fun(line: string)
---@field log? daytona.BuildLog      while it is followed
---@field sandbox? daytona.Sandbox  once the service has made it
---@field unsure? boolean the service may have made it: nobody has looked, or could look, since

-- The sandbox that this very creation made, or nil, err. A name that was chosen
-- here is proof enough, any other needs the mark.
local function find_ours(creation, timeout)
  local raw, err = call(creation.client, "create", {
    method = "GET", path = url.path("/sandbox/{}", creation.body.name), answer = "object",
    flaw = sandbox.absent, timeout = timeout, what = creation.body.name,
  })
  if not raw then return nil, err end
  if creation.nonce and (raw.labels or {})[MARK] ~= creation.nonce then
    return nil, errors.new { kind = "not_found", message = "that name belongs to another sandbox" }
  end
  return raw
end

-- How long an abandoned creation is looked for while the service says that there
-- is none, and while it says nothing; a single look; between looks. Seconds.
local SEARCH, PATIENCE, LOOK, SEARCH_STEP = 3, 30, 10, 0.25

-- Nobody waits for this creation any more, but the service may be at it. Called
-- shielded.
local function undo(creation)
  local begun = loop.now()
  local raw, err
  repeat
    raw, err = find_ours(creation, LOOK)
    if raw then
      local gone
      gone, err = sandbox.new(creation.client, raw):delete { timeout = PATIENCE }
      if gone then return gone end
    end
    local missing = errors.is(err, "not_found")
    if not missing and not err.retryable then return nil, err end
    local limit = begun + (missing and SEARCH or PATIENCE)
  until loop.now() >= limit or not loop.sleep(SEARCH_STEP)
  return nil, err
end

-- on_abandon of the request.
local function undo_abandoned(_, request)
  if not request.creation.keep then undo(request.creation) end
end

local function left_of(creation)
  return creation.deadline and math.max(creation.deadline - loop.now(), 0.001) or 0
end

local function post(creation)
  return call(creation.client, "create", {
    method = "POST", path = "/sandbox", json = creation.body, answer = "object", flaw = sandbox.absent,
    timeout = left_of(creation), what = creation.body.name, secrets = creation.secrets,
    creation = creation, on_abandon = undo_abandoned,
  })
end

-- After these the service may have made the sandbox all the same.
local LOST = { connection = true, unavailable = true, server = true, protocol = true, conflict = true }

local function answer_was_lost(err)
  if err.status == 504 then return true end
  return LOST[err.kind] and err.code ~= "connect" and err.code ~= "resolve"
end

local MAY_REPEAT = { connection = true, unavailable = true, timeout = true }

-- The wait for it was cancelled.
local function was_canceled(creation, err)
  err.operation, err.what = "create", creation.body.name
  return nil, err
end

-- Makes the sandbox once: after a lost answer it is looked for by its name, and
-- only asked for again when it is not there. Under the same name a second one
-- cannot come to be. When it fails and `unsure` is left, there may be one.
local function allocate(creation)
  local delay, tries, most = 0.25, 0, creation.client.connection.max_retries
  while true do
    creation.unsure = false
    local raw, err = post(creation)
    if raw then return raw end
    if not answer_was_lost(err) then return nil, err end
    creation.unsure = true
    local found, why = find_ours(creation, creation.deadline and left_of(creation) or nil)
    if found then return found end
    if errors.is(why, "canceled") then return was_canceled(creation, why) end
    if not errors.is(why, "not_found") then return nil, err end
    tries = tries + 1
    local too_late = creation.deadline and loop.now() + delay >= creation.deadline
    if not MAY_REPEAT[err.kind] or tries > most or too_late then
      creation.unsure = false
      return nil, err
    end
    local slept, cancelled = loop.sleep(delay)
    if not slept then return was_canceled(creation, cancelled) end
    delay = delay * 2
  end
end

-- The sandbox is there, or may be, and could not be used: it is deleted unless it
-- is to be kept. Called shielded.
local function dispose(creation, err)
  local box = creation.sandbox
  if creation.log then creation.log:stop() end
  if creation.keep then return end
  if not box then
    if creation.unsure then undo(creation) end
    return
  end
  local gone, why = box:close()
  if not gone and errors.is(err) then
    err.message = err.message .. "; and it could not be deleted: " .. why.message
  end
end

local STARTED = { started = true }

local function create_and_wait(creation)
  local raw, err = allocate(creation)
  if not raw then
    loop.shield(dispose, creation, err)
    return nil, err
  end
  local box = sandbox.new(creation.client, raw)
  creation.sandbox = box
  if not creation.wait then return box end
  if creation.on_build_log and raw.buildInfo then
    creation.log = require("daytona.build_log").follow(box, creation.on_build_log)
  end
  local fine
  fine, err = sandbox.wait_until(box, "create", STARTED, creation.deadline, nil, false)
  if creation.log and not errors.is(err, "canceled") then creation.log:finish() end
  if fine then return box end
  loop.shield(dispose, creation, err)
  err.operation, err.sandbox = "create", box
  return nil, err
end

---Makes a sandbox and waits until it is started.
---
---It is made once, whatever happens to the answer. When it is there but does not
---start, or the caller is cancelled or interrupted meanwhile, it is deleted
---again, unless `keep`; the error then carries it in `err.sandbox`.
---What `on_build_log` raises is raised here, after the same.
---@param opts? daytona.CreateOptions
---@return daytona.Sandbox?
---@return daytona.Error?
function Client:create(opts)
  opts = options.check("create", CREATE, opts)
  refuse_contradictions(opts)
  self:connection_of("create")
  local body, nonce = create_body(self, opts)
  return loop.guard(create_and_wait, dispose, {
    client = self, body = body, nonce = nonce, secrets = values_of(opts.env),
    deadline = sandbox.deadline_after(opts.timeout or 60), keep = opts.keep or false, wait = opts.wait ~= false,
    on_build_log = opts.on_build_log,
  })
end

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
  states = { text_or_list }, snapshots = { text_or_list }, targets = { text_or_list, "regionIds" },
  sandbox_classes = { text_or_list },
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
      local text, problem = require("daytona.json").encode(value)
      if not text then errors.misuse(1, "%s: labels: %s", what, problem) end
      value = text
    end
    query[FILTERS[name][2] or wire.camel_name(name)] = value
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
  return wire.to_lua(raw)
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
    response.json = require("daytona.json").decode(response.body)
  end
  return response
end

methods.guard(Client, "daytona.Client", "client")

return M
