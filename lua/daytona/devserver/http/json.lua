-- JSON of the local server: a private codec that can write empty arrays, and leaves
-- slashes as they are, as the service does. Nothing else.

local rand = require "openssl.rand"

local codec = require "cjson".new()
codec.encode_sparse_array(true)

local json = { null = codec.null }

local Array = {}

-- What an empty list is written as first: a text that nobody can have thought of.
local EMPTY = "[]" .. rand.bytes(16):gsub(".", function(c) return ("%02x"):format(c:byte()) end)

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
  if getmetatable(value) == Array and next(value) == nil then return EMPTY end
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
  if marked ~= value then text = text:gsub('"%[%]' .. EMPTY:sub(3) .. '"', "[]") end
  if text:find("\\/", 1, true) then text = text:gsub("\\(.)", { ["/"] = "/" }) end
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
