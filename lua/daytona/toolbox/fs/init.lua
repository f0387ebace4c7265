-- Files in a sandbox. Transfers stream: memory stays constant whatever the size.
--
-- A relative path starts in the sandbox's working directory; "~" is a name like
-- any other. What the network names never becomes a path on this machine.

local calls = require "daytona.toolbox.fs.calls"
local daemon_calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"

local api, method = calls.api, daemon_calls.method
local check_path, failure = calls.check_path, calls.failure

---The files of a sandbox: `sb.fs`. Paths are relative to its working directory; "~" is not
---expanded.
---@class daytona.FileSystem
local FileSystem = {}
FileSystem.__index = FileSystem
FileSystem.__name = "daytona.FileSystem"

---@private
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

local LIST = { depth = "positive" }

-- Old daemons name no paths, and know no depth.
local function complete(entries, above, path)
  for i = 1, #entries do
    local info = entries[i]
    if info.path == nil and not above then
      return failure("list", "unsupported", "this server is too old for depth", path)
    end
    info.path = info.path or above .. info.name
    local fine, err = loop.breathe()
    if not fine then return nil, err end
  end
  return entries
end

---What is in a directory, in order of name.
---@param path? string               the working directory
---@param opts? { depth?: integer }  1: its own entries; more: theirs too, as one list
---@return daytona.FileInfo[]?
---@return daytona.Error?
function FileSystem:list(path, opts)
  if path ~= nil then check_path("list: the path", path) end
  opts = options.check("list", LIST, opts)
  local entries, err = api.list(self, { path = path, depth = opts.depth })
  if not entries then return nil, err end
  local above = path and path:gsub("/+$", "") .. "/" or ""
  return complete(entries, (opts.depth or 1) == 1 and above or nil, path)
end

---One file or directory; kind "not_found" when there is none.
---@type fun(self: daytona.FileSystem, path: string): daytona.FileInfo?, daytona.Error?
FileSystem.stat = method(api.stat)

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

---Makes a directory (of a `mode`, "0755") and those above it. One that exists is fine.
---@type fun(self: daytona.FileSystem, path: string, opts?: { mode?: string }): true?, daytona.Error?
FileSystem.mkdir = method(api.mkdir)

---Removes a file; a directory only with `recursive`. (Of a link that leads nowhere
---the service says that it is not there: `sb:exec{ "rm", path }`.)
---@type fun(self: daytona.FileSystem, path: string, opts?: { recursive?: boolean }): true?, daytona.Error?
FileSystem.remove = method(api.remove)

---Renames; what is at the destination already is not overwritten (kind "conflict").
---@type fun(self: daytona.FileSystem, source: string, destination: string): true?, daytona.Error?
FileSystem.move = method(api.move)

local CHMOD = { mode = calls.is_mode, owner = "text", group = "text" }

local function is_change(value)
  return type(value) == "table", 'octal digits, as "0755", or a table'
end

---Changes permissions, owner, group: those that are given.
---@param path string
---@param change string|{ mode?: string, owner?: string, group?: string }  a string is the mode
---@return true?
---@return daytona.Error?
function FileSystem:chmod(path, change)
  check_path("chmod: the path", path)
  if type(change) == "string" then change = { mode = change } end
  options.check("chmod", CHMOD, options.argument("chmod: the change", is_change, change))
  return api.chmod(self, { path = path, mode = change.mode, owner = change.owner, group = change.group })
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
