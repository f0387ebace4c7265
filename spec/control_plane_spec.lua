-- The control plane at the local server: what sandboxes can become, what they are made
-- from and with, of today's service and of one of release 0.190.

local daytona = require "daytona"
local haste = require "spec.support.haste"

local service, old, client

setup(function()
  local start = require("spec.support.service").start
  service, old = start { time_scale = 20 }, start { time_scale = 20, legacy = "0.190" }
  client = service.client
end)

teardown(function()
  service:stop()
  old:stop()
end)

local function kind_of(value, err)
  assert.is_nil(value)
  return err.kind
end

describe("a virtual machine", function()
  local box

  setup(function() box = assert(client:create { name = "vm", snapshot = "daytona-vm-small" }) end)
  teardown(function() assert(box:delete { wait = true }) end)

  it("is paused and resumed with what runs in it", function()
    local job = assert(box:popen("read line; echo got $line", { stdin = true }))
    assert.equal("paused", assert(box:pause()).state)
    assert.equal("paused", assert(box:pause()).state)
    assert.equal("started", assert(box:resume()).state)
    assert(job:write "it\n")
    assert.equal("got it\n", assert(job:read "a"))
    assert(box:stop())
    assert.equal("invalid", kind_of(box:pause()))
    assert(box:ensure_started())
  end)

  it("is forked, and knows its family", function()
    assert(box.fs:write("here", "x"))
    local kid = assert(box:fork { name = "kid" })
    assert.equal("x", assert(kid.fs:read "here"))
    assert.equal(box.id, assert(kid:parent()).id)
    assert.equal(box.id, assert(kid:ancestors())[1].id)
    assert.equal("kid", assert(box:forks())[1].name)
    assert.equal("conflict", kind_of(box:fork { name = "kid" }))
    assert.equal("invalid", kind_of(box:delete()))
    assert.equal("not_found", kind_of(box:parent()))
    daytona.using(kid, function() end)
    assert(kid:wait("destroyed", 20))
    assert.same({}, assert(box:forks()))
    assert.is_table(box:forks { include_destroyed = true })
  end)

  it("becomes a snapshot with its memory", function()
    local hot = assert(box:create_snapshot("hot", { include_memory = true }))
    assert.equal("snapshot (hot, active)", tostring(hot))
    assert.equal("conflict", kind_of(box:create_snapshot "hot"))
    assert.is_true(client.snapshots:delete("hot", { wait = true }))
  end)
end)

describe("a container", function()
  local box

  setup(function() box = assert(client:create { name = "plain" }) end)
  teardown(function() assert(box:delete { wait = true }) end)

  it("cannot pause or be forked", function()
    assert.equal("unsupported", kind_of(box:pause()))
    assert.equal("unsupported", kind_of(box:fork()))
  end)

  it("grows, and only stopped its disk", function()
    assert.equal(2, assert(box:resize { cpu = 2 }).cpu)
    assert.equal("invalid", kind_of(box:resize { cpu = 2 }))
    assert.equal("invalid", kind_of(box:resize { disk = 9 }))
    assert(box:stop())
    assert.equal(9, assert(box:resize { disk = 9 }).disk)
    assert.equal("stopped", box.state)
    assert.equal("invalid", kind_of(box:resize { disk = 3 }))
    assert(box:start())
  end)

  it("is archived and comes back", function()
    assert.equal("invalid", kind_of(box:archive()))
    assert(box.fs:write("kept", "x"))
    assert(box:stop())
    assert.equal("archived", assert(box:archive()).state)
    assert.equal("started", assert(box:ensure_started()).state)
    assert.equal("x", assert(box.fs:read "kept"))
  end)

  it("takes settings, and tells what the service made of them", function()
    assert.is_true(assert(box:set_public(true)).public)
    assert.is_false(assert(box.settings:set_public(false)).public)
    assert.equal("10.0.0.0/8", assert(box:set_network { allow = { "10.0.0.0/8" } }).network_allow_list)
    assert.is_true(assert(box:set_network { block_all = true }).network_block_all)
    assert.is_string(assert(box:set_ttl(60)).auto_destroy_at)
    assert.is_nil(assert(box:set_ttl(0)).auto_destroy_at)
    assert.equal(5, assert(box:set_auto_stop_interval(5)).auto_stop_interval)
    assert.equal("invalid", kind_of(box:set_network { allow = "1.2.3.4" }))
    assert(box:set_env { set = { A = "1" } })
    assert.equal("1\n", assert(box:exec "echo $A").result)
  end)

  it("is the snapshot that others are made from", function()
    assert(box.fs:write("inside", "x"))
    local snapshot = assert(box:create_snapshot "mine")
    local made = assert(client:create { snapshot = snapshot })
    assert.equal("x", assert(made.fs:read "inside"))
    assert.is_true(made:close())
    assert.is_true(snapshot:delete { wait = true })
    assert.equal("not_found", kind_of(client.snapshots:get "mine"))
  end)
end)

