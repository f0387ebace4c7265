-- Toolsets: definitions in every form, and calls of tools of a program's own.

local daytona = require "daytona"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local output = require "daytona.agent.output"
local shape = require "daytona.agent.shape"

local function echo(run)
  return {
    name = "echo", title = "Echo", description = "Says it again.",
    input = shape.object {
      { "text", shape.string "What to say." }, { "times?", shape.integer("How often.", { minimum = 1 }) },
      { "password?", shape.secret "Shown to nobody." },
    },
    output = shape.object { { "said", shape.string() } },
    annotations = { readOnlyHint = true },
    run = run or function(args) return { said = args.text:rep(args.times or 1) } end,
  }
end

local function one(run, opts)
  return daytona.tools({ echo(run) }, opts)
end

describe("definitions", function()
  it("have the shape of each API", function()
    local tools = one()
    local input = tools.tools[1].input
    assert.same({
      { type = "function", name = "echo", description = "Says it again.", parameters = input, strict = false },
    }, tools:definitions "openai")
    assert.same({ { type = "function",
      ["function"] = { name = "echo", description = "Says it again.", parameters = input, strict = false } } },
      tools:definitions "openai_chat")
    assert.same({ { name = "echo", description = "Says it again.", input_schema = input } },
      tools:definitions "anthropic")
    assert.same({ { name = "echo", title = "Echo", description = "Says it again.", inputSchema = input,
      outputSchema = tools.tools[1].output, annotations = { readOnlyHint = true } } }, tools:definitions "mcp")
  end)

  it("of a strict tool require every field, and let those that are optional be null", function()
    local parameters = one():definitions("openai", { strict = true })[1].parameters
    assert.same({ "password", "text", "times" }, parameters.required)
    assert.same({ "integer", "null" }, parameters.properties.times.type)
    assert.equal("string", parameters.properties.text.type)
    assert.same({ "text" }, one().tools[1].input.required) -- the tool's own is as it was
    local result = one():call("echo", '{"text":"a","times":null,"password":null}')
    assert.equal("a", result.data.said)
  end)

  it("of a strict tool are so all the way down, and not strict where a field's names are the caller's", function()
    local function defined(fields, form, opts)
      local tools = daytona.tools { { name = "t", description = "d", run = print, input = shape.object(fields) } }
      return tools:definitions(form or "openai", opts or { strict = true })[1]
    end
    local given = { { "mode?", shape.enum({ "r", "w" }, "How.") },
      { "list?", shape.list(shape.object { { "n?", shape.integer("x", { default = 3 }) } }) } }
    local one_strict = defined(given)
    assert.is_true(one_strict.strict)
    assert.same({ "list", "mode" }, one_strict.parameters.required)
    assert.same({ "r", "w", json.null }, one_strict.parameters.properties.mode.enum)
    local item = one_strict.parameters.properties.list.items
    assert.same({ { "n" }, { "integer", "null" } }, { item.required, item.properties.n.type })
    assert.is_nil(item.properties.n.default)
    assert.same({ "r", "w" }, given[1][2].enum)
    for _, loose in ipairs { shape.map "Any.", shape.list(shape.map()), { type = "array" }, { type = "object" } } do
      local definition = defined { { "x", loose }, { "y?", shape.string() } }
      assert.is_false(definition.strict)
      assert.same({ "x" }, definition.parameters.required)
      assert.is_false(defined({ { "x", loose } }, "openai_chat")["function"].strict)
    end
    assert.is_true(defined({}).strict)
    assert.is_false(defined({}, "openai", {}).strict)
  end)

  it("have an API key where that is shown, and take it without", function()
    local keys = {}
    local tool = { name = "t", description = "d", takes_api_key = true, input = shape.object { { "b", shape.string() },
      { "a", shape.string() } }, run = function(args, call)
      keys[#keys + 1] = tostring(call.api_key) .. " " .. tostring(args.apiKey)
      return { said = "key-of-call, key-of-options" }
    end }
    local tools = daytona.tools({ tool }, { api_key = "key-of-options" })
    assert.is_nil(tools:definitions_json("openai"):find "apiKey")
    local shown = tools:definitions("openai", { api_key = true })[1].parameters.properties
    assert.same({ "b", "a", "apiKey" }, ordered.of(shown))
    assert.is_true(shown.apiKey.writeOnly)
    local showing = daytona.tools({ tool }, { show_api_key = true })
    assert.truthy(showing:definitions_json("anthropic"):find "apiKey")
    assert.is_nil(showing:definitions_json("anthropic", { api_key = false }):find "apiKey")
    local bare = daytona.tools { { name = "t", description = "d", takes_api_key = true, run = print } }
    assert.same({ "apiKey" }, ordered.of(bare:definitions("mcp", { api_key = true })[1].inputSchema.properties))
    assert.equal("[redacted], key-of-options",
      tools:call("t", { a = "1", b = "2", apiKey = "key-of-call" }).data.said)
    assert.equal("key-of-call, [redacted]", tools:call("t", { a = "1", b = "2" }).data.said)
    assert.same({ "key-of-call nil", "nil nil" }, keys)
    assert.equal("invalid", tools:call("t", { a = "1", b = "2", apiKey = 5 }).error.kind)
    assert.equal("invalid", one():call("echo", { text = "a", apiKey = "k" }).error.kind)
  end)

  it("are in an order of their own, as their fields are", function()
    assert.equal('[{"type":"function","function":{"name":"echo","description":"Says it again.","parameters":',
      one():definitions_json("openai_chat"):match '^.-"parameters":')
    local native = daytona.tools { "native", "computer" }
    local seen = {}
    for _, definition in ipairs(native:definitions "openai") do
      local key = ordered.encode(definition)
      assert.is_nil(seen[key], key)
      seen[key] = true
    end
  end)

  it("are the same bytes in every process", function()
    local text = daytona.tools({ "operations" }):definitions_json "openai"
    local name = require("daytona.base.compat").name
    local pipe = io.popen(([[env -u LUA_INIT LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' %s -e ]]
      .. [['io.write(require("daytona").tools("operations"):definitions_json("openai"))']]):format(name))
    assert.equal(text, pipe:read "*a")
    pipe:close()
    assert.truthy(text:find('"properties":{"sandboxId":', 1, true))
  end)

  it("for CodeCompanion call back once, with a status", function()
    local tool = one():definitions("codecompanion")[1]
    local heard = {}
    tool.cmds[1](nil, { text = "hi" }, { output_cb = function(what) heard[#heard + 1] = what end })
    tool.cmds[1](nil, { text = 1 }, { output_cb = function(what) heard[#heard + 1] = what end })
    assert.same({ status = "success", data = '{"said":"hi"}' }, heard[1])
    assert.equal("error", heard[2].status)
    assert.equal("function", tool.schema.type)
    assert.equal(2, #heard)
  end)

  it("for CodeCompanion give the chat what came of it, in either way that its versions have", function()
    local tool = one():definitions("codecompanion")[1]
    tool.function_call = { id = "call_1" }
    local heard = {}
    local function hear(which, text) heard[#heard + 1] = which.function_call.id .. text end
    local old = { add_tool_output = function(_, which, text) hear(which, text) end }
    local new = { add_tool_output = function(_, given) hear(given.tool, given.for_llm) end }
    for _, chat in ipairs { old, new } do
      tool.output.success(tool, { "first", "last" }, { tools = { chat = chat } })
      tool.output.error(tool, { "wrong" }, { tools = { chat = chat } })
    end
    assert.same({ "call_1last", "call_1wrong", "call_1last", "call_1wrong" }, heard)
  end)

  it("for avante list fields, and complete with a result or an error", function()
    local tool = one():definitions("avante")[1]
    assert.same({ name = "text", type = "string", description = "What to say." }, tool.param.fields[1])
    assert.is_true(tool.param.fields[2].optional)
    assert.equal("integer", tool.param.fields[2].type)
    assert.same({ { name = "result", type = "string", description = "what came of it" },
      { name = "error", type = "string", description = "why it failed", optional = true } }, tool.returns)
    local plain = daytona.tools { { name = "p", description = "d", run = print, input = { type = "object",
      properties = { b = { type = { "string", "null" } }, a = { type = "array" } } } } }
    assert.same({ { name = "a", description = "a", type = "array", optional = true },
      { name = "b", description = "b", type = "string", optional = true } },
      plain:definitions("avante")[1].param.fields)
    plain = daytona.tools { { name = "p", description = "d", run = print } }
    assert.same({}, plain:definitions("avante")[1].param.fields)
    local logged
    one(function(_, call)
      call:progress("half", 1, 2)
      return { said = "" }
    end):definitions("avante")[1].func({ text = "x" }, { on_log = function(...) logged = { ... } end,
      on_complete = function() end })
    assert.same({ "half" }, logged)
    local result, err
    tool.func({ text = "hi" }, { on_complete = function(...) result, err = ... end })
    assert.equal('{"said":"hi"}', result)
    assert.is_nil(err)
    assert.same({ '{"said":"x"}' }, { tool.func { text = "x" } })
  end)

  it("as Lua functions return data, or nil and why", function()
    local lua = one():definitions "lua"
    assert.same({ said = "aa" }, lua.echo { text = "a", times = 2 })
    local nothing, why = lua.echo { times = 2 }
    assert.is_nil(nothing)
    assert.equal("text is required, and missing", why)
  end)

  it("in a form that there is not raise, as do sets and tools that are none", function()
    assert.error_matches(function() one():definitions "gemini" end, "the forms are: anthropic, avante")
    assert.error_matches(function() daytona.tools "files" end, "the sets are: operations")
    assert.error_matches(function() one():add(echo()) end, "there is a tool 'echo' already")
    assert.error_matches(function() one():add { name = "x", description = "y", run = print, colour = 1 } end, "colour")
    for _, field in ipairs { "name", "description", "run" } do
      local tool = { name = "x", description = "y", run = print }
      tool[field] = nil
      assert.error_matches(function() one():add(tool) end, "the tool has no " .. field)
    end
    local named = { name = ("n"):rep(64), description = "d", run = print }
    assert.equal(named, one():add(named).by_name[named.name])
    assert.error_matches(function()
      one():add { name = ("n"):rep(65), description = "d", run = print }
    end, "is no name")
    for _, secrets in ipairs { "x", { "x" }, { A = 1 }, { A = { k = 1 } } } do
      assert.error_matches(function() daytona.tools("coding", { secrets = secrets }) end, "a table of texts")
    end
    assert.error_matches(function() daytona.tools(5) end, "a list of sets expected, got number")
    assert.error_matches(function() one():add { name = "a b", description = "d", run = print } end, "is no name")
    assert.error_matches(function()
      one():add { name = "x", description = "y", run = print, input = { pattern = "x" } }
    end, "'pattern'.* is not supported")
  end)
end)

describe("a result", function()
  local fine = { ok = true, data = { said = "a" }, text = "a", images = { { data = "AAAA", mime_type = "image/png" } },
    truncated = true, read_more = "/tmp/a b.txt", sandbox = "box" }
  local bad = { ok = false, text = "no", images = {}, truncated = false, error = { kind = "invalid", message = "no" } }
  local tools = one()

  it("has the shape of each API", function()
    assert.same({ type = "function_call_output", call_id = "c1", output = {
      { type = "input_text", text = "a" }, { type = "input_image", image_url = "data:image/png;base64,AAAA" } } },
      tools:result("openai", { call_id = "c1" }, fine))
    assert.same({ role = "tool", tool_call_id = "c1", content = "a" }, tools:result("openai_chat", { id = "c1" }, fine))
    assert.same({ type = "tool_result", tool_use_id = "c1", content = { { type = "text", text = "a" },
      { type = "image", source = { type = "base64", media_type = "image/png", data = "AAAA" } } } },
      tools:result("anthropic", { id = "c1" }, fine))
    assert.same({ type = "tool_result", tool_use_id = "c1", content = { { type = "text", text = "no" } },
      is_error = true }, tools:result("anthropic", { id = "c1" }, bad))
    local mcp = tools:result("mcp", {}, fine)
    assert.same({ said = "a" }, mcp.structuredContent)
    assert.equal("daytona://box/tmp/a%20b.txt", mcp.content[3].uri)
    assert.same({ content = { { type = "text", text = "no" } }, isError = true }, tools:result("mcp", {}, bad))
    assert.same({ status = "success", data = "a" }, tools:result("codecompanion", {}, fine))
    assert.same({ status = "error", data = "no" }, tools:result("codecompanion", {}, bad))
  end)

  it("without text is one that each API takes", function()
    local function content(images)
      local empty = { ok = true, text = "", images = images, truncated = false }
      return tools:result("anthropic", { id = "c" }, empty).content
    end
    assert.same({ { type = "text", text = "(no output)" } }, content {})
    assert.same({ "image" }, { content({ { data = "A", mime_type = "image/png" } })[1].type })
  end)

  it("of a call without an id raises", function()
    assert.error_matches(function() tools:result("openai", {}, fine) end, "no id %(call_id or id%)")
    assert.error_matches(function() tools:result("anthropic", {}, bad) end, "no id %(id or tool_use_id%)")
  end)

  it("links to all of the output only where that is in a sandbox", function()
    local text = { ok = true, text = "a", images = {}, truncated = true, read_more = "/x" }
    assert.equal(1, #tools:result("mcp", {}, text).content)
    text.read_more, text.sandbox = nil, "box"
    assert.equal(1, #tools:result("mcp", {}, text).content)
  end)
end)

describe("a call", function()
  it("takes a table or JSON text, and gives data and text", function()
    for _, arguments in ipairs { { text = "a" }, '{"text":"a"}' } do
      local result = one():call("echo", arguments)
      assert.is_true(result.ok)
      assert.same({ said = "a" }, result.data)
      assert.equal('{"said":"a"}', result.text)
      assert.same({}, result.images)
      assert.is_false(result.truncated)
    end
  end)

  it("with arguments that are none says why, and runs nothing", function()
    local ran = false
    local tools = one(function() ran = true return {} end)
    for _, case in ipairs {
      { '{"text":', "not valid JSON" }, { "[1]", "must be an object" }, { '"a"', "must be a JSON object" },
      { { text = "\255" }, "text is not valid UTF%-8" }, { { text = "a", more = 1 }, "more is not known" },
      { { text = "a", times = 0 }, "times must be at least 1, not 0" }, { '{"text":"a"} x', "not valid JSON" },
      { { [1] = "a" }, "must be an object" }, { 5, "must be a JSON object" }, { {}, "text is required" },
    } do
      local result = tools:call("echo", case[1])
      assert.is_false(result.ok)
      assert.equal("invalid", result.error.kind)
      assert.truthy(result.text:find(case[2]), result.text)
    end
    assert.is_false(ran)
  end)

  it("takes fields that are null for fields that are not given, but in lists", function()
    local got
    local tools = daytona.tools { { name = "t", description = "d", run = function(args)
      got = args
      return {}
    end } }
    tools.tools[1].input = { type = "object" }
    assert.is_true(tools:call("t", '{"a":null,"b":{"c":null,"d":1},"l":[1,null,{"e":null}]}').ok)
    assert.same({ b = { d = 1 }, l = { 1, json.null, {} } }, got)
    for _, nothing in ipairs { "", "{}" } do
      assert.is_true(tools:call("t", nothing).ok)
      assert.same({}, got)
    end
    assert.is_true(tools:call("t").ok)
    tools.tools[1].input = nil
    assert.is_true(tools:call("t", {}).ok)
    assert.equal("a is not known; it has no fields", tools:call("t", { a = 1 }).text)
    assert.matches("must be a JSON object, not null", tools:call("t", "null").text)
  end)

  it("with bytes that are no UTF-8 says where they are", function()
    for _, case in ipairs { { { ["\255"] = 1 }, "arguments" }, { { a = { b = "\255" } }, "a.b" },
      { { a = { "x", "\255" } }, "a.2" }, { { a = { ["\255"] = 1 } }, "a" } } do
      assert.equal(case[2] .. " is not valid UTF-8; send bytes as base64 where the tool takes that",
        one():call("echo", case[1]).text)
    end
    assert.is_true(#one():call("echo", ("["):rep(1000)).text < 400)
  end)

  it("of a tool that there is not says which there are", function()
    local result = one():call("ehco", {})
    assert.equal("unknown_tool", result.error.kind)
    assert.truthy(result.text:find "the tools are: echo")
    assert.is_nil(result.tool)
    assert.equal("echo", one():call("echo", { text = "a" }).tool)
    local long = one():call(("n"):rep(300), {}).text
    assert.truthy(long:find(("there is no tool '%s'; the"):format(("n"):rep(100)), 1, true))
  end)

  it("that fails says what can be done about it", function()
    local errors = require "daytona.base.errors"
    for hint, fields in pairs {
      ["List the folder"] = { kind = "not_found", code = "FILE_NOT_FOUND", operation = "read" },
      ["List the sandboxes"] = { kind = "not_found", operation = "get" }, ["ask the user for it"] = { kind = "auth" },
      ["Wait a little"] = { kind = "rate_limited", retryable = true },
      ["look before trying again"] = { kind = "timeout" },
    } do
      fields.message = "no"
      local result = one(function() return nil, errors.new(fields) end):call("echo", { text = "a" })
      assert.matches("\n[^\n]*" .. hint, result.text)
      assert.same({ fields.kind, fields.retryable or false, result.text, false, {} },
        { result.error.kind, result.error.retryable, result.error.message, result.truncated, result.images })
    end
    for _, fields in ipairs { { kind = "not_found", operation = "read" }, { kind = "invalid", operation = "get" } } do
      fields.message = "no"
      local result = one(function() return nil, errors.new(fields) end):call("echo", { text = "a" })
      assert.is_nil(result.text:find "\n")
    end
  end)

  it("never raises: what a tool raises is a result", function()
    local result = one(function() error "oops" end):call("echo", { text = "a" })
    assert.is_false(result.ok)
    assert.equal("internal", result.error.kind)
    assert.truthy(result.text:find "oops")
    result = one(function() return nil end):call("echo", { text = "a" })
    assert.truthy(result.text:find "no result")
    result = one(function() return { f = print } end):call("echo", { text = "a" })
    assert.equal("internal", result.error.kind)
  end)

  it("shows no secret, in data, text or failures", function()
    local result = one(function(args) return { said = "it is " .. args.password } end)
      :call("echo", { text = "a", password = "hunter2%" })
    assert.equal("it is [redacted]", result.data.said)
    assert.is_nil(result.text:find("hunter2", 1, true))
    result = one(function(args) return nil, "wrong: " .. args.password end)
      :call("echo", { text = "a", password = "hunter2%" })
    assert.equal("wrong: [redacted]", result.text)
    local tools = one(function() return { said = "s3cret, in-a-list, m0re" } end,
      { secrets = { A = "s3cret", B = { k = "in-a-list" } } })
    tools:keep_secret "m0re"
    assert.equal("[redacted], [redacted], [redacted]", tools:call("echo", { text = "a" }).data.said)
    result = one(function(args) error("bad " .. args.password) end)
      :call("echo", { text = "a", password = "hunter2%" })
    assert.is_nil(result.text:find("hunter2", 1, true))
  end)

  it("is asked for first: once, always, or not", function()
    local asked, answer = 0, "allow_once"
    local tools = one(nil, { ask = function(call)
      asked = asked + 1
      assert.equal("echo", call.name)
      assert.equal("a", call.arguments.text)
      return answer
    end })
    local function ok() return tools:call("echo", { text = "a" }).ok end
    assert.is_true(ok() and ok())
    assert.equal(2, asked)
    answer = "reject_once"
    assert.equal("rejected", tools:call("echo", { text = "a" }).error.kind)
    answer = "allow_always"
    assert.is_true(ok() and ok() and ok())
    assert.equal(4, asked)
    assert.is_false(one(nil, { ask = function() return "reject_always" end }):call("echo", { text = "a" }).ok)
    for said, allowed in pairs { [true] = true, [false] = false, maybe = false } do
      assert.equal(allowed, one(nil, { ask = function() return said end }):call("echo", { text = "a" }).ok)
    end
    asked, answer = 0, "reject_always"
    tools = one(nil, { ask = function()
      asked = asked + 1
      return answer
    end })
    assert.is_false(ok() or ok())
    assert.equal(1, asked)
  end)

  it("that waits lets others run, and ends when its task is cancelled", function()
    local tools = one(function()
      local slept, err = daytona.sleep(30)
      if not slept then return nil, err end
      return {}
    end)
    local result
    local task = daytona.spawn(function() result = tools:call("echo", { text = "a" }) end)
    task:cancel()
    task:wait()
    assert.equal("canceled", result.error.kind)
  end)

  it("tells its progress", function()
    local heard = {}
    one(function(_, call)
      call:progress("half", 1, 2)
      return { said = "" }
    end):call("echo", { text = "a" }, { on_progress = function(...) heard = { ... } end })
    assert.same({ "half", 1, 2 }, heard)
  end)
end)

describe("a text that is long", function()
  local limits = { lines = 10, bytes = 1000 }

  it("is cut to its beginning, or to both ends, at whole characters, with a note", function()
    local text = ("é"):rep(5000)
    local head, cut = output.cap(text, limits, "head", "/tmp/x")
    assert.is_true(cut)
    assert.is_true(#head <= 1000)
    assert.equal(head, output.clean(head))
    assert.truthy(head:find "left out; the whole is in /tmp/x")
    local ends = output.cap("a\n" .. text .. "\nz", limits, "ends")
    assert.truthy(ends:find "^a\n" and ends:find "\nz$")
    assert.is_true(#ends <= 1000)
  end)

  it("by lines loses the middle ones", function()
    local lines = {}
    for i = 1, 100 do lines[i] = "line " .. i end
    local text = output.cap(table.concat(lines, "\n") .. "\n", limits, "ends")
    assert.truthy(text:find "^line 1\n" and text:find "line 100\n$")
    assert.is_true(select(2, text:gsub("\n", "")) <= 10)
  end)

  it("fits when it is written as JSON, too", function()
    local text = output.cap(("\1"):rep(5000), { lines = 10, bytes = 1000, as_json = true }, "ends")
    assert.is_true(#json.encode(text) <= 1000)
  end)

  it("has 2,000 lines and 50 KiB where nothing else is said", function()
    local text
    local function cut(opts, as_json)
      local was_cut
      one(function(_, call)
        was_cut = select(2, call:cap(text, "head", nil, as_json))
        return { said = "" }
      end, opts):call("echo", { text = "a" })
      return was_cut
    end
    text = ("x\n"):rep(2000)
    assert.is_false(cut())
    assert.is_true(cut { max_lines = 1999 })
    text = ("x\n"):rep(2001)
    assert.is_true(cut())
    assert.is_false(cut { max_lines = 2001 })
    text = ("x"):rep(51200)
    assert.is_false(cut())
    assert.is_true(cut { max_bytes = 51199 })
    text = ("x"):rep(51201)
    assert.is_true(cut())
    assert.is_false(cut { max_bytes = 51201 })
    text = ("x"):rep(51200 - 514)
    assert.is_false(cut(nil, true))
    text = ("x"):rep(51200 - 513)
    assert.is_true(cut(nil, true))
  end)

  it("stays as it is when it fits", function()
    assert.same({ "a\nb", false }, { output.cap("a\nb", limits, "head") })
    assert.equal("a\239\191\189b", output.clean "a\255b")
  end)
end)
