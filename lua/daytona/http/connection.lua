-- Connections: where requests go and with what, and what errors about them are to say
-- and must not show. Nothing is sent here.

local errors = require "daytona.base.errors"

local connection = {}

---Where requests go, and with what: the control plane is one, each toolbox one.
---@class daytona.Connection
---@field base string             requests append their path to it
---@field profile userdata        headers (with the credential), TLS, proxy
---@field connect_timeout number  seconds
---@field timeout number          seconds, of a request that says nothing else
---@field max_bytes integer
---@field max_retries integer
---@field compression? boolean  what is sent may be packed where that pays
---@field calls table<table, daytona.core.Call>  see http.call
---@field hooks? daytona.Hooks    who is told of each request

-- Connection -> texts that must never be shown. Beside the object, so that
-- whoever prints a connection does not print them.
local secrets_of = setmetatable({}, { __mode = "k" })

---Makes a connection. `profile` holds the headers every request carries and
---`bare` makes one without any of them, for other hosts; `unnamed` not even with our name.
---@param fields { base: string, profile: userdata, bare: (fun(unnamed?: boolean): userdata), connect_timeout: number, timeout: number, max_bytes: integer, max_retries: integer }
---@param secrets string[]
---@return daytona.Connection
function connection.new(fields, secrets)
  secrets_of[fields], fields.calls = secrets, {}
  return fields
end

---The same way to another base, as to a sandbox's toolbox.
---@param way daytona.Connection
---@param base string
---@return daytona.Connection
function connection.rebase(way, base)
  local copy = {}
  for name, value in pairs(way) do copy[name] = value end
  copy.base = base
  return connection.new(copy, secrets_of[way])
end

---The credential that the requests of a connection carry, for those who must say it
---otherwise than in a header.
---@param way daytona.Connection
---@return string
function connection.credential_of(way)
  return secrets_of[way][1]
end

local function all_secrets(way, request)
  local known, more = secrets_of[way], request.secrets
  if not more then return known end
  local all = {}
  for _, list in ipairs { known or {}, more } do
    for i = 1, #list do all[#all + 1] = list[i] end
  end
  return all
end

---The texts that must not be shown of a request.
connection.secrets_in = all_secrets

---What errors about a request are to say.
---@param way daytona.Connection
---@param request { operation?: string, sandbox?: any, what?: string, method?: string, path?: string, secrets?: string[] }
---@return table  the context of failure.from_response
function connection.context_of(way, request)
  return {
    operation = request.operation, sandbox = request.sandbox, what = request.what,
    method = request.method or "GET", path = request.path or "",
    secrets = all_secrets(way, request),
  }
end

---nil, and an error of these fields about a request.
---@param way daytona.Connection
---@param request daytona.Request
---@param fields table  of daytona.Error
---@return nil
---@return daytona.Error
function connection.refused(way, request, fields)
  fields.operation, fields.sandbox, fields.what = request.operation, request.sandbox, request.what
  fields.secrets = all_secrets(way, request)
  return nil, errors.new(fields)
end

return connection
