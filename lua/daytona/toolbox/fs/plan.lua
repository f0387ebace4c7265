-- What makes one tree of files like another: compares two lists of entries (see
-- localtree.lua) and says what is to be copied, changed and deleted. It touches
-- neither tree, nor any file.

local plan = {}

---What makes `to` like `from`.
---@class daytona.SyncPlan
---@field send string[]       paths in `from` to be copied, folders before what is in them
---@field replaced string[]   what is in their place, of another type
---@field modes table<integer, string[]>  of what is there already
---@field opened { path: string, mode: integer }[]  folders of `to` that have to be made writable meanwhile, the upper ones first, and their modes afterwards
---@field files string[]      to be deleted
---@field folders string[]    the same, the deepest first
---@field skipped string[]    what cannot be copied
---@field unchanged integer   files and links

---How two trees are compared.
---@class daytona.PlanOptions
---@field delete? boolean
---@field same? fun(path: string, a: daytona.TreeEntry, b: daytona.TreeEntry): boolean  whether two files have the same content; without: by size and time
---@field pace daytona.Pace

local OWNER = 448 -- what the owner may do: read, write, enter

---The folder that a path is in; nil in the root.
---@param path string
---@return string?
function plan.folder_of(path)
  return path:match("^(.*)/[^/]*$")
end

local folder_of = plan.folder_of

---Whether two files look the same: of one size, and changed at one time, as far as both
---sides know it.
---@param a daytona.TreeEntry
---@param b daytona.TreeEntry
---@return boolean
function plan.looks_same(a, b)
  if a.size ~= b.size or a.seconds ~= b.seconds then return false end
  return a.nanoseconds == 0 or b.nanoseconds == 0 or a.nanoseconds == b.nanoseconds
end

local function is_same(path, a, b, same)
  if a.type == "directory" then return true end
  if a.type == "link" then return a.target == b.target end
  if same then return a.size == b.size and same(path, a, b) end
  return plan.looks_same(a, b)
end

local function add_mode(made, path, mode)
  made.modes[mode] = made.modes[mode] or {}
  table.insert(made.modes[mode], path)
end

local function compare(made, path, a, b, same)
  if not b or b.type ~= a.type then
    if b and (a.type == "directory" or b.type == "directory") then made.replaced[#made.replaced + 1] = path end
    made.send[#made.send + 1] = path
  elseif not is_same(path, a, b, same) then
    made.send[#made.send + 1] = path
  else
    if a.type ~= "directory" then made.unchanged = made.unchanged + 1 end
    if a.type ~= "link" and a.mode ~= b.mode then add_mode(made, path, a.mode) end
  end
end

local function copy(made, from, to, opts)
  local paths, err = opts.pace:keys(from)
  if not paths then return nil, err end
  for _, path in ipairs(paths) do
    if from[path].type == "other" then
      made.skipped[#made.skipped + 1] = path
    else
      compare(made, path, from[path], to[path], opts.same)
    end
    local fine
    fine, err = opts.pace:breathe()
    if not fine then return nil, err end
  end
  return true
end

local function delete(made, from, to, opts)
  local paths, err = opts.pace:keys(to)
  if not paths then return nil, err end
  for i = #paths, 1, -1 do
    local path = paths[i]
    if not from[path] or from[path].type == "other" then
      local list = to[path].type == "directory" and made.folders or made.files
      list[#list + 1] = path
    end
  end
  return true
end

-- Folders of `to` in which something is to change and whose owner may not do so.
local function open(made, from, to, opts)
  local seen, list = {}, {}
  for _, paths in ipairs { made.send, made.replaced, made.files, made.folders } do
    for _, path in ipairs(paths) do
      local folder = folder_of(path)
      local entry = folder and not seen[folder] and to[folder]
      if entry and entry.type == "directory" and entry.mode % 512 < OWNER then list[#list + 1] = folder end
      if folder then seen[folder] = true end
    end
    local fine, err = opts.pace:breathe()
    if not fine then return nil, err end
  end
  table.sort(list)
  for i, folder in ipairs(list) do
    local wanted = from[folder]
    local mode = wanted and wanted.type == "directory" and wanted.mode or to[folder].mode
    made.opened[i] = { path = folder, mode = mode }
  end
  return true
end

---Makes a plan; nil, err when there was no time for it.
---@param from table<string, daytona.TreeEntry>
---@param to table<string, daytona.TreeEntry>
---@param opts daytona.PlanOptions
---@return daytona.SyncPlan?
---@return daytona.Error?
function plan.make(from, to, opts)
  local made = {
    send = {}, replaced = {}, modes = {}, opened = {}, files = {}, folders = {}, skipped = {}, unchanged = 0,
  }
  local fine, err = copy(made, from, to, opts)
  if fine and opts.delete then fine, err = delete(made, from, to, opts) end
  if fine then fine, err = open(made, from, to, opts) end
  if not fine then return nil, err end
  return made
end

---Whether there is nothing to do.
---@param made daytona.SyncPlan
---@return boolean
function plan.is_empty(made)
  return not made.send[1] and next(made.modes) == nil and not made.files[1] and not made.folders[1]
end

---A mode with which the owner may do everything.
---@param mode integer
---@return integer
function plan.opened_mode(mode)
  return OWNER + mode % 64
end

return plan
