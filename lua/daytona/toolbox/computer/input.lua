-- Mouse and keyboard of a desktop.
--
-- Holding buttons and keys, several clicks and modifiers of the mouse are not there in
-- daemons before 0.223. Those take no notice of what they do not know, so they are asked
-- once whether they do: what they could only do otherwise is "unsupported".

local calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local group = require "daytona.toolbox.computer.group"
local options = require "daytona.base.options"

local input = {}

local NEW = "0.223"

local BUTTONS = { "left", "right", "middle" }

-- Modifiers, each once, however it is called; aliases are told apart by the daemon.
local MODIFIERS = {
  ctrl = true, control = true, alt = true, option = true, shift = true, cmd = true, command = true, meta = true,
  super = true, win = true, windows = true,
}

local function modifiers(value)
  local expected = 'a list of "ctrl", "alt", "shift", "cmd" or their other names'
  if type(value) ~= "table" then return false, expected end
  for i = 1, #value do
    if not MODIFIERS[value[i]] then return false, expected end
  end
  return true, expected
end

-- The daemon refuses an empty list.
local function without_empty_list(values)
  if values.modifiers and values.modifiers[1] == nil then values.modifiers = nil end
end

local X, Y = { "x", "integer" }, { "y", "integer" }
local BUTTON = { button = BUTTONS, modifiers = modifiers }

-- Both or neither.
local function check_place(operation)
  return function(values)
    if (values.x == nil) ~= (values.y == nil) then errors.misuse(1, "%s: x and y go together", operation) end
  end
end

local function prepare_drag(values)
  without_empty_list(values)
  values.button = values.button or "left"
end

local function prepare_click(values)
  prepare_drag(values)
  if values.double and values.clicks and values.clicks ~= 2 then
    errors.misuse(1, "click: double is two clicks; give one of both options")
  end
  if values.clicks then values.double = values.clicks == 2 end
  values.double = values.double or false
  if values.clicks == 1 or values.clicks == 2 then values.clicks = nil end -- what all daemons can do
end

local function prepare_scroll(values)
  without_empty_list(values)
  values.amount = values.amount or 1
end

-- Seconds to milliseconds.
local function prepare_type(values)
  values.delay = values.delay and math.floor(values.delay * 1000 + 0.5)
end

-- What an old daemon would leave out, in silence.
local ABILITY = "mouse_modifiers"

local api

-- Whether the daemon knows of modifiers and clicks: asked once, by a button that there is
-- none of, which it refuses where it knows the call.
local function is_new(self)
  local daemon, err = calls.daemon(self.sandbox)
  if not daemon then return nil, err end
  if daemon:knows(ABILITY) == nil then
    local accepted
    accepted, err = api.probe(self, { button = "none" })
    if accepted then return true end
    if not errors.is(err, "invalid") and not errors.is(err, "unsupported") then return nil, err end
    daemon:learn(ABILITY, err.kind == "invalid")
  end
  return daemon:knows(ABILITY)
end

local function can_do(operation)
  return function(self, values)
    if not values.modifiers and not values.clicks then return true end
    local new, err = is_new(self)
    if new ~= false then return new, err end
    return nil, errors.new {
      kind = "unsupported", operation = operation, sandbox = self.sandbox,
      message = "the daemon in this sandbox is too old for " .. (values.clicks and "so many clicks" or "modifiers"),
    }
  end
end

local function hold(path, operation)
  return { "POST", "/computeruse/mouse/" .. path, "object", body = true, operation = operation, since = NEW,
           explain = group.explain, prepare = check_place(operation),
           args = { { "x", "integer", optional = true }, { "y", "integer", optional = true } },
           options = { button = BUTTONS } }
end

api = calls.of_daemon {
  position = { "GET", "/computeruse/mouse/position", "object", explain = group.explain },
  move = { "POST", "/computeruse/mouse/move", "object", safe = true, args = { X, Y }, explain = group.explain },
  click = { "POST", "/computeruse/mouse/click", "object", args = { X, Y }, explain = group.explain,
            options = { button = BUTTONS, double = "boolean", clicks = options.range(1, 10), modifiers = modifiers },
            prepare = prepare_click, before = can_do "click" },
  drag = { "POST", "/computeruse/mouse/drag", "object", explain = group.explain, prepare = prepare_drag,
           args = { { "start_x", "integer" }, { "start_y", "integer" }, { "end_x", "integer" },
                    { "end_y", "integer" } },
           options = BUTTON, before = can_do "drag" },
  scroll = { "POST", "/computeruse/mouse/scroll", explain = group.explain, prepare = prepare_scroll,
             args = { X, Y, { "direction", { "up", "down", "left", "right" } } },
             options = { amount = "positive", modifiers = modifiers }, before = can_do "scroll" },
  mouse_down = hold("down", "mouse down"),
  mouse_up = hold("up", "mouse up"),
  probe = { "POST", "/computeruse/mouse/up", operation = "click", since = NEW },

  type = { "POST", "/computeruse/keyboard/type", args = { { "text", "text" } }, secret = { "text" },
           options = { delay = "seconds", timeout = "seconds" }, prepare = prepare_type, explain = group.explain },
  press = { "POST", "/computeruse/keyboard/key", what = "key", args = { { "key", "text" } },
            options = { modifiers = "list" }, prepare = without_empty_list, explain = group.explain },
  hotkey = { "POST", "/computeruse/keyboard/hotkey", what = "keys", args = { { "keys", "text" } },
             explain = group.explain },
  key_down = { "POST", "/computeruse/keyboard/down", operation = "key down", what = "key", since = NEW,
               args = { { "key", "text" } }, explain = group.explain },
  key_up = { "POST", "/computeruse/keyboard/up", operation = "key up", what = "key", since = NEW,
             args = { { "key", "text" } }, explain = group.explain },
}

