-- A file in a sandbox as io.open gives one. What is only read is fetched by
-- ranges, as it is needed; what is written to is kept in a temporary file on this
-- machine and sent as a whole by `flush` and `close`.

local compat = require "daytona.base.compat"
local errors = require "daytona.base.errors"
local formats = require "daytona.base.formats"
local calls = require "daytona.toolbox.fs.calls"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local reader = require "daytona.toolbox.reader"

local file = {}

-- Bytes asked for at a time: more and more, as long as reading goes on.
local FIRST_BLOCK, LARGEST_BLOCK = 64 * 1024, 1024 * 1024

--- Reading by ranges ------------------------------------------------------------------------

-- A file that is only read, as a source of toolbox/reader.lua.
---@class daytona.Ranges
---@field package fs daytona.FileSystem
---@field package path string
---@field buffer daytona.LineBuffer
---@field package fetched integer  what lies before this was fetched
---@field package block integer
local Ranges = {}
Ranges.__index = Ranges

local function new_ranges(fs, path)
  return setmetatable({ fs = fs, path = path, buffer = line_buffer.new(), fetched = 0, block = FIRST_BLOCK }, Ranges)
end

---@private
function Ranges:subject()
  return self.fs.sandbox, self.path
end

-- As much at once as `fs:read` gives.
function Ranges:most()
  local connection = self.fs.sandbox:toolbox()
  return connection and connection.max_bytes or math.huge
end

---@private
function Ranges:fill(deadline)
  local from, buffer = self.fetched, self.buffer
  local left = deadline and deadline - loop.now()
  if left and left <= 0 then return reader.too_late(self) end
  local data, err = self.fs:read(self.path, { offset = from, length = self.block, timeout = left })
  if not data then return nil, err end
  if self.fetched ~= from or self.buffer ~= buffer then return true end -- somebody went elsewhere meanwhile
  buffer:push(data)
  self.fetched = from + #data
  self.block = math.min(self.block * 2, LARGEST_BLOCK)
  return data ~= ""
end

-- Where the next byte is read.
function Ranges:place()
  return self.fetched - self.buffer.size
end

function Ranges:go_to(at)
  local ahead = at - self:place()
  if ahead >= 0 and ahead <= self.buffer.size then
    if ahead > 0 then self.buffer:take(ahead) end
  else
    self.buffer, self.fetched, self.block = line_buffer.new(), at, FIRST_BLOCK
  end
end

--- Reading ------------------------------------------------------------------------------------

---An open file. The collector never sends what was written: close it.
---@class daytona.File
---@field package path string
---@field package fs daytona.FileSystem
---@field package ranges? daytona.Ranges  of one that is only read
---@field package spool? file*            of one that is written to
---@field package dirty? boolean
local File = { __name = "daytona.File" }
File.__index = File

local function check_open(self)
  if self.closed then errors.misuse(1, "attempt to use a closed file") end
end

---@private
function File:__tostring()
  return self.closed and "file (closed)" or "file (" .. self.path .. ")"
end

-- What is written to is a file of this machine. PUC Lua 5.1 knows no "*L": the line
-- is read, and then the bytes that it took.
local function read_spool(spool, format)
  if type(format) == "number" then return spool:read(format) end
  local kind = formats.letter(format)
  if not kind then errors.misuse(1, "read: the format must be \"l\", \"L\", \"n\", \"a\" or a number") end
  if kind ~= "L" then return spool:read("*" .. kind) end
  local from = spool:seek()
  if not spool:read "*l" then return nil end
  local size = spool:seek() - from
  spool:seek("set", from)
  return spool:read(size)
end

