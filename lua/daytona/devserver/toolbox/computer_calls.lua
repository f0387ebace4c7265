--- The computer use calls: /computeruse/... but for recordings.

local cqueues = require "cqueues"
local base64 = require "daytona.devserver.base64"
local display = require "daytona.devserver.toolbox.display"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local httpd = require "daytona.devserver.http"
local json = require "daytona.devserver.http.json"
local keys = require "daytona.devserver.toolbox.computer_keys"
local text = require "daytona.devserver.toolbox.text"

local calls = {}

local function check_installed(req)
  local missing = table.concat(display.missing(), ", ")
  if missing == "" then return end
  local message = "Computer-use functionality is not available"
  local details = "missing programs: " .. missing
  if req.app.legacy then
    httpd.fail(503, nil, message, { body = { message = message, details = details,
      solution = "install them in the sandbox" } })
  end
  failures.raise(503, message .. ": " .. details)
end

-- A handler that needs the programs to be there, and mostly the display to run.
local function on_display(handler)
  return function(req)
    check_installed(req)
    if not display.running "xvfb" then
      failures.raise(400, "the display is not started")
    end
    return handler(req)
  end
end

local function must(argv, input)
  local out, err = display.run(argv, input)
  if not out then failures.raise(500, err) end
  return out
end

-- Processes ----------------------------------------------------------------

local function process_status(req)
  local status = {}
  for _, each in ipairs(display.processes()) do
    if req.app.legacy then
      status[each.name] = { Running = each.running, Priority = each.priority, AutoRestart = false,
                            Pid = each.pid }
    else
      status[each.name] = { running = each.running, priority = each.priority, autoRestart = false,
                            pid = each.pid }
    end
  end
  return status
end

--- POST /computeruse/start
function calls.start(req)
  check_installed(req)
  local ok, err = display.start()
  if not ok then failures.raise(503, "failed to start computer use: " .. err) end
  return 200, { message = "Computer use processes started successfully", status = process_status(req) }
end

--- POST /computeruse/stop
function calls.stop(req)
  check_installed(req)
  display.stop()
  return 200, { message = "Computer use processes stopped successfully", status = process_status(req) }
end

--- GET /computeruse/status and /computeruse/process-status
function calls.status(req)
  check_installed(req)
  return 200, { status = display.status() }
end

local function known_process(req, status)
  check_installed(req)
  local name = req.params.name
  if not display.known(name) then failures.raise(status, "process not found: " .. name) end
  return name
end

--- GET /computeruse/process/{name}/status
function calls.process(req)
  local name = known_process(req, req.app.legacy and 503 or 404)
  return 200, { processName = name, running = display.running(name) }
end

--- POST /computeruse/process/{name}/restart
function calls.restart(req)
  local name = known_process(req, req.app.legacy and 400 or 404)
  local ok, err = display.restart(name)
  if not ok then failures.raise(500, err) end
  return 200, { message = "Process " .. name .. " restarted successfully", processName = name }
end

local function log_call(kind, field)
  return function(req)
    local name = known_process(req, req.app.legacy and 400 or 404)
    local file = io.open(display.log_path(name, kind), "rb")
    if not file then failures.raise(req.app.legacy and 400 or 404, "no log of process " .. name) end
    local data = file:read "*a"
    file:close()
    return 200, { processName = name, [field] = text.utf8(data) }
  end
end

calls.logs, calls.errors = log_call("log", "logs"), log_call("err", "errors")

-- The screen ---------------------------------------------------------------

local function pointer()
  local out = must { "xdotool", "getmouselocation", "--shell" }
  return { x = tonumber(out:match "X=(%-?%d+)"), y = tonumber(out:match "Y=(%-?%d+)") }
end

local function screen_size()
  local width, height = must({ "xdotool", "getdisplaygeometry" }):match "(%d+) (%d+)"
  return tonumber(width), tonumber(height)
end

local function region_of(req)
  local region = {}
  for _, name in ipairs { "x", "y", "width", "height" } do
    local value = tonumber((req.query[name] or ""):match "^%-?%d+$")
    if not value or name:find "h" and value <= 0 then
      failures.raise(400, "invalid or missing parameter: " .. name)
    end
    region[name] = value
  end
  return region
end

local function wants_cursor(req)
  return req.query.showCursor == "true" or req.query.show_cursor == "true"
end

