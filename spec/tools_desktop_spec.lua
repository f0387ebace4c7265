-- Tools on a desktop, which is a recorder here: what of a call reaches the screen, in which
-- places, and what comes back.

local daytona = require "daytona"
local loop = require "daytona.loop"
local support = require "spec.support.tools"

-- What was done, as "mouse:click 1 2 {...}"; `answers` by "group:method", `failing` fails.
local did, answers, failing, screens, tools

local function shown(value)
  if type(value) ~= "table" then return tostring(value) end
  local list = {}
  for name, item in pairs(value) do
    list[#list + 1] = type(name) == "number" and shown(item) or name .. "=" .. shown(item)
  end
  table.sort(list)
  return "{" .. table.concat(list, " ") .. "}"
end

local function recorder(group)
  return setmetatable({}, { __index = function(_, name)
    return function(_, ...)
      local what = group .. ":" .. name
      local words = { what }
      for i = 1, select("#", ...) do words[#words + 1] = shown((select(i, ...))) end
      if what ~= "display:info" then did[#did + 1] = table.concat(words, " ") end
      if what == failing then return nil, "it cannot" end
      if what == "display:info" then return screens end
      local answer = answers[what]
      if answer == nil then return { x = 1, y = 2 } end
      return answer
    end
  end })
end

local function box_of()
  local computer = { start = recorder("computer").start, stop = recorder("computer").stop,
    status = recorder("computer").status }
  for _, group in ipairs { "display", "screenshot", "mouse", "keyboard", "recording", "accessibility" } do
    computer[group] = recorder(group)
  end
  return { id = "box", computer = computer }
end

local real_sleep = loop.sleep

before_each(function()
  did, failing, screens = {}, nil, { { width = 1920, height = 1200 } }
  answers = { ["screenshot:full"] = { format = "png", size = 3, data = "abc", cursor = { x = 4, y = 5 } },
    ["screenshot:region"] = { format = "jpeg", size = 2, data = "ab" } }
  loop.sleep = function(seconds) -- luacheck: ignore
    did[#did + 1] = "sleep " .. seconds
    return true
  end
end)

after_each(function() loop.sleep = real_sleep end) -- luacheck: ignore

local function call(name, arguments) return support.call(tools, name, arguments or {}) end
local function fail(name, arguments) return (select(2, support.fail(tools, name, arguments or {}))) end

describe("the set computer", function()
  before_each(function() tools = daytona.tools("computer", { sandbox = box_of() }) end)

  it("passes on what it is asked, and what comes of it", function()
    for _, row in ipairs {
      { "mouse_position", {}, "mouse:position", { x = 1, y = 2 } },
      { "mouse_move", { x = 3, y = 4 }, "mouse:move 3 4", { x = 1, y = 2 } },
      { "mouse_click", { x = 3, y = 4, button = "right", double = true, clicks = 3, modifiers = { "alt" } },
        "mouse:click 3 4 {button=right clicks=3 double=true modifiers={alt}}", { x = 1, y = 2 } },
      { "mouse_drag", { start_x = 1, start_y = 2, end_x = 3, end_y = 4, button = "left", modifiers = { "cmd" } },
        "mouse:drag 1 2 3 4 {button=left modifiers={cmd}}", { x = 1, y = 2 } },
      { "mouse_scroll", { x = 1, y = 2, direction = "up", amount = 5, modifiers = { "ctrl" } },
        "mouse:scroll 1 2 up {amount=5 modifiers={ctrl}}", { done = true } },
      { "mouse_down", { button = "middle" }, "mouse:down nil nil {button=middle}", { x = 1, y = 2 } },
      { "mouse_up", { x = 5, y = 6 }, "mouse:up 5 6 {}", { x = 1, y = 2 } },
      { "keyboard_type", { text = "hi", delay = 250 }, "keyboard:type hi {delay=0.25}", { done = true } },
      { "keyboard_type", { text = "hi" }, "keyboard:type hi {}", { done = true } },
      { "keyboard_press", { key = "a", modifiers = { "ctrl" } }, "keyboard:press a {modifiers={ctrl}}",
        { done = true } },
      { "keyboard_hotkey", { keys = "ctrl+c" }, "keyboard:hotkey ctrl+c", { done = true } },
      { "key_down", { key = "shift" }, "keyboard:down shift", { done = true } },
      { "key_up", { key = "shift" }, "keyboard:up shift", { done = true } },
      { "recording_start", { label = "l" }, "recording:start {label=l}", { x = 1, y = 2 } },
      { "recording_stop", { recording_id = "r" }, "recording:stop r", { x = 1, y = 2 } },
      { "recording_get", { recording_id = "r" }, "recording:get r", { x = 1, y = 2 } },
      { "recording_delete", { recording_id = "r" }, "recording:delete r", { done = true } },
      { "accessibility_tree", { scope = "pid", pid = 7, max_depth = -1 },
        "accessibility:tree {max_depth=-1 pid=7 scope=pid}", { x = 1, y = 2 } },
      { "accessibility_find", { role = "button", name = "OK", name_match = "exact", states = { "focused" }, limit = 3 },
        "accessibility:find {limit=3 name=OK name_match=exact role=button states={focused}}", { x = 1, y = 2 } },
      { "accessibility_focus", { node_id = "n" }, "accessibility:focus n", { done = true } },
      { "accessibility_invoke", { node_id = "n", action = "open" }, "accessibility:invoke n {action=open}",
        { done = true } },
      { "accessibility_set_value", { node_id = "n", value = "v" }, "accessibility:set_value n v", { done = true } },
    } do
      did, failing = {}, nil
      assert.same(row[4], call("computer_" .. row[1], row[2]).data)
      assert.same({ row[3] }, did)
      failing = row[3]:match "^%S+"
      assert.equal("it cannot", fail("computer_" .. row[1], row[2]))
    end
    assert.equal("x and y go together", fail("computer_mouse_down", { x = 1 }))
    assert.equal("x and y go together", fail("computer_mouse_up", { y = 1 }))
  end)

  it("gives pictures, of all or of a part", function()
    local result = call("computer_screenshot", { show_cursor = true })
    assert.same({ format = "png", size = 3, cursor = { x = 4, y = 5 } }, result.data)
    assert.same({ { data = "YWJj", mime_type = "image/png" }, "a picture of 3 bytes" },
      { result.images[1], result.text })
    result = call("computer_screenshot_compressed_region", { x = 1, y = 2, width = 3, height = 4, format = "jpeg",
      quality = 50, scale = 0.5 })
    assert.equal("image/jpeg", result.images[1].mime_type)
    assert.same({ "screenshot:full {cursor=true}",
      "screenshot:region 1 2 3 4 {format=jpeg quality=50 scale=0.5}" }, did)
    failing = "screenshot:region"
    assert.equal("it cannot", fail("computer_screenshot_region", { x = 1, y = 2, width = 3, height = 4 }))
  end)

  it("lists what there is", function()
    answers["display:windows"] = { { title = "a" }, { title = "b" } }
    answers["recording:list"] = {}
    assert.same({ windows = { { title = "a" }, { title = "b" } } }, call("computer_windows").data)
    assert.equal('{"recordings":[]}', call("computer_recording_list").text)
    assert.same({ displays = { { width = 1920, height = 1200 } } }, call("computer_display_info").data)
    failing = "display:windows"
    assert.equal("it cannot", fail "computer_windows")
    answers["computer:status"] = "active"
    assert.same({ status = "active" }, call("computer_status").data)
    assert.same({ processes = { x = 1, y = 2 } }, call("computer_start").data)
    failing = "computer:stop"
    assert.equal("it cannot", fail "computer_stop")
    failing = "computer:status"
    assert.equal("it cannot", fail "computer_status")
  end)

  it("cuts a tree that is long", function()
    answers["accessibility:tree"] = { name = ("x"):rep(60000) }
    local result = call "computer_accessibility_tree"
    assert.same({ { truncated = true }, true }, { result.data, result.truncated })
    assert.matches('^{"name":"xxx.*bytes left out', result.text)
    assert.is_true(#result.text <= 51200)
  end)
end)

describe("a place in a picture", function()
  local desktop = require "daytona.agent.desktop"

  it("is one on the screen, also where pictures are smaller than that", function()
    local box = box_of()
    assert.same({ 0, 0 }, { desktop.place(box, 0, 0) })
    assert.same({ 1919, 1199 }, { desktop.place(box, 1919, 1199) })
    assert.same({ nil, "1920, 0 is not on the screen, which is 1920 by 1200" }, { desktop.place(box, 1920, 0) })
    assert.same({ nil, "0, 1200 is not on the screen, which is 1920 by 1200" }, { desktop.place(box, 0, 1200) })
    assert.same({ nil, "-1, 0 is not on the screen, which is 1920 by 1200" }, { desktop.place(box, -1, 0) })
    assert.same({ nil, "0, -1 is not on the screen, which is 1920 by 1200" }, { desktop.place(box, 0, -1) })
    assert.same({ 2, 3 }, { desktop.place(box, 1.5, 2.6) })
    screens = { { width = 3840, height = 1200 } }
    assert.same({ 20, 3 }, { desktop.place(box, 10, 1.4) })
    assert.same({ nil, "1920, 0 is not on the screen, which is 1920 by 600" }, { desktop.place(box, 1920, 0) })
    screens = { { width = 1000, height = 2400 } }
    assert.same({ 20, 40 }, { desktop.place(box, 10, 20) })
    screens = {}
    assert.matches("has no display", select(2, desktop.place(box, 1, 1)))
    failing = "display:info"
    assert.equal("it cannot", select(2, desktop.place(box, 1, 1)))
  end)

  it("is of a picture that is made smaller where the screen is larger, once what was done shows", function()
    local box = box_of()
    assert.same({ data = "YWJj", mime_type = "image/png" }, desktop.picture(box))
    screens = { { width = 3840, height = 1200 } }
    assert(desktop.picture(box))
    assert.same({ "sleep 0.3", "screenshot:full {cursor=true}", "sleep 0.3",
      "screenshot:full {cursor=true scale=0.5}" }, did)
    failing = "screenshot:full"
    assert.equal("it cannot", select(2, desktop.picture(box)))
  end)
end)

describe("the desktop tools that models bring along", function()
  before_each(function() tools = daytona.tools("native", { sandbox = box_of() }) end)

  -- What was done, but for the picture at the end.
  local function does(name, arguments)
    did = {}
    local result = call(name, arguments)
    assert.same({ data = "YWJj", mime_type = "image/png" }, result.images[1], name)
    assert.same({ "sleep 0.3", "screenshot:full {cursor=true}" }, { did[#did - 1], did[#did] })
    return table.concat(did, ", ", 1, #did - 2)
  end

  it("do what Anthropic's say", function()
    for _, row in ipairs {
      { "mouse_move", { coordinate = { 3, 4 } }, "mouse:move 3 4" },
      { "left_click", { coordinate = { 3, 4 }, text = "ctrl" }, "mouse:click 3 4 {modifiers={ctrl}}" },
      { "left_click", { text = "" }, "mouse:position, mouse:click 1 2 {}" },
      { "right_click", { coordinate = { 3, 4 } }, "mouse:click 3 4 {button=right}" },
      { "middle_click", { coordinate = { 3, 4 } }, "mouse:click 3 4 {button=middle}" },
      { "double_click", { coordinate = { 3, 4 } }, "mouse:click 3 4 {double=true}" },
      { "triple_click", { coordinate = { 3, 4 } }, "mouse:click 3 4 {clicks=3}" },
      { "left_click_drag", { start_coordinate = { 1, 2 }, coordinate = { 3, 4 } }, "mouse:drag 1 2 3 4" },
      { "left_mouse_down", {}, "mouse:down nil nil" },
      { "left_mouse_up", { coordinate = { 3, 4 } }, "mouse:up 3 4" },
      { "scroll", { coordinate = { 3, 4 }, scroll_direction = "left", scroll_amount = 2, text = "shift" },
        "mouse:scroll 3 4 left {amount=2 modifiers={shift}}" },
      { "scroll", { scroll_direction = "up" }, "mouse:position, mouse:scroll 1 2 up {}" },
      { "scroll", { coordinate = { 3, 4 }, scroll_direction = "up", scroll_amount = 0 }, "" },
      { "key", { text = "Return" }, "keyboard:press enter" }, { "key", { text = "ctrl+S" }, "keyboard:hotkey ctrl+S" },
      { "hold_key", { text = "shift", duration = 2 }, "keyboard:down shift, sleep 2, keyboard:up shift" },
      { "type", { text = "hi" }, "keyboard:type hi" }, { "wait", { duration = 3 }, "sleep 3" },
      { "wait", {}, "sleep 1" }, { "screenshot", {}, "" },
    } do
      assert.equal(row[3], does(row[1], row[2]), row[1])
      local first = row[3]:match "^%a+:%a+"
      if first then
        failing = first
        assert.equal("it cannot", fail(row[1], row[2]))
        failing = nil
      end
    end
    assert.matches("no keys to hold", fail("left_click", { text = "x" }))
    assert.matches("no keys to hold", fail("scroll", { scroll_direction = "up", text = "x" }))
    assert.matches("no keys", fail("hold_key", { text = "++", duration = 0 }))
    for _, name in ipairs { "left_click", "left_mouse_down", "mouse_move" } do
      assert.matches("not on the screen", fail(name, { coordinate = { -1, 4 } }))
    end
    assert.matches("not on the screen", fail("scroll", { coordinate = { -1, 4 }, scroll_direction = "up" }))
  end)

  it("tell places, and show parts, in the measure of the pictures", function()
    assert.equal("x=1, y=2", call("cursor_position").text)
    failing = "mouse:position"
    assert.equal("it cannot", fail "cursor_position")
    failing, did = nil, {}
    assert.same({ data = "YWI=", mime_type = "image/jpeg" }, call("zoom", { region = { 10, 20, 30, 50 } }).images[1])
    assert.same({ "screenshot:region 10 20 20 30" }, did)
    assert.matches("second is below and right", fail("zoom", { region = { 30, 20, 10, 50 } }))
    assert.matches("second is below and right", fail("zoom", { region = { 10, 50, 30, 20 } }))
    assert.matches("not on the screen", fail("zoom", { region = { -9, 0, 30, 20 } }))
    assert.matches("not on the screen", fail("zoom", { region = { 0, 0, 1921, 20 } }))
    assert.is_true(tools:call("zoom", { region = { 0, 0, 1920, 1200 } }).ok)
    screens = { { width = 3840, height = 2400 } }
    answers["mouse:position"] = { x = 101, y = 60 }
    assert.equal("x=50, y=30", call("cursor_position").text)
    failing = "screenshot:region"
    assert.equal("it cannot", fail("zoom", { region = { 0, 0, 10, 10 } }))
  end)

  it("do what OpenAI's say, in order, until one fails", function()
    for _, row in ipairs {
      { { type = "click", x = 3, y = 4, button = "wheel" }, "mouse:click 3 4 {button=middle}" },
      { { type = "click", x = 3, y = 4 }, "mouse:click 3 4 {}" },
      { { type = "double_click", x = 3, y = 4 }, "mouse:click 3 4 {double=true}" },
      { { type = "move", x = 3, y = 4 }, "mouse:move 3 4" },
      { { type = "drag", path = { { x = 1, y = 2 }, { x = 9, y = 9 }, { x = 3, y = 4 } } }, "mouse:drag 1 2 3 4" },
      { { type = "keypress", keys = { "CTRL", "a" } }, "keyboard:hotkey ctrl+a" },
      { { type = "scroll", x = 3, y = 4, scroll_y = 249 }, "mouse:scroll 3 4 down {amount=2}" },
      { { type = "scroll", x = 3, y = 4, scroll_x = -1, scroll_y = -250 },
        "mouse:scroll 3 4 up {amount=3}, mouse:scroll 3 4 left {amount=1}" },
      { { type = "scroll", x = 3, y = 4, scroll_x = 100 }, "mouse:scroll 3 4 right {amount=1}" },
      { { type = "type", text = "hi" }, "keyboard:type hi" }, { { type = "wait" }, "sleep 1" },
      { { type = "screenshot" }, "" },
    } do
      assert.equal(row[2], does("computer", { actions = { row[1] } }), row[1].type)
    end
    assert.equal("mouse:move 1 1, mouse:move 2 2",
      does("computer", { actions = { { type = "move", x = 1, y = 1 }, { type = "move", x = 2, y = 2 } } }))
    for why, action in pairs {
      ["there is no button back"] = { type = "click", x = 1, y = 1, button = "back" },
      ["x and y, or a coordinate, are required"] = { type = "move", x = 1 },
      ["path needs two places"] = { type = "drag", path = { { x = 1, y = 1 } } },
      ["keys are required"] = { type = "keypress", keys = {} }, ["text is required"] = { type = "type", text = "" },
      ["-1, 1 is not on the screen, which is 1920 by 1200"] = { type = "double_click", x = -1, y = 1 },
    } do
      did = {}
      assert.equal(("action 2, %s: %s"):format(action.type, why),
        fail("computer", { actions = { { type = "move", x = 1, y = 1 }, action, { type = "wait" } } }))
      assert.same({ "mouse:move 1 1" }, did)
    end
    assert.equal("a person must confirm this call first",
      fail("computer", { actions = { { type = "wait" } }, pending_safety_checks = { { id = "x" } } }))
  end)

  it("start the desktop where there is none", function()
    failing = "display:info"
    local fine = tools:call("screenshot", {})
    assert.is_false(fine.ok)
    assert.equal("computer:start", did[1])
  end)

  it("answer in OpenAI's own forms", function()
    local result = call("computer", { actions = { { type = "screenshot" } } })
    assert.same({ type = "computer_call_output", call_id = "c", output = { type = "computer_screenshot",
      image_url = "data:image/png;base64,YWJj" } }, tools:result("openai", { call_id = "c" }, result))
    result = tools:call("computer", { actions = { { type = "keypress" } } })
    assert.same({ type = "computer_call_output", call_id = "c", output = { type = "input_text",
      text = "action 1, keypress: keys are required" } }, tools:result("openai", { id = "c" }, result))
    assert.error_matches(function() tools:result("openai", {}, result) end, "has no call_id")
  end)
end)
