-- The set "native": the tools that models bring along, executed in a sandbox. A model's
-- API is told their type alone; everybody else gets them described like any tool.
--
-- OpenAI: shell, apply_patch, computer. Anthropic: bash_20250124, text_editor_20250728,
-- computer_toolset_20260801.

local desktop = require "daytona.agent.desktop"
local edit = require "daytona.agent.edit"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local keys = require "daytona.agent.keys"
local loop = require "daytona.loop"
local output = require "daytona.agent.output"
local patch = require "daytona.agent.patch"
local patches = require "daytona.agent.patches"
local shape = require "daytona.agent.shape"

local string, integer, number, boolean, object = shape.string, shape.integer, shape.number, shape.boolean, shape.object

local RUN = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = true }

-- A tool whose function is given the sandbox.
local function tool(fields)
  local run = fields.run
  fields.annotations = RUN
  function fields.run(args, call)
    local sandbox, err = call:home()
    if not sandbox then return nil, err end
    return run(sandbox, args, call)
  end
  return fields
end

--- OpenAI: shell -------------------------------------------------------------------------------

-- Milliseconds; characters of each stream.
local DEFAULT_TIME, DEFAULT_LENGTH = 120000, 20000

local function shortened(text, most)
  return (output.cap(output.clean(text), { lines = 100000, bytes = most }, "ends"))
end

-- What one command did, both streams apart.
local function run_apart(sandbox, command, milliseconds, most)
  local job, err = sandbox:popen(command, { timeout = math.max(milliseconds / 1000, 1) })
  if not job then return nil, err end
  local out, err_text, result
  out, err = job.stdout:read "a"
  if out then err_text, err = job.stderr:read "a" end
  if err_text then result, err = job:wait() end
  if not result then
    loop.shield(job.kill, job)
    return nil, err
  end
  job:remove()
  local outcome = { type = "exit", exit_code = result.exit_code }
  if result.reason == "timed_out" then outcome = { type = "timeout" } end
  return { stdout = shortened(out, most), stderr = shortened(err_text, most), outcome = outcome }
end

local OUTCOME = object { { "type", shape.enum { "exit", "timeout" } }, { "exit_code?", integer() } }

local shell = tool {
  name = "shell", title = "Run commands", description = "Runs shell commands one after the other.",
  input = object {
    { "commands", shape.list(string(nil, { minLength = 1 }), "The commands.", { minItems = 1 }) },
    { "timeout_ms?", integer("Milliseconds that each may run.", { minimum = 1, maximum = 86400000 }) },
    { "max_output_length?", integer("Characters of each stream.", { minimum = 1 }) },
    { "type?", string() }, { "working_directory?", string() }, { "env?", shape.map() }, { "user?", string() },
  },
  output = object {
    { "max_output_length", integer() },
    { "output", shape.list(object { { "stdout", string() }, { "stderr", string() }, { "outcome", OUTCOME } }) },
  },
  native = { openai = { type = "shell", environment = { type = "local" } } },
  reply = {},
  run = function(sandbox, args, call)
    local most = math.min(args.max_output_length or DEFAULT_LENGTH, call.toolset:limits().bytes)
    local list = json.array()
    for i, command in ipairs(args.commands) do
      local did, err = run_apart(sandbox, command, args.timeout_ms or DEFAULT_TIME, most)
      if not did then return nil, err end
      list[i] = did
    end
    return { max_output_length = most, output = list }
  end,
}

local function call_id(call)
  return call.call_id or call.id or errors.misuse(1, "result: the model's call has no call_id")
end

function shell.reply.openai(call, result)
  local data = result.data or { output = { { stdout = "", stderr = result.text,
    outcome = { type = "exit", exit_code = 1 } } } }
  return { type = "shell_call_output", call_id = call_id(call), max_output_length = data.max_output_length,
    output = data.output }
end

--- OpenAI: apply_patch ---------------------------------------------------------------------------

local KINDS = { create_file = "add", update_file = "update", delete_file = "delete" }

local apply_patch = tool {
  name = "apply_patch", title = "Change a file by a patch",
  description = "Creates, updates or deletes a file; diff is the change in the V4A form.",
  input = object {
    { "type", shape.enum { "create_file", "update_file", "delete_file" } },
    { "path", string("Path of the file.", { minLength = 1 }) }, { "diff?", string "The change." },
  },
  output = object { { "files", shape.list(object { { "path", string() }, { "change", string() } }) } },
  native = { openai = { type = "apply_patch" } },
  reply = {},
  run = function(sandbox, args)
    if args.type ~= "delete_file" and not args.diff then return nil, "diff is required" end
    local body = args.diff and patch.lines((args.diff:gsub("\r\n", "\n"))) or {}
    return patches.apply(sandbox, { { kind = KINDS[args.type], path = args.path, body = body } })
  end,
}

