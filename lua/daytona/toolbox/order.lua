-- Arguments that have changed places: refused where that is beyond doubt, else a hint in the
-- error, when what came second is there where the first was looked for.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"

local order = {}

-- Bytes of the longest path that there can be.
local LONGEST = 4095

---Raises where a path and the content for it seem to have changed places.
---@param what string  the call
---@param path string
---@param data string
function order.check_content(what, path, data)
  local swapped = path:find("\n", 1, true) and data:find "^[%w%._/~@+-]+$" and data:find "[./]"
  if #path > LONGEST or swapped then
    errors.misuse(1, "%s: the path comes first, then the data: this path %s", what,
      swapped and "has several lines" or "has " .. #path .. " bytes")
  end
end

-- What a text can only be, or nearly so.
local LOOKS = {
  address = function(text) return text:find "^%a[%w+.-]*://" or text:find "^[%w._-]+@[%w.-]+:" end,
  email = function(text) return text:find "^[^%s@]+@[^%s@]+%.[^%s@]+$" end,
  setting = function(text) return text:find "^%a[%w-]*%.[%w.-]*%w$" end,
  token = function(text) return text:find "^gh%l_%w+$" or text:find "^github_pat_" or text:find "^glpat%-" end,
}

---Raises where one argument is what another is to be, and that one is not.
---@param kind "address"|"email"|"setting"|"token"
---@param given string?  in which it is wrong
---@param wanted string?
---@param text string    the call, and what is right: "clone: the URL comes first, then the path"
function order.check(kind, given, wanted, text)
  if given and wanted and LOOKS[kind](given) and not LOOKS[kind](wanted) then errors.misuse(1, "%s", text) end
end

---Adds to an error what may be the reason of it.
---@param err daytona.Error
---@param hint string
function order.hint(err, hint)
  err.message = ("%s (%s)"):format(err.message, hint)
end

---The same where what is missing on one side is on this machine.
---@param err daytona.Error
---@param is_missing boolean?  no such thing where the first argument is looked for
---@param path any
---@param kind "file"|"directory"
---@param hint string
function order.hint_if_here(err, is_missing, path, kind, hint)
  if is_missing and type(path) == "string" and core.stat(path) == kind then order.hint(err, hint) end
end

---The same where both are in the sandbox, and what came second is there. (One more request,
---after one that has failed.)
---@param sandbox daytona.Sandbox
---@param err daytona.Error
---@param other any
---@param hint string
function order.hint_if_there(sandbox, err, other, hint)
  if not errors.is(err, "not_found") or type(other) ~= "string" then return end
  if other == "" or #other > LONGEST or other:find "[%z\n]" then return end
  if sandbox.fs:exists(other) then order.hint(err, hint) end
end

return order
