-- Calls of the service: the rows of the nouns in this room become functions here (see
-- http/calls.lua). The subject is a client or an object of one, in its `client`. A path
-- takes a sandbox as {sandbox}, a volume as {volume}: of such an object, its own id.

local calls = require "daytona.http.calls"

local M = {}

local function is_sandbox(subject)
  local meta = getmetatable(subject)
  return type(meta) == "table" and meta.__name == "daytona.Sandbox"
end

-- The service's word that there is no such call, made plain: nil where it says something
-- else. It says so, too, when a body is too large for it.
local function unknown_call(err, row)
  local method, path = err.message:match("^Cannot (%u+) (/%S*)")
  if err.status ~= 404 or not method then return nil end
  local why = "the service knows no such call"
  if row and row.since then why = why .. ", which came with version " .. row.since end
  if not path:find("/api", 1, true) then
    why = why .. " (does api_url end in /api?)"
  elseif method == "POST" then
    why = why .. ", or what was sent is too large for it"
  end
  return why .. ": " .. err.message
end

---What an error of the service means. An older service answers to a newer call that it
---"cannot"; and 422 when it could never do that with what it was asked of: both are of
---kind "unsupported". A sandbox that did not come up is no bad request but kind "state".
---@param err daytona.Error
---@param row? daytona.Call
---@return daytona.Error
function M.explain(err, row)
  local unknown = unknown_call(err, row)
  if unknown then
    err.kind, err.message = "unsupported", unknown
  elseif err.status == 422 and err.kind == "invalid" then
    err.kind = "unsupported"
  elseif err.status == 400 and err.message:find("^Sandbox failed to start") then
    err.kind = "state"
  end
  return err
end

local SERVICE = {
  explain = M.explain,
  connect = function(subject, operation)
    local client = rawget(subject, "client") or is_sandbox(subject) and subject.client -- a row has it elsewhere
    return (client or subject):connection_of(operation)
  end,
  about = function(subject, request)
    if is_sandbox(subject) then
      request.sandbox = subject
    elseif request.what == nil then
      request.what = rawget(subject, "name") or rawget(subject, "id")
    end
  end,
}

---Functions of rows: `api.name(subject, values, request)`.
---@param rows table<string, daytona.Call>
---@return table<string, fun(subject: table, values?: table, request?: table): any, daytona.Error?>
function M.of_service(rows)
  return calls.make(rows, SERVICE)
end

-- The request was at the service, perhaps: what it did, its answer does not tell.
local LOST = {
  connection = true, unavailable = true, server = true, protocol = true, too_large = true, tls = true,
}

---Whether a request whose answer this is may have taken effect, all the same.
---@param err daytona.Error
---@return boolean
function M.is_lost(err)
  if err.status == 504 then return true end
  return LOST[err.kind] and err.code ~= "connect" and err.code ~= "resolve" or false
end

M.method = calls.method

return M
