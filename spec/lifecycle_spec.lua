-- A sandbox's life at the local server: made, found, stopped, started, deleted.

local daytona = require "daytona"
local haste = require "spec.support.haste"

local service, client

setup(function()
  service = require("spec.support.service").start { time_scale = 20 }
  client = service.client
end)

teardown(function() service:stop() end)

before_each(function() assert(service.server:clear_faults()) end)

local function made(opts)
  return assert(client:create(opts))
end

-- A deleted sandbox may still be on its way out.
local function assert_gone(id)
  assert.equal("destroyed", assert(client:attach(id):wait("destroyed", { timeout = 10 })).state)
end

describe("a sandbox", function()
  it("has the service's fields, and a name", function()
    local box = made { labels = { team = "a" }, env = { A = "1" }, auto_stop_interval = 7, user = "daytona" }
    assert.equal("sandbox (" .. box.name .. ", started)", tostring(box))
    assert.equal("7", tostring(box.auto_stop_interval))
    assert.equal("a", box.labels.team)
    assert.equal("1", box.env.A)
    assert.equal("daytona", box.user)
    assert.equal(box.raw.id, box.id)
    assert(box:delete())
  end)

  it("is found by id and by name, with anything in the name", function()
    for _, name in ipairs { "plain", "with space", "a/b", "ünï", "q?x=1&y#z", "100%" } do
      local box = made { name = name }
      assert.equal(box.id, assert(client:get(name)).id)
      assert.equal(name, assert(client:get(box.id)).name)
      assert(box:delete())
    end
  end)

  it("that is not there is kind not_found", function()
    local box, err = client:get "no-such"
    assert.is_nil(box)
    assert.equal("not_found", err.kind)
    assert.equal("get on no-such", tostring(err):match "^[^:]+")
    assert.has_error(function() client:get "" end)
    assert.has_error(function() client:get() end)
  end)

  it("of a taken name is a conflict, and the other stays", function()
    local box = made { name = "taken" }
    local second, err = client:create { name = "taken" }
    assert.is_nil(second)
    assert.equal("conflict", err.kind)
    assert.equal("started", assert(client:get "taken").state)
    assert(box:delete())
  end)

  it("stops and starts, and keeps its files", function()
    local box = made()
    assert(box.fs:write("kept", "x"))
    assert.equal("stopped", assert(box:stop()).state)
    local result, err = box:exec "true"
    assert.is_nil(result)
    assert.truthy(err.kind)
    assert.equal("started", assert(box:start()).state)
    assert.equal("x", assert(box.fs:read "kept"))
    assert(box:delete())
  end)

  it("that is started, stopped or gone already is a success", function()
    local box = made()
    assert(box:start())
    assert(box:ensure_started())
    assert(box:stop())
    assert(box:stop { force = true })
    assert(box:ensure_started())
    assert.equal("started", box.state)
    assert.is_true(box:delete { wait = true })
    assert.equal("destroyed", box.state)
    assert.is_true(box:delete())
    assert.is_true(box:delete { wait = true })
    assert.is_true(box:close())
    assert.is_true(client:delete(box.id, { missing_ok = true }))
    for _, which in ipairs { box.id, "typo-in-name" } do
      local gone, err = client:delete(which)
      assert.is_nil(gone)
      assert.equal("not_found delete", err.kind .. " " .. err.operation)
    end
  end)

  it("is started, stopped and deleted by id as well", function()
    local id = made().id
    assert.equal("stopped", assert(client:stop(id)).state)
    assert.equal("started", assert(client:start(id)).state)
    local attached = client:attach(id)
    assert.equal("ok\n", assert(attached:exec "echo ok").result)
    assert.equal("started", assert(attached:refresh()).state)
    assert(client:delete(attached, { wait = true }))
    assert.equal("not_found", select(2, client:start(id)).kind)
    assert.has_error(function() client:stop(7) end)
  end)

  it("that is ephemeral is gone when it stops", function()
    local box = made { ephemeral = true }
    assert.equal("destroyed", assert(box:stop()).state)
    assert.equal("not_found", select(2, client:get(box.id)).kind)
  end)

  it("deletes itself at the end of a scope", function()
    local id = daytona.using(made(), function(box) return box.id end)
    assert_gone(id)
    local seen
    assert.has_error(function()
      daytona.using(made(), function(box)
        seen = box.id
        error "boom"
      end)
    end)
    assert_gone(seen)
    if _VERSION == "Lua 5.4" then
      local scope = load("local make = ... do local box <close> = make() return box.id end")
      assert_gone(scope(made))
    end
    assert.has_error(function() daytona.using(nil, function() end) end)
    local value, err = daytona.using(nil, "why")
    assert.is_nil(value)
    assert.equal("why", err)
  end)

  it("that this program did not make outlives a scope", function()
    local box = made { name = "prod" }
    daytona.using(client:get "prod", function(found) assert.equal(box.id, found.id) end)
    assert.is_true(assert(client:get "prod"):close())
    for row in client:each { name = "prod" } do assert.is_true(row:close()) end
    assert.is_true(client:attach(box.id):close())
    assert.equal("started", assert(box:refresh()).state)
    assert(box:close())
    assert_gone(box.id)
  end)

  it("takes labels and intervals, and knows what the service made of them", function()
    local box = made { labels = { a = "1" }, language = "typescript" }
    assert(box:set_labels { b = "2" })
    assert.same({ b = "2", ["code-toolbox-language"] = "typescript" }, assert(client:get(box.id)).labels)
    assert(client:attach(box.id):merge_labels { c = "3" })
    assert.same({ b = "2", c = "3", ["code-toolbox-language"] = "typescript" }, assert(box:refresh()).labels)
    assert.equal("30", tostring(assert(box:set_auto_stop_interval(30)).auto_stop_interval))
    assert.equal("-1", tostring(assert(box:set_auto_delete_interval(-1)).auto_delete_interval))
    assert(box:set_auto_archive_interval(60))
    assert(box:touch())
    assert.truthy(assert(box:preview_url(3000)).url:find "^http")
    assert(service.server:faults { { path = "/sandbox/*/ports/3000/signed-preview-url", status = 200,
      body = '{"sandboxId":"s","port":3000,"token":"t","url":"http://x"}' } })
    assert.same({ sandbox_id = "s", port = 3000, token = "t", url = "http://x" },
      assert(box:preview_url(3000, { expires_in = 60 })))
    for _, call in ipairs {
      function() box:set_labels "x" end, function() box:set_auto_stop_interval(-1) end,
      function() box:set_auto_stop_interval(1.5) end, function() box:preview_url(0) end,
      function() box:preview_url(80, { expires_in = 0 }) end,
    } do assert.has_error(call) end
    assert(box:delete())
  end)

  it("knows its directories and its daemon's version", function()
    local box = made()
    assert.truthy(assert(box:home_dir()):find "^/")
    assert.truthy(assert(box:work_dir()):find "^/")
    assert.truthy(assert(box:version()):find "%d")
    assert(box:delete())
  end)
end)

