-- Files on this machine that appear whole or not at all. Knows no network.

local core = require "daytona.base.native"
local loop = require "daytona.loop"
local random = require "daytona.base.random"

local localfile = {}

---Opens a temporary file beside `path`, so that a rename can put it there.
---@param path string
---@return file*? file
---@return string name  or the reason, when there is no file
function localfile.beside(path)
  local name = path .. "." .. random.hex(6) .. ".part"
  local file, why = io.open(name, "wb")
  if not file then return nil, (why:gsub("%.%x+%.part", "", 1)) end
  return file, name
end

-- Who replaces a file keeps what may be done with it; the permissions alone, as what
-- comes from elsewhere is to run in nobody's name.
local function keep_mode(name, path)
  local kind, _, mode = core.stat(path)
  if kind == "file" then core.change_mode(name, mode % 512) end
end

---Closes the temporary file and puts it in its place, with the permissions of what it
---replaces.
---@param file file*
---@param name string
---@param path string
---@return boolean?
---@return string?
function localfile.commit(file, name, path)
  local fine, why = file:close()
  if fine then
    keep_mode(name, path)
    fine, why = os.rename(name, path)
  end
  if fine then return true end
  os.remove(name)
  return nil, why
end

---Closes and removes the temporary file.
---@param file file*
---@param name string
function localfile.discard(file, name)
  if io.type(file) == "file" then file:close() end
  os.remove(name)
end

---Where a file of that name would really be put: a link is followed, so that it
---is what it leads to that is replaced.
---@param path string
---@return string
function localfile.target(path)
  return core.real_path(path) or path
end

---Whether `path` is a device, a pipe or the like, which is written to and never
---replaced.
---@param path string
---@return boolean
function localfile.is_special(path)
  return core.file_type(path) == "other"
end

---Writes a file by `fn(file, is_special)`, which returns a result, or nil and why.
---The file appears whole or not at all; a device or a pipe takes the bytes as they
---come.
---@param path string
---@param fn fun(file: file*, is_special: boolean): any, any
---@return any result  nil, and what `fn` said or the reason as a text
---@return any
function localfile.fill(path, fn)
  local is_special = localfile.is_special(path)
  local place = is_special and path or localfile.target(path)
  local file, name
  if is_special then file, name = io.open(place, "wb") else file, name = localfile.beside(place) end
  if not file then return nil, name end
  local function let_go()
    if is_special then file:close() else localfile.discard(file, name) end
  end
  local result, err = loop.guard(function() return fn(file, is_special) end, let_go)
  if not result then
    let_go()
    return nil, err
  end
  local fine, why
  if is_special then fine, why = file:close() else fine, why = localfile.commit(file, name, place) end
  if not fine then return nil, why end
  return result
end

---Writes a file at once.
---@param path string
---@param data string
---@return any result  nil and a reason
---@return string?
function localfile.replace(path, data)
  return localfile.fill(path, function(file) return file:write(data) end)
end

---Whether `path` is a directory.
---@param path string
---@return boolean
function localfile.is_directory(path)
  return core.file_type(path) == "directory"
end

return localfile
