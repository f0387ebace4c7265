-- The contents of many files as one stream of chunks. Files are opened when their turn
-- comes, so that neither memory nor descriptors grow with their number. What stands
-- around a content, and how a failure is told, is said by whoever makes the stream.

local core = require "daytona.base.native"
local loop = require "daytona.loop"

local body = {}

-- Small pieces are joined up to about this size before they are sent.
local CHUNK = 128 * 1024

-- The same where a host is not to be kept from its own work: some 16 small files, each with its
-- head.
local SLICE = 16 * 1024

---What is to be sent of one file: one of `data`, `path` (of a local file), `file` (an
---open one) and `source`, or nothing, where there is only a head.
---@class daytona.BodyEntry
---@field data? string
---@field path? string
---@field file? file*
---@field source? fun(): string?, any
---@field length? integer  bytes; nil where that is not known
---@field again? boolean   it can be sent a second time

---How the stream is written.
---@class daytona.BodyFormat
---@field head fun(i: integer): string       what goes before the content of an entry
---@field size? fun(i: integer): integer     its bytes, where they are known sooner
---@field foot fun(i: integer): string       and behind it; of entries without content, too
---@field tail string                        what goes behind all of them
---@field exact? boolean                     a file that grew is a failure
---@field fail fun(i: integer, what: "read"|"gone"|"short"|"long", why: any): daytona.Error

---@class daytona.Body
---@field package entries daytona.BodyEntry[]
---@field package format daytona.BodyFormat
---@field package turn integer
local Body = {}
Body.__index = Body

---@param entries daytona.BodyEntry[]
---@param format daytona.BodyFormat
---@return daytona.Body
function body.new(entries, format)
  return setmetatable({ entries = entries, format = format, turn = 0 }, Body)
end

---Bytes in all; nil when not all sources tell their length, nil, err when there was no
---time to find out.
---@param pace daytona.Pace
---@return integer?
---@return daytona.Error?
function Body:length(pace)
  local format = self.format
  local sum = #format.tail
  for i, entry in ipairs(self.entries) do
    local length = entry.data and #entry.data or entry.length
    if not length then return nil end
    local head = format.size and format.size(i) or #format.head(i)
    sum = sum + head + length + #format.foot(i)
    local fine, err = pace:breathe()
    if not fine then return nil, err end
  end
  return sum
end

---Lets go of a file that is open.
function Body:close()
  if self.opened then self.opened:close() end
  self.opened, self.file, self.source, self.left = nil, nil, nil, nil
end

---Goes back to the beginning, if all of it can be sent a second time.
---@return boolean
function Body:rewind()
  self:close()
  for _, entry in ipairs(self.entries) do
    if not entry.again then return false end
  end
  self.turn = 0
  return true
end

-- Begins with the next entry: its head, and all of it that is there at once; nil, what, why.
local function begin(self)
  self.turn = self.turn + 1
  local i, entry = self.turn, self.entries[self.turn]
  if not entry then return self.format.tail end
  self.left, self.source, self.file = entry.length, entry.source, entry.file
  if entry.path then
    local file, why = io.open(entry.path, "rb")
    if not file then return nil, core.lstat(entry.path) and "read" or "gone", why end
    self.file, self.opened = file, file
  end
  local head = self.format.head(i)
  if self.file or self.source then return head end
  return head .. (entry.data or "") .. self.format.foot(i)
end

-- A chunk of the source, and whether it is over; nil, what, why.
local function from_source(self)
  local chunk, why = self.source()
  if chunk == nil and why ~= nil then return nil, "read", why end
  if chunk == nil then
    if (self.left or 0) > 0 then return nil, "short" end
    return "", true
  end
  if self.left then
    if #chunk > self.left then return nil, "long" end
    self.left = self.left - #chunk
  end
  return chunk, false
end

local function from_file(self)
  local chunk, why
  if self.left ~= 0 then chunk, why = self.file:read(math.min(self.left or CHUNK, CHUNK)) end
  if why then return nil, "read", why end
  if not chunk and (self.left or 0) > 0 then return nil, "short" end
  if self.left then self.left = self.left - #(chunk or "") end
  local over = chunk == nil or self.left == 0
  if over and self.left and self.format.exact and self.file:read(1) then return nil, "long" end
  return chunk or "", over
end

-- The next piece; nil, what, why.
local function piece_of(self)
  if not self.file and not self.source then return begin(self) end
  local take = self.source and from_source or from_file
  local piece, over, why = take(self)
  if not piece then return nil, over, why end
  if not over then return piece end
  self:close()
  return piece .. self.format.foot(self.turn)
end

---The next chunk, nil at the end; nil and an error when a source failed.
---@return string?
---@return daytona.Error?
function Body:next()
  local pieces, size, most = {}, 0, loop.slice() and SLICE or CHUNK
  while size < most and self.turn <= #self.entries do
    local piece, what, why = piece_of(self)
    if not piece then
      self:close()
      return nil, self.format.fail(self.turn, what, why)
    end
    pieces[#pieces + 1], size = piece, size + #piece
  end
  return size > 0 and table.concat(pieces) or nil
end

return body
