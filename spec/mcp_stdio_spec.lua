-- The MCP server over standard input and output, in both eras of the protocol, against
-- the local server.

local compat = require "daytona.base.compat"
local daytona = require "daytona"
local json = require "daytona.http.json"
local mcp_client = require "spec.support.mcp_client"
local now = require("daytona.loop").now
local schema = require "daytona.agent.schema"
local support = require "spec.support.tools"

local PREFIX = "io.modelcontextprotocol/"

local service, box, mcp

setup(function()
  service = require("spec.support.service").start()
  box = assert(service.client:create { name = "mcp" })
end)

teardown(function() service:stop() end)

before_each(function() mcp = mcp_client.start(service.server) end)
after_each(function() mcp:stop() end)

local function modern_params(version)
  return { _meta = { [PREFIX .. "protocolVersion"] = version or "2026-07-28", [PREFIX .. "clientCapabilities"] = {} } }
end

local function execute(command, more)
  local arguments = { sandboxId = box.id, command = command, timeout = 600 }
  for key, value in pairs(more or {}) do arguments[key] = value end
  return arguments
end

local function running(pattern)
  return box:exec("pgrep -f '" .. pattern .. "' || true").result:find "%d" ~= nil
end

-- A number that no other run of this spec sleeps for.
local function unheard_of() return ("9%d%d"):format(os.time() % 100000, math.random(100)) end

