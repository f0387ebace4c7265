-- Ctrl-C in a program that uses sandboxes of the local server: what it began
-- over there ends too.

local daytona = require "daytona"
local Child = require "spec.support.child"
local compat = require "daytona.base.compat"
local nap = require "spec.support.nap"

local service, box

setup(function()
  service = require("spec.support.service").start { time_scale = 20 }
  box = assert(service.client:create())
end)

teardown(function() service:stop() end)

before_each(function() assert(service.server:clear_faults()) end)

local CONNECT = [[
  local daytona = require "daytona"
  local url, key, id = ARG:match("^(%S+) (%S+) (%S+)$")
  local client = assert(daytona.new { api_url = url, api_key = key })
  local box = client:attach(id)
]]

local function run(program)
  local server = service.server
  return Child.start(CONNECT .. program, server.api_url .. " " .. server.api_key .. " " .. box.id)
end

local function eventually(condition)
  for _ = 1, 100 do
    if condition() then return true end
    daytona.sleep(0.05)
  end
  return false
end

local function sleeping(seconds)
  return assert(box:exec("ps -eo args | grep -c '^" .. nap(seconds) .. "' || true")).result ~= "0\n"
end

describe("Ctrl-C", function()
  it("ends a command over there, and then the program", function()
    local child = run(("box:exec %q say 'not reached'"):format(nap(71)))
    assert.is_true(eventually(function() return sleeping(71) end))
    child:signal "INT"
    local text = child:rest()
    assert.matches("interrupted!", text)
    assert.is_nil(text:find("not reached", 1, true))
    assert.is_true(eventually(function() return not sleeping(71) end))
  end)

  it("ends the commands of all tasks", function()
    local child = run(("daytona.map({ 1, 2, 3 }, function() return box:exec %q end)"):format(nap(72)))
    assert.is_true(eventually(function() return sleeping(72) end))
    child:signal "INT"
    assert.matches("interrupted!", child:rest())
    assert.is_true(eventually(function() return not sleeping(72) end))
  end)

  it("during create leaves no sandbox", function()
    for _, fault in ipairs {
      { state = "creating" }, { method = "POST", path = "/sandbox", hold = 30, handled = true },
    } do
      local before = service:sandboxes()
      assert(service.server:clear_faults())
      assert(service.server:faults { fault })
      local child = run [[ client:create() say "not reached" ]]
      assert.is_true(eventually(function() return service:sandboxes() > before end))
      child:signal "INT"
      local text = child:rest()
      assert.matches("interrupted!", text)
      assert(service.server:clear_faults())
      assert.is_true(eventually(function() return service:sandboxes() == before end))
    end
  end)

  it("during fork leaves no fork, whether it was answered or not", function()
    for _, fault in ipairs {
      { state = "creating" }, { method = "POST", path = "/sandbox/*/fork", hold = 30, handled = true },
    } do
      local before = service:sandboxes()
      local vm = assert(service.client:create { snapshot = "daytona-vm-small" })
      assert(service.server:faults { fault })
      local child = run(("assert(client:get(%q)):fork() say 'not reached'"):format(vm.id))
      assert.is_true(eventually(function() return service:sandboxes() > before + 1 end))
      child:signal "INT"
      assert.matches("interrupted!", child:rest())
      assert(service.server:clear_faults())
      assert.is_true(eventually(function() return service:sandboxes() == before + 1 end))
      assert(vm:delete { wait = true })
    end
  end)

  it("at the end of a scope still deletes the sandbox", function()
    local before = service:sandboxes()
    local child = run [[
      daytona.using(assert(client:create()), function(own) say "made" own:exec "sleep 73" end)
    ]]
    assert.equal("made", child:line())
    assert.is_true(eventually(function() return service:sandboxes() == before + 1 end))
    child:signal "INT"
    assert.matches("interrupted!", child:rest())
    assert.is_true(eventually(function() return service:sandboxes() == before end))
  end)

  -- Deleting takes so many seconds; the server's clock is faster.
  local function slow_deletes(seconds)
    assert(service.server:faults { method = "DELETE", path = "/sandbox/*", hold = seconds * 20, handled = true })
  end

  -- A program that has made a sandbox and waits in it.
  local function waiting_in(name)
    local child = run(([[
      daytona.using(assert(client:create { name = %q }), function(own) say "made" own:exec "sleep 74" end)
    ]]):format(name))
    assert.equal("made", child:line())
    return child
  end

  it("twice says what is being deleted, and lets it be deleted", function()
    local before = service:sandboxes()
    slow_deletes(0.3)
    local child = waiting_in "patient"
    child:signal "INT"
    os.execute "sleep 0.03"
    child:signal "INT"
    assert.equal("deleting sandbox patient; Ctrl-C again leaves it", child:line())
    assert.matches("interrupted!", child:rest())
    assert.equal(before, service:sandboxes())
  end)

  it("that takes long says so, and again ends at once and names what is left", function()
    slow_deletes(60)
    local child = waiting_in "left-over"
    child:signal "INT"
    assert.equal("deleting sandbox left-over; Ctrl-C again leaves it", child:line())
    child:signal "INT"
    assert.equal("left: sandbox left-over\n", child:rest())
    assert(service.server:clear_faults())
    service.client:delete "left-over" -- unless what was sent has done it
  end)

  it("three times before anything is deleted says that something may be left", function()
    local child = waiting_in "unheard-of"
    local made = assert(service.client:get "unheard-of")
    assert.is_true(eventually(function() return assert(made:exec "ps ax | grep '[s]leep 74'").exit_code == 0 end))
    -- What ends the command over there is not answered.
    assert(service.server:faults { method = "POST", path = "/process/execute", hold = 60 * 20 })
    for _ = 1, 3 do
      child:signal "INT"
      os.execute "sleep 0.03"
    end
    assert.equal("ended before it could clean up: sandboxes that it made may be left (daytona-lua leftovers)\n",
      child:rest())
    assert(service.server:clear_faults())
    assert(service.client:delete "unheard-of")
  end)

  it("in tasks lets all of them be deleted", function()
    local before = service:sandboxes()
    slow_deletes(1.5)
    local child = run [[
      local made = 0
      daytona.map({ 1, 2, 3 }, function()
        return daytona.using(assert(client:create()), function(own)
          made = made + 1
          if made == 3 then say "made" end
          return own:exec "sleep 75"
        end)
      end)
    ]]
    assert.equal("made", child:line())
    child:signal "INT"
    assert.matches("^deleting .*; Ctrl%-C again leaves ", child:line())
    assert.matches("interrupted!", child:rest())
    assert.equal(before, service:sandboxes())
  end)
end)

