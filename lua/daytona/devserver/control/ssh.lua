-- SSH access: the record of a token, which expires, is taken away, and is replaced by
-- the next one. No SSH gateway listens anywhere here, and the command that goes with
-- a token says so.

local checks = require "daytona.devserver.control.checks"
local sandboxes = require "daytona.devserver.control.sandboxes"
local httpd = require "daytona.devserver.http"

local ssh = {}

local USUAL = 60   -- minutes

local COMMAND = "echo 'the local server has no SSH gateway: this token opens nothing' >&2; exit 1"

local function published(box)
  local access = box.ssh
  local made = httpd.timestamp(access.created)
  return {
    id = access.id, sandboxId = box.id, token = access.token, sshCommand = COMMAND,
    expiresAt = httpd.timestamp(access.expires), createdAt = made, updatedAt = made,
  }
end

local function grant(context, box, req)
  local minutes = USUAL
  if (req.query.expiresInMinutes or "") ~= "" then
    minutes = checks.number(req.query.expiresInMinutes, "expiresInMinutes", 1)
  end
  local now = context.clock:now()
  box.ssh = {
    id = sandboxes.uuid(), token = sandboxes.token(24), created = now, expires = now + minutes * 60,
  }
  context.store:changed(box)
  return published(box)
end

local function revoke(context, box, req)
  local token = req.query.token
  if box.ssh and (not token or httpd.same(token, box.ssh.token)) then
    box.ssh = nil
    context.store:changed(box)
  end
  return context.store:dto(box)
end

-- Whether a token would be let in, and where. (The service answers its gateway only.)
local function validate(context, req)
  local token = req.query.token
  if (token or "") == "" then checks.bad("token should not be empty") end
  for _, box in pairs(context.store.by_id) do
    local access = box.ssh
    if access and httpd.same(token, access.token) then
      local valid = access.expires > context.clock:now() and context.store:find(box.id) ~= nil
      return { valid = valid, sandboxId = box.id }
    end
  end
  return { valid = false, sandboxId = "" }
end

---Adds the routes.
---@param context table  as routes.add has it
---@param on_sandbox fun(method: string, path: string, handler: fun(box: table, req: table): table?)
function ssh.add(context, on_sandbox)
  on_sandbox("POST", "/ssh-access", function(box, req) return grant(context, box, req) end)
  on_sandbox("DELETE", "/ssh-access", function(box, req) return revoke(context, box, req) end)
  context.app:route("GET", "/sandbox/ssh-access/validate", function(req) return 200, validate(context, req) end)
end

return ssh
