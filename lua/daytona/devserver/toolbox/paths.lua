--- Paths as requests name them: relative to the daemon's working directory,
-- with "~" an ordinary name; joined and cleaned as Go does it; and walks over
-- the tree under one, in lexical order.

local cqueues = require "cqueues"
local dirent = require "posix.dirent"
local failures = require "daytona.devserver.toolbox.failures"
local sys = require "daytona.devserver.toolbox.sys"

local paths = {}

--- The shortest path equal to this one.
---@param path string
---@return string
function paths.clean(path)
  local rooted = path:sub(1, 1) == "/"
  local kept = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." and kept[1] and kept[#kept] ~= ".." then
      kept[#kept] = nil
    elseif part ~= "." and not (part == ".." and rooted) then
      kept[#kept + 1] = part
    end
  end
  local joined = table.concat(kept, "/")
  if rooted then return "/" .. joined end
  return joined == "" and "." or joined
end

function paths.join(dir, name)
  return paths.clean(dir .. "/" .. name)
end

--- The last part of a path.
function paths.base(path)
  return path:match "([^/]+)/*$" or (path == "" and "." or "/")
end

--- The folder a path is in.
function paths.dir(path)
  return paths.clean(path:match "^(.*)/[^/]*$" and path:match "^(.*/)[^/]*$" or ".")
end

--- A path that a request must name in its query.
---@return string
function paths.required(req, name)
  local path = req.query[name]
  if not path or path == "" then
    failures.raise(400, name .. " is required")
  elseif path:find("\0", 1, true) then
    failures.raise(400, name .. ": invalid argument")
  end
  return path
end

-- Why a folder could not be read, as an errno.
local function cannot_read(dir)
  local info, errno = sys.stat(dir)
  if not info then return errno end
  return info.kind == sys.S_IFDIR and sys.EACCES or sys.ENOTDIR
end

--- The names in a folder, sorted by bytes.
---@return string[]? names
---@return integer? errno
function paths.names(dir)
  local ok, list = pcall(dirent.dir, dir)
  if not ok or not list then
    return nil, cannot_read(dir)
  end
  local names = {}
  for i = 1, #list do
    if list[i] ~= "." and list[i] ~= ".." then
      names[#names + 1] = list[i]
    end
  end
  table.sort(names)
  return names
end

local TURN = 500          -- entries walked before other requests get their turn

--- Calls visit(path, depth, info) for everything under `root`, folders before
-- their content; `info` is lstat's. Folders that cannot be read are passed by;
-- symbolic links are not entered. Waits in the loop now and then.
---@param root string
---@param deepest integer?  1: only what is in `root` itself
---@param visit fun(path: string, depth: integer, info: table)
function paths.walk(root, deepest, visit)
  local seen = 0
  local function enter(dir, depth)
    for _, name in ipairs(paths.names(dir) or {}) do
      local path = paths.join(dir, name)
      local info = sys.lstat(path)
      if info then
        seen = seen + 1
        if seen % TURN == 0 then cqueues.sleep(0) end
        visit(path, depth, info)
        if info.kind == sys.S_IFDIR and (not deepest or depth < deepest) then
          enter(path, depth + 1)
        end
      end
    end
  end
  enter(root, 1)
end

return paths
