-- Snapshots on the local server: of images and builds, which are simulated, and of
-- sandboxes, which are copies of their files.

describe("snapshots on the local server", function()
  local plane

  setup(function() plane = require("spec.support.plane").start() end)
  teardown(function() plane:stop() end)
  after_each(function()
    assert(plane.server:clear_faults())
    for _, snapshot in ipairs(plane:must("GET", "/snapshots").items) do
      if not snapshot.general then plane:call("DELETE", "/snapshots/" .. snapshot.id) end
    end
  end)

  local function wait_for(name, state)
    plane:eventually(function()
      local response = plane:call("GET", "/snapshots/" .. name)
      return (response and response.json.state or "gone") == state
    end, "snapshot " .. state)
  end

  it("of an image are pending, pulled, and active", function()
    local made, status = plane:must("POST", "/snapshots",
      { name = "base:1", imageName = "debian:12", entrypoint = { "sleep", "9" }, cpu = 2, memory = 4, disk = 5 })
    assert.same({ 200, "pending", "debian:12", 2, 4, 5, false }, { status, made.state, made.imageName,
      made.cpu, made.mem,
      made.disk, made.general })
    assert.same({ "sleep", "9" }, made.entrypoint)
    plane:refuses(400, "Snapshot base:1 is p", "POST", "/sandbox", { snapshot = "base:1" })
    wait_for("base:1", "active")
    assert.is_number(plane:must("GET", "/snapshots/" .. made.id).size)
    local box = plane:must("POST", "/sandbox", { snapshot = "base:1" })
    assert.same({ "base:1", 2, 4, 5 }, { box.snapshot, box.cpu, box.memory, box.disk })
    plane:must("DELETE", "/sandbox/" .. box.id)
  end)

  it("of a build have a log, and the Dockerfile's entrypoint", function()
    local made = plane:must("POST", "/snapshots",
      { name = "built", buildInfo = { dockerfileContent = "FROM x\nENTRYPOINT [\"sleep\", \"7\"]\n",
        contextHashes = {} } })
    assert.same({ "sleep", "7" }, made.entrypoint)
    local _, _, response = plane:must("GET", "/snapshots/built")
    assert.truthy(response.body:find('"contextHashes":[]', 1, true))
    local url = plane:must("GET", "/snapshots/" .. made.id .. "/build-logs-url").url
    local path = url:match "/api(/.*)$"
    local log = assert(plane:call("GET", path, nil, { follow = "true" })).body
    assert.truthy(log:find("Step 2/2 : ENTRYPOINT", 1, true))
    wait_for("built", "active")
    plane:must("POST", "/snapshots", { name = "broken", buildInfo = { dockerfileContent = "HELLO" } })
    wait_for("broken", "build_failed")
    assert.is_string(plane:must("GET", "/snapshots/broken").errorReason)
  end)

  it("whose image cannot be had end in an error", function()
    assert(plane.server:faults { state = "snapshot.pulling", name = "none*", becomes = "error",
      error_reason = "no image" })
    plane:must("POST", "/snapshots", { name = "none:1", imageName = "none:1" })
    wait_for("none:1", "error")
    assert.equal("no image", plane:must("GET", "/snapshots/none:1").errorReason)
  end)

  it("are refused as the service refuses them", function()
    local function refuses(text, body, status) plane:refuses(status or 400, text, "POST", "/snapshots", body) end
    refuses("name must be a string", {})
    refuses("Must specify an image name when not using a build info entry", { name = "x" })
    refuses("Image name must include a tag", { name = "x", imageName = "debian" })
    refuses('Images with tag ":latest" are not allowed', { name = "x", imageName = "debian:latest" })
    refuses("Cannot specify an image name", { name = "x", imageName = "a:1",
      buildInfo = { dockerfileContent = "FROM x" } })
    refuses("Cannot specify an entrypoint", { name = "x", entrypoint = { "a" },
      buildInfo = { dockerfileContent = "FROM x" } })
    refuses("Invalid snapshot name format", { name = "bad name!", imageName = "a:1" })
    refuses("entrypoint must be an array", { name = "x", imageName = "a:1", entrypoint = "x" })
    refuses("gpu must not be greater than 1", { name = "x", imageName = "a:1", gpu = 2 })
    refuses("Region not found", { name = "x", imageName = "a:1", regionId = "nowhere" }, 404)
    refuses("Windows snapshots cannot be created", { name = "x", imageName = "a:1", sandboxClass = "windows" })
    plane:must("POST", "/snapshots", { name = "taken", imageName = "a:1" })
    refuses('Snapshot with name "taken" already exists', { name = "taken", imageName = "a:1" }, 409)
    plane:refuses(404, "Snapshot with name none not found", "GET", "/snapshots/none")
    plane:refuses(400, "Validation failed (uuid is expected)", "DELETE", "/snapshots/taken")
    plane:refuses(403, "You cannot delete a general snapshot", "DELETE",
      "/snapshots/" .. plane:must("GET", "/snapshots/daytona-local").id)
  end)

  it("are deactivated, activated and removed", function()
    local id = plane:must("POST", "/snapshots", { name = "moved", imageName = "a:1" }).id
    wait_for("moved", "active")
    local at = "/snapshots/" .. id
    plane:refuses(400, "Snapshot " .. id .. " is already active", "POST", at .. "/activate")
    for _ = 1, 2 do assert.equal(204, select(2, plane:must("POST", at .. "/deactivate"))) end
    plane:refuses(400, "Snapshot deactivation is still in progress", "POST", at .. "/activate")
    plane:refuses(400, "Snapshot moved is inactive", "POST", "/sandbox", { snapshot = "moved" })
    plane:eventually(function() return plane:call("POST", at .. "/activate") end, "activation")
    wait_for("moved", "active")
    for _ = 1, 2 do
      local response = plane:call("DELETE", at)
      if response then assert.equal("", response.body) end
    end
    wait_for("moved", "gone")
  end)

  it("are listed in pages that say which they are", function()
    for i = 1, 3 do plane:must("POST", "/snapshots", { name = "page-" .. i, imageName = "a:1" }) end
    local page = plane:must("GET", "/snapshots", nil, { name = "PAGE-", limit = "2", page = "2", sort = "name",
      order = "asc" })
    assert.same({ 1, 3, 2, 2, "page-3" }, { #page.items, page.total, page.page, page.totalPages, page.items[1].name })
    page = plane:must("GET", "/snapshots", nil, { page = "99" })
    assert.same({ 0, 99 }, { #page.items, page.page })
    plane:refuses(400, "limit must not be greater than 200", "GET", "/snapshots", nil, { limit = "201" })
    plane:refuses(400, "limit must not be less than 1", "GET", "/snapshots", nil, { limit = "0" })
  end)

  it("of a sandbox hold its files, and a new one starts with them", function()
    local id = plane:create { name = "origin" }
    plane:run(id, "mkdir -p deep/er && echo data > deep/er/file && chmod 700 deep/er/file && ln -s deep/er/file link")
    local answer = plane:must("POST", "/sandbox/origin/snapshot", { name = "copy" })
    assert.equal("snapshotting", answer.state)
    plane:refuses(400, "Sandbox must be in started or stopped state to create a snapshot", "POST",
      "/sandbox/origin/snapshot", { name = "other" })
    wait_for("copy", "active")
    plane:wait_for(id, "started")
    assert.equal(id, plane:must("GET", "/snapshots", nil, { sourceSandboxId = id }).items[1].sourceSandboxId)
    plane:run(id, "echo changed > deep/er/file")
    local child = plane:create { snapshot = "copy" }
    assert.equal("data\n700\n", plane:run(child, "cat link; stat -c %a deep/er/file"))
    plane:must("DELETE", "/sandbox/" .. child)
    -- a name that is taken makes nothing, and nobody is told
    plane:must("POST", "/sandbox/origin/snapshot", { name = "copy" })
    plane:wait_for(id, "started")
    assert.equal(1, plane:must("GET", "/snapshots", nil, { name = "copy" }).total)
    plane:refuses(400, "name must be a string", "POST", "/sandbox/origin/snapshot", {})
    plane:refuses(400, "includeMemory is only supported", "POST", "/sandbox/origin/snapshot", { name = "m",
      includeMemory = true })
    plane:must("DELETE", "/sandbox/" .. id)
  end)

  it("are still there when the server comes back, in the same folder", function()
    local shell = require "daytona.base.shell"
    local pipe = io.popen "mktemp -d"
    local dir = pipe:read "*l"
    pipe:close()
    local first = require("spec.support.plane").start { dir = dir }
    local id = first:create { name = "kept" }
    first:run(id, "echo kept > file")
    first:must("POST", "/sandbox/kept/snapshot", { name = "copy" })
    first:wait_for(id, "started")
    first:must("POST", "/volumes", { name = "shared" })
    first:stop()
    local second = require("spec.support.plane").start { dir = dir }
    assert.equal("active", second:must("GET", "/snapshots/copy").state)
    second:eventually(function() return second:must("GET", "/volumes/by-name/shared").state == "ready" end)
    assert.equal("kept\n", second:run(second:create { snapshot = "copy" }, "cat file"))
    second:stop()
    os.execute("rm -rf " .. shell.quote(dir))
  end)
end)
