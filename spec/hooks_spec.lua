-- Hooks, trace contexts and traces: what a program is told of its requests.

local daytona = require "daytona"
local sandbox = require "daytona.control.sandbox"

describe("a client's hooks", function()
  local peer

  setup(function() peer = require("spec.support.peer").start() end)
  teardown(function() peer:close() end)

  local function connect(opts)
    opts.api_key, opts.api_url, opts.timeout = "sk-hooked", peer.url, 10
    return assert(daytona.new(opts))
  end

  it("hear of each try, each other one, and what came of it", function()
    local told = {}
    local function note(name)
      return function(info)
        told[#told + 1] = ("%s %s %s try %d%s%s%s"):format(name, info.method,
          info.url:match "^http://[^/]+(.*)$", info.try, info.status and " status " .. info.status or "",
          info.err and " " .. info.err.kind or "",
          info.delay and " delay" or "")
      end
    end
    local client = connect { on_request = note "request", on_response = note "response", on_retry = note "retry" }
    assert(client:request("GET", "/sequence/hooked/502,200", { query = { secret = "x" } }))
    local path = "GET /sequence/hooked/502,200 try "
    assert.same({
      "request " .. path .. "1", "retry " .. path .. "1 status 502 unavailable delay", "request " .. path .. "2",
      "response " .. path .. "2 status 200",
    }, told)
    told = {}
    assert.is_nil((client:request("GET", "/status/404")))
    assert.same({ "request GET /status/404 try 1", "response GET /status/404 try 1 status 404 not_found" }, told)
  end)

  it("hear of commands, too", function()
    local told = {}
    local client = connect { on_response = function(info) told[#told + 1] = info.operation .. " " .. info.status end }
    local box = sandbox.new(client, { id = "b", state = "started", toolboxProxyUrl = peer.url .. "/echo" })
    box:exec "true"
    assert.same({ "exec 200" }, told)
  end)

  it("may raise, and nothing is left behind", function()
    local client = connect { on_request = function() error "of the hook" end }
    local fine, why = pcall(function() local r = client:request("GET", "/ok") return r end)
    assert.is_false(fine)
    assert.truthy(tostring(why):find("of the hook", 1, true))
    assert.is_false(require("daytona.loop").busy())
  end)

  it("send a trace context: a new one, a child of the program's, or none", function()
    local function sent(traceparent)
      local client = connect { traceparent = traceparent }
      return assert(client:request("GET", "/echo")).body:match "\n[Tt]raceparent: (%S+)"
    end
    local parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    assert.truthy(sent(true):find "^00%-%x+%-%x+%-01$")
    assert.equal(55, #sent(true))
    assert.are_not.equal(sent(true), sent(true))
    assert.truthy(sent(parent):find "^00%-0af7651916cd43dd8448eb211c80319c%-%x+%-00$")
    assert.are_not.equal(parent, sent(parent))
    assert.truthy(sent(function() return parent end):find "0af7651916cd43dd8448eb211c80319c")
    assert.is_nil(sent(function() return nil end))
    assert.is_nil(sent(function() return "nonsense" end))
    assert.has_error(function() connect { traceparent = "nonsense" } end)
  end)

  it("note how a request went, where that is asked for", function()
    local client = connect {}
    assert.is_nil(assert(client:request("GET", "/ok")).trace)
    local trace = assert(client:request("GET", "/sequence/traced/503,200?header=X-RateLimit-Remaining:7",
      { trace = true })).trace
    assert.equal(2, trace.tries)
    assert.same({ "503" }, trace.reasons)
    assert.is_true(trace.reused)
    assert.is_true(trace.received > 0 and trace.first_byte > 0 and trace.total >= trace.first_byte)
    assert.is_true(trace.seconds >= trace.total)
    trace = assert(client:request("GET", "/ok", { trace = true, query = { header = "X-RateLimit-Remaining:7" } })).trace
    assert.equal(7, trace.throttle_left)
    assert.is_nil(trace.request_id)
    trace = assert(client:request("GET", "/ok", { trace = true, query = { header = "X-Request-Id:r-17" } })).trace
    assert.equal("r-17", trace.request_id)
    local _, err = connect({ trace = true }):request("GET", "/status/409")
    assert.equal(1, err.trace.tries)
    _, err = connect({ trace = true, max_retries = 1 }):request("GET", "/reset-before")
    assert.equal(2, err.trace.tries)
    assert.is_nil(tostring(err):find("sk-hooked", 1, true))
  end)

  it("note it only where that is asked for, or somebody hears of answers", function()
    local quiet = connect { on_request = function() end }
    assert.is_nil(assert(quiet:request("GET", "/ok")).trace)
    local heard
    local told = connect { on_response = function(info) heard = info.trace end }
    assert.is_true(assert(told:request("GET", "/ok")).trace.total > 0)
    assert.is_true(heard.total > 0)
  end)

  it("say of a request that never left that nothing was sent", function()
    local _, err = connect({ trace = true }):request("GET", "/ok", { headers = { ["X-Own"] = "a\nb" } })
    err.trace.seconds = err.trace.seconds < 5 and 0 or err.trace.seconds
    assert.same({ seconds = 0, reused = false, received = 0, sent = 0, tries = 1, reasons = {} }, err.trace)
  end)

  it("are in the results of commands and code", function()
    local service = require("spec.support.service").start()
    finally(function() service:stop() end)
    local traced = service:connect { trace = true }
    local box = assert(traced:create())
    assert.is_true(assert(box:exec "true").trace.seconds > 0)
    assert.is_true(assert(box:exec("true", { cwd = "/tmp" })).trace.received > 0)
    assert.equal(1, assert(box:run "print(1)").trace.tries)
    assert.is_nil(assert(assert(service.client:get(box.id)):exec "true").trace)
    local seconds = box:exec("sleep 5", { timeout = 1 }).trace.seconds
    assert.is_true(seconds >= 0.9 and seconds < 60)
    box:delete()
  end)

  it("note the time of name, connection and first byte of the first request", function()
    local other = require("spec.support.peer").start()
    local client = assert(daytona.new { api_key = "k", api_url = other.url })
    local trace = assert(client:request("GET", "/delay/200", { trace = true, query = { ms = 50 } })).trace
    assert.is_false(trace.reused)
    assert.is_true(trace.connect > 0 and trace.connect < trace.first_byte, tostring(trace.connect))
    assert.is_true(trace.first_byte >= 0.045)
    assert.equal(0, trace.tls)
    other:close()
  end)
end)
