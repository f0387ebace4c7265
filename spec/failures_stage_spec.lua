-- What a user gets who gives up, or whose time is over, at any stage of an
-- operation: an error that says so at once, nothing left over there, and a client
-- that goes on.
--
-- One connection to a host makes a second request wait in the queue.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local haste = require "spec.support.haste"
local loop = require "daytona.loop"
local nap = require "spec.support.nap"
local socket = require "cqueues.socket"
local trials = require "spec.support.trial"

local trial, silent, silent_port, occupant

setup(function()
  silent = socket.listen("127.0.0.1", 0)
  silent:listen()
  local _
  _, _, silent_port = silent:localname()
  trial = trials.start { client = { max_connections = 1 } }
end)

teardown(function()
  silent:close()
  trial:stop()
end)

before_each(function() trial:begin() end)

after_each(function()
  if occupant then occupant:cancel() end
  occupant = nil
  assert(trial.server:set_time_scale(1))
end)


--- Stages -----------------------------------------------------------------------------------

-- The service holds an answer for so long, seconds, that only giving up ends it.
local LONG = 300

-- Another request has the only connection that this operation could take.
local function occupy(operation)
  local path = operation.inside and "/version" or "/config"
  assert(trial.server:faults { { path = path, hold = LONG } })
  occupant = daytona.spawn(function()
    if operation.inside then return trial.home:version() end
    return trial.good:config()
  end)
  trial.eventually(function() return (trial:progress()) end, "the occupant's request")
end

local function is_sent()
  local sent, answered = trial:progress()
  return sent and not answered
end

local function is_answered()
  local _, answered = trial:progress()
  return answered
end

-- Between two tries: the first is over, nothing is in flight, something waits.
local function is_pausing()
  return trial.begun == 1 and trial.last.done and loop.engine():stats().running == 0
end

-- The state in which each waits for another.
local POLLING = { create = "creating", start = "starting", stop = "stopping", delete = "destroying" }

-- name, which operations, how to get there, how to know that it is there.
local STAGES = {
  { "in the queue", enter = occupy, reached = function() return loop.engine():stats().queued == 1 end },
  { "while it connects",
    enter = function(_, opts)
      local base = "https://127.0.0.1:" .. silent_port
      trial:use(trial:connect(trial.merge({ api_url = base .. "/api" }, opts)), base .. "/toolbox")
    end,
    reached = function() return loop.engine():stats().running == 1 end },
  { "before the answer", took_effect = true,
    enter = function(operation) trial:fault(operation, { hold = LONG, times = 1 }) end,
    reached = is_sent },
  { "in the middle of the answer", took_effect = true,
    enter = function(operation) trial:fault(operation, { slow = 4, times = 1 }) end,
    reached = is_answered },
  { "between two tries", pauses = true,
    enter = function(operation, opts)
      trial:use(trial:connect(trial.merge({ max_retries = 3 }, opts)))
      trial:fault(operation, { throttle = true, retry_after = 20 })
    end,
    reached = is_pausing },
  { "while it waits for the state",
    only = POLLING,
    enter = function(operation)
      assert(trial.server:faults { { state = POLLING[operation.name] } })
      assert(trial.server:set_time_scale(300)) -- the service holds its first answer for 30 seconds
    end,
    reached = function() return trial.begun >= 3 end },
}

local function concerns(stage, operation)
  return not stage.only or stage.only[operation.name] ~= nil
end

-- What each does, so that there is something to wait for.
local function prepare(stage, operation)
  trial:prepare(operation)
  if stage.only and operation.name == "start" then assert(trial.spare_home:stop()) end
end

-- Waits for a state are many looks, and what goes on behind a call that was given up many
-- tries; only where one is given up between two tries these have their time.
local function hurried(stage, fn)
  return stage.pauses and fn or haste.case(fn)
end

local function options_of(stage, operation, opts)
  if stage.only and operation.name == "delete" then opts.wait = true end
  return opts
end

local function check(stage, operation, err)
  assert.is_true(errors.is(err), tostring(err))
  assert.equal(operation.says or operation.name, err.operation)
  if operation.inside then assert.equal(trial.home.id, err.sandbox.id) end
  if operation.changes then assert.equal(trial.spare, err.sandbox.id) end
  if stage.only and operation.name == "create" then assert.is_string(err.sandbox.id) end
