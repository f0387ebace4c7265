-- Noticing changes in a sandbox of the local server.

local daytona = require "daytona"

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

-- Runs the steps one after the other, each when the last was noticed.
local function noticed(path, steps, opts)
  local seen, turn = {}, 0
  local task = daytona.spawn(function()
    return fs:watch(path, function(changes)
      seen[#seen + 1] = text(changes)
      turn = turn + 1
      if not steps[turn] then return false end
      assert(box:exec(steps[turn], { check = true }))
    end, opts)
  end)
  -- The first step is what ends the first, quiet, time.
  assert(task:wait(30))
  return seen
end

describe("watch", function()
  it("tells what was made, changed and deleted", function()
    assert(box:exec("mkdir -p w/d; echo 1 >w/a; (sleep 1; echo 2 >w/new) >/dev/null 2>&1 &", { check = true }))
    assert.same({ "created new", "changed a, created d/x", "deleted a, deleted d, deleted d/x" }, noticed("w", {
      "echo 22 >w/a.tmp; mv w/a.tmp w/a; echo 1 >w/d/x", "rm -r w/a w/d",
    }, { exclude = { "*.tmp" } }))
  end)

  it("waits for what is not there, and knows a single file", function()
    assert(box:exec("(sleep 1; echo 2 >single) >/dev/null 2>&1 &", { check = true }))
    assert.same({ "created single", "changed single", "deleted single" }, noticed("single", {
      "echo 333 >single", "rm single",
    }))
  end)

  it("ends when it is cancelled, and asks ever less often", function()
    assert(fs:mkdir "quiet")
    local before = service:count("POST", "/process/execute")
    local outcome
    local task = daytona.spawn(function()
      local _, err = fs:watch("quiet", function() end)
      outcome = err
    end)
    daytona.sleep(2)
    task:cancel()
    task:wait()
    assert.equal("canceled", outcome.kind)
    assert.is_true(service:count("POST", "/process/execute") - before <= 7)
  end)

  it("outlives a server that is away for a moment", function()
    assert(fs:mkdir "away")
    local seen
    local task = daytona.spawn(function()
      return fs:watch("away", function(changes)
        seen = text(changes)
        return false
      end)
    end)
    daytona.sleep(0.5)
    assert(service.server:faults { { path = "/process/execute", status = 503, times = 2 } })
    assert(fs:mkdir "away/x")
    assert(task:wait(30))
    assert.equal("created x", seen)
  end)
end)
