-- A line that goes away without a word, as when a laptop has slept or changed its
-- network: what is under way ends at its time, nothing is done twice, and nobody uses the
-- dead connection again.

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local exec_call = require "daytona.toolbox.exec_call"
local vanishing = require "spec.support.vanishing"

describe("a sandbox's line that is lost", function()
  local box, relay, sandbox

  setup(function()
    box = require("spec.support.box").start()
    relay = vanishing.start((box.daemon.url:match "%d+$"))
    sandbox = box:through(relay.url)
  end)

  teardown(function()
    relay:close()
    box:stop()
  end)

  before_each(function() assert(sandbox:exec "true") end) -- a connection is kept

  local function lines()
    return tonumber(assert(box.sandbox:exec("touch count && wc -l <count", { check = true })).result)
  end

  -- Runs a command that counts, with so many seconds for it.
  local function count_up(seconds)
    local grace = exec_call.GRACE
    exec_call.GRACE = seconds - 1
    finally(function() exec_call.GRACE = grace end)
    return sandbox:exec("echo x >>count", { timeout = 1 })
  end

  -- What it was told over a new connection is that the command is not running any more.
  local function timed_out(result, err)
    assert.truthy(result, tostring(err))
    assert.is_true(result.timed_out)
  end

  it("ends a command at its time, which has not run, and the next one goes another way", function()
    local before = lines()
    relay:arm(0, "lose")
    timed_out(count_up(0.5))
    assert.equal(before, lines())
    assert.equal("new\n", assert(sandbox:exec "echo new").result)
  end)

  it("ends a command at its time whose answer is lost, which has run once", function()
    local before = lines()
    relay:arm("answer", "lose")
    timed_out(count_up(2)) -- an answer that came later would take the next connection with it
    assert.equal(before + 1, lines())
    assert.equal("new\n", assert(sandbox:exec "echo new").result)
  end)
end)

for _, tls in ipairs { false, true } do
  describe("the service's line that is lost, " .. (tls and "HTTP/2 over TLS," or "HTTP/1.1,"), function()
    local server, gate, client

    setup(function()
      server = assert(devserver.start { tls = tls, lag = true })
      gate = vanishing.start((server.api_url:match ":(%d+)/"))
    end)

    teardown(function()
      gate:close()
      server:stop()
    end)

    before_each(function()
      client = assert(daytona.new {
        api_url = server.api_url:gsub(":%d+/", ":" .. gate.port .. "/"), api_key = server.api_key,
        ca_file = server.certificate,
      })
    end)
    after_each(function() client:close() end)

    it("ends a call at its time, and the next one goes another way", function()
      assert(client:config())
      gate:arm(0, "lose")
      local _, err = client:request("POST", "/sandbox", { json = { name = "lost" }, timeout = 0.3 })
      assert.same({ "timeout", "timeout", true }, { err.kind, err.code, err.sent })
      assert(client:request("GET", "/config", { timeout = 5 }))
    end)
  end)
end
