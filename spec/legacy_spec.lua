-- The client and a service of an old release (0.190), as the local server plays it:
-- fewer calls, other statuses, errors without a word. What sessions, terminals, git,
-- trees and language servers make of it stands with them; here is the rest.

local daytona = require "daytona"

describe("an old service", function()
  local service, sandbox

  setup(function()
    service = require("spec.support.service").start { legacy = "0.190" }
    sandbox = assert(service.client:create { labels = { team = "a" } })
  end)
  teardown(function() service:stop() end)

  local function fails(kind, status, value, err)
    assert.is_nil(value)
    assert.same({ kind, status }, { err.kind, err.status }, tostring(err))
    return err
  end

  it("names no way to the sandbox in its answers, and is asked for it", function()
    assert.equal("", sandbox.raw.toolboxProxyUrl)
    assert.equal("v0.190.0", assert(sandbox:version()))
    assert.equal("hi\n", assert(sandbox:exec "echo hi").result)
    assert.equal("42\n", assert(sandbox:run "print(6 * 7)").result)
    assert.equal(1, service:count("GET", "/sandbox/" .. sandbox.id .. "/toolbox-proxy-url"))
  end)

  it("answers a change of labels with a whole sandbox, and a deletion with nothing", function()
    assert.same({ team = "b", ["code-toolbox-language"] = "python" }, assert(sandbox:set_labels { team = "b" }).labels)
    local box = assert(service.client:create())
    assert(box:delete { wait = true })
    assert.equal("destroyed", box.state)
    fails("not_found", 404, service.client:get(box.id))
  end)

  it("has errors without a code, or without a word: the status tells, and the call", function()
    local err = fails("not_found", 404, sandbox.fs:read "none.txt")
    assert.equal("none.txt", err.what)
    assert.is_truthy(tostring(err):find("none.txt", 1, true))
    err = fails("not_found", 404, sandbox.fs:stat "none.txt")
    assert.is_nil(err.source)
    assert(sandbox.fs:mkdir "d")
    fails("invalid", 400, sandbox.fs:remove "d")
    fails("not_found", 404, sandbox.interpreter:delete_context "none")
    fails("invalid", 400, sandbox:lsp("python", "d"):did_open "d/none.py")
  end)

  it("ends a command whose time is over, with a code of that time", function()
    assert.is_true(assert(sandbox:exec("sleep 60", { timeout = 1 })).timed_out)
    local _, err = sandbox:exec("sleep 60", { timeout = 1, check = true })
    assert.equal("process_timeout", err.kind)
  end)

  it("takes files in its old way, and lists one level of a tree, which is not taken for all of it", function()
    assert(sandbox.fs:write("tree/a/b/c.txt", "deep"))
    assert(sandbox.fs:upload({ data = "up" }, "tree/up.txt"))
    assert.equal("up", (assert(sandbox.fs:read "tree/up.txt")))
    local names = {}
    for _, entry in ipairs(assert(sandbox.fs:list "tree")) do names[#names + 1] = entry.name end
    assert.same({ "a", "up.txt" }, names)
    local _, err = sandbox.fs:list("tree", { depth = 3 })
    assert.equal("unsupported", err.kind)
  end)

  it("follows a log live, and says of a session that is not there that it is not", function()
    local session = assert(sandbox:session())
    local command = assert(session:exec("echo one; until [ -e go ]; do sleep 0.02; done; echo two >&2; return 4",
      { async = true }))
    local reader = command:follow()
    assert.same({ "stdout", "one\n" }, { reader:read(10) })
    assert(sandbox.fs:write("go", ""))
    assert.same({ "stderr", "two\n" }, { reader:read(10) })
    assert.is_nil((reader:read(10)))
    assert.equal(4, reader.exit_code)
    assert.same({ "one\n", "two\n" }, { assert(command:logs()).stdout, assert(command:logs()).stderr })
    assert(session:delete())
    local _, err = session:exec "true" -- a 500 without a code
    assert.same({ "not_found", 500 }, { err.kind, err.status })
  end)

  it("says of an ended command, seen or not, that its input goes nowhere", function()
    local session = assert(sandbox:session())
    local command = assert(session:exec("read line; echo got $line", { async = true }))
    assert(command:input "x")
    -- over, and nobody has looked: the daemon says only that it went wrong
    local text
    repeat text = assert(sandbox:exec "cat .daytona/sessions/*/*/exit_code 2>/dev/null").result until text ~= ""
    local _, err = command:input "y"
    assert.same({ "gone", "COMMAND_ALREADY_COMPLETED", 500 }, { err.kind, err.code, err.status })
    _, err = command:input "y"
    assert.same({ "gone", 410 }, { err.kind, err.status })
    assert(session:delete())
  end)

  it("runs code that keeps its variables, and tells a time that is over", function()
    local context = assert(sandbox.interpreter:create_context())
    assert(sandbox.interpreter:run("x = 5", { context = context }))
    assert.equal("5\n", assert(sandbox.interpreter:run("print(x)", { context = context })).stdout)
    assert.is_true(assert(sandbox.interpreter:run("import time; time.sleep(60)", { timeout = 1 })).timed_out)
    assert(sandbox.interpreter:delete_context(context))
  end)

  it("sees no port of IPv6 alone, which is found all the same", function()
    local server = daytona.spawn(function()
      return sandbox:exec({ "python3", "-c", [[
import socket, time
s = socket.create_server(("::1", 0), family=socket.AF_INET6)
open("port", "w").write(str(s.getsockname()[1]) + "\n")
time.sleep(60)]] })
    end)
    local port
    repeat port = (sandbox.fs:read "port" or ""):match "^(%d+)\n" until port
    assert.same({}, assert(sandbox:ports()))
    assert(sandbox:wait_for_port(tonumber(port), { timeout = 20 }))
    server:cancel()
    server:wait()
  end)

  it("takes an unknown branch for master, which checkout does not let happen", function()
    assert(sandbox:exec([[git init -q -b main r && cd r && git config user.email a@example.org && git config user.name n
      git commit -q --allow-empty -m one && git branch master]], { check = true }))
    local raw = assert(sandbox:toolbox())
    local http = require "daytona.http"
    assert(http.request(raw, { method = "POST", path = "/git/checkout", json = { path = "r", branch = "mian" } }))
    assert.equal("master", assert(sandbox.git:status "r").current_branch)
    local _, err = sandbox.git:checkout("r", "mian")
    assert.same({ "not_found", "GIT_BRANCH_NOT_FOUND" }, { err.kind, err.code })
  end)

  it("names itself as the reason why something cannot be done", function()
    for _, try in ipairs {
      function() return sandbox:set_env { set = { A = "b" } } end,
      function() return sandbox:metrics_latest() end,
      function() return sandbox.git:init "x" end,
    } do
      local done, err = try()
      assert.is_nil(done)
      assert.equal("unsupported", err.kind)
      assert.is_truthy(tostring(err):find "too old")
    end
  end)
end)
