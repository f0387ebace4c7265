-- The few file operations of the control plane: whole files, atomic writes,
-- trees of directories. Knows nothing of what the files mean.

local dirent = require "posix.dirent"
local fcntl = require "posix.fcntl"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"

local files = {
  durable = true,   -- whether a write waits for the disk (a folder that is removed anyway need not)
}

---@param path string
---@return string? content
function files.read(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local content = f:read("*a")
  f:close()
  return content
end

local function write_all(fd, content)
  while #content > 0 do
    local n, message = unistd.write(fd, content)
    if not n then return nil, message end
    content = content:sub(n + 1)
  end
  return true
end

-- Makes a file whose content is on the disk.
local function make(path, content)
  local fd, message = fcntl.open(path, fcntl.O_WRONLY + fcntl.O_CREAT + fcntl.O_TRUNC + fcntl.O_CLOEXEC, 420)
  if not fd then return nil, message end
  local ok, why = write_all(fd, content)
  if ok and files.durable then ok, why = unistd.fsync(fd) end
  local closed, trouble = unistd.close(fd)
  if not ok then return nil, why end
  if not closed then return nil, trouble end
  return true
end

---Replaces a file in one step: afterwards it is the new one, whole, or the old one.
---@param path string
---@param content string
---@return boolean? ok, string? message
function files.write(path, content)
  local temporary = path .. ".new"
  local ok, message = make(temporary, content)
  if ok then ok, message = os.rename(temporary, path) end
  if not ok then
    unistd.unlink(temporary)
    return nil, message
  end
  return true
end

---Makes a directory and its parents (mode 0700 for each new one).
---@param path string
---@return boolean? ok, string? message
function files.mkdir(path)
  local at = path:sub(1, 1) == "/" and "" or "."
  for part in path:gmatch("[^/]+") do
    at = at .. "/" .. part
    if not stat.stat(at) then
      local ok, message = stat.mkdir(at, 448)
      if not ok then return nil, message end
    end
  end
  return true
end

---Removes a tree; never follows a symbolic link.
---@param path string
function files.remove(path)
  local info = stat.lstat(path)
  if not info then return end
  if stat.S_ISDIR(info.st_mode) == 0 then
    unistd.unlink(path)
    return
  end
  stat.chmod(path, 448)
  local names = {}
  for name in dirent.files(path) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do files.remove(path .. "/" .. name) end
  unistd.rmdir(path)
end

---The names in a directory, sorted; none when it cannot be read.
---@param path string
---@return string[]
function files.list(path)
  local names = {}
  if not stat.stat(path) then return names end
  for name in dirent.files(path) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

return files