end

--- Cancelling --------------------------------------------------------------------------------

for _, stage in ipairs(STAGES) do
  describe("cancelled " .. stage[1] .. ",", function()
    for _, operation in ipairs(trials.operations(function(o) return concerns(stage, o) end)) do
      it(operation.name .. " ends at once and leaves nothing", hurried(stage, function()
        prepare(stage, operation)
        stage.enter(operation, {})
        trial.begun = 0
        local task = daytona.spawn(function()
          return trial:run(operation, options_of(stage, operation, {}))
        end)
        trial.eventually(stage.reached, function()
          local stats = loop.engine():stats()
          return ("%s (%d requests begun, %d running, %d queued, the task is %s)"):format(stage[1], trial.begun,
            stats.running, stats.queued, task:done() and tostring(select(2, task:wait())) or "running")
        end)
        task:cancel()
        local result, err = task:wait()
        assert.is_nil(result)
        assert.equal("canceled", err.kind, tostring(err))
        check(stage, operation, err)
        if occupant then
          occupant:cancel()
          occupant:wait()
        end
        local times = trial:after(err, { perhaps = stage.took_effect and operation.leaves, later = stage.only ~= nil })
        assert.is_true(times <= (stage.took_effect and 1 or 0))
      end))
    end
  end)
end

--- Deadlines ----------------------------------------------------------------------------------

-- exec and run wait longer than the time of their command: spec/exec_spec.lua.
local function has_deadline(operation)
  return operation.deadline ~= nil
end

local SHORT = 0.15

local function out_of_time(stage, operation)
  local opts, client_opts = {}, {}
  if operation.deadline == "client" then client_opts.timeout = SHORT else opts.timeout = SHORT end
  trial:use(trial:connect(client_opts))
  stage.enter(operation, client_opts)
  trial.begun = 0
  local before = loop.now()
  local result, err = trial:run(operation, options_of(stage, operation, opts))
  assert.is_nil(result)
  return err, loop.now() - before
end

for _, stage in ipairs(STAGES) do
  describe("out of time " .. stage[1] .. ",", function()
    for _, operation in ipairs(trials.operations(function(o) return concerns(stage, o) and has_deadline(o) end)) do
      it(operation.name .. " says so in time and leaves nothing", hurried(stage, function()
        prepare(stage, operation)
        local err, took = out_of_time(stage, operation)
        local expected = stage.only and "timeout wait" or "timeout timeout"
        if stage[1] == "between two tries" then expected = "rate_limited nil" end
        assert.equal(expected, err.kind .. " " .. tostring(err.code), tostring(err))
        check(stage, operation, err)
        assert.is_true(took < SHORT + 5, took)
        if occupant then
          occupant:cancel()
          occupant:wait()
        end
        trial:after(err, { perhaps = stage.took_effect and operation.leaves, later = stage.only ~= nil })
      end))
    end
  end)
end

--- Create, when the answer was lost ---------------------------------------------------------------

describe("create, when it was made and the answer lost,", function()
  local create = trials.operation "create"

  -- Runs it with the answer lost, and faults for the search that follows.
  local function lose(...)
    trial:use(trial:connect { max_retries = 0 })
    trial:fault(create, { reset = true, handled = true, times = 1 })
    for _, fault in ipairs { ... } do
      assert(trial.server:faults { trial.merge({ method = "GET", path = "/sandbox/lua-*" }, fault) })
    end
    trial.begun = 0
    return daytona.spawn(function() return trial:run(create) end)
  end

  it("is cancelled while it looks: the sandbox is deleted", function()
    local task = lose { hold = LONG, times = 1 }
    trial.eventually(function() return trial.begun == 2 and is_sent() end, "the search")
    task:cancel()
    local box, err = task:wait()
    assert.is_nil(box)
    assert.equal("canceled create", err.kind .. " " .. err.operation)
    trial:after(err)
  end)

  it("cannot look at first: the sandbox is deleted once it is found", function()
    local box, err = lose({ empty = true, times = 2 }):wait()
    assert.is_nil(box)
    assert.equal("connection reset", err.kind .. " " .. err.code)
    trial:after(err)
  end)

  it("is out of time while it looks: the sandbox is deleted", function()
    trial:fault(create, { reset = true, handled = true, times = 1 })
    assert(trial.server:faults { { method = "GET", path = "/sandbox/lua-*", hold = LONG, times = 1 } })
    local box, err = trial:run(create, { timeout = 0.3 })
    assert.is_nil(box)
    assert.is_true(err.kind == "connection" or err.kind == "timeout")
    trial:after(err)
  end)
end)

