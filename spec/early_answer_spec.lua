-- Answers over HTTP/2 that come before the request's body was read, with which the service lets go of
-- the stream: they count as they are, if they are whole.

local daytona = require "daytona"
local nginx = require "spec.support.nginx"
local ports = require "spec.support.ports"
local front = require "spec.support.tls_front"

-- A sandbox's name says what its daemon answers: a status, or "cut", less than it announces. No body is read.
local SERVICE = [[
  server {
    listen 127.0.0.1:@OWN@ ssl http2;
    ssl_certificate @CERTIFICATE@;
    ssl_certificate_key @KEY@;
    client_max_body_size 0;
    default_type application/json;
    location ~ ^/api/sandbox/(?<name>\w+)$ {
      return 200 '{"id":"$name","name":"$name","organizationId":"o","state":"started","labels":{},@WAY@}';
    }
    location ~ ^/toolbox/(?<name>\w+)/ {
      content_by_lua_block {
        ngx.status = tonumber(ngx.var.name) or 200
        if ngx.var.name == "cut" then ngx.header.content_length = 100 end
        ngx.say('{"exitCode":0,"result":"hello\\n"}')
        ngx.exit(ngx.status)
      }
    }
  }
]]

local WAY = '"desiredState":"started","toolboxProxyUrl":"https://127.0.0.1:%s/toolbox"'

describe("an answer over HTTP/2 that comes before the request's body was read", function()
  local folder, service, client

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder .. " && chmod 755 " .. folder))
    local certificate, key = front.certificate(folder, "own", "DNS:localhost,IP:127.0.0.1")
    local own = ("%d"):format(ports.free())
    service = nginx.start {
      http = SERVICE:gsub("@(%u+)@", { CERTIFICATE = certificate, KEY = key, OWN = own, WAY = WAY:format(own) }),
    }
    client = assert(daytona.new {
      api_url = "https://127.0.0.1:" .. own .. "/api", api_key = "k", ca_file = certificate, ledger = false,
      max_retries = 0,
    })
  end)
  teardown(function()
    service:stop()
    os.execute("rm -rf " .. folder)
  end)

  -- Many commands, at once or (with bodies of more bytes than a stream takes unread, whose answers libcurl 7.88 loses
  -- where they share a connection) one by one.
  local function execs(name, size)
    local sandbox = assert(client:get(name))
    local command, numbers = "true" .. (size == "large" and (" "):rep(200 * 1024) or ""), {}
    for i = 1, 40 do numbers[i] = i end
    return assert(daytona.map(numbers, function()
      local result, err = sandbox:exec(command)
      return { result = result, err = err }
    end, { concurrency = size == "large" and 1 or #numbers }))
  end

  for _, size in ipairs { "small", "large" } do
    it("is the answer, where bodies are " .. size, function()
      for _, it in ipairs(execs("200", size)) do
        assert.is_nil(it.err and tostring(it.err))
        assert.equal("hello\n", it.result.result)
      end
    end)

    it("is the error that it says, where bodies are " .. size, function()
      for _, status in ipairs { "401", "413", "503" } do
        for _, it in ipairs(execs(status, size)) do
          assert.equal(tonumber(status), it.err.status, tostring(it.err))
        end
      end
    end)

    it("is none where less came than was announced, where bodies are " .. size, function()
      for _, it in ipairs(execs("cut", size)) do
        assert.is_nil(it.result)
        assert.truthy(it.err.kind == "connection" or it.err.kind == "protocol", tostring(it.err))
      end
    end)
  end

  it("is the error of an upload", function()
    local sandbox = assert(client:get "413")
    local _, err = sandbox.fs:write("x", ("x"):rep(2 * 1024 * 1024))
    assert.equal(413, err.status, tostring(err))
  end)
end)
