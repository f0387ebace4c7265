-- A sandbox's desktop as models work with it: rows of what can be done, of which the sets
-- "computer" and "daytona" make their tools, and pictures that are not larger than models
-- take, with places in these turned into places on the screen.

local base64 = require "daytona.base.base64"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local loop = require "daytona.loop"
local names = require "daytona.http.names"
local shape = require "daytona.agent.shape"

local string, integer, boolean, object = shape.string, shape.integer, shape.boolean, shape.object

local desktop = {}

--- Places and pictures --------------------------------------------------------------------

-- The largest picture that models are given; seconds for a screen to show what was done.
local WIDEST, HIGHEST, SETTLE = 1920, 1200, 0.3

-- Width, height and how much smaller pictures are.
local function measure(sandbox)
  local screens, err = sandbox.computer.display:info()
  if not screens then return nil, err end
  local screen = screens[1]
  if not screen then return nil, "the sandbox has no display; start its desktop first" end
  return { width = screen.width, height = screen.height,
    scale = math.min(1, WIDEST / screen.width, HIGHEST / screen.height) }
end

---Where on the screen a place in a picture is; nil and why when it is outside.
---@param sandbox daytona.Sandbox
---@param x number
---@param y number
---@return integer?
---@return integer|any y_or_why
function desktop.place(sandbox, x, y)
  local screen, err = measure(sandbox)
  if not screen then return nil, err end
  local at_x, at_y = math.floor(x / screen.scale + 0.5), math.floor(y / screen.scale + 0.5)
  if at_x >= 0 and at_y >= 0 and at_x < screen.width and at_y < screen.height then return at_x, at_y end
  return nil, ("%g, %g is not on the screen, which is %d by %d"):format(x, y,
    math.floor(screen.width * screen.scale), math.floor(screen.height * screen.scale))
end

---Where the mouse is, in the measure of pictures.
---@param sandbox daytona.Sandbox
---@return integer?
---@return integer|any y_or_why
function desktop.cursor(sandbox)
  local screen, err = measure(sandbox)
  if not screen then return nil, err end
  local at
  at, err = sandbox.computer.mouse:position()
  if not at then return nil, err end
  return math.floor(at.x * screen.scale), math.floor(at.y * screen.scale)
end

---A picture of the screen, scaled for models, once what was done shows.
---@param sandbox daytona.Sandbox
---@return { data: string, mime_type: string }?
---@return any why
function desktop.picture(sandbox)
  local screen, err = measure(sandbox)
  if not screen then return nil, err end
  loop.sleep(SETTLE)
  local shot
  shot, err = sandbox.computer.screenshot:full { scale = screen.scale < 1 and screen.scale or nil, cursor = true }
  if not shot then return nil, err end
  return { data = base64.encode(shot.data), mime_type = "image/" .. shot.format }
end

---Starts the desktop unless it runs.
---@param sandbox daytona.Sandbox
---@return true?
---@return any why
function desktop.ensure(sandbox)
  if sandbox.computer.display:info() then return true end
  local started, err = sandbox.computer:start()
  if not started then return nil, err end
  return true
end

--- Rows -------------------------------------------------------------------------------------

local POINT = object { { "x", integer() }, { "y", integer() } }
local ANY = { type = "object" }
local DONE = object { { "done", boolean() } }

local READ = { readOnlyHint = true, openWorldHint = false }
local ACT = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = true }

local X, Y = { "x", integer "Pixels from the left." }, { "y", integer "Pixels from the top." }
local BUTTON = { "button?", shape.enum({ "left", "right", "middle" }, "left without.") }
local MODIFIERS = { "modifiers?", shape.list(shape.enum { "ctrl", "alt", "shift", "cmd" }, "Keys held meanwhile.") }
local CURSOR = { "show_cursor?", boolean "With the mouse in it." }
local EXTENT = integer("Pixels.", { minimum = 1 })
local REGION = { X, Y, { "width", EXTENT }, { "height", EXTENT } }
local COMPRESSION = {
  { "format?", shape.enum { "png", "jpeg" } }, { "quality?", integer("Of jpeg.", { minimum = 1, maximum = 100 }) },
  { "scale?", shape.number("0.5 is half as wide and high.", { minimum = 0.1, maximum = 1 }) },
}
local RECORDING = { "recording_id", string("Id of the recording.", { minLength = 1 }) }
local NODE = { "node_id", string("Id of the node.", { minLength = 1 }) }
local SCOPE = { { "scope?", shape.enum({ "focused", "pid", "all" }, "What to look through.") },
  { "pid?", integer("Of the program, with scope pid.", { minimum = 1 }) } }

