-- Noticing changes in a sandbox of the local server.

local daytona = require "daytona"
local loop = require "daytona.loop"

local files = require("spec.support.files").new()
local service, box, fs

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)
before_each(function() assert(service.server:clear_faults()) end)

local function text(changes)
  local out = {}
  for i, change in ipairs(changes) do out[i] = change.change .. " " .. change.path end
  return table.concat(out, ", ")
end

-- Waits until a watch that began when so many commands had been run has seen what there is: it
-- looks, lists, and looks again.
local function await_looks(before)
  local limit = loop.now() + 30
  while service:count("POST", "/process/execute") < before + 3 do
    assert(loop.now() < limit, "it does not look")
    daytona.sleep(0.02)
  end
end

-- Runs the first step when the watch has seen what there is, and the others one after the other, each when the last was noticed.
local function noticed(path, steps, opts)
  local seen, turn = {}, 1
  local before = service:count("POST", "/process/execute")
  local task = daytona.spawn(function()
    return fs:watch(path, function(changes)
      seen[#seen + 1] = text(changes)
      turn = turn + 1
      if not steps[turn] then return false end
      assert(box:exec(steps[turn], { check = true }))
    end, opts)
  end)
  await_looks(before)
  assert(box:exec(steps[1], { check = true }))
  assert(task:wait(30))
  return seen
end

describe("watch", function()
  it("tells what was made, changed and deleted", function()
    assert(box:exec("mkdir -p w/d; echo 1 >w/a", { check = true }))
    assert.same({ "created new", "changed a, created d/x", "deleted a, deleted d, deleted d/x" }, noticed("w", {
      "echo 2 >w/new", "echo 22 >w/a.tmp; mv w/a.tmp w/a; echo 1 >w/d/x", "rm -r w/a w/d",
    }, { exclude = { "*.tmp" } }))
  end)

  it("waits for what is not there, and knows a single file", function()
    assert.same({ "created single", "changed single", "deleted single" }, noticed("single", {
      "echo 2 >single", "echo 333 >single", "rm single",
    }))
  end)

  it("ends when it is cancelled, and asks ever less often", function()
    assert(fs:mkdir "quiet")
    local sleep, pauses, outcome = loop.sleep, {}, nil
    finally(function() loop.sleep = sleep end) -- luacheck: ignore 122
    loop.sleep = function(seconds) -- luacheck: ignore 122
      pauses[#pauses + 1] = seconds
      return sleep(#pauses < 10 and 0.01 or seconds)
    end
    local task = daytona.spawn(function()
      local _, err = fs:watch("quiet", function() end)
      outcome = err
    end)
    local limit = loop.now() + 30
    while #pauses < 10 and loop.now() < limit do sleep(0.01) end
    task:cancel()
    task:wait()
    assert.equal("canceled", outcome.kind)
    assert.same({ 0.25, 5 }, { pauses[1], pauses[10] })
    for i = 2, 10 do assert.is_true(pauses[i] > pauses[i - 1] or pauses[i] == 5, i) end
  end)

  it("outlives a server that is away for a moment", function()
    assert(fs:mkdir "away")
    local seen
    local before = service:count("POST", "/process/execute")
    local task = daytona.spawn(function()
      return fs:watch("away", function(changes)
        seen = text(changes)
        return false
      end)
    end)
    await_looks(before)
    assert(service.server:faults { { path = "/process/execute", status = 503, times = 2 } })
    assert(fs:mkdir "away/x")
    assert(task:wait(30))
    assert.equal("created x", seen)
  end)
end)
