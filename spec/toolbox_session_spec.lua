-- Sessions: shells that stay, and the logs of what ran in them.

local nap = require "spec.support.nap"
local toolbox = require "spec.support.toolbox"

local NEW = { ["X-Daytona-SDK-Version"] = "0.205.1" }

describe("a session", function()
  local daemon, number = nil, 0
  setup(function() daemon = toolbox.start { time_scale = 20 } end)
  teardown(function() daemon:stop() end)

  local id
  before_each(function()
    number = number + 1
    id = "s" .. number
    assert.are.equal(201, daemon:post("/process/session", { sessionId = id }).status)
  end)
  after_each(function() daemon:request("DELETE", "/process/session/" .. id) end)

  local function exec(command, more, headers)
    local body = { command = command }
    for name, value in pairs(more or {}) do body[name] = value end
    return daemon:post("/process/session/" .. id .. "/exec", body, { headers = headers or NEW })
  end

  local function start(command, more)
    more = more or {}
    more.runAsync = true
    local r = exec(command, more)
    assert.are.equal(202, r.status)
    return r.json.cmdId
  end

  local function command_path(command)
    return "/process/session/" .. id .. "/command/" .. command
  end

  local function exit_code(command)
    for _ = 1, 500 do
      local r = daemon:request("GET", command_path(command))
      if r.json.exitCode then return r.json.exitCode end
    end
    error "the command never ended"
  end

  local function fails(r, status, code)
    assert.are.equal(status, r.status, r.body)
    assert.are.equal(code, r.json.code)
  end

  it("keeps directory, variables and functions", function()
    exec "cd /tmp; x=5; f() { echo f$x; }"
    assert.are.equal("/tmp\nf5\n", exec("pwd; f").json.stdout)
  end)

  it("answers with both streams and the log as it is", function()
    local r = exec("printf 'a\\nb'; return 5").json
    assert.are.equal("\1\1\1a\n\1\1\1b\n", r.output)
    assert.are.same({ "a\nb\n", "", 5 }, { r.stdout, r.stderr, r.exitCode })
    r = exec("echo e >&2").json
    assert.are.same({ "\2\2\2e\n", "", "e\n" }, { r.output, r.stdout, r.stderr })
    assert.are.same({ "", "", "", 0 },
      (function(j) return { j.output, j.stdout, j.stderr, j.exitCode } end)(exec("cat").json))
  end)

  it("logs lines whole, without NUL, otherwise byte for byte", function()
    local r = exec([[printf 'a\0b\r\n  \\n \303']]).json
    assert.are.equal("\1\1\1ab\r\n\1\1\1  \\n \239\191\189\n", r.output)
    assert.are.equal(44, exec("(exit 300)").json.exitCode)
    assert.are.equal(143, exec("sh -c 'kill $$'").json.exitCode)
  end)

  it("waits for background processes that hold the output", function()
    assert.are.equal("now\nlater\n", exec("(sleep 0.2; echo later) & echo now").json.stdout)
  end)

  it("runs asynchronous commands in order, with input", function()
    local first = start "read x; echo got $x; read y; echo and $y"
    local second = start "echo second"
    local input = command_path(first) .. "/input"
    assert.are.equal(204, daemon:post(input, { data = "one" }).status)
    assert.is_nil(daemon:request("GET", command_path(second)).json.exitCode)
    assert.are.equal(204, daemon:post(input, { data = "two\n" }).status)
    assert.are.equal(0, exit_code(first))
    assert.are.equal(0, exit_code(second))
    local logs = daemon:request("GET", command_path(first) .. "/logs", { headers = NEW }).json
    assert.are.equal("one\ngot one\ntwo\nand two\n", logs.stdout)
    fails(daemon:post(input, { data = "late" }), 410, "COMMAND_ALREADY_COMPLETED")
    fails(daemon:post(input, { data = "" }), 400, "INVALID_REQUEST_BODY")
    fails(daemon:post(command_path "no" .. "/input", { data = "x" }), 404, "PROCESS_NOT_FOUND")
  end)

  it("has no way in for input at first, as the shell makes it", function()
    local slow = toolbox.start { time_scale = 0.05 }
    finally(function() slow:stop() end)
    slow:post("/process/session", { sessionId = "s" })
    local started = slow:post("/process/session/s/exec", { command = "read x; echo got $x", runAsync = true }).json
    local path = "/process/session/s/command/" .. started.cmdId .. "/input"
    local r = slow:post(path, { data = "early" })
    fails(r, 500, "INTERNAL_SERVER_ERROR")
    assert.is_truthy(r.json.message:find("failed to open input pipe: open .*: no such file or directory$"))
    repeat r = slow:post(path, { data = "again" }) until r.status ~= 500
    assert.are.equal(204, r.status)
  end)

  it("can keep input out of the log", function()
    local command = start("read x; echo done", { suppressInputEcho = true })
    local r
    repeat r = daemon:post(command_path(command) .. "/input", { data = "secret" }) until r.status ~= 500
    assert.are.equal(0, exit_code(command))
    assert.are.equal("done\n", daemon:request("GET", command_path(command) .. "/logs",
      { headers = NEW }).json.stdout)
  end)

  it("that dies still tells the exit code, and says that it has ended", function()
    local r = exec "echo bye; exit 3"
    assert.are.same({ 200, 3, "bye\n" }, { r.status, r.json.exitCode, r.json.stdout })
    fails(exec "true", 410, "SESSION_ENDED")
    assert.are.equal(204, daemon:request("DELETE", "/process/session/" .. id).status)
    daemon:post("/process/session", { sessionId = id })
    local command = start("set -e; (" .. nap(3000) .. " &) ; false; echo not reached")
    assert.are.equal(1, exit_code(command))
    daemon:exec("pkill -f '" .. nap(3000) .. "'")
  end)

  it("is listed, with its commands in order", function()
    exec "true"
    exec "false"
    local found = daemon:request("GET", "/process/session/" .. id).json
    assert.are.equal(id, found.sessionId)
    assert.are.same({ "true", "false" }, { found.commands[1].command, found.commands[2].command })
    assert.are.same({ 0, 1 }, { found.commands[1].exitCode, found.commands[2].exitCode })
    assert.are.equal(id, daemon:request("GET", "/process/session").json[1].sessionId)
  end)

  it("has one owner of its name, and a name fit for a folder", function()
    fails(daemon:post("/process/session", { sessionId = id }), 409, "CONFLICT")
    fails(daemon:post("/process/session", { sessionId = "entrypoint" }), 400, "BAD_REQUEST")
    fails(daemon:post("/process/session", { sessionId = "../x" }), 400, "BAD_REQUEST")
    fails(daemon:post("/process/session", {}), 400, "INVALID_REQUEST_BODY")
    fails(daemon:request("GET", "/process/session/nope"), 404, "PROCESS_NOT_FOUND")
    fails(daemon:request("GET", "/process/session/entrypoint"), 404, "PROCESS_NOT_FOUND")
    fails(daemon:post("/process/session/nope/exec", { command = "true" }), 404, "PROCESS_NOT_FOUND")
  end)

  it("is deleted with all that runs in it", function()
    local command = start("trap '' TERM; " .. nap(3001) .. " & " .. nap(3001))
    local waiting = daemon:talk(command_path(command) .. "/logs", { query = { follow = "true" }, headers = NEW })
    assert.are.equal(204, daemon:request("DELETE", "/process/session/" .. id).status)
    assert.are.equal(1000, waiting().code)
    assert.are_not.equal(0, daemon:exec("pgrep -fx '" .. nap(3001) .. "'").exitCode)
    fails(daemon:request("GET", "/process/session/" .. id), 404, "PROCESS_NOT_FOUND")
    assert.are_not.equal(0, daemon:exec("ls .daytona/sessions/" .. id).exitCode)
  end)

  it("has its logs in the form that the client's version knows", function()
    local raw = "\1\1\1out\n"
    for _, row in ipairs {  -- headers, exec's output, its stdout, logs as JSON?, logs on a WebSocket
      { {}, "out\n", nil, false, "out\n" },
      { { ["X-Daytona-Split-Output"] = "true" }, raw, nil, false, raw },
      { { ["X-Daytona-SDK-Version"] = "0.26.9" }, "out\n", nil, false, "out\n" },
      { { ["X-Daytona-SDK-Version"] = "0.27.0" }, raw, nil, false, raw },
      { { ["X-Daytona-SDK-Version"] = "0.100.0rc1" }, raw, nil, false, raw },
      { { ["X-Daytona-SDK-Version"] = "0.166.9" }, raw, nil, false, raw },
      { { ["X-Daytona-SDK-Version"] = "0.167.0" }, raw, "out\n", true, raw },
      { { ["X-Daytona-SDK-Version"] = "0.0.0-dev" }, raw, "out\n", true, raw },
      { { ["X-Daytona-SDK-Version"] = "what" }, raw, nil, false, raw },
    } do
      local headers = row[1]
      local _, name = next(headers)
      local answer = exec("echo out", nil, headers).json
      local out = answer.stdout
      if type(out) ~= "string" then out = nil end
      assert.are.same({ row[2], row[3] }, { answer.output, out }, name)
      local r = daemon:request("GET", command_path(answer.cmdId) .. "/logs", { headers = headers })
      assert.are.equal(row[4], r.json ~= nil, name)
      if r.json then
        assert.are.same({ raw, "out\n", "" }, { r.json.output, r.json.stdout, r.json.stderr })
      else
        assert.is_truthy(r.headers["content-type"]:find "^text/plain")
        assert.are.equal(row[2], r.body, name)
      end
      local events = daemon:talk(command_path(answer.cmdId) .. "/logs", { headers = headers })()
      assert.are.equal(row[5], events.binary, name)
    end
  end)

  it("can be followed, in small frames, from the beginning to the end", function()
    local command = start "for i in 1 2 3; do echo $i; echo e$i >&2; sleep 0.05; done; seq 3000"
    local events = daemon:talk(command_path(command) .. "/logs",
      { query = { follow = "true" }, headers = NEW })()
    assert.are.equal(1000, events.code)
    assert.are.equal("", events.reason)
    local log = daemon:request("GET", command_path(command) .. "/logs", { headers = NEW }).json
    assert.are.equal(log.output, events.binary)
    assert.are.equal("e1\ne2\ne3\n", log.stderr)
    for _, event in ipairs(events) do
      assert.is_true(event[1] == "open" or event[1] == "close" or #event[2] <= 1024)
    end
    assert.is_true(#events > 16)
  end)

  it("can be followed by old clients without prefixes, and by token", function()
    local command = exec("echo a; echo b >&2; printf '\\001'").json.cmdId
    local events = daemon:talk(command_path(command) .. "/logs", {})()
    assert.are.equal(5, #events.binary:gsub("\1", ""))
    assert.are.equal(6, #events.binary)
    local token = "X-Daytona-SDK-Version~0.205.1"
    events = daemon:talk(command_path(command) .. "/logs", { protocols = { token } })()
    assert.are.equal(token, events[1][2])
    assert.is_truthy(events.binary:find("\1\1\1a\n", 1, true))
    fails(daemon:request("GET", command_path "nope" .. "/logs", { query = { follow = "true" },
      headers = { Upgrade = "websocket", Connection = "Upgrade" } }), 404, "PROCESS_NOT_FOUND")
  end)

  it("may log much, in tiny lines", function()
    local command = start "yes x | head -n 1000000"
    assert.are.equal(0, exit_code(command))
    local log = daemon:request("GET", command_path(command) .. "/logs", { headers = NEW }).json
    assert.are.equal(("x\n"):rep(1000000), log.stdout)
  end)
end)

describe("an entrypoint", function()
  it("is a session that can only be watched", function()
    local daemon = toolbox.start { entrypoint = "echo started; echo oops >&2; exit 4", time_scale = 20 }
    for _ = 1, 200 do
      if daemon:request("GET", "/process/session/entrypoint").json.commands[1].exitCode then break end
    end
    local found = daemon:request("GET", "/process/session/entrypoint").json
    assert.are.same({ "entrypoint_command", 4 }, { found.commands[1].id, found.commands[1].exitCode })
    assert.are.equal("oops\n", daemon:request("GET", "/process/session/entrypoint/logs",
      { headers = NEW }).json.stderr)
    local events = daemon:talk("/process/session/entrypoint/logs", { query = { follow = "true" } })()
    assert.is_truthy(events.binary:find("\1\1\1started\n", 1, true))
    assert.are.equal("[]", daemon:request("GET", "/process/session").body)
    assert.are.equal(400, daemon:request("DELETE", "/process/session/entrypoint").status)
    assert.are.equal(400, daemon:post("/process/session/entrypoint/exec", { command = "true" }).status)
    daemon:stop()
  end)
end)

describe("a session of an old daemon", function()
  it("hangs when its shell dies, and fails without a code", function()
    local daemon = toolbox.start { legacy = "0.190", time_scale = 20 }
    local r = daemon:post("/process/session/nope/exec", { command = "true" })
    assert.are.equal(500, r.status)
    assert.are.equal("failed to execute command: not found: session not found", r.json.message)
    assert.is_nil(r.json.code)
    assert.are.equal("", daemon:post("/process/session/nope/exec", {}).body)
    daemon:post("/process/session", { sessionId = "s" })
    r = daemon:post("/process/session/s/exec", { command = "exit 1" }, { curl = { "--max-time", "0.3" } })
    assert.are.equal(28, r.exit)
    r = daemon:post("/process/session/s/exec", { command = "true" })
    assert.is_truthy(r.json.message:find("broken pipe", 1, true))
    assert.are.equal(204, daemon:request("DELETE", "/process/session/s").status)
    daemon:stop()
  end)
end)
