-- Writes the manual for `:help`.

local read = require "scripts.manual.read"

local WIDTH = 78

local out, index

local function put(...)
  out[#out + 1] = (table.concat({ ... }):gsub("%s+$", ""))
end

local function tag_of(entry)
  return read.full_name(entry) .. (entry.kind == "function" and "()" or "")
end

-- Names of what has an entry become links to it.
local function linked(text)
  return (text:gsub("daytona%.[%w_.:]*[%w_]", function(name)
    local entry = index[name]
    return entry and "|" .. tag_of(entry) .. "|"
  end))
end

-- Cuts a word that fits on no line where something may end.
local function pieces(word, room)
  if #word <= room then return { word } end
  local list = {}
  while #word > room do
    local at = word:sub(1, room):match "^.*[,|({%[]()" or room + 1
    list[#list + 1], word = word:sub(1, at - 1), word:sub(at)
  end
  list[#list + 1] = word
  return list
end

-- Breaks text into lines of WIDTH, the first begun, the others indented.
local function wrap(begin, indent, text)
  local line = begin
  for word in text:gmatch "%S+" do
    for _, piece in ipairs(pieces(word, WIDTH - indent - 1)) do
      if #line + 1 + #piece > WIDTH and line:find "%S" then
        put(line)
        line = (" "):rep(indent) .. piece
      else
        line = line .. ((line == "" or line:find " $") and "" or " ") .. piece
      end
    end
  end
  put(line)
end

local function right(tag, width)
  return (" "):rep(math.max(width - #tag - 2, 1)) .. "*" .. tag .. "*"
end

local function heading(title, tag)
  put(("="):rep(WIDTH))
  put(title, right(tag, WIDTH - #title))
  put()
end

-- A line of code as it stands, or, too long, broken at its blanks.
local function put_code(line)
  if #line + 2 <= WIDTH then return put("  ", line) end
  wrap("  " .. line:match "^%s*", 6, line)
end

local function paragraphs(lines)
  for i, part in ipairs(read.paragraphs(lines)) do
    if i > 1 then put() end
    if part.text then
      wrap("  ", part.text:find "^%s*[-*] " and 4 or 2, linked(part.text))
    else
      put(">")
      for _, line in ipairs(part.code) do put_code(line) end
      put("<")
    end
  end
end

local function item(field)
  local about = field.about ~= "" and "  " .. linked(field.about) or ""
  wrap("  {" .. field.name .. "}", 6, field.type .. about)
end

local function returns(entry)
  if not entry.returns[1] then return end
  put()
  local kinds = {}
  for i, value in ipairs(entry.returns) do kinds[i] = value.type .. (value.about ~= "" and " " .. value.about or "") end
  wrap("  Returns", 6, linked(table.concat(kinds, ", ")))
end

local function put_function(entry)
  local tag = tag_of(entry)
  local call = entry.name .. "(" .. entry.arguments:gsub("[%w_]+", "{%0}") .. ")"
  if #call + #tag + 3 > WIDTH then
    put(right(tag, WIDTH))
    put(call)
  else
    put(call, right(tag, WIDTH - #call))
  end
  paragraphs(entry.text)
  if entry.params[1] then put() end
  for _, param in ipairs(entry.params) do item(param) end
  returns(entry)
  for _, overload in ipairs(entry.overloads) do wrap("  Or", 6, linked(overload)) end
  put()
end

local function put_class(entry)
  if entry.name ~= "daytona" then put(right(entry.name, WIDTH)) end -- that is the tag of the whole
  if entry.text[1] then
    paragraphs(entry.text)
    put()
  end
  for _, field in ipairs(entry.fields) do item(field) end
  put()
end

local function put_alias(entry)
  put(right(entry.name, WIDTH))
  paragraphs(entry.text)
  wrap("  One of", 6, table.concat(entry.values, ", "))
  put()
end

local PUT = { ["function"] = put_function, class = put_class, alias = put_alias }

-- What there is, at the beginning.
local function contents(sections)
  put("CONTENTS", right("daytona-contents", WIDTH - #"CONTENTS"))
  put()
  local function line(title, tag) put("  ", title, (" "):rep(30 - #title), "|", tag, "|") end
  for _, title in ipairs { "setup", "waiting", "failures" } do line(title, "daytona-" .. title) end
  for _, section in ipairs(sections) do line(section.title, "daytona-" .. section.title) end
  put()
end

---@return string
return function(sections, introduction)
  out, index = {}, read.index(sections)
  put("*daytona.txt*  Sandboxes for Lua programs", right("daytona", WIDTH - 41))
  put()
  local first, rest = introduction:match "^(.-\n)(SETUP.*)$"
  for line in first:gmatch "([^\n]*)\n" do put(line) end
  contents(sections)
  for line in rest:gmatch "([^\n]*)\n" do put(line) end
  put()
  for _, section in ipairs(sections) do
    heading(section.title:upper(), "daytona-" .. section.title)
    for _, entry in ipairs(section.entries) do
      PUT[entry.kind](entry)
    end
  end
  put(" vim:tw=78:ts=8:ft=help:norl:")
  return table.concat(out, "\n") .. "\n"
end
