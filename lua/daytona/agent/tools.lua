-- Toolsets: what a model can call, defined once, checked, run and answered. What the
-- tools are is in sets/, how definitions and results look to an API in forms.lua.
--
--   local tools = daytona.tools { "operations" }
--   tools:definitions "openai"
--   local result = tools:call(name, arguments)     -- a table, or the JSON text of a model
--   tools:result("openai", call, result)

local arguments_of = require "daytona.agent.arguments"
local clients = require "daytona.control.client"
local errors = require "daytona.base.errors"
local ordered = require "daytona.http.ordered_json"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local outcome = require "daytona.agent.outcome"
local output = require "daytona.agent.output"
local schema = require "daytona.agent.schema"
local task = require "daytona.loop.task"

local M = {}

---A tool, written once. `run` is given arguments that fit `input`, and the call; it
---returns data that fits `output`, or nil and why not (an error, or a text). A second
---value after data is more about the result: `text` for the model in place of the data
---as JSON, `images`, `truncated`, `read_more`, `sandbox`.
---@class daytona.Tool
---@field name string             of [A-Za-z0-9_-], at most 64 of them
---@field title? string
---@field description string
---@field input? table            JSON Schema 2020-12 of the arguments; none without
---@field output? table           of the data
---@field annotations? { readOnlyHint?: boolean, destructiveHint?: boolean, idempotentHint?: boolean, openWorldHint?: boolean }
---@field run fun(arguments: table, call: daytona.ToolCall): table?, any
---@field takes_api_key? boolean  a call may bring an `apiKey` of its own, which definitions show on demand only
---@field start? fun(arguments: table, call: daytona.ToolCall): { sandbox: string, job: string }?, any  begins it as a job that outlives the program
---@field native? table<string, table>  form -> what defines it there, of tools that models bring along
---@field reply? table<string, fun(call: table, result: daytona.ToolResult): table>  form -> its result there
---@field finish? fun(call: daytona.ToolCall, sandbox: daytona.Sandbox, done: daytona.Captured): table?, any  what `run` would have returned of that

---What came of a call. Never an exception.
---@class daytona.ToolResult
---@field ok boolean
---@field tool? string        whose it is, when there is such a tool
---@field data? table         of a call that went well: as the tool's output schema says
---@field text string         for the model; of a failure: what went wrong and what to do about it
---@field images { data: string, mime_type: string }[]  base64
---@field truncated boolean   the text is not all there is
---@field read_more? string   path in the sandbox of all of it
---@field sandbox? string     id of the sandbox of that path
---@field error? { kind: string, message: string, retryable: boolean }

---@class daytona.ToolOptions
---@field client? daytona.Client    else one of api_key and api_url, else the default one
---@field api_key? string
---@field api_url? string
---@field sandbox? string|daytona.Sandbox  id, name or object, for the sets that work in one
---@field create? daytona.CreateOptions    how that is made when it is not given; it is deleted by `close`
---@field ask? fun(call: { name: string, arguments: table, tool: daytona.Tool }): "allow_once"|"allow_always"|"reject_once"|"reject_always"|boolean  before each call
---@field show_api_key? boolean     definitions have `apiKey`
---@field max_lines? integer        of a result's text, 2000
---@field max_bytes? integer        51200
---@field session? string           id, for the set "session"
---@field store? table|string       where sessions are kept, see daytona.agent.store
---@field secrets? table<string, string|table<string, string>>  by name, those of several values by key: the session's DAYTONA_API_KEY and GITHUB_TOKEN, and what components name; no result shows them
---@field folder? string            of the sandbox: where relative paths and commands of the set "coding" start
---@field checkout? string          local git checkout that the set "coding" can sync with
---@field storage? string           local folder that the set "session" downloads into

local function is_secrets(value)
  local expected = "a table of texts, or of tables of texts, by name"
  if type(value) ~= "table" then return false, expected end
  for name, secret in pairs(value) do
    if type(name) ~= "string" then return false, expected end
    for _, text in pairs(type(secret) == "table" and secret or { secret }) do
      if type(text) ~= "string" then return false, expected end
    end
  end
  return true
end

local OPTIONS = {
  client = "table", api_key = "text", api_url = "text", sandbox = "any", create = "table", ask = "callable",
  show_api_key = "boolean", max_lines = "positive", max_bytes = "positive", session = "text", store = "any",
  storage = "text", secrets = is_secrets, checkout = "text", folder = "text",
}

