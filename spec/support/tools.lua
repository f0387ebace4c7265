-- What specs of toolsets share: a call whose result is checked on the way.

local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local schema = require "daytona.agent.schema"

local M = {}

---Calls a tool that must succeed; its data must be what its output schema says, also
---after a round trip through JSON. The result.
function M.call(tools, name, arguments, opts)
  local result = tools:call(name, arguments, opts)
  assert(result.ok, name .. ": " .. result.text)
  local node = tools.by_name[name].output
  if node then
    local again = json.decode(assert(ordered.encode(result.data)))
    local fine, problems = schema.check(node, again)
    assert(fine, problems and schema.describe(problems, name))
  end
  return result
end

---Calls a tool that must fail; the kind and the text of the failure.
function M.fail(tools, name, arguments)
  local result = tools:call(name, arguments)
  assert(not result.ok, name .. " did not fail: " .. result.text:sub(1, 200))
  assert(result.text ~= "" and #result.text <= 60 * 1024, name)
  assert(json.encode(result.text), name .. ": the failure is not UTF-8")
  return result.error.kind, result.text
end

-- Values that are wrong for a schema, or malicious for one that takes them.
local function wrong_values(node)
  if node.enum then return { "none-of-them", 1 } end
  if node.type == "string" then return { 1, true, { a = 1 }, { "x" }, "\255\254" } end
  if node.type == "boolean" then return { "true", 1 } end
  if node.type == "array" then return { "x", { a = 1 } } end
  if node.type == "object" then return { "x", { "y" }, 1 } end
  local list = { "1", true, { 1 } }
  if node.type == "integer" then list[#list + 1] = 1.5 end
  if node.minimum then list[#list + 1] = node.minimum - 1 end
  if node.maximum then list[#list + 1] = node.maximum + 1 end
  return list
end

local function with(arguments, name, value)
  local out = {}
  for key, item in pairs(arguments) do out[key] = item end
  out[name] = value
  return out
end

-- A value that fits a schema.
local function right_value(node)
  if node.enum then return node.enum[1] end
  if node.type == "string" then return ("x"):rep(math.max(node.minLength or 1, 1)) end
  if node.type == "boolean" then return true end
  if node.type == "array" then
    local list = {}
    for i = 1, node.minItems or 1 do list[i] = right_value(node.items) end
    return list
  end
  if node.type ~= "object" then return math.max(node.minimum or 1, 1) end
  local out = {}
  for _, name in ipairs(node.required or {}) do out[name] = right_value(node.properties[name]) end
  return out
end

---Arguments that fit a tool: those that are required.
function M.right(tool)
  return right_value(tool.input or { type = "object" })
end

---Calls fn(arguments, what) with everything that is wrong about the arguments of a
---tool, of which `right` are right ones: wrong types, each required field missing, one
---too many.
function M.wrong_arguments(tool, right, fn)
  local input = tool.input or { properties = {} }
  for name, node in pairs(input.properties or {}) do
    for _, value in ipairs(wrong_values(node)) do fn(with(right, name, value), name) end
  end
  for _, name in ipairs(input.required or {}) do fn(with(right, name, nil), name .. " is required") end
  fn(with(right, "surprise", 1), "surprise is not known")
end

return M
