-- An agent's loop, against scripted models in the forms of the three APIs: replies, calls,
-- limits, failures, transcripts. The tools are the spec's own; no sandbox is needed.

local daytona = require "daytona"
local haste = require "spec.support.haste"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local loop = require "daytona.loop"
local models = require "spec.support.model"
local shape = require "daytona.agent.shape"
local transcript = require "daytona.agent.transcript"

local KEY = "sk-model-key-778899"

local server

setup(function() server = models.start() end)
teardown(function() server:close() end)

local long = ("old output "):rep(200)

local function tools_of_spec()
  return daytona.tools {
    { name = "add", description = "Adds.",
      input = shape.object { { "a", shape.number "A." }, { "b", shape.number "B." } },
      output = shape.object { { "sum", shape.number() } },
      run = function(args, call)
        call:progress "adding"
        return { sum = args.a + args.b }
      end },
    { name = "wait", description = "Waits.", input = shape.object { { "seconds", shape.number "How long." } },
      run = function(args)
        local slept, err = daytona.sleep(args.seconds)
        if not slept then return nil, err end
        return { waited = true }, { text = "waited" }
      end },
    { name = "print", description = "Prints much.", run = function() return {}, { text = long } end },
    { name = "login", description = "Logs in.", input = shape.object { { "token", shape.secret "It." } },
      run = function(args) return { said = "logged in with " .. args.token } end },
    { name = "picture", description = "Draws.", run = function()
      return {}, { text = "drawn", images = { { data = "aGVsbG8=", mime_type = "image/png" } } }
    end },
  }
end

local APIS = { "responses", "messages", "chat" }

local function agent_of(api, opts)
  local all = { driver = api, model = "a-model", api_key = KEY, base_url = server.url, tools = tools_of_spec() }
  for name, value in pairs(opts or {}) do all[name] = value end
  return assert(daytona.agent(all))
end

