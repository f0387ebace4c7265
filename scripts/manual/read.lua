-- Reads the annotations in lua/daytona into what a manual consists of: sections of
-- entries. It writes nothing; vim.lua and markdown.lua do.
--
-- An entry is a function ({ kind = "function", name = "Sandbox:exec", arguments =,
-- text = lines, params =, returns =, overloads = }), a class ({ kind = "class", name =,
-- text =, fields = }) or an alias ({ kind = "alias", name =, text =, values = }). Params,
-- fields and returns are { name =, type =, about = }.

local M = {}

function M.file(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function contains(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

local function all_files(first, inside)
  local list = { table.unpack(first) }
  local find = "LC_ALL=C find lua/daytona -name '*.lua' ! -path '*/devserver/*' ! -path '*/meta/*' | LC_ALL=C sort"
  for path in io.popen(find):lines() do
    local name = path:match "^lua/daytona/(.+)%.lua$"
    local is_known = contains(first, name) or contains(inside, name)
    if not is_known and M.file(path):find("---@class daytona.", 1, true) then list[#list + 1] = name end
  end
  return list
end

-- Tables of methods whose class has another name.
local CLASSES = { Unseen = "Sandbox" }

-- "daytona.task.spawn" -> "daytona.spawn", as init.lua has it; "daytona.pty.open"
-- -> "Sandbox:pty", "daytona.control.life.start" -> "Sandbox:start", as sandbox.lua has it.
local function public_names()
  local names = {}
  for alias, module, name in M.file("lua/daytona/init.lua"):gmatch '([%w_]+) = { "([%w_.]+)", "([%w_]+)" }' do
    names[module .. "." .. name] = "daytona." .. alias
  end
  local later = '(%w+)%.([%w_]+) = later%("([%w_.]+)", "([%w_]+)"%)'
  for _, file in ipairs { "control/client", "control/sandbox", "toolbox/fs/init" } do
    for class, method, module, name in M.file("lua/daytona/" .. file .. ".lua"):gmatch(later) do
      names[module .. "." .. name] = (CLASSES[class] or class) .. ":" .. method
    end
  end
  local same = "Sandbox%.([%w_]+) = (%l+)%.([%w_]+)\n"
  for method, module, name in M.file("lua/daytona/control/sandbox.lua"):gmatch(same) do
    names["daytona.control." .. module .. "." .. name] = "Sandbox:" .. method
  end
  return names
end

--- Blocks ---------------------------------------------------------------------------------

local LISTS = { param = "params", ["return"] = "returns", field = "fields", overload = "overloads" }

local function take(block, text)
  local tag, rest = text:match "^@(%a+)%s*(.*)$"
  local alternative = text:match "^|%s*(.*)$"
  if alternative and block.alias then block.values[#block.values + 1] = alternative
  elseif tag == "field" and rest:find "^package " then return
  elseif LISTS[tag] then table.insert(block[LISTS[tag]], rest)
  elseif tag == "class" then block.class = rest:match "^[%w_.]+"
  elseif tag == "alias" then block.alias, block.values[1] = rest:match "^(%S+)%s*(.*)$"
  elseif tag == "private" then block.private = true
  elseif tag == "type" then block.kind = rest
  elseif not tag then
    local list = block.params[1] and block.params or block.fields[1] and block.fields
    if list then list[#list] = list[#list] .. " " .. text else block.text[#block.text + 1] = text end
  end
end

local function new_block()
  return { text = {}, params = {}, returns = {}, fields = {}, overloads = {}, values = {} }
end

-- Blocks of "---" lines, each with the line of code behind it.
local function blocks(path)
  local list, current = {}, nil
  for line in io.lines(path) do
    local text = line:match "^%-%-%-(.*)$"
    if text and not text:find "^ .*%-%-%-%-%-%-$" then
      current = current or new_block()
      take(current, text)
    elseif current then
      current.code = line
      list[#list + 1] = current
      current = nil
    end
  end
  return list
end

--- Types ----------------------------------------------------------------------------------

-- Calls fn(i, c, depth) for each character, with how many brackets are open behind it.
local function walk(text, fn)
  local depth = 0
  for i = 1, #text do
    local c = text:sub(i, i)
    if c:find "[({%[<]" then depth = depth + 1 end
    if c:find "[)}%]>]" then depth = depth - 1 end
    local done = fn(i, c, depth)
    if done then return done end
  end
end

-- "type  about": the type ends at the first space outside of brackets that nothing
-- binds to what follows.
local function split_type(text)
  local at = walk(text, function(i, c, depth)
    if c == " " and depth == 0 and not text:sub(1, i - 1):find "[:,|]$" then return i end
  end)
  if not at then return text, "" end
  return text:sub(1, at - 1), text:sub(at + 1):match "^%s*(.*)$"
end

-- Splits at the commas outside of brackets.
local function split_list(text)
  local list, from = {}, 1
  walk(text .. ",", function(i, c, depth)
    if c == "," and depth == 0 then
      if i > from then list[#list + 1] = text:sub(from, i - 1):match "^%s*(.-)%s*$" end
      from = i + 1
    end
  end)
  return list
end

-- With spaces around the bars, as which they are no links in a Vim manual.
local function spaced(kind)
  return (kind:gsub("%s*|%s*", " | "))
end

local function named(text)
  local name, rest = text:match '^%["([%w_]+)"%](%S*%s*.*)$'
  if name then
    local optional
    optional, rest = rest:match "^(%??)%s*(.*)$"
    name = name .. optional
  else
    name, rest = text:match "^(%S+)%s*(.*)$"
  end
  local kind, about = split_type(rest)
  return { name = name, type = spaced(kind), about = about }
end

local function unnamed(text)
  local kind, about = split_type(text)
  return { type = spaced(kind), about = about }
end

local function map(list, fn)
  local out = {}
  for _, item in ipairs(list) do out[#out + 1] = fn(item) end
  return out
end

--- Entries ----------------------------------------------------------------------------------

-- A method that is assigned: what it takes and returns stands in its type,
-- "fun(self: X, name: kind): kind".
local function assigned(block)
  local class, method = block.code:match "^([A-Z]%w*)%.([%w_]+) = "
  local inside, after = (block.kind or ""):match "^fun(%b())(.*)$"
  if not class or not inside then return nil end
  local arguments = {}
  for _, param in ipairs(split_list(inside:sub(2, -2))) do
    local name, kind = param:match "^([%w_?]+): (.*)$"
    if name ~= "self" then
      arguments[#arguments + 1] = name:gsub("?", "")
      block.params[#block.params + 1] = name .. " " .. kind
    end
  end
  block.returns = split_list(after:gsub("^: ", ""))
  return class .. ":" .. method, table.concat(arguments, ", ")
end

-- The public name of what a block describes, and its arguments.
local function definition(block, module, names)
  local name, arguments = block.code:match "^function ([%w_.:]+)%((.-)%)"
  if not name then return assigned(block) end
  if module == "daytona.toolbox.process" then
    local method = name:match "^process%.(%w+)$"
    return method and "Sandbox:" .. method, (arguments:gsub("^self,? ?", ""))
  end
  if name:find "^[A-Z][%w]*:" and not name:find "__" then return name, arguments end
  if module == "daytona.init" then return name, arguments end
  return names[module .. "." .. name:match "[%w_]+$"], (arguments:gsub("^self,? ?", ""))
end

-- Another form of a call: "(opts): type".
local function form(overload)
  return spaced((overload:gsub("^fun%(self: [%w.]+,? ?", "("):gsub("^fun", "")))
end

local function as_function(name, arguments, block)
  local params = {}
  for _, param in ipairs(block.params) do
    if not param:find "^self " then params[#params + 1] = named(param) end
  end
  return {
    kind = "function", name = name, arguments = arguments, text = block.text, params = params,
    returns = map(block.returns, unnamed), overloads = map(block.overloads, form),
  }
end

local function as_class(block)
  local fields = {}
  for _, field in ipairs(block.fields) do
    if not field:find "fun%(self" then fields[#fields + 1] = named(field) end -- methods have entries of their own
  end
  return { kind = "class", name = block.class, text = block.text, fields = fields }
end

local function as_alias(block)
  local values = {}
  for _, value in ipairs(block.values) do
    for one in value:gmatch "[^|]+" do values[#values + 1] = one:match "^%s*(.-)%s*$" end
  end
  return { kind = "alias", name = block.alias, text = block.text, values = values }
end

local function section(name, names, lists)
  local module, entries = "daytona." .. name:gsub("/", "."):gsub("(.)%.init$", "%1"), {}
  for _, block in ipairs(blocks("lua/daytona/" .. name .. ".lua")) do
    local public, arguments = definition(block, module, names)
    if block.class and (block.fields[1] or block.text[1]) and not lists.internal[block.class] then
      entries[#entries + 1] = as_class(block)
    elseif block.alias and block.alias:find "^daytona%." then
      entries[#entries + 1] = as_alias(block)
    elseif public and block.text[1] and not block.private and not lists.internal[public] then
      entries[#entries + 1] = as_function(public, arguments, block)
    end
  end
  if not entries[1] then return nil end
  local title = name == "init" and "module" or name:gsub("/init$", ""):gsub("^%l+/", ""):gsub("/", "-")
  return { title = title, entries = entries }
end

---The sections of the manual.
---@param lists { files: string[], inside: string[], internal: table<string, true> }
function M.sections(lists)
  local out, names, by_title = {}, public_names(), {}
  for _, name in ipairs(all_files(lists.files, lists.inside)) do
    local new = section(name, names, lists)
    local there = new and by_title[new.title]
    if there then
      table.move(new.entries, 1, #new.entries, #there.entries + 1, there.entries)
    elseif new then
      out[#out + 1], by_title[new.title] = new, new
    end
  end
  return out
end

---The name under which an entry is found: "daytona.Sandbox:exec".
function M.full_name(entry)
  return entry.name:find "^daytona%." and entry.name or "daytona." .. entry.name
end

---The entry that a text may mean by "daytona.Client.create", or nil.
function M.index(sections)
  local index = {}
  for _, one in ipairs(sections) do
    for _, entry in ipairs(one.entries) do
      local name = M.full_name(entry)
      index[name], index[name:gsub(":", ".")] = entry, entry
    end
  end
  return index
end

---Takes a text apart into paragraphs: { text = } or { code = lines }.
function M.paragraphs(lines)
  local out = {}
  for _, line in ipairs(lines) do
    local last, code = out[#out], line:match "^%s%s%s%s(.*)$"
    if code then
      if not last or not last.code then out[#out + 1] = { code = {} } end
      table.insert(out[#out].code, code)
    elseif not line:find "%S" then
      if last and not last.code then last.closed = true end
    elseif last and last.text and not last.closed and not line:find "^%s*[-*] " then
      last.text = last.text .. " " .. line
    else
      out[#out + 1] = { text = line }
    end
  end
  return out
end

return M
