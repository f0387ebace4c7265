-- The sets "native", "computer" and "daytona", against the local server.

local base64 = require "daytona.base.base64"
local daytona = require "daytona"
local json = require "daytona.http.json"
local keys = require "daytona.agent.keys"
local schema = require "daytona.agent.schema"
local support = require "spec.support.tools"

local service, box

setup(function()
  service = require("spec.support.service").start()
  box = assert(service.client:create { name = "native", env = { VNC_RESOLUTION = "640x480" } })
end)

teardown(function() service:stop() end)

local function has(program)
  local pipe = io.popen("command -v " .. program)
  local found = pipe:read "*a" ~= ""
  pipe:close()
  return found
end

local DISPLAY = has "Xvfb" and has "xdotool" and has "convert"

-- Every tool with everything that is wrong about its arguments.
local function refuses(tools, right)
  for _, tool in ipairs(tools.tools) do
    assert.is_nil(schema.flaw(tool.input))
    assert.is_nil(schema.flaw(tool.output))
    local own = {}
    for name in pairs((tool.input or {}).properties or {}) do own[name] = right[name] end
    support.wrong_arguments(tool, own, function(arguments, name)
      local kind, text = support.fail(tools, tool.name, arguments)
      assert.equal("invalid", kind)
      assert.truthy(text:find(name:match "%S+", 1, true), tool.name .. ": " .. text)
    end)
  end
end

describe("keys", function()
  it("of models have the daemon's names", function()
    for given, wanted in pairs {
      Return = "enter", ["ctrl+s"] = "ctrl+s", ["Control_L+Shift+T"] = "ctrl+shift+T", Page_Down = "page_down",
      ["super+Left"] = "cmd+left", a = "a", A = "A", Escape = "escape", ArrowUp = "up",
    } do assert.equal(wanted, keys.chord(given)) end
    assert.is_nil(keys.chord "ctrl++")
    assert.same({ "ctrl", "shift" }, keys.modifiers "ctrl+shift")
    assert.same({ "alt", "cmd" }, keys.modifiers "Option+Super_L")
    assert.is_nil(keys.modifiers "ctrl+s")
    assert.same({ nil, "these are no keys to hold: ctrl+" .. ("s"):rep(35) },
      { keys.modifiers("ctrl+" .. ("s"):rep(90)) })
    assert.same({ nil, "these are no keys: ++" .. ("x"):rep(38) }, { keys.chord("++" .. ("x"):rep(90)) })
  end)
end)

