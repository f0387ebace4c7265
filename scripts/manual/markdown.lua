-- Writes the manual as Markdown, for browsers and the site.

local read = require "scripts.manual.read"

local out, index, anchors

local function put(...)
  out[#out + 1] = (table.concat({ ... }):gsub("%s+$", ""))
end

-- As GitHub makes an anchor of a heading; one that is there already gets a number.
local function slug(title, used)
  local base = title:lower():gsub("[^%w _-]", ""):gsub(" ", "-")
  local n = used[base]
  used[base] = (n or 0) + 1
  return n and base .. "-" .. n or base
end

local function linked(text)
  return (text:gsub("daytona%.[%w_.:]*[%w_]", function(name)
    local entry = index[name]
    return entry and anchors[entry] and ("[%s](#%s)"):format(name, anchors[entry])
  end))
end

-- Outside of code, what is no text for Markdown.
local function escaped(text)
  return (text:gsub("%b``", function(code) return code:gsub("[<*_]", { ["<"] = "\1", ["*"] = "\2", ["_"] = "\3" }) end)
    :gsub("[<*_]", "\\%0"):gsub("[\1\2\3]", { ["\1"] = "<", ["\2"] = "*", ["\3"] = "_" }))
end

local function prose(text)
  local parts, at = {}, 1
  for before, code, after in text:gmatch "([^`]*)(`[^`]*`)()" do
    parts[#parts + 1], at = linked(escaped(before)) .. code, after
  end
  return table.concat(parts) .. linked(escaped(text:sub(at)))
end

local function paragraphs(lines)
  for _, part in ipairs(read.paragraphs(lines)) do
    if part.text then
      put(prose(part.text))
    else
      put("```lua fragment")
      for _, line in ipairs(part.code) do put(line) end
      put("```")
    end
    put()
  end
end

local function code(text) return "`" .. text .. "`" end

local function item(field)
  put("- ", code(field.name), " ", code(field.type), field.about ~= "" and ": " .. prose(field.about) or "")
end

local function put_function(entry)
  put("```text")
  put(entry.name, "(", entry.arguments, ")")
  put("```")
  put()
  paragraphs(entry.text)
  for _, param in ipairs(entry.params) do item(param) end
  local kinds = {}
  for i, value in ipairs(entry.returns) do
    kinds[i] = code(value.type) .. (value.about ~= "" and " " .. prose(value.about) or "")
  end
  if kinds[1] then put("- returns ", table.concat(kinds, ", ")) end
  for _, overload in ipairs(entry.overloads) do put("- or ", code(overload)) end
  put()
end

local function put_class(entry)
  paragraphs(entry.text)
  for _, field in ipairs(entry.fields) do item(field) end
  put()
end

local function put_alias(entry)
  paragraphs(entry.text)
  put("One of ", table.concat(entry.values, ", "):gsub('"[^"]*"', "`%0`"), ".")
  put()
end

local PUT = { ["function"] = put_function, class = put_class, alias = put_alias }

local function name_all(sections)
  local used = {}
  slug("Reference", used)
  for _, section in ipairs(sections) do
    section.anchor = slug(section.title, used)
    for _, entry in ipairs(section.entries) do anchors[entry] = slug(entry.name, used) end
  end
end

---@return string
return function(sections)
  out, index, anchors = {}, read.index(sections), {}
  name_all(sections)
  put "# Reference"
  put()
  put "Every public call and class, made of the annotations in the code; `:help daytona` is the same in Neovim."
  put "What to call when is said in the [guide](guide.md), the kinds of errors in [errors](errors.md)."
  put()
  for _, section in ipairs(sections) do put(("- [%s](#%s)"):format(section.title, section.anchor)) end
  put()
  for _, section in ipairs(sections) do
    put("## ", section.title)
    put()
    for _, entry in ipairs(section.entries) do
      put("### ", entry.name)
      put()
      PUT[entry.kind](entry)
    end
  end
  return (table.concat(out, "\n"):gsub("\n\n\n+", "\n\n"):gsub("\n+$", "")) .. "\n"
end
