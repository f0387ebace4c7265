-- A sandbox as a machine: ports, environment, what it uses; and the ways into it
-- for others.

local access = require "daytona.control.preview"
local daytona = require "daytona"
local loop = require "daytona.loop"
local native = require "daytona.base.native"
local scripted = require "spec.support.scripted_daemon"

local sh = require("spec.support.toolbox").sh

describe("a sandbox", function()
  local service, sandbox

  setup(function()
    service = require("spec.support.service").start()
    sandbox = assert(service.client:create())
  end)
  teardown(function()
    sandbox:delete()
    service:stop()
  end)

  -- Runs fn while something listens on `port`, from a moment on.
  local function listening(port, delay, fn)
    local server = daytona.spawn(function()
      return sandbox:exec({ "python3", "-c", ([[
import socket, time
time.sleep(%g)
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", %d)); s.listen(); time.sleep(60)]]):format(delay, port) })
    end)
    fn()
    server:cancel()
    server:wait()
  end

  -- A port that nobody has, and that no other run of the specs is likely to take.
  local function free_port(first, last)
    while true do
      local a, b = native.random(2):byte(1, 2)
      local port = first + (a * 256 + b) % (last - first)
      if sandbox:port_in_use(port) == false then return port end
    end
  end

  -- Whether `ports` names it: others may listen on this machine, too.
  local function is_listed(port)
    for _, other in ipairs(assert(sandbox:ports())) do
      if other == port then return true end
    end
    return false
  end

  it("says which ports are in use, and waits for one", function()
    local port = free_port(3000, 9999)
    listening(port, 0.3, function()
      assert.is_false(sandbox:port_in_use(port))
      assert.equal(sandbox, assert(sandbox:wait_for_port(port, { timeout = 20 })))
      assert.is_true(sandbox:port_in_use(port))
      assert.is_true(is_listed(port))
      local digits = ("%d"):format(port) -- as from the environment
      assert.is_true(sandbox:port_in_use(digits))
      assert(sandbox:wait_for_port(digits))
      assert(sandbox:wait_for { port = digits })
      assert.equal(sandbox:preview_url(port).url, sandbox:preview_url(digits).url)
      assert(sandbox:wait_for_port(port, { host = "127.0.0.1" }))
    end)
  end)

  it("sees what listens on IPv6 alone", function()
    local port = free_port(3000, 9999)
    local server = daytona.spawn(function()
      return sandbox:exec({ "python3", "-c", ([[
import socket, time
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.bind(("::1", %d)); s.listen(); time.sleep(60)]]):format(port) })
    end)
    local open, err = sandbox:wait_for_port(port, { timeout = 10 })
    if server:done() then return pending "there is no IPv6 here" end
    assert(open, tostring(err))
    assert.is_true(sandbox:port_in_use(port))
    assert.is_true(is_listed(port))
    server:cancel()
    server:wait()
  end)

  it("sees what the daemon does not", function()
    local port = free_port(3000, 9999)
    listening(port, 0.3, function()
      assert(service.server:faults { { path = ("/port/%d/in-use"):format(port), status = 200,
                                       body = { isInUse = false } } })
      assert(sandbox:wait_for_port(port, { timeout = 20 }))
      assert.is_true(sandbox:port_in_use(port))
      assert(service.server:clear_faults())
    end)
  end)

  it("waits for ports that the daemon does not answer for", function()
    local port = free_port(10000, 30000)
    listening(port, 0.3, function()
      assert(sandbox:wait_for_port(port, { timeout = 20 }))
      assert.is_true(sandbox:port_in_use(port))
    end)
  end)

  it("waits no longer than it should", function()
    local before = loop.now()
    local port = free_port(3000, 9999)
    local _, err = sandbox:wait_for_port(port, { timeout = 0.2 })
    assert.same({ "timeout", "wait", "wait_for_port" }, { err.kind, err.code, err.operation })
    assert.is_true(loop.now() - before < 10)
    _, err = sandbox:wait_for_port(port, { timeout = 0.2, host = "127.0.0.1" })
    assert.equal("timeout", err.kind)
    local waiting = daytona.spawn(function() return sandbox:wait_for_port(port, { timeout = 0 }) end)
    daytona.sleep(0.1)
    waiting:cancel()
    assert.equal("canceled", select(2, waiting:wait()).kind)
    assert.has_error(function() sandbox:wait_for_port(0) end)
    assert.has_error(function() sandbox:port_in_use "http" end)
    assert.has_error(function() sandbox:wait_for_port(80, { host = "-x; true" }) end)
  end)

  it("changes the environment of what is started from then on", function()
    assert.is_true(sandbox:set_env { set = { SPEC_A = "it's one", SPEC_B = "two" } })
    assert.equal("it's one two\n", assert(sandbox:exec 'echo "$SPEC_A $SPEC_B"').result)
    assert.is_true(sandbox:set_env { unset = { "SPEC_A" } })
    assert.is_true(sandbox:set_env {})
    assert.is_true(sandbox:set_env { set = { SPEC_PORT = 8000 } })
    assert.equal("8000\n", assert(sandbox:exec "echo $SPEC_PORT").result)
    assert.equal(" two\n", assert(sandbox:exec 'echo "$SPEC_A $SPEC_B"').result)
    local pty = assert(sandbox:pty())
    assert(pty:write 'echo "<$SPEC_B>"; exit\n')
    local text = ""
    for chunk in pty:chunks() do text = text .. chunk end
    assert.is_truthy(text:find("<two>", 1, true))
    assert.has_error(function() sandbox:set_env { set = { ["A=B"] = "x" } } end)
    assert.has_error(function() sandbox:set_env { unset = { "A B" } } end)
    assert.has_error(function() sandbox:set_env() end)
  end)

  it("says what it uses", function()
    local now = assert(sandbox:metrics_latest())
    for _, name in ipairs { "cpu_count", "cpu_used_pct", "mem_used", "mem_total", "mem_cache", "disk_used",
      "disk_total", "disk_free", "timestamp_unix" } do assert.equal("number", type(now[name]), name) end
    assert.is_true(now.mem_used > 0 and now.mem_used <= now.mem_total)
  end)

  it("has a history of that, one row a moment", function()
    local function series(name, ...)
      local points = {}
      for i, pair in ipairs { ... } do points[i] = { timestamp = pair[1], value = pair[2] } end
      return { metricName = "daytona.sandbox." .. name, dataPoints = points }
    end
    assert(service.server:faults { path = "/sandbox/*/telemetry/metrics", body = { series = {
      series("cpu.utilization", { "2026-01-02T00:00:00Z", 7.5 }, { "2026-01-01T00:00:00Z", 3 }),
      series("memory.usage", { "2026-01-01T00:00:00Z", 1000 }), series("of.the.future", { "2027", 1 }),
    } } })
    local rows = assert(sandbox:metrics { from = 0, to = "2027-01-01T00:00:00Z" })
    assert.equal(2, #rows)
    assert.same({ timestamp = "2026-01-01T00:00:00Z", cpu_used_pct = 3, mem_used = 1000, cpu_count = 0,
      mem_total = 0, mem_cache = 0, disk_used = 0, disk_total = 0 }, rows[1])
    assert.same({ 7.5, 0 }, { rows[2].cpu_used_pct, rows[2].mem_used })
    assert(service.server:clear_faults())
    assert(service.server:faults { path = "/sandbox/*/telemetry/metrics", body = {} })
    assert.same({}, assert(sandbox:metrics()))
    assert(service.server:clear_faults())
    assert.has_error(function() sandbox:metrics { from = true } end)
  end)

  it("is kept in use while something is done", function()
    assert(service.server:forget_requests())
    local a, b = sandbox:keep_alive(function()
      daytona.sleep(0.2)
      return "done", 2
    end, { interval = 0.03 })
    assert.same({ "done", 2 }, { a, b })
    local path = "/sandbox/" .. sandbox.id .. "/last-activity"
    local touched = service:count("POST", path)
    if touched == 0 then touched = service:count("POST", "/api" .. path) end
    assert.is_true(touched >= 2, "touched " .. touched)
    assert.has_error(function() sandbox:keep_alive(function() error "mine" end) end)
    assert.is_false(loop.busy())
  end)
end)

describe("a signed file URL", function()
  local KEY = "testsigningkey1234567890abcdefgh"

  it("has the signature that the service computes", function()
    for _, case in ipairs {
      { "GET", "/home/user/report.pdf", 1781234567, "v1_QXoy36mypac2FAv33L7jnN44GEUx8KrdwT0vuKgKiQg" },
      { "GET", "/home/user/report.pdf", 0, "v1_lpj67Q-1iHxBviass5MZhGs36X80uk3DgCaRjjmyPrk" },
      { "POST", "/tmp/incoming/data.bin", 1781234567, "v1_CziiRdFkC9asB7q1mi0-fDvvwkpTxcI7yR8N35ht9Vw" },
      { "GET", "/path with spaces/f.txt", 1900000000, "v1_GynMaKcifGfdmrBJHusa_ucAXowjZ_g4KP6lcMJ4WXE" },
    } do assert.equal(case[4], access.sign(KEY, case[1], case[2], case[3])) end
  end)

  local service, sandbox
  setup(function()
    service = require("spec.support.service").start()
    sandbox = assert(service.client:create())
  end)
  teardown(function()
    sandbox:delete()
    service:stop()
  end)

  local function fetch(url)
    return sh(("curl -sS -w ' %%{http_code}' '%s'"):format(url))
  end

  it("lets a stranger read and write a file, and no other", function()
    local name = "a b & \195\169+'%.txt"
    assert(sandbox.fs:write(name, "for you"))
    local url = assert(sandbox:download_url(name)):gsub("'", "%%27")
    assert.equal("for you 200", fetch(url))
    local forged = url:gsub("(signature=v1_)(.)", function(name_of, first)
      return name_of .. (first == "A" and "B" or "A")
    end)
    assert.is_truthy(fetch(forged):find " 401$")
    assert.is_truthy(fetch((url:gsub("path=a", "path=b"))):find " 401$")
    local up = assert(sandbox:upload_url "sent.txt")
    sh(("curl -sS -F 'file=@Makefile' '%s'"):format(up))
    local file = io.open "Makefile"
    assert.equal(file:read "*a", assert(sandbox.fs:read "sent.txt"))
    file:close()
    assert.is_truthy(fetch(assert(sandbox:upload_url "sent.txt")):find " 40%d$") -- made for POST
  end)

  it("expires, unless it is told not to", function()
    local now = os.time()
    local expires = tonumber(assert(sandbox:download_url("x", { ttl = 60 })):match "expires=(%d+)")
    assert.is_true(expires >= now + 60 and expires <= now + 70)
    expires = tonumber(assert(sandbox:download_url "x"):match "expires=(%d+)")
    assert.is_true(expires >= now + 3600 and expires <= now + 3610)
    assert.equal("0", assert(sandbox:download_url("x", { ttl = 0 })):match "expires=(%d+)")
    assert(sandbox.fs:write("x", "kept"))
    assert.equal("kept 200", fetch(assert(sandbox:download_url("x", { ttl = 0 }))))
    assert.has_error(function() sandbox:download_url("x", { ttl = -1 }) end)
    assert.has_error(function() sandbox:download_url "" end)
    assert.has_error(function() sandbox:upload_url "a\0b" end)
  end)

  it("is good no more when the key was changed", function()
    local url = assert(sandbox:download_url "x")
    assert.equal("kept 200", fetch(url))
    assert.is_true(sandbox:rotate_signing_key())
    assert.is_truthy(fetch(url):find " 401$")
    assert.equal("kept 200", fetch(assert(sandbox:download_url "x")))
  end)

  it("takes no request but one for the key, which nobody gets to see", function()
    assert(sandbox:rotate_signing_key())
    assert(service.server:forget_requests())
    for i = 1, 50 do assert(sandbox:download_url("f" .. i)) end
    assert.same({}, (assert(service.server:requests())))
    local function search(value, seen)
      if type(value) ~= "table" or seen[value] then return end
      seen[value] = true
      for name, item in pairs(value) do
        assert.is_falsy(type(name) == "string" and name:find "signing")
        search(item, seen)
      end
    end
    search(sandbox.raw, {})
  end)
end)

describe("access by SSH", function()
  it("is a record on the local server, which has no SSH gateway and says so", function()
    local service = require("spec.support.service").start()
    local sandbox = assert(service.client:create())
    -- As the service's own gateway asks, which alone is told.
    local function validate(token)
      return assert(service.client:request("GET", "/sandbox/ssh-access/validate",
        { query = { token = token }, headers = { ["X-Daytona-Source"] = "ssh-gateway" } })).json
    end
    local first = assert(sandbox:ssh_access { expires_in = 90 })
    assert.is_truthy(first.ssh_command:find("no SSH gateway", 1, true))
    assert.is_true(first.expires_at > first.created_at)
    assert.same({ valid = true, sandboxId = sandbox.id }, validate(first.token))
    local second = assert(sandbox:ssh_access())
    assert.is_false(validate(first.token).valid)
    assert.is_true(validate(second.token).valid)
    assert.is_true(sandbox:revoke_ssh_access "another")
    assert.is_true(validate(second.token).valid)
    assert.is_true(sandbox:revoke_ssh_access(second.token))
    assert.is_false(validate(second.token).valid)
    local third = assert(sandbox:ssh_access { expires_in = 90 })
    assert(service.server:advance(121))
    assert.is_false(validate(third.token).valid)
    assert.is_true(sandbox:revoke_ssh_access())
    service:stop()
  end)

  it("is given for a while, and taken away", function()
    local service = require("spec.support.service").start()
    local sandbox = assert(service.client:create())
    assert(service.server:faults { method = "POST", path = "/sandbox/*/ssh-access", body = {
      id = "a", sandboxId = "s", token = "ssh-token-1", sshCommand = "ssh ssh-token-1@ssh.example.org",
      expiresAt = "2026-01-01T00:00:00Z",
    } })
    local given = assert(sandbox:ssh_access { expires_in = 90 })
    assert.same({ "ssh-token-1", "ssh ssh-token-1@ssh.example.org", "2026-01-01T00:00:00Z", "s" },
      { given.token, given.ssh_command, given.expires_at, given.sandbox_id })
    assert(service.server:faults { method = "DELETE", path = "/sandbox/*/ssh-access", body = { id = "s" } })
    assert.is_true(sandbox:revoke_ssh_access(given.token))
    assert.is_true(sandbox:revoke_ssh_access())
    assert(service.server:clear_faults())
    assert(service.server:faults { method = "DELETE", path = "/sandbox/*/ssh-access", status = 403,
      message = "token ssh-token-1 is not yours" })
    local _, err = sandbox:revoke_ssh_access "ssh-token-1"
    assert.equal("forbidden", err.kind)
    assert.is_nil(tostring(err):find("ssh-token-1", 1, true))
    assert.has_error(function() sandbox:ssh_access { expires_in = "long" } end)
    assert.has_error(function() sandbox:revoke_ssh_access "" end)
    sandbox:delete()
    service:stop()
  end)
end)

describe("an old daemon", function()
  it("is named as the reason why something cannot be done", function()
    local service = require("spec.support.service").start { legacy = "0.190" }
    local sandbox = assert(service.client:create())
    for _, try in ipairs {
      function() return sandbox:set_env { set = { A = "b" } } end, function() return sandbox:metrics_latest() end,
    } do
      local done, err = try()
      assert.same({ nil, "unsupported" }, { done, err.kind })
      assert.is_truthy(tostring(err):find "too old")
    end
    assert.same({}, assert(sandbox:ports()))
    sandbox:delete()
    service:stop()
  end)

  it("says null for no ports, in any order otherwise", function()
    local peer = scripted.start()
    local box = peer:sandbox({ ["/port"] = { { "status", 200, '{"ports":[5000,80,3000]}' } } })
    assert.same({ 80, 3000, 5000 }, assert(box:ports()))
    box = peer:sandbox({ ["/port"] = { { "status", 200, '{"ports":null}' } } })
    assert.same({}, assert(box:ports()))
    peer:close()
  end)
end)
