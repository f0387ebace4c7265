-- The changes of a sandbox, and what the service makes of them: refusals while it is
-- busy, records that lag, answers that are lost or odd. Answers as the real one gives them.

local daytona = require "daytona"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local row_of = require "daytona.control.row"
local sandbox = require "daytona.control.sandbox"
local script = require "spec.support.script"
local task = require "daytona.loop.task"

local expect, ok, answered, lost = script.expect, script.ok, script.answered, script.lost

local real_background = task.background
local pursued

before_each(function()
  script.begin()
  pursued = nil
  task.background = function(fn, box) pursued = function() return fn(box) end end
end)

after_each(function()
  task.background = real_background
  script.finish()
end)

local function record(fields)
  local raw = { id = "b", name = "box", state = "started", labels = {}, toolboxProxyUrl = "http://127.0.0.1:1" }
  for name, value in pairs(fields or {}) do raw[name] = value end
  return raw
end

local function box_in(state, fields)
  local raw = record(fields)
  raw.state = state
  return sandbox.new(script.client, raw)
end

local function is(state, fields)
  fields = fields or {}
  fields.state = state
  return ok(record(fields))
end

local GET, DELETE = "^GET /sandbox/b$", "^DELETE /sandbox/b$"
local function POST(what) return "^POST /sandbox/b/" .. what .. "$" end

local BUSY = answered(409, "Sandbox state change in progress")

describe("a change", function()
  it("is waited for through records from before it", function()
    expect({ POST "stop", is "started" }, { GET, is "started" }, { GET, is "stopping" }, { GET, is "stopped" })
    assert.equal("stopped", assert(box_in "started":stop()).state)
    expect({ POST "start", is "stopped" }, { GET, is "stopped" }, { GET, is "starting" }, { GET, is "started" })
    assert.equal("started", assert(box_in "stopped":start()).state)
    expect({ POST "pause", is "pausing" }, { GET, is "paused" })
    assert.equal("paused", assert(box_in "started":pause()).state)
    expect({ POST "start", is "started" })
    assert.equal("started", assert(box_in "paused":resume()).state)
    expect({ POST "archive", is "archiving" }, { GET, is "archiving" }, { GET, is "archived" })
    assert.equal("archived", assert(box_in "stopped":archive()).state)
    expect({ POST "start", is("archived", { desiredState = "started" }) }, { GET, is "restoring" },
      { GET, is "started" })
    assert.equal("started", assert(box_in "archived":start()).state)
  end)

  it("is asked for again while another one is under way", function()
    expect({ POST "start", BUSY }, { GET, is "stopping" }, { POST "start", BUSY }, { GET, is "stopping" },
      { POST "start", is "started" })
    assert(box_in "stopping":start())
    expect({ DELETE, BUSY }, { GET, is "creating" }, { DELETE, is "destroying" })
    assert.is_true(box_in "creating":delete())
  end)

  it("whose answer is lost is settled by a look", function()
    for _, code in ipairs { "reset", "truncated" } do
      expect({ POST "stop", lost(code) }, { GET, is "stopping" }, { GET, is "stopped" })
      assert.equal("stopped", assert(box_in "started":stop()).state)
    end
    expect({ POST "start", answered(502, "bad gateway") }, { GET, is "started" })
    assert.equal("started", assert(box_in "stopped":start()).state)
    -- It still lags, but what is wanted is known.
    expect({ POST "start", lost "reset" }, { GET, is("stopped", { desiredState = "started" }) }, { GET, is "started" })
    assert.equal("started", assert(box_in "stopped":start()).state)
    -- It never arrived.
    expect({ POST "stop", lost "reset" }, { GET, is("started", { desiredState = "started" }) },
      { POST "stop", is "stopped" })
    assert.equal("stopped", assert(box_in "started":stop()).state)
  end)

  it("whose answers stay odd fails with the last of them", function()
    expect { ".", function(request)
      if request.method == "GET" then return ok(record()) () end
      return answered(500, "boom") ()
    end, often = true }
    local box, err = box_in "started":stop()
    assert.is_nil(box)
    assert.equal("server", err.kind)
    assert.equal(4, script.count "^POST")
  end)

  it("that failed is kind state, with the reason and the state", function()
    expect({ POST "start", answered(400, "Sandbox failed to start: no such image") },
      { GET, is("error", { errorReason = "no such image", recoverable = true }) })
    local started = box_in "stopped"
    local box, err = started:start()
    assert.is_nil(box)
    assert.equal("state start", err.kind .. " " .. err.operation)
    assert.equal("error", err.state)
    assert.is_true(started.recoverable)
    assert.truthy(err.message:find("no such image", 1, true))
  end)

  it("of one that has failed is kind state, with the reason", function()
    expect({ POST "start", answered(400, "Sandbox is in an errored state") }, { GET, is("error",
      { errorReason = "disk" }) })
    local box, err = box_in "error":start()
    assert.is_nil(box)
    assert.equal("state error", err.kind .. " " .. err.state)
    assert.truthy(err.message:find("disk", 1, true))
  end)

  it("that its class cannot make is kind unsupported", function()
    expect { POST "pause", answered(422, "Pausing is not supported for this sandbox") }
    assert.equal("unsupported", select(2, box_in "started":pause()).kind)
    expect { POST "fork", answered(422, "Forking is not supported for this sandbox") }
    assert.equal("unsupported", select(2, box_in "started":fork()).kind)
  end)

  it("that the service does not know yet is kind unsupported", function()
    expect { POST "ttl/5", answered(404, "Cannot POST /api/sandbox/b/ttl/5") }
    local done, err = box_in "started":set_ttl(5)
    assert.is_nil(done)
    assert.equal("unsupported 404", ("%s %d"):format(err.kind, err.status))
  end)

  it("keeps the name that the service takes away", function()
    expect({ POST "stop", is("destroying", { name = "DESTROYED_box_1764000000000" }) }, { GET, answered(404, "no") })
    local box = box_in "started"
    assert(box:stop())
    assert.equal("sandbox (box, destroyed)", tostring(box))
    assert.equal("box", row_of.new(script.client, record { name = "DESTROYED_box_1764000000000" }).name)
  end)
end)

