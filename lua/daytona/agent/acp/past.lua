-- Sessions of the past: what was said in each is a transcript in the user's state folder,
-- beside a record of whose project it is about; from these a session goes on.

local files = require "daytona.agent.store.file"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local output = require "daytona.agent.output"

local M = {}

-- Folder in that of the store; bytes of a title.
local FOLDER, TITLE = "acp", 80

---@class daytona.AcpPast
---@field store daytona.FileStore
local Past = {}
Past.__index = Past

---@return daytona.AcpPast
function M.new()
  return setmetatable({ store = files.new() }, Past)
end

---@class daytona.AcpRecord  as the protocol's SessionInfo
---@field sessionId string
---@field cwd string
---@field title? string      from the first prompt; none before
---@field updatedAt string

local function is_id(id)
  return type(id) == "string" and id:find "^daytona%-%x+$" ~= nil
end

---Where a session's transcript is.
---@param id string
---@return string
function Past:path(id)
  return ("%s/%s/%s.jsonl"):format(self.store.folder, FOLDER, id)
end

-- The first line of a prompt, as much as fits.
local function title_of(prompt)
  local line = prompt:match "[^%c]*%S[^%c]*" or ""
  line = line:gsub("^%s+", "")
  return #line > TITLE and output.head(output.clean(line), TITLE) .. "..." or line
end

---Keeps a record of a session. Whether that could be done.
---@param id string
---@param folder string
---@param prompt? string  the first one
---@return boolean
function Past:note(id, folder, prompt)
  local record = { sessionId = id, cwd = folder, updatedAt = os.date "!%Y-%m-%dT%H:%M:%SZ",
    title = prompt and title_of(prompt) }
  return self.store:put(FOLDER, id, assert(ordered.encode(record))) ~= nil
end

---The sessions that have begun, the latest first; those about that folder, if one is given.
---@param folder? string
---@return daytona.AcpRecord[]
function Past:list(folder)
  local out = json.array()
  for _, text in pairs(self.store:all(FOLDER) or {}) do
    local record = json.decode(text)
    if type(record) == "table" and record.title and (not folder or record.cwd == folder) then out[#out + 1] = record end
  end
  table.sort(out, function(a, b)
    if a.updatedAt ~= b.updatedAt then return a.updatedAt > b.updatedAt end
    return a.sessionId < b.sessionId
  end)
  return out
end

---The record of a session that has begun; nil when there is none.
---@param id any
---@return daytona.AcpRecord?
function Past:find(id)
  if not is_id(id) then return nil end
  for _, record in ipairs(self:list()) do
    if record.sessionId == id then return record end
  end
end

---Forgets a session.
---@param id any
function Past:remove(id)
  if not is_id(id) then return end
  self.store:remove(FOLDER, id)
  os.remove(self:path(id))
end

return M
