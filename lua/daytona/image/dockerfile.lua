-- The text of Dockerfiles: how words are written into one, and which files of this
-- machine one copies. Knows no file system.

local json = require "daytona.http.json"
local quoted = require "daytona.base.quoted"

local dockerfile = {}

---The order of texts by their bytes, for table.sort: `<` would ask the locale, and what is
---built must not depend on it.
---@param a string
---@param b string
---@return boolean
function dockerfile.before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

--- Writing -------------------------------------------------------------------------------

---A word as the shell of a RUN, ENV or WORKDIR reads it.
---@param text string
---@return string
function dockerfile.quote(text)
  if text ~= "" and not text:find("[^%w_@%%+=:,./-]") then return text end
  return "'" .. text:gsub("'", "'\"'\"'") .. "'"
end

local CONTROL = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f",
}

local function control(char)
  return CONTROL[char] or ("\\u%04x"):format(char:byte())
end

-- Lead byte: how many bytes follow it, and its own bits.
local function lead_of(byte)
  if byte >= 0xF0 then return 3, byte - 0xF0 end
  if byte >= 0xE0 then return 2, byte - 0xE0 end
  return 1, byte - 0xC0
end

-- What is above ASCII, in escapes; what is no UTF-8 stays as it is.
local function escaped(char)
  local follow, code = lead_of(char:byte())
  if char:byte() < 0xC2 or char:byte() > 0xF4 or #char ~= follow + 1 then return char end
  for i = 2, #char do code = code * 64 + char:byte(i) - 128 end
  if code < 0x10000 then return ("\\u%04x"):format(code) end
  code = code - 0x10000
  return ("\\u%04x\\u%04x"):format(0xD800 + math.floor(code / 1024), 0xDC00 + code % 1024)
end

local function json_text(text)
  text = text:gsub('[%c"\\]', control):gsub("[\192-\255][\128-\191]*", escaped)
  return '"' .. text .. '"'
end

---Words in the JSON form of an instruction, which takes each as it is: `["a", "b c"]`.
---@param words string[]
---@return string
function dockerfile.list(words)
  local out = {}
  for i = 1, #words do out[i] = json_text(words[i]) end
  return "[" .. table.concat(out, ", ") .. "]"
end

---Words in double quotes, as the service's other clients write a command that is a list.
---The shell takes a backslash off each quote that stands in one.
---@param words string[]
---@return string
function dockerfile.double_quoted(words)
  local out = {}
  for i = 1, #words do
    out[i] = '"' .. words[i]:gsub('"', '\\\\\\"'):gsub("'", "\\'") .. '"'
  end
  return table.concat(out, " ")
end

--- Reading -------------------------------------------------------------------------------

local function is_blank(line)
  return line:find "^%s*$" ~= nil or line:find "^%s*#" ~= nil
end

-- The names that end the texts which begin behind a line: `<<EOF`, `<<-"EOF"`.
local function here_documents(line)
  local names = {}
  for dash, name in line:gsub("<<<+", ""):gmatch "<<(%-?)[\"']?([%a_][%w_]*)[\"']?" do
    names[#names + 1] = { name, dash == "-" }
  end
  return names
end

-- The index of the line behind the texts in question.
local function behind_texts(lines, at, names)
  for _, name in ipairs(names) do
    while lines[at] do
      local line = name[2] and lines[at]:gsub("^\t+", "") or lines[at]
      at = at + 1
      if line == name[1] then break end
    end
  end
  return at
end

-- The instruction that begins at a line, continued lines joined, and the index behind it.
local function instruction_at(lines, at)
  local parts = {}
  while lines[at] do
    local line = lines[at]
    at = at + 1
    if not (parts[1] and is_blank(line)) then
      local begun = line:match "^(.-)\\%s*$"
      parts[#parts + 1] = begun or line
      if not begun then break end
    end
  end
  return table.concat(parts, " "), at
end

---The instructions of a Dockerfile, one by one, without what stands in here-documents.
---@param text string
---@return string[]
function dockerfile.instructions(text)
  local lines, out, at = {}, {}, 1
  for line in (text:gsub("\r\n", "\n") .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  while lines[at] do
    if is_blank(lines[at]) then
      at = at + 1
    else
      local instruction
      instruction, at = instruction_at(lines, at)
      out[#out + 1] = instruction
      if instruction:find("^%s*[RrCcAa][UuOoDd][NnPpDd]") then
        at = behind_texts(lines, at, here_documents(instruction))
      end
    end
  end
  return out
end

-- The words of the rest of an instruction: a JSON list, or texts between spaces.
local function words_of(rest)
  if rest:sub(1, 1) == "[" then
    local list = json.decode(rest)
    return type(list) == "table" and list or {}
  end
  local words, at = {}, 1
  while true do
    local quote, from = rest:match("^%s*([\"'])()", at)
    local stop = quote and quoted.stop(rest, from, quote)
    if stop then
      words[#words + 1], at = rest:sub(from, stop - 1), stop + 1
    else
      local word, after = rest:match("^%s*(%S+)()", at)
      if not word then return words end
      words[#words + 1], at = word, after
    end
  end
end

local COPIES = { COPY = true, ADD = true }

local function is_remote(source)
  return source:find "^%a[%w+.-]*://" ~= nil or source:find "^git@" ~= nil
end

-- The local sources of one instruction.
local function sources_in(instruction)
  local name, rest = instruction:match "^%s*(%a+)%s+(.-)%s*$"
  if not name or not COPIES[name:upper()] then return {} end
  local flag, after = rest:match "^(%-%-%S+)%s+(.*)$"
  while flag do
    if flag:find "^%-%-from=" then return {} end -- of a stage or an image
    rest = after
    flag, after = rest:match "^(%-%-%S+)%s+(.*)$"
  end
  local words, out = words_of(rest), {}
  for i = 1, #words - 1 do
    local source = words[i]
    if type(source) == "string" and not source:find "^<<" and not is_remote(source) then out[#out + 1] = source end
  end
  return out
end

---What a Dockerfile's COPY and ADD take from this machine, in order, as it is written.
---@param text string
---@return string[]
function dockerfile.sources(text)
  local out = {}
  for _, instruction in ipairs(dockerfile.instructions(text)) do
    for _, source in ipairs(sources_in(instruction)) do out[#out + 1] = source end
  end
  return out
end

return dockerfile
