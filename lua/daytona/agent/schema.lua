-- JSON Schema 2020-12, as far as descriptions of tools need it: whether a value is what
-- a schema says, and if not, which field is wrong, what came and what is allowed.
--
-- Keywords that would narrow a value down and that are not known here are refused
-- (`schema.flaw`), so that nothing passes unchecked. A table that is empty is an array
-- and an object; a value is never changed.

local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"

local schema = {}

local null = json.null
local LONGEST_SHOWN = 60 -- bytes of a text that came

--- Kinds of values --------------------------------------------------------------------

local function is_array(value)
  if type(value) ~= "table" then return false end
  return value[1] ~= nil or next(value) == nil or getmetatable(value) == getmetatable(json.array())
end

local function is_object(value)
  return type(value) == "table" and value[1] == nil and (next(value) == nil or not is_array(value))
end

local function is_number(value)
  return type(value) == "number" and value == value
end

local KINDS = {
  null = function(value) return value == null end,
  boolean = function(value) return type(value) == "boolean" end,
  string = function(value) return type(value) == "string" end,
  number = is_number,
  integer = function(value) return is_number(value) and value % 1 == 0 end,
  array = is_array,
  object = is_object,
}

local function article(kind)
  if kind == "null" then return "null" end
  return (kind:find "^[aio]" and "an " or "a ") .. kind
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- What is said about them ----------------------------------------------------------

local function kind_of(value)
  if value == null then return "null" end
  if type(value) == "table" then return is_array(value) and value[1] ~= nil and "an array" or "an object" end
  return article(type(value))
end

-- What came, unless it is a secret or long.
local function shown(value, node)
  local kind = type(value)
  if kind == "number" then return json.encode(value) or tostring(value) end
  if kind == "boolean" then return tostring(value) end
  if kind ~= "string" then return kind_of(value) end
  if node.writeOnly or #value > LONGEST_SHOWN then return "a string of " .. #value .. " bytes" end
  return json.encode(value) or "a string that is not UTF-8"
end

local function listed(values)
  local out = {}
  for i, value in ipairs(values) do out[i] = ordered.encode(value) or "?" end
  return table.concat(out, ", ")
end

