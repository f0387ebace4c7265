-- A tree of files on this machine: what is in it, and changes that never leave
-- it. Links are looked at, never followed. Knows no network.

local core = require "daytona.base.native"
local loop = require "daytona.loop"

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

---A function to be called in loops over many files: lets others run, when this has
---taken long.
---@return fun()
function localtree.breather()
  local last = loop.now()
  return function()
    if loop.now() - last > 0.005 and loop.current() then
      loop.sleep(0)
      last = loop.now()
    end
  end
end

local breather = localtree.breather

local function read_all(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

---What is below `root`: entries by path; nil and why when something cannot be
---read. What `ignore` hides is left out; with `read_rules`, it takes in the
---.gitignore files on the way.
---@param root string
---@param ignore daytona.Gitignore
---@param read_rules boolean
---@return table<string, daytona.TreeEntry>?
---@return string?
function localtree.scan(root, ignore, read_rules)
  local tree, breathe = {}, breather()
  local function look(folder)
    local names, why = core.list_directory(folder == "" and root or root .. "/" .. folder)
    if not names and folder ~= "" and not core.lstat(root .. "/" .. folder) then -- gone meanwhile
      tree[folder] = nil
      return true
    end
    if not names then return nil, why .. ": " .. root .. "/" .. folder end
    local prefix = folder == "" and "" or folder .. "/"
    if read_rules and core.lstat(root .. "/" .. prefix .. ".gitignore") == "file" then
      ignore:add(folder, read_all(root .. "/" .. prefix .. ".gitignore") or "")
    end
    for _, name in ipairs(names) do
      local path = prefix .. name
      local kind, size, mode, seconds, nanoseconds = core.lstat(root .. "/" .. path)
      if kind and not name:find("^%.daytona%-sync%-") and not ignore:ignores(path, kind == "directory") then
        local entry = { type = kind, size = size, mode = mode % 512, seconds = seconds, nanoseconds = nanoseconds }
        tree[path] = entry
        if kind == "link" then entry.target = core.read_link(root .. "/" .. path) end
        if kind == "directory" then
          local fine, problem = look(path)
          if not fine then return nil, problem end
        end
      end
      breathe()
    end
    return true
  end
  local fine, why = look ""
  if not fine then return nil, why end
  return tree
end

---SHA-256 of a file, in hexadecimal; nil and why.
---@param path string
---@return string?
---@return string?
function localtree.hash(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local hash, breathe = core.hash(), breather()
  local n
  repeat
    n, why = hash:read(file, 4 * 1024 * 1024)
    breathe()
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
    for _, name in ipairs(core.list_directory(path) or {}) do localtree.remove(path .. "/" .. name) end
  end
  return os.remove(path)
end

return localtree
