-- The Messages API (Anthropic): a conversation as its request, its stream as a reply.

local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local options = require "daytona.base.options"
local reply = require "daytona.agent.model.reply"

local messages = {
  maker = "anthropic", form = "anthropic", path = "/v1/messages", count_path = "/v1/messages/count_tokens",
  version = "2026-10-21",
}

-- The API wants a number; this is what one reply may cost when nothing is said.
local MAX_TOKENS = 16384

--- Requests ----------------------------------------------------------------------------------

local CACHE = { type = "ephemeral" }

-- Everything up to here is to be kept by the provider. In a copy: the block is not ours.
local function mark_last(list)
  if not list[1] then return list end
  list[#list] = options.copy(list[#list])
  list[#list].cache_control = CACHE
  return list
end

local function assistant_blocks(entry)
  local blocks, at = {}, 0
  if entry.driver == "messages" and entry.raw then
    for i, block in ipairs(entry.raw) do
      if block.type == "tool_use" then
        at = at + 1
        block = options.copy(block)
        block.input = reply.object(entry.calls[at].arguments)
      end
      blocks[i] = block
    end
    return blocks
  end
  if entry.text:find "%S" then blocks[1] = { type = "text", text = entry.text } end
  for _, call in ipairs(entry.calls) do
    blocks[#blocks + 1] = { type = "tool_use", id = call.id, name = call.name, input = reply.object(call.arguments) }
  end
  return blocks
end

local function blocks_of(entry, tools)
  if entry.type == "user" then return "user", { { type = "text", text = entry.text } } end
  if entry.type == "assistant" then return "assistant", assistant_blocks(entry) end
  local blocks = {}
  for i, done in ipairs(entry.results) do blocks[i] = tools:result("anthropic", { id = done.id }, done.result) end
  return "user", blocks
end

-- Roles alternate: what follows of the same one is the same message.
local function messages_of(history, tools)
  local list = json.array()
  for _, entry in ipairs(history) do
    local role, blocks = blocks_of(entry, tools)
    local last = list[#list]
    if last and last.role == role then
      for _, block in ipairs(blocks) do last.content[#last.content + 1] = block end
    elseif blocks[1] then
      list[#list + 1] = { role = role, content = blocks }
    end
  end
  local last = list[#list]
  if last and last.role == "user" then mark_last(last.content) end
  return list
end

---@param agent daytona.Agent
---@param history table[]
---@return table
function messages.count_request(agent, history)
  local system = agent.options.system
  return {
    model = agent.endpoint.model, messages = messages_of(history, agent.tools),
    system = system and mark_last { { type = "text", text = system } } or nil,
    tools = mark_last(agent:definitions "anthropic"),
  }
end

---@param agent daytona.Agent
---@param history table[]
---@return table
function messages.request(agent, history)
  local body = messages.count_request(agent, history)
  body.stream, body.max_tokens = true, agent.options.max_tokens or MAX_TOKENS
  return body
end

--- The stream ----------------------------------------------------------------------------------

local function count(self, usage)
  if type(usage) ~= "table" then return end
  self:count { input = usage.input_tokens, output = usage.output_tokens, cached = usage.cache_read_input_tokens,
    cache_write = usage.cache_creation_input_tokens }
end

-- Event -> fn(reply, data).
local ON = {}

function ON.message_start(self, data) count(self, (data.message or {}).usage) end

function ON.content_block_start(self, data)
  local block = type(data.content_block) == "table" and data.content_block or {}
  local index = data.index or 0
  self.blocks[index] = reply.lists(block)
  if block.type == "text" then self:say(block.text) end
  if block.type == "tool_use" then
    self.open[index] = self:begin_call(block.id, block.name)
    self.given[index] = block.input
    block.input = nil
  elseif block.type == "server_tool_use" then
    self.open[index] = { pieces = {} }
  end
end

-- Type of a delta -> the block's field that grows by the delta's field of that name.
local GROWS = { text_delta = "text", thinking_delta = "thinking", signature_delta = "signature" }

function ON.content_block_delta(self, data)
  local index, delta = data.index or 0, data.delta or {}
  local block, field = self.blocks[index], GROWS[delta.type]
  if not block then return end
  if field and type(delta[field]) == "string" then block[field] = (block[field] or "") .. delta[field] end
  if delta.type == "text_delta" then self:say(delta.text) end
  if delta.type == "thinking_delta" then self:think(delta.thinking) end
  if delta.type == "citations_delta" then
    block.citations = block.citations or {}
    block.citations[#block.citations + 1] = delta.citation
  elseif delta.type == "input_json_delta" then
    local call = self.open[index]
    if call and call.id then self:argue(call, delta.partial_json)
    elseif call then call.pieces[#call.pieces + 1] = delta.partial_json end
  end
end

function ON.content_block_stop(self, data)
  local index = data.index or 0
  local block, call = self.blocks[index], self.open[index]
  if not block then return end
  self.blocks[index], self.open[index] = nil, nil
  local text = call and table.concat(call.pieces) or ""
  if call and not call.id and text ~= "" then block.input = reply.object(text) end
  if call and call.id then
    -- All of it may stand in the block's beginning.
    local given = self.given[index]
    if text == "" then text = given and next(given) ~= nil and ordered.encode(given) or "{}" end
    self:add_call(call.id, call.name, text)
  end
  if block.type ~= "text" or block.text:find "%S" then self.raw[#self.raw + 1] = block end
end

local STOPS = {
  end_turn = "end", stop_sequence = "end", tool_use = "calls", max_tokens = "length", pause_turn = "pause",
  refusal = "refusal", model_context_window_exceeded = "overflow",
}

function ON.message_delta(self, data)
  count(self, data.usage)
  local why = (data.delta or {}).stop_reason
  if why then self.reason = why end
end

function ON.message_stop(self)
  self.stop = STOPS[self.reason] or "end"
end

function ON.error(self, data)
  self.failure = data.error or {}
end

-- A call that the end of the tokens cut off is none: its JSON is broken.
local function drop_broken(self)
  local last = self.raw[#self.raw]
  if self.stop ~= "length" or not last or last.type ~= "tool_use" then return end
  if reply.is_object(self.calls[#self.calls].arguments) then return end
  self.raw[#self.raw], self.calls[#self.calls] = nil, nil
end

---What takes the events of one reply.
---@param emit fun(event: table)
---@return daytona.Reply
---@return fun(event: string, data: table)
function messages.reader(emit)
  local self = reply.new("messages", emit)
  self.raw, self.blocks, self.open, self.given = json.array(), {}, {}, {}
  return self, function(_, data)
    local on = ON[data.type]
    if on then on(self, data) end
    if data.type == "message_stop" then drop_broken(self) end
  end
end

return messages
