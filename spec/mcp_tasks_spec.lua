-- Commands that run long, as tasks of MCP: what a client is told of each, in memory.

local daytona = require "daytona"
local durable = require "daytona.agent.mcp.durable"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"

local jobs, killed, tools, failing

local function job_of(id, reason, exit_code)
  local result = reason and { reason = reason, exit_code = exit_code }
  return { id = id, started_at = 60, result = result, kill = function(job)
    if failing == "kill" then return nil, "cannot be ended" end
    killed[#killed + 1] = job.id
    return true
  end }
end

before_each(function()
  killed, failing = {}, nil
  jobs = { job_of "runs", job_of("fine", "exited", 0), job_of("bad", "exited", 3), job_of("over", "canceled", -1),
    job_of("gone", "lost", -1), job_of("late", "timed_out", -1) }
  local box = { id = "box", exec = function() return { result = "printed\n", exit_code = 0 } end, jobs = function()
    if failing == "jobs" then return nil, "no answer" end
    return jobs
  end }
  local client = { get = function(_, id)
    if id == "box" then return box end
    if id == "broken" then return nil, errors.new { kind = "server", message = "broken" } end
    return nil, errors.new { kind = "not_found", message = "none" }
  end }
  tools = daytona.tools("coding", { client = client })
end)

local function get(job) return durable.get(tools, "bash:box:" .. job) end

describe("a task", function()
  it("is known by its tool, sandbox and job, whoever asks", function()
    for _, call in ipairs { durable.get, durable.cancel, durable.update } do
      for _, id in ipairs { "", "bash", "bash:box", "none:box:runs", "read:box:runs", "bash:none:runs", "bash:box:../x",
        "bash:box:.x", "bash:box:-x", "bash:a/b:runs", json.null } do
        local task, why = call(tools, id)
        assert.is_nil(task)
        assert.equal("there is no such task", why)
      end
      assert.matches("broken", select(2, call(tools, "bash:broken:runs")))
    end
    assert.same({ nil, "there is no such task" }, { get "none" })
    assert.same({ nil, "there is no such task" }, { durable.cancel(tools, "bash:box:none") })
    assert.same({}, durable.update(tools, "bash:box:none"))
    failing = "jobs"
    assert.same({ nil, "no answer" }, { get "runs" })
    assert.same({ nil, "no answer" }, { durable.cancel(tools, "bash:box:runs") })
  end)

  it("works while its command runs, and has its result then", function()
    local task = get "runs"
    assert.same({ "bash:box:runs", "working", "1970-01-01T00:01:00Z", 2000 },
      { task.taskId, task.status, task.createdAt, task.pollIntervalMs })
    assert.equal(json.null, task.ttlMs)
    assert.matches("^20%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", task.lastUpdatedAt)
    assert.is_nil(task.result or task.error)
    task = get "fine"
    assert.same({ "completed", "complete", false, "printed\n" },
      { task.status, task.result.resultType, task.result.isError, task.result.content[1].text })
    assert.same({ exit_code = 0, output = "printed\n" }, task.result.structuredContent)
    assert.equal("printed\n[exit code 3]", get("bad").result.content[1].text)
    task = get "late"
    assert.same({ "completed", true }, { task.status, task.result.isError })
    assert.matches("its time was over", task.result.content[1].text)
  end)

  it("is cancelled, or has failed, without a result", function()
    local task = get "over"
    assert.same({ "cancelled", nil, nil }, { task.status, task.result, task.error })
    task = get "gone"
    assert.same({ "failed", nil, -32603 }, { task.status, task.result, task.error.code })
    assert.matches("sandbox was stopped", task.error.message)
  end)

  it("ends when that is asked for", function()
    assert.same({}, durable.cancel(tools, "bash:box:runs"))
    assert.same({ "runs" }, killed)
    failing = "kill"
    assert.same({ nil, "cannot be ended" }, { durable.cancel(tools, "bash:box:runs") })
  end)
end)
