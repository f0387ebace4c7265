-- One file into the sandbox.

local calls = require "daytona.toolbox.fs.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local order = require "daytona.toolbox.order"
local pace = require "daytona.toolbox.fs.pace"
local pieces = require "daytona.toolbox.fs.pieces"
local place = require "daytona.toolbox.fs.place"

local base_name, check_path, failure = calls.base_name, calls.check_path, calls.failure

local upload = {}

-- Where content comes from: fields of a part, and what there is to close.
---@class daytona.Content
---@field data? string
---@field file? file*
---@field source? fun(): string?, any
---@field length? integer
---@field name? string
---@field opened? boolean  the file is ours to close
---@field path? string     of a file of this machine
---@field stamp? { size: integer, seconds: integer, nanoseconds: integer }  what it was then
---@field from? fun(at: integer, size: integer): table?, daytona.Error?  so many bytes from there on, as `data`, `file`
---or `source`; nothing where a part of it cannot be had again

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

-- Content whose parts can be had again.
local function of_data(data)
  return {
    data = data, length = #data,
    from = function(at, size) return { data = data:sub(at + 1, at + size) } end,
  }
end

local function of_file(file)
  local length = rest_of(file)
  local mark = length and file:seek("cur")
  return {
    file = file, length = length,
    from = mark and function(at)
      file:seek("set", mark + at)
      return { file = file }
    end,
  }
end

local function open_source(path)
  local file, why = io.open(path, "rb")
  if not file then return failure("upload", "io", why, path) end
  local _, problem, code = file:read(0)
  if code then -- a directory opens, but cannot be read
    file:close()
    return failure("upload", "io", problem, path)
  end
  local content = of_file(file)
  local _, size, _, seconds, nanoseconds = core.stat(path)
  content.path, content.stamp = path, { size = size, seconds = seconds, nanoseconds = nanoseconds }
  content.name, content.opened = base_name(path), true
  return content
end

---What a source is; raises for what is none.
---@param source any
---@param length? integer
---@return daytona.Content?
---@return daytona.Error?
function upload.content_of(source, length)
  if type(source) == "string" then return open_source(check_path("upload: the source", source)) end
  if io.type(source) == "file" then return of_file(source) end
  if type(source) == "function" then
    return { source = length and up_to(length, source) or source, length = length }
  end
  if type(source) == "table" and type(source.data) == "string" then
    return of_data(source.data)
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

-- The daemon answers 400 whatever kept it from writing a file.
local function explain_refusal(err, path)
  if err.status ~= 400 then return err end
  local kind, code = calls.problem(err.message)
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

local function send_multipart(self, content, path, opts, safe)
  local request = calls.transfer_fields({
    what = path, safe = safe,
    parts = {
      { name = "files[0].path", data = path },
      { name = "files[0].file", filename = "file", data = content.data, file = content.file,
        source = content.source, length = not content.data and content.length or nil },
    },
  }, opts)
  if opts.on_progress and content.length then
    request.on_progress = without_frame(opts.on_progress, content.length)
  end
  local answer, err = calls.api.upload(self, nil, request)
  if not answer then return nil, err end
  local written = (answer.files or {})[1]
  return written and written.bytes or content.length or 0
end

---Sends one file over what is there, as it comes.
---@param self daytona.FileSystem
---@param content daytona.Content
---@param path string
---@param opts { timeout?: number, idle_timeout?: number, on_progress?: function }
---@param safe? boolean  sending it again, after a lost answer, is harmless
---@return { path: string, name: string, size: integer }?
---@return daytona.Error?
function upload.send(self, content, path, opts, safe)
  local written, err = send_multipart(self, content, path, opts, safe)
  if not written then return nil, explain_refusal(err, path) end
  if content.length and written ~= content.length then
    return failure("upload", "connection", string.format("%d of %d bytes arrived", written, content.length),
      path, "truncated")
  end
  return { path = path, name = base_name(path) or path, size = written }
end

---Sends one file to a place where nothing was, in pieces where the line breaks. `again`:
---sending a small one once more is harmless.
---@param self daytona.FileSystem
---@param content daytona.Content
---@param path string
---@param opts { idle_timeout?: number, on_progress?: function }
---@param clock daytona.Pace
---@param again? boolean
---@return integer? size
---@return daytona.Error?
function upload.stage(self, content, path, opts, clock, again)
  if pieces.can(self, content) then
    local function send(...) return upload.send(self, ...) end
    local fine, err = pieces.send(self, content, path, opts, clock, send)
    if not fine then return nil, err end
    return content.length
  end
  local limits = { timeout = clock:left() or 0, idle_timeout = opts.idle_timeout, on_progress = opts.on_progress }
  local info, err = upload.send(self, content, path, limits, again)
  return info and info.size, err
end

