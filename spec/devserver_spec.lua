-- The local server as its users meet it: started from a program or by hand, safe,
-- gone when its parent is, and misbehaving on request.

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local shell = require "daytona.base.shell"

local ROOT = (debug.getinfo(1, "S").source:match "^@(.*)spec/[^/]*$") or "./"
if ROOT == "" then ROOT = "./" end

-- Runs a shell command; its output without the last newline.
local function run(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1"))
  local output = pipe:read "*a"
  pipe:close()
  return (output:gsub("%s+$", ""))
end

local function exists(path)
  return run("test -e " .. shell.quote(path) .. " && echo yes") == "yes"
end

-- Waits until fn() is true, for at most 10 seconds.
local function eventually(fn, what)
  for _ = 1, 500 do
    local value = fn()
    if value then return value end
    os.execute "sleep 0.02"
  end
  error("did not happen: " .. (what or "the condition"), 2)
end

local function alive(pid)
  return run("kill -0 " .. pid .. " 2>/dev/null && echo yes") == "yes"
end

describe("the local server", function()
  local server, client

  setup(function()
    server = assert(devserver.start {})
    client = daytona.new { api_url = server.api_url, api_key = server.api_key }
  end)

  teardown(function()
    client:close()
    server:stop()
  end)

  before_each(function()
    assert(server:clear_faults())
    assert(server:forget_requests())
  end)

  local function call(method, path, json, query)
    return client:request(method, path, { json = json, query = query })
  end

  local function must(method, path, json, query)
    return assert(call(method, path, json, query)).json
  end

  -- The status of a refused call.
  local function refused(method, path, json, query)
    local response, err = call(method, path, json, query)
    assert.is_nil(response)
    return err.status, err
  end

  local function state_of(id)
    local response, err = call("GET", "/sandbox/" .. id)
    if not response then return err.status == 404 and "gone" or error(tostring(err)) end
    return response.json.state
  end

  local function wait_for(id, state)
    eventually(function() return state_of(id) == state end, state)
  end

  local function curl(arguments)
    return run("curl -s -m 10 " .. arguments)
  end

  describe("is safe:", function()
    it("it refuses requests without its key, or with another", function()
      local status = "-o /dev/null -w '%{http_code}' "
      assert.equal("401", curl(status .. server.api_url .. "/sandbox"))
      assert.equal("401", curl(status .. "-H 'Authorization: Bearer x' " .. server.api_url .. "/sandbox"))
      assert.equal("401", curl(status .. "-X POST " .. server.api_url .. "/__devserver/clock"))
      assert.equal("200", curl(status .. server.api_url .. "/config"))
    end)

    it("it takes the key as a token of a user, too", function()
      local user = daytona.new { api_url = server.api_url, jwt_token = server.api_key, organization_id = "o" }
      assert.is_true(user:ping())
      user:close()
    end)

    it("it and its daemons listen on 127.0.0.1 only", function()
      local sandbox = must("POST", "/sandbox", {})
      local ports = { server.api_url:match ":(%d+)", sandbox.toolboxProxyUrl:match ":(%d+)" }
      local tcp = run "cat /proc/net/tcp /proc/net/tcp6"
      for _, port in ipairs(ports) do
        local hex = ("%04X"):format(tonumber(port))
        assert.truthy(tcp:find("0100007F:" .. hex .. " 00000000:0000 0A", 1, true))
        assert.falsy(tcp:find("00000000:" .. hex .. " 00000000:0000 0A", 1, true))
      end
      must("DELETE", "/sandbox/" .. sandbox.id)
    end)

    it("it will not listen elsewhere", function()
      local output = run(ROOT .. "bin/daytona-devserver --host 0.0.0.0; echo status $?")
      assert.truthy(output:find("127.0.0.1 only", 1, true))
      assert.truthy(output:find("status 2", 1, true))
    end)

    it("a sandbox sees neither the server's folder nor its key", function()
      if not server.isolated then return pending "no bubblewrap here" end
      local sandbox = assert(client:create {})
      local seen = assert(sandbox:exec("ls " .. server.dir .. " /root 2>&1; "
        .. "cat /proc/*/environ /proc/1/cmdline | tr '\\0' '\\n'"))
      assert.falsy(seen.result:find(server.api_key, 1, true))
      assert.falsy(seen.result:find("sandboxes", 1, true))
      assert.truthy(assert(sandbox:exec "cat /proc/1/mem").result:find("denied", 1, true))
      assert.equal("daytona", (assert(sandbox:exec "whoami").result:gsub("%s", "")))
      assert(sandbox:delete())
    end)
  end)

  describe("keeps sandboxes:", function()
    it("one is created, has every required field, and is gone after its deletion", function()
      local first = must("POST", "/sandbox", { name = "ünï code/1", env = { A = "b" } })
      assert.equal("creating", first.state)            -- the record from before the hold
      local sandbox = must("GET", "/sandbox/" .. first.id)
      for _, field in ipairs { "id", "organizationId", "name", "user", "env", "labels", "public",
        "networkBlockAll", "target", "cpu", "gpu", "memory", "disk", "kvm", "toolboxProxyUrl" } do
        assert.is_not_nil(sandbox[field], field)
      end
      assert.equal("started", sandbox.state)
      assert.equal(sandbox.id, must("GET", "/sandbox/%C3%BCn%C3%AF%20code%2F1").id)
      assert.equal("destroyed", must("DELETE", "/sandbox/" .. sandbox.id).desiredState)
      assert.equal(404, (refused("GET", "/sandbox/%C3%BCn%C3%AF%20code%2F1")))
      wait_for(sandbox.id, "gone")
      assert.falsy(exists(server.dir .. "/sandboxes/" .. sandbox.id))
    end)

    it("what the service refuses is refused", function()
      local sandbox = must("POST", "/sandbox", { name = "taken" })
      assert.equal(409, (refused("POST", "/sandbox", { name = "taken" })))
      for _, body in ipairs {
        { cpu = 2 }, { snapshot = "none" }, { autoStopInterval = -1 }, { name = "<b>" }, { name = 5 },
        { networkAllowList = "10.0.0.1" }, { snapshot = "daytona-local", buildInfo = { dockerfileContent = "FROM x" } },
        { volumes = { { volumeId = "v" } } }, { gpu = 1 },
      } do
        assert.equal(400, (refused("POST", "/sandbox", body)))
      end
      assert.equal(500, (refused("POST", "/sandbox", { autoStopInterval = 1.5 })))
      assert.equal(404, (refused("POST", "/sandbox", { volumes = { { volumeId = "v", mountPath = "/v" } } })))
      assert.equal(404, (refused("POST", "/sandbox", { target = "nowhere" })))
      assert.equal(400, (refused("POST", "/sandbox/taken/recover")))
      assert.equal(400, (refused("POST", "/sandbox/taken/archive")))
      assert.equal(422, (refused("POST", "/sandbox/taken/fork")))
      assert.equal(500, (refused("POST", "/sandbox/taken/autostop/x")))
      assert.equal(400, (refused("POST", "/sandbox/taken/autostop/-1")))
      assert.equal(404, (refused("POST", "/sandbox/taken/nonsense")))
      local _, err = refused("GET", "/sandbox/none")
      assert.equal("not_found", err.kind)
      assert.equal("DAYTONA_API", err.source)
      must("DELETE", "/sandbox/" .. sandbox.id)
    end)

    it("settings are kept", function()
      local id = must("POST", "/sandbox", {}).id
      local at = "/sandbox/" .. id
      assert.equal(30, must("POST", at .. "/autostop/30").autoStopInterval)
      assert.equal(43200, must("POST", at .. "/autoarchive/0").autoArchiveInterval)
      assert.equal(-5, must("POST", at .. "/autodelete/-5").autoDeleteInterval)
      assert.is_string(must("POST", at .. "/ttl/10").autoDestroyAt)
      assert.is_nil(must("POST", at .. "/ttl/0").autoDestroyAt)
      assert.is_true(must("POST", at .. "/public/true").public)
      assert.same({ a = "b" }, must("PUT", at .. "/labels", { labels = { a = "b" } }).labels)
      local function network(settings) return must("POST", at .. "/network-settings", settings) end
      assert.equal("10.0.0.0/8", network { networkAllowList = "10.0.0.0/8" }.networkAllowList)
      assert.is_true(network { networkBlockAll = true }.networkBlockAll)
      assert.is_nil(must("GET", at).networkAllowList)
      local preview = must("GET", at .. "/ports/3000/preview-url")
      assert.truthy(preview.url:find("3000-" .. id, 1, true))
      local key = assert(call("GET", at .. "/signing-key")).body
      assert.not_equal(key, assert(call("POST", at .. "/signing-key/rotate")).body)
      assert.equal(201, assert(call("POST", at .. "/last-activity")).status)
      must("DELETE", at)
    end)

    it("they stop, start, are resized and archived", function()
      local id = must("POST", "/sandbox", {}).id
      local at = "/sandbox/" .. id
      assert.equal("started", must("POST", at .. "/start").state)
      local resizing = must("POST", at .. "/resize", { cpu = 2 })
      assert.same({ "resizing", 1 }, { resizing.state, resizing.cpu })
      wait_for(id, "started")
      assert.equal(2, must("GET", at).cpu)
      assert.equal(400, (refused("POST", at .. "/resize", { cpu = 1 })))
      local address = must("GET", at).toolboxProxyUrl
      must("POST", at .. "/stop")
      wait_for(id, "stopped")
      assert.equal(400, (refused("POST", at .. "/stop")))
      assert.truthy(curl("-H 'Authorization: Bearer " .. server.api_key .. "' "
        .. must("GET", at).toolboxProxyUrl .. "/" .. id .. "/version"):find("Is the Sandbox started", 1, true))
      must("POST", at .. "/archive")
      wait_for(id, "archived")
      assert.equal("archived", must("POST", at .. "/start").state)
      wait_for(id, "started")
      assert.equal(address, must("GET", at).toolboxProxyUrl)
      must("DELETE", at)
    end)

    it("an image is built in simulation, and the log says so", function()
      local id = must("POST", "/sandbox", {
        cpu = 2, buildInfo = { dockerfileContent = "FROM debian:12\nRUN apt-get \\\n  update\n" },
      }).id
      wait_for(id, "started")
      assert.equal(2, must("GET", "/sandbox/" .. id).cpu)
      local url = must("GET", "/sandbox/" .. id .. "/build-logs-url").url
      local log = curl("-H 'Authorization: Bearer " .. server.api_key .. "' '" .. url .. "?follow=true'")
      assert.truthy(log:find("nothing is installed", 1, true))
      assert.truthy(log:find("Step 2/2 : RUN apt-get update", 1, true))
      must("DELETE", "/sandbox/" .. id)
    end)
  end)

  describe("lists", function()
    local N = 1050

    setup(function() assert(server:seed(N, "row-")) end)

    local function names(query)
      local list, cursor, pages = {}, nil, 0
      repeat
        query.cursor = cursor
        local page = must("GET", "/sandbox", nil, query)
        for _, item in ipairs(page.items) do list[#list + 1] = item.name end
        cursor, pages = page.nextCursor, pages + 1
      until not cursor
      return list, pages
    end

    it("all rows once, in order, by every sort", function()
      for _, sort in ipairs { "name", "cpu", "memoryGib", "diskGib", "lastActivityAt", "createdAt" } do
        for _, order in ipairs { "asc", "desc" } do
          local list, pages = names { name = "ROW-", limit = "200", sort = sort, order = order }
          assert.equal(N, #list)
          assert.equal(6, pages)
          local seen = {}
          for _, name in ipairs(list) do
            assert.is_nil(seen[name])
            seen[name] = true
          end
          if sort == "name" then assert.equal(order == "asc" and "row-000001" or "row-001050", list[1]) end
        end
      end
    end)

    it("by filters", function()
      assert.equal(1, #names { name = "row-000007" })
      assert.equal(0, #names { name = "row-", states = "started" })
      assert.equal(N, #names { name = "row-", states = "stopped", limit = "200", minCpu = "1", isPublic = "false" })
      assert.equal(0, #names { name = "row-", createdAtAfter = "2100-01-01T00:00:00Z" })
      assert.equal(0, #names { name = "row-", labels = '{"a":"b"}' })
      assert.equal(0, #names { name = "row-", snapshots = "other" })
    end)

    it("in pages with numbers", function()
      local page = must("GET", "/sandbox/paginated", nil, { name = "ow-0000", limit = "10", page = "2" })
      assert.equal(10, #page.items)
      assert.equal(99, page.total)
      assert.equal(10, page.totalPages)
      assert.is_table(page.items[1].env)
    end)

    it("and refuses bad cursors and parameters", function()
      for _, query in ipairs {
        { cursor = "abc" }, { limit = "0" }, { limit = "201" }, { sort = "colour" },
        { states = "destroyed" }, { labels = "no" }, { createdAtAfter = "yesterday" }, { minCpu = "0" },
      } do
        assert.equal(400, (refused("GET", "/sandbox", nil, query)))
      end
      local cursor = must("GET", "/sandbox", nil, { limit = "1", sort = "name" }).nextCursor
      assert.equal(500, (refused("GET", "/sandbox", nil, { cursor = cursor, sort = "cpu" })))
      assert.equal(0, #must("GET", "/sandbox", nil, { cursor = "e30=" }).items)
    end)
  end)

  describe("has a clock:", function()
    it("idle sandboxes stop, used ones do not", function()
      local idle = must("POST", "/sandbox", { autoStopInterval = 5 }).id
      local used = must("POST", "/sandbox", { autoStopInterval = 5 }).id
      assert(server:advance(240))
      must("POST", "/sandbox/" .. used .. "/last-activity")
      assert(server:advance(120))
      wait_for(idle, "stopped")
      assert.equal("started", state_of(used))
      must("DELETE", "/sandbox/" .. idle)
      must("DELETE", "/sandbox/" .. used)
    end)

    it("a command counts as use", function()
      local sandbox = assert(client:create { auto_stop_interval = 5 })
      assert(server:advance(240))
      assert(sandbox:exec "true")
      local before = must("GET", "/sandbox/" .. sandbox.id).lastActivityAt
      assert(server:advance(120))
      assert.equal("started", state_of(sandbox.id))
      assert.not_equal(before, must("GET", "/sandbox/" .. sandbox.id).createdAt)
      assert(sandbox:delete())
    end)

    it("stopped sandboxes are deleted and archived in time", function()
      local gone = must("POST", "/sandbox", { autoDeleteInterval = 10 }).id
      local archived = must("POST", "/sandbox", { autoArchiveInterval = 10 }).id
      must("POST", "/sandbox/" .. gone .. "/stop")
      must("POST", "/sandbox/" .. archived .. "/stop")
      wait_for(gone, "stopped")
      wait_for(archived, "stopped")
      assert(server:advance(599))
      assert.equal("stopped", state_of(gone))
      assert(server:advance(2))
      wait_for(gone, "gone")
      wait_for(archived, "archived")
      must("DELETE", "/sandbox/" .. archived)
    end)

    it("an ephemeral sandbox is destroyed when it stops, and its name is free", function()
      local id = must("POST", "/sandbox", { name = "short", autoDeleteInterval = 0 }).id
      must("POST", "/sandbox/short/stop")
      wait_for(id, "gone")
      must("DELETE", "/sandbox/" .. must("POST", "/sandbox", { name = "short" }).id)
    end)

    it("signed addresses of files expire by it, in daemons that run and in those that start", function()
      local sandbox = assert(client:create { auto_stop_interval = 0 }) -- two hours pass
      assert(sandbox.fs:write("a", "kept"))
      local url = assert(sandbox:download_url("a", { ttl = 3600 }))
      local function fetch() return curl("-w ' %{http_code}' " .. shell.quote(url)) end
      assert.equal("kept 200", fetch())
      assert(server:advance(7200))
      assert.truthy(fetch():find(" 401$"))
      assert(sandbox:stop())
      assert(sandbox:start())
      assert.truthy(fetch():find(" 401$"))
      assert(sandbox:delete())
    end)

    it("a time to live ends a sandbox in any state", function()
      local id = must("POST", "/sandbox", { ttlMinutes = 10, autoStopInterval = 0 }).id
      assert(server:advance(601))
      wait_for(id, "gone")
    end)
  end)

  describe("commits faults:", function()
    local function fault(...)
      local list = { ... }
      assert(server:faults(list))
    end

    -- What curl says of a plain GET: its exit status and the answer.
    local function get(path)
      return curl("-i -w '\\nexit %{exitcode}' -H 'Authorization: Bearer " .. server.api_key .. "' "
        .. server.api_url .. path)
    end

    it("statuses, bodies, headers", function()
      fault { path = "/health", status = 503, headers = { ["X-Fault"] = "yes" } }
      local answer = get "/health"
      assert.truthy(answer:find("HTTP/1.1 503", 1, true))
      assert.truthy(answer:lower():find("x-fault: yes", 1, true))
      assert.truthy(answer:find('"message":"injected fault"', 1, true))
      assert(server:clear_faults())
      assert.truthy(get("/health"):find("HTTP/1.1 200", 1, true))
    end)

    it("a number of times, after a number of times", function()
      fault { path = "/health", status = 500, after = 1, times = 1 }
      assert.truthy(get("/health"):find(" 200 ", 1, true))
      assert.truthy(get("/health"):find(" 500 ", 1, true))
      assert.truthy(get("/health"):find(" 200 ", 1, true))
    end)

    it("empty answers, web pages, broken JSON, JSON of other types", function()
      fault({ path = "/health", empty = true, times = 1 }, { path = "/health", html = true, times = 1 },
        { path = "/health", invalid_json = true, times = 1 }, { path = "/health", wrong_types = true, times = 1 })
      assert.truthy(get("/health"):lower():find("502.-content%-length: 0"))
      assert.truthy(get("/health"):find("<html>", 1, true))
      assert.truthy(get("/health"):find('{"na', 1, true))
      assert.truthy(get("/health"):find('"status":12345', 1, true))
    end)

    it("throttling with the service's headers", function()
      fault({ path = "/sandbox", throttle = "sandbox-create", retry_after = 7, times = 1 },
        { path = "/sandbox", throttle = true, times = 1 })
      local answer = get("/sandbox"):lower()
      assert.truthy(answer:find("429", 1, true))
      assert.truthy(answer:find("retry-after-sandbox-create: 7", 1, true))
      assert.falsy(answer:find("x-ratelimit", 1, true))     -- other answers have these
      assert.truthy(get("/sandbox"):lower():find("\r?\nretry%-after: 1"))
    end)

    it("resets, closed and cut connections, bytes that are no HTTP", function()
      fault({ path = "/health", reset = true, times = 1 }, { path = "/health", drop = true, times = 1 },
        { path = "/health", cut_after = 5, times = 1 }, { path = "/health", reset = "mid", times = 1 },
        { path = "/health", garbage = true, times = 1 })
      assert.truthy(get("/health"):find("exit 56", 1, true))
      assert.truthy(get("/health"):find("exit 52", 1, true))
      assert.truthy(get("/health"):find("exit 18", 1, true))
      assert.truthy(get("/health"):find("exit 56", 1, true))
      assert.truthy(get("/health"):find("exit [15]"))
      assert.truthy(get("/health"):find("exit 0", 1, true))
    end)

    it("slow answers and holds, which follow the clock", function()
      fault({ path = "/health", slow = 100, times = 1 }, { path = "/health", hold = 30, times = 1 })
      local took = tonumber(curl("-o /dev/null -w '%{time_total}' " .. server.api_url .. "/health"))
      assert.is_true(took > 0.2 and took < 5)
      assert(server:set_time_scale(100))
      took = tonumber(curl("-o /dev/null -w '%{time_total}' " .. server.api_url .. "/health"))
      assert(server:set_time_scale(1))
      assert.is_true(took > 0.25 and took < 5)
    end)

    it("a lost answer: the request took effect", function()
      fault { method = "POST", path = "/sandbox", reset = true, handled = true, times = 1 }
      curl("-X POST -d '{\"name\":\"lost\"}' -H 'Content-Type: application/json' "
        .. "-H 'Authorization: Bearer " .. server.api_key .. "' "
        .. server.api_url .. "/sandbox")
      assert.equal("lost", must("GET", "/sandbox/lost").name)
      must("DELETE", "/sandbox/lost")
    end)

    it("in a sandbox's daemon, whether it runs already or not", function()
      local sandbox = assert(client:create {})
      fault { path = "/process/execute", status = 418, times = 1 }
      local _, err = sandbox:exec "true"
      assert.equal(418, err.status)
      assert(sandbox:exec "true")
      fault { path = "/process/execute", status = 418, times = 1 }
      _, err = sandbox:exec "true"
      assert.equal(418, err.status)
      assert(sandbox:delete())
    end)

    describe("on WebSockets,", function()
      local sandbox
      setup(function() sandbox = assert(client:create {}) end)
      teardown(function() sandbox:delete() end)

      local INTERPRETER, FOLLOW = "/process/interpreter/execute", "/process/session/*/command/*/logs"
      local COUNT = "for i in range(3): print(i)"

      it("a connection that is cut after some messages, or between two bytes", function()
        for _, how in ipairs {
          { messages = 0 }, { messages = 2 }, { messages = 2, reset = "mid" }, { cut_after = 10 },
        } do
          how.path, how.times = INTERPRETER, 1
          fault(how)
          local heard = {}
          local result, err = sandbox.interpreter:run(COUNT, {
            on_stdout = function(text) heard[#heard + 1] = text end,
          })
          assert.is_nil(result)
          assert.equal("connection", err.kind)
          if how.messages then assert.is_true(#table.concat(heard) <= 2 * how.messages) end
          if how.messages == 2 and not how.reset then assert.equal("0\n1\n", table.concat(heard)) end
        end
        assert.equal("0\n1\n2\n", assert(sandbox.interpreter:run(COUNT)).stdout)
      end)

      it("a wrong close code, at once or in the end, or no close at all", function()
        fault { path = INTERPRETER, times = 1, messages = 1, close_code = 1011, close_reason = "lost it" }
        local _, err = sandbox.interpreter:run(COUNT)
        assert.same({ "server", true }, { err.kind, err.message:find("lost it", 1, true) ~= nil })
        fault { path = INTERPRETER, times = 1, close_code = 4008 }
        assert.equal("KeyboardInterrupt", assert(sandbox.interpreter:run(COUNT)).error.name)
        fault { path = INTERPRETER, times = 1, close_code = "none" }
        _, err = sandbox.interpreter:run(COUNT)
        assert.equal("connection", err.kind)
      end)

      it("slow frames", function()
        fault { path = INTERPRETER, times = 1, slow = 1000 }
        local begun = os.time()
        assert.equal(2001, #assert(sandbox.interpreter:run "print('x' * 2000)").stdout)
        assert.is_true(os.time() - begun >= 1)
      end)

      it("which no follower of a log minds", function()
        local session = assert(sandbox:session())
        local command = assert(session:exec("for i in $(seq 2000); do echo line $i; done", { async = true }))
        assert.equal(0, assert(command:wait(20)))
        fault({ path = FOLLOW, times = 2, cut_after = 5000 }, { path = FOLLOW, times = 1, messages = 7 },
          { path = FOLLOW, times = 1, messages = 3, close_code = 1011 })
        local pieces = {}
        assert.equal(0, assert(command:follow { on_stdout = function(chunk) pieces[#pieces + 1] = chunk end }))
        local text = table.concat(pieces)
        assert.same({ assert(command:logs()).stdout, true }, { text, #text > 10000 })
        session:delete()
      end)

      it("nor a terminal that is taken up again", function()
        fault { path = "/process/pty/create-connect", times = 1, messages = 1 }
        local pty = assert(sandbox:pty {})
        local _, err = pty:read { timeout = 10 }
        assert.equal("connection", err.kind)
        assert(pty:connect())
        assert(pty:write "exit 5\n")
        assert.equal(5, assert(pty:wait { timeout = 20 }))
      end)
    end)

    it("sandboxes that stay in a state, until the fault is removed", function()
      fault { state = "stopping", name = "stuck*" }
      local id = must("POST", "/sandbox", { name = "stuck-1" }).id
      must("POST", "/sandbox/stuck-1/stop")
      wait_for(id, "stopping")
      assert.equal(409, (refused("POST", "/sandbox/stuck-1/start")))
      assert(server:clear_faults())
      wait_for(id, "stopped")
      must("DELETE", "/sandbox/" .. id)
    end)

    it("sandboxes that fail, and recover", function()
      fault { state = "creating", becomes = "error", error_reason = "no room", recoverable = true, times = 1 }
      local status, err = refused("POST", "/sandbox", { name = "roomless" })
      assert.same({ 400, true }, { status, err.message:find("Sandbox failed to start: no room", 1, true) ~= nil })
      local sandbox = must("GET", "/sandbox/roomless")
      assert.same({ "error", "no room", true }, { sandbox.state, sandbox.errorReason, sandbox.recoverable })
      assert.equal("started", must("POST", "/sandbox/" .. sandbox.id .. "/recover").state)
      must("DELETE", "/sandbox/" .. sandbox.id)
    end)

    it("and refuses one it does not know", function()
      local none, err = server:faults { { path = "/x", colour = "blue" } }
      assert.is_nil(none)
      assert.truthy(err.message:find("colour", 1, true))
    end)
  end)

  it("logs what it received, its daemons included, without secrets", function()
    local sandbox = assert(client:create {})
    assert(sandbox:exec "true")
    local count = {}
    for _, entry in ipairs(assert(server:requests())) do
      local what = entry.method .. " " .. entry.path
      count[what] = (count[what] or 0) + 1
    end
    assert.equal(1, count["POST /sandbox"])
    assert.equal(1, count["POST /process/execute"])
    assert(sandbox:delete())
  end)

  it("a sandbox costs no process until it is used; a dead daemon is replaced", function()
    local sandbox = assert(client:create {})
    local before = assert(server:stats()).daemons
    assert(sandbox:exec "true")
    assert.equal(before + 1, assert(server:stats()).daemons)
    sandbox:exec { "sh", "-c", "kill -9 1 $PPID" }
    eventually(function()
      local result = sandbox:exec "echo again"
      return result and result.result == "again\n"
    end)
    assert(sandbox:delete())
    eventually(function() return assert(server:stats()).daemons == before end)
  end)

  it("clients that vanish leave nothing behind", function()
    local before = assert(server:stats())
    local pid = server.pid
    local function descriptors() return tonumber(run("ls /proc/" .. pid .. "/fd | wc -l")) end
    local fds = descriptors()
    run("for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -m 0.2 -H 'Authorization: Bearer " .. server.api_key
      .. "' -H 'Content-Length: 1000' -d x " .. server.api_url .. "/sandbox & done; wait")
    eventually(function() return assert(server:stats()).open <= before.open end)
    eventually(function() return descriptors() <= fds end)
  end)
end)

describe("a local server's end:", function()
  it("stop ends its processes and removes its temporary folder", function()
    local server = assert(devserver.start {})
    local client = daytona.new { api_url = server.api_url, api_key = server.api_key }
    assert(assert(client:create {}):exec "sleep 300 >/dev/null 2>&1 &")
    local pid = server.pid
    assert.is_true(exists(server.dir))
    server:stop()
    server:stop()
    client:close()
    assert.is_false(exists(server.dir))
    assert.is_false(alive(pid))
    assert.has_error(function() server:stats() end)
  end)

  it("it dies with a parent that is killed, and removes its folder", function()
    local script = ("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath) .. [[
      local server = assert(require("daytona.devserver").start {})
      local client = require("daytona").new { api_url = server.api_url, api_key = server.api_key }
      assert(assert(client:create {}):exec "true")
      io.stdout:write(server.pid, " ", server.dir, "\n")
      io.stdout:flush()
      os.execute "kill -9 $PPID"
    ]]
    local name = run "mktemp"
    local file = assert(io.open(name, "w"))
    file:write(script)
    file:close()
    local interpreter = arg and arg[-1] or "lua5.4"
    for i = -1, -10, -1 do interpreter = arg and arg[i] or interpreter end
    local output = run(interpreter .. " " .. name)
    os.remove(name)
    local pid, dir = output:match "(%d+) (/%S+)"
    assert.is_string(pid, output)
    eventually(function() return not alive(pid) end, "the server's end")
    assert.is_false(exists(dir))
  end)

  it("sandboxes in a folder of one's own survive it", function()
    local dir = run "mktemp -d"
    local server = assert(devserver.start { dir = dir, key = "my-key" })
    assert.equal("my-key", server.api_key)
    local none = devserver.start { dir = dir }
    assert.is_nil(none)
    local client = daytona.new { api_url = server.api_url, api_key = server.api_key }
    local sandbox = assert(client:create { name = "kept", labels = { a = "b" } })
    assert(sandbox.fs:write("file.txt", "here"))
    server:stop()
    client:close()

    server = assert(devserver.start { dir = dir, key = "my-key" })
    client = daytona.new { api_url = server.api_url, api_key = server.api_key }
    sandbox = assert(client:get "kept")
    assert.equal("started", sandbox.state)
    assert.equal("b", sandbox.labels.a)
    assert.equal("here", (assert(sandbox.fs:read "file.txt")))
    client:close()
    server:stop()
    run("rm -rf " .. shell.quote(dir))
  end)

  it("an old server, and HTTPS with a certificate of its own", function()
    local server = assert(devserver.start { legacy = "0.190", tls = true })
    local status = run("curl -s -m 10 " .. server.api_url .. "/config; echo status $?")
    assert.truthy(status:find("status 60", 1, true))
    local client = daytona.new { api_url = server.api_url, api_key = server.api_key, ca_file = server.certificate }
    local made = assert(client:request("POST", "/sandbox", { json = {} })).json
    assert.equal("", made.toolboxProxyUrl)
    local url = assert(client:request("GET", "/sandbox/" .. made.id .. "/toolbox-proxy-url")).json.url
    assert.truthy(url:find "^http://127%.0%.0%.1:%d+/toolbox$")
    local none, err = client:request("GET", "/sandbox/none")
    assert.is_nil(none)
    assert.equal(404, err.status)
    assert.is_nil(err.source)
    local gone = assert(client:request("DELETE", "/sandbox/" .. made.id)).json
    assert.truthy(gone.name:find("^DESTROYED_" .. made.id:gsub("%-", "%%-") .. "_%d+$"))
    client:close()
    server:stop()
  end)

  it("by hand: it prints what to export, keeps its key, and Ctrl-C ends it", function()
    local dir = run "mktemp -d"
    -- Modules of another Lua, as the variables of a shell may name them.
    run(("echo 'error [[of another Lua]]' >%s/cqueues.lua"):format(dir))
    local output = run(("export LUA_PATH='" .. dir .. "/?.lua;;'; %sbin/daytona-devserver --dir %s/d >%s/out & P=$!; "
      .. "until grep -q KEY %s/out; do sleep 0.05; done; cat %s/out; stat -c %%a %s/d/key; "
      .. "kill -INT $P; wait $P; echo status $?"):format(ROOT, dir, dir, dir, dir, dir))
    assert.truthy(output:find "export DAYTONA_API_URL=http://127%.0%.0%.1:%d+/api\n")
    assert.truthy(output:find "export DAYTONA_API_KEY=local_%x+\n")
    assert.truthy(output:find("\n600\n", 1, true))
    assert.truthy(output:find("status 0", 1, true))
    run("rm -rf " .. shell.quote(dir))
  end)
end)
