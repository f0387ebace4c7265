-- Configuration: from options, the environment and, when asked for, an env
-- file, to what a client needs to know. Sends nothing.
--
-- What is given explicitly wins over the environment, that over the file, that
-- over the default. An empty variable counts as unset. A file chooses an address for
-- the credential that it holds, and for no other.

local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local url = require "daytona.http.url"

local config = {}

config.DEFAULT_API_URL = "https://app.daytona.io/api"

local function is_line(value)
  return type(value) == "string" and not value:find("%c"), "a string without control characters"
end

---What `daytona.new` takes. Everything is optional where the environment says it.
---@class daytona.Config
---@field api_key? string         DAYTONA_API_KEY
---@field jwt_token? string       DAYTONA_JWT_TOKEN; needs organization_id
---@field organization_id? string DAYTONA_ORGANIZATION_ID
---@field api_url? string         DAYTONA_API_URL; https://app.daytona.io/api
---@field server_url? string      old name of api_url (DAYTONA_SERVER_URL)
---@field target? string          DAYTONA_TARGET: the region of new sandboxes
---@field env_file? boolean|string read this file too; true: .env.local and .env here
---@field proxy? string           "": none; unset: as https_proxy and no_proxy say
---@field no_proxy? string
---@field ca_file? string         who is trusted instead of the system's authorities: a bundle,
---@field ca_path? string         or a folder of them by hash
---@field client_cert? string
---@field client_key? string
---@field insecure? boolean       do not verify certificates
---@field insecure_http? boolean  allow http to another machine
---@field connect_timeout? number seconds; 10
---@field timeout? number         seconds, of a plain request; 60, and 0 for none
---@field max_bytes? integer      cap of an answer kept in memory; 64 MiB
---@field compression? boolean    answers and trees of files may travel packed; true
---@field max_retries? integer    further tries where repeating is safe; 3
---@field max_connections? integer to one host; 256. The first client that says it sets it for the whole program
---@field user_agent? string      added to ours
---@field budget? daytona.Budget  that what it makes must fit in
---@field ledger? string|false    folder of the notes of what was made, for `reap` after a crash: ~/.local/state/daytona/ledger
---@field on_request? fun(info: daytona.RequestInfo)   called before each try of a request; must not wait
---@field on_response? fun(info: daytona.RequestInfo)  called with what came of it: `status` or `err`, and `trace`
---@field on_retry? fun(info: daytona.RequestInfo)     called before another try: `err`, and `delay`, seconds
---@field traceparent? boolean|string|fun(): string?   a W3C trace context for each request: true: a new trace each; a text,
---or what a function returns: a child of that
---@field trace? boolean          responses and errors say in `trace` how they came
---@field events? boolean         waits listen to the service's events where they can; true, and false where
---DAYTONA_USE_DEPRECATED_POLLING is "true"
local SPEC = {
  api_key = "string", jwt_token = "string", organization_id = "string",
  api_url = "string", server_url = "string", target = "string",
  env_file = function(v) return type(v) == "boolean" or type(v) == "string", "true, false or a path" end,
  proxy = is_line, no_proxy = is_line, ca_file = "text", ca_path = "text",
  client_cert = "text", client_key = "text", insecure = "boolean", insecure_http = "boolean",
  connect_timeout = "seconds", timeout = "seconds", max_bytes = "positive",
  max_retries = "count", max_connections = "positive", user_agent = is_line,
  compression = "boolean",
  budget = function(v)
    local meta = type(v) == "table" and getmetatable(v)
    return type(meta) == "table" and meta.__name == "daytona.Budget", "a budget (daytona.budget)"
  end,
  ledger = function(v) return v == false or type(v) == "string" and v:sub(1, 1) == "/", "false or an absolute path" end,
  events = "boolean", on_request = "callable", on_response = "callable", on_retry = "callable", trace = "boolean",
  traceparent = function(v)
    if type(v) == "string" then return v:find "^%x%x%-%x+%-%x+%-%x%x$" ~= nil, "a W3C traceparent" end
    return type(v) == "boolean" or type(v) == "function", "true, a W3C traceparent, or a function that returns one"
  end,
}

local DEFAULTS = {
  connect_timeout = 10, timeout = 60, max_bytes = 64 * 1024 * 1024, max_retries = 3,
}

-- Option -> variables, the first that is set counts.
local VARIABLES = {
  api_key = { "DAYTONA_API_KEY" },
  jwt_token = { "DAYTONA_JWT_TOKEN" },
  organization_id = { "DAYTONA_ORGANIZATION_ID" },
  api_url = { "DAYTONA_API_URL", "DAYTONA_SERVER_URL" },
  target = { "DAYTONA_TARGET" },
}

