-- The ledger on disk: one file a process in $XDG_STATE_HOME/daytona/ledger (~/.local/state
-- without that), to which a line is appended before a sandbox is asked for and when one is
-- gone. A file of which nothing is left is removed.
--
--   owner web1/...                    the first line (owner.lua)
--   + https://...#account name mark   asked for; names are escaped as in a URL
--   - https://...#account name        gone, or never made
--
-- Lines are written whole; one that was cut by a crash is ignored. Nothing is synced: what
-- a crash of the machine loses, the labels of the sandboxes still tell. What cannot be written
-- is not: no call fails for it.

local core = require "daytona.base.native"
local folders = require "daytona.base.folders"
local owner = require "daytona.control.owner"

local M = {}

---Appends to a file; nothing where that cannot be.
---@param path string
---@param text string
---@param existing? boolean  nothing either where it is no longer there
function M.append(path, text, existing)
  local file = io.open(path, existing and "r+" or "a")
  if not file then return end
  if existing then file:seek "end" end
  file:setvbuf "full" -- written whole
  file:write(text)
  file:close()
end

-- Path -> how much of it is open, in a process. In the child of a fork nothing is: all is the
-- parent's.
local counted, process = {}, nil

local function counts()
  local pid = core.pid()
  if process ~= pid then counted, process = {}, pid end
  return counted
end

-- The file of this process in a folder, begun when it is needed; nil where it cannot be.
local function begin(folder)
  local own, count = owner.own(), counts()
  local path = ("%s/%s-%s"):format(folder, own.pid, own.state)
  if not count[path] then
    if not folders.make(folder) then return nil end
    M.append(path, "owner " .. owner.text(own) .. "\n")
    count[path] = 0
  end
  return path
end

---Notes what is asked for. The file that has it, or nil.
---@param folder string
---@param key string    of ledger.key
---@param mark? string
---@return string? path
function M.add(folder, key, mark)
  local path = begin(folder)
  if not path then return nil end
  counts()[path] = counts()[path] + 1
  M.append(path, "+ " .. key .. " " .. (mark or "") .. "\n")
  return path
end

---Notes that it is gone.
---@param path string
---@param key string
function M.drop(path, key)
  local count = counts()
  local left = count[path]
  if not left then return end
  count[path] = left > 1 and left - 1 or nil
  if count[path] then return M.append(path, "- " .. key .. "\n") end
  os.remove(path)
end

return M
