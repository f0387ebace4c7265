-- Files in a sandbox. Transfers stream: memory stays constant whatever the size.
--
-- A relative path starts in the sandbox's working directory; "~" is a name like
-- any other. What the network names never becomes a path on this machine.

local errors = require "daytona.base.errors"
local http = require "daytona.http"
local json = require "daytona.http.json"
local localfile = require "daytona.toolbox.fs.localfile"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local names = require "daytona.http.names"

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

-- Seconds a transfer may take, and may stand still.
local TRANSFER_TIMEOUT, TRANSFER_IDLE = 1800, 60

local function is_size(value)
  return type(value) == "number" and value >= 0 and value % 1 == 0 and value < 2 ^ 53
end

-- The `flaw` of an answer about one file, and of a list of them.
local function info_flaw(raw)
  if type(raw) ~= "table" or type(raw.name) ~= "string" or not is_size(raw.size) then
    return "not about a file"
  end
end

-- A name in a directory is one: whoever saves what is listed under it relies on that.
local function list_flaw(list)
  for i = 1, #list do
    if info_flaw(list[i]) then return "no list of files" end
    local name = list[i].name
    if name == "" or name == "." or name == ".." or name:find("[/%z]") then return "a list of what are no names" end
  end
end

local function matches_flaw(list)
  for i = 1, #list do
    local match = list[i]
    if type(match) ~= "table" or type(match.file) ~= "string" or type(match.line) ~= "number"
      or type(match.content) ~= "string" then return "no list of lines" end
  end
end

local function names_flaw(raw)
  local files = raw.files or {}
  if type(files) ~= "table" then return "no list of names" end
  for i = 1, #files do
    if type(files[i]) ~= "string" then return "no list of names" end
  end
end

local function outcomes_flaw(list)
  for i = 1, #list do
    if type(list[i]) ~= "table" then return "no list of outcomes" end
  end
end

-- The same of an upload's; old daemons say nothing about the files.
local function upload_flaw(raw)
  local files = raw.files or {}
  local first = type(files) == "table" and (files[1] or {})
  if type(first) ~= "table" or not is_size(first.bytes or 0) then return "no list of files" end
end

-- The daemon's calls: method, path, what comes back.
local CALLS = {
  list      = { "GET",    "/files",             "list",   flaw = list_flaw },
  stat      = { "GET",    "/files/info",        "object", flaw = info_flaw },
  mkdir     = { "POST",   "/files/folder",      safe = true },
  remove    = { "DELETE", "/files" },
  move      = { "POST",   "/files/move" },
  chmod     = { "POST",   "/files/permissions", safe = true },
  read      = { "GET",    "/files/download" },
  download  = { "GET",    "/files/download" },
  upload    = { "POST",   "/files/bulk-upload", "object", flaw = upload_flaw },
  -- Takes names as they are, where bulk-upload trims them.
  upload_v2 = { "POST",   "/files/upload-v2" },
  upload_many   = { "POST", "/files/bulk-upload" },
  download_many = { "POST", "/files/bulk-download", safe = true },
  grep      = { "GET",    "/files/find",        "list",   flaw = matches_flaw },
  glob      = { "GET",    "/files/search",      "object", flaw = names_flaw },
  replace   = { "POST",   "/files/replace",     "list",   flaw = outcomes_flaw },
}

local function call(self, operation, request)
  local connection, err = self.sandbox:toolbox()
  if not connection then return nil, err end
  local spec = CALLS[operation]
  request.method, request.path, request.answer, request.safe = spec[1], spec[2], spec[3], spec.safe
  request.flaw = spec.flaw
  request.operation = request.operation or operation
  request.sandbox = self.sandbox
  return http.request(connection, request)
end

local function check_path(what, path)
  options.argument(what, "text", path)
  if path:find("\0", 1, true) then errors.misuse(1, "%s holds a NUL byte", what) end
  return path
end

local function failure(operation, kind, message, path, code)
  return nil, errors.new { kind = kind, code = code, operation = operation, message = message, what = path }
end

-- What the daemon, or a program over there, says of a file that could not be
-- changed: text, kind, code.
local PROBLEMS = {
  { "no space left on device", "io", "FILE_NO_SPACE" },
  { "quota exceeded", "io", "FILE_NO_SPACE" },
  { "permission denied", "forbidden" },
  { "read-only file system", "forbidden" },
}

