-- Noticing changes to files in a sandbox. The daemon tells of none, so it is asked:
-- one small command says whether anything is different, and only then what there
-- is is listed again.

local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.fs.calls"
local gitignore = require "daytona.base.gitignore"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local pace = require "daytona.toolbox.fs.pace"
local remotetree = require "daytona.toolbox.fs.remotetree"
local sorted = require "daytona.base.sorted"

local watch = {}

-- Seconds from one look to the next: after a change, and when nothing happens.
local FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5

-- So many looks in a row may fail for a while.
local PATIENCE = 5

---@class daytona.FileChange
---@field path string  relative to the folder; of a watched file, the path itself
---@field change "created"|"changed"|"deleted"

local function differ(a, b)
  return a.type ~= b.type or a.size ~= b.size or a.mode ~= b.mode or a.seconds ~= b.seconds
    or a.nanoseconds ~= b.nanoseconds or a.target ~= b.target
end

-- What makes one tree of the other, in order of path. A folder's own size and
-- time say nothing that its files do not.
local function changes_between(old, new)
  local list = {}
  for path, entry in pairs(new) do
    local before = old[path]
    if not before or before.type ~= entry.type then
      list[#list + 1] = { path = path, change = before and "changed" or "created" }
    elseif entry.type ~= "directory" and differ(before, entry) then
      list[#list + 1] = { path = path, change = "changed" }
    end
  end
  for path in pairs(old) do
    if not new[path] then list[#list + 1] = { path = path, change = "deleted" } end
  end
  return sorted(list, function(a, b) return a.path < b.path end, loop.breathe)
end

local STAMP = "find %s -exec stat -c '%%f %%s %%y %%n' -- {} + 2>/dev/null | sha256sum"

local function stamp_of(self, path)
  local result, err = self.sandbox:exec(STAMP:format(calls.quoted(path)), { check = true })
  if result then return result.result end
  if errors.is(err, "exit") then err.kind, err.message = "io", "over there: " .. err.message end
  err.operation, err.what = "watch", path
  return nil, err
end

-- Entries by path; a file is a tree of one, nothing is an empty one.
local function look(self, path, ignore)
  local clock = pace.new "watch"
  local scan, err = remotetree.scan(self.sandbox, "watch", path, { pace = clock })
  if not scan then return nil, err end
  local tree = scan.entries
  if not tree then
    if scan.instead == "none" then return {} end
    local info
    info, err = self:stat(path)
    if info then
      return { [path] = { type = "file", size = info.size, mode = info.mode, seconds = info.modified_at } }
    end
    if errors.is(err, "not_found") then return {} end
    return nil, err
  end
  for name, entry in pairs(tree) do
    if ignore:hides(name, entry.type == "directory") then tree[name] = nil end
    local fine
    fine, err = clock:breathe()
    if not fine then return nil, err end
  end
  return tree
end

-- The next stamp, whatever fails for a while in between.
local function patient_stamp(self, path)
  local stamp, err
  for try = 1, PATIENCE do
    stamp, err = stamp_of(self, path)
    if stamp or not err.retryable then break end
    local slept, why = loop.sleep(FIRST_PAUSE * 2 ^ try)
    if not slept then return nil, why end
  end
  return stamp, err
end

---Calls `fn` with a list of changes whenever there are any to a file or in a folder
---(and those below), until it returns false; then returns true. What is not there
---yet is waited for.
---
---It asks: 0.25 seconds after a change, then ever less often, up to every 5 while
---nothing happens (`interval` is another longest pause). Each time is one command
---that reads no content. What changes back in between goes unnoticed, and what
---was changed is known by size, time, mode and type.
---@param path string
---@param fn fun(changes: daytona.FileChange[]): any
---@param opts? { exclude?: string[], interval?: number }  exclude: patterns as in .gitignore
---@return true?
---@return daytona.Error?
function watch.watch(self, path, fn, opts)
  calls.check_path("watch: the path", path)
  options.argument("watch: the function", "callable", fn)
  opts = options.check("watch", { exclude = "list", interval = "seconds" }, opts)
  local ignore = gitignore.new()
  for _, pattern in ipairs(opts.exclude or {}) do ignore:add_pattern(pattern) end
  local longest = opts.interval or LONGEST_PAUSE
  local delay = math.min(FIRST_PAUSE, longest)
  -- The stamp first: a change between the two is noticed at the next look.
  local stamp, err = patient_stamp(self, path)
  if not stamp then return nil, err end
  local tree
  tree, err = look(self, path, ignore)
  if not tree then return nil, err end
  while true do
    local slept, why = loop.sleep(delay)
    if not slept then return nil, why end
    local fresh
    fresh, err = patient_stamp(self, path)
    if not fresh then return nil, err end
    delay = math.min(delay * 1.5, longest)
    if fresh ~= stamp then
      local now
      now, err = look(self, path, ignore)
      if not now then return nil, err end
      local changes = changes_between(tree, now)
      stamp, tree, delay = fresh, now, math.min(FIRST_PAUSE, longest)
      if changes[1] and fn(changes) == false then return true end
    end
  end
end

return watch
