-- WebSockets as the layers above see them, against lua-http's server.

local core = require "daytona.base.native"
local loop = require "daytona.loop"
local task = require "daytona.loop.task"
local websocket_peer = require "spec.support.websocket_peer"

describe("a WebSocket", function()
  local peer

  setup(function() peer = websocket_peer.start() end)
  teardown(function() peer:close() end)

  local function open(path, options)
    options = options or {}
    options.url = options.url or peer.ws .. path
    options.timeout = options.timeout or 20
    return assert(loop.open(options))
  end

  -- The next message of an op; what `receive` says at the end.
  local function receive(op)
    while true do
      local data, a, b = op.transfer:receive()
      if data ~= nil or a then return data, a, b end
      assert(loop.wait(op, core.READABLE))
    end
  end

  local function finish(op)
    while not op.done do assert(loop.wait(op, core.DONE)) end
    return op.transfer:result()
  end

  it("carries text and binary messages of any size both ways", function()
    local op = open "/echo"
    assert.is_false(op.transfer:is_open())
    assert(loop.wait(op, core.HEADERS))
    assert.is_true(op.transfer:is_open())
    assert.equal(101, op.transfer:status())
    local messages = { "", "x", "h\195\169", ("0123456789"):rep(7000), ("y"):rep(200000) }
    for _, message in ipairs(messages) do
      assert.is_true(op.transfer:send(message, true))
      local data, text, final = receive(op)
      assert.equal(message, data)
      assert.is_true(text)
      assert.is_true(final)
    end
    assert.is_true(op.transfer:send "\0\255binary")
    local data, text = receive(op)
    assert.equal("\0\255binary", data)
    assert.is_false(text)
    op.transfer:finish()
    local code, reason = finish(op)
    assert.equal(1000, code)
    assert.equal("", reason)
    assert.is_false((op.transfer:receive()))
    assert.is_false(op.transfer:is_open())
    loop.close(op)
  end)

  it("takes messages before it is open", function()
    local op = open "/echo"
    assert.is_true(op.transfer:send("at once", true))
    assert.equal("at once", (receive(op)))
    loop.close(op)
  end)

  it("hands over the peer's close code and reason", function()
    local reason = '{"exitCode":3,"exitReason":"non-zero exit"}'
    for _, code in ipairs { 1000, 1001, 1008, 1011, 4008 } do
      local op = open "/echo"
      op.transfer:send(("close %d %s"):format(code, reason), true)
      assert.is_false((receive(op)))
      local got, why = finish(op)
      assert.equal(code, got)
      assert.equal(reason, why)
      assert.is_nil((op.transfer:send "late"))
      loop.close(op)
    end
  end)

  it("tells a connection that just ends from one that was closed", function()
    local op = open "/drop"
    assert.equal("last words", (receive(op)))
    local data, code = receive(op)
    assert.is_nil(data)
    assert.equal("reset", code)
    local status, why, message = finish(op)
    assert.is_nil(status)
    assert.equal("reset", why)
    assert.matches("without a close frame", message)
    loop.close(op)
  end)

  it("hands over a refusal as the HTTP answer that it is", function()
    local op = open "/refuse"
    local opened, status, body = finish(op)
    assert.is_false(opened)
    assert.equal(404, status)
    assert.equal('{"code":"NOT_FOUND"}', body)
    assert.equal("application/json", op.transfer:header "Content-Type")
    assert.equal("application/json", op.transfer:headers()["content-type"])
    loop.close(op)
  end)

  it("sends headers, the profile's too, and subprotocols", function()
    local profile = core.profile {
      headers = { "Authorization: Bearer k", "X-Test: profile" },
      user_agent = "spec/1",
    }
    local op = open("/headers", { profile = profile, headers = { "X-Test: mine" } })
    assert.equal("mine", (receive(op)))
    assert.equal("spec/1", (receive(op)))
    assert.equal("Bearer k", (receive(op)))
    loop.close(op)
    op = open("/protocols", { protocols = "one~1, two" })
    assert.equal("one~1, two", (receive(op)))
    assert.equal("one~1", op.transfer:header "sec-websocket-protocol")
    loop.close(op)
    op = open("/echo", { protocols = "not-selected" })
    assert(loop.wait(op, core.HEADERS))
    assert.is_nil(op.transfer:header "sec-websocket-protocol")
    loop.close(op)
  end)

  it("goes over TLS, and trusts nobody it should not", function()
    local op = open("", { url = peer.wss .. "/echo" })
    local status, code = finish(op)
    assert.is_nil(status)
    assert.equal("tls", code)
    loop.close(op)
    op = open("", { url = peer.wss .. "/echo", profile = core.profile { insecure = true } })
    local message = ("secret "):rep(30000)
    assert.is_true(op.transfer:send(message))
    assert.equal(message, (receive(op)))
    op.transfer:finish(4000, "bye")
    assert.equal(4000, (finish(op)))
    loop.close(op)
    op = open("", { url = peer.wss .. "/many?3000", profile = core.profile { insecure = true } })
    for i = 1, 3000 do assert.equal(tostring(i), (receive(op))) end
    assert.equal(1000, (finish(op)))
    loop.close(op)
  end)

  it("over TLS leaves requests the connections that are kept for them", function()
    local engine, profile = core.new { max_connections = 1 }, core.profile { insecure = true }
    local function until_true(fn)
      local limit = loop.now() + 20
      while not fn() and loop.now() < limit do engine:poll(1) end
      assert.is_true(fn())
    end
    local sockets = {}
    for i = 1, 4 do
      local socket = assert(engine:open { url = peer.wss .. "/echo", profile = profile })
      until_true(function() return socket:is_open() end)
      sockets[i] = socket
    end
    for _ = 1, 3 do
      local transfer = assert(engine:start { url = peer.wss:gsub("^wss", "https") .. "/refuse", profile = profile })
      until_true(function() return transfer:result() ~= nil end)
      assert.equal(404, transfer:status())
      transfer:close()
    end
    local connects = engine:stats().connects
    for _, socket in ipairs(sockets) do socket:close() end
    engine:close()
    assert.equal(#sockets + 1, connects)
  end)

  it("is not read while nobody takes its messages, and loses none", function()
    local op = open("/many?100000", { timeout = 120 })
    assert(loop.wait(op, core.READABLE))
    loop.sleep(0.1)
    local received = op.transfer:progress()
    for i = 1, 100000 do
      local data = receive(op)
      if data ~= tostring(i) then error("message " .. i .. " is " .. tostring(data)) end
    end
    assert.is_false((receive(op)))
    assert.is_true(received < op.transfer:progress())
    loop.close(op)
  end)

  it("stops taking messages while the peer does not, over TLS too", function()
    local block, blocks = ("x"):rep(65536), 150
    for _, url in ipairs { peer.ws, peer.wss } do
      local op = open("", {
        url = ("%s/late?%d"):format(url, #block * blocks),
        profile = core.profile { insecure = true },
      })
      local full = 0
      for _ = 1, blocks do
        while not op.transfer:send(block) do
          full = full + 1
          assert(loop.wait(op, core.WRITABLE))
        end
      end
      assert.is_true(full > 0)
      assert.equal(tostring(#block * blocks), (receive(op)))
      assert.equal(1000, (finish(op)))
      loop.close(op)
    end
  end)

  it("hands out long messages in pieces when asked to", function()
    local op = open("/echo", { stream = true })
    local message, pieces, size = ("long "):rep(100000), {}, 0
    op.transfer:send(message, true)
    repeat
      local data, text, final = receive(op)
      assert.is_true(text)
      pieces[#pieces + 1], size = data, size + #data
    until final
    assert.equal(message, table.concat(pieces))
    assert.is_true(#pieces > 2)
    loop.close(op)
  end)

  it("fails on a message above its cap", function()
    local op = open("/echo", { max_message = 1000 })
    op.transfer:send(("x"):rep(1000))
    op.transfer:send(("y"):rep(1001))
    assert.equal(1000, #receive(op))
    local data, code = receive(op)
    assert.is_nil(data)
    assert.equal("too_large", code)
    loop.close(op)
  end)

  it("keeps its deadlines", function()
    local started = core.now()
    local op = open("/silent", { open_timeout = 0.05 })
    local status, code = finish(op)
    assert.is_nil(status)
    assert.equal("timeout", code)
    loop.close(op)
    op = open("/echo", { idle_timeout = 0.05 })
    assert.equal("idle_timeout", (select(2, finish(op))))
    loop.close(op)
    assert.is_true(core.now() - started < 5)
  end)

  it("is cancelled with its task", function()
    local op
    local t = task.spawn(function()
      op = open "/echo"
      return loop.wait(op, core.READABLE)
    end)
    loop.sleep(0.05)
    t:cancel()
    local ok, err = t:wait()
    assert.is_nil(ok)
    assert.equal("canceled", err.kind)
    assert.equal("canceled", (select(2, finish(op))))
    loop.close(op)
  end)

  it("refuses what would change the request", function()
    local function refused(options)
      local op, message = loop.open(options)
      assert.is_nil(op)
      return message
    end
    assert.equal("url", refused { url = "ftp://127.0.0.1/" })
    assert.equal("url", refused { url = "ws://127.0.0.1/a\r\nX: b" })
    assert.equal("url", refused { url = "ws://user:secret@127.0.0.1/" })
    assert.equal("url", refused { url = "ws://127.0.0.1/\0" })
    assert.equal("a header", refused { url = peer.ws .. "/", headers = { "X: a\nY: b" } })
    assert.equal("a header", refused { url = peer.ws .. "/", headers = { "X: a\0" } })
    assert.equal("a header", refused { url = peer.ws .. "/", headers = { "upgrade: h2c" } })
    assert.equal("the subprotocols", refused { url = peer.ws .. "/", protocols = "a\nb" })
    assert.has_error(function() loop.open {} end)
    assert.has_error(function() loop.open { url = 1 } end)
  end)

  it("raises on misuse", function()
    local op = open "/echo"
    assert(loop.wait(op, core.HEADERS))
    local ws = op.transfer
    assert.matches("^daytona.core.WebSocket: %d+$", tostring(ws))
    assert.has_error(function() ws:finish(1005) end)
    assert.has_error(function() ws:finish(1000, ("x"):rep(124)) end)
    assert.has_error(function() ws:send {} end)
    loop.close(op)
    ws:close()
    assert.matches("closed", tostring(ws))
    assert.has_error(function() ws:receive() end)
  end)

  it("is pinged together with all the others", function()
    local ops, before = {}, {}
    for i = 1, 5 do
      ops[i] = open("/echo", { ping_interval = 0.4 })
      assert(loop.wait(ops[i], core.HEADERS))
      loop.sleep(0.02)
    end
    local function sent(i) return (select(2, ops[i].transfer:progress())) end
    loop.sleep(0.12) -- the last one, too, has been silent for long enough
    for i = 1, 5 do before[i] = sent(i) end
    repeat loop.poll() until sent(1) > before[1]
    for i = 1, 5 do
      assert.is_true(sent(i) > before[i], "not pinged: " .. i)
      loop.close(ops[i])
    end
  end)

  it("costs nothing while it is quiet, however many there are", function()
    local ops = {}
    for i = 1, 100 do ops[i] = open "/echo" end
    for i = 1, 100 do assert(loop.wait(ops[i], core.HEADERS)) end
    local before = loop.engine():stats()
    loop.sleep(0.2)
    local after = loop.engine():stats()
    assert.is_true(after.steps - before.steps <= 2)
    for i = 1, 100 do
      ops[i].transfer:send(tostring(i), true)
      assert.equal(tostring(i), (receive(ops[i])))
      loop.close(ops[i])
    end
    assert.is_false(loop.busy())
  end)
end)

describe("the opening of a WebSocket that was reset", function()
  local client = assert(require("daytona").new { api_key = "k", api_url = "http://127.0.0.1:1", max_retries = 2 })
  local real = {}
  setup(function()
    for _, name in ipairs { "open", "wait", "close", "sleep" } do real[name] = loop[name] end
  end)
  teardown(function()
    for name, fn in pairs(real) do loop[name] = fn end
    client:close()
  end)

  -- How often it is tried where none succeeds.
  local function tries(safe, sent)
    local n = 0
    loop.open = function()
      n = n + 1
      return { transfer = {
        is_open = function() return false end, status = function() return nil end,
        trace = function() return sent end, result = function() return nil, "reset", "", 0 end,
      } }
    end
    loop.wait, loop.close, loop.sleep = function() return true end, function() end, function() return true end
    local socket, err = require("daytona.http.websocket").open(client.connection,
      { path = "/x", operation = "x", safe = safe })
    assert.is_nil(socket)
    assert.same({ "reset", sent }, { err.code, err.sent })
    return n
  end

  it("is tried again only where it did not leave, or twice does no harm", function()
    assert.same({ 3, 1, 3, 3 }, { tries(false, false), tries(false, true), tries(true, false), tries(true, true) })
  end)
end)
