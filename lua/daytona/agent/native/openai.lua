-- What OpenAI's models bring along: shell, apply_patch, computer; and their own kinds of
-- answer.

local act = require "daytona.agent.native.act"
local desktop = require "daytona.agent.desktop"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local output = require "daytona.agent.output"
local patch = require "daytona.agent.patch"
local patches = require "daytona.agent.patches"
local shape = require "daytona.agent.shape"
local tools = require "daytona.agent.native.tool"

local string, integer, number, boolean, object = shape.string, shape.integer, shape.number, shape.boolean, shape.object
local tool, call_id = tools.new, tools.call_id

--- shell -------------------------------------------------------------------------------

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

function shell.reply.openai(call, result)
  local data = result.data or { output = { { stdout = "", stderr = result.text,
    outcome = { type = "exit", exit_code = 1 } } } }
  return { type = "shell_call_output", call_id = call_id(call), max_output_length = data.max_output_length,
    output = data.output }
end

--- apply_patch ---------------------------------------------------------------------------

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

--- computer -----------------------------------------------------------------------------------

local PIXELS_A_NOTCH = 100

-- Action -> fn(sandbox, action).
local ACTIONS = {}

local BUTTONS = { left = true, right = true, middle = true }

function ACTIONS.click(sandbox, a)
  local button = a.button == "wheel" and "middle" or a.button
  if button and not BUTTONS[button] then return nil, "there is no button " .. button end
  return act.click(sandbox, a.x, a.y, { button = button })
end

function ACTIONS.double_click(sandbox, a) return act.click(sandbox, a.x, a.y, { double = true }) end

function ACTIONS.move(sandbox, a)
  return act.at(sandbox, a.x, a.y, function(mouse, x, y) return mouse:move(x, y) end)
end

function ACTIONS.drag(sandbox, a)
  local path = a.path or {}
  if not path[2] then return nil, "path needs two places" end
  local first, last = path[1], path[#path]
  return act.drag(sandbox, { first.x, first.y }, { last.x, last.y })
end

function ACTIONS.keypress(sandbox, a)
  if not (a.keys and a.keys[1]) then return nil, "keys are required" end
  return act.press(sandbox, table.concat(a.keys, "+"))
end

function ACTIONS.scroll(sandbox, a)
  local x, y = a.scroll_x or 0, a.scroll_y or 0
  local fine, err = act.scroll(sandbox, a.x, a.y, y < 0 and "up" or "down", math.abs(y) / PIXELS_A_NOTCH)
  if not fine then return nil, err end
  return act.scroll(sandbox, a.x, a.y, x < 0 and "left" or "right", math.abs(x) / PIXELS_A_NOTCH)
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
    return act.with_picture(sandbox, fine, err)
  end,
}

function computer.reply.openai(call, result)
  local image = result.images[1]
  if not image then return { type = "computer_call_output", call_id = call_id(call), output = {
    type = "input_text", text = result.text } } end
  return { type = "computer_call_output", call_id = call_id(call), output = {
    type = "computer_screenshot", image_url = "data:" .. image.mime_type .. ";base64," .. image.data } }
end

return { shell, apply_patch, computer }
