-- The ACP agent as a program: what bin/daytona-acp runs. `run` returns the exit status.

local argv_of = require "daytona.agent.argv"
local program = require "daytona.agent.program"

local main = {}

local USAGE = [[
usage: daytona-acp [options]

An agent for editors that speak the Agent Client Protocol, on standard input and output.
It works in a Daytona sandbox on a copy of the project's folder, which is kept alike on
both sides. The account is that of DAYTONA_API_KEY (and DAYTONA_API_URL), the model that of
OPENAI_API_KEY or ANTHROPIC_API_KEY and OPENAI_MODEL or ANTHROPIC_MODEL.

  --model NAME        the model
  --api NAME          how it is spoken to: responses, messages or chat
  --tools SET[,SET]   what it can use (default coding)
  --sandbox ID        where it works (id or name); without, a sandbox is made for each
                      session and deleted at the end
  --snapshot NAME     what such a sandbox is made from
  --steps N           replies of the model in one turn (default 50)
  --no-history        keep no sessions; without, they are kept in the user's state folder
                      (~/.local/state/daytona/sessions/acp), and can go on later
  --yes               do not ask before it changes, runs or deletes something
  --help              this text
]]

local OPTIONS = {
  model = "value", api = "value", tools = "value", sandbox = "value", snapshot = "value", steps = "value", yes = "flag",
  ["no-history"] = "flag",
}

local function make(given)
  local steps = tonumber(given.steps)
  if given.steps and (not steps or steps < 1 or steps % 1 ~= 0) then
    return nil, "--steps must be a whole number above 0"
  end
  local fine, server = pcall(require("daytona.agent.acp.protocol").new, {
    model = given.model, api = given.api, tools = argv_of.words(given.tools), sandbox = given.sandbox,
    create = given.snapshot and { snapshot = given.snapshot }, steps = steps, yes = given.yes,
    history = not given["no-history"],
  })
  if fine then return server end
  return nil, tostring(server)
end

---Serves on standard input and output until the editor closes it, or ends it.
---@param argv string[]
---@return integer status
function main.run(argv)
  return program(argv, { name = "daytona-acp", usage = USAGE, options = OPTIONS, make = make })
end

return main
