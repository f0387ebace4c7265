-- A client of the MCP server, for specs: starts bin/daytona-mcp and talks to it, in
-- either era, line by line.
--
--   local mcp = require("spec.support.mcp_client").start(server, "--tools operations")
--   mcp:initialize()                       or  mcp.modern = true
--   local response = mcp:ask("tools/list")
--   mcp:stop()

local compat = require "daytona.base.compat"
local json = require "daytona.http.json"

local Client = {}
Client.__index = Client

local PREFIX = "io.modelcontextprotocol/"

---Writes a message, or a line as it is.
function Client:send(message)
  local line = type(message) == "string" and message or assert(json.encode(message))
  assert(self.input:write(line, "\n"))
  self.input:flush()
end

---The next message; nil at the end. What is no JSON object fails.
function Client:read()
  local line = self.output:read "*l"
  if not line then return nil end
  return (assert(json.decode(line)))
end

-- Parameters with what the newest revision wants of every request.
function Client:params(params)
  if not self.modern then return params end
  local out = {}
  for key, value in pairs(params or {}) do out[key] = value end
  out._meta = { [PREFIX .. "protocolVersion"] = "2026-07-28",
    [PREFIX .. "clientCapabilities"] = self.capabilities or {},
    progressToken = params and params._meta and params._meta.progressToken }
  return out
end

---Sends a request; its id.
function Client:request(method, params)
  self.last = self.last + 1
  self:send { jsonrpc = "2.0", id = self.last, method = method, params = self:params(params) }
  return self.last
end

---Reads until the response to that id; what else comes meanwhile is in `self.heard`.
function Client:response(id)
  while true do
    local message = assert(self:read(), "the server has ended")
    if message.id == id then return message end
    self.heard[#self.heard + 1] = message
  end
end

---A request and its response.
function Client:ask(method, params)
  return self:response(self:request(method, params))
end

---Calls a tool; the result.
function Client:call(name, arguments, meta)
  local response = self:ask("tools/call", { name = name, arguments = arguments, _meta = meta })
  return assert(response.result, response.error and response.error.message)
end

---The handshake of the revisions before the newest.
function Client:initialize(version)
  local response = self:ask("initialize", { protocolVersion = version or "2025-11-25", capabilities = {},
    clientInfo = { name = "spec", version = "1" } })
  self:send { jsonrpc = "2.0", method = "notifications/initialized" }
  return response.result
end

---Closes the server's input and waits for its end; what it still wrote.
function Client:stop()
  if not self.input then return "" end
  self.input:close()
  self.input = nil
  local rest = self.output:read "*a"
  self.output:close()
  os.execute("rm -rf " .. self.folder)
  return rest
end

---Kills the server, as a client does that has lost its patience.
function Client:kill()
  os.execute("kill -KILL " .. self.pid)
  self:stop()
end

-- `program` and `env` are of others that speak JSON-RPC line by line.
local function start(server, arguments, program, env)
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder .. " && mkfifo " .. folder .. "/in")
  local command = ("echo $$ >%s/pid; exec env DAYTONA_LUA=%s DAYTONA_API_URL=%s DAYTONA_API_KEY=%s "
    .. "%s %s %s <%s/in"):format(folder, compat.name, server.api_url, server.api_key, env or "",
    program or "bin/daytona-mcp", arguments or "", folder)
  local self = setmetatable({ folder = folder, last = 0, heard = {} }, Client)
  self.output = assert(io.popen(command))
  self.input = assert(io.open(folder .. "/in", "w"))
  local file = assert(io.open(folder .. "/pid"))
  self.pid = file:read "*l"
  file:close()
  return self
end

return { start = start, stop = Client.stop }
