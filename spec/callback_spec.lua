-- daytona.callback: for event-driven code and other coroutine libraries.

local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local task = require "daytona.loop.task"

local sleep = loop.sleep

describe("callback-last functions", function()
  after_each(function() assert.is_false(loop.busy()) end)

  local function collector()
    local got = {}
    return got, function(...) got[#got + 1] = { n = select("#", ...), ... } end
  end

  it("hand their results to their last argument", function()
    local got, done = collector()
    local add = task.callback(function(a, b)
      sleep(0.001)
      return a + (b or 0), nil
    end)
    local one = add(1, 2, done)
    assert.same({}, got)
    one:wait()
    add(5, done):wait()
    assert.same({ { n = 2, 3 }, { n = 2, 5 } }, got)
  end)

  it("hand over failures and cancellation as nil, err, once", function()
    local got, done = collector()
    task.callback(function() error("oh") end)(done)
    local slow = task.callback(sleep)(10, done)
    slow:cancel()
    slow:wait()
    assert.equal(2, #got)
    assert.is_true(errors.is(got[1][2], "task"))
    assert.is_true(errors.is(got[2][2], "canceled"))
  end)

  it("call back outside the task, which is done by then", function()
    local seen
    local one
    one = task.callback(sleep)(0, function() seen = { one:done(), loop.current() == nil } end)
    one:wait()
    assert.same({ true, true }, seen)
  end)

  it("let an error of the callback out to whoever runs the loop", function()
    task.callback(sleep)(0, function() error("mine") end)
    assert.has_error(function() sleep(0.01) end)
  end)

  it("refuse what is no function", function()
    assert.has_error(function() task.callback(1) end)
    assert.has_error(function() task.callback(sleep)(1) end)
  end)
end)
