-- A smooth animation, and a console that runs shell commands in a sandbox while
-- it goes on. Enter runs the line, F2 uploads 32 MB with a progress bar, Escape
-- cancels what runs.
--
--   love examples/love                 in the checkout, after make LUA=luajit
--   love examples/love --demo shot.png plays by itself, keeps a picture, and ends

local root = love.filesystem.getSource() .. "/../.."
package.path = root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua;" .. package.path

local daytona = require "daytona"
local utf8 = require "utf8"
local wrapped = require "wrapped"

-- Seconds of each frame that the sandbox may take.
local BUDGET = 0.002

local UPLOAD_SIZE = 32 * 1024 * 1024
local KEPT_LINES = 18
local TEXT_WIDTH = 600 -- the animation is to the right of it

local KEYS = "Enter runs the line    F2 uploads 32 MB    Escape cancels what runs"

local lines, input = {}, ""
local client, sandbox, running
local progress          -- of the last upload, 0 to 1
local time, worst = 0, 0

local function say(text)
  wrapped(lines, text, TEXT_WIDTH)
  while #lines > KEPT_LINES do table.remove(lines, 1) end
end

--- What runs in tasks ------------------------------------------------------------------

-- Starts fn as a task, one at a time.
local function start(fn, ...)
  if running then return say "(something runs already; Escape cancels it)" end
  running = daytona.callback(fn)(..., function(_, err)
    running = nil
    if err then say(daytona.is_error(err, "canceled") and "(cancelled)" or "(" .. tostring(err) .. ")") end
  end)
  if running:done() then running = nil end
end

local function create()
  say "making a sandbox ..."
  local err
  sandbox, err = client:create { ephemeral = true }
  if not sandbox then return nil, err end
  say "ready: type a command"
  return true
end

-- Lines appear as they are printed; the end of the scope ends the command, should
-- it be cancelled.
local function execute(command)
  return daytona.using(daytona.assert(sandbox:popen(command, { stderr = "stdout" })), function(job)
    for line in job:lines() do say(line) end
    local result, err = job:wait()
    if not result then return nil, err end
    if result.exit_code ~= 0 then say("(exit " .. result.exit_code .. ")") end
    return true
  end)
end

-- A megabyte at a time: nothing is ever whole in memory.
local function upload()
  local chunk, sent = ("\0"):rep(1024 * 1024), 0
  local function source()
    if sent == UPLOAD_SIZE then return nil end
    sent = sent + #chunk
    return chunk
  end
  local info, err = sandbox.fs:upload(source, "upload.bin", {
    length = UPLOAD_SIZE,
    on_progress = function(done) progress = math.min(done / UPLOAD_SIZE, 1) end,
  })
  if not info then return nil, err end
  say(("uploaded %d bytes"):format(info.size))
  return true
end

local function submit(line)
  say("$ " .. line)
  start(execute, line)
end

--- The demonstration -------------------------------------------------------------------

local demo -- the steps to come, or nil

local function screenshot(path)
  love.graphics.captureScreenshot(function(image)
    local file = assert(io.open(path, "wb"))
    file:write(image:encode("png"):getString())
    file:close()
    love.event.quit()
  end)
end

local function plan_demo(path)
  demo = {
    function() submit "uname -sr && nproc" end,
    function() submit "printf 'no UTF-8: \\351\\377\\n'" end,
    function()
      input = "é"
      love.keypressed "backspace"
      assert(input == "")
    end,
    function() submit "for i in 1 2 3; do echo line $i; sleep 0.2; done" end,
    function() submit "sleep 100" end,
    function() running:cancel() end,
    function() start(upload) end,
    function()
      print(("longest update: %.2f ms"):format(worst * 1e3))
      input = "echo this is typed while the rest goes on"
      screenshot(path)
    end,
  }
end

local function next_step()
  -- The cancel comes while its victim runs; everything else when nothing does.
  if not demo or (running and #demo ~= 3) then return end
  local step = table.remove(demo, 1)
  if step then step() end
  if #demo == 0 then demo = nil end
end

--- LÖVE's part ---------------------------------------------------------------------------

function love.load(arguments)
  love.keyboard.setKeyRepeat(true)
  love.graphics.setFont(love.graphics.newFont(14))
  client = daytona.assert(require("daytona.devserver").client())
  if arguments[1] == "--demo" then plan_demo(arguments[2]) end
  start(create)
end

function love.update(dt)
  time = time + dt
  local before = love.timer.getTime()
  daytona.update(BUDGET)
  worst = math.max(worst, love.timer.getTime() - before)
  if sandbox then next_step() end
end

function love.textinput(text)
  input = input .. text
end

function love.keypressed(key)
  if key == "backspace" then
    input = input:sub(1, (utf8.offset(input, -1) or 1) - 1)
  elseif (key == "return" or key == "kpenter") and input ~= "" and sandbox then
    submit(input)
    input = ""
  elseif key == "f2" and sandbox then
    start(upload)
  elseif key == "escape" and running then
    running:cancel()
  end
end

-- The sandbox is ephemeral; to delete it at once is a courtesy, and bounded.
function love.quit()
  if running then running:cancel() end
  if sandbox then daytona.spawn(sandbox.delete, sandbox):wait(2) end
end

--- Drawing -------------------------------------------------------------------------------

local function draw_animation()
  for i = 1, 12 do
    local angle = time * 2 + i * math.pi / 6
    love.graphics.setColor(0.3 + i * 0.05, 0.5, 1 - i * 0.05)
    love.graphics.circle("fill", 700 + 60 * math.cos(angle), 90 + 60 * math.sin(angle), 4 + i)
  end
end

local function draw_progress()
  if not progress then return end
  love.graphics.setColor(0.2, 0.2, 0.25)
  love.graphics.rectangle("fill", 20, 440, 760, 20, 4)
  love.graphics.setColor(0.3, 0.8, 0.5)
  love.graphics.rectangle("fill", 20, 440, 760 * progress, 20, 4)
end

-- The end of what is typed, where it is long.
local function prompt()
  local font, text = love.graphics.getFont(), input
  while font:getWidth(text) > 740 do text = text:sub(utf8.offset(text, 2)) end
  return "$ " .. text .. (time % 1 < 0.5 and "_" or "")
end

function love.draw()
  love.graphics.clear(0.08, 0.09, 0.12)
  draw_animation()
  love.graphics.setColor(0.85, 0.9, 0.85)
  for i, line in ipairs(lines) do love.graphics.print(line, 20, 10 + i * 20) end
  love.graphics.setColor(1, 1, 1)
  love.graphics.print(prompt(), 20, 410)
  love.graphics.setColor(0.5, 0.5, 0.5)
  love.graphics.print(("%d fps\nlongest update\n%.2f ms"):format(love.timer.getFPS(), worst * 1e3), 630, 180)
  love.graphics.print(KEYS, 20, 466)
  draw_progress()
end
