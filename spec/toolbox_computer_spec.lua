-- Computer use in a sandbox: a private display where X programs are installed.

local toolbox = require "spec.support.toolbox"

local HERE = toolbox.sh "pwd":match "[^\n]+"

local function has(program)
  return toolbox.sh("command -v " .. program) ~= ""
end

local DISPLAY = has "Xvfb" and has "xdotool" and has "convert"

describe("a sandbox without X programs", function()
  local daemon
  setup(function()
    daemon = toolbox.start { env = { PATH = HERE .. "/spec/support/bin" } }
  end)
  teardown(function() daemon:stop() end)

  it("says that there is no computer to use", function()
    for _, call in ipairs { "screenshot", "status", "display/info", "mouse/position" } do
      local r = daemon:request("GET", "/computeruse/" .. call)
      assert.are.equal(503, r.status)
      assert.is_truthy(r.json.message:find("missing programs: Xvfb", 1, true))
    end
    assert.are.equal(503, daemon:post("/computeruse/start", {}).status)
    local r = daemon:request("GET", "/computeruse/a11y/tree")
    assert.are.same({ 503, "A11Y_UNAVAILABLE" }, { r.status, r.json.code })
  end)
end)

describe("recordings of the screen", function()
  local daemon
  setup(function()
    daemon = toolbox.start { env = { PATH = HERE .. "/spec/support/bin:" .. os.getenv "PATH" } }
  end)
  teardown(function() daemon:stop() end)

  it("are made, listed, fetched and deleted", function()
    local r = daemon:post("/computeruse/recordings/start", { label = "my demo" })
    assert.are.equal(201, r.status)
    local id = r.json.id
    assert.are.equal("recording", r.json.status)
    assert.is_truthy(r.json.fileName:find("^" .. id:gsub("%-", "%%-") .. "_my demo_%d+_%d+%.mp4$"))
    local deleting = daemon:request("DELETE", "/computeruse/recordings/" .. id)
    assert.are.same({ 409, "RECORDING_STILL_ACTIVE" }, { deleting.status, deleting.json.code })
    for _ = 1, 200 do
      if toolbox.read(r.json.filePath) == "begun\n" then break end
      toolbox.sh "sleep 0.02"
    end
    r = daemon:post("/computeruse/recordings/stop", { id = id })
    assert.are.same({ 200, "completed" }, { r.status, r.json.status })
    assert.are.equal(404, daemon:post("/computeruse/recordings/stop", { id = id }).status)
    local list = daemon:request("GET", "/computeruse/recordings").json.recordings
    assert.are.same({ id, "completed", 15 }, { list[1].id, list[1].status, list[1].sizeBytes })
    assert.are.equal("begun\ncomplete\n",
      daemon:request("GET", "/computeruse/recordings/" .. id .. "/download").body)
    assert.are.equal(204, daemon:request("DELETE", "/computeruse/recordings/" .. id).status)
    assert.are.equal(404, daemon:request("GET", "/computeruse/recordings/" .. id).status)
    assert.are.equal('{"recordings":[]}', daemon:request("GET", "/computeruse/recordings").body)
  end)

  it("have decent labels, and need ffmpeg", function()
    for _, label in ipairs { "../x", ".x", "a/b", ("x"):rep(101) } do
      assert.are.equal(400, daemon:post("/computeruse/recordings/start", { label = label }).status)
    end
    daemon:post("/env", { set = { PATH = "/nonexistent" } })
    local r = daemon:post("/computeruse/recordings/start", {})
    assert.are.same({ 503, "RECORDING_FFMPEG_NOT_FOUND" }, { r.status, r.json.code })
  end)
end)

if not DISPLAY then
  describe("a computer in the sandbox", function()
    it("has a screen, a mouse and a keyboard", function()
      pending "Xvfb, xdotool and ImageMagick are not installed here"
    end)
  end)