--- Mouse ---------------------------------------------------------------------------------

---@class daytona.ComputerMouse
---@field sandbox daytona.Sandbox
local Mouse = {}
input.mouse = group.class(Mouse, "Mouse")

---Keys that are held meanwhile.
---@alias daytona.Modifier "ctrl"|"alt"|"shift"|"cmd"|"control"|"option"|"command"|"meta"|"super"|"win"|"windows"

---Where the mouse is.
---@type fun(self: daytona.ComputerMouse): { x: integer, y: integer }?, daytona.Error?
Mouse.position = calls.method(api.position)

---Moves it. Where it is then: at an edge that may be elsewhere.
---@type fun(self: daytona.ComputerMouse, x: integer, y: integer): { x: integer, y: integer }?, daytona.Error?
Mouse.move = calls.method(api.move)

---Clicks at a place: once, `clicks` times (1 to 10), or with `double` twice, while
---modifiers are held. Modifiers and more than two clicks are "unsupported" by daemons
---before 0.223.
---@type fun(self: daytona.ComputerMouse, x: integer, y: integer, opts?: { button?: "left"|"right"|"middle", double?: boolean, clicks?: integer, modifiers?: daytona.Modifier[] }): { x: integer, y: integer }?, daytona.Error?
Mouse.click = calls.method(api.click)

---Presses a button at one place and lets go at another; takes about a second. Modifiers
---as of `click`.
---@type fun(self: daytona.ComputerMouse, start_x: integer, start_y: integer, end_x: integer, end_y: integer, opts?: { button?: "left"|"right"|"middle", modifiers?: daytona.Modifier[] }): { x: integer, y: integer }?, daytona.Error?
Mouse.drag = calls.method(api.drag)

---Turns the wheel at a place, by so many notches (`amount`, 1). Modifiers as of `click`;
---"left" and "right" are "invalid" to daemons before 0.223.
---@type fun(self: daytona.ComputerMouse, x: integer, y: integer, direction: "up"|"down"|"left"|"right", opts?: { amount?: integer, modifiers?: daytona.Modifier[] }): true?, daytona.Error?
Mouse.scroll = calls.method(api.scroll)

---Presses a button and holds it, at a place or where the mouse is, until `up`. Where that
---was. "unsupported" by daemons before 0.223.
---@type fun(self: daytona.ComputerMouse, x?: integer, y?: integer, opts?: { button?: "left"|"right"|"middle" }): { x: integer, y: integer }?, daytona.Error?
Mouse.down = calls.method(api.mouse_down)

---Lets go of a button, at a place or where the mouse is; as `down`.
---@type fun(self: daytona.ComputerMouse, x?: integer, y?: integer, opts?: { button?: "left"|"right"|"middle" }): { x: integer, y: integer }?, daytona.Error?
Mouse.up = calls.method(api.mouse_up)

--- Keyboard ------------------------------------------------------------------------------

---@class daytona.ComputerKeyboard
---@field sandbox daytona.Sandbox
local Keyboard = {}
input.keyboard = group.class(Keyboard, "Keyboard")

---Types a text, `delay` seconds (0) from key to key; line ends are the Enter key. Other
---control characters are refused with kind "invalid": `press "tab"`. What is typed is
---kept out of errors.
---@type fun(self: daytona.ComputerKeyboard, text: string, opts?: { delay?: number, timeout?: number }): true?, daytona.Error?
Keyboard.type = calls.method(api.type)

---Presses a key: "a", "enter", "f5", "num_plus", ... with modifiers "ctrl",
---"alt", "shift", "cmd" held.
---@type fun(self: daytona.ComputerKeyboard, key: string, opts?: { modifiers?: string[] }): true?, daytona.Error?
Keyboard.press = calls.method(api.press)

---Presses a combination: "ctrl+shift+t".
---@type fun(self: daytona.ComputerKeyboard, keys: string): true?, daytona.Error?
Keyboard.hotkey = calls.method(api.hotkey)

---Presses a key, of the names of `press`, and holds it until `up`. "unsupported" by
---daemons before 0.223.
---@type fun(self: daytona.ComputerKeyboard, key: string): true?, daytona.Error?
Keyboard.down = calls.method(api.key_down)

---Lets go of a key; as `down`.
---@type fun(self: daytona.ComputerKeyboard, key: string): true?, daytona.Error?
Keyboard.up = calls.method(api.key_up)

group.guard(Mouse, "mouse")
group.guard(Keyboard, "keyboard")

return input
