-- Option tables: what a caller wrote is checked here, before anything is sent.
--
-- A specification is a table from option name to type. A mistake is raised at
-- the caller's line and says what would have been right. Option tables are
-- only read: they may be constants of the caller.

local options = {}

local EMPTY = {}

--- Types ---------------------------------------------------------------------------

local EXACT = 9007199254740992 -- 2^53

local function is_integer(value)
  return type(value) == "number" and value % 1 == 0 and value > -EXACT and value < EXACT
end

local function is_callable(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end

local function is_map(value)
  if type(value) ~= "table" then return false end
  for key, item in pairs(value) do
    if type(key) ~= "string" or type(item) ~= "string" then return false end
  end
  return true
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  for i = 1, count do
    if type(value[i]) ~= "string" then return false end
  end
  return true
end

-- Numbers stand for their texts, as `..` has it.
local function is_word(value)
  return type(value) == "string" or type(value) == "number" and value == value
end

local function is_variables(value)
  if type(value) ~= "table" then return false end
  for key, item in pairs(value) do
    if type(key) ~= "string" or not is_word(item) then return false end
  end
  return true
end

local function is_words(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  for i = 1, count do
    if not is_word(value[i]) then return false end
  end
  return true
end

local function is_texts(value)
  return type(value) == "table" and is_list(value) or type(value) == "string" and value ~= ""
end

local function is_timeout(value)
  return type(value) == "number" and value >= 0 and value < math.huge
end

---A type is a name from this table, a list of allowed values, or a function
---that returns true, or false and what was expected.
local TYPES = {
  any = { function(v) return v ~= nil end, "anything" },
  boolean = { function(v) return type(v) == "boolean" end, "true or false" },
  string = { function(v) return type(v) == "string" end, "a string" },
  text = { function(v) return type(v) == "string" and v ~= "" end, "a string that is not empty" },
  number = { function(v) return type(v) == "number" and v == v end, "a number" },
  integer = { is_integer, "a whole number" },
  count = { function(v) return is_integer(v) and v >= 0 end, "a whole number, 0 or more" },
  positive = { function(v) return is_integer(v) and v >= 1 end, "a whole number, 1 or more" },
  seconds = { is_timeout, "seconds, 0 or more" },
  table = { function(v) return type(v) == "table" end, "a table" },
  map = { is_map, "a table of strings by name" },
  list = { is_list, "a list of strings" },
  variables = { is_variables, "a table of strings or numbers by name" },
  words = { is_words, "a list of strings or numbers" },
  texts = { is_texts, "a string or a list of strings" },
  callable = { is_callable, "a function" },
  file = { function(v) return io.type(v) == "file" end, "an open file" },
}

local function is_one_of(allowed, value)
  for i = 1, #allowed do
    if allowed[i] == value then return true end
  end
  return false
end

local function quoted(list)
  local out = {}
  for i = 1, #list do out[i] = '"' .. tostring(list[i]) .. '"' end
  return table.concat(out, ", ")
end

-- Whether `value` is what `kind` says; where not, what that is.
local function fits(kind, value)
  if type(kind) == "string" then
    local known = TYPES[kind]
    return known[1](value), known[2]
  elseif type(kind) == "table" then
    if is_one_of(kind, value) then return true end
    return false, "one of " .. quoted(kind)
  end
  return kind(value)
end

-- What is said of what is not right stands in a file of its own: few programs hear it.
local function refusal()
  return require "daytona.base.refusal"
end

---Checks `given` (nil: no options) against `spec` and returns it, or an empty
---table. Raises at the caller's line on an unknown name or a wrong value.
---@param what string                  the function, for the message: "exec"
---@param spec table<string, any>      name -> type
---@param given? table
---@return table
function options.check(what, spec, given)
  if given == nil then return EMPTY end
  if type(given) ~= "table" then
    refusal().value(what .. ": options", nil, "a table", given)
  end
  local module = package.loaded.daytona -- which a colon in place of a dot gives
  for name, value in pairs(given) do
    local kind = spec[name]
    if kind == nil or given == module then refusal().name(what, spec, name, given) end
    local fine, expected = fits(kind, value)
    if not fine then
      refusal().value(("%s: option '%s'"):format(what, name), kind, expected, value)
    end
  end
  return given
end

---Checks one positional argument; returns it.
---@generic T
---@param what string   the function and the argument: "exec: command"
---@param kind any      a type as in a specification
---@param value T
---@return T
function options.argument(what, kind, value)
  local fine, expected = fits(kind, value)
  if not fine then refusal().value(what, kind, expected, value) end
  return value
end

---Checks the options of a wait, which may also be given as its seconds alone.
---@param what string
---@param spec table<string, any>
---@param given? number|table
---@return table
function options.timed(what, spec, given)
  if type(given) == "number" then given = { timeout = given } end
  return options.check(what, spec, given)
end

local TIMEOUT = { timeout = "seconds" }

---The seconds of a wait that has no other options.
---@param what string
---@param given? number|{ timeout?: number }
---@return number?
function options.timeout(what, given)
  return options.timed(what, TIMEOUT, given).timeout
end

---Whether a value is an id of the caller's choice, which becomes a name over there. The
---one rule for sessions, jobs and terminals.
---@param value any
---@return boolean
---@return string
function options.id(value)
  local fine = type(value) == "string" and #value <= 100 and value:find "^[%w_][%w._-]*$" ~= nil
  return fine, "at most 100 letters, digits and '._-', of which the first is a letter, a digit or '_'"
end

---Checks an id of the caller's choice; returns it.
---@param what string     the function and the argument
---@param id any
---@return string
function options.identifier(what, id)
  return options.argument(what, options.id, id)
end

---The type of whole numbers from `least` to `most`.
---@param least integer
---@param most integer
---@return fun(value: any): boolean, string
function options.range(least, most)
  local text = string.format("a whole number from %d to %d", least, most)
  return function(value)
    return is_integer(value) and value >= least and value <= most, text
  end
end

---The type of ports: a number, or its decimal digits as they come from the environment or a
---command line. `options.port` makes a number of either.
---@param value any
---@return boolean
---@return string
function options.is_port(value)
  if type(value) == "string" and value:find "^%d%d?%d?%d?%d?$" then value = tonumber(value) end
  return is_integer(value) and value >= 1 and value <= 65535, "a whole number from 1 to 65535"
end

---Checks a port; returns it as a number.
---@param what string     the function and the argument
---@param value integer|string
---@return integer
function options.port(what, value)
  return math.floor(tonumber(options.argument(what, options.is_port, value)) --[[@as number]])
end

---A word as text: a number as Lua writes it, a whole one without a point.
---@param value string|number
---@return string
function options.text(value)
  if type(value) == "string" then return value end
  return is_integer(value) and ("%d"):format(value) or ("%.14g"):format(value)
end

---A copy of a table, one level deep; a new table for nil.
---@param source? table
---@return table
function options.copy(source)
  local out = {}
  for key, value in pairs(source or EMPTY) do out[key] = value end
  return out
end

return options
