-- A report of why a sandbox is as it is.

describe("sb:explain", function()
  local service, client

  setup(function()
    service = require("spec.support.service").start { time_scale = 0.1 }
    client = service.client
  end)
  teardown(function() service:stop() end)
  before_each(function() assert(service.server:clear_faults()) end)

  it("says state, limits, quota and what happened lately", function()
    local box = assert(client:create())
    assert(box:stop())
    assert(box:start())
    assert(box:stop())
    client.usage = function()
      return { region_usage = { { region_id = box.target, current_cpu_usage = 4, total_cpu_quota = 4 } } }
    end
    local report = assert(box:explain())
    client.usage = nil
    assert.equal("stopped", report.state)
    local text = tostring(report)
    for _, part in ipairs { "state:   stopped\n", "quota:   cpu 4 of 4", "quota of cpu is used up", "stops after",
      "lately:", "sandbox.state.updated stopping to stopped" } do
      assert.truthy(text:find(part, 1, true), part .. " is not in\n" .. text)
    end
    assert(box:delete())
  end)

  it("says the reason of a failure, and the end of the build's log", function()
    assert(service.server:faults { { state = "building_snapshot", becomes = "build_failed",
      error_reason = "step 2 failed" } })
    local box, err = client:create { image = "debian:12", keep = true, timeout = 30 }
    assert.is_nil(box)
    local report = assert(err.sandbox:explain())
    assert.equal("step 2 failed", report.reason)
    local text = tostring(report)
    assert.truthy(text:find("reason:  step 2 failed", 1, true), text)
    assert(err.sandbox:delete())
  end)

  it("leaves out what cannot be had, and fails where the sandbox is not there", function()
    local box = assert(client:create())
    assert(service.server:faults {
      { path = "/organizations/*", status = 500 }, { path = "/api-keys/*", status = 401 },
    })
    local report = assert(box:explain())
    assert.is_nil(report.usage)
    assert.truthy(tostring(report):find("state:   started", 1, true))
    assert(service.server:clear_faults())
    assert(box:delete { wait = true })
    local none, err = box:explain()
    assert.is_nil(none)
    assert.equal("not_found explain", err.kind .. " " .. err.operation)
  end)
end)
