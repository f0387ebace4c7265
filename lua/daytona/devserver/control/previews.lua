-- Previews: what listens on a port inside a sandbox, reached by a host name of its
-- own, http://{port}-{sandbox id}.localhost:{our port}/, as the service's proxy
-- does it. The sandbox's daemon does the rest of the way, and reaches only what
-- the sandbox's own processes listen on.
--
-- A sandbox that is not public lets in who has the key or the sandbox's preview token
-- (X-Daytona-Preview-Token, or DAYTONA_SANDBOX_AUTH_KEY in the query, which leaves a cookie
-- for this one preview, so that a browser gets the rest of a page, too: with the service,
-- a login does that). Others are sent to log in, which is a page that says that nobody can.
-- A signed address has a token instead of the id, for one port and a while.

local hmac = require "openssl.hmac"
local util = require "http.util"
local httpd = require "daytona.devserver.http"
local ids = require "daytona.devserver.ids"
local forward = require "daytona.devserver.http.forward"
local checks = require "daytona.devserver.control.checks"
local sandboxes = require "daytona.devserver.control.sandboxes"

local previews = {}

local TOOLBOX_PORT = 2280
local GUARDED = { [TOOLBOX_PORT] = true, [22222] = true, [33333] = true }   -- also when public

local QUERY, COOKIE, COOKIE_SECONDS = "DAYTONA_SANDBOX_AUTH_KEY", "daytona-sandbox-auth-", 3600
local SHORTEST, LONGEST, USUAL = 1, 86400, 60   -- seconds a signed address is good for

-- Addresses ---------------------------------------------------------------------------

local function address(context, port, name)
  return ("%s://%s-%s.localhost:%d"):format(context.scheme, port, name, context.port)
end

local function to_port(text)
  local port = text:find("^[1-9]%d*$") and tonumber(text)
  return port and port <= 65535 and port or nil
end

-- The port in a path. (One that is no number at all becomes NaN, and an address that leads
-- nowhere.)
local function port_of(req)
  local text = req.params.port
  if not text:find("^%d+$") and not req.app.strict then return "NaN" end
  return to_port(text) or checks.bad "Invalid port"
end

function previews.plain(context, box, req)
  return { sandboxId = box.id, url = address(context, port_of(req), box.id), token = box.preview_token }
end

local function drop_expired(context, box)
  for token, signed in pairs(box.signed_previews or {}) do
    if signed.expires <= context.clock:now() then context.store:unsign(box, token) end
  end
end

local function seconds_of(req)
  local text = req.query.expiresInSeconds
  if not text then return USUAL end
  local seconds = text == "" and 0 or checks.integer(text)
  if seconds < SHORTEST or seconds > LONGEST then
    checks.bad "expiresInSeconds must be between 1 second and 24 hours"
  end
  return seconds
end

function previews.signed(context, box, req)
  local port, seconds = port_of(req), seconds_of(req)
  drop_expired(context, box)
  local token = sandboxes.host_token(16)
  context.store:sign(box, token, { port = port, expires = context.clock:now() + seconds })
  return { sandboxId = box.id, port = port, token = token, url = address(context, port, token) }
end

-- Already gone is as good.
function previews.expire(context, box, req)
  local known = (box.signed_previews or {})[req.params.token]
  if known and known.port == to_port(req.params.port) then context.store:unsign(box, req.params.token) end
  return ""
end

---Whether the caller may see a sandbox's previews: the key may.
function previews.access(context, req)
  checks.box(context, req.params.id)
  return 200, "true", { ["content-type"] = "application/json; charset=utf-8" }
end

-- Who may come in ----------------------------------------------------------------------

---Where those are sent who may not: the service has its login there.
function previews.login()
  return 401, "The local server has no login. Send the sandbox's preview token as X-Daytona-Preview-Token, or as "
    .. QUERY .. " in the query; or ask for a signed address.\n", { ["content-type"] = "text/plain; charset=utf-8" }
end

-- Off to the login, and from there to where the request was going.
local function send_away(context, req)
  local back = ("%s://%s%s"):format(context.scheme, req.headers.host, req.target)
  httpd.fail(307, nil, nil, { body = "", headers = {
    location = ("%s/preview-login?redirect_uri=%s"):format(context.api_url, util.encodeURIComponent(back)),
    ["set-cookie"] = ("pkce_verifier=%s; Path=/callback; HttpOnly; SameSite=Lax"):format(sandboxes.token(16)),
  } })
end

local function cookie_of(req, name)
  for pair in (req.headers.cookie or ""):gmatch("[^;]+") do
    local key, value = pair:match("^%s*([^=]+)=(.-)%s*$")
    if key == name then return value end
  end
