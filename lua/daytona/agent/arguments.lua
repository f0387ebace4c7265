-- The arguments of a call, as a model or a program gives them: decoded, checked, and never
-- repaired.

local json = require "daytona.http.json"
local native = require "daytona.base.native"
local output = require "daytona.agent.output"
local schema = require "daytona.agent.schema"

local M = {}

---The schema of a tool that takes none.
M.NONE = { type = "object", additionalProperties = false }

-- Fields that are null are fields that are not given.
local function without_nulls(value)
  if type(value) ~= "table" then return value end
  local is_list = value[1] ~= nil
  local out = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do
    if is_list or item ~= json.null then out[key] = without_nulls(item) end
  end
  return out
end

-- The name of a field whose text is not UTF-8, or nil.
local function bad_text(value, path)
  if type(value) == "string" then return not native.is_utf8(value) and path or nil end
  if type(value) ~= "table" then return nil end
  for key, item in pairs(value) do
    local name = tostring(key)
    local found = not native.is_utf8(name) and (path or "arguments")
      or bad_text(item, path and path .. "." .. name or name)
    if found then return found end
  end
end

local function decode(arguments)
  if arguments == nil or arguments == "" then return {} end
  if type(arguments) == "string" then
    local value, why = json.decode(arguments)
    if value == nil then
      return nil, "the arguments are not valid JSON (" .. output.clean(tostring(why)):sub(1, 200)
        .. "); send one JSON object"
    end
    arguments = value
  end
  if arguments == json.null then return nil, "the arguments must be a JSON object, not null" end
  if type(arguments) ~= "table" then return nil, "the arguments must be a JSON object, not a " .. type(arguments) end
  return without_nulls(arguments)
end

---The arguments as the tool takes them, and the API key that came with them; nil and what
---is wrong.
---@param tool daytona.Tool
---@param arguments table|string|nil  JSON text, or a table, which is not changed
---@return table?
---@return string? api_key_or_why
function M.check(tool, arguments)
  local given, why = decode(arguments)
  if not given then return nil, why end
  local api_key
  if tool.takes_api_key and type(given.apiKey) == "string" and given.apiKey ~= "" then
    api_key, given.apiKey = given.apiKey, nil
  end
  local bad = bad_text(given)
  if bad then return nil, bad .. " is not valid UTF-8; send bytes as base64 where the tool takes that" end
  local fine, problems = schema.check(tool.input or M.NONE, given)
  if not fine then return nil, schema.describe(problems, "the arguments") end
  return given, api_key
end

local function collect(node, value, list)
  if type(value) == "string" and node.writeOnly then list[#list + 1] = value end
  if type(value) ~= "table" then return end
  for name, property in pairs(node.properties or {}) do
    if value[name] ~= nil then collect(property, value[name], list) end
  end
end

---The values of fields that are `writeOnly`, added to a list.
---@param tool daytona.Tool
---@param arguments table  that fit
---@param list string[]
function M.secrets(tool, arguments, list)
  collect(tool.input or M.NONE, arguments, list)
end

return M
