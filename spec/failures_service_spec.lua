-- What a user gets when the service answers wrongly, or not to the end: for each
-- operation the right kind of error, or success where the service's slip can be
-- made good, and nothing left behind.

local errors = require "daytona.base.errors"
local trials = require "spec.support.trial"

local trial

setup(function() trial = trials.start() end)
teardown(function() trial:stop() end)
before_each(function() trial:begin() end)

local RUNS = { exec = true, run = true }

-- What each failure is: a fault for the endpoint, and the error, as "kind code
-- status". `ran`: the request takes effect; a sandbox that was started, stopped or deleted
-- so is found to be. By operation: another outcome, of
-- which "success" is one: a sandbox that was made is found again, the content of
-- a file may be anything, and a clone says nothing.
local FAILURES = {
  { "reset before the answer", { reset = true }, "connection reset" },
  { "reset after it took effect, before the answer", { reset = true, handled = true }, "connection reset",
    ran = true, create = "success" },
  { "reset in the middle of the answer", { reset = "mid" }, { "connection reset", "connection truncated" },
    ran = true, create = "success" },
  { "closed without an answer", { drop = true }, "connection reset" },
  { "cut in the middle of the answer", { cut_after = 7 }, "connection truncated",
    ran = true, create = "success" },
  -- Who closes while content still comes may be heard no more.
  { "no HTTP", { garbage = true }, "protocol protocol", upload = { "protocol protocol", "connection reset" } },
  { "an empty 502", { empty = true }, "unavailable 502" },
  { "an empty 502 after it took effect", { empty = true, handled = true }, "unavailable 502",
    ran = true, create = "success" },
  { "an HTML page with 502", { html = true }, "unavailable 502" },
  { "an HTML page with 200", { html = true, status = 200 }, "protocol json 200",
    clone = "success", download = "success", read = "success" },
  { "JSON that ends in the middle", { invalid_json = true }, "protocol json 200",
    clone = "success", download = "success", read = "success" },
  { "JSON of other types", { wrong_types = true }, "protocol json 200", ran = true,
    create = "success", download = "success", read = "success", clone = "unavailable 502",
    exec = "protocol 200", run = "protocol 200" },
}

