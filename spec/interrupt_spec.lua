-- Ctrl-C in a program that uses sandboxes of the local server: what it began
-- over there ends too.

local daytona = require "daytona"
local Child = require "spec.support.child"
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
end)
