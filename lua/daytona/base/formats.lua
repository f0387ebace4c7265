-- The formats of `file:read`, for what is read like a file.

local formats = {}

---The letter of a format, with or without Lua 5.1's asterisk; nil when it is none.
---@param format any
---@return ("l"|"L"|"n"|"a")?
function formats.letter(format)
  return type(format) == "string" and format:match("^%*?([lLna])") or nil
end

---One value for each of n formats, up to the first that cannot be had; what
---`read_one` said of that one comes last.
---@param read_one fun(self: any, format: any): any, any
---@param self any
---@param n integer  at least 1
---@param ... any
---@return any ...
function formats.read(read_one, self, n, format, ...)
  local value, err = read_one(self, format)
  if n == 1 or value == nil then return value, err end
  return value, formats.read(read_one, self, n - 1, ...)
end

return formats
