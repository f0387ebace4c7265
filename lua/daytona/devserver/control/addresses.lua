-- The way into a sandbox: where its toolbox is, the keys of signed file URLs, and the
-- toolbox at the control plane's own address, /toolbox/{id}/..., for those who have that
-- from /config.

local httpd = require "daytona.devserver.http"
local forward = require "daytona.devserver.http.forward"
local checks = require "daytona.devserver.control.checks"
local sandboxes = require "daytona.devserver.control.sandboxes"

local addresses = {}

function addresses.toolbox_url(context, req)
  return 200, { url = context.store:address(checks.box_by_id(context, req.params.id)) }
end

-- Signing keys ---------------------------------------------------------------------------

-- (A bare text, as the service's framework sends it: no JSON.)
local function key_of(box)
  return 200, box.signing_key, { ["content-type"] = "text/html; charset=utf-8" }
end

function addresses.signing_key(context, req)
  return key_of(checks.box_by_id(context, req.params.id))
end

function addresses.rotate_key(context, req)
  local box = checks.box_by_id(context, req.params.id)
  checks.kept(context.store:update(box, { signing_key = sandboxes.token(16) }))
  context.push(box, "PUT", "/__devserver/signing-key", { key = box.signing_key })
  return key_of(box)
end

-- The toolbox ----------------------------------------------------------------------------

local function unauthorized(message) httpd.fail(401, "UNAUTHORIZED", "unauthorized: " .. message) end

local function has_key(context, req)
  local given = (req.headers.authorization or ""):match("^[Bb]earer%s+(.+)$")
  return given ~= nil and httpd.same(given, context.key)
end

local function has_token(box, req)
  local token = req.headers["x-daytona-preview-token"] or req.query.DAYTONA_SANDBOX_AUTH_KEY
  return token ~= nil and httpd.same(token, box.preview_token)
end

-- Who may in: who has the key or the sandbox's preview token. Signed URLs are for the
-- daemon to judge.
local function admit(context, box, req)
  if has_key(context, req) then
    return box or unauthorized "authentication failed: Bearer token is invalid"
  end
  if box and (has_token(box, req) or req.query.signature) then return box end
  if req.headers.authorization then unauthorized "authentication failed: Bearer token is invalid" end
  unauthorized("missing authentication: provide a preview access token (via header, query parameter, or cookie) "
    .. "or use an API key or JWT")
end

local CREDENTIALS = { authorization = true, ["x-daytona-preview-token"] = true, ["x-daytona-authorization"] = true }

local function without_credentials(name, value)
  return not CREDENTIALS[name] and value or nil
end

---Answers a request for a path below /toolbox/, also at the port of a sandbox that is not
---started; and says of any other path that it is not there.
---@param context table
---@param req table
function addresses.not_started(context, req)
  local id = req.full_path:match("^/toolbox/([^/]+)/")
  if not id then httpd.fail(404, nil, "Cannot " .. req.method .. " " .. req.target) end
  req.source = "DAYTONA_PROXY"
  local box = admit(context, context.store.by_id[id], req)
  if box.state == "destroyed" then unauthorized "authentication failed: Bearer token is invalid" end
  if not box.daemon or box.frozen or box.state == "paused" then
    httpd.fail(400, nil, "no IP address found. Is the Sandbox started?")
  end
  local signed = req.query.signature and not has_key(context, req) and not has_token(box, req)
  return forward.to(req, box.port, req.target, {
    pass = without_credentials,
    headers = not signed and { ["x-daytona-authorization"] = "Bearer " .. box.daemon.key } or nil,
  })
end

return addresses
