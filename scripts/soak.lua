-- What scripts/soak runs inside each host: many operations of all kinds, some of
-- them cancelled at a random moment, some struck by a fault of the local server,
-- while the collector stops the world again and again. Says what the process held
-- before and after.
--
-- A file for Stage:work (spec/support/hosts.lua); COUNT in the environment says how many.

local daytona, loop, say = ...
local core = require "daytona.base.native"

local WORKERS = 8
local seed = tonumber(os.getenv "SEED") or 1

-- A small generator of our own: the same in every Lua.
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local function descriptors()
  local out = io.popen(("ls /proc/%d/fd | wc -l"):format(core.pid()))
  local n = tonumber(out:read "*l")
  out:close()
  return n
end

local function resident()
  local file = io.open "/proc/self/status"
  local kilobytes = file:read("*a"):match "VmRSS:%s*(%d+)"
  file:close()
  return tonumber(kilobytes)
end

local FAULTS = {
  { path = "/process/execute", reset = true }, { path = "/process/execute", reset = "mid" },
  { path = "/process/execute", status = 502 }, { path = "/process/execute", drop = true },
  { path = "/process/execute", cut_after = 5 }, { path = "/process/execute", garbage = "\1\2\3" },
  { path = "/process/execute", throttle = true, retry_after = 0.05 },
  { path = "/files/download", cut_after = 100 }, { path = "/files/download", empty = true },
  { path = "/files/*", reset = "mid" }, { path = "/sandbox/*", html = true },
  { path = "/sandbox/*", invalid_json = true },
}

local function operations(client, sb)
  local data = ("x"):rep(50000)
  return {
    function() return sb:exec("echo something") end,
    function() return sb:exec("echo more; sleep 0.03") end,
    function() return sb:exec({ "cat" }, { stdin = data, env = { NAME = "value" } }) end,
    function() return sb.fs:write("soak/" .. random(20), data) end,
    function() return sb.fs:read("soak/1") end,
    function() return sb.fs:list("soak") end,
    function() return client:get(sb.id) end,
    function()
      return daytona.gather {
        function() return sb:exec("true") end,
        function() return sb:exec("true") end,
      }
    end,
    function()
      return daytona.using(assert(sb:popen "echo one; sleep 0.02; echo two"), function(job) return job:read "a" end)
    end,
    function()
      return daytona.using(assert(sb:session()), function(session)
        local command = assert(session:exec("echo one; sleep 0.02; echo two >&2", { async = true }))
        return command:follow { on_stdout = function() end }
      end)
    end,
    function()
      return daytona.using(assert(sb:pty()), function(pty)
        assert(pty:write "exit\r")
        return pty:wait()
      end)
    end,
  }
end

local function add_fault(client)
  local fault = { times = 1 }
  for name, value in pairs(FAULTS[random(#FAULTS)]) do fault[name] = value end
  client:request("POST", "/__devserver/faults", { json = fault })
end

local function one(client, list, counts)
  local operation = list[random(#list)]
  local roll = random(20)
  if roll == 1 then add_fault(client) end
  local task = daytona.spawn(operation)
  if roll == 2 or roll == 3 then
    daytona.sleep(random(20) / 1000)
    task:cancel()
  end
  local value, err = task:wait()
  if value then counts.fine = counts.fine + 1
  elseif daytona.is_error(err, "canceled") then counts.canceled = counts.canceled + 1
  else
    counts.failed = counts.failed + 1
    if daytona.is_error(err, "task") then say("raised", err.message) end
  end
  if random(10) == 1 then collectgarbage() end
end

local function run(client, list, count)
  local counts, numbers = { fine = 0, canceled = 0, failed = 0 }, {}
  for i = 1, count do numbers[i] = i end
  assert(daytona.map(numbers, function()
    one(client, list, counts)
    return true
  end, { concurrency = WORKERS }))
  return counts
end

-- Compiled code counts as memory in LuaJIT, and grows for a while.
local function measure()
  if rawget(_G, "jit") then rawget(_G, "jit").flush() end
  collectgarbage()
  collectgarbage()
  return { lua = collectgarbage "count", rss = resident(), fds = descriptors() }
end

return function()
  local count = tonumber(os.getenv "COUNT")
  collectgarbage("setpause", 1)
  local client = assert(daytona.new { max_retries = 1 })
  local sb = assert(daytona.get(os.getenv "SANDBOX"))
  local list = operations(client, sb)
  run(client, list, 300) -- everything is loaded, connected and grown by now
  daytona.sleep(0.5)
  local before = measure()
  local start = loop.now()
  local counts = run(client, list, count)
  daytona.sleep(0.5)
  local after = measure()
  for name, n in pairs(counts) do say(name, n) end
  say("jobs", #assert(sb:jobs()))
  say("sessions", #assert(sb:sessions()))
  say("terminals", #assert(sb:ptys()))
  say("seconds", loop.now() - start)
  for _, name in ipairs { "lua", "rss", "fds" } do
    say(name .. "_before", before[name])
    say(name .. "_after", after[name])
  end
  local stats = loop.engine():stats()
  say("running", stats.running + stats.queued)
  say("unfinished", stats.started - stats.finished)
end