describe("waiting", function()
  it("is over when the state comes, or has failed", function()
    assert(service.server:faults { { state = "starting", becomes = "error", error_reason = "no room", times = 1 } })
    local box = made()
    assert(box:stop())
    local started, err = box:start()
    assert.is_nil(started)
    assert.truthy(err.kind == "state" or err.kind == "invalid", tostring(err))
    assert.truthy(tostring(err):find("no room", 1, true), tostring(err))
    assert(box:delete { wait = true })
  end)

  it("has a deadline, and says what the state still was", function()
    local box = made()
    assert(service.server:faults { { state = "stopping", name = box.name } })
    local stopped, err = box:stop { timeout = 0.3 }
    assert.is_nil(stopped)
    assert.equal("timeout wait", err.kind .. " " .. err.code)
    assert.truthy(err.message:find("still stopping", 1, true), err.message)
    assert(service.server:clear_faults())
    assert(box:wait({ "stopped" }, { timeout = 10 }))
    assert(box:delete())
  end)

  it("survives what passes", function()
    local box = made()
    assert(service.server:faults {
      { method = "GET", path = "/sandbox/*", status = 502, times = 2 },
      { method = "GET", path = "/sandbox/*", reset = "before", times = 1 },
    })
    assert.equal("stopped", assert(box:stop()).state)
    assert(box:delete())
  end)

  it("ends at a refusal", function()
    local looking = service:connect { events = false }
    local box = assert(looking:create())
    assert(service.server:faults { { method = "GET", path = "/sandbox/*", status = 401, message = "revoked" } })
    local stopped, err = box:stop()
    assert.is_nil(stopped)
    assert.equal("auth", err.kind)
    assert(service.server:clear_faults())
    assert(box:delete())
  end)
end)

