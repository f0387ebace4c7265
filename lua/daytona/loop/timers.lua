-- Timers: a binary heap of things with a deadline. An entry is any table; its
-- fields `when` and `slot` belong to this file while it is in the heap, so that
-- setting and removing a timer makes no garbage.

local Timers = {}
Timers.__index = Timers

---An empty heap.
local function new()
  return setmetatable({ n = 0 }, Timers)
end

local function place(heap, entry, slot)
  heap[slot] = entry
  entry.slot = slot
end

local function rise(heap, entry, slot)
  while slot > 1 do
    local up = (slot - slot % 2) / 2
    if heap[up].when <= entry.when then break end
    place(heap, heap[up], slot)
    slot = up
  end
  place(heap, entry, slot)
end

local function sink(heap, entry, slot)
  local n = heap.n
  while slot * 2 <= n do
    local down = slot * 2
    if down < n and heap[down + 1].when < heap[down].when then down = down + 1 end
    if heap[down].when >= entry.when then break end
    place(heap, heap[down], slot)
    slot = down
  end
  place(heap, entry, slot)
end

---Adds an entry that is not in the heap. True when it is now the first.
---@param entry table
---@param when number
---@return boolean
function Timers:add(entry, when)
  local slot = self.n + 1
  self[slot] = entry -- without memory it raises, and nothing has happened
  entry.when, self.n = when, slot
  rise(self, entry, slot)
  return entry.slot == 1
end

---Removes an entry if it is there (and not in the heap of before a fork).
---@param entry table
function Timers:remove(entry)
  local slot = entry.slot
  if not slot then return end
  entry.slot, entry.when = nil, nil
  if self[slot] ~= entry then return end
  local last = self[self.n]
  self[self.n] = nil
  self.n = self.n - 1
  if last == entry then return end
  sink(self, last, slot)
  rise(self, last, last.slot)
end

---The time of the first entry, nil when there is none.
---@return number?
function Timers:first()
  local entry = self[1]
  return entry and entry.when
end

---Takes the first entry if its time has come.
---@param now number
---@return table?
function Timers:take(now)
  local entry = self[1]
  if not entry or entry.when > now then return nil end
  self:remove(entry)
  return entry
end

return { new = new }
