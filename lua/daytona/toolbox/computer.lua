-- Computer use: the screen, mouse and keyboard of a sandbox's desktop, pictures
-- and recordings of it, and its accessibility tree.

local base64 = require "daytona.base.base64"
local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.calls"
local localfile = require "daytona.toolbox.fs.localfile"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local groups = require "daytona.loop.group"
local names = require "daytona.http.names"

local M = {}

-- Seconds: the desktop's processes start one after the other; a recording is a
-- file to be fetched.
local START_TIMEOUT, DOWNLOAD_TIMEOUT, DOWNLOAD_IDLE = 120, 1800, 60

local call = calls.caller {
  start             = { "POST", "/computeruse/start", "object", safe = true },
  stop              = { "POST", "/computeruse/stop", "object", safe = true },
  status            = { "GET",  "/computeruse/status", "object" },
  process           = { "GET",  "/computeruse/process/{}/status", "object" },
  restart           = { "POST", "/computeruse/process/{}/restart", "object" },
  logs              = { "GET",  "/computeruse/process/{}/logs", "object" },
  error_logs        = { "GET",  "/computeruse/process/{}/errors", "object" },

  full              = { "GET",  "/computeruse/screenshot", "object" },
  region            = { "GET",  "/computeruse/screenshot/region", "object" },
  full_compressed   = { "GET",  "/computeruse/screenshot/compressed", "object" },
  region_compressed = { "GET",  "/computeruse/screenshot/region/compressed", "object" },

  position          = { "GET",  "/computeruse/mouse/position", "object" },
  move              = { "POST", "/computeruse/mouse/move", "object", safe = true },
  click             = { "POST", "/computeruse/mouse/click", "object" },
  drag              = { "POST", "/computeruse/mouse/drag", "object" },
  scroll            = { "POST", "/computeruse/mouse/scroll" },

  type              = { "POST", "/computeruse/keyboard/type" },
  press             = { "POST", "/computeruse/keyboard/key" },
  hotkey            = { "POST", "/computeruse/keyboard/hotkey" },

  displays          = { "GET",  "/computeruse/display/info", "object" },
  windows           = { "GET",  "/computeruse/display/windows", "object" },

  record            = { "POST", "/computeruse/recordings/start", "object" },
  stop_recording    = { "POST", "/computeruse/recordings/stop", "object" },
  recordings        = { "GET",  "/computeruse/recordings", "object" },
  recording         = { "GET",  "/computeruse/recordings/{}", "object" },
  delete_recording  = { "DELETE", "/computeruse/recordings/{}" },
  download          = { "GET",  "/computeruse/recordings/{}/download" },

  tree              = { "GET",  "/computeruse/a11y/tree", "object" },
  find              = { "POST", "/computeruse/a11y/find", "object", safe = true },
  focus             = { "POST", "/computeruse/a11y/node/focus", safe = true },
  invoke            = { "POST", "/computeruse/a11y/node/invoke" },
  set_value         = { "POST", "/computeruse/a11y/node/value", safe = true },
}

-- For calls whose answer says nothing: true, or nil, err.
local function done(answer, err)
  if not answer then return nil, err end
  return true
end

local function translated(answer, err)
  if not answer then return nil, err end
  return names.to_lua(answer)
end

-- A list in an answer; null means that it is empty.
local function list_in(answer, field)
  local list = answer[field]
  return type(list) == "table" and names.to_lua(list) or {}
end

-- A group of calls: its class, and a function that makes one.
local function group(class, name)
  class.__index = class
  class.__name = "daytona." .. name
  function class:__tostring()
    return name:lower() .. " of " .. tostring(self.sandbox)
  end
  return function(sandbox) return setmetatable({ sandbox = sandbox }, class) end
end

--- Pictures --------------------------------------------------------------------------

---@class daytona.Screenshot
---@field data? string     the picture, unless it was saved
---@field saved_as? string where
---@field size integer     bytes
---@field format "png"|"jpeg"
---@field cursor? { x: integer, y: integer }  where the mouse was, in the picture, when it was asked for

---@class daytona.ComputerScreenshot
---@field sandbox daytona.Sandbox
local Screenshot = {}

local function scale_range(value)
  return type(value) == "number" and value >= 0.1 and value <= 1, "a number from 0.1 to 1"
end

