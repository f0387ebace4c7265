-- Asks the user, through the client, before a tool destroys something: in the newest
-- revision by an answer that wants input, and the same call again with it. Nothing is kept
-- meanwhile: what was asked about is in the state that the client sends back.

local core = require "daytona.base.native"
local ordered = require "daytona.http.ordered_json"

local M = {}

local KEY = "confirm"

-- Of this call and no other.
local function state_of(tool, arguments)
  return core.hex(core.sha256(tool.name .. "\n" .. (ordered.encode(arguments or {}) or "")))
end

local function question(tool, arguments)
  local shown = {}
  for name, node in pairs((tool.input or {}).properties or {}) do
    local value = arguments and arguments[name]
    if value ~= nil and not node.writeOnly then shown[name] = value end
  end
  local text = ordered.encode(shown) or "{}"
  if #text > 300 then text = text:sub(1, 300) .. " ..." end
  return ("%s? %s"):format(tool.title or tool.name, require("daytona.agent.output").clean(text))
end

local function input_required(tool, arguments)
  return {
    resultType = "input_required", requestState = state_of(tool, arguments),
    inputRequests = { [KEY] = { method = "elicitation/create", params = {
      mode = "form", message = question(tool, arguments),
      requestedSchema = { type = "object", properties = {} },
    } } },
  }
end

-- What the user answered: "accept" or another word; nil: nothing yet.
local function answer_of(params)
  local answers = type(params.inputResponses) == "table" and params.inputResponses or {}
  local answer = type(answers[KEY]) == "table" and answers[KEY] or {}
  return type(answer.action) == "string" and answer.action or nil
end

---Whether a tool is one to ask about.
---@param tool daytona.Tool
---@return boolean
function M.concerns(tool)
  return tool.annotations ~= nil and tool.annotations.destructiveHint == true
end

local function failure(text)
  return { isError = true, content = { { type = "text", text = text } } }
end

---Asks, or reads the answer: true when the call may be made, else the result in its place;
---nil and why when the answer is to another call.
---@param tool daytona.Tool
---@param params table        of the request
---@param can_ask boolean     the client can show a question
---@return true|table|nil
---@return string? why
function M.ask(tool, params, can_ask)
  if not can_ask then return failure "this call needs the user's word first, and this client cannot ask for it" end
  local action = answer_of(params)
  local state = params.requestState
  if state ~= nil and state ~= state_of(tool, params.arguments) then
    return nil, "requestState is not that of this call"
  end
  if not action or state == nil then return input_required(tool, params.arguments) end
  if action == "accept" then return true end
  return failure "the user did not allow this call; do not try it again, ask what to do instead"
end

return M
