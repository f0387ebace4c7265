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
