-- What an error of the daemon means, or of what stands before it, beyond its status.

local errors = require "daytona.base.errors"

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

-- The error for a call that an old daemon does not know: it answers 404 without a code
-- of its own. Other errors are returned as they are.
local function explain_missing(err)
  if err.status ~= 404 or err.code or err.kind ~= "not_found" then return err end
  return errors.new {
    kind = "unsupported", status = 404, operation = err.operation, what = err.what,
    sandbox = err.sandbox, message = "the daemon in this sandbox is too old for this call", cause = err,
  }
end

---What an error of the daemon means, or of what stands before it.
---@param err daytona.Error
---@param row? daytona.Call
---@return daytona.Error
return function(err, row)
  if row and row.since then err = explain_missing(err) end
  local of_a_remote = err.code and err.code:find("^GIT_")
  if err.status == 401 and err.kind == "auth" and not of_a_remote then return gone_or_refused(err) end
  return err
end
