-- Snapshots, volumes, secrets, warm pools, regions, usage: what is sent, what comes of
-- the answers, and of those that fail. Answers as the real service gives them.

local script = require "spec.support.script"

local expect, ok, answered, lost = script.expect, script.ok, script.answered, script.lost

before_each(script.begin)
after_each(script.finish)

local ID = "0e1d2c3b-4a59-4687-9786-a5b4c3d2e1f0"

local function described(value, err)
  assert.is_nil(value)
  return err.kind .. (err.code and " " .. err.code or "") .. " " .. tostring(err.operation)
end

local function merged(base, fields)
  local raw = {}
  for name, value in pairs(base) do raw[name] = value end
  for name, value in pairs(fields or {}) do raw[name] = value end
  return raw
end

describe("snapshots", function()
  local function raw(state, fields)
    return merged({ id = ID, name = "data", state = state, imageName = "debian:12", cpu = 1, mem = 2, disk = 3,
      general = false }, fields)
  end
  local function is(state, fields) return ok(raw(state, fields)) end
  local GET, BY_NAME = "^GET /snapshots/" .. ID:gsub("%-", "%%-") .. "$", "^GET /snapshots/data$"
  local function PATH(method, what) return "^" .. method .. " /snapshots/" .. ID:gsub("%-",
    "%%-") .. (what or "") .. "$" end

  it("are made of an image, and waited for", function()
    expect({ "^POST /snapshots$", is "pending" }, { GET, is "pulling" }, { GET, is "active" })
    local snapshot = assert(script.client.snapshots:create {
      name = "data", image = "debian:12", cpu = 2, memory = 4, entrypoint = {}, gpu_type = "H100", region = "eu",
      extra = { brandNew = 1 },
    })
    assert.same({ name = "data", imageName = "debian:12", cpu = 2, memory = 4, entrypoint = {}, gpuType = { "H100" },
      regionId = "eu", brandNew = 1 }, script.bodies[1])
    assert.equal("snapshot (data, active)", tostring(snapshot))
    assert.equal(2, snapshot.mem)
    assert.equal("debian:12", snapshot.image_name)
    assert.equal(ID, snapshot.raw.id)
  end)

  it("are made of a Dockerfile", function()
    expect { "^POST /snapshots$", is("building", { imageName = "" }) }
    assert(script.client.snapshots:create { name = "data", dockerfile = "FROM x\n", context_hashes = { "h" },
      wait = false })
    assert.same({ name = "data", buildInfo = { dockerfileContent = "FROM x\n", contextHashes = { "h" } } },
      script.bodies[1])
  end)

  it("that fail are deleted, unless they are to be kept", function()
    local failed = { errorReason = "no such image" }
    expect({ "^POST /snapshots$", is "pending" }, { GET, is("error", failed) }, { PATH "DELETE", ok() })
    local snapshot, err = script.client.snapshots:create { name = "data", image = "debian:12" }
    assert.equal("state create", described(snapshot, err))
    assert.truthy(err.message:find("no such image", 1, true))
    assert.equal("error", err.state)
    assert.equal(ID, err.snapshot.id)
    expect({ "^POST /snapshots$", is "building" }, { GET, is("build_failed", failed) })
    assert.equal("state create", described(script.client.snapshots:create { name = "data", image = "debian:12",
      keep = true }))
  end)

  it("that take too long go on, and are in the error", function()
    expect({ "^POST /snapshots$", is "pending" }, { GET, is "pulling", often = true })
    local snapshot, err = script.client.snapshots:create { name = "data", image = "debian:12", timeout = 10 }
    assert.equal("timeout wait create", described(snapshot, err))
    assert.equal("pulling", err.state)
    assert.equal("data", err.snapshot.name)
    assert.equal(0, script.count "DELETE")
  end)

  it("whose answer is lost are found by their name", function()
    expect({ "^POST /snapshots$", lost "reset" }, { BY_NAME, is "active" })
    assert(script.client.snapshots:create { name = "data", image = "debian:12" })
    expect({ "^POST /snapshots$", lost "reset" }, { BY_NAME, is("active", { imageName = "other:1" }) })
    assert.equal("connection reset create", described(script.client.snapshots:create { name = "data",
      image = "debian:12" }))
    expect { "^POST /snapshots$", answered(409, 'Snapshot with name "data" already exists for this organization') }
    assert.equal("conflict create", described(script.client.snapshots:create { name = "data", image = "debian:12" }))
  end)

  it("that cannot be meant raise", function()
    for _, opts in ipairs {
      { image = "a:1" }, { name = "n" }, { name = "n", image = "a:1", dockerfile = "FROM x" },
      { name = "n", dockerfile = "FROM x", entrypoint = { "a" } }, { name = "n", image = "a b" },
      { name = "n", image = "a:1", on_build_log = print }, { name = "n", image = "a:1", colour = 1 },
    } do assert.has_error(function() script.client.snapshots:create(opts) end) end
  end)

  it("are listed in pages, and walked over lazily", function()
    local function page(n)
      return function(request)
        return ok { items = { raw("active", { name = "p" .. n }) }, total = 3, page = n, totalPages = 3 } (request)
      end
    end
    expect { "^GET /snapshots$", page(2) }
    local found = assert(script.client.snapshots:list { page = 2, source_sandbox_id = "b" })
    assert.same({ page = 2, sourceSandboxId = "b" }, script.queries[1])
    assert.equal("3 3 p2", ("%d %d %s"):format(found.total, found.next_cursor, found.items[1].name))
    expect({ "^GET /snapshots$", page(1) }, { "^GET /snapshots$", page(2) })
    for snapshot in script.client.snapshots:each { limit = 1 } do
      if snapshot.name == "p2" then break end
    end
    expect({ "^GET /snapshots$", page(1) }, { "^GET /snapshots$", page(2) }, { "^GET /snapshots$", page(3) })
    local names = {}
    for snapshot in script.client.snapshots:each() do names[#names + 1] = snapshot.name end
    assert.equal("p1 p2 p3", table.concat(names, " "))
    expect { "^GET /snapshots$", answered(500, "boom") }
    assert.has_error(function()
      for _ in script.client.snapshots:each() do error "no" end
    end)
    expect { "^GET /snapshots$", ok { items = { 5 } } }
    assert.equal("protocol json list", described(script.client.snapshots:list()))
  end)

  it("are activated, put away and deleted by object, id or name", function()
    expect({ BY_NAME, is "active" }, { PATH("POST", "/deactivate"), ok(nil, 204) }, { GET, is "inactive" })
    local snapshot = assert(script.client.snapshots:deactivate "data")
    assert.equal("inactive", snapshot.state)
    expect({ PATH("POST", "/activate"), answered(400,
      "Snapshot deactivation is still in progress. Please try again in a few minutes.") },
      { PATH("POST", "/activate"), is "active" })
    assert.equal("active", assert(snapshot:activate()).state)
    expect({ PATH("POST", "/activate"), answered(400, "Snapshot x is already active") }, { GET, is "active" })
    assert(script.client.snapshots:activate(snapshot))
    expect({ GET, is "active" }, { PATH "DELETE", ok() }, { GET, is "removing" },
      { GET, answered(404, "Snapshot with name x not found") })
    assert.is_true(script.client.snapshots:delete(ID, { wait = true }))
    expect { PATH "DELETE", answered(403, "You cannot delete a general snapshot") }
    assert.equal("forbidden delete", described(snapshot:delete()))
    expect { BY_NAME, answered(404, "Snapshot with name data not found") }
    assert.equal("not_found delete", described(script.client.snapshots:delete "data"))
    expect { BY_NAME, answered(404, "Snapshot with name data not found") }
    assert.is_true(script.client.snapshots:delete("data", { missing_ok = true }))
    expect({ PATH "DELETE", lost "reset" }, { GET, is "removing" })
    assert.is_true(snapshot:delete())
    assert.has_error(function() script.client.snapshots:delete(5) end)
  end)

  it("are waited for, and say why they will not come", function()
    expect({ BY_NAME, is "pending" }, { GET, is "pulling" }, { GET, is "active" })
    assert(assert(script.client.snapshots:get "data"):wait(30))
    expect({ BY_NAME, is "pending" }, { GET, is("error", { errorReason = "quota" }) })
    local value, err = assert(script.client.snapshots:get "data"):wait()
    assert.equal("state wait", described(value, err))
    assert.truthy(err.message:find("quota", 1, true))
  end)

  it("are made of a sandbox", function()
    local box = script.client:attach "b"
    local function sandbox_in(state) return ok { id = "b", state = state } end
    local missing = answered(404, "Snapshot with name data not found")
    expect({ BY_NAME, missing }, { "^POST /sandbox/b/snapshot$", sandbox_in "snapshotting" },
      { "^GET /sandbox/b$", sandbox_in "snapshotting" }, { "^GET /sandbox/b$", sandbox_in "started" },
        { BY_NAME, missing },
      { "^GET /sandbox/b$", sandbox_in "started" }, { BY_NAME, is("active", { imageName = "" }) })
    assert.equal("data", assert(box:create_snapshot("data", { include_memory = true })).name)
    assert.same({ name = "data", includeMemory = true }, script.bodies[2])
    expect { BY_NAME, is "active" }
    assert.equal("conflict create_snapshot", described(box:create_snapshot "data"))
    -- What the service forgets without a word.
    expect({ BY_NAME, missing }, { "^POST /sandbox/b/snapshot$", sandbox_in "snapshotting" },
      { "^GET /", function(request)
        if request.path == "/sandbox/b" then return sandbox_in "started" () end
        return missing()
      end, often = true })
    assert.equal("state snapshot_failed create_snapshot", described(box:create_snapshot "data"))
  end)
end)

describe("volumes", function()
  local function raw(state, fields) return merged({ id = ID, name = "data", state = state }, fields) end
  local function is(state, fields) return ok(raw(state, fields)) end
  local GET, BY_NAME = "^GET /volumes/" .. ID:gsub("%-", "%%-") .. "$", "^GET /volumes/by%-name/data$"
  local DELETE = "^DELETE /volumes/" .. ID:gsub("%-", "%%-") .. "$"

  it("are made, and waited for", function()
    expect({ "^POST /volumes$", is "pending_create" }, { GET, is "creating" }, { GET, is "ready" })
    local volume = assert(script.client.volumes:create "data")
    assert.equal("volume (data, ready)", tostring(volume))
    assert.same({ name = "data" }, script.bodies[1])
    expect { "^POST /volumes$", answered(400, "Volume with name data already exists") }
    assert.equal("conflict create", described(script.client.volumes:create "data"))
    expect({ "^POST /volumes$", lost "reset" }, { BY_NAME, is "ready" })
    assert(script.client.volumes:create "data")
    expect({ "^POST /volumes$", is "pending_create" }, { GET, is("error", { errorReason = "bucket" }) })
    local value, err = script.client.volumes:create "data"
    assert.equal("state wait_ready", described(value, err))
    assert.truthy(err.message:find("bucket", 1, true))
  end)

  it("are found by name or id, and made where that is wanted", function()
    expect { BY_NAME, is "ready" }
    assert.equal(ID, assert(script.client.volumes:get "data").id)
    expect { GET, is "ready" }
    assert.equal("data", assert(script.client.volumes:get(ID)).name)
    expect({ BY_NAME, answered(404, "Volume with name data not found") }, { "^POST /volumes$", is "ready" })
    assert(script.client.volumes:get("data", { create = true }))
    expect { BY_NAME, answered(404, "Volume with name data not found") }
    assert.equal("not_found get", described(script.client.volumes:get "data"))
    expect({ "^GET /volumes$", ok { raw "ready", raw("deleted", { name = "b" }) } },
      { "^GET /volumes$", ok { raw "ready" } })
    assert.equal("b", assert(script.client.volumes:list { include_deleted = true })[2].name)
    assert.same({ includeDeleted = true }, script.queries[#script.queries])
    for volume in script.client.volumes:each() do assert.equal("data", volume.name) end
  end)

  it("are deleted; one that is in use tells so, one that is being made is waited for", function()
    expect { BY_NAME, is "ready" }
    local volume = assert(script.client.volumes:get "data")
    expect { DELETE, answered(409,
      "Volume cannot be deleted because it is in use by one or more sandboxes (e.g. box)") }
    assert.equal("conflict in_use delete", described(volume:delete()))
    expect({ DELETE, answered(400, "Volume must be in 'ready' or 'error' state in order to be deleted") },
      { GET, is "creating" }, { GET, is "ready" }, { DELETE, ok() }, { GET, is "deleting" }, { GET, is("deleted") })
    assert.is_true(volume:delete { wait = true })
    expect { DELETE, answered(404, "Volume with ID x not found") }
    assert.is_true(volume:delete())
    expect { BY_NAME, answered(404, "Volume with name data not found") }
    assert.equal("not_found delete", described(script.client.volumes:delete "data"))
    -- What goes already, or in the meantime, is gone; what fails stays.
    local busy = answered(400, "Volume must be in 'ready' or 'error' state in order to be deleted")
    for _, state in ipairs { "pending_delete", "deleting", "deleted" } do
      expect({ DELETE, busy }, { GET, is(state) })
      assert.is_true(volume:delete())
      assert.equal("pending_delete", volume.state)
    end
    expect({ DELETE, busy }, { GET, is "creating" }, { GET, is("error", { errorReason = "bucket" }) })
    assert.equal("state delete", described(volume:delete()))
    expect({ BY_NAME, is "ready" }, { DELETE, ok() }, { GET, is "deleting" },
      { GET, answered(404, "Volume with ID x not found") })
    volume = assert(script.client.volumes:get "data")
    assert.is_true(volume:delete { wait = true })
    expect({ DELETE, ok() }, { GET, is "deleting" }, { GET, is("error", { errorReason = "stuck" }) })
    assert.equal("state delete", described(volume:delete { wait = true }))
    expect { DELETE, answered(409, "another conflict") }
    assert.is_not.equal("in_use", select(2, volume:delete()).code)
  end)

  it("are waited for as long as is said, a minute where nothing is", function()
    expect({ "^POST /volumes$", is "pending_create" }, { GET, is "creating", often = true })
    assert.equal("timeout", select(2, script.client.volumes:create "data").kind)
    assert.near(60, script.slept, 6)
    local before = script.slept
    expect({ "^POST /volumes$", is "pending_create" }, { GET, is "creating", often = true })
    assert.equal("timeout", select(2, script.client.volumes:create("data", { timeout = 5 })).kind)
    assert.near(5, script.slept - before, 3)
    expect { "^POST /volumes$", is "pending_create" }
    assert.equal("pending_create", assert(script.client.volumes:create("data", { wait = false })).state)
    expect({ BY_NAME, answered(404, "none") },
      { "^POST /volumes$", answered(400, "Volume with name data already exists") }, { BY_NAME, is "ready" })
    assert.equal("ready", assert(script.client.volumes:get("data", { create = true })).state)
    expect({ BY_NAME, answered(404, "none") }, { "^POST /volumes$", answered(403, "no") })
    assert.equal("forbidden create", described(script.client.volumes:get("data", { create = true })))
  end)
end)

describe("the network of a sandbox", function()
  local sandbox = require "daytona.control.sandbox"

  it("is what is said of it, and what is not said stays", function()
    local box = sandbox.new(script.client, { id = "b", state = "started", toolboxProxyUrl = "http://127.0.0.1:1" })
    local function sends(limits, body)
      expect { "^POST /sandbox/b/network%-settings$", ok { id = "b", state = "started" } }
      assert(box:set_network(limits))
      assert.same(body, script.bodies[#script.bodies])
    end
    sends({ block_all = true }, { networkBlockAll = true })
    sends({ block_all = false }, { networkBlockAll = false })
    sends({ allow = { "10.0.0.0/8", "1.2.3.4/32" } }, { networkAllowList = "10.0.0.0/8,1.2.3.4/32" })
    sends({ allow = "10.0.0.0/8", domains = { "*.example.org", "a.b" } },
      { networkAllowList = "10.0.0.0/8", domainAllowList = "*.example.org,a.b" })
    sends({ block_all = true, allow = {} }, { networkBlockAll = true, networkAllowList = "" })
    assert.error_matches(function() box:set_network {} end, "one of block_all, allow, domains is needed")
    assert.error_matches(function() box:set_network { block_all = true, allow = "10.0.0.0/8" } end,
      "either block_all or allow")
  end)
end)

describe("telemetry", function()
  local sandbox = require "daytona.control.sandbox"

  local function box_of(fields)
    return sandbox.new(script.client, merged({ id = "b", state = "started", createdAt = "2026-01-01T00:00:00Z",
      toolboxProxyUrl = "http://127.0.0.1:1" }, fields))
  end

  local function asked(box, opts)
    expect { "^GET /sandbox/b/telemetry/metrics$", ok { series = {} } }
    assert.same({}, assert(box:metrics(opts)))
    return script.queries[#script.queries]
  end

  it("is asked for from the creation on until now, or as is said", function()
    local query = asked(box_of())
    assert.equal("2026-01-01T00:00:00Z", query.from)
    local form, now = "!%Y-%m-%dT%H:%M:%SZ", os.time()
    assert.is_true(query.to >= os.date(form, now) and query.to <= os.date(form, now + 2), query.to)
    assert.same({ from = "1970-01-01T00:00:01Z", to = "yesterday" }, asked(box_of(), { from = 1.5, to = "yesterday" }))
    assert.same({ from = "1970-01-01T00:01:00Z", to = "1970-01-01T00:01:00Z" },
      asked(box_of { createdAt = false }, { to = 60 }))
    for _, wrong in ipairs { "", true, {} } do
      assert.has_error(function() box_of():metrics { from = wrong } end)
    end
  end)

  it("is a row a moment, whatever else is in the answer", function()
    local function series(name, ...) return { metricName = name, dataPoints = { ... } } end
    expect { "^GET /sandbox/b/telemetry/metrics$", ok { series = {
      series("daytona.sandbox.memory.usage", { timestamp = "2", value = 20 }, { timestamp = "1", value = "10" }),
      series("daytona.sandbox.cpu.limit", { timestamp = "1", value = 4 }, 7, { timestamp = "3", value = "many" }),
      series("other", { timestamp = "9", value = 1 }), 5,
      { metricName = "daytona.sandbox.memory.limit", dataPoints = 5 },
    } } }
    local rows = assert(box_of():metrics())
    local shown = {}
    for i, row in ipairs(rows) do
      shown[i] = ("%s %d %d %d"):format(row.timestamp, row.mem_used, row.cpu_count, row.disk_total)
    end
    assert.same({ "1 10 4 0", "2 20 0 0", "3 0 0 0" }, shown)
    expect { "^GET /sandbox/b/telemetry/metrics$", ok { series = "none" } }
    assert.same({}, assert(box_of():metrics()))
    expect { "^GET /sandbox/b/telemetry/logs$", ok { items = "none" } }
    assert.same({}, assert(box_of():logs()).items)
  end)
end)

describe("secrets", function()
  local function raw(fields)
    return merged({ id = ID, name = "TOKEN", placeholder = "dtn_secret_1", hosts = {} }, fields)
  end
  local PATH = "/secret/" .. ID:gsub("%-", "%%-") .. "$"

  it("are kept, and their values are nowhere to be seen", function()
    expect { "^POST /secret$", ok(raw { description = "d", hosts = { "*.x.org" } }, 201) }
    local secret = assert(script.client.secrets:create {
      name = "TOKEN", value = "hunter2hunter2", description = "d", hosts = { "*.x.org" },
    })
    assert.same({ name = "TOKEN", value = "hunter2hunter2", description = "d", hosts = { "*.x.org" } },
      script.bodies[1])
    assert.equal("secret (TOKEN)", tostring(secret))
    for _, value in pairs(secret) do assert.is_not.equal("hunter2hunter2", value) end
    -- The service repeats it in an error.
    local http = require "daytona.http"
    expect { "^POST /secret$", function(request)
      assert.same({ "hunter2hunter2" }, request.secrets)
      return nil, require "daytona.http.failure".from_response({ status = 400,
        body = '{"message":"bad hunter2hunter2"}' },
        http.context_of(script.client.connection, request))
    end }
    local value, err = script.client.secrets:create { name = "TOKEN", value = "hunter2hunter2" }
    assert.equal("invalid create", described(value, err))
    assert.is_nil((tostring(err) .. tostring(err.body)):find("hunter2", 1, true))
  end)

  it("are changed, found and deleted", function()
    expect({ "^GET /secret/paginated$", ok { items = { raw { name = "TOKEN_2", id = "other" } }, nextCursor = "c" } },
      { "^GET /secret/paginated$", ok { items = { raw() } } })
    local secret = assert(script.client.secrets:get "TOKEN")
    assert.same({ { name = "TOKEN" }, { name = "TOKEN", cursor = "c" } }, script.queries)
    expect { "^PATCH " .. PATH, ok(raw { hosts = { "a.org" } }) }
    assert.same({ "a.org" }, assert(secret:update { value = "new value", hosts = { "a.org" } }).hosts)
    expect({ "^GET " .. PATH, ok(raw()) }, { "^PATCH " .. PATH, ok(raw()) })
    assert(script.client.secrets:update(ID, { hosts = {} }))
    assert.same({ hosts = {} }, script.bodies[#script.bodies])
    expect { "^DELETE " .. PATH, ok(nil, 204) }
    assert.is_true(secret:delete())
    expect { "^GET /secret/paginated$", ok { items = {} } }
    assert.equal("not_found delete", described(script.client.secrets:delete "TOKEN"))
    assert.has_error(function() secret:update {} end)
    assert.has_error(function() script.client.secrets:create { name = "X" } end)
    assert.has_error(function() script.client.secrets:create { name = "X", value = "" } end)
  end)

  it("whose answer is lost hold what was asked for", function()
    expect({ "^POST /secret$", lost "reset" }, { "^GET /secret/paginated$", ok { items = { raw() } } },
      { "^PATCH " .. PATH, ok(raw()) })
    assert(script.client.secrets:create { name = "TOKEN", value = "v" })
    assert.same({ value = "v" }, script.bodies[3])
  end)

  it("are unsupported where the service has none", function()
    expect { "^GET /secret/paginated$", answered(404, "Cannot GET /api/secret/paginated") }
    assert.equal("unsupported list", described(script.client.secrets:list()))
  end)
end)

describe("warm pools", function()
  local function raw(fields)
    return merged({ id = ID, snapshot = "data", target = "eu", pool = 2, currentSize = 1 }, fields)
  end
  local PATH = "/warm%-pools/" .. ID:gsub("%-", "%%-") .. "$"

  it("are made, resized, looked at and deleted", function()
    expect { "^POST /warm%-pools$", ok(raw(), 201) }
    local pool = assert(script.client.warm_pools:create { snapshot = "data", size = 2, target = "eu" })
    assert.same({ snapshot = "data", pool = 2, target = "eu" }, script.bodies[1])
    assert.equal("warm pool (data, 1 of 2)", tostring(pool))
    expect { "^PATCH " .. PATH, ok(raw { pool = 0 }) }
    assert.equal(0, assert(pool:set_size(0)).pool)
    assert.same({ pool = 0 }, script.bodies[2])
    expect { "^GET /warm%-pools$", ok { raw { currentSize = 0 } } }
    assert.equal(0, assert(pool:refresh()).current_size)
    expect({ "^GET /warm%-pools$", ok { raw() } }, { "^DELETE " .. PATH, ok(nil, 204) })
    assert.is_true(script.client.warm_pools:delete "data")
    expect { "^GET /warm%-pools$", ok { raw(), raw { id = "2" } } }
    assert.equal("conflict get", described(script.client.warm_pools:get "data"))
    expect { "^GET /warm%-pools$", ok {} }
    assert.equal("not_found get", described(script.client.warm_pools:get "data"))
    assert.has_error(function() script.client.warm_pools:create { snapshot = "s" } end)
  end)
end)

describe("an account", function()
  it("has regions", function()
    expect({ "^GET /regions$", ok { { id = "us", name = "US", regionType = "shared" } } },
      { "^GET /shared%-regions$", ok {} }, { "^GET /regions$", ok { { id = "us", name = "US" } } })
    assert.equal("region (US)", tostring(assert(script.client.regions:list())[1]))
    assert.same({}, script.client.regions:list { shared = true })
    assert.equal("not_found get", described(script.client.regions:get "eu"))
  end)

  it("has a key and an organization, whose usage is told", function()
    local key = { name = "k", permissions = { "write:sandboxes" }, organizationId = "org", value = "dtn***abc" }
    expect({ "^GET /api%-keys/current$", ok(key) }, { "^GET /api%-keys/current$", ok(key) },
      { "^GET /organizations/org/usage$", ok { regionUsage = { { regionId = "us", currentCpuUsage = 3 } } } })
    assert.equal("org", assert(script.client:key()).organization_id)
    assert.equal(3, assert(script.client:usage()).region_usage[1].current_cpu_usage)
  end)

  it("of an older service is known by its storage, and its usage told to people only", function()
    expect({ "^GET /api%-keys/current$", ok { name = "k" } },
      { "^GET /object%-storage/push%-access$", ok { organizationId = "org", secret = "x" } },
      { "^GET /organizations/org/usage$", answered(401, "Invalid credentials") })
    local usage, err = script.client:usage()
    assert.equal("forbidden usage", described(usage, err))
    assert.truthy(err.message:find("jwt_token", 1, true))
  end)

  it("is told what it can have", function()
    expect({ "^GET /api%-keys/current$", ok { organizationId = "org" } },
      { "^GET /organizations/org/gpu%-capacity$", ok { capacity = { { gpuType = "H100", availableSpot = 2 } } } },
      { "^GET /organizations/org/available%-sandbox%-classes$", ok { { sandboxClass = "container" } } },
      { "^GET /organizations/org/gpu%-capacity$", answered(404, "Cannot GET /api/organizations/org/gpu-capacity") })
    local regions = script.client.regions
    assert.equal(2, assert(regions:gpu_capacity()).capacity[1].available_spot)
    assert.equal("container", assert(regions:sandbox_classes())[1].sandbox_class)
    assert.equal("unsupported gpu_capacity", described(regions:gpu_capacity()))
  end)
end)

describe("ways in", function()
  it("by SSH are given, checked and taken away, and their tokens never shown", function()
    local box = script.client:attach "b"
    expect({ "^POST /sandbox/b/ssh%-access$", ok { id = "1", token = "t0ken", sshCommand = "ssh t0ken@host" } },
      { "^GET /config$", ok {} },
      { "^GET /sandbox/ssh%-access/validate$", answered(403, "Invalid authentication context") },
      { "^GET /sandbox/ssh%-access/validate$", ok { valid = true, sandboxId = "b" } },
      { "^DELETE /sandbox/b/ssh%-access$", ok { id = "b" } })
    assert.equal("ssh t0ken@host", assert(box.ssh:access { expires_in = 61 }).ssh_command)
    assert.same({ expiresInMinutes = 2 }, script.queries[1])
    assert.equal("forbidden validate_ssh_access", described(box.ssh:validate "t0ken"))
    assert.same({ token = "t0ken" }, script.queries[3])
    assert.equal("b", assert(box.ssh:validate "t0ken").sandbox_id)
    assert.is_true(box.ssh:revoke "t0ken")
    assert.has_error(function() box.ssh:validate "" end)
  end)

  it("by address are given, and ended", function()
    local box = script.client:attach "b"
    expect({ "^GET /sandbox/b/ports/3000/preview%-url$", ok { url = "http://3000-b", token = "t" } },
      { "^GET /sandbox/b/ports/3000/signed%-preview%-url$", ok { url = "http://3000-t", token = "t" } },
      { "^POST /sandbox/b/ports/3000/signed%-preview%-url/a%%2Fb/expire$", ok(nil, 201) })
    assert.equal("http://3000-b", assert(box.preview:url(3000)).url)
    assert.equal("http://3000-t", assert(box:preview_url(3000, { expires_in = 5 })).url)
    assert.same({ expiresInSeconds = 5 }, script.queries[2])
    assert.is_true(box.preview:expire(3000, "a/b"))
  end)

  it("to files are signed with a key only", function()
    local function answers(body) return function() return { status = 200, body = body } end end
    local box = script.client:attach "b"
    rawset(box, "toolbox_proxy_url", "http://127.0.0.1:1")
    for _, odd in ipairs { "[]", "{}", "<html>", "", "two words" } do
      expect { "^GET /sandbox/b/signing%-key$", answers(odd) }
      assert.equal("protocol json", described(box:download_url "/x"):match "^%S+ %S+")
    end
    for _, key in ipairs { "k3y", '"k3y"', "k3y\n" } do
      local own = script.client:attach "b"
      rawset(own, "toolbox_proxy_url", "http://127.0.0.1:1")
      expect { "^GET /sandbox/b/signing%-key$", answers((key:gsub("\\n", "\n"))) }
      local sign = require("daytona.control.preview").sign
      local url = assert(own:download_url("/x", { ttl = 0 }))
      assert.truthy(url:find("signature=" .. sign("k3y", "GET", "/x", 0), 1, true), url)
    end
  end)
end)

describe("objects", function()
  it("ask anew, and forget what is no more", function()
    local base = { id = ID, name = "x", state = "ready", errorReason = "e" }
    for _, case in ipairs {
      { script.client.volumes, "^GET /volumes/by%-name/x$", "^GET /volumes/" },
      { script.client.snapshots, "^GET /snapshots/x$", "^GET /snapshots/" },
    } do
      expect({ case[2], ok(base) }, { case[3], ok { id = ID, name = "x", state = "gone" } }, { case[3], lost "reset" })
      local object = assert(case[1]:get "x")
      assert.equal("e", object.error_reason)
      assert.equal(object, assert(object:refresh()))
      assert.is_nil(object.error_reason)
      assert.equal("gone", object.state)
      assert.equal("connection reset refresh", described(object:refresh()))
      assert.equal("gone", object.raw.state)
    end
  end)

  it("have fields of the service that hide no method", function()
    expect { "^GET /volumes/by%-name/x$", ok { id = ID, name = "x", state = "ready", delete = 1, client = 2, raw = 3 } }
    local volume = assert(script.client.volumes:get "x")
    assert.is_function(volume.delete)
    assert.equal(script.client, volume.client)
    assert.equal(ID, volume.raw.id)
  end)

  it("are walked one by one where there are no pages", function()
    for noun, path in pairs { volumes = "/volumes", warm_pools = "/warm%-pools", regions = "/regions" } do
      expect({ "^GET " .. path .. "$", ok { { id = "1" }, { id = "2" } } },
        { "^GET " .. path .. "$", answered(500, "boom") })
      local ids = {}
      for object in script.client[noun]:each() do ids[#ids + 1] = object.id end
      assert.same({ "1", "2" }, ids)
      assert.has_error(function() script.client[noun]:each()() end) -- asked with the first step, as pages are
    end
  end)
end)
