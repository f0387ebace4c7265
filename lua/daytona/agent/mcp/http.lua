-- MCP over Streamable HTTP, of one request: what is wrong with it, and its answer, as JSON
-- or as a stream of events. Nothing is kept between requests. Whose HTTP server it is,
-- does not matter here; nginx's is in ngx.lua.

local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local options = require "daytona.base.options"
local protocol = require "daytona.agent.mcp.protocol"

local M = {}

local HEADER_MISMATCH = -32020

-- Errors of JSON-RPC that are statuses of HTTP as well.
local STATUS = { [-32700] = 400, [-32600] = 400, [-32601] = 404, [-32020] = 400, [-32021] = 400, [-32022] = 400 }

-- What a method is about, as its header has to say.
local NAMED = { ["tools/call"] = "name", ["prompts/get"] = "name", ["resources/read"] = "uri" }

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
  local text, why = json.stable(message)
  return text or assert(json.stable(protocol.error(message.id, -32603, "the answer cannot be sent: " .. why)))
end

local function as_json(status, message)
  return { status = status, headers = { ["Content-Type"] = "application/json" }, body = encoded(message) }
end

--- Who may ask ------------------------------------------------------------------------------

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

--- Headers and body say the same ------------------------------------------------------------------

local META = protocol.PREFIX .. "protocolVersion"

local function mismatch(name, said, wanted)
  return ("the header %s says %s, the body '%s'"):format(name, said and "'" .. said .. "'" or "nothing", wanted)
end

-- What headers and body disagree about, or nil. Before the newest revision they may.
local function disagreement(message, headers)
  local params = type(message.params) == "table" and message.params or {}
  local meta = type(params._meta) == "table" and params._meta or {}
  local version = meta[META]
  if version == nil and headers["mcp-protocol-version"] ~= protocol.MODERN then return nil end
  local field = NAMED[message.method]
  local pairs_of = {
    { "MCP-Protocol-Version", tostring(version) }, { "Mcp-Method", tostring(message.method) },
    field and { "Mcp-Name", tostring(params[field]) } or nil,
  }
  for _, row in ipairs(pairs_of) do
    local said = headers[row[1]:lower()]
    if said ~= row[2] then return mismatch(row[1], said, row[2]) end
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

local OPTIONS = { origins = "list", authorize = "callable" }

---Answers one request. Waits as long as the tool does (a stream: when it is called).
---@param server daytona.McpServer
---@param request daytona.McpHttpRequest
---@param opts? { origins?: string[], authorize?: fun(headers: table<string, string>): boolean?, string? }  origins that may ask besides the server's own
---@return daytona.McpHttpAnswer
function M.answer(server, request, opts)
  opts = options.check("answer", OPTIONS, opts)
  if type(request.headers) ~= "table" then errors.misuse(1, "answer: the request has no headers") end
  local refused = refusal(request, opts)
  if refused then return refused end
  local message, why = json.decode(request.body or "")
  if message == nil then return as_json(400, protocol.not_json(why)) end
  if type(message) == "table" and message[1] == nil then
    local problem = disagreement(message, request.headers)
    if problem then return as_json(400, protocol.error(message.id, HEADER_MISMATCH, problem)) end
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
