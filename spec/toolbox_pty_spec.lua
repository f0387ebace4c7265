-- Terminals in a sandbox.

local nap = require "spec.support.nap"
local toolbox = require "spec.support.toolbox"

local VERSION = { ["X-Daytona-SDK-Version"] = "0.205.1" }

describe("a terminal", function()
  local daemon, number, id = nil, 0, nil
  setup(function() daemon = toolbox.start { env = { PATH = os.getenv "PATH", PS1 = "$ " } } end)
  teardown(function() daemon:stop() end)
  before_each(function()
    number = number + 1
    id = "t" .. number
  end)

  local function create(more)
    local body = { id = id }
    for name, value in pairs(more or {}) do body[name] = value end
    return daemon:post("/process/pty", body)
  end

  local function connect(steps, o)
    o = o or {}
    o.steps, o.headers = steps, VERSION
    return daemon:talk("/process/pty/" .. id .. "/connect", o)
  end

  local function create_connect(query, steps, protocols)
    query.id = query.id or id
    return daemon:talk("/process/pty/create-connect",
      { query = query, steps = steps, protocols = protocols, headers = VERSION })
  end

  -- Whether it comes to be so.
  local function wait_until(holds)
    for _ = 1, 300 do
      if holds() then return true end
    end
    return false
  end

  local function fails(r, status, code)
    assert.are.equal(status, r.status, r.body)
    assert.are.equal(code, r.json.code)
  end

  it("is made, listed, described and killed", function()
    local r = create { cols = 100, rows = 30, cwd = "/tmp", envs = { A = "1" } }
    assert.are.same({ 201, id }, { r.status, r.json.sessionId })
    local info = daemon:request("GET", "/process/pty/" .. id).json
    assert.are.same({ 100, 30, "/tmp", true, false },
      { info.cols, info.rows, info.cwd, info.active, info.lazyStart })
    assert.are.same({ A = "1", TERM = "xterm-256color" }, info.envs)
    assert.are.equal(id, daemon:request("GET", "/process/pty").json.sessions[1].id)
    r = daemon:request("DELETE", "/process/pty/" .. id)
    assert.are.equal("PTY session deleted", r.json.message)
    fails(daemon:request("GET", "/process/pty/" .. id), 404, "PROCESS_NOT_FOUND")
    assert.are.equal('{"sessions":[]}', daemon:request("GET", "/process/pty").body)
  end)

  it("is an interactive shell of its size, with its variables, in its folder", function()
    local events = create_connect({ cols = "91", rows = "17", cwd = "/tmp" }, {
      { send = "stty size; tty -s && echo is-$A-$TERM; pwd; exit\n" },
    }, { "X-Daytona-Pty-Envs~eyJBIjoiMSJ9", "X-Daytona-Pty-Exit-Control" })()
    assert.is_truthy(events.binary:find "17 91\r\n")
    assert.is_truthy(events.binary:find "is%-1%-xterm%-256color\r\n/tmp\r\n")
    assert.are.equal("X-Daytona-Pty-Exit-Control", events[1][2]) -- chosen of what was offered
    assert.is_truthy(events.text:find('{"type":"control","status":"connected"}', 1, true))
    assert.is_truthy(events.text:find('"status":"exited"', 1, true))
    assert.are.same({ 1000, '{"exitCode":0}' }, { events.code, events.reason })
  end)

  it("tells its exit code when all output is out", function()
    local events = create_connect({}, { { send = "seq 20000; exit 3\n", kind = "binary" } })()
    assert.is_truthy(events.binary:find "19999\r\n20000\r\n")
    assert.are.equal(1011, events.code)
    assert.is_truthy(events.reason:find('"exitCode":3', 1, true))
    assert.is_truthy(events.reason:find('"exitReason":"non-zero exit"', 1, true))
    assert.is_truthy(events.text:find('"exitCode":3', 1, true))
    for _, event in ipairs(events) do assert.is_true(#event[2] <= 32768) end
  end)

  it("takes control characters", function()
    local events = create_connect({}, {
      { send = "sh -c 'echo go; exec sleep 100'\n" }, { after = "go\r\n", send = "\3" },
      { after = "^C", send = "exit $?\n" },
    })()
    assert.is_truthy(events.reason:find('"exitCode":130', 1, true))
    assert.is_truthy(events.reason:find('"exitReason":"Ctrl+C"', 1, true))
    assert.is_truthy(events.text:find('"exitReason":"(SIGINT - Ctrl+C)"', 1, true))
  end)

  it("goes on without a client, and can be shared", function()
    create()
    connect { { send = "X=kept; echo set-$X\n" }, { after = "set-kept\r\n", close = 1000 } }()
    local watcher = connect {}
    local typist = connect { { send = "echo again-$X; exit\n" } }
    assert.is_truthy(typist().binary:find "again%-kept\r\n")
    local seen = watcher()
    assert.is_truthy(seen.binary:find "again%-kept\r\n")
    assert.are.equal(1000, seen.code)
  end)

  it("is resized while it runs", function()
    create()
    local talk = connect {
      { send = "trap 'echo now $(stty size)' WINCH; echo ready\n" },
      { after = "now 40 120\r\n", send = "exit\n" },
    }
    for _ = 1, 50 do
      local r = daemon:post("/process/pty/" .. id .. "/resize", { cols = 120, rows = 40 })
      if r.status ~= 200 then break end
      assert.are.same({ 120, 40 }, { r.json.cols, r.json.rows })
      daemon:post("/process/pty/" .. id .. "/resize", { cols = 121, rows = 40 })
    end
    assert.are.equal(1000, talk().code)
    fails(daemon:post("/process/pty/" .. id .. "/resize", { cols = 1, rows = 1 }), 410, "SESSION_ENDED")
  end)

  it("is killed from outside", function()
    create()
    local talk = connect { { send = nap(3002) .. "\n" } }
    local function runs() return daemon:exec("pgrep -fx '" .. nap(3002) .. "'").exitCode == 0 end
    assert(wait_until(runs), "the command did not start")
    assert.are.equal(200, daemon:request("DELETE", "/process/pty/" .. id).status)
    local events = talk()
    assert.are.equal(1011, events.code)
    assert.is_truthy(events.reason:find('"exitCode":137', 1, true))
    assert.is_truthy(events.reason:find('"exitReason":"SIGKILL"', 1, true))
    assert(wait_until(function() return not runs() end), "the command survived its terminal")
  end)

  it("may wait for its first client to start", function()
    assert.are.equal(201, create({ lazyStart = true }).status)
    assert.is_false(daemon:request("GET", "/process/pty/" .. id).json.active)
    fails(daemon:post("/process/pty/" .. id .. "/resize", { cols = 9, rows = 9 }), 500,
      "INTERNAL_SERVER_ERROR")
    assert.are.equal(1000, connect({ { send = "exit\n" } })().code)
  end)

  it("that cannot be had is refused, before or after the upgrade", function()
    create()
    fails(create(), 409, "CONFLICT")
    fails(daemon:post("/process/pty", {}), 400, "BAD_REQUEST")
    fails(daemon:post("/process/pty", { id = "x", cols = 1001 }), 400, "BAD_REQUEST")
    fails(daemon:post("/process/pty", { id = "x", cwd = "/nope" }), 500, "INTERNAL_SERVER_ERROR")
    local upgrade = { Upgrade = "websocket", Connection = "Upgrade",
      ["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA==", ["Sec-WebSocket-Version"] = "13" }
    local function ask(query, protocol)
      upgrade["Sec-WebSocket-Protocol"] = protocol
      return daemon:request("GET", "/process/pty/create-connect", { query = query, headers = upgrade })
    end
    fails(ask {}, 400, "BAD_REQUEST")
    fails(ask { id = id }, 409, "CONFLICT")
    fails(ask { id = "x", cols = "2000" }, 400, "BAD_REQUEST")
    fails(ask({ id = "x" }, "X-Daytona-Pty-Envs~!!"), 400, "BAD_REQUEST")
    daemon:request("DELETE", "/process/pty/" .. id)
    local events = connect()()
    assert.are.equal("gone", events[#events][1])
    assert.is_truthy(events.text:find("Failed to connect to PTY session: PTY session " .. id
      .. " not found", 1, true))
    events = create_connect({ cwd = "/nope" }, {})()
    assert.is_truthy(events.text:find("Failed to start PTY session: chdir \\/nope", 1, true)
      or events.text:find("Failed to start PTY session: chdir /nope", 1, true))
    fails(daemon:request("GET", "/process/pty/" .. id), 404, "PROCESS_NOT_FOUND")
  end)

  it("drops a client that sends too much at once", function()
    create()
    assert.are.equal(1009, connect({ { send = ("x"):rep(65537), kind = "binary" } })().code)
    assert.are.equal(200, daemon:request("GET", "/process/pty/" .. id).status)
    daemon:request("DELETE", "/process/pty/" .. id)
  end)

  it("answers pings and takes a client's sudden end", function()
    create()
    connect { { ping = "x" }, { after = "connected", drop = true } }()
    assert.are.equal(200, daemon:request("GET", "/process/pty/" .. id).status)
    assert.are.equal(1000, connect({ { send = "exit\n" } })().code)
  end)
end)

describe("a terminal of an old daemon", function()
  it("tells its end by the close reason alone, and cannot be made by connecting", function()
    local daemon = toolbox.start { legacy = "0.190" }
    local r = daemon:request("GET", "/process/pty/create-connect", { query = { id = "x" } })
    assert.are.same({ 404, "PTY session not found" }, { r.status, r.json.error })
    daemon:post("/process/pty", { id = "x" })
    local events = daemon:talk("/process/pty/x/connect", { steps = { { send = "exit 3\n" } } })()
    assert.is_nil(events.text:find("exited", 1, true))
    assert.are.equal(1011, events.code)
    daemon:stop()
  end)
end)
