-- What the local server makes of requests that are none: a 400 and a closed
-- connection, and everybody else is served as before.

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local socket = require "cqueues.socket"

local HERE = debug.getinfo(1, "S").source:match "^@(.*)devserver_noise_spec%.lua$"

local SEED = tonumber(os.getenv "NOISE_SEED") or 20261126
local COUNT = tonumber(os.getenv "NOISE_COUNT") or 3000

-- What comes back for some bytes, up to the end of the connection; nil when it does
-- not end.
local function told(port, bytes)
  local sock = socket.connect("127.0.0.1", port)
  sock:setmode("bn", "bn")
  sock:onerror(function(_, _, why) return why end)
  sock:xwrite(bytes, "bn", 5)
  local all = ""
  while true do
    local data, err = sock:xread(-4096, "b", 5)
    if not data then
      sock:close()
      return not err and all or nil
    end
    all = all .. data
  end
end

local MALFORMED = {
  ["an empty length"] = "GET / HTTP/1.1\r\nContent-Length: \r\n\r\n",
  ["two lengths in one"] = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5,5\r\n\r\n",
  ["two lengths"] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
  ["a negative length"] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",
  ["a folded length"] = "GET / HTTP/1.1\r\nContent-Length: 5\r\n folded: x\r\n\r\nhello",
  ["a length beyond numbers"] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
  ["a length and chunks"] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ["an unknown coding"] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
  ["a coding that cannot be parsed"] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
  ["a bare CR in a value"] = "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rb\r\n\r\n",
  ["two hosts"] = "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
  ["a blank before the colon"] = "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
  ["no HTTP"] = "\0\1\2\3 what\r\n\r\n",
  ["another version"] = "GET / HTTP/3.0\r\n\r\n",
  ["two hundred headers"] = "GET / HTTP/1.1\r\n" .. ("A: b\r\n"):rep(200) .. "\r\n",
}

describe("a malformed request", function()
  local server, client, box
  local ports = {}

  setup(function()
    server = assert(devserver.start {})
    client = daytona.new { api_url = server.api_url, api_key = server.api_key }
    box = assert(client:create {})
    assert(box:exec "true")
    ports["the control plane"] = tonumber(server.api_url:match ":(%d+)")
    ports["a daemon"] = tonumber(box.toolbox_proxy_url:match ":(%d+)")
    local store = assert(client:request("GET", "/object-storage/push-access")).json.storageUrl
    ports["the object store"] = tonumber(store:match ":(%d+)")
  end)

  teardown(function()
    client:close()
    server:stop()
  end)

  for name, bytes in pairs(MALFORMED) do
    it(("with %s ends in 400 and a closed connection"):format(name), function()
      for who, port in pairs(ports) do
        local answer = told(port, bytes)
        assert.truthy(answer, who .. " did not close the connection")
        assert.equal("HTTP/1.1 400 ", answer:sub(1, 13), who)
      end
      assert.is_true(client:ping())
      assert.equal("x\n", assert(box:exec "echo x").result)
    end)
  end

  it("is one of thousands, and the servers answer good ones all the while, and later", function()
    for who, port in pairs(ports) do
      local out = assert(io.popen(("luajit '%ssupport/noise.lua' %d %d %d"):format(HERE, port, SEED, COUNT)))
      local line = out:read "*a"
      out:close()
      local n, m = line:match "(%d+) good ones, (%d+) of them"
      assert.equal(n, m, ("%s, seed %d: %s"):format(who, SEED, line))
      assert.is_true(tonumber(n) > 0)
    end
    assert.is_true(client:ping())
    assert.equal("x\n", assert(box:exec "echo x").result)
    assert.is_true(assert(server:stats()).malformed > 0)
  end)
end)
