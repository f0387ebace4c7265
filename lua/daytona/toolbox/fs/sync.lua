-- Trees of files, up and down: what differs is found by one command, sent in one
-- archive (up) or one request (down), and put in its place file by file, each by
-- a rename. What the network names is only ever used as a path below the target,
-- in folders that are no links.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.fs.calls"
local gitignore = require "daytona.toolbox.fs.gitignore"
local localtree = require "daytona.toolbox.fs.localtree"
local loop = require "daytona.loop"
local many = require "daytona.toolbox.fs.many"
local options = require "daytona.base.options"
local random = require "daytona.base.random"
local remotetree = require "daytona.toolbox.fs.remotetree"
local tar = require "daytona.toolbox.fs.tar"

local sync = {}

-- A file changed so recently may change again within the same second: its time
-- is sent to the nanosecond.
local FRESH = 4

local CHUNK = 128 * 1024

-- What is made again when files changed meanwhile, so often in all; the code of an
-- error that says so.
local TRIES, CHANGED = 3, "FILE_CHANGED"

-- Seconds that a failure may take to tidy up over there.
local CLEAN_TIMEOUT = 5

---@class daytona.SyncResult
---@field uploaded integer    files and links; of an upload
---@field downloaded integer  the same of a download
---@field deleted integer
---@field unchanged integer   files and links
---@field bytes integer       of the content that was moved
---@field skipped string[]    what cannot be copied: devices and pipes, and links that would lead out of a local tree

local function failure(self, operation, kind, message, what)
  return nil, errors.new { kind = kind, operation = operation, what = what, sandbox = self.sandbox, message = message }
end

--- What differs -------------------------------------------------------------------------

local function same_time(a, b)
  if a.seconds ~= b.seconds then return false end
  return a.nanoseconds == 0 or b.nanoseconds == 0 or a.nanoseconds == b.nanoseconds
end

-- Whether two files have the same content. `hash(path)` is that of the local one.
local function same_content(path, from, to, run)
  if from.size ~= to.size then return false end
  if not run.checksum then return same_time(from, to) end
  local theirs = from.hash or to.hash
  return theirs ~= nil and theirs == localtree.hash(run.root .. "/" .. path)
end

