-- A tree of files out of a sandbox: what differs comes in one request, into a folder of
-- its own, and is put in its place file by file, each by a rename. What the network
-- names is only ever used as a path below the target, in folders that are no links.

local archive = require "daytona.toolbox.fs.archive"
local calls = require "daytona.toolbox.fs.calls"
local core = require "daytona.base.native"
local download_many = require "daytona.toolbox.fs.download_many"
local errors = require "daytona.base.errors"
local localtree = require "daytona.toolbox.fs.localtree"
local loop = require "daytona.loop"
local plan = require "daytona.toolbox.fs.plan"
local random = require "daytona.base.random"
local remotetree = require "daytona.toolbox.fs.remotetree"

local down = {}

--- What is wanted -------------------------------------------------------------------------

-- Whether a link at `path` stays inside of the tree. The folders above it are no
-- links, so going up counts; after a name that may be one, it does not.
local function stays_inside(path, target)
  if target:sub(1, 1) == "/" then return false end
  local depth, named = select(2, path:gsub("/", "")), false
  for part in target:gmatch("[^/]+") do
    if part == ".." then
      depth = depth - 1
      if named or depth < 0 then return false end
    elseif part ~= "." then
      named = true
    end
  end
  return true
end

-- Takes links that lead out of the tree out of both: they are neither made nor replaced.
local function drop_links(run, from, to)
  for path, entry in pairs(from) do
    if entry.type == "link" and not (entry.target and stays_inside(path, entry.target)) then
      run.skipped[#run.skipped + 1] = path
      from[path], to[path] = nil, nil
    end
  end
end

--- Fetching -------------------------------------------------------------------------------

-- Whether nothing failed but what was there when it was looked.
local function all_gone(results)
  for _, result in ipairs(results) do
    if result.error and not errors.is(result.error, "not_found") then return false end
  end
  return true
end

-- Fetches the files that did not come, in one request: bytes, or nil, err.
local function fetch_rest(self, run, places, came)
  local list, bytes = {}, 0
  for path, place in pairs(places) do
    if not came[path] then list[#list + 1] = { run.remote .. "/" .. path, place } end
  end
  if not list[1] then return 0 end
  local results, err = download_many.fetch(self, list,
    { on_progress = run.on_progress, timeout = run.pace:left() }, true)
  if not results then
    if err.results and all_gone(err.results) then err.code = run.CHANGED end
    return nil, err
  end
  for _, result in ipairs(results) do bytes = bytes + result.size end
  return bytes
end

-- Fetches the files to be copied into the staging folder, under numbers: where each is,
-- and bytes that came; or nil, err.
local function fetch(self, run, made, from, staging)
  local places, n, size = {}, 0, 0
  local fine, err = run.pace:each(made.send, function(path)
    if from[path].type ~= "file" then return end
    places[path], n, size = staging .. "/" .. n, n + 1, size + from[path].size
  end)
  if not fine then return nil, err end
  local connection, came = self.sandbox:toolbox(), {}
  if connection and archive.pays(connection, size, run.way) then
    came, err, run.tidied = archive.fetch(self, run, from, places)
    if not came then return nil, err end
  end
  local bytes
  bytes, err = fetch_rest(self, run, places, came)
  if not bytes then return nil, err end
  for path in pairs(came) do bytes = bytes + from[path].size end
  return places, bytes
end

--- Putting in place -----------------------------------------------------------------------

local function make_folder(path)
  local fine, why = core.make_directory(path, 448)
  if fine or core.lstat(path) == "directory" then return true end
  return nil, why
end

-- Renames into the tree, in whose folder another may have been at work meanwhile.
local function move(from, root, path)
  local target = root .. "/" .. path
  local fine, why = os.rename(from, target)
  if fine or core.lstat(target) then return fine, why end
  for stop in path:gmatch("()/") do
    fine, why = make_folder(root .. "/" .. path:sub(1, stop - 1))
    if not fine then return nil, why end
  end
  return os.rename(from, target)
end

-- Puts one entry into its place. true, or nil and why.
local function place(root, path, entry, fetched, staging)
  if entry.type == "directory" then return make_folder(root .. "/" .. path) end
  local fine, why
  if entry.type == "link" then
    fetched = staging .. "/link"
    fine, why = core.make_link(entry.target, fetched)
  else
    fine, why = core.change_mode(fetched, entry.mode)
    if fine then fine, why = core.set_times(fetched, entry.seconds, entry.nanoseconds) end
  end
  if fine then fine, why = move(fetched, root, path) end
  if not fine then return nil, why end
  return true
end

-- Calls fn for each path: true, or nil, why, path.
local function for_each(run, paths, fn)
  for _, path in ipairs(paths) do
    local fine, why = fn(path)
    if fine then fine, why = run.pace:breathe() end
    if not fine then return nil, why, path end
  end
  return true
end

local function remove(run, path)
  os.remove(run.root .. "/" .. path) -- of folders only an empty one
  return true
end

local function set_modes(run, made)
  for mode, paths in pairs(made.modes) do
    for _, path in ipairs(paths) do core.change_mode(run.root .. "/" .. path, mode) end
  end
end

-- Last, as they may become read-only.
local function set_folder_modes(run, made, from)
  for i = #made.send, 1, -1 do
    local path = made.send[i]
    if from[path].type == "directory" then core.change_mode(run.root .. "/" .. path, from[path].mode) end
  end
end

-- Puts everything in its place. true, or nil, why, path.
local function put_all(run, made, from, places, staging)
  local function replace(path) return localtree.remove(run.root .. "/" .. path) end
  local function put(path) return place(run.root, path, from[path], places[path], staging) end
  local function drop(path) return remove(run, path) end
  local fine, why, path = for_each(run, made.replaced, replace)
  if fine then fine, why, path = for_each(run, made.send, put) end
  if fine then fine, why, path = for_each(run, made.files, drop) end
  if fine then fine, why, path = for_each(run, made.folders, drop) end
  if not fine then return nil, why, path end
  set_modes(run, made)
  set_folder_modes(run, made, from)
  return true
end

-- The same; folders that may not be written to can be, meanwhile.
local function put_in_place(run, made, from, places, staging)
  for _, folder in ipairs(made.opened) do
    core.change_mode(run.root .. "/" .. folder.path, plan.opened_mode(folder.mode))
  end
  local function shut()
    for i = #made.opened, 1, -1 do core.change_mode(run.root .. "/" .. made.opened[i].path, made.opened[i].mode) end
  end
  local fine, why, path = loop.guard(function() return put_all(run, made, from, places, staging) end, shut)
  shut()
  return fine, why, path
end

--- The root -------------------------------------------------------------------------------

local function make_root(root)
  local kind = core.stat(root)
  if kind == "directory" then return true end
  if kind then return nil, "there is no directory but something else" end
  local parent = root:match("^(.*[^/])/+[^/]+/*$")
  if parent and parent ~= "" then
    local fine, why = make_root(parent)
    if not fine then return nil, why end
  end
  return core.make_directory(root, 493)
end

-- What was left, more than a day ago, by a program that was killed.
local function remove_stale(root)
  for _, name in ipairs(core.list_directory(root) or {}) do
    if name:sub(1, #calls.STAGING) == calls.STAGING then
      local path = root .. "/" .. name
      local kind, _, _, seconds = core.lstat(path)
      if kind == "directory" and seconds < os.time() - 86400 then localtree.remove(path) end
    end
  end
end

-- What kept an entry from its place.
local function misplaced(run, from, why, path)
  if errors.is(why) then return nil, why end
  local there = core.lstat(run.root .. "/" .. path)
  local is_conflict = there and from[path] and (there == "directory") ~= (from[path].type == "directory")
  return run:failure(why, is_conflict and "conflict" or "io", path)
end

-- Fetches what is to be fetched and puts all in its place. Bytes that came, or nil, err.
local function change(self, run, made, from)
  remove_stale(run.root)
  local staging = run.root .. "/" .. calls.STAGING .. random.hex(6)
  local fine, why = core.make_directory(staging, 448)
  if not fine then return run:failure(why, "io", run.root) end
  local function clean() localtree.remove(staging) end
  local places, bytes, path
  local function go()
    places, bytes = fetch(self, run, made, from, staging)
    if places then fine, why, path = put_in_place(run, made, from, places, staging) end
  end
  loop.guard(go, clean)
  clean()
  if run.tidied then run.tidied() end
  if not places then return nil, bytes end
  if not fine then return misplaced(run, from, why, path) end
  return bytes
end

-- Both trees: what is over there, and that of this machine; or nil, err.
local function look(self, run)
  local scan, err = remotetree.scan(self.sandbox, run.operation, run.remote,
    { hashes = run.checksum, rules = run.gitignore and run.ignore or nil, pace = run.pace })
  if not scan then return nil, err end
  if scan.instead then return run:no_directory(scan.instead, "invalid") end
  run.way = scan.way
  if not scan.complete then return run:failure("a part of it cannot be read", "forbidden", run.remote) end
  local fine, why = make_root(run.root)
  if not fine then return run:failure(why, "io", run.root) end
  run.root = core.real_path(run.root) or run.root
  local to
  to, why = localtree.scan(run.root, run.ignore, false, run.pace)
  if not to then return run:failure(why, "io", run.root) end
  return scan.entries, to
end

---Makes the folder of this machine like that in the sandbox.
---@param self daytona.FileSystem
---@param run daytona.SyncRun
---@return daytona.SyncResult?
---@return daytona.Error?
function down.perform(self, run)
  local from, to = look(self, run)
  if not from then return nil, to end
  local fine, err = run:hide(from)
  if not fine then return nil, err end
  drop_links(run, from, to)
  local made
  made, err = run:plan(from, to)
  if not made then return nil, err end
  local bytes = 0
  if not plan.is_empty(made) then
    bytes, err = change(self, run, made, from)
    if not bytes then return nil, err end
  end
  local result = run:result(made, from, "downloaded")
  result.bytes = bytes
  return result
end

return down
