-- Runs bin/daytona-lua, under the Lua of the specs, against a local server.
--
--   local cli = require("spec.support.cli").start()      -- in setup
--   local out, err, status = cli:run "ls --json"         -- words for a shell
--   cli:run("exec box cat", { before = "echo hi |" })
--   cli:stop()                                           -- in teardown

local compat = require "daytona.base.compat"
local service = require "spec.support.service"

local Cli = {}
Cli.__index = Cli

local function content(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

---What the program prints, what it says, and its exit status. `before` goes before it in
---the command line (a pipe), `input` and `after` behind it; `env` are assignments.
---@param words string
---@param opts? { before?: string, input?: string, after?: string, env?: string }
---@return string out
---@return string err
---@return integer status
function Cli:run(words, opts)
  opts = opts or {}
  local command = ("{ %s env %s %s bin/daytona-lua %s %s; } >%s/out 2>%s/err %s; echo $? >%s/status"):format(
    opts.before or "", self.account, opts.env or "", words, opts.input or (not opts.before and "</dev/null" or ""),
    self.dir, self.dir, opts.after or "", self.dir)
  os.execute(command)
  return content(self.dir .. "/out"), content(self.dir .. "/err"), tonumber((content(self.dir .. "/status")))
end

---What the program prints, where it succeeds.
---@param words string
---@param opts? table
---@return string
function Cli:must(words, opts)
  local out, err, status = self:run(words, opts)
  if status ~= 0 or err ~= "" then error(("%s: status %s, %q"):format(words, tostring(status), err), 2) end
  return out
end

---Ends the server and removes the folder `dir`.
function Cli:stop()
  self.service:stop()
  os.execute("rm -rf " .. self.dir)
end

local function start()
  local self = setmetatable({ service = service.start() }, Cli)
  local server = self.service.server
  self.client = self.service.client
  self.account = ("XDG_STATE_HOME=/nowhere DAYTONA_LUA=%s DAYTONA_API_URL=%s DAYTONA_API_KEY=%s"):format(
    compat.name, server.api_url, server.api_key)
  local pipe = io.popen "mktemp -d"
  self.dir = pipe:read "*l"
  pipe:close()
  return self
end

return { start = start }
