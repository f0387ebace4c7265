-- The archive of a context: a tar whose bytes depend on names, contents and who may run
-- what, and on nothing else; so is its name, which is its hash. It is kept in a file that
-- has no name on the disk.

local context = require "daytona.image.context"
local core = require "daytona.base.native"
local loop = require "daytona.loop"
local tar = require "daytona.base.tar"
local tree = require "daytona.image.tree"

local M = {}

local BLOCK = 256 * 1024

---@class daytona.ImageArchive
---@field size integer
---@field hash string            SHA-256, in hexadecimal
---@field package readers file*[] of nobody at present; each with a position of its own
local Archive = {}
Archive.__index = Archive

-- How many can be read from at once.
M.READERS = 4

-- A file that is gone when nobody has it open any more, and further handles of it.
local function nameless()
  local name = os.tmpname()
  local file, why = io.open(name, "wb")
  if not file then return nil, why end
  local readers = {}
  for i = 1, M.READERS do readers[i] = io.open(name, "rb") end
  os.remove(name)
  if not readers[M.READERS] then return nil, "no more files can be opened" end
  return file, readers
end

-- Writes a piece. true, or nil, err.
local function put(archive, data)
  archive.hashing:update(data)
  archive.size = archive.size + #data
  local fine, why = archive.file:write(data)
  if fine then return loop.breathe() end
  return nil, context.error("io", "the archive", "it could not be written: " .. tostring(why))
end

local function changed(entry)
  return nil, context.error("conflict", entry.place, "it changed while it was read")
end

local function copy(archive, entry, file)
  local left = entry.size
  while left > 0 do
    local data = file:read(math.min(left, BLOCK))
    if not data then return changed(entry) end
    left = left - #data
    local fine, err = put(archive, data)
    if not fine then return nil, err end
  end
  local kind, size, _, seconds, nanoseconds = core.stat(entry.place)
  if kind ~= "file" or tree.identity(size, seconds, nanoseconds) ~= entry.identity then return changed(entry) end
  return put(archive, tar.padding(entry.size))
end

local function add(archive, entry)
  local path = entry.type == "directory" and entry.path .. "/" or entry.path
  local header = tar.header(path, { type = entry.type, size = entry.size, mode = entry.mode, seconds = 0 })
  local fine, err = put(archive, header)
  if not fine or entry.type == "directory" then return fine, err end
  local file, why = io.open(entry.place, "rb")
  if not file then return nil, context.error("io", entry.place, why) end
  fine, err = copy(archive, entry, file)
  file:close()
  return fine, err
end

---Packs a context. nil, err as of tree.list; also when the archive cannot be written
---(kind "io"), and when a file changes meanwhile ("conflict").
---@param of daytona.ImageContext
---@return daytona.ImageArchive?
---@return daytona.Error?
function M.pack(of)
  local list, err = tree.list(of)
  if not list then return nil, err end
  local file, readers = nameless()
  if not file then return nil, context.error("io", "the archive", "no temporary file: " .. tostring(readers)) end
  local archive = setmetatable({ file = file, readers = readers, size = 0, hashing = core.hash() }, Archive)
  local fine
  for _, entry in ipairs(list) do
    fine, err = add(archive, entry)
    if not fine then return nil, err end
  end
  fine, err = put(archive, tar.ENDING)
  if not fine then return nil, err end
  local closed, why = file:close()
  if not closed then return nil, context.error("io", "the archive", "it could not be written: " .. tostring(why)) end
  archive.hash, archive.file, archive.hashing = core.hex(archive.hashing:finish()), nil, nil
  return archive
end

---A handle at a position, for one reader; to be given back.
---@param position integer
---@return file*
function Archive:open(position)
  local file = table.remove(self.readers)
  file:seek("set", position)
  return file
end

---@param file file*
function Archive:give_back(file)
  self.readers[#self.readers + 1] = file
end

---SHA-256 of so many bytes from a position on, in hexadecimal. nil, err when it cannot be
---read or the task is cancelled.
---@param position integer
---@param size integer
---@return string?
---@return daytona.Error?
function Archive:hash_of(position, size)
  if position == 0 and size == self.size then return self.hash end
  local file, hash, left = self:open(position), core.hash(), size
  local fine, err = true, nil
  while fine and left > 0 do
    local n, why = hash:read(file, math.min(left, BLOCK))
    fine, err = n and n > 0, why
    left = left - (n or 0)
    if fine then fine, err = loop.breathe() end
  end
  self:give_back(file)
  if fine then return core.hex(hash:finish()) end
  if type(err) == "table" then return nil, err end
  return nil, context.error("io", "the archive", "it could not be read: " .. tostring(err))
end

---Lets its file go; else the collector does.
function Archive:close()
  for _, file in ipairs(self.readers) do file:close() end
  self.readers = {}
end

return M