-- The kind of that, and its code; nil where the text says nothing we know.
local function problem_of(text)
  text = text:lower()
  for _, row in ipairs(PROBLEMS) do
    if text:find(row[1], 1, true) then return row[2], row[3] end
  end
end

-- "b" of "a/b" and "a/b/"; nil where there is none to be used.
local function base_name(path)
  local name = path:match("([^/]+)/*$")
  if name == "." or name == ".." then return nil end
  return name
end

-- What the files of daytona.fs.* build upon.
M.call, M.check_path, M.failure, M.base_name, M.problem = call, check_path, failure, base_name, problem_of

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
    return failure("move", problem_of(text) or "server", "copied, but still there: " .. text, from)
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

--- Uploading ------------------------------------------------------------------------------

-- Where content comes from: fields of a part, and what there is to close.
---@class daytona.Content
---@field data? string
---@field file? file*
---@field source? fun(): string?, any
---@field length? integer
---@field name? string
---@field opened? boolean  the file is ours to close

-- Bytes from the position on; nil when that cannot be known: of a pipe, or of a
-- directory, which some file systems give the largest number there is.
local function rest_of(file)
  local here = file:seek("cur")
  local last = here and file:seek("end")
  if not last or not file:seek("set", here) or last > 2 ^ 53 then return nil end
  return last - here
end

-- More than was announced would be cut off without a word.
local function up_to(length, source)
  local given = 0
  return function()
    local chunk, why = source()
    if type(chunk) ~= "string" then return chunk, why end
    given = given + #chunk
    if given > length then return nil, string.format("there is more than the %d bytes announced", length) end
    return chunk
  end
end

local function open_source(path)
  local file, why = io.open(path, "rb")
  if not file then return failure("upload", "io", why, path) end
  local _, problem, code = file:read(0)
  if code then -- a directory opens, but cannot be read
    file:close()
    return failure("upload", "io", problem, path)
  end
  return { file = file, length = rest_of(file), name = base_name(path), opened = true }
end

