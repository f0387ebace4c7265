-- Making a conversation shorter when a model can take no more of it: what tools printed
-- long ago goes first. What was said, and which calls were made, stays.

local json = require "daytona.http.json"

local context = {}

-- Texts up to so many bytes stay.
local SHORT = 400

local function note(bytes)
  return ("[%d bytes of old output were left out to save room; call the tool again if they are needed]"):format(bytes)
end

local function size(result)
  local bytes = #result.text
  for _, image in ipairs(result.images) do bytes = bytes + #image.data end
  return bytes
end

-- The native tools' own forms of an answer are made of the data.
local function shortened(value)
  if type(value) == "string" then return #value > SHORT and note(#value) or value end
  if type(value) ~= "table" or value == json.null then return value end
  local out = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do out[key] = shortened(item) end
  return out
end

-- Takes the place of a result; the one that the program was given is not changed.
local function without_output(result)
  return { ok = result.ok, tool = result.tool, data = result.data and shortened(result.data),
    text = note(size(result)), images = json.array(), truncated = true, read_more = result.read_more,
    sandbox = result.sandbox, error = result.error }
end

-- The results that may go, oldest first: those of the last answer stay as long as others can go.
local function candidates(history, also_last)
  local list, last = {}, 0
  for i, entry in ipairs(history) do
    if entry.type == "results" then last = i end
  end
  for i, entry in ipairs(history) do
    for _, done in ipairs(entry.type == "results" and (also_last or i < last) and entry.results or {}) do
      if size(done.result) > SHORT then list[#list + 1] = done end
    end
  end
  return list
end

---Leaves the older half of what tools printed out of a conversation, in place. The number
---of bytes that it is shorter by; 0: there is nothing left to leave out.
---@param history table[]
---@return integer
function context.shrink(history)
  local list = candidates(history)
  if not list[1] then list = candidates(history, true) end
  local all, gone = 0, 0
  for _, done in ipairs(list) do all = all + size(done.result) end
  for _, done in ipairs(list) do
    if gone * 2 >= all then break end
    gone = gone + size(done.result)
    done.result = without_output(done.result)
  end
  return gone
end

---Tokens that a conversation comes to, roughly: four bytes each.
---@param history table[]
---@param from? integer  of its entries
---@return integer
function context.estimate(history, from)
  local bytes = 0
  for i = from or 1, #history do
    local entry = history[i]
    bytes = bytes + #(entry.text or "")
    for _, call in ipairs(entry.calls or {}) do bytes = bytes + #call.arguments end
    for _, done in ipairs(entry.results or {}) do bytes = bytes + size(done.result) end
  end
  return math.ceil(bytes / 4)
end

return context
