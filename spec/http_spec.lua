-- Requests against the scripted peer: what is tried again, what is refused, what
-- is said. Misbehaviour of the transport alone is the business of core specs.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"

local peer, client

setup(function() peer = require("spec.support.peer").start() end)
teardown(function() peer:close() end)

before_each(function()
  client = assert(daytona.new { api_key = "sk-very-secret", api_url = peer.url, timeout = 10 })
end)

local function count(path)
  return peer:stats().requests[path] or 0
end

local function request(fields)
  fields.operation = fields.operation or "test"
  return http.request(client.connection, fields)
end

local function refused_port()
  local socket = require "cqueues.socket"
  local server = socket.listen("127.0.0.1", 0)
  server:listen()
  local _, _, port = server:localname()
  server:close()
  return port
end

describe("a request", function()
  it("carries the key and who we are", function()
    local text = assert(client:request("GET", "/echo")).body
    for _, line in ipairs {
      "Authorization: Bearer sk-very-secret", "X-Daytona-Source: sdk-lua", "X-Daytona-SDK-Version: 0.205.0",
    } do assert.truthy(text:find(line, 1, true), text) end
    assert.truthy(text:find("User-Agent: sdk-lua/", 1, true), text)
    assert.is_nil(text:find("Organization", 1, true))
  end)

  it("with a JWT names the organization", function()
    local jwt = assert(daytona.new { jwt_token = "jjj", organization_id = "org-1", api_url = peer.url })
    local text = assert(jwt:request("GET", "/echo")).body
    assert.truthy(text:find("X-Daytona-Organization-ID: org-1", 1, true))
    assert.truthy(text:find("Bearer jjj", 1, true))
  end)

  it("sends what it is given", function()
    local text = assert(client:request("PUT", "/echo", {
      query = { q = "a b", list = { "x", "y" } }, json = { n = 15 }, headers = { ["X-Own"] = "1" },
    })).body
    assert.truthy(text:find("PUT /echo?list=x&list=y&q=a%20b", 1, true), text)
    assert.truthy(text:find("X-Own: 1", 1, true))
    assert.truthy(text:find("Content-Type: application/json", 1, true))
    assert.truthy(text:find('{"n":15}', 1, true))
  end)

  it("gives back status, headers and JSON", function()
    local response = assert(client:request("GET", "/ok"))
    assert.equal(200, response.status)
    assert.equal(200, response.json.status)
    assert.equal("application/json", response.headers["content-type"])
    assert.equal("a, b", assert(client:request("GET", "/headers")).headers["x-twice"])
  end)

  it("with a line break or NUL in a header is refused", function()
    for _, value in ipairs { "a\r\nX-Evil: 1", "a\nb", "a\0b" } do
      local response, err = client:request("GET", "/ok", { headers = { ["X-Own"] = value } })
      assert.is_nil(response)
      assert.equal("invalid", err.kind)
    end
    local _, err = client:request("GET", "/a b\n")
    assert.equal("invalid", err.kind)
  end)

  it("with a body that cannot be JSON is refused at the caller's line, with the field", function()
    local fine, text = pcall(function() return (client:request("POST", "/ok", { json = { a = { "\255" } } })) end)
    assert.is_false(fine)
    assert.truthy(text:find("http_spec.lua:%d+: request: a%[1%]: not valid UTF%-8"), text)
  end)
end)

describe("an answer", function()
  it("that is no JSON, or JSON of another shape, is a protocol error", function()
    local bodies = {
      "", "<html>oops</html>", "[1]", '"text"', "null", "17", '{"cut":',
    }
    for _, body in ipairs(bodies) do
      local response, err = request { path = "/reply", query = { body = body }, answer = "object" }
      assert.is_nil(response, body)
      assert.equal("protocol", err.kind)
      assert.equal(200, err.status)
    end
    local _, err = request { path = "/reply", query = { body = '{"a":1}' }, answer = "list" }
    assert.equal("protocol", err.kind)
  end)

  it("may be empty where that is known", function()
    assert.is_nil(assert(request { path = "/reply", answer = "object", optional = true }).json)
    assert.same({}, assert(request { path = "/reply", query = { body = "null" }, answer = "list" }).json)
  end)

  it("larger than allowed is an error, and the client goes on", function()
    local response, err = client:request("GET", "/bytes/100000", { max_bytes = 1000 })
    assert.is_nil(response)
    assert.equal("too_large", err.kind)
    assert(client:request("GET", "/ok"))
  end)

  it("that fails says what, on what, and why, without the key", function()
    local _, err = client:request("GET", "/reply", {
      query = { status = 409, body = '{"message":"taken by sk-very-secret","code":"CONFLICT"}' },
    })
    assert.equal("request on GET /reply: taken by [redacted] (conflict, 409, CONFLICT)", tostring(err))
  end)
end)

