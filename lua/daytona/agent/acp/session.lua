-- One conversation of an editor with the agent: the project folder is copied to a sandbox,
-- the agent works there, and what it changes comes back as it goes.

local agents = require "daytona.agent"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local projects = require "daytona.agent.acp.project"
local shape = require "daytona.agent.shape"
local task = require "daytona.loop.task"
local tools = require "daytona.agent.tools"
local transcript = require "daytona.agent.transcript"
local updates = require "daytona.agent.acp.updates"

local M = {}

local SYSTEM = "You work on the project of a user, by the tools you are given. They work in a sandbox, a Linux machine "
  .. "of your own, which has a copy of the project's folder: relative paths and commands start there. What you change "
  .. "in that folder is changed on the user's computer, too; .git and what .gitignore names are not in it. Use the "
  .. "tools until the task is done; look at what they return before you go on, and do not claim what you have not "
  .. "seen. For a task of several steps, tell your plan by update_plan first and keep it up to date. Then say briefly "
  .. "what you did and what came of it."

---@class daytona.AcpSession
---@field id string
---@field folder string      the project, here
---@field server daytona.AcpServer
---@field agent daytona.Agent
---@field project? daytona.Project
---@field calls table<string, { id: string, begun: boolean, arguments: table? }>  by the model's id: those that are open
---@field count integer      calls so far
---@field latest? string     the call that is about to be asked about
---@field working? daytona.Task
---@field past? daytona.AcpPast  where it is kept
---@field title? string          its first prompt
local Session = {}
Session.__index = Session

--- Telling ----------------------------------------------------------------------------------

---Sends an update of this session.
---@param kind string
---@param fields table
function Session:tell(kind, fields)
  fields.sessionUpdate = kind
  self.server:notify("session/update", { sessionId = self.id, update = fields })
end

local PLAN = shape.object {
  { "entries", shape.list(shape.object {
    { "content", shape.string("What is to be done.", { minLength = 1 }) },
    { "status", shape.enum { "pending", "in_progress", "completed" } },
    { "priority?", shape.enum { "high", "medium", "low" } },
  }, "All of them, in their order.") },
}

-- The tool by which the model tells its plan.
local function plan_tool(self)
  return {
    name = "update_plan", title = "Plan", input = PLAN, annotations = { readOnlyHint = true, openWorldHint = false },
    description = "Shows the user the steps of your plan, and which of them are done.",
    run = function(args)
      local entries = json.array()
      for i, entry in ipairs(args.entries) do
        entries[i] = { content = entry.content, status = entry.status, priority = entry.priority or "medium" }
      end
      self:tell("plan", { entries = entries })
      return {}, { text = "shown" }
    end,
  }
end

--- Asking -----------------------------------------------------------------------------------------

local OPTIONS = {
  allow_once = "Allow", allow_always = "Always allow", reject_once = "Reject", reject_always = "Always reject",
}

-- The user's choice of these kinds; "reject_once" where there is none.
local function request(self, call, kinds)
  local list = json.array()
  for i, kind in ipairs(kinds) do list[i] = { optionId = kind, name = OPTIONS[kind], kind = kind } end
  local answer = self.server:ask("session/request_permission", { sessionId = self.id, toolCall = call, options = list })
  local outcome = type(answer) == "table" and type(answer.outcome) == "table" and answer.outcome or {}
  for _, kind in ipairs(kinds) do
    if outcome.outcome == "selected" and outcome.optionId == kind then return kind end
  end
  return "reject_once"
end

local EACH = { "allow_once", "allow_always", "reject_once", "reject_always" }

-- Before a tool that changes something runs.
local function permit(self, call)
  if self.server.options.yes or not (call.tool.annotations or {}).destructiveHint then return "allow_once" end
  local open = self.calls[self.latest or ""]
  if not open then return "reject_once" end
  local answer = request(self, {
    toolCallId = open.id, title = updates.title(call.tool, call.name, call.arguments), status = "pending",
    kind = updates.kind(call.name), rawInput = call.arguments,
  }, EACH)
  if answer:find "^allow" then self:tell("tool_call_update", { toolCallId = open.id, status = "in_progress" }) end
  return answer
end

