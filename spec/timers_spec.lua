-- Moments: the timers of the loop, in whatever order they are set and taken back, limits, and
-- chance.

local deadline = require "daytona.loop.deadline"
local loop = require "daytona.loop"
local random = require "daytona.base.random"
local timers = require "daytona.loop.timers"

describe("timers", function()
  it("come in order, whichever were set and taken back before", function()
    local state = 7
    local function chance(n)
      state = state * 16807 % 2147483647
      return state % n
    end
    for _ = 1, 300 do
      local heap, there = timers.new(), {}
      for i = 1, 30 do
        local entry = { name = i }
        local when = chance(40)
        local first = true
        for other in pairs(there) do first = first and when < other.when end
        assert.equal(first, heap:add(entry, when))
        there[entry] = true
        if chance(3) == 0 then
          local taken = next(there)
          heap:remove(taken)
          heap:remove(taken)
          there[taken] = nil
          assert.is_nil(taken.when)
        end
      end
      local last = -1
      while next(there) do
        local when = heap:first()
        assert.is_true(when >= last)
        assert.is_nil(heap:take(when - 1))
        local entry = heap:take(when)
        assert.is_true(there[entry])
        there[entry], last = nil, when
      end
      assert.is_nil(heap:first())
      assert.is_nil(heap:take(1e9))
      assert.equal(0, heap.n)
    end
  end)
end)

describe("a limit", function()
  local function near(wanted, value) assert.is_true(math.abs(wanted - value) < 30, tostring(value)) end

  it("is a moment from now, or none", function()
    near(loop.now() + 100, loop.after(100))
    near(loop.now() + 100, deadline.of("wait", 100))
    near(loop.now() + 100, deadline.of("wait", { timeout = 100 }, 7000))
    near(loop.now() + 7000, deadline.of("wait", nil, 7000))
    near(loop.now() + 7000, deadline.of("wait", {}, 7000))
    for _, none in ipairs { 0, { timeout = 0 }, {} } do assert.is_nil(deadline.of("wait", none)) end
    assert.is_nil(deadline.of("wait", 0, 7000))
    assert.is_nil(deadline.of("wait", nil))
    assert.is_nil(loop.after(nil))
  end)

  it("has seconds left, none when it is over", function()
    near(100, loop.left(loop.now() + 100))
    assert.equal(0, loop.left(loop.now() - 1))
    assert.is_nil(loop.left(nil))
  end)
end)

describe("chance", function()
  it("is between 0 and 1, all over", function()
    local least, most = 1, 0
    for _ = 1, 2000 do
      local value = random.chance()
      least, most = math.min(least, value), math.max(most, value)
    end
    assert.is_true(least >= 0 and least < 0.1 and most > 0.9 and most <= 1, least .. " " .. most)
    assert.equal(16, #random.hex(8))
  end)
end)
