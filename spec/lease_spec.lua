-- Whose a sandbox is and how long it may be left alone: labels on the wire that users do
-- not see; and leases, which end by the service's clock.

local custody = require "daytona.control.custody"
local daytona = require "daytona"
local fate = require "daytona.control.fate"
local owner = require "daytona.control.owner"

local service, client

setup(function()
  service = require("spec.support.service").start()
  client = service.client
end)

teardown(function() service:stop() end)

local made = {}

local function create(opts)
  local box = assert(client:create(opts))
  made[#made + 1] = box
  return box
end

after_each(function()
  while made[1] do table.remove(made):delete() end
end)

-- The labels as the service has them.
local function wire(box)
  return assert(client:request("GET", "/sandbox/" .. box.id)).json.labels
end

describe("a new sandbox", function()
  it("carries who made it, which its labels do not show", function()
    local box = create { labels = { team = "a" } }
    assert.same({ team = "a", ["code-toolbox-language"] = "python" }, box.labels)
    for row in client:each { name = box.name } do assert.same(box.labels, row.labels) end
    local labels = wire(box)
    assert.equal("1", labels["daytona-lua"])
    local by = assert(owner.parse(labels["daytona-lua-owner"]))
    assert.equal(("%d"):format(require("daytona.base.native").pid()), by.pid)
    assert.equal("self", fate.of(by))
    assert.is_nil(labels["daytona-lua-lease"])
  end)

  it("keeps them when its user's labels change", function()
    local box = create { lease = 600 }
    local before = wire(box)
    assert(box:set_labels { other = "b" })
    assert(client:attach(box.id):merge_labels { third = "c" })
    local after = wire(box)
    assert.same({ other = "b", third = "c", ["code-toolbox-language"] = "python" }, assert(box:refresh()).labels)
    for _, name in ipairs { "daytona-lua", "daytona-lua-owner", "daytona-lua-lease" } do
      assert.is_string(after[name], name)
      assert.equal(before[name], after[name])
    end
  end)

  it("carries nothing where it is nobody's", function()
    local box = create { owned = false }
    assert.same({ ["code-toolbox-language"] = "python" }, wire(box))
    assert(box:close())
    assert.equal("started", assert(box:refresh()).state)
    box = create { owned = false, lease = 60 }
    assert.is_nil(wire(box)["daytona-lua-owner"])
    assert.equal("60", wire(box)["daytona-lua-lease"])
  end)

  it("can be given away", function()
    local box = create { labels = { team = "a" } }
    assert.equal(box, assert(box:disown()))
    assert.same({ team = "a", ["code-toolbox-language"] = "python" }, wire(box))
    assert(box:close())
    assert.equal("started", assert(box:refresh()).state)
    box = create { lease = 90 }
    assert(box.family:disown())
    assert.is_nil(wire(box)["daytona-lua-owner"])
    assert.equal("90", wire(box)["daytona-lua-lease"])
    assert.equal("disown", select(2, client:attach "no-such-box":disown()).operation)
  end)

  it("has a lease that makes sense, or is refused where it was written", function()
    for _, bad in ipairs { 0, 59, "600", -1, math.huge, 0 / 0 } do
      local fine, text = pcall(function() return client:create { lease = bad } end)
      assert.is_false(fine)
      assert.matches("lease_spec.lua:%d+: create: option 'lease' must be 60 seconds or more", text)
    end
  end)
end)

describe("a lease", function()
  local function over(box)
    return custody.is_over(assert(client:request("GET", "/sandbox/" .. box.id)).json, assert(custody.clock(client)))
  end

  it("ends when nobody has used the sandbox for so long, on the service's clock", function()
    local box = create { lease = 600, auto_stop_interval = 0 }
    assert.is_false(over(box))
    service.server:advance(590)
    assert.is_false(over(box))
    service.server:advance(100)
    assert.is_true(over(box))
  end)

  it("is prolonged by calls, by touch and by keep_alive", function()
    local box = create { lease = 60, auto_stop_interval = 0 }
    for _, use in ipairs {
      function() return box:exec("true") end,
      function() return box:touch() end,
      function() return box:keep_alive(function() return daytona.sleep(0.02) end) end,
      function() return assert(box:work_dir()) and box.fs:list(".") end,
    } do
      service.server:advance(200)
      assert.is_true(over(box))
      assert(use())
      for _ = 1, 200 do
        if not over(box) then break end
        daytona.sleep(0.01) -- the daemon tells the control plane a moment later
      end
      assert.is_false(over(box))
    end
  end)

  it("is none where the service tells no time, or the record no activity", function()
    local raw = { labels = { ["daytona-lua-lease"] = "60" }, createdAt = "2026-01-01T00:00:00.000Z" }
    assert.is_true(custody.is_over(raw, os.time { year = 2027, month = 1, day = 1 }))
    assert.is_false(custody.is_over(raw, nil))
    assert.is_false(custody.is_over({ labels = raw.labels }, os.time()))
    for _, odd in ipairs { "x", "-1", "", "1e999", "0" } do
      raw.labels["daytona-lua-lease"] = odd
      assert.is_false(custody.is_over(raw, 4e9))
    end
  end)
end)

describe("an owner", function()
  local core = require "daytona.base.native"

  local function like(fields)
    local of = {}
    for name, value in pairs(owner.own()) do of[name] = value end
    for name, value in pairs(fields) do of[name] = value end
    return of
  end

  it("is read as it was written, and odd labels are nobody", function()
    local own = owner.own()
    assert.same(own, owner.parse(owner.text(own)))
    for _, odd in ipairs { "", "/", "a/b/c", ("x"):rep(600), "a/b/c/d/e/f/g", owner.text(own) .. "/x", 5, false, {} } do
      assert.is_nil(owner.parse(odd))
    end
  end)

  it("runs, is gone, or is elsewhere", function()
    assert.equal("self", fate.of(owner.own()))
    assert.equal("alive", fate.of(like { state = "00000000" }))
    assert.equal("gone", fate.of(like { start = "1" }))          -- the number was given again
    assert.equal("gone", fate.of(like { pid = "4194304" }))      -- larger than any
    assert.equal("elsewhere", fate.of(like { boot = "another", pid = "4194304", machine = "" }))
    assert.equal("elsewhere", fate.of(like { namespace = "1", pid = "4194304" }))
    assert.equal("elsewhere", fate.of(like { boot = "", pid = "4194304" }))
  end)

  it("on this machine before it was booted is gone; in a copy of it, nobody knows", function()
    local before = { boot = "another", namespace = "4026531836", machine = "abc" }
    local here = owner.own()
    local own = { machine = here.machine, namespace = here.namespace }
    here.machine, here.namespace = "abc", "4026531836"
    assert.equal("gone", fate.of(like(before)))
    assert.equal("elsewhere", fate.of(like { boot = "another", host = "twin" }))
    here.namespace = "4026532000" -- of a container: those are copied, names and all
    assert.equal("elsewhere", fate.of(like(before)))
    here.machine, here.namespace = own.machine, own.namespace
  end)

  it("that has ended and was not waited for is gone", function()
    -- It ends when its parent has become a program that waits for nobody.
    local out = assert(io.popen([[sh -c 'sh -c "while [ \"\$(cat /proc/\$PPID/comm)\" != sleep ]; do :; done; ]]
      .. [[kill -9 \$\$" & echo $!; exec sleep 300' 2>/dev/null]], "r"))
    local pid = out:read "*l"
    local line
    for _ = 1, 5000 do
      local file = io.open("/proc/" .. pid .. "/stat")
      line = file and file:read "*l"
      if file then file:close() end
      if not line or line:find "%) Z" then break end
      daytona.sleep(0.01)
    end
    assert.matches("%) Z", assert(line))
    local words = {}
    for word in line:match "^.*%) (.*)$":gmatch "%S+" do words[#words + 1] = word end
    assert.equal("gone", fate.of(like { pid = pid, start = words[20] }))
    os.execute("kill " .. line:match "%) Z (%d+)")
    out:close()
  end)

  it("is another one in each process", function()
    local child = require("spec.support.child").start [[
      say(require("daytona.control.owner").text(require("daytona.control.owner").own()))
      io.read()
      loop.sleep(60)
    ]]
    local of = owner.parse(child:line())
    assert.equal(("%d"):format(child.pid), of.pid)
    assert.is_not.equal(("%d"):format(core.pid()), of.pid)
    assert.equal("alive", fate.of(of))
    child:signal "KILL"
    child:rest()
    assert.equal("gone", fate.of(of))
  end)
end)
