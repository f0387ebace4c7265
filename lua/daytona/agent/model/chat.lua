-- Chat Completions, which nearly every server of models speaks: a conversation as its
-- request, its stream as a reply.

local json = require "daytona.http.json"
local reply = require "daytona.agent.model.reply"

local chat = { maker = "openai", form = "openai_chat", path = "/chat/completions" }

--- Requests --------------------------------------------------------------------------------------

-- Servers that parse the arguments of former calls fail where they are broken.
local function call_of(call)
  return { id = call.id, type = "function", ["function"] = { name = call.name,
    arguments = reply.is_object(call.arguments) and call.arguments or "{}" } }
end

local function add_assistant(list, entry)
  local calls
  for i, call in ipairs(entry.calls) do
    calls = calls or {}
    calls[i] = call_of(call)
  end
  if entry.text == "" and not calls then return end
  list[#list + 1] = { role = "assistant", content = entry.text ~= "" and entry.text or json.null, tool_calls = calls }
end

-- Results hold no pictures in this form; they follow as if the user had sent them.
local function add_results(list, entry, tools)
  local pictures = { { type = "text", text = "The images of these results:" } }
  for _, done in ipairs(entry.results) do
    list[#list + 1] = tools:result("openai_chat", { id = done.id }, done.result)
    for _, image in ipairs(done.result.images) do
      pictures[#pictures + 1] = { type = "image_url",
        image_url = { url = "data:" .. image.mime_type .. ";base64," .. image.data } }
    end
  end
  if pictures[2] then list[#list + 1] = { role = "user", content = pictures } end
end

local function messages_of(agent, history)
  local list = json.array()
  if agent.options.system then list[1] = { role = "system", content = agent.options.system } end
  for _, entry in ipairs(history) do
    if entry.type == "user" then
      list[#list + 1] = { role = "user", content = entry.text }
    elseif entry.type == "assistant" then
      add_assistant(list, entry)
    else
      add_results(list, entry, agent.tools)
    end
  end
  return list
end

---@param agent daytona.Agent
---@param history table[]
---@return table
function chat.request(agent, history)
  local tools, most = agent:definitions "openai_chat", agent.options.max_tokens
  local body = {
    model = agent.endpoint.model, messages = messages_of(agent, history), tools = tools[1] and tools or nil,
    stream = true, stream_options = { include_usage = true },
  }
  -- Other servers refuse what they do not know.
  if agent.endpoint.address:find "^https://api%.openai%.com/" then
    body.prompt_cache_key, body.max_completion_tokens = agent.conversation, most
  else
    body.max_tokens = most
  end
  return body
end

--- The stream ------------------------------------------------------------------------------------

-- The call that a piece belongs to: by its index; where a server gives none, a new id is
-- a new call.
local function call_at(self, piece)
  local index = piece.index
  local is_new = type(piece.id) == "string" and piece.id ~= ""
  if not index then index = is_new and #self.order + 1 or self.latest end
  if not self.open[index or 1] then
    local fn = piece["function"] or {}
    self.open[index or 1] = self:begin_call(is_new and piece.id or "call_" .. (#self.order + 1), fn.name)
    self.order[#self.order + 1] = self.open[index or 1]
  end
  self.latest = index or 1
  return self.open[self.latest]
end

local STOPS = { stop = "end", length = "length", content_filter = "refusal", tool_calls = "calls",
  function_call = "calls" }

local function close(self, reason)
  self.stop = STOPS[reason] or "end"
  for i, call in ipairs(self.order) do
    local text = table.concat(call.pieces)
    -- The end of the tokens cut the last one off.
    local broken = self.stop == "length" and i == #self.order and not reply.is_object(text)
    if not broken then self:add_call(call.id, call.name, text) end
  end
  if self.refused then self.stop = "refusal" end
  if self.calls[1] and self.stop == "end" then self.stop = "calls" end
end

local function take(self, data)
  local usage = data.usage
  if type(usage) == "table" then
    local cached = (usage.prompt_tokens_details or {}).cached_tokens or 0
    self:count { input = (usage.prompt_tokens or 0) - cached, cached = cached, output = usage.completion_tokens }
  end
  if data.error then self.failure = type(data.error) == "table" and data.error or { message = data.error } end
  local choice = type(data.choices) == "table" and data.choices[1]
  if type(choice) ~= "table" or self.stop then return end
  local delta = choice.delta or {}
  self:think(delta.reasoning_content or delta.reasoning)
  self:say(delta.content)
  if type(delta.refusal) == "string" and delta.refusal ~= "" then
    self.refused = true
    self:say(delta.refusal)
  end
  for _, piece in ipairs(delta.tool_calls or {}) do
    self:argue(call_at(self, piece), (piece["function"] or {}).arguments)
  end
  if type(choice.finish_reason) == "string" then close(self, choice.finish_reason) end
end

---What takes the events of one reply.
---@param emit fun(event: table)
---@return daytona.Reply
---@return fun(event: string, data: table)
function chat.reader(emit)
  local self = reply.new("chat", emit)
  self.open, self.order = {}, {}
  return self, function(_, data) take(self, data) end
end

return chat
