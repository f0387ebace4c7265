-- Volumes on the local server: folders that sandboxes share.

describe("volumes on the local server", function()
  local plane

  setup(function() plane = require("spec.support.plane").start() end)
  teardown(function() plane:stop() end)

  local function wait_for(id, state)
    plane:eventually(function() return plane:must("GET", "/volumes/" .. id).state == state end, "volume " .. state)
  end

  local function create(name)
    local id = plane:must("POST", "/volumes", { name = name }).id
    wait_for(id, "ready")
    return id
  end

  it("are pending, then ready; by id and by name", function()
    local made, status = plane:must("POST", "/volumes", { name = "first" })
    assert.same({ 200, "pending_create", "first" }, { status, made.state, made.name })
    wait_for(made.id, "ready")
    assert.equal(made.id, plane:must("GET", "/volumes/by-name/first").id)
    assert.equal(made.id, plane:must("GET", "/volumes")[1].id)
    local unnamed = plane:must("POST", "/volumes", { name = "" })
    assert.equal(unnamed.id, unnamed.name)
    plane:refuses(400, "Volume with name first already exists", "POST", "/volumes", { name = "first" })
    plane:refuses(400, "name must be a string", "POST", "/volumes", {})
    plane:refuses(404, "Volume with name none not found", "GET", "/volumes/by-name/none")
    plane:refuses(404, "Volume with ID none not found", "GET", "/volumes/none")
  end)

  it("are shared by the sandboxes that mount them, each where it likes", function()
    if not plane.server.isolated then return pending "no isolation here" end
    local volume = create "shared"
    local one = plane:create { volumes = { { volumeId = "shared", mountPath = "/data" } } }
    local two = plane:create { volumes = { { volumeId = volume, mountPath = "/home/daytona/in/side",
      subpath = "sub" } } }
    assert.equal(volume, plane:must("GET", "/sandbox/" .. one).volumes[1].volumeId)
    plane:run(two, "echo hello > in/side/file")
    assert.equal("hello\n", plane:run(one, "cat /data/sub/file"))
    plane:run(one, "echo changed > /data/sub/file")
    assert.equal("changed\n", plane:run(two, "cat in/side/file"))
    assert.is_string(plane:must("GET", "/volumes/" .. volume).lastUsedAt)
    -- also after a stop
    plane:must("POST", "/sandbox/" .. one .. "/stop")
    plane:wait_for(one, "stopped")
    plane:must("POST", "/sandbox/" .. one .. "/start")
    assert.equal("changed\n", plane:run(one, "cat /data/sub/file"))
    plane:refuses(409, "Volume cannot be deleted because it is in use by one or more sandboxes (e.g. ", "DELETE",
      "/volumes/" .. volume)
    plane:must("DELETE", "/sandbox/" .. one)
    plane:must("DELETE", "/sandbox/" .. two)
    plane:wait_for(one, "gone")
    plane:wait_for(two, "gone")
    local _, status = plane:must("DELETE", "/volumes/" .. volume)
    assert.equal(200, status)
  end)

  it("that are not ready, unknown, or mounted in a bad place are refused", function()
    local function refuses(status, text, volume, path, subpath)
      plane:refuses(status, text, "POST", "/sandbox",
        { volumes = { { volumeId = volume, mountPath = path, subpath = subpath } } })
    end
    refuses(404, "Volume 'nope' not found", "nope", "/etc")
    refuses(400, "volumes.0.mountPath must be a string", "nope")
    assert(plane.server:set_time_scale(0.001))
    local slow = plane:must("POST", "/volumes", { name = "slow" })
    refuses(400, "Volume 'slow' is not in a ready state. Current state: pending_create", slow.id, "/x")
    plane:refuses(400, "Volume must be in 'ready' or 'error' state", "DELETE", "/volumes/" .. slow.id)
    assert(plane.server:set_time_scale(1))
    local id = create "placed"
    refuses(400, "Invalid mount path data (must be absolute)", id, "data")
    refuses(400, "Invalid mount path / (cannot mount to the root directory)", id, "/")
    refuses(400, "Invalid mount path /etc (cannot mount to system directory)", id, "/etc")
    refuses(400, "Invalid mount path /a/../etc (cannot contain relative path components)", id, "/a/../etc")
    refuses(400, "cannot contain control characters", id, "/a\0b")
    refuses(400, "Invalid volume subpath", id, "/x", "../../sandboxes")
  end)

  it("that are deleted are hidden under another name, and their name is free", function()
    local id = create "gone"
    plane:must("DELETE", "/volumes/" .. id)
    wait_for(id, "deleted")
    assert.equal("gone-deleted", plane:must("GET", "/volumes/" .. id).name)
    for _, volume in ipairs(plane:must("GET", "/volumes")) do assert.not_equal(id, volume.id) end
    local seen
    for _, volume in ipairs(plane:must("GET", "/volumes", nil, { includeDeleted = "true" })) do
      seen = seen or volume.id == id
    end
    assert.is_true(seen)
    create "gone"
  end)
end)
