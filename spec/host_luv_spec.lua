-- Programs on luv: tasks go on inside uv.run(), beside the program's own work.
--
-- Bars of time are the best of some rounds; `scripts/test hosts` runs these specs.

local hosts = require "spec.support.hosts"

for _, host in ipairs { "luv", "luv-luajit" } do
  describe("in a program on " .. host .. " #host", function()
    local stage

    setup(function() stage = hosts.stage() end)
    teardown(function() stage:close() end)

    it("200 commands, 8 at a time, take the ideal time and a tenth, and uv.run ends", function()
      local met, words = hosts.meets(function()
        local said = stage:run(host, [[
          local ticks = 0
          local timer = uv.new_timer()
          timer:start(10, 10, function() ticks = ticks + 1 end)
          daytona.spawn(function()
            local sb = assert(daytona.get(os.getenv "SANDBOX"))
            local list = {}
            for i = 1, 200 do list[i] = "sleep 0.2" end
            local start = loop.now()
            local results = assert(daytona.map(list, function(command)
              return sb:exec(command, { check = true })
            end, { concurrency = 8 }))
            say("took", loop.now() - start)
            say("results", #results)
            timer:close()
          end)
          uv.run()
          say("ticks", ticks)
          say("driver", (daytona.driver()))
        ]])
        assert.equal(0, said.exit, said.text)
        assert.equal(200, said.results)
        assert.equal("uv", said.driver)
        assert.is_true(said.ticks > 100, said.text)
        return said.took <= 5 * 1.1, ("%.3f s instead of 5"):format(said.took)
      end)
      hosts.judge(pending, met, words)
    end)

    it("calls outside tasks block, also inside a callback of uv.run", function()
      local said = stage:run(host, [[
        local sb = assert(daytona.get(os.getenv "SANDBOX"))
        say("driver", (daytona.driver()))
        say("before", sb:exec("echo before").result)
        local timer = uv.new_timer()
        timer:start(1, 0, function()
          say("inside", sb:exec("echo inside").result)
          timer:close()
        end)
        uv.run()
        say("after", sb:exec("echo after").result)
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal("uv", said.driver)
      assert.same({ "before", "inside", "after" }, { said.before, said.inside, said.after })
    end)

    it("an error of a callback is luv's to report, and the other tasks go on", function()
      local said = stage:run(host, [[
        local sb = assert(daytona.get(os.getenv "SANDBOX"))
        daytona.callback(sb.exec)(sb, "true", function() error("of the callback") end)
        daytona.spawn(function() say("other", sb:exec("sleep 0.1; echo went on").result) end)
        say("run", (select(2, pcall(uv.run))))
        pcall(uv.run)
      ]])
      assert.matches("of the callback", said.text)
    end)

    it("nothing wakes it while nothing is in flight", function()
      local said = stage:run(host, [[
        local function switches()
          for line in io.lines "/proc/self/status" do
            local n = line:match("^voluntary_ctxt_switches:%s*(%d+)")
            if n then return tonumber(n) end
          end
        end
        daytona.spawn(function()
          local sb = assert(daytona.get(os.getenv "SANDBOX"))
          assert(sb:exec("true"))
        end)
        uv.run()
        say("active", tostring(uv.loop_alive()))
        local timer, woken, steps = uv.new_timer(), nil, nil
        timer:start(50, 0, function()
          woken, steps = switches(), loop.engine():stats().steps
          timer:start(500, 0, function()
            say("woken", switches() - woken)
            say("steps", loop.engine():stats().steps - steps)
            timer:close()
          end)
        end)
        uv.run()
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal("false", said.active)
      assert.equal(0, said.steps)
      assert.is_true(said.woken <= 1, said.text) -- by the timer that measures
    end)

    if host == "luv-luajit" then
      it("the child of a fork blocks, and does not disturb its parent", function()
        local said = stage:run(host, [[
          local ffi = require "ffi"
          ffi.cdef "int fork(void); void _exit(int); int waitpid(int, int *, int);"
          local sb = assert(daytona.get(os.getenv "SANDBOX"))
          daytona.spawn(function() say("parent", sb:exec("sleep 0.3; echo 1").result) end)
          local timer = uv.new_timer()
          timer:start(50, 0, function()
            timer:close()
            local pid = ffi.C.fork()
            if pid == 0 then
              say("child", sb:exec("echo 2").result)
              collectgarbage()
              collectgarbage()
              ffi.C._exit(0)
            end
            ffi.C.waitpid(pid, nil, 0)
          end)
          uv.run()
        ]])
        assert.equal(0, said.exit, said.text)
        assert.same({ 1, 2 }, { said.parent, said.child })
      end)
    end

    it("ends cleanly with work in flight", function()
      for _, ending in ipairs { "os.exit(0, true)", "os.exit(0)", "" } do
        local said = stage:run(host, [[
          daytona.spawn(function() assert(daytona.get(os.getenv "SANDBOX")):exec("sleep 1") end)
          local timer = uv.new_timer()
          timer:start(100, 0, function() uv.stop() end)
          uv.run()
        ]] .. ending)
        assert.equal(0, said.exit, ending .. said.text)
      end
    end)

    it("what was asked ahead of a job that nobody reads on lets uv.run end", function()
      local said = stage:run(host, [[
        local job
        daytona.spawn(function()
          local sb = assert(daytona.get(os.getenv "SANDBOX"))
          job = assert(sb:popen "for i in $(seq 30); do echo $i; sleep 0.01; done; sleep 100")
          for i = 1, 30 do assert(job:read() == tostring(i)) end
          say("ahead", job.stdout.ahead ~= nil)
        end)
        uv.run()
        say("busy", loop.busy())
        local ahead = job.stdout.ahead
        say("under_way", not ahead.asks[ahead.taken]:done())
        assert(job:kill())
        say("ended", job:wait().reason)
      ]])
      assert.equal(0, said.exit, said.text)
      assert.same({ "true", "false", "true", "canceled" }, { said.ahead, said.busy, said.under_way, said.ended })
    end)

    it("what listens to events lets uv.run end, and sleeps meanwhile", function()
      local slow = hosts.stage { time_scale = 0.1 } -- waits are long enough to listen
      local said = slow:run(host, [[
        local client = assert(daytona.client())
        local over
        daytona.spawn(function()
          local sb = assert(client:create())
          assert(sb:stop())
          assert(sb:delete())
          say("live", client._stream.live)
          over = loop.now()
        end)
        uv.run()
        say("after", loop.now() - over)
      ]])
      slow:close()
      assert.equal(0, said.exit, said.text)
      assert.equal("true", said.live, said.text)
      assert.is_true(said.after < 2, said.text)
    end)
  end)
end
