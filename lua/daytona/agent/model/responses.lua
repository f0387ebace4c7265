-- The Responses API (OpenAI): a conversation as its request, its stream as a reply.

local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local options = require "daytona.base.options"
local reply = require "daytona.agent.model.reply"

local responses = { maker = "openai", form = "openai", path = "/responses", count_path = "/responses/input_tokens" }

--- Requests --------------------------------------------------------------------------------

-- An item as it is sent back. Nothing is stored over there (`store`), so ids name nothing, and
-- what was thought counts only where it came along.
local function returned(item)
  if item.type == "reasoning" and not item.encrypted_content then return nil end
  local copy = options.copy(item)
  copy.id = nil
  return copy
end

local function add_assistant(input, entry)
  if entry.driver == "responses" and entry.raw then
    for _, item in ipairs(entry.raw) do input[#input + 1] = returned(item) end
    return
  end
  if entry.text ~= "" then input[#input + 1] = { role = "assistant", content = entry.text } end
  for _, call in ipairs(entry.calls) do
    input[#input + 1] = { type = "function_call", call_id = call.id, name = call.name, arguments = call.arguments }
  end
end

local function input_of(history, tools)
  local input = json.array()
  for _, entry in ipairs(history) do
    if entry.type == "user" then
      input[#input + 1] = { role = "user", content = entry.text }
    elseif entry.type == "assistant" then
      add_assistant(input, entry)
    else
      for _, done in ipairs(entry.results) do
        input[#input + 1] = tools:result("openai", { call_id = done.id }, done.result)
      end
    end
  end
  return input
end

---@param agent daytona.Agent
---@param history table[]
---@return table
function responses.count_request(agent, history)
  return {
    model = agent.endpoint.model, instructions = agent.options.system, input = input_of(history, agent.tools),
    tools = agent:definitions "openai",
  }
end

---@param agent daytona.Agent
---@param history table[]
---@return table
function responses.request(agent, history)
  local body = responses.count_request(agent, history)
  body.stream, body.store, body.prompt_cache_key = true, false, agent.conversation
  body.include = { "reasoning.encrypted_content" }
  body.max_output_tokens = agent.options.max_tokens
  return body
end

--- The stream --------------------------------------------------------------------------------

-- Item type -> fn(item): name and arguments, of calls.
local CALLS = {}

function CALLS.function_call(item) return item.name, item.arguments end
function CALLS.shell_call(item) return "shell", ordered.encode(item.action or {}) end
function CALLS.apply_patch_call(item) return "apply_patch", ordered.encode(item.operation or {}) end

function CALLS.computer_call(item)
  local checks = item.pending_safety_checks
  return "computer", ordered.encode { actions = item.actions or { item.action },
    pending_safety_checks = checks and checks[1] and checks or nil }
end

-- Event -> fn(reply, data).
local ON = {}

ON["response.output_text.delta"] = function(self, data) self:say(data.delta) end
ON["response.reasoning_summary_text.delta"] = function(self, data) self:think(data.delta) end

ON["response.refusal.delta"] = function(self, data)
  self.refused = true
  self:say(data.delta)
end

ON["response.output_item.added"] = function(self, data)
  local item = data.item or {}
  if not CALLS[item.type] then return end
  self.open[data.output_index or 0] = self:begin_call(item.call_id, item.name or item.type:gsub("_call$", ""))
end

ON["response.function_call_arguments.delta"] = function(self, data)
  self:argue(self.open[data.output_index or 0], data.delta)
end

ON["response.output_item.done"] = function(self, data)
  local item = data.item
  if type(item) ~= "table" then return end
  reply.lists(item)
  local call = CALLS[item.type]
  if call and item.status == "incomplete" then return end
  self.raw[#self.raw + 1] = item
  if not call then return end
  local name, arguments = call(item)
  self:add_call(tostring(item.call_id), tostring(name), tostring(arguments or ""))
end

local function count(self, response)
  local usage = response.usage or {}
  local cached = (usage.input_tokens_details or {}).cached_tokens or 0
  self:count { input = (usage.input_tokens or 0) - cached, cached = cached, output = usage.output_tokens }
end

ON["response.completed"] = function(self, data)
  count(self, data.response or {})
  self.stop = self.refused and "refusal" or self.calls[1] and "calls" or "end"
end

ON["response.incomplete"] = function(self, data)
  local response = data.response or {}
  count(self, response)
  local why = (response.incomplete_details or {}).reason
  self.stop = why == "content_filter" and "refusal" or "length"
end

ON["response.failed"] = function(self, data)
  self.failure = (data.response or {}).error or {}
end

ON["error"] = function(self, data)
  self.failure = data.error or data
end

---What takes the events of one reply.
---@param emit fun(event: table)
---@return daytona.Reply
---@return fun(event: string, data: table)
function responses.reader(emit)
  local self = reply.new("responses", emit)
  self.raw, self.open = json.array(), {}
  return self, function(_, data)
    local on = ON[data.type]
    if on then on(self, data) end
  end
end

return responses
