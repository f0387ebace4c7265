-- Whether a service knows what was asked for: an older one ignores what it does not.

local asked = require "daytona.control.create_options"
local errors = require "daytona.base.errors"

local heard = {}

local function unsupported(creation, option, cause)
  return errors.new {
    kind = "unsupported", operation = "create", what = creation.body.name, sandbox = creation.sandbox, cause = cause,
    message = "this service is too old for the option '" .. option .. "'",
  }
end

---Nothing of a sandbox shows that its secrets were heard; a service that has none has no
---list of them either. Asked once a client.
---@param creation daytona.Creation
---@return true?
---@return daytona.Error?
function heard.knows_secrets(creation)
  local client = creation.client
  if client.has_secrets then return true end
  local list, err = client.secrets:list { limit = 1 }
  if not list and errors.is(err, "unsupported") then return nil, unsupported(creation, "secrets", err) end
  client.has_secrets = true
  return true
end

---Looks again: the first answer may lack what a look shows.
---@param creation daytona.Creation
---@return true?
---@return daytona.Error?
function heard.look(creation)
  local fine, err = creation.sandbox:refresh()
  if not fine then return nil, err end
  local option = asked.unheard(creation.opts, creation.sandbox)
  if option then return nil, unsupported(creation, option) end
  return true
end

return heard
