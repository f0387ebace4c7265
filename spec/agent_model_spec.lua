-- Replies of models as their APIs stream them, in one piece and cut anywhere, and what is told
-- of failures; without a server.

local chat = require "daytona.agent.model.chat"
local context = require "daytona.agent.context"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local messages = require "daytona.agent.model.messages"
local ordered = require "daytona.http.ordered_json"
local reply = require "daytona.agent.model.reply"
local responses = require "daytona.agent.model.responses"
local trouble = require "daytona.agent.model.trouble"

local unpack = unpack or table.unpack -- luacheck: ignore

-- The reply of a stream, and the events as "type:text".
local function read(api, ...)
  local told = {}
  local self, take = api.reader(function(event)
    told[#told + 1] = event.type .. ":" .. (event.text or event.thinking or event.delta or event.name)
  end)
  for _, data in ipairs { ... } do take(data.type, data) end
  return self, told
end

local function calls_of(self)
  local list = {}
  for i, call in ipairs(self.calls) do list[i] = ("%s %s %s"):format(call.id, call.name, call.arguments) end
  return list
end

describe("a reply's text", function()
  it("is told in whole characters, however the pieces cut them", function()
    for _, text in ipairs { "\195\191x", "\226\130\172x", "\240\159\152\128x", "\224\160\128x", "\223\191x", "a" } do
      for cut = 1, #text do
        local told = {}
        local self = reply.new("x", function(event) told[#told + 1] = event.text end)
        self:say(text:sub(1, cut))
        self:say(text:sub(cut + 1))
        for _, piece in ipairs(told) do assert.is_nil(piece:find("\239\191\189", 1, true), text .. cut) end
        assert.equal(text, table.concat(told))
        assert.equal(text, self:entry().text)
      end
    end
  end)

  it("is told at once where its characters are whole", function()
    local told = {}
    local self = reply.new("x", function(event) told[#told + 1] = event.text or event.thinking end)
    for _, piece in ipairs { "a", "\195\169", "\226\130\172", "\240\159\152\128", "\195", "\169b" } do
      self:say(piece)
    end
    self:think "\195"
    self:think "\169"
    self:say(nil)
    self:say ""
    assert.same({ "a", "\195\169", "\226\130\172", "\240\159\152\128", "\195\169b", "\195\169" }, told)
  end)

  it("has marks for bytes that are no characters", function()
    local told = {}
    local self = reply.new("x", function(event) told[#told + 1] = event.text end)
    self:say "a\128\128\128\128b"
    assert.equal(("a????b"):gsub("%?", "\239\191\189"), table.concat(told))
  end)

  it("keeps empty lists as lists where the APIs have lists", function()
    assert.equal('{"content":[],"input":{},"parts":[{"summary":[]}]}',
      ordered.encode(reply.lists { content = {}, input = {}, parts = { { summary = {} } } }))
    for name in ([[summary content annotations logprobs citations actions pending_safety_checks commands path keys
      output results calls images raw files]]):gmatch "%S+" do
      assert.equal(('{"%s":[]}'):format(name), ordered.encode(reply.lists { [name] = {} }))
    end
  end)

  it("counts what are numbers", function()
    local self = reply.new("x", function() end)
    assert.same({ input = 0, cached = 0, cache_write = 0, output = 0 }, self.usage)
    self:count { input = 3, output = "many", cached = 0 }
    self:count { output = 2 }
    assert.same({ input = 3, cached = 0, cache_write = 0, output = 2 }, self.usage)
  end)
end)

describe("Chat Completions", function()
  local function choice(delta, finish) return { choices = { { delta = delta, finish_reason = finish } } } end

  it("tell calls by index, or by ids where a server gives no index", function()
    local function piece(index, id, name, arguments)
      return { index = index, id = id, ["function"] = { name = name, arguments = arguments } }
    end
    local self = read(chat, choice { tool_calls = { piece(0, "a", "ls", '{"p"') } },
      choice { tool_calls = { piece(1, "b", "cat", "{}"), piece(0, nil, nil, ":1}") } }, choice({}, "tool_calls"))
    assert.same({ 'a ls {"p":1}', "b cat {}" }, calls_of(self))
    self = read(chat, choice { tool_calls = { piece(nil, "a", "ls", "{") } },
      choice { tool_calls = { piece(nil, nil, nil, "}"), piece(nil, "b", "cat", "{}") } }, choice({}, "stop"))
    assert.same({ "a ls {}", "b cat {}" }, calls_of(self))
    assert.equal("calls", self.stop)
    self = read(chat, choice { tool_calls = { piece(nil, "", "ls", "{}") } }, choice({}, "function_call"))
    assert.same({ "call_1 ls {}" }, calls_of(self))
  end)

  it("lose the last call where the tokens cut it off, and no other", function()
    local function call(index, text)
      return { index = index, id = "c" .. index, ["function"] = { name = "f", arguments = text } }
    end
    local self = read(chat, choice { tool_calls = { call(0, "{"), call(1, '{"a":') } }, choice({}, "length"))
    assert.same({ "c0 f {" }, calls_of(self))
    assert.equal("length", self.stop)
    self = read(chat, choice { tool_calls = { call(0, "{}"), call(1, "{}") } }, choice({}, "length"))
    assert.same({ "c0 f {}", "c1 f {}" }, calls_of(self))
    self = read(chat, choice { tool_calls = { call(0, "{") } }, choice({}, "tool_calls"))
    assert.same({ "c0 f {" }, calls_of(self))
  end)

  it("say that the model refuses, in one of two ways", function()
    local self, told = read(chat, choice { refusal = "I will not" }, choice({ refusal = "" }, "stop"))
    assert.same({ "refusal", "text:I will not" }, { self.stop, told[1] })
    assert.equal("refusal", read(chat, choice({}, "content_filter")).stop)
    assert.equal("end", read(chat, choice({ refusal = "" }, "eos")).stop)
  end)

  it("tell thoughts, tokens and failures as servers name them", function()
    local self, told = read(chat, choice { reasoning_content = "hm", content = "a" }, choice { reasoning = "so" },
      { usage = { prompt_tokens = 10, completion_tokens = 3, prompt_tokens_details = { cached_tokens = 4 } } },
      choice({}, "stop"), choice { content = "late" })
    assert.same({ "thinking:hm", "text:a", "thinking:so" }, told)
    assert.same({ input = 6, cached = 4, cache_write = 0, output = 3 }, self.usage)
    assert.same({ message = "no" }, read(chat, { error = "no" }).failure)
    assert.same({ code = "x" }, read(chat, { error = { code = "x" } }).failure)
    assert.same({ input = 5, cached = 0, cache_write = 0, output = 0 },
      read(chat, { usage = { prompt_tokens = 5 } }).usage)
  end)
end)

describe("the Messages API", function()
  it("has blocks as they came, with citations and what the provider's own tools were given", function()
    local self, told = read(messages,
      { type = "message_start", message = { usage = { input_tokens = 5, cache_read_input_tokens = 2 } } },
      { type = "content_block_start", index = 0, content_block = { type = "text", text = "A", citations = json.null } },
      { type = "content_block_delta", index = 0, delta = { type = "text_delta", text = "b" } },
      { type = "content_block_stop", index = 0 },
      { type = "content_block_start", index = 1, content_block = { type = "text", text = "" } },
      { type = "content_block_delta", index = 1, delta = { type = "citations_delta", citation = { url = "u" } } },
      { type = "content_block_delta", index = 1, delta = { type = "citations_delta", citation = { url = "v" } } },
      { type = "content_block_delta", index = 1, delta = { type = "text_delta", text = "c" } },
      { type = "content_block_stop", index = 1 },
      { type = "content_block_start", index = 2,
        content_block = { type = "server_tool_use", id = "s", name = "search" } },
      { type = "content_block_delta", index = 2, delta = { type = "input_json_delta", partial_json = '{"q":' } },
      { type = "content_block_delta", index = 2, delta = { type = "input_json_delta", partial_json = '"x"}' } },
      { type = "content_block_stop", index = 2 },
      { type = "content_block_start", index = 3, content_block = { type = "text", text = " " } },
      { type = "content_block_stop", index = 3 },
      { type = "message_delta", delta = { stop_reason = "pause_turn" }, usage = { output_tokens = 7 } },
      { type = "message_stop" })
    assert.same({ "text:A", "text:b", "text:c", "text: " }, told)
    assert.equal("pause", self.stop)
    assert.equal(3, #self.raw)
    assert.same({ { url = "u" }, { url = "v" } }, self.raw[2].citations)
    assert.equal('{"q":"x"}', json.encode(self.raw[3].input))
    assert.same({ input = 5, cached = 2, cache_write = 0, output = 7 }, self.usage)
    assert.same({}, self.calls)
  end)

  it("has calls whose arguments stream, or stand there from the beginning, or are none", function()
    local function call(index, input, ...)
      local list = { { type = "content_block_start", index = index,
        content_block = { type = "tool_use", id = "c" .. index, name = "f", input = input } } }
      for _, piece in ipairs { ... } do
        list[#list + 1] = { type = "content_block_delta", index = index,
          delta = { type = "input_json_delta", partial_json = piece } }
      end
      list[#list + 1] = { type = "content_block_stop", index = index }
      return list
    end
    local stream = {}
    for _, list in ipairs { call(0, {}, '{"a"', ":1}"), call(1, { b = 2 }), call(2, {}), call(3, {}, '{"cut') } do
      for _, data in ipairs(list) do stream[#stream + 1] = data end
    end
    local function read_with(reason)
      local all = { unpack(stream) }
      all[#all + 1] = { type = "message_delta", delta = { stop_reason = reason } }
      all[#all + 1] = { type = "message_stop" }
      return (read(messages, unpack(all)))
    end
    local self = read_with "max_tokens"
    assert.same({ 'c0 f {"a":1}', 'c1 f {"b":2}', "c2 f {}" }, calls_of(self))
    assert.equal(3, #self.raw)
    self = read_with "tool_use"
    assert.equal(4, #self.calls)
    assert.equal("calls", self.stop)
    table.remove(stream) table.remove(stream) table.remove(stream)
    self = read_with "max_tokens"
    assert.same({ 3, 3 }, { #self.calls, #self.raw })
  end)

  it("passes over what it does not know, and says why a stream fails", function()
    local self = read(messages, { type = "ping" },
      { type = "content_block_delta", index = 9, delta = { type = "text_delta", text = "x" } },
      { type = "content_block_stop", index = 9 }, { type = "error", error = { type = "overloaded_error" } })
    assert.same({ type = "overloaded_error" }, self.failure)
    assert.is_nil(self.stop)
    assert.same({}, read(messages, { type = "error" }).failure)
    assert.equal("end", read(messages, { type = "message_stop" }).stop)
  end)
end)

describe("the Responses API", function()
  local function done(item) return { type = "response.output_item.done", item = item } end

  it("has calls of functions and of what models bring along", function()
    local self, told = read(responses,
      { type = "response.output_item.added", output_index = 1,
        item = { type = "function_call", call_id = "a", name = "ls" } },
      { type = "response.function_call_arguments.delta", output_index = 1, delta = "{}" },
      { type = "response.function_call_arguments.delta", output_index = 7, delta = "{}" },
      { type = "response.output_item.added", output_index = 2, item = { type = "shell_call", call_id = "b" } },
      { type = "response.output_item.added", output_index = 3, item = { type = "message" } },
      done { type = "function_call", call_id = "a", name = "ls", arguments = '{"p":1}' },
      done { type = "shell_call", call_id = "b", action = { commands = { "ls" } } },
      done { type = "apply_patch_call", call_id = "c", operation = { type = "delete_file" } },
      done { type = "computer_call", call_id = "d", action = { type = "click" }, pending_safety_checks = {} },
      done { type = "computer_call", call_id = "e", actions = { { type = "wait" } },
        pending_safety_checks = { { id = "s" } } },
      done { type = "function_call", call_id = "f", name = "cut", arguments = "{", status = "incomplete" },
      done { type = "message", content = {} }, { type = "response.output_item.done" },
      { type = "response.completed", response = { usage = { input_tokens = 9, output_tokens = 2,
        input_tokens_details = { cached_tokens = 5 } } } })
    assert.same({ 'a ls {"p":1}', 'b shell {"commands":["ls"]}', 'c apply_patch {"type":"delete_file"}',
      'd computer {"actions":[{"type":"click"}]}',
      'e computer {"actions":[{"type":"wait"}],"pending_safety_checks":[{"id":"s"}]}' }, calls_of(self))
    assert.same({ "call_begin:ls", "call_delta:{}", "call_begin:shell" }, told)
    assert.same({ 6, "calls" }, { #self.raw, self.stop })
    assert.same({ input = 4, cached = 5, cache_write = 0, output = 2 }, self.usage)
  end)

  it("ends as the model says", function()
    local function stop(...) return (read(responses, ...).stop) end
    local completed = { type = "response.completed" }
    assert.equal("end", stop(completed))
    assert.equal("refusal", stop({ type = "response.refusal.delta", delta = "no" }, completed))
    assert.equal("length", stop { type = "response.incomplete", response = { incomplete_details = { reason = "x" } } })
    assert.equal("length", stop { type = "response.incomplete" })
    assert.equal("refusal", stop { type = "response.incomplete",
      response = { incomplete_details = { reason = "content_filter" } } })
    assert.same({ code = "c" },
      read(responses, { type = "response.failed", response = { error = { code = "c" } } }).failure)
    assert.same({}, read(responses, { type = "response.failed" }).failure)
    assert.same({ code = "e" }, read(responses, { type = "error", error = { code = "e" } }).failure)
    assert.equal("said", read(responses, { type = "error", message = "said" }).failure.message)
  end)
end)

describe("a failure at the model", function()
  local endpoint = { model = "m", secrets = function() return { "sk-1234" } end }

  local function err(fields)
    fields.message = fields.message or "x"
    fields.kind = fields.kind or "server"
    return errors.new(fields)
  end

  it("that the stream tells has a kind, and says whether another try may help", function()
    for code, wanted in pairs {
      overloaded_error = "unavailable true", api_error = "server true", timeout_error = "timeout true",
      rate_limit_error = "rate_limited true", server_error = "server true", rate_limit_exceeded = "rate_limited true",
      authentication_error = "auth false", permission_error = "forbidden false", not_found_error = "not_found false",
      other = "server false",
    } do
      for _, failure in ipairs { { type = code }, { code = code } } do
        local told = trouble.told(failure, endpoint)
        assert.equal(wanted, told.kind .. " " .. tostring(told.retryable))
        assert.equal(code, told.code)
        assert.equal("the model's reply failed", told.message)
      end
    end
    assert.equal("key [redacted]", trouble.told({ message = "key sk-1234" }, endpoint).message)
    assert.equal("rate_limited", trouble.told({ type = "x", code = "rate_limit_exceeded" }, endpoint).kind)
  end)

  it("may be that the conversation is too long", function()
    for _, fields in ipairs { { code = "context_length_exceeded" }, { status = 413 },
      { status = 400, message = "The Prompt is too long" }, { status = 422, message = "context window" },
      { message = "maximum context" }, { kind = "invalid", message = "too many tokens" } } do
      assert.is_true(trouble.is_overflow(err(fields)))
    end
    for _, fields in ipairs { { status = 400 }, { status = 500, message = "prompt is too long" },
      { status = 404, message = "context window" }, { kind = "auth", message = "context window" } } do
      assert.is_false(trouble.is_overflow(err(fields)))
    end
  end)

  it("is asked about again where that may help", function()
    for _, status in ipairs { 408, 409, 429, 500, 529 } do assert.is_true(trouble.may_pass(err { status = status })) end
    for _, status in ipairs { 400, 401, 404, 499 } do
      assert.falsy(trouble.may_pass(err { status = status }))
      assert.is_true(trouble.may_pass(err { status = status, headers = { ["x-should-retry"] = "true" } }))
    end
    assert.is_false(trouble.may_pass(err { status = 500, headers = { ["x-should-retry"] = "false" } }))
    assert.is_true(trouble.may_pass(err { status = 500, headers = {} }))
    for _, body in ipairs { '{"error":{"code":"insufficient_quota"}}', '{"code":"insufficient_quota"}' } do
      assert.is_false(trouble.may_pass(err { status = 429, body = body }))
    end
    for _, body in ipairs { '{"error":"quota"}', "[]", "busy", '{"error":{"code":"other"}}' } do
      assert.is_true(trouble.may_pass(err { status = 429, body = body }))
    end
    assert.is_true(trouble.may_pass(err { kind = "connection", retryable = true }))
    assert.falsy(trouble.may_pass(err { kind = "connection", retryable = false }))
    assert.is_false(trouble.may_pass(err { kind = "timeout", code = "timeout", retryable = true }))
    assert.is_false(trouble.may_pass(err { kind = "canceled", retryable = true }))
  end)

  it("may say how long to wait", function()
    assert.equal(1.5, trouble.delay(err { headers = { ["retry-after-ms"] = "1500" }, retry_after = 9 }))
    assert.equal(0, trouble.delay(err { headers = { ["retry-after-ms"] = "-5" } }))
    assert.equal(9, trouble.delay(err { headers = {}, retry_after = 9 }))
    assert.is_nil(trouble.delay(err {}))
  end)
end)

describe("a conversation that is too long", function()
  local function result(text, more)
    local one = { ok = true, text = text, images = {}, truncated = false }
    for name, value in pairs(more or {}) do one[name] = value end
    return { type = "results", results = { { id = "c", result = one } } }
  end

  local function note(bytes)
    return ("[%d bytes of old output were left out to save room; call the tool again if they are needed]"):format(bytes)
  end

  local function texts(history)
    local list = {}
    for i, entry in ipairs(history) do list[i] = entry.results[1].result.text end
    return list
  end

  it("loses the older half of what tools printed, and the last answer only in the end", function()
    local a, b, c, short = ("a"):rep(1000), ("b"):rep(1000), ("c"):rep(1000), ("s"):rep(400)
    local history = { result(short), result(a), result(b), result(c) }
    local before = history[2].results[1].result
    assert.equal(1000, context.shrink(history))
    assert.same({ short, note(1000), b, c }, texts(history))
    assert.equal(a, before.text)
    assert.equal(1000, context.shrink(history))
    assert.same({ short, note(1000), note(1000), c }, texts(history))
    assert.equal(1000, context.shrink(history))
    assert.same({ short, note(1000), note(1000), note(1000) }, texts(history))
    assert.equal(0, context.shrink(history))
    history = { result(a), result(b), result(c), result("last") }
    assert.equal(2000, context.shrink(history))
  end)

  it("keeps what the results were about, and loses pictures and long data", function()
    local history = { result(("x"):rep(401), { tool = "t", read_more = "/f", sandbox = "s",
      images = { { data = ("y"):rep(99) } },
      data = { path = "/f", n = 1, none = json.null, list = { ("z"):rep(401), ("z"):rep(400) } } }), result "last" }
    assert.equal(500, context.shrink(history))
    local left = history[1].results[1].result
    assert.same({ ok = true, tool = "t", read_more = "/f", sandbox = "s", images = json.array(), truncated = true,
      text = note(500), data = { path = "/f", n = 1, none = json.null, list = { note(401), ("z"):rep(400) } } }, left)
  end)

  it("is taken to have a token for four bytes", function()
    local history = { { type = "user", text = "12345" }, { type = "assistant", text = "1234",
      calls = { { arguments = "{}" } } }, result("12", { images = { { data = "123" } } }) }
    assert.equal(4, context.estimate(history))
    assert.equal(3, context.estimate(history, 2))
  end)
end)

describe("a conversation", function()
  local tools = require("daytona.agent.tools").new({ {
    name = "ls", description = "Lists.", run = function() return {} end,
  } })

  local function agent_of(fields)
    local agent = {
      options = { system = "Be brief.", max_tokens = 99 }, conversation = "conv", tools = tools,
      endpoint = { model = "m", address = "https://api.openai.com/v1" },
      definitions = function(_, form) return tools:definitions(form) end,
    }
    for name, value in pairs(fields or {}) do agent[name] = value end
    return agent
  end

  local function result(id, text, images)
    return { id = id, result = { ok = true, tool = "ls", text = text, images = images or {}, truncated = false } }
  end

  -- The other API's replies have raw parts of their own, which this one cannot take.
  local HISTORY = {
    { type = "user", text = "hello" },
    { type = "assistant", driver = "other", raw = { { type = "else" } }, text = "I look", calls = {
      { id = "a", name = "ls", arguments = '{"p":1}' }, { id = "b", name = "ls", arguments = "{cut" } } },
    { type = "results",
      results = { result("a", "one", { { data = "AA", mime_type = "image/png" } }), result("b", "two") } },
    { type = "assistant", driver = "other", text = "", calls = {} },
    { type = "assistant", driver = "other", text = "", calls = { { id = "c", name = "ls", arguments = "{}" } } },
    { type = "results", results = { result("c", "three") } },
    { type = "assistant", driver = "other", text = "done", calls = {} },
    { type = "user", text = "thanks" },
  }

  -- As it goes out.
  local function sent(api, agent, history)
    return json.decode(assert(ordered.encode(api.request(agent, history or HISTORY))))
  end

  it("is sent to Chat Completions", function()
    local body = sent(chat, agent_of())
    local function call(id, text)
      return { id = id, type = "function", ["function"] = { name = "ls", arguments = text } }
    end
    assert.same({
      { role = "system", content = "Be brief." }, { role = "user", content = "hello" },
      { role = "assistant", content = "I look", tool_calls = { call("a", '{"p":1}'), call("b", "{}") } },
      { role = "tool", tool_call_id = "a", content = "one" }, { role = "tool", tool_call_id = "b", content = "two" },
      { role = "user", content = { { type = "text", text = "The images of these results:" },
        { type = "image_url", image_url = { url = "data:image/png;base64,AA" } } } },
      { role = "assistant", tool_calls = { call("c", "{}") } },
      { role = "tool", tool_call_id = "c", content = "three" },
      { role = "assistant", content = "done" }, { role = "user", content = "thanks" },
    }, body.messages)
    assert.truthy(ordered.encode(chat.request(agent_of(), HISTORY)):find('{"content":null,"role":"assistant"', 1, true))
    body.messages = nil
    assert.equal("ls", body.tools[1]["function"].name)
    body.tools = nil
    assert.same({ model = "m", stream = true, stream_options = { include_usage = true }, prompt_cache_key = "conv",
      max_completion_tokens = 99 }, body)
    body = sent(chat, agent_of { endpoint = { model = "m", address = "http://127.0.0.1:1/v1" },
      options = { max_tokens = 9 },
      definitions = function() return json.array() end })
    assert.same({ role = "user", content = "hello" }, body.messages[1])
    body.messages = nil
    assert.same({ model = "m", stream = true, stream_options = { include_usage = true }, max_tokens = 9 }, body)
  end)

  it("is sent to the Messages API, with marks of what is to be kept", function()
    local body = sent(messages, agent_of())
    local cache = { type = "ephemeral" }
    assert.same({
      { role = "user", content = { { type = "text", text = "hello" } } },
      { role = "assistant", content = { { type = "text", text = "I look" },
        { type = "tool_use", id = "a", name = "ls", input = { p = 1 } },
        { type = "tool_use", id = "b", name = "ls", input = {} } } },
      { role = "user", content = { { type = "tool_result", tool_use_id = "a", content = {
        { type = "text", text = "one" },
        { type = "image", source = { type = "base64", media_type = "image/png", data = "AA" } } } },
        { type = "tool_result", tool_use_id = "b", content = { { type = "text", text = "two" } } } } },
      { role = "assistant", content = { { type = "tool_use", id = "c", name = "ls", input = {} } } },
      { role = "user", content = { { type = "tool_result", tool_use_id = "c",
        content = { { type = "text", text = "three" } } } } },
      { role = "assistant", content = { { type = "text", text = "done" } } },
      { role = "user", content = { { type = "text", text = "thanks", cache_control = cache } } },
    }, body.messages)
    assert.same({ { type = "text", text = "Be brief.", cache_control = cache } }, body.system)
    assert.same(cache, body.tools[1].cache_control)
    assert.same({ "m", true, 99 }, { body.model, body.stream, body.max_tokens })
    body = sent(messages, agent_of { options = {}, definitions = function() return json.array() end },
      { { type = "user", text = "a" }, { type = "user", text = "b" } })
    assert.same({ model = "m", stream = true, max_tokens = 16384, tools = {},
      messages = { { role = "user", content = { { type = "text", text = "a" },
        { type = "text", text = "b", cache_control = cache } } } } }, body)
    assert.is_nil(HISTORY[8].cache_control)
  end)

  it("is sent to the Messages API as its own replies were", function()
    local body = sent(messages, agent_of(), { { type = "user", text = "x" }, { type = "assistant", driver = "messages",
      text = "t",
      calls = { { id = "a", name = "ls", arguments = '{"p":1}' }, { id = "b", name = "ls", arguments = "{" } },
      raw = { { type = "thinking", thinking = "h", signature = "s" }, { type = "tool_use", id = "a", name = "ls" },
        { type = "tool_use", id = "b", name = "ls" } } } })
    assert.same({ { type = "thinking", thinking = "h", signature = "s" },
      { type = "tool_use", id = "a", name = "ls", input = { p = 1 } },
      { type = "tool_use", id = "b", name = "ls", input = {} } }, body.messages[2].content)
  end)

  it("is sent to the Responses API", function()
    local body = sent(responses, agent_of())
    local function call(id, text) return { type = "function_call", call_id = id, name = "ls", arguments = text } end
    assert.same({
      { role = "user", content = "hello" }, { role = "assistant", content = "I look" }, call("a", '{"p":1}'),
      call("b", "{cut"),
      { type = "function_call_output", call_id = "a", output = { { type = "input_text", text = "one" },
        { type = "input_image", image_url = "data:image/png;base64,AA" } } },
      { type = "function_call_output", call_id = "b", output = "two" }, call("c", "{}"),
      { type = "function_call_output", call_id = "c", output = "three" }, { role = "assistant", content = "done" },
      { role = "user", content = "thanks" },
    }, body.input)
    assert.equal("ls", body.tools[1].name)
    body.input, body.tools = nil, nil
    assert.same({ model = "m", instructions = "Be brief.", stream = true, store = false, prompt_cache_key = "conv",
      include = { "reasoning.encrypted_content" }, max_output_tokens = 99 }, body)
    body = sent(responses, agent_of(), { { type = "assistant", driver = "responses", text = "t", calls = {}, raw = {
      { type = "reasoning", id = "r", encrypted_content = "e" }, { type = "reasoning", id = "q" },
      { type = "message", id = "m", content = {} } } } })
    assert.same({ { type = "reasoning", encrypted_content = "e" }, { type = "message", content = {} } }, body.input)
  end)
end)
