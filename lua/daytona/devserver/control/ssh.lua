-- SSH access: the record of a token, which expires, is taken away, and is replaced by
-- the next one. No SSH gateway listens anywhere here, and the command that goes with
-- a token says so.

local checks = require "daytona.devserver.control.checks"
local sandboxes = require "daytona.devserver.control.sandboxes"
local httpd = require "daytona.devserver.http"
local json = require "daytona.devserver.http.json"

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

-- (The service looks at the number no further: one that is not positive has expired.)
local function minutes_of(req)
  local text = req.query.expiresInMinutes or ""
  if text == "" then return USUAL end
  return tonumber(text) or checks.unexpected()
end

function ssh.grant(context, box, req)
  local minutes = minutes_of(req)
  local now = context.clock:now()
  box.ssh = {
    id = sandboxes.uuid(), token = sandboxes.token(24), created = now, expires = now + minutes * 60,
  }
  context.store:changed(box)
  return published(box)
end

function ssh.revoke(context, box, req)
  local token = req.query.token
  if box.ssh and (not token or httpd.same(token, box.ssh.token)) then
    box.ssh = nil
    context.store:changed(box)
  end
  return context.store:dto(box)
end

---Whether a token would be let in, and where: the service tells its gateway only, which is
---who has the key and says so by X-Daytona-Source.
function ssh.validate(context, req)
  local token = req.query.token
  if req.headers["x-daytona-source"] ~= "ssh-gateway" then
    httpd.fail(403, nil, "Invalid authentication context")
  end
  for _, box in pairs(context.store.by_id) do
    local access = box.ssh
    if access and httpd.same(token or "", access.token) then
      local valid = access.expires > context.clock:now() and context.store:find(box.id) ~= nil
      return 200, { valid = valid, sandboxId = valid and box.id or json.null }
    end
  end
  return 200, { valid = false, sandboxId = json.null }
end

return ssh