---As `file:read` of Lua: "l" (a line, which is what nothing means), "L" (with its
---end), "n" (a number), "a" (all, at most the client's `max_bytes`, else "too_large") or
---a number of bytes. A table { timeout = seconds } may come last. nil at the end; nil and
---an error when it cannot be read. Several tasks may read one file: each gets what the
---others do not.
---@param ... "l"|"L"|"n"|"a"|integer|{ timeout?: number }
---@return string|number|nil
---@return daytona.Error|string|number|nil ...
function File:read(...)
  check_open(self)
  if self.ranges then return reader.read(self.ranges, ...) end
  local n = select("#", ...)
  if type((select(math.max(n, 1), ...))) == "table" then n = n - 1 end
  if n == 0 then return read_spool(self.spool, "l") end
  return formats.read(read_spool, self.spool, n, ...)
end

---Iterates over what `read` gives. Raises when it cannot be read. (On PUC Lua 5.1
---not in a task: read in a loop there.)
---@param ... "l"|"L"|"n"|integer|{ timeout?: number }
---@return fun(): string|number|nil ...
function File:lines(...)
  check_open(self)
  local given = compat.pack(...)
  local function or_raise(value, err, ...)
    if value == nil and err then errors.raise(err) end
    return value, err, ...
  end
  return function() return or_raise(self:read(compat.unpack(given, 1, given.n))) end
end

--- Both -------------------------------------------------------------------------------------

---As `file:seek` of Lua. "end" asks for the size of a file that is only read.
---@param whence? "set"|"cur"|"end"
---@param offset? integer
---@return integer?
---@return daytona.Error|string|nil
function File:seek(whence, offset)
  check_open(self)
  whence, offset = whence or "cur", offset or 0
  if self.spool then return self.spool:seek(whence, offset) end
  local base
  if whence == "set" then base = 0
  elseif whence == "cur" then base = self.ranges:place()
  elseif whence == "end" then
    local info, err = self.fs:stat(self.path)
    if not info then return nil, err end
    base = info.size
  else errors.misuse(1, "seek: 'set', 'cur' or 'end'") end
  local at = base + offset
  if at < 0 then return nil, "Invalid argument" end
  self.ranges:go_to(at)
  return at
end

---Writes strings and numbers; they are sent by `flush` or `close`. Returns the file.
---@param ... string|number
---@return daytona.File?
---@return daytona.Error?
function File:write(...)
  check_open(self)
  if not self.spool then errors.misuse(1, "write: the file was opened for reading") end
  self.dirty = true
  if self.appends then self.spool:seek("end") end
  local fine, why = self.spool:write(...)
  if not fine then return calls.failure("write", "io", why, self.path) end
  return self
end

---Sends what was written: the whole file, over what is there.
---@return daytona.File?
---@return daytona.Error?
function File:flush()
  check_open(self)
  if not self.dirty then return self end
  local fine, why = self.spool:flush()
  if not fine then return calls.failure("write", "io", why, self.path) end
  local here = self.spool:seek("cur", 0)
  self.spool:seek("set", 0)
  local info, err = self.fs:upload(self.spool, self.path)
  self.spool:seek("set", here)
  if not info then return nil, err end
  self.dirty = false
  return self
end

---Sends what was written, and lets go of the file, also when that fails. Closing
---twice is fine.
---@return true?
---@return daytona.Error?
function File:close()
  if self.closed then return true end
  local fine, err = self:flush()
  self.closed = true
  if self.spool then self.spool:close() end
  if not fine then return nil, err end
  return true
end

---@private
File.__close = File.close

--- Opening ----------------------------------------------------------------------------------

local function open_spool(self, path, kind)
  local spool, why = io.tmpfile()
  if not spool then return calls.failure("open", "io", why, path) end
  local handle = setmetatable({ fs = self, path = path, spool = spool, appends = kind == "a" }, File)
  if kind == "w" then
    handle.dirty = true
    return handle
  end
  local info, err = self:download(path, spool)
  if info then
    spool:seek("set", 0)
    return handle
  end
  if kind == "a" and errors.is(err, "not_found") then
    handle.dirty = true
    return handle
  end
  spool:close()
  err.operation = "open"
  return nil, err
end

---Opens a file as `io.open` does: "r" reads, "w" writes it anew, "a" appends, "r+"
---reads and changes it ("w+" and "a+" also read).
---
---Reading fetches 64 KiB, then more at a time. Whatever writes works on a copy on
---this machine, which `flush` and `close` send: `close` it and look whether that
---went well. What others write over there meanwhile is lost then.
---@param path string
---@param mode? "r"|"w"|"a"|"r+"|"w+"|"a+"
---@return daytona.File?
---@return daytona.Error?
function file.open(self, path, mode)
  calls.check_path("open: the path", path)
  mode = options.argument("open: the mode", "string", mode or "r")
  local kind, plus = mode:match("^([rwa])(%+?)b?$")
  if not kind then errors.misuse(1, "open: the mode is \"r\", \"w\" or \"a\", or one of these with \"+\"") end
  if kind ~= "r" or plus ~= "" then return open_spool(self, path, kind) end
  local info, err = self:stat(path)
  if not info then
    err.operation = "open"
    return nil, err
  end
  if info.is_dir then return calls.failure("open", "invalid", "it is a directory", path) end
  return setmetatable({ fs = self, path = path, ranges = new_ranges(self, path) }, File)
end

methods.guard(File, "daytona.File", "file")

return file