-- How many sandboxes of that name there are, those on their way out not counted.
local function living(name)
  local n = 0
  for box in client:each { name = name } do
    if box.state ~= "destroying" and box.desired_state ~= "destroyed" then n = n + 1 end
  end
  return n
end

local function soon(check)
  for _ = 1, 400 do
    if check() then return true end
    daytona.sleep(0.05)
  end
  return false
end

describe("the end of a scope", function()
  before_each(function() assert(service.server:clear_faults()) end)
  teardown(function() service.server:clear_faults() end)

  it("leaves nothing, whatever the delete is answered, once", function()
    for i, fault in ipairs {
      { drop = true }, { empty = true }, { html = true, status = 502 }, { status = 500 }, { garbage = true },
      { status = 200, invalid_json = true }, { status = 200, wrong_types = true, handled = true }, { reset = true },
      { status = 500, handled = true }, { throttle = "sandbox-lifecycle", retry_after = 1 },
    } do
      local name = "scope-" .. i
      fault.method, fault.path, fault.times = "DELETE", "/sandbox/*", 1
      local box = assert(client:create { name = name })
      assert(service.server:faults { fault })
      daytona.using(box, function() end)
      assert.is_true(soon(function() return living(name) == 0 end), name)
      assert(service.server:clear_faults())
    end
  end)

  it("leaves nothing of a create that was given up while the service was busy with it", haste.case(function()
    for _, state in ipairs { "creating", "building_snapshot" } do
      local name = "busy-" .. state
      assert(service.server:faults { { state = state, name = name } })
      local box, err = client:create { name = name, timeout = 1, image = state ~= "creating" and "debian:12" or nil }
      assert.is_nil(box)
      assert.equal("timeout", err.kind)
      assert.truthy(err.message:find("told to destroy it by itself", 1, true), err.message)
      assert.equal(name, err.sandbox.name)
      assert.equal(1, living(name))
      local record = assert(client:get(name))
      assert.equal("0 1", record.auto_delete_interval .. " " .. record.auto_stop_interval)
      assert(service.server:clear_faults())
      assert.is_true(soon(function() return living(name) == 0 end), name)
    end
  end))
end)

describe("a sandbox that somebody else deleted", function()
  it("is not found, whatever is asked of it, and not a matter of the key", function()
    local box = assert(client:create())
    local same = assert(client:get(box.id))
    local through = assert(client:config()).proxy_toolbox_url -- and not to the daemon's own port
    box.toolbox_proxy_url, same.toolbox_proxy_url = through, through
    assert(box:exec "true")
    assert(client:delete(box.id, { wait = true }))
    for _, use in ipairs {
      function(b) return b:exec "true" end, function(b) return b.fs:read "x" end,
        function(b) return b.git:status "." end,
      function(b) return b:run "1" end, function(b) return b:ports() end, function(b) return b:sessions() end,
    } do
      for _, object in ipairs { box, same } do assert.equal("not_found", kind_of(use(object))) end
    end
  end)
end)

