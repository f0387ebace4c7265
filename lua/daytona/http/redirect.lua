-- Redirects: which are followed, and with what.
--
-- The credential stays with the origin it was given for, and so does trust: a request
-- whose answer is believed (JSON: it may name addresses that get the key later) is not
-- followed to another origin. Files and texts are, without any header of ours.

local connection = require "daytona.http.connection"
local reference = require "daytona.http.reference"
local url = require "daytona.http.url"

local redirect = {}

local MOST = 5

local KEEPS_METHOD = { [307] = true, [308] = true }

-- Why the way from one URL to another is not taken, or nil.
local function objection(request, call, status, from, to)
  local reads = call.method == "GET" or call.method == "HEAD"
  local same = url.origin(from) == url.origin(to)
  if from.scheme == "https" and to.scheme == "http" then return "from https to http" end
  if not same and not reads then return call.method .. " to another host" end
  if not same and request.answer then
    return ("what %s answers would be believed, but %s was asked"):format(url.origin(to), url.origin(from))
  end
  if not reads and not KEEPS_METHOD[status] then return "it would turn " .. call.method .. " into GET" end
end

-- The same call, to another place.
local function redirected(way, call, from, to)
  local copy = {}
  for name, value in pairs(call) do copy[name] = value end
  copy.url = url.text(to)
  if url.origin(from) ~= url.origin(to) then copy.profile, copy.headers, copy.sigv4 = way.bare(), nil, nil end
  return copy
end

---The call that a redirect asks for; or nil, err.
---@param way daytona.Connection
---@param request daytona.Request
---@param call daytona.core.Request     what was answered with it
---@param answer { status: integer, headers: table<string, string>, count: integer }  count: redirects so far, this one too
---@param can_resend fun(): boolean     whether the body can be sent once more
---@return daytona.core.Request?
---@return daytona.Error?
function redirect.follow(way, request, call, answer, can_resend)
  local from, location = url.parse(call.url), answer.headers.location
  local to = location and reference.resolve(from, location)
  local why
  if answer.count > MOST then
    why = "there are too many"
  elseif not to then
    why = "it names no usable address"
  else
    why = objection(request, call, answer.status, from, to)
    if not why and not can_resend() then why = "the body cannot be sent twice" end
  end
  if not why then return redirected(way, call, from, to) end
  return connection.refused(way, request, {
    kind = "protocol", code = "redirect", status = answer.status, message = "redirect refused: " .. why,
  })
end

return redirect
