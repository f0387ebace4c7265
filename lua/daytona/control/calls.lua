-- Calls of the service: the rows of the nouns in this room become functions here (see
-- http/calls.lua). The subject is a client or an object of one, in its `client`. A path
-- takes a sandbox as {sandbox}, a volume as {volume}: of such an object, its own id.

local calls = require "daytona.http.calls"

local M = {}

local function is_sandbox(subject)
  local meta = getmetatable(subject)
  return type(meta) == "table" and meta.__name == "daytona.Sandbox"
end

local SERVICE = {
  explain = function(err, row) return require "daytona.control.refused"(err, row) end,
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
