-- A few processes that share a limit: what `make crowd` does with hundreds.

describe("a crowd of processes", function()
  local crowd = require "spec.support.crowd"

  it("that share a limit fails at nothing, and takes no more than is allowed", function()
    local report = crowd.throttled { processes = 5, rounds = 1, limit = 2, ttl = 1, head_start = 1 }
    assert.equal(0, report.failed, report.why)
    assert.equal(5, report.made)
    assert.is_true(report.refused > 0)
    assert.is_true(report.share <= 1, report.share)
  end)
end)
