-- The stateful interpreter, as a program has it.

local daytona = require "daytona"
local interpreter_module = require "daytona.toolbox.interpreter"
local loop = require "daytona.loop"
local scripted = require "spec.support.scripted_daemon"
local websocket = require "daytona.http.websocket"

local EXECUTE = "/process/interpreter/execute"

local function message(kind, fields)
  local all = { type = kind, text = "", name = "", value = "", traceback = "" }
  for name, value in pairs(fields) do all[name] = value end
  return { "text", require("cjson").encode(all) }
end

local COMPLETED = message("control", { text = "completed" })
local INTERRUPTED = message("control", { text = "interrupted" })

describe("the interpreter", function()
  local service, sandbox, interpreter

  setup(function()
    service = require("spec.support.service").start()
    sandbox = assert(service.client:create())
    interpreter = sandbox.interpreter
  end)
  teardown(function()
    sandbox:delete()
    service:stop()
  end)

  it("keeps what was defined, and both streams apart", function()
    assert(interpreter:run "x = 20")
    local r = assert(interpreter:run "import sys\nprint(x + 1)\nprint('no', file=sys.stderr)")
    assert.same({ "21\n", "no\n", nil, false, "fine" }, { r.stdout, r.stderr, r.error, r.timed_out, tostring(r) })
    assert.equal(interpreter, sandbox.interpreter)
    assert.is_truthy(tostring(interpreter):find "^interpreter of sandbox")
  end)

  it("hands over output as it is printed", function()
    local times, text, errors = {}, "", ""
    local r = assert(interpreter:run([[
import sys, time
for i in range(3):
  print(i); print(-i, file=sys.stderr); time.sleep(0.1)
]], {
      on_stdout = function(chunk)
        text = text .. chunk
        times[#times + 1] = loop.now()
      end,
      on_stderr = function(chunk) errors = errors .. chunk end,
    }))
    assert.same({ "0\n1\n2\n", "0\n-1\n-2\n", nil, nil }, { text, errors, r.stdout, r.stderr })
    assert.is_true(times[#times] - times[1] > 0.15)
  end)

  it("says which exception ended the code", function()
    local seen
    local r = assert(interpreter:run("print('before')\n1/0", { on_error = function(e) seen = e end }))
    assert.same({ "before\n", "ZeroDivisionError", "division by zero" }, { r.stdout, r.error.name, r.error.value })
    assert.is_truthy(r.error.traceback:find("line 2", 1, true))
    assert.equal(r.error, seen)
    assert.equal("ZeroDivisionError: division by zero", tostring(r))
    local none, err = interpreter:run("print('before')\nraise KeyError('k')", { check = true })
    assert.is_nil(none)
    assert.same({ "exit", "KeyError", "before\n", "run" }, { err.kind, err.code, err.result, err.operation })
    assert.is_truthy(err.traceback:find "KeyError")
  end)

  it("interrupts code whose time is over, and keeps what it printed", function()
    local r = assert(interpreter:run("print('begun')\nimport time\ntime.sleep(60)", { timeout = 1 }))
    assert.same({ true, "begun\n", nil, "timed out" }, { r.timed_out, r.stdout, r.error, tostring(r) })
    local none, err = interpreter:run("while True: pass", { timeout = 1, check = true })
    assert.is_nil(none)
    assert.is_true(daytona.is_error(err, "process_timeout"))
    assert.is_true(daytona.is_error(err, "timeout"))
    assert.equal("20\n", assert(interpreter:run "print(x)").stdout)
  end)

  it("does not take the code's own interrupt for that", function()
    local r = assert(interpreter:run("raise KeyboardInterrupt('mine')", { timeout = 30 }))
    assert.same({ false, "KeyboardInterrupt" }, { r.timed_out, r.error.name })
    r = assert(interpreter:run("raise KeyboardInterrupt", { timeout = 0 }))
    assert.same({ false, "KeyboardInterrupt" }, { r.timed_out, r.error.name })
  end)

  it("has contexts of their own", function()
    local a = assert(interpreter:create_context())
    local b = assert(interpreter:create_context { cwd = "/tmp" })
    assert(interpreter:run("x = 'a'", { context = a }))
    assert(interpreter:run("x = 'b'", { context = b.id }))
    assert.equal("a\n", assert(interpreter:run("print(x)", { context = a })).stdout)
    assert.equal("b /tmp\n", assert(interpreter:run("import os; print(x, os.getcwd())", { context = b })).stdout)
    local list = assert(interpreter:contexts())
    local ids = { [list[1].id] = true, [list[2].id] = true }
    assert.same({ 2, true, true, "python", true }, { #list, ids[a.id], ids[b.id], list[1].language, list[1].active })
    assert.is_true(interpreter:delete_context(a))
    assert.is_true(interpreter:delete_context(b.id))
    assert.equal("not_found", select(2, interpreter:delete_context(a)).kind)
    local _, err = interpreter:run("print(x)", { context = a })
    assert.same({ "not_found", a.id }, { err.kind, err.what })
    assert.equal("server", select(2, interpreter:create_context { cwd = "/nowhere" }).kind)
  end)

  it("has contexts that run code and are deleted", function()
    local context = assert(interpreter:create_context { cwd = "/tmp" })
    assert.same({ "/tmp", "python", true }, { context.cwd, context.language, context.active })
    assert(context:run "x = 7")
    local r = assert(context:run("import sys; print(x); print(x, file=sys.stderr)", { timeout = 20 }))
    assert.same({ "7\n", "7\n", "7\n7\n" }, { r.stdout, r.stderr, r.output })
    assert.equal("x\n", assert(assert(interpreter:contexts())[1]:run "print('x')").stdout)
    assert.has_error(function() context:run("1", { context = "other" }) end)
    assert.has_error(function() context.run "1" end)
    assert.is_true(context:delete())
    assert.equal("not_found", select(2, context:delete()).kind)
    local id
    daytona.using(interpreter:create_context(), function(it) id = it.id end)
    assert.equal("not_found", select(2, interpreter:delete_context(id)).kind)
    assert.is_true(context:close())
  end)

  it("takes variables for one run, and shows none in errors", function()
    local env = { V = "hidden1" }
    assert.equal("hidden1\n", assert(interpreter:run("import os; print(os.environ['V'])", { env = env })).stdout)
    assert.equal("None\n", assert(interpreter:run("import os; print(os.environ.get('V'))")).stdout)
    local _, err = interpreter:run("import os; raise ValueError(os.environ['V'])", { env = env, check = true })
    assert.is_nil(tostring(err):find "hidden1")
  end)

  it("says when its process ended, and begins afresh", function()
    local _, err = interpreter:run "print('last', flush=True)\nimport os\nos._exit(1)"
    assert.same({ "gone", "INTERPRETER_ENDED" }, { err.kind, err.code })
    local r = assert(interpreter:run "print('x' in globals())")
    assert.equal("False\n", r.stdout)
    local context = assert(interpreter:create_context())
    local running = daytona.spawn(function()
      return interpreter:run("import time; time.sleep(30)", { context = context })
    end)
    daytona.sleep(0.2)
    interpreter:delete_context(context)
    assert.same({ "gone", "CONTEXT_DELETED" }, { select(2, running:wait()).kind, select(2, running:wait()).code })
  end)

  it("carries NULs and every character, and U+FFFD for what is none", function()
    local r = assert(interpreter:run [[print('a\0b\x7f\u00e9\U0001f600', end='')]])
    assert.equal("a\0b\127\195\169\240\159\152\128", r.stdout)
    assert.equal("\239\191\189\n", assert(interpreter:run [[print('\udcff')]]).stdout)
    assert.equal("on\n", assert(interpreter:run "print('on')").stdout)
  end)

  it("waits for a slow callback, and loses nothing", function()
    local n, pieces = 0, {}
    local r = assert(interpreter:run("for i in range(50000): print(i)", { on_stdout = function(text)
      n = n + 1
      pieces[n] = text
      if n <= 5 then daytona.sleep(0.02) end
    end }))
    assert.is_nil(r.error)
    local expected = {}
    for i = 0, 49999 do expected[#expected + 1] = i .. "\n" end
    assert.is_true(table.concat(expected) == table.concat(pieces))
  end)

  it("has a cap for what is collected", function()
    local _, err = interpreter:run("print('x' * 100000)", { max_bytes = 1000 })
    assert.equal("too_large", err.kind)
    local size = 0
    assert(interpreter:run("for i in range(20000): print('y' * 50)", {
      max_bytes = 1000, on_stdout = function(text) size = size + #text end,
    }))
    assert.equal(20000 * 51, size)
  end)

  it("ends with its task, and with a callback that raises", function()
    local running = daytona.spawn(function() return interpreter:run("import time; time.sleep(1)") end)
    running:cancel()
    assert.equal("canceled", select(2, running:wait()).kind)
    assert.has_error(function()
      interpreter:run("print(1)", { on_stdout = function() error "mine" end })
    end)
    assert.is_false(loop.busy())
  end)

  it("refuses what cannot be meant", function()
    for _, bad in ipairs {
      { timeout = -1 }, { context = 5 }, { env = { ["A B"] = "x" } }, { timeout = 2 ^ 40 }, { limit = 1 },
    } do assert.has_error(function() interpreter:run("1", bad) end) end
    assert.has_error(function() interpreter:run "" end)
    assert.has_error(function() interpreter:run "\255" end)
    assert.has_error(function() interpreter:create_context { language = "perl" } end)
    assert.has_error(function() interpreter:delete_context {} end)
  end)
end)

describe("an interpreter whose daemon misbehaves", function()
  local peer
  setup(function() peer = scripted.start() end)
  teardown(function() peer:close() end)

  local function run(steps, opts, code)
    table.insert(steps, 1, { "receive" })
    return peer:sandbox({ [EXECUTE] = steps }).interpreter:run(code or "code", opts)
  end

  it("gets one request, with a timeout in whole seconds", function()
    local r = assert(run({ { "quote" }, { "close", 1000 } }, { context = "c", env = { A = "1" }, timeout = 4.2 }))
    assert.same({ code = "code", contextId = "c", envs = { A = "1" }, timeout = 5 }, require("cjson").decode(r.stdout))
  end)

  it("decides by the close, not by what came before", function()
    local r = assert(run { message("stdout", { text = "a" }), { "close", 1000, "" } })
    assert.same({ "a", nil, false }, { r.stdout, r.error, r.timed_out })
    r = assert(run { COMPLETED, message("stdout", { text = "late" }), { "close", 1000, "" } })
    assert.equal("late", r.stdout)
    local _, err = run { COMPLETED, { "close", 1001, "worker process ended" } }
    assert.same({ "gone", "INTERPRETER_ENDED" }, { err.kind, err.code })
    _, err = run { message("stdout", { text = "part" }), COMPLETED, { "drop" } }
    assert.same({ "connection", "reset", "part" }, { err.kind, err.code, err.result })
  end)

  it("tells an end of time from an interrupt by how long it took", function()
    local r = assert(run({ INTERRUPTED, { "close", 4008, "" } }, { timeout = 600 }))
    assert.same({ false, "KeyboardInterrupt" }, { r.timed_out, r.error.name })
    r = assert(run({ { "sleep", 1.02 }, INTERRUPTED, { "close", 4008, "" } }, { timeout = 1 }))
    assert.is_true(r.timed_out)
  end)

  it("closes with all sorts of codes", function()
    for _, case in ipairs {
      { 1008, "code is required", "invalid" },
      { 1008, "context not found: x", "not_found" },
      { 1008, "slow consumer", "connection" },
      { 1002, "invalid JSON payload", "invalid" },
      { 1011, "failed to get default context: no python", "server" },
      { 1001, "", "gone" },
      { 4001, "what", "connection" },
    } do
      local _, err = run { { "close", case[1], case[2] } }
      assert.equal(case[3], err.kind)
      if case[2] ~= "" then assert.is_truthy(tostring(err):find(case[2], 1, true)) end
    end
  end)

  -- Runs fn with other seconds: of grace, between looks, between pings.
  local function with_seconds(grace, look, ping, fn)
    local open, real_grace, real_look = websocket.open, interpreter_module.grace, interpreter_module.look
    interpreter_module.grace, interpreter_module.look = grace, look
    websocket.open = function(connection, request)
      request.ping_interval = ping
      return open(connection, request)
    end
    local fine, err = pcall(fn)
    websocket.open, interpreter_module.grace, interpreter_module.look = open, real_grace, real_look
    if not fine then error(err, 0) end
  end

  it("is given up a while after its time", function()
    with_seconds(0.5, 0.1, 20, function()
      local _, err = run({ message("stdout", { text = "part" }) }, { timeout = 1 })
      assert.same({ "timeout", "part" }, { err.kind, err.result })
    end)
  end)

  it("is given up a while after its time when only its pings are answered", function()
    -- An answer may take as long as lies between two pings.
    with_seconds(0.2, 0.1, 0.55, function()
      local _, err = run({}, { timeout = 1 })
      assert.same({ "timeout", "wait" }, { err.kind, err.code })
    end)
  end)

  it("may have a run wait for its turn, longer than its time, reading nothing", function()
    with_seconds(0.1, 0.1, 0.55, function()
      local r = assert(run({ { "sleep", 2 }, message("stdout", { text = "late" }),
        { "close", 1000 } }, { timeout = 1 }))
      assert.same({ "late", false }, { r.stdout, r.timed_out })
    end)
  end)

  it("says what is no message", function()
    local _, err = run { { "text", "{" }, { "close", 1000, "" } }
    assert.same({ "protocol", "json" }, { err.kind, err.code })
    local odd = { { "text", '{"type":"stdout","text":5}' }, { "text", '{"type":"new"}' }, { "close", 1000, "" } }
    assert.equal("", assert(run(odd)).stdout)
    _, err = run { { "many", 3000, "text", '{"type":"stdout","text":"a"}', 1 }, { "close", 1008, "slow consumer" } }
    assert.equal(3000, #err.result)
  end)

  it("may be refused", function()
    local _, err = peer:sandbox({ [EXECUTE] = { { "status", 401, '{"code":"UNAUTHORIZED","message":"no"}' } } })
      .interpreter:run "1"
    assert.same({ "auth", 401, "run" }, { err.kind, err.status, err.operation })
  end)

  it("says null for an empty list", function()
    local box = peer:sandbox({ ["/process/interpreter/context"] = { { "status", 200, '{"contexts":null}' } } })
    assert.same({}, assert(box.interpreter:contexts()))
  end)
end)
