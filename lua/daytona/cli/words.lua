-- What was typed after a command's name: options, arguments, and the words of a program
-- that are not ours. As a command of the table says; see commands.lua.

local refusal = require "daytona.base.refusal"

local words = {}

-- Words for values that are numbers.
local NUMBERS = { N = true, SECONDS = true, MINUTES = true }

---How the value of an option is taken: "flag", "number", "map", "list" or "text".
---@param option daytona.cli.Option
---@return string
function words.kind(option)
  local value = option[2]
  if not value then return "flag" end
  if NUMBERS[value] then return "number" end
  if value:find "[=:]" then return "map" end
  return value:find "%.%.%.$" and "list" or "text"
end

---The arguments of a command: how many there must and may be, whether a program's words
---follow, and whether there must be some.
---@param command daytona.cli.Command
---@return { least: integer, most: integer, raw: boolean, raw_needed: boolean }
function words.shape(command)
  local shape = { least = 0, most = 0, raw = false, raw_needed = false }
  for word in command.args:gmatch "%S+" do
    if word:find "%-%-$" then
      shape.raw, shape.raw_needed = true, word == "--"
    elseif not shape.raw then
      if not word:find "^%[" then shape.least = shape.least + 1 end
      shape.most = word:find "%.%.%." and math.huge or shape.most + 1
    end
  end
  return shape
end

local JSON, HELP = { "json", false, "as JSON" }, { "help", false, "this text", "h" }

---The options of a command, those that many have included.
---@param command daytona.cli.Command
---@return daytona.cli.Option[]
function words.options(command)
  local list = {}
  for i, option in ipairs(command.options or {}) do list[i] = option end
  if command.json then list[#list + 1] = JSON end
  list[#list + 1] = HELP
  return list
end

-- Option by what is typed for it.
local function by_name(command)
  local known = {}
  for _, option in ipairs(words.options(command)) do
    known["--" .. option[1]] = option
    if option[4] then known["-" .. option[4]] = option end
  end
  return known
end

local TAKE = {
  text = function(value) return value end,
  number = function(value)
    local number = tonumber(value)
    if not number then return nil, "takes a number, not '" .. value .. "'" end
    return math.floor(number) == number and math.floor(number) or number
  end,
  list = function(value, before)
    before = before or {}
    before[#before + 1] = value
    return before
  end,
  map = function(value, before, form)
    local name, text = value:match "^([^=]+)=(.*)$"
    if form:find ":" then name, text = value:match "^([^:]+):(.*)$" end
    if not name then return nil, "takes " .. form .. ", not '" .. value .. "'" end
    before = before or {}
    before[name] = text
    return before
  end,
}

-- Notes an option and its value; true when the next word was that, or nil, message.
local function take_option(typed, option, shown, value, following)
  local key, kind = option[1]:gsub("-", "_"), words.kind(option)
  if kind == "flag" then
    if value then return nil, shown .. " takes no value" end
    typed.options[key] = true
    return false
  end
  local is_next = value == nil
  value = value or following
  if not value then return nil, shown .. " needs " .. option[2] end
  local taken, why = TAKE[kind](value, typed.options[key], option[2])
  if taken == nil then return nil, shown .. " " .. why end
  typed.options[key] = taken
  return is_next
end

local function count(typed, shape, command)
  local n = #typed.args
  if n < shape.least or n > shape.most or (shape.raw_needed and not typed.rest[1]) then
    return nil, command.args == "" and "takes no argument" or "takes " .. command.args
  end
  return typed
end

-- "there is no option --lable", and what it may be a slip of.
local function unknown(known, word)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  return "there is no option " .. word .. refusal.slip(word, names)
end

---Takes the words from `first` on apart.
---@param command daytona.cli.Command
---@param argv string[]
---@param first integer
---@return { options: table, args: string[], rest: string[] }?
---@return string? message
function words.parse(command, argv, first)
  local typed, shape, known = { options = {}, args = {}, rest = {} }, words.shape(command), by_name(command)
  local i, plain = first, false
  while argv[i] do
    local word = argv[i]
    if not plain and word == "--" then
      plain = true
    elseif not plain and word:find "^%-." then
      local name, value = word:match "^(%-%-[^=]+)=(.*)$"
      local option = known[name or word]
      if not option then return nil, unknown(known, name or word) end
      local is_next, why = take_option(typed, option, name or word, value, argv[i + 1])
      if why then return nil, why end
      if is_next then i = i + 1 end
    elseif shape.raw and #typed.args == shape.most then
      plain = true
      typed.rest[#typed.rest + 1] = word
    else
      typed.args[#typed.args + 1] = word
    end
    i = i + 1
  end
  if typed.options.help then return typed end
  return count(typed, shape, command)
end

return words
