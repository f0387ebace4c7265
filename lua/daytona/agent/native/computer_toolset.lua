-- Anthropic's computer_toolset_20260801: each of its members is a tool; a model's API is
-- told the toolset alone.

local act = require "daytona.agent.native.act"
local base64 = require "daytona.base.base64"
local desktop = require "daytona.agent.desktop"
local keys = require "daytona.agent.keys"
local loop = require "daytona.loop"
local shape = require "daytona.agent.shape"

local string, integer, number, object = shape.string, shape.integer, shape.number, shape.object
local tool = require("daytona.agent.native.tool").new

local TOOLSET = { type = "computer_toolset_20260801" }

local COORDINATE = { "coordinate", shape.list(number(), "x and y, in the picture.", { minItems = 2, maxItems = 2 }) }
local MAYBE = { "coordinate?", COORDINATE[2] }
local HELD = { "text?", string "Keys held meanwhile, as ctrl or shift." }

local MEMBERS = {}

-- A member of the toolset: fn(sandbox, args) returns as calls of the desktop do.
local function member(name, description, fields, fn)
  MEMBERS[#MEMBERS + 1] = tool {
    name = name, title = name:gsub("_", " "), description = description, input = object(fields),
    output = { type = "object" }, native = { anthropic = TOOLSET },
    run = function(sandbox, args)
      local fine, err = desktop.ensure(sandbox)
      if fine then fine, err = fn(sandbox, args) end
      return act.with_picture(sandbox, fine, err, type(fine) == "string" and fine or nil)
    end,
  }
end

local function modifiers_of(text)
  if not text or text == "" then return nil end
  return keys.modifiers(text)
end

-- Where on the screen a click goes; when it says nothing, where the mouse is.
local function place_of(sandbox, args)
  if args.coordinate then return desktop.place(sandbox, args.coordinate[1], args.coordinate[2]) end
  local point, err = sandbox.computer.mouse:position()
  if not point then return nil, err end
  return point.x, point.y
end

local function clicker(opts)
  return function(sandbox, args)
    local x, y = place_of(sandbox, args)
    if not x then return nil, y end
    local held, why = modifiers_of(args.text)
    if why then return nil, why end
    return sandbox.computer.mouse:click(x, y, { button = opts.button, double = opts.double, clicks = opts.clicks,
      modifiers = held })
  end
end

local function holder(word)
  return function(sandbox, args)
    local x, y
    if args.coordinate then
      x, y = desktop.place(sandbox, args.coordinate[1], args.coordinate[2])
      if not x then return nil, y end
    end
    local mouse = sandbox.computer.mouse
    return mouse[word](mouse, x, y)
  end
end

member("cursor_position", "Tells where the mouse is.", {}, function(sandbox)
  local x, y = desktop.cursor(sandbox)
  if not x then return nil, y end
  return ("x=%d, y=%d"):format(x, y)
end)
member("mouse_move", "Moves the mouse.", { COORDINATE }, function(sandbox, args)
  return act.at(sandbox, args.coordinate[1], args.coordinate[2], function(mouse, x, y) return mouse:move(x, y) end)
end)
member("left_click", "Clicks.", { MAYBE, HELD }, clicker {})
member("right_click", "Clicks with the right button.", { MAYBE, HELD }, clicker { button = "right" })
member("middle_click", "Clicks with the middle button.", { MAYBE, HELD }, clicker { button = "middle" })
member("double_click", "Clicks twice.", { MAYBE, HELD }, clicker { double = true })
member("triple_click", "Clicks three times.", { MAYBE, HELD }, clicker { clicks = 3 })
member("left_click_drag", "Drags from one place to another.",
  { { "start_coordinate", COORDINATE[2] }, COORDINATE }, function(sandbox, args)
    return act.drag(sandbox, args.start_coordinate, args.coordinate)
  end)
member("left_mouse_down", "Presses the button and holds it.", { MAYBE }, holder "down")
member("left_mouse_up", "Lets the button go.", { MAYBE }, holder "up")
member("scroll", "Scrolls.", {
  MAYBE, { "scroll_direction", shape.enum { "up", "down", "left", "right" } },
  { "scroll_amount?", integer("Notches.", { minimum = 0 }) }, HELD }, function(sandbox, args)
    local x, y = place_of(sandbox, args)
    if not x then return nil, y end
    local held, why = modifiers_of(args.text)
    if why then return nil, why end
    if args.scroll_amount == 0 then return true end
    return sandbox.computer.mouse:scroll(x, y, args.scroll_direction, { amount = args.scroll_amount, modifiers = held })
  end)
member("key", "Presses a key or a combination, as ctrl+s.", { { "text", string("The keys.", { minLength = 1 }) } },
  function(sandbox, args) return act.press(sandbox, args.text) end)
member("hold_key", "Holds a key for a while.", {
  { "text", string("The key.", { minLength = 1 }) },
  { "duration", number("Seconds.", { minimum = 0, maximum = 100 }) } }, function(sandbox, args)
    local key, why = keys.chord(args.text)
    if not key then return nil, why end
    local keyboard = sandbox.computer.keyboard
    local fine, err = keyboard:down(key)
    if not fine then return nil, err end
    local slept
    slept, why = loop.sleep(args.duration)
    fine, err = loop.shield(keyboard.up, keyboard, key)
    if not slept then return nil, why end
    return fine, err
  end)
member("type", "Types a text.", { { "text", string("The text.", { minLength = 1 }) } },
  function(sandbox, args) return sandbox.computer.keyboard:type(args.text) end)
member("wait", "Waits.", { { "duration?", number("Seconds.", { minimum = 0, maximum = 100 }) } },
  function(_, args) return loop.sleep(args.duration or 1) end)
member("screenshot", "Takes a picture of the screen.", {}, function() return true end)

-- A part of the screen in full size.
local zoom = tool {
  name = "zoom", title = "zoom", description = "Takes a picture of a part of the screen, in full size.",
  input = object { { "region", shape.list(number(), "x0, y0, x1, y1.", { minItems = 4, maxItems = 4 }) } },
  output = { type = "object" }, native = { anthropic = TOOLSET },
  run = function(sandbox, args)
    local x0, y0 = desktop.place(sandbox, args.region[1], args.region[2])
    if not x0 then return nil, y0 end
    local x1, y1 = desktop.place(sandbox, args.region[3] - 1, args.region[4] - 1)
    if not x1 then return nil, y1 end
    if x1 < x0 or y1 < y0 then return nil, "region must be x0, y0, x1, y1, of which the second is below and right" end
    local shot, err = sandbox.computer.screenshot:region(x0, y0, x1 - x0 + 1, y1 - y0 + 1)
    if not shot then return nil, err end
    return { done = true }, { text = "", images = {
      { data = base64.encode(shot.data), mime_type = "image/" .. shot.format } } }
  end,
}

MEMBERS[#MEMBERS + 1] = zoom

return MEMBERS
