-- Sessions in this program's memory: for tests, and conversations that need not outlive it.

local M = {}

local Store = { __name = "daytona.MemoryStore" }
Store.__index = Store

---@param sessions? table  to share
---@return table
function M.new(sessions)
  return setmetatable({ sessions = sessions or {} }, Store)
end

function Store:put(session, id, text)
  self.sessions[session] = self.sessions[session] or {}
  self.sessions[session][id] = text
  return true
end

function Store:remove(session, id)
  if self.sessions[session] then self.sessions[session][id] = nil end
  return true
end

function Store:all(session)
  local out = {}
  for id, text in pairs(self.sessions[session] or {}) do out[id] = text end
  return out
end

return M