-- "kind code status" of an error.
local function described(err)
  local words = { err.kind }
  if err.code then words[#words + 1] = err.code end
  if err.status then words[#words + 1] = ("%d"):format(err.status) end
  return table.concat(words, " ")
end

local function matches(expected, got)
  if type(expected) == "string" then return expected == got end
  for _, one in ipairs(expected) do
    if one == got then return true end
  end
  return false
end

-- The error is about this operation, on this sandbox.
local function check_context(operation, err)
  assert.is_true(errors.is(err), tostring(err))
  assert.equal(operation.says or operation.name, err.operation)
  if operation.inside then
    assert.equal(trial.home.id, err.sandbox.id)
  elseif operation.changes then
    assert.equal(trial.spare, err.sandbox.id)
  end
end

for _, operation in ipairs(trials.operations()) do
  describe(operation.name .. ", answered with", function()
    for _, failure in ipairs(FAILURES) do
      local name, fault = failure[1], failure[2]
      it(name, function()
        trial:prepare(operation)
        trial:fault(operation, fault)
        local result, err = trial:run(operation)
        local expected = failure[operation.name] or failure.ran and operation.changes and "success" or failure[3]
        if expected == "success" then
          assert.is_truthy(result, tostring(err))
          if operation.name == "create" then assert(trial.good:delete(result.id, { wait = true })) end
        else
          assert.is_nil(result)
          assert.is_true(matches(expected, described(err)), described(err) .. ": " .. tostring(err))
          check_context(operation, err)
        end
        local expect = {}
        if operation.name == "download" and expected == "success" then expect.here = "down.bin\n" end
        if expected == "success" then expect.inside = operation.leaves end
        local times = trial:after(err, expect)
        if RUNS[operation.name] then assert.equal(failure.ran and 1 or 0, times) end
      end)
    end
  end)
end

describe("an answer that repeats what is secret", function()
  for _, operation in ipairs(trials.operations()) do
    it("is not repeated by " .. operation.name, function()
      trial:prepare(operation)
      local secret = operation.secret or trial.server.api_key
      trial:fault(operation, {
        status = 403, message = ("no: '%s' with %s"):format(secret, trial.server.api_key),
        headers = { ["X-Echo"] = "plain" },
      })
      local result, err = trial:run(operation)
      assert.is_nil(result)
      assert.equal("forbidden 403", described(err))
      assert.is_truthy(err.message:find("no: '[redacted]' with [redacted]", 1, true), err.message)
      check_context(operation, err)
      assert.equal(0, trial:after(err))
    end)
  end
end)

describe("throttled with", function()
  for _, header in ipairs { "Retry-After", "Retry-After-sandbox-create" } do
    local throttle = header:match "^Retry%-After%-(.*)$" or true

    describe(header .. ",", function()
      for _, operation in ipairs(trials.operations()) do
        it(operation.name .. " says how long to wait", function()
          trial:prepare(operation)
          trial:fault(operation, { throttle = throttle, retry_after = 7 })
          local result, err = trial:run(operation)
          assert.is_nil(result)
          assert.equal("rate_limited 429", described(err))
          assert.equal(7, err.retry_after)
          assert.is_true(err.retryable)
          check_context(operation, err)
          assert.equal(0, trial:after(err))
        end)

        it(operation.name .. " is asked for again by itself", function()
          trial:prepare(operation)
          trial:use(trial.patient)
          trial:fault(operation, { throttle = throttle, retry_after = 0, times = 2 })
          local result, err = trial:run(operation)
          if operation.name == "clone" then
            assert.equal("unavailable GIT_TRANSPORT_FAILED 502", described(err))
          else
            assert.is_truthy(result, tostring(err))
          end
          assert.equal(3, trial:requests(operation))
          if operation.name == "create" then assert(trial.good:delete(result.id, { wait = true })) end
          local expect = {}
          if operation.name == "download" then expect.here = "down.bin\n" end
          expect.inside = operation.leaves
          local times = trial:after(err, expect)
          if RUNS[operation.name] then assert.equal(1, times) end
        end)
      end
    end)
  end
end)

describe("a slip of the service that passes:", function()
  local function once(operation, fault)
    trial:prepare(operation)
    trial:use(trial.patient)
    trial:fault(operation, trial.merge({ times = 1 }, fault))
    return trial:run(operation)
  end

  for _, fault in ipairs { { empty = true }, { reset = true } } do
    local what = fault.empty and "an empty 502" or "a reset"

    for _, operation in ipairs(trials.operations(function(o) return o.safe or o.name == "create" end)) do
      it(operation.name .. " makes up for " .. what, function()
        local result, err = once(operation, fault)
        assert.is_truthy(result, tostring(err))
        assert.equal(2, trial:requests(operation))
        if operation.name == "create" then assert(trial.good:delete(result.id, { wait = true })) end
        trial:after(nil, { here = operation.name == "download" and "down.bin\n" or nil, inside = operation.leaves })
      end)
    end

    for _, operation in ipairs(trials.operations(function(o) return not o.safe and o.name ~= "create" end)) do
      it(operation.name .. " is not sent again after " .. what, function()
        local result, err = once(operation, trial.merge({ handled = true }, fault))
        if operation.changes then -- it is found to be done
          assert.is_truthy(result, tostring(err))
        else
          assert.is_nil(result)
          assert.equal(fault.empty and "unavailable 502" or "connection reset", described(err))
        end
        assert.equal(1, trial:requests(operation))
        local times = trial:after(err)
        if RUNS[operation.name] then assert.equal(1, times) end
      end)
    end
  end
end)