-- Where a source has to begin for a second time; false where it cannot.
local function mark_of(content)
  if content.data then return 0 end
  return content.file and content.length and content.file:seek("cur") or false
end

-- An error about a file that waits, as one about the file that it was to be.
local function about(err, waiting, path)
  local function plain(text) return (text:gsub("%p", "%%%0")) end
  err.message = err.message:gsub(plain(waiting), (path:gsub("%%", "%%%%"))):gsub(plain(waiting:match("[^/]*$")), "it")
  err.what = path
  return err
end

-- In a folder that may not be written to, a file perhaps may be: it is, where the source
-- can be read once more.
local function send_in_place(self, content, mark, path, opts)
  if path:find("^%s") or path:find("%s$") then return nil end -- the daemon would trim it
  if content.file then content.file:seek("set", mark) end
  return upload.send(self, content, path, opts)
end

---Sends one file beside its place and puts it there when it is whole.
---@param self daytona.FileSystem
---@param content daytona.Content
---@param path string
---@param opts { timeout?: number, idle_timeout?: number, on_progress?: function }
---@return { path: string, name: string, size: integer }?
---@return daytona.Error?
function upload.whole(self, content, path, opts)
  local clock = pace.new("upload", opts.timeout or calls.TRANSFER_TIMEOUT, opts.idle_timeout)
  local mark, waiting, arrived = mark_of(content), place.beside(path), false
  local places = pieces.can(self, content) and pieces.places(waiting) or { waiting }
  local function go()
    -- The name is nobody else's: what is lost on its way is sent once more.
    local size, err = upload.stage(self, content, waiting, opts, clock, mark and true)
    if not size then return nil, about(err, waiting, path) end
    arrived = true
    local put
    put, err = place.put(self, "upload", waiting, path, clock)
    if not put then return nil, about(err, waiting, path) end
    return { path = path, name = base_name(path) or path, size = size }
  end
  local info, err = loop.guard(go, function() place.discard(self, places) end)
  if info then return info end
  if mark and errors.is(err, "forbidden") then
    local written = send_in_place(self, content, mark, path, opts)
    if written then
      if arrived then place.discard(self, places, err) end
      return written
    end
  end
  place.discard(self, places, err)
  return nil, err
end

local UPLOAD = {
  name = "text", timeout = "seconds", idle_timeout = "seconds", on_progress = "callable", length = "count",
}

---Puts a file into the sandbox, over what is there, making folders as needed.
---
---The source is a local path, a file open for reading (from its position on), a
---`{ data = string }`, or a function that returns the next chunk, nil at the end,
---or nil and a reason to give up. A destination with "/" at its end, or a `name`,
---means a folder. What is there already stays until the new file is whole, and keeps its
---permissions; a link is followed, devices, pipes and files with several names are written
---to. In a folder that may not be written to, a file is written in place if that is
---allowed (unless its source is a function): then a failure may leave a half one. More than
---8 MiB of anything but a function go on where they were cut, over as many requests as it
---takes, if the client retries at all; a local file that changed meanwhile is a "conflict".
---@param source string|file*|{ data: string }|fun(): string?, any
---@param path string
---@param opts? { name?: string, length?: integer, on_progress?: fun(done: integer, total?: integer), timeout?: number, idle_timeout?: number }
---@return { path: string, name: string, size: integer }?
---@return daytona.Error?
function upload.upload(self, source, path, opts)
  check_path("upload: the destination", path)
  opts = options.check("upload", UPLOAD, opts)
  local content, err = upload.content_of(source, opts.length)
  if not content then
    ---@cast err -nil
    order.hint_if_here(err, type(source) == "string" and not core.lstat(source), path, "file",
      "the file of this machine comes first, then its path in the sandbox")
    return nil, err
  end
  local function go()
    return upload.whole(self, content, destination(path, opts.name, content.name), opts)
  end
  if not content.opened then return go() end
  local info
  info, err = loop.guard(go, function() content.file:close() end)
  content.file:close()
  return info, err
end

local WRITE = { timeout = "seconds", idle_timeout = "seconds", on_progress = "callable" }

---Writes a string to a file, over what is there, making folders as needed: as `upload`,
---whole or not at all.
---@param path string
---@param data string
---@param opts? { timeout?: number, idle_timeout?: number, on_progress?: fun(done: integer, total?: integer) }
---@return { path: string, name: string, size: integer }?
---@return daytona.Error?
function upload.write(self, path, data, opts)
  check_path("write: the path", path)
  options.argument("write: the data", "string", data)
  order.check_content("write", path, data)
  opts = options.check("write", WRITE, opts)
  if path:sub(-1) == "/" then errors.misuse(1, "write: the path names a folder") end
  return upload.whole(self, of_data(data), path, opts)
end

return upload
