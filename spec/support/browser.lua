-- A browser for specs: runs headless Chromium, opens a page and goes through steps. Run by
-- LuaJIT with the name of a file of JSON:
--
--   { program, url, dir, steps = [ { js } | { key } | { look: { width, height, dark } } | { screenshot: path } ] }
--
-- `js` is evaluated until it is true (10 seconds at most), and its value printed as a line of
-- JSON. `key` is pressed: a character, or a name as "Enter". `dir` is for the browser's own files.

local cqueues = require "cqueues"
local json = require "cjson"
local websocket = require "http.websocket"
local unbase64 = require("daytona.devserver.base64").decode

local file = assert(io.open(arg[1], "rb"))
local plan = json.decode(file:read "*a")
file:close()

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local pipe = assert(io.popen(("exec %s --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-dev-shm-usage "
  .. "--window-size=1000,900 --remote-debugging-port=0 --user-data-dir=%s about:blank 2>&1")
  :format(quote(plan.program), quote(plan.dir))))
local address
for line in pipe:lines() do
  address = line:match "^DevTools listening on (ws://%S+)"
  if address then break end
end
assert(address, "the browser did not start")

local ws = websocket.new_from_uri(address)
assert(ws:connect(10))
local number = 0

local function ask(method, params, session)
  number = number + 1
  assert(ws:send(json.encode { id = number, method = method, params = params, sessionId = session }))
  while true do
    local text = assert(ws:receive(20), method .. ": no answer")
    local message = json.decode(text)
    if message.id == number then return assert(message.result, text) end
  end
end

local target = ask("Target.createTarget", { url = plan.url }).targetId
local session = ask("Target.attachToTarget", { targetId = target, flatten = true }).sessionId

local function evaluate(js)
  local deadline = cqueues.monotime() + 10
  while true do
    local answer = ask("Runtime.evaluate", { expression = js, returnByValue = true, awaitPromise = true }, session)
    local value = answer.result.value
    if value and value ~= json.null and not answer.exceptionDetails then return value end
    if cqueues.monotime() > deadline then return "NEVER: " .. js .. " " .. json.encode(answer) end
    cqueues.sleep(0.05)
  end
end

local CODES = { Enter = 13, Escape = 27, ArrowDown = 40, ArrowUp = 38 }

local function press(key)
  local event = { type = "keyDown", key = key, windowsVirtualKeyCode = CODES[key] }
  event.text = not CODES[key] and key or key == "Enter" and "\r" or nil
  ask("Input.dispatchKeyEvent", event, session)
  event.type, event.text = "keyUp", nil
  ask("Input.dispatchKeyEvent", event, session)
end

local function look(how)
  ask("Emulation.setDeviceMetricsOverride",
    { width = how.width, height = how.height, deviceScaleFactor = 1, mobile = how.width < 600 }, session)
  ask("Emulation.setEmulatedMedia",
    { features = { { name = "prefers-color-scheme", value = how.dark and "dark" or "light" } } }, session)
end

local function keep_picture(path)
  local picture = unbase64(ask("Page.captureScreenshot", { format = "png" }, session).data)
  local out = assert(io.open(path, "wb"))
  out:write(picture)
  out:close()
end

for _, step in ipairs(plan.steps) do
  if step.screenshot then
    keep_picture(step.screenshot)
  elseif step.key then
    press(step.key)
  elseif step.look then
    look(step.look)
  else
    io.stdout:write(json.encode { evaluate(step.js) }, "\n")
  end
end

pcall(ask, "Browser.close")
pipe:close()
