-- Commands in nginx over TLS go over its own sockets where the configuration says whom to
-- trust: certificates are verified, by their name, and the name is told.
--
-- `scripts/test hosts` runs these specs.

local front = require "spec.support.tls_front"
local nginx = require "spec.support.nginx"
local ports = require "spec.support.ports"

-- Sandboxes over TLS at NAME.localhost; "wrong" is answered with the certificate of "good",
-- "strange" with one that nobody vouches for.
local SERVERS = [[
  server {
    listen 127.0.0.1:@TLS@ ssl default_server;
    server_name good.localhost wrong.localhost;
    ssl_certificate @GOOD@; ssl_certificate_key @GOODKEY@;
    location /toolbox/ { content_by_lua_block { answer() } }
  }
  server {
    listen 127.0.0.1:@TLS@ ssl;
    server_name strange.localhost;
    ssl_certificate @STRANGE@; ssl_certificate_key @STRANGEKEY@;
    location /toolbox/ { content_by_lua_block { answer() } }
  }
]]

local ANSWER = [[
  asked = 0
  function answer()
    asked = asked + 1
    local name = ngx.var.ssl_server_name or "no name"
    ngx.print(('{"exitCode":0,"result":"%s %s"}'):format(name, ngx.var.connection_requests))
  end
]]

local INIT = [[
  daytona = require "daytona"
  function run(name, times)
    local sandbox = assert(daytona.get(name))
    local before = require("daytona.loop").engine():stats().connects
    for _ = 1, times do
      local result, err = sandbox:exec "x"
      ngx.say(result and result.result or err.kind .. " " .. tostring(err.code) .. " " .. tostring(err.sent))
    end
    ngx.say(require("daytona.loop").engine():stats().connects - before)
  end
]]

describe("commands in nginx over TLS #host", function()
  local folder, names, service, server, certificate

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder .. " && chmod 755 " .. folder))
    names = assert(io.popen("exec python3 spec/support/names.py </dev/null"))
    local values = { TLS = ("%d"):format(ports.free()) }
    values.GOOD, values.GOODKEY = front.certificate(folder, "good", "DNS:good.localhost")
    values.STRANGE, values.STRANGEKEY = front.certificate(folder, "strange", "DNS:strange.localhost")
    certificate = values.GOOD
    service = nginx.start {
      init = ANSWER, http = (SERVERS:gsub("@(%u+)@", values)),
      locations = {
        box = [[location /api/ { content_by_lua_block {
          local name = ngx.var.uri:match "([^/]+)$"
          ngx.print('{"id":"', name, '","name":"', name, '","state":"started","toolboxProxyUrl":"https://', name,
            '.localhost:]] .. values.TLS .. [[/toolbox"}')
        } }]],
        asked = [[ ngx.print(asked) ]],
      },
    }
  end)

  teardown(function()
    service:stop()
    names:close()
    os.execute("rm -rf " .. folder)
  end)

  local resolver
  setup(function() resolver = ("resolver 127.0.0.1:%s ipv6=off;"):format(names:read "*l") end)

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  -- What `run` says of a sandbox, with the configuration.
  local function run(http, name, times)
    server = nginx.start {
      init = INIT, http = http, locations = { run = ("run(%q, %d)"):format(name, times) },
      env = { DAYTONA_API_URL = "http://127.0.0.1:" .. service.port .. "/api", DAYTONA_API_KEY = "canned", HOME = "/" },
    }
    return (server:get "/run")
  end

  local function trusting() return resolver .. " lua_ssl_trusted_certificate " .. certificate .. ";" end

  it("go over its own sockets, which are kept, and tell the name", function()
    assert.equal("good.localhost 1\ngood.localhost 2\ngood.localhost 3\n0\n", run(trusting(), "good", 3))
  end)

  for name, what in pairs { wrong = "another name", strange = "nobody that is trusted" } do
    it("are not sent to a certificate of " .. what, function()
      local before = service:get "/asked"
      for _ = 1, 3 do -- nginx does not say the same each time
        assert.matches("^tls tls false\ntls tls false\n", run(trusting(), name, 2))
        server:stop()
        server = nil
      end
      assert.equal(before, (service:get "/asked"))
    end)
  end

  it("are libcurl's, which verifies, too, where nobody is named whom to trust", function()
    local before = service:get "/asked"
    assert.matches("^tls tls false\n", run(resolver, "good", 1))
    assert.equal(before, (service:get "/asked"))
  end)
end)
