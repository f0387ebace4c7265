-- A sandbox for a spec without a control plane: a toolbox daemon of its own, and
-- the client's object for it. What is given to toolbox.start may be given here.
--
--   local box = require("spec.support.box").start()
--   box.sandbox  box.daemon  box.client
--   box:through(url)   another sandbox object, which reaches the daemon by that URL
--   box:commands()     how many the daemon was told to run
--   box:stop()

local daytona = require "daytona"
local sandbox = require "daytona.control.sandbox"
local toolbox = require "spec.support.toolbox"

local Box = {}
Box.__index = Box

function Box:through(url)
  return sandbox.new(self.client, { id = "box", state = "started", toolboxProxyUrl = url .. "/toolbox" })
end

-- How many commands the daemon was told to run.
function Box:commands()
  local n = 0
  for _, request in ipairs(self.daemon:request("GET", "/__devserver/requests").json) do
    if request.path == "/process/execute" then n = n + 1 end
  end
  return n
end

function Box:stop()
  self.client:close()
  self.daemon:stop()
end

local function start(options)
  local self = setmetatable({ daemon = toolbox.start(options) }, Box)
  self.client = assert(daytona.new { api_key = "secret", api_url = "http://127.0.0.1:1", max_retries = 2 })
  self.sandbox = self:through(self.daemon.url)
  return self
end

return { start = start }
