-- The local server's event stream: Socket.IO as the service speaks it, frame by frame.

local cjson = require "cjson"

local HERE = debug.getinfo(1, "S").source:match "^@(.*)devserver_events_spec%.lua$"

describe("the event stream of the local server", function()
  local plane, url, plan

  setup(function()
    plane = require("spec.support.plane").start()
    url = plane.server.api_url:gsub("^http", "ws") .. "/socket.io/?EIO=4&transport=websocket"
    plan = os.tmpname()
  end)
  teardown(function()
    os.remove(plan)
    plane:stop()
  end)
  after_each(function() assert(plane.server:clear_faults()) end)

  -- A connection; its next frame as text, or what ended it.
  local function listen(steps, timeout)
    local file = assert(io.open(plan, "w"))
    file:write(cjson.encode { url = url, steps = steps, timeout = timeout or 20 })
    file:close()
    local out = assert(io.popen(("luajit '%ssupport/wsclient.lua' '%s'"):format(HERE, plan)))
    assert.equal("open ", out:read "*l")
    local function frame()
      local line = out:read "*l"
      local hex = line and line:match "^text (%x+)$"
      return hex and hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end) or line
    end
    return frame, function() out:close() end
  end

  local function token(text) return '40' .. cjson.encode { token = text } end

  -- One that has the key, up to the moment when it hears everything; `last` ends it.
  local function connect(last)
    local frame, close = listen { { after = "0{", send = token(plane.server.api_key) }, { after = last, close = 1000 } }
    assert.equal("0{", frame():sub(1, 2))
    assert.truthy(frame():find '^40{"sid":"[%w_%-]+"}$')
    return function()
      local text = frame()
      while text == "2" do text = frame() end
      if not text or text:sub(1, 2) ~= "42" then return nil end
      local event = cjson.decode(text:sub(3))
      local body = event[2]
      local resource = body.sandbox or body.volume or type(body.snapshot) == "table" and body.snapshot or body
      return event[1], body, resource
    end, close
  end

  local function summary(name, body, resource)
    return table.concat({ name, resource.name, body.oldState or body.oldDesiredState or resource.state or "",
      body.newState or body.newDesiredState or "" }, " ")
  end

  -- All events up to the last one, as lines.
  local function heard(next_event)
    local lines = {}
    while true do
      local name, body, resource = next_event()
      if not name then return lines end
      lines[#lines + 1] = summary(name, body, resource)
    end
  end

  it("begins with a handshake, and answers a good key", function()
    local frame, close = listen({ { after = "0{", send = token(plane.server.api_key) }, { after = "40{",
      close = 1000 } })
    local hello = cjson.decode(frame():sub(2))
    assert.same({ 25000, 20000, 1000000, 0 }, { hello.pingInterval, hello.pingTimeout, hello.maxPayload,
      #hello.upgrades })
    assert.truthy(frame():find '^40{"sid":')
    close()
  end)

  it("tells a wrong key so, and stays open", function()
    local frame, close = listen({ { after = "0{", send = token "wrong" }, { after = "44{", send = "40" },
      { after = "44{", send = token(plane.server.api_key) }, { after = "40{", close = 1000 } })
    frame()
    assert.equal('44{"message":"Unauthorized"}', frame())
    assert.equal('44{"message":"Unauthorized"}', frame())
    assert.truthy(frame():find '^40{"sid":')
    close()
  end)

  it("is nothing but a WebSocket", function()
    for _, query in ipairs { "EIO=4&transport=polling", "EIO=3&transport=websocket", "" } do
      local pipe = io.popen(("curl -s -w ' %%{http_code}' '%s/socket.io/?%s'"):format(plane.server.api_url, query))
      assert.equal('{"code":0,"message":"Transport unknown"} 400',
        (pipe:read("*a"):gsub('{"message":"Transport unknown","code":0}', '{"code":0,"message":"Transport unknown"}')))
      pipe:close()
    end
  end)

  it("pings, and leaves who does not answer", function()
    local frame, close = listen({}, 30)
    assert.equal("0{", frame():sub(1, 2))
    assert(plane.server:advance(25))
    assert.equal("2", frame())
    assert(plane.server:advance(25))
    local last = frame()
    assert.truthy(last:find "^close 1000" or last:find "^gone", last)
    close()
  end)

  it("says what becomes of a sandbox, in the service's order", function()
    local next_event, close = connect '"newState":"destroyed"'
    local id = plane:create { name = "told" }
    plane:must("POST", "/sandbox/told/stop")
    plane:wait_for(id, "stopped")
    plane:must("POST", "/sandbox/told/start")
    plane:must("DELETE", "/sandbox/told")
    local lines = heard(next_event)
    assert.truthy(lines[#lines]:find "^sandbox.state.updated DESTROYED_told_%d+ ")
    for i, line in ipairs(lines) do lines[i] = line:gsub("DESTROYED_told_%d+", "told") end
    assert.same({
      "sandbox.created told creating ",
      "sandbox.state.updated told unknown creating",
      "sandbox.state.updated told creating started",
      "sandbox.desired-state.updated told started stopped",
      "sandbox.state.updated told started stopping",
      "sandbox.state.updated told stopping stopped",
      "sandbox.desired-state.updated told stopped started",
      "sandbox.state.updated told stopped starting",
      "sandbox.state.updated told starting started",
      "sandbox.desired-state.updated told started destroyed",
      "sandbox.state.updated told started destroying",
      "sandbox.state.updated told destroying destroyed",
    }, lines)
    close()
  end)

  it("says so of pauses, forks, sizes and snapshots", function()
    local id = plane:create { name = "vm", snapshot = "daytona-vm-small", autoPauseInterval = 0, autoStopInterval = 0 }
    local next_event, close = connect '"newState":"last"'
    plane:must("POST", "/sandbox/vm/pause")
    plane:wait_for(id, "paused")
    plane:must("POST", "/sandbox/vm/start")
    plane:must("POST", "/sandbox/vm/resize", { cpu = 2 })
    plane:wait_for(id, "started")
    plane:must("POST", "/sandbox/vm/snapshot", { name = "of-vm" })
    plane:wait_for(id, "started")
    local child = plane:must("POST", "/sandbox/vm/fork", { name = "fork" }).id
    plane:wait_for(child, "started")
    plane:wait_for(id, "started")
    local lines, wanted = {}, {
      "sandbox.state.updated vm started pausing", "sandbox.desired-state.updated vm started paused",
      "sandbox.state.updated vm pausing paused", "sandbox.desired-state.updated vm paused started",
      "sandbox.state.updated vm paused resuming", "sandbox.state.updated vm resuming started",
      "sandbox.state.updated vm started resizing", "sandbox.state.updated vm resizing started",
      "sandbox.state.updated vm started snapshotting", "sandbox.state.updated vm snapshotting started",
      "snapshot.created of-vm active ", "sandbox.state.updated vm started forking", "sandbox.created fork creating ",
    }
    for i = 1, #wanted do lines[i] = summary(next_event()) end
    assert.same(wanted, lines)
    -- the two go on side by side
    local rest = { summary(next_event()), summary(next_event()) }
    table.sort(rest)
    assert.same({ "sandbox.state.updated fork creating started", "sandbox.state.updated vm forking started" }, rest)
    plane:must("DELETE", "/sandbox/" .. child)
    plane:must("DELETE", "/sandbox/" .. id)
    close()
  end)

  it("says so of volumes and snapshots", function()
    local next_event, close = connect '"snapshot.removed"'
    local volume = plane:must("POST", "/volumes", { name = "v" }).id
    plane:eventually(function() return plane:must("GET", "/volumes/" .. volume).state == "ready" end)
    plane:must("DELETE", "/volumes/" .. volume)
    plane:eventually(function() return plane:must("GET", "/volumes/" .. volume).state == "deleted" end)
    local snapshot = plane:must("POST", "/snapshots", { name = "s", imageName = "a:1" }).id
    plane:eventually(function() return plane:must("GET", "/snapshots/s").state == "active" end)
    plane:must("DELETE", "/snapshots/" .. snapshot)
    local lines = heard(next_event)
    lines[5] = lines[5]:gsub("v%-deleted", "v") -- what is deleted may have its other name by then
    assert.same({
      "volume.created v pending_create ", "volume.state.updated v pending_create creating",
      "volume.state.updated v creating ready", "volume.state.updated v ready pending_delete",
      "volume.state.updated v pending_delete deleting", "volume.state.updated v-deleted deleting deleted",
      "snapshot.created s pending ", "snapshot.state.updated s pending pulling",
      "snapshot.state.updated s pulling active", "snapshot.state.updated s active removing",
        "snapshot.removed s removing ",
    }, lines)
    close()
  end)

  it("says nothing to who has left, nor of settings", function()
    local id = plane:create { name = "quiet" }
    local frame, close = listen { { after = "0{", send = token(plane.server.api_key) }, { after = "40{", send = "41" } }
    frame()
    frame()
    plane:must("POST", "/sandbox/quiet/autostop/5")
    plane:must("PUT", "/sandbox/quiet/labels", { labels = { a = "b" } })
    plane:must("DELETE", "/sandbox/quiet")
    plane:wait_for(id, "gone")
    assert(plane.server:advance(26))
    assert.equal("2", frame())           -- the connection is there
    assert(plane.server:advance(26))
    close()
  end)

  it("can be cut after some frames, by a fault", function()
    assert(plane.server:faults { path = "/socket.io/", messages = 2, close_code = 1011, times = 1 })
    local next_event, close = connect "nothing"
    local id = plane:create()
    assert.is_nil((next_event()))
    plane:must("DELETE", "/sandbox/" .. id)
    close()
  end)
end)
