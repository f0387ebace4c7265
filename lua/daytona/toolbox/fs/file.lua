-- A file in a sandbox as io.open gives one. What is only read is fetched by
-- ranges, as it is needed; what is written to is kept in a temporary file on this
-- machine and sent as a whole by `flush` and `close`.

local compat = require "daytona.base.compat"
local errors = require "daytona.base.errors"
local formats = require "daytona.base.formats"
local calls = require "daytona.toolbox.fs.calls"
local methods = require "daytona.base.methods"
local numeral = require "daytona.base.numeral"
local options = require "daytona.base.options"

local file = {}

-- Bytes asked for at a time: more and more, as long as reading goes on.
local FIRST_BLOCK, LARGEST_BLOCK = 64 * 1024, 1024 * 1024

---An open file. The collector never sends what was written: close it.
---@class daytona.File
---@field package path string
---@field package fs daytona.FileSystem
---@field package spool? file*   of one that is written to
---@field package dirty? boolean
---@field package buffer string  of one that is read: what was fetched from `start` on
---@field package start integer
---@field package at integer     where the next byte is read
local File = { __name = "daytona.File" }
File.__index = File

local function check_open(self)
  if self.closed then errors.misuse(1, "attempt to use a closed file") end
end

function File:__tostring()
  return self.closed and "file (closed)" or "file (" .. self.path .. ")"
end

--- Reading by ranges ------------------------------------------------------------------------

-- What is in the buffer behind the current place.
local function held(self)
  return self.start + #self.buffer - self.at
end

-- Fetches more. true, false at the end of the file; nil, err.
local function fill(self)
  local from = self.start + #self.buffer
  local data, err = self.fs:read(self.path, { offset = from, length = self.block })
  if not data then return nil, err end
  if self.start + #self.buffer ~= from then return true end -- another task was faster
  self.buffer, self.start = self.buffer:sub(self.at - self.start + 1) .. data, self.at
  self.block = math.min(self.block * 2, LARGEST_BLOCK)
  return data ~= ""
end

local function take(self, count)
  local first = self.at - self.start + 1
  local data = self.buffer:sub(first, first + count - 1)
  self.at = self.at + #data
  return data
end

-- Brings in `count` bytes, if there are so many. nil, err.
local function need(self, count)
  while held(self) < count do
    local more, err = fill(self)
    if more == nil then return nil, err end
    if not more then break end
  end
  return true
end

local function read_count(self, count)
  local fine, err = need(self, math.max(count, 1))
  if not fine then return nil, err end
  if held(self) == 0 then return nil end
  return take(self, count)
end

local function read_line(self, keep_end)
  local from = self.at
  while true do
    local stop = self.buffer:find("\n", math.max(from, self.at) - self.start + 1, true)
    if stop then
      local line = take(self, self.start + stop - self.at)
      return keep_end and line or line:sub(1, -2)
    end
    from = self.start + #self.buffer
    local more, err = fill(self)
    if more == nil then return nil, err end
    if not more then
      if held(self) == 0 then return nil end
      return take(self, held(self))
    end
  end
end

-- Fetches all that is left, unless it is more than `most` bytes. Pieces, or nil, err.
local function fetch_rest(self, pieces, most)
  local size = 0
  while size <= most do
    size = size + held(self)
    pieces[#pieces + 1] = take(self, held(self))
    local more, err = fill(self)
    if more == nil then return nil, err end
    if not more then return pieces end
  end
  return calls.failure("read", "too_large", "what is left of the file is larger than allowed", self.path, "too_large")
end

-- As `fs:read`, it gives no more at once than the client allows. What was fetched in vain
-- is still to be read.
local function read_all(self)
  local connection, why = self.fs.sandbox:toolbox()
  if not connection then return nil, why end
  local from, pieces = self.at, {}
  local whole, err = fetch_rest(self, pieces, connection.max_bytes)
  local text = table.concat(pieces)
  if whole then return text end
  self.buffer, self.start, self.at = text .. self.buffer:sub(self.at - self.start + 1), from, from
  return nil, err
end

local function read_number(self)
  repeat
    local fine, err = need(self, numeral.LONGEST)
    if not fine then return nil, err end
    local space = self.buffer:match("^%s*", self.at - self.start + 1)
    take(self, #space)
  until #space < numeral.LONGEST
  local fine, err = need(self, numeral.LONGEST)
  if not fine then return nil, err end
  local from = self.at - self.start
  local text = numeral.beginning(self.buffer:sub(from + 1, from + numeral.LONGEST))
  take(self, #text)
  return tonumber(text)
end

-- What is written to is a file of this machine. PUC Lua 5.1 knows no "*L": the line
-- is read, and then the bytes that it took.
local function read_spool(spool, kind)
  if kind ~= "L" then return spool:read("*" .. kind) end
  local from = spool:seek()
  if not spool:read "*l" then return nil end
  local size = spool:seek() - from
  spool:seek("set", from)
  return spool:read(size)
end

local function read_one(self, format)
  if type(format) == "number" then
    if self.spool then return self.spool:read(format) end
    return read_count(self, format)
  end
  local kind = formats.letter(format)
  if not kind then errors.misuse(1, "read: the format must be \"l\", \"L\", \"n\", \"a\" or a number") end
  if self.spool then return read_spool(self.spool, kind) end
  if kind == "l" then return read_line(self, false) end
  if kind == "L" then return read_line(self, true) end
  if kind == "a" then return read_all(self) end
  return read_number(self)
end

---As `file:read` of Lua: "l" (a line, which is what nothing means), "L" (with its
---end), "n" (a number), "a" (all) or a number of bytes. nil at the end; nil and an
---error when it cannot be read.
---@param ... string|integer
---@return string|number|nil ...
function File:read(...)
  check_open(self)
  local n = select("#", ...)
  if n == 0 then return self:read("l") end
  return formats.read(read_one, self, n, ...)
end

---Iterates over what `read` gives. Raises when it cannot be read. (On PUC Lua 5.1
---not in a task: read in a loop there.)
---@param ... string|integer
---@return fun(): string|number|nil ...
function File:lines(...)
  check_open(self)
  local given, n = { ... }, select("#", ...)
  local function checked(value, err, ...)
    if value == nil and err then errors.assert(nil, err) end
    return value, err, ...
  end
  return function()
    return checked(self:read(compat.unpack(given, 1, n)))
  end
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
  elseif whence == "cur" then base = self.at
  elseif whence == "end" then
    local info, err = self.fs:stat(self.path)
    if not info then return nil, err end
    base = info.size
  else errors.misuse(1, "seek: 'set', 'cur' or 'end'") end
  local at = base + offset
  if at < 0 then return nil, "Invalid argument" end
  if at < self.start or at > self.start + #self.buffer then
    self.buffer, self.start, self.block = "", at, FIRST_BLOCK
  end
  self.at = at
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
  self.closed, self.buffer = true, ""
  if self.spool then self.spool:close() end
  if not fine then return nil, err end
  return true
end

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
  return setmetatable({
    fs = self, path = path, buffer = "", start = 0, at = 0, block = FIRST_BLOCK,
  }, File)
end

methods.guard(File, "daytona.File", "file")

return file
