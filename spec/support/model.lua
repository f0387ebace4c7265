-- Models that say what a spec wants: a scripted server in a process of its own, whose n-th
-- answer is the n-th entry of the script, and replies in the forms of the three APIs.
--
--   local server = require("spec.support.model").start()
--   server:script { { body = "data: ...\n\n" }, { status = 529, headers = { ["retry-after"] = "0" }, body = "{}" } }
--   server.url                       what a model's base_url is to be
--   server:requests()                what came: { path, headers, body, json }
--   server:close()
--
-- An entry is { body, status, headers, piece, cut, hold }: bytes of each write (all at once
-- without), whether the connection is cut behind the body, and whether nothing follows for
-- as long as the client waits. Token counts are answered by `count`. When the script has come
-- to its end, its last entry is repeated.

local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local socket = require "cqueues.socket"

local Server = {}
Server.__index = Server

local PATIENCE = 20

local M = {}

-- One question, blocking, over a connection of its own.
function Server:ask(path, value)
  local body = value and assert(json.encode(value)) or ""
  local sock = socket.connect { host = "127.0.0.1", port = self.port, nodelay = true }
  sock:settimeout(PATIENCE)
  sock:setmode("bn", "bn")
  assert(sock:xwrite(("POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s"):format(path, #body, body), PATIENCE))
  local length = 0
  for line in sock:lines "*l" do
    if line:gsub("\r", "") == "" then break end
    length = tonumber(line:match "^Content%-Length: (%d+)") or length
  end
  local text = assert(sock:read(length), "no answer from the scripted model")
  sock:close()
  return assert(json.decode(text))
end

---What is answered from now on; forgets the requests that came.
---@param entries table[]
---@param count? integer  tokens, where a request asks for them
function Server:script(entries, count)
  self:ask("/__script", { entries = json.array(entries), count = count })
end

---The requests since then, with their bodies decoded.
function Server:requests()
  local list = self:ask "/__requests"
  for _, request in ipairs(list) do request.json = json.decode(request.body) end
  return list
end

function Server:close()
  if self.out then self.out:close() end
  self.out = nil
end

---Starts a server; it ends with this process, too.
function M.start()
  local out = assert(io.popen("exec env LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./build/luajit/?.so;;' "
    .. "luajit spec/support/model_server.lua </dev/null", "r"))
  local port = tonumber((out:read "*l"))
  assert(port, "the scripted model did not start")
  return setmetatable({ out = out, port = port, url = "http://127.0.0.1:" .. port }, Server)
end

--- Replies --------------------------------------------------------------------------------

local function event(name, data)
  data.type = data.type or name
  return ("event: %s\ndata: %s\n\n"):format(name, assert(ordered.encode(data)))
end

-- A text in pieces, as a stream has it.
local function pieces(text)
  local list = {}
  for i = 1, #text, 7 do list[#list + 1] = text:sub(i, i + 6) end
  return list
end

-- API -> fn(reply): the stream of { text, calls = { { name, arguments, id } }, stop, usage }.
local STREAM = {}

function STREAM.responses(reply)
  local out, index = {}, 0
  local usage = { input_tokens = 100, output_tokens = 10, input_tokens_details = { cached_tokens = 60 } }
  local function add(name, data) out[#out + 1] = event(name, data) end
  if reply.text then
    add("response.output_item.added", { output_index = 0, item = { type = "message" } })
    -- A character is never cut inside JSON: pieces of text are whole in this API.
    add("response.output_text.delta", { output_index = 0, delta = reply.text })
    add("response.output_item.done", { output_index = 0, item = { type = "message", id = "m1", role = "assistant",
      content = { { type = "output_text", text = reply.text, annotations = json.array() } } } })
    index = 1
  end
  for i, call in ipairs(reply.calls or {}) do
    local id = call.id or "call_" .. i
    add("response.output_item.added", { output_index = index, item = { type = "function_call", call_id = id,
      name = call.name } })
    for _, piece in ipairs(pieces(call.arguments)) do
      add("response.function_call_arguments.delta", { output_index = index, delta = piece })
    end
    add("response.output_item.done", { output_index = index, item = { type = "function_call", call_id = id,
      name = call.name, arguments = call.arguments, status = "completed" } })
    index = index + 1
  end
  if reply.stop == "length" then
    add("response.incomplete", { response = { usage = usage, incomplete_details = { reason = "max_output_tokens" } } })
  else
    add("response.completed", { response = { usage = usage } })
  end
  return table.concat(out)
end

function STREAM.messages(reply)
  local out, index = { event("message_start", { message = { usage = { input_tokens = 40,
    cache_read_input_tokens = 50, cache_creation_input_tokens = 10, output_tokens = 1 } } }) }, 0
  local function block(start, deltas)
    out[#out + 1] = event("content_block_start", { index = index, content_block = start })
    for _, delta in ipairs(deltas) do
      out[#out + 1] = event("content_block_delta", { index = index, delta = delta })
    end
    out[#out + 1] = event("content_block_stop", { index = index })
    index = index + 1
  end
  if reply.thinking then
    block({ type = "thinking", thinking = "", signature = "" }, {
      { type = "thinking_delta", thinking = reply.thinking }, { type = "signature_delta", signature = "sig==" } })
  end
  if reply.text then block({ type = "text", text = "" }, { { type = "text_delta", text = reply.text } }) end
  for i, call in ipairs(reply.calls or {}) do
    local deltas = {}
    for j, piece in ipairs(pieces(call.arguments)) do
      deltas[j] = { type = "input_json_delta", partial_json = piece }
    end
    block({ type = "tool_use", id = call.id or "call_" .. i, name = call.name, input = {} }, deltas)
  end
  local stops = { length = "max_tokens", pause = "pause_turn", overflow = "model_context_window_exceeded" }
  local stop = stops[reply.stop] or reply.stop or reply.calls and "tool_use" or "end_turn"
  out[#out + 1] = event("ping", {})
  out[#out + 1] = event("message_delta", { delta = { stop_reason = stop }, usage = { output_tokens = 10 } })
  out[#out + 1] = event("message_stop", {})
  return table.concat(out)
end

function STREAM.chat(reply)
  local out = {}
  local function add(delta, reason)
    out[#out + 1] = "data: " .. ordered.encode { choices = { { index = 0, delta = delta, finish_reason = reason } } }
      .. "\n\n"
  end
  add { role = "assistant", content = "" }
  if reply.text then add { content = reply.text } end
  for i, call in ipairs(reply.calls or {}) do
    add { tool_calls = { { index = i - 1, id = call.id or "call_" .. i, type = "function",
      ["function"] = { name = call.name, arguments = "" } } } }
    for _, piece in ipairs(pieces(call.arguments)) do
      add { tool_calls = { { index = i - 1, ["function"] = { arguments = piece } } } }
    end
  end
  local stops = { refusal = "content_filter" }
  add({}, stops[reply.stop] or reply.stop or reply.calls and "tool_calls" or "stop")
  out[#out + 1] = "data: " .. ordered.encode { choices = json.array(), usage = { prompt_tokens = 100,
    completion_tokens = 10, prompt_tokens_details = { cached_tokens = 60 } } } .. "\n\ndata: [DONE]\n\n"
  return table.concat(out)
end

---The stream of a reply in the form of an API.
---@param api "responses"|"messages"|"chat"
---@param reply table
---@return string
function M.stream(api, reply)
  return STREAM[api](reply)
end

---Entries of a script, of replies.
---@param api string
---@param replies table[]  more of an entry may stand in each
---@return table[]
function M.entries(api, replies)
  local list = {}
  for i, reply in ipairs(replies) do
    list[i] = reply.body and reply or { body = STREAM[api](reply), piece = reply.piece, cut = reply.cut }
  end
  return list
end

return M
