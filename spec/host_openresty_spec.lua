-- Calls in nginx with the Lua module, from requests, timers and tasks: a real
-- nginx with one worker, run as root and as a user who may do nothing.
--
-- Bars of time are the best of some rounds, and their commands those of a canned service:
-- starting 64 real ones takes the local server longer than the bar. `scripts/test
-- hosts` runs these specs.

local cqueues = require "cqueues"
local hosts = require "spec.support.hosts"
local nginx = require "spec.support.nginx"

local complaints = nginx.complaints

local INIT = [[
  daytona = require "daytona"
  loop = require "daytona.loop"
  driver = require "daytona.loop.driver.ngx"
  local made
  function box()
    made = made or assert(daytona.get(os.getenv "SANDBOX"))
    return made
  end
  function timer(fn)
    local semaphore = require("ngx.semaphore").new(0)
    local result
    ngx.timer.at(0, function() result = tostring(fn()) semaphore:post(1) end)
    semaphore:wait(20)
    return result
  end
  function while_wanted(fn)
    local task = daytona.spawn(fn)
    ngx.on_abort(function()
      task:cancel()
      task:wait()
      ngx.exit(499)
    end)
    task:wait()
  end
]]

local RUN = [[
  local result, err = box():exec("sleep 0.2; echo ran")
  ngx.print(result and result.result or tostring(err))
]]

-- Lines "name=value" about the worker.
local STATE = [[
  collectgarbage() collectgarbage()
  for name, value in pairs(loop.engine():stats()) do ngx.say(name, "=", value) end
  ngx.say("busy=", loop.busy() and 1 or 0)
  ngx.say("by=", driver.waits_by())
]]

-- A service whose commands take 200 ms, as another nginx plays it.
local SLOW = {
  http = "lua_need_request_body on;",
  locations = {
    box = [[location /api/ { content_by_lua_block {
      ngx.print('{"id":"canned","name":"canned","state":"started","toolboxProxyUrl":"http://127.0.0.1:'
        .. ngx.var.server_port .. '/toolbox"}')
    } }]],
    command = [[location /toolbox/ { content_by_lua_block {
      ngx.sleep(0.2)
      ngx.print('{"exitCode":0,"result":"ran\\n"}')
    } }]],
  },
}

local function state_of(server)
  local state = {}
  for name, value in server:get("/state"):gmatch "(%w+)=(%w+)" do state[name] = tonumber(value) or value end
  return state
end

local function repeated(path, n)
  local list = {}
  for i = 1, n do list[i] = path end
  return list
end

local function count(results, body)
  local n = 0
  for _, result in ipairs(results) do
    if result.status == 200 and result.body == body then n = n + 1 end
  end
  return n
end

local function bells()
  local pipe = io.popen('ls -d "${TMPDIR:-/tmp}"/daytona-bell-* 2>/dev/null | wc -l')
  local n = pipe:read "*n"
  pipe:close()
  return n
end

