-- The Agent Client Protocol, version 1, as an agent speaks it: requests of an editor go in,
-- responses come out, and questions go the other way. What carries the messages is
-- mcp/stdio.lua, which knows JSON-RPC.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local options = require "daytona.base.options"
local past = require "daytona.agent.acp.past"
local rpc = require "daytona.agent.mcp.protocol"
local sessions = require "daytona.agent.acp.session"
local toolsets = require "daytona.agent.tools"
local updates = require "daytona.agent.acp.updates"
local version = require "daytona.version"

local protocol = {}

local VERSION = 1

local INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL, AUTH_REQUIRED = -32600, -32601, -32602, -32603, -32000
local NOT_FOUND = -32002

---@class daytona.AcpOptions
---@field tools? string[]   sets; "coding"
---@field model? string
---@field api? "responses"|"messages"|"chat"
---@field steps? integer    replies of the model in one turn
---@field yes? boolean      nobody is asked
---@field history? boolean  sessions are kept, so that they can go on later; true without
---@field client? daytona.Client
---@field sandbox? string|daytona.Sandbox  to work in; without, one for each session
---@field create? daytona.CreateOptions    how that is made
local OPTIONS = {
  tools = "list", model = "text", api = { "responses", "messages", "chat" }, steps = "positive", yes = "boolean",
  history = "boolean",
  client = "table", sandbox = "any", create = "table",
}

---@class daytona.AcpServer
---@field options daytona.AcpOptions
---@field sessions table<string, daytona.AcpSession>
---@field asked integer
---@field pending table<string, { latch: daytona.Latch, result: any }>  questions to the editor
---@field past? daytona.AcpPast
---@field peer? { notify: fun(message: table) }
local Server = { __name = "daytona.AcpServer" }
Server.__index = Server

---Makes a server. Nothing is sent or read. Raises at options that are none.
---@param opts? daytona.AcpOptions
---@return daytona.AcpServer
function protocol.new(opts)
  opts = options.check("acp", OPTIONS, opts)
  toolsets.new(opts.tools or {}) -- raises at unknown sets
  return setmetatable({
    options = opts, sessions = {}, asked = 0, pending = {}, past = opts.history ~= false and past.new() or nil,
  }, Server)
end

--- To the editor ------------------------------------------------------------------------------

---Sends a notification.
---@param method string
---@param params table
function Server:notify(method, params)
  self.peer.notify { jsonrpc = "2.0", method = method, params = params }
end

---Asks the editor, and waits for its answer; nil when that is an error, or the task was
---cancelled.
---@param method string
---@param params table
---@return any
function Server:ask(method, params)
  self.asked = self.asked + 1
  local id, question = "daytona-" .. self.asked, { latch = new_latch() }
  self.pending[id] = question
  self.peer.notify { jsonrpc = "2.0", id = id, method = method, params = params }
  local came = loop.join(question.latch)
  self.pending[id] = nil
  return came and question.result or nil
end

local function take_answer(self, message)
  local question = self.pending[message.id]
  if not question then return end
  question.result = message.result
  question.latch:open()
end

--- Of the editor ---------------------------------------------------------------------------------

local function refuse(code, message, data)
  return nil, { code = code, message = message, data = data }
end

-- Method -> fn(self, params): a result, or nil and an error.
local METHODS = {}

local function session_capabilities(self)
  if not self.past then return { close = {} } end
  return { close = {}, list = {}, resume = {}, delete = {} }
end

function METHODS.initialize(self, params)
  if type(params.protocolVersion) ~= "number" then
    return refuse(INVALID_PARAMS, "protocolVersion is required, and must be a number")
  end
  return {
    protocolVersion = VERSION, authMethods = json.array(),
    agentInfo = { name = "daytona-lua", title = "Daytona", version = version.library },
    agentCapabilities = {
      loadSession = self.past ~= nil, sessionCapabilities = session_capabilities(self),
      promptCapabilities = { image = false, audio = false, embeddedContext = true },
      mcpCapabilities = { http = false, sse = false },
    },
  }
end

-- The folder that a request is about; nil when it is none.
local function folder_of(params)
  local folder = params.cwd
  if type(folder) ~= "string" or folder:sub(1, 1) ~= "/" or core.stat(folder) ~= "directory" then return nil end
  return core.real_path(folder) or folder
end

local function begin(self, id, folder, title)
  local session, err = sessions.new(self, id, folder, title)
  if not session then return refuse(AUTH_REQUIRED, tostring(err)) end
  self.sessions[id] = session
  return session
