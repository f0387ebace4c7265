-- MCP over HTTP, as of revision 2026-07-28: what stands in the body stands in the headers,
-- too, so that what is between can route by it. The two must agree.

local base64 = require "daytona.base.base64"
local protocol = require "daytona.agent.mcp.protocol"

local M = {}

local HEADER_MISMATCH, INVALID_PARAMS = -32020, -32602

-- What a method is about, as its header has to say.
local NAMED = {
  ["tools/call"] = "name", ["prompts/get"] = "name", ["resources/read"] = "uri",
  ["tasks/get"] = "taskId", ["tasks/update"] = "taskId", ["tasks/cancel"] = "taskId",
}

local function mismatch(name, said, wanted)
  return HEADER_MISMATCH,
    ("the header %s says %s, the body '%s'"):format(name, said and "'" .. said .. "'" or "nothing", wanted)
end

-- A header's value as it is meant: what is no plain ASCII comes as =?base64?...?=. nil when
-- that is no base64.
local function decoded(value)
  local inner = value:match "^=%?base64%?(.*)%?=$"
  if not inner then return value end
  local text = base64.decode(inner)
  return text and base64.encode(text) == inner and text or nil
end

-- How an argument is written in a header; nil: it is in none.
local function written(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "boolean" then return tostring(value) end
  if kind ~= "number" then return nil end
  return value % 1 == 0 and ("%.0f"):format(value) or ("%.17g"):format(value)
end

local function says(value, argument)
  local said = value and decoded(value)
  if said == nil then return false end
  if type(argument) == "number" then return tonumber(said) == argument end
  return said == written(argument)
end

-- Properties of a tool's schema that are marked with `x-mcp-header`, also those of objects
-- in it, each with the argument that was given.
local function check_marked(node, arguments, headers)
  if type(node) ~= "table" or type(arguments) ~= "table" then return nil end
  for name, property in pairs(node.properties or {}) do
    local argument = arguments[name]
    local mark = type(property) == "table" and property["x-mcp-header"]
    local code, why
    if mark and written(argument) then
      local header = "Mcp-Param-" .. mark
      local said = headers[header:lower()]
      if not says(said, argument) then code, why = mismatch(header, said, written(argument)) end
    else
      code, why = check_marked(property, argument, headers)
    end
    if code then return code, why end
  end
end

-- What every request of that revision says in its headers.
local function check_usual(message, params, meta, headers)
  local field = NAMED[message.method]
  for _, row in ipairs {
    { "MCP-Protocol-Version", meta[protocol.PREFIX .. "protocolVersion"] }, { "Mcp-Method", message.method },
    field and { "Mcp-Name", params[field] } or nil,
  } do
    local said = headers[row[1]:lower()]
    if not (said and row[2] ~= nil and decoded(said) == tostring(row[2])) then
      return mismatch(row[1], said, tostring(row[2]))
    end
  end
end

---What is wrong with a request or notification and its headers: the code and the message
---of an error; nothing when they agree, and of revisions before 2026-07-28.
---@param message table  decoded
---@param headers table<string, string>
---@param toolset daytona.Toolset
---@return integer?
---@return string?
function M.flaw(message, headers, toolset)
  local params = type(message.params) == "table" and message.params or {}
  local meta = type(params._meta) == "table" and params._meta or {}
  if meta[protocol.PREFIX .. "protocolVersion"] == nil and headers["mcp-protocol-version"] ~= protocol.MODERN then
    return nil
  end
  if message.id == nil then return nil end -- what a notification says is in its body
  local lack = protocol.lack(meta)
  if lack then return INVALID_PARAMS, lack end
  local code, why = check_usual(message, params, meta, headers)
  if code then return code, why end
  local tool = message.method == "tools/call" and toolset.by_name[params.name]
  if tool then return check_marked(tool.input, params.arguments, headers) end
end

return M
