-- Budgets: what would pass one is not asked for, and what runs is counted.

local daytona = require "daytona"
local loop = require "daytona.loop"
local script = require "spec.support.script"

local expect, ok, answered, lost = script.expect, script.ok, script.answered, script.lost

before_each(script.begin)
after_each(script.finish)

local POST, DELETE = "^POST /sandbox$", "^DELETE /sandbox/"

local n = 0

-- A new sandbox, as the service shows it.
local function new(fields)
  n = n + 1
  local raw = { id = "id-" .. n, state = "started", cpu = 2, labels = {}, toolboxProxyUrl = "http://127.0.0.1:1" }
  for name, value in pairs(fields or {}) do raw[name] = value end
  return function(request)
    raw.name = request.json and request.json.name or "other"
    return ok(raw)()
  end
end

local function create(budget, opts)
  opts = opts or {}
  opts.budget = budget
  return script.client:create(opts)
end

local function minutes(count)
  loop.sleep(count * 60)
end

describe("a budget", function()
  it("of sandboxes refuses one more, and counts down as they go", function()
    local budget = daytona.budget { sandboxes = 2 }
    expect({ POST, new() }, { POST, new() })
    local first = assert(create(budget))
    assert(create(budget))
    local none, err = create(budget)
    assert.is_nil(none)
    assert.equal("budget sandboxes create", ("%s %s %s"):format(err.kind, err.code, err.operation))
    assert.matches("one more would pass the budget's 2 sandboxes: budget %(2 of 2 sandboxes%)", err.message)
    assert.same({ sandboxes = 0 }, budget:left())
    expect({ DELETE, ok { id = first.id, state = "destroying" } }, { POST, new() })
    assert(first:delete())
    assert.equal(1, budget:left().sandboxes)
    assert(create(budget))
  end)

  it("of time counts what runs, until it is stopped or deleted", function()
    local budget = daytona.budget { minutes = 30, cpu_hours = 10 }
    expect({ POST, new { state = "started" } })
    local box = assert(create(budget))
    minutes(6)
    local used = budget:used()
    assert.near(6, used.minutes, 1e-6)
    assert.near(0.2, used.cpu_hours, 1e-6)
    expect { "/stop$", ok { id = box.id, state = "stopped" } }
    assert(box:stop())
    minutes(60)
    assert.near(6, budget:used().minutes, 1e-6)
    assert.near(0.2, budget:used().cpu_hours, 1e-6)
    assert.equal(1, budget:used().sandboxes)
    expect { "/start$", ok { id = box.id, state = "started" } }
    assert(box:start())
    minutes(10)
    assert.near(16, budget:used().minutes, 1e-6)
    expect { DELETE, ok { id = box.id, state = "destroying" } }
    assert(box:delete())
    minutes(60)
    assert.near(16, budget:used().minutes, 1e-6)
    assert.near(14, budget:left().minutes, 1e-6)
    assert.equal(0, budget:used().sandboxes)
    expect { POST, new() }
    assert(create(budget))
    minutes(15) -- 14 are left, but for what fractions lose
    local _, err = create(budget)
    assert.equal("minutes", err.code)
    assert.equal(0, budget:left().minutes)
  end)

  it("of processors counts them", function()
    local budget = daytona.budget { cpu_hours = 4 }
    expect { POST, new { cpu = 8 } }
    assert(create(budget, { image = "debian:12", cpu = 8 }))
    minutes(29)
    assert.near(29 / 60 * 8, budget:used().cpu_hours, 1e-6)
    minutes(2)
    assert.equal("cpu_hours", select(2, create(budget)).code)
  end)

  it("takes one processor for each that is being made, until the service says otherwise", function()
    local budget = daytona.budget { cpu_hours = 4 }
    expect { POST, function(request)
      minutes(30)
      assert.near(0.5, budget:used().cpu_hours, 1e-6)
      return new { cpu = 8 } (request)
    end }
    assert(create(budget))
    assert.near(4, budget:used().cpu_hours, 1e-6)
  end)

  it("counts no time of what is paused or archived", function()
    for state, call in pairs { paused = "pause", archived = "archive", archiving = "archive" } do
      local budget = daytona.budget { minutes = 9 }
      expect({ POST, new() })
      local box = assert(create(budget))
      minutes(1)
      expect({ "/" .. call .. "$", ok { id = box.id, state = state } },
        { "^GET ", ok { id = box.id, state = "archived" }, often = true })
      assert(box[call](box))
      minutes(60)
      assert.near(1, budget:used().minutes, 0.1, state)
    end
  end)

  it("may be of nothing, or of parts", function()
    assert.same({ sandboxes = 0, cpu_hours = 0, minutes = 0.5 },
      daytona.budget({ sandboxes = 0, cpu_hours = 0, minutes = 0.5 }):left())
    assert.has_error(function() daytona.budget { minutes = math.huge } end)
  end)

  it("gives back what was not made", function()
    local budget = daytona.budget { sandboxes = 1 }
    expect { POST, answered(400, "no") }
    assert.equal("invalid", select(2, create(budget)).kind)
    assert.same({ sandboxes = 1 }, budget:left())
    expect({ POST, lost "reset" }, { "^GET ", answered(404, "none"), often = true }, { POST, answered(403, "no") })
    assert.is_nil((create(budget)))
    assert.same({ sandboxes = 1 }, budget:left())
    expect({ POST, new { id = "x", state = "creating" } }, { "^GET ", ok { id = "x", state = "error" } },
      { DELETE, ok { id = "x", state = "destroying" } })
    assert.equal("state", select(2, create(budget)).kind)
    assert.same({ sandboxes = 1 }, budget:left())
  end)

  it("holds for those that are being made, and for forks", function()
    local budget = daytona.budget { sandboxes = 2 }
    expect { POST, function(request)
      assert.equal(1, budget:used().sandboxes)
      return new()(request)
    end }
    local box = assert(create(budget))
    expect({ "/fork$", new() }, { "/labels$", function(request) return ok(request.json)() end })
    assert(box:fork())
    local none, err = box:fork()
    assert.is_nil(none)
    assert.equal("budget sandboxes fork", ("%s %s %s"):format(err.kind, err.code, err.operation))
  end)

  it("can be a client's", function()
    local budget = daytona.budget { sandboxes = 0 }
    local client = assert(daytona.new { api_key = "k", api_url = "http://127.0.0.1:1", budget = budget })
    assert.equal("budget", select(2, client:create()).kind)
    expect { POST, new() }
    assert(client:create { budget = daytona.budget { sandboxes = 1 } })
  end)

  it("is refused where it makes no sense", function()
    local function refused(text, fn)
      local fine, raised = pcall(fn)
      assert.is_false(fine)
      assert.matches("budget_spec.lua:%d+: " .. text, tostring(raised))
    end
    refused("budget: one of sandboxes", function() return daytona.budget {} end)
    refused("budget: the limits must be a table, not nil", function() return (daytona.budget()) end)
    refused("budget: unknown option 'hours'; the options are: cpu_hours, minutes, sandboxes",
      function() return daytona.budget { hours = 1 } end)
    refused("budget: option 'minutes' must be a number, 0 or more",
      function() return daytona.budget { minutes = -1 } end)
    refused("create: option 'budget' must be a budget", function() return script.client:create { budget = {} } end)
    refused("daytona.new: option 'budget' must be a budget", function() return daytona.new { budget = 5 } end)
  end)
end)
