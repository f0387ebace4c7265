-- What a caller gives as a command, with its environment and input, as text for the shell in
-- a sandbox. It sends nothing.

local base64 = require "daytona.base.base64"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"
local variables = require "daytona.base.variables"

local command_line = {}

-- The daemon's number for seconds has 32 bits.
local LONGEST_TIMEOUT = 4294967295

local is_utf8 = core.is_utf8

---A new id, of this process and no other.
command_line.new_id = core.unique

---Raises where a text has what none of ours may have.
---@param what string
---@param text string
function command_line.refuse_nul(what, text)
  if text:find("\0", 1, true) then errors.misuse(1, "%s holds a NUL byte", what) end
end

---Any bytes as a word of a shell.
---@param text string
---@return string
function command_line.encoded(text)
  return "\"$(printf %s '" .. base64.encode(text) .. "' | base64 -d)\""
end

-- Shell lines that set a variable to bytes JSON cannot carry. The x keeps line
-- ends, which $( ) would strip.
local function export_line(name, value)
  return name .. "=\"$(printf %s '" .. base64.encode(value) .. "' | base64 -d; printf x)\"; export "
    .. name .. "=\"${" .. name .. "%x}\"\n"
end

---The script for the shell's standard input: `command` cannot read the rest of
---it, because it gets an input of its own.
---@param command string
---@param stdin? string
---@param exports string  lines before it
---@return string
function command_line.wrap(command, stdin, exports)
  local text
  if is_utf8(command) then text = shell.quote(command) else text = command_line.encoded(command) end
  if stdin then
    return exports .. "printf %s '" .. base64.encode(stdin) .. "' | base64 -d | eval " .. text
  end
  return exports .. "eval " .. text .. " </dev/null"
end

---Arguments as texts; raises when they are none.
---@param what string
---@param argv (string|number)[]
---@return string[]
function command_line.words(what, argv)
  options.argument(what, "words", argv)
  local texts = {}
  for i = 1, #argv do texts[i] = options.text(argv[i]) end
  return texts
end

---A command as shell text; raises when it is none.
---@param operation string
---@param command string|(string|number)[]
---@return string
function command_line.command_text(operation, command)
  if type(command) == "table" then
    command = command_line.words(operation .. ": the argument list", command)
    if command[1] == nil then errors.misuse(1, "%s: the argument list is empty", operation) end
    if command[1] == "" then errors.misuse(1, "%s: the program's name is empty", operation) end
    command = shell.join(command)
  elseif type(command) ~= "string" then
    errors.misuse(1, "%s: the command must be a string or a list of strings, got %s", operation, type(command))
  elseif not command:find("%S") then
    errors.misuse(1, "%s: the command is empty", operation)
  end
  command_line.refuse_nul(operation .. ": the command", command)
  return command
end

---Splits `env` into what JSON can carry and shell lines for the rest, and lists
---its values, which errors must not show.
---@param operation string
---@param env table<string, string|number>
---@return table<string, string> plain
---@return string exports
---@return string[] secrets
function command_line.environment(operation, env)
  local texts, secrets = variables(operation, env)
  local plain, exports = {}, ""
  for name, value in pairs(texts) do
    command_line.refuse_nul(operation .. ": the environment variable " .. name, value)
    if is_utf8(value) then plain[name] = value else exports = exports .. export_line(name, value) end
  end
  return plain, exports, secrets
end

---A time limit as the daemon takes it.
---@param operation string
---@param timeout number
---@return integer
function command_line.whole_seconds(operation, timeout)
  local seconds = math.ceil(timeout)
  if seconds > LONGEST_TIMEOUT then
    errors.misuse(1, "%s: the timeout is longer than %d seconds", operation, LONGEST_TIMEOUT)
  end
  return seconds
end

return command_line
