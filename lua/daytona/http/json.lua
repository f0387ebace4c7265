-- JSON as this library needs it, on top of whatever decoder is there.
--
-- Decoding is lua-cjson's (through a private instance: the shared codec and its
-- settings belong to the program), or Neovim's vim.json. Encoding walks the
-- value itself, because no cjson can write an empty array, name the field that
-- is wrong, or keep 2^53 exact; it leaves only strings to C.
--
-- Nothing here knows what the values mean.

local compat = require "daytona.base.compat"
local native = require "daytona.base.native"

local json = {}

local MAX_DEPTH = 1000

--- The codec below ---------------------------------------------------------------

local function open_cjson()
  local found, cjson = true, compat.from_cpath "cjson"
  if not cjson then found, cjson = pcall(require, "cjson") end
  if not found or type(cjson) ~= "table" or not cjson.new then return nil end
  local codec = cjson.new()
  codec.decode_invalid_numbers(false)
  codec.decode_max_depth(MAX_DEPTH)
  return { decode = codec.decode, null = cjson.null }
end

local function open_vim()
  local host = rawget(_G, "vim")
  local codec = type(host) == "table" and host.json
  if not codec then return nil end
  return { decode = codec.decode, null = host.NIL }
end

local codec = open_cjson() or open_vim()
if not codec then
  error("daytona needs lua-cjson: install the package lua-cjson, or 'luarocks install lua-cjson'", 0)
end

---Sends an explicit null; decoded nulls inside arrays are this value too.
json.null = codec.null

local null = json.null
local decode_text = codec.decode

--- Decoding ------------------------------------------------------------------------

-- cjson makes every number a float, and an exit code must print as 3.
local makes_floats = math.type and math.type(decode_text "3") == "float"
local tidy = native.json_tidy

---Decodes a JSON text. null fields of objects are absent from the result, nulls
---in arrays are `json.null`, and whole numbers are integers where Lua has them.
---(Long texts are decoded piece by piece in long_json.lua.)
---@param text string
---@return any value  or nil and a message
---@return string? message
function json.decode(text)
  local fine, value = pcall(decode_text, text)
  if not fine then return nil, "not JSON: " .. tostring(value) end
  if makes_floats or text:find("null", 1, true) then return tidy(value, null) end
  return value
end

--- Encoding ------------------------------------------------------------------------

local Array = { __name = "daytona.array" }

---Marks a table as a JSON array, so that it is written as `[]` when it is
---empty. Returns its argument, or a new table. A metatable it had is replaced.
---@generic T
---@param list? T
---@return T
function json.array(list)
  return setmetatable(list or {}, Array)
end

local Verbatim = { __name = "daytona.verbatim" }

---A JSON text that is written as it is, in place of the value it stands for: what was
---received then goes out again byte for byte. Whoever calls this has checked it.
---@param text string
---@return table
function json.verbatim(text)
  return setmetatable({ text }, Verbatim)
end

local function encode_number(number)
  if number ~= number then return nil, "NaN cannot be sent" end
  if number == math.huge or number == -math.huge then return nil, "infinity cannot be sent" end
  if math.type and math.type(number) == "integer" then return string.format("%d", number) end
  if number % 1 == 0 and number > -1e18 and number < 1e18 then return string.format("%.0f", number) end
  local text = string.format("%.14g", number)
  if tonumber(text) ~= number then text = string.format("%.17g", number) end
  return (text:gsub(",", ".")) -- a locale may have put a comma there
end

local json_string = native.json_string

local function encode_string(text)
  local literal = json_string(text)
  if not literal then return nil, "not valid UTF-8" end
  return literal
end

-- The length of a list, or nil and why it is none.
local function list_length(list)
  local count, highest = 0, 0
  for key in pairs(list) do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
      return nil, "a list with the named field " .. tostring(key)
    end
    count = count + 1
    if key > highest then highest = key end
  end
  if count ~= highest then return nil, "a list with holes" end
  return count
end

local append

local function append_list(out, n, list, depth, lists)
  local length, why = list_length(list)
  if not length then return nil, why end
  n = n + 1
  out[n] = "["
  for i = 1, length do
    if i > 1 then n = n + 1; out[n] = "," end
    local problem, where
    n, problem, where = append(out, n, list[i], depth, lists)
    if not n then return nil, problem, "[" .. i .. "]" .. (where or "") end
  end
  out[n + 1] = "]"
  return n + 1
end

local function append_object(out, n, object, depth, lists)
  local before = "{"
  local each, named = pairs, lists
  if type(lists) == "function" then each, named = lists, nil end
  for key, value in each(object) do
    if type(key) ~= "string" then return nil, "an object with the key " .. tostring(key) end
    local name, problem = encode_string(key)
    if not name then return nil, "a field name is " .. problem end
    local where
    out[n + 1], out[n + 2], out[n + 3] = before, name, ":"
    if named and named[key] and type(value) == "table" and next(value) == nil then value = json.array() end
    n, problem, where = append(out, n + 3, value, depth, lists)
    if not n then return nil, problem, "." .. key .. (where or "") end
    before = ","
  end
  if before == "{" then n = n + 1; out[n] = "{" end
  out[n + 1] = "}"
  return n + 1
end

-- Appends pieces; the new count, or nil, the problem and where it is.
function append(out, n, value, depth, lists)
  local kind = type(value)
  if kind == "table" then
    if depth == 0 then return nil, "nested too deeply" end
    local meta = getmetatable(value)
    if meta == Verbatim then
      out[n + 1] = value[1]
      return n + 1
    end
    if meta == Array or value[1] ~= nil then return append_list(out, n, value, depth - 1, lists) end
    return append_object(out, n, value, depth - 1, lists)
  end
  local text, problem
  if kind == "string" then text, problem = encode_string(value)
  elseif kind == "number" then text, problem = encode_number(value)
  elseif kind == "boolean" then text = value and "true" or "false"
  elseif value == null then text = "null"
  else problem = "a " .. kind .. " cannot be sent" end
  if not text then return nil, problem end
  out[n + 1] = text
  return n + 1
end

---Encodes a value. An empty table is an object unless it is marked with
---`json.array`, or is a field named in `lists`.
---@param value any
---@param lists? table<string, true>|fun(object: table): function  fields that are arrays even when empty;
---or what gives the fields of an object, one by one, in place of `pairs`
---@return string? text      nil and a message that names the field when it cannot be sent
---@return string? message
function json.encode(value, lists)
  local out = {}
  local n, problem, where = append(out, 0, value, MAX_DEPTH, lists)
  if not n then
    where = where and where:gsub("^%.", "")
    return nil, where and (where .. ": " .. problem) or problem
  end
  return table.concat(out, "", 1, n)
end

return json
