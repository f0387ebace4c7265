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

local ACCESS = { expires_in = "seconds" }

---Lets in by SSH who has the token, for `expires_in` seconds (3600; the service
---counts minutes, so this is rounded up). A token given out before is good no more.
---@param opts? { expires_in?: number }
---@return { id: string, token: string, ssh_command: string, expires_at: string, sandbox_id: string }?
---@return daytona.Error?
function Ssh:access(opts)
  opts = options.check("ssh_access", ACCESS, opts)
  local minutes = math.max(1, math.ceil((opts.expires_in or 3600) / 60))
  return api.ssh_access(self.sandbox, { expires_in_minutes = minutes })
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
