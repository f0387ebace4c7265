-- Warm pools on the local server: sandboxes that are there before they are asked for.

describe("a warm pool on the local server", function()
  local plane

  setup(function() plane = require("spec.support.plane").start() end)
  teardown(function() plane:stop() end)

  local function pool_of(id)
    for _, pool in ipairs(plane:must("GET", "/warm-pools")) do
      if pool.id == id then return pool end
    end
  end

  local function wait_for(id, size)
    plane:eventually(function() return pool_of(id).currentSize == size end, "a pool of " .. size)
  end

  it("fills, hands its sandboxes over, fills again, and drains", function()
    local made, status = plane:must("POST", "/warm-pools", { snapshot = "daytona-local", pool = 2 })
    assert.same({ 201, 2, "local", 0 }, { status, made.pool, made.target, made.currentSize })
    wait_for(made.id, 2)
    assert.equal(0, #plane:must("GET", "/sandbox").items)         -- they are nobody's yet
    assert.equal(2, #plane:must("GET", "/sandbox", nil, { includeWarm = "true" }).items)
    local box = plane:must("POST", "/sandbox", { name = "warm", labels = { a = "b" }, env = {}, volumes = {} })
    assert.same({ "started", "warm", made.id, "b" }, { box.state, box.name, box.warmPoolId, box.labels.a })
    assert.equal("hi\n", plane:run(box.id, "echo hi"))
    wait_for(made.id, 2)
    local cold = plane:must("POST", "/sandbox", { env = { A = "1" } })
    assert.same({ "creating", nil }, { cold.state, cold.warmPoolId })
    assert.equal(0, plane:must("PATCH", "/warm-pools/" .. made.id, { pool = 0 }).pool)
    wait_for(made.id, 0)
    assert.equal("started", plane:state_of(box.id))
    assert.equal(204, select(2, plane:must("DELETE", "/warm-pools/" .. made.id)))
    assert.same({}, plane:must("GET", "/warm-pools"))
    plane:must("DELETE", "/sandbox/" .. box.id)
    plane:must("DELETE", "/sandbox/" .. cold.id)
  end)

  it("of nothing, or of what is not there, is refused", function()
    plane:refuses(400, "pool must not be less than 1", "POST", "/warm-pools", { snapshot = "daytona-local", pool = 0 })
    plane:refuses(400, "pool must not be less than 1", "POST", "/warm-pools", { snapshot = "daytona-local" })
    plane:refuses(400, "snapshot must be a string", "POST", "/warm-pools", { pool = 1 })
    plane:refuses(400, "Snapshot none not found", "POST", "/warm-pools", { snapshot = "none", pool = 1 })
    plane:refuses(404, "Region not found", "POST", "/warm-pools", { snapshot = "daytona-local", pool = 1,
      target = "x" })
    plane:refuses(404, "not found", "PATCH", "/warm-pools/none", { pool = 1 })
  end)
end)
