-- What is said when a caller gives something that is not right: a wrong value, an unknown name.

local errors = require "daytona.base.errors"

local M = {}

-- How a wrong value is shown: its type, and what it is where that is short and
-- cannot be a secret: no string is shown but in place of a word from a list, or of a number.
local function shown(value, kind)
  local is = type(value)
  if is == "number" or is == "boolean" or is == "nil" then return tostring(value) end
  if is ~= "string" then return "a " .. is end
  if value == "" then return "an empty string" end
  if tonumber(value) and #value <= 6 then return 'the string "' .. value .. '"' end
  if type(kind) == "table" and #value < 40 then return '"' .. value .. '"' end
  return type(kind) == "function" and "this string" or "a string"
end

local ITEMS = { string = true }
local WORDS = { string = true, number = true }

-- What is wrong with a table, where one would be right; its values may be secrets.
local function flaw_in(value, kind)
  local right = (kind == "variables" or kind == "words") and WORDS or ITEMS
  local function fine(item) return right[type(item)] and item == item end
  if kind == "map" or kind == "variables" then
    for key, item in pairs(value) do
      if type(key) ~= "string" then return ("one with the key [%s]"):format(tostring(key)) end
      if not fine(item) then return ("one where '%s' is a %s"):format(key, type(item)) end
    end
  elseif kind == "list" or kind == "words" then
    for i = 1, #value do
      if not fine(value[i]) then return ("one whose item %d is a %s"):format(i, type(value[i])) end
    end
    return "a table with names or gaps"
  end
  return "a table"
end

---Raises at the caller's line: a value is not what it must be.
---@param what string      "exec: option 'cwd'"
---@param kind any         the type, as options.lua has it
---@param expected string  that in words
---@param value any
function M.value(what, kind, expected, value)
  local given = type(value) == "table" and flaw_in(value, kind) or shown(value, kind)
  errors.misuse(1, "%s must be %s, not %s", what, expected, given)
end

---Raises at the caller's line: what `using` was given is not an object that can be closed, and a
---function.
---@param object any
---@param fn any
---@param closes any  what closes it
function M.using(object, fn, closes)
  if object == nil then
    errors.misuse(1, "using: there is no object: what makes it has failed; daytona.assert(...) around it says why")
  elseif not closes then
    errors.misuse(1, "using: a %s has no close method%s", type(object),
      type(object) == "function" and " (the object comes first, then the function)" or "")
  end
  errors.misuse(1, "using: a function expected, got %s", type(fn))
end

-- How many letters are to be changed to make one word of the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local corner = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and corner or corner + 1
      corner = row[j]
      row[j] = math.min(cost, corner + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

local function nearest(name, names)
  local plain = name:lower():gsub("[_-]", "")
  local best, least = nil, 3
  for i = 1, #names do
    local far = distance(plain, (names[i]:gsub("[_-]", "")))
    if far < least and far < #plain then best, least = names[i], far end
  end
  return best
end

---What to say behind a word that there is not, where it may be a slip of another; or "".
---@param word string
---@param words string[]
---@return string
function M.slip(word, words)
  local guess = nearest(word, words)
  return guess and " (did you mean " .. guess .. "?)" or ""
end

-- What other clients, and people, call an option.
local MEANT = {
  envvars = { "env" }, environment = { "env" }, workdir = { "cwd" }, directory = { "cwd" }, dir = { "cwd" },
  osuser = { "user" }, resources = { "cpu", "memory", "disk" }, onlogs = { "on_build_log" },
  onsnapshotcreatelogs = { "on_build_log" }, checkexit = { "check" }, volumemounts = { "volumes" },
}

local function guessed(name, names, spec)
  local meant = MEANT[name:lower():gsub("[_-]", "")]
  if meant and spec[meant[1]] then return table.concat(meant, "', '") end
  return nearest(name, names)
end

---Raises at the caller's line: there is no option of that name.
---@param what string  the function
---@param spec table<string, any>
---@param name any
---@param given table  what had it
function M.name(what, spec, name, given)
  if given == package.loaded.daytona then
    errors.misuse(1, "%s is a function: call it with a dot, not with a colon", what)
  end
  local names = {}
  for known in pairs(spec) do names[#names + 1] = known end
  table.sort(names)
  if type(name) ~= "string" then
    errors.misuse(1, "%s: options are named, but there is [%s]", what, tostring(name))
  end
  local guess = guessed(name, names, spec)
  errors.misuse(1, "%s: unknown option '%s'%s; the options are: %s", what, name,
    guess and " (did you mean '" .. guess .. "'?)" or "", table.concat(names, ", "))
end

return M
