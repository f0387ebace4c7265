-- Texts in quotes in which a backslash takes the meaning from the next character:
-- JSON, env files.

local quoted = {}

---Where the quote that ends a quoted text stands; nil when nothing ends it.
---@param text string
---@param from integer  the first character behind the quote that opens it
---@param quote string
---@return integer?
function quoted.stop(text, from, quote)
  local at = from
  while true do
    local stop = text:find("[\\" .. quote .. "]", at)
    if not stop or text:sub(stop, stop) == quote then return stop end
    at = stop + 2
  end
end

return quoted
