-- The daemon in a sandbox, as far as it is known: asked once, and remembered as long as
-- its address stays the same. It is part of the connection, so that a sandbox that comes
-- up elsewhere, perhaps with another daemon, is asked anew.
--
--   local daemon, err = daemons.of(sandbox)
--   daemon:home(sandbox)              its home directory
--   daemon:knows "code_run"           true, false, or nil: nobody has asked yet
--   daemon:learn("code_run", false)

local calls = require "daytona.http.calls"

local daemons = {}

---@class daytona.Daemon
---@field connection daytona.Connection
---@field abilities table<string, boolean>
---@field directory? string  the home directory, once it was asked for
local Daemon = {}
Daemon.__index = Daemon
Daemon.__name = "daytona.Daemon"

---What is known of the daemon behind a connection.
---@param connection daytona.Connection
---@return daytona.Daemon
function daemons.at(connection)
  local daemon = connection.daemon
  if not daemon then
    daemon = setmetatable({ connection = connection, abilities = {} }, Daemon)
    connection.daemon = daemon
  end
  return daemon
end

---The daemon of a sandbox; nil, err where there is no way to it.
---@param sandbox daytona.Sandbox
---@return daytona.Daemon?
---@return daytona.Error?
function daemons.of(sandbox)
  local connection, err = sandbox:toolbox()
  if not connection then return nil, err end
  return daemons.at(connection)
end

---Whether it can do something: true, false, or nil when that is not known yet.
---@param ability string
---@return boolean?
function Daemon:knows(ability)
  return self.abilities[ability]
end

---Remembers whether it can do something.
---@param ability string
---@param able boolean
function Daemon:learn(ability, able)
  self.abilities[ability] = able
end

local function without(field)
  return function(answer)
    if type(answer[field]) ~= "string" then return "without '" .. field .. "'" end
  end
end

-- The daemon's word about itself. Its connection is the subject.
local api = calls.make({
  home_dir = { "GET", "/user-home-dir", "object", flaw = without "dir" },
  work_dir = { "GET", "/work-dir", "object", flaw = without "dir" },
  version  = { "GET", "/version", "object", flaw = without "version" },
}, {
  connect = function(connection) return connection end,
})

---The home directory.
---@param sandbox? daytona.Sandbox  for the error
---@return string?
---@return daytona.Error?
function Daemon:home(sandbox)
  if not self.directory then
    local answer, err = api.home_dir(self.connection, nil, { sandbox = sandbox })
    if not answer then return nil, err end
    self.directory = answer.dir
  end
  return self.directory
end

---The directory that relative paths start from.
---@param sandbox? daytona.Sandbox  for the error
---@return string?
---@return daytona.Error?
function Daemon:work(sandbox)
  local answer, err = api.work_dir(self.connection, nil, { sandbox = sandbox })
  return answer and answer.dir, err
end

---Its version.
---@param sandbox? daytona.Sandbox  for the error
---@return string?
---@return daytona.Error?
function Daemon:version(sandbox)
  local answer, err = api.version(self.connection, nil, { sandbox = sandbox })
  return answer and answer.version, err
end

return daemons
