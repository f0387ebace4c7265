-- What comes live over a WebSocket, as it comes: logs that are followed, terminals, code in
-- the interpreter. No server, and a clock that a spec sets.

local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local following = require "daytona.toolbox.follow"
local interpreter_module = require "daytona.toolbox.interpreter"
local json = require "daytona.http.json"
local support = require "spec.support.canned"

local failed, kind_of = support.failed, support.kind_of

local canned, sb

local function daemon(routes)
  canned = support.start(routes)
  sb = canned.sandbox
end
after_each(support.stop)

local function last() return canned.requests[#canned.requests] end
local function socket() return canned.sockets[#canned.sockets] end

local RESET = failure.from_transport "reset"

describe("a log that is followed", function()
  local S, C = "/process/session/s", "/process/session/s/command/c"
  local LOGS, STAT = "WS " .. C .. "/logs", "GET /files/info"
  local command

  -- `connections`: what each brings; `size`: of the log, where the daemon keeps it.
  local function of(connections, size, code)
    local n = 0
    daemon {
      ["GET " .. S] = { sessionId = "s" }, ["POST " .. S .. "/exec"] = { cmdId = "p" },
      ["GET " .. C] = function()
        local given = code
        if type(code) == "function" then given = code() end
        return { id = "c", exitCode = given }
      end,
      ["GET /user-home-dir"] = { dir = "/home/x" },
      [STAT] = function()
        local bytes = size
        if type(size) == "function" then bytes = size() end
        return bytes and { name = "output.log", size = bytes } or failed(404, "no", "FILE_NOT_FOUND")
      end,
      [LOGS] = function()
        n = n + 1
        return connections[n] or connections[#connections]
      end,
    }
    command = assert(sb:session("s", { create = false })):command "c"
    canned:asked()
    return command
  end

  -- All that comes, "stream chunk" by "stream chunk", and how it ends.
  local function all(follow)
    local got = {}
    while true do
      local stream, chunk = follow:read()
      if not stream then return got, chunk and kind_of(nil, chunk) or follow.exit_code end
      got[#got + 1] = stream .. " " .. chunk
    end
  end

  it("ends when all of it has come and the daemon closes", function()
    local follow = of({ { { "binary", "\1\1\1a\n" }, { "binary", "\2\2\2b\n" }, { "wait", 0.02 }, { "close", 1000 } } },
      10, 3):follow()
    assert.equal("follow (c)", tostring(follow))
    assert.same({ { "stdout a\n", "stderr b\n" }, 3 }, { all(follow) })
    assert.equal("follow (c, ended)", tostring(follow))
    assert.same({ { "follow", "true" }, true, 0, "follow", "c" }, { { next(socket().request.query) },
      socket().request.safe, socket().request.retries, socket().request.operation, socket().request.what })
    assert.equal(30, socket().request.timeout)
    assert.is_true(socket().over)
    assert.same({ path = "/home/x/.daytona/sessions/s/c/output.log" }, last().query)
    assert.same({}, { follow:read() })
  end)

  it("ends as soon as its command has, when all bytes are there", function()
    local follow = of({ { { "binary", "\1\1\1a\n" }, { "wait", 1000 } } }, 5, 0):follow()
    assert.same({ { "stdout a\n" }, 0 }, { all(follow) })
    assert.is_true(canned.now < 1000.1, canned.now)
    follow = of({ { { "wait", 5 }, { "binary", "\1\1\1a\1" }, { "wait", 1000 } } }, 5,
      function() return canned.now >= 1005 and 0 or nil end):follow()
    assert.same({ { "stdout a", "stdout \1" }, 0 }, { all(follow) }) -- a prefix that was cut is none
    assert.is_true(canned.now < 1005.1, canned.now)
    -- More bytes than that are no reason to wait either.
    follow = of({ { { "binary", "\1\1\1a\n" }, { "wait", 1000 } } }, 4, 0):follow()
    assert.same({ { "stdout a\n" }, 0 }, { all(follow) })
    assert.is_true(canned.now < 1000.1, canned.now)
  end)

  it("waits a while for what is still to come, and fetches it then", function()
    local follow = of({ { { "binary", "\1\1\1a\n" }, { "wait", 1 }, { "binary", "b\n" }, { "wait", 99 } } }, 7,
      0):follow()
    assert.same({ { "stdout a\n", "stdout b\n" }, 0 }, { all(follow) })
    assert.same({ 1, 1001 }, { #canned.sockets, math.floor(canned.now + 0.01) })
    follow = of({ { { "binary", "\1\1\1a\n" }, { "wait", 99 } }, { { "binary", "\1\1\1a\nb\n" }, { "close", 1000 } } },
      7, 0):follow()
    assert.same({ { "stdout a\n", "stdout b\n" }, 0 }, { all(follow) })
    assert.is_nil(socket().request.query)
    assert.is_true(canned.now > 1002 and canned.now < 1002.2, canned.now)
  end)

  it("whose size is not known ends with the daemon's word, and is asked for once more where nothing came", function()
    local follow = of({ { { "binary", "\1\1\1a\n" }, { "wait", 1 }, { "close", 1000 } } }, nil, 0):follow()
    assert.same({ { "stdout a\n" }, 0 }, { all(follow) })
    assert.equal(1, #canned.sockets)
    follow = of({ { { "close", 1000 } }, { { "close", 1000 } }, { { "close", 1000 } } }, nil, 0):follow()
    assert.same({ {}, 0 }, { all(follow) })
    assert.equal(1, #canned.sockets)
    follow = of({ { { "wait", 99 } }, { { "close", 1000 } } }, nil, 0):follow()
    assert.same({ {}, 0 }, { all(follow) })
    assert.equal(3, #canned.sockets)
  end)

  it("is taken up again where its connection breaks, at the byte where that was", function()
    local whole = "\1\1\1abc\2\2\2def\1\1\1ghi"
    for cut = 0, #whole do
      local first = cut > 0 and { "binary", whole:sub(1, cut) } or { "heard" }
      local follow = of({ { first, { "fail", RESET } },
        { { "binary", whole:sub(1, math.floor(cut / 2)) .. "" }, { "binary", whole:sub(math.floor(cut / 2) + 1) },
          { "close", 1000 } } }, #whole, 0):follow()
      local got, ending = all(follow)
      local out, err = {}, {}
      for _, piece in ipairs(got) do
        local stream, text = piece:match "^(%w+) (.*)$"
        table.insert(stream == "stdout" and out or err, text)
      end
      assert.same({ "abcghi", "def", 0 }, { table.concat(out), table.concat(err), ending }, cut)
    end
  end)

  it("fails where there is no getting further, after waiting longer and longer", function()
    local follow = of({ { { "fail", RESET } } }, 5, nil):follow()
    assert.same({ {}, "connection reset" }, { all(follow) })
    assert.equal(6, #canned.sockets)
    assert.equal(4, #canned.slept)
    for i, most in ipairs { 0.25, 0.5, 1, 2 } do
      assert.is_true(canned.slept[i] <= most and canned.slept[i] >= most / 2, canned.slept[i])
    end
    assert.same({ "connection reset", 6 }, { kind_of(follow:read()), #canned.sockets })
    -- Each new byte, and a connection that has held, are a new beginning.
    local connections = {}
    for i = 1, 12 do connections[i] = { { "binary", ("\1\1\1" .. ("x"):rep(12)):sub(1, i + 3) }, { "fail", RESET } } end
    connections[13] = { { "binary", "\1\1\1" .. ("x"):rep(12) }, { "close", 1000 } }
    local ended = false
    follow = of(connections, 15, function() ended = #canned.sockets == 13 return ended and 0 or nil end):follow()
    local got, ending = all(follow)
    assert.same({ 12, 0 }, { #got, ending })
    for i = 1, 12 do connections[i] = { { "wait", 10 }, { "fail", RESET } } end
    follow = of(connections, 15, function() return #canned.sockets == 13 and 0 or nil end):follow()
    assert.same({ { "stdout " .. ("x"):rep(12) }, 0 }, { all(follow) })
    for i = 1, 12 do connections[i] = { { "wait", 9.9 }, { "fail", RESET } } end
    follow = of(connections, 15, function() return #canned.sockets == 13 and 0 or nil end):follow()
    assert.same({ {}, "connection reset" }, { all(follow) })
    assert.equal(6, #canned.sockets)
    local no = errors.new { kind = "forbidden", message = "no" }
    follow = of({ { { "fail", no } } }, 5, nil):follow()
    assert.same({ {}, "forbidden" }, { all(follow) })
    assert.equal(1, #canned.sockets)
  end)

  it("that is closed while its command runs was cut", function()
    for _, code in ipairs { 1000, 1001, 1005 } do
      local runs = true
      local connections = {
        { { "binary", "\1\1\1a" }, { "close", code } }, { { "binary", "\1\1\1ab" }, { "close", code } },
      }
      local follow = of(connections, 5, function()
        local now = runs
        runs = false
        return not now and 0 or nil
      end):follow()
      assert.same({ { "stdout a", "stdout b" }, 0 }, { all(follow) })
    end
    for _, code in ipairs { 1002, 1006, 1011 } do
      local follow = of({ { { "close", code, "why" } } }, 5, 0):follow()
      local got, ending = all(follow)
      assert.same({ {}, "connection closed" }, { got, ending })
      assert.equal(6, #canned.sockets)
      local _, err = follow:read()
      assert.truthy(err.message:find(("(%d: why)"):format(code), 1, true), err.message)
    end
    local follow = of({ { { "close", 1011 } } }, 5, 0):follow()
    all(follow)
    assert.truthy(select(2, follow:read()).message:find("(1011)", 1, true))
  end)

  it("is waited for no longer than one wants", function()
    local follow = of({ { { "wait", 3 }, { "binary", "\1\1\1a" }, { "wait", 999 } } }, 99, nil):follow { timeout = 10 }
    assert.equal("timeout wait", kind_of(follow:read(1)))
    assert.equal(1001, canned.now)
    assert.equal("timeout wait", kind_of(follow:read { timeout = 1 }))
    assert.same({ "stdout", "a" }, { follow:read() })
    local _, err = follow:read()
    assert.same({ "timeout", "wait", "follow", "c", 1010 }, { err.kind, err.code, err.operation, err.what, canned.now })
    assert.truthy(err.message:find("still running", 1, true))
    assert.is_true(socket().over)
    assert.is_true(math.abs(socket().request.timeout - 10) < 0.01)
    assert.is_false(pcall(follow.read, follow, -1))
    follow = of({ { { "wait", 3 }, { "binary", "\1\1\1a" }, { "wait", 999 } } }, 99, nil):follow { idle_timeout = 5 }
    assert.same({ "stdout", "a" }, { follow:read() })
    _, err = follow:read()
    assert.same({ "timeout", "idle_timeout", 1008 }, { err.kind, err.code, canned.now })
    follow = of({ { { "binary", "\1\1\1a" }, { "wait", 1 }, { "close", 1000 } } }, 4,
      function() return canned.now >= 1001 and 0 or nil end):follow { idle_timeout = 0, timeout = 0 }
    assert.same({ { "stdout a" }, 0 }, { all(follow) })
    follow = of({ { { "wait", 999 } } }, 4, nil):follow { idle_timeout = 50 }
    assert.equal("timeout wait", kind_of(follow:read(0.5)))
    assert.is_false(socket().over)
    follow = of({ { { "wait", 999 } } }, 4, nil):follow { idle_timeout = 0.5 }
    assert.equal("timeout idle_timeout", kind_of(follow:read()))
    follow = of({ { { "fail", RESET } } }, 4, nil):follow { timeout = 0.1 }
    assert.same({ {}, "timeout wait" }, { all(follow) })
    assert.equal(1000.1, canned.now)
    follow = of({ { { "wait", 999 } } }, 4, nil):follow { timeout = 100 }
    assert.equal("timeout wait", kind_of(follow:read(1)))
    assert.equal(30, socket().request.timeout)
  end)

  it("ends when its command is known no more, or its end cannot be known", function()
    local follow = of({ { { "wait", 999 } } }, 4, nil):follow()
    canned.routes["GET " .. C] = failed(404, "no", "PROCESS_NOT_FOUND")
    assert.same({ {}, "not_found PROCESS_NOT_FOUND" }, { all(follow) })
    follow = of({ { { "binary", "\1\1\1a" }, { "close", 1000 } } }, 4, nil):follow()
    canned.routes["GET " .. C] = failed(404, "no", "PROCESS_NOT_FOUND")
    assert.same({ { "stdout a" }, "not_found PROCESS_NOT_FOUND" }, { all(follow) })
    -- Its shell died, and nobody says so.
    follow = of({ { { "binary", "\1\1\1a" }, { "wait", 999 } } }, 4, nil):follow()
    canned.routes["POST " .. S .. "/exec"] = failed(500, "broken pipe")
    assert.same({ { "stdout a" }, -1 }, { all(follow) })
    assert.is_true(canned.now >= 1002 and canned.now < 1041, canned.now)
  end)

  it("comes by functions, by iterators, by lines, or stream by stream", function()
    local steps = { { { "binary", "\1\1\1one\ntw\2\2\2e1\ne" }, { "binary", "2\1\1\1o\nrest" }, { "close", 1000 } } }
    local out, err = {}, {}
    assert.equal(0, of(steps, 26, 0):follow { on_stdout = function(c) out[#out + 1] = c end,
      on_stderr = function(c) err[#err + 1] = c end })
    assert.same({ "one\ntwo\nrest", "e1\ne2" }, { table.concat(out), table.concat(err) })
    assert.equal("connection reset", kind_of(of({ { { "fail", RESET } } }, 1, 0):follow { on_stdout = print }))
    local got = {}
    for stream, chunk in of(steps, 26, 0):follow() do got[#got + 1] = stream:sub(4) .. chunk end
    assert.same({ "outone\ntw", "erre1\ne", "err2", "outo\nrest" }, got)
    got = {}
    for stream, line in of(steps, 26, 0):follow():lines() do got[#got + 1] = stream:sub(4) .. line end
    assert.same({ "outone", "erre1", "outtwo", "outrest", "erre2" }, got)
    got = {}
    for stream, line in of({ { { "binary", "\1\1\1x\2\2\2y" }, { "close", 1000 } } }, 8, 0):follow():lines() do
      got[#got + 1] = stream:sub(4) .. line
    end
    assert.same({ "outx", "erry" }, got)
    assert.is_false(pcall(command.follow, of(steps, 26, 0), { on_stdout = function() error "mine" end }))
    assert.is_true(socket().over)
    local follow = of(steps, 26, 0):follow()
    assert.same({ "e1", "e2" }, { follow.stderr:read("l", "l") })
    assert.same({ "one", "two", "rest" }, { follow.stdout:read("l", "l", "l") })
    assert.is_nil(follow.stdout:read())
    follow = of({ { { "fail", RESET } } }, 1, nil):follow()
    assert.equal("connection reset", kind_of(follow.stdout:read()))
    if _VERSION ~= "Lua 5.1" then
      local fine, raised = pcall(of({ { { "fail", RESET } } }, 1, nil):follow())
      assert.same({ false, "connection reset" }, { fine, kind_of(nil, raised) })
    end
    follow = of(steps, 26, 0):follow()
    follow:read()
    follow:close()
    follow:close()
    assert.same({ true, true }, { follow.over, socket().over })
    assert.same({}, { follow:read() })
    for most, wanted in pairs { [100] = "too_large too_large", [101] = "timeout wait" } do
      follow = of({ { { "binary", "\1\1\1" .. ("x"):rep(101) }, { "wait", 99 } } }, 999, nil):follow()
      sb:toolbox().max_bytes = most
      assert.equal(wanted, kind_of(follow.stdout:read("a", { timeout = 1 })))
    end
    assert.equal(2, following.settle)
  end)
end)

describe("code in the interpreter", function()
  local RUN = "WS /process/interpreter/execute"
  local CONTEXTS = "/process/interpreter/context"

  local function message(fields) return { "text", json.encode(fields) } end

  -- What a run comes to.
  local function run(steps, opts)
    daemon { [RUN] = steps }
    local result, err = sb.interpreter:run("code", opts)
    return result or kind_of(nil, err), err
  end

  it("is sent as it is, and what it prints is collected", function()
    local result = run({ message { type = "stdout", text = "o1" }, message { type = "stderr", text = "e" },
      message { type = "stdout", text = "o2" }, message { type = "control", text = "x" }, { "close", 1000 } },
      { env = { A = "x", B = 2 }, timeout = 2.5, context = "ctx" })
    assert.same({ "o1o2", "e", "o1eo2", nil, false, "fine" },
      { result.stdout, result.stderr, result.output, result.error, result.timed_out, tostring(result) })
    local said = json.decode(socket().sent[1]:match "^text (.*)$")
    assert.same({ code = "code", contextId = "ctx", timeout = 3, envs = { A = "x", B = "2" } }, said)
    assert.same({ true, true, "ctx", "run" }, { socket().request.safe, socket().request.patient,
      socket().request.what, socket().request.operation })
    assert.is_true(socket().over)
    run { { "close", 1000 } }
    assert.same({ code = "code", timeout = 600 }, json.decode(socket().sent[1]:match "^text (.*)$"))
    assert.is_false(pcall(sb.interpreter.run, sb.interpreter, "code", { timeout = 2147483648 }))
    assert.is_table(sb.interpreter:run("code", { timeout = 2147483647 }))
    assert.is_false(pcall(sb.interpreter.run, sb.interpreter, ""))
    assert.is_false(pcall(sb.interpreter.run, sb.interpreter, "\255"))
  end)

  it("may be heard while it runs", function()
    local got = {}
    local function note(name) return function(v) got[#got + 1] = name .. (type(v) == "table" and v.name or v) end end
    local result = run({ message { type = "stdout", text = "o" }, message { type = "stderr", text = "e" },
      message { type = "error", name = "E", value = "v", traceback = "t" }, { "close", 1000 } },
      { on_stdout = note "out ", on_stderr = note "err ", on_error = note "error " })
    assert.same({ "out o", "err e", "error E" }, got)
    assert.same({ nil, nil, nil }, { result.stdout, result.stderr, result.output })
    assert.same({ name = "E", value = "v", traceback = "t" }, result.error)
    assert.equal("E: v", tostring(result))
    result = run({ message { type = "stdout", text = "o" }, message { type = "stderr", text = "e" },
      message { type = "error", name = "E" }, { "close", 1000 } }, { on_stdout = note "" })
    assert.same({ nil, "e", nil, "E" }, { result.stdout, result.stderr, result.output, tostring(result) })
    result = run({ message { type = "stdout", text = "o" }, { "close", 1000 } }, { on_stderr = note "" })
    assert.same({ "o", nil, nil }, { result.stdout, result.stderr, result.output })
  end)

  it("that is interrupted ran out of time, or did so itself", function()
    local result = run({ { "wait", 5 }, { "close", 4008 } }, { timeout = 5 })
    assert.same({ true, nil, "timed out" }, { result.timed_out, result.error, tostring(result) })
    result = run({ { "wait", 4.96 }, { "close", 4008 } }, { timeout = 5 })
    assert.is_true(result.timed_out)
    for _, timeout in ipairs { 0, 5 } do
      result = run({ { "wait", 4.9 }, { "close", 4008 } }, { timeout = timeout })
      assert.same({ false, "KeyboardInterrupt" }, { result.timed_out, result.error.name })
    end
    result = run({ message { type = "error", name = "E" }, { "close", 4008 } }, { timeout = 5 })
    assert.equal("E", result.error.name)
  end)

  it("with check fails as an error", function()
    local kind, err = run({ { "wait", 5 }, { "close", 4008 } }, { timeout = 5, check = true })
    assert.same({ "process_timeout", "not done within 5 seconds" }, { kind, err.message })
    kind, err = run({ message { type = "stdout", text = "o" },
      message { type = "error", name = "E", value = "v", traceback = "t" }, { "close", 1000 } }, { check = true })
    assert.same({ "exit E", "E: v", "t", "o", "run" }, { kind, err.message, err.traceback, err.result, err.operation })
    kind, err = run({ message { type = "error", name = "E" }, { "close", 1000 } }, { check = true })
    assert.same({ "exit E", "E" }, { kind, err.message })
    assert.is_table((run({ { "close", 1000 } }, { check = true })))
  end)

  it("ends as the daemon's close says", function()
    for _, case in ipairs {
      { 1001, "context shutdown", "gone CONTEXT_DELETED", "the context was deleted" },
      { 1001, "", "gone INTERPRETER_ENDED", "the interpreter's process ended, and its variables are lost" },
      { 1008, "context not found: x", "not_found PROCESS_NOT_FOUND", "context not found: x" },
      { 1008, "slow consumer", "connection slow_consumer", "slow consumer" },
      { 1008, "other", "invalid closed", "other" },
      { 1002, "", "invalid closed", "the daemon closed the connection (1002)" },
      { 1011, "boom", "server closed", "boom" },
      { 1006, "", "connection closed", "the daemon closed the connection (1006)" },
      { 4000, "x", "connection closed", "the daemon closed the connection (4000: x)" },
    } do
      local kind, err = run { message { type = "stdout", text = "before" }, { "close", case[1], case[2] } }
      assert.same({ case[3], case[4], "before" }, { kind, err.message, err.result })
    end
    local kind, err = run { message { type = "stdout", text = "before" }, { "fail", failure.from_transport "reset" } }
    assert.same({ "connection reset", "before" }, { kind, err.result })
    for _, text in ipairs { "5", "{", '"x"' } do assert.equal("protocol json", (run { { "text", text } })) end
    assert.equal("not_found", (run(nil)))
    assert.is_table((run { message { type = "stdout", text = 5 }, { "close", 1000 } }))
  end)

  it("prints no more than is allowed", function()
    local function print_two(most)
      return run({ message { type = "stdout", text = "123" }, message { type = "stderr", text = "45" },
        { "close", 1000 } }, { max_bytes = most })
    end
    assert.is_table((print_two(5)))
    local kind, err = print_two(4)
    assert.same({ "too_large too_large", "" }, { kind, err.result })
    assert.is_true(socket().over)
    daemon { [RUN] = { message { type = "stdout", text = "123" }, { "close", 1000 } } }
    assert(sb.interpreter:run("x", { max_bytes = 1, on_stdout = function() end }))
  end)

  it("that waits for its turn is not late before it begins", function()
    local grace, look = interpreter_module.grace, interpreter_module.look
    local kind = run({ { "heard" }, { "wait", 999 } }, { timeout = 5 })
    assert.same({ "timeout wait", 1005 + grace }, { kind, canned.now })
    assert.same({ 7, 20 }, { grace, look })
    kind = run({ { "heard" }, { "wait", 999 } }, { timeout = 1 })
    assert.same({ "timeout wait", 1008 }, { kind, canned.now })
    kind = run({ { "wait", 103 }, { "heard" }, { "wait", 999 } }, { timeout = 5 })
    assert.same({ "timeout wait", 1115 }, { kind, canned.now })
    assert.is_true((run({ { "wait", 1 }, { "close", 4008 } }, { timeout = 1 })).timed_out)
    assert.is_table((run({ { "wait", 500 }, { "close", 1000 } }, { timeout = 5 })))
    assert.is_table((run({ { "heard" }, { "wait", 5000 }, { "close", 1000 } }, { timeout = 0 })))
  end)

  it("has contexts, which are made, listed and deleted", function()
    daemon {
      ["POST " .. CONTEXTS] = { id = "c", cwd = "/w", language = "python", createdAt = "2", active = true },
      ["GET " .. CONTEXTS] = { contexts = { { id = "b", createdAt = "2" }, { id = "a", createdAt = "1" }, { n = 1 } } },
      ["DELETE " .. CONTEXTS .. "/c"] = true, [RUN] = { { "close", 1000 } },
    }
    local context = assert(sb.interpreter:create_context { cwd = "/w" })
    assert.same({ cwd = "/w" }, { cwd = last().json.cwd })
    assert.equal("interpreter context (c)", tostring(context))
    assert.equal("fine", tostring(assert(context:run("x", { env = { A = "b" } }))))
    assert.equal("c", socket().request.what)
    assert.is_false(pcall(context.run, context, "x", { context = "d" }))
    local list = assert(sb.interpreter:contexts())
    assert.same({ "a", "b", 2 }, { list[1].id, list[2].id, #list })
    assert.is_true(context:delete())
    assert.is_true(context:close())
    sb.interpreter:create_context()
    assert.same({}, last().json)
    for _, odd in ipairs { 5, "", {} } do
      assert.is_false(pcall(sb.interpreter.delete_context, sb.interpreter, odd))
    end
    canned.routes["DELETE " .. CONTEXTS .. "/c"] = failed(404, "no", "PROCESS_NOT_FOUND")
    assert.is_true(context:close())
    assert.equal("not_found PROCESS_NOT_FOUND", kind_of(context:delete()))
    canned.routes["DELETE " .. CONTEXTS .. "/c"] = { 503 }
    assert.equal("unavailable", kind_of(context:close()))
  end)
end)

describe("a terminal", function()
  local CREATE, CONNECT = "WS /process/pty/create-connect", "WS /process/pty/t/connect"
  local INFO, KILL = "GET /process/pty/t", "DELETE /process/pty/t"
  local CONNECTED = { "text", '{"type":"control","status":"connected"}' }

  local function exited(code, reason)
    return { "text", json.encode { type = "control", status = "exited", exitCode = code, exitReason = reason } }
  end

  -- One that is connected to, and what it brings then.
  local function of(...)
    daemon { [CONNECT] = { CONNECTED, ... }, [KILL] = true }
    return assert(sb:pty "t")
  end

  local function all(pty)
    local got = {}
    while true do
      local chunk, err = pty:read()
      if not chunk then return table.concat(got, "|"), err and kind_of(nil, err) or pty.exit_code, pty.reason end
      got[#got + 1] = chunk
    end
  end

  it("is made and connected to at once where the daemon can", function()
    daemon { [CREATE] = { { "binary", "early" }, CONNECTED, { "binary", "$ " }, { "close", 1000 } } }
    local pty = assert(sb:pty { id = "t", cwd = "/w", env = { A = "b" }, timeout = 7, ping_interval = 3 })
    local request = socket().request
    assert.same({ { "id", "t" }, { "cols", 80 }, { "rows", 24 }, { "cwd", "/w" } }, request.query)
    assert.equal("X-Daytona-Pty-Envs~eyJBIjoiYiJ9, X-Daytona-Pty-Exit-Control", request.protocols)
    assert.same({ 7, 3, { "b" }, "pty", "t", 1048576 }, { request.timeout, request.ping_interval, request.secrets,
      request.operation, request.what, request.max_message })
    assert.equal("terminal (t, connected)", tostring(pty))
    assert.same({ "early|$ ", 0 }, { all(pty) })
    assert.equal("terminal (t, ended, exit code 0)", tostring(pty))
    pty = assert(sb:pty { cols = 100, rows = 1000 })
    assert.truthy(pty.id:find "^lua%-%x+$")
    assert.same({ 100, 1000, 10, "X-Daytona-Pty-Exit-Control" }, { pty.cols, pty.rows, socket().request.timeout,
      socket().request.protocols })
    for _, odd in ipairs { { cols = 0 }, { cols = 1001 }, { rows = 0 }, { id = "a/b" }, { env = { ["1"] = "x" } },
      { env = { A = "\255" } }, { cwd = "" } } do assert.is_false(pcall(sb.pty, sb, odd)) end
  end)

  it("is made first, and connected to then, by others, or where its variables are many", function()
    local function make(opts, routes)
      routes[CONNECT], routes["POST /process/pty"] = routes[CONNECT] or { CONNECTED }, routes.pty or { id = "t" }
      daemon(routes)
      opts.id = "t"
      return sb:pty(opts)
    end
    for _, status in ipairs { 400, 404 } do
      assert(make({ cwd = "/w", env = { A = 1 } }, { [CREATE] = failure.from_response { status = status } }))
      assert.same({ CREATE, "POST /process/pty", CONNECT }, canned:asked())
      assert.same({ id = "t", cols = 80, rows = 24, cwd = "/w", envs = { A = "1" } }, canned.requests[2].json)
      assert(sb:pty { id = "t" })
      assert.equal(status == 404 and 2 or 3, #canned:asked()) -- of the one it is known now
    end
    assert.equal("unavailable", kind_of(make({}, { [CREATE] = failure.from_response { status = 503 } })))
    assert.same({ CREATE }, canned:asked())
    assert(make({ env = { A = ("x"):rep(4600) } }, { [CREATE] = { CONNECTED } }))
    assert.same({ "POST /process/pty", CONNECT }, canned:asked())
    assert(make({ env = { A = ("x"):rep(4400) } }, { [CREATE] = { CONNECTED } }))
    assert.same({ CREATE }, canned:asked())
    local lazy = assert(make({ lazy = true }, {}))
    assert.same({ { "POST /process/pty" }, true, nil }, { canned:asked(), last().json.lazyStart, lazy.socket })
    assert.equal("terminal (t, not connected)", tostring(lazy))
    assert.equal("connection closed", kind_of(lazy:read()))
    assert.equal(lazy, lazy:connect())
    assert.equal(lazy, lazy:connect())
    assert.same({ CONNECT }, canned:asked())
  end)

  it("that could not be made says why, its folder too", function()
    local function make(body, info)
      daemon { [CREATE] = failure.from_response { status = 404 }, ["POST /process/pty"] = body,
        ["GET /files/info"] = info }
      local none, err = sb:pty { id = "t", cwd = "/w" }
      assert.is_nil(none)
      return kind_of(nil, err), err.message
    end
    assert.equal("gone SESSION_ENDED", (make(failed(500, "it has terminated"))))
    assert.equal("not_found", (make(failed(500, "chdir: no such file or directory"))))
    assert.equal("forbidden", (make(failed(500, "permission denied"))))
    assert.equal("not_found PROCESS_NOT_FOUND", (make(failed(500, "session not found"))))
    assert.same({ "not_found", "the folder /w is not there: odd" },
      { make(failed(500, "odd"), failed(404, "no", "FILE_NOT_FOUND")) })
    assert.same({ "invalid", "/w is no folder: odd" },
      { make(failed(500, "odd"), { name = "w", size = 1, isDir = false }) })
    assert.same({ "server", "odd" }, { make(failed(500, "odd"), { name = "w", size = 1, isDir = true }) })
    assert.same({ "conflict", "odd" }, { make(failed(409, "odd"), failed(404, "no", "FILE_NOT_FOUND")) })
  end)

  it("that may have come to be when it was given up is ended again", function()
    local function ends(opts, create, pty)
      daemon { [CREATE] = create, [KILL] = true, ["POST /process/pty"] = pty, [CONNECT] = RESET }
      local none, err = sb:pty(opts)
      assert.is_nil(none)
      local names = canned:asked()
      return names[#names]:find "^DELETE" ~= nil, err
    end
    local unsent = failure.from_transport "reset"
    unsent.sent = false
    local old = failure.from_response { status = 404 }
    daemon {}
    canned.routes = setmetatable({}, { __index = function(_, name) return name:find "^DELETE" and true or RESET end })
    assert.is_nil((sb:pty {}))
    assert.truthy(canned:asked()[2]:find "^DELETE /process/pty/lua%-")
    assert.equal(10, last().timeout)
    assert.is_false((ends({ id = "t" }, RESET))) -- it may have been there before
    assert.is_false((ends({ id = "t" }, unsent)))
    assert.is_true((ends({ id = "t" }, old, { id = "t" })))
    assert.is_false((ends({ id = "t" }, old, failed(409, "there"))))
    local kind = kind_of(select(1, nil), select(2, ends({ id = "t", timeout = 2 }, { { "wait", 99 } })))
    assert.equal("timeout connect_timeout", kind)
    assert.equal(1002, canned.now)
  end)

  it("ends as it is told, by a message, by the close's reason, or by the close alone", function()
    assert.same({ "a|b", 3, "x" },
      { all(of({ "binary", "a" }, exited(3, "(x)"), { "binary", "b" }, { "close", 1000 })) })
    assert.same({ "", 3, "signal 9" }, { all(of { "close", 1011, '{"exitCode":3,"exitReason":"signal 9"}' }) })
    assert.same({ "", 0, nil }, { all(of { "close", 1011, '{"exitCode":0,"exitReason":"x"}' }) })
    assert.same({ "", 130, "Ctrl+C" }, { all(of(exited(130, "SIGINT - Ctrl+C"), { "close", 1006 })) })
    assert.same({ "", 1, nil }, { all(of(exited(1, ""), { "fail", RESET })) })
    assert.same({ "", 0, nil }, { all(of { "close", 1000 }) })
    assert.same({ "", 0, nil }, { all(of { "close", 1000, '{"exitCode":"x"}' }) })
    assert.same({ "", "connection slow_consumer" }, { all(of { "close", 1008, "slow" }) })
    assert.same({ "", "connection closed" }, { all(of { "close", 1005 }) })
    assert.same({ "", "gone SESSION_ENDED" }, { all(of { "close", 1011, "PTY session unavailable" }) })
    local pty = of({ "close", 1005 })
    assert.truthy(select(2, pty:read()).message:find("(without a word)", 1, true))
    pty = of({ "close", 1011, "why" })
    assert.truthy(select(2, pty:read()).message:find("(1011: why)", 1, true))
    pty = of({ "close", 1011 })
    assert.truthy(select(2, pty:read()).message:find("(1011)", 1, true))
    -- The rest of its output is waited for, but not for long.
    pty = of(exited(0), { "wait", 2.9 }, { "binary", "rest" }, { "wait", 99 })
    assert.same({ "rest", 0 }, { all(pty) })
    assert.equal(1003, canned.now)
    pty = of(exited(7), { "wait", 99 })
    assert.equal("timeout wait", kind_of(pty:read { timeout = 1 }))
    assert.same({ 7 }, { pty:wait() })
    assert.equal(1003, canned.now)
    assert.same({ "", "connection reset" }, { all(of { "fail", RESET }) })
    local refused = '{"type":"control","status":"error","error":"no such file or directory"}'
    assert.same({ "", "not_found" }, { all(of { "text", refused }) })
    assert.same({ "", "server" }, { all(of { "text", '{"type":"control","status":"error"}' }) })
    local odd = '{"type":"control"'
    local codeless = '{"type":"control","status":"exited"}'
    assert.same({ odd .. '|{"a":1}|' .. codeless, 0 }, { all(of({ "text", odd }, { "text", '{"a":1}' },
      { "binary", codeless }, { "text", codeless }, { "close", 1000 })) })
  end)

  it("that does not come is waited for as long as allowed", function()
    daemon { [CONNECT] = { { "binary", "x" }, { "wait", 99 } } }
    assert.equal("timeout connect_timeout", kind_of(sb:pty "t"))
    local request = socket().request
    assert.same({ 1010, true, 10, true }, { canned.now, socket().over, request.timeout, request.safe })
    canned.routes[CONNECT] = { { "close", 1008, "x" } }
    assert.equal("connection slow_consumer", kind_of(sb:pty "t"))
    canned.routes[CONNECT] = { { "close", 1000, '{"exitCode":2}' } }
    local pty = assert(sb:pty "t")
    assert.same({ true, 2, nil }, { pty.ended, pty.exit_code, pty:read() })
    assert.equal("gone SESSION_ENDED", kind_of(pty:connect()))
    assert.equal("gone SESSION_ENDED", kind_of(pty:write "x"))
    assert.is_true(pty:kill())
    assert.is_false(pcall(sb.pty, sb, ""))
  end)

  it("is typed into, in pieces that the daemon takes", function()
    local pty = of()
    assert.is_true(pty:write "")
    assert.same({}, socket().sent)
    for _, n in ipairs { 1, 32768, 32769, 65537 } do
      socket().sent = {}
      assert.is_true(pty:write(("x"):rep(n)))
      assert.equal(math.ceil(n / 32768), #socket().sent)
      local all_of_it = table.concat(socket().sent):gsub("binary ", "")
      assert.equal(n, #all_of_it)
      for _, piece in ipairs(socket().sent) do assert.is_true(#piece <= 32768 + 7) end
    end
    socket().refuses = RESET
    assert.equal("connection reset", kind_of(pty:write "x"))
    pty:disconnect()
    pty:disconnect()
    assert.equal("connection closed", kind_of(pty:write "x"))
    assert.is_false(select(2, pty:write "x").retryable)
    assert.is_false(pcall(pty.write, pty, 5))
  end)

  it("is read by chunks, by lines, or by numbers", function()
    local pty = of({ "binary", "one\r\ntw" }, { "binary", "o\n3 four" }, { "close", 1000 })
    assert.same({ "one", "two\n", 3 }, { pty:read("l", "L", "n") })
    assert.equal(" four", pty:read { timeout = 1 })
    assert.is_nil(pty:read "l")
    local got = {}
    for line in of({ "binary", "a\r\nb" }, { "close", 1000 }):lines() do got[#got + 1] = line end
    for line in of({ "binary", "a\r\nb" }, { "close", 1000 }):lines "L" do got[#got + 1] = line end
    for chunk in of({ "binary", "a\r\nb" }, { "close", 1000 }):chunks() do got[#got + 1] = chunk end
    assert.same({ "a", "b", "a\r\n", "b", "a\r\nb" }, got)
    pty = of({ "wait", 5 }, { "binary", "x" }, { "wait", 99 })
    assert.equal("timeout wait", kind_of(pty:read { timeout = 2 }))
    assert.equal("x", pty:read(nil, { timeout = 10 }))
    assert.is_false(pcall(of({ "fail", RESET }):lines()))
  end)

  it("is waited for, and what it prints can be heard", function()
    local got = {}
    local pty = of({ "binary", "a" }, CONNECTED, { "binary", "b" }, exited(4, "why"), { "close", 1000 })
    assert.same({ 4, "why" }, { pty:wait { on_output = function(chunk) got[#got + 1] = chunk end } })
    assert.same({ "a", "b" }, got)
    assert.same({ 4, "why" }, { pty:wait() })
    assert.equal("timeout wait", kind_of(of({ "wait", 99 }):wait(3)))
    assert.equal(1003, canned.now)
    assert.same({ 0 }, { of({ "wait", 99 }, { "close", 1000 }):wait(0) })
    pty = of { "fail", RESET }
    assert.equal("connection reset", kind_of(pty:wait()))
    assert.equal("connection reset", kind_of(pty:wait()))
    got = {}
    daemon { [CONNECT] = { { "binary", "early" }, CONNECTED, { "close", 1000 } } }
    assert.same({ 0 }, { assert(sb:pty "t"):wait { on_output = function(chunk) got[#got + 1] = chunk end } })
    assert.same({ "early" }, got)
  end)

  it("is asked about, changed and killed", function()
    daemon {
      [CONNECT] = { CONNECTED }, [INFO] = { id = "other", cols = 1, rows = 2, cwd = "/w", envs = { A = "b" },
        active = true, read = 5, lazyStart = true },
      ["POST /process/pty/t/resize"] = true, [KILL] = true,
      ["GET /process/pty"] = {
        sessions = { { id = "b", createdAt = "2", cols = 9 }, { id = "a", createdAt = "1" }, { n = 1 } },
      },
    }
    local pty = assert(sb:pty "t")
    assert.equal(pty, pty:info())
    assert.same({ "t", 1, 2, "/w", { A = "b" }, true, true, "function" },
      { pty.id, pty.cols, pty.rows, pty.cwd, pty.env, pty.active, pty.lazy_start, type(pty.read) })
    assert.is_true(pty:resize(120, 40))
    assert.same({ 120, 40, { cols = 120, rows = 40 }, true }, { pty.cols, pty.rows, last().json, last().safe })
    for _, size in ipairs { { 0, 1 }, { 1, 0 }, { 1001, 1 }, { 1, 1001 } } do
      assert.is_false(pcall(pty.resize, pty, size[1], size[2]))
    end
    canned.routes["POST /process/pty/t/resize"] = failed(410, "no")
    assert.equal("gone", kind_of(pty:resize(1, 1)))
    assert.equal(120, pty.cols)
    canned.routes[INFO] = { 503 }
    assert.equal("unavailable", kind_of(pty:info()))
    local list = assert(sb:ptys())
    assert.same({ "a", "b", 9, 2 }, { list[1].id, list[2].id, list[2].cols, #list })
    canned.routes["GET /process/pty"] = { 503 }
    assert.equal("unavailable", kind_of(sb:ptys()))
    assert.is_true(pty:kill(4))
    assert.equal(4, last().timeout)
    canned.routes[KILL] = failed(404, "no", "PROCESS_NOT_FOUND")
    assert.is_true(pty:kill())
    canned.routes[KILL] = { 503 }
    assert.equal("unavailable", kind_of(pty:kill()))
  end)

  it("is killed at the end of its scope by who made it, and by nobody else", function()
    local pty = of()
    assert.is_true(pty:close())
    assert.same({ { CONNECT }, true }, { canned:asked(), socket().over })
    daemon { [CREATE] = { CONNECTED }, [KILL] = true }
    pty = assert(sb:pty { id = "t" })
    assert.is_true(pty:close())
    assert.same({ { CREATE, KILL }, 10 }, { canned:asked(), last().timeout })
    assert.is_true(pty:close())
    assert.same({}, canned:asked())
    pty = assert(sb:pty { id = "t" })
    socket().steps[2] = { "close", 1000 }
    assert.is_nil(pty:read())
    assert.is_true(pty:close())
    assert.same({ CREATE }, canned:asked())
  end)
end)
