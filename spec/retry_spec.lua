-- What follows a try that brought no answer, or a redirect: decided without a server.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local loop = require "daytona.loop"
local redirect = require "daytona.http.redirect"
local retry = require "daytona.http.retry"

local connection = assert(daytona.new { api_key = "sk-secret", api_url = "https://host", max_retries = 2 }).connection
local CALL = {}

describe("after a try without an answer", function()
  local pause, slept
  before_each(function()
    pause, slept = retry.pause, {}
    retry.pause = function(delay)
      slept[#slept + 1] = delay
      return true
    end
  end)
  after_each(function() retry.pause = pause end)

  local function state(fields)
    local tries = { n = 1, failed = 0, redirects = 0 }
    for name, value in pairs(fields or {}) do tries[name] = value end
    return tries
  end

  -- Whether there is another try of the request, which ended by that code.
  local function broken(request, code, sent, answered, tries)
    return retry.another(connection, request, tries or state(), CALL, nil, failure.from_transport(code), code, sent,
      answered)
  end

  local function answered(request, status, headers, tries)
    return retry.another(connection, request, tries or state(), CALL, status, "", headers or {})
  end

  it("there is another where nothing has left, or sending twice is harmless", function()
    for _, code in ipairs { "resolve", "connect", "connect_timeout", "reset", "truncated" } do
      assert.equal(CALL, broken({ method = "POST" }, code, false), code)
      assert.is_nil((broken({ method = "POST" }, code, true)), code)
      assert.equal(CALL, broken({ method = "POST", safe = true }, code, true))
      assert.is_nil((broken({ method = "GET", safe = false }, code, true)))
      for _, method in ipairs { "GET", "HEAD", "PUT", "DELETE", "OPTIONS" } do
        assert.equal(CALL, broken({ method = method }, code, true), method)
      end
      assert.is_nil((broken({ method = "PATCH" }, code, true)))
      assert.equal(CALL, broken({}, code, true))
    end
    for _, code in ipairs { "timeout", "idle_timeout", "canceled", "tls", "protocol", "too_large", "sink", "source" } do
      assert.is_nil((broken({}, code, false)), code)
    end
  end)

  it("there is none where somebody has had a part of the answer", function()
    local function sink() end
    assert.equal(CALL, broken({ sink = sink }, "truncated", true, false))
    assert.is_nil((broken({ sink = sink }, "truncated", true, true)))
    assert.is_nil((broken({ sink_file = io.stdout }, "truncated", true, true)))
    assert.equal(CALL, broken({}, "truncated", true, true))
  end)

  it("there are as many as are allowed, later and later", function()
    local tries = state()
    assert.equal(CALL, broken({}, "reset", true, false, tries))
    assert.equal(CALL, broken({}, "reset", true, false, tries))
    local none, err = broken({}, "reset", true, false, tries)
    assert.is_nil(none)
    assert.equal("reset", err.code)
    assert.is_true(err.sent)
    assert.equal(3, tries.n)
    assert.equal(2, #slept)
    assert.is_true(slept[1] >= 0.125 and slept[1] <= 0.25, slept[1])
    assert.is_true(slept[2] >= 0.25 and slept[2] <= 0.5, slept[2])
    -- A part of the request left in an earlier try.
    assert.is_true(select(2, broken({}, "connect", false, false, state { failed = 2, sent = true })).sent)
  end)

  it("the pauses double up to eight seconds, of which chance takes up to a half", function()
    for try, most in ipairs { 0.25, 0.5, 1, 2, 4, 8, 8, 8 } do
      local least, longest = math.huge, 0
      for _ = 1, 100 do
        local delay = retry.backoff(try)
        least, longest = math.min(least, delay), math.max(longest, delay)
      end
      assert.is_true(least >= most / 2 and least < 0.6 * most, least)
      assert.is_true(longest <= most and longest > 0.9 * most, longest)
    end
    for _ = 1, 100 do
      local delay = retry.delay_after(errors.new { kind = "rate_limited", retry_after = 10 }, 1)
      assert.is_true(delay >= 10 and delay <= 11, delay)
    end
    assert.is_true(retry.delay_after(errors.new { kind = "unavailable" }, 1) <= 0.25)
  end)

  it("statuses that pass are tried again where that is harmless, a throttle always", function()
    for _, status in ipairs { 502, 503, 504, 429 } do assert.equal(CALL, answered({}, status), status) end
    for _, status in ipairs { 400, 404, 408, 409, 500, 501, 505 } do assert.is_nil((answered({}, status)), status) end
    for _, status in ipairs { 502, 503, 504 } do assert.is_nil((answered({ method = "POST" }, status)), status) end
    assert.equal(CALL, answered({ method = "POST" }, 429))
  end)

  it("a throttle that names its end counts as no failure, but a short one", function()
    local tries = state()
    for _ = 1, 20 do assert.equal(CALL, answered({}, 429, { ["retry-after"] = "1" }, tries)) end
    assert.same({ 0, 21 }, { tries.failed, tries.n })
    for i = 1, 3 do
      assert.equal(i < 3 and CALL or nil, (answered({}, 429, { ["retry-after"] = "0.9" }, tries)))
    end
    -- What is short of time waits no longer than half of what is left behind the throttle.
    tries, slept = state { deadline = loop.now() + 100 }, {}
    for _ = 1, 20 do answered({}, 429, { ["retry-after"] = "98" }, tries) end
    for _, delay in ipairs(slept) do assert.is_true(delay >= 97.9 and delay <= 99.1, delay) end
    local impatient = assert(daytona.new { api_key = "k", api_url = "https://host", max_retries = 0 }).connection
    assert.is_nil((retry.another(impatient, {}, state(), CALL, 429, "", { ["retry-after"] = "1" })))
    assert.is_nil((retry.another(impatient, {}, state(), CALL, 429, "", {})))
  end)

  it("there is none when the deadline would pass meanwhile, or the task was cancelled", function()
    retry.pause = pause
    local none, err = answered({}, 503, {}, state { deadline = loop.now() + 0.01 })
    assert.same({ nil, "unavailable" }, { none, err.kind })
    local task = daytona.spawn(function() return answered({ operation = "op", what = "w" }, 503) end)
    task:cancel()
    none, err = task:wait()
    assert.same({ nil, "canceled", "op", "w" }, { none, err.kind, err.operation, err.what })
    assert.is_true(retry.pause(0, loop.now() + 10))
    assert.is_true(retry.pause(0))
    assert.is_false(retry.pause(10, loop.now() + 10))
  end)

  it("what is sent begins anew: files at their places, functions where they can", function()
    local file = assert(io.tmpfile())
    file:write "0123456789"
    assert.equal(CALL, broken({ method = "PUT" }, "reset", true, false, state { places = { { file, 4 } } }))
    assert.equal("456789", file:read "*a")
    file:close()
    local function source() end
    assert.is_nil((broken({ body_source = source }, "reset", false)))
    assert.equal(CALL, broken({ body_source = source, rewind = function() return true end }, "reset", false))
    assert.is_nil((broken({ body_source = source, rewind = function() return false end }, "reset", false)))
    assert.is_nil((broken({ parts = { { name = "a", source = source } } }, "reset", false)))
    assert.equal(CALL, broken({ parts = { { name = "a", data = "x" } } }, "reset", false))
    assert.is_nil((broken({}, "reset", false, false, state { places = { { io.stdout, nil } } })))
  end)

  it("what may still run over there is told to who can end it", function()
    local told = {}
    local request = { method = "POST", on_abandon = function(err) told[#told + 1] = err.code end }
    for _, code in ipairs { "timeout", "idle_timeout", "canceled", "reset", "connect" } do
      broken(request, code, true)
      broken(request, code, false)
    end
    assert.same({ "timeout", "idle_timeout", "canceled" }, told)
  end)

  it("says that a command may have run, where it left and its end is not known", function()
    local function message(request, code, sent)
      local err = retry.note_sent(failure.from_transport(code), request, sent)
      assert.equal(sent, err.sent)
      return err.message:find("may have run", 1, true) ~= nil
    end
    for _, code in ipairs { "reset", "timeout", "idle_timeout" } do
      assert.is_true(message({ method = "POST" }, code, true), code)
      assert.is_false(message({ method = "POST" }, code, false))
      assert.is_false(message({ method = "GET" }, code, true))
    end
    assert.is_false(message({ method = "POST" }, "connect", true))
  end)
end)

describe("a redirect", function()
  -- Where it leads, or why it is not followed.
  local function followed(method, from, to, status, request, count)
    local profile = {}
    local call, err = redirect.follow(connection, request or {},
      { method = method, url = from, profile = profile, headers = { "X: 1" }, sigv4 = "s" },
      { status = status or 302, headers = { location = to }, count = count or 1 },
      function() return not (request and request.once) end)
    if err then
      assert.same({ "protocol", "redirect", status or 302 }, { err.kind, err.code, err.status })
      return err.message
    end
    assert.equal(method, call.method)
    return call.url, call.profile == profile and call.headers ~= nil and call.sigv4 ~= nil
  end

  it("keeps what it was given for on its way, and nothing elsewhere", function()
    for _, to in ipairs { "https://host/b", "/b", "//host/b", "https://HOST:443/b" } do
      assert.same({ "https://host/b", true }, { followed("GET", "https://host/a", to) })
    end
    for _, to in ipairs { "https://other/b", "https://host:444/b" } do
      assert.same({ to, false }, { followed("GET", "https://host/a", to) })
      assert.same({ to, false }, { followed("HEAD", "https://host/a", to) })
    end
    assert.same({ "https://host/b", false }, { followed("GET", "http://host/a", "https://host/b") })
  end)

  it("that would lose or betray something is refused", function()
    local function refused(words, ...)
      local said = followed(...)
      assert.truthy(said:find("redirect refused: " .. words, 1, true), said)
    end
    refused("from https to http", "GET", "https://host/a", "http://host/a")
    for _, method in ipairs { "POST", "PUT", "DELETE" } do
      refused(method .. " to another host", method, "https://host/a", "https://other/a", 307)
      for _, status in ipairs { 301, 302, 303 } do
        refused("it would turn " .. method .. " into GET", method, "https://host/a", "/b", status)
      end
      for _, status in ipairs { 307, 308 } do
        assert.same({ "https://host/b", true }, { followed(method, "https://host/a", "/b", status) })
        refused("the body cannot be sent twice", method, "https://host/a", "/b", status, { once = true })
      end
    end
    refused("what https://other:443 answers would be believed, but https://host:443 was asked",
      "GET", "https://host/a", "https://other/a", 302, { answer = "object" })
    assert.equal("https://host/b", followed("GET", "https://host/a", "/b", 302, { answer = "object" }))
    assert.equal("https://host/b", followed("GET", "https://host/a", "/b", 302, nil, 5))
    refused("there are too many", "GET", "https://host/a", "/b", 302, nil, 6)
    refused("it names no usable address", "GET", "https://host/a", "ftp://host/a")
    refused("it names no usable address", "GET", "https://host/a", nil)
  end)
end)