-- Before files of the user's are deleted because they were in the sandbox.
local function permit_deletion(self, paths)
  if self.server.options.yes then return true end
  self.count = self.count + 1
  local call = {
    toolCallId = "call-" .. self.count, kind = "delete", status = "pending",
    title = ("Delete %d file%s: %s"):format(#paths, #paths == 1 and "" or "s", table.concat(paths, ", ", 1,
      math.min(#paths, 5))),
    locations = json.array(),
  }
  for i, path in ipairs(paths) do call.locations[i] = { path = self.folder .. "/" .. path } end
  local allowed = request(self, call, { "allow_once", "reject_once" }) == "allow_once"
  call.status = allowed and "completed" or "failed"
  self:tell("tool_call", call)
  return allowed
end

--- The project ---------------------------------------------------------------------------------

local function synced(self)
  return self.project:sync(function(paths) return permit_deletion(self, paths) end)
end

-- The sandbox, with the project in it.
local function prepare(self)
  if self.project then return true end
  local sandbox, err = self.agent.tools:home()
  if not sandbox then return nil, err end
  local base
  base, err = sandbox:work_dir()
  if not base then return nil, err end
  local remote = base .. "/" .. (self.folder:match "([^/]+)$" or "project")
  self.project, self.agent.tools.options.folder = projects.new(sandbox, self.folder, remote), remote
  return true
end

-- Before the model gets to work; the first time that takes a while, which is shown.
local function bring_over(self)
  local first = not (self.project and self.project.base)
  if first then
    self:tell("tool_call", { toolCallId = "sandbox-" .. self.count, title = "Copy the project to a sandbox",
      kind = "other", status = "in_progress" })
  end
  local fine, err = prepare(self)
  if fine then fine, err = synced(self) end
  if first then
    self:tell("tool_call_update", { toolCallId = "sandbox-" .. self.count, status = fine and "completed" or "failed" })
  end
  return fine, err
end

-- What else has changed when the model is done.
local function bring_back(self)
  local changes, err = synced(self)
  if not changes then return nil, err end
  if not changes[1] then return true end
  self.count = self.count + 1
  self:tell("tool_call", { toolCallId = "call-" .. self.count, title = "Files that changed meanwhile", kind = "edit",
    status = "completed", content = updates.content({ text = "", images = {} }, changes, self.folder) })
  return true
end

--- Events of a run --------------------------------------------------------------------------------

-- The call of the model's that has this id; a new one where there is none.
local function open_call(self, event)
  local open = self.calls[event.id]
  if open then return open end
  self.count = self.count + 1
  open = { id = "call-" .. self.count, begun = false }
  self.calls[event.id] = open
  local title = updates.title(self.agent.tools.by_name[event.name], event.name)
  self:tell("tool_call", { toolCallId = open.id, title = title, kind = updates.kind(event.name), status = "pending" })
  return open
end

-- Type of an event -> fn(self, event).
local EVENTS = {}

function EVENTS.text(self, event)
  self:tell("agent_message_chunk", { content = updates.text(event.text) })
end

function EVENTS.thinking(self, event)
  self:tell("agent_thought_chunk", { content = updates.text(event.thinking) })
end

EVENTS.call_begin = open_call

function EVENTS.call(self, event)
  local open = open_call(self, event)
  local arguments = json.decode(event.arguments)
  if type(arguments) ~= "table" then arguments = nil end
  local tool = self.agent.tools.by_name[event.name]
  open.begun, self.latest = true, event.id
  self:tell("tool_call_update", {
    toolCallId = open.id, title = updates.title(tool, event.name, arguments), rawInput = arguments,
    status = self.agent.tools.options.ask and tool and (tool.annotations or {}).destructiveHint and "pending"
      or "in_progress",
    locations = updates.locations(arguments, self.folder, self.project.remote),
  })
end

function EVENTS.progress(self, event)
  self:tell("tool_call_update", { toolCallId = open_call(self, event).id,
    content = { { type = "content", content = updates.text(event.message) } } })
end

function EVENTS.result(self, event)
  local open, result, tool = open_call(self, event), event.result, self.agent.tools.by_name[event.name]
  self.calls[event.id] = nil
  local changes, err = {}, nil
  if tool and not (tool.annotations or {}).readOnlyHint then changes, err = synced(self) end
  local content = updates.content(result, changes or {}, self.folder)
  if err then
    content[#content + 1] = { type = "content",
      content = updates.text("What it changed could not be brought here: " .. tostring(err)) }
  end
  self:tell("tool_call_update", { toolCallId = open.id, status = result.ok and "completed" or "failed",
    content = content, rawOutput = result.data })
end

-- What was begun is void; so is the text, which cannot be taken back.
function EVENTS.retry(self, event)
  for id, open in pairs(self.calls) do
    if not open.begun then
      self.calls[id] = nil
      self:tell("tool_call_update", { toolCallId = open.id, status = "failed" })
    end
  end
  self:tell("agent_thought_chunk", { content = updates.text(("The reply failed and is asked for again: %s\n"):format(
    tostring(event.error))) })
end

--- Turns ------------------------------------------------------------------------------------------

local REASONS = { ["end"] = "end_turn", length = "max_tokens", overflow = "max_tokens", refusal = "refusal" }

local function reason_of(event)
  if event.reason ~= "limit" then return REASONS[event.reason] or "end_turn" end
  return event.limit == "tokens" and "max_tokens" or "max_turn_requests"
end

local function take_turn(self, prompt)
  local fine, err = bring_over(self)
  if not fine then return nil, err end
  local _, event = self.agent:send(prompt, { on_event = function(e)
    local handle = EVENTS[e.type]
    if handle then handle(self, e) end
  end })
  if errors.is(event) then return nil, event end
  fine, err = bring_back(self)
  if not fine then return nil, err end
  return reason_of(event)
end

-- Calls that will not end any more.
local function abandon_calls(self)
  for id, open in pairs(self.calls) do
    self.calls[id] = nil
    self:tell("tool_call_update", { toolCallId = open.id, status = "failed" })
  end
end

---Gives the agent a prompt and waits until it is done: why it stopped, in the protocol's
---words; nil, err.
---@param prompt string
---@return string?
---@return any err
function Session:prompt(prompt)
  self.canceled = false
  self.title = self.title or prompt
  if self.past then self.past:note(self.id, self.folder, self.title) end
  self.working = task.spawn(take_turn, self, prompt)
  local reason, err = self.working:wait()
  self.working = nil
  abandon_calls(self)
  if self.canceled then return "cancelled" end
  return reason, err
end

---Stops what is in progress. Does not wait.
function Session:cancel()
  if not self.working then return end
  self.canceled = true
  self.working:cancel()
end

---Ends the session: what the agent has changed comes here (but nothing is deleted), its
---sandbox goes.
function Session:close()
  self:cancel()
  loop.shield(function()
    if self.project and self.project.base then self.project:sync(function() return false end) end
    self.agent:close()
  end)
  if self.past and not self.title then self.past:remove(self.id) end
end

--- The past ----------------------------------------------------------------------------------------

-- Type of an event of a transcript -> fn(self, event).
local TOLD = { text = EVENTS.text }

function TOLD.user(self, event)
  self:tell("user_message_chunk", { content = updates.text(event.prompt) })
end

function TOLD.call(self, event)
  self.count = self.count + 1
  local id, arguments = "call-" .. self.count, json.decode(event.arguments)
  if type(arguments) ~= "table" then arguments = nil end
  self.calls[event.id] = { id = id, begun = true }
  self:tell("tool_call", {
    toolCallId = id, status = "in_progress", kind = updates.kind(event.name), rawInput = arguments,
    title = updates.title(self.agent.tools.by_name[event.name], event.name, arguments),
    locations = updates.locations(arguments, self.folder),
  })
end

function TOLD.result(self, event)
  local open, result = self.calls[event.id], event.result
  if not open then return end
  self.calls[event.id] = nil
  self:tell("tool_call_update", { toolCallId = open.id, status = result.ok and "completed" or "failed",
    content = updates.content({ text = result.text or "", images = result.images or {} }, {}, self.folder) })
end

---Tells what was said and done so far.
function Session:replay()
  transcript.replay(self.agent.history, function(event)
    if TOLD[event.type] then TOLD[event.type](self, event) end
  end)
end

-- Where the conversation is written; nil where it cannot be.
local function transcript_of(self)
  if not self.past then return nil end
  if self.title or self.past:note(self.id, self.folder) then return self.past:path(self.id) end
  self.past = nil
end

---Begins a session, or goes on with one of the past. No request is made. nil, err of kind
---"config" when there is no key or name of a model.
---@param server daytona.AcpServer
---@param id string
---@param folder string
---@param title? string  of one of the past
---@return daytona.AcpSession?
---@return daytona.Error?
function M.new(server, id, folder, title)
  local o = server.options
  local self = setmetatable({
    server = server, id = id, folder = folder, calls = {}, count = 0, past = server.past, title = title,
  }, Session)
  local sets = { plan_tool(self) }
  for _, name in ipairs(o.tools or { "coding" }) do sets[#sets + 1] = name end
  local toolset = tools.new(sets, {
    client = o.client, sandbox = o.sandbox, create = o.create, ask = function(call) return permit(self, call) end,
  })
  local err
  self.agent, err = agents.new {
    tools = toolset, model = o.model, driver = o.api, system = SYSTEM, limits = { steps = o.steps },
    transcript = transcript_of(self),
  }
  if self.agent then return self end
  if self.past and not title then self.past:remove(id) end
  return nil, err
end

return M