describe("the set native", function()
  local tools

  setup(function() tools = daytona.tools("native", { client = service.client, sandbox = box }) end)
  teardown(function() tools:close() end)

  local function call(name, arguments) return support.call(tools, name, arguments) end
  local function fail(name, arguments) return (select(2, support.fail(tools, name, arguments))) end

  it("is told to each API by its own types, and described to others", function()
    assert.same({ { type = "shell", environment = { type = "local" } }, { type = "apply_patch" },
      { type = "computer" } }, tools:definitions "openai")
    assert.same({ { type = "bash_20250124", name = "bash" },
      { type = "text_editor_20250728", name = "str_replace_based_edit_tool" },
      { type = "computer_toolset_20260801" } }, tools:definitions "anthropic")
    assert.equal(#tools.tools, #tools:definitions "mcp")
    assert.equal("function", tools:definitions("openai_chat")[1].type)
  end)

  it("refuses wrong arguments by name", function()
    refuses(tools, { commands = { "x" }, type = "create_file", path = "x", actions = { { type = "wait" } },
      command = "view", coordinate = { 1, 1 },
      start_coordinate = { 1, 1 }, text = "x", duration = 1, region = { 0, 0, 1, 1 },
      scroll_direction = "up" })
  end)

  it("runs shell calls: two commands, of which one takes too long", function()
    local action = { commands = { "echo out; echo err >&2; exit 3", "echo begun; sleep 60" }, timeout_ms = 1000,
      max_output_length = 1000 }
    local result = call("shell", json.encode(action))
    local output = tools:result("openai", { call_id = "c1" }, result)
    assert.same({ type = "shell_call_output", call_id = "c1", max_output_length = 1000, output = {
      { stdout = "out\n", stderr = "err\n", outcome = { type = "exit", exit_code = 3 } },
      { stdout = "begun\n", stderr = "", outcome = { type = "timeout" } } } }, output)
    result = call("shell", { commands = { "head -c 100000 /dev/zero | tr '\\0' x" }, max_output_length = 500 })
    assert.is_true(#result.data.output[1].stdout <= 500)
    assert.same({}, assert(box:jobs()))
    local failed = tools:result("openai", { call_id = "c2" }, tools:call("shell", {}))
    assert.equal("shell_call_output", failed.type)
    assert.truthy(failed.output[1].stderr:find "commands is required")
  end)

  it("carries out patches, a file a call", function()
    local made = call("apply_patch", { type = "create_file", path = "n/a.txt", diff = "+one\n+two\n" })
    assert.same({ type = "apply_patch_call_output", call_id = "c", status = "completed", output = "n/a.txt: added" },
      tools:result("openai", { call_id = "c" }, made))
    call("apply_patch", { type = "update_file", path = "n/a.txt", diff = "@@\n one\n-two\n+2\n" })
    assert.equal("one\n2\n", box.fs:read "n/a.txt")
    local failed = tools:call("apply_patch", { type = "update_file", path = "n/a.txt", diff = "-none\n+x" })
    assert.equal("failed", tools:result("openai", { call_id = "c" }, failed).status)
    call("apply_patch", { type = "delete_file", path = "n/a.txt" })
    assert.is_false(box.fs:exists "n/a.txt")
    assert.truthy(fail("apply_patch", { type = "delete_file", path = "n/a.txt" }):find "n/a.txt")
    assert.truthy(fail("apply_patch", { type = "update_file", path = "x" }):find "diff is required")
  end)

  it("has a shell that lasts from call to call", function()
    call("bash", { command = "cd /tmp; X=5" })
    assert.equal("/tmp 5\n", call("bash", { command = "echo $PWD $X" }).text)
    assert.equal("oops\n[exit code 4]", call("bash", { command = "echo oops; (exit 4)" }).text)
    call("bash", { restart = true })
    assert.are_not.equal("/tmp 5\n", call("bash", { command = "echo $PWD $X" }).text)
    assert.truthy(fail("bash", {}):find "command is required")
    assert.is_true(#call("bash", { command = "seq 1 100000" }).text <= 50 * 1024)
  end)

  it("edits files", function()
    local function edit(command, more)
      more.command = command
      return "str_replace_based_edit_tool", more
    end
    call(edit("create", { path = "e/f", file_text = "a\nb\nb\n" }))
    assert.equal("     1\ta\n     2\tb\n     3\tb", call(edit("view", { path = "e/f" })).text)
    assert.equal("     2\tb\n     3\tb", call(edit("view", { path = "e/f", view_range = { 2, -1 } })).text)
    assert.equal("f", call(edit("view", { path = "e" })).text)
    local why = fail(edit("str_replace", { path = "e/f", old_str = "b", new_str = "c" }))
    assert.truthy(why:find "old_str is in the file 2 times")
    call(edit("str_replace", { path = "e/f", old_str = "a\nb", new_str = "x" }))
    call(edit("insert", { path = "e/f", insert_line = 0, insert_text = "top\n" }))
    call(edit("insert", { path = "e/f", insert_line = 3, new_str = "end" }))
    assert.equal("top\nx\nb\nend\n", box.fs:read "e/f")
    for _, bad in ipairs {
      { "view", { path = "e/f", view_range = { 3, 2 } } }, { "view", { path = "e/f", view_range = { 9, 9 } } },
      { "view", { path = "none" } }, { "insert", { path = "e/f", insert_line = 99, insert_text = "x" } },
      { "insert", { path = "e/f" } }, { "create", { path = "x" } }, { "str_replace", { path = "e/f" } },
      { "str_replace", { path = "e/f", old_str = "none", new_str = "x" } },
    } do assert.is_string(fail(edit(bad[1], bad[2]))) end
  end)

  if DISPLAY then
    it("works on a desktop, by either maker's words", function()
      local shot = call("screenshot", {})
      assert.equal("image/png", shot.images[1].mime_type)
      assert.equal("\137PNG", base64.decode(shot.images[1].data):sub(1, 4))
      call("mouse_move", { coordinate = { 30, 40 } })
      assert.equal("x=30, y=40", call("cursor_position", {}).text)
      for name, arguments in pairs {
        left_click = { coordinate = { 5, 6 }, text = "ctrl" }, right_click = {}, middle_click = {}, double_click = {},
        triple_click = { coordinate = { 5, 6 } }, left_mouse_down = {}, left_mouse_up = { coordinate = { 9, 9 } },
        left_click_drag = { start_coordinate = { 1, 1 }, coordinate = { 20, 20 } },
        scroll = { scroll_direction = "left", scroll_amount = 2, coordinate = { 5, 5 } }, key = { text = "Return" },
        hold_key = { text = "shift", duration = 0.01 }, type = { text = "hi" }, wait = { duration = 0.01 },
        zoom = { region = { 0, 0, 100, 50 } },
      } do assert.truthy(call(name, arguments).images[1], name) end
      assert.truthy(fail("left_click", { coordinate = { 640, 10 } }):find "not on the screen, which is 640 by 480")
      assert.truthy(fail("key", { text = "ctrl+nokey" }):find "nokey")
      assert.truthy(fail("left_click", { coordinate = { 1, 1 }, text = "a" }):find "no keys to hold")
      local result = call("computer", { actions = {
        { type = "move", x = 1, y = 2 }, { type = "click", x = 3, y = 4, button = "left" },
        { type = "double_click", x = 3, y = 4 }, { type = "drag", path = { { x = 1, y = 1 }, { x = 9, y = 9 } } },
        { type = "keypress", keys = { "CTRL", "a" } }, { type = "scroll", x = 1, y = 1, scroll_x = 0, scroll_y = 250 },
        { type = "type", text = "x" }, { type = "screenshot" } } })
      local reply = tools:result("openai", { call_id = "c" }, result)
      assert.equal("computer_screenshot", reply.output.type)
      assert.truthy(reply.output.image_url:find "^data:image/png;base64,iVBOR")
      local why = fail("computer", { actions = { { type = "click", x = -1, y = 0 } } })
      assert.truthy(why:find "action 1, click: .*not on the screen")
      assert.truthy(fail("computer", { actions = { { type = "type" } } }):find "text is required")
      assert.truthy(fail("computer", { actions = { { type = "wait" } }, pending_safety_checks = { { id = "x" } } })
        :find "a person must confirm")
    end)

    it("is shown a screen as it is, and one that is too large made smaller", function()
      local function size()
        local png = base64.decode(call("screenshot", {}).images[1].data)
        local a, b, _, _, c, d = png:byte(19, 24)
        return ("%dx%d"):format(a * 256 + b, c * 256 + d)
      end
      assert.equal("640x480", size())
      finally(function() assert(service.server:clear_faults()) end)
      assert(service.server:faults { path = "/computeruse/display/info", status = 200,
        body = { displays = { { id = 0, width = 3840, height = 1200, x = 0, y = 0, isActive = true } } } })
      assert.equal("320x240", size())
    end)
  end
end)

describe("the set computer", function()
  it("does what a desktop can", function()
    local tools = daytona.tools("computer", { client = service.client, sandbox = box })
    assert.equal(31, #tools.tools)
    refuses(tools, { x = 1, y = 1, width = 1, height = 1, start_x = 1, start_y = 1, end_x = 1, end_y = 1,
      direction = "up", text = "x", key = "a", keys = "a", recording_id = "x", node_id = "x", value = "x" })
    if not DISPLAY then return end
    local function call(name, arguments) return support.call(tools, "computer_" .. name, arguments or {}) end
    call "start"
    assert.equal("active", call("status").data.status)
    assert.same({ x = 7, y = 8 }, call("mouse_click", { x = 7, y = 8, clicks = 3, modifiers = { "shift" } }).data)
    assert.same({ x = 9, y = 9 }, call("mouse_down", { x = 9, y = 9 }).data)
    call "mouse_up"
    call("key_down", { key = "shift" })
    call("key_up", { key = "shift" })
    call("mouse_scroll", { x = 1, y = 1, direction = "right" })
    call("keyboard_hotkey", { keys = "ctrl+a" })
    assert.equal(640, call("display_info").data.displays[1].width)
    assert.same({}, call("windows").data.windows)
    local shot = call("screenshot_compressed_region", { x = 0, y = 0, width = 20, height = 20, format = "jpeg" })
    assert.equal("image/jpeg", shot.images[1].mime_type)
    assert.is_nil(shot.text:find(shot.images[1].data, 1, true))
    assert.truthy(select(2, support.fail(tools, "computer_mouse_down", { x = 1 })):find "go together")
    assert.equal("unavailable", (support.fail(tools, "computer_accessibility_tree", {})))
    call "stop"
  end)
end)

describe("the set daytona", function()
  local tools

  setup(function() tools = daytona.tools("daytona", { client = service.client }) end)

  local function call(name, arguments) return support.call(tools, name, arguments).data end
  local function fail(name, arguments) return (select(2, support.fail(tools, name, arguments))) end

  it("has the official server's tools, which refuse wrong arguments by name", function()
    local names = {}
    for i, tool in ipairs(tools.tools) do names[i] = tool.name end
    table.sort(names)
    assert.equal(39, #names)
    assert.equal("computer_use_accessibility_find computer_use_accessibility_focus computer_use_accessibility_invoke "
      .. "computer_use_accessibility_set_value computer_use_accessibility_tree computer_use_display_info "
      .. "computer_use_keyboard_hotkey computer_use_keyboard_press computer_use_keyboard_type computer_use_mouse_click "
      .. "computer_use_mouse_drag computer_use_mouse_move computer_use_mouse_position computer_use_mouse_scroll "
      .. "computer_use_recording_delete computer_use_recording_get computer_use_recording_list "
      .. "computer_use_recording_start computer_use_recording_stop computer_use_screenshot "
      .. "computer_use_screenshot_compressed computer_use_screenshot_compressed_region computer_use_screenshot_region "
      .. "computer_use_start computer_use_status computer_use_stop computer_use_windows create_folder create_sandbox "
      .. "delete_file destroy_sandbox execute_command file_download file_upload get_file_info git_clone list_files "
      .. "move_file preview_link", table.concat(names, " "))
    refuses(tools, { id = "x", x = 1, y = 1, width = 1, height = 1, start_x = 1, start_y = 1, end_x = 1, end_y = 1,
      direction = "up", text = "x", key = "a", keys = "a", recording_id = "x", node_id = "x", value = "x",
      filePath = "x", content = "x", encoding = "text", overwrite = true, sourcePath = "x", destPath = "x",
      folderPath = "x", command = "x", port = 1, description = "x", checkServer = false, url = "x" })
  end)

  it("does the work of the official server", function()
    local id = call("create_sandbox", { name = "compatible", target = "local" }).sandbox.id
    assert.equal(id, call("create_sandbox", { id = id }).sandbox.id)
    assert.equal("a\n", call("execute_command", { id = id, command = "cd / && echo a" }).result)
    call("create_folder", { id = id, folderPath = "d", mode = "0755" })
    call("file_upload", { id = id, filePath = "d/a", content = "é", encoding = "text", overwrite = false })
    local bad = { id = id, filePath = "d/a", content = "!", encoding = "text", overwrite = false }
    assert.truthy(fail("file_upload", bad):find "overwrite is false")
    bad.encoding, bad.overwrite = "base64", true
    assert.truthy(fail("file_upload", bad):find "not valid base64")
    assert.same({ content = "é", encoding = "text", mimeType = "text/plain", size = 2 },
      call("file_download", { id = id, filePath = "d/a" }))
    call("file_upload", { id = id, filePath = "d/b", content = "AP8=", encoding = "base64", overwrite = true })
    assert.equal("AP8=", call("file_download", { id = id, filePath = "d/b" }).content)
    assert.equal(2, call("get_file_info", { id = id, filePath = "d/b" }).size)
    assert.equal(2, #call("list_files", { id = id, path = "d" }).files)
    call("move_file", { id = id, sourcePath = "d/b", destPath = "d/c" })
    call("delete_file", { id = id, filePath = "d/c" })
    assert.truthy(fail("get_file_info", { id = id, filePath = "d/c" }):find "not_found")
    local link = { id = id, port = 9, description = "x", checkServer = true }
    assert.truthy(fail("preview_link", link):find "nothing answers on port 9")
    link.checkServer = false
    assert.truthy(call("preview_link", link).url:find "^http")
    assert.is_string(fail("git_clone", { id = id, url = "http://127.0.0.1:1/x.git" }))
    assert.is_true(call("destroy_sandbox", { id = id }).deleted)
  end)
end)
