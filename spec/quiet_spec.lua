-- Many terminals and followed commands, open at once in one thread: at rest they
-- wake nobody, and closed they leave nothing behind.

local core = require "daytona.base.native"
local daytona = require "daytona"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local session_module = require "daytona.toolbox.session"
local watch_module = require "daytona.toolbox.watch"
local support = require "spec.support.box"

-- So many of each.
local MANY, SESSIONS = 250, 10

-- Seconds: all pings and all looks at quiet commands fall on multiples of this; a
-- watch over the rest is so long, and must lie between two of them.
local MOMENTS, REST = 20, 2

local function polls() return loop.engine():stats().polls end

-- What a process has open.
local function descriptors(pid)
  local pipe = io.popen(("ls /proc/%d/fd | wc -l"):format(pid))
  local n = pipe:read "*n"
  pipe:close()
  return n
end

local function times(n, fn, concurrency)
  local numbers = {}
  for i = 1, n do numbers[i] = i end
  return assert(daytona.map(numbers, fn, { concurrency = concurrency }))
end

-- Waits until nothing has happened for more than a second, nor will happen soon.
local function await_rest()
  local limit = loop.now() + 60
  repeat
    assert(loop.now() < limit, "it does not come to rest")
    local before = polls()
    daytona.sleep(1.2)
    local since = loop.now() % MOMENTS
  until polls() - before == 1 and since > 2 and since < MOMENTS - REST - 0.5
end

describe("many terminals and followed commands", function()
  local box, sb

  setup(function()
    box = support.start()
    sb = box.sandbox
  end)
  teardown(function() box:stop() end)

  it("do not wake the program while nothing happens, and leave nothing behind", function()
    times(MANY, function() return sb:ptys() end) -- opens the connections for requests
    local ours, theirs = descriptors(core.pid()), descriptors(box.daemon.pid)

    local sessions = times(SESSIONS, function() return sb:session() end)
    local commands = times(SESSIONS, function(i)
      return sessions[i]:exec("echo ready; sleep 1000", { async = true })
    end)

    local ptys = times(MANY, function() return sb:pty() end, 10)
    local follows = times(MANY, function(i) return commands[i % SESSIONS + 1]:follow() end)
    local readers = {}
    for i = 1, MANY do
      assert.same({ "stdout", "ready\n" }, { follows[i]:read() })
      readers[#readers + 1] = daytona.spawn(function() return follows[i]:read() end)
      readers[#readers + 1] = daytona.spawn(function()
        while ptys[i]:read() do end -- luacheck: ignore 542
      end)
    end
    assert.is_true(descriptors(core.pid()) >= 2 * MANY)

    local before, moment
    repeat -- on a busy machine the end of the watch may come later than the next moment
      await_rest()
      before, moment = polls(), math.floor(loop.now() / MOMENTS)
      daytona.sleep(REST)
    until math.floor(loop.now() / MOMENTS) == moment
    assert.equal(1, polls() - before) -- the sleep's own end

    for i = 1, MANY do follows[i]:close() end
    times(MANY, function(i) return ptys[i]:close() end, 10)
    for _, reader in ipairs(readers) do
      local _, err = reader:wait(10)
      assert.is_true(err == nil or err.kind == "canceled", tostring(err))
    end
    assert.same({}, assert(sb:ptys()))
    assert.same({ false, 0 }, { loop.busy(), loop.engine():stats().running })
    assert.is_true(descriptors(core.pid()) <= ours + SESSIONS) -- which other requests may have opened
    times(SESSIONS, function(i) return sessions[i]:delete() end) -- what their shells were asked waits there
    local limit = loop.now() + 10
    local most = theirs + SESSIONS -- a connection may be accepted after they were counted
    while descriptors(box.daemon.pid) > most and loop.now() < limit do daytona.sleep(0.05) end
    assert.is_true(descriptors(box.daemon.pid) <= most)
  end)
end)

describe("a quiet command that is followed", function()
  local real_now, real_request, real_turn = loop.now, http.request, watch_module.next_turn
  local now, asked, answer, session

  before_each(function()
    now, asked, answer = 1000, {}, nil
    watch_module.next_turn = 0 -- on that clock
    loop.now = function() return now end -- luacheck: ignore 122
    http.request = function(_, request)
      asked[#asked + 1] = request.operation
      if request.operation == "session exec" then
        if answer then return nil, answer end
        return { json = { cmdId = "probe" } }
      end
      return { json = { id = "c" } }
    end
    session = assert(session_module.session({ toolbox = function() return {} end }, "s", { create = false }))
    asked = {}
  end)
  after_each(function()
    loop.now, http.request, watch_module.next_turn = real_now, real_request, real_turn -- luacheck: ignore 122
  end)

  local function watch()
    return watch_module.new(session:command "c", true)
  end

  it("is asked for in the first seconds, then its shell, at moments and by questions that all share", function()
    local one, looks = watch(), 0
    while one.next <= 1003 do
      now, looks = one.next, looks + 1
      assert.is_false(one:look())
    end
    assert.is_true(looks > 10 and looks < 30, looks .. " looks")
    local other = watch()
    assert.equal(1020, one.next)
    for _, moment in ipairs { 1040, 1080, 1160 } do
      now, asked = one.next, {}
      assert.is_false(one:look())
      assert.is_false(other:look())
      assert.same({ "session exec" }, asked)
      assert.same({ moment, moment }, { one.next, other.next })
    end
  end)

  it("waits a second for the answer to a question that another is asking", function()
    local one, other = watch(), watch()
    local request = http.request
    now = 1020
    http.request = function(...)
      http.request = request
      assert.is_false(other:look())
      assert.equal(1021, other.next)
      return request(...)
    end
    assert.is_false(one:look())
    now = 1021
    assert.is_false(other:look())
    assert.same({ "session exec" }, asked)
    assert.same({ 1040, 1060 }, { one.next, other.next })
  end)

  it("is over for all of them when the shell is dead", function()
    local one, other = watch(), watch()
    now, answer = 1020, errors.new { kind = "gone", code = "SESSION_ENDED", message = "broken pipe" }
    assert.is_true(one:look())
    assert.is_true(other:look())
    assert.same({ -1, -1, true }, { one.command.exit_code, other.command.exit_code, session.ended })
    assert.same({ "session exec", "session command", "session command" }, asked)
  end)
end)
