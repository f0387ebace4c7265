-- Servers inside a sandbox, reached through its daemon.

local toolbox = require "spec.support.toolbox"

local SERVER = [[
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = "%s %s %s [%s] %s" % (self.command, self.path, self.headers.get("Host"),
            self.headers.get("Authorization"), self.rfile.read(length).decode())
        self.send_response(203 if self.path == "/odd" else 200)
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (b"one,", b"two"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/short":
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())
    do_POST = do_PUT = do_DELETE = do_GET
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
]]

describe("a server in the sandbox", function()
  local daemon, port
  setup(function()
    daemon = toolbox.start()
    toolbox.write(daemon.dir .. "/server.py", SERVER)
    daemon:exec "python3 server.py > port 2>&1 &"
    for _ = 1, 200 do
      port = (toolbox.read(daemon.dir .. "/port") or ""):match "^(%d+)\n"
      if port then break end
      toolbox.sh "sleep 0.02"
    end
  end)
  teardown(function() daemon:stop() end)

  local function ask(method, path, o)
    return daemon:request(method, "/proxy/" .. port .. path, o)
  end

  it("gets requests as they are, but for the sandbox's key", function()
    local r = ask("POST", "/a%20b/c?x=%2F&y", { body = "data" })
    assert.are.equal(200, r.status)
    assert.are.equal("POST /a%20b/c?x=%2F&y 127.0.0.1:" .. daemon.port .. " [None] data", r.body)
    assert.are.equal("GET / 127.0.0.1:" .. daemon.port .. " [None] ", ask("GET", "").body)
    assert.are.equal(203, ask("DELETE", "/odd").status)
    assert.are.equal("GET /?a=b 127.0.0.1:" .. daemon.port .. " [None] ",
      ask("GET", "/?DAYTONA_SANDBOX_AUTH_KEY=secret&a=b", { key = false }).body)
  end)

  it("answers in its own way, in chunks or cut off", function()
    assert.are.equal("one,two", ask("GET", "/chunks").body)
    local r = ask("GET", "/short")
    assert.are.same({ 18, "short" }, { r.exit, r.body })
  end)

  it("may speak WebSocket", function()
    daemon:post("/process/pty", { id = "p" })
    local talk = daemon:talk("/proxy/" .. daemon.port .. "/process/pty/p/connect", {
      headers = { ["X-Daytona-Authorization"] = "Bearer secret" }, -- so that the other goes on to the server
      steps = { { send = "exit 3\n" } },
    })
    local events = talk()
    assert.are.equal(1011, events.code)
    assert.is_truthy(events.text:find("connected", 1, true))
  end)

  it("may be missing", function()
    local r = daemon:request("GET", "/proxy/9/x")
    assert.are.same({ 502, "BAD_GATEWAY" }, { r.status, r.json.code })
    assert.is_truthy(r.json.message:find("^proxy upstream error: "))
    assert.are.equal(400, daemon:request("GET", "/proxy/99999/x").status)
  end)
end)
