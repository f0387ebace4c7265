-- Pools of sandboxes: taking and giving back, what dies, what fails, many tasks.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"

local service, client

setup(function()
  service = require("spec.support.service").start()
  client = service.client
end)

teardown(function() service:stop() end)

local pool

local function new(opts)
  pool = client:pool(opts)
  return pool
end

after_each(function()
  assert(service.server:clear_faults())
  if pool then assert(pool:close()) end
  pool = nil
  assert.equal(0, service:sandboxes())
end)

local function until_true(fn)
  for _ = 1, 2000 do
    if fn() then return end
    daytona.sleep(0.005)
  end
  error("did not happen", 2)
end

local function shows(expected)
  until_true(function()
    local stats = pool:stats()
    for name, n in pairs(expected) do
      if stats[name] ~= n then return false end
    end
    return true
  end)
end

local function creations()
  return service:count("POST", "/sandbox")
end

describe("a pool", function()
  it("is warm: its sandboxes are there before they are asked for", function()
    new { size = 2, create = { labels = { pool = "a" } } }
    shows { idle = 2, making = 0 }
    local box = assert(pool:take())
    assert.equal("a", box.labels.pool)
    assert.equal("1\n", assert(box:exec("echo 1")).result)
    assert.equal("pool (1 idle, 1 taken of 2)", tostring(pool))
    assert.equal("600", box.raw.labels["daytona-lua-lease"])
    pool:give(box)
    assert.same({ idle = 2, taken = 0, making = 0, ending = 0, waiting = 0 }, pool:stats())
  end)

  it("gives the same ones again, and makes no more", function()
    new { size = 1 }
    local before = creations()
    local first = assert(pool:take())
    pool:give(first)
    for _ = 1, 5 do
      assert.equal(first, assert(pool:take()))
      pool:give(first)
    end
    assert.is_true(creations() - before <= 1)
  end)

  it("makes them only when they are needed, where size is 0, and keeps max_idle", function()
    local before = creations()
    new { size = 0, max = 3, max_idle = 1 }
    daytona.sleep(0.02)
    assert.equal(before, creations())
    local boxes = assert(daytona.map({ 1, 2, 3 }, function() return pool:take() end))
    assert.equal(3, pool:stats().taken)
    for i = 1, 3 do pool:give(boxes[i]) end
    shows { idle = 1, taken = 0, ending = 0 }
    assert.equal(1, service:sandboxes())
    assert.equal(boxes[3], assert(pool:take())) -- the one that was used last
  end)

  it("has never more than max; who waits is served in order, or told in time", function()
    new { size = 1 }
    local box = assert(pool:take())
    local order, tasks = {}, {}
    for i = 1, 3 do
      tasks[i] = daytona.spawn(function()
        local mine = assert(pool:take())
        order[#order + 1] = i
        pool:give(mine)
      end)
    end
    local none, err = pool:take(0.02)
    assert.is_nil(none)
    assert.equal("timeout pool take", ("%s %s %s"):format(err.kind, err.code, err.operation))
    assert.matches("no sandbox became free in time %(pool %(0 idle, 1 taken of 1%)%)", err.message)
    assert.equal(3, pool:stats().waiting)
    pool:give(box)
    for i = 1, 3 do tasks[i]:wait() end
    assert.same({ 1, 2, 3 }, order)
    assert.equal(0, pool:stats().waiting)
    assert.equal(1, service:sandboxes())
  end)

  it("forgets a caller that is cancelled", function()
    new { size = 1 }
    local box = assert(pool:take())
    local waiting = daytona.spawn(function() return pool:take() end)
    assert.equal(1, pool:stats().waiting)
    waiting:cancel()
    assert.equal("canceled", select(2, waiting:wait()).kind)
    assert.equal(0, pool:stats().waiting)
    pool:give(box)
    assert.equal(1, pool:stats().idle)
  end)

  it("takes nothing that its check refuses", function()
    local bad = {}
    new { size = 1, check = function(box) return not bad[box.id] end }
    local box = assert(pool:take())
    bad[box.id] = true
    pool:give(box)
    pool.idle[1].since = loop.now() - 60
    local other = assert(pool:take())
    assert.is_not.equal(box.id, other.id)
    pool:give(other)
  end)

  it("checks what was idle for long, or lent to what failed, and nothing else", function()
    local checks = 0
    new { size = 1, check = function()
      checks = checks + 1
      return true
    end }
    local function after(give)
      checks = 0
      give()
      pool:give(assert(pool:take()))
      return checks
    end
    assert.equal(0, after(function() pool:with(function() return true end) end))
    assert.equal(1, after(function() pool:with(function() return nil, "why" end) end))
    assert.equal(0, after(function() end))
    assert.equal(1, after(function() pool.idle[1].since = loop.now() - 60 end))
  end)

  it("checks what was lent to what failed also for one who waits already", function()
    local checked, broken = {}, {}
    new { size = 1, max = 1, check = function(box)
      checked[#checked + 1] = box.id
      return not broken[box.id]
    end }
    local first, waiting
    pool:with(function(box)
      first = box
      waiting = daytona.spawn(pool.take, pool)
      return nil, "why"
    end)
    assert.equal(first, assert(waiting:wait()))
    assert.same({ first.id }, checked)
    broken[first.id] = true
    waiting = daytona.spawn(pool.take, pool)
    pool:give(first)                                  -- nothing was wrong: not checked
    assert.equal(first, assert(waiting:wait()))
    pool:give(first)
    pool:with(function()
      waiting = daytona.spawn(pool.take, pool)
      return nil
    end)
    local second = assert(waiting:wait())
    assert.is_not.equal(first, second)
    assert.same({ first.id, first.id }, checked)
    pool:give(second)
  end)

  it("that is closed while one is checked tells who waits for that", function()
    local latch = require("daytona.loop.latch")()
    new { size = 1, check = function() return (loop.join(latch)) end }
    pool:with(function() return nil, "why" end)
    local waiting = daytona.spawn(pool.take, pool, { timeout = 0 })
    local closing = daytona.spawn(pool.close, pool)
    latch:open()
    local box, err = waiting:wait()
    assert.is_nil(box)
    assert.equal("closed", err.code)
    assert(closing:wait())
  end)

  it("replaces what has failed, or was deleted meanwhile", function()
    new { size = 1, check = function(box) return box:exec("true", { timeout = 5 }) end }
    local box = assert(pool:take())
    pool:give(box, { failed = true })
    local second = assert(pool:take())
    assert.is_not.equal(box.id, second.id)
    assert(second:delete())
    pool:give(second)
    local third = assert(pool:take())
    assert.is_not.equal(second.id, third.id)
    pool:give(third)
    assert(client:delete(third.id, { wait = true })) -- behind its back
    pool.idle[1].since = loop.now() - 60
    local fourth = assert(pool:take())
    assert.is_not.equal(third.id, fourth.id)
    pool:give(fourth)
  end)

  it("resets them before they are used again", function()
    local seen = {}
    new { size = 1, reset = function(box)
      seen[#seen + 1] = box.id
      if #seen == 2 then error "cannot" end
      return #seen ~= 3 and box:exec "rm -f left"
    end }
    local box = assert(pool:take())
    assert(box:exec "touch left")
    pool:give(box)
    assert.equal(box, assert(pool:take()))
    assert.equal(1, box:exec("test -e left").exit_code)
    pool:give(box)                        -- this reset raises,
    local second = assert(pool:take())
    assert.is_not.equal(box, second)
    pool:give(second)                     -- this one returns false
    assert.is_not.equal(second, assert(pool:take()))
    assert.equal(3, #seen)
  end)

  it("lends one to a function, whatever that does", function()
    new { size = 1 }
    local used
    assert.same({ "a", "b" }, { pool:with(function(box)
      used = box
      return "a", "b"
    end) })
    assert.equal(1, pool:stats().idle)
    assert.same({ nil, "why" }, { pool:with(function() return nil, "why" end) })
    assert.equal(used, assert(pool:take()))  -- it was looked at, and is fine
    pool:give(used)
    local fine, raised = pcall(pool.with, pool, function() error({ "mine" }) end)
    assert.is_false(fine)
    assert.same({ "mine" }, raised)
    assert.is_not.equal(used, assert(pool:take()))
    assert.equal("timeout", select(2, pool:with(print, 0.01)).kind)
  end)

  it("waits out what may pass, and tells at once what will not", function()
    assert(service.server:faults {
      { method = "POST", path = "/sandbox", throttle = "sandbox-create", retry_after = 1, times = 1 },
    })
    client.connection.max_retries = 0
    new { size = 1 }
    assert(pool:take())
    assert(pool:close())
    assert(service.server:faults { { method = "POST", path = "/sandbox", status = 403, times = 1 } })
    new { size = 0, max = 1 }
    local none, err = pool:take()
    assert.is_nil(none)
    assert.equal("forbidden", err.kind)
    assert(pool:take())
    assert(pool:close())
    assert(service.server:faults { { method = "POST", path = "/sandbox", status = 503 } })
    new { size = 0, max = 1 }
    none, err = pool:take(0.3)
    client.connection.max_retries = 3
    assert.is_nil(none)
    assert.equal("timeout", err.kind)
    assert.equal("unavailable", err.cause.kind)
  end)

  it("tells who waits what was raised while one was made", function()
    local mine = errors.new { kind = "exit", message = "mine" }
    for _, raised in ipairs { "broken here", mine } do
      new { size = 0, create = { image = "debian:12", on_build_log = function() error(raised, 0) end } }
      local none, err = pool:take(10)
      assert.is_nil(none)
      if raised == mine then assert.equal(mine, err) else assert.same({ "task", raised }, { err.kind, err.message }) end
      assert(pool:close())
    end
  end)

  it("ends with all of its sandboxes, also those that are taken or being made", function()
    new { size = 2, max = 3 }
    assert(pool:take())
    local waiting = daytona.spawn(function()
      local boxes = {}
      for i = 1, 3 do
        local box, err = pool:take()
        if not box then return nil, err end
        boxes[i] = box
      end
      return boxes
    end)
    shows { waiting = 1 }
    assert(pool:close())
    local _, err = waiting:wait()
    assert.equal("canceled closed", err.kind .. " " .. err.code)
    assert.equal(0, service:sandboxes())
    assert.matches("closed%)$", tostring(pool))
    assert(pool:close())
    assert.error_matches(function() pool:take() end, "attempt to use a closed pool")
    new { size = 3 }
    assert(pool:close()) -- before the first one was there
    assert.equal(0, service:sandboxes())
    new { size = 1 }
    daytona.using(pool, function() assert(pool:take()) end)
    assert.equal(0, service:sandboxes())
  end)

  it("can let those finish that have one", function()
    new { size = 2 }
    local box = assert(pool:take())
    shows { idle = 1 }
    local closing = daytona.spawn(function() return pool:close { drain = true } end)
    until_true(function() return service:sandboxes() == 1 end)
    assert.equal("fine\n", assert(box:exec("echo fine")).result)
    assert.is_false(closing:done())
    pool:give(box)
    assert.is_true(closing:wait(20))
    assert.equal(0, service:sandboxes())
  end)

  it("fits in a budget", function()
    local budget = daytona.budget { sandboxes = 2 }
    new { size = 1, max = 3, create = { budget = budget } }
    assert(pool:take())
    assert(pool:take())
    assert.equal("budget", select(2, pool:take()).kind)
  end)

  it("refuses what cannot be meant, where it was written", function()
    local function refused(text, fn)
      local fine, raised = pcall(fn)
      assert.is_false(fine)
      assert.matches("pool_spec.lua:%d+: " .. text, tostring(raised))
    end
    refused("pool: max is 1, and size 2", function() return client:pool { size = 2, max = 1 } end)
    refused("pool: unknown option 'min'", function() return client:pool { min = 2 } end)
    refused("create: unknown option 'snap'", function() return client:pool { create = { snap = "x" } } end)
    new { size = 0 }
    refused("give: this sandbox was not taken", function() pool:give(client:attach "x") end)
    refused("take: unknown option 'wait'", function() pool:take { wait = 1 } end)
    refused("with: what to do must be a function", function() pool:with(5) end)
    refused("map: the list must be a table", function() pool:map("x", print) end)
  end)
end)

describe("many tasks", function()
  local function numbers(n)
    local list = {}
    for i = 1, n do list[i] = i end
    return list
  end

  it("spread over a few sandboxes; results come in order, and are told as they come", function()
    new { size = 3 }
    local told, ids = {}, {}
    local results = assert(pool:map(numbers(60), function(box, item, index)
      ids[box.id] = true
      assert(item == index)
      return tonumber(assert(box:exec("echo " .. item * 2)).result)
    end, { on_result = function(index, value) told[index] = value end }))
    assert.equal(60, results.n)
    for i = 1, 60 do
      assert.equal(2 * i, results[i])
      assert.equal(2 * i, told[i])
    end
    local n = 0
    for _ in pairs(ids) do n = n + 1 end
    assert.equal(3, n)
    assert.equal(3, pool:stats().idle)
  end)

  it("go on when sandboxes die under them", function()
    new { size = 3 }
    local done, before = 0, creations()
    local results = assert(pool:map(numbers(200), function(box, item)
      local result, err = box:exec("echo " .. item)
      if not result then return nil, err end
      done = done + 1
      if done % 40 == 0 then assert(client:request("DELETE", "/sandbox/" .. box.id)) end
      return tonumber(result.result)
    end))
    assert.same(numbers(200), { (table.unpack or unpack)(results, 1, 200) })
    assert.is_true(creations() - before >= 3)
  end)

  it("stop with the first that fails for good, unless they settle", function()
    new { size = 2 }
    local tries = 0
    local function job(_, item)
      if item ~= 2 then return item end
      tries = tries + 1
      return nil, errors.new { kind = "exit", message = "no" }
    end
    local none, err = pool:map(numbers(3), job)
    assert.is_nil(none)
    assert.equal("exit", err.kind)
    assert.equal(1, tries)
    local results = assert(pool:map(numbers(3), job, { settle = true }))
    assert.equal(1, results[1][1])
    assert.equal("exit", results[2][2].kind)
    assert.equal(3, results[3][1])
    results = assert(pool:map({ 1 }, function() error "mine" end, { settle = true }))
    assert.matches("mine", results[1][2].message)
    shows { taken = 0, idle = 2 }
  end)

  it("are tried again as often as they may, where a failure may pass", function()
    new { size = 1 }
    local tries = 0
    local function job()
      tries = tries + 1
      return nil, errors.new { kind = "unavailable", message = "later", retryable = true }
    end
    assert.equal("unavailable", select(2, pool:map({ 1 }, job)).kind)
    assert.equal(4, tries)
    tries = 0
    assert.is_nil((pool:map({ 1 }, job, { retries = 0 })))
    assert.equal(1, tries)
  end)

  it("end when their caller is cancelled; no sandbox stays taken", function()
    new { size = 2 }
    local mapping = daytona.spawn(function()
      return pool:map(numbers(10), function(box) return box:exec "sleep 5" end)
    end)
    shows { taken = 2 }
    mapping:cancel()
    assert.equal("canceled", select(2, mapping:wait()).kind)
    shows { taken = 0 }
  end)
end)
