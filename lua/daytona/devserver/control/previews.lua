-- Previews: what listens on a port inside a sandbox, reached by a host name of its
-- own, http://{port}-{sandbox id}.localhost:{our port}/, as the service's proxy
-- does it. The sandbox's daemon does the rest of the way, and reaches only what
-- the sandbox's own processes listen on.
--
-- A sandbox that is not public lets in who has the key, the sandbox's preview
-- token (X-Daytona-Preview-Token, or DAYTONA_SANDBOX_AUTH_KEY in the query) or the
-- cookie that such a query leaves, so that a browser gets the rest of a page, too.
-- A signed address has a token instead of the id, for one port and a while.

local hmac = require "openssl.hmac"
local httpd = require "daytona.devserver.http"
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
  return ("%s://%d-%s.localhost:%d"):format(context.scheme, port, name, context.port)
end

local function to_port(text)
  local port = text:find("^[1-9]%d*$") and tonumber(text)
  return port and port <= 65535 and port or nil
end

local function port_of(req)
  return to_port(req.params.port) or checks.bad("Invalid port")
end

local function plain(context, box, req)
  return {
    sandboxId = box.id, url = address(context, port_of(req), box.id), token = box.preview_token,
  }
end

local function drop_expired(context, box)
  for token, signed in pairs(box.signed_previews or {}) do
    if signed.expires <= context.clock:now() then context.store:unsign(box, token) end
  end
end

local function signed(context, box, req)
  local port, seconds = port_of(req), USUAL
  if (req.query.expiresInSeconds or "") ~= "" then
    seconds = checks.number(req.query.expiresInSeconds, "expiresInSeconds", SHORTEST)
    if seconds > LONGEST then checks.bad("expiresInSeconds must not be greater than %d", LONGEST) end
  end
  drop_expired(context, box)
  local token = sandboxes.token(10)
  context.store:sign(box, token, { port = port, expires = context.clock:now() + seconds })
  return { sandboxId = box.id, port = port, token = token, url = address(context, port, token) }
end

-- Already gone is as good.
local function expire(context, box, req)
  local known = (box.signed_previews or {})[req.params.token]
  if known and known.port == port_of(req) then context.store:unsign(box, req.params.token) end
end

-- Who may come in ----------------------------------------------------------------------

local function refuse(message)
  httpd.fail(401, "UNAUTHORIZED", "unauthorized: " .. message)
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

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- What a browser is given after it came with the token. Browsers send cookies to every
-- port of a host, so what listens on another one may get to see it: it opens this one
-- preview for an hour, and neither another port of the sandbox nor its toolbox.
local function cookie_value(box, port, expires)
  local digest = hmac.new(box.preview_token, "sha256"):final(("preview:%s:%d:%d"):format(box.id, port, expires))
  return ("%d.%s"):format(expires, hex(digest))
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

-- How the request may in: "key", "header", "query", "cookie", "public", or nil.
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
    return box, entry(context, box, port, req)
      or refuse("the preview token of the sandbox is needed (X-Daytona-Preview-Token)")
  end
  box = context.store:signer(name)
  local known = box and box.signed_previews[name]
  if not known or known.port ~= port or known.expires <= context.clock:now() then
    refuse("there is no such preview, or it has expired")
  end
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

local function pass_on(context, req, name, port)
  local box, how = admit(context, name, port, req)
  if not box.daemon then checks.bad("no IP address found. Is the Sandbox started?") end
  if req.target:sub(1, 1) ~= "/" then checks.bad("invalid request target") end
  local target = forward.without(req.target, QUERY)
  if port ~= TOOLBOX_PORT then target = ("/proxy/%d"):format(port) .. target end
  return forward.to(req, box.daemon.port, "/toolbox/" .. box.id .. target, {
    pass = filter(how),
    headers = { ["x-daytona-authorization"] = "Bearer " .. box.daemon.key },
    answer = how == "query" and { ["set-cookie"] = set_cookie(context, box, port) } or nil,
  })
end

-- A request for a name below .localhost is for a preview, or for nobody.
local function handler_of(context, req)
  local host = (req.headers.host or ""):lower():gsub(":%d+$", "")
  if not host:find("%.localhost%.?$") then return nil end
  req.source = "DAYTONA_PROXY"
  local port, name = host:match("^(%d+)%-([%x%-]+)%.localhost$")
  port = port and to_port(port)
  if not port then
    return function() httpd.fail(404, "NOT_FOUND", "not found: no preview has this host name") end
  end
  return function() return pass_on(context, req, name, port) end
end

---Adds the routes about addresses, and takes requests for their host names.
---@param context table  as routes.add has it, with scheme and key
---@param on_sandbox fun(method: string, path: string, handler: fun(box: table, req: table): table?)
function previews.add(context, on_sandbox)
  on_sandbox("GET", "/ports/:port/preview-url", function(box, req) return plain(context, box, req) end)
  on_sandbox("GET", "/ports/:port/signed-preview-url", function(box, req) return signed(context, box, req) end)
  on_sandbox("POST", "/ports/:port/signed-preview-url/:token/expire", function(box, req)
    expire(context, box, req)
  end)
  context.app.divert = function(req) return handler_of(context, req) end
end

return previews
