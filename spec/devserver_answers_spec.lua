-- Answers of the local server as the service gives them: statuses, texts, fields, and what
-- `strict` and an old release do otherwise. Recorded on the real one.

local daytona = require "daytona"
local shell = require "daytona.base.shell"

describe("the local server answers as the service does:", function()
  local plane, id

  setup(function()
    plane = require("spec.support.plane").start()
    id = plane:create { name = "it", env = { A = "b" } }
  end)
  teardown(function() plane:stop() end)

  local function create_refuses(status, text, body) plane:refuses(status, text, "POST", "/sandbox", body) end

  -- A raw request; status, body and head.
  local function curl(method, path, arguments, key)
    local pipe = io.popen(("curl -s -i -m 10 -X %s -H 'Authorization: Bearer %s' %s %s"):format(method,
      key or plane.server.api_key, arguments or "", shell.quote(plane.server.api_url .. path)))
    local text = pipe:read "*a"
    pipe:close()
    local head, body = text:gsub("^HTTP/1.1 100 Continue\r\n\r\n", ""):match "^(.-)\r\n\r\n(.*)$"
    return tonumber(head:match "^HTTP/1.1 (%d+)"), body, head:lower()
  end

  local JSON = "-H 'Content-Type: application/json' -d "

  it("what is not there needs no key; what is there needs a good one", function()
    local status, body = curl("GET", "/sandbox", nil, "wrong")
    assert.same({ 401, true }, { status, body:find('"message":"Invalid credentials"', 1, true) ~= nil })
    status, body = curl("GET", "/nonsense", nil, "wrong")
    assert.same({ 404, true }, { status, body:find('"message":"Cannot GET /api/nonsense"', 1, true) ~= nil })
    assert.equal(200, (curl("GET", "/sandbox/")))
    assert.equal(200, (curl("GET", "/shared-regions", nil, "wrong")))
    local _, _, head = curl("GET", "/sandbox")
    assert.truthy(head:find("x-daytona-api-version: ", 1, true))
  end)

  it("bodies that are no JSON, no object, of another kind, or too large", function()
    local status, body = curl("POST", "/sandbox", JSON .. [['{"name":']])
    assert.equal(400, status)
    local answer = require("cjson").decode(body)
    assert.same({ message = "Invalid JSON in request body", error = "Bad Request", statusCode = 400 }, answer)
    assert.equal(400, (curl("POST", "/sandbox", JSON .. "null")))
    status, body = curl("POST", "/sandbox", JSON .. "'[]'")
    assert.same({ 200, true }, { status, body:find('"state":"creating"', 1, true) ~= nil })
    status, body = curl("POST", "/sandbox", "-H 'Content-Type: text/plain' -d '{\"name\":\"x<b>\"}'")
    assert.same({ 200, nil }, { status, body:find("<b>", 1, true) })
    status, body = curl("POST", "/sandbox", "-d snapshot=nope")
    assert.same({ 400, true }, { status, body:find("Snapshot nope not found", 1, true) ~= nil })
    plane:refuses(404, "Cannot POST /api/sandbox", "POST", "/sandbox", { env = { A = ("x"):rep(102400) } })
    plane:must("POST", "/sandbox", { env = { A = ("x"):rep(100000) } })
  end)

  it("what create refuses, in the service's words", function()
    create_refuses(400, "name must not contain HTML tags, URLs, or control characters", { name = "a<b>x</b>" })
    create_refuses(400, "name must not contain HTML tags", { name = "www.example.com" })
    create_refuses(400, "name must be a string", { name = 5 })
    create_refuses(404, "Region not found", { snapshot = " ", target = "nowhere" })
    create_refuses(400, "env must be an object", { env = { "a" } })
    create_refuses(400, "labels must be an object", { labels = "a" })
    create_refuses(400, "public must be a boolean value", { public = "true" })
    create_refuses(400, "autoStopInterval must be a number conforming to the specified constraints",
      { autoStopInterval = "5" })
    create_refuses(400, "Auto-stop interval must be non-negative", { autoStopInterval = -1 })
    create_refuses(400, "Auto-archive interval must be non-negative", { autoArchiveInterval = -1 })
    create_refuses(500, "An unexpected error occurred.", { autoStopInterval = 1.5 })
    create_refuses(400, "Cannot specify Sandbox resources when using a snapshot", { cpu = 2 })
    create_refuses(400, "cpu must not be less than 0, cpu must be a number conforming", { cpu = "2" })
    create_refuses(400, "Cannot specify GPU type when creating sandbox from snapshot", { gpuType = { "H100" } })
    create_refuses(400, "each value in gpuType must be one of the following values: H100", { gpuType = { "nope" } })
    create_refuses(400, 'Invalid network format: "1.2.3.4". Missing CIDR prefix length',
      { networkAllowList = "1.2.3.4" })
    create_refuses(400, 'Invalid IP address: "::1" in network "::1/128"', { networkAllowList = "::1/128" })
    create_refuses(400, "Network allow list cannot contain more than 10 networks",
      { networkAllowList = ("10.0.0.0/24,"):rep(10) .. "10.0.1.0/24" })
    create_refuses(400, 'Invalid domain: "not a domain". Must be a valid domain name',
      { domainAllowList = "not a domain" })
    create_refuses(400, "Linked sandboxes must be ephemeral (set autoDeleteInterval to 0)", { linkedSandbox = "nope" })
    create_refuses(404, "Sandbox with ID or name nope not found", { linkedSandbox = "nope", autoDeleteInterval = 0 })
    create_refuses(400, "linkedSandbox is not supported with declarative builds",
      { linkedSandbox = "it", buildInfo = { dockerfileContent = "FROM x" } })
    create_refuses(400, "GPU sandboxes must be ephemeral - set autoDeleteInterval to 0",
      { gpu = 1, buildInfo = { dockerfileContent = "FROM x" } })
    create_refuses(400, "Total GPU limit exceeded. Maximum allowed: 0.",
      { gpu = 1, autoDeleteInterval = 0, buildInfo = { dockerfileContent = "FROM x" } })
  end)

  it("what it takes although nobody would think so", function()
    local unnamed = plane:must("POST", "/sandbox", { name = "" })
    assert.equal(unnamed.id, unnamed.name)
    plane:must("POST", "/sandbox", { name = ("n"):rep(256), colour = "blue", cpu = 0 })
    plane:must("PUT", "/sandbox/it/labels", { labels = { a = 1, b = { c = "d" }, e = true } })
    assert.same({ a = 1, b = { c = "d" }, e = true }, plane:must("GET", "/sandbox/it").labels)
    plane:must("PUT", "/sandbox/it/labels", { labels = "x" })
    assert.equal("x", plane:must("GET", "/sandbox/it").labels)
    plane:must("GET", "/sandbox", nil, { labels = '{"a":"b"}' })
    plane:must("PUT", "/sandbox/it/labels", { labels = {} })
    local odd = plane:create { env = { N = 1.5, T = true, O = { x = "y" } } }
    assert.equal('1.5 true {"x":"y"}\n', plane:run(odd, "echo $N $T $O"))
    local failing = plane:must("POST", "/sandbox", { buildInfo = {} })
    assert.equal("pending_build", failing.state)
    plane:wait_for(failing.id, "build_failed")
  end)

  it("setters say 201, by name, too", function()
    for _, path in ipairs { "autostop/11", "autoarchive/60", "autodelete/5", "public/maybe", "ttl/0", "backup",
      "last-activity", "ports/x/signed-preview-url/none/expire" } do
      assert.equal(201, select(2, plane:must("POST", "/sandbox/it/" .. path)), path)
    end
    assert.is_false(plane:must("GET", "/sandbox/it").public)
    assert.equal(-7, plane:must("POST", "/sandbox/it/autodelete/-7").autoDeleteInterval)
    plane:refuses(400, "Auto-stop interval must be non-negative", "POST", "/sandbox/it/autostop/-1")
    for _, value in ipairs { "abc", "1.5", "99999999999" } do
      plane:refuses(500, "An unexpected error occurred.", "POST", "/sandbox/it/autostop/" .. value)
    end
  end)

  it("network settings", function()
    local at = "/sandbox/it/network-settings"
    plane:refuses(400, "At least one of networkBlockAll, networkAllowList or domainAllowList must be provided",
      "POST", at, {})
    plane:refuses(400, "networkAllowList must be a string", "POST", at, { networkAllowList = daytona.null })
    local both = plane:must("POST", at, { networkAllowList = "10.0.0.0/8", networkBlockAll = true })
    assert.same({ "10.0.0.0/8", false }, { both.networkAllowList, both.networkBlockAll })
    local _, _, response = plane:must("POST", at, { networkBlockAll = false })
    assert.truthy(response.body:find('"networkAllowList":null', 1, true))
  end)

  it("previews and SSH", function()
    local at = "/sandbox/it/ports/3000/signed-preview-url"
    local plain = plane:must("GET", "/sandbox/it/ports/3000/preview-url")
    assert.truthy(#plain.token == 32 and plain.token:find "^[a-z0-9_-]+$")
    local signed = plane:must("GET", at)
    assert.truthy(#signed.token == 16 and signed.token:find "^[a-z0-9]+$")
    for _, seconds in ipairs { "0", "86401", "", "-1" } do
      plane:refuses(400, "expiresInSeconds must be between 1 second and 24 hours", "GET",
        at .. "?expiresInSeconds=" .. seconds)
    end
    plane:refuses(500, "unexpected", "GET", at, nil, { expiresInSeconds = "abc" })
    plane:refuses(400, "Invalid port", "GET", "/sandbox/it/ports/70000/preview-url")
    assert.truthy(plane:must("GET", "/sandbox/it/ports/abc/preview-url").url:find("NaN-" .. id, 1, true))
    local access = plane:must("POST", "/sandbox/it/ssh-access?expiresInMinutes=0")
    assert.equal(access.createdAt:sub(1, 19), access.expiresAt:sub(1, 19))
    plane:refuses(500, "unexpected", "POST", "/sandbox/it/ssh-access?expiresInMinutes=abc")
    for _ = 1, 2 do assert.equal(id, plane:must("DELETE", "/sandbox/it/ssh-access?token=nope").id) end
    plane:refuses(403, "Invalid authentication context", "GET", "/sandbox/ssh-access/validate", nil, { token = "x" })
    assert.same(true, plane:must("GET", "/preview/it/access"))
  end)

  it("builds and their logs", function()
    plane:refuses(404, ("Sandbox %s has no build info"):format(id), "GET", "/sandbox/it/build-logs-url")
    plane:refuses(404, "Sandbox with ID or name it has no build info", "GET", "/sandbox/it/build-logs")
    local box = plane:must("POST", "/sandbox", { buildInfo = { dockerfileContent = "FROM x", contextHashes = {} } })
    local _, _, response = plane:must("GET", "/sandbox/" .. box.id)
    assert.truthy(response.body:find('"contextHashes":[]', 1, true))
    assert.truthy(response.body:find('"snapshot":null', 1, true))
    plane:wait_for(box.id, "started")
    -- with the service, a log that is followed may stay open after the build's end
    assert(plane.server:configure { open_build_logs = true })
    local url = plane:must("GET", "/sandbox/" .. box.id .. "/build-logs-url").url
    local pipe = io.popen(("curl -s -m 1 -w ' exit %%{exitcode}' -H 'Authorization: Bearer %s' '%s?follow=true'")
      :format(plane.server.api_key, url))
    assert.truthy(pipe:read("*a"):find("simulated build finished.* exit 28"))
    pipe:close()
    assert(plane.server:configure { open_build_logs = false })
  end)

  it("lists: wildcards, odd booleans, cursors of another order", function()
    assert.equal(1, #plane:must("GET", "/sandbox", nil, { name = "_t" }).items)
    assert.equal(1, #plane:must("GET", "/sandbox", nil, { name = "i%t" }).items)
    assert.equal(0, #plane:must("GET", "/sandbox", nil, { name = "i.", isPublic = "maybe" }).items)
    plane:refuses(400, "Invalid labels JSON format", "GET", "/sandbox", nil, { labels = "{" })
    plane:refuses(500, "unexpected", "GET", "/sandbox", nil, { labels = '"x"' })
    plane:refuses(400, "Invalid cursor provided: x", "GET", "/sandbox", nil, { cursor = "x" })
    plane:refuses(400, "sort must be one of the following values: ", "GET", "/sandbox", nil, { sort = "colour" })
    plane:refuses(400, "each value must be one of the following values: ", "GET", "/sandbox", nil,
      { states = "destroyed" })
    local cursor = plane:must("GET", "/sandbox", nil, { limit = "1", sort = "name", order = "asc" }).nextCursor
    plane:must("GET", "/sandbox", nil, { cursor = cursor, sort = "name", order = "desc" })
    local item = plane:must("GET", "/sandbox", nil, { name = "it" }).items[1]
    assert.same({ false, "container" }, { item.recoverable, item.sandboxClass })
  end)

  it("the toolbox at the address that /config tells", function()
    local base = plane:must("GET", "/config").proxyToolboxUrl
    local function ask(where, header)
      local pipe = io.popen(("curl -s -m 10 -w ' %%{http_code}' %s '%s/%s/version'"):format(
        header and "-H " .. shell.quote(header) or "", base, where))
      local text = pipe:read "*a"
      pipe:close()
      return text
    end
    local key = "Authorization: Bearer " .. plane.server.api_key
    assert.truthy(ask(id, key):find '"version".* 200$')
    local token = plane:must("GET", "/sandbox/it/ports/1/preview-url").token
    assert.truthy(ask(id, "X-Daytona-Preview-Token: " .. token):find '"version".* 200$')
    assert.truthy(ask(id):find "missing authentication: provide a preview access token.* 401$")
    assert.truthy(ask(id, "Authorization: Bearer wrong"):find "Bearer token is invalid.* 401$")
    assert.truthy(ask("it", key):find "Bearer token is invalid.* 401$")
    assert.truthy(ask("00000000-0000-4000-8000-000000000000", key):find "Bearer token is invalid.* 401$")
    local through = daytona.new { api_url = plane.server.api_url, api_key = plane.server.api_key }
    local box = assert(through:get "it")
    box.toolbox_proxy_url = base
    assert.equal("hi\n", assert(box:exec "echo hi").result)
    through:close()
  end)

  it("signing keys are bare texts", function()
    local status, body, head = curl("GET", "/sandbox/" .. id .. "/signing-key")
    assert.equal(200, status)
    assert.truthy(body:find "^%x+$")
    assert.truthy(head:find("content-type: text/html", 1, true))
    assert.not_equal(body, select(2, curl("POST", "/sandbox/" .. id .. "/signing-key/rotate")))
  end)

  it("keys, people and the organization", function()
    local key = plane:must("GET", "/api-keys/current")
    assert.equal(plane.server.api_key:sub(1, 3), key.value:sub(1, 3))
    assert.is_nil(key.value:find(plane.server.api_key:sub(4, -4), 1, true))
    for _, path in ipairs { "/users/me", "/organizations", "/api-keys" } do
      plane:refuses(401, "Invalid credentials", "GET", path)
      plane:must("GET", path, nil, nil, { ["X-Daytona-Organization-ID"] = key.organizationId })
    end
    plane:refuses(403, "Invalid authentication context", "GET", "/organizations/other/usage", nil, nil,
      { ["X-Daytona-Organization-ID"] = "other" })
    assert.equal(key.organizationId, plane:must("GET", "/sandbox/it/organization").id)
  end)

  it("regions and registries", function()
    assert.equal("shared", plane:must("GET", "/regions")[1].regionType)
    local region, status = plane:must("POST", "/regions", { name = "mine" })
    assert.same({ 201, true }, { status, region.id:find "^mine_" ~= nil })
    create_refuses(400, "Snapshot daytona-local is not available in region " .. region.id, { target = "mine" })
    plane:must("PATCH", "/regions/" .. region.id, { proxyUrl = "http://p.example.com" })
    assert.equal("http://p.example.com", plane:must("GET", "/regions/mine").proxyUrl)
    assert.is_string(plane:must("POST", "/regions/" .. region.id .. "/regenerate-proxy-api-key").apiKey)
    assert.equal(204, select(2, plane:must("DELETE", "/regions/" .. region.id)))
    plane:refuses(400, "name must contain only", "POST", "/regions", { name = "../../outside" })
    local at = "/docker-registry"
    local made
    made, status = plane:must("POST", at, { name = "r", url = "https://r.example.com", username = "u",
      password = "s3cret" })
    assert.same({ 201, "organization", "" }, { status, made.registryType, made.project })
    local _, _, response = plane:must("GET", at)
    assert.is_nil(response.body:find("s3cret", 1, true))
    plane:refuses(400, "url must be a URL address, username must be a string, password must be a string", "POST", at,
      { name = "r" })
    assert.equal("x", plane:must("PATCH", at .. "/" .. made.id, { name = "x", url = made.url, username = "u" }).name)
    assert.equal(204, select(2, plane:must("DELETE", at .. "/" .. made.id)))
    plane:refuses(404, "Docker registry with ID " .. made.id .. " not found", "GET", at .. "/" .. made.id)
  end)

  it("with `strict`, what today's contract does not have is refused", function()
    assert(plane.server:configure { strict = true })
    create_refuses(400, "property colour should not exist", { colour = "blue" })
    create_refuses(400, "each value in env must be a string", { env = { A = 1 } })
    create_refuses(400, "autoStopInterval must be an integer number", { autoStopInterval = 1.5 })
    plane:refuses(400, "labels must be an object", "PUT", "/sandbox/it/labels", { labels = "x" })
    plane:refuses(400, "boolean string is expected", "POST", "/sandbox/it/public/maybe")
    plane:refuses(400, "isPublic must be a boolean value", "GET", "/sandbox", nil, { isPublic = "maybe" })
    assert(plane.server:configure { strict = false })
  end)
end)

describe("an old release of the service, on the local server,", function()
  local plane

  setup(function() plane = require("spec.support.plane").start { legacy = "0.190" } end)
  teardown(function() plane:stop() end)

  it("lacks what is newer, and drops what it does not know", function()
    local box = plane:must("POST", "/sandbox", { ttlMinutes = 5, secrets = { { A = "b" } }, autoPauseInterval = 5,
      outboundProxyUrl = "http://p:1" })
    for _, field in ipairs { "autoDestroyAt", "autoPauseInterval", "outboundProxyUrl", "kvm", "queueTimeout" } do
      assert.is_nil(box[field], field)
    end
    for _, call in ipairs { { "POST", "/sandbox/x/ttl/5" }, { "PUT", "/sandbox/x/secrets" }, { "GET", "/secret" },
      { "GET", "/warm-pools" }, { "GET", "/sandbox/x/signing-key" } } do
      plane:refuses(404, "Cannot " .. call[1] .. " /api" .. call[2], call[1], call[2])
    end
    local _, _, response = plane:must("GET", "/config")
    assert.equal("0.190.0", response.headers["x-daytona-api-version"])
    assert.is_nil(plane:must("GET", "/object-storage/push-access").region)
  end)

  it("answers labels with the sandbox, and refuses to keep memory in a snapshot", function()
    local id = plane:create { name = "old" }
    assert.equal(id, plane:must("PUT", "/sandbox/old/labels", { labels = { a = "b" } }).id)
    plane:refuses(400, "includeMemory is only supported for Windows sandboxes", "POST", "/sandbox/old/snapshot",
      { name = "m", includeMemory = true })
  end)
end)

describe("the local server over HTTP/2", function()
  local server, client

  setup(function()
    server = assert(require("daytona.devserver").start { tls = true })
    client = daytona.new { api_url = server.api_url, api_key = server.api_key, ca_file = server.certificate }
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  it("outlives clients that hang up in the middle of an answer", function()
    local function hang_up(fault, arguments)
      fault.path, fault.times = "/sandbox", 1
      assert(server:faults(fault))
      os.execute(("curl -s --cacert %s --http2 -m 0.1 -o /dev/null -H 'Authorization: Bearer %s' %s %s/sandbox"):format(
        server.certificate, server.api_key, arguments, server.api_url))
    end
    for _, arguments in ipairs { "", "-d '{}'" } do
      hang_up({ hold = 0.2 }, arguments)
      hang_up({ delay = 0.2 }, arguments)
      hang_up({ slow = 200 }, arguments)
      hang_up({ hold = 0.2, status = 500, body = ("x"):rep(300000) }, arguments)
    end
    repeat until assert(server:stats()).active == 1 -- this question
    assert(client:config())
    assert(server:clear_faults())
  end)

  -- The table of heads that both sides keep is full after some seventy of them, and the
  -- last place in it that one byte can name is among those used.
  it("answers many requests on one connection, each answer of another length", function()
    for i = 1, 90 do
      local fault = assert(server:faults { path = "/never", times = 1, status = 500 })
      assert.equal("/never", fault[i].path)
    end
    assert(server:clear_faults())
  end)

  it("takes and gives bodies that are larger than what may be under way", function()
    for i = 1, 4 do
      local faults = assert(server:faults { path = "/never", times = 1, status = 500, body = ("x"):rep(2000000) })
      assert.equal(2000000, #faults[i].body)
    end
    assert(server:clear_faults())
  end)
end)
