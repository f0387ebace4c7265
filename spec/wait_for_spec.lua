-- What happens in a sandbox is waited for; programs in it are asked through previews.

local daytona = require "daytona"
local loop = require "daytona.loop"

local SERVER = [[
import http.server, sys, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status = int(self.path.split("status=")[1]) if "status=" in self.path else 200
        if self.path == "/ready": status = 200 if os.path.exists("/tmp/ready") else 503
        text = "%s %s auth=%s preview=%s own=%s body=%s" % (self.command, self.path, self.headers.get("Authorization"),
            self.headers.get("X-Daytona-Preview-Token"), self.headers.get("X-Own"), body)
        self.send_response(status)
        if status == 302: self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    do_POST = do_GET
    def log_message(self, *args): print("asked", self.path, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
]]

local service, sb, port

-- A port that nobody has, and the command that serves there after a while.
local function later(seconds)
  local chosen
  repeat
    local a, b = require("daytona.base.native").random(2):byte(1, 2)
    chosen = 3000 + (a * 256 + b) % 6999
  until sb:port_in_use(chosen) == false
  assert(sb:exec(("(sleep %g; exec python3 server.py %d) >/tmp/log-%d 2>&1 &"):format(seconds, chosen, chosen)))
  return chosen
end

setup(function()
  service = require("spec.support.service").start()
  sb = assert(service.client:create { auto_stop_interval = 0 })
  assert(sb.fs:write("server.py", SERVER))
  port = later(0)
end)
teardown(function() service:stop() end)
before_each(function() assert(service.server:clear_faults()) end)

describe("preview:request", function()
  it("asks a program inside, once it listens, and takes no key there", function()
    local response = assert(sb.preview:request(port, "GET", "/x", { headers = { ["X-Own"] = "1" } }))
    assert.equal(200, response.status)
    assert.equal("GET /x auth=None preview=None own=1 body=", response.body)
    local slow = later(0.7)
    assert.equal(200, assert(sb.preview:request(slow, "POST", "/", { json = { a = 1 } })).status)
  end)

  it("hands back whatever the program answers", function()
    for _, status in ipairs { 204, 302, 401, 404, 500, 502, 503 } do
      local response = assert(sb.preview:request(port, "GET", "/?status=" .. status))
      assert.equal(status, response.status)
      if status == 302 then assert.equal("/elsewhere", response.headers.location) end
      if status == 204 then assert.is_nil(response.headers["transfer-encoding"]) end -- there is no body
    end
  end)

  it("gives chunks to a sink and takes them of a source, once", function()
    local got = ""
    assert(sb.preview:request(port, "GET", "/s", { sink = function(chunk) got = got .. chunk end }))
    assert.truthy(got:find("GET /s ", 1, true))
    local body = "of a function"
    local response = assert(sb.preview:request(port, "POST", "/s", { body_length = #body, body = function()
      local chunk = body
      body = nil
      return chunk
    end }))
    assert.truthy(response.body:find("body=of a function", 1, true), response.body)
  end)

  it("says when nothing listens, in its time", function()
    local begun = loop.now()
    local response, err = sb.preview:request(later(60), "GET", "/", { timeout = 1 })
    assert.is_nil(response)
    assert.equal("unavailable 502", err.kind .. " " .. err.status)
    assert.is_true(loop.now() - begun < 5)
    local task = daytona.spawn(function() return sb.preview:request(1, "GET", "/") end)
    daytona.sleep(0.1)
    task:cancel()
    response, err = task:wait()
    assert.is_nil(response)
    assert.equal("canceled", err.kind)
  end)

  it("takes the new token when the sandbox was started anew", function()
    local box = assert(service.client:create())
    assert(box.fs:write("server.py", SERVER))
    local function serve()
      assert(box:exec(("python3 server.py %d >/dev/null 2>&1 &"):format(port + 10000)))
      return box.preview:request(port + 10000, "GET", "/")
    end
    assert.equal(200, assert(serve()).status)
    assert(box:stop())
    assert(box:start())
    assert.equal(200, assert(serve()).status)
    assert(box:delete())
  end)

  it("says where the token is not taken, and shows it nowhere", function()
    local real = sb.preview.url
    finally(function() rawset(sb.preview, "url", nil) end)
    rawset(sb.preview, "url", function(...)
      local found = assert(real(...))
      found.token = "not-the-token"
      return found
    end)
    local response, err = sb.preview:request(later(60), "GET", "/")
    assert.is_nil(response)
    assert.equal("auth", err.kind)
    assert.is_nil(tostring(err):find("not-the-token", 1, true))
  end)
end)

describe("wait_for", function()
  it("refuses ports that there are not", function()
    for _, none in ipairs { 0, 65536, 1.5 } do
      assert.has_error(function() sb:wait_for { port = none, timeout = 0.1 } end)
    end
  end)

  it("waits for a port, and for what is answered there", function()
    assert.equal(sb, assert(sb:wait_for { port = later(0.3), timeout = 20 }))
    local slow = later(0.3)
    daytona.spawn(function()
      assert(sb:wait_for { port = slow })
      assert(sb:exec "touch /tmp/ready")
    end)
    assert(sb:wait_for { port = slow, url = "/ready", timeout = 20 })
    assert(sb:wait_for { url = ("http://localhost:%d/ready"):format(slow) })
  end)

  it("waits for a file, and for a text in one", function()
    assert(sb:exec "(sleep 0.3; touch '/tmp/it is there'; sleep 0.3; echo 'now it -is [done]' >>'/tmp/it is there') &")
    assert(sb:wait_for { file = "/tmp/it is there", timeout = 20 })
    assert(sb:wait_for { file = "/tmp/it is there", log = "-is [done]", timeout = 20 })
  end)

  it("waits for what a command prints", function()
    local session = assert(sb:session())
    local command = assert(session:exec("sleep 0.3; echo listening on 3000; sleep 20", { async = true }))
    assert(sb:wait_for { log = "listening on", of = command, timeout = 20 })
    assert(session:delete())
  end)

  it("waits for rest", function()
    local begun = loop.now()
    assert(sb:wait_for { idle = 0.5, cpu = 101, timeout = 20 })
    assert.is_true(loop.now() - begun >= 0.5)
    local done, err = sb:wait_for { idle = 0.1, cpu = 0, timeout = 0.5 }
    assert.is_nil(done)
    assert.equal("timeout wait", err.kind .. " " .. err.code)
  end)

  it("has its time, and can be cancelled", function()
    for _, what in ipairs {
      { file = "/nowhere" }, { file = "/nowhere", log = "x" }, { port = 1 }, { port = 1, url = "/" },
    } do
      what.timeout = 0.3
      local done, err = sb:wait_for(what)
      assert.is_nil(done)
      assert.truthy(err.kind == "timeout" or err.kind == "unavailable", tostring(err))
    end
    local task = daytona.spawn(function() return sb:wait_for { file = "/nowhere" } end)
    daytona.sleep(0.1)
    task:cancel()
    local _, err = task:wait()
    assert.equal("canceled", err.kind)
  end)

  it("says at the caller's line what does not go together", function()
    for text, what in pairs {
      ["say what: port, url, file, log or idle"] = {}, ["either 'url' or 'log'"] = { port = 1, url = "/", log = "x" },
      ["'port' does not go with 'log'"] = { port = 1, log = "x" },
      ["'of' does not go with 'file'"] = { file = "x", of = {} },
      ["'url' needs 'port'"] = { url = "/" }, ["'url' is \"/path\""] = { url = "https://example.com/" },
      ["unknown option 'prot'"] = { prot = 1 },
    } do
      local fine, message = pcall(function() local done = sb:wait_for(what) return done end)
      assert.is_false(fine)
      assert.truthy(message:find(text, 1, true), message)
    end
  end)
end)

describe("ssh:access", function()
  it("comes with lines for known_hosts, as far as the service tells its keys", function()
    local function lines(config)
      local client = service:connect()
      client.config = function() return config end
      return assert(client:attach(sb.id):ssh_access()).known_hosts
    end
    assert.is_nil(lines {})
    assert.is_nil(lines { ssh_gateway_host = "h", ssh_gateway_host_keys = { "no key\nat all" } })
    local keys = { "ssh-ed25519 AAAAC3Nz", "ecdsa-sha2-nistp256 AAAAE2Vj+/=" }
    assert.equal("ssh.example ssh-ed25519 AAAAC3Nz\nssh.example ecdsa-sha2-nistp256 AAAAE2Vj+/=\n",
      lines { ssh_gateway_host = "ssh.example", ssh_gateway_port = 22, ssh_gateway_host_keys = keys })
    assert.equal("[ssh.example]:2222 ssh-ed25519 AAAAC3Nz\n",
      lines { ssh_gateway_host = "ssh.example", ssh_gateway_port = 2222, ssh_gateway_host_keys = { keys[1] } })
  end)
end)
