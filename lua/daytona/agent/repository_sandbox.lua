-- A sandbox with a repository: made, started, cloned into and bootstrapped, or not there
-- at all. Secrets are named by who asks and looked up in the toolset's options; they
-- reach the sandbox by the standard input of commands, so that they are in no command
-- line and in no log.

local core = require "daytona.base.native"
local git_access = require "daytona.agent.git_access"
local loop = require "daytona.loop"
local output = require "daytona.agent.output"
local shell = require "daytona.base.shell"
local task = require "daytona.loop.task"

local M = {}

-- Seconds that all of it may take when nothing is said; bytes of a failed step's output
-- that its error shows.
local TIMEOUT, SHOWN = 300, 4000

---@class daytona.RepositorySandbox  the state of one that is being made
---@field args table
---@field call daytona.ToolCall
---@field create daytona.CreateOptions
---@field stage string
---@field address string
---@field directory string
---@field credentials? { protocol: string, host: string, username: string, token: string }
---@field variables table<string, string>  secrets
---@field files { path: string, content: string }[]  secrets
---@field sandbox? daytona.Sandbox
---@field session? daytona.Session
---@field started_at? integer

--- What is asked for ---------------------------------------------------------------------

-- The text that a reference means, which no result shows from now on.
local function lookup(call, reference)
  local name, key = reference.secret, reference.key
  local secret = (call.toolset.options.secrets or {})[name]
  if secret == nil then return nil, "there is no secret '" .. name .. "'" end
  if type(secret) == "table" then
    if not key then return nil, "the secret '" .. name .. "' has several values: key is required" end
    secret = secret[key]
    if secret == nil then return nil, ("the secret '%s' has no value '%s'"):format(name, key) end
  end
  call.toolset:keep_secret(secret)
  call.secrets[#call.secrets + 1] = secret
  return secret
end

local function add_secret(self, one)
  local text, why = lookup(self.call, one.value)
  if not text then return nil, why end
  if one.type == "file" then
    if not one.path then return nil, "secrets: one of type file needs a path" end
    self.files[#self.files + 1] = { path = one.path:gsub("^~/", ""), content = text }
    return true
  end
  if not one.name then return nil, "secrets: an environment variable needs a name" end
  if not one.name:find "^[%a_][%w_]*$" then
    return nil, "secrets: '" .. one.name .. "' is no name for an environment variable"
  end
  if text:find "%z" then return nil, "the secret '" .. one.value.secret .. "' holds a NUL byte, and is no variable" end
  self.variables[one.name] = text
  return true
end

local function check_bootstrap(bootstrap)
  if not bootstrap then return true end
  if bootstrap.from == "inline" then
    if not bootstrap.script then return nil, "bootstrap.script is required with bootstrap.from inline" end
    return true
  end
  local path = bootstrap.path
  if not path then return nil, "bootstrap.path is required with bootstrap.from file" end
  if path:find "^/" or ("/" .. path .. "/"):find("/../", 1, true) then
    return nil, "bootstrap.path must be in the repository: " .. path
  end
  return true
end

-- What git is to be given: what the arguments say, what is in the address, or GitHub's token.
local function find_credentials(self, in_address)
  local args = self.args
  if args.password then
    local token, why = lookup(self.call, args.password)
    if not token then return nil, why end
    local protocol, host = self.address:match "^(https?)://([^/?#]+)"
    if not host then return nil, "password goes with an http address only" end
    return { protocol = protocol, host = host, username = args.username or "x-access-token", token = token }
  end
  if in_address then
    self.call.toolset:keep_secret(in_address.token)
    self.call.secrets[#self.call.secrets + 1] = in_address.token
    return in_address
  end
  if not git_access.is_github(self.address) then return false end
  local token = self.variables.GITHUB_TOKEN
  return token and git_access.connected { GITHUB_TOKEN = token }
    or git_access.connected(self.call.toolset.options.secrets) or false
end

-- Everything that can be wrong without a sandbox.
local function prepare(self)
  local fine, why = check_bootstrap(self.args.bootstrap)
  if not fine then return nil, why end
  local given
  self.address, given = git_access.address(self.args.repository)
  if not self.address then return nil, given end
  self.name = self.address:gsub("[?#].*$", ""):gsub("/+$", ""):match("([^/:]*)$"):gsub("%.git$", "")
  if self.name == "" or self.name:find "^%.+$" then return nil, "the address names no folder: " .. self.address end
  for _, one in ipairs(self.args.secrets or {}) do
    fine, why = add_secret(self, one)
    if not fine then return nil, why end
  end
  self.credentials, why = find_credentials(self, given)
  if self.credentials == nil then return nil, why end
  return true
end

--- Steps ------------------------------------------------------------------------------------

local function create(self)
  local client, err = self.call:client()
  if not client then return nil, err end
  self.sandbox, err = client:create(self.create)
  if not self.sandbox then return nil, err end
  self.started_at = os.time()
  local home
  home, err = self.sandbox:home_dir()
  if not home then return nil, err end
  self.directory = home .. "/" .. self.name
  return true
end

-- A file that nobody else may read, in the home directory if the path is relative.
local function write_private(self, path, content)
  local quoted = shell.quote(path)
  local script = ('cd && umask 077 && mkdir -p -- "$(dirname -- %s)" && cat >%s'):format(quoted, quoted)
  local result, err = self.sandbox:exec(script, { stdin = content, timeout = 60 })
  if not result then return nil, err end
  if result.exit_code ~= 0 then return nil, ("cannot write %s: %s"):format(path, result.result) end
  return true
end

local function give_secrets(self)
  for _, file in ipairs(self.files) do
    local fine, err = write_private(self, file.path, file.content)
    if not fine then return nil, err end
  end
  if not next(self.variables) then return true end
  local lines = {}
  for name, value in pairs(self.variables) do
    lines[#lines + 1] = "export " .. name .. "=" .. shell.quote(value)
  end
  self.exports = "/tmp/.daytona-" .. core.unique():gsub("[^%w]", "")
  return write_private(self, self.exports, table.concat(lines, "\n") .. "\n")
end

-- Runs a command in the session; the end of what it printed is the reason when it fails.
local function in_session(self, command)
  local result, err = self.session:exec(command, { timeout = 0 })
  if not result then return nil, err end
  if result.exit_code == 0 then return true end
  local text = output.clean(result.output:sub(-SHOWN)):gsub("%s+$", "")
  return nil, ("%s failed with exit code %d: %s"):format(self.stage, result.exit_code, text)
end

local CLONE = "GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true git clone -q -- %s %s; code=$?; "
  .. "git credential-cache exit 2>/dev/null; (exit $code)"

-- Git knows the credentials for as long as it clones.
local function clone(self)
  local err
  self.session, err = self.sandbox:session()
  if not self.session then return nil, err end
  if self.credentials then
    local fine
    fine, err = git_access.approve(self.sandbox, self.credentials)
    if not fine then return nil, err end
  end
  return in_session(self, CLONE:format(shell.quote(self.address), shell.quote(self.directory)))
end

-- A script that is executable says itself what runs it.
local FILE = "if [ -x %s ]; then ./%s; else sh ./%s; fi"

local function bootstrap(self)
  local wanted = self.args.bootstrap
  if not wanted then return true end
  local lines = {}
  if self.exports then
    local file = shell.quote(self.exports)
    lines[1] = (". %s; rm -f %s"):format(file, file)
  end
  local run
  if wanted.from == "inline" then
    run = "sh -c " .. shell.quote((wanted.script:gsub("\r\n?", "\n")))
  else
    local path = shell.quote(wanted.path)
    run = FILE:format(path, path, path)
  end
  lines[#lines + 1] = "cd " .. shell.quote(self.directory) .. " && { " .. run .. "; } </dev/null"
  return in_session(self, table.concat(lines, "\n"))
end

-- What is left of the way there. Until now it was this program's, and `reap` would have
-- found it.
local function tidy(self)
  if self.exports then self.sandbox:exec({ "rm", "-f", self.exports }, { timeout = 60 }) end
  local fine, err = self.session:close()
  if not fine or self.call.toolset.made then return fine, err end
  return self.sandbox:disown()
end

local STAGES = {
  { "create", create }, { "secrets", give_secrets }, { "clone", clone }, { "bootstrap", bootstrap }, { "end", tidy },
}

local function run(self)
  for _, stage in ipairs(STAGES) do
    self.stage = stage[1]
    self.call:progress(stage[1])
    local fine, err = stage[2](self)
    if not fine then return nil, err end
  end
  return true
end

--- All of it ----------------------------------------------------------------------------------

local function dispose(self)
  if self.sandbox then return self.sandbox:close() end
  return true
end

local function within(self)
  local seconds = self.args.timeout or TIMEOUT
  local fine, err = task.within(seconds, run, self)
  if not fine and type(err) == "table" and err.code == "within" then
    err.message = ("it was not done within %d s: it was at %s"):format(seconds, self.stage)
  end
  return fine, err
end

-- As others in this toolset find it.
local function keep(self)
  local toolset, id = self.call.toolset, self.sandbox.id
  if toolset.made then toolset.made[id] = self.sandbox end
  toolset.secret_variables = toolset.secret_variables or {}
  toolset.secret_variables[id] = next(self.variables) and self.variables or nil
end

---Makes one: what the component tells of it, with the second since 1970 at which it was
---started. nil and the first failure; no sandbox is left then, nor when the caller is
---cancelled or interrupted.
---@param args table  of createRepositorySandbox
---@param call daytona.ToolCall
---@param create_options daytona.CreateOptions
---@return table?
---@return any why
function M.make(args, call, create_options)
  local self = { args = args, call = call, create = create_options, variables = {}, files = {}, stage = "create" }
  local fine, err = prepare(self)
  if not fine then return nil, err end
  fine, err = loop.guard(within, dispose, self)
  if not fine then
    local gone, why = loop.shield(dispose, self)
    if not gone then err = tostring(err) .. "; and the sandbox could not be deleted: " .. tostring(why) end
    return nil, err
  end
  keep(self)
  return {
    sandboxId = self.sandbox.id, sandboxStartedAt = self.started_at, timeout = args.timeout or TIMEOUT,
    repository = self.address, directory = self.directory, secrets = args.secrets, bootstrap = args.bootstrap,
  }
end

return M
