-- Long JSON texts, decoded piece by piece, so that a host can do its own work in between.

local json = require "daytona.http.json"

local M = {}

-- Texts up to this size are decoded in one go.
local SMALL = 32 * 1024

-- The items of an array, decoded one by one; nil where the text is not quite what it
-- looks like. (Braces in strings may mislead %b{}, but not for long: no text that is
-- longer or shorter than an object is one.)
local function items(text, rest)
  local list, at = {}, text:match("^%s*%[()")
  while at do
    local item, sign, after = text:match("^%s*(%b{})%s*([,%]])()", at)
    local value = item and json.decode(item)
    if value == nil then return nil end
    list[#list + 1], at = value, after
    if sign == "]" then return not text:find("%S", after) and list or nil end
    local fine, err = rest()
    if not fine then return nil, err end
  end
end

-- An object of arrays and plain values, each decoded by itself; nil where the text is not
-- quite that. (As above: brackets in strings do not mislead for long.)
local function fields(text, rest)
  local object, at = {}, text:match("^%s*{()")
  while at do
    local name, value, sign, after = text:match('^%s*"([%w_]+)"%s*:%s*(%b[])%s*([,}])()', at)
    if not name then
      name, value, sign, after = text:match('^%s*"([%w_]+)"%s*:%s*([%w.+-]+)%s*([,}])()', at)
    end
    local field, err
    if name and #value > SMALL then field, err = items(value, rest) end
    if err then return nil, err end
    if name and field == nil then field = json.decode(value) end
    if field == nil then return nil end
    if field ~= json.null then object[name] = field end
    if sign == "}" then return not text:find("%S", after) and object or nil end
    at = after
  end
end

local function decode(text, rest, in_parts)
  if #text > SMALL then
    local value, err = in_parts(text, rest)
    if value or err then return value, err end
  end
  return json.decode(text)
end

---Decodes a JSON text as `json.decode` does; a long object whose fields are arrays of
---objects item by item, as `list` does.
---@param text string
---@param rest fun(): boolean?, any
---@return any value
---@return any message
function M.object(text, rest)
  return decode(text, rest, fields)
end

---Decodes a JSON text as `json.decode` does; a long array of objects item by item, with
---`rest()` called in between, whose nil, err is what then comes back.
---@param text string
---@param rest fun(): boolean?, any
---@return any value
---@return any message
function M.list(text, rest)
  return decode(text, rest, items)
end

return M
