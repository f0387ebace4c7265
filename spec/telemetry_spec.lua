-- What the service has noted about a sandbox: what it used, its log, its traces.
-- The local server notes what really happened.

local daytona = require "daytona"

describe("telemetry", function()
  local service, sandbox

  setup(function()
    service = require("spec.support.service").start()
    sandbox = assert(service.client:create())
  end)
  teardown(function() service:stop() end)

  -- The server's clock moves on, so that what happens now can be told apart.
  local function later()
    assert(service.server:advance(10))
    return assert(service.server:stats()).now
  end

  it("has samples of what the sandbox used", function()
    assert.same(0, #assert(sandbox:metrics())) -- it was never used
    assert(sandbox:exec "true")
    local rows = assert(sandbox:metrics())
    assert.equal(1, #rows)
    assert.is_true(rows[1].mem_used > 0 and rows[1].mem_used < rows[1].mem_total)
    assert.equal(1, rows[1].cpu_count)
    assert.equal(3 * 1024 ^ 3, rows[1].disk_total)
    local now = later()
    assert.equal(2, #assert(sandbox:metrics { to = now + 600 })) -- asking takes a sample, too
    assert.equal(2, #assert(sandbox:metrics { from = now, to = now + 600 }))
    assert.same({}, assert(sandbox:metrics { from = 0, to = 1 }))
    local _, err = sandbox:metrics { from = "yesterday" }
    assert.equal("invalid", err.kind)
  end)

  it("has a log of what became of it", function()
    local box = assert(service.client:create())
    assert(box:stop())
    local page = assert(box:logs { to = later() })
    assert.same({ page.total, 1, 1 }, { #page.items, page.page, page.total_pages })
    assert.same({ "sandbox is stopped", "INFO", box.id, "stopped" }, {
      page.items[1].body, page.items[1].severity_text, page.items[1].resource_attributes["sandbox.id"],
      page.items[1].log_attributes.state,
    })
    assert.equal("sandbox is creating", page.items[#page.items].body)
    local second = assert(box:logs { to = later(), limit = 1, page = 2 })
    assert.same({ 1, page.total, page.items[2].body }, { #second.items, second.total_pages, second.items[1].body })
    assert.equal(1, assert(box:logs { to = later(), search = "STOPPED" }).total)
    assert(service.server:faults { state = "starting", becomes = "error", error_reason = "no room" })
    local _, err = box:start()
    assert.equal("state", err.kind)
    local failures = assert(box:logs { to = later(), severities = { "ERROR", "FATAL" } })
    assert.same({ 1, "sandbox is error: no room" }, { failures.total, failures.items[1].body })
    assert(service.server:clear_faults())
    assert.has_error(function() box:logs { limit = 0 } end)
    assert.has_error(function() box:logs { colour = "red" } end)
    box:delete()
  end)

  it("has traces of what it was asked for", function()
    assert(sandbox:exec "sleep 0.2")
    sandbox.fs:read "nothing/here"
    local page = assert(sandbox:traces { to = later() })
    assert.equal(page.total, #page.items)
    assert.equal("GET /files/download", page.items[1].root_span_name)
    local trace = page.items[2]
    assert.same({ "POST /process/execute", "Ok", 1 }, { trace.root_span_name, trace.status_code, trace.span_count })
    assert.is_true(trace.duration_ms >= 200)
    assert.is_true(trace.start_time < trace.end_time)
    local spans = assert(sandbox:trace(trace.trace_id))
    assert.equal(1, #spans)
    assert.same({ trace.trace_id, "POST /process/execute", "200" },
      { spans[1].trace_id, spans[1].span_name, spans[1].span_attributes["http.status_code"] })
    assert.is_true(spans[1].duration_ns >= 0.2e9)
    local _, err = sandbox:trace "none"
    assert.equal("not_found", err.kind)
    assert.has_error(function() sandbox:trace "" end)
  end)

  it("can be asked for in tasks", function()
    local task = daytona.spawn(function() return assert(sandbox:traces()).total end)
    assert.is_number((task:wait(10)))
  end)
end)
