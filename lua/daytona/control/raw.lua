-- Calls that have no method here: any path of the service, or of the daemon in a sandbox,
-- with the credential, the retries, the deadlines and the errors of all other calls.

local daemon_refused = require "daytona.toolbox.refused"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local long_json = require "daytona.http.long_json"
local options = require "daytona.base.options"
local refused = require "daytona.control.refused"

local raw = {}

local function body(value)
  local kind = type(value)
  return kind == "string" or kind == "function" or io.type(value) == "file",
    "a string, an open file, or a function that returns the next chunk"
end

local function sink(value)
  return type(value) == "function" or io.type(value) == "file", "a function that takes chunks, or an open file"
end

local OPTIONS = {
  query = "table", json = "any", body = body, body_length = "count", headers = "map", sink = sink,
  timeout = "seconds", idle_timeout = "seconds", max_bytes = "positive", safe = "boolean",
  on_progress = "callable", trace = "boolean",
}

-- What both ways have in common.
---@class daytona.RequestOptions
---@field query? table           by name; a list of { name, value } keeps its order
---@field json? any              sent as JSON, or
---@field body? string|file*|fun(): string?, any  sent as it is; a function returns the next chunk, nil at the
---end, nil and a reason to give up
---@field body_length? integer   of a file or function, where it is known: else it is sent in chunks
---@field headers? table<string, string>  who says `Accept-Encoding` has the body as it comes, packed or not
---@field sink? file*|fun(chunk: string): any, any  where the answer's body goes; false, reason: gives up
---@field timeout? number        seconds for all of it; the client's, 0 for none
---@field idle_timeout? number   seconds without a byte
---@field max_bytes? integer     of an answer that is kept in memory
---@field safe? boolean          repeating it is harmless, which is else believed of GET, HEAD, PUT, DELETE
---@field on_progress? fun(done: integer, total?: integer)
---@field trace? boolean         the response, or the error, says in `trace` how it came (daytona.Trace)

---The options that all of them have, by type.
raw.OPTIONS = OPTIONS

---A request of them, checked.
---@param method string
---@param path string
---@param opts table
---@return daytona.Request
function raw.request_of(method, path, opts)
  local request = {
    method = method:upper(), path = path, query = opts.query, json = opts.json, headers = opts.headers,
    timeout = opts.timeout, idle_timeout = opts.idle_timeout, max_bytes = opts.max_bytes, safe = opts.safe,
    on_progress = opts.on_progress, trace = opts.trace,
    with_headers = true, operation = "request", body_length = opts.body_length,
  }
  local given = opts.body
  request[type(given) == "function" and "body_source" or io.type(given) and "body_file" or "body"] = given
  if opts.sink then request[type(opts.sink) == "function" and "sink" or "sink_file"] = opts.sink end
  return request
end

---@param method string
---@param path string
---@param spec table<string, any>
---@param opts? table
---@return table opts
function raw.checked(method, path, spec, opts)
  options.argument("request: the method", "text", method)
  options.argument("request: the path", "text", path)
  if path:sub(1, 1) ~= "/" then errors.misuse(1, "request: the path must begin with '/'") end
  opts = options.check("request", spec, opts)
  if opts.json ~= nil and opts.body ~= nil then errors.misuse(1, "request: either 'json' or 'body', not both") end
  return opts
end

---Sends it; of JSON in the answer, `json` is made.
---@param connection daytona.Connection
---@param request daytona.Request
---@return daytona.Response?
---@return daytona.Error?
function raw.send(connection, request)
  local response, err = http.request(connection, request)
  if not response then return nil, err end
  local kind = response.headers["content-type"] or ""
  if response.body ~= "" and kind:find("json", 1, true) then response.json = long_json.decode(response.body) end
  return response
end

local checked, request_of, send = raw.checked, raw.request_of, raw.send

local OF_CLIENT = { service = { "analytics" } }
for name, kind in pairs(OPTIONS) do OF_CLIENT[name] = kind end

-- The way to a service beside the API, which says itself where that is.
local function way_to(self, service)
  local connection = self:connection_of "request"
  if not service then return connection end
  local known, err = self:config()
  if not known then return nil, err end
  local address = known[service .. "_api_url"]
  if not address then
    return nil, errors.new {
      kind = "unsupported", operation = "request", message = "this service names no address of its " .. service,
    }
  end
  local _, refusal = self:check_address(address, service)
  if refusal then return nil, refusal end
  return http.rebase(connection, (address:gsub("/+$", "")))
end

---Any call of the service's API: `client:request("GET", "/regions")`. Returns a
---response with `status`, `headers`, `body` and, when the body is JSON, `json`
---as it came, in camelCase. With `service = "analytics"` the path is below the address
---of that; kind "unsupported" where the service has none.
---@param self daytona.Client
---@param method string
---@param path string   below api_url, already escaped, beginning with "/"
---@param opts? daytona.RequestOptions
---@return daytona.Response?
---@return daytona.Error?
function raw.of_client(self, method, path, opts)
  opts = checked(method, path, OF_CLIENT, opts)
  local connection, err = way_to(self, opts.service)
  if not connection then return nil, err end
  local request = request_of(method, path, opts)
  request.what = request.method .. " " .. path
  local response
  response, err = send(connection, request)
  if not response then return nil, refused(err) end
  return response
end

---Any call of the daemon in the sandbox: `sb:request("GET", "/version")`. As
---`client:request`; the path is below the sandbox's toolbox.
---@param self daytona.Sandbox
---@param method string
---@param path string   already escaped, beginning with "/"
---@param opts? daytona.RequestOptions
---@return daytona.Response?
---@return daytona.Error?
function raw.of_sandbox(self, method, path, opts)
  opts = checked(method, path, OPTIONS, opts)
  local connection, err = self:toolbox()
  if not connection then return nil, err end
  local request = request_of(method, path, opts)
  request.sandbox = self
  local response
  response, err = send(connection, request)
  if not response then return nil, daemon_refused(err) end
  return response
end

return raw