describe("the handshake", function()
  it("agrees on each revision before the newest, and on 2025-11-25 for any other", function()
    for wanted, given in pairs {
      ["2025-11-25"] = "2025-11-25", ["2025-06-18"] = "2025-06-18", ["2025-03-26"] = "2025-03-26",
      ["2024-11-05"] = "2024-11-05", ["2030-01-01"] = "2025-11-25", ["1"] = "2025-11-25",
    } do
      local result = mcp:initialize(wanted)
      assert.equal(given, result.protocolVersion)
      assert.equal("daytona-lua", result.serverInfo.name)
      assert.same({ tools = {}, resources = {} }, result.capabilities)
      assert.is_nil(result.resultType)
    end
  end)

  it("takes ids that are 0 or texts, and no parameters", function()
    for _, id in ipairs { 0, "server-discover-probe-1", -7, "" } do
      mcp:send { jsonrpc = "2.0", id = id, method = "tools/list" }
      local response = mcp:read()
      assert.equal(id, response.id)
      assert.equal(12, #response.result.tools)
    end
    assert.same({}, mcp:ask("ping").result)
  end)
end)

describe("the newest revision", function()
  it("needs no handshake, on the same process", function()
    mcp:initialize()
    local result = mcp:ask("server/discover", modern_params()).result
    assert.equal("complete", result.resultType)
    assert.equal("2026-07-28", result.supportedVersions[1])
    assert.is_table(result.capabilities.extensions[PREFIX .. "tasks"])
    assert.is_number(result.ttlMs)
    assert.equal("daytona-lua", result._meta[PREFIX .. "serverInfo"].name)
    local list = mcp:ask("tools/list", modern_params()).result
    assert.equal("complete", list.resultType)
    assert.equal("public", list.cacheScope)
    local legacy = mcp:ask("tools/list").result
    assert.same(legacy.tools, list.tools)
    assert.is_nil(legacy.ttlMs or legacy.cacheScope or legacy.resultType or legacy._meta)
    assert.is_table(mcp:ask("server/discover").result)
  end)

  it("says what it does not support, and what a request lacks", function()
    local err = mcp:ask("tools/list", modern_params "2031-01-01").error
    assert.equal(-32022, err.code)
    assert.equal("2031-01-01", err.data.requested)
    assert.same({ "2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05" }, err.data.supported)
    assert.equal(-32602, mcp:ask("tools/list", { _meta = { [PREFIX .. "protocolVersion"] = "2026-07-28" } }).error.code)
    mcp.modern = true
    for _, gone in ipairs { "initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such" } do
      assert.equal(-32601, mcp:ask(gone).error.code)
    end
  end)
end)

describe("what is no request", function()
  it("is an error of JSON-RPC, or is passed by, and nothing ends", function()
    for line, code in pairs {
      ["{"] = -32700, ["nonsense"] = -32700, ['{"jsonrpc":"2.0","id":1,"method":"\255'] = -32700,
      ["[]"] = -32600, ['[{"jsonrpc":"2.0","id":1,"method":"ping"}]'] = -32600, ["1"] = -32600,
      ['{"id":1,"method":"ping"}'] = -32600, ['{"jsonrpc":"2.0","id":1,"method":5}'] = -32600,
      ['{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[1]}'] = -32602,
      ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}'] = -32602,
      ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}'] = -32602,
      ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"daytona_get_sandbox","arguments":"x"}}']
        = -32602,
      ['{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}'] = -32602,
    } do
      mcp:send(line)
      assert.equal(code, mcp:read().error.code, line)
    end
    mcp:send ""
    mcp:send { jsonrpc = "2.0", method = "notifications/whatever" }
    mcp:send { jsonrpc = "2.0", id = 5, result = {} }
    mcp:send { jsonrpc = "2.0", method = "notifications/cancelled", params = { requestId = "none" } }
    mcp:send { jsonrpc = "2.0", method = "notifications/cancelled" }
    assert.same({}, mcp:ask("ping").result)
  end)

  it("is answered as a list where the revision knows lists", function()
    mcp:initialize "2025-03-26"
    mcp:send('[{"jsonrpc":"2.0","id":"a","method":"ping"},{"jsonrpc":"2.0","method":"x"},'
      .. '{"jsonrpc":"2.0","id":"b","method":"x"}]')
    local list = mcp:read()
    assert.equal(2, #list)
    assert.equal("a", list[1].id)
    assert.equal(-32601, list[2].error.code)
    -- as a whole, when the slowest is done
    mcp:send('[{"jsonrpc":"2.0","id":"a","method":"ping"},{"jsonrpc":"2.0","id":"b","method":"tools/call",'
      .. '"params":{"name":"daytona_list_sandboxes","arguments":{}}}]')
    list = mcp:read()
    assert.equal(2, #list)
    assert.is_false(list[2].result.isError)
  end)
end)

describe("a tool", function()
  it("gives structured content as its schema says, and the same as text", function()
    mcp:initialize()
    local tools = {}
    for _, tool in ipairs(mcp:ask("tools/list").result.tools) do tools[tool.name] = tool end
    local function check(name, arguments)
      local result = mcp:call(name, arguments)
      assert.is_false(result.isError, result.content[1].text)
      assert.is_true(schema.check(tools[name].outputSchema, result.structuredContent))
      assert.same(result.structuredContent, json.decode(result.content[1].text))
      return result.structuredContent
    end
    local id = check("daytona_create_sandbox", { name = "by-mcp" }).sandbox.id
    check("daytona_list_sandboxes")
    check("daytona_get_sandbox", { sandboxId = id })
    check("daytona_stop_sandbox", { sandboxId = id })
    check("daytona_start_sandbox", { sandboxId = id })
    assert.same({ exitCode = 3, result = "hi\n" },
      check("daytona_execute_command", { sandboxId = id, command = "echo hi; exit 3" }))
    check("daytona_run_code", { sandboxId = id, code = "print(1)" })
    check("daytona_upload_file", { sandboxId = id, destinationPath = "a.bin", fileContent = "AP8=" })
    assert.equal("AP8=", check("daytona_download_file", { sandboxId = id, filePath = "a.bin" }).file)
    check("daytona_list_files", { sandboxId = id })
    mcp:call("daytona_execute_command", { sandboxId = id, command = "git init -q src && cd src && "
      .. "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one" })
    check("daytona_git_clone", { sandboxId = id, url = service.client:get(id):work_dir() .. "/src", path = "copy" })
    check("daytona_delete_sandbox", { sandboxId = id })
  end)

  it("that is called wrongly says so in a result that a model can act on", function()
    mcp.modern = true
    local right = { sandboxId = box.id, command = "x", code = "x", destinationPath = "x", filePath = "x", url = "x" }
    for _, tool in ipairs(daytona.tools("operations").tools) do
      local own = {}
      for name in pairs(tool.input.properties) do own[name] = right[name] end
      support.wrong_arguments(tool, own, function(arguments, name)
        if not pcall(function() assert(json.encode(arguments)) end) then return end -- cannot be sent as JSON
        local result = mcp:call(tool.name, arguments)
        assert.is_true(result.isError)
        assert.is_nil(result.structuredContent)
        assert.truthy(result.content[1].text:find(name:match "%S+", 1, true), result.content[1].text)
      end)
    end
    mcp:send('{"jsonrpc":"2.0","id":"bytes","method":"tools/call","params":{"name":"daytona_get_sandbox","arguments":'
      .. '{"sandboxId":"\255"},"_meta":' .. json.encode(mcp:params()._meta) .. "}}")
    assert.is_true(mcp:response("bytes").result.isError)
  end)

  it("of any set refuses wrong arguments by name, and its definitions are what MCP allows", function()
    for _, set in ipairs { "components", "session", "coding", "native", "computer", "daytona" } do
      mcp:stop()
      mcp = mcp_client.start(service.server, "--tools " .. set .. " --sandbox " .. box.id)
      mcp:initialize()
      local tools = daytona.tools(set, { client = service.client }).tools
      local listed = mcp:ask("tools/list").result.tools
      assert.equal(#tools, #listed)
      for i, tool in ipairs(listed) do
        assert.equal(tools[i].name, tool.name)
        assert.equal("object", tool.inputSchema.type)
        assert.equal("object", tool.outputSchema.type)
        assert.is_boolean(tool.annotations.readOnlyHint)
        support.wrong_arguments(tools[i], support.right(tools[i]), function(arguments, name)
          if not pcall(function() assert(json.encode(arguments)) end) then return end
          local result = mcp:call(tool.name, arguments)
          assert.is_true(result.isError)
          assert.truthy(result.content[1].text:find(name:match "%S+", 1, true), result.content[1].text)
        end)
      end
    end
  end)

  it("takes ten megabytes, and gives 50 KiB of them with a link to the rest", function()
    mcp:initialize()
    local text = ("0123456789abcde\n"):rep(700000)
    local result = mcp:call("daytona_upload_file", { sandboxId = box.id, destinationPath = "big.txt",
      fileContent = require("daytona.base.base64").encode(text) })
    assert.equal(#text, result.structuredContent.size)
    result = mcp:call("daytona_execute_command", execute "cat big.txt; echo the end")
    assert.is_true(#result.content[1].text <= 50 * 1024)
    assert.is_true(#json.encode(result.structuredContent) <= 50 * 1024)
    local link = result.content[2]
    assert.equal("resource_link", link.type)
    local whole, offset = {}, 0
    repeat
      local uri = ("%s?offset=%d"):format(link.uri, offset)
      local part = mcp:ask("resources/read", { uri = uri }).result.contents[1].text
      whole[#whole + 1], offset = part, offset + #part
    until part == ""
    assert.is_true(table.concat(whole) == text .. "the end\n")
  end)
end)

describe("a resource", function()
  it("is a file of a sandbox, as text or as base64", function()
    mcp:initialize()
    assert(box.fs:write("dir/a b.txt", "text"))
    assert(box.fs:write("/tmp/x.bin", "\0\255"))
    assert.equal(1, #mcp:ask("resources/templates/list").result.resourceTemplates)
    assert.same({}, mcp:ask("resources/list").result.resources)
    local uri = "daytona://" .. box.id
    local contents = mcp:ask("resources/read", { uri = uri .. "/./dir/a%20b.txt" }).result.contents
    assert.same({ { uri = uri .. "/./dir/a%20b.txt", mimeType = "text/plain", text = "text" } }, contents)
    contents = mcp:ask("resources/read", { uri = uri .. "/tmp/x.bin" }).result.contents
    assert.equal("AP8=", contents[1].blob)
    assert(box.fs:write("/tmp/large", ("x"):rep(1048577)))
    contents = mcp:ask("resources/read", { uri = uri .. "/tmp/large?length=2000000" }).result.contents
    assert.equal(1048576, #contents[1].text)
    for _, bad in ipairs { uri .. "/tmp/none", "daytona://none/x" } do
      assert.equal(-32002, mcp:ask("resources/read", { uri = bad }).error.code)
    end
    for _, bad in ipairs { "file:///etc/passwd", "daytona://", 5 } do
      assert.equal(-32602, mcp:ask("resources/read", { uri = bad }).error.code)
    end
    assert.equal(-32602, mcp:ask("resources/read").error.code)
  end)
end)

describe("a call that takes its time", function()
  it("tells its last line as progress, in numbers that grow", function()
    mcp:initialize()
    local id = mcp:request("tools/call", { name = "daytona_execute_command", _meta = { progressToken = "t" },
      arguments = execute [[echo first; until [ -e go ]; do sleep 0.02; done
        echo second; until [ -e on ]; do sleep 0.02; done]] })
    local one = mcp:read()
    assert.same({ progressToken = "t", progress = 1, message = "first" }, one.params)
    box:exec "touch go"
    local two = mcp:read()
    assert.equal("second", two.params.message)
    assert.is_true(two.params.progress > one.params.progress)
    box:exec "touch on"
    assert.equal("first\nsecond\n", mcp:response(id).result.structuredContent.result)
  end)

  it("holds no other up", function()
    mcp:initialize()
    local begun, ids = now(), {}
    for i = 1, 4 do
      local arguments = execute("sleep 1; echo " .. i)
      ids[i] = mcp:request("tools/call", { name = "daytona_execute_command", arguments = arguments })
    end
    assert.same({}, mcp:ask("ping").result)
    assert.is_true(now() - begun < 1)
    local answers = {}
    for _ = 1, 4 do
      local message = mcp:read()
      answers[message.id] = message.result.structuredContent.result
    end
    for i = 1, 4 do assert.equal(i .. "\n", answers[ids[i]]) end
    assert.is_true(now() - begun < 3)
  end)

  it("is ended by its cancellation, and never answered", function()
    mcp:initialize()
    local sleep = "sleep " .. unheard_of()
    local id = mcp:request("tools/call", { name = "daytona_execute_command", arguments = execute(sleep) })
    while not running("^" .. sleep) do daytona.sleep(0.02) end
    local begun = now()
    mcp:send { jsonrpc = "2.0", method = "notifications/cancelled", params = { requestId = id, reason = "enough" } }
    while running("^" .. sleep) do daytona.sleep(0.02) end
    assert.is_true(now() - begun < 3)
    assert.same({}, mcp:ask("ping").result)
    assert.same({}, mcp.heard)
  end)

  it("leaves no file of its output behind when it is cancelled", function()
    mcp:initialize()
    local function files() return box:exec("ls /tmp/.daytona-output 2>/dev/null | wc -l").result end
    local before, sleep = files(), "sleep " .. unheard_of()
    local id = mcp:request("tools/call", { name = "daytona_execute_command", arguments = execute("echo x; " .. sleep) })
    while not running("^" .. sleep) do daytona.sleep(0.02) end
    assert.not_equal(before, files())
    mcp:send { jsonrpc = "2.0", method = "notifications/cancelled", params = { requestId = id } }
    assert.equal("", mcp:stop())
    assert.equal(before, files())
  end)

  for _, signal in ipairs { "TERM", "HUP", "INT" } do
    it("is ended when a signal ends the server: " .. signal, function()
      mcp:initialize()
      local sleep = "sleep " .. unheard_of()
      mcp:request("tools/call", { name = "daytona_execute_command", arguments = execute(sleep) })
      while not running("^" .. sleep) do daytona.sleep(0.02) end
      os.execute("kill -" .. signal .. " " .. mcp.pid)
      assert.equal("", mcp.output:read "*a")
      assert.is_false(running("^" .. sleep))
    end)
  end

  it("in a sandbox of the server's own is ended with it by a signal", function()
    mcp:stop()
    mcp = mcp_client.start(service.server, "--tools coding")
    mcp:initialize()
    local before = service:sandboxes()
    mcp:call("bash", { command = "echo hi" })
    mcp:request("tools/call", { name = "bash", arguments = { command = "sleep 1000" } })
    assert.equal(before + 1, service:sandboxes())
    os.execute("kill -TERM " .. mcp.pid)
    assert.equal("", mcp.output:read "*a")
    assert.equal(before, service:sandboxes())
  end)

  it("is ended when the client goes away", function()
    mcp:initialize()
    local sleep = "sleep " .. unheard_of()
    mcp:request("tools/call", { name = "daytona_execute_command", arguments = execute(sleep) })
    while not running("^" .. sleep) do daytona.sleep(0.02) end
    assert.equal("", mcp:stop())
    assert.is_false(running("^" .. sleep))
  end)
end)

describe("a task", function()
  local TASKS = { extensions = { [PREFIX .. "tasks"] = {} } }

  local function begin(command, more)
    mcp:stop()
    mcp = mcp_client.start(service.server, "--task-after 0.1")
    mcp.modern, mcp.capabilities = true, TASKS
    return mcp:call("daytona_execute_command", execute(command, more))
  end

  local function finished(id)
    while true do
      local task = assert(mcp:ask("tasks/get", { taskId = id }).result)
      if task.status ~= "working" then return task end
      daytona.sleep(0.05)
    end
  end

  it("answers for a command that runs long, and survives the server", function()
    local task = begin "echo begun; until [ -e done ]; do sleep 0.02; done; echo ended; exit 4"
    assert.equal("task", task.resultType)
    assert.equal("working", task.status)
    assert.truthy(task.createdAt:find "^%d+%-%d+%-%d+T%d+:%d+:%d+Z$")
    mcp:kill()
    mcp = mcp_client.start(service.server)
    mcp.modern, mcp.capabilities = true, TASKS
    assert.equal("working", mcp:ask("tasks/get", { taskId = task.taskId }).result.status)
    assert.equal("complete", mcp:ask("tasks/update", { taskId = task.taskId, inputResponses = {} }).result.resultType)
    box:exec "touch done"
    local ended = finished(task.taskId)
    assert.equal("completed", ended.status)
    assert.equal("complete", ended.resultType)
    assert.same({ exitCode = 4, result = "begun\nended\n" }, ended.result.structuredContent)
  end)

  it("is not made of a command that ends soon, nor for clients that know none", function()
    mcp:stop()
    mcp = mcp_client.start(service.server, "--task-after 30")
    mcp.modern, mcp.capabilities = true, TASKS
    local result = mcp:call("daytona_execute_command", execute "seq 1 100000")
    assert.equal("complete", result.resultType)
    assert.is_true(result.structuredContent.truncated)
    assert.equal("resource_link", result.content[2].type)
    mcp.capabilities = {}
    assert.equal("complete", mcp:call("daytona_execute_command", execute "sleep 0.5").resultType)
  end)

  it("can be cancelled, and its time can be over", function()
    local sleep = "sleep " .. unheard_of()
    local task = begin(sleep)
    assert.equal("complete", mcp:ask("tasks/cancel", { taskId = task.taskId }).result.resultType)
    assert.equal("cancelled", finished(task.taskId).status)
    assert.equal("complete", mcp:ask("tasks/cancel", { taskId = task.taskId }).result.resultType)
    assert.is_false(running("^" .. sleep))
    task = begin("echo begun; sleep 60", { timeout = 1 })
    local ended = finished(task.taskId)
    assert.equal("completed", ended.status)
    assert.is_true(ended.result.isError)
    assert.truthy(ended.result.content[1].text:find "begun")
  end)

  it("is nothing for a client that has not said that it knows tasks", function()
    mcp.modern = true
    for _, method in ipairs { "tasks/get", "tasks/update", "tasks/cancel" } do
      local err = mcp:ask(method, { taskId = "x" }).error
      assert.equal(-32021, err.code)
      assert.same({ extensions = { [PREFIX .. "tasks"] = {} } }, err.data.requiredCapabilities)
    end
  end)

  it("that there is not is an error", function()
    mcp.modern, mcp.capabilities = true, TASKS
    for _, id in ipairs { "x", "daytona_execute_command:none:1", "daytona_execute_command:" .. box.id .. ":none",
      "daytona_execute_command:" .. box.id .. ":../../x", "daytona_get_sandbox:" .. box.id .. ":x", 5 } do
      for _, method in ipairs { "tasks/get", "tasks/cancel" } do
        assert.equal(-32602, mcp:ask(method, { taskId = id }).error.code, tostring(id))
      end
    end
  end)
end)

describe("a call that destroys", function()
  before_each(function()
    mcp:stop()
    mcp = mcp_client.start(service.server, "--confirm")
  end)

  it("is made when the user has said yes to it, and to nothing else", function()
    mcp.modern, mcp.capabilities = true, { elicitation = {} }
    local id = mcp:call("daytona_create_sandbox", { name = "confirmed" }).structuredContent.sandbox.id
    local params = { name = "daytona_delete_sandbox", arguments = { sandboxId = id } }
    local asked = mcp:ask("tools/call", params).result
    assert.equal("input_required", asked.resultType)
    assert.equal("elicitation/create", asked.inputRequests.confirm.method)
    assert.truthy(asked.inputRequests.confirm.params.message:find(id, 1, true))
    params.requestState = asked.requestState
    for _, answer in ipairs { { action = "decline" }, { action = "cancel" } } do
      params.inputResponses = { confirm = answer }
      assert.is_true(mcp:ask("tools/call", params).result.isError)
    end
    local yes = { confirm = { action = "accept", content = {} } }
    for _, nothing in ipairs { { confirm = {} }, { confirm = 5 }, { other = yes.confirm }, json.null } do
      params.inputResponses = nothing
      assert.equal("input_required", mcp:ask("tools/call", params).result.resultType)
    end
    params.inputResponses, params.requestState = yes, nil
    assert.equal("input_required", mcp:ask("tools/call", params).result.resultType)
    params.requestState, params.arguments = asked.requestState, { sandboxId = box.id }
    assert.equal(-32602, mcp:ask("tools/call", params).error.code)
    params.requestState, params.arguments = asked.requestState .. "0", { sandboxId = id }
    assert.equal(-32602, mcp:ask("tools/call", params).error.code)
    params.requestState = asked.requestState
    assert.is_false(mcp:ask("tools/call", params).result.isError)
    assert.equal("started", service.client:get(box.id).state)
  end)

  it("is not made for a client that cannot ask; what destroys nothing is", function()
    mcp:initialize()
    local result = mcp:call("daytona_delete_sandbox", { sandboxId = box.id })
    assert.is_true(result.isError)
    assert.truthy(result.content[1].text:find "cannot ask")
    assert.is_false(mcp:call("daytona_get_sandbox", { sandboxId = box.id }).isError)
  end)
end)

describe("the program", function()
  local function run(arguments)
    local pipe = io.popen(("DAYTONA_LUA=%s bin/daytona-mcp %s </dev/null 2>&1; echo status $?")
      :format(compat.name, arguments))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  it("explains itself, and refuses what it does not know", function()
    assert.truthy(run("--help"):find "usage: daytona%-mcp" and run("--help"):find "status 0\n$")
    assert.truthy(run("--what"):find "unknown option: %-%-what.*status 2\n$")
    assert.truthy(run("--tools files"):find "the sets are: operations.*status 2\n$")
    assert.truthy(run("--sandbox"):find "needs a value.*status 2\n$")
    assert.truthy(run("--max-bytes x"):find "number above 0.*status 2\n$")
    assert.equal("status 0\n", run "")
  end)
end)
