-- An editor, for specs: starts bin/daytona-acp and talks to it. What the agent tells is in
-- `updates`, what it asks in `questions`; these are answered by `answer`, by default with
-- "allow_once".
--
--   local acp = require("spec.support.acp_client").start(server, model, "--yes")
--   acp:initialize()
--   local id = acp:new_session(folder)
--   local response = acp:prompt(id, "do it")
--   acp:stop()

local mcp_client = require "spec.support.mcp_client"

local Client = {}

local function allow() return "allow_once" end

-- Takes in what is no response.
local function hear(self, message)
  if message.method == "session/update" then
    self.updates[#self.updates + 1] = message.params.update
    if self.on_update then self.on_update(message.params.update) end
  elseif message.method == "session/request_permission" then
    self.questions[#self.questions + 1] = message.params
    local said = self.answer(message.params)
    local outcome = said and { outcome = "selected", optionId = said } or { outcome = "cancelled" }
    self:send { jsonrpc = "2.0", id = message.id, result = { outcome = outcome } }
  end
end

---Reads until the response to that id.
function Client:response(id)
  while true do
    local message = assert(self:read(), "the agent has ended")
    if message.id == id and message.method == nil then return message end
    hear(self, message)
  end
end

function Client:initialize(params)
  return self:ask("initialize", params or { protocolVersion = 1,
    clientCapabilities = { fs = { readTextFile = true, writeTextFile = true }, terminal = true } })
end

---A new session for a folder: its id.
function Client:new_session(folder)
  local response = self:ask("session/new", { cwd = folder, mcpServers = require("daytona.http.json").array() })
  return assert(response.result, response.error and response.error.message).sessionId
end

---Sends a prompt; the id of the request.
function Client:send_prompt(session, text)
  return self:request("session/prompt", { sessionId = session, prompt = { { type = "text", text = text } } })
end

---A prompt and what came of it.
function Client:prompt(session, text)
  return self:response(self:send_prompt(session, text))
end

---Closes the agent's input and waits for its end; what it still wrote.
function Client:stop()
  local rest = mcp_client.stop(self)
  if self.own_state then os.execute("rm -rf " .. self.own_state) end
  return rest
end

---The updates of a kind.
function Client:told(kind)
  local list = {}
  for _, update in ipairs(self.updates) do
    if update.sessionUpdate == kind then list[#list + 1] = update end
  end
  return list
end

---What the agent said.
function Client:said()
  local out = {}
  for i, update in ipairs(self:told "agent_message_chunk") do out[i] = update.content.text end
  return table.concat(out)
end

---The last state of each call, with all that was told of it, by its title.
function Client:calls()
  local by_id, by_title = {}, {}
  for _, update in ipairs(self.updates) do
    if update.toolCallId then
      local call = by_id[update.toolCallId] or {}
      by_id[update.toolCallId] = call
      for name, value in pairs(update) do call[name] = value end
    end
  end
  for _, call in pairs(by_id) do by_title[call.title] = call end
  return by_title
end

-- `state` is where sessions are kept; without, that goes at the end.
local function start(server, model, arguments, state)
  local own = not state and os.tmpname()
  if own then os.remove(own) end
  local env = ("OPENAI_API_KEY=sk-model-key-112233 OPENAI_BASE_URL=%s OPENAI_MODEL=a-model XDG_STATE_HOME=%s"):format(
    model.url, state or own)
  local self = mcp_client.start(server, arguments, "bin/daytona-acp", env)
  self.own_state = own
  local inherited = getmetatable(self).__index
  self.updates, self.questions, self.answer = {}, {}, allow
  return setmetatable(self, { __index = function(_, name) return Client[name] or inherited[name] end })
end

return { start = start }
