-- When Lua runs out of memory the caller gets an error, and what the engine has to
-- tell is not lost: no event, and no byte of a stream.
--
-- A host of our own refuses memory where it is told to (spec/support/host.c). In the
-- Lua whose collector tries again before it gives up: others raise in more places,
-- and LuaJIT takes no allocator from its host.

local compat = require "daytona.base.compat"

if compat.name ~= "lua5.4" then return end

local peer, host

local function run(command)
  local out = assert(io.popen(command .. " 2>&1"))
  local text = out:read "*a"
  out:close()
  return text
end

setup(function()
  peer = require("spec.support.peer").start()
  run("make -s LUA=" .. compat.name .. " host")
  host = "build/" .. compat.name .. "/host"
end)

teardown(function() peer:close() end)

local PRELUDE = [[
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local core, loop, task = require "daytona.base.native", require "daytona.loop", require "daytona.loop.task"
local URL = arg[1]
]]

-- What the program prints.
local function starved(program)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(PRELUDE, program)
  file:close()
  local text = run(host .. " " .. path .. " " .. peer.url)
  os.remove(path)
  return text
end

describe("no memory for what happened", function()
  it("leaves what happened to the next step", function()
    assert.equal("lost 0\n", starved [[
      local lost = 0
      for first = 1, 12 do
        local engine, list, done = core.new(), {}, 0
        for i = 1, 8 do list[i] = engine:start { url = URL .. "/ok", timeout = 20 } end
        local limit = core.now() + 20
        while done < 8 and core.now() < limit do
          starve(first, 5)
          local fine, events = pcall(engine.poll, engine, 1)
          starve(0, 0)
          for i = 1, fine and events and #events or 0, 2 do
            if events[i + 1] >= core.DONE then done = done + 1 end
          end
          first = fine and first or first + 40 -- and it ends
        end
        lost = lost + 8 - done
        engine:close()
      end
      print("lost " .. lost)
    ]])
  end)
end)

describe("no memory for a chunk", function()
  it("leaves it to the next read", function()
    assert.equal("300000\ttrue\n", starved [[
      local engine = core.new()
      local transfer = engine:start { url = URL .. "/bytes/300000", sink_queue = true, timeout = 20 }
      local parts, raised = {}, false
      local chunk
      repeat
        engine:poll(1)
        repeat
          starve(1, 5)
          local fine
          fine, chunk = pcall(transfer.read, transfer)
          starve(0, 0)
          raised = raised or not fine
          if not fine then chunk = transfer:read() end
          if chunk then parts[#parts + 1] = chunk end
        until not chunk
      until chunk == false
      local text = table.concat(parts)
      local whole = ("0123456789abcdef"):rep(300000 / 16)
      print(#text, raised and text == whole)
    ]])
  end)
end)

describe("no memory for a task", function()
  it("ends it all the same, with what it got to or an error", function()
    assert.equal("true\tstuck 0\n", starved [[
      local stuck, failed = 0, 0
      for first = 1, 200 do
        local list = {}
        for i = 1, 4 do
          list[i] = task.spawn(function() loop.sleep(0.001) return i end):detach()
        end
        starve(first, 2)
        pcall(loop.sleep, 0.005)
        starve(0, 0)
        local limit = core.now() + 0.5
        for i, one in ipairs(list) do
          while not one:done() and core.now() < limit do pcall(loop.sleep, 0.001) end
          if not one:done() then stuck = stuck + 1 elseif one:wait() ~= i then failed = failed + 1 end
        end
      end
      print(failed > 0, "stuck " .. stuck)
    ]])
  end)

  it("lets those who wait for it go on, however often in a row memory is refused", function()
    assert.equal("stuck 0\n", starved [[
      local function nap() loop.sleep(0.001) return true end
      local kinds = {
        nap, function() return task.spawn(nap):wait() end, function() return task.spawn(nap):wait(1) end,
        function() return task.within(1, nap) end,
      }
      local stuck = 0
      for _, fn in ipairs(kinds) do
        for count = 9, 27, 6 do
          for first = 1, 61, 6 do
            local list = {}
            for i = 1, 4 do list[i] = task.spawn(fn):detach() end
            starve(first, count)
            pcall(loop.sleep, 0.005)
            starve(0, 0)
            local limit = core.now() + 5
            for _, one in ipairs(list) do
              while not one:done() and core.now() < limit do pcall(loop.sleep, 0.001) end
              if not one:done() then stuck = stuck + 1 end
            end
          end
        end
      end
      print("stuck " .. stuck)
    ]])
  end)
end)
