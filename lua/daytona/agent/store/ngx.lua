-- Sessions in a lua_shared_dict of nginx, for all its workers. The dictionary should be
-- for this alone: finding a session's records looks at all keys.

local errors = require "daytona.base.errors"

local M = {}

local Store = { __name = "daytona.NgxStore" }
Store.__index = Store

---@param name string  of the lua_shared_dict
---@return table
function M.new(name)
  local host = rawget(_G, "ngx")
  local dict = host and host.shared and host.shared[name or ""]
  if not dict then errors.misuse(1, "store: nginx has no lua_shared_dict '%s'", tostring(name)) end
  return setmetatable({ dict = dict }, Store)
end

function Store:put(session, id, text)
  local fine, why = self.dict:safe_set(session .. ":" .. id, text)
  if fine then return true end
  return nil, why
end

function Store:remove(session, id)
  self.dict:delete(session .. ":" .. id)
  return true
end

function Store:all(session)
  local prefix, out = session .. ":", {}
  for _, key in ipairs(self.dict:get_keys(0)) do
    if key:sub(1, #prefix) == prefix then out[key:sub(#prefix + 1)] = self.dict:get(key) end
  end
  return out
end

return M