local function first_set(names, get)
  for i = 1, #names do
    local value = get(names[i])
    if value ~= nil and value ~= "" then return value end
  end
end

-- Each setting and where it came from: "option", "environment", "file".
local function gather(opts, env, file)
  local values, origin = {}, {}
  -- A variable that is present but empty hides the file's.
  local function from_file(name) if env(name) == nil then return file[name] end end
  for name, variables in pairs(VARIABLES) do
    local value, from = opts[name], "option"
    if name == "api_url" and (value == nil or value == "") then value = opts.server_url end
    if value == nil or value == "" then value, from = first_set(variables, env), "environment" end
    if value == nil then value, from = first_set(variables, from_file), "file" end
    values[name], origin[name] = value, value and from
  end
  return values, origin
end

local function fail(fmt, ...)
  return nil, errors.new { kind = "config", operation = "configure", message = fmt:format(...) }
end

-- An explicit JWT must not be shadowed by a key that happens to be around; in
-- the same place, the key wins.
local RANK = { option = 3, environment = 2, file = 1 }

local function choose_credential(values, origin)
  if values.api_key and values.jwt_token then
    if RANK[origin.jwt_token] > RANK[origin.api_key] then values.api_key = nil
    else values.jwt_token = nil end
  end
  return origin[values.api_key and "api_key" or "jwt_token"]
end

local function check_credential(values)
  if not values.api_key and not values.jwt_token then
    return fail("no API key: pass api_key, or set DAYTONA_API_KEY "
      .. "(without an account: bin/daytona-devserver is a local server, and prints both variables)")
  end
  if values.jwt_token and not values.organization_id then
    return fail("a JWT needs its organization: pass organization_id, or set DAYTONA_ORGANIZATION_ID")
  end
  local credential = values.api_key or values.jwt_token
  if credential:find("[%c ]") or credential:find("[\128-\255]") then
    return fail("the %s holds white space or characters that no key has", values.api_key and "API key" or "JWT")
  end
  if values.organization_id and values.organization_id:find("%c") then
    return fail("organization_id holds a control character")
  end
  return true
end

local function check_url(text, insecure_http)
  local parts = url.parse(text)
  if not parts then return fail("api_url is not an http or https URL: %s", text) end
  if parts.userinfo then return fail("api_url must not hold a user name or password") end
  if parts.path:find("?", 1, true) then return fail("api_url must not hold a query: %s", text) end
  if parts.scheme == "http" and not insecure_http and not url.is_loopback(parts.host) then
    return fail("api_url would send the key unencrypted to %s: use https, or pass insecure_http = true", parts.host)
  end
  return (url.text(parts):gsub("/+$", ""))
end

---Resolves a configuration: a new table of daytona.Config in which credentials,
---api_url and the limits are settled. Raises on an unknown or mistyped option;
---nil and an error of kind "config" when credentials are missing, the URL is
---unusable or an env file named explicitly cannot be read.
---@param opts? daytona.Config
---@param env? fun(name: string): string?  os.getenv
---@return daytona.Config?
---@return daytona.Error?
function config.resolve(opts, env)
  opts = options.check("daytona.new", SPEC, opts)
  local file, why = {}, nil
  if opts.env_file then file, why = require("daytona.control.env_file").read(opts.env_file) end
  if not file then return fail("the env file cannot be read: %s", why) end
  local values, origin = gather(opts, env or os.getenv, file)
  for _, name in ipairs { "api_key", "jwt_token" } do
    if opts[name] == "" then return fail("%s is an empty string; leave it out to take the environment's", name) end
  end
  local credential_from = choose_credential(values, origin)
  local fine, err = check_credential(values)
  if not fine then return nil, err end
  if origin.api_url == "file" and credential_from ~= "file" then
    return fail("the env file chooses api_url, but the credential is not from there: "
      .. "set DAYTONA_API_URL too, or pass api_url")
  end
  local resolved = options.copy(opts)
  for name, value in pairs(DEFAULTS) do
    if resolved[name] == nil then resolved[name] = value end
  end
  for name in pairs(VARIABLES) do resolved[name] = values[name] end
  resolved.server_url, resolved.env_file = nil, nil
  if resolved.events == nil then
    resolved.events = ((env or os.getenv) "DAYTONA_USE_DEPRECATED_POLLING" or ""):lower() ~= "true"
  end
  resolved.api_url, err = check_url(values.api_url or config.DEFAULT_API_URL, opts.insecure_http)
  if not resolved.api_url then return nil, err end
  return resolved
end

return config
