-- Previews: a program that listens inside a sandbox, reached from outside by the
-- address that preview_url gives. Here curl plays the browser.

local daytona = require "daytona"
local native = require "daytona.base.native"
local shell = require "daytona.base.shell"

local PROGRAM = [[
import base64, hashlib, http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def echo_socket(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        first, size = self.rfile.read(2)
        key, data = self.rfile.read(4), self.rfile.read(size & 127)
        data = bytes(b ^ key[i % 4] for i, b in enumerate(data))
        self.wfile.write(bytes([first, len(data)]) + data + bytes([0x88, 2, 3, 232]))
        self.close_connection = True
    def do_GET(self):
        if self.headers.get("Upgrade") == "websocket": return self.echo_socket()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        answer = json.dumps({ "path": self.path, "body": body, "method": self.command,
            "headers": { k.lower(): v for k, v in self.headers.items() } }).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    do_POST = do_GET
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
]]

describe("a preview", function()
  local service, sandbox, port
  local json = require "daytona.http.json"

  -- Starts the program on a port that nobody has.
  local function serve(box)
    assert(box.fs:write("program.py", PROGRAM))
    while true do
      local a, b = native.random(2):byte(1, 2)
      local chosen = 3000 + (a * 256 + b) % 6999
      if box:port_in_use(chosen) == false then
        assert(box:exec(("python3 program.py %d >/dev/null 2>&1 &"):format(chosen)))
        assert(box:wait_for_port(chosen, { timeout = 30 }))
        return chosen
      end
    end
  end

  setup(function()
    service = require("spec.support.service").start()
    sandbox = assert(service.client:create { auto_stop_interval = 0 })
    port = serve(sandbox)
  end)
  teardown(function()
    sandbox:delete()
    service:stop()
  end)

  -- GETs an address as a browser would that knows where *.localhost is. Status, body,
  -- decoded where it is JSON, and the answer's head.
  local function get(url, path, arguments)
    local host, number = url:match "^http://([^:/]+):(%d+)$"
    local pipe = io.popen(("curl -sS -i -m 20 --resolve %s:%s:127.0.0.1 %s %s 2>&1"):format(
      host, number, arguments or "", shell.quote(url .. (path or "/"))))
    local text = pipe:read "*a"
    pipe:close()
    local head, body = text:match "^(.-)\r\n\r\n(.*)$"
    return tonumber((head or text):match "^HTTP/1.1 (%d+)"), json.decode(body or "") or body, head
  end

  local function with(name, value)
    return "-H " .. shell.quote(name .. ": " .. value)
  end

  it("reaches the program, with the token, as the program should see it", function()
    local preview = assert(sandbox:preview_url(port))
    assert.equal("http://" .. port .. "-" .. sandbox.id .. ".localhost:" .. service.server.api_url:match ":(%d+)",
      preview.url)
    local token = with("X-Daytona-Preview-Token", preview.token)
    local status, seen = get(preview.url, "/a%20b/c?x=%2F&y",
      token .. " -d data " .. with("Authorization", "Basic abc"))
    assert.same({ 200, "POST", "/a%20b/c?x=%2F&y", "data" }, { status, seen.method, seen.path, seen.body })
    assert.equal(preview.url:match "//(.*)", seen.headers.host)
    assert.equal("Basic abc", seen.headers.authorization) -- the program's own affair
    assert.is_nil(json.encode(seen):find(preview.token, 1, true))
    assert.is_nil(json.encode(seen):find(service.server.api_key, 1, true))
  end)

  it("is for those who may come in", function()
    local preview = assert(sandbox:preview_url(port))
    local status, _, head = get(preview.url, "/page")
    assert.equal(307, status)                     -- to the service's login; here, to a page that says there is none
    local login = head:match "[Ll]ocation: (%S+)"
    assert.is_truthy(login:find("/preview-login?redirect_uri=http%3A%2F%2F" .. port .. "-" .. sandbox.id, 1, true))
    assert.equal(401, (get((login:match "^(http://[^/]+)"), login:match "^http://[^/]+(.*)")))
    assert.equal(307, (get(preview.url, "/?DAYTONA_SANDBOX_AUTH_KEY=x")))
    assert.equal(307, (get(preview.url, "/", with("X-Daytona-Preview-Token", "x"))))
    assert.equal(307, (get(preview.url, "/", with("Authorization", "Bearer x"))))
    local seen
    status, seen = get(preview.url, "/", with("Authorization", "Bearer " .. service.server.api_key))
    assert.equal(200, status)
    assert.is_nil(seen.headers.authorization)
  end)

  it("lets a browser in by the query, and then by a cookie", function()
    local preview = assert(sandbox:preview_url(port))
    local status, seen, head = get(preview.url, "/page?a=1&DAYTONA_SANDBOX_AUTH_KEY=" .. preview.token .. "&b=2")
    assert.same({ 200, "/page?a=1&b=2" }, { status, seen.path })
    local cookie = head:match "[Ss]et%-[Cc]ookie: (daytona%-sandbox%-auth%-[^;]+);"
    status, seen = get(preview.url, "/", with("Cookie", "mine=1; " .. cookie .. "; yours=2"))
    assert.same({ 200, "mine=1; yours=2" }, { status, seen.headers.cookie })
    assert.equal(307, (get(preview.url, "/", with("Cookie", cookie .. "0"))))
  end)

  it("says whose pages may read it, unless told not to", function()
    local preview = assert(sandbox:preview_url(port))
    local token = with("X-Daytona-Preview-Token", preview.token) .. " " .. with("Origin", "http://page.example")
    local _, _, head = get(preview.url, "/", token)
    assert.equal("http://page.example", head:lower():match "access%-control%-allow%-origin: (%S+)")
    _, _, head = get(preview.url, "/", token .. " " .. with("X-Daytona-Disable-CORS", "true"))
    assert.is_nil(head:lower():find("access-control-allow-origin", 1, true))
  end)

  it("gives a cookie that is good for nothing but that preview, and a while", function()
    local preview = assert(sandbox:preview_url(port))
    local _, _, head = get(preview.url, "/?DAYTONA_SANDBOX_AUTH_KEY=" .. preview.token)
    local name, value = head:match "[Ss]et%-[Cc]ookie: ([^=]+)=([^;]+);"
    assert.is_nil(value:find(preview.token, 1, true))
    for _, other in ipairs { 2280, port + 1 } do
      local url = preview.url:gsub("//%d+", "//" .. other)
      assert.equal(307, (get(url, "/version", with("Cookie", name .. "=" .. value))))
      assert.equal(307, (get(url, "/version", with("Cookie", name:gsub("%d+$", other) .. "=" .. value))))
    end
    assert.equal(307, (get(preview.url, "/", with("X-Daytona-Preview-Token", value))))
    assert.equal(307, (get(preview.url, "/", with("Cookie", name .. "=9" .. value))))
    assert.equal(200, (get(preview.url, "/", with("Cookie", name .. "=" .. value))))
    assert(service.server:advance(3601))
    assert.equal(307, (get(preview.url, "/", with("Cookie", name .. "=" .. value))))
  end)

  it("never tells the program the token, however the query writes its key", function()
    local preview = assert(sandbox:preview_url(port))
    for _, key in ipairs { "SANDBOX_AUTH_KEY[]", "SANDBOX_AUTH_KEY%5B0%5D", "SANDBOX%5FAUTH_KEY" } do
      local status, seen = get(preview.url, "/?a=1&DAYTONA_" .. key .. "=" .. preview.token, "-g")
      assert.same({ 200, "/?a=1" }, { status, seen.path })
    end
  end)

  it("opens the toolbox, but not what the server tells its daemons", function()
    local toolbox = assert(sandbox:preview_url(2280))
    local token = with("X-Daytona-Preview-Token", toolbox.token)
    local key = with("Authorization", "Bearer " .. service.server.api_key)
    assert.equal(200, (get(toolbox.url, "/version", token)))
    for _, way in ipairs { token, key } do
      for method, path in pairs { PUT = "signing-key", POST = "faults", GET = "requests", DELETE = "faults" } do
        local status = get(toolbox.url, "/__devserver/" .. path, way .. " -d '{}' -X " .. method)
        assert.equal(401, status, method)
      end
    end
  end)

  it("leads to the sandbox's own listener, not to another's on the same port", function()
    local preview = assert(sandbox:preview_url(port))
    local token = with("X-Daytona-Preview-Token", preview.token)
    local script = shell.quote [[
import http.server, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"of the machine")
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()]]
    local fifo = os.tmpname()
    os.remove(fifo)
    os.execute("mkfifo " .. fifo)
    local pipe = io.popen(("python3 -c %s <%s"):format(script, fifo))
    local hold = assert(io.open(fifo, "w"))
    finally(function()
      hold:close()
      pipe:close()
      os.remove(fifo)
    end)
    local taken = tonumber(pipe:read "*l")
    -- one of the sandbox's own on another address makes the port no more its own
    assert(sandbox:exec(("python3 -m http.server -b 127.0.0.2 %d >/dev/null 2>&1 & for i in $(seq 200); do "
      .. "curl -s -o /dev/null 127.0.0.2:%d && break; sleep 0.05; done"):format(taken, taken)))
    local status, text = get(preview.url:gsub("//%d+", "//" .. taken), "/", token)
    assert.equal(502, status, tostring(text))
  end)

  it("needs no token when the sandbox is public, but for its toolbox", function()
    local box = assert(service.client:create { public = true })
    local open = serve(box)
    assert.equal(200, (get(assert(box:preview_url(open)).url)))
    local toolbox = assert(box:preview_url(2280))
    assert.equal(307, (get(toolbox.url, "/version")))
    local status, answer = get(toolbox.url, "/version", with("X-Daytona-Preview-Token", toolbox.token))
    assert.same({ 200, "string" }, { status, type(answer.version) })
    box:delete()
  end)

  it("that is signed needs nothing more, until its time is over", function()
    local signed = assert(sandbox:preview_url(port, { expires_in = 600 }))
    assert.same({ port, sandbox.id }, { signed.port, signed.sandbox_id })
    assert.is_nil(signed.url:find(sandbox.id, 1, true))
    assert.equal(200, (get(signed.url)))
    assert.equal(307, (get((signed.url:gsub("//%d+", "//" .. (port + 1))))))
    local other = assert(sandbox:preview_url(port, { signed = true }))
    assert(service.server:advance(61))
    assert.equal(307, (get(other.url)))
    assert.equal(200, (get(signed.url)))
    assert.is_true(sandbox:expire_preview_url(port, signed.token))
    assert.equal(307, (get(signed.url)))
    assert.is_true(sandbox:expire_preview_url(port, signed.token))
    assert.has_error(function() sandbox:expire_preview_url(port) end)
    assert.has_error(function() sandbox:expire_preview_url(0, "x") end)
  end)

  it("carries WebSockets", function()
    local preview = assert(sandbox:preview_url(port))
    local mask = "\1\2\3\4"
    local frame = "\129\132" .. mask .. "icmc"   -- "hang", masked
    local file = os.tmpname()
    local out = assert(io.open(file, "wb"))
    out:write("GET /socket HTTP/1.1\r\nHost: ", preview.url:match "//(.*)", "\r\nX-Daytona-Preview-Token: ",
      preview.token, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
      "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n", frame)
    out:close()
    local pipe = io.popen(("python3 -c %s %s %s"):format(shell.quote [[
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
s.sendall(open(sys.argv[2], "rb").read())
data = b""
while True:
    more = s.recv(65536)
    if not more: break
    data += more
sys.stdout.buffer.write(data)]], preview.url:match ":(%d+)$", shell.quote(file)))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(file)
    assert.is_truthy(text:find("^HTTP/1.1 101 "), text)
    assert.is_truthy(text:find("\129\4hang\136\2\3\232", 1, true))
  end)

  it("is there over TLS, too, whatever HTTP the browser offers", function()
    local server = assert(require("daytona.devserver").start { tls = true })
    local client = daytona.new { api_url = server.api_url, api_key = server.api_key, ca_file = server.certificate }
    local box = assert(client:create { public = true })
    local preview = assert(box:preview_url(serve(box)))
    local host, number = preview.url:match "^https://([^:/]+):(%d+)$"
    local pipe = io.popen(("curl -sS -k --http2 -m 20 --resolve %s:%s:127.0.0.1 -w ' %%{http_version}' %s"):format(
      host, number, shell.quote(preview.url .. "/secure")))
    local text = pipe:read "*a"
    pipe:close()
    assert.is_truthy(text:find('"/secure"', 1, true), text)
    assert.is_truthy(text:find " 1.1$")
    client:close()
    server:stop()
  end)

  it("leads nowhere else", function()
    local preview = assert(sandbox:preview_url(port))
    local token = with("X-Daytona-Preview-Token", preview.token)
    -- the server's own port is none of the sandbox's, and neither is one nobody has
    local ours = tonumber(service.server.api_url:match ":(%d+)")
    for _, other in ipairs { ours, 9 } do
      assert.equal(502, (get((preview.url:gsub("//%d+", "//" .. other)), "/api/config", token)))
    end
    for _, name in ipairs { "x-" .. sandbox.id, "0-" .. sandbox.id, "03000-" .. sandbox.id, "70000-" .. sandbox.id,
      port .. "-" .. sandbox.id .. ".more", sandbox.id, port .. "-" } do
      local url = "http://" .. name .. ".localhost:" .. ours
      local status = get(url, "/api/config", token)
      assert.is_true(status == 404 or status == 307, name .. ": " .. tostring(status))
    end
    local unknown = "-00000000-0000-4000-8000-000000000000.localhost:"
    assert.equal(307, (get("http://" .. port .. unknown .. ours, "/", token)))
  end)

  it("ends with the sandbox, and has another token when that starts again", function()
    local box = assert(service.client:create())
    local first = serve(box)
    local preview = assert(box:preview_url(first))
    assert(box:stop())
    assert.equal(400, (get(preview.url, "/", with("X-Daytona-Preview-Token", preview.token))))
    assert(box:start())
    assert.equal(307, (get(preview.url, "/", with("X-Daytona-Preview-Token", preview.token))))
    preview = assert(box:preview_url(first))
    assert.equal(502, (get(preview.url, "/", with("X-Daytona-Preview-Token", preview.token))))
    box:delete()
  end)
end)