---@class daytona.Toolset
---@field tools daytona.Tool[]       as their definitions are ordered
---@field by_name table<string, daytona.Tool>
---@field options daytona.ToolOptions
local Toolset = { __name = "daytona.Toolset" }
Toolset.__index = Toolset

local SETS = { "operations", "components", "session", "coding", "native", "computer", "daytona" }

---"toolset (12 tools)"
---@private
function Toolset:__tostring()
  return ("toolset (%d tools)"):format(#self.tools)
end

--- Making one ---------------------------------------------------------------------------

local TOOL = {
  name = "text", title = "text", description = "text", input = "table", output = "table", annotations = "table",
  run = "callable", takes_api_key = "boolean", start = "callable", finish = "callable",
  native = "table", reply = "table",
}

local function check_tool(tool)
  options.check("add", TOOL, tool)
  for _, name in ipairs { "name", "description", "run" } do
    if tool[name] == nil then errors.misuse(1, "add: the tool has no %s", name) end
  end
  if tool.name:find "[^%w_-]" or #tool.name > 64 then
    errors.misuse(1, "add: '%s' is no name for a tool: letters, digits, '_' and '-', at most 64", tool.name)
  end
  for _, which in ipairs { "input", "output" } do
    local flaw = tool[which] and schema.flaw(tool[which])
    if flaw then errors.misuse(1, "add: the %s schema of %s: %s", which, tool.name, flaw) end
  end
end

---Adds a tool, of the program's own or from elsewhere. Raises when it is none, or when
---there is one of that name.
---@param tool daytona.Tool
---@return daytona.Toolset
function Toolset:add(tool)
  check_tool(tool)
  if self.by_name[tool.name] then errors.misuse(1, "add: there is a tool '%s' already", tool.name) end
  self.tools[#self.tools + 1] = tool
  self.by_name[tool.name] = tool
  return self
end

local function is_set(name)
  for _, known in ipairs(SETS) do
    if known == name then return true end
  end
  return false
end

-- Those of our own are not checked again at every start: a spec does.
local function add_set(self, name)
  if not is_set(name) then
    errors.misuse(1, "tools: there is no set '%s'; the sets are: %s", tostring(name), table.concat(SETS, ", "))
  end
  for _, tool in ipairs(require("daytona.agent.sets." .. name).tools(self)) do
    if not self.by_name[tool.name] then
      self.tools[#self.tools + 1] = tool
      self.by_name[tool.name] = tool
    end
  end
end

---Makes a toolset of sets by name ("operations", "components", "session", "coding", "native",
---"computer", "daytona") and of tools of the program's own. No request is made. Of two
---tools of one name in different sets the first is taken. Raises on an unknown name.
---@param sets string|(string|daytona.Tool)[]
---@param opts? daytona.ToolOptions
---@return daytona.Toolset
function M.new(sets, opts)
  opts = options.check("tools", OPTIONS, opts)
  if type(sets) == "string" then sets = { sets } end
  if type(sets) ~= "table" then errors.misuse(1, "tools: a list of sets expected, got %s", type(sets)) end
  local self = setmetatable({
    tools = {}, by_name = {}, options = opts, always = {}, boxes = {}, clients = {}, closers = {}, secrets = {},
  }, Toolset)
  for _, secret in pairs(opts.secrets or {}) do
    for _, text in pairs(type(secret) == "table" and secret or { secret }) do self:keep_secret(text) end
  end
  for _, set in ipairs(sets) do
    if type(set) == "table" then self:add(set) else add_set(self, set) end
  end
  return self
end

---From now on no result of this toolset shows that text.
---@param text string
function Toolset:keep_secret(text)
  self.secrets[text] = true
end

---The tools as an API wants them: "openai" (Responses), "openai_chat", "anthropic",
---"mcp", "codecompanion", "avante", or "lua", functions by name.
---@param form string
---@param opts? { strict?: boolean, api_key?: boolean }  strict: OpenAI's, where the schema allows
---@return table
function Toolset:definitions(form, opts)
  return require("daytona.agent.forms").definitions(self, form, opts)
end

---The definitions as JSON text, the same bytes every time.
---@param form string
---@param opts? table
---@return string
function Toolset:definitions_json(form, opts)
  return assert(ordered.encode(self:definitions(form, opts)))
end

---A result as an API wants it back.
---@param form string
---@param call table   the model's call: its id is in it
---@param result daytona.ToolResult
---@return any ...
function Toolset:result(form, call, result)
  return require("daytona.agent.forms").result(form, call, result, self.by_name[result.tool])
end

--- One call ---------------------------------------------------------------------------------

---What a tool's function is given besides its arguments.
---@class daytona.ToolCall
---@field name string
---@field toolset daytona.Toolset
---@field secrets string[]  texts that the result must not show
---@field api_key? string
---@field on_progress? fun(message: string, progress?: number, total?: number)
local Call = {}
Call.__index = Call

---Tells how far it is, to whoever listens.
---@param message string
---@param progress? number
---@param total? number
function Call:progress(message, progress, total)
  if self.on_progress then self.on_progress(message, progress, total) end
end

---The client of this call.
---@return daytona.Client?
---@return daytona.Error?
function Call:client()
  return self.toolset:client(self.api_key)
end

---The sandbox of that id or name.
---@param id string
---@return daytona.Sandbox?
---@return daytona.Error?
function Call:sandbox(id)
  local client, err = self:client()
  if not client then return nil, err end
  return self.toolset:find(client, id)
end

---The sandbox that the toolset works in.
---@return daytona.Sandbox?
---@return daytona.Error?
function Call:home()
  return self.toolset:home()
end

---A text cut to what a result may cost.
---@param text string
---@param keep "head"|"ends"
---@param where? string  path of the whole
---@param as_json? boolean  the text will stand in JSON
---@return string
---@return boolean truncated
function Call:cap(text, keep, where, as_json)
  local limits = self.toolset:limits()
  limits.as_json = as_json
  if as_json then limits.bytes = limits.bytes - 512 end
  return output.cap(output.clean(text), limits, keep, where)
end

---Lines and bytes that a result may cost.
---@return { lines: integer, bytes: integer }
function Toolset:limits()
  local o = self.options
  return { lines = o.max_lines or output.LINES, bytes = o.max_bytes or output.BYTES }
end

---@private
function Toolset:client(api_key)
  local o = self.options
  api_key = api_key or o.secrets and o.secrets.DAYTONA_API_KEY or o.api_key
  if not api_key then
    if o.client then return o.client end
    if not o.api_url then return clients.default() end
  end
  local kept = self.clients[api_key or ""]
  if kept and not kept.closed then return kept end
  local client, err = clients.new {
    api_key = api_key, api_url = o.api_url or o.client and o.client.api_url,
  }
  if not client then return nil, err end
  self.clients[api_key or ""] = client
  return client
end

-- Sandboxes are kept by id and name, so that a call is one request; a failure forgets
-- them (see `forget`).
---@private
function Toolset:find(client, id)
  local kept = self.boxes[client] or {}
  self.boxes[client] = kept
  if kept[id] then return kept[id] end
  local sandbox, err = client:get(id)
  if not sandbox then return nil, err end
  kept[id] = sandbox
  return sandbox
end

local function make_home(self)
  local o = self.options
  local client, err = self:client()
  if not client then return nil, err end
  if type(o.sandbox) == "string" then return client:get(o.sandbox) end
  local sandbox, kept
  if self.finder then
    sandbox, err, kept = self.finder(client)
  else
    sandbox, err = client:create(options.copy(o.create))
  end
  if not sandbox or kept then return sandbox, err end
  self.closers[#self.closers + 1] = function() sandbox:close() end
  return sandbox
end

---The sandbox that the sets "coding", "native" and "computer" work in: that of the
---options, else one that is made now and deleted by `close`.
---@return daytona.Sandbox?
---@return daytona.Error?
function Toolset:home()
  if type(self.options.sandbox) == "table" then return self.options.sandbox end
  if self.home_sandbox then return self.home_sandbox end
  if not self.finding or self.finding:done() then self.finding = task.spawn(make_home, self) end
  local sandbox, err = self.finding:wait()
  if not sandbox then return nil, err end
  self.home_sandbox = sandbox
  return sandbox
end

---How the toolset comes to its sandbox when its options name none: fn(client) returns it,
---or nil, err; a third value says that `close` leaves it.
---@param fn fun(client: daytona.Client): daytona.Sandbox?, daytona.Error?, boolean?
function Toolset:find_home(fn)
  self.finder = fn
end

--- Asking ---------------------------------------------------------------------------------------

local ANSWERS = {
  allow_once = { true }, allow_always = { true, "always" },
  reject_once = { false }, reject_always = { false, "always" },
}

-- Whether the call may be made.
local function allowed(self, tool, arguments)
  local ask = self.options.ask
  if not ask then return true end
  local known = self.always[tool.name]
  if known ~= nil then return known end
  local said = ask { name = tool.name, arguments = arguments, tool = tool }
  if type(said) == "boolean" then return said end
  local answer = ANSWERS[said]
  if not answer then return false end
  if answer[2] then self.always[tool.name] = answer[1] end
  return answer[1]
end

--- Running ---------------------------------------------------------------------------------------

local function unknown_tool(self, name)
  local names = {}
  for i, tool in ipairs(self.tools) do names[i] = tool.name end
  return outcome.failure("unknown_tool", ("there is no tool '%s'; the tools are: %s"):format(
    output.clean(tostring(name)):sub(1, 100), table.concat(names, ", ")))
end

local function new_call(self, tool, opts, api_key)
  local secrets = { api_key or self.options.api_key }
  for secret in pairs(self.secrets) do secrets[#secrets + 1] = secret end
  opts.secrets = secrets
  return setmetatable({
    name = tool.name, toolset = self, api_key = api_key, on_progress = opts.on_progress, secrets = secrets,
  }, Call)
end

local function concluded(call, data, more)
  if data ~= nil then return outcome.succeeded(data, more, call.secrets) end
  call.toolset.boxes = {} -- what was known of sandboxes may be wrong now
  return outcome.failed(more == nil and "the tool gave no result" or more, call.secrets)
end

local function perform(self, name, arguments, opts, how)
  local tool = self.by_name[name]
  if not tool then return unknown_tool(self, name) end
  local given, second = arguments_of.check(tool, arguments)
  if not given then return outcome.failure("invalid", second) end
  if not allowed(self, tool, given) then
    return outcome.failure("rejected", "the user did not allow this call; do not try it again, ask what to do instead")
  end
  local call = new_call(self, tool, opts, second)
  arguments_of.secrets(tool, given, call.secrets)
  return concluded(call, tool[how](given, call))
end

-- Runs fn as a task of its own, whose failures are results.
local function guarded(opts, fn, ...)
  local result, err = task.spawn(fn, ...):wait()
  if result then return result end
  return outcome.failed(err, opts.secrets or {})
end

local CALL = { on_progress = "callable" }

---Calls a tool. `arguments` is a table or the JSON text of a model; they are checked
---against the tool's schema, and never repaired. Whatever happens is a result, and
---nothing is raised (but Ctrl-C). Waits as every call of this library does; when the
---task that calls is cancelled, what runs in the sandbox is ended. Several calls may be
---made at once.
---@param name string
---@param arguments? table|string
---@param opts? { on_progress?: fun(message: string, progress?: number, total?: number) }
---@return daytona.ToolResult
function Toolset:call(name, arguments, opts)
  local mine = options.copy(options.check("call", CALL, opts))
  local result = guarded(mine, perform, self, name, arguments, mine, "run")
  result.tool = self.by_name[name] and name
  return result
end

---As `call`, of a tool that has `start`: begins its work as a job that outlives this
---program. The data says which job of which sandbox that is.
---@param name string
---@param arguments? table|string
---@return daytona.ToolResult
function Toolset:start(name, arguments)
  local mine = {}
  return guarded(mine, perform, self, name, arguments, mine, "start")
end

---For what becomes of a tool's work later: fn(call) returns what `run` does, and this
---what `call` does.
---@param name string  of a tool that there is
---@param fn fun(call: daytona.ToolCall): table?, any
---@return daytona.ToolResult
function Toolset:conclude(name, fn)
  local mine = {}
  return guarded(mine, function()
    local call = new_call(self, self.by_name[name], mine)
    return concluded(call, fn(call))
  end)
end

local function close(self)
  local closers = self.closers
  self.closers, self.home_sandbox, self.finding = {}, nil, nil
  for i = #closers, 1, -1 do closers[i]() end
  for _, client in pairs(self.clients) do client:close() end
  self.clients, self.boxes = {}, {}
end

---Ends what the toolset began: the sandbox that it made is deleted, those that were
---given or that a model made with a tool are left. Idempotent.
function Toolset:close()
  loop.shield(close, self)
end

---@private
Toolset.__close = Toolset.close

methods.guard(Toolset, "daytona.Toolset", "tools")

return M