describe("delete", function()
  it("looks after an odd answer, and deletes again what is still there", function()
    for _, odd in ipairs { answered(500, "boom"), lost "protocol", ok { id = 5 }, lost "too_large" } do
      expect({ DELETE, odd }, { GET, is "started" }, { DELETE, is "destroying" })
      assert.is_true(box_in "started":delete())
      expect({ DELETE, odd }, { GET, answered(404, "not found") })
      assert.is_true(box_in "started":delete())
      expect({ DELETE, odd }, { GET, is("error", { desiredState = "destroyed" }) })
      assert.is_true(box_in "error":delete())
    end
  end)

  it("of what has forks is refused", function()
    expect({ DELETE, answered(400,
      "Cannot delete sandbox which has active fork children. The forks must be deleted first.") },
      { GET, is "started" })
    assert.equal("invalid", select(2, box_in "started":delete()).kind)
  end)

  it("tells a name that was never there", function()
    expect { "^GET /sandbox/typo$", answered(404, "Sandbox with ID or name typo not found") }
    assert.equal("not_found", select(2, script.client:delete "typo").kind)
    expect { "^DELETE /sandbox/typo$", answered(404, "Sandbox with ID or name typo not found") }
    assert.is_true(script.client:delete("typo", { missing_ok = true }))
  end)
end)

describe("a wait that is throttled", function()
  it("looks again when the service says so, and fails at nothing", function()
    local throttled = answered(429, "ThrottlerException: Too Many Requests", { ["Retry-After-authenticated"] = "40" })
    local rows = { { POST "stop", is "stopping" } }
    for i = 2, 9 do rows[i] = { GET, throttled } end
    rows[10] = { GET, is "stopped" }
    expect((table.unpack or unpack)(rows)) -- luacheck: ignore 143 113
    assert.equal("stopped", assert(box_in "started":stop { timeout = 0 }).state)
    assert.is_true(script.slept >= 320 and script.slept < 360, script.slept)
    -- Its own deadline holds.
    expect({ POST "stop", is "stopping" }, { GET, throttled, often = true })
    local _, err = box_in "started":stop { timeout = 30 }
    assert.equal("timeout wait", err.kind .. " " .. err.code)
  end)
end)