local SHOT = {
  cursor = "boolean", format = { "png", "jpeg" }, quality = options.range(1, 100), scale = scale_range,
  save_as = "text", timeout = "seconds",
}

local function is_png(data)
  return data:sub(1, 4) == "\137PNG"
end

local function picture_in(self, answer, opts)
  local data = type(answer.screenshot) == "string" and base64.decode(answer.screenshot)
  if not data then
    return nil, errors.new {
      kind = "protocol", code = "json", operation = "screenshot", sandbox = self.sandbox,
      message = "no picture came back",
    }
  end
  local at = answer.cursorPosition
  local shot = {
    data = data, size = #data, format = is_png(data) and "png" or "jpeg",
    -- Without having been asked for it, it is not where the mouse is.
    cursor = opts.cursor and type(at) == "table" and { x = at.x, y = at.y } or nil,
  }
  if not opts.save_as then return shot end
  local fine, why = localfile.replace(opts.save_as, data)
  if not fine then
    return nil, errors.new {
      kind = "io", operation = "screenshot", what = opts.save_as, sandbox = self.sandbox, message = why,
    }
  end
  shot.data, shot.saved_as = nil, opts.save_as
  return shot
end

local function take(self, name, region, opts)
  opts = options.check("screenshot", SHOT, opts)
  if opts.quality and opts.format ~= "jpeg" then
    errors.misuse(1, "screenshot: quality goes with format = \"jpeg\"")
  end
  local compressed = opts.format or opts.quality or opts.scale
  local query = region or {}
  query.showCursor = opts.cursor
  if compressed then
    name = name .. "_compressed"
    query.format, query.quality, query.scale = opts.format or "png", opts.quality, opts.scale
  end
  local answer, err = call(self.sandbox, name, { query = query, operation = "screenshot", timeout = opts.timeout })
  if not answer then return nil, err end
  return picture_in(self, answer, opts)
end

---A picture of the whole screen: as bytes, or with `save_as` in a local file,
---which appears whole or not at all. With `cursor` the mouse is drawn. `format`,
---`quality` (jpeg, 1 to 100) and `scale` (0.1 to 1) make it smaller.
---@param opts? { cursor?: boolean, format?: "png"|"jpeg", quality?: integer, scale?: number, save_as?: string, timeout?: number }
---@return daytona.Screenshot?
---@return daytona.Error?
function Screenshot:full(opts)
  return take(self, "full", nil, opts)
end

---A picture of a part of the screen; otherwise as `full`.
---@param x integer
---@param y integer
---@param width integer
---@param height integer
---@param opts? { cursor?: boolean, format?: "png"|"jpeg", quality?: integer, scale?: number, save_as?: string, timeout?: number }
---@return daytona.Screenshot?
---@return daytona.Error?
function Screenshot:region(x, y, width, height, opts)
  options.argument("region: x", "integer", x)
  options.argument("region: y", "integer", y)
  options.argument("region: the width", "positive", width)
  options.argument("region: the height", "positive", height)
  return take(self, "region", { x = x, y = y, width = width, height = height }, opts)
end

--- Mouse ---------------------------------------------------------------------------------

---@class daytona.ComputerMouse
---@field sandbox daytona.Sandbox
local Mouse = {}

local BUTTONS = { "left", "right", "middle" }

local function check_point(operation, x, y)
  options.argument(operation .. ": x", "integer", x)
  options.argument(operation .. ": y", "integer", y)
end

---Where the mouse is.
---@return { x: integer, y: integer }?
---@return daytona.Error?
function Mouse:position()
  return translated(call(self.sandbox, "position"))
end

---Moves it. Where it is then: at an edge that may be elsewhere.
---@param x integer
---@param y integer
---@return { x: integer, y: integer }?
---@return daytona.Error?
function Mouse:move(x, y)
  check_point("move", x, y)
  return translated(call(self.sandbox, "move", { json = { x = x, y = y } }))
end

local CLICK = { button = BUTTONS, double = "boolean" }

---Clicks at a place.
---@param x integer
---@param y integer
---@param opts? { button?: "left"|"right"|"middle", double?: boolean }
---@return { x: integer, y: integer }?
---@return daytona.Error?
function Mouse:click(x, y, opts)
  check_point("click", x, y)
  opts = options.check("click", CLICK, opts)
  return translated(call(self.sandbox, "click", {
    json = { x = x, y = y, button = opts.button or "left", double = opts.double or false },
  }))
