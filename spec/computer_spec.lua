-- The desktop of a sandbox, as a program has it.

local native = require "daytona.base.native"
local scripted = require "spec.support.scripted_daemon"

local function has(program)
  local pipe = io.popen("command -v " .. program)
  local found = pipe:read "*a" ~= ""
  pipe:close()
  return found
end

local function read(path)
  local file = io.open(path, "rb")
  local data = file and file:read "*a"
  if file then file:close() end
  return data
end

-- Width and height of a PNG.
local function size_of(data)
  local a, b, c, d = data:byte(19, 20), data:byte(20), data:byte(23), data:byte(24)
  return ("%dx%d"):format(a * 256 + b, c * 256 + d)
end

if not (has "Xvfb" and has "xdotool" and has "convert") then
  describe("a desktop", function()
    it("is used", function() pending "Xvfb, xdotool and ImageMagick are not installed here" end)
  end)
else
  describe("a desktop", function()
    local service, sandbox, computer, path

    setup(function()
      service = require("spec.support.service").start()
      sandbox = assert(service.client:create { env = { VNC_RESOLUTION = "640x480" } })
      computer = sandbox.computer
      path = os.tmpname()
    end)
    teardown(function()
      os.remove(path)
      sandbox:delete()
      service:stop()
    end)

    it("is started", function()
      assert.equal("inactive", assert(computer:status()))
      local _, none = computer.screenshot:full()
      assert.same({ "unavailable", false }, { none.kind, none.retryable })
      assert.is_truthy(tostring(none):find("sandbox.computer:start()", 1, true))
      local processes = assert(computer:start())
      assert.is_true(processes.xvfb.running)
      assert.equal("number", type(processes.xvfb.pid))
      assert.is_false(processes.xvfb.auto_restart)
      assert.equal("active", assert(computer:status()))
      assert.is_truthy(tostring(computer):find "^computer of sandbox")
    end)

    it("is seen", function()
      local shot = assert(computer.screenshot:full())
      assert.same({ "640x480", "png", #shot.data, nil }, { size_of(shot.data), shot.format, shot.size, shot.cursor })
      assert.equal("100x50", size_of(assert(computer.screenshot:region(10, 20, 100, 50)).data))
      assert.equal("320x240", size_of(assert(computer.screenshot:full { scale = 0.5 }).data))
      assert(computer.mouse:move(100, 60))
      shot = assert(computer.screenshot:full {
        format = "jpeg", quality = 40, scale = 0.5, cursor = true, save_as = path,
      })
      assert.same({ "jpeg", path, nil, { x = 50, y = 30 } }, { shot.format, shot.saved_as, shot.data, shot.cursor })
      assert.equal("\255\216\255", read(path):sub(1, 3))
      assert.equal(shot.size, #read(path))
      -- A device is written to, not replaced; what a link leads to is.
      local pipe, link = path .. ".pipe", path .. ".link"
      os.execute(("mkfifo %s; ln -s %s %s; cat %s >%s.copy &"):format(pipe, path, link, pipe, path))
      assert.equal(pipe, assert(computer.screenshot:full { save_as = pipe }).saved_as)
      assert.equal("other", native.file_type(pipe))
      assert(computer.screenshot:full { save_as = link })
      assert.equal("\137PNG", read(path):sub(1, 4))
      assert.equal("link", (native.lstat(link)))
      os.execute(("rm %s %s %s.copy"):format(pipe, link, path))
      local _, err = computer.screenshot:full { save_as = "/no/such/folder/x.png" }
      assert.same({ "io", "/no/such/folder/x.png" }, { err.kind, err.what })
      for _, bad in ipairs {
        { format = "webp" }, { quality = 50 }, { format = "jpeg", quality = 0 }, { scale = 2 }, { show = true },
      } do assert.has_error(function() computer.screenshot:full(bad) end) end
      assert.has_error(function() computer.screenshot:region(0, 0, 0, 10) end)
    end)

    it("has a mouse", function()
      local mouse = computer.mouse
      assert.same({ x = 30, y = 40 }, assert(mouse:move(30, 40)))
      assert.same({ x = 30, y = 40 }, assert(mouse:position()))
      assert.same({ x = 639, y = 479 }, assert(mouse:move(5000, 5000)))
      assert.same({ x = 5, y = 6 }, assert(mouse:click(5, 6, { button = "right", double = true })))
      assert.same({ x = 90, y = 80 }, assert(mouse:drag(10, 10, 90, 80)))
      assert.is_true(mouse:scroll(1, 1, "down", { amount = 3 }))
      assert.is_true(mouse:scroll(1, 1, "left", { modifiers = { "shift" } }))
      assert.same({ x = 7, y = 8 }, assert(mouse:click(7, 8, { clicks = 3, modifiers = { "control", "alt" } })))
      assert.same({ x = 90, y = 9 }, assert(mouse:drag(1, 1, 90, 9, { modifiers = { "shift" } })))
      assert.same({ x = 11, y = 12 }, assert(mouse:down(11, 12)))
      assert(mouse:move(20, 21))
      assert.same({ x = 20, y = 21 }, assert(mouse:up()))
      assert.same({ x = 7, y = 8 }, assert(mouse:click(7, 8, { clicks = 3, modifiers = { "ctrl", "shift" } })))
      assert.same({ x = 9, y = 9 }, assert(mouse:drag(1, 1, 9, 9, { modifiers = { "alt" } })))
      assert.is_true(mouse:scroll(1, 1, "left", { modifiers = { "ctrl" } }))
      assert.same({ x = 20, y = 21 }, assert(mouse:down(20, 21)))
      assert.same({ x = 30, y = 31 }, assert(mouse:move(30, 31)))
      assert.same({ x = 30, y = 31 }, assert(mouse:up()))
      assert.has_error(function() mouse:click(1, 1, { button = "fourth" }) end)
      assert.has_error(function() mouse:scroll(1, 1, "in") end)
      assert.has_error(function() mouse:click(1, 1, { clicks = 11 }) end)
      assert.has_error(function() mouse:click(1, 1, { clicks = 3, double = true }) end)
      assert.has_error(function() mouse:click(1, 1, { modifiers = { "hyper" } }) end)
      for _, name in ipairs { "cmd", "command", "meta", "super", "win", "windows", "ctrl", "alt", "option", "shift" } do
        assert(mouse:click(7, 8, { modifiers = { name } }))
      end
      assert.has_error(function() mouse:down(1) end)
      assert.has_error(function() mouse:move(1.5, 1) end)
    end)

    it("has a keyboard", function()
      local keyboard = computer.keyboard
      assert.is_true(keyboard:type("Hello \195\188\n", { delay = 0.001 }))
      assert.is_true(keyboard:press("page_down", { modifiers = { "ctrl", "alt" } }))
      assert.is_true(keyboard:press "enter")
      assert.is_true(keyboard:hotkey "ctrl+shift+t")
      assert.is_true(keyboard:down "shift")
      assert.is_true(keyboard:up "shift")
      assert.is_true(keyboard:down "shift" and keyboard:press "a" and keyboard:up "shift")
      assert.equal("invalid", select(2, keyboard:down "nokey").kind)
      local done, err = keyboard:press "!"
      assert.same({ nil, "invalid", "!" }, { done, err.kind, err.what })
      assert.equal("invalid", select(2, keyboard:type "a\tb").kind)
      assert.has_error(function() keyboard:type "" end)
    end)

    it("has a display, with windows", function()
      assert.same({ { id = 0, x = 0, y = 0, width = 640, height = 480, is_active = true } },
        assert(computer.display:info()))
      assert.same({}, assert(computer.display:windows()))
    end)

    it("has processes that can be looked into", function()
      assert.is_true(assert(computer:process "xvfb").running)
      local all = assert(computer:processes())
      assert.same({ true, "boolean" }, { all.xvfb.running, type(all.novnc.running) })
      assert.equal("", assert(computer:logs "xvfb"))
      assert.equal("string", type(assert(computer:error_logs "xvfb")))
      assert.is_true(computer:restart "xvfb")
      local _, err = computer:process "nope"
      assert.same({ "not_found", "nope" }, { err.kind, err.what })
    end)

    it("may have no accessibility bus", function()
      local _, err = computer.accessibility:tree()
      assert.same({ "unavailable", "A11Y_UNAVAILABLE", false }, { err.kind, err.code, err.retryable })
    end)

    it("is stopped", function()
      assert.is_false(assert(computer:stop()).xvfb.running)
      assert.equal("inactive", assert(computer:status()))
    end)
  end)
end

describe("recordings of the screen", function()
  it("are made, fetched whole or not at all, and deleted", function()
    local service = require("spec.support.service").start()
    local sandbox = assert(service.client:create())
    local recording = sandbox.computer.recording
    assert(sandbox.fs:upload("spec/support/bin/ffmpeg", "bin/"))
    assert(sandbox:exec "chmod +x bin/ffmpeg")
    assert(sandbox:set_env { set = { PATH = assert(sandbox:home_dir()) .. "/bin:/usr/bin:/bin" } })
    local made = assert(recording:start { label = "my demo" })
    assert.equal("recording", made.status)
    assert.is_truthy(made.file_name:find("_my demo_", 1, true))
    assert.equal("conflict", select(2, recording:delete(made)).kind)
    local begun = 'until grep -qs begun "$1"; do sleep 0.02; done'
    assert(sandbox:exec({ "sh", "-c", begun, "sh", made.file_path }, { timeout = 10, check = true }))
    assert.equal("completed", assert(recording:stop(made)).status)
    assert.equal("not_found", select(2, recording:stop(made.id)).kind)
    assert.equal(made.id, assert(recording:list())[1].id)
    assert.equal(15, assert(recording:get(made.id)).size_bytes)
    local path = os.tmpname()
    assert.is_true(recording:download(made, path))
    assert.equal("begun\ncomplete\n", read(path))
    local text = ""
    assert.is_true(recording:download(made.id, function(chunk) text = text .. chunk end))
    assert.equal("begun\ncomplete\n", text)
    local handle = assert(io.tmpfile())
    assert.is_true(recording:download(made.id, handle))
    handle:seek "set"
    assert.equal("begun\ncomplete\n", handle:read "*a")
    handle:close()
    assert(service.server:faults { path = "/computeruse/recordings/*/download", cut_after = 5 })
    local _, err = recording:download(made, path)
    assert.equal("connection", err.kind)
    assert.equal("begun\ncomplete\n", read(path))
    assert(service.server:clear_faults())
    os.remove(path)
    assert.is_true(recording:delete(made))
    assert.same({}, assert(recording:list()))
    assert.equal("not_found", select(2, recording:get(made)).kind)
    assert.equal("invalid", select(2, recording:start { label = "../x" }).kind)
    assert.has_error(function() recording:stop() end)
    assert(sandbox:set_env { set = { PATH = "/nonexistent" } })
    _, err = recording:start()
    assert.same({ "unavailable", "RECORDING_FFMPEG_NOT_FOUND", false }, { err.kind, err.code, err.retryable })
    sandbox:delete()
    service:stop()
  end)
end)

describe("a desktop whose daemon is old, or odd", function()
  local peer
  setup(function() peer = scripted.start() end)
  teardown(function() peer:close() end)

  local function computer(path, status, body)
    return peer:sandbox({ ["/computeruse" .. path] = { { "status", status, body } } }).computer
  end

  it("writes its fields with capitals", function()
    local processes = assert(computer("/start", 200,
      '{"status":{"xvfb":{"Running":true,"Priority":100,"AutoRestart":true,"Pid":7}}}'):start())
    assert.same({ xvfb = { running = true, priority = 100, auto_restart = true, pid = 7 } }, processes)
    assert.is_true(assert(computer("/process/x/status", 200, '{"processName":"x","Running":true}'):process "x").running)
  end)

  it("says null for empty lists", function()
    assert.same({}, assert(computer("/display/windows", 200, '{"windows":null}').display:windows()))
    assert.same({}, assert(computer("/recordings", 200, '{"recordings":null}').recording:list()))
    local odd = '{"recordings":[5,"x",{"startTime":"1"},{"id":3},{"id":"b","startTime":7},{"id":"a"}]}'
    local list = assert(computer("/recordings", 200, odd).recording:list())
    assert.same({ "a", "b" }, { list[1].id, list[2].id })
    assert.equal(2, #list)
    local found = assert(computer("/a11y/find", 200, '{"matches":null,"truncated":false}').accessibility:find())
    assert.same({ matches = {}, truncated = false }, found)
    local tree = assert(computer("/a11y/tree", 200,
      '{"root":{"id":"b:/1","role":"frame","states":null,"children":[{"id":"b:/2","states":null}]},"truncated":true}')
      .accessibility:tree { scope = "all", max_depth = 2 })
    assert.same({ {}, {}, {}, true }, { tree.root.states, tree.root.children[1].states,
      tree.root.children[1].children, tree.truncated })
  end)

  it("uses nodes of the accessibility tree", function()
    local a11y = peer:sandbox({
      ["/computeruse/a11y/node/focus"] = { { "status", 200, "{}" } },
      ["/computeruse/a11y/node/invoke"] = { { "status", 200, "{}" } },
      ["/computeruse/a11y/node/value"] = { { "status", 404,
        '{"error":"no node for hidden-value","code":"A11Y_NODE_NOT_FOUND"}' } },
    }).computer.accessibility
    assert.is_true(a11y:focus { id = "b:/1" })
    assert.is_true(a11y:invoke("b:/1", { action = "click" }))
    local _, err = a11y:set_value("b:/1", "hidden-value")
    assert.same({ "not_found", "A11Y_NODE_NOT_FOUND" }, { err.kind, err.code })
    assert.is_nil(tostring(err):find "hidden")
    assert.has_error(function() a11y:focus {} end)
    assert.has_error(function() a11y:tree { scope = "pid" } end)
    assert.has_error(function() a11y:find { name_match = "fuzzy" } end)
  end)

  -- The bodies that were sent to the mouse and the keyboard, by what comes behind
  -- "/computeruse/", while fn runs.
  local function sent_by(fn)
    local loop, json = require "daytona.loop", require "daytona.http.json"
    local start, sent = loop.start, {}
    function loop.start(request, ...)
      local path = request.url and request.url:match "/computeruse/(.*)$"
      if path then sent[#sent + 1] = { path, json.decode(request.body) } end
      return start(request, ...)
    end
    fn()
    loop.start = start
    return sent
  end

  it("of 0.223 holds buttons and keys, clicks often, with modifiers, and turns sideways", function()
    local at = '{"x":1,"y":2}'
    local box = peer:sandbox {
      ["/computeruse/mouse/up"] = { { "status", 400, '{"message":"invalid button"}' } },
      ["/computeruse/mouse/down"] = { { "status", 200, at } }, ["/computeruse/mouse/click"] = { { "status", 200, at } },
      ["/computeruse/mouse/drag"] = { { "status", 200, at } },
      ["/computeruse/mouse/scroll"] = { { "status", 200, '{"success":true}' } },
      ["/computeruse/keyboard/down"] = { { "status", 200, "{}" } },
      ["/computeruse/keyboard/up"] = { { "status", 200, "{}" } },
    }
    local mouse, keyboard = box.computer.mouse, box.computer.keyboard
    local sent = sent_by(function()
      assert.same({ x = 1, y = 2 }, assert(mouse:down()))
      assert(mouse:down(1, 2, { button = "right" }))
      assert(mouse:click(1, 2, { clicks = 3, modifiers = { "ctrl", "option" } }))
      assert(mouse:click(1, 2, { clicks = 2 }))
      assert(mouse:drag(1, 2, 3, 4, { modifiers = { "shift" } }))
      assert(mouse:scroll(1, 2, "left", { amount = 2, modifiers = {} }))
      assert.is_true(keyboard:down "shift")
      assert.is_true(keyboard:up "shift")
    end)
    assert.same({
      { "mouse/down", {} }, { "mouse/down", { x = 1, y = 2, button = "right" } }, { "mouse/up", { button = "none" } },
      { "mouse/click", { x = 1, y = 2, button = "left", double = false, clicks = 3,
                         modifiers = { "ctrl", "option" } } },
      { "mouse/click", { x = 1, y = 2, button = "left", double = true } },
      { "mouse/drag", { startX = 1, startY = 2, endX = 3, endY = 4, button = "left", modifiers = { "shift" } } },
      { "mouse/scroll", { x = 1, y = 2, direction = "left", amount = 2 } },
      { "keyboard/down", { key = "shift" } }, { "keyboard/up", { key = "shift" } },
    }, sent)
    local _, err = mouse:up(1, 2)
    assert.equal("invalid", err.kind)
  end)

  it("before 0.223 says what it cannot, and clicks as it could", function()
    local at = '{"x":1,"y":2}'
    local box = peer:sandbox {
      ["/computeruse/mouse/click"] = { { "status", 200, at } }, ["/computeruse/mouse/drag"] = { { "status", 200, at } },
    }
    local mouse, keyboard = box.computer.mouse, box.computer.keyboard
    local sent = sent_by(function()
      for operation, call in pairs {
        click = function() return mouse:click(1, 2, { clicks = 3 }) end,
        drag = function() return mouse:drag(1, 2, 3, 4, { modifiers = { "shift" } }) end,
        scroll = function() return mouse:scroll(1, 2, "up", { modifiers = { "shift" } }) end,
        ["mouse down"] = function() return mouse:down() end, ["mouse up"] = function() return mouse:up() end,
        ["key down"] = function() return keyboard:down "a" end, ["key up"] = function() return keyboard:up "a" end,
      } do
        local fine, err = call()
        assert.is_nil(fine)
        assert.same({ "unsupported", operation }, { err.kind, err.operation })
      end
      assert(mouse:click(1, 2, { clicks = 2 }))
      assert(mouse:click(1, 2, { clicks = 1 }))
    end)
    local clicks, probes = 0, 0
    for _, one in ipairs(sent) do
      clicks = clicks + (one[1] == "mouse/click" and 1 or 0)
      probes = probes + (one[2].button == "none" and 1 or 0)
    end
    assert.same({ 2, 1 }, { clicks, probes })
  end)

  it("fails in its own shapes", function()
    local _, err = computer("/screenshot", 503,
      '{"message":"Computer-use functionality is not available","details":"d","solution":"s"}').screenshot:full()
    assert.same({ "unavailable", "screenshot" }, { err.kind, err.operation })
    _, err = computer("/screenshot", 200, '{"screenshot":"%%%"}').screenshot:full()
    assert.equal("protocol", err.kind)
    _, err = computer("/mouse/move", 400, '{"error":"display is not started"}').mouse:move(1, 1)
    assert.is_truthy(tostring(err):find "display is not started")
    assert.equal("unavailable", err.kind)
    _, err = computer("/start", 503, '{"error":"Failed to start computer use","details":"failed: [novnc]"}'):start()
    assert.is_truthy(tostring(err):find("failed: [novnc]", 1, true))
    _, err = computer("/recordings/start", 400, '{"error":"ffmpeg_not_found","message":"no ffmpeg"}').recording:start()
    assert.same({ "unavailable", "RECORDING_FFMPEG_NOT_FOUND" }, { err.kind, err.code })
    _, err = computer("/screenshot", 200, '{"screenshot":"' .. native.base64("\137PNG rest") .. '"}')
      .screenshot:full { save_as = "/" }
    assert.equal("io", err.kind)
  end)
end)
