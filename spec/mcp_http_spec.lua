-- MCP over Streamable HTTP: what is refused and why, and the example for nginx, against
-- the local server.

local daytona = require "daytona"
local http = require "daytona.agent.mcp.http"
local json = require "daytona.http.json"
local nginx = require "spec.support.nginx"
local protocol = require "daytona.agent.mcp.protocol"
local shape = require "daytona.agent.shape"

local PREFIX = "io.modelcontextprotocol/"

local function modern(method, params, id)
  params = params or {}
  params._meta = params._meta or {}
  params._meta[PREFIX .. "protocolVersion"] = "2026-07-28"
  params._meta[PREFIX .. "clientCapabilities"] = {}
  return { jsonrpc = "2.0", id = id == nil and 1 or id or nil, method = method, params = params }
end

local function headers_for(message, more)
  local params = message.params or {}
  local headers = { ["content-type"] = "application/json", accept = "application/json, text/event-stream",
    host = "me:80", ["mcp-protocol-version"] = "2026-07-28", ["mcp-method"] = message.method,
    ["mcp-name"] = params.name or params.uri }
  for name, value in pairs(more or {}) do headers[name] = value or nil end
  return headers
end

describe("a request over HTTP", function()
  local server = protocol.new(daytona.tools { {
    name = "double", description = "Twice.", input = shape.object { { "n", shape.number() } },
    output = shape.object { { "n", shape.number() } },
    run = function(args, call)
      call:progress("at it", 1, 2)
      return { n = args.n * 2 }
    end,
  }, {
    name = "routed", description = "By its arguments.", run = function() return {} end,
    input = { type = "object", properties = {
      region = { type = "string", ["x-mcp-header"] = "Region" },
      more = { type = "object", properties = {
        n = { type = "integer", ["x-mcp-header"] = "N" }, on = { type = "boolean", ["x-mcp-header"] = "On" } } },
    } },
  } })

  local function answer(message, more, opts)
    local body = type(message) == "string" and message or assert(json.encode(message))
    local of = type(message) == "table" and message or {}
    local given = http.answer(server, { method = "POST", headers = headers_for(of, more), body = body }, opts)
    return given, given.body and json.decode(given.body)
  end

  it("of the newest revision is answered by itself", function()
    local given, response = answer(modern("tools/call", { name = "double", arguments = { n = 4 } }))
    assert.equal(200, given.status)
    assert.equal("application/json", given.headers["Content-Type"])
    assert.same({ n = 8 }, response.result.structuredContent)
    assert.equal("double", select(2, answer(modern "tools/list")).result.tools[1].name)
    assert.equal(200, answer(modern "server/discover").status)
  end)

  it("of a revision before needs no headers of the newest", function()
    local none = { ["mcp-protocol-version"] = false, ["mcp-method"] = false, ["mcp-name"] = false }
    local message = { jsonrpc = "2.0", id = 0, method = "initialize", params = { protocolVersion = "2025-11-25" } }
    assert.equal("2025-11-25", select(2, answer(message, none)).result.protocolVersion)
    none["mcp-protocol-version"] = "2025-06-18"
    assert.same({}, select(2, answer({ jsonrpc = "2.0", id = 1, method = "ping" }, none)).result)
    assert.equal(202, answer({ jsonrpc = "2.0", method = "notifications/initialized" }, none).status)
  end)

  it("whose headers and body disagree is refused", function()
    local message = modern("tools/call", { name = "double", arguments = { n = 4 } })
    for name, value in pairs {
      ["mcp-protocol-version"] = "2025-11-25", ["mcp-method"] = "tools/list", ["mcp-name"] = "other",
    } do
      for _, said in ipairs { value, false } do
        local given, response = answer(message, { [name] = said })
        assert.same({ 400, -32020 }, { given.status, response.error.code })
        assert.truthy(response.error.message:lower():find(name, 1, true))
      end
    end
    for _, method in ipairs { "tasks/get", "tasks/update", "tasks/cancel" } do
      local given, response = answer(modern(method, { taskId = "a" }), { ["mcp-name"] = "b" })
      assert.same({ 400, -32020 }, { given.status, response.error.code })
    end
  end)

  it("that does not say what it has to about itself is refused", function()
    for _, without in ipairs { "protocolVersion", "clientCapabilities" } do
      local message = modern "tools/list"
      message.params._meta[PREFIX .. without] = nil
      local given, response = answer(message)
      assert.same({ 400, -32602 }, { given.status, response.error.code })
      assert.truthy(response.error.message:find(without, 1, true))
    end
    local given, response = answer({ jsonrpc = "2.0", id = 1, method = "tools/list" })
    assert.same({ 400, -32602 }, { given.status, response.error.code })
    assert.equal(202, answer({ jsonrpc = "2.0", method = "notifications/cancelled" }).status)
  end)

  it("says in headers what a tool's schema marks", function()
    local function status(arguments, headers)
      return answer(modern("tools/call", { name = "routed", arguments = arguments }), headers).status
    end
    local arguments = { region = "Zürich", more = { n = 42, on = false } }
    local function with(name, value)
      local headers = { ["mcp-param-region"] = "=?base64?WsO8cmljaA==?=", ["mcp-param-n"] = "42.0",
        ["mcp-param-on"] = "false" }
      headers[name] = value
      return headers
    end
    assert.equal(200, status(arguments, with("x", "y")))
    assert.equal(200, status({}))
    assert.equal(200, status({ region = "=?base64?eA==" }, { ["mcp-param-region"] = "=?base64?eA==" }))
    for name, values in pairs {
      ["mcp-param-region"] = { false, "", "Zurich", "=?base64?WsO8cmljaA?=", "=?base64?WsO8!!!cmljaA==?=" },
      ["mcp-param-n"] = { false, "43", "x" }, ["mcp-param-on"] = { false, "true", "0" },
    } do
      for _, value in ipairs(values) do assert.equal(400, status(arguments, with(name, value)), name) end
    end
  end)

  it("says by its status what kind of error it is", function()
    local _, response
    local given = answer "{"
    assert.equal(400, given.status)
    given, response = answer(modern "no/such")
    assert.same({ 404, -32601 }, { given.status, response.error.code })
    given, response = answer(modern("tools/call", { name = "none" }))
    assert.same({ 200, -32602 }, { given.status, response.error.code })
    given = answer "[1]"
    assert.equal(400, given.status)
    _, response = answer(modern("tools/call", { name = "double", arguments = { n = "x" } }))
    assert.is_true(response.result.isError)
  end)

  it("from elsewhere, of another kind or without permission is refused", function()
    local message = modern "tools/list"
    local function status(more, opts, method)
      return http.answer(server, { method = method or "POST", headers = headers_for(message, more),
        body = json.encode(message) }, opts).status
    end
    assert.equal(200, status { origin = "http://me:80" })
    assert.equal(403, status { origin = "http://evil.example" })
    assert.equal(403, status { origin = "null" })
    assert.equal(200, status({ origin = "http://app.example" }, { origins = { "http://app.example" } }))
    assert.equal(200, status(nil, { hosts = { "other", "ME" } }))
    assert.equal(403, status(nil, { hosts = { "other" } }))
    assert.equal(403, status({ host = "[::2]:80" }, { hosts = { "[::1]" } }))
    assert.equal(200, status({ host = "[::1]:80" }, { hosts = { "[::1]" } }))
    assert.equal(405, status(nil, nil, "GET"))
    assert.equal(415, status { ["content-type"] = "text/plain" })
    assert.equal(406, status { accept = "text/html" })
    assert.equal(200, status { accept = false })
    local function token(headers) return headers.authorization == "Bearer x", "no" end
    assert.equal(401, status(nil, { authorize = token }))
    assert.equal(200, status({ authorization = "Bearer x" }, { authorize = token }))
  end)

  it("that asks for progress is answered by events", function()
    local message = modern("tools/call", { name = "double", arguments = { n = 4 }, _meta = { progressToken = 7 } })
    local given, events = answer(message), {}
    assert.equal("text/event-stream", given.headers["Content-Type"])
    given.stream(function(text) events[#events + 1] = json.decode(text:match "^event: message\ndata: (.*)\n\n$") end)
    assert.same({ progressToken = 7, progress = 1, total = 2, message = "at it" }, events[1].params)
    assert.same({ n = 8 }, events[2].result.structuredContent)
    assert.equal("application/json", answer(message, { accept = "application/json" }).headers["Content-Type"])
  end)
end)

describe("the example for nginx", function()
  local service, box, server

  setup(function()
    service = require("spec.support.service").start()
    box = assert(service.client:create { name = "http" })
    server = nginx.start { config = "examples/openresty/mcp.conf", prefix = "examples/openresty", env = {
      DAYTONA_API_URL = service.server.api_url, DAYTONA_API_KEY = service.server.api_key, MCP_TOKEN = "hunter22",
      HOME = "/" } }
  end)

  teardown(function()
    local log = server:stop()
    service:stop()
    assert.equal("", nginx.complaints(log))
  end)

  local function curl(message, more, options)
    local body = os.tmpname()
    local file = io.open(body, "wb")
    file:write(json.encode(message))
    file:close()
    local words = { "curl", "-sN", "-w", "'\\n%{http_code}'", options or "", "--data-binary", "@" .. body }
    local headers = headers_for(message, more)
    headers.host, headers.authorization = nil, headers.authorization or "Bearer hunter22"
    for name, value in pairs(headers) do words[#words + 1] = ("-H '%s: %s'"):format(name, value) end
    words[#words + 1] = ("http://127.0.0.1:%s/mcp"):format(server.port)
    local pipe = io.popen(table.concat(words, " "))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(body)
    local answer, status = text:match "^(.*)\n(%d+)$"
    return tonumber(status), answer
  end

  local function execute(command, meta)
    return modern("tools/call", { name = "daytona_execute_command", _meta = meta,
      arguments = { sandboxId = box.id, command = command, timeout = 600 } })
  end

  it("lists and calls tools", function()
    local status, text = curl(modern "tools/list")
    assert.equal(200, status)
    assert.equal(12, #json.decode(text).result.tools)
    status, text = curl(execute "echo hi; exit 3")
    assert.equal(200, status)
    assert.same({ exitCode = 3, result = "hi\n" }, json.decode(text).result.structuredContent)
    assert.equal(401, (curl(modern "tools/list", { authorization = "Bearer x" })))
    assert.equal(403, (curl(modern "tools/list", { origin = "http://evil.example" })))
    for name, wanted in pairs { localhost = 200, ["evil.example"] = 403 } do
      assert.equal(wanted, (curl(modern "tools/list", nil, ("-H 'Host: %s:%s'"):format(name, server.port))))
    end
    assert.equal(400, (curl(modern "tools/list", { ["mcp-method"] = "other" })))
  end)

  it("takes ten megabytes", function()
    local message = modern("tools/call", { name = "daytona_upload_file", arguments = { sandboxId = box.id,
      destinationPath = "ten", fileContent = require("daytona.base.base64").encode(("x"):rep(10000000)) } })
    local _, text = curl(message)
    assert.equal(10000000, json.decode(text).result.structuredContent.size)
  end)

  it("streams progress, and then the result", function()
    local _, text = curl(execute("echo one; sleep 1.5; echo two", { progressToken = 1 }))
    local first, last = text:match "^event: message\ndata: (%b{})", text:match ".*data: (%b{})"
    assert.equal("one", json.decode(first).params.message)
    assert.equal("one\ntwo\n", json.decode(last).result.structuredContent.result)
  end)

  it("ends in the sandbox what a client that hangs up had begun", function()
    local sleep = "sleep 8" .. os.time() % 100000
    curl(execute(sleep, { progressToken = 1 }), nil, "-m 1")
    local deadline = os.time() + 20
    repeat
      local found = box:exec("pgrep -fx '" .. sleep .. "' || true").result
    until found == "" or os.time() > deadline
    assert.equal("", box:exec("pgrep -fx '" .. sleep .. "' || true").result)
  end)
end)