describe("snapshots", function()
  it("come from images, are put away and brought back", function()
    local snapshot = assert(client.snapshots:create { name = "deb", image = "debian:12" })
    assert.equal("conflict", kind_of(client.snapshots:create { name = "deb", image = "debian:12" }))
    assert.equal("inactive", assert(snapshot:deactivate()).state)
    assert.equal("invalid", kind_of(client:create { snapshot = "deb" }))
    assert.equal("active", assert(client.snapshots:activate "deb").state)
    assert(snapshot:activate())
    assert.equal("not_found", kind_of(snapshot:build_logs()))
    assert.is_true(client.snapshots:delete(snapshot, { wait = true }))
    assert.is_true(snapshot:delete())
    assert.equal("not_found", kind_of(client.snapshots:delete "deb"))
    assert.equal("invalid", kind_of(client.snapshots:create { name = "deb", image = "debian" }))
  end)

  it("are built, and their log is heard line by line", function()
    local lines = {}
    local snapshot = assert(client.snapshots:create {
      name = "built", dockerfile = "FROM debian:12\nRUN echo hi\n",
        on_build_log = function(line) lines[#lines + 1] = line end,
    })
    assert.truthy(table.concat(lines, "\n"):find("RUN echo hi", 1, true))
    assert.truthy(assert(snapshot:build_logs()):find("RUN echo hi", 1, true))
    local seen = {}
    for each in client.snapshots:each { limit = 1, name = "built" } do seen[#seen + 1] = each.name end
    assert.same({ "built" }, seen)
    local fine, raised = pcall(client.snapshots.create, client.snapshots, {
      name = "other", dockerfile = "FROM debian:12\n", on_build_log = function() error("mine", 0) end,
    })
    assert.is_false(fine)
    assert.equal("mine", raised)
    assert(client.snapshots:delete("built", { wait = true }))
    assert(client.snapshots:delete("other", { wait = true, missing_ok = true }))
  end)
end)

describe("volumes, secrets, warm pools", function()
  it("are mounted, and not deleted while they are", function()
    local volume = assert(client.volumes:create "shared")
    assert.equal("conflict", kind_of(client.volumes:create "shared"))
    assert.equal(volume.id, assert(client.volumes:get("shared", { create = true })).id)
    local box = assert(client:create { volumes = { { volume_id = volume, mount_path = "/mnt/shared" } } })
    local gone, err = volume:delete()
    assert.is_nil(gone)
    assert.equal("conflict in_use", err.kind .. " " .. err.code)
    assert(box:delete { wait = true })
    assert.is_true(client.volumes:delete("shared", { wait = true }))
    assert.equal("not_found", kind_of(client.volumes:get "shared"))
    assert.equal(0, #assert(client.volumes:list()))
  end)

  it("are given by name, and never shown", function()
    local secret = assert(client.secrets:create { name = "TOKEN", value = "hunter2hunter2",
      hosts = { "*.example.org" } })
    assert.equal("conflict", kind_of(client.secrets:create { name = "TOKEN", value = "x" }))
    assert.same({ "a.org" }, assert(client.secrets:update("TOKEN", { hosts = { "a.org" } })).hosts)
    local box = assert(client:create { secrets = { T = "TOKEN" } })
    assert(box:set_secrets {})
    assert.is_true(box:close())
    for _, found in ipairs(assert(client.secrets:list()).items) do
      for _, value in pairs(found.raw) do assert.is_not.equal("hunter2hunter2", value) end
    end
    assert.is_true(secret:delete())
    assert.equal("not_found", kind_of(client.secrets:get "TOKEN"))
  end)

  it("are kept ready", function()
    local pool = assert(client.warm_pools:create { snapshot = "daytona-local", size = 1 })
    assert.equal(pool.id, assert(client.warm_pools:get "daytona-local").id)
    assert.equal(0, assert(pool:set_size(0)).pool)
    assert.is_true(pool:delete())
    assert.is_true(pool:delete())
    assert.equal(0, #assert(client.warm_pools:list()))
  end)

  it("belong to an account", function()
    assert.is_table(assert(client.regions:list())[1])
    assert.is_string(assert(client:key()).name)
    local usage, err = client:usage()
    assert.is_true(usage ~= nil or err.kind == "forbidden")
  end)
end)

describe("a service of release 0.190", function()
  it("says what it cannot do, and leaves no sandbox", function()
    local box = assert(old.client:create())
    for name, argument in pairs { set_ttl = 5, set_auto_pause_interval = 5, set_secrets = { A = "b" } } do
      assert.equal("unsupported", kind_of(box[name](box, argument)))
    end
    assert.is_true(box:close())
    for option, value in pairs {
      ttl_minutes = 5, outbound_proxy_url = "http://proxy:1", secrets = { A = "b" }, auto_pause_interval = 5,
    } do assert.equal("unsupported", kind_of(old.client:create { [option] = value })) end
    assert.equal("unsupported", kind_of(old.client.secrets:list()))
    assert.equal("unsupported", kind_of(old.client.warm_pools:list()))
    assert.equal(0, old:sandboxes())
  end)

  it("does the rest", function()
    local volume = assert(old.client.volumes:create "v")
    assert.is_true(volume:delete { wait = true })
    assert(old.client.snapshots:create { name = "s", image = "debian:12" })
    assert.is_true(old.client.snapshots:delete("s", { wait = true }))
  end)

  it("is told from one whose address is not whole", function()
    local wrong = old:connect { api_url = (old.server.api_url:gsub("/api$", "")) }
    local _, err = wrong:get "x"
    assert.equal(1, select(2, err.message:gsub("does api_url end in /api%?", "")), err.message)
  end)
end)
