-- Ways into a sandbox by SSH. `sb.ssh`.

local calls = require "daytona.control.calls"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"

---@class daytona.Ssh
---@field sandbox daytona.Sandbox
local Ssh = {}
Ssh.__index = Ssh
Ssh.__name = "daytona.Ssh"

local M = {}

---@private
function Ssh:__tostring()
  return "SSH of " .. tostring(self.sandbox)
end

---@param sandbox daytona.Sandbox
---@return daytona.Ssh
function M.new(sandbox)
  return setmetatable({ sandbox = sandbox }, Ssh)
end

local api = calls.of_service {
  ssh_access        = { "POST",   "/sandbox/{sandbox}/ssh-access", "object", query = { "expires_in_minutes" } },
  revoke_ssh_access = { "DELETE", "/sandbox/{sandbox}/ssh-access", secret = { "token" } },
  validate_ssh_access = { "GET", "/sandbox/ssh-access/validate", "object", secret = { "token" } },
}

-- Client -> the lines of ~/.ssh/known_hosts for its gateway; false where it tells none.
local known_hosts = setmetatable({}, { __mode = "k" })

local function lines_of(config)
  local host, keys = config.ssh_gateway_host, config.ssh_gateway_host_keys
  local port = tonumber(config.ssh_gateway_port) or 22
  if type(host) ~= "string" or host == "" or type(keys) ~= "table" then return false end
  local name = port == 22 and host or ("[%s]:%d"):format(host, port)
  local lines = {}
  for _, key in ipairs(keys) do
    if type(key) == "string" and key:find "^[%w@.-]+ [%w+/=]+$" then lines[#lines + 1] = name .. " " .. key end
  end
  return lines[1] and table.concat(lines, "\n") .. "\n" or false
end

-- Asked once a client; that it cannot be had is no reason to let nobody in.
local function known_hosts_of(client)
  if known_hosts[client] == nil then
    local config = client:config()
    if not config then return nil end
    known_hosts[client] = lines_of(config)
  end
  return known_hosts[client] or nil
end

local ACCESS = { expires_in = "seconds" }

---Lets in by SSH who has the token, for `expires_in` seconds (3600; the service
---counts minutes, so this is rounded up). A token given out before is good no more.
---`ssh_command` is ready to be run; `known_hosts` are lines for that file, so that the gateway
---is known from the first time on (nil where an older service does not tell its keys).
---@param opts? { expires_in?: number }
---@return { id: string, token: string, ssh_command: string, known_hosts?: string, expires_at: string, sandbox_id: string }?
---@return daytona.Error?
function Ssh:access(opts)
  opts = options.check("ssh_access", ACCESS, opts)
  local minutes = math.max(1, math.ceil((opts.expires_in or 3600) / 60))
  local access, err = api.ssh_access(self.sandbox, { expires_in_minutes = minutes })
  if not access then return nil, err end
  access.known_hosts = known_hosts_of(self.sandbox.client)
  return access
end

---Takes SSH access away: of one token, or of all.
---@param token? string
---@return true?
---@return daytona.Error?
function Ssh:revoke(token)
  if token ~= nil then options.argument("revoke_ssh_access: the token", "text", token) end
  return api.revoke_ssh_access(self.sandbox, { token = token })
end

---Whether a token lets in, and where: `valid`, `sandbox_id`. For the keys of SSH gateways:
---kind "forbidden" for others.
---@param token string
---@return { valid: boolean, sandbox_id?: string }?
---@return daytona.Error?
function Ssh:validate(token)
  options.argument("validate_ssh_access: the token", "text", token)
  return api.validate_ssh_access(self.sandbox, { token = token })
end

methods.guard(Ssh, "daytona.Ssh", "sandbox.ssh")

return M
