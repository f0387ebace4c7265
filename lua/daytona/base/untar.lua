-- Takes a tar archive apart as it comes, cut anywhere: plain files and their contents, by
-- names as ustar, GNU's and pax headers say them. Everything else is passed over.

local untar = {}

local BLOCK = 512

-- Bytes that a header's own extension may have: no path is as long.
local LONGEST = 64 * 1024

---Where the files go; each function gives nil and why to end it all.
---@class daytona.UntarTarget
---@field open fun(path: string, size: integer): boolean?, any  whether this one is wanted: then its content follows
---@field data fun(chunk: string): any, any
---@field close fun(): any, any

---@class daytona.Untar
---@field is_over boolean         the archive's end has come; what follows it is padding
---@field package target daytona.UntarTarget
---@field package head string     of a header that is not there as a whole
---@field package left integer    bytes of content that are still to come
---@field package padding integer  and zeros behind them
---@field package kind? "file"|"name"|"pax"  what the content is; nil: nobody's
---@field package text? string    of an extension, so far
---@field package name? string    what an extension has said of the next file
---@field package size? integer
local Untar = {}
Untar.__index = Untar

---@param target daytona.UntarTarget
---@return daytona.Untar
function untar.new(target)
  return setmetatable({ is_over = false, target = target, head = "", left = 0, padding = 0 }, Untar)
end

local function text_in(header, first, size)
  return header:sub(first, first + size - 1):match "^%Z*"
end

-- A number in octal digits, or in GNU's binary form; nil where it is none that can be.
local function size_in(header)
  local field = header:sub(125, 136)
  if field:byte() ~= 128 then
    local digits = field:match "^ *([0-7]+)[ %z]*$"
    return digits and tonumber(digits, 8)
  end
  local size = 0
  for i = 2, #field do
    if size >= 2 ^ 45 then return nil end
    size = size * 256 + field:byte(i)
  end
  return size
end

local function path_in(header)
  local name = text_in(header, 1, 100)
  local prefix = header:sub(258, 263) == "ustar\0" and text_in(header, 346, 155) or ""
  return prefix == "" and name or prefix .. "/" .. name
end

-- What records of a pax header say of the next file.
local function read_pax(self, text)
  local at = 1
  while at <= #text do
    local digits, key, value = text:match("^(%d+) ([^=]+)=()", at)
    local size = tonumber(digits)
    if not size or size <= value - at or text:sub(at + size - 1, at + size - 1) ~= "\n" then
      return nil, "a malformed extension"
    end
    local said = text:sub(value, at + size - 2)
    if key == "path" then self.name = said end
    if key == "size" then self.size = tonumber(said:match "^%d+$") end
    at = at + size
  end
  return true
end

local EXTENSIONS = { L = "name", x = "pax" }
local FILES = { ["0"] = true, ["\0"] = true, ["7"] = true }

-- Begins with what a header announces. true, or nil and why.
local function begin(self, header)
  if not header:find "%Z" then
    self.is_over = true
    return true
  end
  local type, size = header:sub(157, 157), size_in(header)
  if not size or header:sub(258, 262) ~= "ustar" then return nil, "it is no archive" end
  self.kind = EXTENSIONS[type]
  if self.kind then
    if size > LONGEST then return nil, "a name in it is longer than a system takes" end
    self.text = ""
  else
    local path = self.name or path_in(header)
    size = self.size or size
    self.name, self.size = nil, nil
    if FILES[type] then
      local wanted, why = self.target.open(path, size)
      if wanted == nil then return nil, why end
      self.kind = wanted and "file" or nil
    end
  end
  self.left, self.padding = size, (BLOCK - size % BLOCK) % BLOCK
  if size == 0 then return self:finish() end
  return true
end

---Ends a content. true, or nil and why.
---@package
function Untar:finish()
  local kind = self.kind
  self.kind = nil
  if kind == "file" then return self.target.close() end
  if kind == "name" then self.name = self.text:match "^%Z*" end
  if kind == "pax" then return read_pax(self, self.text) end
  return true
end

-- Takes a piece of a content. true, or nil and why.
local function take(self, piece)
  self.left = self.left - #piece
  local fine, why = true, nil
  if self.kind == "file" then
    fine, why = self.target.data(piece)
  elseif self.kind then
    self.text = self.text .. piece
  end
  if fine and self.left == 0 then fine, why = self:finish() end
  return fine, why
end

---Takes the next part of the archive. true, or nil and why: a text, or what the target said.
---@param data string
---@return boolean?
---@return any
function Untar:feed(data)
  local at = 1
  while at <= #data and not self.is_over do
    local fine, why = true, nil
    if self.left > 0 then
      local piece = at == 1 and #data <= self.left and data or data:sub(at, at + self.left - 1)
      at = at + #piece
      fine, why = take(self, piece)
    elseif self.padding > 0 then
      local n = math.min(self.padding, #data - at + 1)
      at, self.padding = at + n, self.padding - n
    else
      local piece = data:sub(at, at + BLOCK - #self.head - 1)
      at, self.head = at + #piece, self.head .. piece
      if #self.head == BLOCK then
        local header = self.head
        self.head = ""
        fine, why = begin(self, header)
      end
    end
    if not fine then return nil, why end
  end
  return true
end

return untar
