-- How definitions and results of tools look to those who take them: the APIs of models,
-- MCP, two plugins of Neovim, and Lua itself. Nothing here calls a tool but the last
-- three, whose definitions hold functions.

local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local options = require "daytona.base.options"
local shape = require "daytona.agent.shape"
local task = require "daytona.loop.task"

local forms = {}

local API_KEY = shape.secret "The Daytona API key to use for this call, if not the usual one."

--- Schemas --------------------------------------------------------------------------------

local NO_ARGUMENTS = { type = "object", additionalProperties = false }

local function with_api_key(input)
  local out = shape.copy(input)
  out.properties = out.properties or {}
  local order = options.copy(ordered.of(out.properties))
  order[#order + 1] = "apiKey"
  out.properties.apiKey = API_KEY
  ordered.note(out.properties, order)
  return out
end

local function input_of(toolset, tool, opts)
  local input = tool.input or NO_ARGUMENTS
  local show = opts.api_key
  if show == nil then show = toolset.options.show_api_key end
  return tool.takes_api_key and show and with_api_key(input) or input
end

local function nullable(schema)
  if schema.enum then
    schema.enum = options.copy(schema.enum)
    schema.enum[#schema.enum + 1] = json.null
  end
  if type(schema.type) == "string" then schema.type = { schema.type, "null" } end
  return schema
end

local strict

-- Every field is required, those that need not be may be null; false where an object
-- has names of the caller's choice, which that mode does not know.
local function strict_object(schema)
  local needed, all = {}, {}
  for _, name in ipairs(schema.required or {}) do needed[name] = true end
  for name, property in pairs(schema.properties or {}) do
    if not strict(property) then return false end
    if not needed[name] then nullable(property) end
    all[#all + 1] = name
  end
  if schema.additionalProperties ~= false then return false end
  table.sort(all)
  schema.properties = schema.properties or {}
  schema.required = json.array(all)
  return true
end

-- Makes a copied schema strict, in place; whether it can be.
function strict(schema)
  schema.default = nil
  if schema.type == "array" then return type(schema.items) == "table" and strict(schema.items) end
  return schema.type ~= "object" or strict_object(schema)
end

--- Definitions ----------------------------------------------------------------------------

-- Form -> fn(toolset, tool, opts): one definition.
local DEFINE = {}

local function parameters(toolset, tool, opts)
  local input = input_of(toolset, tool, opts)
  if not opts.strict then return input, false end
  local copy = shape.copy(input)
  if strict(copy) then return copy, true end
  return input, false
end

function DEFINE.openai(toolset, tool, opts)
  local schema, is_strict = parameters(toolset, tool, opts)
  return ordered.note({
    type = "function", name = tool.name, description = tool.description, parameters = schema, strict = is_strict,
  }, { "type", "name", "description", "parameters", "strict" })
end

function DEFINE.openai_chat(toolset, tool, opts)
  local schema, is_strict = parameters(toolset, tool, opts)
  local inner = { name = tool.name, description = tool.description, parameters = schema, strict = is_strict }
  ordered.note(inner, { "name", "description", "parameters", "strict" })
  return ordered.note({ type = "function", ["function"] = inner }, { "type", "function" })
end

function DEFINE.anthropic(toolset, tool, opts)
  return ordered.note({
    name = tool.name, description = tool.description, input_schema = input_of(toolset, tool, opts),
  }, { "name", "description", "input_schema" })
end

function DEFINE.mcp(toolset, tool, opts)
  return ordered.note({
    name = tool.name, title = tool.title, description = tool.description,
    inputSchema = input_of(toolset, tool, opts), outputSchema = tool.output, annotations = tool.annotations,
  }, { "name", "title", "description", "inputSchema", "outputSchema", "annotations" })
end

-- Where a result becomes a callback's arguments.
local function in_background(toolset, name, arguments, opts, on_result)
  task.spawn(function() on_result(toolset:call(name, arguments, opts)) end)
end

-- Hands a text to a chat of CodeCompanion. Its method takes the tool and the text, or, as
-- of newer versions, one table with both: this is either.
local function add_to_chat(self, list, meta)
  local text = list and list[#list] or ""
  local both = setmetatable({ tool = self, for_llm = text }, { __index = self })
  meta.tools.chat:add_tool_output(both, text)
end

function DEFINE.codecompanion(toolset, tool, opts)
  local schema = DEFINE.openai_chat(toolset, tool, opts)
  return {
    name = tool.name, schema = schema, output = { success = add_to_chat, error = add_to_chat },
    cmds = { function(_, arguments, given)
      in_background(toolset, tool.name, arguments, nil, function(result)
        given.output_cb { status = result.ok and "success" or "error", data = result.text }
      end)
    end },
  }
end

local AVANTE_TYPES = { string = "string", integer = "integer", number = "number", boolean = "boolean",
  array = "array", object = "object" }

local function avante_fields(schema)
  local required, fields = {}, {}
  for _, name in ipairs(schema.required or {}) do required[name] = true end
  local names = options.copy(ordered.of(schema.properties or {}))
  if not names[1] then
    for name in pairs(schema.properties or {}) do names[#names + 1] = name end
    table.sort(names)
  end
  for i, name in ipairs(names) do
    local property = schema.properties[name]
    fields[i] = { name = name, description = property.description or name,
      type = AVANTE_TYPES[property.type] or "string", optional = not required[name] or nil }
  end
  return fields
end

function DEFINE.avante(toolset, tool, opts)
  return {
    name = tool.name, description = tool.description,
    param = { type = "table", fields = avante_fields(input_of(toolset, tool, opts)) },
    returns = {
      { name = "result", type = "string", description = "what came of it" },
      { name = "error", type = "string", description = "why it failed", optional = true },
    },
    func = function(input, given)
      local told = given and given.on_log
      local progress = told and { on_progress = function(message) told(message) end }
      if not (given and given.on_complete) then return forms.result("avante", {}, toolset:call(tool.name, input)) end
      in_background(toolset, tool.name, input, progress or nil, function(result)
        given.on_complete(forms.result("avante", {}, result))
      end)
    end,
  }
end

local function lua_functions(toolset)
  local out = {}
  for _, tool in ipairs(toolset.tools) do
    out[tool.name] = function(arguments)
      local result = toolset:call(tool.name, arguments)
      if result.ok then return result.data end
      return nil, result.text
    end
  end
  return out
end

--- Results --------------------------------------------------------------------------------

-- Form -> fn(call, result).
local RESULT = {}

local function id_of(call, ...)
  for i = 1, select("#", ...) do
    local id = call[(select(i, ...))]
    if id ~= nil then return id end
  end
  errors.misuse(1, "result: the model's call has no id (%s)", table.concat({ ... }, " or "))
end

local function data_url(image)
  return "data:" .. image.mime_type .. ";base64," .. image.data
end

function RESULT.openai(call, result)
  local value = result.text
  if result.images[1] then
    value = { { type = "input_text", text = result.text } }
    for _, image in ipairs(result.images) do
      value[#value + 1] = { type = "input_image", image_url = data_url(image) }
    end
  end
  return { type = "function_call_output", call_id = id_of(call, "call_id", "id"), output = value }
end

function RESULT.openai_chat(call, result)
  return { role = "tool", tool_call_id = id_of(call, "id", "tool_call_id"), content = result.text }
end

function RESULT.anthropic(call, result)
  local content = {}
  if result.text ~= "" or not result.images[1] then content[1] = { type = "text", text = result.text } end
  if result.text == "" and not result.images[1] then content[1].text = "(no output)" end -- empty texts are refused
  for _, image in ipairs(result.images) do
    content[#content + 1] = { type = "image",
      source = { type = "base64", media_type = image.mime_type, data = image.data } }
  end
  return { type = "tool_result", tool_use_id = id_of(call, "id", "tool_use_id"), content = content,
    is_error = not result.ok or nil }
end

---The address of a file in a sandbox, for MCP's resources.
---@param sandbox string  id
---@param path string
---@return string
function forms.resource_uri(sandbox, path)
  local escaped = path:gsub("[^%w%-%._~/]", function(c) return ("%%%02X"):format(c:byte()) end)
  return "daytona://" .. sandbox .. "/" .. escaped:gsub("^/", "")
end

function RESULT.mcp(_, result)
  local content = { { type = "text", text = result.text } }
  for _, image in ipairs(result.images) do
    content[#content + 1] = { type = "image", data = image.data, mimeType = image.mime_type }
  end
  if result.read_more and result.sandbox then
    content[#content + 1] = {
      type = "resource_link", uri = forms.resource_uri(result.sandbox, result.read_more),
      name = result.read_more:match "[^/]*$", mimeType = "text/plain", description = "all of the output",
    }
  end
  return { content = content, structuredContent = result.ok and result.data or nil, isError = not result.ok }
end

function RESULT.codecompanion(_, result)
  return { status = result.ok and "success" or "error", data = result.text }
end

function RESULT.avante(_, result)
  if result.ok then return result.text, nil end
  return nil, result.text
end

function RESULT.lua(_, result)
  if result.ok then return result.data end
  return nil, result.text
end

--- The calls --------------------------------------------------------------------------------

local function refuse(form)
  local names = { "lua" }
  for name in pairs(DEFINE) do names[#names + 1] = name end
  table.sort(names)
  errors.misuse(1, "there is no form '%s'; the forms are: %s", tostring(form), table.concat(names, ", "))
end

-- Where models bring tools along that are not described; those of another maker are left
-- out there.
local NATIVE_FORMS = { openai = true, anthropic = true }

local DEFINITIONS = { strict = "boolean", api_key = "boolean" }

---The definitions of a toolset's tools: see daytona.Toolset.definitions.
---@param toolset daytona.Toolset
---@param form string
---@param opts? table
---@return table
function forms.definitions(toolset, form, opts)
  opts = options.check("definitions", DEFINITIONS, opts)
  if form == "lua" then return lua_functions(toolset) end
  local define = DEFINE[form] or refuse(form)
  local list, seen = json.array(), {}
  for _, tool in ipairs(toolset.tools) do
    local native = tool.native and NATIVE_FORMS[form]
    local definition = not native and define(toolset, tool, opts) or native and tool.native[form]
    -- A native type may stand for several tools.
    if definition and not seen[definition] then list[#list + 1] = definition end
    if definition then seen[definition] = true end
  end
  return list
end

---A result in a form: see daytona.Toolset.result.
---@param form string
---@param call table
---@param result daytona.ToolResult
---@param tool? daytona.Tool  whose result it is
---@return any ...
function forms.result(form, call, result, tool)
  local reply = tool and tool.reply and tool.reply[form]
  return (reply or RESULT[form] or refuse(form))(call, result)
end

return forms