describe("the end of a scope", function()
  local function made(state)
    return life.adopt(box_in(state or "started"))
  end

  it("waits out a throttle, after it told the service to destroy it by itself", function()
    local throttled = answered(429, "ThrottlerException: Too Many Requests",
      { ["Retry-After-sandbox-lifecycle"] = "55" })
    expect({ DELETE, throttled }, { POST "autodelete/0", is "started" }, { POST "autostop/1", is "started" },
      { DELETE, is "destroying" })
    assert.is_true(made():close())
    assert.is_true(script.slept >= 56 and script.slept < 60, script.slept)
    assert.is_nil(pursued)
  end)

  it("does not wait for a busy service: that is told to destroy it, and asked again later", function()
    expect({ ".", function(request)
      if request.method == "POST" then return ok(record { state = "creating" }) () end
      if request.method == "GET" then return is "creating" () end
      return BUSY()
    end, often = true })
    local gone, err = made "creating":close()
    assert.is_nil(gone)
    assert.equal("conflict", err.kind)
    assert.truthy(err.message:find("told to destroy it by itself", 1, true), err.message)
    assert.equal("b", err.sandbox.id)
    assert.is_true(script.slept < 5)
    assert.equal(1, script.count "autodelete/0$")
    assert.equal(1, script.count "autostop/1$")
    -- In the background.
    expect({ DELETE, BUSY }, { GET, is "started" }, { DELETE, is "destroying" })
    pursued()
  end)

  it("gives up where it is not allowed to, and in the background when the loop ends", function()
    expect({ DELETE, answered(500, "x") }, { GET, is "started" }, { DELETE, answered(403, "no") })
    local gone, err = made():close()
    assert.is_nil(gone)
    assert.equal("forbidden", err.kind)
    assert.is_nil(pursued)
    expect({ DELETE, lost "connect" }, { POST "autodelete/0", lost "connect" }, { POST "autostop/1", lost "connect" })
    gone, err = made():close()
    assert.is_nil(gone)
    assert.truthy(err.message:find("it may still be there", 1, true), err.message)
    loop.sleep = function() return nil end
    pursued()
  end)

  it("tells what it could not delete, as it returns to nobody", function()
    local heard = {}
    daytona.on_unhandled(function(err, what) heard[#heard + 1] = what .. ": " .. err.kind end)
    finally(function() daytona.on_unhandled() end)
    expect({ DELETE, answered(403, "no") }, { DELETE, is "destroying" })
    assert.equal(5, daytona.using(made(), function() return 5 end))
    daytona.using(made(), function() end)
    assert.same({ "a sandbox could not be deleted at the end of its scope: forbidden" }, heard)
  end)

  it("touches nothing that this program did not make", function()
    assert.is_true(box_in "started":close())
    daytona.using(box_in "started", function() end)
    assert.same({}, script.seen)
  end)
end)

describe("waiting", function()
  it("ends at once where the wanted state cannot come", function()
    local now = "2026-11-25T10:00:00Z"
    for _, case in ipairs {
      { is("destroyed", { queueTimedOutAt = now }), "queue_timeout" },
      { is("destroyed", { spotEvictedAt = now }), "spot_evicted" },
      { is "destroyed", "destroyed" }, { is "destroying", "destroyed" },
      { is("started", { desiredState = "destroyed" }), "destroyed" },
      { is("error", { errorReason = "disk" }), nil }, { is "build_failed", nil },
    } do
      expect({ GET, is "pending_build" }, { GET, case[1] })
      local box = box_in "pending_build"
      local done, err = box:wait "stopped"
      assert.is_nil(done)
      assert.equal("state", err.kind)
      assert.equal(case[2], err.code)
      assert.equal(box.state, err.state)
      assert.equal(box, err.sandbox)
    end
    expect { GET, answered(404, "Sandbox with ID or name b not found") }
    assert.equal("not_found", select(2, box_in "started":wait "stopped").kind)
  end)

  it("for the end goes through an error that was there before", function()
    expect({ GET, is "error" }, { GET, is "error" }, { GET, answered(404, "gone") })
    assert(box_in "error":wait "destroyed")
  end)

  it("tolerates what passes, and says the last state at its deadline", function()
    local n = 0
    expect { GET, function()
      n = n + 1
      if n % 3 ~= 0 then return answered(503, "maintenance") () end
      return is "starting" ()
    end, often = true }
    local box = box_in "starting"
    local done, err = box:wait("started", 20)
    assert.is_nil(done)
    assert.equal("timeout wait", err.kind .. " " .. err.code)
    assert.equal("starting", err.state)
    assert.equal(box, err.sandbox)
    assert.is_true(script.slept > 19.9 and script.slept < 21, script.slept)
  end)

  it("is not over by an answer from before the hold", function()
    expect({ "^POST /sandbox$", is "creating" }, { GET, is "creating" }, { GET, is "started" })
    assert.equal("started", assert(script.client:create()).state)
  end)
end)

describe("recover", function()
  it("reads through the error that is still there", function()
    local before = { errorReason = "old", recoverable = true }
    expect({ GET, is("error", before) }, { POST "recover", is("error", before) }, { GET, is("error", before) },
      { GET, is "started" })
    assert.equal("started", assert(box_in "error":recover()).state)
  end)

  it("fails when there is nothing more to recover, or another reason", function()
    for _, after in ipairs { { errorReason = "old", recoverable = false },
      { errorReason = "new", recoverable = true } } do
      expect({ GET, is("error", { errorReason = "old", recoverable = true }) }, { POST "recover", is("error", after) })
      local box, err = box_in "error":recover()
      assert.is_nil(box)
      assert.equal("state recover", err.kind .. " " .. err.operation)
    end
  end)

  it("joins one that is under way, and can leave it stopped", function()
    local before = { errorReason = "old", recoverable = true }
    expect({ GET, is("error", before) },
      { POST "recover", answered(409, "An operation is already in progress for this resource") }, { GET, is "stopped" })
    assert.equal("stopped", assert(box_in "error":recover { skip_start = true }).state)
    assert.same({ skipStart = true }, script.queries[2])
  end)

  it("is refused where there is nothing to recover", function()
    local refused = answered(400, "Sandbox is not in a recoverable state")
    expect({ GET, is "started" }, { POST "recover", refused })
    assert.equal("invalid", select(2, box_in "started":recover()).kind)
    assert.is_false(script.queries[2])
    expect({ GET, is "started" }, { POST "recover", function(request)
      assert.equal(0, request.timeout) -- as long as it takes
      return refused(request)
    end })
    assert.equal("invalid", select(2, box_in "started":recover { timeout = 0 }).kind)
  end)
end)

describe("ensure_started", function()
  it("gets there from any state", function()
    for _, way in ipairs {
      { "started" },
      { "stopped", { POST "start", is "started" } },
      { "paused", { POST "start", is "started" } },
      { "archived", { POST "start", is "archived" }, { GET, is "restoring" }, { GET, is "started" } },
      { "restoring", { GET, is "started" } },
      { "pending_build", { GET, is "building_snapshot" }, { GET, is "creating" }, { GET, is "started" } },
      { "archiving", { POST "start", is "archiving" }, { GET, is "started" } },
      { "stopping", { POST "start", BUSY }, { GET, is "stopping" }, { POST "start", is "started" } },
      { "pausing", { POST "start", BUSY }, { GET, is "paused" }, { POST "start", is "started" } },
      { "resizing", { GET, is "resizing" }, { GET, is "stopped" }, { POST "start", is "started" } },
      { "snapshotting", { GET, is "started" } },
      { "error", { GET, is("error", { recoverable = true }) }, { POST "recover", is "started" },
        fields = { recoverable = true } },
    } do
      local rows = { { GET, is(way[1], way.fields) } }
      for i = 2, #way do rows[#rows + 1] = way[i] end
      expect((table.unpack or unpack)(rows))
      assert.equal("started", assert(box_in(way[1], way.fields):ensure_started()).state, way[1])
    end
  end)

  it("says where no way leads there", function()
    for _, state in ipairs { "error", "build_failed", "destroying", "destroyed" } do
      expect { GET, is(state) }
      local box, err = box_in(state):ensure_started()
      assert.is_nil(box)
      assert.equal("state ensure_started", err.kind .. " " .. err.operation)
    end
  end)
end)

describe("resize", function()
  local SMALL, BIG = { cpu = 1, memory = 1, disk = 3 }, { cpu = 2, memory = 4, disk = 3 }

  it("is over when the new size is there", function()
    expect({ POST "resize", is("resizing", SMALL) }, { GET, is("resizing", SMALL) }, { GET, is("started", SMALL) },
      { GET, is("started", BIG) })
    local box = assert(box_in("started", SMALL):resize { cpu = 2, memory = 4 })
    assert.equal("2 4", ("%d %d"):format(box.cpu, box.memory))
    assert.same({ cpu = 2, memory = 4 }, script.bodies[1])
  end)

  it("that the service takes back without a word is told", function()
    expect({ POST "resize", is("resizing", SMALL) }, { GET, is("started", SMALL), often = true })
    local box, err = box_in("started", SMALL):resize { cpu = 2 }
    assert.is_nil(box)
    assert.equal("state resize_failed", err.kind .. " " .. err.code)
  end)

  it("takes a minute at most where nothing is said", function()
    for limit, opts in pairs { [60] = { cpu = 2 }, [20] = { cpu = 2, timeout = 20 } } do
      local before = script.slept
      expect({ POST "resize", is("resizing", SMALL) }, { GET, is("resizing", SMALL), often = true })
      assert.equal("timeout", select(2, box_in("started", SMALL):resize(opts)).kind)
      assert.near(limit, script.slept - before, 6)
    end
  end)

  it("of nothing raises, and what cannot be is invalid", function()
    assert.has_error(function() box_in "started":resize {} end)
    assert.has_error(function() box_in "started":resize { cpu = 0 } end)
    assert.has_error(function() box_in "started":resize() end)
    expect { POST "resize", answered(400, "Sandbox disk size cannot be decreased") }
    assert.equal("invalid", select(2, box_in "stopped":resize { disk = 1 }).kind)
    expect { POST "resize", answered(404, "Cannot POST /api/sandbox/b/resize") }
    assert.equal("unsupported", select(2, box_in "stopped":resize { disk = 9 }).kind)
  end)
end)

describe("fork", function()
  local function child(state, name, made)
    return ok { id = "c", name = name or "try", state = state, labels = {}, createdAt = made }
  end

  local CLOCK = { "^GET /config$", function()
    return { status = 200, headers = { date = "Thu, 01 Jan 2026 12:00:00 GMT" }, json = {}, body = "{}" }
  end }

  -- It has the labels of its parent, and gets those of who made it.
  local CLAIM = { "^PUT /sandbox/c/labels$", function(request) return ok(request.json)() end }

  it("is another sandbox, that the end of a scope deletes", function()
    expect({ POST "fork", child "creating" }, CLAIM, { "^GET /sandbox/c$", child "creating" },
      { "^GET /sandbox/c$", child "started" })
    local fork = assert(box_in "started":fork { name = "try" })
    assert.equal("c", fork.id)
    assert.same({ name = "try" }, script.bodies[1])
    expect { "^DELETE /sandbox/c$", child "destroying" }
    assert.is_true(fork:close())
  end)

  it("whose answer is lost is found by its name, if it is one of this sandbox", function()
    expect({ POST "fork", lost "reset" }, { "^GET /sandbox/lua%-%x+/parent$", is "started" },
      { "^GET /sandbox/lua%-%x+$", child "started" }, CLAIM)
    assert.equal("c", assert(box_in "started":fork()).id)
    expect({ POST "fork", lost "reset" }, { "^GET /sandbox/try/parent$", is "started" },
      { "^GET /sandbox/try$", child("started", "try", "2026-01-01T11:59:59.000Z") }, CLOCK, CLAIM)
    assert.equal("c", assert(box_in "started":fork { name = "try" }).id)
    expect({ POST "fork", lost "reset" }, { "^GET /sandbox/try/parent$", answered(404, "Parent sandbox not found") },
      { POST "fork", answered(409, "Sandbox with this name already exists") },
      { "^GET /sandbox/try/parent$", answered(404, "Parent sandbox not found") })
    assert.equal("conflict", select(2, box_in "started":fork { name = "try" }).kind)
  end)

  it("of a name that an older one has is not taken for that", function()
    local older = { "^GET /sandbox/try$", child("started", "try", "2026-01-01T11:59:50.000Z") }
    expect({ POST "fork", lost "reset" }, { "^GET /sandbox/try/parent$", is "started" }, older, CLOCK,
      { POST "fork", answered(409, "Sandbox with this name already exists") },
      { "^GET /sandbox/try/parent$", is "started" }, older, CLOCK)
    assert.equal("conflict", select(2, box_in "started":fork { name = "try" }).kind)
  end)

  local function strike() error("interrupted!", 0) end

  -- What a request does that has left when Ctrl-C strikes.
  local function struck(request)
    request.on_leave(request, true)
    strike()
  end

  it("is deleted where Ctrl-C strikes while it is made, or waited for", function()
    local NAMED = "^GET /sandbox/lua%-%x+"
    expect({ POST "fork", struck }, { NAMED .. "/parent$", is "started" }, { NAMED .. "$", child "started" },
      { "^DELETE /sandbox/c$", child "destroying" })
    assert.has_error(function() box_in "started":fork() end, "interrupted!")
    expect({ POST "fork", child "creating" }, CLAIM, { "^GET /sandbox/c$", strike },
      { "^DELETE /sandbox/c$", child "destroying" })
    assert.has_error(function() box_in "started":fork() end, "interrupted!")
    expect({ POST "fork", child "creating" }, CLAIM, { "^GET /sandbox/c$", strike })
    assert.has_error(function() box_in "started":fork { keep = true } end, "interrupted!")
  end)

  it("deletes no older one of its name where Ctrl-C strikes while it is made", function()
    local answers = {
      ["/sandbox/try/parent"] = is "started", ["/config"] = CLOCK[2],
      ["/sandbox/try"] = child("started", "try", "2026-01-01T11:00:00.000Z"),
    }
    expect({ POST "fork", struck },
      { "^GET ", function(request) return answers[request.path](request) end, often = true })
    assert.has_error(function() box_in "started":fork { name = "try" } end, "interrupted!")
    assert.truthy(script.count "/config$" > 5)
  end)

  it("that does not come up is deleted, and is in the error", function()
    expect({ POST "fork", child "creating" }, CLAIM, { "^GET /sandbox/c$", child "error" },
      { "^DELETE /sandbox/c$", child "destroying" })
    local fork, err = box_in "started":fork()
    assert.is_nil(fork)
    assert.equal("state fork", err.kind .. " " .. err.operation)
    assert.equal("c", err.sandbox.id)
    assert.truthy(script.bodies[1].name:find "^lua%-%x+$")
  end)

  it("has a parent and ancestors; its parent has forks", function()
    expect({ "^GET /sandbox/b/forks$", ok { record { id = "c" } } },
      { "^GET /sandbox/b/parent$", ok(record { id = "a" }) },
      { "^GET /sandbox/b/ancestors$", ok { record { id = "z" }, record { id = "a" } } })
    local box = box_in "started"
    assert.equal("c", assert(box:forks { include_destroyed = true })[1].id)
    assert.same({ includeDestroyed = true }, script.queries[1])
    assert.equal("a", assert(box:parent()).id)
    assert.equal("a", assert(box.family:ancestors())[2].id)
    expect { "^GET /sandbox/b/forks$", ok { 5 } }
    assert.equal("protocol", select(2, box:forks()).kind)
    expect { "^GET /sandbox/b/parent$", answered(404, "Parent sandbox not found for sandbox b") }
    assert.equal("not_found", select(2, box:parent()).kind)
  end)
end)

describe("settings", function()
  it("of every kind go where the service wants them", function()
    local box = box_in "started"
    for _, case in ipairs {
      { "set_auto_pause_interval", 5, "^POST /sandbox/b/autopause/5$" },
      { "set_ttl", 30, "^POST /sandbox/b/ttl/30$" },
      { "set_public", true, "^POST /sandbox/b/public/true$" },
      { "set_public", false, "^POST /sandbox/b/public/false$" },
      { "set_auto_delete_interval", -1, "^POST /sandbox/b/autodelete/%-1$" },
      { "set_network", { block_all = true }, "^POST /sandbox/b/network%-settings$", { networkBlockAll = true } },
      { "set_network", { allow = { "10.0.0.0/8", "1.2.3.4/32" }, domains = {} }, "^POST /sandbox/b/network%-settings$",
        { networkAllowList = "10.0.0.0/8,1.2.3.4/32", domainAllowList = "" } },
      { "set_secrets", { B = "two", A = "one" }, "^PUT /sandbox/b/secrets$", { secrets = { { A = "one" },
        { B = "two" } } } },
      { "set_secrets", {}, "^PUT /sandbox/b/secrets$", { secrets = {} } },
    } do
      expect { case[3], is("started", { cpu = 7 }) }
      assert.equal(box, assert(box[case[1]](box, case[2])))
      assert.same(case[4] or false, script.bodies[#script.bodies])
      assert.equal(7, box.cpu)
    end
  end)

  it("that cannot be raise", function()
    local box = box_in "started"
    for name, value in pairs { set_public = 1, set_ttl = -1, set_secrets = { A = 1 }, set_network = {} } do
      assert.has_error(function() box[name](box, value) end)
    end
    assert.has_error(function() box:set_network { block_all = true, allow = "10.0.0.0/8" } end)
    assert.has_error(function() box:set_network { alow = "x" } end)
  end)

  it("leave labels of other programs as they are", function()
    local odd = { a = 1, b = { c = "d" }, ok = "x", ["code-toolbox-language"] = "typescript" }
    local box = box_in("started", { labels = odd })
    assert.same({ a = "1", ok = "x", ["code-toolbox-language"] = "typescript" }, box.labels)
    expect({ GET, is("started", { labels = odd }) }, { "^PUT /sandbox/b/labels$", function(request)
      return ok(record { labels = request.json.labels }) ()
    end })
    assert(box:merge_labels { new = "y" })
    assert.same({ a = 1, b = { c = "d" }, ok = "x", new = "y", ["code-toolbox-language"] = "typescript" },
      script.bodies[2].labels)
  end)
end)

describe("a sandbox of another program", function()
  it("can be used and deleted, whatever its labels and environment hold", function()
    for _, odd in ipairs { { a = true, b = { c = {} } }, "x", { "a" }, 5, false } do
      expect({ GET, is("started", { labels = odd, env = odd, name = 5, errorReason = {} }) },
        { POST "stop", is("stopped", { labels = odd, env = odd }) }, { DELETE, is("destroying", { labels = odd }) })
      local box = assert(script.client:get "b")
      for _, map in ipairs { box.labels, box.env } do
        for name, value in pairs(map) do assert.equal("string string", type(name) .. " " .. type(value)) end
      end
      assert(box:stop())
      assert.is_true(box:delete())
      local row = row_of.new(script.client, record { labels = odd })
      assert.is_table(row.labels)
    end
  end)

  it("is none without an id or with a state that is no text", function()
    for _, raw in ipairs { { name = "x" }, { id = 5 }, { id = "" }, { id = "b", state = {} } } do
      expect { GET, ok(raw) }
      assert.equal("protocol", select(2, script.client:get "b").kind)
    end
  end)
end)
