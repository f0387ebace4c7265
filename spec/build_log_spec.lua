-- How an image is built, heard line by line while create waits for the sandbox. The
-- local server builds in simulation, and its log says so.

local daytona = require "daytona"
local haste = require "spec.support.haste"
local http = require "daytona.http"
local url = require "daytona.http.url"

describe("the log of a build", function()
  local service
  setup(function() service = require("spec.support.service").start() end)
  teardown(function() service:stop() end)
  after_each(function() assert(service.server:clear_faults()) end)

  local LINES = {
    "simulated build: nothing is installed by the local server", "Step 1/1 : FROM debian:12",
    "simulated build finished",
  }

  local function create(opts)
    opts.image = "debian:12"
    return service.client:create(opts)
  end

  it("comes while create waits, each line once", function()
    local lines, states = {}, {}
    assert(service.server:set_time_scale(0.05)) -- each step takes its time
    local box = assert(create { name = "watched", on_build_log = function(line)
      lines[#lines + 1] = line
      states[#states + 1] = assert(service.client:get "watched").state -- a callback may wait
    end })
    assert(service.server:set_time_scale(1))
    assert.same(LINES, lines)
    assert.equal("building_snapshot", states[1])
    assert.equal("started", box.state)
    assert.equal(table.concat(LINES, "\n") .. "\n", assert(box:build_logs()))
    box:delete()
  end)

  it("is whole although it was not there yet, was cut, or could not be had", function()
    assert(service.server:faults {
      { path = "/sandbox/*/build-logs-url", times = 2, status = 404 },
      { path = "/sandboxes/*/build-logs", times = 1, cut_after = 70 },
      { path = "/sandboxes/*/build-logs", times = 1, status = 500 },
    })
    local lines = {}
    assert(service.server:set_time_scale(0.1))
    local box = assert(create { on_build_log = function(line) lines[#lines + 1] = line end })
    assert(service.server:set_time_scale(1))
    assert.same(LINES, lines)
    box:delete()
    assert(service.server:faults { path = "/sandboxes/*/build-logs", status = 500 })
    lines = {}
    box = assert(create { on_build_log = function(line) lines[#lines + 1] = line end })
    assert.same({}, lines)
    box:delete()
  end)

  it("of a build that fails ends with it, though the service leaves it open", function()
    local real, open = http.request, 0
    -- a log that never ends while it is followed
    http.request = function(connection, request, op)
      if not (request.url or ""):find("follow=true", 1, true) then return real(connection, request, op) end
      open = open + 1
      request.sink("one line\nand ha")
      local slept, err = daytona.sleep(60)
      return nil, slept and daytona.sleep or err
    end
    assert(service.server:faults { state = "building_snapshot", becomes = "build_failed",
      error_reason = "no such image" })
    local lines = {}
    local box, err = create { on_build_log = function(line) lines[#lines + 1] = line end }
    http.request = real
    assert.is_nil(box)
    assert.same({ "state", 1, "one line" }, { err.kind, open, lines[1] })
    assert.is_truthy(err.message:find("no such image", 1, true))
    assert.equal(0, service:sandboxes())
  end)

  it("may be heard by what raises: create raises it, and nothing is left", function()
    local what = {}
    local fine, why = pcall(create, { on_build_log = function() error(what, 0) end })
    assert.is_false(fine)
    if _VERSION ~= "Lua 5.1" or jit then assert.equal(what, why) end
    assert.equal(0, service:sandboxes())
  end)

  it("raised against in a task leaves nothing either, on every Lua", function()
    local function mine() error("mine", 0) end
    local box, err = daytona.spawn(create, { on_build_log = mine }):wait(20)
    assert.is_nil(box)
    assert.equal("mine", err.message)
    assert.equal(0, service:sandboxes())
  end)

  it("is heard in a task, until that is cancelled", haste.case(function()
    assert(service.server:faults { state = "building_snapshot" }) -- it stays so
    local lines = {}
    local task = daytona.spawn(create, { on_build_log = function(line) lines[#lines + 1] = line end })
    local waited = 0
    while not lines[3] and waited < 20 do waited = waited + (daytona.sleep(0.02) and 0.02) end
    assert.same(LINES, lines)
    task:cancel()
    local box, err = task:wait(20)
    assert.is_nil(box)
    assert.equal("canceled", err.kind)
    -- the service deletes nothing that is being built: that is asked for until it is done
    assert(service.server:clear_faults())
    for _ = 1, 1000 do
      if service:sandboxes() == 0 and not require("daytona.loop").busy() then break end
      daytona.sleep(0.02)
    end
    assert.equal(0, service:sandboxes())
    assert.is_false(require("daytona.loop").busy())
  end))

  it("is not heard where nothing is built", function()
    local heard = 0
    local box = assert(service.client:create { on_build_log = function() heard = heard + 1 end })
    assert.equal(0, heard)
    local _, err = box:build_logs()
    assert.equal("not_found", err.kind)
    box:delete()
    assert.has_error(function() create { on_build_log = print, wait = false } end)
    assert.has_error(function() create { on_build_log = "x" } end)
  end)

  it("is not asked for where the key must not go", function()
    local real = http.request
    local box = assert(create {})
    local asked = 0
    http.request = function(_, request)
      if (request.path or ""):find "build%-logs%-url$" then
        return { status = 200, body = "", json = { url = "http://logs.example.org/x?y=1" } }
      end
      asked = asked + 1
      assert.equal("http://logs.example.org/x?y=1&follow=false", request.url)
      return { status = 200, body = "log" }
    end
    box.client.api_url = box.client.api_url:gsub("^http:", "https:")
    local _, err = box:build_logs()
    assert.same({ "protocol", 0 }, { err.kind, asked })
    box.client.api_url = box.client.api_url:gsub("^https:", "http:")
    assert.equal("log", box:build_logs())
    http.request = real
    assert.is_truthy(url.parse(box.client.api_url))
    box:delete()
  end)
end)