function apply_patch.reply.openai(call, result)
  return { type = "apply_patch_call_output", call_id = call_id(call),
    status = result.ok and "completed" or "failed", output = result.text }
end

--- Desktop, of both ---------------------------------------------------------------------------------

-- Does fn at a place of a picture.
local function at(sandbox, x, y, fn)
  if type(x) ~= "number" or type(y) ~= "number" then return nil, "x and y, or a coordinate, are required" end
  local on_x, on_y = desktop.place(sandbox, x, y)
  if not on_x then return nil, on_y end
  return fn(sandbox.computer.mouse, on_x, on_y)
end

local function click(sandbox, x, y, opts)
  return at(sandbox, x, y, function(mouse, on_x, on_y) return mouse:click(on_x, on_y, opts) end)
end

local function drag(sandbox, from, to)
  return at(sandbox, from[1], from[2], function(mouse, from_x, from_y)
    return at(sandbox, to[1], to[2], function(_, to_x, to_y) return mouse:drag(from_x, from_y, to_x, to_y) end)
  end)
end

local function press(sandbox, text)
  local chord, why = keys.chord(text)
  if not chord then return nil, why end
  if chord:find "+" and #chord > 1 then return sandbox.computer.keyboard:hotkey(chord) end
  return sandbox.computer.keyboard:press(chord)
end

local function scroll(sandbox, x, y, direction, amount, modifiers)
  if amount == 0 then return true end
  return at(sandbox, x, y, function(mouse, on_x, on_y)
    local notches = math.max(math.floor(amount + 0.5), 1)
    return mouse:scroll(on_x, on_y, direction, { amount = notches, modifiers = modifiers })
  end)
end

local function with_picture(sandbox, fine, err, text)
  if not fine then return nil, err end
  local picture, why = desktop.picture(sandbox)
  if not picture then return nil, why end
  return { done = true }, { text = text or "", images = { picture } }
end

--- OpenAI: computer -----------------------------------------------------------------------------------

local PIXELS_A_NOTCH = 100

-- Action -> fn(sandbox, action).
local ACTIONS = {}

local BUTTONS = { left = true, right = true, middle = true }

function ACTIONS.click(sandbox, a)
  local button = a.button == "wheel" and "middle" or a.button
  if button and not BUTTONS[button] then return nil, "there is no button " .. button end
  return click(sandbox, a.x, a.y, { button = button })
end

function ACTIONS.double_click(sandbox, a) return click(sandbox, a.x, a.y, { double = true }) end

function ACTIONS.move(sandbox, a)
  return at(sandbox, a.x, a.y, function(mouse, x, y) return mouse:move(x, y) end)
end