end

local DRAG = { button = BUTTONS }

---Presses a button at one place and lets go at another; takes about a second.
---@param start_x integer
---@param start_y integer
---@param end_x integer
---@param end_y integer
---@param opts? { button?: "left"|"right"|"middle" }
---@return { x: integer, y: integer }?
---@return daytona.Error?
function Mouse:drag(start_x, start_y, end_x, end_y, opts)
  check_point("drag: the start", start_x, start_y)
  check_point("drag: the end", end_x, end_y)
  opts = options.check("drag", DRAG, opts)
  return translated(call(self.sandbox, "drag", {
    json = { startX = start_x, startY = start_y, endX = end_x, endY = end_y, button = opts.button or "left" },
  }))
end

local SCROLL = { amount = "positive" }

---Turns the wheel at a place.
---@param x integer
---@param y integer
---@param direction "up"|"down"
---@param opts? { amount?: integer }  notches, 1
---@return true?
---@return daytona.Error?
function Mouse:scroll(x, y, direction, opts)
  check_point("scroll", x, y)
  options.argument("scroll: the direction", { "up", "down" }, direction)
  opts = options.check("scroll", SCROLL, opts)
  return done(call(self.sandbox, "scroll", {
    json = { x = x, y = y, direction = direction, amount = opts.amount or 1 },
  }))
end

--- Keyboard ------------------------------------------------------------------------------

---@class daytona.ComputerKeyboard
---@field sandbox daytona.Sandbox
local Keyboard = {}

local TYPE = { delay = "seconds", timeout = "seconds" }

---Types a text; line ends are the Enter key. Other control characters are
---refused with kind "invalid": `press "tab"`. What is typed is kept out of errors.
---@param text string
---@param opts? { delay?: number, timeout?: number }  delay: seconds between keys, 0
---@return true?
---@return daytona.Error?
function Keyboard:type(text, opts)
  options.argument("type: the text", "text", text)
  opts = options.check("type", TYPE, opts)
  return done(call(self.sandbox, "type", {
    json = { text = text, delay = opts.delay and math.floor(opts.delay * 1000 + 0.5) or nil },
    timeout = opts.timeout, secrets = { text },
  }))
end

local PRESS = { modifiers = "list" }

---Presses a key: "a", "enter", "f5", "num_plus", ... with modifiers "ctrl",
---"alt", "shift", "cmd" held.
---@param key string
---@param opts? { modifiers?: string[] }
---@return true?
---@return daytona.Error?
function Keyboard:press(key, opts)
  options.argument("press: the key", "text", key)
  opts = options.check("press", PRESS, opts)
  return done(call(self.sandbox, "press", {
    json = { key = key, modifiers = opts.modifiers and opts.modifiers[1] and opts.modifiers or nil }, what = key,
  }))
end

---Presses a combination: "ctrl+shift+t".
---@param keys string
---@return true?
---@return daytona.Error?
function Keyboard:hotkey(keys)
  options.argument("hotkey: the keys", "text", keys)
  return done(call(self.sandbox, "hotkey", { json = { keys = keys }, what = keys }))
end

--- Display ---------------------------------------------------------------------------------

---@class daytona.ComputerDisplay
---@field sandbox daytona.Sandbox
local Display = {}

---The screens.
---@return { id: integer, x: integer, y: integer, width: integer, height: integer, is_active: boolean }[]?
---@return daytona.Error?
function Display:info()
  local answer, err = call(self.sandbox, "displays")
  if not answer then return nil, err end
  return list_in(answer, "displays")
end

---The windows; old daemons say nothing of where they are.
---@return { id: integer, title: string, x: integer, y: integer, width: integer, height: integer, is_active: boolean }[]?
---@return daytona.Error?
function Display:windows()
  local answer, err = call(self.sandbox, "windows")
  if not answer then return nil, err end
  return list_in(answer, "windows")
end

--- Recordings ------------------------------------------------------------------------------

---@class daytona.Recording
---@field id string
---@field file_name string
---@field file_path string        in the sandbox
---@field status "recording"|"completed"|"failed"
---@field start_time string
---@field end_time? string
---@field duration_seconds? number
---@field size_bytes? integer

---@class daytona.ComputerRecording
---@field sandbox daytona.Sandbox
local Recording = {}

