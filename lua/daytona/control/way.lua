-- The way to the daemon in a sandbox: its address, which may change, and the connection
-- there.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"

local way = {}

local api = calls.of_service {
  toolbox_url = { "GET", "/sandbox/{sandbox}/toolbox-proxy-url", "object" },
}

local function fetch_address(self)
  if self.client.goes_ahead then require("daytona.control.ahead").open(self.client) end
  local answer, err = api.toolbox_url(self)
  if not answer then return nil, err end
  if type(answer.url) ~= "string" then
    return nil, errors.new {
      kind = "protocol", operation = "connect", sandbox = self, message = "no toolbox URL came back",
    }
  end
  self.toolbox_proxy_url = answer.url
  return answer.url
end

local GONE = { destroying = true, destroyed = true }

-- A connection to the daemon at that address.
local function connect(self, address)
  if not address or address == "" then
    local err
    address, err = fetch_address(self)
    if not address then return nil, err end
  end
  local connection, err = self.client:toolbox_connection(address, self.id)
  if not connection then return nil, err end
  if self.client.goes_ahead then require("daytona.control.ahead").learn(self.client, address) end
  connection.address = address
  rawset(self, "_toolbox", connection)
  return connection
end

---The way to the daemon inside. It follows the sandbox's URL, which may change. What
---was looked at to find it is noted in it, for `exec`, which need not ask again.
---@param self daytona.Sandbox
---@return daytona.Connection?
---@return daytona.Error?
function way.toolbox(self)
  if GONE[self.state] then
    return nil, errors.new { kind = "not_found", sandbox = self, message = "the sandbox is deleted" }
  end
  local connection = self._toolbox
  if not connection or connection.address ~= self.toolbox_proxy_url or self.client.closed then
    local err
    connection, err = connect(self, self.toolbox_proxy_url)
    if not connection then return nil, err end
  end
  connection.state = self.state
  return connection
end

return way