local function names_in(properties)
  local names = {}
  for name in pairs(properties or {}) do names[#names + 1] = name end
  table.sort(names)
  return #names > 0 and "the fields are: " .. table.concat(names, ", ") or "it has no fields"
end

local function problem(state, path, message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  state[#state + 1] = { path = path, message = message }
end

local function at_field(path, name)
  if not name:find "^[%a_][%w_]*$" then return path .. "[" .. (json.encode(name) or '"?"') .. "]" end
  return path == "" and name or path .. "." .. name
end

--- Keywords -----------------------------------------------------------------------------

local check

-- Keyword -> fn(state, node, value, path). In the order of ORDER, so that messages are
-- always the same.
local KEYWORDS, ORDER = {}, {}

local function keyword(name, fn)
  KEYWORDS[name] = fn
  ORDER[#ORDER + 1] = name
end

keyword("type", function(state, node, value, path)
  local kinds = type(node.type) == "table" and node.type or { node.type }
  for _, kind in ipairs(kinds) do
    if KINDS[kind](value) then return end
  end
  local words = {}
  for i, kind in ipairs(kinds) do words[i] = article(kind) end
  problem(state, path, "must be %s, not %s", table.concat(words, " or "), shown(value, node))
end)

keyword("enum", function(state, node, value, path)
  for _, allowed in ipairs(node.enum) do
    if same(allowed, value) then return end
  end
  problem(state, path, "must be one of %s, not %s", listed(node.enum), shown(value, node))
end)

keyword("const", function(state, node, value, path)
  if not same(node.const, value) then problem(state, path, "must be %s", ordered.encode(node.const)) end
end)

local function bound(name, fails, words)
  keyword(name, function(state, node, value, path)
    if is_number(value) and fails(value, node[name]) then
      problem(state, path, "must be %s %s, not %s", words, shown(node[name], {}), shown(value, node))
    end
  end)
end

bound("minimum", function(value, limit) return value < limit end, "at least")
bound("maximum", function(value, limit) return value > limit end, "at most")
bound("exclusiveMinimum", function(value, limit) return value <= limit end, "more than")
bound("exclusiveMaximum", function(value, limit) return value >= limit end, "less than")
bound("multipleOf", function(value, unit)
  local times = value / unit
  return times % 1 ~= 0 and math.abs(times - math.floor(times + 0.5)) > 1e-9
end, "a multiple of")

local function characters(text)
  return select(2, text:gsub("[^\128-\191]", ""))
end

local function length(name, kind, count, fails, words)
  keyword(name, function(state, node, value, path)
    if not kind(value) then return end
    local n = count(value)
    if fails(n, node[name]) then
      problem(state, path, "must have %s %d %s, not %d", fails(1, 0) and "at most" or "at least", node[name], words, n)
    end
  end)
end

local function entries(object)
  local n = 0
  for _ in pairs(object) do n = n + 1 end
  return n
end

local function more(n, limit) return n > limit end
local function fewer(n, limit) return n < limit end
local function items_in(list) return #list end

length("minLength", KINDS.string, characters, fewer, "characters")
length("maxLength", KINDS.string, characters, more, "characters")
length("minItems", is_array, items_in, fewer, "items")
length("maxItems", is_array, items_in, more, "items")
length("minProperties", is_object, entries, fewer, "fields")
length("maxProperties", is_object, entries, more, "fields")

keyword("uniqueItems", function(state, node, value, path)
  if not node.uniqueItems or not is_array(value) then return end
  for i = 1, #value do
    for j = 1, i - 1 do
      if same(value[i], value[j]) then return problem(state, path, "must not hold the same item twice") end
    end
  end
end)

keyword("required", function(state, node, value, path)
  if not is_object(value) then return end
  for _, name in ipairs(node.required) do
    if value[name] == nil then problem(state, at_field(path, name), "is required, and missing") end
  end
end)

keyword("dependentRequired", function(state, node, value, path)
  if not is_object(value) then return end
  for name, others in pairs(node.dependentRequired) do
    for _, other in ipairs(value[name] ~= nil and others or {}) do
      if value[other] == nil then problem(state, at_field(path, other), "is required with %s", name) end
    end
  end
end)

local function sorted(object)
  local names = {}
  for name in pairs(object) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

keyword("properties", function(state, node, value, path)
  if not is_object(value) then return end
  for _, name in ipairs(sorted(node.properties)) do
    if value[name] ~= nil then check(state, node.properties[name], value[name], at_field(path, name)) end
  end
end)

keyword("additionalProperties", function(state, node, value, path)
  if not is_object(value) then return end
  for _, name in ipairs(sorted(value)) do
    local known = node.properties and node.properties[name] ~= nil
    if not known and node.additionalProperties == false then
      problem(state, at_field(path, name), "is not known; %s", names_in(node.properties))
    elseif not known then
      check(state, node.additionalProperties, value[name], at_field(path, name))
    end
  end
end)

keyword("propertyNames", function(state, node, value, path)
  if not is_object(value) then return end
  for _, name in ipairs(sorted(value)) do check(state, node.propertyNames, name, at_field(path, name)) end
end)

keyword("prefixItems", function(state, node, value, path)
  if not is_array(value) then return end
  for i = 1, math.min(#node.prefixItems, #value) do
    check(state, node.prefixItems[i], value[i], path .. "[" .. i - 1 .. "]")
  end
end)

keyword("items", function(state, node, value, path)
  if not is_array(value) then return end
  for i = #(node.prefixItems or {}) + 1, #value do
    check(state, node.items, value[i], path .. "[" .. i - 1 .. "]")
  end
end)

-- Whether a value is what a schema says; its problems go nowhere.
local function matches(state, node, value)
  local apart = { root = state.root, depth = state.depth }
  check(apart, node, value, "")
  return apart[1] == nil
end

keyword("contains", function(state, node, value, path)
  if not is_array(value) then return end
  local n = 0
  for i = 1, #value do
    if matches(state, node.contains, value[i]) then n = n + 1 end
  end
  local least, most = node.minContains or 1, node.maxContains or math.huge
  if n < least then problem(state, path, "must hold at least %d item of another kind", least) end
  if n > most then problem(state, path, "holds too many items of one kind: %d", n) end
end)

keyword("allOf", function(state, node, value, path)
  for _, part in ipairs(node.allOf) do check(state, part, value, path) end
end)

keyword("anyOf", function(state, node, value, path)
  for _, part in ipairs(node.anyOf) do
    if matches(state, part, value) then return end
  end
  check(state, node.anyOf[1], value, path)
  problem(state, path, "or it must be one of the %d other kinds that the schema names", #node.anyOf - 1)
end)

keyword("oneOf", function(state, node, value, path)
  local n = 0
  for _, part in ipairs(node.oneOf) do
    if matches(state, part, value) then n = n + 1 end
  end
  if n ~= 1 then problem(state, path, "must be exactly one of %d kinds, and is %d of them", #node.oneOf, n) end
end)

keyword("not", function(state, node, value, path)
  if matches(state, node["not"], value) then problem(state, path, "is not allowed here: %s", shown(value, node)) end
end)

keyword("if", function(state, node, value, path)
  local branch = node["else"]
  if matches(state, node["if"], value) then branch = node["then"] end
  if branch ~= nil then check(state, branch, value, path) end
end)

-- "#/$defs/name", in the schema that was given.
local function resolve(root, pointer)
  local node = root
  for step in pointer:sub(2):gmatch "/([^/]*)" do
    step = step:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
      :gsub("~1", "/"):gsub("~0", "~")
    node = type(node) == "table" and (node[step] or node[tonumber(step) and tonumber(step) + 1])
  end
  return node
end

local DEEPEST = 200

keyword("$ref", function(state, node, value, path)
  state.depth = state.depth + 1
  if state.depth > DEEPEST then
    problem(state, path, "is nested too deeply")
  else
    check(state, resolve(state.root, node["$ref"]), value, path)
  end
  state.depth = state.depth - 1
end)

function check(state, node, value, path)
  if node == true then return end
  if node == false then return problem(state, path, "is not allowed") end
  local before = #state
  for i = 1, #ORDER do
    local name = ORDER[i]
    if node[name] ~= nil then KEYWORDS[name](state, node, value, path) end
    if i == 1 and #state > before then return end -- the type: more would only confuse
  end
end

--- The schema itself ---------------------------------------------------------------------

-- What says nothing about whether a value fits.
local ANNOTATIONS = {}
for word in ([[title description default examples deprecated readOnly writeOnly format contentEncoding contentMediaType
  $comment $schema $id $anchor $defs definitions then else minContains maxContains]]):gmatch "%S+" do
  ANNOTATIONS[word] = true
end

-- Where schemas are inside a schema: alone, in a list, by name.
local INSIDE = {
  additionalProperties = "one", items = "one", contains = "one", propertyNames = "one", ["not"] = "one", ["if"] = "one",
  ["then"] = "one", ["else"] = "one", allOf = "many", anyOf = "many", oneOf = "many", prefixItems = "many",
  properties = "many", ["$defs"] = "many",
}

local flaw_in

local function flaw_inside(root, name, value, path)
  if INSIDE[name] == "one" then return flaw_in(root, value, path .. "/" .. name) end
  if INSIDE[name] ~= "many" then return nil end
  if type(value) ~= "table" then return path .. "/" .. name .. " is no table" end
  for key, node in pairs(value) do
    local flaw = flaw_in(root, node, path .. "/" .. name .. "/" .. tostring(key))
    if flaw then return flaw end
  end
end

local function flaw_of_keyword(root, name, value, path)
  if not KEYWORDS[name] and not ANNOTATIONS[name] and not tostring(name):find "^x%-" then
    return ("the keyword '%s' (at %s) is not supported"):format(tostring(name), path)
  end
  if name == "type" then
    for _, kind in ipairs(type(value) == "table" and value or { value }) do
      if not KINDS[kind] then return ("there is no type '%s' (at %s)"):format(tostring(kind), path) end
    end
  elseif name == "$ref" then
    local target = type(value) == "string" and value:sub(1, 1) == "#" and resolve(root, value)
    if not target then return ("the reference at %s leads nowhere"):format(path) end
  end
  return flaw_inside(root, name, value, path)
end

function flaw_in(root, node, path)
  if type(node) == "boolean" then return nil end
  if type(node) ~= "table" then return path .. " is no schema" end
  for _, name in ipairs(sorted(node)) do
    local flaw = flaw_of_keyword(root, name, node[name], path)
    if flaw then return flaw end
  end
end

---What is wrong with a schema, or nil: keywords that are not supported here, types that
---there are not, references that lead nowhere.
---@param node any
---@return string?
function schema.flaw(node)
  return flaw_in(node, node, "#")
end

---Checks a value. true, or nil and what is wrong, one problem each: where (`path`, as
---"files[0].name"; "" is the value itself) and a message that says what came and what
---is allowed. Values of fields that are `writeOnly` are not shown.
---@param node table|boolean
---@param value any
---@return true?
---@return { path: string, message: string }[]?
function schema.check(node, value)
  local state = { root = node, depth = 0 }
  check(state, node, value, "")
  if state[1] == nil then return true end
  return nil, state
end

---The problems as one text, a line each.
---@param problems { path: string, message: string }[]
---@param whole string  what the value itself is called: "the arguments"
---@return string
function schema.describe(problems, whole)
  local lines = {}
  for i, one in ipairs(problems) do
    lines[i] = (one.path == "" and whole or one.path) .. " " .. one.message
  end
  return table.concat(lines, "\n")
end

return schema
