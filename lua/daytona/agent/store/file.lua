-- Sessions in files: a folder for each, a file for each record, written whole or not at
-- all (a new file is renamed over the old one).

local core = require "daytona.base.native"
local folders = require "daytona.base.folders"

local M = {}

---@class daytona.FileStore
---@field folder string
local Store = { __name = "daytona.FileStore" }
Store.__index = Store

local function default_folder()
  local state = os.getenv "XDG_STATE_HOME"
  if not state or state == "" then state = (os.getenv "HOME" or ".") .. "/.local/state" end
  return state .. "/daytona/sessions"
end

---@param folder? string  ~/.local/state/daytona/sessions
---@return daytona.FileStore
function M.new(folder)
  return setmetatable({ folder = folder or default_folder() }, Store)
end

local function place(self, session, id)
  return ("%s/%s/%s.json"):format(self.folder, session, id)
end

---@param session string
---@param id string
---@param text string
---@return true?
---@return string? why
function Store:put(session, id, text)
  if not folders.make(self.folder .. "/" .. session) then return nil, "cannot make the folder " .. self.folder end
  local path = place(self, session, id)
  local new = path .. "." .. core.unique():gsub("[^%w]", "") .. ".new"
  local file, why = io.open(new, "wb")
  if not file then return nil, why end
  local fine
  fine, why = file:write(text)
  file:close()
  if fine then fine, why = os.rename(new, path) end
  if fine then return true end
  os.remove(new)
  return nil, why
end

---@param session string
---@param id string
---@return true?
function Store:remove(session, id)
  os.remove(place(self, session, id))
  return true
end

local function content(path)
  local file = io.open(path, "rb")
  if not file then return nil end -- gone meanwhile
  local text = file:read "*a"
  file:close()
  return text
end

---@param session string
---@return table<string, string>?
---@return string? why
function Store:all(session)
  local folder, out = self.folder .. "/" .. session, {}
  if not core.file_type(folder) then return out end
  local list, why = core.list_directory(folder)
  if not list then return nil, why end
  for _, name in ipairs(list) do
    local id = name:match "^(.+)%.json$"
    if id then out[id] = content(folder .. "/" .. name) end
  end
  return out
end

return M
