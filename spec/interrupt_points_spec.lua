-- Signals and cancels strike a program that makes sandboxes at one moment after the other,
-- and leave none. DAYTONA_EVERY=1 has them strike at every instruction of it, which takes
-- minutes.

local Child = require "spec.support.child"
local compat = require "daytona.base.compat"
local daytona = require "daytona"

local STEP = tonumber(os.getenv "DAYTONA_EVERY" or "")

local service

setup(function() service = require("spec.support.service").start {} end)
teardown(function() service:stop() end)

-- What the programs have in common: `work` makes sandboxes in the ways that programs do, and
-- `strike(n, fn)` calls fn and has the n-th instruction that follows end by a signal; whether
-- it came to that. Only the main thread's count, and all of LuaJIT's.
local PROGRAM = [[
  if jit then jit.off() end
  local daytona = require "daytona"
  local client = assert(daytona.new(ARG))

  local function use(sandbox) return sandbox:refresh() end
  local function scope() return daytona.using(assert(client:create()), use) end
  local function work()
    return daytona.using(assert(client:create()), function(own)
      daytona.map({ 1, 2 }, scope)
      local fork = daytona.spawn(scope)
      scope()
      return fork:wait()
    end)
  end

  local function strike(n, name, fn)
    local struck = false
    local function hook()
      debug.sethook()
      struck = true
      -- (os.execute keeps SIGINT from its caller)
      io.popen(("kill -%s %d"):format(name, core.pid())):close()
    end
    local fine, err = pcall(function()
      debug.sethook(hook, "", n)
      fn()
      if not struck then debug.sethook() end
      for _ = 1, struck and 2000 or 0 do end -- it may be held for a moment
    end)
    return struck, fine, err
  end
]]

local function run(program)
  local server = service.server
  local options = ("local ARG = { api_url = %q, api_key = %q }\n"):format(server.api_url, server.api_key)
  return Child.start(options .. PROGRAM .. program)
end

-- The sandboxes that are there when programs have had the time to delete them.
local function left()
  local n
  for _ = 1, 100 do
    n = service:sandboxes()
    if n == 0 then return 0 end
    daytona.sleep(0.05)
  end
  return n
end

describe("a program that makes sandboxes", function()
  it("leaves none when SIGTERM comes, whenever it comes, and can do so again", function()
    local child = run(([[
      local n, step = 1, %d
      while true do
        daytona.trap()
        local struck, fine, err = strike(n, "TERM", work)
        if not struck then
          if not fine then say("failed", n, tostring(err)) end
          break
        end
        if fine or not tostring(err):find "ended by SIGTERM$" then say("odd", n, tostring(fine), tostring(err)) end
        for box in client:each() do
          if box.desired_state ~= "destroyed" then
            say("left", n)
            box:delete()
          end
        end
        n = n + step
      end
      say("struck", n > 5 * step)
    ]]):format(STEP or (compat.name == "luajit" and 9001 or 3001)))
    local text = child:rest():gsub("deleting [^\n]*\n", "") -- told where it takes long
    assert.equal("struck true\n", text)
  end)

  it("leaves none when Ctrl-C comes, whenever it comes", function()
    for i = 0, 5 do
      local child = run(("say(strike(%d, 'INT', work))"):format(math.floor(10 ^ (i / 2) * 30)))
      assert.matches("true false [^\n]*interrupted!\n$", child:rest())
      assert.equal(0, left())
    end
  end)

  it("leaves none when its task is cancelled, whenever that is", function()
    local client = service.client
    local function in_scope(fn)
      local box, err = client:create()
      if not box then return nil, err end
      return daytona.using(box, fn)
    end
    local function scope()
      return in_scope(function(box) return box:refresh() end)
    end
    local rounds = 0
    repeat
      local task = daytona.spawn(in_scope, function() return daytona.map({ 1, 2 }, scope) end)
      for _ = 1, rounds do daytona.sleep(0) end
      local over = task:done()
      task:cancel()
      local value, err = task:wait()
      assert.truthy(value or err.kind == "canceled", tostring(err))
      assert.equal(0, left())
      rounds = rounds + 1 + math.floor(rounds / 2)
    until over
    assert.truthy(rounds > 5)
  end)
end)
