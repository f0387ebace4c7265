-- Creating a sandbox exactly once, whatever happens to the answers. A script
-- plays the service: each request must be the next that it expects.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local http = require "daytona.http"
local loop = require "daytona.loop"

local real_request, real_sleep = http.request, loop.sleep
local script, seen, client

-- A sandbox as the service shows it. The name and labels come from the request.
local created

local function dto(fields)
  local raw = { id = "id-1", name = created and created.name or "other", labels = created and created.labels or {},
    state = "started", toolboxProxyUrl = "http://127.0.0.1:1/toolbox" }
  for name, value in pairs(fields or {}) do raw[name] = value end
  return raw
end

local function ok(fields)
  return function() return { status = 200, json = dto(fields), body = "" } end
end

local function answered(status, body)
  return function() return nil, failure.from_response { status = status, body = body or "" } end
end

local function lost(code)
  return function()
    local err = failure.from_transport(code)
    err.sent = code ~= "connect" and code ~= "resolve"
    return nil, err
  end
end

local function expect(...)
  script = { ... }
end

local function step(connection, request)
  local line = request.method .. " " .. request.path
  seen[#seen + 1] = line
  if request.method == "POST" and request.path == "/sandbox" then created = request.json end
  local row = table.remove(script, 1)
  assert(row, "not expected: " .. line)
  assert.truthy(line:find(row[1]), line .. " is not " .. row[1])
  local response, err = row[2](request, connection)
  local flaw = response and request.flaw and request.flaw(response.json, request)
  if flaw then return nil, errors.new { kind = "protocol", message = flaw } end
  return response, err
end

before_each(function()
  client = assert(daytona.new { api_key = "k", api_url = "http://127.0.0.1:1" })
  seen, created, script = {}, nil, {}
  http.request = step
  loop.sleep = function() return true end
end)

after_each(function()
  http.request, loop.sleep = real_request, real_sleep
  assert.same({}, script)
end)

local POST, GET, DELETE = "^POST /sandbox$", "^GET /sandbox/[^/]+$", "^DELETE /sandbox/id%-1$"

describe("create", function()
  it("sends what was asked for, under the service's names, and nothing else", function()
    expect({ "^GET /secret/paginated$", ok() }, { POST, ok { autoDestroyAt = "2030-01-01T00:00:00Z", kvm = true } })
    local labels = { team = "a" }
    assert(client:create {
      snapshot = "s", name = "n", user = "u", env = { A = "1", PORT = 8000 }, labels = labels, public = true,
      target = "eu",
      auto_stop_interval = 5, auto_archive_interval = 0, auto_delete_interval = -1, language = "typescript",
      volumes = { { volume_id = "v", mount_path = "/data" } }, secrets = { B = "b", A = "a" },
      network_allow_list = { "10.0.0.0/8", "1.2.3.4/32" }, ttl_minutes = 3, kvm = true, queue_timeout = 4,
      extra = { brandNew = { "x" } },
    })
    local mark = created.labels["daytona-lua-create"]
    assert.truthy(mark:find "^%x+$")
    assert.same({
      snapshot = "s", name = "n", user = "u", env = { A = "1", PORT = "8000" }, public = true, target = "eu",
      labels = { team = "a", ["code-toolbox-language"] = "typescript", ["daytona-lua-create"] = mark,
        ["daytona-lua"] = "1", ["daytona-lua-owner"] = created.labels["daytona-lua-owner"] },
      autoStopInterval = 5, autoArchiveInterval = 0, autoDeleteInterval = -1, ttlMinutes = 3,
      volumes = { { volumeId = "v", mountPath = "/data" } }, secrets = { { A = "a" }, { B = "b" } },
      networkAllowList = "10.0.0.0/8,1.2.3.4/32", kvm = true, queueTimeout = 4, brandNew = { "x" },
    }, created)
    assert.same({ team = "a" }, labels)
  end)

  it("without options is a python sandbox of a name of its own", function()
    expect { POST, ok() }
    assert(client:create())
    assert.truthy(created.name:find "^lua%-%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x$")
    assert.same({ name = created.name, labels = { ["code-toolbox-language"] = "python", ["daytona-lua"] = "1",
      ["daytona-lua-owner"] = created.labels["daytona-lua-owner"] } }, created)
  end)

  it("builds from an image, with resources", function()
    expect { POST, ok() }
    assert(client:create { image = "debian:12", cpu = 2, memory = 4, disk = 8, ephemeral = true, gpu_type = "H100" })
    assert.same({ dockerfileContent = "FROM debian:12\n" }, created.buildInfo)
    assert.equal("2 4 8 0 H100", table.concat({
      created.cpu, created.memory, created.disk, created.autoDeleteInterval, created.gpuType[1] }, " "))
  end)

  it("refuses contradictions before anything is sent", function()
    local brings, pauses = "a snapshot brings its own cpu, memory and disk", "when it stops cannot pause by itself"
    for _, row in ipairs {
      { { image = "a", snapshot = "b" }, "either image or snapshot" }, { { snapshot = "b", cpu = 1 }, brings },
      { { snapshot = "b", memory = 1 }, brings }, { { snapshot = "b", disk = 1 }, brings },
      { { extra = { name = "x" } }, "options of their own, not extra" },
      { { extra = { labels = {} } }, "options of their own, not extra" },
      { { image = "a", on_build_log = print, wait = false }, "on_build_log hears the log while create waits" },
      { { ephemeral = true, auto_delete_interval = 5 }, "auto_delete_interval says otherwise" },
      { { ephemeral = true, auto_delete_interval = -1 }, "auto_delete_interval says otherwise" },
      { { auto_stop_interval = 1, auto_pause_interval = 1 }, "either auto_stop_interval or auto_pause_interval" },
      { { auto_pause_interval = 1, ephemeral = true }, pauses },
      { { auto_pause_interval = 1, auto_delete_interval = 0 }, pauses }, { { language = "cobol" }, "language" },
      { { auto_stop_interval = -1 }, "auto_stop_interval" }, { { timeout = -1 }, "timeout" },
      { { env = { A = {} } }, "env" }, { { volumes = { {} } }, "volume" }, { { image = "a\nRUN rm" }, "image" },
      { { nmae = "x" }, "nmae" },
    } do
      local fine, why = pcall(function() client:create(row[1]) end)
      assert.is_false(fine)
      assert.truthy(why:find("^[^\n]*create_spec.lua:%d+: create: "), why)
      assert.truthy(why:find(row[2], 1, true), why)
    end
    assert.same({}, seen)
  end)

  it("takes what goes together", function()
    for _, opts in ipairs {
      { ephemeral = true, auto_delete_interval = 0 }, { auto_stop_interval = 5, auto_pause_interval = 0 },
      { auto_stop_interval = 0, auto_pause_interval = 5 }, { auto_pause_interval = 5, auto_delete_interval = 1 },
      { auto_pause_interval = 0, auto_delete_interval = 0 }, { auto_pause_interval = 0, ephemeral = true },
      { extra = { other = 1 } }, { image = "a", wait = false }, { image = "a", cpu = 1 },
    } do
      expect { POST, ok { autoPauseInterval = opts.auto_pause_interval } }
      assert(client:create(opts))
    end
  end)

  it("refuses text that is not UTF-8 and names the field", function()
    http.request = real_request
    local fine, text = pcall(function() return (client:create { labels = { team = "\255" } }) end)
    assert.is_false(fine)
    assert.truthy(text:find("labels.team: not valid UTF-8", 1, true), text)
  end)

  it("waits until it is started, through what passes", function()
    expect({ POST, ok { state = "creating" } }, { GET, ok { state = "pulling_snapshot" } }, { GET, answered(502) },
      { GET, lost "reset" }, { GET, ok { state = "starting" } }, { GET, ok() })
    assert.equal("started", assert(client:create()).state)
  end)

  it("waits on when an answer says nothing of the state", function()
    local function stateless()
      local answer = ok()()
      answer.json.state = nil
      return answer
    end
    expect({ POST, ok { state = "creating" } }, { GET, stateless }, { GET, ok() })
    assert.equal("started", assert(client:create()).state)
  end)

  it("does not wait when it is told so", function()
    expect { POST, ok { state = "creating" } }
    assert.equal("creating", assert(client:create { wait = false }).state)
  end)
end)

describe("after a lost answer, create", function()
  it("adopts the sandbox that was made", function()
    for _, loss in ipairs { lost "reset", lost "truncated", answered(502), answered(503), answered(504),
      answered(500), answered(409, '{"message":"taken"}') } do
      expect({ POST, loss }, { GET, ok() })
      assert.equal("id-1", assert(client:create()).id)
    end
  end)

  it("adopts one under a name of the caller's only by its mark", function()
    expect({ POST, lost "reset" }, { GET, ok() })
    assert(client:create { name = "mine" })
    assert.same({ "POST /sandbox", "GET /sandbox/mine" }, seen)

    expect({ POST, lost "reset" }, { GET, ok { labels = { ["daytona-lua-create"] = "another" } } })
    -- Somebody else's; asking again would only be a conflict, which is told.
    table.insert(script, { POST, answered(409, '{"message":"taken"}') })
    table.insert(script, { GET, ok { labels = {} } })
    local box, err = client:create { name = "mine" }
    assert.is_nil(box)
    assert.equal("conflict", err.kind)
  end)

  it("asks again under the same name when there is none, and takes a conflict for ours", function()
    local names = {}
    local function keep(result)
      return function(request)
        names[#names + 1] = request.json.name
        return result()
      end
    end
    expect({ POST, keep(lost "reset") }, { GET, answered(404) }, { POST, keep(answered(409)) }, { GET, ok() })
    assert.equal("id-1", assert(client:create()).id)
    assert.equal(names[1], names[2])
  end)

  it("gives up after some tries, with the failure itself", function()
    expect({ POST, answered(502) }, { GET, answered(404) }, { POST, answered(502) }, { GET, answered(404) },
      { POST, answered(502) }, { GET, answered(404) }, { POST, answered(502) }, { GET, answered(404) })
    local box, err = client:create()
    assert.is_nil(box)
    assert.equal("unavailable", err.kind)
    assert.equal(502, err.status)
  end)

  it("does not ask again after a 500 or a plain refusal", function()
    expect({ POST, answered(500) }, { GET, answered(404) })
    assert.equal("server", select(2, client:create()).kind)
    expect { POST, answered(400, '{"message":"quota"}') }
    assert.equal("invalid", select(2, client:create()).kind)
    expect { POST, answered(403) }
    assert.equal("forbidden", select(2, client:create()).kind)
    expect { POST, lost "connect" }
    assert.equal("connection", select(2, client:create()).kind)
  end)

  it("tells a conflict over a name that somebody else has", function()
    expect({ POST, answered(409, '{"message":"already exists"}') }, { GET, ok { labels = {} } })
    local box, err = client:create { name = "theirs" }
    assert.is_nil(box)
    assert.equal("conflict", err.kind)
    assert.equal("already exists", err.message)
  end)

  it("takes an answer without a sandbox in it for lost", function()
    for _, id in ipairs { false, "" } do
      expect({ POST, ok { id = id } }, { GET, ok() })
      assert(client:create())
    end
  end)
end)

describe("a sandbox that does not start", function()
  local FAILED = { state = "error", errorReason = "no runner" }

  it("is deleted again, and the error carries it", function()
    expect({ POST, ok { state = "creating" } }, { GET, ok(FAILED) }, { DELETE, ok { state = "destroying" } })
    local box, err = client:create()
    assert.is_nil(box)
    assert.equal("state", err.kind)
    assert.equal("id-1", err.sandbox.id)
    assert.truthy(tostring(err):find("no runner", 1, true))
  end)

  it("is deleted when the answer already says so", function()
    expect({ POST, ok { state = "build_failed" } }, { DELETE, ok() })
    assert.equal("state", select(2, client:create()).kind)
  end)

  it("stays when it is to be kept", function()
    expect({ POST, ok { state = "creating" } }, { GET, ok(FAILED) })
    assert.equal("id-1", select(2, client:create { keep = true }).sandbox.id)
  end)

  it("in time is a timeout, after a last look", function()
    expect({ POST, function() real_sleep(0.02); return ok { state = "creating" } () end },
      { GET, ok { state = "creating" } }, { DELETE, ok() })
    local box, err = client:create { timeout = 0.01 }
    assert.is_nil(box)
    assert.equal("timeout wait", err.kind .. " " .. err.code)
    assert.truthy(tostring(err):find("still creating", 1, true))
  end)

  it("and cannot be deleted is told so", function()
    expect({ POST, ok { state = "error" } }, { DELETE, answered(403, '{"message":"not allowed"}') })
    local _, err = client:create()
    assert.truthy(err.message:find("could not be deleted: not allowed", 1, true))
  end)
end)

describe("a create that is abandoned", function()
  local function abandoned(code)
    return function(request)
      local err = failure.from_transport(code)
      request.on_abandon(err, request)
      return nil, err
    end
  end

  it("looks for what was made meanwhile, and deletes it", function()
    for _, code in ipairs { "timeout", "canceled" } do
      expect({ POST, abandoned(code) }, { GET, answered(404) }, { GET, answered(502) }, { GET, ok() }, { DELETE, ok() })
      local box, err = client:create()
      assert.is_nil(box)
      assert.equal(code, err.code)
    end
  end)

  it("looks again when what was found could not be deleted just then", function()
    expect({ POST, abandoned "timeout" }, { GET, ok() }, { DELETE, lost "reset" }, { GET, ok() }, { DELETE, ok() })
    assert.is_nil((client:create { timeout = 5 }))
  end)

  it("never touches a sandbox of that name that is not ours", function()
    local tries = 0
    http.request = function(connection, request)
      if request.method == "GET" then
        tries = tries + 1
        if tries == 3 then loop.sleep = function() return nil end end
        return { status = 200, json = dto { labels = {} } }
      end
      return step(connection, request)
    end
    expect { POST, abandoned "timeout" }
    local box = client:create { name = "theirs" }
    assert.is_nil(box)
  end)

  it("leaves everything when it is to be kept", function()
    expect { POST, abandoned "timeout" }
    assert.is_nil((client:create { keep = true }))
  end)

  it("while waiting deletes the sandbox: by Ctrl-C", function()
    expect({ POST, ok { state = "creating" } }, { GET, function() error("interrupted!", 0) end }, { DELETE, ok() })
    local fine, text = pcall(client.create, client)
    assert.is_false(fine)
    assert.equal("interrupted!", text)
  end)

  it("while looking for what was made deletes it: by Ctrl-C", function()
    expect({ POST, lost "reset" }, { GET, function() error("interrupted!", 0) end }, { GET, ok() }, { DELETE, ok() })
    local fine, text = pcall(client.create, client)
    assert.is_false(fine)
    assert.equal("interrupted!", text)
  end)

  it("while looking for what was made deletes it: by its task", function()
    expect({ POST, lost "reset" }, { GET, lost "canceled" }, { GET, ok() }, { DELETE, ok() })
    local box, err = client:create()
    assert.is_nil(box)
    assert.equal("canceled create", err.kind .. " " .. err.operation)
  end)

  it("while waiting deletes the sandbox: by its task", function()
    expect({ POST, ok { state = "creating" } }, { DELETE, ok() })
    loop.sleep = function() return nil, errors.new { kind = "canceled", message = "canceled" } end
    local box, err = client:create()
    assert.is_nil(box)
    assert.equal("canceled", err.kind)
  end)
end)

describe("a create whose start fails", function()
  local FAILED = '{"message":"Sandbox failed to start: boom","error":"Bad Request","statusCode":400}'
  local ERROR = { state = "error", errorReason = "boom" }

  it("is told as the service keeps it: it is found, and deleted", function()
    for _, opts in ipairs { {}, { name = "mine" } } do
      expect({ POST, answered(400, FAILED) }, { GET, ok(ERROR) }, { DELETE, ok { state = "destroying" } })
      local box, err = client:create(opts)
      assert.is_nil(box)
      assert.equal("state create", err.kind .. " " .. err.operation)
      assert.truthy(tostring(err):find("boom", 1, true))
      assert.equal("id-1", err.sandbox.id)
    end
  end)

  it("stays when it is to be kept, and is in the error", function()
    expect({ POST, answered(400, FAILED) }, { GET, ok(ERROR) })
    local _, err = client:create { keep = true }
    assert.equal("error", err.sandbox.state)
    assert.equal("state", err.kind)
  end)

  it("leaves another sandbox of that name alone", function()
    expect({ POST, answered(400, FAILED) }, { GET, ok { labels = {} } })
    local _, err = client:create { name = "theirs" }
    assert.equal("state", err.kind)
    assert.is_nil(err.sandbox)
  end)

  it("ends at once when the service gives it up", function()
    expect({ POST, ok { state = "pending_build" } }, { GET, ok { state = "destroyed", queueTimedOutAt = "2026" } },
      { DELETE, answered(404, '{"message":"not found"}') })
    local _, err = client:create()
    assert.equal("state queue_timeout", err.kind .. " " .. err.code)
    assert.equal("destroyed", err.state)
  end)

  it("that the service is still busy with is left to the service, and is in the error", function()
    local task = require "daytona.loop.task"
    local background, pursued = task.background, nil
    task.background = function(fn) pursued = fn end
    local BUSY = answered(409, '{"message":"Sandbox state change in progress"}')
    local busy = { state = "creating" }
    local slept, now = 0, loop.now
    loop.sleep = function(seconds) slept = slept + seconds return true end
    loop.now = function() return now() + slept end
    finally(function() loop.now, task.background = now, background end)
    http.request = function(connection, request)
      if request.method == "POST" and request.path == "/sandbox" then return step(connection, request) end
      seen[#seen + 1] = request.method .. " " .. request.path
      if request.method == "DELETE" then
        local _, err = BUSY()
        return nil, err
      end
      return { status = 200, json = dto(busy) }
    end
    expect { POST, ok(busy) }
    local box, err = client:create { timeout = 3 }
    assert.is_nil(box)
    assert.equal("timeout", err.kind)
    assert.equal("id-1", err.sandbox.id)
    assert.truthy(err.message:find("told to destroy it by itself", 1, true), err.message)
    assert.is_function(pursued)
    assert.is_true(slept < 8, slept)
    local text = table.concat(seen, "\n")
    assert.truthy(text:find("POST /sandbox/id-1/autodelete/0", 1, true))
    assert.truthy(text:find("POST /sandbox/id-1/autostop/1", 1, true))
  end)
end)

describe("a create whose answer is no use", function()
  it("adopts the sandbox: too large, cut, or the secure connection broke", function()
    for _, code in ipairs { "too_large", "truncated", "tls" } do
      expect({ POST, lost(code) }, { GET, ok() })
      assert.equal("id-1", assert(client:create { name = "n" }).id)
    end
  end)
end)

describe("an option that an older service does not hear", function()
  it("is unsupported, and no sandbox is left", function()
    for option, value in pairs {
      ttl_minutes = 5, auto_pause_interval = 5, outbound_proxy_url = "http://p:1", kvm = true, spot = true,
    } do
      expect({ POST, ok() }, { GET, ok() }, { DELETE, ok { state = "destroying" } })
      local box, err = client:create { [option] = value }
      assert.is_nil(box)
      assert.equal("unsupported create", err.kind .. " " .. err.operation)
      assert.truthy(err.message:find("'" .. option .. "'", 1, true), err.message)
      assert.equal("id-1", err.sandbox.id)
    end
  end)

  it("is taken for heard when a look shows it", function()
    expect({ POST, ok { state = "creating" } }, { GET, ok { autoDestroyAt = "2026-11-25T10:00:00Z" } })
    assert(client:create { ttl_minutes = 5 })
    expect { POST, ok() }
    assert(client:create { auto_pause_interval = 0, ttl_minutes = 0, spot = false, queue_timeout = 5 })
  end)

  it("is noticed before anything is made where nothing would show it", function()
    expect { "^GET /secret/paginated$", answered(404, '{"message":"Cannot GET /api/secret/paginated?limit=1"}') }
    local box, err = client:create { secrets = { A = "a" } }
    assert.is_nil(box)
    assert.equal("unsupported", err.kind)
    -- Who may not list them may use them; and it is asked once.
    expect({ "^GET /secret/paginated$", answered(403, '{"message":"Access denied"}') }, { POST, ok() }, { POST, ok() })
    assert(client:create { secrets = { A = "a" } })
    assert(client:create { secrets = { A = "a" } })
  end)
end)
