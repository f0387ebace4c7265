-- bin/daytona-acp with a scripted editor and a scripted model, against the local server.

local compat = require "daytona.base.compat"
local json = require "daytona.http.json"
local acp_client = require "spec.support.acp_client"
local models = require "spec.support.model"

local service, model, acp, folder

local function run(command)
  local pipe = assert(io.popen("cd " .. folder .. " && { " .. command .. "\n} 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

-- What the model says, reply by reply: a text, or calls { name, arguments }.
local function script(replies)
  local list = {}
  for i, reply in ipairs(replies) do
    if type(reply) == "string" then
      list[i] = { text = reply }
    elseif reply.body or reply.calls or reply.stop then
      list[i] = reply
    else
      local calls = {}
      for j, call in ipairs(reply) do calls[j] = { name = call[1], arguments = json.encode(call[2]) } end
      list[i] = { calls = calls }
    end
  end
  model:script(models.entries("responses", list))
end

setup(function()
  service = require("spec.support.service").start()
  model = models.start()
end)

teardown(function()
  model:close()
  service:stop()
end)

before_each(function()
  folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir -p " .. folder .. "/src")
  folder = run("pwd -P"):gsub("\n", "")
  run "printf 'one\\ntwo\\n' >src/a.lua; printf 'read me\\n' >README; mkdir .git; touch .git/x"
  acp = nil
end)

after_each(function()
  if acp then acp:stop() end
  os.execute("rm -rf " .. folder)
  assert.equal(0, service:sandboxes())
end)

local function start(arguments)
  acp = acp_client.start(service.server, model, arguments)
  acp:initialize()
  return acp:new_session(folder)
end

local EDIT = { "edit", { path = "src/a.lua", old_string = "two", new_string = "three" } }

describe("the handshake", function()
  it("offers version 1, to whoever knows others", function()
    acp = acp_client.start(service.server, model)
    for _, version in ipairs { 1, 2, 0 } do
      local result = acp:initialize({ protocolVersion = version }).result
      assert.equal(1, result.protocolVersion)
      assert.same({ loadSession = true, sessionCapabilities = { close = {}, list = {}, resume = {}, delete = {} },
        promptCapabilities = { image = false, audio = false, embeddedContext = true },
        mcpCapabilities = { http = false, sse = false } }, result.agentCapabilities)
      assert.equal("daytona-lua", result.agentInfo.name)
      assert.same({}, result.authMethods)
    end
    assert.equal(-32602, acp:initialize({}).error.code)
  end)

  it("refuses what it does not know or cannot take, and goes on", function()
    acp = acp_client.start(service.server, model)
    acp:send "{"
    assert.equal(-32700, acp:read().error.code)
    acp:send '{"jsonrpc":"1.0","id":1,"method":"initialize"}'
    assert.equal(-32600, acp:read().error.code)
    acp:send { jsonrpc = "2.0", method = "session/cancel", params = { sessionId = "none" } }
    acp:send { jsonrpc = "2.0", id = "nobody asked", result = {} }
    assert.equal(-32601, acp:ask("session/fork", { sessionId = "x" }).error.code)
    for _, cwd in ipairs { "src", "/none", folder .. "/README", 7 } do
      assert.equal(-32602, acp:ask("session/new", { cwd = cwd, mcpServers = {} }).error.code)
    end
    local id = acp:new_session(folder)
    assert.equal(-32602, acp:prompt("none", "x").error.code)
    for _, prompt in ipairs { json.array(), "x", { { type = "image", data = "", mimeType = "image/png" } },
      { { type = "text" } }, { { type = "text", text = " " } } } do
      assert.equal(-32602, acp:ask("session/prompt", { sessionId = id, prompt = prompt }).error.code)
    end
  end)

  it("says that a model's key is missing where that is so", function()
    local env = "env -u OPENAI_API_KEY OPENAI_BASE_URL= ANTHROPIC_API_KEY="
    acp = require("spec.support.mcp_client").start(service.server, "--model m", "bin/daytona-acp", env)
    local response = acp:ask("session/new", { cwd = folder, mcpServers = {} })
    assert.equal(-32000, response.error.code)
    assert.truthy(response.error.message:find "OPENAI_API_KEY")
  end)

  it("tells its options, and those that are wrong", function()
    local function program(arguments)
      return run(("DAYTONA_LUA=%s %s/bin/daytona-acp %s </dev/null; echo status $?"):format(compat.name,
        os.getenv "PWD", arguments))
    end
    assert.truthy(program("--help"):find "usage: daytona%-acp.*status 0")
    assert.truthy(program("--nonsense"):find "unknown option: %-%-nonsense.*status 2")
    assert.truthy(program("--steps x"):find "steps must be a whole number.*status 2")
    assert.truthy(program("--tools none"):find "there is no set 'none'.*status 2")
    assert.truthy(program("--api none"):find "responses.*status 2")
  end)
end)

describe("a prompt", function()
  it("is answered in chunks, by a model that knows the project's folder", function()
    local id = start()
    script { "The answer is forty-two." }
    assert.equal("end_turn", acp:prompt(id, "what is it?").result.stopReason)
    assert.equal("The answer is forty-two.", acp:said())
    assert.equal("completed", acp:calls()["Copy the project to a sandbox"].status)
    local body = model:requests()[1].body
    assert.truthy(body:find("what is it?", 1, true))
    assert.truthy(body:find("project of a user", 1, true))
  end)

  it("may name files and hold their content", function()
    local id = start()
    script { "ok" }
    local response = acp:ask("session/prompt", { sessionId = id, prompt = {
      { type = "text", text = "look at" },
      { type = "resource_link", uri = "file://" .. folder .. "/src/a.lua", name = "a" },
      { type = "resource", resource = { uri = "file:///else%20where", text = "its text" } },
    } })
    assert.equal("end_turn", response.result.stopReason)
    local body = json.encode(model:requests()[1].json.input):gsub("\\/", "/")
    assert.truthy(body:find("look at\\n[file src/a.lua]\\n[content of /else where]\\nits text", 1, true))
  end)

  it("changes files here, and the editor gets the differences", function()
    local id = start()
    script { { EDIT }, { { "bash", { command = "cat src/a.lua; echo new >new; rm README" } } }, "done" }
    local response = acp:prompt(id, "change it")
    assert.equal("end_turn", response.result.stopReason)
    assert.equal("one\nthree\nnew\n", run "cat src/a.lua new; cat README 2>/dev/null")
    local calls = acp:calls()
    local edit = calls["Change a file: src/a.lua"]
    assert.equal("completed", edit.status)
    assert.equal("edit", edit.kind)
    assert.same({ { path = folder .. "/src/a.lua" } }, edit.locations)
    assert.same({ type = "diff", path = folder .. "/src/a.lua", oldText = "one\ntwo\n", newText = "one\nthree\n" },
      edit.content[1])
    assert.equal("src/a.lua", edit.rawInput.path)
    local bash = calls["cat src/a.lua; echo new >new; rm README"]
    assert.equal("execute", bash.kind)
    assert.same({ type = "diff", path = folder .. "/README", oldText = "read me\n", newText = "" }, bash.content[1])
    assert.same({ type = "diff", path = folder .. "/new", newText = "new\n" }, bash.content[2])
    assert.same({ type = "content", content = { type = "text", text = "one\nthree\n" } }, bash.content[3])
    assert.equal("x\n", run "ls .git")
  end)

  it("asks before it changes something, and before it deletes here", function()
    local id = start()
    script { { EDIT, { "read", { path = "README" } } }, { { "bash", { command = "rm README" } } }, "done" }
    acp.answer = function(question) return question.toolCall.kind == "delete" and "reject_once" or "allow_once" end
    acp:prompt(id, "go")
    assert.equal(3, #acp.questions)
    local question = acp.questions[1]
    assert.equal(id, question.sessionId)
    assert.equal("Change a file: src/a.lua", question.toolCall.title)
    local kinds = {}
    for i, option in ipairs(question.options) do kinds[i] = option.kind end
    assert.same({ "allow_once", "allow_always", "reject_once", "reject_always" }, kinds)
    assert.equal("Delete 1 file: README", acp.questions[3].toolCall.title)
    assert.same({ { path = folder .. "/README" } }, acp.questions[3].toolCall.locations)
    assert.equal("read me\n", run "cat README")
    local known = {}
    for _, update in ipairs(acp:told "tool_call") do known[update.toolCallId] = true end
    assert.is_true(known[question.toolCall.toolCallId])
  end)

  it("does not do what is rejected, and the model is told", function()
    local id = start()
    script { { EDIT }, "I could not." }
    acp.answer = function() return nil end
    assert.equal("end_turn", acp:prompt(id, "go").result.stopReason)
    assert.equal("one\ntwo\n", run "cat src/a.lua")
    assert.equal("failed", acp:calls()["Change a file: src/a.lua"].status)
    assert.truthy(model:requests()[2].body:find "did not allow this call")
  end)

  it("asks no more for what is always allowed, and nothing with --yes", function()
    local id = start()
    acp.answer = function() return "allow_always" end
    script { { { "write", { path = "b", content = "1" } } }, { { "write", { path = "b", content = "2" } } }, "done" }
    acp:prompt(id, "go")
    assert.equal(1, #acp.questions)
    assert.equal("2", run "cat b")
    acp:stop()
    id = start "--yes"
    script { { { "write", { path = "c", content = "1" } } }, { { "bash", { command = "rm b" } } }, "done" }
    acp:prompt(id, "go")
    assert.same({}, acp.questions)
    assert.equal("1", run "cat c b 2>/dev/null")
  end)

  it("shows the plan", function()
    local id = start()
    script { { { "update_plan", { entries = { { content = "look", status = "completed" },
      { content = "fix", status = "in_progress", priority = "high" } } } } }, "done" }
    acp:prompt(id, "go")
    assert.same({ { content = "look", status = "completed", priority = "medium" },
      { content = "fix", status = "in_progress", priority = "high" } }, acp:told("plan")[1].entries)
  end)

  it("shows wrong calls as failed", function()
    local id = start()
    script {
      { { "nonsense", {} }, { "read", { path = "none" } } }, { calls = { { name = "read", arguments = "{" } } }, "no",
    }
    assert.equal("end_turn", acp:prompt(id, "go").result.stopReason)
    local calls = acp:calls()
    assert.equal("failed", calls["nonsense"].status)
    assert.equal("failed", calls["Read a file: none"].status)
    assert.equal("failed", calls["Read a file"].status)
  end)

  it("sees what the user changes between turns, in one conversation", function()
    local id = start "--yes"
    script { "first", { { "bash", { command = "cat README" } } }, "second" }
    acp:prompt(id, "one")
    run "echo changed >README"
    acp:prompt(id, "two")
    assert.equal("changed\n", acp:calls()["cat README"].content[1].content.text)
    assert.truthy(model:requests()[2].body:find "first")
    assert.equal(1, service:sandboxes())
  end)

  it("ends as the model and the limits have it", function()
    local id = start "--steps 2"
    script { { stop = "length", text = "I was say" } }
    assert.equal("max_tokens", acp:prompt(id, "go").result.stopReason)
    script { { { "read", { path = "README" } } } }
    assert.equal("max_turn_requests", acp:prompt(id, "go").result.stopReason)
  end)

  it("that fails at the model or the service is an error without secrets, and the next one works", function()
    local id = start()
    script { { status = 401, body = '{"error":{"message":"bad key sk-model-key-112233"}}' } }
    local err = acp:prompt(id, "go").error
    assert.equal(-32000, err.code)
    assert.is_nil(err.message:find "sk%-model")
    script { "well" }
    assert.equal("end_turn", acp:prompt(id, "again").result.stopReason)
    acp:stop()
    assert(service.server:faults { method = "POST", path = "/sandbox", status = 403 })
    id = start()
    err = acp:prompt(id, "go").error
    assert.equal(-32603, err.code)
    assert.equal("forbidden", err.data.kind)
    assert(service.server:clear_faults())
    assert.equal("end_turn", acp:prompt(id, "again").result.stopReason)
  end)
end)

describe("a cancelled prompt", function()
  it("ends the command and the turn, and the session goes on", function()
    local id = start()
    script { { { "bash", { command = "echo begun; echo x >x; sleep 1000" } } }, "never" }
    local request = acp:send_prompt(id, "go")
    acp.answer = function()
      assert.equal(-32600, acp:prompt(id, "another").error.code)
      return "allow_once"
    end
    local first
    acp.on_update = function(update)
      if not first and update.content and json.encode(update.content):find "begun" then
        first = true
        acp:send { jsonrpc = "2.0", method = "session/cancel", params = { sessionId = id } }
      end
    end
    assert.equal("cancelled", acp:response(request).result.stopReason)
    assert.equal("failed", acp:calls()["echo begun; echo x >x; sleep 1000"].status)
    acp.on_update = nil
    script { { { "bash", { command = "pgrep -f 'sleep 100[0]' | wc -l" } } }, "well" }
    assert.equal("end_turn", acp:prompt(id, "again").result.stopReason)
    assert.equal("0\n", acp:calls()["pgrep -f 'sleep 100[0]' | wc -l"].content[1].content.text)
    assert.equal("x\n", run "cat x")
  end)

  it("while the user is asked is no permission", function()
    local id = start()
    script { { EDIT }, "never" }
    acp.answer = function()
      acp:send { jsonrpc = "2.0", method = "session/cancel", params = { sessionId = id } }
      return nil
    end
    assert.equal("cancelled", acp:prompt(id, "go").result.stopReason)
    assert.equal("one\ntwo\n", run "cat src/a.lua")
  end)
end)

describe("a session of the past", function()
  local state

  before_each(function()
    state = os.tmpname()
    os.remove(state)
  end)

  after_each(function() os.execute("rm -rf " .. state) end)

  local function begin(arguments)
    if acp then acp:stop() end
    acp = acp_client.start(service.server, model, arguments or "--yes", state)
    acp:initialize()
  end

  local function load(id, method)
    return acp:ask(method or "session/load", { sessionId = id, cwd = folder, mcpServers = json.array() })
  end

  local function list(cwd) return acp:ask("session/list", { cwd = cwd }).result.sessions end

  local function talk()
    begin()
    local id = acp:new_session(folder)
    script { { EDIT, { "bash", { command = "exit 3" } } }, "It is done." }
    acp:prompt(id, "change it\nin a.lua")
    return id
  end

  it("is told again by another program, and goes on in a sandbox of its own", function()
    local id = talk()
    begin()
    assert.same({}, load(id).result)
    assert.equal("change it\nin a.lua", acp:told("user_message_chunk")[1].content.text)
    assert.equal("It is done.", acp:said())
    local calls = acp:calls()
    assert.equal("completed", calls["Change a file: src/a.lua"].status)
    assert.equal("edit", calls["Change a file: src/a.lua"].kind)
    assert.equal(folder .. "/src/a.lua", calls["Change a file: src/a.lua"].locations[1].path)
    assert.truthy(json.encode(calls["exit 3"].content):find "exit code 3")
    assert.equal(0, service:sandboxes())
    model:requests()
    script { { { "bash", { command = "cat src/a.lua" } } }, "well" }
    acp.updates = {}
    assert.equal("end_turn", acp:prompt(id, "and now?").result.stopReason)
    local requests = model:requests()
    local body = requests[#requests].body
    for _, part in ipairs { "change it", "It is done.", "and now?" } do
      assert.truthy(body:find(part, 1, true), part)
    end
    assert.equal("one\nthree\n", acp:calls()["cat src/a.lua"].content[1].content.text)
    begin()
    load(id)
    assert.equal("It is done.well", acp:said())
  end)

  it("is resumed without being told", function()
    local id = talk()
    begin()
    assert.same({}, load(id, "session/resume").result)
    assert.same({}, acp.updates)
    script { "yes" }
    assert.equal("end_turn", acp:prompt(id, "you know?").result.stopReason)
  end)

  it("is listed with its first prompt, by folder, the latest first", function()
    local id = talk()
    acp:new_session(folder)
    begin()
    local found = list()
    assert.equal(1, #found)
    assert.same({ id, folder, "change it" }, { found[1].sessionId, found[1].cwd, found[1].title })
    assert.truthy(found[1].updatedAt:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
    assert.equal(1, #list(folder))
    assert.same({}, list "/")
  end)

  it("is closed with its sandbox, and deleted", function()
    local id = talk()
    assert.equal(1, service:sandboxes())
    assert.same({}, acp:ask("session/close", { sessionId = id }).result)
    assert.equal(0, service:sandboxes())
    assert.equal(-32002, acp:ask("session/close", { sessionId = id }).error.code)
    assert.equal(-32602, acp:prompt(id, "x").error.code)
    assert.equal(1, #list())
    assert.same({}, acp:ask("session/delete", { sessionId = id }).result)
    assert.same({}, acp:ask("session/delete", { sessionId = id }).result)
    assert.same({}, list())
    assert.equal("", run("find " .. state .. " -type f"))
  end)

  it("that there is not, or of a folder that there is not, is an error", function()
    local id = talk()
    begin()
    for _, wrong in ipairs { "daytona-0000", "../../x", "", 5 } do
      assert.equal(-32002, load(wrong).error.code)
      assert.same({}, acp:ask("session/delete", { sessionId = wrong }).result)
    end
    assert.equal(-32602, acp:ask("session/load", { sessionId = id, cwd = "/none" }).error.code)
    assert.same({}, load(id).result)
  end)

  it("holds no key, is nobody else's to read, and is not kept when that is not wanted", function()
    local id = talk()
    acp:stop()
    acp = nil
    local kept = run("cat $(find " .. state .. " -type f)")
    assert.truthy(kept:find("It is done.", 1, true))
    assert.is_nil(kept:find("sk-model-key-112233", 1, true))
    assert.equal("700\n", run("stat -c %a " .. state .. "/daytona"))
    os.execute("rm -rf " .. state)
    begin "--yes --no-history"
    assert.is_false(acp:initialize().result.agentCapabilities.loadSession)
    assert.equal(-32002, load(id).error.code)
    local new = acp:new_session(folder)
    script { "hello" }
    acp:prompt(new, "hi")
    assert.same({}, list())
    assert.is_nil(io.open(state .. "/daytona"))
  end)

  it("cannot be kept where nothing can be written, and goes on all the same", function()
    run("printf x >" .. state)
    begin()
    local id = acp:new_session(folder)
    script { "hello" }
    assert.equal("end_turn", acp:prompt(id, "hi").result.stopReason)
    assert.same({}, list())
  end)
end)

describe("the end of the editor", function()
  it("brings back what was changed, and deletes the sandbox", function()
    local id = start "--yes"
    script { { { "bash", { command = "echo y >y; echo begun; sleep 1000" } } }, "never" }
    acp:send_prompt(id, "go")
    local message
    repeat message = acp:read() until json.encode(message):find "begun\""
    acp:stop()
    acp = nil
    assert.equal("y\n", run "cat y")
    assert.equal(0, service:sandboxes())
  end)

  it("by a signal does, too", function()
    local id = start "--yes"
    script { "hello" }
    acp:prompt(id, "go")
    assert.equal(1, service:sandboxes())
    os.execute("kill -TERM " .. acp.pid)
    acp.output:read "*a"
    assert.equal(0, service:sandboxes())
  end)
end)
