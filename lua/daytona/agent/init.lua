-- An agent: a model that is given tools until it is done. What a run does is in run.lua, what
-- the APIs of models look like in model/, the tools in tools.lua.
--
--   for event in assert(daytona.agent { tools = "coding" }):run "run the tests, fix what fails" do
--     io.write(event.text or "")
--   end

local arguments_of = require "daytona.agent.arguments"
local context = require "daytona.agent.context"
local core = require "daytona.base.native"
local endpoints = require "daytona.agent.model.endpoint"
local errors = require "daytona.base.errors"
local events = require "daytona.agent.events"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local output = require "daytona.agent.output"
local run = require "daytona.agent.run"
local task = require "daytona.loop.task"
local tools = require "daytona.agent.tools"
local transcript = require "daytona.agent.transcript"

local M = {}

---What a run tells, as it happens, by `type`:
---
---- "text": a piece of what the model says is in `text`, which no other event has
---- "thinking": a piece of what it thinks, where it shows that
---- "call_begin": it begins to ask for a tool; "call_delta": a piece of the arguments
---- "call": the tool is called now, with `arguments`, a JSON text
---- "progress": what the tool tells meanwhile; "result": what came of it
---- "retry": the reply failed with `error`, what was told of it is void, and it is asked for
---  again after `seconds`
---- "shortened": old output was left out of the conversation
---- "done": the end, with its `reason`; of "limit" also which `limit`
---@class daytona.AgentEvent
---@field type string
---@field text string
---@field thinking? string
---@field id? string
---@field name string
---@field delta? string
---@field arguments string
---@field message string    of "progress"
---@field result daytona.ToolResult
---@field error? daytona.Error
---@field seconds? number
---@field reason "end"|"length"|"refusal"|"overflow"|"limit"
---@field limit? "steps"|"seconds"|"tokens"|"money"
---@field answer? string     the last reply's text
---@field usage daytona.Usage  tokens of the run
---@field steps integer      replies of the model
---@field money? number       with `prices`

---@class daytona.AgentOptions
---@field tools? string|(string|daytona.Tool)[]|daytona.Toolset  "coding"; sets, tools, or a toolset, which `close` then closes
---@field model? string           its name; OPENAI_MODEL or ANTHROPIC_MODEL
---@field driver? "responses"|"messages"|"chat"  the API; by default by the model's name and the keys that are there
---@field api_key? string         the model's: OPENAI_API_KEY or ANTHROPIC_API_KEY
---@field base_url? string        OPENAI_BASE_URL or ANTHROPIC_BASE_URL; a key of the environment goes to no other address
---@field headers? table<string, string>  more of them, for the model's endpoint
---@field extra? table            more fields of each request: temperature, reasoning, thinking, ...
---@field system? string          what the model is told at the beginning; false: nothing
---@field max_tokens? integer     of one reply
---@field limits? { steps?: integer, seconds?: number, tokens?: integer, money?: number }  of one run; 50 steps
---@field prices? { input?: number, cached?: number, cache_write?: number, output?: number }  of a million tokens, for the limit on money
---@field context_window? integer tokens that the model takes: old output goes before they are exceeded
---@field ask? function           see daytona.ToolOptions
---@field transcript? string|fun(entry: table)  a file of JSON lines, whose conversation goes on if it holds one; or who is given each entry
---@field history? table[]        the conversation so far, as `daytona.agent.transcript` reads it
---@field conversation? string    id: its sandbox is found again by other programs, and left by `close`
---@field client? daytona.Client  for the tools
---@field sandbox? string|daytona.Sandbox  to work in; it is left
---@field create? daytona.CreateOptions    how a sandbox is made otherwise
---@field timeout? number         seconds of one reply; 600
---@field retries? integer        further tries of a reply; 4
---@field proxy? string
---@field ca_file? string
---@field insecure_http? boolean  allow http to another machine
local OPTIONS = {
  tools = "any", model = "text", driver = { "responses", "messages", "chat" }, api_key = "text", base_url = "text",
  headers = "map", extra = "table", max_tokens = "positive", limits = "table", prices = "table",
  system = function(v) return v == false or type(v) == "string" and v ~= "", "a text, or false" end,
  context_window = "positive", ask = "callable", history = "table", conversation = options.id, client = "table",
  transcript = function(v) return type(v) == "string" and v ~= "" or type(v) == "function", "a path or a function" end,
  sandbox = "any", create = "table", timeout = "seconds", retries = "count", proxy = "string", ca_file = "text",
  insecure_http = "boolean",
}

