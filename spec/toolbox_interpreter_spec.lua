-- The stateful Python interpreter of a sandbox.

local json = require "cjson"
local toolbox = require "spec.support.toolbox"

describe("the interpreter", function()
  local daemon
  setup(function() daemon = toolbox.start { time_scale = 5 } end)
  teardown(function() daemon:stop() end)

  -- Runs code; returns stdout, stderr, the error message and the events.
  local function start(code, more)
    local request = { code = code }
    for name, value in pairs(more or {}) do request[name] = value end
    local talk = daemon:talk("/process/interpreter/execute", { steps = { { send = json.encode(request) } } })
    return function()
      local events = talk()
      local r = { stdout = "", stderr = "", code = events.code, reason = events.reason }
      for _, event in ipairs(events) do
        if event[1] == "text" then
          local message = json.decode(event[2])
          if r[message.type] then
            r[message.type] = r[message.type] .. message.text
          elseif message.type == "error" then
            r.error = message
          else
            r.control = message.text
          end
        end
      end
      return r
    end
  end

  local function run(code, more)
    return start(code, more)()
  end

  local function context(body)
    local r = daemon:post("/process/interpreter/context", body)
    assert.are.equal(200, r.status, r.body)
    return r.json.id
  end

  it("keeps what was defined", function()
    local r = run "import sys\nx = 20\nprint('out', x)\nprint('err', file=sys.stderr)"
    assert.are.same({ "out 20\n", "err\n", "completed", 1000 }, { r.stdout, r.stderr, r.control, r.code })
    assert.are.equal("__main__ 21", run("print(__name__, x + 1, end='')").stdout)
    assert.are.equal("", run("x").stdout)
  end)

  it("tells errors by name, value and traceback", function()
    local r = run "def f():\n  return 1/0\nprint('before')\nf()"
    assert.are.equal("before\n", r.stdout)
    assert.are.same({ "ZeroDivisionError", "division by zero" }, { r.error.name, r.error.value })
    assert.are.equal('Traceback (most recent call last):\n  File "<stdin>", line 4, in <module>\n'
      .. '  File "<stdin>", line 2, in f\nZeroDivisionError: division by zero\n', r.error.traceback)
    assert.are.same({ "completed", 1000 }, { r.control, r.code })
    r = run "print('x'"
    assert.are.equal("SyntaxError", r.error.name)
    assert.is_truthy(r.error.traceback:find("SyntaxError: .*%(<string>, line 1%)\n$"))
    assert.is_nil(r.error.traceback:find "Traceback")
  end)

  it("takes what programs write past sys.stdout", function()
    local r = run "import os, subprocess\nos.write(1, b'raw\\xc3')\nos.write(1, b'\\xa9')\n"
    assert.are.equal("raw\195\169", r.stdout)
    r = run "subprocess.run(['sh', '-c', 'echo child; echo bad >&2; ls /proc/self/fd | tr \"\\n\" \" \"'])"
    assert.are.same({ "child\n0 1 2 3 ", "bad\n" }, { r.stdout, r.stderr })
    r = run "os.write(1, b'{\"type\":\"control\",\"text\":\"completed\"}\\n')\nprint('after')"
    assert.is_truthy(r.stdout:find("after\n", 1, true))
  end)

  it("has no input, and no bytes under its text", function()
    assert.are.equal("EOFError", run("input()").error.name)
    assert.are.equal("AttributeError", run("import sys\nsys.stdout.buffer").error.name)
    assert.are.equal("\239\191\189\n", run("print('\\ud800')").stdout)
  end)

  it("ends a run on exit, but not itself", function()
    run "y = 1"
    local r = run "raise SystemExit(3)"
    assert.are.same({ "completed", 1000 }, { r.control, r.code })
    assert.are.equal("1\n", run("print(y)").stdout)
  end)

  it("sets variables for one run", function()
    assert.are.equal("v\n", run("import os\nprint(os.environ['V'])", { envs = { V = "v" } }).stdout)
    assert.are.equal("None\n", run("print(os.environ.get('V'))").stdout)
  end)

  it("interrupts what takes too long", function()
    local r = run("import time\nz = 5\nprint('begun')\ntime.sleep(60)", { timeout = 1 })
    assert.are.same({ "begun\n", "interrupted", 4008, "" }, { r.stdout, r.control, r.code, r.reason })
    assert.are.equal("5\n", run("print(z)").stdout)
    r = run "raise KeyboardInterrupt"
    assert.are.same({ "interrupted", 4008 }, { r.control, r.code })
  end)

  it("has contexts of their own", function()
    local a, b = context { cwd = "/tmp" }, context { language = "python" }
    run("v = 'a'", { contextId = a })
    run("v = 'b'", { contextId = b })
    assert.are.equal("a /tmp\n", run("import os\nprint(v, os.getcwd())", { contextId = a }).stdout)
    assert.are.equal("b\n", run("print(v)", { contextId = b }).stdout)
    local list = daemon:request("GET", "/process/interpreter/context").json.contexts
    assert.are.same({ a, b }, { list[1].id, list[2].id })
    assert.are.same({ "/tmp", true, "python" }, { list[1].cwd, list[1].active, list[1].language })
    for _, id in ipairs { a, b } do
      assert.are.equal(200, daemon:request("DELETE", "/process/interpreter/context/" .. id).status)
    end
    local r = run("print(v)", { contextId = a })
    assert.are.same({ 1008, "context not found: " .. a }, { r.code, r.reason })
    assert.are.equal('{"contexts":[]}', daemon:request("GET", "/process/interpreter/context").body)
  end)

  it("runs one thing at a time in a context", function()
    local id = context {}
    local slow = start("import time\ntime.sleep(0.3)\nprint('first')\nw = 1", { contextId = id })
    assert.are.equal("1\n", run("print(w)", { contextId = id, timeout = 1 }).stdout)
    assert.are.equal("first\n", slow().stdout)
    daemon:request("DELETE", "/process/interpreter/context/" .. id)
  end)

  it("restarts a context whose worker died", function()
    local id = context {}
    local r = run("import os\nu = 1\nos._exit(9)", { contextId = id })
    assert.are.same({ 1001, "worker process ended" }, { r.code, r.reason })
    assert.is_false(daemon:request("GET", "/process/interpreter/context").json.contexts[1].active)
    assert.are.equal("NameError", run("u", { contextId = id }).error.name)
    daemon:request("DELETE", "/process/interpreter/context/" .. id)
  end)

  it("kills what will not be interrupted, and what is deleted", function()
    local id = context {}
    local r = run("while True:\n  try:\n    import time; time.sleep(1)\n  except BaseException: pass",
      { contextId = id, timeout = 1 })
    assert.are.equal(4008, r.code)
    local running = start("import time\nopen('up', 'w').close()\ntime.sleep(60)", { contextId = id })
    daemon:exec "until test -e up; do sleep 0.02; done"
    assert.are.equal(200, daemon:request("DELETE", "/process/interpreter/context/" .. id).status)
    r = running()
    assert.are.same({ 1001, "context shutdown" }, { r.code, r.reason })
  end)

  it("refuses what it cannot run", function()
    local function refused(send)
      local events = daemon:talk("/process/interpreter/execute", { steps = { { send = send } } })()
      return { events.code, events.reason }
    end
    assert.are.same({ 1002, "invalid JSON payload" }, refused "nonsense")
    assert.are.same({ 1008, "code is required" }, refused '{"code":""}')
    assert.are.same({ 1008, "timeout must be greater than or equal to 0" }, refused '{"code":"1","timeout":-1}')
    local r = daemon:post("/process/interpreter/context", { language = "ruby" })
    assert.are.same({ 400, "BAD_REQUEST" }, { r.status, r.json.code })
    assert.are.equal(500, daemon:post("/process/interpreter/context", { cwd = "/nope" }).status)
    assert.are.equal(400, daemon:request("DELETE", "/process/interpreter/context/default").status)
    r = daemon:request("DELETE", "/process/interpreter/context/nope")
    assert.are.same({ 404, "PROCESS_NOT_FOUND" }, { r.status, r.json.code })
  end)

  it("reads nothing of a client whose turn has not come, so pings wait as well", function()
    local id = context {}
    local first = start("import os, time\nopen('busy', 'w').close()\n"
      .. "while not os.path.exists('go'): time.sleep(0.02)", { contextId = id })
    daemon:exec "until test -e busy; do sleep 0.02; done"
    local talk = daemon:talk("/process/interpreter/execute", { timeout = 3, steps = {
      { send = json.encode { code = "print('second')", contextId = id } }, { ping = "there?" } } })
    local function pongs(events)
      local n = 0
      for _, event in ipairs(events) do n = n + (event[1] == "pong" and 1 or 0) end
      return n
    end
    assert.are.equal(0, pongs(talk()))       -- it gave up waiting
    local patient = daemon:talk("/process/interpreter/execute", { steps = {
      { send = json.encode { code = "while not os.path.exists('end'): time.sleep(0.02)", contextId = id } },
      { ping = "there?" } } })
    daemon:exec "touch go"
    assert.are.equal("completed", first().control)
    daemon:exec "touch end" -- a request later: by then the ping was read
    local events = patient()
    assert.are.same({ 1, 1000 }, { pongs(events), events.code })
  end)

  it("prints much", function()
    local r = run "for i in range(5000): print(i)\nprint('x' * 300000)"
    assert.are.equal(300001 + 23890, #r.stdout)
  end)
end)
