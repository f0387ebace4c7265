-- A project folder of the user's and its copy in a sandbox, kept alike. What the agent
-- changes there comes here; what the user changes here meanwhile goes there, and wins
-- where both have changed a file. What .gitignore files name, and .git, stays where it is.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local gitignore = require "daytona.base.gitignore"
local localtree = require "daytona.toolbox.fs.localtree"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local pace = require "daytona.toolbox.fs.pace"
local plan = require "daytona.toolbox.fs.plan"
local remotetree = require "daytona.toolbox.fs.remotetree"

local M = {}

-- Seconds that a look at both sides, or bringing over what differs, may take; bytes of a
-- file that is shown as a difference.
local PATIENCE, SHOWN = 600, 1024 * 1024

---@class daytona.Project
---@field sandbox daytona.Sandbox
---@field folder string   here
---@field remote string   that of the sandbox
---@field base? table<string, daytona.TreeEntry>  what was here when both were alike
---@field busy? daytona.Latch
local Project = {}
Project.__index = Project

---@class daytona.ProjectChange
---@field path string   below the folder
---@field old? string   its text before; nil: there was no such text file
---@field new? string   and now; nil: it is gone, or no text file

---@param sandbox daytona.Sandbox
---@param folder string
---@param remote string
---@return daytona.Project
function M.new(sandbox, folder, remote)
  return setmetatable({ sandbox = sandbox, folder = folder, remote = remote }, Project)
end

--- Looking --------------------------------------------------------------------------------

local function new_rules()
  local rules = gitignore.new()
  rules:add_pattern ".git"
  return rules
end

-- What is here; nil, err.
local function look_here(self)
  local tree, why = localtree.scan(self.folder, new_rules(), true, pace.new("sync", PATIENCE))
  if tree or errors.is(why) then return tree, why end
  return nil, errors.new { kind = "io", operation = "sync", what = self.folder, message = why }
end

-- What is in the sandbox; nil, err.
local function look_there(self)
  local rules, clock = new_rules(), pace.new("sync", PATIENCE)
  local scan, err = remotetree.scan(self.sandbox, "sync", self.remote, { rules = rules, pace = clock })
  if not scan then return nil, err end
  if scan.instead or not scan.complete then
    return nil, errors.new { kind = "not_found", operation = "sync", what = self.remote, sandbox = self.sandbox,
      message = "the project's folder is not there any more, or not readable; nothing was changed here" }
  end
  for path, entry in pairs(scan.entries) do
    if rules:hides(path, entry.type == "directory") then scan.entries[path] = nil end
  end
  return scan.entries
end

local function differs(a, b)
  if not a or not b or a.type ~= b.type then return a ~= b end
  if a.type == "file" then return not plan.looks_same(a, b) end
  return a.target ~= b.target
end

-- Set of the paths that differ.
local function differing(a, b)
  local set = {}
  for path, entry in pairs(a) do
    if differs(entry, b[path]) then set[path] = true end
  end
  for path in pairs(b) do
    if not a[path] then set[path] = true end
  end
  return set
end

--- What has changed ---------------------------------------------------------------------------

-- A text file; nil when it is none, or a large one.
local function read_text(path)
  local kind, size = core.lstat(path)
  if kind ~= "file" or size > SHOWN then return nil end
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  if not text or text:find "%z" or not core.is_utf8(text) then return nil end
  return text
end

-- The files that the way here will change, with what is in them now, and those to be deleted.
local function foresee(self, theirs, mine, edited)
  for path in pairs(edited) do theirs[path], mine[path] = nil, nil end
  local made, err = plan.make(theirs, mine, { delete = true, pace = pace.new("sync", PATIENCE) })
  if not made then return nil, err end
  local changes = {}
  for _, list in ipairs { made.send, made.files } do
    for _, path in ipairs(list) do
      local entry = theirs[path] or mine[path]
      if entry.type == "file" then
        changes[#changes + 1] = { path = path, old = read_text(self.folder .. "/" .. path) }
      end
    end
  end
  table.sort(changes, function(a, b) return a.path < b.path end)
  return changes, made
end

--- Bringing it over ------------------------------------------------------------------------------

-- Only this path, as a pattern of .gitignore.
local function pattern_of(path)
  return "/" .. path:gsub("[\\*?%[%]]", "\\%0"):gsub(" +$", function(blanks) return ("\\ "):rep(#blanks) end)
end

local function remember(self)
  local err
  self.base, err = look_here(self)
  return self.base and true, err
end

local function send(self, delete)
  local sent, err = self.sandbox.fs:sync(self.folder, self.remote, { delete = delete, timeout = PATIENCE })
  if not sent then return nil, err end
  return remember(self)
end

local function fetch(self, edited, delete)
  local exclude = {}
  for path in pairs(edited) do exclude[#exclude + 1] = pattern_of(path) end
  return self.sandbox.fs:sync(self.folder, self.remote, {
    direction = "down", delete = delete, exclude = exclude, timeout = PATIENCE,
  })
end

local function reconcile(self, may_delete)
  local mine, theirs, err
  mine, err = look_here(self)
  if not mine then return nil, err end
  theirs, err = look_there(self)
  if not theirs then return nil, err end
  local edited = differing(self.base, mine)
  local changes, made = foresee(self, theirs, mine, edited)
  if not changes then return nil, made end
  local is_new = changes[1] or not plan.is_empty(made)
  local delete = not made.files[1] or may_delete(made.files)
  if is_new then
    local fetched
    fetched, err = fetch(self, edited, delete)
    if not fetched then return nil, err end
  end
  for _, change in ipairs(changes) do change.new = read_text(self.folder .. "/" .. change.path) end
  local fine = true
  if next(edited) or not delete then
    fine, err = send(self, true)
  elseif is_new then
    fine, err = remember(self)
  end
  if not fine then return nil, err end
  return changes
end

-- One at a time.
local function alone(self, fn, argument)
  while self.busy do
    local came, err = loop.join(self.busy)
    if not came then return nil, err end
  end
  local latch = new_latch()
  self.busy = latch
  local function release()
    self.busy = nil
    latch:open()
  end
  local done, err = loop.guard(function() return fn(self, argument) end, release)
  release()
  return done, err
end

---Makes both sides alike: the first time the sandbox gets what is here, then what the
---agent has changed comes here, and what the user has changed goes there. The files that
---changed here; nil, err when it could not be done. Where files here are to be deleted,
---`may_delete` is given their paths; when it says no, the sandbox gets them back.
---@param may_delete fun(paths: string[]): boolean
---@return daytona.ProjectChange[]?
---@return daytona.Error?
function Project:sync(may_delete)
  if not self.base then
    local fine, err = alone(self, send, false)
    if not fine then return nil, err end
    return {}
  end
  return alone(self, reconcile, may_delete)
end

return M
