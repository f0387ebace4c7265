-- The MCP server as a program: what bin/daytona-mcp runs. `run` returns the exit status.

local argv_of = require "daytona.agent.argv"
local program = require "daytona.agent.program"

local main = {}

local USAGE = [[
usage: daytona-mcp [options]

Gives tools for Daytona sandboxes to a program that speaks the Model Context Protocol on
standard input and output. The account is that of DAYTONA_API_KEY (and DAYTONA_API_URL).

  --tools SET[,SET]   operations (default), components, session, coding, native, computer,
                      daytona
  --sandbox ID        the sandbox that coding, native and computer work in (id or name);
                      without, one is made when it is needed, and deleted at the end
  --session ID        whose sandboxes the set session shows (default: one for this program)
  --storage DIR       local folder that the set session downloads into
  --max-bytes N       bytes of output that a result may have (default 51200)
  --task-after N      seconds after which a command becomes a task, for clients that
                      know tasks (default 5)
  --confirm           ask the user before a tool destroys something
  --help              this text
]]

local OPTIONS = {
  tools = "value", sandbox = "value", session = "value", storage = "value", ["max-bytes"] = "value",
  ["task-after"] = "value", confirm = "flag",
}

local function number(given, name)
  local value = given[name]
  if value == nil then return nil end
  local n = tonumber(value)
  if not n or n <= 0 then return nil, "--" .. name .. " must be a number above 0" end
  return n
end

local function make(given)
  local bytes, why = number(given, "max-bytes")
  if why then return nil, why end
  local seconds
  seconds, why = number(given, "task-after")
  if why then return nil, why end
  local fine, tools = pcall(require("daytona.agent.tools").new, argv_of.words(given.tools or "operations"), {
    sandbox = given.sandbox, session = given.session, storage = given.storage,
    max_bytes = bytes and math.floor(bytes),
  })
  if not fine then return nil, tostring(tools) end
  return require("daytona.agent.mcp.protocol").new(tools, {
    task_after = seconds, confirm = given.confirm ~= nil,
  }), tools
end

---Serves on standard input and output until the client closes it, or a signal ends it.
---@param argv string[]
---@return integer status
function main.run(argv)
  return program(argv, { name = "daytona-mcp", usage = USAGE, options = OPTIONS, make = make })
end

return main
