-- Calls that have no method: what goes out, what comes back, and how they fail.

local daytona = require "daytona"
local sandbox = require "daytona.control.sandbox"

describe("a raw call", function()
  local peer, client, box

  setup(function()
    peer = require("spec.support.peer").start()
    client = assert(daytona.new { api_key = "sk-raw", api_url = peer.url, timeout = 10 })
    box = sandbox.new(client, { id = "box", state = "started", toolboxProxyUrl = peer.url .. "/echo" })
  end)
  teardown(function() peer:close() end)

  local function count(path) return peer:stats().requests[path] or 0 end

  -- Runs fn with a file of that content, and returns what is in it afterwards.
  local function with_file(content, fn)
    local file = assert(io.tmpfile())
    file:write(content)
    file:seek("set", 0)
    fn(file)
    file:seek("set", 0)
    local text = file:read "*a"
    file:close()
    return text
  end

  it("to a sandbox goes to its daemon, with the key", function()
    local response = assert(box:request("get", "/version", { query = { a = "b c" }, headers = { ["X-Own"] = "1" } }))
    assert.equal(200, response.status)
    assert.truthy(response.body:find("GET /echo/box/version?a=b%20c HTTP/1.1\n", 1, true), response.body)
    assert.truthy(response.body:find("\nAuthorization: Bearer sk-raw\n", 1, true))
    assert.truthy(response.body:find("\nX-Own: 1\n", 1, true))
    assert.equal("text/plain", response.headers["content-type"])
    assert.is_nil(response.json)
  end)

  it("sends a body from a function, chunk by chunk, or a file", function()
    local chunks = { "one ", "two ", "", "three" }
    local n = 0
    local function source()
      n = n + 1
      return chunks[n]
    end
    local response = assert(client:request("POST", "/echo", { body = source }))
    assert.truthy(response.body:find("\nTransfer-Encoding: chunked\n", 1, true))
    assert.equal("one two three", response.body:match "\n\n(.*)$")

    with_file("from a file", function(file)
      local text = assert(client:request("PUT", "/echo", { body = file, body_length = 11 })).body
      assert.truthy(text:find("\nContent-Length: 11\n", 1, true), text)
      assert.equal("from a file", text:match "\n\n(.*)$")
    end)
  end)

  it("sends a file once more from where it was, and a function never", function()
    with_file("again", function(file)
      assert(client:request("PUT", "/sequence/file/503,200", { body = file, body_length = 5 }))
      assert.equal(2, count "/sequence/file/503,200")
    end)
    local given = false
    local function source()
      if given then return nil end
      given = true
      return "once"
    end
    local response, err = client:request("PUT", "/sequence/function/503,200", { body = source })
    assert.is_nil(response)
    assert.equal("unavailable", err.kind)
    assert.equal(1, count "/sequence/function/503,200")
  end)

  it("gives the answer to a function as it comes, or to a file", function()
    local size, chunks = 0, 0
    local response = assert(client:request("GET", "/bytes/300000", {
      max_bytes = 400000, sink = function(chunk) size, chunks = size + #chunk, chunks + 1 end,
    }))
    assert.equal(300000, size)
    assert.is_true(chunks > 1)
    assert.equal("", response.body)
    assert.equal(100, #with_file("", function(file) assert(client:request("GET", "/bytes/100", { sink = file })) end))
  end)

  it("ends where a function of the caller's gives up, with its reason", function()
    local _, err = client:request("GET", "/bytes/300000", { sink = function() return false, "enough" end })
    assert.equal("io sink", err.kind .. " " .. err.code)
    assert.truthy(err.message:find("enough", 1, true))
    _, err = client:request("PUT", "/size", { body = function() return nil, "no more" end })
    assert.equal("io source", err.kind .. " " .. err.code)
    assert.truthy(err.message:find("no more", 1, true))
  end)

  it("is tried again, limited and cancelled as every other", function()
    assert.equal(200, assert(box.client:request("GET", "/sequence/raw/502,503,200")).status)
    local _, err = client:request("GET", "/slow-body?ms=200&n=50", { timeout = 0.2 })
    assert.equal("timeout", err.kind)
    _, err = client:request("GET", "/stall", { idle_timeout = 0.2, timeout = 0 })
    assert.equal("idle_timeout", err.code)
    local started = daytona.spawn(function() return client:request("GET", "/never") end)
    started:cancel()
    _, err = started:wait()
    assert.equal("canceled", err.kind)
  end)

  it("fails with the errors of the library, which hide the key", function()
    local _, err = client:request("GET", "/reply", {
      query = { status = 409, type = "application/json", body = '{"message":"no sk-raw here"}' },
    })
    assert.equal("conflict", err.kind)
    assert.is_nil(tostring(err):find("sk-raw", 1, true))
    assert.truthy(tostring(err):find("request on GET /reply: no", 1, true), tostring(err))
    _, err = box:request("GET", "/gone", { query = { status = 404 } })
    assert.is_nil(err)
    local gone = sandbox.new(client, { id = "box", state = "destroyed" })
    _, err = gone:request("GET", "/version")
    assert.equal("not_found", err.kind)
  end)

  it("to what the service does not have is unsupported", function()
    local bare = assert(daytona.new { api_key = "k", api_url = peer.url })
    bare.config = function() return {} end
    local _, err = bare:request("GET", "/organization/o/usage/aggregated", { service = "analytics" })
    assert.equal("unsupported", err.kind)
    bare.config = function() return { analytics_api_url = "http://198.51.100.1/" } end
    bare.api_url = "https://api.example"
    _, err = bare:request("GET", "/organization/o/usage/aggregated", { service = "analytics" })
    assert.equal("protocol", err.kind)
  end)

  it("that is wrong is told at the caller's line", function()
    for text, call in pairs {
      ["path must begin with '/'"] = function() return client:request("GET", "config") end,
      ["either 'json' or 'body', not both"] = function() return box:request("PUT", "/x", { json = {}, body = "" }) end,
      ["option 'body' must be a string, an open file"] = function() return box:request("PUT", "/x", { body = 1 }) end,
      ["option 'sink' must be a function"] = function() return client:request("GET", "/x", { sink = "f" }) end,
      ['option \'service\' must be one of "analytics"'] = function()
        return client:request("GET", "/x", { service = "billing" })
      end,
      ["unknown option 'service'"] = function() return box:request("GET", "/x", { service = "analytics" }) end,
    } do
      local fine, message = pcall(call)
      assert.is_false(fine)
      assert.truthy(message:find(text, 1, true), message)
      assert.truthy(message:find("raw_spec.lua", 1, true) or message:find("tail", 1, true), message)
    end
  end)
end)