local function recording_id(operation, recording)
  local id = type(recording) == "table" and recording.id or recording
  if type(id) ~= "string" or id == "" then
    errors.misuse(1, "%s: takes a recording or its id, got %s", operation, type(recording))
  end
  return id
end

local RECORD = { label = "text" }

---Begins to record the screen. Fails with kind "unavailable" when ffmpeg is not
---installed, "invalid" for a label that cannot be part of a file's name.
---@param opts? { label?: string }
---@return daytona.Recording?
---@return daytona.Error?
function Recording:start(opts)
  opts = options.check("recording:start", RECORD, opts)
  local answer, err = call(self.sandbox, "record", { json = { label = opts.label } })
  if answer then return names.to_lua(answer) end
  if not err.code and (err.body or ""):find('"ffmpeg_not_found"', 1, true) then -- old daemons
    err.kind, err.code = "unavailable", "RECORDING_FFMPEG_NOT_FOUND"
  end
  return nil, err
end

---Ends a recording.
---@param recording daytona.Recording|string  it, or its id
---@return daytona.Recording?
---@return daytona.Error?
function Recording:stop(recording)
  local id = recording_id("recording:stop", recording)
  return translated(call(self.sandbox, "stop_recording", { json = { id = id }, what = id }))
end

---All recordings, oldest first.
---@return daytona.Recording[]?
---@return daytona.Error?
function Recording:list()
  local answer, err = call(self.sandbox, "recordings")
  if not answer then return nil, err end
  return calls.oldest_first(answer.recordings, names.to_lua, "start_time")
end

---One recording as it is now; kind "not_found" when there is none of that id.
---@param recording daytona.Recording|string  it, or its id
---@return daytona.Recording?
---@return daytona.Error?
function Recording:get(recording)
  local id = recording_id("recording:get", recording)
  return translated(call(self.sandbox, "recording", { what = id }, id))
end

---Deletes one; kind "conflict" (old daemons: "invalid") while it is recorded.
---@param recording daytona.Recording|string
---@return true?
---@return daytona.Error?
function Recording:delete(recording)
  local id = recording_id("recording:delete", recording)
  return done(call(self.sandbox, "delete_recording", { what = id }, id))
end

local DOWNLOAD = { timeout = "seconds", idle_timeout = "seconds", on_progress = "callable" }

local function fetch(self, id, request, opts)
  request.timeout = opts.timeout or DOWNLOAD_TIMEOUT
  request.idle_timeout = opts.idle_timeout or DOWNLOAD_IDLE
  request.on_progress, request.what = opts.on_progress, id
  return call(self.sandbox, "download", request, id)
end

local function fetch_to_path(self, id, path, opts)
  local fine, err = localfile.fill(path, function(file)
    return done(fetch(self, id, { sink_file = file }, opts))
  end)
  if fine then return true end
  if errors.is(err) then return nil, err end
  return nil, errors.new {
    kind = "io", operation = "download", what = path, sandbox = self.sandbox, message = tostring(err),
  }
end

---Fetches a recording (mp4) into a local file, which appears whole or not at
---all, writes it to an open file, or hands its chunks to a function.
---@param recording daytona.Recording|string
---@param target string|file*|fun(chunk: string): any, any
---@param opts? { timeout?: number, idle_timeout?: number, on_progress?: fun(done: integer, total?: integer) }
---@return true?
---@return daytona.Error?
function Recording:download(recording, target, opts)
  local id = recording_id("recording:download", recording)
  opts = options.check("recording:download", DOWNLOAD, opts)
  if io.type(target) == "file" then
    local file = target
    target = function(chunk)
      local fine, why = file:write(chunk)
      if not fine then return false, why end
    end
  end
  if type(target) == "function" then return done(fetch(self, id, { sink = target }, opts)) end
  options.argument("recording:download: the target", "text", target)
  return fetch_to_path(self, id, target, opts)
end

--- Accessibility ---------------------------------------------------------------------------

---@class daytona.AccessibilityNode
---@field id string
---@field role string
---@field name string
---@field description? string
---@field bounds { x: integer, y: integer, width: integer, height: integer }
---@field states string[]
---@field actions? string[]
---@field children daytona.AccessibilityNode[]

---@class daytona.ComputerAccessibility
---@field sandbox daytona.Sandbox
local Accessibility = {}