local function fields(...)
  local list = {}
  for _, some in ipairs { ... } do
    for _, field in ipairs(some) do list[#list + 1] = field end
  end
  return list
end

local function done(fine, err)
  if not fine then return nil, err end
  return { done = true }
end

local function point(at, err)
  if not at then return nil, err end
  return { x = at.x, y = at.y }
end

local PICTURE = object { { "format", string() }, { "size", integer "bytes" }, { "cursor?", POINT } }

local function picture(shot, err)
  if not shot then return nil, err end
  return { format = shot.format, size = shot.size, cursor = shot.cursor },
    { text = ("a picture of %d bytes"):format(shot.size),
      images = { { data = base64.encode(shot.data), mime_type = "image/" .. shot.format } } }
end

local function shot_options(args)
  return { cursor = args.show_cursor, format = args.format, quality = args.quality, scale = args.scale }
end

local function full(sandbox, args) return picture(sandbox.computer.screenshot:full(shot_options(args))) end

local function region(sandbox, args)
  return picture(sandbox.computer.screenshot:region(args.x, args.y, args.width, args.height, shot_options(args)))
end

local function listed(field)
  return function(list, err)
    if not list then return nil, err end
    local rows = json.array()
    for i, one in ipairs(list) do rows[i] = names.to_service(one) end
    return { [field] = rows }
  end
end

local displays, windows, recordings = listed "displays", listed "windows", listed "recordings"

local function one(value, err)
  if not value then return nil, err end
  return names.to_service(value)
end

local function processes(table, err)
  if not table then return nil, err end
  return { processes = names.to_service(table) }
end

-- What a call of the tree gives may be long: it is data as it is, cut as text.
local function tree(answer, err, call)
  if not answer then return nil, err end
  local data = names.to_service(answer)
  local text, cut = call:cap(ordered.encode(data) or "", "head")
  if not cut then return data end
  return { truncated = true }, { text = text, truncated = true }
end

---@class daytona.DesktopRow
---@field [1] string   name
---@field [2] string   title
---@field [3] table    annotations
---@field [4] string   description
---@field [5] table    fields of the arguments
---@field [6] table    output schema
---@field [7] fun(sandbox: daytona.Sandbox, args: table, call: daytona.ToolCall): table?, any
---@field more? table  fields that only the set "computer" has

---@type daytona.DesktopRow[]
desktop.ROWS = {
  { "start", "Start the desktop", ACT, "Starts the desktop of the sandbox.", {}, ANY,
    function(sandbox) return processes(sandbox.computer:start()) end },
  { "stop", "Stop the desktop", ACT, "Stops the desktop of the sandbox.", {}, ANY,
    function(sandbox) return processes(sandbox.computer:stop()) end },
  { "status", "State of the desktop", READ, "Tells whether the desktop runs.", {}, object { { "status", string() } },
    function(sandbox)
      local status, err = sandbox.computer:status()
      if not status then return nil, err end
      return { status = tostring(status) }
    end },
  { "screenshot", "Look at the screen", READ, "Takes a picture of the whole screen.", { CURSOR }, PICTURE, full },
  { "screenshot_region", "Look at a part of the screen", READ, "Takes a picture of a part of the screen.",
    fields(REGION, { CURSOR }), PICTURE, region },
  { "screenshot_compressed", "Look at the screen, cheaply", READ, "Takes a smaller picture of the whole screen.",
    fields({ CURSOR }, COMPRESSION), PICTURE, full },
  { "screenshot_compressed_region", "Look at a part of the screen, cheaply", READ,
    "Takes a smaller picture of a part of the screen.", fields(REGION, { CURSOR }, COMPRESSION), PICTURE, region },
  { "mouse_position", "Where the mouse is", READ, "Tells where the mouse is.", {}, POINT,
    function(sandbox) return point(sandbox.computer.mouse:position()) end },
  { "mouse_move", "Move the mouse", ACT, "Moves the mouse.", { X, Y }, POINT,
    function(sandbox, args) return point(sandbox.computer.mouse:move(args.x, args.y)) end },
  { "mouse_click", "Click", ACT, "Clicks at a place.", { X, Y, BUTTON, { "double?", boolean "Twice." } }, POINT,
    function(sandbox, args)
      return point(sandbox.computer.mouse:click(args.x, args.y, {
        button = args.button, double = args.double, clicks = args.clicks, modifiers = args.modifiers }))
    end, more = { { "clicks?", integer("How often.", { minimum = 1, maximum = 10 }) }, MODIFIERS } },
  { "mouse_drag", "Drag", ACT, "Presses a button at one place and lets it go at another.",
    { { "start_x", integer() }, { "start_y", integer() }, { "end_x", integer() }, { "end_y", integer() }, BUTTON },
    POINT,
    function(sandbox, args)
      return point(sandbox.computer.mouse:drag(args.start_x, args.start_y, args.end_x, args.end_y, {
        button = args.button, modifiers = args.modifiers }))
    end, more = { MODIFIERS } },
  { "mouse_scroll", "Scroll", ACT, "Turns the wheel at a place.",
    { X, Y, { "direction", shape.enum { "up", "down", "left", "right" } },
      { "amount?", integer("Notches.", { minimum = 1, default = 1 }) } }, DONE,
    function(sandbox, args)
      return done(sandbox.computer.mouse:scroll(args.x, args.y, args.direction, {
        amount = args.amount, modifiers = args.modifiers }))
    end, more = { MODIFIERS } },
  { "keyboard_type", "Type", ACT, "Types a text.",
    { { "text", string("The text.", { minLength = 1 }) },
      { "delay?", integer("Milliseconds between keys.", { minimum = 0 }) } }, DONE,
    function(sandbox, args)
      return done(sandbox.computer.keyboard:type(args.text, { delay = args.delay and args.delay / 1000 }))
    end },
  { "keyboard_press", "Press a key", ACT, "Presses a key, as enter, tab, a.",
    { { "key", string("The key.", { minLength = 1 }) },
      { "modifiers?", shape.list(string(), "Keys held meanwhile: ctrl, alt, shift, cmd.") } }, DONE,
    function(sandbox, args)
      return done(sandbox.computer.keyboard:press(args.key, { modifiers = args.modifiers }))
    end },
  { "keyboard_hotkey", "Press a combination", ACT, "Presses a combination, as ctrl+c.",
    { { "keys", string("The combination.", { minLength = 1 }) } }, DONE,
    function(sandbox, args) return done(sandbox.computer.keyboard:hotkey(args.keys)) end },
  { "display_info", "The screens", READ, "Tells how large the screens are.", {},
    object { { "displays", shape.list(ANY) } },
    function(sandbox) return displays(sandbox.computer.display:info()) end },
  { "windows", "The windows", READ, "Lists the open windows.", {}, object { { "windows", shape.list(ANY) } },
    function(sandbox) return windows(sandbox.computer.display:windows()) end },
  { "recording_start", "Record the screen", ACT, "Begins to record the screen.",
    { { "label?", string("What to call it.", { minLength = 1 }) } }, ANY,
    function(sandbox, args) return one(sandbox.computer.recording:start { label = args.label }) end },
  { "recording_stop", "End a recording", ACT, "Ends a recording.", { RECORDING }, ANY,
    function(sandbox, args) return one(sandbox.computer.recording:stop(args.recording_id)) end },
  { "recording_list", "The recordings", READ, "Lists the recordings.", {}, object { { "recordings", shape.list(ANY) } },
    function(sandbox) return recordings(sandbox.computer.recording:list()) end },
  { "recording_get", "Look at a recording", READ, "Tells what is known of a recording.", { RECORDING }, ANY,
    function(sandbox, args) return one(sandbox.computer.recording:get(args.recording_id)) end },
  { "recording_delete", "Delete a recording", ACT, "Deletes a recording.", { RECORDING }, DONE,
    function(sandbox, args) return done(sandbox.computer.recording:delete(args.recording_id)) end },
  { "accessibility_tree", "What is on the screen, as a tree", READ, "Returns the tree of what programs show.",
    fields(SCOPE, { { "max_depth?", integer("Levels; 0 the root only, -1 all.", { minimum = -1 }) } }), ANY,
    function(sandbox, args, call)
      local answer, err = sandbox.computer.accessibility:tree {
        scope = args.scope, pid = args.pid, max_depth = args.max_depth }
      return tree(answer, err, call)
    end },
  { "accessibility_find", "Find on the screen", READ, "Finds nodes of the tree of what programs show.",
    fields(SCOPE, { { "role?", string() }, { "name?", string() },
      { "name_match?", shape.enum { "exact", "substring", "regex" } }, { "states?", shape.list(string()) },
      { "limit?", integer("How many at most.", { minimum = 1 }) } }), ANY,
    function(sandbox, args, call)
      local answer, err = sandbox.computer.accessibility:find {
        scope = args.scope, pid = args.pid, role = args.role, name = args.name, name_match = args.name_match,
        states = args.states, limit = args.limit }
      return tree(answer, err, call)
    end },
  { "accessibility_focus", "Focus", ACT, "Gives a node the focus.", { NODE }, DONE,
    function(sandbox, args) return done(sandbox.computer.accessibility:focus(args.node_id)) end },
  { "accessibility_invoke", "Invoke", ACT, "Invokes an action of a node.",
    { NODE, { "action?", string("click without.", { minLength = 1 }) } }, DONE,
    function(sandbox, args)
      return done(sandbox.computer.accessibility:invoke(args.node_id, { action = args.action }))
    end },
  { "accessibility_set_value", "Set a value", ACT, "Sets the value of a node.", { NODE, { "value", string() } }, DONE,
    function(sandbox, args) return done(sandbox.computer.accessibility:set_value(args.node_id, args.value)) end },
}

local function button_row(name, word, title)
  return { "mouse_" .. name, title, ACT, title .. ", at a place or where the mouse is.",
    { { "x?", X[2] }, { "y?", Y[2] }, BUTTON }, POINT,
    function(sandbox, args)
      if (args.x == nil) ~= (args.y == nil) then return nil, "x and y go together" end
      return point(sandbox.computer.mouse[word](sandbox.computer.mouse, args.x, args.y, { button = args.button }))
    end }
end

local function key_row(word, title)
  local fields_of = { { "key", string("The key.", { minLength = 1 }) } }
  return { "key_" .. word, title, ACT, title .. ", as shift.", fields_of, DONE,
    function(sandbox, args) return done(sandbox.computer.keyboard[word](sandbox.computer.keyboard, args.key)) end }
end

---What the set "computer" has besides: since 0.223 of the daemon.
---@type daytona.DesktopRow[]
desktop.NEWER = {
  button_row("down", "down", "Press a mouse button and hold it"), button_row("up", "up", "Let a mouse button go"),
  key_row("down", "Press a key and hold it"), key_row("up", "Let a key go"),
}

---The tool of a row.
---@param row daytona.DesktopRow
---@param prefix string     of its name
---@param extra table       fields before its own
---@param with_more boolean
---@param find fun(args: table, call: daytona.ToolCall): daytona.Sandbox?, any
---@return daytona.Tool
function desktop.tool(row, prefix, extra, with_more, find)
  return {
    name = prefix .. row[1], title = row[2], annotations = row[3], description = row[4],
    input = object(fields(extra, row[5], with_more and row.more or {})), output = row[6],
    run = function(args, call)
      local sandbox, err = find(args, call)
      if not sandbox then return nil, err end
      return row[7](sandbox, args, call)
    end,
  }
end

return desktop