describe("a failure", function()
  it("to connect is tried again for every method, then told", function()
    local dead = assert(daytona.new {
      api_key = "k", api_url = "http://127.0.0.1:" .. refused_port(), max_retries = 1,
    })
    local before = loop.now()
    local response, err = dead:request("POST", "/x", { json = {} })
    assert.is_nil(response)
    assert.equal("connection connect", err.kind .. " " .. err.code)
    assert.is_true(loop.now() - before >= 0.1)
  end)

  it("before a byte of the answer is tried again only where that is harmless", function()
    assert.equal(200, assert(client:request("GET", "/sequence/a/reset-before,200")).status)
    assert.equal(2, count "/sequence/a/reset-before,200")

    local response, err = client:request("POST", "/sequence/b/reset-before,200", { json = {} })
    assert.is_nil(response)
    assert.equal("reset", err.code)
    assert.equal(1, count "/sequence/b/reset-before,200")

    assert(client:request("POST", "/sequence/c/close-before,200", { json = {}, safe = true }))
    assert.equal(2, count "/sequence/c/close-before,200")
  end)

  it("in the middle of an answer is tried again only where that is harmless, and nobody had a part of it", function()
    for _, path in ipairs { "/truncate", "/truncate-chunked", "/reset-mid" } do
      local before = count(path)
      local function fails(tries, method, opts)
        local _, err = client:request(method, path, opts)
        assert.equal("connection", err.kind, path)
        assert.is_true(err.code == "truncated" or path == "/reset-mid")
        assert.equal(tries, count(path) - before, method .. path)
        before = count(path)
      end
      fails(4, "GET")
      fails(1, "POST", { json = {} })
      fails(1, "GET", { sink = function() end })
    end
  end)

  it("that is no HTTP is a protocol error", function()
    local _, err = client:request("GET", "/garbage")
    assert.equal("protocol", err.kind)
  end)

  it("of 502, 503 or 504 is tried again only where that is harmless", function()
    assert(client:request("GET", "/sequence/d/502,503,504,200"))
    assert.equal(4, count "/sequence/d/502,503,504,200")
    local _, err = client:request("POST", "/sequence/e/502,200", { json = {} })
    assert.equal("unavailable", err.kind)
    assert.equal(1, count "/sequence/e/502,200")
    _, err = client:request("GET", "/sequence/f/500,200")
    assert.equal("server", err.kind)
  end)

  it("of 429 is tried again for every method, after the delay that is named", function()
    for i, header in ipairs { "Retry-After:0", "Retry-After-sandbox-create:0" } do
      local peer_path = "/reply"
      local before = count(peer_path)
      local _, err = client:request("POST", peer_path, { json = {}, query = { status = 429, header = header } })
      assert.equal("rate_limited", err.kind)
      assert.equal(0, err.retry_after)
      assert.equal(4, count(peer_path) - before, i)
    end
  end)

  it("of 429 is waited out as often as it comes, a little longer than is named", function()
    local sleep, slept = loop.sleep, {}
    loop.sleep = function(seconds) -- luacheck: ignore 122
      slept[#slept + 1] = seconds
      return true
    end
    finally(function() loop.sleep = sleep end) -- luacheck: ignore 122
    local function get(path, opts)
      opts = opts or {}
      opts.query, opts.timeout = { header = "Retry-After-sandbox-create:5" }, 60
      return client:request("GET", path, opts)
    end
    assert(get "/sequence/waited/429,429,429,429,429,503,503,503,200")
    assert.equal(8, #slept)
    for i, seconds in ipairs(slept) do assert.is_true(seconds >= 5 and seconds <= 5.5, i .. ": " .. seconds) end
    assert.are_not.equal(slept[1], slept[2])
    local _, err = get "/sequence/failing/429,429,503,503,503,503,200"
    assert.equal("unavailable", err.kind)
    -- Who wants no tries has none; a deadline that is just long enough is kept.
    client = assert(daytona.new { api_key = "k", api_url = peer.url, max_retries = 0 })
    _, err = get "/sequence/once/429,200"
    assert.equal("rate_limited", err.kind)
    client = assert(daytona.new { api_key = "k", api_url = peer.url })
    slept = {}
    assert(client:request("GET", "/sequence/close/429,200", { timeout = 5.2, query = { header = "Retry-After:5" } }))
    assert.is_true(slept[1] < 5.2)
  end)

  it("of 429 is told at once when the delay is longer than the deadline", function()
    local before = loop.now()
    local _, err = client:request("GET", "/reply", { timeout = 2, query = { status = 429, header = "Retry-After:60" } })
    assert.equal("rate_limited", err.kind)
    assert.is_true(loop.now() - before < 1)
  end)
end)

describe("a deadline", function()
  it("counts once, over all tries", function()
    local before = loop.now()
    local _, err = client:request("GET", "/sequence/g/503", { timeout = 0.5 })
    assert.equal("unavailable", err.kind)
    assert.is_true(loop.now() - before < 0.6)
    -- the second try has what the first one and the pause have left of it
    before = loop.now()
    _, err = client:request("GET", "/sequence/g/503,never", { timeout = 2 })
    assert.equal("timeout timeout", err.kind .. " " .. err.code)
    assert.is_true(loop.now() - before < 2.1)
  end)

  it("ends a request at any stage", function()
    for _, path in ipairs { "/never", "/slow-headers?ms=50", "/slow-body?ms=100&n=50", "/stall" } do
      local _, err = client:request("GET", path, { timeout = 0.15 })
      assert.equal("timeout timeout", err.kind .. " " .. err.code, path)
    end
    assert(client:request("GET", "/ok"))
  end)

  it("for silence ends a stream that stands still", function()
    local _, err = request { path = "/stall", sink = function() end, idle_timeout = 0.2 }
    assert.equal("timeout idle_timeout", err.kind .. " " .. err.code)
  end)
end)

describe("a redirect", function()
  it("on the same host is followed with the key", function()
    local text = assert(client:request("GET", "/redirect", { query = { to = "/echo?x=1" } })).body
    assert.truthy(text:find("sk-very-secret", 1, true))
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      assert.equal(200, assert(client:request("GET", "/redirect", { query = { to = "/ok", status = status } })).status)
    end
    assert.equal(300, select(2, client:request("GET", "/redirect", { query = { to = "/ok", status = 300 } })).status)
  end)

  it("to another host takes no key and none of our headers along", function()
    local other = require("spec.support.peer").start()
    local text = assert(client:request("GET", "/redirect", {
      query = { to = other.url .. "/echo" }, headers = { ["X-Own"] = "1" },
    })).body
    other:close()
    assert.truthy(text:find("GET /echo", 1, true))
    for _, word in ipairs { "secret", "Authorization", "Daytona", "X-Own" } do
      assert.is_nil(text:find(word, 1, true), text)
    end
  end)

  it("to another host is refused where its answer would be believed", function()
    local other = require("spec.support.peer").start()
    local response, err = request { path = "/redirect", query = { to = other.url .. "/ok" }, answer = "any" }
    other:close()
    assert.is_nil(response)
    assert.equal("protocol redirect", err.kind .. " " .. err.code)
    assert.truthy(err.message:find(other.url, 1, true), err.message)
    -- on the same host it is followed
    assert.equal(200, assert(request { path = "/redirect", query = { to = "/ok" }, answer = "any" }).json.status)
  end)

  it("from https to http is refused", function()
    local call, err = require("daytona.http.redirect").follow(client.connection, { operation = "test" },
      { method = "GET", url = "https://host/file" },
      { status = 302, headers = { location = "http://host/file" }, count = 1 }, function() return true end)
    assert.is_nil(call)
    assert.matches("from https to http", err.message)
  end)

  it("of a POST, to nowhere, or without end is refused", function()
    local cases = {
      { "POST", "/ok", "it would turn POST into GET" },
      { "POST", "http://127.0.0.2:1/", "POST to another host" },
      { "GET", "ftp://x/", "no usable address" },
      -- Without a query it leads to /ok, which would be an answer.
      { "GET", "/redirect?to=/redirect%3Fto=/redirect%253Fto=/redirect%25253Fto=/redirect%2525253Fto=/redirect",
        "too many" },
    }
    for _, case in ipairs(cases) do
      local response, err = client:request(case[1], "/redirect", { query = { to = case[2] } })
      assert.is_nil(response)
      assert.equal("protocol redirect", err.kind .. " " .. err.code)
      assert.truthy(err.message:find(case[3], 1, true), err.message)
    end
  end)
end)

describe("a stream", function()
  it("from a function arrives whole", function()
    local left = 40
    local response = assert(request {
      method = "POST", path = "/size", headers = { ["Content-Type"] = "text/plain" },
      body_source = function()
        left = left - 1
        if left >= 0 then return left % 7 == 0 and "" or ("x"):rep(100000) end
      end,
    })
    assert.equal("3400000", response.body)
  end)

  it("whose source gives up, or raises, ends the request", function()
    local _, err = request { method = "POST", path = "/size", body_source = function() return nil, "disk gone" end }
    assert.equal("io source", err.kind .. " " .. err.code)
    assert.truthy(err.message:find("disk gone", 1, true))
    local fine, text = pcall(request, { method = "POST", path = "/size", body_source = function() error "boom" end })
    assert.is_false(fine)
    assert.truthy(text:find("boom", 1, true))
    assert(client:request("GET", "/ok"))
    assert.equal(0, loop.engine():stats().running)
  end)

  it("to a function is handed over in order", function()
    local size, first = 0, nil
    assert(request { path = "/chunked/3000000", sink = function(chunk)
      first = first or chunk:sub(1, 4)
      size = size + #chunk
    end })
    assert.equal("3000000 0123", size .. " " .. first)
  end)

  it("whose sink gives up ends the request", function()
    local _, err = request { path = "/bytes/3000000", sink = function() return false, "full" end }
    assert.equal("io sink", err.kind .. " " .. err.code)
    assert.equal("stopped: full", err.message)
  end)

  it("tells how far it is", function()
    local done, total
    local data = ("x"):rep(1000000)
    assert(request {
      method = "POST", path = "/size", parts = { { name = "a", data = data } },
      on_progress = function(d, t) done, total = d, t end,
    })
    assert.is_true(done >= #data)
    assert.equal(total, done)
  end)

  it("of an error is not given to the sink", function()
    local got = 0
    local _, err = request { path = "/status/404", sink = function() got = got + 1 end }
    assert.equal("not_found", err.kind)
    assert.equal(0, got)
  end)

  it("from a file starts over when it is sent again", function()
    local file = assert(io.tmpfile())
    file:write(("skipped"):rep(1), ("y"):rep(5000))
    file:seek("set", 7)
    local response = assert(request {
      method = "PUT", path = "/sequence/h/503,size", body_file = file, body_length = 5000,
    })
    file:close()
    assert.equal("5000", response.body)
  end)
end)

describe("what was abandoned", function()
  local function abandoned(fields)
    local told
    fields.on_abandon = function(err) told = err end
    local response, err = request(fields)
    return told, response, err
  end

  it("by a deadline is told, once the request has left", function()
    local told, _, err = abandoned { method = "POST", path = "/never", json = {}, timeout = 0.1 }
    assert.equal(err, told)
  end)

  it("is not told when it never left, or was answered", function()
    local told = abandoned { path = "/ok" }
    assert.is_nil(told)
    client.connection.base = "http://127.0.0.1:" .. refused_port()
    client.connection.max_retries = 0
    told = abandoned { path = "/never" }
    assert.is_nil(told)
  end)

  it("by a cancelled task is told, and may wait", function()
    local cleaned
    local task = daytona.spawn(function()
      return request {
        method = "POST", path = "/hold/cancel", json = {},
        on_abandon = function() cleaned = client:request("GET", "/ok").status end,
      }
    end)
    -- By another name, since a connection with questions takes nothing else.
    local asking = assert(daytona.new { api_key = "k", api_url = "http://localhost:" .. peer.port })
    assert(asking:request("GET", "/__wait", { query = { path = "/hold/cancel" } }))
    task:cancel()
    local response, err = task:wait()
    assert.is_nil(response)
    assert.equal("canceled", err.kind)
    assert.equal("test", err.operation)
    assert.is_true(errors.is(err))
    assert.equal(200, cleaned)
  end)
end)

describe("a failure", function()
  it("to find the host is told as such", function()
    local lost = assert(daytona.new { api_key = "k", api_url = "https://no-such-host.invalid", max_retries = 0 })
    local _, err = lost:request("GET", "/x")
    assert.equal("connection resolve", err.kind .. " " .. err.code)
  end)
end)
