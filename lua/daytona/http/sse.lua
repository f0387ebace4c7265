-- Server-sent events: a text/event-stream, taken apart as it comes, in chunks that may be
-- cut anywhere: in a line, between "\r" and "\n", inside a character. No requests.

local line_buffer = require "daytona.base.line_buffer"

local sse = {}

---@class daytona.ServerEvent
---@field event string  "message" when the stream names none
---@field data string   lines joined by "\n"
---@field id? string    the last one that the stream named

---@class daytona.EventParser
local Parser = {}
Parser.__index = Parser

---@param on_event fun(event: daytona.ServerEvent)
---@return daytona.EventParser
function sse.new(on_event)
  return setmetatable({ on_event = on_event, buffer = line_buffer.new(), data = {}, fresh = true }, Parser)
end

-- An event ends at an empty line; one without data is none.
local function dispatch(self)
  local data, name = self.data, self.name
  self.data, self.name = {}, nil
  if not data[1] then return end
  self.on_event { event = name or "message", data = table.concat(data, "\n"), id = self.id }
end

-- (Comments are fields without a name.)
local function field(self, name, value)
  if name == "data" then
    self.data[#self.data + 1] = value
  elseif name == "event" then
    self.name = value ~= "" and value or nil
  elseif name == "id" and not value:find "%z" then
    self.id = value
  end
end

local function take(self, line)
  if line == "" then return dispatch(self) end
  local colon = line:find(":", 1, true)
  if not colon then return field(self, line, "") end
  field(self, line:sub(1, colon - 1), (line:sub(colon + 1):gsub("^ ", "")))
end

-- Lines end at "\r\n", "\n" or "\r"; from here on at "\n".
local function plain_ends(self, chunk)
  if chunk == "" then return chunk end
  local after_return = self.after_return
  self.after_return = chunk:sub(-1) == "\r"
  if after_return and chunk:sub(1, 1) == "\n" then chunk = chunk:sub(2) end
  if chunk:find("\r", 1, true) then chunk = chunk:gsub("\r\n", "\n"):gsub("\r", "\n") end
  return chunk
end

local MARK = "\239\187\191" -- a byte order mark, at the very beginning

---Takes the next bytes; calls `on_event` for each event that is whole now.
---@param chunk string
function Parser:feed(chunk)
  self.buffer:push(plain_ends(self, chunk))
  local line = self.buffer:line()
  while line do
    line = line:sub(1, -2)
    if self.fresh and line:sub(1, 3) == MARK then line = line:sub(4) end
    self.fresh = false
    take(self, line)
    line = self.buffer:line()
  end
end

return sse