-- Lists that are null or missing become empty ones, all the way down.
local function tidy(node)
  node.states, node.children = node.states or {}, node.children or {}
  for i = 1, #node.children do tidy(node.children[i]) end
  return node
end

local SCOPES = { "focused", "pid", "all" }

local function check_scope(operation, opts)
  if opts.scope == "pid" and not opts.pid then errors.misuse(1, "%s: scope \"pid\" needs a pid", operation) end
end

local TREE = { scope = SCOPES, pid = "positive", max_depth = options.range(-1, 2 ^ 31 - 1), timeout = "seconds" }

---The tree of what is on the screen: of the focused window, of a process, or
---everything. Fails with kind "unavailable", code "A11Y_UNAVAILABLE", where the
---sandbox has no accessibility bus.
---@param opts? { scope?: "focused"|"pid"|"all", pid?: integer, max_depth?: integer, timeout?: number }  max_depth: 0 the root only, -1 (or none) all
---@return { root: daytona.AccessibilityNode, truncated: boolean }?
---@return daytona.Error?
function Accessibility:tree(opts)
  opts = options.check("tree", TREE, opts)
  check_scope("tree", opts)
  local answer, err = translated(call(self.sandbox, "tree", {
    query = { scope = opts.scope, pid = opts.pid, maxDepth = opts.max_depth }, timeout = opts.timeout,
  }))
  if not answer then return nil, err end
  return { root = type(answer.root) == "table" and tidy(answer.root) or nil, truncated = answer.truncated == true }
end

local FIND = {
  scope = SCOPES, pid = "positive", role = "text", name = "text", name_match = { "exact", "substring", "regex" },
  states = "list", limit = options.range(1, 5000), timeout = "seconds",
}

---The nodes that match all that is given.
---@param opts? { scope?: "focused"|"pid"|"all", pid?: integer, role?: string, name?: string, name_match?: "exact"|"substring"|"regex", states?: string[], limit?: integer, timeout?: number }  limit: 500
---@return { matches: daytona.AccessibilityNode[], truncated: boolean }?
---@return daytona.Error?
function Accessibility:find(opts)
  opts = options.check("find", FIND, opts)
  check_scope("find", opts)
  local answer, err = translated(call(self.sandbox, "find", {
    json = {
      scope = opts.scope, pid = opts.pid, role = opts.role, name = opts.name, nameMatch = opts.name_match,
      states = opts.states and opts.states[1] and opts.states or nil, limit = opts.limit,
    },
    timeout = opts.timeout,
  }))
  if not answer then return nil, err end
  local matches = answer.matches or {}
  for i = 1, #matches do tidy(matches[i]) end
  return { matches = matches, truncated = answer.truncated == true }
end

local function node_id(operation, node)
  local id = type(node) == "table" and node.id or node
  if type(id) ~= "string" or id == "" then
    errors.misuse(1, "%s: takes a node or its id, got %s", operation, type(node))
  end
  return id
end

---Gives a node the focus.
---@param node daytona.AccessibilityNode|string  it, or its id
---@return true?
---@return daytona.Error?
function Accessibility:focus(node)
  local id = node_id("focus", node)
  return done(call(self.sandbox, "focus", { json = { id = id }, what = id }))
end

local INVOKE = { action = "text" }

---Does what a node offers: its first action, or the one named.
---@param node daytona.AccessibilityNode|string
---@param opts? { action?: string }
---@return true?
---@return daytona.Error?
function Accessibility:invoke(node, opts)
  local id = node_id("invoke", node)
  opts = options.check("invoke", INVOKE, opts)
  return done(call(self.sandbox, "invoke", { json = { id = id, action = opts.action }, what = id }))
end

---Sets the value of a node: the text of a field, the place of a slider. It is
---kept out of errors.
---@param node daytona.AccessibilityNode|string
---@param value string
---@return true?
---@return daytona.Error?
function Accessibility:set_value(node, value)
  local id = node_id("set_value", node)
  options.argument("set_value: the value", "string", value)
  return done(call(self.sandbox, "set_value", { json = { id = id, value = value }, what = id, secrets = { value } }))
end

--- The desktop -----------------------------------------------------------------------------

---The desktop of a sandbox. Fails with kind "unavailable" where the programs for
---it are not installed.
---@class daytona.Computer
---@field sandbox daytona.Sandbox
---@field mouse daytona.ComputerMouse
---@field keyboard daytona.ComputerKeyboard
---@field screenshot daytona.ComputerScreenshot
---@field display daytona.ComputerDisplay
---@field recording daytona.ComputerRecording
---@field accessibility daytona.ComputerAccessibility
local Computer = {}
local new_computer = group(Computer, "Computer")

