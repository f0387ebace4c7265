-- A console for an agent, beside an animation that never stops: Enter gives it what is typed,
-- and before each call of a tool it asks: y allows it, a always, n does not. Escape cancels.
--
--   love examples/love_agent           from the checkout, after make LUA=luajit
--   love examples/love_agent --demo    asks for something by itself, allows all, prints, and ends

local root = love.filesystem.getSource() .. "/../.."
package.path = root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua;" .. root .. "/examples/love/?.lua;" .. package.path

local daytona = require "daytona"
local wrapped = require "wrapped"

-- Seconds of each frame that the agent may take.
local BUDGET = 0.002

local KEPT_LINES = 22
local TEXT_WIDTH = 660 -- the animation is to the right of it

local KEYS = "Enter gives the agent what is typed    Escape cancels"

local lines, input = { "" }, ""
local agent, running
local question         -- what is asked now: { text, answer }
local demo, time = false, 0

-- Adds a text to the end; the last line goes on.
local function say(text)
  for piece, stop in text:gmatch "([^\n]*)(\n?)" do
    lines[#lines] = lines[#lines] .. piece
    if stop ~= "" then lines[#lines + 1] = "" end
  end
  while #lines > KEPT_LINES do table.remove(lines, 1) end
  if demo then io.write(text) end
end

--- The agent -----------------------------------------------------------------------------

-- In the task of the call: waits for a key.
local function ask(call)
  local mine = { text = "allow " .. call.name .. "?    y yes    a always    n no" }
  while question do daytona.sleep(0.02) end -- one at a time
  question = mine
  while mine.answer == nil do
    local slept = daytona.sleep(0.02)
    if not slept then break end
  end
  question = nil
  return mine.answer or "reject_once"
end

local SHOW = {
  text = function(event) say(event.text) end,
  call = function(event) say(("\n> %s %s\n"):format(event.name, event.arguments)) end,
  result = function(event) say(event.result.text:gsub("\n*$", "") .. "\n") end,
  done = function(event) say(("\n[%s, %d steps]\n"):format(event.reason, event.steps)) end,
}

local function work(prompt)
  for event in agent:stream(prompt) do
    if SHOW[event.type] then SHOW[event.type](event) end
  end
  return true
end

local function submit(prompt)
  say("\n$ " .. prompt .. "\n")
  running = daytona.callback(work)(prompt, function(_, err)
    running = nil
    if err then say(daytona.is_error(err, "canceled") and "(cancelled)\n" or "(" .. tostring(err) .. ")\n") end
    if demo then love.event.quit() end
  end)
end

--- LÖVE's part ---------------------------------------------------------------------------

function love.load(arguments)
  love.keyboard.setKeyRepeat(true)
  love.graphics.setFont(love.graphics.newFont(13))
  demo = arguments[1] == "--demo"
  local client = daytona.assert(require("daytona.devserver").client())
  agent = daytona.assert(daytona.agent { tools = "coding", client = client, ask = ask })
  say "What is to be done?\n"
  if demo then submit "print the primes below 30 by a program of your own" end
end

function love.update(dt)
  time = time + dt
  daytona.update(BUDGET)
  if demo and question then question.answer = "allow_once" end
end

function love.textinput(text)
  if not question then input = input .. text end
end

local ANSWERS = { y = "allow_once", a = "allow_always", n = "reject_once" }

function love.keypressed(key)
  if question and ANSWERS[key] then
    question.answer = ANSWERS[key]
  elseif key == "escape" and running then
    running:cancel()
  elseif key == "backspace" then
    input = input:sub(1, (require("utf8").offset(input, -1) or 1) - 1)
  elseif (key == "return" or key == "kpenter") and input ~= "" and not running then
    submit(input)
    input = ""
  end
end

-- The sandbox is gone by itself when it stops; to delete it at once is a courtesy, and bounded.
function love.quit()
  if running then running:cancel() end
  daytona.spawn(agent.close, agent):wait(5)
end

function love.draw()
  for i = 1, 12 do
    local angle = time * 2 + i * math.pi / 6
    love.graphics.setColor(0.3 + i * 0.05, 0.5, 1 - i * 0.05)
    love.graphics.circle("fill", 740 + 30 * math.cos(angle), 50 + 30 * math.sin(angle), 2 + i / 2)
  end
  love.graphics.setColor(0.9, 0.9, 0.9)
  local shown = {}
  for _, line in ipairs(lines) do wrapped(shown, line, TEXT_WIDTH) end
  local first = math.max(#shown - KEPT_LINES, 0)
  for i = 1, #shown - first do love.graphics.print(shown[first + i], 20, i * 19) end
  love.graphics.setColor(1, 0.8, 0.4)
  love.graphics.print(question and question.text or (running and "..." or "$ " .. input), 20, 450)
  love.graphics.setColor(0.5, 0.5, 0.5)
  love.graphics.print(KEYS, 20, 474)
end