-- Scripts replies, gives a prompt; what was said, the end, all events.
local function play(api, replies, opts, prompt)
  server:script(models.entries(api, replies))
  local agent, list = agent_of(api, opts), {}
  local text, event = agent:send(prompt or "go", { on_event = function(e) list[#list + 1] = e end })
  return text, event, list, agent
end

local function of_type(list, kind)
  local found = {}
  for _, event in ipairs(list) do
    if event.type == kind then found[#found + 1] = event end
  end
  return found
end

local function texts(list)
  local out = {}
  for i, event in ipairs(of_type(list, "text")) do out[i] = event.text end
  return table.concat(out)
end

local ADD = { name = "add", arguments = '{"a":1,"b":2}' }

-- What the API was told that the tools said: id and text of each, of the last request.
local function answers(api, request)
  local found = {}
  for _, item in ipairs(request.json.input or request.json.messages) do
    if item.type == "function_call_output" then found[#found + 1] = { item.call_id, item.output } end
    if item.role == "tool" then found[#found + 1] = { item.tool_call_id, item.content } end
    for _, block in ipairs(api == "messages" and item.content or {}) do
      if block.type == "tool_result" then found[#found + 1] = { block.tool_use_id, block.content[1].text } end
    end
  end
  return found
end

for _, api in ipairs(APIS) do
  describe("an agent on " .. api, function()
    it("says what the model says, wherever the stream and its characters are cut", function()
      local said = "Grüße, 世界 \240\159\152\128!"
      for _, size in ipairs { 1, 2, 3, 5, 64 } do
        local text, event, list = play(api, { { text = said, piece = size } })
        assert.equal(said, text)
        assert.equal(said, texts(list))
        assert.equal("end", event.reason)
        assert.equal(1, event.steps)
      end
    end)

    it("sends the key of the model, and nothing of Daytona's", function()
      local text = play(api, { { text = "hi" } })
      assert.equal("hi", text)
      local request = server:requests()[1]
      local headers = request.headers
      assert.equal(api == "messages" and KEY or nil, headers["x-api-key"])
      assert.equal(api ~= "messages" and "Bearer " .. KEY or nil, headers.authorization)
      for name in pairs(headers) do assert.is_nil(name:find "daytona", name) end
      assert.equal("a-model", request.json.model)
      assert.is_true(request.json.stream)
    end)

    it("answers the calls of one reply together and in their order", function()
      local text, event, list = play(api, {
        { text = "Both.", calls = { { name = "wait", arguments = '{"seconds":0.05}' }, ADD } }, { text = "3" },
      })
      assert.equal("3", text)
      assert.equal(2, event.steps)
      local requests = server:requests()
      assert.equal(2, #requests)
      assert.same({ { "call_1", "waited" }, { "call_2", '{"sum":3}' } }, answers(api, requests[2]))
      -- The shorter one was done first.
      local results = of_type(list, "result")
      assert.same({ "add", "wait" }, { results[1].name, results[2].name })
      assert.equal("adding", of_type(list, "progress")[1].message)
      assert.equal(ADD.arguments, of_type(list, "call")[2].arguments)
      local begun, delta = of_type(list, "call_begin"), {}
      assert.equal("wait", begun[1].name)
      for _, piece in ipairs(of_type(list, "call_delta")) do
        if piece.id == "call_2" then delta[#delta + 1] = piece.delta end
      end
      assert.equal(ADD.arguments, table.concat(delta))
    end)

    it("tells the model of broken arguments and of tools that there are not", function()
      local text = play(api, {
        { calls = { { name = "add", arguments = '{"a":1,' }, { name = "nosuch", arguments = "{}" },
          { name = "add", arguments = '{"a":"x","b":2}' } } }, { text = "sorry" },
      })
      assert.equal("sorry", text)
      local told = answers(api, server:requests()[2])
      assert.truthy(told[1][2]:find "not valid JSON", told[1][2])
      assert.truthy(told[2][2]:find "there is no tool 'nosuch'", told[2][2])
      assert.truthy(told[3][2]:find "a", told[3][2])
      assert.equal(3, #told)
    end)

    it("counts tokens and money", function()
      local _, event = play(api, { { calls = { ADD } }, { text = "3" } },
        { prices = { input = 10, cached = 1, cache_write = 20, output = 100 } })
      local usage = event.usage
      assert.equal(200, usage.input + usage.cached + usage.cache_write)
      assert.equal(20, usage.output)
      local wanted = (usage.input * 10 + usage.cached + usage.cache_write * 20 + usage.output * 100) / 1e6
      assert.is_true(math.abs(event.money - wanted) < 1e-12)
    end)

    it("ends a model that calls tools for ever, at each of its limits", function()
      local endless = { { calls = { ADD } } }
      local _, event, _, agent = play(api, endless, { limits = { steps = 3 } })
      assert.same({ "limit", "steps", 3 }, { event.reason, event.limit, event.steps })
      assert.equal(3, #server:requests())
      -- The conversation is whole, and goes on.
      server:script(models.entries(api, { { text = "well" } }))
      assert.equal("well", (agent:send "and now?"))
      assert.equal(3, #answers(api, server:requests()[1]))
      _, event = play(api, endless, { limits = { tokens = 300 } })
      assert.same({ "limit", "tokens" }, { event.reason, event.limit })
      assert.is_true(event.steps >= 1 and event.steps <= 3)
      _, event = play(api, endless, { limits = { money = 0.0025 }, prices = { input = 10, output = 10 } })
      assert.same({ "limit", "money", 3 }, { event.reason, event.limit, event.steps })
    end)

    it("waits for no reply when the seconds are over", function()
      local _, silent = play(api, { { body = "", hold = true } }, { limits = { seconds = 0.3 } })
      assert.same({ "limit", "seconds" }, { silent.reason, silent.limit })
    end)

    it("tries again after 429, 529 and 500, as long as the answer says", function()
      local busy = '{"error":{"type":"overloaded_error","message":"Overloaded"}}'
      local text, event, list = play(api, {
        { status = 529, headers = { ["Retry-After"] = "0" }, body = busy },
        { status = 429, headers = { ["retry-after-ms"] = "1" }, body = busy },
        { status = 500, headers = { ["retry-after"] = "0" }, body = "" }, { text = "there" },
      })
      assert.equal("there", text)
      assert.equal(1, event.steps)
      local retries = of_type(list, "retry")
      assert.equal(3, #retries)
      assert.equal(529, retries[1].error.status)
      assert.equal(0.001, retries[2].seconds)
    end)

    it("gives up in the end, and does not repeat what cannot help", function()
      local always = { status = 529, headers = { ["Retry-After"] = "0" }, body = "{}" }
      local text, err = play(api, { always }, { retries = 2 })
      assert.is_nil(text)
      assert.equal(529, err.status)
      assert.equal(3, #server:requests())
      text, err = play(api, { { status = 401, body = '{"error":{"message":"bad key ' .. KEY .. '"}}' } })
      assert.is_nil(text)
      assert.is_true(daytona.is_error(err, "auth"))
      assert.is_nil(tostring(err):find(KEY, 1, true))
      assert.is_nil((err.body or ""):find(KEY, 1, true))
      assert.equal(1, #server:requests())
    end)

    it("asks again for a reply that was cut, and runs nothing of the broken one", haste.case(function()
      local whole = models.stream(api, { text = "half", calls = { ADD } })
      for _, at in ipairs { math.floor(#whole / 2), 10 } do
        local text, _, list = play(api, {
          { body = whole:sub(1, at), cut = true }, { body = whole:sub(1, at) }, { text = "whole" } })
        assert.equal("whole", text)
        assert.equal(2, #of_type(list, "retry"))
        assert.same({}, of_type(list, "call"))
      end
    end))

    it("asks again when the stream holds what is no JSON, or fails by its own word", haste.case(function()
      local failed = {
        responses = 'data: {"type":"response.failed","response":{"error":{"code":"server_error","message":"oops"}}}'
          .. '\n\n',
        messages = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"oops"}}\n\n',
        chat = 'data: {"error":{"code":"server_error","message":"oops"}}\n\n',
      }
      local broken = { body = "data: {broken\n\n" }
      local text, _, list = play(api, { broken, { body = failed[api] }, { text = "fine" } })
      assert.equal("fine", text)
      local retries = of_type(list, "retry")
      assert.equal("json", retries[1].error.code)
      assert.truthy(tostring(retries[2].error):find "oops")
    end))

    it("leaves old output out of a conversation that is too long", function()
      local code = api ~= "messages" and "context_length_exceeded" or nil
      local too_long = { status = 400, body = json.encode { error = { code = code, type = "invalid_request_error",
        message = "prompt is too long: 9 tokens > 8 maximum" } } }
      local prints = { name = "print", arguments = "{}" }
      local text, _, list = play(api, {
        { calls = { prints, ADD } }, { calls = { prints } }, too_long, { text = "ok" } })
      assert.equal("ok", text)
      assert.equal(1, #of_type(list, "shortened"))
      local told = answers(api, server:requests()[4])
      assert.truthy(told[1][2]:find "left out to save room")
      assert.equal('{"sum":3}', told[2][2])
      assert.equal(long, told[3][2])
      local none, err = play(api, { too_long })
      assert.is_nil(none)
      assert.equal(400, err.status)
    end)

    it("says when the model refuses, and when its tokens are over", function()
      local length = { text = "and so", stop = "length" }
      local text, event = play(api, { length })
      assert.same({ "and so", "length" }, { text, event.reason })
      local refusal = { text = "No.", stop = "refusal" }
      if api == "responses" then
        refusal = { body = 'data: {"type":"response.refusal.delta","delta":"No."}\n\n'
          .. 'data: {"type":"response.completed","response":{}}\n\n' }
      end
      text, event = play(api, { refusal })
      assert.same({ "No.", "refusal" }, { text, event.reason })
    end)

    it("goes on from its transcript, which holds no secret", function()
      local path = os.tmpname()
      os.remove(path)
      local _, _, _, agent = play(api, { { text = "Hm.", calls = { { name = "login",
        arguments = '{"token":"very-secret-token"}' }, ADD } }, { text = "3, " .. KEY } }, { transcript = path })
      local id = agent.conversation
      agent:close()
      local file = assert(io.open(path, "ab"))
      file:write '{"type":"assistant","text":"ha' -- the program died here
      file:close()
      local text, _, _, again = play(api, { { text = "still 3" } }, { transcript = path }, "and?")
      assert.equal("still 3", text)
      assert.equal(id, again.conversation)
      local told = answers(api, server:requests()[1])
      assert.equal('{"sum":3}', told[2][2])
      again:close()
      file = assert(io.open(path, "rb"))
      local all = file:read "*a"
      file:close()
      assert.is_nil(all:find("very-secret-token", 1, true), all)
      assert.is_nil(all:find(KEY, 1, true), all)
      local events = {}
      transcript.replay(assert(transcript.read(path)).history, function(e) events[#events + 1] = e.type end)
      assert.same({ "user", "text", "call", "call", "result", "result", "text", "user", "text" }, events)
      os.remove(path)
    end)

    it("answers the calls of a program that died before the next prompt", function()
      local path = os.tmpname()
      local file = assert(io.open(path, "wb"))
      file:write('{"type":"user","text":"go"}\n', assert(ordered.encode { type = "assistant", driver = "elsewhere",
        text = "", calls = { { id = "c9", name = "add", arguments = "{}" } } }), "\n")
      file:close()
      assert.equal("ok", (play(api, { { text = "ok" } }, { transcript = path })))
      assert.same({ { "c9", "not run: the program ended before" } }, answers(api, server:requests()[1]))
      os.remove(path)
    end)

    it("can be left early, cancelled, and used again", function()
      server:script(models.entries(api, {
        { text = "one", calls = { { name = "wait", arguments = '{"seconds":60}' } } }, { text = "two" } }))
      local agent = agent_of(api)
      local called = require("daytona.loop.latch")()
      local working = daytona.spawn(function()
        return agent:send("go", { on_event = function(event)
          if event.type == "call" then called:open() end
        end })
      end)
      assert(loop.join(called))
      working:cancel()
      local text, err = working:wait()
      assert.is_nil(text)
      assert.is_true(daytona.is_error(err, "canceled"))
      assert.is_false(loop.busy())
      assert.equal("two", (agent:send "again"))
      assert.equal(1, #answers(api, server:requests()[2]))
    end)

    it("sends the same bytes for the same conversation", function()
      local replies = { { text = "a", calls = { ADD } }, { text = "b" } }
      local bodies = {}
      for i = 1, 2 do
        play(api, replies, { conversation = "fixed" })
        bodies[i] = { server:requests()[1].body, server:requests()[2].body }
      end
      assert.same(bodies[1], bodies[2])
    end)

    it("takes back what another API said", function()
      for _, other in ipairs(APIS) do
        local _, _, _, agent = play(other, { { text = "Hm.", calls = { ADD } }, { text = "3" } })
        local text = play(api, { { text = "yes" } }, { history = agent.history }, "sure?")
        assert.equal("yes", text)
        assert.same({ { "call_1", '{"sum":3}' } }, answers(api, server:requests()[1]))
      end
    end)
  end)
end

describe("an agent's run", function()
  it("is an iterator of events, in a task and outside", function()
    local function all()
      server:script(models.entries("responses", { { text = "Hm.", calls = { ADD } }, { text = "3" } }))
      local seen = {}
      for event in agent_of("responses"):run "go" do
        if event.type ~= "call_delta" then seen[#seen + 1] = event.text or event.type end
      end
      return table.concat(seen, " ")
    end
    local wanted = "Hm. call_begin call progress result 3 done"
    assert.equal(wanted, all())
    if require("daytona.base.compat").pcall_yields then
      assert.equal(wanted, assert(daytona.spawn(all):wait()))
    end
  end)

  it("raises when the model cannot be had", function()
    server:script { { status = 404, body = '{"error":{"message":"no such model"}}' } }
    local fine, err = pcall(function()
      for event in agent_of("chat"):stream "go" do assert(event) end
    end)
    assert.is_false(fine)
    assert.truthy(tostring(err):find("no such model", 1, true))
  end)

  it("is over when the loop is left early", function()
    server:script(models.entries("messages", { { text = "one", calls = { { name = "wait",
      arguments = '{"seconds":60}' } } } }))
    local agent = agent_of "messages"
    for event in agent:stream "go" do
      if event.type == "call" then break end
    end
    agent:close()
    assert.is_false(loop.busy())
  end)
end)

describe("the Responses API", function()
  it("is sent back what it said and thought, without ids of what it does not keep", function()
    local function done(item)
      return "data: " .. json.encode { type = "response.output_item.done", output_index = 0, item = item } .. "\n\n"
    end
    local first = done { type = "reasoning", id = "rs_1", summary = json.array(), encrypted_content = "opaque" }
      .. done { type = "reasoning", id = "rs_2", summary = json.array() }
      .. models.stream("responses", { text = "Hm.", calls = { ADD } })
    play("responses", { { body = first }, { text = "3" } })
    local request = server:requests()[2]
    local input = request.json.input
    assert.same({ "reasoning", "message", "function_call", "function_call_output" },
      { input[2].type, input[3].type, input[4].type, input[5].type })
    assert.equal("opaque", input[2].encrypted_content)
    assert.truthy(request.body:find('"summary":[]', 1, true))
    for _, item in ipairs(input) do assert.is_nil(item.id) end
    assert.is_false(request.json.store)
    assert.truthy(request.json.prompt_cache_key:find "^lua%-")
  end)
end)

describe("the Messages API", function()
  it("is sent back what it thought, as it was, and goes on after a pause", function()
    local text = play("messages", { { thinking = "let me see", text = "Well", stop = "pause" },
      { thinking = "now", calls = { ADD } }, { text = "3" } })
    assert.equal("3", text)
    local list = server:requests()[3].json.messages
    assert.same({ "user", "assistant", "user" }, { list[1].role, list[2].role, list[3].role })
    local blocks = list[2].content
    assert.same({ type = "thinking", thinking = "let me see", signature = "sig==" }, blocks[1])
    assert.same({ "thinking", "text", "thinking", "tool_use" },
      { blocks[1].type, blocks[2].type, blocks[3].type, blocks[4].type })
    assert.same({ a = 1, b = 2 }, blocks[4].input)
    assert.equal("assistant", server:requests()[2].json.messages[2].role)
  end)

  it("is told what to keep in its cache", function()
    play("messages", { { calls = { ADD } }, { text = "3" } })
    local body = server:requests()[2].json
    local mark = { type = "ephemeral" }
    assert.same(mark, body.system[1].cache_control)
    assert.same(mark, body.tools[#body.tools].cache_control)
    assert.is_nil(body.tools[1].cache_control)
    assert.same(mark, body.messages[3].content[1].cache_control)
    assert.is_nil(body.messages[1].content[1].cache_control)
  end)

  it("keeps empty lists in a call's arguments, and drops a call that was cut off", function()
    play("messages", { { calls = { { name = "add", arguments = '{"a":[],"b":{}}' } } }, { text = "so" } })
    assert.truthy(server:requests()[2].body:find('"input":{"a":[],"b":{}}', 1, true))
    local _, event, list = play("messages", { { text = "x", calls = { { name = "add", arguments = '{"a":1,' } },
      stop = "length" } })
    assert.equal("length", event.reason)
    assert.same({}, of_type(list, "call"))
  end)

  it("makes room when the model has none, and goes on", function()
    local text, _, list = play("messages", { { calls = { { name = "print", arguments = "{}" } } },
      { text = "I can", stop = "overflow" }, { text = "done" } })
    assert.equal("done", text)
    assert.equal(1, #of_type(list, "shortened"))
    assert.equal(3, #server:requests()[3].json.messages)
  end)

  it("leaves a conversation as it is that has room, and ends one that cannot be shorter", function()
    local prints = { calls = { { name = "print", arguments = "{}" } } }
    local text, event, list = play("messages", { prints, { text = "done" } })
    assert.same({ "done", "end", 0 }, { text, event.reason, #of_type(list, "shortened") })
    text, event, list = play("messages", { { text = "I can", stop = "overflow" } })
    assert.same({ "I can", "overflow", 0 }, { text, event.reason, #of_type(list, "shortened") })
  end)
end)

describe("the token count", function()
  it("is asked of the API when a bound is near, and keeps the conversation within the window", function()
    server:script(models.entries("messages", { { calls = { { name = "print", arguments = "{}" } } },
      { text = "short" } }), 500)
    local agent, list = agent_of("messages", { context_window = 600 }), {}
    assert.equal("short", (agent:send("go", { on_event = function(e) list[#list + 1] = e end })))
    local paths = {}
    for i, request in ipairs(server:requests()) do paths[i] = request.path end
    assert.same({ "/v1/messages", "/v1/messages/count_tokens", "/v1/messages" }, paths)
    assert.same({}, of_type(list, "shortened"))
    assert.equal(500, (agent:count()))
    server:script(models.entries("messages", { { calls = { { name = "print", arguments = "{}" } } },
      { text = "short" } }), 700)
    list = {}
    agent = agent_of("messages", { context_window = 600 })
    assert.equal("short", (agent:send("go", { on_event = function(e) list[#list + 1] = e end })))
    assert.equal(1, #of_type(list, "shortened"))
  end)

  it("ends a run whose next request alone would be too much", function()
    server:script(models.entries("responses", { { calls = { ADD } } }), 1000)
    local _, event = agent_of("responses", { limits = { tokens = 250 } }):send "go"
    assert.same({ "limit", "tokens", 1 }, { event.reason, event.limit, event.steps })
    assert.equal("/responses/input_tokens", server:requests()[2].path)
  end)

  it("is unsupported where the API has none", function()
    local count, err = agent_of("chat"):count()
    assert.is_nil(count)
    assert.is_true(daytona.is_error(err, "unsupported"))
  end)
end)

describe("a tool that runs when the seconds are over", function()
  it("is stopped, and has a result", function()
    local _, event, list = play("messages", { { calls = { { name = "wait", arguments = '{"seconds":60}' } } } },
      { limits = { seconds = 2 } })
    assert.same({ "limit", "seconds" }, { event.reason, event.limit })
    assert.is_false(of_type(list, "result")[1].result.ok)
  end)
end)

describe("a transcript", function()
  it("may be a function, which is given each entry", function()
    local kinds = {}
    play("chat", { { calls = { ADD } }, { text = "3" } },
      { transcript = function(entry) kinds[#kinds + 1] = entry.type end })
    assert.same({ "conversation", "user", "assistant", "results", "assistant", "done" }, kinds)
  end)

  it("that cannot be written or is none is an error at once", function()
    local agent, err = daytona.agent { driver = "chat", model = "m", base_url = server.url,
      transcript = "/nowhere/at/all.jsonl" }
    assert.is_nil(agent)
    assert.is_true(daytona.is_error(err, "io"))
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write "these are\nsome notes\n"
    file:close()
    agent, err = daytona.agent { driver = "chat", model = "m", base_url = server.url, transcript = path }
    assert.is_nil(agent)
    assert.truthy(tostring(err):find "line 1 is no entry")
    assert.is_nil((transcript.read "/nowhere/at/all.jsonl"))
    os.remove(path)
  end)
end)

describe("a function that hears of events", function()
  it("may raise: the program gets that, and the agent stays usable", function()
    for _, kind in ipairs { "text", "call", "result" } do
      server:script(models.entries("messages", { { text = "one", calls = { ADD } }, { text = "two" } }))
      local agent = agent_of "messages"
      local fine, value, err = pcall(agent.send, agent, "go", { on_event = function(event)
        if event.type == kind then error("boom in " .. kind, 0) end
      end })
      local why = fine and tostring(err) or tostring(value)
      assert.is_true(not fine or value == nil, kind)
      assert.truthy(why:find("boom in " .. kind, 1, true), why)
      assert.is_false(loop.busy())
      server:script(models.entries("messages", { { text = "again" } }))
      assert.equal("again", (agent:send "and?"))
      local last = server:requests()[1].json.messages
      for i, message in ipairs(last) do assert.equal(i % 2 == 1 and "user" or "assistant", message.role) end
    end
  end)
end)

describe("pictures", function()
  it("reach the model in every API", function()
    for _, api in ipairs(APIS) do
      play(api, { { calls = { { name = "picture", arguments = "{}" } } }, { text = "seen" } })
      assert.truthy(server:requests()[2].body:find("aGVsbG8=", 1, true), api)
    end
  end)
end)

describe("the model's key", function()
  -- Calls fn with these variables set in the environment, as this library sees it.
  local function with(variables, fn)
    local real = os.getenv
    os.getenv = function(name) -- luacheck: ignore
      if name:find "^OPENAI" or name:find "^ANTHROPIC" then return variables[name] end
      return real(name)
    end
    local fine, err = pcall(fn)
    os.getenv = real -- luacheck: ignore
    assert(fine, err)
  end

  it("of the environment goes to the environment's address alone", function()
    with({ OPENAI_API_KEY = "sk-env-1", OPENAI_MODEL = "m" }, function()
      server:script(models.entries("chat", { { text = "hi" } }))
      assert(assert(daytona.agent { driver = "chat", base_url = server.url, tools = tools_of_spec() }):send "go")
      assert.is_nil(server:requests()[1].headers.authorization)
      local agent, err = daytona.agent { driver = "chat", base_url = "https://elsewhere.example/v1" }
      assert.is_nil(agent)
      assert.is_true(daytona.is_error(err, "config"))
    end)
    with({ OPENAI_API_KEY = "sk-env-1", OPENAI_MODEL = "m", OPENAI_BASE_URL = server.url }, function()
      assert(assert(daytona.agent { tools = tools_of_spec(), driver = "chat" }):send "go")
      assert.equal("Bearer sk-env-1", server:requests()[2].headers.authorization)
      assert.equal("m", server:requests()[2].json.model)
    end)
  end)

  it("chooses the API when nothing else does", function()
    with({ ANTHROPIC_API_KEY = "a", ANTHROPIC_MODEL = "m" }, function()
      assert.equal("messages", assert(daytona.agent()).endpoint.driver)
    end)
    with({ ANTHROPIC_API_KEY = "a", OPENAI_API_KEY = "o", OPENAI_MODEL = "m" }, function()
      assert.equal("responses", assert(daytona.agent()).endpoint.driver)
      assert.equal("messages", assert(daytona.agent { model = "claude-new" }).endpoint.driver)
    end)
  end)

  it("does not follow a redirect to another host", function()
    for _, status in ipairs { 302, 307, 308 } do
      server:script { { status = status, headers = { Location = (server.url:gsub("127.0.0.1", "localhost")) .. "/x" },
        body = "" } }
      local text, err = agent_of("responses", { retries = 0 }):send "go"
      assert.is_nil(text)
      assert.equal("redirect", err.code)
      assert.equal(1, #server:requests())
    end
  end)
end)

describe("an agent's options", function()
  local function refused(opts)
    local agent, err = daytona.agent(opts)
    assert.is_nil(agent)
    assert.is_true(daytona.is_error(err, "config"), tostring(err))
    return tostring(err)
  end

  it("need a key and a model, and no address in the clear", function()
    assert.truthy(refused({ model = "x", base_url = "https://models.example" }):find "OPENAI_API_KEY")
    assert.truthy(refused({ model = "claude-x", base_url = "https://models.example" }):find "ANTHROPIC_API_KEY")
    assert.truthy(refused({ model = "x", api_key = "k", base_url = "http://models.example" }):find "unencrypted")
    assert.truthy(refused({ model = "x", api_key = "a b", base_url = "https://models.example" }):find "white space")
    assert.truthy(refused({ api_key = "k", base_url = "https://models.example" }):find "OPENAI_MODEL")
  end)

  it("are refused when they are unknown or do not fit", function()
    assert.has_error(function() daytona.agent { modle = "x" } end)
    assert.has_error(function() daytona.agent { model = "x", api_key = "k", limits = { stpes = 1 } } end)
    assert.has_error(function() daytona.agent { model = "x", api_key = "k", limits = { money = 1 } } end)
    assert.has_error(function()
      daytona.agent { model = "x", api_key = "k", tools = tools_of_spec(), sandbox = "b" }
    end)
  end)

  it("are not shown with the key in them", function()
    local agent = agent_of "chat"
    local seen = {}
    local function look(value)
      if type(value) == "string" then assert.is_nil(value:find(KEY, 1, true)) end
      if type(value) ~= "table" or seen[value] then return end
      seen[value] = true
      for key, item in next, value do
        if value ~= agent.tools then
          look(key)
          look(item)
        end
      end
    end
    look(agent)
    assert.is_nil(tostring(agent):find(KEY, 1, true))
  end)

  it("let a hook decide about each call", function()
    local asked = {}
    server:script(models.entries("chat", { { calls = { ADD } }, { text = "no?" } }))
    local agent = assert(daytona.agent { driver = "chat", model = "m", base_url = server.url,
      tools = { { name = "add", description = "Adds.", run = function() error "not asked" end,
        input = shape.object { { "a", shape.number() }, { "b", shape.number() } } } },
      ask = function(call)
        asked[#asked + 1] = call.name
        return "reject_once"
      end })
    assert.equal("no?", (agent:send "go"))
    assert.same({ "add" }, asked)
    assert.truthy(answers("chat", server:requests()[2])[1][2]:find "did not allow")
  end)
end)
