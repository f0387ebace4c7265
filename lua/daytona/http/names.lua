-- Names: the service writes camelCase, Lua programs write snake_case. The only
-- place that turns one into the other.

local names = {}

-- Fields whose keys belong to the user, on either side.
local USERS_OWN = {
  labels = true, env = true, envs = true, secrets = true, set = true,
  resourceAttributes = true, logAttributes = true, spanAttributes = true,
}

-- Names seen before; first those that follow no rule.
local snake, camel = {}, {}
for _, what in ipairs { "memory", "disk" } do
  for _, bound in ipairs { "min", "max" } do
    local odd = bound .. what:gsub("^%l", string.upper) .. "GiB"
    local name = bound .. "_" .. what .. "_gib"
    snake[odd], camel[name] = name, odd
  end
end

---"autoStopInterval" -> "auto_stop_interval"
---@param name string
---@return string
function names.snake_name(name)
  local out = snake[name]
  if not out then
    out = name:gsub("(%l)(%u)", "%1_%2"):gsub("(%d)(%u)", "%1_%2"):gsub("(%u)(%u%l)", "%1_%2"):lower()
    snake[name] = out
  end
  return out
end

---"auto_stop_interval" -> "autoStopInterval"
---@param name string
---@return string
function names.camel_name(name)
  local out = camel[name]
  if not out then
    out = name:gsub("_(%w)", string.upper)
    camel[name] = out
  end
  return out
end

local function translated(value, rename, rest)
  if type(value) ~= "table" then return value end
  if rest then rest() end
  local out = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do
    if type(key) ~= "string" then
      out[key] = translated(item, rename, rest)
    elseif USERS_OWN[key] then
      out[rename(key)] = item
    else
      out[rename(key)] = translated(item, rename, rest)
    end
  end
  return out
end

---A decoded answer with Lua's names, all the way down; maps whose keys belong
---to the user are shared, not copied.
---@generic T
---@param value T
---@param rest? fun()  called for each table
---@return T
function names.to_lua(value, rest)
  return translated(value, names.snake_name, rest)
end

---Options with the service's names, all the way down, as above.
---@generic T
---@param value T
---@return T
function names.to_service(value)
  return translated(value, names.camel_name)
end

return names
