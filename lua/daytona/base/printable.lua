-- Text that can be shown anywhere, a terminal included, whatever bytes somebody put into it.

local printable = {}

-- A run of bytes that begins as a character of UTF-8 may: "?" where it is none, or a
-- control character.
local function whole(run)
  local lead = run:byte()
  local length = lead < 0xC2 and 0 or lead < 0xE0 and 2 or lead < 0xF0 and 3 or lead < 0xF5 and 4 or 0
  if #run ~= length or run:find("^\194[\128-\159]") then return "?" end
end

---A text with "?" for what is not UTF-8, and for control characters other than those of
---`but`, a set for a pattern.
---@param text string
---@param but? string
---@return string
function printable.text(text, but)
  if not text:find("[%c\128-\255]") then return text end
  text = text:gsub("[\128-\255][\128-\191]*", whole)
  return (text:gsub("%c", function(c)
    if not (but and c:find(but)) then return "?" end
  end))
end

---The same without line breaks, control characters and runs of blanks.
---@param text string
---@return string
function printable.line(text)
  return printable.text((text:gsub("[%c%s]+", " "):gsub("^ ", ""):gsub(" $", "")))
end

return printable