end

local function bearer_of(req)
  return (req.headers.authorization or ""):match("^[Bb]earer%s+(.+)$")
end

-- What a browser is given after it came with the token. Browsers send cookies to every
-- port of a host, so what listens on another one may get to see it: it opens this one
-- preview for an hour, and neither another port of the sandbox nor its toolbox.
local function cookie_value(box, port, expires)
  local digest = hmac.new(box.preview_token, "sha256"):final(("preview:%s:%d:%d"):format(box.id, port, expires))
  return ("%d.%s"):format(expires, ids.to_hex(digest))
end

local function opens(context, box, port, value)
  local expires = tonumber((value or ""):match("^(%d+)%.%x+$"))
  return expires and expires > context.clock:now() and httpd.same(value, cookie_value(box, port, expires))
end

local function set_cookie(context, box, port)
  local expires = math.floor(context.clock:now()) + COOKIE_SECONDS
  return ("%s%s-%d=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax"):format(COOKIE, box.id, port,
    cookie_value(box, port, expires), COOKIE_SECONDS)
end

local function is(given, secret)
  return given ~= nil and httpd.same(given, secret)
end

-- How the request may in: "key", "header", "query", "public", or nil.
local function entry(context, box, port, req)
  if is(bearer_of(req), context.key) then return "key" end
  if is(req.headers["x-daytona-preview-token"], box.preview_token) then return "header" end
  if is(req.query[QUERY], box.preview_token) then return "query" end
  if opens(context, box, port, cookie_of(req, COOKIE .. box.id .. "-" .. port)) then return "cookie" end
  if box.public and not GUARDED[port] then return "public" end
end

-- The sandbox that a host name means, once the request may in, and how.
local function admit(context, name, port, req)
  local box = context.store.by_id[name]
  if box and box.state ~= "destroyed" then
    return box, entry(context, box, port, req) or send_away(context, req)
  end
  box = context.store:signer(name)
  local known = box and box.signed_previews[name]
  if not known or known.port ~= port or known.expires <= context.clock:now() then send_away(context, req) end
  return box, "signed"
end

-- The way there ------------------------------------------------------------------------

local function without_cookies(value, prefix)
  local kept = {}
  for pair in value:gmatch("[^;]+") do
    if pair:match("^%s*([^=]*)"):sub(1, #prefix) ~= prefix then kept[#kept + 1] = pair:match("^%s*(.-)%s*$") end
  end
  return kept[1] and table.concat(kept, "; ") or nil
end

-- What of a header goes on: nothing that opens the sandbox.
local function filter(how)
  return function(name, value)
    if name == "x-daytona-preview-token" or name == "x-daytona-authorization" then return nil end
    if name == "authorization" and how == "key" then return nil end
    if name == "cookie" then return without_cookies(value, COOKIE) end
    return value
  end
end

-- Further headers of the answer.
local function additions(context, box, port, req, how)
  local list = {}
  if how == "query" then list["set-cookie"] = set_cookie(context, box, port) end
  local origin = req.headers.origin
  if origin and req.headers["x-daytona-disable-cors"] ~= "true" then
    list["access-control-allow-origin"], list["access-control-allow-credentials"] = origin, "true"
  end
  return list
end

local function pass_on(context, req, name, port)
  local box, how = admit(context, name, port, req)
  if not box.daemon or box.state == "paused" then checks.bad "no IP address found. Is the Sandbox started?" end
  if req.target:sub(1, 1) ~= "/" then checks.bad "invalid request target" end
  local target = forward.without(req.target, QUERY)
  if port ~= TOOLBOX_PORT then target = ("/proxy/%d"):format(port) .. target end
  return forward.to(req, box.port, "/toolbox/" .. box.id .. target, {
    pass = filter(how),
    headers = { ["x-daytona-authorization"] = "Bearer " .. box.daemon.key },
    answer = additions(context, box, port, req, how),
  })
end

---Takes a request for a name below .localhost: that is for a preview, or for nobody. nil for
---any other.
---@param context table
---@param req table
---@return function?
function previews.divert(context, req)
  local host = (req.headers.host or ""):lower():gsub(":%d+$", "")
  if not host:find("%.localhost%.?$") then return nil end
  req.source = "DAYTONA_PROXY"
  local port, name = host:match("^(%d+)%-([%w%-]+)%.localhost$")
  port = port and to_port(port)
  if not port then
    return function() httpd.fail(404, "NOT_FOUND", "not found: not found") end
  end
  return function() return pass_on(context, req, name, port) end
end

return previews