function ACTIONS.drag(sandbox, a)
  local path = a.path or {}
  if not path[2] then return nil, "path needs two places" end
  local first, last = path[1], path[#path]
  return drag(sandbox, { first.x, first.y }, { last.x, last.y })
end

function ACTIONS.keypress(sandbox, a)
  if not (a.keys and a.keys[1]) then return nil, "keys are required" end
  return press(sandbox, table.concat(a.keys, "+"))
end

function ACTIONS.scroll(sandbox, a)
  local x, y = a.scroll_x or 0, a.scroll_y or 0
  local fine, err = scroll(sandbox, a.x, a.y, y < 0 and "up" or "down", math.abs(y) / PIXELS_A_NOTCH)
  if not fine then return nil, err end
  return scroll(sandbox, a.x, a.y, x < 0 and "left" or "right", math.abs(x) / PIXELS_A_NOTCH)
end

function ACTIONS.type(sandbox, a)
  if not a.text or a.text == "" then return nil, "text is required" end
  return sandbox.computer.keyboard:type(a.text)
end

function ACTIONS.wait() return loop.sleep(1) end
function ACTIONS.screenshot() return true end

local PLACE = object { { "x", number() }, { "y", number() } }

local ACTION = object {
  { "type", shape.enum {
    "click", "double_click", "drag", "keypress", "move", "screenshot", "scroll", "type", "wait" } },
  { "x?", number() }, { "y?", number() }, { "button?", string() }, { "path?", shape.list(PLACE) },
  { "keys?", shape.list(string()) }, { "scroll_x?", number() }, { "scroll_y?", number() }, { "text?", string() },
}

local DONE = object { { "done", boolean() } }

local computer = tool {
  name = "computer", title = "Use the desktop",
  description = "Does what it is told on the desktop; returns a picture.",
  input = object { { "actions", shape.list(ACTION, "In this order.", { minItems = 1 }) },
    { "pending_safety_checks?", shape.list({ type = "object" }) } },
  output = DONE, native = { openai = { type = "computer" } }, reply = {},
  run = function(sandbox, args)
    -- What the model's maker wants a person to confirm is not for a program to decide.
    if (args.pending_safety_checks or {})[1] then return nil, "a person must confirm this call first" end
    local fine, err = desktop.ensure(sandbox)
    for i, action in ipairs(fine and args.actions or {}) do
      fine, err = ACTIONS[action.type](sandbox, action)
      if not fine then return nil, ("action %d, %s: %s"):format(i, action.type, tostring(err)) end
    end
    return with_picture(sandbox, fine, err)
  end,
}

function computer.reply.openai(call, result)
  local image = result.images[1]
  if not image then return { type = "computer_call_output", call_id = call_id(call), output = {
    type = "input_text", text = result.text } } end
  return { type = "computer_call_output", call_id = call_id(call), output = {
    type = "computer_screenshot", image_url = "data:" .. image.mime_type .. ";base64," .. image.data } }
end

--- Anthropic: bash --------------------------------------------------------------------------------------

local SESSION = "daytona-native-bash"

local function open_session(toolset, sandbox, anew)
  if toolset.native_session and not anew then return toolset.native_session end
  if toolset.native_session then toolset.native_session:delete() end
  toolset.native_session = nil
  local id = SESSION .. "-" .. require("daytona.base.native").hex(require("daytona.base.native").random(4))
  local session, err = sandbox:session(id, { create = true })
  if not session then return nil, err end
  toolset.native_session = session
  return session
end

local bash = tool {
  name = "bash", title = "Run a command", description = "Runs a command in a shell that lasts from call to call.",
  input = object { { "command?", string "Shell command." }, { "restart?", boolean "Begin a new shell." } },
  output = object { { "exit_code?", integer() }, { "output?", string() }, { "restarted?", boolean() } },
  native = { anthropic = { type = "bash_20250124", name = "bash" } },
  run = function(sandbox, args, call)
    local session, err = open_session(call.toolset, sandbox, args.restart)
    if not session then return nil, err end
    if args.restart then return { restarted = true }, { text = "a new shell has begun" } end
    if not args.command or not args.command:find "%S" then return nil, "command is required" end
    local result
    result, err = session:exec(args.command, { timeout = 120 })
    if not result then
      if not errors.is(err, "timeout") then return nil, err end
      call.toolset.native_session = nil
      session:delete()
      return nil, "it was still running after 120 seconds, and was ended; the shell was begun anew"
    end
    local text, cut = call:cap(result.output or (result.stdout or "") .. (result.stderr or ""), "ends")
    local said = text == "" and "(no output)" or text
    if result.exit_code ~= 0 then said = ("%s\n[exit code %d]"):format(said:gsub("\n$", ""), result.exit_code) end
    return { exit_code = result.exit_code, output = text }, { text = said, truncated = cut }
  end,
}

--- Anthropic: text editor -------------------------------------------------------------------------------

local function numbered(lines, first, last)
  local out = {}
  for i = first, last do out[#out + 1] = ("%6d\t%s"):format(i, lines[i]) end
  return table.concat(out, "\n")
end

-- Command -> fn(sandbox, args, call).
local EDITOR = {}

function EDITOR.view(sandbox, args, call)
  local info, err = sandbox.fs:stat(args.path)
  if not info then return nil, err end
  if info.is_dir then
    local names = {}
    local list
    list, err = sandbox.fs:list(args.path)
    for i, one in ipairs(list or {}) do names[i] = one.name .. (one.is_dir and "/" or "") end
    if not list then return nil, err end
    return table.concat(names, "\n")
  end
  local text
  text, err = sandbox.fs:read(args.path)
  if not text then return nil, err end
  if text:find("\0", 1, true) then return nil, "it is not a text file" end
  local lines, range = patch.lines(text), args.view_range or { 1, -1 }
  local first, last = range[1], range[2] == -1 and #lines or range[2] or #lines
  if first < 1 or first > math.max(#lines, 1) or last < first and #lines > 0 then
    return nil, ("view_range must be within the file's %d lines"):format(#lines)
  end
  return (call:cap(numbered(lines, first, math.min(last, #lines)), "head", args.path))
end

function EDITOR.create(sandbox, args)
  if not args.file_text then return nil, "file_text is required" end
  local done, err = sandbox.fs:write(args.path, args.file_text)
  if not done then return nil, err end
  return "wrote " .. args.path
end

function EDITOR.str_replace(sandbox, args)
  if not args.old_str or args.old_str == "" then return nil, "old_str is required" end
  local text, err = sandbox.fs:read(args.path)
  if not text then return nil, err end
  local new, why = edit.apply(text, { old_string = args.old_str, new_string = args.new_str or "" })
  if not new then
    return nil, (why:gsub("old_string", "old_str"):gsub("new_string", "new_str"):gsub(", or set replace_all", ""))
  end
  local done
  done, err = sandbox.fs:write(args.path, new)
  if not done then return nil, err end
  return "changed " .. args.path
end

function EDITOR.insert(sandbox, args)
  local new = args.insert_text or args.new_str
  if not args.insert_line or not new then return nil, "insert_line and insert_text are required" end
  local text, err = sandbox.fs:read(args.path)
  if not text then return nil, err end
  local lines = patch.lines(text)
  if args.insert_line > #lines then return nil, ("the file has %d lines"):format(#lines) end
  for i, line in ipairs(patch.lines(new)) do table.insert(lines, args.insert_line + i, line) end
  local done
  done, err = sandbox.fs:write(args.path, table.concat(lines, "\n") .. (lines[1] and "\n" or ""))
  if not done then return nil, err end
  return "changed " .. args.path
end

local editor = tool {
  name = "str_replace_based_edit_tool", title = "Look at and change files",
  description = "Shows a file or folder, creates a file, replaces a text that is there once, inserts lines.",
  input = object {
    { "command", shape.enum { "view", "create", "str_replace", "insert" } },
    { "path", string("Path of the file.", { minLength = 1 }) },
    { "view_range?", shape.list(integer(), "First and last line; -1 is the end.", { minItems = 2, maxItems = 2 }) },
    { "file_text?", string() }, { "old_str?", string() }, { "new_str?", string() },
    { "insert_line?", integer("0 is the beginning.", { minimum = 0 }) }, { "insert_text?", string() },
  },
  output = object { { "text", string() } },
  native = { anthropic = { type = "text_editor_20250728", name = "str_replace_based_edit_tool" } },
  run = function(sandbox, args, call)
    local text, err = EDITOR[args.command](sandbox, args, call)
    if not text then return nil, err end
    return { text = text }, { text = text == "" and "(empty)" or text }
  end,
}

--- Anthropic: the desktop -------------------------------------------------------------------------------

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
      return with_picture(sandbox, fine, err, type(fine) == "string" and fine or nil)
    end,
  }
end

local function modifiers_of(text)
  if not text or text == "" then return nil end
  return keys.modifiers(text)
end

-- Where a click goes when it says nothing: where the mouse is, in the picture's measure.
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
  local point, err = sandbox.computer.mouse:position()
  if not point then return nil, err end
  return ("x=%d, y=%d"):format(point.x, point.y)
end)
member("mouse_move", "Moves the mouse.", { COORDINATE }, function(sandbox, args)
  return at(sandbox, args.coordinate[1], args.coordinate[2], function(mouse, x, y) return mouse:move(x, y) end)
end)
member("left_click", "Clicks.", { MAYBE, HELD }, clicker {})
member("right_click", "Clicks with the right button.", { MAYBE, HELD }, clicker { button = "right" })
member("middle_click", "Clicks with the middle button.", { MAYBE, HELD }, clicker { button = "middle" })
member("double_click", "Clicks twice.", { MAYBE, HELD }, clicker { double = true })
member("triple_click", "Clicks three times.", { MAYBE, HELD }, clicker { clicks = 3 })
member("left_click_drag", "Drags from one place to another.",
  { { "start_coordinate", COORDINATE[2] }, COORDINATE }, function(sandbox, args)
    return drag(sandbox, args.start_coordinate, args.coordinate)
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
  function(sandbox, args) return press(sandbox, args.text) end)
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
      { data = require("daytona.base.base64").encode(shot.data), mime_type = "image/" .. shot.format } } }
  end,
}

local M = {}

---@return daytona.Tool[]
function M.tools()
  local list = { shell, apply_patch, computer, bash, editor }
  for _, one in ipairs(MEMBERS) do list[#list + 1] = one end
  list[#list + 1] = zoom
  return list
end

return M