it("create that was not made is cancelled between two tries: nothing comes to be", function()
  trial:use(trial:connect { max_retries = 3 })
  trial:fault(trials.operation "create", { reset = true })
  trial.begun = 0
  local task = daytona.spawn(function() return trial:run(trials.operation "create") end)
  trial.eventually(function() return trial.begun >= 2 and trial.last.done end, "the pause")
  task:cancel()
  local box, err = task:wait()
  assert.is_nil(box)
  assert.equal("canceled create", err.kind .. " " .. err.operation)
  trial:after(err)
end)

--- What runs over there ----------------------------------------------------------------------------

describe("a command that is given up", function()
  local NAP = nap(300)
  local COUNT = "ps -eo args | grep -c '^" .. NAP .. "'"

  local function sleepers()
    return tonumber(assert(trial.home:exec(COUNT)).result)
  end

  for name, run in pairs {
    exec = function() return trial.box:exec("echo ran >> ran.log; " .. NAP .. "; echo no") end,
    run = function()
      return trial.box:run("import os; open('ran.log', 'a').write('ran\\n'); os.system('" .. NAP .. "; echo no')")
    end,
  } do
    it("by " .. name .. " is ended, with its children, and never sent again", function()
      trial:use(trial:connect { max_retries = 3 })
      local task = daytona.spawn(run)
      -- The only connection is taken by the command: ask by another.
      local other = trial:connect { api_url = (trial.server.api_url:gsub("127%.0%.0%.1", "localhost")) }
      local side = other:attach(trial.home.id)
      side.toolbox_proxy_url = trial.home.toolbox_proxy_url:gsub("127%.0%.0%.1", "localhost")
      trial.eventually(function()
        return assert(side:exec(COUNT)).result == "1\n"
      end, "the command")
      task:cancel()
      local result, err = task:wait()
      assert.is_nil(result)
      assert.equal("canceled " .. name, err.kind .. " " .. err.operation)
      assert.equal(0, sleepers())
      assert.equal(1, trial:after(err))
    end)
  end
end)

--- Half a transfer ------------------------------------------------------------------------------------

describe("a file whose transfer is cancelled half way", function()
  for _, old in ipairs { "as it was", false } do
    it("up leaves " .. (old and "what was there before" or "nothing"), function()
      if old then assert(trial.home.fs:write("up.bin", old)) end
      local given = 0
      local task = daytona.spawn(function()
        return trial.box.fs:upload(function()
          given = given + 65536
          return ("x"):rep(65536)
        end, "up.bin")
      end)
      trial.eventually(function() return given > 2e6 end, "two megabytes on their way")
      task:cancel()
      local info, err = task:wait()
      assert.is_nil(info)
      assert.equal("canceled upload", err.kind .. " " .. err.operation)
      if old then assert.equal(old, assert(trial.home.fs:read "up.bin")) end
      trial:after(err, { inside = old and ("up.bin %d\n"):format(#old) or "" })
    end)
  end

  it("down leaves what was there before", function()
    local target = trial.dir .. "/down.bin"
    local file = assert(io.open(target, "wb"))
    file:write "as it was"
    file:close()
    trial:fault(trials.operation "download", { slow = 2000 })
    local done = 0
    local task = daytona.spawn(function()
      return trial.box.fs:download("big.bin", target, { on_progress = function(n) done = n end })
    end)
    trial.eventually(function() return done > 100 end, "some of it")
    task:cancel()
    local info, err = task:wait()
    assert.is_nil(info)
    assert.equal("canceled download", err.kind .. " " .. err.operation)
    file = assert(io.open(target, "rb"))
    assert.equal("as it was", file:read "*a")
    file:close()
    trial:after(err, { here = "down.bin\n" })
  end)
end)
