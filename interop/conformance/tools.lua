-- Tools that the official conformance tests of MCP call, as nginx serves them. Tasks are jobs in
-- the sandbox that SANDBOX names.

local daytona = require "daytona"
local json = require "daytona.http.json"
local mcp = require "daytona.agent.mcp.ngx"
local protocol = require "daytona.agent.mcp.protocol"
local shape = require "daytona.agent.shape"

local PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

local SCHEMA = [[{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
  "$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},
  "city":{"type":"string"}}}},"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},
  "contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},
  "allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
  "if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},
  "then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}]]

local sandbox = os.getenv "SANDBOX"
local tools = daytona.tools {}

local function add(name, run, more)
  local tool = { name = name, description = "For " .. name .. ".", run = run }
  for key, value in pairs(more or {}) do tool[key] = value end
  tools:add(tool)
end

local function text(said)
  return function() return {}, { text = said } end
end

add("test_simple_text", text "This is a simple text response for testing.")
add("test_image_content", function() return {}, { text = "", images = { { data = PNG, mime_type = "image/png" } } } end)
add("test_error_handling", function() return nil, "This tool intentionally returns an error for testing" end)
add("test_tool_with_progress", function(_, call)
  for _, n in ipairs { 1, 50, 100 } do call:progress("at " .. n, n, 100) end
  return {}, { text = "done" }
end)
add("json_schema_2020_12_tool", text "fits", { input = json.decode(SCHEMA) })
add("test_routed", text "came", { input = { type = "object", properties = {
  region = { type = "string", ["x-mcp-header"] = "Region" } } } })
for _, name in ipairs { "request_state", "tampered_state", "elicitation" } do
  add("test_input_required_result_" .. name, text "state-ok", { annotations = { destructiveHint = true } })
end

-- Tasks: jobs in a sandbox.
local function job(name, input, command)
  local function start(args)
    local started, err = daytona.get(sandbox):popen(command(args), { stderr = "stdout", timeout = 600 })
    if not started then return nil, err end
    return { sandbox = sandbox, job = started.id }
  end
  local function finish(_, _, done)
    if done.exit_code ~= 0 then return nil, "exit code " .. done.exit_code end
    return {}, { text = done.text }
  end
  add(name, function(args)
    local done, err = daytona.get(sandbox):exec(command(args))
    if not done then return nil, err end
    return finish(nil, nil, { exit_code = done.exit_code, text = done.result })
  end, { input = input, start = start, finish = finish })
end

add("greet", function(args) return {}, { text = "Hello, " .. args.name .. "!" } end,
  { input = shape.object { { "name", shape.string() } } })
job("slow_compute", shape.object { { "seconds", shape.number() }, { "label?", shape.string() } },
  function(args) return "sleep " .. args.seconds .. "; echo computed" end)
job("failing_job", nil, function() return "sleep 1; exit 1" end)
job("protocol_error_job", nil, function()
  return "d=$HOME/.daytona/lua-jobs/${DAYTONA_JOB%%.*}; sleep 1; kill -KILL $(cat \"$d/pid\" \"$d/leader\")"
end)
job("confirm_delete", nil, function() return "echo deleted" end)

local server = protocol.new(tools, { confirm = true, task_after = 0.01 })

return { serve = function() mcp.serve(server) end }
