-- Sessions and their commands, as the daemon is asked about them, and what is made of its
-- answers; no server, and a clock that a spec sets.

local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local json = require "daytona.http.json"
local session_module = require "daytona.toolbox.session"
local support = require "spec.support.canned"
local watch = require "daytona.toolbox.watch"

local failed, kind_of = support.failed, support.kind_of

local canned, sb

local function daemon(routes)
  canned = support.start(routes)
  sb = canned.sandbox
end
after_each(support.stop)

-- A request whose answer was lost, or that never left.
local function lost(sent)
  local err = failure.from_transport "reset"
  err.sent = sent
  return err
end

local function last() return canned.requests[#canned.requests] end

local S, C = "/process/session/s", "/process/session/s/command/c"

describe("a session", function()
  it("is made, or was there; asked for without that it must be there", function()
    daemon { ["POST /process/session"] = true, ["GET " .. S] = { sessionId = "s" } }
    local session = assert(sb:session "s")
    assert.same({ "s", true, false }, { session.id, session.created, session.ended })
    assert.same({ sessionId = "s" }, last().json)
    assert.same({ true, nil, "s" }, { last().safe, last().on_abandon, last().what })
    assert.equal("session (s)", tostring(session))
    assert.is_false(assert(sb:session("s", { create = false })).created)
    assert.same({ "POST /process/session", "GET " .. S }, canned:asked())
    assert.truthy(assert(sb:session()).id:find "^lua%-%w")
    assert.is_function(last().on_abandon)
    daemon { ["POST /process/session"] = failed(409, "there") }
    assert.is_false(assert(sb:session "s").created)
    daemon { ["POST /process/session"] = { 503 }, ["GET " .. S] = failed(404, "no", "PROCESS_NOT_FOUND") }
    assert.equal("unavailable", kind_of(sb:session "s"))
    assert.equal("not_found PROCESS_NOT_FOUND", kind_of(sb:session("s", { create = false })))
    assert.is_false(pcall(sb.session, sb, "entrypoint"))
    assert.is_false(pcall(sb.session, sb, "a/b"))
  end)

  it("without a name is deleted when it is not wanted any more, however late it comes", function()
    daemon { ["POST /process/session"] = true }
    sb:session()
    local path, tries = "DELETE /process/session/" .. last().json.sessionId, 0
    canned.routes[path] = function()
      tries = tries + 1
      return tries == 3 or failed(404, "no", "PROCESS_NOT_FOUND")
    end
    last().on_abandon()
    assert.same({ 3, { 0.05, 0.2 } }, { tries, canned.slept })
    assert.equal(30, last().timeout)
    canned.routes[path], canned.slept = { 503 }, {}
    canned.requests[1].on_abandon()
    assert.same({}, canned.slept)
    canned.routes[path] = failed(404, "no", "PROCESS_NOT_FOUND")
    canned.requests[1].on_abandon()
    assert.same({ 0.05, 0.2, 0.5 }, canned.slept)
  end)

  it("is listed with the others, in order", function()
    daemon { ["GET /process/session"] = { { sessionId = "b" }, { sessionId = 5 }, { sessionId = "a" } } }
    local list = assert(sb:sessions())
    assert.same({ "a", "b", 2, false }, { list[1].id, list[2].id, #list, list[1].created })
    daemon { ["GET /process/session"] = { 503 } }
    assert.equal("unavailable", kind_of(sb:sessions()))
  end)

  it("lists its commands without what we added", function()
    daemon { ["GET " .. S] = { sessionId = "s", commands = {
      { id = "1", command = "ls\n# daytona-lua:12.x-y", exitCode = 3 },
      { id = "2", command = "# daytona-lua:12\ncat <<X" }, { id = "3", command = ": daytona-lua-probe" },
      { id = "4", command = "plain # daytona-lua:no" }, { id = 5 }, { id = "6", command = 7 },
    } } }
    local all = assert(assert(sb:session("s", { create = false })):commands())
    local seen = {}
    for i, command in ipairs(all) do seen[i] = { command.id, command.command, command.exit_code } end
    assert.same({ { "1", "ls", 3 }, { "2", "cat <<X" }, { "4", "plain # daytona-lua:no" }, { "6" } }, seen)
    daemon { ["GET " .. S] = { sessionId = "s" } }
    local session = sb:session("s", { create = false })
    assert.same({}, session:commands())
    canned.routes["GET " .. S] = { 503 }
    assert.equal("unavailable", kind_of(session:commands()))
    assert.equal("x", session:command("x").id)
  end)

  it("is deleted, also where it is no more", function()
    daemon { ["GET " .. S] = { sessionId = "s" }, ["DELETE " .. S] = true }
    local session = sb:session("s", { create = false })
    assert.is_true(session:delete())
    assert.same({ 30, true, "session (s, ended)" }, { last().timeout, session.ended, tostring(session) })
    assert.is_true(session:delete { timeout = 3 })
    assert.equal(3, last().timeout)
    canned.routes["DELETE " .. S] = failed(404, "no", "PROCESS_NOT_FOUND")
    assert.is_true(session:close())
    canned.routes["DELETE " .. S] = { 503 }
    session = sb:session("s", { create = false })
    assert.equal("unavailable", kind_of(session:delete()))
    assert.is_false(session.ended)
  end)

  it("is alive, dead, or it is not known", function()
    daemon { ["GET " .. S] = { sessionId = "s" }, ["POST " .. S .. "/exec"] = { cmdId = "p" } }
    local session = sb:session("s", { create = false })
    assert.is_true(session:is_alive())
    assert.same({ { command = ": daytona-lua-probe", runAsync = true }, 10 }, { last().json, last().timeout })
    canned.routes["POST " .. S .. "/exec"] = { 503 }
    assert.equal("unavailable", kind_of(session:is_alive()))
    for _, words in ipairs { "broken pipe", "failed to write command", "session cancelled" } do
      session = sb:session("s", { create = false })
      canned.routes["POST " .. S .. "/exec"] = failed(500, words)
      assert.is_false(session:is_alive())
      assert.is_true(session.ended)
      canned:asked()
      assert.is_false(session:is_alive())
      assert.same({}, canned:asked())
    end
    session = sb:session("s", { create = false })
    canned.routes["POST " .. S .. "/exec"] = failed(500, "session not found")
    assert.is_false(session:is_alive())
    session = sb:session("s", { create = false })
    canned.routes["POST " .. S .. "/exec"] = failed(500, "session not found")
    assert.equal("PROCESS_NOT_FOUND", select(2, session:exec "x").code)
    canned.routes["POST " .. S .. "/exec"] = failed(404, "session not found")
    assert.is_nil(select(2, session:exec "x").code)
    canned.routes["POST " .. S .. "/exec"] = failed(500, "broken pipe")
    assert.is_false(select(2, session:exec "x").retryable)
    canned.routes["POST " .. S .. "/exec"] = failed(500, "another matter")
    session.ended = false
    assert.equal("server", kind_of(session:is_alive()))
    canned.routes["POST " .. S .. "/exec"] = failed(400, "broken pipe")
    assert.equal("invalid", kind_of(session:is_alive()))
  end)
end)

describe("a command in a session", function()
  local session
  local EXEC = "POST " .. S .. "/exec"

  local function with(routes)
    routes["GET " .. S] = routes["GET " .. S] or { sessionId = "s" }
    daemon(routes)
    session = assert(sb:session("s", { create = false }))
    canned:asked()
  end

  it("is run with a mark, and its answer is taken apart", function()
    with { [EXEC] = { cmdId = "c", exitCode = 0, output = "\1\1\1out\n\2\2\2err\n\1\1\1more\n" } }
    local r = assert(session:exec "ls")
    assert.same({ 0, "out\nmore\n", "err\n", "out\nerr\nmore\n", "out\nerr\nmore\n", "c" },
      { r.exit_code, r.stdout, r.stderr, r.output, r.result, r.command.id })
    assert.truthy(last().json.command:find "^ls\n# daytona%-lua:[%w.-]+$")
    assert.same({ false, 2 }, { last().json.runAsync, last().timeout })
    session:exec "cat <<X"
    assert.truthy(last().json.command:find "^# daytona%-lua:[%w.-]+\ncat <<X$")
    session:exec("ls", { timeout = 0.5, max_bytes = 77 })
    assert.same({ 0.5, 77 }, { last().timeout, last().max_bytes })
    session:exec("ls", { timeout = 0 })
    assert.equal(2, last().timeout)
    session:exec { "echo", 1, "a b" }
    assert.truthy(last().json.command:find("^'echo' 1 'a b'\n"))
    session:exec "\255"
    assert.truthy(last().json.command:find '^eval "%$%(printf')
    canned.routes[EXEC] = { cmdId = "c", exitCode = 3, stdout = "o", stderr = "e", output = "oe" }
    r = assert(session:exec "ls")
    assert.same({ 3, "o", "e" }, { r.exit_code, r.stdout, r.stderr })
    local none, err = session:exec("ls", { check = true })
    assert.same({ nil, "exit", 3, "exit status 3: e", "oe" },
      { none, err.kind, err.exit_code, err.message, err.result })
    canned.routes[EXEC] = { cmdId = "c", exitCode = 3, output = "" }
    assert.equal("exit status 3", select(2, session:exec("ls", { check = true })).message)
    canned.routes[EXEC] = { cmdId = "c", exitCode = 0, output = "o" }
    assert.equal("exit 0, 1 bytes: o", tostring(assert(session:exec("ls", { check = true }))))
    session:exec "<<X"
    assert.truthy(last().json.command:find "^# daytona.*\n<<X$")
    session:exec "echo '<' '<'"
    assert.truthy(last().json.command:find "^echo")
    canned.routes[EXEC] = { exitCode = 3 }
    assert.equal("protocol json", kind_of(session:exec "ls"))
  end)

  it("that takes longer is watched, and its log fetched", function()
    local codes = { json.null, json.null, 4 }
    with { [EXEC] = { cmdId = "c" }, ["GET " .. C] = function(_, n) return { id = "c", exitCode = codes[n] } end,
      ["GET " .. C .. "/logs"] = "\1\1\1done\n" }
    local r = assert(session:exec("ls", { max_bytes = 99 }))
    assert.same({ 4, "done\n" }, { r.exit_code, r.stdout })
    assert.equal(99, last().max_bytes)
    assert.same({ EXEC, "GET " .. C, "GET " .. C, "GET " .. C, "GET " .. C .. "/logs" }, canned:asked())
    canned.routes["GET " .. C] = { id = "c" }
    local none, err = session:exec("ls", { timeout = 9 })
    assert.same({ nil, "timeout", "wait", "c" }, { none, err.kind, err.code, err.command.id })
    canned.routes["GET " .. C] = { id = "c", exitCode = 0 }
    canned.routes["GET " .. C .. "/logs"] = { 503 }
    assert.equal("unavailable", kind_of(session:exec "ls"))
  end)

  it("whose answer was lost is found by its mark, and never sent again", function()
    local mark, listed = nil, { sessionId = "s" }
    with { ["GET " .. S] = function() return listed end, ["GET " .. C] = { id = "c", exitCode = 0 },
      ["GET " .. C .. "/logs"] = "out" }
    canned.routes[EXEC] = function(request)
      mark = request.json.command:match "# daytona%-lua:[%w.-]+"
      listed = { sessionId = "s", commands = { { id = "x", command = "ls" }, { id = "c", command = "ls\n" .. mark } } }
      return lost(true)
    end
    assert.equal("out", assert(session:exec "ls").stdout)
    assert.same({ EXEC, "GET " .. S, "GET " .. C, "GET " .. C .. "/logs" }, canned:asked())
    local found = assert(session:exec("ls", { async = true }))
    assert.same({ "c", "ls" }, { found.id, found.command })
    canned.routes[EXEC] = function(request)
      mark = request.json.command:match "# daytona%-lua:[%w.-]+"
      listed = { sessionId = "s", commands = { { id = "c", command = mark .. "\ncat <<X" } } }
      return lost(true)
    end
    assert.equal("cat <<X", assert(session:exec("cat <<X", { async = true })).command)
    assert.is_true(last().json == nil)
  end)

  it("whose answer was lost and that is not found is told so", function()
    with { [EXEC] = function() return lost(true) end }
    canned:asked()
    assert.equal("connection reset", kind_of(session:exec "ls"))
    assert.same({ EXEC, "GET " .. S, "GET " .. S, "GET " .. S, "GET " .. S }, canned:asked())
    for i, seconds in ipairs { 0.1, 0.2, 0.3 } do assert.is_true(math.abs(canned.slept[i] - seconds) < 1e-9) end
    canned.routes["GET " .. S] = failed(404, "no", "PROCESS_NOT_FOUND")
    assert.equal("not_found PROCESS_NOT_FOUND", kind_of(session:exec "ls"))
    canned.routes["GET " .. S] = { 503 }
    assert.equal("unavailable", kind_of(session:exec "ls"))
    canned.routes["GET " .. S] = failed(500, "just now")
    canned:asked()
    assert.equal("server", kind_of(session:exec "ls"))
    assert.equal(5, #canned:asked())
    -- What never left is not looked for, nor what the daemon refused.
    for _, answer in ipairs { function() return lost(false) end, failed(400, "no"), failed(410, "no") } do
      canned.routes[EXEC] = answer
      assert.is_nil((session:exec "ls"))
      assert.same({ EXEC }, canned:asked())
    end
    assert.is_true(session.ended)
    for _, answer in ipairs { { 502 }, { 504 }, failed(500, "no"), "no JSON" } do
      canned.routes[EXEC], canned.routes["GET " .. S] = answer, { sessionId = "s" }
      assert.is_nil((session:exec("ls", { async = true })))
      assert.equal(5, #canned:asked())
    end
  end)

  it("may be left alone, and asked later", function()
    with { [EXEC] = { cmdId = "c" }, ["GET " .. C] = { id = "c" } }
    local command = assert(session:exec("ls", { async = true, echo = false, timeout = 5 }))
    assert.same({ true, true, 5 }, { last().json.runAsync, last().json.suppressInputEcho, last().timeout })
    assert.same({ "command (c, running)", "ls" }, { tostring(command), command.command })
    session:exec("ls", { async = true })
    assert.is_nil(last().json.suppressInputEcho)
    assert.equal(command, command:refresh())
    assert.is_nil(command.exit_code)
    canned.routes["GET " .. C] = { id = "c", exitCode = 5 }
    assert.equal(5, assert(command:refresh()).exit_code)
    assert.equal("command (c, exit 5)", tostring(command))
    canned:asked()
    assert.equal(5, command:wait())
    assert.same({}, canned:asked())
    canned.routes["GET " .. C] = { 503 }
    assert.equal("unavailable", kind_of(command:refresh()))
  end)

  it("has a log: bytes, or JSON of newer daemons", function()
    with { ["GET " .. C .. "/logs"] = "no prefix" }
    local command = session:command "c"
    assert.same({ stdout = "no prefix", stderr = "", output = "no prefix" }, command:logs())
    assert.same({ "c", nil, nil }, { last().what, last().timeout, last().max_bytes })
    local function log(body)
      canned.routes["GET " .. C .. "/logs"] = { 200, body, { ["content-type"] = "application/json; charset=utf-8" } }
      return command:logs { timeout = 3, max_bytes = 4000 }
    end
    assert.same({ stdout = "o", stderr = "e", output = "oe" }, log '{"stdout":"o","stderr":"e","output":"oe"}')
    assert.same({ 3, 4000 }, { last().timeout, last().max_bytes })
    assert.same({ stdout = "", stderr = "", output = "" }, log '{"output":5}')
    assert.equal("protocol json", kind_of(log "5"))
    assert.equal("protocol json", kind_of(log "{"))
    canned.routes["GET " .. C .. "/logs"] = { 503 }
    assert.equal("unavailable", kind_of(command:logs()))
    canned.routes["GET " .. C .. "/logs"] = { 200, '{"output":"x"}', { ["content-type"] = "json" } }
    assert.equal("x", command:logs().output)
    assert.is_true(last().with_headers)
  end)

  it("has a log that comes byte for byte where that is asked for, up to a size", function()
    local LOGS = "WS " .. C .. "/logs"
    with { [LOGS] = { { "binary", "\1\1\1a\2\2\2b\1\1" }, { "binary", "\1c" }, { "close", 1000 } },
      ["GET " .. C] = { id = "c", exitCode = 0 } }
    local command = session:command "c"
    assert.same({ stdout = "ac", stderr = "b", output = "abc" }, command:logs { exact = true })
    assert.is_nil(canned.sockets[1].request.query)
    assert.same({ stdout = "ac", stderr = "b", output = "abc" }, command:logs { exact = true, max_bytes = 3 })
    assert.equal("too_large too_large", kind_of(command:logs { exact = true, max_bytes = 2 }))
    assert.is_true(canned.sockets[3].over)
    canned.routes[LOGS] = { { "binary", "a" } }
    assert.equal("timeout wait", kind_of(command:logs { exact = true, timeout = 3 }))
    assert.equal(1003, canned.now)
    canned.routes[LOGS] = { { "binary", "a\1" }, { "close", 1000 } } -- a prefix that was cut is none
    assert.equal("a\1", command:logs({ exact = true }).stdout)
    canned.routes["GET " .. C .. "/logs"] = "a\1"
    assert.equal("a\1", command:logs().stdout)
  end)

  it("is given input when it is ready for it", function()
    local INPUT = "POST " .. C .. "/input"
    local answers
    with { [INPUT] = function(_, n) return answers[n] or answers[#answers] end, ["GET " .. C] = { id = "c" } }
    local function input(list, opts)
      answers, canned.counts, canned.slept = list, {}, {}
      return kind_of(session:command("c"):input("yes", opts))
    end
    local not_yet = failed(500, "open input pipe: no such file or directory")
    assert.equal(true, input { true })
    assert.same({ { data = "yes" }, 10, "c" }, { last().json, last().timeout, last().what })
    assert.equal(true, input({ true }, { timeout = 0 }))
    assert.equal(0, last().timeout)
    assert.equal(true, input { not_yet, not_yet, not_yet, not_yet, not_yet, not_yet, not_yet, true })
    assert.same({ 0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5 }, canned.slept)
    assert.is_true(last().timeout < 10 and last().timeout > 8)
    assert.equal("timeout wait", input({ not_yet }, 3))
    local total = 0
    for _, seconds in ipairs(canned.slept) do total = total + seconds end
    assert.is_true(total < 3 and total > 2.4, total)
    assert.equal(true, input { failed(500, "no such file: input pipe"), true })
    assert.equal(true, input { failed(500, "input pipe: no such file"), true })
    local command = session:command "c"
    assert.is_false(pcall(command.input, command, ""))
    assert.equal("server", input { failed(500, "input pipe is full") })
    assert.equal("server", input { failed(500, "no such file or directory") })
    assert.equal("conflict", input { failed(409, "no") })
    canned.routes["GET " .. C] = { id = "c", exitCode = 0 }
    assert.equal("gone COMMAND_ALREADY_COMPLETED", input { not_yet })
    assert.is_false(select(2, session:command("c"):input "x").retryable)
    canned.routes["GET " .. C] = { id = "c" }
    session.ended = true
    assert.equal("gone COMMAND_ALREADY_COMPLETED", input { failed(500, "x") })
    assert.is_false(pcall(session.command, session:command "c", ""))
  end)

  it("that runs as the sandbox's program is had by its own way", function()
    local E = "/process/session/entrypoint"
    daemon { ["GET " .. E] = { commands = { { id = "e", command = "serve", exitCode = 2 } } },
      ["GET " .. E .. "/logs"] = "log" }
    local command = assert(sb:entrypoint())
    assert.same({ "entrypoint_command", "serve", 2 }, { command.id, command.command, command.exit_code })
    assert.equal("log", command:logs().stdout)
    command.exit_code = nil
    assert.equal(2, command:wait(1))
    canned.routes["GET " .. E] = {}
    command = assert(sb:entrypoint())
    assert.is_nil(command.exit_code)
    assert.equal("timeout wait", kind_of(command:wait(9)))
    local before = canned.now
    assert.equal("timeout wait", kind_of(command:wait()))
    assert.is_true(math.abs(canned.now - before - 600) < 1)
    canned.routes["GET " .. E] = function()
      return canned.now > before + 2000 and { commands = { { id = "e", exitCode = 0 } } } or {}
    end
    assert.equal(0, command:wait(0))
    for _, name in ipairs(canned:asked()) do assert.is_nil(name:find "exec") end
    canned.routes["GET " .. E] = { 503 }
    assert.equal("unavailable", kind_of(sb:entrypoint()))
  end)
end)

describe("the end of a command", function()
  local command, codes

  local function of(routes)
    routes["GET " .. S] = { sessionId = "s" }
    routes["GET " .. C] = routes["GET " .. C] or function(_, n) return codes and codes[n] or { id = "c" } end
    daemon(routes)
    command = assert(session_module.session(sb, "s", { create = false })):command "c"
    canned:asked()
  end

  it("is looked for seldomer and seldomer, at most a second apart, and by whether its shell lives", function()
    of { ["POST " .. S .. "/exec"] = { cmdId = "p" } }
    assert.equal("timeout wait", kind_of(command:wait(30)))
    local slept = canned.slept
    assert.is_true(math.abs(slept[1] - 0.03) < 1e-9)
    for i = 2, #slept - 1 do
      assert.is_true(slept[i] >= 0.03 - 1e-9 and slept[i] <= 1 + 1e-9, slept[i])
      assert.is_true(slept[i] >= slept[i - 1] - 1e-9)
    end
    assert.is_true(canned.now >= 1030 and canned.now < 1030.01, canned.now)
    local looks, probes = 0, 0
    for _, name in ipairs(canned:asked()) do
      if name == "GET " .. C then looks = looks + 1 else probes = probes + 1 end
    end
    assert.is_true(looks > 35 and looks < 60, looks)
    assert.equal(4, probes) -- after 2, 4, 8, 16 seconds
  end)

  it("may be told a while after its shell died, or never", function()
    of { ["POST " .. S .. "/exec"] = failed(500, "broken pipe") }
    assert.equal(-1, command:wait(30))
    assert.is_true(canned.now >= 1002 and canned.now < 1003, canned.now)
    of { ["POST " .. S .. "/exec"] = function()
      canned.routes["GET " .. C] = { id = "c", exitCode = 7 }
      return failed(500, "broken pipe")
    end }
    assert.equal(7, command:wait(30))
    of { ["POST " .. S .. "/exec"] = function()
      canned.routes["GET " .. C] = failed(404, "no", "PROCESS_NOT_FOUND")
      return failed(404, "no", "PROCESS_NOT_FOUND")
    end }
    assert.equal("not_found PROCESS_NOT_FOUND", kind_of(command:wait(30)))
    of { ["POST " .. S .. "/exec"] = { 503 } }
    assert.equal("timeout wait", kind_of(command:wait(30)))
  end)

  it("is asked for again where that fails for a while", function()
    local bad = {}
    for i = 1, 5 do bad[i] = i % 2 == 0 and { 503 } or failed(500, "just writing it") end
    codes = bad
    bad[6] = { id = "c", exitCode = 1 }
    of {}
    assert.equal(1, command:wait(30))
    bad[6] = { 503 }
    of {}
    assert.equal("unavailable", kind_of(command:wait(30)))
    codes = { failed(404, "no", "PROCESS_NOT_FOUND") }
    of {}
    assert.equal("not_found PROCESS_NOT_FOUND", kind_of(command:wait(30)))
    -- Only those in a row count.
    codes = {}
    for i = 1, 12 do codes[i] = i % 5 == 0 and { id = "c" } or { 503 } end
    codes[13] = { id = "c", exitCode = 0 }
    of {}
    assert.equal(0, command:wait(30))
    codes = nil
  end)

  it("is found out soon after a sign of life", function()
    of { ["POST " .. S .. "/exec"] = { cmdId = "p" } }
    local one = watch.new(command, false)
    canned.now = 1050
    assert.is_false(one:look())
    one:active()
    assert.is_true(math.abs(one.next - 1050.03) < 1e-9)
    canned:asked()
    canned.now = 1050.5
    assert.is_false(one:look())
    assert.same({ "GET " .. C }, canned:asked())
    assert.is_true(math.abs(one.next - 1050.625) < 1e-9, one.next)
    assert.is_true(errors.is(select(2, watch.wait(command, 1050.6, 1050)), "timeout"))
  end)
end)
