-- JSON of the local server: a private codec that can write empty arrays.
-- Nothing else.

local codec = require "cjson".new()
codec.encode_sparse_array(true)

local json = { null = codec.null }

local Array = {}
local EMPTY = "\1[]\1"           -- control characters are always escaped by the codec

---Marks a list so that it is written as an array even when it is empty.
---@generic T: table
---@param list T
---@return T
function json.array(list)
  return setmetatable(list, Array)
end

-- Copies only where an empty marked list is inside.
local function mark(value)
  if type(value) ~= "table" then return value end
  if getmetatable(value) == Array and next(value) == nil then return EMPTY, true end
  local copy
  for k, v in pairs(value) do
    if type(v) == "table" then
      local marked = mark(v)
      if marked ~= v then
        if not copy then
          copy = {}
          for k2, v2 in pairs(value) do copy[k2] = v2 end
        end
        copy[k] = marked
      end
    end
  end
  return copy or value
end

---@param value any
---@return string
function json.encode(value)
  local marked = mark(value)
  local text = codec.encode(marked)
  if marked ~= value then text = text:gsub('"\\u0001%[%]\\u0001"', "[]") end
  return text
end

---@param text string
---@return any? value, string? message
function json.decode(text)
  local ok, value = pcall(codec.decode, text)
  if ok then return value end
  return nil, (tostring(value):gsub("^.-:%d+: ", ""))
end

return json
