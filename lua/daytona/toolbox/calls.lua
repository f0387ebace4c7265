-- Calls of the daemon inside a sandbox: the rows of the nouns in this room become
-- functions here (see http/calls.lua). The subject is a sandbox, or an object of one, in
-- its `sandbox`; a path takes the `id` of such an object as {id}.

local errors = require "daytona.base.errors"
local http_calls = require "daytona.http.calls"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"

local calls = {}

--- Rows ----------------------------------------------------------------------------------

local function sandbox_of(subject)
  return rawget(subject, "sandbox") or subject
end

-- The way to a sandbox that is no more takes no key, however good it is. The error, as
-- it is or as what is true.
local function gone_or_refused(err)
  local sandbox = err.sandbox
  if type(sandbox) ~= "table" then return err end
  local _, why = sandbox:refresh { timeout = 10 }
  if not errors.is(why, "not_found") then return err end
  return errors.new {
    kind = "not_found", status = 404, operation = err.operation, what = err.what, sandbox = sandbox,
    message = "the sandbox is deleted", cause = err,
  }
end

---What an error of the daemon means, or of what stands before it.
---@param err daytona.Error
---@return daytona.Error
function calls.explain(err)
  local of_a_remote = err.code and err.code:find("^GIT_")
  if err.status == 401 and err.kind == "auth" and not of_a_remote then return gone_or_refused(err) end
  return err
end

local DAEMON = {
  connect = function(subject) return sandbox_of(subject):toolbox() end,
  about = function(subject, request)
    local sandbox = sandbox_of(subject)
    request.sandbox = sandbox
    if request.what == nil and sandbox ~= subject then request.what = subject.id end
  end,
  explain = function(err, row)
    if row.since then err = calls.explain_missing(err) end
    return calls.explain(err)
  end,
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

--- Helpers --------------------------------------------------------------------------------

-- Seconds between looks for what nobody waits for any more.
local LOOKS = { 0.05, 0.2, 0.5 }

---Ends what was asked for and given up. The request that makes it may still be on its
---way, so that what is not there is looked for again, a few times.
---@param attempt fun(): any, daytona.Error?  ends it
function calls.undo(attempt)
  for i = 0, #LOOKS do
    if i > 0 then loop.sleep(LOOKS[i]) end
    local done, err = attempt()
    if done or not errors.is(err, "not_found") then return end
  end
end

---The error for a call that an old daemon does not know: it answers 404 without
---a code of its own. Other errors are returned as they are.
---@param err daytona.Error
---@return daytona.Error
function calls.explain_missing(err)
  if err.status ~= 404 or err.code or err.kind ~= "not_found" then return err end
  return errors.new {
    kind = "unsupported", status = 404, operation = err.operation, what = err.what,
    sandbox = err.sandbox, message = "the daemon in this sandbox is too old for this call", cause = err,
  }
end

---What is made of the objects in a list of the daemon, by the time in a field and
---then by id. null is an empty list; what has no id is left out.
---@param raw any
---@param make fun(item: table): table
---@param field string  of what was made: a time, RFC 3339
---@return table[]
function calls.oldest_first(raw, make, field)
  local list = {}
  for _, item in ipairs(type(raw) == "table" and raw or {}) do
    if type(item) == "table" and type(item.id) == "string" then list[#list + 1] = make(item) end
  end
  table.sort(list, function(a, b)
    local x, y = tostring(a[field] or ""), tostring(b[field] or "")
    if x ~= y then return x < y end
    return a.id < b.id
  end)
  return list
end

return calls