describe("a program", function()
  it("with a trap ends by TERM, HUP and PIPE as by Ctrl-C", function()
    for _, name in ipairs { "TERM", "HUP", "PIPE" } do
      for _, where in ipairs { 'own:exec "sleep 76"', "while true do end", [[
        daytona.map({ 1, 2 }, function() return daytona.using(assert(client:create()), function(two)
          return two:exec "sleep 77"
        end) end)
      ]] } do
        -- LuaJIT looks for hooks in interpreted code only
        local before = service:sandboxes()
        local child = run("if jit then jit.off() end daytona.trap() " ..
          ("daytona.using(assert(client:create()), function(own) say 'made' %s end)"):format(where))
        assert.equal("made", child:line())
        child:signal(name)
        assert.matches("ended by SIG" .. name, child:rest())
        assert.is_true(eventually(function() return service:sandboxes() == before end))
      end
    end
  end)

  it("with a trap ends when nobody reads what it prints", function()
    local before = service:sandboxes()
    local child = run [[
      if jit then jit.off() end
      daytona.trap()
      daytona.using(assert(client:create()), function()
        say "made"
        local pipe = io.popen("head -n 1 >/dev/null", "w")
        pipe:setvbuf "no"
        while true do pipe:write "a line\n" end
      end)
    ]]
    assert.equal("made", child:line())
    assert.matches("ended by SIGPIPE", child:rest())
    assert.equal(before, service:sandboxes())
  end)

  it("that does the loop's rounds itself is told, has no task left, and can clean up", function()
    local child = run [[
      if jit then jit.off() end
      daytona.trap()
      local parent = daytona.spawn(function()
        daytona.spawn(function()
          daytona.sleep(0.01)
          os.execute(("kill -TERM %d"):format(core.pid()))
          return "struck just before its end"
        end):wait()
      end)
      local began = core.now()
      local fine, err = pcall(loop.drive, function()
        while true do loop.step() end
      end)
      say(fine, (tostring(err):gsub("^.*: ", "")))
      say(loop.current(), parent:done(), core.now() - began < 4)
      say(box:exec("echo still there").result)
    ]]
    assert.equal("false ended by SIGTERM", child:line())
    assert.equal("nil true true", child:line())
    assert.equal("still there", child:line())
    child:rest()
  end)

  -- What is compiled is used by the finalizer that cleans up then. (An alarm ends what stands still.)
  if compat.name == "luajit" then it("in compiled code, outside of waits, ends, and its tasks clean up", function()
    for _, signal in ipairs { "TERM", "INT", "TERM" } do
      local child = run [[
        local ffi = require "ffi"
        ffi.cdef "unsigned alarm(unsigned)"
        ffi.C.alarm(30)
        daytona.trap()
        local function ask() for _ = 1, 3 do assert(client:ping()) end end
        local function clean() if client:ping() then say "cleaned" end end
        for _ = 1, 30 do loop.guard(ask, clean) end
        for _ = 1, 3 do daytona.spawn(function() while true do loop.guard(ask, clean) end end) end
        daytona.sleep(0.05)
        say "busy"
        local texts = {}
        for n = 1, math.huge do
          for i = 1, 300 do texts[i % 50 + 1] = tostring(i):rep(2) end
          n = load("return " .. n)()
        end
      ]]
      assert.equal("busy", child:line())
      child:signal(signal)
      local text = child:rest()
      local _, cleaned = text:gsub("cleaned\n", "")
      assert.matches(signal == "INT" and "interrupted!" or "ended by SIGTERM", text)
      assert.equal(3, cleaned)
    end
  end) end

  it("says at which of its lines it was interrupted", function()
    local child = run(([[
      daytona.trap()
      say "waits"
      local _, err = pcall(function() box:exec %q return 1 end)
      say(err)
    ]]):format(nap(78)))
    assert.equal("waits", child:line())
    assert.is_true(eventually(function() return sleeping(78) end))
    child:signal "TERM"
    assert.matches("^%(command line%):%d+: ended by SIGTERM\n$", (child:rest()))
  end)

  it("run by main ends without a word, and with a status, by a signal", function()
    local before = service:sandboxes()
    for name, status in pairs { TERM = 143, INT = 130, HUP = 129 } do
      local child = run [[
        daytona.main(function()
          daytona.using(assert(client:create()), function(own) say "made" own:exec "sleep 79" end)
        end)
      ]]
      assert.equal("made", child:line())
      child:signal(name)
      local text, ended_with = child:rest()
      assert.equal("", text)
      if _VERSION ~= "Lua 5.1" then assert.equal(status, ended_with) end
    end
    assert.is_true(eventually(function() return service:sandboxes() == before end))
  end)

  it("that is struck twice before it can clean up does so all the same", function()
    local before = service:sandboxes()
    for _, name in ipairs { "TERM", "HUP" } do -- as timeout and terminals do, to a process and to its group
      local child = run(([[
        daytona.main(function()
          daytona.using(assert(client:create()), function()
            os.execute "kill -NAME $PPID; sleep 0.1; kill -NAME $PPID; sleep 0.1"
            daytona.sleep(20)
          end)
        end)
      ]]):gsub("NAME", name))
      child:rest()
      assert.equal(before, service:sandboxes())
    end
  end)

  it("run by main tells an error in one line, a mistake with where it was, and exits as told", function()
    local function told(program)
      return run(("arg = { [0] = 'prog.lua' } daytona.main(function(...) %s end, 7, nil, 8)"):format(program)):rest()
    end
    assert.equal("prog.lua: get on nobody: not_found (not_found)\n",
      (told 'daytona.assert(client:get "nobody")':gsub("nobody: .-%(not_found.-%)", "nobody: not_found (not_found)")))
    assert.equal("prog.lua: so not\n", (told 'error("so not", 0)'))
    assert.matches("^prog.lua: [^\n]*:%d+: attempt to index [^\n]*\nstack traceback:", told "local x; return x.y")
    local text, status = told "local a, b, c = ... say(a, b, c, select('#', ...)) return 3"
    assert.equal("7 nil 8 3\n", text)
    if _VERSION ~= "Lua 5.1" then assert.equal(3, status) end
    assert.equal("after\n", (run("daytona.main(function() end) say 'after'"):rest()))
    assert.matches("main: a function expected, got table", (run("daytona.main {}"):rest()))
  end)

  it("without a trap ends by them as ever", function()
    local child = run "say 'there' daytona.sleep(60)"
    assert.equal("there", child:line())
    child:signal "TERM"
    assert.equal("", child:rest())
  end)

  it("that exits inside using, and closes its state, leaves nothing, also in tasks", function()
    local before = service:sandboxes()
    local within = [[
      daytona.using(assert(client:create()), function()
        daytona.using(assert(client:create()), function()
          say "made"
          os.exit(3, true)
        end)
      end)
    ]]
    local beside = [[
      daytona.gather { function()
        daytona.using(assert(client:create()), function() daytona.sleep(60) end)
      end, function()
        while service_has() < 1 do daytona.sleep(0.01) end
    ]] .. within .. " end }"
    local counting = "local function service_has() return #assert(client:list { limit = 10 }).items end "
    for _, program in ipairs { within, counting .. beside } do
      local child = run(program)
      assert.equal("made", child:line())
      local rest, status = child:rest()
      assert.equal("", rest)
      if _VERSION ~= "Lua 5.1" then assert.equal(3, status) end
      assert.equal(before, service:sandboxes())
    end
  end)

  it("finds os.exit as it was where no scope is open, and what others put there", function()
    assert.equal("true\ntrue\ntheirs 3\n", (run([[
      local before, theirs = os.exit, function(code) say("theirs " .. tostring(code)) end
      daytona.using({ close = function() end }, function()
        daytona.using({ close = function() end }, function() end)
      end)
      say(tostring(os.exit == before))
      daytona.using({ close = function() end }, function() os.exit = theirs end)
      say(tostring(os.exit == theirs))
      os.exit(3, true)
    ]]):rest()))
  end)

  it("that calls using wrongly deletes nothing", function()
    local made = assert(service.client:create())
    for _, wrong in ipairs { { made }, { made, 1 }, { made, {} } } do
      local fine, message = pcall(function() return (daytona.using(wrong[1], wrong[2])) end)
      assert.is_false(fine)
      assert.matches("interrupt_spec.lua:%d+: using: a function expected", message)
    end
    assert.equal("started", assert(service.client:get(made.id)).state)
    made:delete()
  end)
end)
