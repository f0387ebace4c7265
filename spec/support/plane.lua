-- The local server's control plane by its raw HTTP interface, for the specs of one file.
--
--   local plane = require("spec.support.plane").start(opts)   -- in setup; opts of devserver.start
--   plane:must("POST", "/sandbox", {})         the JSON of a 2xx answer, and its status
--   plane:refused("DELETE", "/sandbox/x")      status and message of a refusal
--   plane:wait_for(id, "started")              until GET says so; "gone": 404
--   plane:eventually(fn, what)                 until fn() is true
--   plane.server  plane.client                 devserver's handle; a daytona client
--   plane:stop()

local daytona = require "daytona"
local devserver = require "daytona.devserver"

local Plane = {}
Plane.__index = Plane

function Plane:call(method, path, body, query, headers)
  return self.client:request(method, path, { json = body, query = query, headers = headers })
end

function Plane:must(method, path, body, query, headers)
  local response, err = self:call(method, path, body, query, headers)
  if not response then error(("%s %s: %s"):format(method, path, tostring(err)), 2) end
  return response.json, response.status, response
end

function Plane:refused(method, path, body, query, headers)
  local response, err = self:call(method, path, body, query, headers)
  if response then error(("%s %s was not refused: %s"):format(method, path, response.body), 2) end
  return err.status, err.detail or err.message, err
end

---Whether a refusal has that status, and a message with that text in it.
function Plane:refuses(status, text, method, path, body, query, headers)
  local got, message = self:refused(method, path, body, query, headers)
  if got ~= status or not message:find(text, 1, true) then
    error(("%s %s: %s %s, not %s %s"):format(method, path, got, message, status, text), 2)
  end
end

function Plane:state_of(id)
  local response, err = self:call("GET", "/sandbox/" .. id)
  if response then return response.json.state end
  return err.status == 404 and "gone" or error(tostring(err))
end

function Plane.eventually(_, fn, what)
  for _ = 1, 1000 do
    local value = fn()
    if value then return value end
    daytona.sleep(0.01)
  end
  error("did not happen: " .. (what or "the condition"), 2)
end

function Plane:wait_for(id, state)
  local seen
  self:eventually(function()
    seen = self:state_of(id)
    return seen == state
  end, "state " .. state)
end

---A new sandbox, started.
function Plane:create(body)
  local id = self:must("POST", "/sandbox", body or {}).id
  self:wait_for(id, "started")
  return id
end

---A shell command in a sandbox: its output.
function Plane:run(id, command)
  return assert(assert(self.client:get(id)):exec(command)).result
end

function Plane:stop()
  self.client:close()
  self.server:stop()
end

local function start(opts)
  local server = assert(devserver.start(opts or {}))
  local client = daytona.new { api_url = server.api_url, api_key = server.api_key, max_retries = 0 }
  return setmetatable({ server = server, client = client }, Plane)
end

return { start = start }
