-- What is said to a sandbox over a WebSocket, and how it fails: with the errors
-- that requests fail with.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local task = require "daytona.loop.task"
local websocket = require "daytona.http.websocket"
local websocket_peer = require "spec.support.websocket_peer"

describe("a socket", function()
  local peer, connection

  setup(function()
    peer = websocket_peer.start()
    local client = assert(daytona.new {
      api_key = "secret-key", api_url = peer.ws:gsub("^ws", "http"), max_retries = 2,
    })
    connection = client:connection_of "spec"
  end)
  teardown(function() peer:close() end)

  local function open(path, fields)
    local request = { path = path, operation = "talk", sandbox = "box" }
    for name, value in pairs(fields or {}) do request[name] = value end
    return websocket.open(connection, request)
  end

  it("carries messages, and closes with a word", function()
    local socket = assert(open "/echo")
    assert.equal("websocket (open)", tostring(socket))
    assert.is_true(socket:send("h\195\169", true))
    assert.is_true(socket:send "\0\255")
    assert.same({ "h\195\169", true }, { socket:receive() })
    assert.same({ "\0\255", false }, { socket:receive() })
    assert.is_nil(socket:ready())
    socket:close()
    socket:close()
    assert.is_true(socket:done())
  end)

  it("sends the client's headers", function()
    local socket = assert(open("/headers", { headers = { ["X-Test"] = "mine" } }))
    assert.equal("mine", (socket:receive()))
    assert.truthy(socket:receive():find "^sdk%-lua/")
    assert.equal("Bearer secret-key", (socket:receive()))
    assert.is_false((socket:receive()))
    socket:abort()
  end)

  it("hands over why the other side closed it", function()
    local socket = assert(open "/echo")
    assert(socket:send("close 4008 too long", true))
    local data, code, reason = socket:receive()
    assert.same({ false, 4008, "too long" }, { data, code, reason })
    assert.same({ 4008, "too long" }, { socket.code, socket.reason })
    local sent, err = socket:send "late"
    assert.is_nil(sent)
    assert.equal("connection", err.kind)
    assert.truthy(tostring(err):find("4008: too long", 1, true))
    socket:close()
  end)

  it("that is refused fails as a request does", function()
    local socket, err = open "/refuse"
    assert.is_nil(socket)
    assert.same({ "not_found", 404, "NOT_FOUND", "talk" }, { err.kind, err.status, err.code, err.operation })
  end)

  it("that breaks says so, after what had arrived", function()
    local socket = assert(open "/drop")
    assert.equal("last words", (socket:receive()))
    local data, err = socket:receive()
    assert.is_nil(data)
    assert.same({ "connection", "reset", true }, { err.kind, err.code, err.retryable })
    socket:abort()
  end)

  it("waits no longer than it is told to, and stays open then", function()
    local socket = assert(open "/echo")
    local data, err = socket:receive(loop.now() + 0.02)
    assert.is_nil(data)
    assert.same({ "timeout", "wait", "talk" }, { err.kind, err.code, err.operation })
    assert(socket:send("still here", true))
    assert.equal("still here", (socket:receive()))
    socket:close()
    local _, late = open("/silent", { timeout = 0.05 })
    assert.equal("timeout", late.kind)
  end)

  it("ends with the task that waits for it", function()
    local socket = assert(open "/echo")
    local waiting = task.spawn(function() return socket:receive() end)
    waiting:cancel()
    local _, err = waiting:wait()
    assert.is_true(errors.is(err, "canceled"))
    socket:abort()
  end)

  it("tries again when nobody listens, and then gives up", function()
    local closed = assert(daytona.new { api_key = "k", api_url = "http://127.0.0.1:1", max_retries = 1 })
    local _, err = websocket.open(closed:connection_of "spec", { path = "/x", operation = "talk" })
    assert.same({ "connection", "connect" }, { err.kind, err.code })
  end)
end)
