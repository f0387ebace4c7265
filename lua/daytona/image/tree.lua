-- What of a context goes into its archive, in an order that depends on names alone. Links
-- are followed: a build knows none, only what they lead to.

local context = require "daytona.image.context"
local core = require "daytona.base.native"
local dockerfile = require "daytona.image.dockerfile"
local loop = require "daytona.loop"

local tree = {}

---@class daytona.ImageEntry
---@field path string   inside the archive
---@field place string  on this machine
---@field type "file"|"directory"
---@field size integer
---@field mode integer  0644 or 0755
---@field identity string  of the file as it was seen

---What tells a file from the same file after a change.
---@param size integer
---@param seconds integer
---@param nanoseconds integer
---@return string
function tree.identity(size, seconds, nanoseconds)
  return ("%d %d.%d"):format(size, seconds, nanoseconds)
end

-- One walk: the context, what was found, and how much that is.
local Walk = {}
Walk.__index = Walk

local PLAIN, RUNS = 420, 493 -- 0644, 0755

local function mode_of(kind, mode)
  return (kind == "directory" or math.floor(mode / 64) % 2 == 1) and RUNS or PLAIN
end

local function megabytes(bytes)
  return ("%.1f MiB"):format(bytes / 1048576)
end

local function failed(kind, path, message)
  return nil, context.error(kind, path, message)
end

-- Takes in a file's size. true, or nil, err.
function Walk:count(size)
  self.bytes = self.bytes + size
  local most = self.of.max_bytes
  if self.bytes <= most then return true end
  return failed("too_large", self.of.source, ("more than %s of files: leave some out with a .dockerignore, or allow "
    .. "more with max_bytes"):format(megabytes(most)))
end

-- What a place really is: its path without links; nil, err where that is not to be copied.
function Walk:resolve(place)
  local real, why = core.real_path(place)
  if not real then
    local link = core.lstat(place) == "link" and core.read_link(place)
    local missing = not core.lstat(place) or link
    return failed(missing and "not_found" or "io", place,
      link and ("a link to nothing, '%s': leave it out with a .dockerignore"):format(link) or why)
  end
  if self.of.boundary and not context.is_within(real, self.of.boundary) then
    return failed("invalid", place, ("leads out of the build context, to '%s': leave it out with a .dockerignore, or "
      .. "give strict_context = false"):format(real))
  end
  return real
end

-- Takes in what is in a folder. `above`: the folders that lead here, without links.
function Walk:folder(path, place, real, above)
  if above[real] then return failed("invalid", place, "a link that leads back to a folder above it") end
  local names, why = core.list_directory(place)
  if not names then return failed("io", place, why) end
  table.sort(names, dockerfile.before)
  above[real] = true
  for _, name in ipairs(names) do
    local fine, err = self:enter(path == "" and name or path .. "/" .. name, place .. "/" .. name, above)
    if fine then fine, err = loop.breathe() end
    if not fine then return nil, err end
  end
  above[real] = nil
  return true
end

-- The path as the rules see it.
function Walk:ruled(path)
  local rest = path:sub(#self.of.path + 1):gsub("^/", "")
  local prefix = self.of.prefix
  return (prefix == "" or rest == "") and prefix .. rest or prefix .. "/" .. rest
end

-- Takes in one entry, and what is below it. true, or nil, err.
function Walk:enter(path, place, above)
  local ruled = self:ruled(path)
  local hidden = ruled ~= "" and self.of.rules:ignores(ruled)
  if hidden and not self.exceptions then return true end
  if path == "Dockerfile" then return true end -- the build's own is there
  local real, err = self:resolve(place)
  if not real then
    if hidden then return true end
    return nil, err
  end
  local kind, size, mode, seconds, nanoseconds = core.stat(place)
  if kind ~= "file" and kind ~= "directory" then
    if hidden then return true end
    return failed("invalid", place, "neither a file nor a folder: leave it out with a .dockerignore")
  end
  if not hidden and path ~= "" then
    local fine, why = self:count(kind == "file" and size or 0)
    if not fine then return nil, why end
    self.list[#self.list + 1] = {
      path = path, place = place, type = kind, size = kind == "file" and size or 0, mode = mode_of(kind, mode),
      identity = tree.identity(size, seconds, nanoseconds),
    }
  end
  if kind == "directory" then return self:folder(path, place, real, above) end
  return true
end

local function has_file(list)
  for _, entry in ipairs(list) do
    if entry.type == "file" then return true end
  end
  return false
end

---The files and folders of a context. nil, err when something cannot be read, lies outside,
---is too large, or when there is no file.
---@param of daytona.ImageContext
---@return daytona.ImageEntry[]?
---@return daytona.Error?
function tree.list(of)
  local walk = setmetatable({ of = of, list = {}, bytes = 0, exceptions = of.rules:has_exceptions() }, Walk)
  local fine, err = walk:enter(of.path, of.source, {})
  if not fine then return nil, err end
  if has_file(walk.list) then return walk.list end
  local kind = core.stat(of.source)
  return failed("invalid", of.source, kind == "file" and "left out by the .dockerignore"
    or "there is no file in it to be copied, or a .dockerignore leaves all of them out")
end

return tree
