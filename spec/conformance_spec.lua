-- A small part of what `make conformance` plays: recorded facts of the service against the
-- local server. Also that a difference is noticed.

local devserver = require "daytona.devserver"
local differences = require "spec.conformance.differences"
local runner = require "spec.conformance.runner"

describe("the local server, compared with recorded facts,", function()
  local function facts_of(name, first, last)
    local list = {}
    for i, fact in ipairs(require("spec.conformance." .. name)) do
      if i >= first and i <= last then list[#list + 1] = fact end
    end
    return list
  end

  local function play(flavour, facts)
    local server = assert(devserver.start { legacy = flavour == "legacy" and "0.190" or nil })
    finally(function() server:stop() end)
    return runner.play({ url = server.api_url, key = server.api_key, flavour = flavour }, facts, differences[flavour])
  end

  local function unexplained(report)
    local list = {}
    for _, each in ipairs(report.differences) do
      if not each.why then list[#list + 1] = each.fact .. ": " .. each.what end
    end
    return table.concat(list, "\n")
  end

  for _, flavour in ipairs { "legacy", "new" } do
    it("has no difference without a reason in what it refuses (" .. flavour .. ")", function()
      local report = play(flavour, facts_of("control", 1, 60))
      assert.is_true(report.played >= 50)
      assert.equal("", unexplained(report))
    end)
  end

  it("has none in what a sandbox's daemon says", function()
    local report = play("legacy", facts_of("toolbox", 1, 45))
    assert.is_true(report.played >= 25)
    assert.equal("", unexplained(report))
  end)

  it("has none in what its event stream tells, and in which order", function()
    local report = play("new", require "spec.conformance.events")
    assert.equal(#require "spec.conformance.events", report.played)
    assert.equal("", unexplained(report))
  end)

  it("would be caught with events in another order, or too few", function()
    local report = play("new", {
      { "x", "ear", listen = true },
      { "x", "made", "POST", "/sandbox", 200, body = '{"name":"{run}y"}', save = "one" },
      { "x", "order", heard = "one", events = "sandbox.state.updated:unknown>creating sandbox.created" },
      { "x", "more", heard = "one", events = "sandbox.created sandbox.state.updated:unknown>creating "
        .. "sandbox.state.updated:creating>started sandbox.removed", patience = 1 },
      { "x", "nothing", heard = "two", events = "sandbox.created" },
    }, {})
    assert.equal(3, #report.differences)
    assert.equal("heard sandbox.created sandbox.state.updated:unknown>creating, "
      .. "not sandbox.state.updated:unknown>creating sandbox.created", report.differences[1].what)
  end)

  it("would be caught with another status, text, type or order of states", function()
    local report = play("new", {
      { "x", "status", "GET", "/health", 500 },
      { "x", "message", "GET", "/sandbox/none", 404, message = "something else" },
      { "x", "type", "GET", "/config", 200, fields = "version=number" },
      { "x", "field", "GET", "/config", 200, fields = "colour=string" },
      { "x", "made", "POST", "/sandbox", 200, body = '{"name":"{run}x"}', save = "one", desired = "stopped" },
      { "x", "state", wait = "one", states = "started creating stopped", patience = 1 },
    }, {})
    assert.equal(6, #report.differences)
  end)
end)
