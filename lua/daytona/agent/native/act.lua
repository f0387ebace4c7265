-- Acting on a desktop by places in the pictures that a model was given.

local desktop = require "daytona.agent.desktop"
local keys = require "daytona.agent.keys"

local act = {}

---Does fn(mouse, x, y) at a place of a picture.
---@param sandbox daytona.Sandbox
---@param x any
---@param y any
---@param fn function
---@return any
---@return any why
function act.at(sandbox, x, y, fn)
  if type(x) ~= "number" or type(y) ~= "number" then return nil, "x and y, or a coordinate, are required" end
  local on_x, on_y = desktop.place(sandbox, x, y)
  if not on_x then return nil, on_y end
  return fn(sandbox.computer.mouse, on_x, on_y)
end

---Clicks at a place of a picture.
function act.click(sandbox, x, y, opts)
  return act.at(sandbox, x, y, function(mouse, on_x, on_y) return mouse:click(on_x, on_y, opts) end)
end

---Drags from one place of a picture to another, each { x, y }.
function act.drag(sandbox, from, to)
  return act.at(sandbox, from[1], from[2], function(mouse, from_x, from_y)
    return act.at(sandbox, to[1], to[2], function(_, to_x, to_y) return mouse:drag(from_x, from_y, to_x, to_y) end)
  end)
end

---Presses a key or a combination, as models name them.
function act.press(sandbox, text)
  local chord, why = keys.chord(text)
  if not chord then return nil, why end
  if chord:find "+" and #chord > 1 then return sandbox.computer.keyboard:hotkey(chord) end
  return sandbox.computer.keyboard:press(chord)
end

---Turns the wheel at a place of a picture, by so many notches.
function act.scroll(sandbox, x, y, direction, amount, modifiers)
  if amount == 0 then return true end
  return act.at(sandbox, x, y, function(mouse, on_x, on_y)
    local notches = math.max(math.floor(amount + 0.5), 1)
    return mouse:scroll(on_x, on_y, direction, { amount = notches, modifiers = modifiers })
  end)
end

---What a tool gives after it has acted: a picture; or why it has not.
function act.with_picture(sandbox, fine, err, text)
  if not fine then return nil, err end
  local picture, why = desktop.picture(sandbox)
  if not picture then return nil, why end
  return { done = true }, { text = text or "", images = { picture } }
end

return act
