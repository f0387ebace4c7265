-- Local folders that are their user's alone.

local core = require "daytona.base.native"

local folders = {}

local PRIVATE = 448 -- rwx------

---Makes a folder, and those above it that are not there. Whether it is there then.
---@param path string
---@return boolean
function folders.make(path)
  local at = path:sub(1, 1) == "/" and "" or "."
  for part in path:gmatch "[^/]+" do
    at = at .. "/" .. part
    if not core.file_type(at) then core.make_directory(at, PRIVATE) end
  end
  return core.file_type(path) == "directory"
end

return folders
