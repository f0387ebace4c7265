-- What a program that was interrupted says of the sandboxes it is just deleting.

local closing = require "daytona.loop.closing"
local core = require "daytona.base.native"
local interrupt = require "daytona.loop.interrupt"

describe("what is being deleted after Ctrl-C", function()
  local pending, cleaning = interrupt.pending, core.cleaning
  local tells, leaves

  before_each(function()
    interrupt.pending = function() return true end
    core.cleaning = function(telling, leaving) -- luacheck: ignore 122
      tells, leaves = telling, leaving
      return false
    end
  end)

  after_each(function() interrupt.pending, core.cleaning = pending, cleaning end) -- luacheck: ignore 122

  it("is named while it lasts, and no longer", function()
    closing.deleting("a", function()
      assert.equal("left: sandbox a\n", leaves)
      assert.equal("deleting sandbox a; Ctrl-C again leaves it\n", tells)
      closing.deleting("b", function()
        assert.equal("left: sandboxes a, b\n", leaves)
        assert.equal("deleting 2 sandboxes; Ctrl-C again leaves them\n", tells)
      end)
      assert.equal("left: sandbox a\n", leaves)
    end)
    assert.equal("", leaves)
    assert.equal("", tells)
  end)

  it("is named once, until the last who deletes it is done", function()
    closing.deleting("a", function()
      closing.deleting("a", function() end)
      closing.deleting("b", function() assert.equal("left: sandboxes a, b\n", leaves) end)
    end)
    assert.equal("", leaves)
  end)
end)