end

METHODS["session/new"] = function(self, params)
  local folder = folder_of(params)
  if not folder then return refuse(INVALID_PARAMS, "cwd must be the absolute path of a folder") end
  local id = "daytona-" .. core.hex(core.random(8))
  local session, problem = begin(self, id, folder)
  if not session then return nil, problem end
  return { sessionId = id }
end

-- A session of the past, as it goes on: with a sandbox of its own, which gets the project
-- as it is now.
local function go_on(self, params)
  local session = self.sessions[params.sessionId or ""]
  if session then return session end
  local record = self.past and self.past:find(params.sessionId)
  if not record then return refuse(NOT_FOUND, "there is no such session") end
  local folder = folder_of(params)
  if not folder then return refuse(INVALID_PARAMS, "cwd must be the absolute path of a folder") end
  return begin(self, record.sessionId, folder, record.title)
end

METHODS["session/load"] = function(self, params)
  local session, problem = go_on(self, params)
  if not session then return nil, problem end
  if session.working then return refuse(INVALID_REQUEST, "a prompt of this session is in progress") end
  session:replay()
  return {}
end

METHODS["session/resume"] = function(self, params)
  local session, problem = go_on(self, params)
  if not session then return nil, problem end
  return {}
end

METHODS["session/list"] = function(self, params)
  local folder = type(params.cwd) == "string" and (core.real_path(params.cwd) or params.cwd) or nil
  return { sessions = self.past and self.past:list(folder) or json.array() }
end

METHODS["session/close"] = function(self, params)
  local session = self.sessions[params.sessionId or ""]
  if not session then return refuse(NOT_FOUND, "there is no such session") end
  self.sessions[session.id] = nil
  session:close()
  return {}
end

METHODS["session/delete"] = function(self, params)
  local session = self.sessions[params.sessionId or ""]
  if session then METHODS["session/close"](self, params) end
  if self.past then self.past:remove(params.sessionId) end
  return {}
end

METHODS["session/prompt"] = function(self, params)
  local session = self.sessions[params.sessionId or ""]
  if not session then return refuse(INVALID_PARAMS, "there is no such session") end
  if session.working then return refuse(INVALID_REQUEST, "a prompt of this session is in progress") end
  local text, why = updates.prompt(params.prompt, session.folder)
  if not text then return refuse(INVALID_PARAMS, why) end
  local reason, err = session:prompt(text)
  if reason then return { stopReason = reason } end
  local code = (errors.is(err, "auth") or errors.is(err, "config")) and AUTH_REQUIRED or INTERNAL
  return refuse(code, tostring(err), { kind = errors.is(err) and err.kind or nil })
end

local NOTIFICATIONS = {}

NOTIFICATIONS["session/cancel"] = function(self, params)
  local session = self.sessions[params.sessionId or ""]
  if session then session:cancel() end
end

--- Messages ------------------------------------------------------------------------------------------

-- A message without an id is a notification, one without a method an answer.
local function heard(self, message, params)
  if message.method == nil then return take_answer(self, message) end
  local notice = NOTIFICATIONS[message.method]
  if notice then notice(self, params) end
end

local function perform(self, method, params)
  if not METHODS[method] then return refuse(NO_METHOD, "there is no method '" .. method .. "'") end
  if type(params) ~= "table" or params[1] ~= nil then return refuse(INVALID_PARAMS, "params must be an object") end
  return METHODS[method](self, params)
end

---Answers a request: the response. Waits as long as a turn takes. nil for what wants no
---answer.
---@param message any  decoded
---@param peer { notify: fun(message: table) }
---@return table?
function Server:handle(message, peer)
  self.peer = peer
  local is_object = type(message) == "table" and message[1] == nil
  if not is_object or message.jsonrpc ~= "2.0" or (message.method ~= nil and type(message.method) ~= "string") then
    local id = is_object and message.id or nil
    return rpc.error(type(id) ~= "table" and id or nil, INVALID_REQUEST, "this is no request of JSON-RPC 2.0")
  end
  local params = message.params == nil and {} or message.params
  if message.method == nil or message.id == nil then
    return heard(self, message, type(params) == "table" and params or {})
  end
  local result, problem = perform(self, message.method, params)
  if not result then return rpc.error(message.id, problem.code, problem.message, problem.data) end
  return { jsonrpc = "2.0", id = message.id, result = result }
end

---Ends all sessions.
function Server:close()
  for id, session in pairs(self.sessions) do
    self.sessions[id] = nil
    session:close()
  end
end

return protocol
