-- JSON Schemas (2020-12), written shortly. What these functions return is the schema
-- itself, a plain table; only the order of its properties is noted beside it.
--
--   shape.object {
--     { "path", shape.string "File to read." },
--     { "limit?", shape.integer("Lines at most.", { minimum = 1, default = 2000 }) },
--   }

local ordered = require "daytona.http.ordered_json"

local shape = {}

local function make(kind, description, more)
  local schema = { type = kind, description = description }
  for key, value in pairs(more or {}) do schema[key] = value end
  return schema
end

local function maker(kind)
  return function(description, more) return make(kind, description, more) end
end

---@type fun(description?: string, more?: table): table
shape.string = maker "string"
---@type fun(description?: string, more?: table): table
shape.integer = maker "integer"
---@type fun(description?: string, more?: table): table
shape.number = maker "number"
---@type fun(description?: string, more?: table): table
shape.boolean = maker "boolean"

---A string that no message, log or result may show.
---@param description string
---@return table
function shape.secret(description)
  return make("string", description, { writeOnly = true })
end

---One of these words.
---@param words string[]
---@param description? string
---@return table
function shape.enum(words, description)
  return make("string", description, { enum = words })
end

---A list.
---@param items table  schema of each
---@param description? string
---@param more? table
---@return table
function shape.list(items, description, more)
  local schema = make("array", description, more)
  schema.items = items
  return schema
end

---Strings by names of the caller's choice.
---@param description? string
---@param more? table
---@return table
function shape.map(description, more)
  local schema = make("object", description, more)
  schema.additionalProperties = schema.additionalProperties or { type = "string" }
  return schema
end

---An object of these fields and no others; a name with "?" at its end may be left out.
---@param fields { [1]: string, [2]: table }[]
---@param description? string
---@return table
function shape.object(fields, description)
  local properties, order, required = {}, {}, {}
  for i, field in ipairs(fields) do
    local name, optional = field[1]:match "^(.-)(%??)$"
    properties[name], order[i] = field[2], name
    if optional == "" then required[#required + 1] = name end
  end
  local schema = { type = "object", description = description, additionalProperties = false }
  if order[1] then schema.properties = ordered.note(properties, order) end
  if required[1] then schema.required = required end
  return schema
end

---A copy of a schema, all the way down, in the same order.
---@param schema any
---@return any
function shape.copy(schema)
  if type(schema) ~= "table" then return schema end
  local out = setmetatable({}, getmetatable(schema))
  for key, value in pairs(schema) do out[key] = shape.copy(value) end
  local order = ordered.of(schema)
  return order and ordered.note(out, order) or out
end

return shape