local LIMITS = { steps = "positive", seconds = "seconds", tokens = "positive", money = "number" }
local PRICES = { input = "number", cached = "number", cache_write = "number", output = "number" }

local STEPS, RETRIES, IDLE = 50, 4, 15

-- What a sandbox is found again by.
local LABEL = "daytona-conversation"

local SYSTEM = "You work in a sandbox, a Linux machine of your own, by the tools you are given. Use them until the "
  .. "task is done; look at what they return before you go on, and do not claim what you have not seen. "
  .. "Then say briefly what you did and what came of it."

---@class daytona.Agent
---@field conversation string     id
---@field tools daytona.Toolset
---@field endpoint daytona.ModelEndpoint
---@field history table[]         the conversation: entries as in a transcript
local Agent = { __name = "daytona.Agent" }
Agent.__index = Agent

---"agent (NAME of the model, 3 entries)"
---@private
function Agent:__tostring()
  return ("agent (%s, %d entries)"):format(self.endpoint.model, #self.history)
end

--- Making one -------------------------------------------------------------------------------

-- What of the options a toolset takes.
local FOR_TOOLS = { "client", "sandbox", "create", "ask" }

local function toolset_of(opts)
  local given = opts.tools or "coding"
  local mine = {}
  for _, name in ipairs(FOR_TOOLS) do mine[name] = opts[name] end
  if type(given) ~= "table" or getmetatable(given) == nil then return tools.new(given, mine) end
  if getmetatable(given).__name ~= "daytona.Toolset" then errors.misuse(1, "agent: tools are sets or tools") end
  if next(mine) then errors.misuse(1, "agent: %s belongs to the toolset that is given", (next(mine))) end
  return given
end

local function start_if_stopped(sandbox)
  if sandbox.state == "started" then return sandbox end
  local fine, err = sandbox:start()
  if not fine then return nil, err end
  return sandbox
end

local GONE = { destroying = true, destroyed = true, error = true, build_failed = true }

local function find(self, client)
  local page, err = client:list { labels = { [LABEL] = self.conversation }, limit = 10 }
  for _, sandbox in ipairs(page and page.items or {}) do
    if not GONE[sandbox.state] then return sandbox end
  end
  return nil, err
end

-- Gone when it stops, should nobody delete it, unless the program wants it otherwise.
local function create_options(self)
  local create = options.copy(self.tools.options.create)
  create.labels = options.copy(create.labels)
  create.labels[LABEL] = self.conversation
  if create.auto_pause_interval or create.auto_delete_interval then return create end
  create.auto_stop_interval = create.auto_stop_interval or IDLE
  if create.ephemeral == nil and not self.options.conversation then create.ephemeral = true end
  return create
end

-- The sandbox of the conversation: the one that it has, else a new one.
local function home(self, client)
  local keep = self.options.conversation ~= nil
  if keep then
    local sandbox, err = find(self, client)
    if err then return nil, err end
    if sandbox then return start_if_stopped(sandbox), nil, true end
  end
  local sandbox, err = client:create(create_options(self))
  return sandbox, err, keep
end

local function check(opts)
  options.check("agent", OPTIONS, opts)
  options.check("agent: limits", LIMITS, opts.limits)
  options.check("agent: prices", PRICES, opts.prices)
  if (opts.limits or {}).money and not opts.prices then
    errors.misuse(1, "agent: a limit on money needs prices")
  end
end

local function open_transcript(self, opts)
  self.history = options.copy(opts.history)
  if not opts.transcript then return true end
  local opened, found = transcript.open(opts.transcript)
  if not opened then return nil, found end
  self.transcript = opened
  if found.history[1] then self.history = found.history end
  self.conversation = opts.conversation or found.id or self.conversation
  if found.id == self.conversation then return true end
  return self:write { type = "conversation", id = self.conversation, driver = self.endpoint.driver,
    model = self.endpoint.model, created_at = os.time() }
end

---Makes an agent of options, the environment and defaults. No request is made. nil and an
---error of kind "config" when there is no key or no name of a model, of kind "io" when the
---transcript cannot be read or written. Raises on an unknown option.
---@param opts? daytona.AgentOptions
---@return daytona.Agent?
---@return daytona.Error?
function M.new(opts)
  opts = opts or {}
  check(opts)
  local endpoint, err = endpoints.new(opts)
  if not endpoint then return nil, err end
  local system = opts.system
  if system == nil then system = SYSTEM end
  local self = setmetatable({
    options = options.copy(opts), endpoint = endpoint, driver = require("daytona.agent.model." .. endpoint.driver),
    tools = toolset_of(opts), limits = options.copy(opts.limits), retries = opts.retries or RETRIES,
    given = {}, conversation = opts.conversation or "lua-" .. core.hex(core.random(8)),
  }, Agent)
  self.options.system, self.limits.steps = system or nil, self.limits.steps or STEPS
  self.options.api_key, self.options.headers = nil, nil
  for _, secret in ipairs(endpoint:secrets()) do self.tools:keep_secret(secret) end
  self.tools:find_home(function(client) return home(self, client) end)
  local fine
  fine, err = open_transcript(self, opts)
  if not fine then return nil, err end
  return self
end

--- For run.lua ----------------------------------------------------------------------------------

---The definitions of the tools, which stay the same from step to step.
---@private
function Agent:definitions(form)
  local known = self.defined
  if not known or known.form ~= form then known = { form = form, list = self.tools:definitions(form) } end
  self.defined = known
  local list = options.copy(known.list)
  return setmetatable(list, getmetatable(known.list))
end

---The next request.
---@private
function Agent:request()
  local body = self.driver.request(self, self.history)
  for name, value in pairs(self.options.extra or {}) do body[name] = value end
  return body
end

-- What no transcript shows.
local function secrets_of(self)
  local list, o = options.copy(self.endpoint:secrets()), self.tools.options
  for secret in pairs(self.tools.secrets) do list[#list + 1] = secret end
  for secret in pairs(self.given) do list[#list + 1] = secret end
  list[#list + 1] = o.api_key
  list[#list + 1] = os.getenv "DAYTONA_API_KEY"
  return list
end

---Writes an entry into the transcript, if there is one.
---@private
function Agent:write(entry)
  if not self.transcript then return true end
  return self.transcript:write(entry, secrets_of(self))
end

-- What a model gives to tools as a secret; in the arguments' JSON text it may look otherwise.
local function keep_given(self, call)
  local tool, values = self.tools.by_name[call.name], {}
  local arguments = tool and json.decode(call.arguments)
  if type(arguments) == "table" then arguments_of.secrets(tool, arguments, values) end
  for _, value in ipairs(values) do
    local literal = core.json_string(value)
    self.given[value] = true
    if literal then self.given[literal:sub(2, -2)] = true end
  end
end

---Adds an entry to the conversation and the transcript.
---@private
function Agent:note(entry)
  for _, call in ipairs(entry.calls or {}) do keep_given(self, call) end
  self.history[#self.history + 1] = entry
  return self:write(entry)
end

---Tokens that the next request comes to, as far as that is known without asking: those of
---the last one, and four bytes for each since.
---@return integer
function Agent:guess()
  local measured = self.measured or { tokens = 0, entries = 0 }
  return measured.tokens + context.estimate(self.history, measured.entries + 1)
end

---Asks the model's API how many tokens the next request comes to, system, tools and all.
---nil and an error of kind "unsupported" where the API does not count.
---@return integer?
---@return daytona.Error?
function Agent:count()
  local driver = self.driver
  if not driver.count_path then
    return nil, errors.new { kind = "unsupported", operation = "count", message = "this API does not count tokens" }
  end
  local said, err = self.endpoint:ask(driver.count_path, driver.count_request(self, self.history))
  if not said then return nil, err end
  if type(said.input_tokens) == "number" then return said.input_tokens end
  return nil, errors.new { kind = "protocol", operation = "count", message = "the answer has no input_tokens" }
end

--- Running ------------------------------------------------------------------------------------

-- A run that nobody listens to any more is ended.
local function end_former(self)
  local former = self.working
  self.working = nil
  if not former or former:done() then return end
  former:cancel()
  loop.shield(former.wait, former)
end

local function nothing() end

local SEND = { on_event = "callable" }

---Gives the model a prompt and waits until it is done. What it said at last, and the event
---of the end. nil, err when the model could not be had or the task was cancelled; then, too,
---the conversation can go on. `on_event` is called for each event as it happens.
---@param prompt string
---@param opts? { on_event?: fun(event: daytona.AgentEvent) }
---@return string?
---@return daytona.AgentEvent|daytona.Error
function Agent:send(prompt, opts)
  options.argument("send: the prompt", "text", prompt)
  options.check("send", SEND, opts)
  end_former(self)
  local event, err = run.run(self, output.clean(prompt), opts and opts.on_event or nothing)
  if not event then return nil, err end
  return event.answer, event
end

-- A run as a task, whose events go into a queue.
local Stream = { __name = "daytona.AgentStream" }
Stream.__index = Stream

local function produce(self, prompt, closes)
  local agent, queue = self.agent, self.queue
  local event, err = run.run(agent, prompt, function(e) queue:put(e) end)
  if closes then agent:close() end
  queue:finish(not event and err or nil)
end

local function begin(agent, prompt, closes)
  end_former(agent)
  local self = setmetatable({ agent = agent, queue = events.new() }, Stream)
  self.task = task.spawn(function()
    local fine, err = loop.pcall(produce, self, prompt, closes)
    if not fine then self.queue:finish(err) end
  end)
  agent.working = self.task
  return function()
    local event, err = self.queue:next()
    if event == nil and err ~= nil then errors.raise(err) end
    return event
  end, nil, nil, self
end

-- The loop around it has ended, perhaps early.
---@private
function Stream:__close()
  if not self.task:done() then self.task:cancel() end
  loop.shield(self.task.wait, self.task)
end

---Gives the model a prompt; an iterator of the events, for a `for` loop, which raises when
---the model cannot be had. It goes on while the loop does other things; leaving the loop
---early ends it on Lua 5.4, elsewhere the next call on the agent does. In tasks of PUC Lua
---5.1 no iterator can wait: take `send` with `on_event` there.
---@param prompt string
---@return fun(): daytona.AgentEvent?
function Agent:stream(prompt)
  options.argument("stream: the prompt", "text", prompt)
  return begin(self, output.clean(prompt), false)
end

---As `stream`, for an agent with one task: it is closed at the end, whatever that is.
---@param prompt string
---@return fun(): daytona.AgentEvent?
function Agent:run(prompt)
  options.argument("run: the prompt", "text", prompt)
  return begin(self, output.clean(prompt), true)
end

--- The end ----------------------------------------------------------------------------------------

local function close(self, opts)
  if opts.delete then
    local client = self.tools:client()
    local sandbox = client and find(self, client)
    if sandbox then sandbox:delete() end
  end
  self.tools:close()
  if self.transcript then self.transcript:close() end
end

local CLOSE = { delete = "boolean" }

---Ends the agent: a run under way is cancelled, and the sandbox that it made deleted. One
---that was given is left, and so is that of a `conversation` of the program's own, unless
---`delete` is said. Idempotent.
---@param opts? { delete?: boolean }
function Agent:close(opts)
  opts = options.check("close", CLOSE, opts)
  local former = self.working
  if former and not former:done() and loop.current() ~= former then end_former(self) end
  loop.shield(close, self, opts)
end

---@private
function Agent:__close()
  self:close()
end

methods.guard(Agent, "daytona.Agent", "agent")

return M
