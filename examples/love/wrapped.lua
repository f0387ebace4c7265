-- What programs print as lines that LÖVE can draw: of UTF-8, which it insists on, and no wider
-- than there is room.

local utf8 = require "utf8"

local LONGEST = 2000 -- bytes of a line that are shown

local function drawable(line)
  line = line:sub(1, LONGEST):gsub("%c", " ")
  local whole, at = utf8.len(line)
  while not whole do
    line = line:sub(1, at - 1) .. "?" .. line:sub(at + 1)
    whole, at = utf8.len(line, at)
  end
  return line
end

---Adds the lines of a text to a list.
---@param list string[]
---@param text string
---@param width number  in pixels, with the font in use
return function(list, text, width)
  local font = love.graphics.getFont()
  for line in (text:gsub("\n$", "") .. "\n"):gmatch "(.-)\n" do
    local _, parts = font:getWrap(drawable(line), width)
    for _, part in ipairs(parts[1] and parts or { "" }) do list[#list + 1] = part end
  end
end
