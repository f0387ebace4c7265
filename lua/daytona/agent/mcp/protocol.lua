-- The Model Context Protocol as a server speaks it, whatever carries the messages: a
-- request goes in, a response comes out, and what is said on the way goes through the
-- peer. Stateless as of revision 2026-07-28; clients of 2025-11-25 and before begin with
-- a handshake, of which nothing but the version is kept (in the peer).

local confirm = require "daytona.agent.mcp.confirm"
local durable = require "daytona.agent.mcp.durable"
local forms = require "daytona.agent.forms"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local options = require "daytona.base.options"
local resources = require "daytona.agent.mcp.resources"
local version = require "daytona.version"

local protocol = {}

local PREFIX = "io.modelcontextprotocol/"
local MODERN = "2026-07-28"
local LEGACY = { "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05" }

---The versions that are served, newest first.
protocol.VERSIONS = { MODERN, LEGACY[1], LEGACY[2], LEGACY[3], LEGACY[4] }
protocol.MODERN, protocol.PREFIX = MODERN, PREFIX

local PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
local MISSING_CAPABILITY, UNSUPPORTED_VERSION = -32021, -32022

-- Milliseconds that a client may keep a list: it is the same for ever.
local LIST_TTL = 3600000

---@class daytona.McpServer
---@field toolset daytona.Toolset
---@field task_after number   seconds after which a command becomes a task, where the client knows these
---@field confirm boolean     the user is asked before a tool destroys something
---@field definitions? table  made when they are first asked for
local Server = { __name = "daytona.McpServer" }
Server.__index = Server

---Whoever a server talks to: one process on stdio, one request on HTTP.
---@class daytona.McpPeer
---@field version? string                what a handshake agreed on
---@field notify fun(message: table)     sends a notification

---Makes a server of a toolset. Nothing is sent or read.
---@param toolset daytona.Toolset
---@param opts? { task_after?: number, confirm?: boolean }  seconds, 5; confirm: ask before a tool destroys something
---@return daytona.McpServer
function protocol.new(toolset, opts)
  opts = options.check("server", { task_after = "seconds", confirm = "boolean" }, opts)
  return setmetatable({
    toolset = toolset, task_after = opts.task_after or 5, confirm = opts.confirm or false,
  }, Server)
end

--- Errors -------------------------------------------------------------------------------

local function refuse(code, message, data)
  return nil, { code = code, message = message, data = data }
end

---The response that says an error, to a request of that id (nil: it is not known).
---@param id any
---@param code integer
---@param message string
---@param data? table
---@return table
function protocol.error(id, code, message, data)
  if id == nil then id = json.null end
  return { jsonrpc = "2.0", id = id, error = { code = code, message = message, data = data } }
end

--- What the server is ---------------------------------------------------------------------

local INFO = ordered.note({ name = "daytona-lua", title = "Daytona sandboxes", version = version.library },
  { "name", "title", "version" })

local INSTRUCTIONS = "These tools work in Daytona sandboxes, isolated Linux computers. Commands and code run in a "
  .. "sandbox, never on the user's computer. Of long output you see the ends; where the rest is, is said there. "
  .. "Delete sandboxes that you made when they are no longer needed."

local function capabilities(modern)
  local out = { tools = {}, resources = {} }
  if modern then out.extensions = { [PREFIX .. "tasks"] = {} } end
  return out
end

-- Method -> fn(server, params, context): a result, or nil and an error.
local METHODS = {}

METHODS["server/discover"] = function()
  return {
    supportedVersions = protocol.VERSIONS, capabilities = capabilities(true), instructions = INSTRUCTIONS,
    ttlMs = LIST_TTL, cacheScope = "public",
  }
end

local function known_legacy(wanted)
  for _, one in ipairs(LEGACY) do
    if one == wanted then return one end
  end
  return LEGACY[1]
end

function METHODS.initialize(_, params, context)
  if type(params.protocolVersion) ~= "string" then
    return refuse(INVALID_PARAMS, "protocolVersion is required, and must be a string")
  end
  context.peer.version = known_legacy(params.protocolVersion)
  return {
    protocolVersion = context.peer.version, capabilities = capabilities(false), serverInfo = INFO,
    instructions = INSTRUCTIONS,
  }
end

function METHODS.ping() return {} end

METHODS["tools/list"] = function(self, params)
  if params.cursor ~= nil then return refuse(INVALID_PARAMS, "there is one page only, and no cursor") end
  self.definitions = self.definitions or forms.definitions(self.toolset, "mcp")
  return { tools = self.definitions, ttlMs = LIST_TTL, cacheScope = "public" }
end

METHODS["resources/list"] = function()
  return { resources = json.array(), ttlMs = LIST_TTL, cacheScope = "public" }
end

METHODS["resources/templates/list"] = function()
  return { resourceTemplates = { resources.TEMPLATE }, ttlMs = LIST_TTL, cacheScope = "public" }
end

METHODS["resources/read"] = function(self, params, context)
  local contents, why, missing = resources.read(self.toolset, params.uri)
  if contents then return { contents = { contents }, ttlMs = 0, cacheScope = "private" } end
  return refuse(missing and not context.modern and -32002 or INVALID_PARAMS, why, { uri = params.uri })
end

--- Calls ------------------------------------------------------------------------------------

-- Sends progress while the request runs: numbers that grow, and a line of text.
local function reporter(context)
  local token = context.meta.progressToken
  if token == nil then return nil end
  local last = 0
  return function(message, progress, total)
    if context.over then return end
    if not progress or progress <= last then progress, total = last + 1, nil end
    last = progress
    context.peer.notify {
      jsonrpc = "2.0", method = "notifications/progress",
      params = { progressToken = token, progress = progress, total = total, message = message },
    }
  end
