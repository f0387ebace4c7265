-- Files in a sandbox. Transfers stream: memory stays constant whatever the size.
--
-- A relative path starts in the sandbox's working directory; "~" is a name like
-- any other. What the network names never becomes a path on this machine.

local calls = require "daytona.toolbox.fs.calls"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local methods = require "daytona.base.methods"
local names = require "daytona.http.names"
local options = require "daytona.base.options"

local call, check_path, failure = calls.call, calls.check_path, calls.failure

---@class daytona.FileSystem
local FileSystem = {}
FileSystem.__index = FileSystem
FileSystem.__name = "daytona.FileSystem"

function FileSystem:__tostring()
  return "files of " .. tostring(self.sandbox)
end

local M = {}

---@param sandbox daytona.Sandbox
---@return daytona.FileSystem
function M.new(sandbox)
  return setmetatable({ sandbox = sandbox }, FileSystem)
end

--- Looking and changing -----------------------------------------------------------------

---@class daytona.FileInfo
---@field name string
---@field path string
---@field is_dir boolean
---@field size integer         bytes
---@field mode string          "-rw-r--r--"
---@field permissions string   "0644"
---@field owner string
---@field group string
---@field modified_at string   RFC 3339

local function file_info(raw, path)
  local info = names.to_lua(raw)
  info.path = info.path or path
  return info
end

local LIST = { depth = "positive" }

---What is in a directory, in order of name.
---@param path? string               the working directory
---@param opts? { depth?: integer }  1: its own entries; more: theirs too, as one list
---@return daytona.FileInfo[]?
---@return daytona.Error?
function FileSystem:list(path, opts)
  if path ~= nil then check_path("list: the path", path) end
  opts = options.check("list", LIST, opts)
  local query = { { "path", path }, { "depth", opts.depth } }
  local response, err = call(self, "list", { query = query, what = path })
  if not response then return nil, err end
  local entries, above = {}, path and path:gsub("/+$", "") .. "/" or ""
  for i, raw in ipairs(response.json) do
    if (opts.depth or 1) > 1 and raw.path == nil then
      return failure("list", "unsupported", "this server is too old for depth", path)
    end
    entries[i] = file_info(raw, above .. tostring(raw.name))
  end
  return entries
end

---One file or directory; kind "not_found" when there is none.
---@param path string
---@return daytona.FileInfo?
---@return daytona.Error?
function FileSystem:stat(path)
  check_path("stat: the path", path)
  local response, err = call(self, "stat", { query = { path = path }, what = path })
  if not response then return nil, err end
  return file_info(response.json, path)
end

---Whether something is there: true or false, or nil and why that is unknown.
---@param path string
---@return boolean?
---@return daytona.Error?
function FileSystem:exists(path)
  local info, err = self:stat(path)
  if info then return true end
  if errors.is(err, "not_found") then return false end
  return nil, err
end

local function is_mode(value)
  return type(value) == "string" and value:find("^[0-7][0-7][0-7][0-7]?$") ~= nil, 'octal digits, as "0755"'
end

---Makes a directory and those above it. One that exists is fine.
---@param path string
---@param opts? { mode?: string }  "0755"
---@return true?
---@return daytona.Error?
function FileSystem:mkdir(path, opts)
  check_path("mkdir: the path", path)
  opts = options.check("mkdir", { mode = is_mode }, opts)
  local query = { path = path, mode = opts.mode or "0755" }
  local response, err = call(self, "mkdir", { query = query, what = path })
  if not response then return nil, err end
  return true
end

---Removes a file; a directory only with `recursive`. (Of a link that leads nowhere
---the service says that it is not there: `sb:exec{ "rm", path }`.)
---@param path string
---@param opts? { recursive?: boolean }
---@return true?
---@return daytona.Error?
function FileSystem:remove(path, opts)
  check_path("remove: the path", path)
  opts = options.check("remove", { recursive = "boolean" }, opts)
  local query = { path = path, recursive = opts.recursive or nil }
  local response, err = call(self, "remove", { query = query, what = path })
  if not response then return nil, err end
  return true
end

---Renames; what is at `to` already is not overwritten (kind "conflict").
---@param from string
---@param to string
---@return true?
---@return daytona.Error?
function FileSystem:move(from, to)
  check_path("move: the source", from)
  check_path("move: the destination", to)
  local query = { { "source", from }, { "destination", to } }
  local response, err = call(self, "move", { query = query, what = from })
  if not response then return nil, err end
  -- From one file system to another it is a copy, and then a removal.
  local said = json.decode(response.body)
  if type(said) == "table" and said.error then
    local text = tostring(said.error)
    return failure("move", calls.problem(text) or "server", "copied, but still there: " .. text, from)
  end
  return true
end

local CHMOD = { mode = is_mode, owner = "text", group = "text" }

---Changes permissions, owner, group: those that are given.
---@param path string
---@param change string|{ mode?: string, owner?: string, group?: string }  a string is the mode
---@return true?
---@return daytona.Error?
function FileSystem:chmod(path, change)
  check_path("chmod: the path", path)
  if type(change) == "string" then change = { mode = change } end
  options.check("chmod", CHMOD, options.argument("chmod: the change", "table", change))
  local query = { path = path, mode = change.mode, owner = change.owner, group = change.group }
  local response, err = call(self, "chmod", { query = query, what = path })
  if not response then return nil, err end
  return true
end

--- More, each in a file of its own ----------------------------------------------------------

-- Loaded by the first call of it.
local later = methods.later

FileSystem.upload = later("daytona.toolbox.fs.upload", "upload")
FileSystem.write = later("daytona.toolbox.fs.upload", "write")
FileSystem.download = later("daytona.toolbox.fs.download", "download")
FileSystem.read = later("daytona.toolbox.fs.download", "read")
FileSystem.upload_many = later("daytona.toolbox.fs.upload_many", "upload_many")
FileSystem.download_many = later("daytona.toolbox.fs.download_many", "download_many")
FileSystem.grep = later("daytona.toolbox.fs.search", "grep")
FileSystem.glob = later("daytona.toolbox.fs.search", "glob")
FileSystem.replace = later("daytona.toolbox.fs.search", "replace")
FileSystem.tail = later("daytona.toolbox.fs.search", "tail")
FileSystem.open = later("daytona.toolbox.fs.file", "open")
FileSystem.upload_dir = later("daytona.toolbox.fs.sync", "upload_dir")
FileSystem.download_dir = later("daytona.toolbox.fs.sync", "download_dir")
FileSystem.sync = later("daytona.toolbox.fs.sync", "sync")
FileSystem.watch = later("daytona.toolbox.fs.watch", "watch")

methods.guard(FileSystem, "daytona.FileSystem", "sandbox.fs")

return M
