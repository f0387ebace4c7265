-- Throttling and limits of the local server: switches, with the service's words and headers.

describe("the local server throttles where it is told to:", function()
  local plane
  local SET = {
    ["sandbox-create"] = { limit = 2, ttl = 20 }, ["sandbox-lifecycle"] = { limit = 2, ttl = 30 },
    authenticated = { limit = 50, ttl = 60 }, ["failed-auth"] = { limit = 2, ttl = 60 },
  }

  setup(function() plane = require("spec.support.plane").start { throttle = SET } end)
  teardown(function() plane:stop() end)

  it("creations, telling what is left, and for a whole window once it is too much", function()
    local limits = plane:must("GET", "/config").rateLimit
    assert.same({ limit = 2, ttl = 20 }, limits.sandboxCreate)
    local left = {}
    for i = 1, 2 do
      local _, _, response = plane:must("POST", "/sandbox", { name = "t" .. i })
      local h = response.headers
      assert.equal("2", h["x-ratelimit-limit-sandbox-create"])
      assert.is_true(tonumber(h["x-ratelimit-reset-sandbox-create"]) <= 20)
      left[i] = h["x-ratelimit-remaining-sandbox-create"]
    end
    assert.same({ "1", "0" }, left)
    local status, message, err = plane:refused("POST", "/sandbox", {})
    assert.same({ 429, true }, { status, message:find("ThrottlerException: Too Many Requests", 1, true) ~= nil })
    assert.equal("20", err.headers["retry-after-sandbox-create"])
    assert.is_nil(err.headers["x-ratelimit-limit-sandbox-create"])
    assert.is_nil(err.headers["retry-after"])
    assert(plane.server:advance(21))
    plane:must("POST", "/sandbox", { name = "t3" })
  end)

  it("changes of state, by a count of their own, also of calls that are refused", function()
    assert(plane.server:advance(60))
    local _, _, err = plane:refused("POST", "/sandbox/t1/archive")
    assert.equal("1", err.headers["x-ratelimit-remaining-sandbox-lifecycle"])
    plane:must("POST", "/sandbox/t1/stop")
    _, _, err = plane:refused("DELETE", "/sandbox/t2")
    assert.equal("30", err.headers["retry-after-sandbox-lifecycle"])
    local _, _, response = plane:must("POST", "/sandbox/t2/autodelete/0")
    assert.equal("50", response.headers["x-ratelimit-limit-authenticated"])
  end)

  it("who has no key, and then everybody", function()
    local wrong = require("daytona").new { api_url = plane.server.api_url, api_key = "wrong", max_retries = 0 }
    local function try()
      local _, err = wrong:request("GET", "/sandbox")
      return err
    end
    for _ = 1, 2 do
      local err = try()
      assert.same({ 401, true }, { err.status, err.message:find("Invalid credentials", 1, true) ~= nil })
    end
    local err = try()
    assert.same({ 429, "60", "2", "0" }, { err.status, err.headers["retry-after"],
      err.headers["x-ratelimit-limit-failed-auth"], err.headers["x-ratelimit-remaining-failed-auth"] })
    local status = plane:refused("GET", "/sandbox")
    assert.equal(429, status)
    assert(plane.server:advance(61))
    plane:must("GET", "/sandbox")
    wrong:close()
  end)

  it("nothing, when that is switched off", function()
    assert(plane.server:configure { throttle = false })
    for _ = 1, 4 do
      local _, _, response = plane:must("GET", "/sandbox")
      assert.is_nil(response.headers["x-ratelimit-limit-authenticated"])
    end
  end)
end)

describe("the local server has limits where it is told to:", function()
  local plane

  setup(function() plane = require("spec.support.plane").start { limits = true } end)
  teardown(function() plane:stop() end)

  it("of one sandbox, in a build, a snapshot and a change of size", function()
    local build = { dockerfileContent = "FROM x" }
    plane:refuses(400, "CPU request 99 exceeds maximum allowed per sandbox (4).\nNeed higher resource limits", "POST",
      "/sandbox", { buildInfo = build, cpu = 99 })
    plane:refuses(400, "Memory request 99GB exceeds maximum allowed per sandbox (8GB)", "POST", "/sandbox",
      { buildInfo = build, memory = 99 })
    plane:refuses(400, "Disk request 99GB exceeds maximum allowed per sandbox (10GB)", "POST", "/snapshots",
      { name = "x", imageName = "a:1", disk = 99 })
    local id = plane:create()
    plane:refuses(400, "CPU request 99 exceeds", "POST", "/sandbox/" .. id .. "/resize", { cpu = 99 })
    plane:must("DELETE", "/sandbox/" .. id)
    plane:wait_for(id, "gone")
  end)

  it("of all together, which usage tells", function()
    assert(plane.server:configure { limits = { total_cpu = 2, total_memory = 10, total_disk = 30, volumes = 1 } })
    local one, two = plane:create(), plane:create()
    plane:refuses(400, "Total CPU limit exceeded. Maximum allowed: 2.\nTo increase concurrency limits, upgrade", "POST",
      "/sandbox", {})
    local organization = { ["X-Daytona-Organization-ID"] = plane:must("GET", "/api-keys/current").organizationId }
    local id = organization["X-Daytona-Organization-ID"]
    local usage = plane:must("GET", ("/organizations/%s/usage"):format(id), nil, nil, organization)
    local region = usage.regionUsage[1]
    assert.same({ 2, 2, 6, 1 }, { region.totalCpuQuota, region.currentCpuUsage, region.currentDiskUsage,
      usage.totalVolumeQuota })
    plane:refuses(401, "Invalid credentials", "GET", ("/organizations/%s/usage"):format(id))
    plane:must("POST", "/sandbox/" .. one .. "/stop")
    plane:wait_for(one, "stopped")
    plane:must("DELETE", "/sandbox/" .. plane:create())
    plane:must("DELETE", "/sandbox/" .. two)
    plane:must("POST", "/volumes", { name = "v1" })
    plane:refuses(400, "quota exceeded", "POST", "/volumes", { name = "v2" })
  end)
end)