describe("in nginx #host", function()
  local stage

  setup(function() stage = hosts.stage() end)
  teardown(function() stage:close() end)

  local server

  local function start(opts)
    opts.env, opts.init = opts.env or stage:env { HOME = "/" }, (opts.init or INIT)
    opts.locations.state = STATE
    server = nginx.start(opts)
    return server
  end

  -- A moment for `hang_up`: when a command of this text runs.
  local function running(text)
    return function() assert(server:wait_until(function() return stage:is_running(text) end)) end
  end

  -- Also says why a spec failed.
  local function stop()
    local text = server:stop()
    server = nil
    return text
  end

  after_each(function()
    if server then io.stderr:write(stop():sub(-4000)) end
  end)

  describe("with a canned service", function()
    local service

    setup(function() service = nginx.start(SLOW) end)
    teardown(function() service:stop() end)

    for _, case in ipairs { { "doorbell" }, { "doorbell", "nobody nogroup" }, { "sleep" } } do
      local by, user = case[1], case[2]
      it(("64 requests run their commands side by side (%s, %s)"):format(by, user or "root"), function()
        if user and not nginx.nobody_reads() then return pending "nobody may not read this checkout" end
        start {
          user = user, init = INIT .. ("driver.use_doorbell(%s)"):format(by == "doorbell"), locations = { run = RUN },
          env = {
            DAYTONA_API_URL = "http://127.0.0.1:" .. service.port .. "/api", DAYTONA_API_KEY = "canned",
            SANDBOX = "canned",
          },
        }
        assert.equal("ran\n", (server:get "/run"))
        local met, words = hosts.meets(function()
          local slowest, from = 0, cqueues.monotime()
          local results = server:all(repeated("/run", 64), function()
            for _ = 1, 4 do
              cqueues.sleep(0.04)
              local _, _, seconds = server:ask "/plain"
              slowest = math.max(slowest, seconds)
            end
          end)
          local took = cqueues.monotime() - from
          assert.equal(64, count(results, "ran\n"), results[1].body)
          return took < 0.6 and slowest < 0.02, ("%.3f s, a plain request %.4f s"):format(took, slowest)
        end)
        local first = state_of(server)
        assert.equal(64, count(server:all(repeated("/run", 64)), "ran\n"))
        local after = state_of(server)
        hosts.judge(pending, met, words)
        assert.equal(by, after.by)
        assert.equal(first.connects, after.connects)
        assert.equal(0, after.busy)
        assert.equal(0, bells())
        assert.equal(by == "doorbell" and 2 or 1, server:usage(server:workers()[1]).threads)
        assert.equal("", complaints(stop()))
      end)
    end
  end)

  it("works in every phase that can wait, and in timers", function()
    start { locations = {
      phases = [[location = /phases {
        rewrite_by_lua_block { ngx.ctx.rewrite = box():exec("echo rewrite").result }
        access_by_lua_block { ngx.ctx.access = box():exec("echo access").result }
        content_by_lua_block {
          ngx.print(ngx.ctx.rewrite, ngx.ctx.access, box():exec("echo content").result)
          ngx.print(timer(function() return box():exec("echo timer").result end))
        } }]],
    } }
    assert.equal("rewrite\naccess\ncontent\ntimer\n", (server:get "/phases"))
    assert.equal("", complaints(stop()))
  end)

  it("says where waiting is impossible, and the way out", function()
    local try = [[
      local _, why = pcall(function() return box():exec("true") end)
      ngx.log(ngx.WARN, "said ", why, ";")
    ]]
    start {
      init = INIT .. "daytona.new {}" .. try, worker = try,
      locations = { out = ([[location = /out {
        set_by_lua_block $x { %s return "x" }
        header_filter_by_lua_block { %s }
        body_filter_by_lua_block { %s }
        log_by_lua_block { %s pcall(daytona.spawn, print) }
        content_by_lua_block { ngx.print(box():exec("echo fine").result) } }]]):format(try, try, try, try),
        sort = [[
          local _, why = pcall(table.sort, { 1, 2, 3 }, function() return box():exec("true") end)
          ngx.print(tostring(why), box():exec("echo then").result)
        ]],
      },
    }
    assert.equal("fine\n", (server:get "/out"))
    local why = server:get "/sort"
    assert.matches("a task cannot wait inside a function that C code calls", why)
    assert.matches("then\n$", why)
    assert.equal(0, state_of(server).busy)
    local log = stop()
    for phase, way in pairs {
      init = "init_worker_by_lua", init_worker = "ngx%.timer%.at", set = "ngx%.timer%.at",
      header_filter = "ngx%.timer%.at", body_filter = "ngx%.timer%.at", log = "ngx%.timer%.at",
    } do
      assert.matches(("cannot wait in nginx's phase '%s': [^;]*%s"):format(phase, way), log)
    end
    assert.equal("", complaints(log))
  end)

  it("an error that nobody catches is logged as what it is", function()
    local own = nginx.start {
      init = 'daytona = require "daytona"', env = { DAYTONA_API_KEY = "" },
      worker = 'ngx.timer.at(0, function() daytona.assert(daytona.create()) end)',
      locations = {
        plain_assert = "daytona.assert(daytona.create())",
        scope = "daytona.using({ close = function() end }, function() daytona.assert(daytona.create()) end)",
        caught = [[
          local _, err = pcall(function() daytona.assert(daytona.create()) end)
          ngx.say(err.kind)
        ]],
        nobody = "daytona.spawn(function() daytona.assert(daytona.create()) end):done()",
      },
    }
    for _, path in ipairs { "/plain_assert", "/scope" } do assert.equal(500, (select(2, own:get(path)))) end
    assert.equal("config\n", (own:get "/caught"))
    own:get "/nobody"
    local function is_told() return own:log():find "nobody waited for it: configure: no API key" ~= nil end
    assert.is_true(own:wait_until(is_told, 10))
    local log = own:stop()
    assert.is_nil(log:find "unknown reason")
    assert.equal(3, select(2, log:gsub("lua[%w ]* [%w ]*: runtime error: configure: no API key", "")))
  end)

  it("an engine that was made in init, before the fork, is made again", function()
    start { init = INIT .. "client = daytona.new {} old = loop.engine() old:fd()", locations = {
      run = [[
        local sb = assert(client:get(os.getenv "SANDBOX"))
        ngx.print(sb:exec("echo " .. tostring(old:is_ours()) .. tostring(loop.engine():is_ours())).result)
      ]],
    } }
    assert.equal("falsetrue\n", (server:get "/run"))
    assert.equal("", complaints(stop()))
  end)

  it("tasks run in the request that spawned them", function()
    start { locations = { tasks = [[
      local task = daytona.spawn(function(name)
        ngx.say(name, " ", ngx.var.uri, " ", box():exec("echo one").result)
        ngx.sleep(0.01)
        local inner = daytona.spawn(function() return box():exec("echo two").result end)
        ngx.say(inner:wait())
        return "returned"
      end, "task")
      ngx.say(task:done(), " ", task:wait())
      local list = daytona.map({ 1, 2, 3 }, function(i) return box():exec("sleep 0.05; echo " .. i).result end)
      ngx.say(list[1], list[2], list[3])
      local sleeper = daytona.spawn(function() return daytona.sleep(100) end)
      ngx.say(select(2, sleeper:wait(0.01)).kind)
      sleeper:cancel()
      ngx.say(select(2, sleeper:wait()).kind)
      local failed = daytona.spawn(function() error "of the task" end)
      ngx.say(select(2, failed:wait()).traceback)
      local other = coroutine.wrap(function() coroutine.yield(box():exec("echo generated").result) end)
      ngx.say(other())
      local n = 0
      for _ = 1, 500 do daytona.spawn(function() daytona.sleep(0) n = n + 1 end):wait() end
      ngx.say(n)
    ]] } }
    local body = server:get "/tasks"
    for _, pattern in ipairs {
      "^task /tasks one\n", "\nfalse", "two\n", "returned\n", "1\n2\n3\n", "timeout\ncanceled\n",
      "of the task\nstack traceback:.*nginx%.conf", "generated\n", "\n500\n$",
    } do assert.matches(pattern, body) end
    assert.equal("", complaints(stop()))
  end)

  it("a client that hangs up stops its command", function()
    start { locations = {
      call = [[ box():exec("sleep 1101") ]],
      task = [[ daytona.spawn(function() box():exec("sleep 1101") end):wait() ]],
      abort = [[ while_wanted(function() return box():exec("sleep 1101") end) ]],
      sleep = "daytona.sleep(1000)",
    } }
    for _, path in ipairs { "/call", "/task", "/abort" } do
      server:all({}, function() server:hang_up(path, running "sleep 1101") end)
      assert.is_true(server:wait_until(function() return not stage:is_running "sleep 1101" end), path)
    end
    server:all({}, function() server:hang_up("/sleep", 0.1) end)
    assert.is_true(server:wait_until(function() return state_of(server).busy == 0 end))
    assert.equal("", complaints(stop()))
  end)

  it("a client that hangs up ends its job, its session and its terminal", function()
    start { locations = {
      popen = [[ while_wanted(function()
        daytona.using(assert(box():popen("sleep 1104")), function(job) job:read() end)
      end) ]],
      follow = [[ while_wanted(function()
        daytona.using(assert(box():session()), function(session)
          assert(session:exec("sleep 1104", { async = true })):follow():read()
        end)
      end) ]],
      pty = [[ while_wanted(function()
        daytona.using(assert(box():pty()), function(pty)
          assert(pty:write "sleep 1104\r")
          repeat until not pty:read()
        end)
      end) ]],
    } }
    local sandbox = stage.sandbox
    for _, path in ipairs { "/popen", "/follow", "/pty" } do
      server:all({}, function() server:hang_up(path, running "sleep 1104") end)
      assert.is_true(server:wait_until(function()
        local left = #assert(sandbox:jobs()) + #assert(sandbox:sessions()) + #assert(sandbox:ptys())
        return left == 0 and not stage:is_running "sleep 1104"
      end), path)
    end
    assert.is_true(server:wait_until(function() return state_of(server).busy == 0 end))
    assert.equal("", complaints(stop()))
  end)

  it("a job's lines reach the client as they are printed, while others are served", function()
    start { locations = { lines = [[
      local job = assert(box():popen "echo one; until [ -e go ]; do sleep 0.02; done; echo two")
      for line in job:lines() do
        ngx.say(line)
        ngx.flush(true)
      end
      ngx.say((select(2, job:close())))
    ]] } }
    local lines = {}
    server:stream("/lines", "", function(line)
      if not line:find "^%l+$" or line:find "^[%x]+$" then return end -- the head, and sizes of chunks
      lines[#lines + 1] = line
      if line ~= "one" then return end
      assert.equal("plain", (server:get "/plain"))
      assert(stage.sandbox:exec "touch go")
    end)
    assert(stage.sandbox:exec "rm go")
    assert.same({ "one", "two", "exit" }, lines)
    assert.equal("", complaints(stop()))
  end)

  it("much live output in many requests never keeps the others waiting for long", function()
    start { init = INIT .. hosts.FLOOD .. [[
      read = flood
      function watch()
        local longest = 0
        watching = true
        held()
        while watching do
          ngx.sleep(0.005)
          longest = math.max(longest, held())
        end
        return longest
      end
    ]], locations = {
      follow = "ngx.print(tostring(read 'follow'))",
      lines = "ngx.print(tostring(read 'lines'))",
      watch = "ngx.print(watch())",
      stop = "watching = false",
    } }
    local met, words = hosts.meets(function()
      local longest
      server:all({}, function()
        cqueues.running():wrap(function() longest = tonumber((server:ask "/watch")) end)
        local paths = repeated("/follow", 3)
        for _ = 1, 3 do paths[#paths + 1] = "/lines" end
        assert.equal(6, count(server:all(paths), "true"))
        server:ask "/stop"
      end)
      return longest < 0.05, ("%.1f ms"):format(longest * 1e3)
    end)
    hosts.judge(pending, met, words)
    assert.equal("", complaints(stop()))
  end)

  it("requests share a terminal: one shows what it prints, others type", function()
    start { locations = {
      screen = [[
        terminal = assert(box():pty { cols = 77, rows = 11 })
        for chunk in terminal:chunks() do
          ngx.print(chunk)
          ngx.flush(true)
        end
        ngx.say("ended with ", terminal.exit_code)
      ]],
      type = [[
        if not terminal then return ngx.exit(404) end
        assert(terminal:write(ngx.unescape_uri(ngx.var.query_string)))
        ngx.print("typed")
      ]],
    } }
    local screen = ""
    local function shows(text) return function() return screen:find(text, 1, true) end end
    server:all({}, function()
      cqueues.running():wrap(function()
        server:stream("/screen", "", function(line) screen = screen .. line .. "\n" end)
      end)
      assert(server:wait_until(function() return server:ask "/type?stty%20size%0D" == "typed" end))
      assert(server:wait_until(shows "11 77"), screen)
      assert.equal("typed", (server:ask "/type?exit%204%0D"))
      assert(server:wait_until(shows "ended with 4"), screen)
    end)
    assert.same({}, assert(stage.sandbox:ptys()))
    assert.equal("", complaints(stop()))
  end)

  it("a light thread that is killed loses its call, the others theirs not", function()
    start { locations = { kill = [[
      local mine = ngx.thread.spawn(function() box():exec("sleep 1102") end)
      local other = ngx.thread.spawn(function() return box():exec("sleep 1; echo other").result end)
      ngx.sleep(0.1)
      ngx.thread.kill(mine)
      ngx.print(select(2, ngx.thread.wait(other)))
      ngx.print(box():exec("echo after").result)
    ]] } }
    assert.equal("other\nafter\n", (server:get "/kill"))
    assert.is_true(server:wait_until(function() return not stage:is_running "sleep 1102" end))
    assert.equal("", complaints(stop()))
  end)

  it("a reload under load loses no request and leaves nothing behind", function()
    start { locations = { run = RUN } }
    local old = server:workers()[1]
    local more
    local results = server:all(repeated("/run", 64), function()
      cqueues.sleep(0.05)
      server:signal "HUP"
      cqueues.sleep(0.1)
      more = server:ask "/run"
    end)
    assert.equal(64, count(results, "ran\n"))
    assert.equal("ran\n", more)
    assert.is_true(server:wait_until(function() return #server:workers() == 1 end), "the old worker is still there")
    local new = server:workers()[1]
    assert.is_true(new ~= old)
    for _ = 1, 5 do
      local pid = server:workers()[1]
      server:get "/run"
      server:signal "HUP"
      -- An idle worker leaves at once, its doorbell with it.
      assert.is_true(server:wait_until(function()
        local list = server:workers()
        return #list == 1 and list[1] ~= pid
      end))
    end
    assert.equal(0, bells())
    assert.equal("", complaints(stop()))
  end)

  it("goes on, slowly, where all timers are taken", function()
    start { http = "lua_max_running_timers 2;", locations = { taken = [[
      for _ = 1, 2 do ngx.timer.at(0, function() ngx.sleep(4) end) end
      ngx.sleep(0.05)
      ngx.print(box():exec("echo slowly").result)
    ]] } }
    assert.equal("slowly\n", (server:get "/taken"))
    stop()
  end)

  it("nothing wakes it while nothing is in flight", function()
    start { locations = { run = RUN } }
    server:get "/run"
    local pid = server:workers()[1]
    local function switches()
      local n = 0
      for line in io.popen(("cat /proc/%d/task/*/status"):format(pid)):lines() do
        n = n + (tonumber(line:match "^voluntary_ctxt_switches:%s*(%d+)") or 0)
      end
      return n
    end
    cqueues.sleep(0.8) -- nginx's sockets are kept ready for half a second
    local before = switches()
    cqueues.sleep(1)
    assert.equal(0, switches() - before)
    stop()
  end)

  it("ends cleanly with work in flight", function()
    start { locations = { run = RUN } }
    local results = server:all(repeated("/run", 8), function()
      server:wait_until(function() return state_of(server).started >= 9 end) -- the sandbox, its commands
      server:signal "QUIT"
    end)
    assert.equal(8, count(results, "ran\n"))
    local log = stop()
    assert.equal("", complaints(log))
    assert.is_nil(log:find "exited on signal")
    assert.equal(0, bells())
  end)
end)

describe("the example for OpenResty #host", function()
  local stage, server

  setup(function()
    stage = hosts.stage()
    server = nginx.start {
      config = "examples/openresty/nginx.conf", prefix = "examples/openresty", env = stage:env { HOME = "/" },
    }
  end)
  teardown(function()
    if server then server:stop() end
    stage:close()
  end)

  local function sandboxes()
    local n = -1 -- the stage's own
    for sb in stage.client:each() do
      if sb.state ~= "destroying" then n = n + 1 end
    end
    return n
  end

  it("runs what is posted", function()
    local body, status = server:get("/run", "import sys\nprint(6 * 7)\nprint('it\\'s', file=sys.stderr)")
    assert.equal(200, status)
    assert.matches("42\n", body)
    assert.matches("it's\n", body)
    assert.equal("[exit 3]\n", (server:get("/run", "raise SystemExit(3)")))
    assert.equal(1, sandboxes())
  end)

  it("says how it is used", function()
    for _, path in ipairs { "/run", "/agent" } do
      local body, status = server:get(path)
      assert.equal(405, status)
      assert.matches("This wants a POST%. Try\n\n  curl %-N .*" .. path .. "\n$", body)
    end
    local body, status = server:get "/"
    assert.equal(200, status)
    assert.matches("@program.py http://127.0.0.1:%d+/run\n", body)
  end)

  it("streams what a program prints", function()
    local words = {}
    server:stream("/run", [[
import os, time
print('a')
while not os.path.exists('go'): time.sleep(0.02)
print('b')]], function(text)
      words[#words + 1] = text:match "^[ab]$"
      if text ~= "a" then return end
      for sb in stage.client:each() do assert(assert(stage.client:get(sb.id)):exec "touch go") end
    end)
    assert.same({ "a", "b" }, words)
  end)

  it("runs more programs than there are sandboxes", function()
    local n = 0
    server:all({}, function()
      for i = 1, 8 do
        cqueues.running():wrap(function()
          if server:ask("/run", "print(" .. i .. ")") == i .. "\n" then n = n + 1 end
        end)
      end
    end)
    assert.equal(8, n)
    assert.is_true(sandboxes() <= 4)
  end)

  it("stops the program of a client that hangs up, and goes on", function()
    assert.equal("first\n", (server:get("/run", "print('first')")))
    local before = sandboxes()
    server:all({}, function()
      server:hang_up("/run", 1.5, "import time\ntime.sleep(1103)")
    end)
    assert.is_true(server:wait_until(function() return sandboxes() == before - 1 end, 10))
    assert.equal("fine\n", (server:get("/run", "print('fine')")))
  end)

  it("leaves no sandbox when the server ends", function()
    local log = server:stop()
    server = nil
    assert.equal("", complaints(log))
    assert.is_true(nginx.wait_until(nil, function() return sandboxes() == 0 end))
  end)

  it("leaves none when it is stopped while a program runs", function()
    server = nginx.start {
      config = "examples/openresty/nginx.conf", prefix = "examples/openresty", env = stage:env { HOME = "/" },
    }
    assert.equal("1\n", (server:get("/run", "print(1)")))
    server:stream("/run", "import time\nprint('runs', flush=True)\ntime.sleep(1104)", function(text)
      if text == "runs\n" then server:signal "TERM" end
    end)
    local log = server:stop()
    server = nil
    assert.equal("", complaints(log))
    assert.equal(0, sandboxes())
  end)
end)
