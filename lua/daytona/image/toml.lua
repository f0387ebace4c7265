-- Reads TOML as far as pyproject.toml needs it: tables, lists and texts of every kind;
-- numbers, times and truth values stay texts.

local toml = {}

-- Where reading stands: `text`, `at`.
local Reader = {}
Reader.__index = Reader

-- Ends the reading; caught by toml.parse.
function Reader:fail(what)
  local _, line = self.text:sub(1, self.at - 1):gsub("\n", "\n")
  error({ toml = ("line %d: %s"):format(line + 1, what) }, 0)
end

function Reader:take(pattern)
  local from, to, found = self.text:find("^" .. pattern, self.at)
  if not from then return nil end
  self.at = to + 1
  return found or self.text:sub(from, to)
end

-- Passes blanks, line ends and comments.
function Reader:skip()
  repeat
    local before = self.at
    self:take "%s+"
    self:take "#[^\n]*"
  until self.at == before
end

local ESCAPES = { b = "\b", t = "\t", n = "\n", f = "\f", r = "\r", ['"'] = '"', ["\\"] = "\\", e = "\27" }

local function utf8_text(hex)
  local code = tonumber(hex, 16)
  if code < 0x80 then return string.char(code) end
  local function part(i) return 0x80 + math.floor(code / 64 ^ i) % 64 end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), part(0)) end
  if code < 0x10000 then return string.char(0xE0 + math.floor(code / 4096), part(1), part(0)) end
  return string.char(0xF0 + math.floor(code / 262144) % 8, part(2), part(1), part(0))
end

-- One escape, behind its backslash.
function Reader:escape()
  local hex = self:take "u(%x%x%x%x)" or self:take "U(%x%x%x%x%x%x%x%x)"
  if hex then return utf8_text(hex) end
  if self:take "[ \t]*\n%s*" then return "" end
  local char = self:take "(.)"
  return ESCAPES[char] or self:fail "an unknown escape"
end

-- The rest of a text that ends with `quote`.
function Reader:quoted(quote)
  local out = {}
  while self.text:sub(self.at, self.at + #quote - 1) ~= quote do
    local char = self:take(#quote == 1 and "([^\n])" or "(.)") or self:fail "a text without an end"
    if char == "\\" and quote:sub(1, 1) == '"' then char = self:escape() end
    out[#out + 1] = char
  end
  self.at = self.at + #quote
  return table.concat(out)
end

-- A text in quotes, or nil.
function Reader:string()
  for _, quote in ipairs { '"""', "'''", '"', "'" } do
    if self:take(quote) then
      if #quote == 3 then self:take "\r?\n" end
      return self:quoted(quote)
    end
  end
end

function Reader:key()
  local keys = {}
  repeat
    self:take "[ \t]+"
    keys[#keys + 1] = self:take "([%w_-]+)" or self:string() or self:fail "a key was expected"
    self:take "[ \t]+"
  until not self:take "%."
  return keys
end

-- The table that keys lead to, made where it is not there.
function Reader:enter(from, keys, count)
  local into = from
  for i = 1, count do
    local inner = into[keys[i]]
    if inner == nil then inner = {} end
    if type(inner) ~= "table" then self:fail(("'%s' is no table"):format(keys[i])) end
    into[keys[i]] = inner
    into = inner[1] ~= nil and type(inner[#inner]) == "table" and inner[#inner] or inner
  end
  return into
end

function Reader:pair(into)
  local keys = self:key()
  if not self:take "=" then self:fail "'=' was expected" end
  self:take "[ \t]+"
  self:enter(into, keys, #keys - 1)[keys[#keys]] = self:value()
end

function Reader:items(close, one)
  local out = {}
  self:skip()
  while not self:take(close) do
    one(out)
    self:skip()
    if not self:take "," and not self.text:find("^" .. close, self.at) then self:fail "',' was expected" end
    self:skip()
  end
  return out
end

function Reader:value()
  if self:take "%[" then
    return self:items("%]", function(out) out[#out + 1] = self:value() end)
  elseif self:take "{" then
    return self:items("}", function(out) self:pair(out) end)
  end
  return self:string() or self:take "([^%s,#%]}]+)" or self:fail "a value was expected"
end

-- A header, "[a.b]" or "[[a.b]]": the table that what follows is in.
function Reader:header(root)
  local listed = self:take "%[%[" or not self:take "%["
  local keys = self:key()
  if not self:take(listed and "%]%]" or "%]") then self:fail "']' was expected" end
  if not listed then return self:enter(root, keys, #keys) end
  local above = self:enter(root, keys, #keys - 1)
  local list = above[keys[#keys]] or {}
  above[keys[#keys]], list[#list + 1] = list, {}
  return list[#list]
end

local function read(text)
  local reader = setmetatable({ text = text:gsub("^\239\187\191", ""):gsub("\r\n", "\n"), at = 1 }, Reader)
  local root = {}
  local into = root
  reader:skip()
  while reader.at <= #reader.text do
    if reader.text:find("^%[", reader.at) then into = reader:header(root) else reader:pair(into) end
    reader:skip()
  end
  return root
end

---The tables of a text; nil and why it cannot be read.
---@param text string
---@return table?
---@return string?
function toml.parse(text)
  local fine, found = pcall(read, text)
  if fine then return found end
  if type(found) == "table" and found.toml then return nil, found.toml end
  error(found, 0)
end

return toml
