-- Calls of the daemon inside a sandbox: the rows of the nouns in this room become
-- functions here (see http/calls.lua). The subject is a sandbox, or an object of one, in
-- its `sandbox`; a path takes the `id` of such an object as {id}.

local http_calls = require "daytona.http.calls"
local methods = require "daytona.base.methods"

local calls = {}

--- Rows ----------------------------------------------------------------------------------

-- (A noun that nobody has used yet has its sandbox elsewhere.)
local function sandbox_of(subject)
  return rawget(subject, "sandbox") or not subject.toolbox and subject.sandbox or subject
end

local DAEMON = {
  connect = function(subject) return sandbox_of(subject):toolbox() end,
  about = function(subject, request)
    local sandbox = sandbox_of(subject)
    request.sandbox = sandbox
    if request.what == nil and sandbox ~= subject then request.what = subject.id end
  end,
  explain = function(err, row) return require "daytona.toolbox.refused"(err, row) end,
}

---Functions of rows: `api.name(subject, values, request)`.
---@param rows table<string, daytona.Call>
---@return table<string, fun(subject: table, values?: table, request?: table): any, daytona.Error?>
function calls.of_daemon(rows)
  return http_calls.make(rows, DAEMON)
end

calls.method, calls.path = http_calls.method, http_calls.path

---What is known of the sandbox's daemon; see toolbox/daemon.lua.
calls.daemon = methods.later("daytona.toolbox.daemon", "of")

return calls