local function content_of(source, length)
  if type(source) == "string" then return open_source(check_path("upload: the source", source)) end
  if io.type(source) == "file" then return { file = source, length = rest_of(source) } end
  if type(source) == "function" then
    return { source = length and up_to(length, source) or source, length = length }
  end
  if type(source) == "table" and type(source.data) == "string" then
    return { data = source.data, length = #source.data }
  end
  errors.misuse(1, "upload: the source must be a path, an open file, { data = ... } or a function, got %s",
    type(source))
end

-- Where it goes: in a folder it keeps its name, or takes the given one.
local function destination(path, name, own_name)
  if not name and path:sub(-1) ~= "/" then return path end
  name = name or own_name
  if not name then errors.misuse(1, "upload: content without a name goes to a path, not into a folder") end
  if name:find("/", 1, true) then errors.misuse(1, "upload: option 'name' is a name, not a path") end
  return path:gsub("/+$", "") .. "/" .. name
end

local function transfer_fields(request, opts)
  request.timeout = opts.timeout or TRANSFER_TIMEOUT
  request.idle_timeout = opts.idle_timeout or TRANSFER_IDLE
  request.on_progress = opts.on_progress
  return request
end

M.content_of, M.transfer_fields = content_of, transfer_fields

-- The daemon answers 400 whatever kept it from writing a file.
local function explain_refusal(err, path)
  if err.status ~= 400 then return err end
  local kind, code = problem_of(err.message)
  if kind then err.kind, err.code = kind, code or err.code end
  if err.message:sub(1, #path + 2) == path .. ": " then err.message = err.message:sub(#path + 3) end
  return err
end

-- Progress of the content alone, where what travels has a frame around it.
local function without_frame(on_progress, length)
  return function(done, total)
    local frame = total and total - length or 0
    on_progress(math.min(math.max(done - frame, 0), length), length)
  end
end

local function send_multipart(self, content, path, opts)
  local request = transfer_fields({
    what = path,
    parts = {
      { name = "files[0].path", data = path },
      { name = "files[0].file", filename = "file", data = content.data, file = content.file,
        source = content.source, length = not content.data and content.length or nil },
    },
  }, opts)
  if opts.on_progress and content.length then
    request.on_progress = without_frame(opts.on_progress, content.length)
  end
  local response, err = call(self, "upload", request)
  if not response then return nil, err end
  local written = (response.json.files or {})[1]
  return written and written.bytes or content.length or 0
end

local function send_raw(self, content, path, opts)
  local size, source = content.length, content.source
  if source and not size then
    size = 0
    source = function()
      local chunk, why = content.source()
      if chunk then size = size + #chunk end
      return chunk, why
    end
  end
  local response, err = call(self, "upload_v2", transfer_fields({
    what = path, query = { path = path }, operation = "upload",
    body = content.data, body_file = content.file, body_source = source,
    body_length = not content.data and content.length or nil,
    headers = { ["Content-Type"] = "application/octet-stream" },
  }, opts))
  if response then return size or 0 end
  if errors.is(err, "not_found") and not err.code then
    return failure("upload", "unsupported",
      "this server cannot write a name that begins or ends with white space", path)
  end
  return nil, err
end

local function send(self, content, path, opts)
  local trimmed = path:find("^%s") or path:find("%s$")
  local written, err = (trimmed and send_raw or send_multipart)(self, content, path, opts)
  if not written then return nil, explain_refusal(err, path) end
  if content.length and written ~= content.length then
    return failure("upload", "connection", string.format("%d of %d bytes arrived", written, content.length),
      path, "truncated")
  end
  return { path = path, name = base_name(path) or path, size = written }
end

local UPLOAD = {
  name = "text", timeout = "seconds", idle_timeout = "seconds", on_progress = "callable", length = "count",
}

---Puts a file into the sandbox, over what is there, making folders as needed.
---
---The source is a local path, a file open for reading (from its position on), a
---`{ data = string }`, or a function that returns the next chunk, nil at the end,
---or nil and a reason to give up. A destination with "/" at its end, or a `name`,
---means a folder. The service writes in place: of an upload that fails half way,
---what had arrived stays.
---@param source string|file*|{ data: string }|fun(): string?, any
---@param path string
---@param opts? { name?: string, length?: integer, on_progress?: fun(done: integer, total?: integer), timeout?: number, idle_timeout?: number }
---@return { path: string, name: string, size: integer }?
---@return daytona.Error?
function FileSystem:upload(source, path, opts)
  check_path("upload: the destination", path)
  opts = options.check("upload", UPLOAD, opts)
  local content, err = content_of(source, opts.length)
  if not content then return nil, err end
  local function go()
    return send(self, content, destination(path, opts.name, content.name), opts)
  end
  if not content.opened then return go() end
  local info
  info, err = loop.guard(go, function() content.file:close() end)
  content.file:close()
  return info, err
end

local WRITE = { timeout = "seconds", idle_timeout = "seconds", on_progress = "callable" }

---Writes a string to a file, over what is there, making folders as needed.
---@param path string
---@param data string
---@param opts? { timeout?: number, idle_timeout?: number, on_progress?: fun(done: integer, total?: integer) }
---@return { path: string, name: string, size: integer }?
---@return daytona.Error?
function FileSystem:write(path, data, opts)
  check_path("write: the path", path)
  options.argument("write: the data", "string", data)
  opts = options.check("write", WRITE, opts)
  if path:sub(-1) == "/" then errors.misuse(1, "write: the path names a folder") end
  return send(self, { data = data, length = #data }, path, opts)
end

--- Downloading ----------------------------------------------------------------------------

-- What an answer with a file says about it.
local function received(response, path, size)
  local kind = response.headers["content-type"]
  return {
    name = base_name(path) or path, path = path, size = size,
    mime_type = kind and kind:match("^%s*([^;%s]+)") or "application/octet-stream",
  }
end

local function counting(sink, counter)
  return function(chunk)
    counter.size = counter.size + #chunk
    return sink(chunk)
  end
end

-- Checks the announced length; a cut body never gets here, an encoded one might.
local function check_size(response, path, size)
  local announced = tonumber(response.headers["content-length"])
  if not announced or announced == size or response.headers["content-encoding"] then
    return received(response, path, size)
  end
  return failure("download", "connection",
    string.format("%d of %d bytes arrived", size, announced), path, "truncated")
end

local function fetch(self, path, request, opts)
  request.query, request.what, request.with_headers = { path = path }, path, true
  request.max_bytes = opts.max_bytes
  return call(self, "download", transfer_fields(request, opts))
end

local function download_to_function(self, path, sink, opts)
  local counter = { size = 0 }
  local response, err = fetch(self, path, { sink = counting(sink, counter) }, opts)
  if not response then return nil, err end
  return check_size(response, path, counter.size)
end

local function download_to_handle(self, path, file, opts)
  file:flush()
  local info, err = download_to_function(self, path, function(chunk)
    local fine, why = file:write(chunk)
    if not fine then return false, errors.new { kind = "io", operation = "download", what = path, message = why } end
  end, opts)
  if not info then return nil, err end
  local fine, why = file:flush()
  if not fine then return failure("download", "io", why, path) end
  return info
end

local function download_to_path(self, path, target, opts)
  local info, err = localfile.fill(target, function(file, is_special)
    local response, problem = fetch(self, path, { sink_file = file }, opts)
    if not response then return nil, problem end
    if is_special then return received(response, path, tonumber(response.headers["content-length"]) or 0) end
    return check_size(response, path, file:seek("end"))
  end)
  if not info then
    if errors.is(err) then return nil, err end
    return failure("download", "io", err, target)
  end
  info.saved_as = target
  return info
end

-- A folder is a target under the file's own name, which is what the caller
-- asked for, not what the answer says.
local function local_target(path, target)
  if target:sub(-1) ~= "/" and not localfile.is_directory(target) then return target end
  local name = base_name(path)
  if not name then errors.misuse(1, "download: '%s' has no name that a file could get", path) end
  return target:gsub("/+$", "") .. "/" .. name
end

M.local_target = local_target

local DOWNLOAD = {
  timeout = "seconds", idle_timeout = "seconds", on_progress = "callable", max_bytes = "positive",
}

---Fetches a file from the sandbox.
---
---The target is a local path (a folder: under its own name), a file open for
---writing, or a function that is given each chunk and may return false and a
---reason to give up. A local file appears whole, or not at all.
---@param path string
---@param target string|file*|fun(chunk: string): any, any
---@param opts? { on_progress?: fun(done: integer, total?: integer), max_bytes?: integer, timeout?: number, idle_timeout?: number }
---@return { name: string, path: string, size: integer, mime_type: string, saved_as?: string }?
---@return daytona.Error?
function FileSystem:download(path, target, opts)
  check_path("download: the path", path)
  opts = options.check("download", DOWNLOAD, opts)
  if type(target) == "string" then
    check_path("download: the target", target)
    return download_to_path(self, path, local_target(path, target), opts)
  elseif io.type(target) == "file" then
    return download_to_handle(self, path, target, opts)
  elseif type(target) == "function" then
    return download_to_function(self, path, target, opts)
  end
  errors.misuse(1, "download: the target must be a path, an open file or a function, got %s", type(target))
end

local READ = {
  offset = "count", length = "positive", max_bytes = "positive", timeout = "seconds", idle_timeout = "seconds",
}

local function range_header(offset, length)
  if not offset and not length then return nil end
  offset = offset or 0
  return { Range = string.format(length and "bytes=%d-%d" or "bytes=%d-", offset, offset + (length or 0) - 1) }
end

---The content of a file, or a part of it, as a string; what is beyond its end is
---empty. kind "too_large" above `max_bytes` (64 MiB by default). Files that say they
---have no bytes, as those of /proc do, come empty: `sb:exec{ "cat", path }`.
---@param path string
---@param opts? { offset?: integer, length?: integer, max_bytes?: integer, timeout?: number, idle_timeout?: number }
---@return string?
---@return daytona.Error?
function FileSystem:read(path, opts)
  check_path("read: the path", path)
  opts = options.check("read", READ, opts)
  local response, err = call(self, "read", transfer_fields({
    query = { path = path }, what = path, headers = range_header(opts.offset, opts.length),
    max_bytes = opts.max_bytes,
  }, opts))
  if not response then
    if err.status == 416 then return "" end
    return nil, err
  end
  if response.status ~= 206 and (opts.offset or opts.length) then -- the range was not heeded
    local first = (opts.offset or 0) + 1
    return response.body:sub(first, opts.length and first + opts.length - 1 or -1)
  end
  return response.body
end

--- More, each in a file of its own ----------------------------------------------------------

-- Loaded by the first call of it.
local later = methods.later

FileSystem.upload_many = later("daytona.toolbox.fs.many", "upload_many")
FileSystem.download_many = later("daytona.toolbox.fs.many", "download_many")
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
