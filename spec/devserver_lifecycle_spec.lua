-- The states of the local server's sandboxes as the service's go: what each allows, what
-- it refuses and with which words, and what is true while one becomes another.

local VM = { snapshot = "daytona-vm-small", autoPauseInterval = 0, autoStopInterval = 0 }

describe("a sandbox's life on the local server", function()
  local plane

  setup(function() plane = require("spec.support.plane").start() end)
  teardown(function() plane:stop() end)
  after_each(function()
    assert(plane.server:clear_faults())
    for box in plane.client:each() do
      if box.desired_state ~= "destroyed" then plane:call("DELETE", "/sandbox/" .. box.id) end
    end
  end)

  local function hold(state, name) assert(plane.server:faults { state = state, name = name }) end

  it("create answers with the record from before the hold", function()
    local first, status = plane:must("POST", "/sandbox", { name = "early" })
    assert.same({ "creating", "started", 200 }, { first.state, first.desiredState, status })
    assert.is_nil(first.daemonVersion)
    local now = plane:must("GET", "/sandbox/early")
    assert.same({ "started", "string" }, { now.state, type(now.daemonVersion) })
  end)

  it("a create that fails is 400 and keeps the sandbox, in state error", function()
    assert(plane.server:faults { state = "creating", becomes = "error", error_reason = "boom" })
    plane:refuses(400, "Sandbox failed to start: boom", "POST", "/sandbox", { name = "failed" })
    local box = plane:must("GET", "/sandbox/failed")
    assert.same({ "error", "started", "boom", false }, { box.state, box.desiredState, box.errorReason,
      box.recoverable })
    plane:refuses(409, "Sandbox with name failed already exists", "POST", "/sandbox", { name = "failed" })
    for _, action in ipairs { "start", "stop", "archive" } do
      plane:refuses(400, "Sandbox is in an errored state", "POST", "/sandbox/failed/" .. action)
    end
    plane:refuses(400, "Sandbox is not in a recoverable state", "POST", "/sandbox/failed/recover")
    local gone = plane:must("DELETE", "/sandbox/failed")
    assert.same({ "error", "destroyed" }, { gone.state, gone.desiredState })
    assert.equal("gone", plane:state_of(box.id))
  end)

  it("nothing is deleted while it is made, but it can be told to go when idle", function()
    hold("creating", "slow")
    assert(plane.server:set_time_scale(1000))                 -- the answer is held for half a minute
    local id = plane:must("POST", "/sandbox", { name = "slow" }).id
    assert(plane.server:set_time_scale(1))
    for _, call in ipairs { { "DELETE", "" }, { "POST", "/start" }, { "POST", "/stop" }, { "POST", "/archive" } } do
      plane:refuses(409, "Sandbox state change in progress", call[1], "/sandbox/" .. id .. call[2])
    end
    plane:refuses(400, "Sandbox must be in started state to pause", "POST", "/sandbox/" .. id .. "/pause")
    plane:refuses(400, "Sandbox must be in started or stopped state to resize", "POST", "/sandbox/" .. id .. "/resize",
      { cpu = 2 })
    plane:refuses(409, "An operation is already in progress", "POST", "/sandbox/" .. id .. "/network-settings",
      { networkBlockAll = true })
    local _, status = plane:must("POST", "/sandbox/" .. id .. "/autodelete/0")
    assert.equal(201, status)
    plane:must("POST", "/sandbox/" .. id .. "/autostop/1")
    plane:must("GET", "/sandbox/" .. id .. "/ports/3000/preview-url")
    assert(plane.server:clear_faults())
    plane:wait_for(id, "started")
    assert(plane.server:advance(61))
    plane:wait_for(id, "gone")
  end)

  it("stop and delete answer with what has begun; a deleted one has another name at once", function()
    local id = plane:create { name = "named" }
    assert.equal("stopping", plane:must("POST", "/sandbox/named/stop").state)
    plane:wait_for(id, "stopped")
    plane:refuses(400, "Sandbox is not in a stoppable state", "POST", "/sandbox/named/stop")
    plane:must("POST", "/sandbox/named/start")
    hold("destroying", "DESTROYED_*")
    local gone = plane:must("DELETE", "/sandbox/named")
    assert.same({ "destroying", "destroyed" }, { gone.state, gone.desiredState })
    assert.truthy(gone.name:find "^DESTROYED_named_%d+$")
    assert.equal("gone", plane:state_of "named")
    assert.equal("destroying", plane:state_of(id))
    plane:refuses(409, "Sandbox state change in progress", "DELETE", "/sandbox/" .. id)
    assert.equal(201, select(2, plane:must("POST", "/sandbox/" .. id .. "/autostop/1")))
    plane:must("POST", "/sandbox", { name = "named" })
    assert(plane.server:clear_faults())
    plane:wait_for(id, "gone")
  end)

  it("an ephemeral one that is stopped is destroyed under another name", function()
    local id = plane:create { name = "short", autoDeleteInterval = 0 }
    local gone = plane:must("POST", "/sandbox/short/stop")
    assert.same({ "destroying", "destroyed" }, { gone.state, gone.desiredState })
    assert.truthy(gone.name:find "^DESTROYED_short_")
    plane:wait_for(id, "gone")
  end)

  it("archives: with a backup, and started again while that is under way", function()
    local id = plane:create { name = "kept" }
    plane:run(id, "echo data > file")
    plane:refuses(400, "Sandbox is not stopped", "POST", "/sandbox/kept/archive")
    plane:must("POST", "/sandbox/kept/stop")
    plane:wait_for(id, "stopped")
    hold("archiving", "kept")
    assert.equal("archiving", plane:must("POST", "/sandbox/kept/archive").state)
    plane:refuses(409, "Sandbox state change in progress", "POST", "/sandbox/kept/archive")
    plane:refuses(409, "Sandbox state change in progress", "POST", "/sandbox/kept/stop")
    local starting = plane:must("POST", "/sandbox/kept/start")
    assert.same({ "archiving", "started" }, { starting.state, starting.desiredState })
    assert(plane.server:clear_faults())
    plane:wait_for(id, "started")
    assert.equal("data\n", plane:run(id, "cat file"))
    plane:must("POST", "/sandbox/kept/stop")
    plane:wait_for(id, "stopped")
    plane:must("POST", "/sandbox/kept/archive")
    plane:wait_for(id, "archived")
    local box = plane:must("GET", "/sandbox/kept")
    assert.same({ "Completed", "string", nil }, { box.backupState, type(box.backupCreatedAt), box.runnerId })
    plane:refuses(400, "Sandbox is not in a stoppable state", "POST", "/sandbox/kept/stop")
    assert.equal("archived", plane:must("POST", "/sandbox/kept/start").state)
    plane:wait_for(id, "started")
  end)

  it("deletes one that is archiving", function()
    local id = plane:create()
    plane:must("POST", "/sandbox/" .. id .. "/stop")
    plane:wait_for(id, "stopped")
    hold "archiving"
    plane:must("POST", "/sandbox/" .. id .. "/archive")
    local gone = plane:must("DELETE", "/sandbox/" .. id)
    assert.same({ "archiving", "destroyed" }, { gone.state, gone.desiredState })
    plane:wait_for(id, "gone")
  end)

  it("recovers: says error until it has, and 200 when it fails again", function()
    local id = plane:create { name = "ill" }
    plane:must("POST", "/sandbox/ill/stop")
    plane:wait_for(id, "stopped")
    assert(plane.server:faults { state = "starting", becomes = "error", error_reason = "no space", recoverable = true,
      times = 1 })
    plane:refuses(400, "Sandbox failed to start: no space", "POST", "/sandbox/ill/start")
    assert.same({ true }, { plane:must("GET", "/sandbox/ill").recoverable })
    assert(plane.server:clear_faults())
    hold("recovering", "ill")
    assert(plane.server:set_time_scale(1000))
    assert.equal("error", plane:must("POST", "/sandbox/ill/recover").state)
    assert(plane.server:set_time_scale(1))
    plane:refuses(409, "An operation is already in progress for this resource", "POST", "/sandbox/ill/recover")
    assert(plane.server:clear_faults())
    plane:wait_for(id, "started")
    plane:must("POST", "/sandbox/ill/stop")
    plane:wait_for(id, "stopped")
    assert(plane.server:faults { { state = "starting", becomes = "error", recoverable = true, times = 1 },
      { state = "recovering", becomes = "error", error_reason = "still none", times = 1 } })
    plane:refused("POST", "/sandbox/ill/start")
    local box = plane:must("POST", "/sandbox/ill/recover")
    assert.same({ "error", "still none", false }, { box.state, box.errorReason, box.recoverable })
  end)

  it("recovers to stopped where no start is wanted", function()
    local id = plane:create { name = "skipped" }
    plane:must("POST", "/sandbox/skipped/stop")
    plane:wait_for(id, "stopped")
    assert(plane.server:faults { state = "starting", becomes = "error", recoverable = true, times = 1 })
    plane:refused("POST", "/sandbox/skipped/start")
    assert.equal("error", plane:must("POST", "/sandbox/skipped/recover", nil, { skipStart = "true" }).state)
    plane:wait_for(id, "stopped")
  end)

  it("resizes: the old numbers first, the new ones later, and says nothing when that fails", function()
    local id = plane:create { name = "grown" }
    local at = "/sandbox/grown/resize"
    local answer = plane:must("POST", at, { cpu = 2, memory = 4 })
    assert.same({ "resizing", 1, 1 }, { answer.state, answer.cpu, answer.memory })
    plane:wait_for(id, "started")
    local box = plane:must("GET", "/sandbox/grown")
    assert.same({ 2, 4 }, { box.cpu, box.memory })
    plane:refuses(400, "already at the desired configuration", "POST", at, { cpu = 2 })
    plane:refuses(400, "already at the desired configuration", "POST", at, {})
    plane:refuses(400, "Disk resize can only be performed on a stopped sandbox", "POST", at, { disk = 5 })
    plane:refuses(400, "stopped state to decrease the number of CPU cores", "POST", at, { cpu = 1 })
    plane:refuses(400, "stopped state to decrease memory", "POST", at, { memory = 1 })
    plane:refuses(400, "cpu must not be less than 1", "POST", at, { cpu = 0 })
    assert(plane.server:faults { state = "resizing", becomes = "error" })
    plane:must("POST", at, { cpu = 3 })
    plane:wait_for(id, "started")
    box = plane:must("GET", "/sandbox/grown")
    assert.same({ 2, nil }, { box.cpu, box.errorReason })
    assert(plane.server:clear_faults())
    plane:must("POST", "/sandbox/grown/stop")
    plane:wait_for(id, "stopped")
    plane:refuses(400, "Sandbox disk size cannot be decreased", "POST", at, { disk = 1 })
    plane:must("POST", at, { disk = 5, cpu = 1 })
    plane:wait_for(id, "stopped")
    assert.equal(5, plane:must("GET", "/sandbox/grown").disk)
  end)

  describe("of a class that can rest:", function()
    local function counter(id)
      return tonumber((plane:run(id, "cat count 2>/dev/null | wc -l")))
    end

    it("paused is frozen: its processes go on after it, and the preview token is the same", function()
      local id = plane:create(VM)
      plane:run(id, "sh -c 'while :; do echo x >> count; sleep 0.02; done' >/dev/null 2>&1 &")
      plane:eventually(function() return counter(id) > 2 end)
      local token = plane:must("GET", "/sandbox/" .. id .. "/ports/3000/preview-url").token
      local answer = plane:must("POST", "/sandbox/" .. id .. "/pause")
      assert.same({ "pausing", "paused" }, { answer.state, answer.desiredState })
      plane:wait_for(id, "paused")
      local function size()
        local file = assert(io.open(plane.server.dir .. "/sandboxes/" .. id .. "/home/count"))
        local n = file:seek "end"
        file:close()
        return n
      end
      local before = size()
      require("daytona").sleep(0.2)
      assert.equal(before, size())
      plane:refuses(400, "Sandbox must be in started state to pause", "POST", "/sandbox/" .. id .. "/pause")
      plane:refuses(400, "Sandbox is not stopped", "POST", "/sandbox/" .. id .. "/archive")
      assert.equal("started", plane:must("POST", "/sandbox/" .. id .. "/start").state)
      plane:eventually(function() return size() > before end)
      assert.equal(token, plane:must("GET", "/sandbox/" .. id .. "/ports/3000/preview-url").token)
    end)

    it("stops from paused, and has another token after a start from stopped", function()
      local id = plane:create(VM)
      local token = plane:must("GET", "/sandbox/" .. id .. "/ports/3000/preview-url").token
      plane:must("POST", "/sandbox/" .. id .. "/pause")
      plane:wait_for(id, "paused")
      plane:must("POST", "/sandbox/" .. id .. "/stop")
      plane:wait_for(id, "stopped")
      plane:must("POST", "/sandbox/" .. id .. "/start")
      assert.not_equal(token, plane:must("GET", "/sandbox/" .. id .. "/ports/3000/preview-url").token)
    end)

    it("is deleted while it is paused, and leaves no process", function()
      local id = plane:create(VM)
      plane:run(id, "sleep 300 >/dev/null 2>&1 &")
      plane:must("POST", "/sandbox/" .. id .. "/pause")
      plane:wait_for(id, "paused")
      plane:must("DELETE", "/sandbox/" .. id)
      plane:wait_for(id, "gone")
      plane:eventually(function() return assert(plane.server:stats()).children == 0 end, "no process")
    end)

    it("pauses by itself when nobody uses it", function()
      local id = plane:create { snapshot = "daytona-vm-small", autoPauseInterval = 5 }
      assert(plane.server:advance(301))
      plane:wait_for(id, "paused")
    end)

    it("forks: the child has the files, the settings, and a parent that must not go first", function()
      local id = plane:create { snapshot = "daytona-vm-small", name = "source", labels = { a = "b" },
        env = { X = "1" } }
      plane:run(id, "echo one > file")
      local child, status = plane:must("POST", "/sandbox/source/fork", { name = "child" })
      assert.same({ 200, "creating", "child" }, { status, child.state, child.name })
      plane:wait_for(child.id, "started")
      plane:wait_for(id, "started")
      assert.equal("one 1\n", plane:run(child.id, "echo $(cat file) $X"))
      plane:run(child.id, "echo two > file")
      assert.equal("one\n", plane:run(id, "cat file"))
      assert.same({ a = "b" }, plane:must("GET", "/sandbox/child").labels)
      assert.equal(child.id, plane:must("GET", "/sandbox/source/forks")[1].id)
      assert.equal(id, plane:must("GET", "/sandbox/child/parent").id)
      plane:refuses(404, "Parent sandbox not found", "GET", "/sandbox/source/parent")
      local grandchild = plane:must("POST", "/sandbox/child/fork", {})
      assert.equal(grandchild.id, grandchild.name)
      plane:wait_for(grandchild.id, "started")
      local ancestors = plane:must("GET", "/sandbox/" .. grandchild.id .. "/ancestors")
      assert.same({ id, child.id }, { ancestors[1].id, ancestors[2].id })
      plane:refuses(400, "active fork children", "DELETE", "/sandbox/source")
      plane:refuses(409, "Sandbox with this name already exists", "POST", "/sandbox/source/fork", { name = "child" })
      plane:must("DELETE", "/sandbox/" .. grandchild.id)
      plane:must("DELETE", "/sandbox/child")
      plane:must("DELETE", "/sandbox/source")
    end)
  end)

  it("a container neither pauses nor forks", function()
    local id = plane:create()
    plane:refuses(422, "Pausing is not supported for this sandbox", "POST", "/sandbox/" .. id .. "/pause")
    plane:refuses(422, "Forking is not supported for this sandbox", "POST", "/sandbox/" .. id .. "/fork")
  end)

  it("a build that finds no runner in time is destroyed, and can be read by id for a day", function()
    hold "pending_build"
    local id = plane:must("POST", "/sandbox", { queueTimeout = 5, buildInfo = { dockerfileContent = "FROM x" } }).id
    plane:wait_for(id, "pending_build")
    assert(plane.server:advance(301))
    plane:wait_for(id, "destroyed")
    assert.is_string(plane:must("GET", "/sandbox/" .. id).queueTimedOutAt)
    assert.equal(0, #plane:must("GET", "/sandbox", nil, { id = id }).items)
    assert(plane.server:advance(86401))
    plane:wait_for(id, "gone")
  end)

  it("states last as long as with the service where that is wanted", function()
    assert(plane.server:configure { lag = true })
    local id = plane:create()
    plane:must("POST", "/sandbox/" .. id .. "/stop")
    plane:wait_for(id, "stopped")
    plane:must("POST", "/sandbox/" .. id .. "/archive")
    assert(plane.server:advance(10))
    assert.equal("archiving", plane:state_of(id))
    plane:eventually(function()
      assert(plane.server:advance(6))
      return plane:state_of(id) == "archived"
    end, "archived")
    assert(plane.server:configure { lag = false })
  end)
end)
