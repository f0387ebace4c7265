-- Tools for Daytona sandboxes over HTTP: see mcp.conf.

local daytona = require "daytona"
local mcp = require "daytona.agent.mcp.ngx"
local protocol = require "daytona.agent.mcp.protocol"

local server = protocol.new(daytona.tools "operations")

-- Who has this may use the account that the server has.
local token = os.getenv "MCP_TOKEN"

local function authorize(headers)
  if not token or headers.authorization == "Bearer " .. token then return true end
  return nil, "a token is needed"
end

local M = {}

function M.serve()
  mcp.serve(server, { authorize = authorize })
end

return M