-- Takes a picture. `o`: region, cursor (a point to mark), scale, format, quality.
local function capture(o)
  local argv = { "convert", "x:root" }
  local function add(...)
    for _, word in ipairs { ... } do argv[#argv + 1] = word end
  end
  if o.cursor then
    local x, y = o.cursor.x, o.cursor.y
    add("-fill", "none", "-stroke", "red", "-strokewidth", "2", "-draw",
      ("line %d,%d %d,%d"):format(x - 10, y, x + 10, y), "-draw",
      ("line %d,%d %d,%d"):format(x, y - 10, x, y + 10))
  end
  local r = o.region
  if r then add("-crop", ("%dx%d%+d%+d"):format(r.width, r.height, r.x, r.y), "+repage") end
  if o.scale then add("-resize", ("%g%%"):format(o.scale * 100)) end
  if o.format == "jpeg" then
    add("-quality", tostring(o.quality or 85), "jpeg:-")
  else
    add "png:-"
  end
  return must(argv)
end

local function shot(with_region, compressed)
  return on_display(function(req)
    local o = { region = with_region and region_of(req) or nil }
    o.cursor = wants_cursor(req) and pointer() or nil
    local format = req.query.format or "png"
    if compressed and (format == "png" or format == "jpeg") then
      local scale, quality = tonumber(req.query.scale), tonumber(req.query.quality)
      o.format = format
      o.scale = scale and scale >= 0.1 and scale < 1 and scale or nil
      o.quality = quality and quality >= 1 and quality <= 100 and math.floor(quality) or nil
    end
    local picture = capture(o)
    local answer = { screenshot = base64.encode(picture) }
    if compressed then
      answer.sizeBytes = #picture
      local scale = o.scale or 1
      answer.cursorPosition = o.cursor and { x = math.floor(o.cursor.x * scale),
                                             y = math.floor(o.cursor.y * scale) }
    else
      local origin = o.region or { x = 0, y = 0 }
      answer.cursorPosition = o.cursor or { x = origin.x, y = origin.y }
    end
    return 200, answer
  end)
end

calls.screenshot, calls.region = shot(false, false), shot(true, false)
calls.compressed, calls.compressed_region = shot(false, true), shot(true, true)

--- GET /computeruse/display/info
calls.display_info = on_display(function()
  local width, height = screen_size()
  return 200, { displays = { { id = 0, x = 0, y = 0, width = width, height = height, isActive = true } } }
end)

local function number_in(out, name)
  return tonumber(out:match(name .. "=(%-?%d+)")) or 0
end

--- GET /computeruse/display/windows
calls.windows = on_display(function()
  local focus = tonumber((display.run { "xdotool", "getwindowfocus" } or ""):match "%d+")
  local list = json.array {}
  for id in (display.run { "xdotool", "search", "--onlyvisible", "--name", "." } or ""):gmatch "%d+" do
    local out = display.run { "xdotool", "getwindowgeometry", "--shell", id, "getwindowname", id }
    local title = out and out:match "SCREEN=%d+\n(.-)\n?$"
    if title and title ~= "" then
      list[#list + 1] = {
        id = tonumber(id), title = text.utf8(title), x = number_in(out, "X"), y = number_in(out, "Y"),
        width = number_in(out, "WIDTH"), height = number_in(out, "HEIGHT"),
        isActive = tonumber(id) == focus,
      }
    end
  end
  return 200, { windows = list }
end)

-- Mouse --------------------------------------------------------------------

local BUTTON = { left = "1", middle = "2", right = "3" }

local function button_of(given)
  local name = given and given ~= "" and given:lower() or "left"
  local button = BUTTON[name]
  if not button then failures.raise(400, "invalid button: " .. given) end
  return button
end

local function point(x, y)
  return ("%d"):format(x), ("%d"):format(y)
end

--- GET /computeruse/mouse/position
calls.position = on_display(function() return 200, pointer() end)

--- POST /computeruse/mouse/move
calls.move = on_display(function(req)
  local f = fields.read(req, { x = "integer!", y = "integer!" })
  must { "xdotool", "mousemove", point(f.x, f.y) }
  return 200, pointer()
end)

local function add(argv, ...)
  for _, word in ipairs { ... } do argv[#argv + 1] = word end
end

-- The words that hold modifiers down around others.
local function holding(modifiers, fn)
  local list, err = keys.modifiers(modifiers or {})
  if not list then failures.raise(400, err) end
  local argv = { "xdotool" }
  for _, name in ipairs(list) do add(argv, "keydown", name) end
  fn(argv)
  for i = #list, 1, -1 do add(argv, "keyup", list[i]) end
  return argv
end

local function clicks_of(f)
  if f.clicks == nil then return f.double and 2 or 1 end
  if f.clicks < 1 or f.clicks > 10 then failures.raise(400, "clicks must be from 1 to 10") end
  return f.clicks
end

--- POST /computeruse/mouse/click
calls.click = on_display(function(req)
  local f = fields.read(req, { x = "integer!", y = "integer!", button = "string", double = "boolean",
                               clicks = "integer", modifiers = "strings" })
  local button, clicks = button_of(f.button), clicks_of(f)
  local argv = holding(f.modifiers, function(argv)
    add(argv, "click", "--repeat", ("%d"):format(clicks), "--delay", "40", button)
  end)
  must { "xdotool", "mousemove", point(f.x, f.y) }
  cqueues.sleep(0.1)            -- so that what is under it can react
  must(argv)
  return 200, pointer()
end)

local function hold_button(word)
  return on_display(function(req)
    local f = fields.read(req, { x = "integer", y = "integer", button = "string" })
    if (f.x == nil) ~= (f.y == nil) then failures.raise(400, "x and y go together") end
    local argv = { "xdotool" }
    if f.x then add(argv, "mousemove", point(f.x, f.y)) end
    add(argv, word, button_of(f.button))
    must(argv)
    return 200, pointer()
  end)
end

--- POST /computeruse/mouse/down and /up
calls.mouse_down, calls.mouse_up = hold_button "mousedown", hold_button "mouseup"

local DRAG_STEPS = 20

--- POST /computeruse/mouse/drag
calls.drag = on_display(function(req)
  local f = fields.read(req, { startX = "integer!", startY = "integer!", endX = "integer!",
                               endY = "integer!", button = "string", modifiers = "strings" })
  local button = button_of(f.button)
  must(holding(f.modifiers, function(argv)
    add(argv, "mousemove", point(f.startX, f.startY))
    add(argv, "mousedown", button)
    for i = 1, DRAG_STEPS do
      local x, y = point(f.startX + (f.endX - f.startX) * i / DRAG_STEPS,
        f.startY + (f.endY - f.startY) * i / DRAG_STEPS)
      add(argv, "mousemove", x, y, "sleep", "0.01")
    end
    add(argv, "mouseup", button)
  end))
  return 200, pointer()
end)

--- POST /computeruse/mouse/scroll
calls.scroll = on_display(function(req)
  local f = fields.read(req, { x = "integer!", y = "integer!", direction = "string!", amount = "integer",
                               modifiers = "strings" })
  local button = ({ up = "4", down = "5", left = "6", right = "7" })[f.direction]
  if not button then failures.raise(400, "direction must be up, down, left or right") end
  local amount = f.amount or 0
  if amount < 0 then failures.raise(400, "amount must not be negative") end
  local x, y = point(f.x, f.y)
  must(holding(f.modifiers, function(argv)
    add(argv, "mousemove", x, y, "click", "--repeat", tostring(math.max(amount, 1)), "--delay", "10", button)
  end))
  return 200, { success = true }
end)

-- Keyboard -----------------------------------------------------------------

local EMPTY = {}                -- written as {}

--- POST /computeruse/keyboard/type
calls.type = on_display(function(req)
  local f = fields.read(req, { text = "string!", delay = "uint32" })
  local typed = f.text:gsub("\r\n", "\n"):gsub("\r", "\n")
  if typed:find "[%z\1-\9\11-\31\127]" or typed:find("\226\128\168", 1, true)
    or typed:find("\226\128\169", 1, true) then
    failures.raise(400, "text contains a control character; use the key call for tab and the like")
  end
  must({ "xdotool", "type", "--delay", tostring(f.delay or 0), "--file", "-" }, typed)
  return 200, EMPTY
end)

local function press(chord, err)
  if not chord then failures.raise(400, err) end
  must { "xdotool", "key", chord }
  return 200, EMPTY
end

--- POST /computeruse/keyboard/key
calls.key = on_display(function(req)
  local f = fields.read(req, { key = "string!", modifiers = "strings" })
  return press(keys.chord(f.key, f.modifiers or {}))
end)

--- POST /computeruse/keyboard/hotkey
calls.hotkey = on_display(function(req)
  return press(keys.parse_chord(fields.read(req, { keys = "string!" }).keys))
end)

local function hold_key(word)
  return on_display(function(req)
    local keysym, err = keys.holdable(fields.read(req, { key = "string!" }).key)
    if not keysym then failures.raise(400, err) end
    must { "xdotool", word, keysym }
    return 200, EMPTY
  end)
end

--- POST /computeruse/keyboard/down and /up
calls.key_down, calls.key_up = hold_key "keydown", hold_key "keyup"

-- Accessibility ------------------------------------------------------------

--- Every /computeruse/a11y call: the local server offers no accessibility bus.
function calls.accessibility()
  failures.code(503, "A11Y_UNAVAILABLE", "there is no accessibility bus in this sandbox")
end

return calls
