-- Requests to programs in a sandbox, through its previews: the address and its token, what
-- the answers of the proxy before it mean, and waiting until the port answers.

local errors = require "daytona.base.errors"
local http = require "daytona.http"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local raw = require "daytona.control.raw"

local M = {}

local TIMEOUT, FIRST_DELAY, LONGEST_DELAY, GROWTH = 30, 0.1, 2, 1.5

-- Preview -> port -> its address and token: beside the object, so that whoever prints that
-- does not print these.
local known = setmetatable({}, { __mode = "k" })

local function address(preview, port)
  local ports = known[preview] or {}
  known[preview] = ports
  if ports[port] then return ports[port] end
  local found, err = preview:url(port)
  if not found then return nil, err end
  local fine
  fine, err = preview.sandbox.client:check_address(found.url, preview.sandbox.id)
  if not fine then return nil, err end
  ports[port] = { url = found.url:gsub("/+$", ""), token = found.token, fresh = true }
  return ports[port]
end

local function way_to(preview, place)
  local connection = preview.sandbox.client:connection_of "request"
  local way = http.rebase(connection, place.url)
  way.profile = connection.bare()
  return way
end

-- The proxy sends who may not in to the login.
local function is_sent_away(response)
  if response.status ~= 307 then return false end
  return (response.headers["set-cookie"] or ""):find("pkce_verifier", 1, true) ~= nil
    or (response.headers.location or ""):find("redirect_uri=", 1, true) ~= nil
end

-- Nothing listens: the proxy's words, not the program's.
local function is_unanswered(response)
  if response.status ~= 502 and response.status ~= 503 then return false end
  local answer = json.decode(response.body)
  return type(answer) == "table" and answer.statusCode == response.status and answer.path ~= nil
end

local function try(preview, place, request)
  request.headers = request.headers or {}
  local headers = {}
  for name, value in pairs(request.headers) do headers[name] = value end
  headers["X-Daytona-Preview-Token"] = place.token
  local copy = {}
  for name, value in pairs(request) do copy[name] = value end
  copy.headers, copy.secrets, copy.accept = headers, { place.token }, function() return true end
  return raw.send(way_to(preview, place), copy)
end

local function refused(preview, port, kind, message, status)
  return nil, errors.new {
    kind = kind, operation = "request", what = "port " .. port, status = status, sandbox = preview.sandbox,
    message = message,
  }
end

-- What a try came to: a response; nil, err; or false and what to say if there is no other.
local function judge(preview, port, place, response)
  if is_sent_away(response) then
    known[preview][port] = nil
    if place.fresh then
      return refused(preview, port, "auth", "the preview does not take its token", response.status)
    end
    return false, "auth" -- the sandbox was started anew, and has another
  end
  place.fresh = false
  if is_unanswered(response) then return false, "nothing listens" end
  return response
end

local function is_repeatable(request)
  return not (request.sink or request.sink_file or request.body_source or request.body_file)
end

-- What is said at the end of the time: that nothing listened, if that was so for most of it.
local function too_late(preview, port, err, start, begun, status)
  if status and errors.is(err, "timeout") and loop.now() - begun < begun - start then
    return refused(preview, port, "unavailable", "nothing listens on port " .. port, status)
  end
  return nil, err
end

---Sends it until the port answers.
---@param preview daytona.Preview
---@param port integer
---@param request daytona.Request
---@return daytona.Response?
---@return daytona.Error?
function M.send(preview, port, request)
  local timeout, delay, start, status = request.timeout or TIMEOUT, FIRST_DELAY, loop.now(), nil
  local deadline = timeout > 0 and start + timeout or math.huge
  while true do
    local place, err = address(preview, port)
    if not place then return nil, err end
    request.sandbox, request.what = preview.sandbox, "port " .. port
    local begun = loop.now()
    request.timeout = deadline < math.huge and math.max(deadline - begun, 0.001) or 0
    local response, result
    response, err = try(preview, place, request)
    if not response then return too_late(preview, port, err, start, begun, status) end
    result, err = judge(preview, port, place, response)
    if result or result == nil then return result, err end
    status = response.status
    if not is_repeatable(request) or loop.now() + delay >= deadline then
      return refused(preview, port, "unavailable", "nothing listens on port " .. port, status)
    end
    if err ~= "auth" then
      local slept, why = loop.sleep(delay)
      if not slept then return nil, why end
      delay = math.min(delay * GROWTH, LONGEST_DELAY)
    end
  end
end

return M
