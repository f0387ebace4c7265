-- One reply of a model while it streams: what the drivers put it together with, and the
-- events that tell of it.

local json = require "daytona.http.json"
local output = require "daytona.agent.output"

local reply = {}

---What a model asks for. `arguments` is JSON text, as it came: it may be broken.
---@class daytona.ModelCall
---@field id string
---@field name string
---@field arguments string

---@class daytona.Usage
---@field input integer        tokens that were read, without those below
---@field cached integer       ... from the provider's cache
---@field cache_write integer  ... into it
---@field output integer       tokens that were written, with those of thinking

---@class daytona.Reply
---@field driver string
---@field calls daytona.ModelCall[]
---@field raw? table[]       the parts as the API wants them back
---@field stop? "end"|"calls"|"length"|"refusal"|"pause"|"overflow"  nil: the stream was cut
---@field usage daytona.Usage
---@field failure? table     what the stream said in place of its end
---@field emit fun(event: table)
local Reply = {}
Reply.__index = Reply

---@param driver string
---@param emit fun(event: table)
---@return daytona.Reply
function reply.new(driver, emit)
  return setmetatable({ driver = driver, pieces = {}, calls = json.array(), held = {},
    usage = { input = 0, cached = 0, cache_write = 0, output = 0 }, emit = emit }, Reply)
end

-- Bytes at the end that begin a character whose rest is still to come.
local function unfinished(text)
  for back = 1, math.min(3, #text) do
    local byte = text:byte(-back)
    if byte >= 0xC0 then
      local length = byte >= 0xF0 and 4 or byte >= 0xE0 and 3 or 2
      return back < length and back or 0
    end
    if byte < 0x80 then return 0 end
  end
  return 0
end

-- Of what has come of a kind, the whole characters; some servers cut them.
local function whole(self, kind, piece)
  local text = (self.held[kind] or "") .. piece
  local rest = unfinished(text)
  self.held[kind] = text:sub(#text - rest + 1)
  return output.clean(text:sub(1, #text - rest))
end

---A piece of the text.
---@param piece any
function Reply:say(piece)
  if type(piece) ~= "string" then return end
  local text = whole(self, "text", piece)
  if text == "" then return end
  self.pieces[#self.pieces + 1] = text
  self.emit { type = "text", text = text }
end

---A piece of what the model thinks, where it shows that.
---@param piece any
function Reply:think(piece)
  local text = type(piece) == "string" and whole(self, "thinking", piece) or ""
  if text ~= "" then self.emit { type = "thinking", thinking = text } end
end

---A call begins.
---@param id any
---@param name any
---@return table call  whose `pieces` grow
function Reply:begin_call(id, name)
  local call = { id = tostring(id or ""), name = tostring(name or ""), pieces = {} }
  self.emit { type = "call_begin", id = call.id, name = call.name }
  return call
end

---A piece of a call's arguments.
---@param call? table
---@param piece any
function Reply:argue(call, piece)
  if not call or type(piece) ~= "string" or piece == "" then return end
  call.pieces[#call.pieces + 1] = piece
  self.emit { type = "call_delta", id = call.id, name = call.name, delta = piece }
end

---A call is complete.
---@param id string
---@param name string
---@param arguments string
function Reply:add_call(id, name, arguments)
  self.calls[#self.calls + 1] = { id = id, name = name, arguments = output.clean(arguments) }
end

---Notes numbers of tokens; what is no number is left out.
---@param counts table<string, any>
function Reply:count(counts)
  for name, value in pairs(counts) do
    if type(value) == "number" then self.usage[name] = value end
  end
end

---What is kept of it: an entry of the conversation.
---@return table
function Reply:entry()
  return { type = "assistant", driver = self.driver, text = table.concat(self.pieces), calls = self.calls,
    raw = self.raw, stop = self.stop, usage = self.usage }
end

---Whether a text is a JSON object.
---@param text string
---@return boolean
function reply.is_object(text)
  if not text:find "^%s*{" then return false end
  return type((json.decode(text))) == "table"
end

---A call's arguments as an object in a request: what is none is an empty one.
---@param text string
---@return table
function reply.object(text)
  return json.verbatim(reply.is_object(text) and text or "{}")
end

-- Fields that are lists in what the APIs send, also when they are empty.
local LISTS = {
  summary = true, content = true, annotations = true, logprobs = true, citations = true, actions = true,
  pending_safety_checks = true, commands = true, path = true, keys = true, output = true, results = true,
  calls = true, images = true, raw = true, files = true,
}

---Marks the empty lists in what was decoded, in place, so that they go out as lists.
---@generic T
---@param value T
---@return T
function reply.lists(value)
  for name, item in pairs(value) do
    if type(item) == "table" then
      if LISTS[name] and next(item) == nil then json.array(item) else reply.lists(item) end
    end
  end
  return value
end

return reply
