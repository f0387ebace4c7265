--- The file calls that carry no content: list, info, folder, delete, move,
-- permissions. Parameters travel in the query.

local bit = require "bit"
local unistd = require "posix.unistd"
local stat = require "posix.sys.stat"
local stdio = require "posix.stdio"
local pwd = require "posix.pwd"
local grp = require "posix.grp"
local json = require "daytona.devserver.http.json"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local paths = require "daytona.devserver.toolbox.paths"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"

local files = {}

-- `info` is stat's: links are described by what they lead to.
local function describe(path, info, with_path)
  return {
    name = text.utf8(paths.base(path)),
    path = with_path and text.utf8(path) or nil,
    size = info.size,
    mode = text.go_mode(info.mode),
    permissions = ("%04o"):format(bit.band(info.mode, 511)),
    modTime = text.go_time(info.mtime, info.mtime_nsec),
    modifiedAt = text.rfc3339(info.mtime, info.mtime_nsec),
    isDir = info.kind == sys.S_IFDIR,
    owner = tostring(info.uid), group = tostring(info.gid),
  }
end

local function depth_of(req)
  local given = req.query.depth
  if not given or req.app.legacy then return 1 end
  local depth = tonumber(given:match "^[+]?%d+$")
  if not depth or depth < 1 then
    failures.raise(400, "depth must be an integer of at least 1")
  end
  return depth
end

--- GET /files
function files.list(req)
  local dir = req.query.path
  if not dir or dir == "" then dir = unistd.getcwd() end
  if dir:find("\0", 1, true) then failures.raise(400, "path: invalid argument") end
  local depth = depth_of(req)
  local names, errno = paths.names(dir)
  if not names then failures.file(errno, "open " .. dir) end
  local list = {}
  paths.walk(dir, depth, function(path)
    local info = sys.stat(path)
    if info then
      list[#list + 1] = describe(path, info, not req.app.legacy)
    end
  end)
  return 200, json.array(list)
end

--- GET /files/info
function files.info(req)
  local path = paths.required(req, "path")
  local info, errno = sys.stat(path)
  if not info then failures.file(errno, "stat " .. path) end
  return 200, describe(path, info, false)
end

local function octal(given, default)
  if not given or given == "" then return default end
  local mode = given:match "^[0-7]+$" and tonumber(given, 8)
  if not mode or mode > 4095 then
    failures.raise(400, "invalid mode: " .. given)
  end
  return mode
end

--- Makes a folder and its parents.
---@return boolean? ok
---@return integer? errno
function files.make_dirs(path, mode)
  local info = sys.stat(path)
  if info then
    if info.kind == sys.S_IFDIR then return true end
    return nil, sys.ENOTDIR
  end
  local parent = paths.dir(path)
  if parent ~= path then
    local ok, errno = files.make_dirs(parent, mode)
    if not ok then return nil, errno end
  end
  local ok, _, errno = stat.mkdir(path, mode)
  if not ok and errno ~= sys.EEXIST then return nil, errno end
  return true
end

--- POST /files/folder
function files.folder(req)
  local path = paths.required(req, "path")
  local mode = octal(req.query.mode, 493)
  local ok, errno = files.make_dirs(path, mode)
  if not ok then
    failures.raise(400, ("mkdir %s: %s"):format(path, sys.strerror(errno)))
  end
  return 201
end

--- Removes what is under a folder, then the folder.
---@return boolean ok
---@return integer? errno
function files.remove_tree(dir)
  local folders, failed = { dir }, nil
  paths.walk(dir, nil, function(path, _, info)
    if info.kind == sys.S_IFDIR then
      folders[#folders + 1] = path
    else
      local ok, _, errno = unistd.unlink(path)
      if not ok then failed = failed or errno end
    end
  end)
  for i = #folders, 1, -1 do
    local ok, _, errno = unistd.rmdir(folders[i])
    if not ok then failed = failed or errno end
  end
  return not failed, failed
end

--- DELETE /files
function files.delete(req)
  local path = paths.required(req, "path")
  local info, errno = sys.stat(path)
  if not info then failures.file(errno, "stat " .. path) end
  if info.kind == sys.S_IFDIR and req.query.recursive ~= "true" then
    failures.raise(400, "cannot delete directory without recursive flag")
  end
  local ok, failed, _
  if sys.lstat(path).kind == sys.S_IFDIR then
    ok, failed = files.remove_tree(path)
  else
    ok, _, failed = unistd.unlink(path)
  end
  if not ok then
    failures.raise(400, ("remove %s: %s"):format(path, sys.strerror(failed)))
  end
  return 204
end

-- A rename to another file system: copy, then delete.
local function move_across(source, destination)
  local function run(...)
    local child = assert(spawn.start { argv = { ... }, env = environment.list() })
    return child:wait() == 0
  end
  if not run("cp", "-R", "-P", "-p", "--", source, destination) then
    failures.raise(400, "copy " .. source .. ": failed")
  end
  if not run("rm", "-rf", "--", source) then
    return 200, { message = "file copied, but the source remains", error = "remove " .. source }
  end
  return 200
end

--- POST /files/move
function files.move(req)
  local source = paths.required(req, "source")
  local destination = paths.required(req, "destination")
  local info, errno = sys.lstat(source)
  if not info then failures.file(errno, "stat " .. source) end
  local parent, parent_errno = sys.stat(paths.dir(destination))
  if not parent then failures.file(parent_errno, "stat " .. paths.dir(destination)) end
  if sys.lstat(destination) then
    failures.raise(409, "destination already exists: " .. destination)
  end
  local ok, _, rename_errno = stdio.rename(source, destination)
  if ok then return 200 end
  if rename_errno == sys.EXDEV then return move_across(source, destination) end
  failures.file(rename_errno, "rename " .. source)
end

-- A user or group id from its number or name; -1 when it is not given.
local function id_of(given, look_up, field, what)
  if not given or given == "" then return -1 end
  local found = look_up(given)
  local id = found and found[field] or tonumber(given:match "^%d+$")
  if not id then failures.raise(400, ("unknown %s: %s"):format(what, given)) end
  return id
end

--- POST /files/permissions
function files.permissions(req)
  local path = paths.required(req, "path")
  local mode = octal(req.query.mode)
  local info, errno = sys.stat(path)
  if not info then failures.file(errno, "stat " .. path) end
  local uid = id_of(req.query.owner, pwd.getpwnam, "pw_uid", "user")
  local gid = id_of(req.query.group, grp.getgrnam, "gr_gid", "group")
  if mode then
    local ok, _, failed = stat.chmod(path, mode)
    if not ok then failures.file(failed, "chmod " .. path) end
  end
  if uid ~= -1 or gid ~= -1 then
    local ok, _, failed = unistd.chown(path, uid, gid)
    if not ok then failures.file(failed, "chown " .. path) end
  end
  return 200
end

return files
