-- How often programs that follow commands look whether these have ended: by a clock of the spec's own.
local api = require "daytona.toolbox.session_calls"
local loop = require "daytona.loop"
local watch = require "daytona.toolbox.watch"

describe("looks at followed commands", function()
  local ask, clock, turn = api.command, loop.now, watch.next_turn
  local time, looks

  before_each(function()
    time, looks, watch.next_turn = 1000, 0, 0
    api.command = function()
      looks = looks + 1
      return {}
    end
    loop.now = function() return time end -- luacheck: ignore 122
  end)

  after_each(function()
    api.command, loop.now, watch.next_turn = ask, clock, turn -- luacheck: ignore 122
  end)

  local function follow()
    local session = { id = "s", is_alive = function() return true end }
    return watch.new({ id = "c", session = session }, true)
  end

  -- Lets so many seconds pass, in steps of a hundredth.
  local function pass(seconds, list)
    for _ = 1, seconds * 100 do
      time = time + 0.01
      for _, one in ipairs(list) do
        if time >= one.next then assert.is_false(one:look()) end
      end
    end
  end

  it("begin 30 ms after the last word of a command", function()
    local one = follow()
    pass(0.02, { one })
    assert.equal(0, looks)
    pass(0.02, { one })
    assert.equal(1, looks)
  end)

  it("come seldom enough of a thousand that others get their turn, and of all of them", function()
    local list = {}
    for i = 1, 1000 do list[i] = follow() end
    local who = {}
    local count = api.command
    api.command = function(command)
      who[command] = true
      return count()
    end
    pass(1.5, list)
    local heard = 0
    for _ in pairs(who) do heard = heard + 1 end
    assert.is_true(looks <= 400, "1.5 seconds took " .. looks .. " looks")
    assert.is_true(heard >= 250, "only " .. heard .. " were looked at")
  end)

  it("do not wait for those that have nothing to look for", function()
    local quiet, list = {}, {}
    for i = 1, 1000 do quiet[i] = follow() end
    pass(3, quiet)
    looks = 0
    list[1] = follow()
    pass(0.04, list)
    assert.equal(1, looks)
  end)

  it("are not made of commands that go on talking while others queue", function()
    local list = {}
    for i = 1, 1000 do list[i] = follow() end
    pass(0.1, list)
    local before = looks
    for _ = 1, 10 do
      for _, one in ipairs(list) do one:active() end
      pass(0.1, list)
    end
    assert.is_true(looks - before <= 270, "a second took " .. looks - before .. " looks")
  end)
end)
