-- Ports and resources of a sandbox, as its daemon counts them.

local toolbox = require "spec.support.toolbox"

describe("the machine of a sandbox", function()
  local daemon
  setup(function() daemon = toolbox.start { cpu = 2, memory = 4, disk = 8 } end)
  teardown(function() daemon:stop() end)

  local function in_use(port)
    return daemon:request("GET", "/port/" .. port .. "/in-use")
  end

  it("shows the ports that its own processes listen on", function()
    assert.are.equal('{"ports":[]}', daemon:request("GET", "/port").body)
    daemon:exec([[cat > serve.py <<'END'
import socket, time
servers = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("::1", 0), family=socket.AF_INET6)]
print(*[s.getsockname()[1] for s in servers], flush=True)
time.sleep(60)
END
python3 serve.py > ports 2>&1 & echo $! > pid]])
    local first, second
    for _ = 1, 200 do
      first, second = (toolbox.read(daemon.dir .. "/ports") or ""):match "(%d+) (%d+)"
      if first then break end
      toolbox.sh "sleep 0.02"
    end
    local expected = { tonumber(first), tonumber(second) }
    table.sort(expected)
    assert.are.same(expected, daemon:request("GET", "/port").json.ports)
    daemon:exec "kill $(cat pid)"
  end)

  it("says whether a port is taken", function()
    for _, port in ipairs { "2999", "10000", "x", "-1" } do
      assert.are.equal(400, in_use(port).status)
    end
    daemon:exec [[cat > listen.py <<'END'
import os, random, socket, time
while True:
    s = socket.socket()
    try:
        s.bind(("127.0.0.1", random.randint(3000, 9999)))
        s.listen()
        break
    except OSError: # somebody has it
        s.close()
print(s.getsockname()[1], os.getpid(), file=open("listening", "w"), flush=True)
time.sleep(60)
END
python3 listen.py >/dev/null 2>&1 &
until [ -s listening ]; do sleep 0.02; done]]
    local port = daemon:exec("cut -d' ' -f1 listening").result:match "%d+"
    assert.is_true(in_use(port).json.isInUse)
    daemon:exec "kill $(cut -d' ' -f2 listening); while kill -0 $(cut -d' ' -f2 listening); do sleep 0.02; done"
    assert.is_false(in_use(port).json.isInUse)
  end)

  it("measures what it uses", function()
    local function metrics() return daemon:request("GET", "/system/metrics").json end
    local m = metrics()
    assert.are.same({ 2, 4 * 1024 ^ 3, 0 }, { m.cpuCount, m.memTotal, m.cpuUsedPct })
    assert.is_true(m.memUsed > 1e6 and m.memUsed < m.memTotal)
    assert.are.equal(8 * 1024 ^ 3, m.diskTotal)
    assert.are.equal(m.diskTotal, m.diskUsed + m.diskFree)
    assert.is_truthy(m.timestamp:find "^%d+%-%d+%-%d+T")
    daemon:exec "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
    assert.is_true(metrics().cpuUsedPct > 0)
  end)
end)

describe("the daemon", function()
  local daemon
  setup(function() daemon = toolbox.start() end)
  teardown(function() daemon:stop() end)

  it("takes the token that the service's machines give it, and says what becomes of it", function()
    local r = daemon:post("/init", { token = "t" })
    assert.are.equal(200, r.status)
    assert.is_truthy(r.json.message:find("no telemetry", 1, true))
    assert.are.equal(400, daemon:post("/init", { token = 1 }).status)
  end)

  it("shows the way to a path that differs by a slash at its end", function()
    local r = daemon:request("GET", "/version/", { query = { a = "b" } })
    assert.are.same({ 301, "/toolbox/box/version?a=b" }, { r.status, r.headers.location })
    assert.are.equal(307, daemon:post("/process/execute/", { command = "true" }).status)
    assert.are.equal("hi\n", daemon:post("/process/execute/", { command = "echo hi" },
      { curl = { "--location" } }).json.result)
    assert.are.equal(404, daemon:request("GET", "/nothing/").status)
    assert.are.equal(404, daemon:request("GET", "/process/execute/").status)
    assert.are.equal(401, daemon:request("GET", "/version/", { key = false }).status)
    assert.are.equal(200, daemon:request("GET", "/files/").status)
  end)
end)
