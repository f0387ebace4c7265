-- Programs that are ended by signals and exits: what `make signals` does, a little of it.

local compat = require "daytona.base.compat"

describe("a program that makes sandboxes without an end", function()
  it("leaves none when a signal, a closed pipe or its own exit ends it, or those that a reap finds", function()
    local signals = require "spec.support.signals"
    local rows = signals.run { lua = compat.name, runs = 1, twice = 1, latest = 0.8, seed = os.time() }
    local made = 0
    for _, row in ipairs(rows) do
      made = made + row.made
      assert.equal(0, row.still, row.name)
      if row.cleans then assert.equal(0, row.left, row.name) end
    end
    assert.equal(8, #rows)
    assert.is_true(made > 8)
  end)
end)
