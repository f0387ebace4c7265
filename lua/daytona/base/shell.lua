-- Text for POSIX shells: quoting, and argument lists turned into commands.

local shell = {}

---Quotes a text so that a shell reads it as one word, byte for byte.
---@param text string  without NUL
---@return string
function shell.quote(text)
  if text ~= "" and not text:find("[^%w%%+,./:=@_-]") then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

---The command that runs a program with exactly these arguments.
---@param argv string[]
---@return string
function shell.join(argv)
  local words = {}
  for i = 1, #argv do words[i] = shell.quote(argv[i]) end
  -- Unquoted, a=b would be an assignment, ~ a home, and "if" the beginning of a
  -- condition: a program's name is always quoted.
  if words[1] == argv[1] then words[1] = "'" .. argv[1] .. "'" end
  return table.concat(words, " ")
end

---Whether `name` can be the name of an environment variable.
---@param name any
---@return boolean
function shell.is_name(name)
  return type(name) == "string" and name:find("^[%a_][%w_]*$") ~= nil
end

return shell