describe("create", function()
  it("leaves one sandbox when the answer is lost after it was made", function()
    for _, fault in ipairs {
      { reset = "before" }, { drop = true }, { empty = true }, { status = 504 }, { invalid_json = true },
    } do
      fault.method, fault.path, fault.times, fault.handled = "POST", "/sandbox", 1, true
      assert(service.server:faults { fault })
      local before = service:sandboxes()
      local box = made()
      assert.equal("started", box.state)
      assert.equal(before + 1, service:sandboxes())
      assert(box:delete { wait = true })
      assert(service.server:clear_faults())
    end
  end)

  it("asks again when the request never took effect", function()
    assert(service.server:faults { { method = "POST", path = "/sandbox", times = 2, status = 503 } })
    assert(made():delete())
  end)

  it("that fails after it was made leaves none", function()
    local before = service:sandboxes()
    assert(service.server:faults { { state = "creating", becomes = "error", error_reason = "no runner" } })
    local box, err = client:create()
    assert.is_nil(box)
    assert.truthy(tostring(err):find("no runner", 1, true), tostring(err))
    assert(service.server:clear_faults())
    assert_gone(err.sandbox.id)
    assert.equal(before, service:sandboxes())
  end)

  it("that is cancelled at any stage leaves none", haste.case(function()
    local before = service:sandboxes()
    for _, fault in ipairs {
      { method = "POST", path = "/sandbox", hold = 40 }, { state = "creating" },
      { method = "GET", path = "/sandbox/*", hold = 20, times = 1 },
    } do
      assert(service.server:clear_faults())
      assert(service.server:forget_requests())
      assert(service.server:faults { fault })
      local task = daytona.spawn(function() return client:create() end)
      for _ = 1, 100 do
        daytona.sleep(0.02)
        if service:count("POST", "/sandbox") > 0 then break end
      end
      task:cancel()
      local box, err = task:wait()
      if box then assert(box:delete()) else assert.equal("canceled", err.kind, tostring(err)) end
      assert(service.server:clear_faults())
      for _ = 1, 100 do
        if service:sandboxes() == before then break end
        daytona.sleep(0.05)
      end
      assert.equal(before, service:sandboxes())
    end
  end))

  it("survives a service that holds the answer for half a minute", function()
    assert(service.server:faults { { method = "POST", path = "/sandbox", hold = 30, times = 1 } })
    assert(made():delete())
  end)

  it("with a deadline shorter than the hold leaves none", function()
    local before = service:sandboxes()
    assert(service.server:faults { { method = "POST", path = "/sandbox", hold = 30, times = 1, handled = true } })
    local box, err = client:create { timeout = 0.5 }
    assert.is_nil(box)
    assert.equal("timeout", err.kind)
    for _ = 1, 100 do
      if service:sandboxes() == before then break end
      daytona.sleep(0.05)
    end
    assert.equal(before, service:sandboxes())
  end)
end)
