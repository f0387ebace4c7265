-- A tree of files on this machine: what is in it, and changes that never leave
-- it. Links are looked at, never followed. Knows no network.

local core = require "daytona.base.native"

local localtree = {}

---One file of a tree; its path is relative to the root.
---@class daytona.TreeEntry
---@field type "file"|"directory"|"link"|"other"
---@field size integer
---@field mode integer          permissions
---@field seconds integer       when it was changed
---@field nanoseconds integer   0 where that is not known
---@field target? string        of a link
---@field hash? string          SHA-256, in hexadecimal

local function read_all(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

-- One look at a tree: where it begins, what is left out, what was found.
local Look = {}
Look.__index = Look

-- Takes in one entry, and what is below it. true, or nil and why.
function Look:enter(path, name)
  local place = self.root .. "/" .. path
  local kind, size, mode, seconds, nanoseconds = core.lstat(place)
  if not kind or name:find("^%.daytona%-sync%-") or self.ignore:ignores(path, kind == "directory") then return true end
  self.tree[path] = {
    type = kind, size = size, mode = mode % 512, seconds = seconds, nanoseconds = nanoseconds,
    target = kind == "link" and core.read_link(place) or nil,
  }
  if kind == "directory" then return self:folder(path) end
  return true
end

-- Takes in what is in a folder ("" for the root). true, or nil and why.
function Look:folder(folder)
  local place = folder == "" and self.root or self.root .. "/" .. folder
  local names, why = core.list_directory(place)
  if not names and folder ~= "" and not core.lstat(place) then -- gone meanwhile
    self.tree[folder] = nil
    return true
  end
  if not names then return nil, why .. ": " .. place end
  if self.read_rules and core.lstat(place .. "/.gitignore") == "file" then
    self.ignore:add(folder, read_all(place .. "/.gitignore") or "")
  end
  local prefix = folder == "" and "" or folder .. "/"
  for _, name in ipairs(names) do
    local fine, problem = self:enter(prefix .. name, name)
    if fine then fine, problem = self.pace:breathe() end
    if not fine then return nil, problem end
  end
  return true
end

---What is below `root`: entries by path; nil and why (a text or an error) when
---something cannot be read. What `ignore` hides is left out; with `read_rules`, it takes
---in the .gitignore files on the way.
---@param root string
---@param ignore daytona.Gitignore
---@param read_rules boolean
---@param pace daytona.Pace
---@return table<string, daytona.TreeEntry>?
---@return string|daytona.Error|nil
function localtree.scan(root, ignore, read_rules, pace)
  local look = setmetatable({ root = root, ignore = ignore, read_rules = read_rules, pace = pace, tree = {} }, Look)
  local fine, why = look:folder ""
  if not fine then return nil, why end
  return look.tree
end

-- Bytes that are hashed in one go: less than a millisecond.
local PIECE = 256 * 1024

---SHA-256 of a file, in hexadecimal; nil and why (a text or an error).
---@param path string
---@param pace daytona.Pace
---@return string?
---@return string|daytona.Error|nil
function localtree.hash(path, pace)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local hash = core.hash()
  local n
  repeat
    n, why = hash:read(file, PIECE)
    local fine, err = true, nil
    if n and n > 0 then fine, err = pace:breathe() end
    if not fine then n, why = nil, err end
  until not n or n == 0
  file:close()
  if not n then return nil, why end
  return core.hex(hash:finish())
end

---Removes a file, or a directory and all in it, following no link.
---@param path string
---@return true?
---@return string?
function localtree.remove(path)
  if core.lstat(path) == "directory" then
    core.change_mode(path, 448) -- else what is in a read-only one would stay
    for _, name in ipairs(core.list_directory(path) or {}) do localtree.remove(path .. "/" .. name) end
  end
  return os.remove(path)
end

return localtree
