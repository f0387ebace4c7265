-- MCP over Streamable HTTP, of one request: what is wrong with it, and its answer, as JSON
-- or as a stream of events. Nothing is kept between requests. Whose HTTP server it is,
-- does not matter here; nginx's is in ngx.lua.

local errors = require "daytona.base.errors"
local headers_of = require "daytona.agent.mcp.headers"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local options = require "daytona.base.options"
local protocol = require "daytona.agent.mcp.protocol"

local M = {}

-- Errors of JSON-RPC that are statuses of HTTP as well.
local STATUS = { [-32700] = 400, [-32600] = 400, [-32601] = 404, [-32020] = 400, [-32021] = 400, [-32022] = 400 }

---@class daytona.McpHttpRequest
---@field method string
---@field headers table<string, string>  by lower-case name
---@field body string

---@class daytona.McpHttpAnswer
---@field status integer
---@field headers table<string, string>
---@field body? string
---@field stream? fun(send: fun(text: string))  instead of a body: sends it as it comes

local function plain(status, text, headers)
  headers = headers or {}
  headers["Content-Type"] = text and "text/plain" or nil
  return { status = status, headers = headers, body = text and text .. "\n" or "" }
end

local function encoded(message)
  local text, why = ordered.encode(message)
  return text or assert(ordered.encode(protocol.error(message.id, -32603, "the answer cannot be sent: " .. why)))
end

local function as_json(status, message)
  return { status = status, headers = { ["Content-Type"] = "application/json" }, body = encoded(message) }
end

--- Who may ask ------------------------------------------------------------------------------

-- A name that was made to lead here by somebody else is none of this server's.
local function foreign_host(headers, hosts)
  if not hosts then return false end
  local host = (headers.host or ""):lower()
  local name = host:match "^%[.*%]" or host:match "^[^:]*"
  for _, known in ipairs(hosts) do
    if name == known:lower() then return false end
  end
  return true
end

-- A page of another site must not reach a server that its visitor can reach.
local function foreign_origin(headers, origins)
  local origin = headers.origin
  if not origin then return false end
  for _, allowed in ipairs(origins or {}) do
    if origin == allowed then return false end
  end
  return origin:match "^https?://(.+)$" ~= headers.host
end

local function accepts(headers, kind)
  local accept = headers.accept
  return not accept or accept:find(kind, 1, true) ~= nil or accept:find("*/*", 1, true) ~= nil
end

-- What is wrong before the body is looked at.
local function refusal(request, opts)
  local headers = request.headers
  if foreign_host(headers, opts.hosts) then
    return plain(403, "this server is not known by the name it was called; `hosts` lists those that it has")
  end
  if foreign_origin(headers, opts.origins) then return plain(403, "this origin is not allowed") end
  if request.method ~= "POST" then return plain(405, "POST only", { Allow = "POST" }) end
  if opts.authorize then
    local fine, why = opts.authorize(headers)
    if not fine then return plain(401, why or "not authorized", { ["WWW-Authenticate"] = "Bearer" }) end
  end
  if not (headers["content-type"] or ""):find "^application/json" then return plain(415, "application/json only") end
  if not accepts(headers, "application/json") and not accepts(headers, "text/event-stream") then
    return plain(406, "the answer is application/json or text/event-stream")
  end
end

--- The answer -----------------------------------------------------------------------------------

local function event(message)
  return "event: message\ndata: " .. encoded(message) .. "\n\n"
end

local function wants_progress(message)
  local params = type(message.params) == "table" and message.params or {}
  return message.method == "tools/call" and type(params._meta) == "table" and params._meta.progressToken ~= nil
end

local STREAM = {
  ["Content-Type"] = "text/event-stream", ["Cache-Control"] = "no-cache", ["X-Accel-Buffering"] = "no",
}

local function as_stream(server, message, version)
  return { status = 200, headers = STREAM, stream = function(send)
    local response = server:handle(message, { version = version, notify = function(told) send(event(told)) end })
    if response then send(event(response)) end
  end }
end

local function ignore() end

local OPTIONS = { origins = "list", hosts = "list", authorize = "callable" }

---@class daytona.McpHttpOptions
---@field origins? string[]  pages that may ask besides the server's own: "https://app.example"
---@field hosts? string[]    names that the server is called by, without ports; any without
---@field authorize? fun(headers: table<string, string>): boolean?, string?  whether this request may be made

---Answers one request. Waits as long as the tool does (a stream: when it is called).
---@param server daytona.McpServer
---@param request daytona.McpHttpRequest
---@param opts? daytona.McpHttpOptions
---@return daytona.McpHttpAnswer
function M.answer(server, request, opts)
  opts = options.check("answer", OPTIONS, opts)
  if type(request.headers) ~= "table" then errors.misuse(1, "answer: the request has no headers") end
  local refused = refusal(request, opts)
  if refused then return refused end
  local message, why = json.decode(request.body or "")
  if message == nil then return as_json(400, protocol.not_json(why)) end
  if type(message) == "table" and message[1] == nil then
    local code, problem = headers_of.flaw(message, request.headers, server.toolset)
    if code then return as_json(400, protocol.error(message.id, code, problem)) end
  end
  local version = request.headers["mcp-protocol-version"]
  if type(message) == "table" and message.id ~= nil and wants_progress(message)
    and accepts(request.headers, "text/event-stream") then
    return as_stream(server, message, version)
  end
  local response = server:handle(message, { version = version, notify = ignore })
  if not response then return plain(202) end
  return as_json(response.error and STATUS[response.error.code] or 200, response)
end

return M