else
  describe("a computer in the sandbox", function()
    local daemon
    setup(function()
      daemon = toolbox.start { env = { VNC_RESOLUTION = "640x480" } }
      assert.are.equal("inactive", daemon:request("GET", "/computeruse/status").json.status)
      assert.are.equal(400, daemon:request("GET", "/computeruse/screenshot").status)
      local r = daemon:post("/computeruse/start", {})
      assert.are.equal(200, r.status, r.body)
      assert.is_true(r.json.status.xvfb.running)
    end)
    teardown(function() daemon:stop() end)

    local function get(call, query)
      return daemon:request("GET", "/computeruse/" .. call, { query = query })
    end

    local function post(call, body)
      return daemon:post("/computeruse/" .. call, body)
    end

    -- Width and height of a PNG in base64.
    local function size_of(picture)
      toolbox.write(daemon.dir .. "/shot", picture)
      local bytes = daemon:exec("base64 -d shot | od -An -tu1 -j16 -N8 -v").result
      local n = {}
      for b in bytes:gmatch "%d+" do n[#n + 1] = tonumber(b) end
      return (n[3] * 256 + n[4]) .. "x" .. (n[7] * 256 + n[8])
    end

    it("has a screen", function()
      assert.are.same({ { id = 0, x = 0, y = 0, width = 640, height = 480, isActive = true } },
        get("display/info").json.displays)
      local r = get("screenshot").json
      assert.are.equal("640x480", size_of(r.screenshot))
      assert.are.same({ x = 0, y = 0 }, r.cursorPosition)
      r = get("screenshot/region", { x = "10", y = "20", width = "100", height = "50" }).json
      assert.are.equal("100x50", size_of(r.screenshot))
      r = get("screenshot/compressed", { scale = "0.5", format = "png" }).json
      assert.are.equal("320x240", size_of(r.screenshot))
      assert.is_nil(r.cursorPosition)
      r = get("screenshot/compressed", { format = "jpeg", quality = "40", showCursor = "true" }).json
      assert.are.equal("/9j/", r.screenshot:sub(1, 4))
      assert.is_true(r.sizeBytes > 100 and r.cursorPosition ~= nil)
      assert.are.equal(400, get("screenshot/region", { x = "1", y = "1", width = "0", height = "5" }).status)
    end)

    it("has a mouse", function()
      assert.are.same({ x = 30, y = 40 }, post("mouse/move", { x = 30, y = 40 }).json)
      assert.are.same({ x = 30, y = 40 }, get("mouse/position").json)
      assert.are.same({ x = 639, y = 479 }, post("mouse/move", { x = 5000, y = 5000 }).json)
      assert.are.same({ x = 5, y = 6 }, post("mouse/click", { x = 5, y = 6, button = "Right", double = true }).json)
      assert.are.same({ x = 90, y = 80 },
        post("mouse/drag", { startX = 10, startY = 10, endX = 90, endY = 80 }).json)
      assert.are.same({ success = true }, post("mouse/scroll", { x = 1, y = 1, direction = "down" }).json)
      assert.are.equal(400, post("mouse/click", { x = 1, y = 1, button = "fourth" }).status)
      assert.are.equal(400, post("mouse/scroll", { x = 1, y = 1, direction = "in" }).status)
    end)

    it("has a keyboard", function()
      assert.are.equal("{}", post("keyboard/type", { text = "Hello \195\188\n" }).body)
      assert.are.equal("{}", post("keyboard/key", { key = "Page_Down", modifiers = { "Control", "alt" } }).body)
      assert.are.equal("{}", post("keyboard/hotkey", { keys = "ctrl + shift+t" }).body)
      local function refused(call, body, message)
        local r = post("keyboard/" .. call, body)
        assert.are.equal(400, r.status, r.body)
        assert.is_truthy(r.json.message:find(message, 1, true), r.json.message)
      end
      refused("type", { text = "a\tb" }, "control character")
      refused("key", { key = "!" }, "use key '1' with modifier 'shift'")
      refused("key", { key = "num*" }, "num_asterisk")
      refused("key", { key = "\195\188" }, "unknown key")
      refused("key", { key = "a", modifiers = { "ctrl", "control" } }, "duplicate modifier")
      refused("hotkey", { keys = "ctrl++" }, "empty key")
    end)

    it("has processes, whose programs can be looked into", function()
      local r = get "process/xvfb/status"
      assert.are.same({ processName = "xvfb", running = true }, r.json)
      assert.are.equal(404, get("process/nope/status").status)
      assert.are.equal("", get("process/xvfb/logs").json.logs)
      assert.are.equal(200, post("process/xvfb/restart", {}).status)
      assert.are.equal(200, get("screenshot").status)
      assert.are.equal("[]", get("display/windows").body:match '"windows":(%[%])')
      local where = daemon:exec("echo $DISPLAY").result
      assert.is_truthy(where:find "^:%d+\n$")
      assert.are.equal(200, post("stop", {}).status)
      assert.are.equal("inactive", get("process-status").json.status)
    end)
  end)
end