local GROUPS = {
  mouse = group(Mouse, "Mouse"), keyboard = group(Keyboard, "Keyboard"), screenshot = group(Screenshot, "Screenshot"),
  display = group(Display, "Display"), recording = group(Recording, "Recording"),
  accessibility = group(Accessibility, "Accessibility"),
}

---@param sandbox daytona.Sandbox
---@return daytona.Computer
function M.new(sandbox)
  local computer = new_computer(sandbox)
  for name, make in pairs(GROUPS) do computer[name] = make(sandbox) end
  return computer
end

---@class daytona.ComputerProcess
---@field running boolean
---@field priority? integer
---@field auto_restart? boolean
---@field pid? integer

-- By name; old daemons write the fields with capitals.
local function processes_in(answer)
  local list = {}
  for name, status in pairs(type(answer.status) == "table" and answer.status or {}) do
    list[name] = type(status) == "table" and names.to_lua(status) or nil
  end
  return list
end

local TIMEOUT = { timeout = "seconds" }

---Starts the desktop, which takes several seconds. Success when it runs already.
---Its processes by name.
---@param opts? { timeout?: number }  seconds, 120
---@return table<string, daytona.ComputerProcess>?
---@return daytona.Error?
function Computer:start(opts)
  opts = options.check("computer:start", TIMEOUT, opts)
  local answer, err = call(self.sandbox, "start", { timeout = opts.timeout or START_TIMEOUT })
  if not answer then return nil, err end
  return processes_in(answer)
end

---Stops it. Its processes by name.
---@param opts? { timeout?: number }  seconds, 120
---@return table<string, daytona.ComputerProcess>?
---@return daytona.Error?
function Computer:stop(opts)
  opts = options.check("computer:stop", TIMEOUT, opts)
  local answer, err = call(self.sandbox, "stop", { timeout = opts.timeout or START_TIMEOUT })
  if not answer then return nil, err end
  return processes_in(answer)
end

---"active", "partial", "inactive", "error" or "unknown".
---@return string?
---@return daytona.Error?
function Computer:status()
  local answer, err = call(self.sandbox, "status")
  if not answer then return nil, err end
  return answer.status or "unknown"
end

-- The processes of a desktop; atspi is not on all of them.
local PROCESSES = { "xvfb", "xfce4", "x11vnc", "novnc" }

---Which of the desktop's processes run, by name.
---@return table<string, { running: boolean }>?
---@return daytona.Error?
function Computer:processes()
  local list, err = groups.map(PROCESSES, function(name) return self:process(name) end)
  if not list then return nil, err end
  local by_name = {}
  for i, name in ipairs(PROCESSES) do by_name[name] = list[i] end
  return by_name
end

local function on_process(operation, field)
  return function(self, name)
    options.argument(operation .. ": the process", "text", name)
    local answer, err = call(self.sandbox, operation, { what = name }, name)
    if not answer then return nil, err end
    if field then return answer[field] or "" end
    return { running = answer.running == true or answer.Running == true }
  end
end

---Whether one process runs: "xvfb", "xfce4", "x11vnc", "novnc", "atspi".
---@type fun(self: daytona.Computer, name: string): { running: boolean }?, daytona.Error?
Computer.process = on_process "process"

---What a process printed.
---@type fun(self: daytona.Computer, name: string): string?, daytona.Error?
Computer.logs = on_process("logs", "logs")

---What a process printed to its standard error.
---@type fun(self: daytona.Computer, name: string): string?, daytona.Error?
Computer.error_logs = on_process("error_logs", "errors")

---Starts a process again.
---@param name string
---@return true?
---@return daytona.Error?
function Computer:restart(name)
  options.argument("restart: the process", "text", name)
  return done(call(self.sandbox, "restart", { what = name }, name))
end

methods.guard(Computer, "daytona.Computer", "sandbox.computer")
for name, class in pairs {
  mouse = Mouse, keyboard = Keyboard, screenshot = Screenshot, display = Display, recording = Recording,
  accessibility = Accessibility,
} do methods.guard(class, class.__name, "sandbox.computer." .. name) end

return M
