-- Neovim, headless: calls in tasks never hold the editor up.
--
-- Bars of time are the best of some rounds; `scripts/test hosts` runs these specs.

local hosts = require "spec.support.hosts"

describe("in Neovim #host", function()
  local stage

  setup(function() stage = hosts.stage() end)
  teardown(function() stage:close() end)

  it("50 commands of 200 ms at once take under 0.6 s, and no timer is late by 20 ms", function()
    local met, words = hosts.meets(function()
      local said = stage:run("neovim", [[
        local late, last = 0, uv.hrtime()
        local timer = uv.new_timer()
        timer:start(10, 10, function()
          local now = uv.hrtime()
          late = math.max(late, (now - last) / 1e6 - 10)
          last = now
        end)
        daytona.spawn(function()
          local sb = assert(daytona.get(vim.env.SANDBOX))
          assert(sb:exec("true"))
          local list = {}
          for i = 1, 50 do list[i] = i end
          late = 0
          local start = loop.now()
          assert(daytona.map(list, function(i)
            assert(sb:exec("sleep 0.2", { check = true }))
            vim.api.nvim_buf_set_lines(0, -1, -1, true, { "command " .. i })
            return i
          end))
          say("took", loop.now() - start)
          say("late", late)
          say("lines", vim.api.nvim_buf_line_count(0))
          say("driver", (daytona.driver()))
          vim.cmd "qa!"
        end)
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal("uv", said.driver)
      assert.equal(51, said.lines)
      return said.took < 0.6 and said.late <= 20, ("%.3f s, %.1f ms late"):format(said.took, said.late)
    end)
    hosts.judge(pending, met, words)
  end)

  it("much live output in many tasks never holds the editor up for 20 ms", function()
    local met, words = hosts.meets(function()
      local said = stage:run("neovim", hosts.FLOOD .. [[
        local longest = 0
        uv.new_timer():start(10, 10, function() longest = math.max(longest, held()) end)
        daytona.spawn(function()
          say("read", daytona.map({ "follow", "lines", "follow", "lines", "follow", "lines" }, flood))
          say("longest", longest)
          vim.cmd "qa!"
        end)
      ]])
      assert.equal(0, said.exit, said.text)
      assert.matches("^table", said.read)
      return said.longest < 0.02, ("%.1f ms between two moments 10 ms apart"):format(said.longest * 1e3)
    end)
    hosts.judge(pending, met, words)
  end)

  it("outside tasks a call blocks, and a fast event refuses it with a way out", function()
    local said = stage:run("neovim", [[
      local sb = assert(daytona.get(vim.env.SANDBOX))
      say("main", sb:exec("echo main").result)
      local fast = uv.new_timer()
      fast:start(0, 0, function()
        say("fast", select(2, pcall(sb.exec, sb, "true")))
        daytona.spawn(function()
          say("task", sb:exec("echo task").result)
          say("may_use_api", not vim.in_fast_event())
          vim.cmd "qa!"
        end)
      end)
    ]])
    assert.equal(0, said.exit, said.text)
    assert.equal("main", said.main)
    assert.matches("fast event", said.fast)
    assert.matches("daytona.spawn", said.fast)
    assert.equal("task", said.task)
    assert.equal("true", said.may_use_api)
  end)

  it("a task that fails while nobody waits for it is told in a message, once", function()
    local said = stage:run("neovim", [[
      local told = 0
      vim.notify = function(text, level)
        told = told + 1
        say("text", text)
        say("level", level == vim.log.levels.ERROR)
        vim.defer_fn(function()
          say("times", told)
          vim.cmd "qa!"
        end, 100)
      end
      daytona.spawn(function() error("lost", 0) end)
      vim.defer_fn(function() vim.cmd "cq" end, 20000)
    ]])
    assert.equal(0, said.exit, said.text)
    assert.equal("true", said.level)
    assert.equal(1, said.times)
    assert.matches("a task failed, and nobody waited for it: lost", said.text)
  end)

  it("cancelling a task stops its command in the sandbox", function()
    local said = stage:run("neovim", [[
      local one = daytona.spawn(function()
        local sb = assert(daytona.get(vim.env.SANDBOX))
        local _, err = sb:exec("touch begun; sleep 1001")
        say("kind", err.kind)
      end)
      daytona.spawn(function()
        local sb = assert(daytona.get(vim.env.SANDBOX))
        while not sb.fs:exists("begun") do daytona.sleep(0.02) end
        one:cancel()
        one:wait()
        vim.cmd "qa!"
      end)
    ]])
    assert.equal(0, said.exit, said.text)
    assert.equal("canceled", said.kind)
    assert.is_false(stage:is_running("sleep 1001"))
  end)

  it(":qa in the middle is clean: tasks may clean up, commands are stopped", function()
    local said = stage:run("neovim", [[
      daytona.spawn(function()
        local sb = assert(daytona.get(vim.env.SANDBOX))
        local _, err = sb:exec("sleep 1002")
        say("kind", err.kind)
      end)
      daytona.spawn(function()
        local sb = assert(daytona.get(vim.env.SANDBOX))
        assert(sb:exec("while ! pgrep -x sleep; do sleep 0; done"))
        say("leaving", uv.hrtime())
        vim.schedule(function() vim.cmd "qa" end)
      end)
      vim.api.nvim_create_autocmd("VimLeave", { callback = function() say("left", uv.hrtime()) end })
    ]])
    assert.equal(0, said.exit, said.text)
    assert.equal("canceled", said.kind)
    assert.is_true((said.left - said.leaving) / 1e9 < 2, said.text)
    assert.is_false(stage:is_running("sleep 1002"))
  end)

  it("nothing is registered with the editor while nothing is in flight", function()
    local said = stage:run("neovim", [[
      local handles = {}
      for _, name in ipairs { "new_poll", "new_timer", "new_async", "new_idle" } do
        local make = uv[name]
        uv[name] = function(...)
          handles[#handles + 1] = make(...)
          return handles[#handles]
        end
      end
      local function active()
        local n = 0
        for _, handle in ipairs(handles) do
          if not handle:is_closing() and handle:is_active() then n = n + 1 end
        end
        return n
      end
      local function switches()
        for line in io.lines "/proc/self/status" do
          local n = line:match("^voluntary_ctxt_switches:%s*(%d+)")
          if n then return tonumber(n) end
        end
      end
      daytona.spawn(function()
        local sb = assert(daytona.get(vim.env.SANDBOX))
        daytona.spawn(function() sb:exec("true") end)
        say("busy", active())
        vim.defer_fn(function()
          say("handles", active())
          local steps, woken = loop.engine():stats().steps, switches()
          local timer = uv.new_timer()
          timer:start(500, 0, function()
            say("steps", loop.engine():stats().steps - steps)
            say("woken", switches() - woken)
            vim.schedule(function() vim.cmd "qa!" end)
          end)
        end, 100)
      end)
    ]])
    assert.equal(0, said.exit, said.text)
    assert.is_true(said.busy > 0)
    assert.equal(0, said.handles)
    assert.equal(0, said.steps)
    assert.is_true(said.woken <= 2, said.text) -- the measuring timer's own, and its end
  end)

  it("JSON is Neovim's own where lua-cjson is missing", function()
    local said = stage:run("neovim", [[
      say("result", assert(daytona.get(vim.env.SANDBOX)):exec("echo '\"\\195\\164\"'").result)
      say("cjson", package.loaded.cjson)
      vim.cmd "qa!"
    ]], { LUA_CPATH = "/nowhere/?.so" })
    assert.equal(0, said.exit, said.text)
    assert.equal('"\\195\\164"', said.result)
    assert.equal("nil", said.cjson)
  end)

  -- The text of the buffer that a command opened.
  local SHOW = [[
    vim.cmd(COMMAND)
    say("text", (table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "|")))
    vim.cmd "qa!"
  ]]

  it(":checkhealth daytona says what is there, and what is missing", function()
    local said = stage:run("neovim", 'local COMMAND = "checkhealth daytona"' .. SHOW)
    assert.equal(0, said.exit, said.text)
    for _, words in ipairs {
      "Lua: LuaJIT", "C module: .*build/.*luajit/daytona/core.so", "libcurl/%d+%.%d+", "JSON: ",
      "driver: uv %(this is Neovim%)", "credentials: present", "server: http://.* answers",
    } do assert.matches("OK:? [^|]*" .. words, said.text) end -- newer ones write no colon
    assert.is_nil(said.text:find(stage.server.api_key, 1, true))
    said = stage:run("neovim", 'local COMMAND = "checkhealth daytona"' .. SHOW, {
      DAYTONA_API_KEY = "", DAYTONA_API_URL = "",
    })
    assert.matches("WARNING:? credentials: no API key", said.text)
    said = stage:run("neovim", 'local COMMAND = "checkhealth daytona"' .. SHOW, {
      DAYTONA_API_URL = "http://127.0.0.1:1/api",
    })
    assert.matches("ERROR:? server: .*connection", said.text)
  end)

  -- As `luarocks make` for another Lua leaves one in the checkout.
  it(":checkhealth daytona names the C module that is used, not one of another Lua before it", function()
    local folder = stage.dir .. "/stranger"
    local source = "int lua_of_another(void); int luaopen_daytona_core(void) { return lua_of_another(); }"
    os.execute(("mkdir -p '%s/daytona' && echo '%s' | ${CC:-cc} -shared -fPIC -x c -o '%s/daytona/core.so' -")
      :format(folder, source, folder))
    local said = stage:run("neovim", 'local COMMAND = "checkhealth daytona"' .. SHOW, { LUA_CPATH = folder .. "/?.so" })
    assert.equal(0, said.exit, said.text)
    assert.matches("OK:? C module: [^|]*build/[^|]*luajit/daytona/core.so", said.text)
  end)

  it(":help daytona opens the manual", function()
    os.execute(("mkdir -p '%s/manual' && cp -r doc '%s/manual/'"):format(stage.dir, stage.dir))
    local said = stage:run("neovim", [[
      local COMMAND = "help daytona.Sandbox:exec()"
      vim.opt.runtimepath:append(vim.env.STAGE .. "/manual")
      vim.cmd("helptags " .. vim.env.STAGE .. "/manual/doc")
    ]] .. SHOW)
    assert.equal(0, said.exit, said.text)
    assert.matches("Runs a command in the sandbox's shell", said.text)
  end)
end)
