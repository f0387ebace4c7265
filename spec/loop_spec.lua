-- Waiting: the loop with its drivers for plain programs, cleaning up, Ctrl-C.

local Child = require "spec.support.child"
local Peer = require "spec.support.peer"
local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local cqueues = require "cqueues"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local task = require "daytona.loop.task"
local timers = require "daytona.loop.timers"

describe("waiting", function()
  local peer

  setup(function() peer = Peer.start() end)
  teardown(function() peer:close() end)

  local function start(path, fields)
    local request = { url = peer.url .. path }
    for name, value in pairs(fields or {}) do request[name] = value end
    return assert(loop.start(request))
  end

  local function fetch(path)
    local op = start(path)
    local events, err = loop.wait(op, core.DONE)
    if not events then return nil, err end
    local status, body = op.transfer:result()
    loop.close(op)
    return status, body
  end

  local function elapsed(fn, ...)
    local before = core.now()
    fn(...)
    return core.now() - before
  end

  describe("for a transfer", function()
    it("blocks outside tasks", function()
      assert.equal(200, (fetch("/ok")))
      assert.is_nil(loop.current())
      assert.is_false(loop.busy())
    end)

    it("is satisfied for ever by its end", function()
      local op = start("/ok")
      assert.equal(core.DONE, loop.wait(op, core.DONE))
      assert.equal(core.DONE, loop.wait(op, core.DONE))
      assert.is_true(op.done)
      loop.close(op)
      loop.close(op)
    end)

    it("takes only the events asked for", function()
      local op = start("/slow-body?ms=1&n=3", { sink_queue = true })
      local headers = loop.wait(op, core.HEADERS)
      assert.equal(core.HEADERS, headers % (2 * core.HEADERS))
      local body = ""
      while true do
        local chunk = op.transfer:read()
        if chunk == false then break end
        if chunk then body = body .. chunk else assert(loop.wait(op, core.READABLE)) end
      end
      assert.equal("012", body)
      loop.close(op)
    end)

    it("gives up at a deadline and leaves the transfer alone", function()
      local op = start("/hold")
      local events, err = loop.wait(op, core.DONE, loop.now() + 0.02)
      assert.is_nil(events)
      assert.equal("timeout", err.kind)
      assert.equal("wait", err.code)
      peer:wait("/hold")
      peer:release("/hold")
      assert.equal(core.DONE, loop.wait(op, core.DONE))
      assert.equal(200, (op.transfer:result()))
      loop.close(op)
    end)

    it("ends when another task closes it", function()
      local op = start("/never")
      local waiting = task.spawn(function() return loop.wait(op, core.DONE) end)
      task.spawn(function()
        loop.sleep(0.01)
        loop.close(op)
      end)
      assert.equal(core.DONE, waiting:wait(5))
    end)

    it("works for two tasks at once", function()
      local op = start("/hold/two")
      local function wait() return (loop.wait(op, core.DONE)) end
      local one, two = task.spawn(wait), task.spawn(wait)
      task.spawn(function()
        fetch("/__wait?path=/hold/two")
        fetch("/__release?path=/hold/two")
      end)
      assert.equal(core.DONE, one:wait(5))
      assert.equal(core.DONE, two:wait(5))
      loop.close(op)
    end)

    it("refuses what the core refuses", function()
      local op, culprit = loop.start { url = "http://x/\n" }
      assert.is_nil(op)
      assert.matches("url", culprit:lower())
    end)

    it("forgotten without an end, is ended by the collector", function()
      start("/never")
      collectgarbage()
      collectgarbage()
      assert.is_false(loop.busy())
    end)

    it("in a coroutine outside tasks blocks, too", function()
      local generator = coroutine.wrap(function()
        for _ = 1, 2 do coroutine.yield((fetch("/ok"))) end
      end)
      assert.equal(200, generator())
      assert.equal(200, generator())
    end)

    it("in a coroutine inside a task works, and other tasks go on", function()
      local turns = 0
      local other = task.spawn(function()
        for _ = 1, 5 do
          loop.sleep(0.005)
          turns = turns + 1
        end
      end)
      local one = task.spawn(function()
        return coroutine.wrap(function() return (fetch("/delay?ms=300")) end)()
      end)
      assert.equal(200, one:wait(30))
      assert.equal(5, turns)
      assert.is_true(other:done())
    end)
  end)

  describe("for time", function()
    it("sleeps", function()
      local time = elapsed(loop.sleep, 0.03)
      assert.is_true(time >= 0.03 and time < 2)
      assert.is_true(loop.sleep(0))
      assert.has_error(function() loop.sleep(-1) end)
      assert.has_error(function() loop.sleep("1") end)
      assert.has_error(function() loop.sleep() end)
    end)

    it("keeps many timers in order", function()
      local heap, order = timers.new(), {}
      local entries = {}
      for i = 1, 200 do
        entries[i] = { id = i }
        heap:add(entries[i], (i * 7919) % 211)
      end
      for i = 1, 200, 3 do
        heap:remove(entries[i])
        heap:remove(entries[i])
      end
      local entry = heap:take(1000)
      while entry do
        order[#order + 1] = (entry.id * 7919) % 211
        assert.is_nil(entry.slot)
        entry = heap:take(1000)
      end
      assert.equal(133, #order)
      for i = 2, #order do assert.is_true(order[i - 1] <= order[i]) end
      assert.is_nil(heap:first())
    end)

    it("does not wake an idle program", function()
      local before = loop.engine():stats().polls
      loop.sleep(0.05)
      assert.is_true(loop.engine():stats().polls - before <= 2)
    end)
  end)

  it("for what can never happen raises instead of hanging", function()
    local stuck = task.spawn(function() coroutine.yield() end)
    local ok, message = pcall(stuck.wait, stuck)
    assert.is_false(ok)
    assert.matches("^a wait that nothing can end", message)
  end)

  describe("the driver", function()
    after_each(function() loop.use("block") end)

    it("is block in a plain program, and says why", function()
      local name, why = loop.driver_info()
      assert.equal("block", name)
      assert.is_string(why)
    end)

    it("can be chosen, but not in the middle of something", function()
      assert.has_error(function() loop.use("unheard-of") end)
      for _, own in ipairs { {}, { name = "own" }, { name = "own", attach = print, wait = print } } do
        assert.has_error(function() loop.use(own) end)
      end
      local found, refusal = pcall(loop.use, "ngx")
      assert.is_false(found)
      assert.matches("loop_spec.lua:%d+: the driver 'ngx' cannot be used here: [^\n]+$", refusal)
      local ok, message = pcall(loop.use, "uv2")
      assert.is_false(ok)
      assert.matches("valid: .*manual, .*block", message)
      local op = start("/never")
      assert.has_error(function() loop.use("manual") end)
      loop.close(op)
      loop.use("manual")
      assert.equal("manual", (loop.driver_info()))
    end)

    it("manual works in steps that never block", function()
      loop.use("manual")
      local done
      local one = task.spawn(function()
        fetch("/delay?ms=50")
        loop.sleep(0.02)
        done = true
      end)
      local limit, longest, steps = core.now() + 10, 0, 0
      while not one:done() do
        assert.is_true(core.now() < limit)
        longest = math.max(longest, elapsed(loop.update, 0.002))
        steps = steps + 1
      end
      assert.is_true(done)
      assert.is_true(steps > 1)
      assert.has_error(function() loop.update(-1) end)
      assert.has_error(function() loop.update("1") end)
    end)

    it("manual keeps to its budget when many tasks are ready", function()
      loop.use("manual")
      local function busy()
        loop.sleep(0)
        local stop = core.now() + 0.002
        repeat until core.now() >= stop
      end
      local list = {}
      for i = 1, 20 do list[i] = task.spawn(busy) end
      loop.update(0.002)
      local finished = 0
      for i = 1, 20 do finished = finished + (list[i]:done() and 1 or 0) end
      assert.is_true(finished >= 1 and finished < 20)
      for i = 1, 20 do list[i]:wait() end
    end)

    it("manual: who takes what is there without waiting goes on in the next frame", function()
      loop.use("manual")
      local turns = 0
      local one = task.spawn(function()
        loop.sleep(0)
        repeat
          local stop = core.now() + 0.002
          repeat until core.now() >= stop
          turns = turns + 1
        until not loop.breathe() or turns == 4
        return turns
      end)
      for frame = 1, 2 do
        loop.update(0.001)
        assert.equal(frame, turns)
      end
      assert.equal(4, one:wait()) -- without frames nothing holds it back
      local other = task.spawn(function()
        loop.sleep(0)
        local rested, err
        repeat rested, err = loop.breathe() until not rested
        return nil, err
      end)
      loop.update(0)
      other:cancel()
      assert.equal("canceled", select(2, other:wait()).kind)
    end)

    it("of a host gets called as described", function()
      local calls, deferred = {}, {}
      local function note(name) return function() calls[#calls + 1] = name end end
      local host
      host = {
        name = "test", attach = note "attach", detach = note "detach",
        kick = note "kick",
        defer = function(fn) deferred[#deferred + 1] = fn end,
        wait = function(waiter)
          while not waiter.ready do
            local engine = loop.engine()
            local fd = { pollfd = engine:fd(), events = "r" }
            cqueues.poll(fd, engine:timeout())
            loop.step()
            local list = deferred
            deferred = {}
            for i = 1, #list do list[i]() end
          end
          return true
        end,
        wake = note "wake",
      }
      loop.use(host)
      assert.equal("attach", calls[1])
      local one = task.spawn(function() return (fetch("/ok")) end)
      assert.equal(200, one:wait(5))
      assert.equal(200, (fetch("/ok")))
      local seen = {}
      for i = 1, #calls do seen[calls[i]] = true end
      assert.same({ attach = true, kick = true, wake = true }, seen)
      loop.use("block")
      assert.equal("detach", calls[#calls])
    end)
  end)

  describe("cleaning up", function()
    it("guard runs its second function when the first raises, and raises again", function()
      local seen
      local ok, err = pcall(loop.guard, function() error("boom", 0) end,
        function(state, why) seen = { state, why } end, "state")
      assert.is_false(ok)
      assert.equal("boom", err)
      assert.same({ "state", "boom" }, seen)
      assert.same({ 1, nil, 3 }, { loop.guard(function(s) return s, nil, 3 end, error, 1) })
    end)

    it("shield hides the cancellation of the task from what runs inside", function()
      local inside, after
      local one = task.spawn(function()
        loop.sleep(10)
        inside = loop.shield(function(path)
          loop.sleep(0.005)
          return (fetch(path))
        end, "/ok")
        after = select(2, loop.sleep(1))
      end)
      one:cancel()
      one:wait()
      assert.equal(200, inside)
      assert.is_true(errors.is(after, "canceled"))
    end)

    if compat.pcall_yields then it("shield ends with an error inside it", function()
      local one = task.spawn(function()
        pcall(loop.shield, error, "boom")
        return loop.sleep(1)
      end)
      one:cancel()
      assert.is_true(errors.is(select(2, one:wait()), "canceled"))
    end) end
  end)

  local EXCHANGE = [[
    loop.engine()
    local profile = loop.profile {}
    local function exchange(path)
      local status, body = loop.exchange(loop.call(profile, "GET", ARG .. path), nil, 10)
      if status then return status, body end
      return nil, nil, body
    end
  ]]

  describe("for an exchange", function()
    local function lines_of(program)
      return Child.start(EXCHANGE .. program, peer.url):rest()
    end

    it("has the answer of a short one at once", function()
      assert.equal('200 {"status":200} nil false\n', lines_of [[
        local status, body, op = exchange("/ok")
        say(status, body, op, loop.busy())
      ]])
    end)

    it("hands over an op where it takes longer or failed", function()
      assert.equal("false true 16 200\ntrue false 16 404\n", lines_of [[
        local function report(_, _, op)
          local done, busy = op.done, loop.busy()
          local events = loop.wait(op, core.DONE)
          say(done, busy, events, (op.transfer:result()))
          loop.close(op)
        end
        report(exchange("/delay?ms=600"))
        report(exchange("/status/404"))
      ]])
    end)

    it("lets other tasks run while one waits, and hands over what went wrong", function()
      assert.equal('ticking\n200 {"status":200}\n404 {"status":404}\ncanceled nil\nfalse\n', lines_of [[
        local function report(path)
          local status, body, op = exchange(path)
          if op then
            assert(loop.wait(op, core.DONE))
            status, body = op.transfer:result()
            loop.close(op)
          end
          say(status, body)
        end
        local first = task.spawn(report, "/delay?ms=150")
        local second = task.spawn(function() say("ticking") end)
        first:wait()
        task.spawn(report, "/status/404"):wait()
        local third = task.spawn(function()
          local _, _, op = exchange("/never")
          local _, err = loop.wait(op, core.DONE)
          say(err.kind, (op.transfer:result()))
          loop.close(op)
        end)
        third:cancel()
        third:wait()
        say(loop.busy())
      ]])
    end)
  end)

  describe("Ctrl-C", function()
    local function hold_path()
      return "/hold/" .. tostring({}):match("0x(%x+)")
    end

    it("at the beginning of an exchange ends what waits for it", function()
      local path = hold_path()
      local child = Child.start(EXCHANGE .. ([[
        exchange("/ok")
        local _, _, op = exchange(%q)
        say(op.done)
        say(pcall(loop.wait, op, core.DONE))
        say(op.transfer:result())
      ]]):format(path), peer.url)
      peer:wait(path)
      child:signal("INT")
      assert.equal("false", child:line())
      assert.matches("^false .*interrupted!$", child:line())
      assert.matches("^nil canceled", child:line())
      child:rest()
    end)

    local FETCH = [[
      local function fetch(path)
        local op = assert(loop.start { url = ARG .. path })
        local events, err = loop.wait(op, core.DONE)
        if not events then return nil, err end
        return (op.transfer:result())
      end
    ]]

    local function run(program)
      return Child.start(FETCH .. program, peer.url)
    end

    it("ends a call, after what guards it, with the interpreter's own error", function()
      local path = hold_path()
      local child = run(([[
        say(pcall(loop.guard, fetch, function() say("cleaning", fetch("/ok")) end, %q))
      ]]):format(path))
      peer:wait(path)
      child:signal("INT")
      assert.equal("cleaning 200", child:line())
      assert.matches("^false .*interrupted!$", child:line())
      child:rest()
      peer:wait(path, 1, "hangups")
    end)

    it("ends a program that does not mind it", function()
      local path = hold_path()
      local child = run(("fetch(%q) say('not reached')"):format(path))
      peer:wait(path)
      child:signal("INT")
      local text = child:rest()
      assert.matches("interrupted!", text)
      assert.is_nil(text:find("not reached", 1, true))
    end)

    it("ends a call that came after many others", function()
      local path = hold_path()
      local child = run(([[
        for i = 1, 500 do fetch("/ok") end
        say(pcall(fetch, %q))
        say(fetch("/ok"))
      ]]):format(path))
      peer:wait(path)
      child:signal("INT")
      assert.matches("^false .*interrupted!$", child:line())
      assert.equal("200", child:line())
      child:rest()
    end)

    it("lets the tasks clean up before it is raised", function()
      local path = hold_path()
      local child = run(([[
        local function work()
          local status, err = fetch(%q)
          say("work", err.kind)
          say("cleaned", loop.shield(fetch, "/delay?ms=50"))
        end
        local other = task.spawn(work)
        local one = task.spawn(work)
        say(pcall(one.wait, one))
        say(other:done(), one:done())
      ]]):format(path))
      peer:wait(path, 2)
      child:signal("INT")
      local lines = { child:line(), child:line(), child:line(), child:line() }
      table.sort(lines)
      assert.same({ "cleaned 200", "cleaned 200", "work canceled", "work canceled" }, lines)
      assert.matches("^false .*interrupted!$", child:line())
      assert.equal("true true", child:line())
      child:rest()
    end)

    it("while a task runs is no failure of that task", function()
      local child = run [[
        if jit then jit.off() end
        task.spawn(function()
          loop.sleep(0.01)
          io.popen(("kill -INT %d"):format(core.pid())):close()
        end)
        say(pcall(loop.sleep, 60))
        collectgarbage()
        collectgarbage()
        say "nothing else was told"
      ]]
      assert.matches("^false .*interrupted!$", child:line())
      assert.equal("nothing else was told\n", child:rest())
    end)

    it("a third time ends the cleaning", function()
      local path = hold_path()
      local child = run(([[
        pcall(loop.guard, function() return fetch(%q) end, function() fetch(%q) end)
        say("not reached")
      ]]):format(path, path .. "/cleaning"))
      peer:wait(path)
      child:signal("INT")
      peer:wait(path .. "/cleaning")
      for _ = 1, 5 do -- one, a moment after the first, is taken for the same
        child:signal("INT")
        os.execute "sleep 0.05"
      end
      assert.matches("^ended before it could clean up: [^\n]+\n$", child:rest())
    end)

    it("while things are deleted says how many, once, and names them at the end", function()
      local child = run [[
        local closing = require "daytona.loop.closing"
        for _, name in ipairs { "one", "two", "three\27" } do
          task.spawn(function()
            loop.sleep(60)
            closing.deleting(name, function() loop.shield(loop.sleep, 60) end)
          end)
        end
        task.spawn(function() loop.sleep(0.05) say "there" end) -- said while the program waits
        loop.sleep(60)
      ]]
      assert.equal("there", child:line())
      child:signal "INT"
      assert.equal("deleting 3 sandboxes; Ctrl-C again leaves them", child:line())
      child:signal "INT"
      local names = child:rest():match "^left: sandboxes (.*)\n$"
      local list = {}
      for name in names:gmatch "[^, ]+" do list[#list + 1] = name end
      table.sort(list)
      assert.same({ "one", "three?", "two" }, list)
    end)

    -- 5.1 cannot name its main thread to a coroutine.
    if compat.pcall_yields then it("ends the wait of a coroutine", function()
      local path = hold_path()
      local child = run(([[
        local co = coroutine.create(fetch)
        say(coroutine.resume(co, %q))
      ]]):format(path))
      peer:wait(path)
      child:signal("INT")
      assert.matches("interrupted!", child:rest())
    end) end

    -- LuaJIT alone interrupts a coroutine.
    if compat.name == "luajit" then it("in a task that computes is for the program", function()
      local child = run [[
        local one
        say(pcall(function()
          one = task.spawn(function()
            loop.sleep(0.001)
            say("computing")
            while true do core.now() end
          end)
          one:wait()
        end))
        say(fetch("/ok"))
      ]]
      assert.equal("computing", child:line())
      child:signal("INT")
      assert.matches("^false .*interrupted!$", child:line())
      assert.equal("200", child:line())
      child:rest()
    end) end

    it("any other signal leaves a wait alone", function()
      local path = hold_path()
      local child = run(("say(fetch(%q))"):format(path))
      peer:wait(path)
      child:signal("CONT")
      child:signal("WINCH")
      peer:release(path)
      assert.equal("200\n", child:rest())
    end)
  end)
end)
