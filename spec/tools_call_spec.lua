-- Toolsets: definitions in every form, and calls of tools of a program's own.

local daytona = require "daytona"
local json = require "daytona.http.json"
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

  it("of a tool that there is not says which there are", function()
    local result = one():call("ehco", {})
    assert.equal("unknown_tool", result.error.kind)
    assert.truthy(result.text:find "the tools are: echo")
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

  it("stays as it is when it fits", function()
    assert.same({ "a\nb", false }, { output.cap("a\nb", limits, "head") })
    assert.equal("a\239\191\189b", output.clean "a\255b")
  end)
end)
