-- Programs on cqueues, lua-http servers among them: a call suspends its thread.
--
-- Bars of time are the best of some rounds; `scripts/test hosts` runs these specs.

local hosts = require "spec.support.hosts"

for _, host in ipairs { "cqueues", "cqueues-luajit" } do
  describe("in a program on " .. host .. " #host", function()
    local stage

    setup(function() stage = hosts.stage() end)
    teardown(function() stage:close() end)

    it("200 commands in 8 threads take the ideal time and a tenth", function()
      local met, words = hosts.meets(function()
        local said = stage:run(host, [[
          local sb = assert(daytona.get(os.getenv "SANDBOX")) -- blocks: no thread yet
          local controller = cqueues.new()
          local taken, finished, ticks = 0, 0, 0
          local start = loop.now()
          for _ = 1, 8 do
            controller:wrap(function()
              while taken < 200 do
                taken = taken + 1
                assert(sb:exec("sleep 0.2", { check = true }))
                finished = finished + 1
              end
            end)
          end
          controller:wrap(function()
            while finished < 200 do cqueues.sleep(0.01) ticks = ticks + 1 end
          end)
          assert(controller:loop())
          say("took", loop.now() - start)
          say("finished", finished)
          say("ticks", ticks)
          say("driver", (daytona.driver()))
        ]])
        assert.equal(0, said.exit, said.text)
        assert.equal(200, said.finished)
        assert.equal("cqueues", said.driver)
        assert.is_true(said.ticks > 100, said.text)
        return said.took <= 5 * 1.1, ("%.3f s instead of 5"):format(said.took)
      end)
      hosts.judge(pending, met, words)
    end)

    it("tasks, gather and sleep work inside threads, and background tasks keep the loop alive", function()
      local said = stage:run(host, [[
        local controller = cqueues.new()
        controller:wrap(function()
          local sb = assert(daytona.get(os.getenv "SANDBOX"))
          local both = assert(daytona.gather {
            function() return sb:exec("echo a").result end,
            function() daytona.sleep(0.05) return sb:exec("echo b").result end,
          })
          say("both", (table.concat(both):gsub("\n", " ")))
          daytona.spawn(function()
            daytona.sleep(0.05)
            say("background", sb:exec("echo c").result)
          end)
        end)
        say("loop", controller:loop())
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal("a b ", said.both)
      assert.equal("c", said.background)
      assert.equal("true", said.loop)
    end)

    it("several controllers, nested and side by side, share one engine", function()
      local said = stage:run(host, [[
        local sb = assert(daytona.get(os.getenv "SANDBOX"))
        local outer, inner, other = cqueues.new(), cqueues.new(), cqueues.new()
        outer:wrap(function() say("outer", sb:exec("sleep 0.2; echo 1").result) end)
        outer:wrap(function()
          inner:wrap(function() say("inner", sb:exec("sleep 0.1; echo 2").result) end)
          assert(inner:loop())
          say("inner_ended", true)
        end)
        other:wrap(function() say("other", sb:exec("sleep 0.3; echo 3").result) end)
        other:step(0)                      -- begun, then left alone for a while
        assert(outer:loop())
        assert(other:loop())
        local again = cqueues.new()
        again:wrap(function() say("again", sb:exec("echo 4").result) end)
        assert(again:loop())
      ]])
      assert.equal(0, said.exit, said.text)
      assert.same({ 1, 2, "true", 3, 4 }, { said.outer, said.inner, said.inner_ended, said.other, said.again })
    end)

    it("nothing wakes it while nothing is in flight", function()
      local said = stage:run(host, [[
        local function switches()
          for line in io.lines "/proc/self/status" do
            local n = line:match("^voluntary_ctxt_switches:%s*(%d+)")
            if n then return tonumber(n) end
          end
        end
        local controller = cqueues.new()
        controller:wrap(function()
          local sb = assert(daytona.get(os.getenv "SANDBOX"))
          assert(sb:exec("true"))
          cqueues.sleep(0.05)
          local woken, steps = switches(), loop.engine():stats().steps
          cqueues.sleep(0.5)
          say("woken", switches() - woken)
          say("steps", loop.engine():stats().steps - steps)
        end)
        assert(controller:loop())
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal(0, said.steps)
      assert.is_true(said.woken <= 1, said.text) -- at the end of the sleep
    end)

    it("an error of a callback comes out of the controller's loop", function()
      local said = stage:run(host, [[
        local sb = assert(daytona.get(os.getenv "SANDBOX"))
        local controller = cqueues.new()
        controller:wrap(function()
          daytona.callback(sb.exec)(sb, "true", function() error("of the callback") end)
        end)
        say("error", (select(2, controller:loop())))
        controller:wrap(function() say("then", sb:exec("echo fine").result) end)
        assert(controller:loop())
      ]])
      assert.matches("of the callback", said.error)
      assert.equal("fine", said["then"], said.text)
    end)

    it("ends cleanly with work in flight", function()
      for _, ending in ipairs { "os.exit(0, true)", "os.exit(0)", "" } do
        local said = stage:run(host, [[
          local controller = cqueues.new()
          controller:wrap(function() assert(daytona.get(os.getenv "SANDBOX")):exec("sleep 1") end)
          controller:step(0)
          controller:loop(0.1)
        ]] .. ending)
        assert.equal(0, said.exit, ending .. said.text)
      end
    end)
  end)
end

describe("in a server on lua-http #host", function()
  local stage

  setup(function() stage = hosts.stage() end)
  teardown(function() stage:close() end)

  it("requests that run commands are served side by side", function()
    local met, words = hosts.meets(function()
      local said = stage:run("cqueues-luajit", [[
        local server, headers = require "http.server", require "http.headers"
        local request = require "http.request"
        local sb = assert(daytona.get(os.getenv "SANDBOX"))
        local controller = cqueues.new()
        local listener = assert(server.listen {
          host = "127.0.0.1", port = 0, cq = controller,
          onstream = function(_, stream)
            stream:get_headers()
            local answer = headers.new()
            answer:append(":status", "200")
            stream:write_headers(answer, false)
            stream:write_chunk(sb:exec("sleep 0.2; echo served").result, true)
          end,
        })
        assert(listener:listen())
        local _, _, port = listener:localname()
        local left, start = 10, loop.now()
        for _ = 1, 10 do
          controller:wrap(function()
            local _, stream = assert(request.new_from_uri("http://127.0.0.1:" .. port .. "/"):go())
            assert(stream:get_body_as_string() == "served\n")
            left = left - 1
            if left == 0 then
              say("took", loop.now() - start)
              listener:close()
            end
          end)
        end
        assert(controller:loop())
      ]])
      assert.equal(0, said.exit, said.text)
      return said.took < 1, ("%.3f s, one after the other 2 s"):format(said.took)
    end)
    hosts.judge(pending, met, words)
  end)
end)
