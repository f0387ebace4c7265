-- The small bugs that scripts/mutate makes: in one token each, of code, never of
-- comments and texts. Every one is still a Lua program.

local mutations = {}

local SWAPS = {
  ["=="] = "~=", ["~="] = "==", ["<"] = "<=", ["<="] = "<", [">"] = ">=", [">="] = ">", ["+"] = "-", ["-"] = "+",
  ["and"] = "or", ["or"] = "and", ["true"] = "false", ["false"] = "true", ["not"] = "", ["break"] = "",
}

-- Where a token ends that begins at `i`, and its kind.
local function token(text, i)
  local long = text:match("^%[(=*)%[", i)
  if long then return select(2, text:find("]" .. long .. "]", i, true)), "text" end
  local quote = text:match("^[\"']", i)
  if quote then
    local at = i + 1
    while text:sub(at, at) ~= quote do at = at + (text:sub(at, at) == "\\" and 2 or 1) end
    return at, "text"
  end
  local last = select(2, text:find("^[%a_][%w_]*", i))
  if last then return last, "word" end
  last = select(2, text:find("^0[xX]%x+", i)) or select(2, text:find("^%d+%.?%d*[eE]?%d*", i))
  if last then return last, "number" end
  last = select(2, text:find("^%.%.%.?", i)) or select(2, text:find("^[=~<>]=", i))
  return last or i, "operator"
end

-- Calls fn(first, last, kind) for every token of the program.
local function scan(text, fn)
  local i = 1
  while true do
    i = text:find("%S", i)
    if not i then return end
    local long = text:match("^%-%-%[(=*)%[", i)
    if long then
      i = select(2, text:find("]" .. long .. "]", i, true)) + 1
    elseif text:find("^%-%-", i) or (i == 1 and text:find "^#") then
      i = text:find("\n", i, true) or #text + 1
    else
      local last, kind = token(text, i)
      fn(i, last, kind)
      i = last + 1
    end
  end
end

---@return string  the text of the line
---@return integer
function mutations.line_at(text, i)
  local line, begin = 1, 1
  for at in text:gmatch "()\n" do
    if at >= i then break end
    line, begin = line + 1, at + 1
  end
  return text:match("^%s*([^\n]*)", begin), line
end

local function is_program(text)
  return load(text, "=", "t", {}) ~= nil
end

-- Whether what begins there says of a text that it is no pattern (`find("x", at, true)`),
-- which makes no difference to this one.
local function is_plain_anyway(text, i)
  local literal = text:sub(math.max(i - 200, 1), i - 1):match "[(,]%s*\"([^\"]*)\",[^,\"\n()]+,%s*$"
  return literal ~= nil and not literal:gsub("\\.", ""):find "[%^%$%(%)%%%.%[%]%*%+%-%?]"
end

-- How many frames of the library are skipped to find the line of a misuse, which is outside
-- of it in any case.
local function is_level(text, i)
  return text:sub(math.max(i - 20, 1), i - 1):find "misuse%($" ~= nil
end

-- What takes the place of a token, and how that is called; nil: nothing does.
local function instead(word, kind)
  if kind == "number" and tonumber(word) then return tostring(tonumber(word) + 1), word .. " is one more" end
  if kind == "text" then return nil end
  local other = SWAPS[word]
  return other, other and (other == "" and "no " .. word or word .. " is " .. other)
end

local function replaced(first, last, by)
  return function(text) return text:sub(1, first - 1) .. by .. text:sub(last + 1) end
end

-- Statements of one line that are calls: left out.
local function lost_calls(text, add)
  for first, line, last in text:gmatch "()([^\n]*)()" do
    local statement = line:match "^%s+([%a_][%w_%.:]*%b())$"
    if statement and not statement:find("^function") then
      add(first, last - 1, (line:gsub("%S.*", "do end")), "left out")
    end
  end
end

---All bugs of a program: { line, at, name, text, apply }, in its order.
---@param text string
---@return { line: integer, at: integer, name: string, text: string, apply: fun(text: string): string }[]
function mutations.of(text)
  local list = {}
  local function add(first, last, by, name)
    local apply = replaced(first, last, by)
    if not is_program(apply(text)) then return end
    local shown, line = mutations.line_at(text, first)
    list[#list + 1] = { line = line, at = text:find("%S", first), name = name, text = shown, apply = apply }
  end
  scan(text, function(first, last, kind)
    local word = text:sub(first, last)
    local by, name = instead(word, kind)
    if word == "true" and is_plain_anyway(text, first) or kind == "number" and is_level(text, first) then by = nil end
    if by then add(first, last, by, name) end
  end)
  lost_calls(text, add)
  return list
end

---Where a statement can stand: at the beginnings of lines, and of functions (`head`).
---@param text string
---@return { at: integer, head?: boolean }[]
function mutations.places(text)
  local list, line_end, head = {}, 0, nil
  local function add(at, is_head)
    if is_program(text:sub(1, at - 1) .. " do end " .. text:sub(at)) then
      list[#list + 1] = { at = at, head = is_head }
    end
  end
  scan(text, function(first, last)
    local word = text:sub(first, last)
    if first > line_end then
      line_end = text:find("\n", first, true) or #text
      add(first)
    end
    if head and word == ")" then
      head = nil
      add(last + 1, true)
    end
    if word == "function" then head = true end
  end)
  return list
end

return mutations
