-- Trees of files, up and down: what is alike in both directions. Which files differ says
-- plan.lua; up.lua and down.lua bring them over.

local calls = require "daytona.toolbox.fs.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local gitignore = require "daytona.base.gitignore"
local localtree = require "daytona.toolbox.fs.localtree"
local options = require "daytona.base.options"
local order = require "daytona.toolbox.order"
local pace = require "daytona.toolbox.fs.pace"
local plan = require "daytona.toolbox.fs.plan"

local sync = {}

-- What is made again when files changed meanwhile, so often in all; the code of an
-- error that says so.
local TRIES, CHANGED = 3, "FILE_CHANGED"

---@class daytona.SyncResult
---@field uploaded integer    files and links; of an upload
---@field downloaded integer  the same of a download
---@field deleted integer
---@field unchanged integer   files and links
---@field bytes integer       of the content that was moved
---@field skipped string[]    what cannot be copied: devices and pipes, and links that would lead out of a local tree

--- One run ------------------------------------------------------------------------------

---One attempt at making one tree like another.
---@class daytona.SyncRun
---@field operation string
---@field root string       the local folder
---@field remote string     that in the sandbox
---@field ignore daytona.Gitignore
---@field gitignore? boolean
---@field delete? boolean
---@field checksum? boolean
---@field on_progress? function
---@field pace daytona.Pace
---@field skipped string[]
---@field hidden string[]   what is there and ignored
---@field tidied? fun()  waits until what was needed for a moment over there is gone
---@field CHANGED string    the code of an error that a further attempt may not meet
local Run = { CHANGED = CHANGED }
Run.__index = Run

---nil and an error: `why`, if it is one.
function Run:failure(why, kind, what)
  if errors.is(why) then return nil, why end
  return nil, errors.new { kind = kind, operation = self.operation, what = what, message = why }
end

-- What there is in the place of a directory, as a failure. (A file is in the way of
-- what is to be written, but nothing that could be read.)
local INSTEAD = {
  none = { "not_found", "there is no such directory" },
  other = { "conflict", "there is no directory but something else" },
  closed = { "forbidden", "the directory may not be entered" },
}

---nil and an error for what remotetree.scan found instead of a folder.
function Run:no_directory(instead, of_other)
  local kind = instead == "other" and of_other or INSTEAD[instead][1]
  return self:failure(INSTEAD[instead][2], kind, self.remote)
end

---Takes what is ignored out of a tree, and notes it. true, or nil, err.
function Run:hide(tree)
  for path, entry in pairs(tree) do
    if self.ignore:hides(path, entry.type == "directory") then
      tree[path] = nil
      self.hidden[#self.hidden + 1] = path
    end
    local fine, err = self.pace:breathe()
    if not fine then return nil, err end
  end
  return true
end

-- Whether two files have the same content: one of them has its hash, the other is here.
local function same_hash(self)
  return function(path, a, b)
    local theirs = a.hash or b.hash
    return theirs ~= nil and theirs == localtree.hash(self.root .. "/" .. path, self.pace)
  end
end

---What makes `to` like `from`. Without `delete` nothing is removed, not even to make room.
function Run:plan(from, to)
  local made, err = plan.make(from, to, {
    delete = self.delete, same = self.checksum and same_hash(self) or nil, pace = self.pace,
  })
  if not made then return nil, err end
  for _, path in ipairs(made.skipped) do self.skipped[#self.skipped + 1] = path end
  if self.delete or not made.replaced[1] then return made end
  return self:failure("there is a file where a folder is to be, or the other way round; "
    .. "with 'delete' it would be replaced", "conflict", made.replaced[1])
end

---What a plan has done, in a field of that name.
function Run:result(made, from, name)
  table.sort(self.skipped)
  local result = {
    uploaded = 0, downloaded = 0, deleted = #made.files, unchanged = made.unchanged, bytes = 0, skipped = self.skipped,
  }
  for _, path in ipairs(made.send) do
    if from[path].type ~= "directory" then result[name] = result[name] + 1 end
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

local function bare(path)
  return path == "/" and path or (path:gsub("(.)/+$", "%1"))
end

local function run_of(operation, root, remote, opts, clock)
  local ignore = gitignore.new()
  if opts.gitignore then ignore:add_pattern ".git" end
  for _, pattern in ipairs(opts.exclude or {}) do ignore:add_pattern(pattern) end
  return setmetatable({
    operation = operation, root = bare(root), remote = bare(remote), ignore = ignore, gitignore = opts.gitignore,
    delete = opts.delete, checksum = opts.checksum, on_progress = opts.on_progress, pace = clock,
    skipped = {}, hidden = {},
  }, Run)
end

local HERE_FIRST = "the folder of this machine comes first, then that in the sandbox"
local ORDER = {
  sync = HERE_FIRST, upload_dir = HERE_FIRST,
  download_dir = "the folder in the sandbox comes first, then that of this machine",
}

-- What files that change meanwhile spoiled is done again, from the first look on; and so is what
-- may have been done, which then is found to be.
local function perform(self, way, operation, root, remote, opts)
  calls.check_path(operation .. ": the local folder", root)
  calls.check_path(operation .. ": the folder in the sandbox", remote)
  local clock = pace.new(operation, opts.timeout)
  local result, err, lost, first
  for _ = 1, TRIES do
    result, err, lost = way.perform(self, run_of(operation, root, remote, opts, clock))
    if result then return first or result end
    if not lost and err.code ~= CHANGED then break end
    first = first or lost
  end
  err.operation, err.what, err.sandbox = operation, err.what or remote, self.sandbox
  local is_missing = not core.lstat(root) and (errors.is(err, "not_found") or errors.is(err, "io"))
  order.hint_if_here(err, is_missing, remote, "directory", ORDER[operation])
  return nil, err
end

local function way_of(name) return require("daytona.toolbox.fs." .. name) end

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
---over there is kind "io", code FILE_NO_SPACE. `timeout` (seconds; none) is for all of
---it. What is far away (15 ms and more) travels packed, where the sandbox has gzip and that
---makes it smaller, unless the client's `compression` is false; a tree of less than 1 MiB comes
---as it is. A tree of more than a million files, or with paths of more than 4,095 bytes, is
---"too_large". On the way up the sandbox needs tar, stat and base64 (coreutils or
---busybox), on the way down tar only to pack.
---@param folder string  on this machine
---@param remote string  that of the sandbox
---@param opts? { direction?: "up"|"down", delete?: boolean, exclude?: string[], gitignore?: boolean, checksum?: boolean, on_progress?: fun(done: integer, total?: integer), timeout?: number }
---@return daytona.SyncResult?
---@return daytona.Error?
function sync.sync(self, folder, remote, opts)
  opts = options.copy(options.check("sync", SYNC, opts))
  if opts.gitignore == nil then opts.gitignore = true end
  return perform(self, way_of(opts.direction or "up"), "sync", folder, remote, opts)
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
  return perform(self, way_of "up", "upload_dir", folder, remote, opts)
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
  return perform(self, way_of "down", "download_dir", folder, remote, opts)
end

return sync