local function sorted_paths(tree)
  local paths = {}
  for path in pairs(tree) do paths[#paths + 1] = path end
  table.sort(paths)
  return paths
end

---What makes `to` like `from`.
---@class daytona.SyncPlan
---@field package send string[]       paths in `from` to be copied, folders before what is in them
---@field package replaced string[]   what is in their place, of another type
---@field package modes table<integer, string[]>
---@field package files string[]      to be deleted
---@field package folders string[]    the same, the deepest first
---@field package unchanged integer

local function compare(plan, path, a, b, run)
  if not b or b.type ~= a.type then
    if b and (a.type == "directory" or b.type == "directory") then plan.replaced[#plan.replaced + 1] = path end
    plan.send[#plan.send + 1] = path
    return
  end
  local is_directory = a.type == "directory"
  local same = is_directory or (a.type == "link" and a.target == b.target)
    or (a.type == "file" and same_content(path, a, b, run))
  if not same then
    plan.send[#plan.send + 1] = path
    return
  end
  if not is_directory then plan.unchanged = plan.unchanged + 1 end
  if a.type ~= "link" and a.mode ~= b.mode then
    plan.modes[a.mode] = plan.modes[a.mode] or {}
    table.insert(plan.modes[a.mode], path)
  end
end

local function plan_of(from, to, run)
  local plan = { send = {}, replaced = {}, modes = {}, files = {}, folders = {}, unchanged = 0 }
  local breathe = localtree.breather()
  for _, path in ipairs(sorted_paths(from)) do
    breathe()
    if from[path].type == "other" then
      run.skipped[#run.skipped + 1] = path
      from[path] = nil
    else
      compare(plan, path, from[path], to[path], run)
    end
  end
  if run.delete then
    local extra = sorted_paths(to)
    for i = #extra, 1, -1 do
      local path = extra[i]
      if not from[path] then
        local list = to[path].type == "directory" and plan.folders or plan.files
        list[#list + 1] = path
      end
    end
  end
  return plan
end

local function is_empty(plan)
  return not plan.send[1] and next(plan.modes) == nil and not plan.files[1] and not plan.folders[1]
end

-- Without `delete` nothing is removed, not even to make room.
local function check_replaced(self, plan, run)
  if run.delete or not plan.replaced[1] then return true end
  return failure(self, run.operation, "conflict",
    "there is a file where a folder is to be, or the other way round; with 'delete' it would be replaced",
    plan.replaced[1])
end

local function hide(tree, ignore)
  local breathe = localtree.breather()
  for path, entry in pairs(tree) do
    breathe()
    if ignore:hides(path, entry.type == "directory") then tree[path] = nil end
  end
end

local function count(plan, from, result, name)
  for _, path in ipairs(plan.send) do
    local entry = from[path]
    if entry.type ~= "directory" then result[name] = result[name] + 1 end
    if entry.type == "file" then result.bytes = result.bytes + entry.size end
  end
  result.unchanged, result.deleted = plan.unchanged, #plan.files
end

--- Up -----------------------------------------------------------------------------------

-- The archive of what is to be sent, in chunks; and its length.
local function archive(operation, root, paths, tree)
  local length = #tar.ENDING
  for _, path in ipairs(paths) do length = length + tar.size(path, tree[path]) end
  local turn, file, left, path = 0, nil, 0, nil
  local self = {}
  function self.close()
    if file then file:close() end
    file = nil
  end
  local function fail(kind, code, message)
    self.close()
    return nil, errors.new { kind = kind, code = code, operation = operation, what = path, message = message }
  end
  local function changed() return fail("conflict", CHANGED, "the file changed while it was sent") end
  local function begin(pieces)
    turn = turn + 1
    path = paths[turn]
    if not path then
      pieces[#pieces + 1] = tar.ENDING
      return #tar.ENDING
    end
    local entry = tree[path]
    local piece = tar.header(path, entry)
    pieces[#pieces + 1] = piece
    if entry.type == "file" then
      local why
      file, why = io.open(root .. "/" .. path, "rb")
      if not file and not core.lstat(root .. "/" .. path) then return changed() end
      if not file then return fail("io", "source", why) end
      left = entry.size
    end
    return #piece
  end
  function self.next()
    local pieces, size = {}, 0
    while size < CHUNK and turn <= #paths do
      if file then
        local piece, why = "", nil
        if left > 0 then piece, why = file:read(math.min(left, CHUNK)) end
        if why then return fail("io", "source", why) end
        if piece == nil or (piece == "" and left > 0) then return changed() end
        left = left - #piece
        pieces[#pieces + 1], size = piece, size + #piece
        if left == 0 then
          if file:read(1) then return changed() end
          self.close()
          pieces[#pieces + 1] = tar.padding(tree[path].size)
          size = size + #pieces[#pieces]
        end
      else
        local n, err = begin(pieces)
        if not n then return nil, err end
        size = size + n
      end
    end
    return size > 0 and table.concat(pieces) or nil
  end
  return self, length
end

-- What moves where: only what has its folder over there already is moved itself,
-- the rest comes with it.
local function moves_of(plan, to)
  local moves = {}
  for _, path in ipairs(plan.send) do
    local folder = path:match("^(.*)/[^/]*$") or ""
    if folder == "" or (to[folder] and to[folder].type == "directory") then
      moves[folder] = moves[folder] or {}
      table.insert(moves[folder], path)
    end
  end
  return moves
end

-- A folder that may not be written to could not be moved: it gets its mode last.
local function open_folders(plan, from)
  for _, path in ipairs(plan.send) do
    local entry = from[path]
    local own = entry.mode - entry.mode % 64
    if entry.type == "directory" and own ~= 448 then
      plan.modes[entry.mode] = plan.modes[entry.mode] or {}
      table.insert(plan.modes[entry.mode], path)
      entry.mode = 448 + entry.mode % 64
    end
  end
end

local function send_archive(self, run, plan, from, staging)
  local now = os.time()
  for _, path in ipairs(plan.send) do
    local entry = from[path]
    entry.exact = entry.type == "file" and now - entry.seconds < FRESH and entry.nanoseconds > 0
  end
  local source, length = archive(run.operation, run.root, plan.send, from)
  local info, err = self:upload(source.next, run.remote .. "/" .. staging .. "/tree.tar",
    { length = length, on_progress = run.on_progress, timeout = run.timeout })
  source.close()
  if not info then return nil, err end
  return true
end

local NOTHING_SENT = { resolve = true, connect = true, connect_timeout = true, tls = true }

-- Away with what a failure left. What was on its way may arrive, and make the
-- folder, after it was looked for.
local function remove_staging(self, path, may_arrive)
  local limit, pause = loop.now() + CLEAN_TIMEOUT, 0.05
  while true do
    local left = limit - loop.now()
    local done, err = calls.call(self, "remove", {
      query = { path = path, recursive = true }, what = path, timeout = math.max(left, 0.1),
    })
    if done or not may_arrive or not errors.is(err, "not_found") or pause > 1 then return end
    loop.sleep(pause)
    pause = pause * 2
  end
end

-- Sends what is to be sent and puts all in its place. true, or nil, err.
local function change_there(self, run, plan, from, to)
  open_folders(plan, from)
  local staging = plan.send[1] and remotetree.STAGING .. random.hex(6) or nil
  local sent = false
  local function clean()
    if staging then loop.shield(remove_staging, self, run.remote .. "/" .. staging, not sent) end
  end
  local function go()
    local problem
    if staging then
      sent, problem = send_archive(self, run, plan, from, staging)
      if not sent then return nil, problem end
    end
    return remotetree.apply(self.sandbox, run.remote, {
      staging = staging, moves = moves_of(plan, to), replaced = plan.replaced, modes = plan.modes,
      files = plan.files, folders = plan.folders, timeout = run.timeout,
    })
  end
  local fine, err = loop.guard(go, clean)
  if fine then return true end
  if not NOTHING_SENT[err.code] then clean() end
  -- The staging folder is nobody's business.
  if not err.what or err.what:find(remotetree.STAGING, 1, true) then err.what = run.remote end
  return nil, err
end

-- What there is in the place of a directory, as a failure. (A file is in the way of
-- what is to be written, but nothing that could be read.)
local INSTEAD = {
  none = { "not_found", "there is no such directory" },
  other = { "conflict", "there is no directory but something else" },
  closed = { "forbidden", "the directory may not be entered" },
}

local function no_directory(self, run, instead, of_other)
  local kind = instead == "other" and of_other or INSTEAD[instead][1]
  return failure(self, run.operation, kind, INSTEAD[instead][2], run.remote)
end

local function up(self, run, result)
  local from, why = localtree.scan(run.root, run.ignore, run.gitignore)
  if not from then return failure(self, run.operation, "io", why, run.root) end
  local scan, err = remotetree.scan(self.sandbox, run.operation, run.remote,
    { hashes = run.checksum, timeout = run.timeout, tools = "tar" })
  if not scan then return nil, err end
  if scan.instead and scan.instead ~= "none" then return no_directory(self, run, scan.instead) end
  local to = scan.entries or {}
  hide(to, run.ignore)
  local plan = plan_of(from, to, run)
  local fine
  fine, err = check_replaced(self, plan, run)
  if not fine then return nil, err end
  count(plan, from, result, "uploaded")
  if not is_empty(plan) then
    fine, err = change_there(self, run, plan, from, to)
  elseif scan.instead then
    fine, err = self:mkdir(run.remote)
  end
  if not fine then return nil, err end
  return result
end

--- Down ---------------------------------------------------------------------------------

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

local function drop_links(from, run)
  for _, path in ipairs(sorted_paths(from)) do
    local entry = from[path]
    if entry.type == "link" and not (entry.target and stays_inside(path, entry.target)) then
      run.skipped[#run.skipped + 1] = path
      from[path] = nil
      run.kept[path] = true
    end
  end
end

-- Whether nothing failed but what was there when it was looked.
local function all_gone(results)
  for _, result in ipairs(results) do
    if result.error and not errors.is(result.error, "not_found") then return false end
  end
  return true
end

-- Fetches the files to be copied into the staging folder, under numbers.
local function fetch(self, run, plan, from, staging)
  local list, places = {}, {}
  for _, path in ipairs(plan.send) do
    if from[path].type == "file" then
      places[path] = staging .. "/" .. #list
      list[#list + 1] = { run.remote .. "/" .. path, places[path] }
    end
  end
  if not list[1] then return places end
  local fine, err = many.fetch(self, list, { on_progress = run.on_progress, timeout = run.timeout }, true)
  if fine then return places end
  if err.results and all_gone(err.results) then err.code = CHANGED end
  return nil, err
end

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

local function put_in_place(root, plan, from, places, staging)
  local breathe = localtree.breather()
  for _, path in ipairs(plan.replaced) do
    local fine, why = localtree.remove(root .. "/" .. path)
    if not fine then return nil, why, path end
  end
  for _, path in ipairs(plan.send) do
    breathe()
    local fine, why = place(root, path, from[path], places[path], staging)
    if not fine then return nil, why, path end
  end
  for _, path in ipairs(plan.files) do os.remove(root .. "/" .. path) end
  for _, path in ipairs(plan.folders) do os.remove(root .. "/" .. path) end -- only an empty one
  for mode, paths in pairs(plan.modes) do
    for _, path in ipairs(paths) do core.change_mode(root .. "/" .. path, mode) end
  end
  for i = #plan.send, 1, -1 do -- last, as they may become read-only
    local entry = from[plan.send[i]]
    if entry.type == "directory" then core.change_mode(root .. "/" .. plan.send[i], entry.mode) end
  end
  return true
end

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
    if name:sub(1, #remotetree.STAGING) == remotetree.STAGING then
      local path = root .. "/" .. name
      local kind, _, _, seconds = core.lstat(path)
      if kind == "directory" and seconds < os.time() - 86400 then localtree.remove(path) end
    end
  end
end

-- Fetches what is to be fetched and puts all in its place. true, or nil, err.
local function change_here(self, run, plan, from)
  remove_stale(run.root)
  local staging = run.root .. "/" .. remotetree.STAGING .. random.hex(6)
  local fine, why = core.make_directory(staging, 448)
  if not fine then return failure(self, run.operation, "io", why, run.root) end
  local function clean() localtree.remove(staging) end
  local places, err = loop.guard(function() return fetch(self, run, plan, from, staging) end, clean)
  local path
  if places then fine, why, path = put_in_place(run.root, plan, from, places, staging) end
  clean()
  if not places then return nil, err end
  if fine then return true end
  local there = core.lstat(run.root .. "/" .. path)
  local kind = there and (there == "directory") ~= (from[path].type == "directory") and "conflict" or "io"
  return failure(self, run.operation, kind, why, path)
end

local function down(self, run, result)
  local scan, err = remotetree.scan(self.sandbox, run.operation, run.remote,
    { hashes = run.checksum, rules = run.gitignore and run.ignore or nil, timeout = run.timeout })
  if not scan then return nil, err end
  if scan.instead then return no_directory(self, run, scan.instead, "invalid") end
  if not scan.complete then
    return failure(self, run.operation, "forbidden", "a part of it cannot be read", run.remote)
  end
  local from = scan.entries
  hide(from, run.ignore)
  drop_links(from, run)
  local fine, why = make_root(run.root)
  if not fine then return failure(self, run.operation, "io", why, run.root) end
  run.root = core.real_path(run.root) or run.root
  local to
  to, why = localtree.scan(run.root, run.ignore, false)
  if not to then return failure(self, run.operation, "io", why, run.root) end
  for path in pairs(run.kept) do to[path] = nil end
  local plan = plan_of(from, to, run)
  fine, err = check_replaced(self, plan, run)
  if not fine then return nil, err end
  count(plan, from, result, "downloaded")
  if not is_empty(plan) then
    fine, err = change_here(self, run, plan, from)
    if not fine then return nil, err end
  end
  return result
end

--- The calls ----------------------------------------------------------------------------

local COPY = {
  delete = "boolean", exclude = "list", gitignore = "boolean", checksum = "boolean", timeout = "seconds",
  on_progress = "callable",
}

local SYNC = options.copy(COPY)
SYNC.direction = { "up", "down" }

local function run_of(operation, root, remote, opts)
  calls.check_path(operation .. ": the local folder", root)
  calls.check_path(operation .. ": the folder in the sandbox", remote)
  local ignore = gitignore.new()
  if opts.gitignore then ignore:add_pattern ".git" end
  for _, pattern in ipairs(opts.exclude or {}) do ignore:add_pattern(pattern) end
  local function bare(path) return path == "/" and path or (path:gsub("(.)/+$", "%1")) end
  return {
    operation = operation, root = bare(root), remote = bare(remote), ignore = ignore, gitignore = opts.gitignore,
    delete = opts.delete, checksum = opts.checksum, on_progress = opts.on_progress, timeout = opts.timeout,
    skipped = {}, kept = {},
  }
end

-- What files that change meanwhile spoiled is done again, from the first look on.
local function perform(self, way, operation, root, remote, opts)
  local result, err
  for _ = 1, TRIES do
    local run = run_of(operation, root, remote, opts)
    result, err = way(self, run, {
      uploaded = 0, downloaded = 0, deleted = 0, unchanged = 0, bytes = 0, skipped = run.skipped,
    })
    if result then return result end
    if err.code ~= CHANGED then break end
  end
  err.operation, err.what, err.sandbox = operation, err.what or remote, self.sandbox
  return nil, err
end

---Makes a folder in the sandbox like a local one ("up", which is the default), or
---the local one like that in the sandbox ("down"): copies what is new or differs
---in size or time (with `checksum`: in content), keeps modes, times and links,
---and with `delete` removes what the other side has not.
---
---What .gitignore files of the source name is neither copied nor deleted, nor is
---`.git` (`gitignore = false`: everything is), nor what the patterns of `exclude`
---name. Each file is replaced at once, by a rename; a failure or a cancel leaves no
---half file. When nothing has changed it is one request. Links are copied as links;
---on the way down those that lead out of the folder are skipped. A file in the
---place of a folder is a "conflict" without `delete`. Of several at work in one
---place the last one wins, file by file. What files that change meanwhile spoil is
---begun again; after three times it is a "conflict", code FILE_CHANGED. No room
---over there is kind "io", code FILE_NO_SPACE. On the way up the sandbox needs tar,
---stat and base64 (coreutils or busybox), on the way down all but tar.
---@param folder string  on this machine
---@param remote string  in the sandbox
---@param opts? { direction?: "up"|"down", delete?: boolean, exclude?: string[], gitignore?: boolean, checksum?: boolean, on_progress?: fun(done: integer, total?: integer), timeout?: number }
---@return daytona.SyncResult?
---@return daytona.Error?
function sync.sync(self, folder, remote, opts)
  opts = options.copy(options.check("sync", SYNC, opts))
  if opts.gitignore == nil then opts.gitignore = true end
  return perform(self, opts.direction == "down" and down or up, "sync", folder, remote, opts)
end

---Copies a local folder, and what is in it, to a folder in the sandbox: as `sync`,
---but without minding .gitignore files unless told to.
---@param folder string
---@param remote string
---@param opts? { delete?: boolean, exclude?: string[], gitignore?: boolean, checksum?: boolean, on_progress?: fun(done: integer, total?: integer), timeout?: number }
---@return daytona.SyncResult?
---@return daytona.Error?
function sync.upload_dir(self, folder, remote, opts)
  opts = options.check("upload_dir", COPY, opts)
  return perform(self, up, "upload_dir", folder, remote, opts)
end

---Copies a folder in the sandbox, and what is in it, to a local folder: as `sync`,
---but without minding .gitignore files unless told to.
---@param remote string
---@param folder string
---@param opts? { delete?: boolean, exclude?: string[], gitignore?: boolean, checksum?: boolean, on_progress?: fun(done: integer, total?: integer), timeout?: number }
---@return daytona.SyncResult?
---@return daytona.Error?
function sync.download_dir(self, remote, folder, opts)
  opts = options.check("download_dir", COPY, opts)
  return perform(self, down, "download_dir", folder, remote, opts)
end

return sync
