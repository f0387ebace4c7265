-- Where sessions are kept: which sandboxes belong to a conversation, so that another
-- program, or the same one after a restart, goes on with it. One small interface:
--
--   store:put(session, id, text)   keeps a record
--   store:remove(session, id)
--   store:all(session)             { id = text }
--
-- Each returns true (or the table), or nil and why. A record is one write, so programs
-- that share a session do not undo each other's.

local errors = require "daytona.base.errors"

local M = {}

local FILES = { file = "daytona.agent.store.file", memory = "daytona.agent.store.memory",
  redis = "daytona.agent.store.redis", ngx = "daytona.agent.store.ngx" }

---Opens a store: "file" (the default; in the user's state folder), "memory" (of this
---program), a table like { file = folder }, { ngx = name of a lua_shared_dict },
---{ redis = { host, port, password, db, prefix } }, or an object of the interface, which
---is returned. Raises on anything else.
---@param which? string|table
---@return table
function M.open(which)
  if which == nil then which = "file" end
  if type(which) == "table" and which.put and which.all and which.remove then return which end
  if type(which) == "string" then which = { [which] = true } end
  if type(which) ~= "table" then errors.misuse(1, "store: a name or a table expected, got %s", type(which)) end
  local name, value = next(which)
  if not FILES[name] then
    errors.misuse(1, "store: there is no store '%s'; they are: file, memory, ngx, redis", tostring(name))
  end
  return require(FILES[name]).new(value ~= true and value or nil)
end

return M