end

local function can_have_tasks(context)
  local extensions = context.modern and context.capabilities.extensions
  return type(extensions) == "table" and extensions[PREFIX .. "tasks"] ~= nil
end

METHODS["tools/call"] = function(self, params, context)
  local name, arguments = params.name, params.arguments
  if type(name) ~= "string" then return refuse(INVALID_PARAMS, "name is required, and must be a string") end
  local tool = self.toolset.by_name[name]
  if not tool then return refuse(INVALID_PARAMS, "there is no tool '" .. name .. "'") end
  if arguments ~= nil and (type(arguments) ~= "table" or arguments[1] ~= nil) then
    return refuse(INVALID_PARAMS, "arguments must be an object")
  end
  if self.confirm and confirm.concerns(tool) then
    local answer, why = confirm.ask(tool, params, context.modern and context.capabilities.elicitation ~= nil)
    if not answer then return refuse(INVALID_PARAMS, why) end
    if answer ~= true then return answer end
  end
  if tool.start and can_have_tasks(context) then return durable.begin(self, tool, arguments) end
  local result = self.toolset:call(name, arguments, { on_progress = reporter(context) })
  return forms.result("mcp", params, result)
end

local function task_method(fn)
  return function(self, params, context)
    if not can_have_tasks(context) then
      return refuse(MISSING_CAPABILITY, "the client must say that it knows tasks",
        { requiredCapabilities = { extensions = { [PREFIX .. "tasks"] = {} } } })
    end
    local result, why = fn(self.toolset, params.taskId)
    if result then return result end
    return refuse(INVALID_PARAMS, why)
  end
end

METHODS["tasks/get"] = task_method(durable.get)
METHODS["tasks/cancel"] = task_method(durable.cancel)
METHODS["tasks/update"] = task_method(durable.update)

-- Gone with 2026-07-28, and new with it.
local LEGACY_ONLY = { initialize = true, ping = true }
local MODERN_ONLY = { ["tasks/get"] = true, ["tasks/cancel"] = true, ["tasks/update"] = true }

--- Requests ---------------------------------------------------------------------------------

---What a request of the newest revision does not say about itself, but has to; nil when it
---says all, or is of another revision.
---@param meta table
---@return string?
function protocol.lack(meta)
  local wanted = meta[PREFIX .. "protocolVersion"]
  if type(wanted) ~= "string" then return "_meta has no " .. PREFIX .. "protocolVersion" end
  if wanted == MODERN and type(meta[PREFIX .. "clientCapabilities"]) ~= "table" then
    return "_meta has no " .. PREFIX .. "clientCapabilities"
  end
end

-- What a request says about itself; nil and an error when that is not enough.
local function context_of(message, peer)
  local params = message.params
  if params ~= nil and (type(params) ~= "table" or params[1] ~= nil) then
    return refuse(INVALID_PARAMS, "params must be an object")
  end
  local meta = params and params._meta
  if type(meta) ~= "table" then meta = {} end
  local wanted = meta[PREFIX .. "protocolVersion"]
  local context = { peer = peer, meta = meta, modern = wanted ~= nil, capabilities = {} }
  if not context.modern then return context end
  local lack = protocol.lack(meta)
  if lack then return refuse(INVALID_PARAMS, lack) end
  if wanted ~= MODERN then
    return refuse(UNSUPPORTED_VERSION, "this version of the protocol is not supported",
      { supported = protocol.VERSIONS, requested = wanted })
  end
  context.capabilities = meta[PREFIX .. "clientCapabilities"]
  return context
end

local function method_of(message, context)
  local name = message.method
  if context.modern and LEGACY_ONLY[name] or not context.modern and MODERN_ONLY[name] then return nil end
  return METHODS[name]
end

-- Revisions before the newest know nothing of how long a result may be kept.
local function finish(result, context)
  if context.modern then
    result.resultType = result.resultType or "complete"
    result._meta = { [PREFIX .. "serverInfo"] = INFO }
    return result
  end
  result.ttlMs, result.cacheScope = nil, nil
  return result
end

local function copy(result)
  local out = {}
  for key, value in pairs(result) do out[key] = value end
  return out
end

---Answers a request: the response, a table for `ordered.encode`. Waits as long as the tool
---does. nil for what wants no answer: a notification, a response, and a request whose
---task was cancelled.
---@param message any  decoded
---@param peer daytona.McpPeer
---@return table?
function Server:handle(message, peer)
  local is_object = type(message) == "table" and message[1] == nil
  if not is_object or message.jsonrpc ~= "2.0" or (message.method ~= nil and type(message.method) ~= "string") then
    local id = is_object and message.id or nil
    return protocol.error(type(id) ~= "table" and id or nil, INVALID_REQUEST, "this is no request of JSON-RPC 2.0")
  end
  if message.method == nil or message.id == nil then return nil end
  local context, result, problem
  context, problem = context_of(message, peer)
  if context then
    local method = method_of(message, context)
    if method then
      result, problem = method(self, message.params or {}, context)
      context.over = true
    else
      problem = { code = NO_METHOD, message = "there is no method '" .. message.method .. "'" }
    end
  end
  if not result then return protocol.error(message.id, problem.code, problem.message, problem.data) end
  return { jsonrpc = "2.0", id = message.id, result = finish(copy(result), context) }
end

---The response to what is not JSON.
---@param why string
---@return table
function protocol.not_json(why)
  return protocol.error(nil, PARSE_ERROR, why)
end

return protocol
