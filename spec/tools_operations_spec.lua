-- The set "operations": each of its twelve tools, with right, wrong and malicious
-- arguments, against the local server.

local base64 = require "daytona.base.base64"
local daytona = require "daytona"
local ordered = require "daytona.http.ordered_json"
local schema = require "daytona.agent.schema"
local support = require "spec.support.tools"

local service, tools, id

local function call(name, arguments, opts) return support.call(tools, "daytona_" .. name, arguments, opts) end
local function fail(name, arguments) return support.fail(tools, "daytona_" .. name, arguments) end

setup(function()
  service = require("spec.support.service").start()
  tools = daytona.tools("operations", { client = service.client })
  id = call("create_sandbox", { name = "operations" }).data.sandbox.id
end)

teardown(function()
  tools:close()
  service:stop()
end)

before_each(function() assert(service.server:clear_faults()) end)

describe("the set operations", function()
  it("has twelve tools whose schemas hold, and no API key unless asked for", function()
    assert.equal(12, #tools.tools)
    for _, tool in ipairs(tools.tools) do
      assert.is_nil(schema.flaw(tool.input))
      assert.is_nil(schema.flaw(tool.output))
      assert.truthy(tool.title and tool.annotations)
    end
    assert.is_nil(tools:definitions_json("openai"):find "apiKey")
    local shown = tools:definitions("mcp", { api_key = true })
    for _, definition in ipairs(shown) do assert.truthy(definition.inputSchema.properties.apiKey.writeOnly) end
  end)

  it("refuses wrong arguments of every field, and says which it is", function()
    local right = { sandboxId = id, command = "x", code = "x", destinationPath = "x", filePath = "x", url = "x" }
    local requests = #assert(service.server:requests())
    for _, tool in ipairs(tools.tools) do
      local own = {}
      for name in pairs(tool.input.properties) do own[name] = right[name] end
      support.wrong_arguments(tool, own, function(arguments, name)
        local kind, text = support.fail(tools, tool.name, arguments)
        assert.equal("invalid", kind)
        assert.truthy(text:find(name:match "%S+", 1, true), tool.name .. ": " .. text)
      end)
    end
    assert.equal(requests, #assert(service.server:requests()))
  end)

  it("takes an API key with a call, once for all, and shows it nowhere", function()
    local stranger = daytona.tools("operations", { api_key = "dtn_wrong_key", api_url = service.server.api_url })
    local kind, text = support.fail(stranger, "daytona_list_sandboxes", {})
    assert.equal("auth", kind)
    assert.is_nil(text:find("dtn_wrong", 1, true))
    assert.is_true(stranger:call("daytona_list_sandboxes", { apiKey = service.server.api_key }).ok)
    kind, text = fail("list_sandboxes", { apiKey = "dtn_another_wrong_key" })
    assert.equal("auth", kind)
    assert.is_nil(text:find("dtn_another", 1, true))
    stranger:close()
  end)
end)

describe("sandboxes", function()
  it("are made, found, stopped, started and deleted", function()
    local made = call("create_sandbox", {
      name = "Made", labels = { team = "red" }, env = { SECRET = "hunter2" }, autoStopInterval = 0,
      autoArchiveInterval = 0, autoDeleteInterval = -1, public = true,
    })
    local box = made.data.sandbox
    assert.equal("started", box.state)
    assert.equal(0, box.autoStopInterval)
    assert.equal("red", box.labels.team)
    assert.is_nil(made.text:find("hunter2", 1, true))
    assert.equal(box.id, call("get_sandbox", { sandboxId = "Made" }).data.sandbox.id)
    assert.equal(box.id, call("list_sandboxes", { name = "mad", labels = { team = "red" } }).data.sandboxes[1].id)
    assert.same({}, call("list_sandboxes", { name = "nothing" }).data.sandboxes)
    assert.equal("stopped", call("stop_sandbox", { sandboxId = box.id }).data.sandbox.state)
    assert.equal("started", call("start_sandbox", { sandboxId = box.id }).data.sandbox.state)
    assert.truthy(call("delete_sandbox", { sandboxId = box.id }).data.sandbox.state:find "^destroy")
  end)

  it("are listed a page at a time", function()
    call("create_sandbox", { name = "page-1" })
    local page = call("list_sandboxes", { limit = 1 }).data
    assert.equal(1, #page.sandboxes)
    local rest = call("list_sandboxes", { limit = 1, cursor = page.nextCursor }).data
    assert.are_not.equal(page.sandboxes[1].id, rest.sandboxes[1].id)
    call("delete_sandbox", { sandboxId = "page-1" })
  end)

  it("that are not there are a failure that says what to do", function()
    for _, name in ipairs { "get_sandbox", "start_sandbox", "stop_sandbox", "delete_sandbox" } do
      for _, which in ipairs { "no-such", "../api-keys", "a b?c=d#e", "%2e%2e", "a\nb" } do
        local kind, text = fail(name, { sandboxId = which })
        assert.truthy(kind == "not_found" or kind == "invalid", kind)
        assert.truthy(#text > 10)
      end
    end
  end)

  it("that contradict themselves are refused in words", function()
    local kind, text = fail("create_sandbox", { snapshot = "daytona-local", cpu = 2 })
    assert.equal("invalid", kind)
    assert.truthy(text:find "brings its own cpu")
  end)
end)

describe("a command", function()
  it("gives its exit code and what it printed", function()
    local data = call("execute_command", {
      sandboxId = id, command = "echo $A in $(pwd); echo err >&2; exit 3", cwd = "/tmp", env = { A = "it's" },
    }).data
    assert.same({ exitCode = 3, result = "it's in /tmp\nerr\n" }, data)
  end)

  it("takes any text", function()
    local text = "'\"$(x)`y`\\n é\t"
    local quoted = "'" .. text:gsub("'", "'\\''") .. "'"
    assert.equal(text, call("execute_command", { sandboxId = id, command = "printf %s " .. quoted }).data.result)
    local kind = fail("execute_command", { sandboxId = id, command = "a\0b" })
    assert.equal("invalid", kind)
    assert.equal("failed", (fail("execute_command", { sandboxId = id, command = " " })))
    assert.equal("invalid", (fail("execute_command", { sandboxId = id, command = "x", env = { ["A B"] = "1" } })))
    assert.equal("not_found", (fail("execute_command", { sandboxId = id, command = "x", cwd = "/none" })))
  end)

  it("of ten megabytes costs 50 KiB at most, and nothing is lost", function()
    local result = call("execute_command", { sandboxId = id, timeout = 60,
      command = "head -c 10000000 /dev/zero | tr '\\0' x | fold -w 99; echo the end" })
    assert.is_true(result.truncated and result.data.truncated)
    assert.is_true(#result.text <= 50 * 1024, #result.text)
    assert.is_true(#ordered.encode(result.data) <= 50 * 1024)
    assert.truthy(result.data.result:find "the end\n$")
    assert.equal(result.read_more, result.data.readMore)
    assert.truthy(result.text:find(result.read_more, 1, true))
    local size = call("execute_command", { sandboxId = id, command = "wc -c <" .. result.read_more }).data.result
    assert.equal(10000000 + 101010 + 8, tonumber(size))
  end)

  it("of many lines, or of what JSON writes long, costs as little", function()
    for _, command in ipairs { "seq 1 100000", "head -c 100000 /dev/zero | tr '\\0' '\\1'",
      "yes '\"\\' | head -n 30000" } do
      local result = call("execute_command", { sandboxId = id, command = command })
      assert.is_true(result.truncated, command)
      assert.is_true(#result.text <= 50 * 1024)
      assert.is_true(select(2, result.data.result:gsub("\n", "")) <= 2000)
    end
  end)

  it("of little output leaves no file", function()
    call("execute_command", { sandboxId = id, command = "rm -rf /tmp/.daytona-output" })
    call("execute_command", { sandboxId = id, command = "echo x" })
    assert.equal(0, service.client:get(id):exec("rmdir /tmp/.daytona-output").exit_code)
  end)

  it("whose time is over says so, with what it had printed", function()
    local kind, text = fail("execute_command", { sandboxId = id, command = "echo begun; sleep 60", timeout = 1 })
    assert.equal("failed", kind)
    assert.truthy(text:find "time was over" and text:find "begun")
  end)

  it("that is cancelled is gone from the sandbox", function()
    local mark = "98765" .. os.time() % 1000
    local function running()
      local found = call("execute_command", { sandboxId = id, command = "pgrep -f '^sleep " .. mark .. "' || true" })
      return found.data.result ~= ""
    end
    local result
    local task = daytona.spawn(function()
      result = tools:call("daytona_execute_command", { sandboxId = id, command = "sleep " .. mark, timeout = 3600 })
    end)
    while not running() do daytona.sleep(0.02) end
    task:cancel()
    task:wait()
    assert.equal("canceled", result.error.kind)
    assert.is_false(running())
  end)

  it("tells its last line as it goes", function()
    local heard = {}
    local result = call("execute_command", { sandboxId = id, timeout = 60,
      command = "echo first; while [ ! -e go ]; do sleep 0.02; done; rm go; echo last" }, {
      on_progress = function(line)
        heard[#heard + 1] = line
        service.client:get(id):exec "touch go"
      end,
    })
    assert.equal("first", heard[1])
    assert.equal("first\nlast\n", result.data.result)
  end)

  it("of many at once each has its own result", function()
    local results = daytona.map({ 1, 2, 3, 4 }, function(n)
      return call("execute_command", { sandboxId = id, command = "sleep 0.3; echo " .. n }).data.result
    end)
    assert.same({ "1\n", "2\n", "3\n", "4\n", n = 4 }, results)
  end)
end)

describe("code", function()
  local PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    .. "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

  it("gives its exit code and what it printed", function()
    local code = "import os\nprint(os.environ['A'], 6 * 7)"
    local data = call("run_code", { sandboxId = id, code = code, env = { A = "x" } }).data
    assert.same({ exitCode = 0, result = "x 42\n", artifacts = { charts = {} } }, data)
    data = call("run_code", { sandboxId = id, code = "console.log(1)", language = "javascript" }).data
    assert.equal("1\n", data.result)
    assert.equal(1, call("run_code", { sandboxId = id, code = "1/0" }).data.exitCode)
  end)

  it("gives charts as images", function()
    assert(service.server:faults { { path = "/process/code-run", status = 200, body = {
      exitCode = 0, result = "",
      artifacts = { charts = { { type = "line", title = "T", png = PNG, elements = {} } } },
    } } })
    local result = call("run_code", { sandboxId = id, code = "x" })
    assert.same({ { type = "line", title = "T", png = true } }, result.data.artifacts.charts)
    assert.same({ { data = PNG, mime_type = "image/png" } }, result.images)
    assert.is_nil(result.text:find(PNG, 1, true))
  end)

  it("of much output is kept in the sandbox", function()
    local result = call("run_code", { sandboxId = id, code = "print('x' * 3000000)" })
    assert.is_true(result.truncated)
    assert.is_true(#result.text <= 50 * 1024)
    local size = call("execute_command", { sandboxId = id, command = "wc -c <" .. result.read_more }).data.result
    assert.equal(3000001, tonumber(size))
  end)

  it("whose time is over says so", function()
    local _, text = fail("run_code", { sandboxId = id, code = "import time\ntime.sleep(60)", timeout = 1 })
    assert.truthy(text:find "time was over")
  end)
end)

describe("files", function()
  it("go in and out as base64, byte for byte", function()
    local data = ("\0\255\n\rx"):rep(100)
    assert.same({ uploadedPath = "up/bytes.bin", name = "bytes.bin", size = 500 },
      call("upload_file", { sandboxId = id, destinationPath = "up/bytes.bin", fileContent = base64.encode(data) }).data)
    local down = call("download_file", { sandboxId = id, filePath = "up/bytes.bin" }).data
    assert.same({ file = base64.encode(data), name = "bytes.bin", size = 500,
      mimeType = "application/octet-stream" }, down)
    assert.equal("up/in/a.txt", call("upload_file", {
      sandboxId = id, destinationPath = "up/in/", fileName = "a.txt", file = base64.encode "é" }).data.uploadedPath)
    assert.equal("text/plain", call("download_file", { sandboxId = id, filePath = "up/in/a.txt" }).data.mimeType)
  end)

  it("of ten megabytes go in whole, and come out by their beginning", function()
    local data = ("0123456789"):rep(1000000)
    assert.equal(10000000, call("upload_file", {
      sandboxId = id, destinationPath = "big.txt", fileContent = base64.encode(data) }).data.size)
    local down = call("download_file", { sandboxId = id, filePath = "big.txt" })
    assert.is_true(#down.text <= 50 * 1024)
    assert.equal("big.txt", down.read_more)
    assert.equal(10000000, down.data.size)
    local part = base64.decode(down.data.file)
    assert.equal(data:sub(1, #part), part)
  end)

  it("are listed with all that is known of them", function()
    local listed = call("list_files", { sandboxId = id, path = "up" }).data.files
    local by_name = {}
    for _, file in ipairs(listed) do by_name[file.name] = file end
    assert.is_true(by_name["in"].isDir)
    assert.equal(500, by_name["bytes.bin"].size)
    for _, field in ipairs { "mode", "permissions", "owner", "group", "modifiedAt" } do
      assert.is_string(by_name["bytes.bin"][field])
    end
  end)

  it("that cannot be are failures in words", function()
    local function upload(more)
      local arguments = { sandboxId = id, destinationPath = "x/", fileContent = "YQ==", fileName = "a" }
      for key, value in pairs(more) do arguments[key] = value end
      return fail("upload_file", arguments)
    end
    assert.truthy(select(2, upload { fileContent = "not base64!" }):find "base64")
    for _, name in ipairs { "../a", "..", ".", "a/b" } do
      assert.truthy(select(2, upload { fileName = name }):find "without slashes")
    end
    local _, text = fail("upload_file", { sandboxId = id, destinationPath = "x/", fileContent = "" })
    assert.truthy(text:find "fileName")
    _, text = fail("upload_file", { sandboxId = id, destinationPath = "x" })
    assert.truthy(text:find "fileContent is required")
    assert.equal("invalid", (upload { destinationPath = "a\0b" }))
    assert.equal("not_found", (fail("download_file", { sandboxId = id, filePath = "no/such" })))
    assert.truthy(select(2, fail("download_file", { sandboxId = id, filePath = "up" })):find "is a folder")
    assert.equal("not_found", (fail("list_files", { sandboxId = id, path = "no/such" })))
  end)
end)

describe("a repository", function()
  it("is cloned, also of a branch", function()
    call("execute_command", { sandboxId = id, command = "git init -q -b main src && cd src && "
      .. "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one && git branch other" })
    local home = service.client:get(id):work_dir()
    local data = call("git_clone", { sandboxId = id, url = home .. "/src", path = "copy", branch = "other" }).data
    assert.same({ repoUrl = home .. "/src", clonePath = "copy" }, data)
  end)

  it("that cannot be cloned is a failure without the password", function()
    local kind, text = fail("git_clone", {
      sandboxId = id, url = "http://127.0.0.1:1/x.git", username = "me", password = "hunter2secret" })
    assert.is_string(kind)
    assert.is_nil(text:find("hunter2", 1, true))
  end)
end)
