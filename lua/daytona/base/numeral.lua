-- Numerals at the beginning of a text, as `file:read "n"` takes them.

local numeral = {}

---So many characters are enough to see where one ends; longer ones are none.
numeral.LONGEST = 200

local HEXADECIMAL, DECIMAL = "^[+-]?0[xX]%x*%.?%x*[pP]?[+-]?%d*", "^[+-]?%d*%.?%d*[eE]?[+-]?%d*"

---The longest beginning of the text that may be one; "" where none begins.
---@param text string
---@return string
function numeral.beginning(text)
  if not text:find("^[+-]?%.?%d") then return text:match("^[+-]?%.?") end
  return text:match(HEXADECIMAL) or text:match(DECIMAL)
end

return numeral
