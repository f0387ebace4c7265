-- Bytes that come in chunks and go out in lines or in pieces of a given size.
-- Takes linear time whatever the sizes; a line ends at "\n", so it never ends
-- inside a UTF-8 sequence that was cut by a chunk.

local line_buffer = {}

---@class daytona.LineBuffer
---@field size integer  bytes held
local Buffer = {}
Buffer.__index = Buffer

---@return daytona.LineBuffer
function line_buffer.new()
  -- head: the first chunk, of which `at` is the next byte; scan: the first
  -- chunk that was not searched for a line's end.
  return setmetatable({ chunks = {}, head = 1, tail = 0, at = 1, scan = 1, size = 0 }, Buffer)
end

---@param chunk string
function Buffer:push(chunk)
  if chunk == "" then return end
  self.tail = self.tail + 1
  self.chunks[self.tail] = chunk
  self.size = self.size + #chunk
end

-- Takes everything up to and with byte `stop` of chunk number `last`.
local function cut(self, last, stop)
  local chunks, head = self.chunks, self.head
  local text
  if head == last then
    text = chunks[head]:sub(self.at, stop)
  else
    local pieces = { chunks[head]:sub(self.at) }
    for i = head + 1, last - 1 do pieces[#pieces + 1] = chunks[i] end
    pieces[#pieces + 1] = chunks[last]:sub(1, stop)
    text = table.concat(pieces)
    for i = head, last - 1 do chunks[i] = nil end
  end
  self.head, self.at = last, stop + 1
  if stop == #chunks[last] then
    chunks[last] = nil
    self.head, self.at = last + 1, 1
  end
  self.scan = self.head
  self.size = self.size - #text
  if self.size == 0 then self.head, self.tail, self.scan = 1, 0, 1 end
  return text
end

---The next whole line, with its "\n"; nil when none is complete.
---@return string?
function Buffer:line()
  while self.scan <= self.tail do
    local i = self.scan
    local stop = self.chunks[i]:find("\n", i == self.head and self.at or 1, true)
    if stop then return cut(self, i, stop) end
    self.scan = i + 1
  end
end

---Up to `n` bytes; nil when there are none.
---@param n integer
---@return string?
function Buffer:take(n)
  if self.size == 0 then return nil end
  local i, before = self.head, 1 - self.at
  while i < self.tail and before + #self.chunks[i] < n do
    before = before + #self.chunks[i]
    i = i + 1
  end
  return cut(self, i, math.min(n - before, #self.chunks[i]))
end

---The first `n` bytes, or those there are, without taking them.
---@param n integer
---@return string
function Buffer:ahead(n)
  local pieces, size = {}, 0
  for i = self.head, self.tail do
    if size >= n then break end
    local from = i == self.head and self.at or 1
    pieces[#pieces + 1] = self.chunks[i]:sub(from, from + n - size - 1)
    size = size + #pieces[#pieces]
  end
  return table.concat(pieces)
end

return line_buffer
