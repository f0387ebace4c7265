-- Numerals at the beginning of a text, as `file:read "n"` takes them.

local numeral = {}

---So many characters are enough to see where one ends; longer ones are none.
numeral.LONGEST = 200

---The longest beginning of the text that may be one; "" where none begins.
---@param text string
---@return string
function numeral.beginning(text)
  if not text:find("^[+-]?%.?%d") then return text:match("^[+-]?%.?") end
  local hexadecimal = text:match("^[+-]?0[xX]%x*%.?%x*")
  local digits = hexadecimal or text:match("^[+-]?%d*%.?%d*")
  -- A sign further on is the exponent's, or it begins what follows.
  local exponent = hexadecimal and "^[pP][+-]?%d*" or "^[eE][+-]?%d*"
  if hexadecimal and not digits:find("[xX].*%x") then return digits end
  return digits .. (text:match(exponent, #digits + 1) or "")
end

return numeral
