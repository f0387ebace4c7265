-- A local server and a client of it, for the specs of one file.
--
--   local service = require("spec.support.service").start()   -- in setup
--   service.client, service.server
--   service:stop()                                            -- in teardown

local daytona = require "daytona"
local devserver = require "daytona.devserver"

local Service = {}
Service.__index = Service

---Makes a client with further options.
function Service:connect(opts)
  local all = { api_url = self.server.api_url, api_key = self.server.api_key }
  for name, value in pairs(opts or {}) do all[name] = value end
  return assert(daytona.new(all))
end

---How many requests of that method and path the server has seen.
function Service:count(method, path)
  local n = 0
  for _, request in ipairs(assert(self.server:requests())) do
    if request.method == method and request.path == path then n = n + 1 end
  end
  return n
end

---How many sandboxes there are, without those on their way out.
function Service:sandboxes()
  local n = 0
  for box in self.client:each() do
    if box.state ~= "destroying" and box.desired_state ~= "destroyed" then n = n + 1 end
  end
  return n
end

function Service:stop()
  self.client:close()
  self.server:stop()
end

local function start(opts)
  local self = setmetatable({ server = assert(devserver.start(opts or {})) }, Service)
  self.client = self:connect()
  return self
end

return { start = start }
