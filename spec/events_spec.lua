-- The service's events: waits that listen, and programs that do.

local connections = require "daytona.http.connection"
local daytona = require "daytona"
local loop = require "daytona.loop"
local random = require "daytona.base.random"
local websocket = require "daytona.http.websocket"

local service, client

setup(function()
  -- Each state lasts 0.2 s: long enough for looks to come between.
  service = require("spec.support.service").start { time_scale = 0.1 }
end)
teardown(function() service:stop() end)

before_each(function()
  assert(service.server:clear_faults())
  client = service:connect()
end)
after_each(function() client:close() end)

-- A stream that broke is made again at once, not in some seconds.
local chance = random.chance
setup(function() random.chance = function() return chance() / 10 end end)
teardown(function() random.chance = chance end)

local function stream() return rawget(client, "_stream") end

-- "METHOD, METHOD": the requests about sandboxes that fn made.
local function requests_of(fn)
  assert(service.server:forget_requests())
  fn()
  local list = {}
  for _, request in ipairs(assert(service.server:requests())) do
    if request.path:find "^/sandbox" then list[#list + 1] = request.method end
  end
  return table.concat(list, ", ")
end

local function eventually(fn, what)
  for _ = 1, 500 do
    if fn() then return end
    daytona.sleep(0.02)
  end
  error("did not happen: " .. what, 2)
end

-- A sandbox, with the stream open.
local function listening()
  local box = assert(client:create())
  assert(box:stop())
  eventually(function()
    if not stream() then -- it was stopped at the first look
      assert(box:start())
      assert(box:stop())
    end
    return stream() and stream().live
  end, "the stream's opening")
  return box
end

describe("a wait", function()
  it("opens the stream, and the next one costs one look", function()
    local box = listening()
    assert(box:start())
    assert.equal("POST, GET", requests_of(function() assert(box:stop()) end))
    assert(box:start())
    assert.equal("POST, GET", requests_of(function()
      assert(box:stop { wait = false })
      assert(box:wait "stopped")
    end))
    assert.equal("DELETE, GET", requests_of(function() assert(box:delete { wait = true }) end))
  end)

  it("that is over at its first look opens nothing", function()
    local quick = require("spec.support.service").start {}
    local one = quick:connect()
    local box = assert(one:create())
    assert.is_nil(rawget(one, "_stream"))
    assert(one:delete(box))
    quick:stop()
  end)

  it("of many at once listens once", function()
    local boxes = assert(daytona.map({ 1, 2, 3, 4, 5, 6 }, function() return client:create() end))
    local fresh, opened = service:connect(), 0
    local real = websocket.begin
    finally(function() websocket.begin = real end)
    websocket.begin = function(...)
      opened = opened + 1
      return real(...)
    end
    for _ = 1, 10 do
      assert(daytona.map(boxes, function(box) return fresh:attach(box.id):stop() end))
      if opened > 0 then break end -- else all were stopped at the first look
      assert(daytona.map(boxes, function(box) return fresh:attach(box.id):start { wait = false } end))
      assert(daytona.map(boxes, function(box) return client:attach(box.id):wait "started" end))
    end
    assert.equal(1, opened)
    fresh:close()
    assert(daytona.map(boxes, function(box) return client:delete(box) end))
  end)

  it("ends where the sandbox fails, with the reason", function()
    local box = listening()
    assert(service.server:faults { { state = "starting", becomes = "error", error_reason = "no room" } })
    local started, err = box:start { wait = false }
    if started then started, err = box:wait "started" end
    assert.is_nil(started)
    assert.truthy(tostring(err):find("no room", 1, true), tostring(err))
    assert.equal("error", box.state)
    assert(box:delete())
  end)

  it("keeps its deadline and its cancellation", function()
    local box = listening()
    local begun = loop.now()
    local waited, err = box:wait("archived", { timeout = 0.4 })
    assert.is_nil(waited)
    assert.equal("timeout wait stopped", ("%s %s %s"):format(err.kind, err.code, err.state))
    assert.is_true(loop.now() - begun < 3)
    local task = daytona.spawn(function() return box:wait "archived" end)
    daytona.sleep(0.1)
    task:cancel()
    waited, err = task:wait()
    assert.is_nil(waited)
    assert.equal("canceled", err.kind)
    assert.is_nil(next(stream().listeners))
    assert(box:delete())
  end)

  it("looks once more when the stream broke and was made again", function()
    local box = listening()
    local task = daytona.spawn(function() return box:wait("started", { timeout = 30 }) end)
    daytona.sleep(0.2)
    -- It starts while nobody tells.
    assert(service.server:faults { { path = "/socket.io/", status = 503, times = 1 } })
    local op = stream().op
    op.transfer:cancel()
    eventually(function() return stream().op ~= op end, "the break is noticed")
    local other = service:connect { events = false }
    assert(other:attach(box.id):start())
    assert.equal("started", assert(task:wait()).state)
    assert(box:delete())
  end)

  it("goes on by looking where the service has no events, or not now", function()
    for _, fault in ipairs { { status = 404 }, { status = 400 }, { status = 503 }, { reset = "before" } } do
      fault.path = "/socket.io/"
      assert(service.server:clear_faults())
      assert(service.server:faults { fault })
      local old = service:connect()
      local box = assert(old:create())
      assert(box:stop())
      assert.equal("stopped", box.state)
      local stuck = rawget(old, "_stream")
      assert.is_false(stuck.live)
      if fault.status == 404 or fault.status == 400 then
        assert.equal("unsupported", stuck.refused.kind)
        assert.equal(1, stuck.failures) -- and never again
      else
        assert.is_nil(stuck.refused)
      end
      assert(box:delete())
      old:close()
    end
  end)

  it("goes on by looking where the credential is refused, and closes what the service leaves open", function()
    local real = connections.credential_of
    finally(function() connections.credential_of = real end)
    connections.credential_of = function() return "wrong" end
    local box = assert(client:create())
    assert(box:stop())
    assert.equal("auth", stream().refused.kind)
    assert.is_nil(stream().op)
    connections.credential_of = real
    assert(box:delete())
    local events, err = client:events()
    assert.is_nil(events)
    assert.equal("auth events", err.kind .. " " .. err.operation)
  end)

  it("does not listen where it is told not to", function()
    local deaf = service:connect { events = false }
    local box = assert(deaf:create())
    assert(box:stop())
    assert.is_nil(rawget(deaf, "_stream"))
    assert(box:delete())
  end)

  it("hears of snapshots and volumes as well", function()
    local box = listening()
    local volume = assert(client.volumes:create("told-volume"))
    assert.equal("ready", volume.state)
    assert(volume:delete { wait = true })
    local snapshot = assert(client.snapshots:create { name = "told-snapshot", image = "debian:12" })
    assert.equal("active", snapshot.state)
    assert(snapshot:delete { wait = true })
    assert(box:delete())
  end)

  it("is not fooled by what was told before", function()
    local box = listening()
    local old = {}
    for name, value in pairs(box.raw) do old[name] = value end
    assert(box:start())
    local task = daytona.spawn(function() return box:wait("stopped", { timeout = 20 }) end)
    daytona.sleep(0.1)
    for listener in pairs(stream().listeners) do
      listener.news = old -- on its way since it was stopped
      listener.latch:open()
    end
    daytona.sleep(0.1)
    assert.is_false(task:done())
    assert.equal("started", box.state)
    assert(service:connect({ events = false }):attach(box.id):stop())
    assert(task:wait())
    assert(box:delete())
  end)
end)

describe("the stream", function()
  it("keeps nobody busy when nobody listens, and answers pings while somebody does", function()
    local box = listening()
    assert.is_true(stream().live)
    assert.is_false(loop.busy())
    local events = assert(client:events())
    assert.is_true(loop.busy())
    local _, sent = stream().op.transfer:progress()
    assert(service.server:advance(26))
    eventually(function() return select(2, stream().op.transfer:progress()) > sent end, "the ping is answered")
    local waited, err = events:next(0.2)
    assert.is_nil(waited)
    assert.equal("timeout", err.kind)
    assert.is_true(stream().live)
    events:close()
    assert.is_false(loop.busy())
    assert(box:delete())
  end)

  it("is closed a while after the last listener", function()
    local box = listening()
    local op = stream().op
    stream().left_at = stream().left_at - 31
    assert(service.server:advance(26))
    eventually(function() return op.done end, "it is closed")
    assert.is_nil(stream().op)
    assert(box:start())
    assert(box:stop())
    assert.is_true(stream().live)
    assert(box:delete())
  end)

  it("ends with its client", function()
    local box = listening()
    local op = stream().op
    client:close()
    assert.is_true(op.done)
    assert(service.client:delete(box.id))
  end)

  it("survives frames that are none", function()
    local box = listening()
    local take = stream().op.transfer
    local noise = { "", "x", "42", "42[", '42["sandbox.created",{}]', '42["sandbox.state.updated",{"sandbox":[]}]',
      '42["x",{"id":1}]', "7", "\0" }
    local op = stream().op
    local noisy = setmetatable({
      receive = function() return table.remove(noise) or take:receive() end,
    }, { __index = function(_, name) return function(_, ...) return take[name](take, ...) end end })
    stream().op = setmetatable({ transfer = noisy }, { __index = op })
    op.waiter.call()
    stream().op = op
    assert(box:start())
    assert(box:delete())
  end)
end)

describe("client:events", function()
  it("tells what happens, in order, with objects", function()
    local events = assert(client:events { kinds = { "sandbox" } })
    local box = assert(service.client:create { name = "told" })
    assert(box:stop())
    local lines = {}
    for event in events do
      if event.id == box.id then
        lines[#lines + 1] = tostring(event):gsub("^sandbox%.", "")
        assert.equal("daytona.Sandbox", getmetatable(event.sandbox).__name)
        assert.equal("told", event.sandbox.name)
      end
      if event.id == box.id and event.new_state == "stopped" then break end
    end
    events:close()
    assert.same({
      "created (told)", "state.updated (told: unknown to creating)", "state.updated (told: creating to started)",
      "desired-state.updated (told: started to stopped)", "state.updated (told: started to stopping)",
      "state.updated (told: stopping to stopped)",
    }, lines)
    assert(service.client:delete(box.id))
  end)

  it("tells only the kinds that are asked for", function()
    local events = assert(client:events { kinds = { "volume.created", "snapshot" } })
    local volume = assert(service.client.volumes:create "asked-for")
    local event = assert(events:next(5))
    assert.equal("volume.created", event.kind)
    assert.equal("asked-for", event.volume.name)
    assert.is_nil((events:next(0.3)))
    assert(volume:delete())
    events:close()
  end)

  it("ends when it is closed, also for who waits", function()
    local events = assert(client:events())
    local task = daytona.spawn(function()
      while events:next() do end
      return "over"
    end)
    daytona.sleep(0.05)
    events:close()
    events:close()
    assert.equal("over", (task:wait(5)))
    assert.is_nil((events:next()))
  end)

  it("says where some may be missing", function()
    local events = assert(client:events { kinds = { "sandbox.created" } })
    stream().op.transfer:cancel()
    assert.equal("gap", assert(events:next(20)).kind)
    local box = assert(service.client:create())
    assert.equal(box.id, assert(events:next(5)).id)
    events:close()
    assert(service.client:delete(box.id))
  end)

  it("that nobody keeps holds nothing", function()
    assert(client:events())
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(stream().listeners))
    assert(service.server:advance(26))
    eventually(function() return not loop.busy() end, "it rests")
  end)

  it("that cannot come up says why", function()
    assert(service.server:faults { { path = "/socket.io/", status = 404 } })
    local events, err = client:events()
    assert.is_nil(events)
    assert.equal("unsupported events 404", ("%s %s %d"):format(err.kind, err.operation, err.status))
    assert(service.server:clear_faults())
    local far = service:connect()
    assert(service.server:faults { { path = "/socket.io/", delay = 60 } })
    events, err = far:events { timeout = 0.2 }
    assert.is_nil(events)
    assert.equal("timeout", err.kind)
    assert.is_false(loop.busy())
    far:close()
  end)
end)
