-- Tasks: functions side by side in one thread, with an end that is under control.

local Child = require "spec.support.child"
local Peer = require "spec.support.peer"
local compat = require "daytona.base.compat"
local errors = require "daytona.base.errors"
local group = require "daytona.loop.group"
local loop = require "daytona.loop"
local task = require "daytona.loop.task"
local unhandled = require "daytona.loop.unhandled"

local sleep = loop.sleep

describe("tasks", function()
  after_each(function() assert.is_false(loop.busy()) end)

  describe("spawn", function()
    it("starts at once, and wait returns what the function returned", function()
      local started
      local one = task.spawn(function(...)
        started = true
        sleep(0.005)
        return ..., nil
      end, 1, nil)
      assert.is_true(started)
      assert.is_false(one:done())
      assert.equal("task (running)", tostring(one))
      assert.equal(2, select("#", one:wait()))
      assert.equal(1, (one:wait()))
      assert.is_true(one:done())
      assert.equal("task (done)", tostring(one))
    end)

    it("runs side by side", function()
      local before = loop.now()
      local list = {}
      for i = 1, 100 do
        list[i] = task.spawn(function()
          sleep(0.05)
          return i
        end)
      end
      for i = 1, 100 do assert.equal(i, (list[i]:wait())) end
      assert.is_true(loop.now() - before < 2)
    end)

    it("knows the task that runs", function()
      local inside, child
      local one
      one = task.spawn(function()
        child = task.spawn(function()
          inside = loop.current()
          sleep(0.001)
        end)
        assert.not_equal(child, loop.current())
        sleep(0)
      end)
      one:wait()
      assert.equal(child, inside)
      assert.is_nil(loop.current())
    end)

    it("refuses what is no function", function()
      assert.has_error(function() task.spawn() end)
      assert.has_error(function() task.spawn({}) end)
      local _, message = pcall(task.spawn, 1)
      assert.matches("spawn: a function expected, got number", message)
    end)
  end)

  describe("failures", function()
    it("of a function become nil and an error with a traceback", function()
      local function broken() error("boom") end
      local one = task.spawn(function()
        sleep(0)
        broken()
      end)
      local value, err = one:wait()
      assert.is_nil(value)
      assert.equal("task", err.kind)
      assert.matches("task_spec.lua:%d+: boom", err.message)
      assert.matches("stack traceback", err.traceback)
      assert.matches("task_spec.lua", err.traceback)
      assert.matches("boom", err.cause)
      assert.equal("task (failed)", tostring(one))
    end)

    it("keep what was raised", function()
      local raised = {}
      assert.equal(raised, select(2, task.spawn(error, raised):wait()).cause)
      local ours = errors.new { kind = "state", message = "odd" }
      assert.equal(ours, select(2, task.spawn(error, ours):wait()))
      local odd = setmetatable({}, { __tostring = function() error("no") end })
      assert.equal(odd, select(2, task.spawn(error, odd):wait()).cause)
      assert.equal("nil", select(2, task.spawn(error):wait()).message)
    end)

    it("returned by a function are its results", function()
      local value, reason = task.spawn(function() return nil, "why" end):wait()
      assert.is_nil(value)
      assert.equal("why", reason)
    end)
  end)

  describe("wait", function()
    it("that is over before the task says which task that was", function()
      local one = task.spawn(function() sleep(60) end)
      local _, err = one:wait(0.01)
      assert.matches("^the task did not end in time %(its function: .*task_spec%.lua:%d+%)$", err.message)
      assert.equal("timeout", err.kind)
      one:cancel()
      one:wait()
    end)

    it("has a timeout that leaves the task running", function()
      local released
      local one = task.spawn(function()
        repeat sleep(0.005) until released
        return "late"
      end)
      local value, err = one:wait(0.005)
      assert.is_nil(value)
      assert.equal("timeout", err.kind)
      released = true
      assert.equal("late", one:wait())
      assert.equal("late", one:wait(0.001))
      assert.has_error(function() task.spawn(sleep, 0.01):wait(-1) end)
      local two = task.spawn(sleep, 0.1)
      assert.equal("timeout", select(2, two:wait { timeout = 0.001 }).kind)
      assert.has_error(function() two:wait("1") end)
      assert.has_error(function() two:wait { timeuot = 1 } end)
      assert.is_true(two:wait(0))
      sleep(0.02)
    end)

    it("works from several tasks", function()
      local released
      local one = task.spawn(function()
        repeat sleep(0.005) until released
        return 7
      end)
      local list = assert(group.gather {
        function() return (one:wait()) end,
        function() return (one:wait(60)) end,
        function()
          local early = one:wait(0.001)
          released = true
          return early == nil
        end,
      })
      assert.same({ 7, 7, true, n = 3 }, list)
    end)

    it("for itself or for what contains it is refused", function()
      local _, own = task.spawn(function()
        local parent = loop.current()
        local _, err = task.spawn(function() return parent:wait() end):wait()
        assert.matches("cannot wait for itself", err.message)
        return parent:wait()
      end):wait()
      assert.matches("cannot wait for itself", own.message)
    end)
  end)

  describe("cancel", function()
    it("ends the wait in progress, and every later one", function()
      local first, second
      local one = task.spawn(function()
        first = select(2, sleep(10))
        second = select(2, sleep(10))
        return "done anyway"
      end)
      one:cancel()
      one:cancel()
      assert.equal("task (canceled)", tostring(one))
      assert.equal("done anyway", one:wait(5))
      assert.equal("canceled", first.kind)
      assert.equal("canceled", second.kind)
      one:cancel()
    end)

    it("reaches children and theirs", function()
      local ended = {}
      local function leaf(name)
        local ok, err = sleep(10)
        ended[name] = not ok and err.kind
      end
      local one = task.spawn(function()
        task.spawn(function()
          task.spawn(leaf, "grandchild")
          leaf("child")
        end)
        leaf("parent")
      end)
      one:cancel()
      one:wait(5)
      assert.same({ grandchild = "canceled", child = "canceled", parent = "canceled" }, ended)
    end)

    it("by the task itself counts from its next wait", function()
      local _, err = task.spawn(function()
        loop.current():cancel()
        return sleep(1)
      end):wait()
      assert.equal("canceled", err.kind)
    end)

    it("is inherited by what a cancelled task spawns, unless shielded", function()
      local plain, shielded
      local one = task.spawn(function()
        sleep(10)
        plain = select(2, task.spawn(sleep, 0.001):wait())
        loop.shield(function() shielded = task.spawn(sleep, 0.001):wait() end)
      end)
      one:cancel()
      one:wait()
      assert.equal("canceled", plain.kind)
      assert.is_true(shielded)
    end)

    it("of the waiting task ends its wait, not the other task", function()
      local slow = task.spawn(function()
        sleep(0.03)
        return 1
      end)
      local waiting = task.spawn(function() return slow:wait() end)
      waiting:cancel()
      assert.equal("canceled", select(2, waiting:wait()).kind)
      assert.equal(1, slow:wait())
    end)

    it("in the step in which the wait ends is harmless", function()
      local one = task.spawn(function() return sleep(0) end)
      local two = task.spawn(function()
        sleep(0)
        one:cancel()
      end)
      two:wait()
      one:wait()
    end)
  end)

  describe("the loop", function()
    it("serves timers while tasks make each other ready without end", function()
      local stop, rounds = false, 0
      local clock = task.spawn(function()
        repeat sleep(0.02) until rounds > 1
        stop = true
      end)
      local busy = task.spawn(function()
        local limit = loop.now() + 30
        while not stop and loop.now() < limit do
          rounds = rounds + 1
          local other = task.spawn(sleep, 10)
          other:cancel()
          other:wait()
        end
        return stop
      end)
      assert.is_true(busy:wait())
      assert.is_true(rounds > 1)
      clock:wait()
    end)

    it("comes back from update when each round makes the next one ready", function()
      local stop = false
      local busy = task.spawn(function()
        sleep(0)
        while not stop do
          local other = task.spawn(sleep, 10)
          other:cancel()
          other:wait()
        end
      end)
      for _ = 1, 20 do loop.update() end
      stop = true
      busy:wait()
    end)

    it("wakes those who wait for one thing in the order in which they came", function()
      local slow = task.spawn(sleep, 0.02)
      local order, list = {}, {}
      for i = 1, 6 do
        list[i] = task.spawn(function()
          slow:wait()
          order[#order + 1] = i
        end)
      end
      list[1]:cancel() -- the first, one between and the last leave the list
      list[3]:cancel()
      list[6]:cancel()
      for i = 1, 6 do list[i]:wait() end
      assert.same({ 1, 3, 6, 2, 4, 5 }, order)
    end)

    it("cancels thousands that wait for one thing as fast as they came", function()
      local function round(n)
        local slow = task.spawn(sleep, 10)
        local list = {}
        for i = 1, n do list[i] = task.spawn(slow.wait, slow) end
        local before = os.clock()
        for i = 1, n do list[i]:cancel() end
        for i = 1, n do list[i]:wait() end
        local seconds = os.clock() - before
        slow:cancel()
        slow:wait()
        return seconds
      end
      round(1000)
      local few, many = round(1000), round(16000)
      assert.is_true(many < 60 * few + 0.1, ("%.3f s for 1,000, %.3f s for 16,000"):format(few, many))
    end)
  end)

  describe("a shield", function()
    it("covers what is spawned in it", function()
      local inside, results
      local one = task.spawn(function()
        loop.shield(function()
          results = group.gather { function()
            inside = sleep(0.01)
            return inside
          end }
        end)
        return sleep(10)
      end)
      one:cancel()
      assert.equal("canceled", select(2, one:wait(5)).kind)
      assert.is_true(inside)
      assert.same({ true, n = 1 }, results)
    end)

    it("covers what was spawned in it when the cancel comes later, and no longer than it lasts", function()
      local early, late, outside
      local one = task.spawn(function()
        task.spawn(function() outside = select(2, sleep(10)) end)
        loop.shield(function()
          task.spawn(function() late = select(2, sleep(10)) end)
          early = task.spawn(sleep, 0.01):wait()
        end)
      end)
      one:cancel()
      one:wait(5)
      assert.is_true(early)
      assert.equal("canceled", late.kind)
      assert.equal("canceled", outside.kind)
    end)
  end)

  it("that fail with a text like Ctrl-C's fail alone", function()
    for _, text in ipairs { "the upload was interrupted!", "interrupted!" } do
      local other = task.spawn(function()
        sleep(0.01)
        return "went on"
      end)
      local one = task.spawn(function()
        sleep(0.001)
        error(text)
      end)
      local _, err = one:wait()
      assert.equal("task", err.kind)
      assert.matches(text .. "$", err.message)
      assert.equal("went on", other:wait())
    end
  end)

  it("can guard, shield and catch around their waits, on every Lua", function()
    local order = {}
    local function note(...) order[#order + 1] = table.concat({ ... }, " ") end
    local one = task.spawn(function()
      local fine, err = loop.pcall(loop.guard, function(state)
        sleep(0.001)
        note(state, task.spawn(function() sleep(0.001) return "child" end):wait())
        loop.pcall(function()
          sleep(0.001)
          error("inner", 0)
        end)
        sleep(0.001)
        error("outer", 0)
      end, function(state, why)
        sleep(0.001)
        note(state, why)
      end, "state")
      note(tostring(fine), err)
      loop.pcall(loop.shield, function()
        sleep(0.001)
        error "in a shield"
      end)
      return sleep(10)
    end)
    sleep(0.05)
    one:cancel()
    assert.equal("canceled", select(2, one:wait()).kind)
    assert.same({ "state child", "state outer", "false outer" }, order)
  end)

  describe("a callback of the program that raises", function()
    it("leaves the loop's turn in order", function()
      loop.use "manual"
      task.callback(sleep)(0, function() error("mine", 0) end)
      assert.has_error(function() loop.update(0) end, "mine")
      loop.use "block"
      local polls = loop.engine():stats().polls
      local one = task.spawn(function()
        for _ = 1, 5 do assert(loop.breathe()) end
        return true
      end)
      assert.is_true(one:done()) -- none of them slept
      assert.is_true(one:wait())
      assert.equal(polls, loop.engine():stats().polls)
    end)
  end)

  describe("a parent", function()
    it("is done only when its children are", function()
      local child_done = false
      local parent = task.spawn(function()
        task.spawn(function()
          sleep(0.02)
          child_done = true
        end)
        return "returned"
      end)
      assert.is_false(parent:done())
      assert.equal("returned", parent:wait())
      assert.is_true(child_done)
    end)

    it("that fails cancels its children and waits for them", function()
      local child
      local parent = task.spawn(function()
        child = task.spawn(function()
          local _, err = sleep(10)
          loop.shield(sleep, 0.01)
          return err.kind
        end)
        error("boom", 0)
      end)
      local _, err = parent:wait(5)
      assert.equal("boom", err.message)
      assert.is_true(child:done())
      assert.equal("canceled", child:wait())
    end)

    it("can be cancelled while it waits for its children", function()
      local seen
      local parent = task.spawn(function()
        task.spawn(function() seen = select(2, sleep(10)) end)
      end)
      parent:cancel()
      parent:wait(5)
      assert.equal("canceled", seen.kind)
    end)
  end)

  describe("gather", function()
    it("returns the results in order", function()
      local list = assert(group.gather {
        function() sleep(0.01) return "a", "more" end,
        function() return nil end,
        function() return false end,
        function() sleep(0) return "d" end,
      })
      assert.equal(4, list.n)
      assert.same({ "a", nil, false, "d", n = 4 }, list)
      assert.same({ n = 0 }, group.gather {})
    end)

    it("stops everything at the first failure, and waits for its end", function()
      local cleaned = 0
      local function cleaning()
        local ok = sleep(10)
        loop.shield(sleep, 0.005)
        if not ok then cleaned = cleaned + 1 end
      end
      for _, fail in ipairs {
        function() sleep(0) error("boom", 0) end,
        function() sleep(0) return nil, "boom" end,
        function() sleep(0) return nil, errors.new { kind = "task", message = "boom" } end,
      } do
        cleaned = 0
        local list, err = group.gather { cleaning, fail, cleaning }
        assert.is_nil(list)
        assert.equal("task", err.kind)
        assert.equal("boom", err.message)
        assert.equal(2, cleaned)
      end
    end)

    it("does not start the rest when one fails at once", function()
      local started = false
      local _, err = group.gather { function() error("boom", 0) end, function() started = true end }
      assert.equal("boom", err.message)
      assert.is_false(started)
    end)

    it("is cancelled with the task that waits in it, after its functions ended", function()
      local ended = false
      local one = task.spawn(function()
        return group.gather { function()
          local _, err = sleep(10)
          loop.shield(sleep, 0.01)
          ended = true
          return nil, err
        end }
      end)
      one:cancel()
      local list, err = one:wait(5)
      assert.is_nil(list)
      assert.equal("canceled", err.kind)
      assert.is_true(ended)
    end)

    it("refuses what are no functions", function()
      assert.has_error(function() group.gather() end)
      assert.has_error(function() group.gather { 1 } end)
    end)
  end)

  describe("that settle", function()
    it("go on whatever one of them does", function()
      local boom = errors.new { kind = "io", message = "boom" }
      local list = assert(group.gather({
        function() sleep(0.002) return "a" end,
        function() error("raised", 0) end,
        function() return nil, boom end,
        function() return nil end,
        function() sleep(0) return nil, "a reason" end,
      }, { settle = true, concurrency = 2 }))
      assert.equal(5, list.n)
      assert.equal("a", list[1][1])
      assert.equal("raised", list[2][2].message)
      assert.is_nil(list[2][1])
      assert.equal(boom, list[3][2])
      assert.same({}, list[4])
      assert.equal("a reason", list[5][2].message)
    end)

    it("are cancelled with the task that waits for them", function()
      local started = 0
      local one = task.spawn(function()
        return group.map({ 1, 2, 3 }, function()
          started = started + 1
          return sleep(10)
        end, { settle = true, concurrency = 1 })
      end)
      one:cancel()
      local list, err = one:wait()
      assert.is_nil(list)
      assert.equal("canceled", err.kind)
      assert.equal(1, started)
    end)
  end)

  it("tell each result as it comes", function()
    local seen = {}
    local function note(i, value, err) seen[#seen + 1] = i .. tostring(value or err.message) end
    local function slow_first(n)
      sleep(n == 1 and 0.02 or 0)
      if n == 3 then return nil, "no" end
      return n * 2
    end
    assert(group.map({ 1, 2, 3 }, slow_first, { settle = true, on_result = note }))
    assert.same({ "24", "3no", "12" }, seen)
    seen = {}
    local _, err = group.map({ 3, 1 }, slow_first, { on_result = note })
    assert.equal("no", err.message)
    assert.equal("1no", seen[1])
    local _, raised = group.map({ 2 }, slow_first, { on_result = function() error("mine", 0) end })
    assert.equal("mine", raised.message)
  end)

  describe("within", function()
    it("returns what the function returns in time", function()
      assert.same({ 1, nil, 3 }, { task.within(5, function(...)
        sleep(0.001)
        return ...
      end, 1, nil, 3) })
      assert.equal("raised", select(2, task.within(5, error, "raised", 0)).cause)
      assert.equal(7, (task.within(0, function() sleep(0.001) return 7 end)))
    end)

    it("cancels what takes longer, and waits until it has cleaned up", function()
      for _, run in ipairs { function(fn) return fn() end, function(fn) return task.spawn(fn):wait() end } do
        local cleaned = false
        local value, err = run(function()
          return task.within(0.005, function()
            local _, why = sleep(10)
            loop.shield(sleep, 0.005)
            cleaned = why.kind == "canceled"
            return nil, why
          end)
        end)
        assert.is_nil(value)
        assert.equal("timeout within", err.kind .. " " .. err.code)
        assert.equal("it was not done within 0.005 s", err.message)
        assert.is_true(cleaned)
      end
    end)

    it("is cancelled with the task that calls it", function()
      local ended = false
      local one = task.spawn(function()
        return task.within(10, function()
          local _, err = sleep(10)
          ended = true
          return nil, err
        end)
      end)
      one:cancel()
      assert.equal("canceled", select(2, one:wait()).kind)
      assert.is_true(ended)
    end)

    it("refuses what is no limit or no function", function()
      assert.has_error(function() task.within("1", print) end)
      assert.has_error(function() task.within(-1, print) end)
      assert.has_error(function() task.within(1) end)
    end)
  end)

  describe("a failure that nobody waits for", function()
    local heard

    before_each(function()
      collectgarbage()
      collectgarbage()
      heard = {}
      unhandled.on_unhandled(function(err) heard[#heard + 1] = err.message end)
    end)

    after_each(function() unhandled.on_unhandled(nil) end)

    -- In a function of its own, so that no register keeps a task.
    local function heard_after(fn)
      fn()
      while loop.busy() do sleep(0.001) end
      collectgarbage()
      collectgarbage()
      return heard
    end

    local function fail(text)
      sleep(0)
      error(text, 0)
    end

    it("is told once, when the task is no more", function()
      assert.same({ "lost" }, heard_after(function()
        task.spawn(fail, "lost")
        sleep(0.001)
        collectgarbage()
      end))
      assert.same({ "lost" }, heard_after(function() end))
      assert.same({ "lost", "in a child" }, heard_after(function()
        task.spawn(function() task.spawn(fail, "in a child") end):wait()
      end))
    end)

    it("is not told where somebody has heard, or nobody wants to", function()
      assert.same({}, heard_after(function()
        local late = task.spawn(fail, "waited for later")
        sleep(0.001)
        late:wait()
        task.spawn(fail, "waited for"):wait()
        task.spawn(fail, "detached"):detach()
        local after = task.spawn(fail, "detached later")
        sleep(0.001)
        after:detach()
        group.gather({ function() fail "in a group" end, function() fail "another" end })
        group.map({ 1 }, function() fail "settled" end, { settle = true })
        task.callback(fail)("for a callback", function() end)
        local canceled = task.spawn(function()
          sleep(10)
          error("after its cancel", 0)
        end)
        canceled:cancel()
        task.spawn(function() errors.raise(select(2, task.spawn(sleep, 1):wait(0.001))) end):detach()
      end))
    end)

    it("is told on stderr by default, at the end of the program too", function()
      local child = Child.start [[
        local kept = task.spawn(error, "kept to the end", 0)
        task.spawn(error, "let go", 0)
        collectgarbage()
        collectgarbage()
        say("still here", kept:done())
        GLOBAL = kept
      ]]
      assert.equal("daytona: a task failed, and nobody waited for it: let go (task)", child:line())
      assert.equal("still here true", child:line())
      assert.equal("daytona: a task failed, and nobody waited for it: kept to the end (task)\n", child:rest())
    end)

    it("is told soon by a frame loop, though its collector has nothing to do", function()
      local child = Child.start [[
        local daytona = require "daytona"
        local told
        daytona.use "manual"
        daytona.on_unhandled(function(err) told = err.message end)
        collectgarbage "stop"
        daytona.spawn(error, "in a game", 0)
        local limit = core.now() + 5
        repeat daytona.update(0.01) until told or core.now() > limit
        say(told)
      ]]
      assert.equal("in a game\n", (child:rest()))
    end)

    it("is heard by a function alone", function()
      assert.has_error(function() unhandled.on_unhandled(1) end)
    end)

    it("is told where people look who use the host", function()
      local said = {}
      local function note(...) said[#said + 1] = table.concat({ ... }, " ") end
      local function told_in(hosts)
        said = {}
        local print_before = print
        for name, host in pairs(hosts) do rawset(_G, name, host) end
        rawset(_G, "print", note)
        unhandled.on_unhandled(nil)
        unhandled.report("lost", "a thing")
        rawset(_G, "print", print_before)
        for name in pairs(hosts) do rawset(_G, name, nil) end
        return said
      end
      local later = function(fn) note "later"; fn() end
      local text = "daytona: a thing: lost"
      assert.same({ "later", text .. " 4" },
        told_in { vim = { schedule = later, notify = note, log = { levels = { ERROR = 4 } } } })
      assert.same({ "later", text }, told_in { vim = { schedule = later, notify = note } })
      assert.same({ "3 " .. text }, told_in { ngx = { ERR = 3, log = note } })
      assert.same({ text }, told_in { love = {} })
    end)

    it("is told soon in an editor that does nothing", function()
      local seconds
      rawset(_G, "vim", { defer_fn = function(fn, after) seconds = fn == collectgarbage and after / 1000 end })
      unhandled.watch(errors.new { kind = "task", message = "x" }).err = nil
      rawset(_G, "vim", nil)
      assert.is_true(seconds > 0 and seconds < 5)
    end)
  end)

  it("that are cancelled take along what they spawned in a shield that is over", function()
    local child
    local parent = task.spawn(function()
      loop.shield(function() child = task.spawn(sleep, 30) end)
      return sleep(30)
    end)
    parent:cancel()
    assert.equal("canceled", select(2, child:wait(10)).kind)
    assert.equal("canceled", select(2, parent:wait(10)).kind)
  end)

  it("that are done are not cancelled any more", function()
    local done = task.spawn(function() return 1 end)
    done:cancel()
    assert.same({ false, "task (done)", 1 }, { done.canceled, tostring(done), done:wait() })
  end)

  it("made of callbacks get the arguments before that one, and no more", function()
    local n
    task.callback(function(...) return select("#", ...) end)("a", nil, function(count) n = count end)
    assert.equal(2, n)
    task.callback(function(...) return select("#", ...) end)(function(count) n = count end)
    assert.equal(0, n)
  end)

  it("can be detached from the task that spawned them", function()
    local own
    local parent = task.spawn(function()
      own = task.spawn(sleep, 0.02):detach()
      return "returned"
    end)
    assert.is_true(parent:done())
    assert.equal("returned", parent:wait())
    parent:cancel()
    assert.is_true(own:wait { timeout = 5 })
  end)

  describe("map", function()
    it("calls with item and index, so many at a time", function()
      for _, limit in ipairs { 1, 3, 50 } do
        local running, most = 0, 0
        local list = assert(group.map({ 10, 20, 30, 40, 50 }, function(item, i)
          running = running + 1
          most = math.max(most, running)
          sleep(0.002)
          running = running - 1
          return item + i
        end, { concurrency = limit }))
        assert.same({ 11, 22, 33, 44, 55, n = 5 }, list)
        assert.equal(math.min(limit, 5), most)
      end
    end)

    it("is unlimited by default, and copes with thousands", function()
      local items = {}
      for i = 1, 5000 do items[i] = i end
      local list = assert(group.map(items, function(i)
        sleep(0)
        return i
      end))
      assert.equal(5000, list[5000])
      assert.same({ n = 0 }, group.map({}, error))
    end)

    it("takes no further items after a failure", function()
      local calls = 0
      local _, err = group.map({ 1, 2, 3, 4 }, function(i)
        calls = calls + 1
        sleep(0)
        if i == 2 then error("boom", 0) end
      end, { concurrency = 1 })
      assert.equal("boom", err.message)
      assert.equal(2, calls)
    end)

    it("refuses unknown options and wrong values", function()
      assert.has_error(function() group.map(nil, print) end)
      assert.has_error(function() group.map({}, nil) end)
      assert.has_error(function() group.map({}, print, 3) end)
      assert.has_error(function() group.map({}, print, { concurrency = 0 }) end)
      assert.has_error(function() group.map({}, print, { concurrency = 1.5 }) end)
      local _, message = pcall(group.map, {}, print, { concurency = 3 })
      assert.matches("unknown option 'concurency' %(did you mean 'concurrency'%?%)", message)
    end)
  end)

  it("name the way out where Lua cannot yield", function()
    local one = task.spawn(function()
      table.sort({ 3, 2, 1 }, function(a, b)
        sleep(0.001)
        return a < b
      end)
    end)
    local _, err = one:wait()
    assert.matches("a task cannot wait inside", err.message)
  end)

  it("leave nothing behind", function()
    local function round()
      group.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(i)
        sleep(0)
        if i == 8 then error("boom") end
      end)
    end
    round()
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    for _ = 1, 200 do round() end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 64)
  end)

  if not compat.pcall_yields then
    it("on 5.1 cannot wait inside pcall, metamethods and iterators, and say so", function()
      local function index() return sleep(0.001) end
      for _, fn in ipairs {
        function() return (select(2, pcall(sleep, 0.001))) end,
        function() return setmetatable({}, { __index = index }).x end,
        function() for _ in sleep, 0.001 do print() end end,
      } do
        local value, err = task.spawn(fn):wait()
        assert.matches("on Lua 5.1 a task cannot wait inside pcall", err and err.message or value)
      end
    end)
  end

  -- LuaJIT can fork without a further module; the code in question is the same.
  if compat.name == "luajit" then
    it("of a parent process are not run by its child", function()
      local child = Child.start [[
        local ffi = require "ffi"
        ffi.cdef "int fork(void); void _exit(int); int wait(int *);"
        local parent = core.pid()
        local one = task.spawn(function()
          loop.sleep(0.02)
          say("task ends in", core.pid() == parent and "parent" or "child")
        end)
        if ffi.C.fork() == 0 then
          loop.sleep(0.05)
          say("child slept", one:done())
          ffi.C._exit(0)
        end
        ffi.C.wait(nil)
        one:wait()
      ]]
      assert.equal("child slept false", child:line())
      assert.equal("task ends in parent", child:line())
      child:rest()
    end)

    it("and requests of a parent process go on undisturbed by its child", function()
      local peer = Peer.start()
      local child = Child.start([[
        local ffi = require "ffi"
        ffi.cdef "int fork(void); void _exit(int); int wait(int *);"
        local op = loop.start { url = ARG .. "/hold" }
        loop.wait(op, 31, loop.now() + 0.05)
        if ffi.C.fork() == 0 then
          local own = loop.start { url = ARG .. "/ok" }
          loop.wait(own, core.DONE)
          local events, err = loop.wait(op, core.DONE)
          say("child", own.transfer:result(), events, err.code)
          op, own = nil, nil
          collectgarbage()
          collectgarbage()
          ffi.C._exit(0)
        end
        ffi.C.wait(nil)
        say("parent", loop.wait(op, core.DONE), (op.transfer:result()))
      ]], peer.url)
      assert.matches("^child 200 .*nil forked$", child:line())
      peer:wait("/hold")
      peer:release("/hold")
      assert.equal("parent 16 200", child:line())
      child:rest()
      peer:close()
    end)
  end
end)
