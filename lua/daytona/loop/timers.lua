-- Timers: a binary heap of things with a deadline. An entry is any table; its
-- fields `when` and `slot` belong to this file while it is in the heap, so that
-- setting and removing a timer makes no garbage. An interrupt may strike in the middle
-- of anything here: what is in the first `n` slots has a `when` at every moment.

local Timers = {}
Timers.__index = Timers

---An empty heap.
local function new()
  return setmetatable({ n = 0, moving = nil }, Timers)
end

local function place(heap, entry, slot)
  heap[slot] = entry
  entry.slot = slot
end

-- `moving` is an entry that may be on its way, in no slot: for `mend`.
local function rise(heap, entry, slot)
  heap.moving = entry
  while slot > 1 do
    local up = (slot - slot % 2) / 2
    if heap[up].when <= entry.when then break end
    place(heap, heap[up], slot)
    slot = up
  end
  place(heap, entry, slot)
  heap.moving = nil
end

local function sink(heap, entry, slot)
  local n = heap.n
  heap.moving = entry
  while slot * 2 <= n do
    local down = slot * 2
    if down < n and heap[down + 1].when < heap[down].when then down = down + 1 end
    if heap[down].when >= entry.when then break end
    place(heap, heap[down], slot)
    slot = down
  end
  place(heap, entry, slot)
  heap.moving = nil
end

---Adds an entry that is not in the heap. True when it is now the first.
---@param entry table
---@param when number
---@return boolean
function Timers:add(entry, when)
  local slot = self.n + 1
  self[slot] = entry -- without memory it raises, and nothing has happened
  entry.when = when
  self.n = slot
  rise(self, entry, slot)
  return entry.slot == 1
end

---Removes an entry if it is there (and not in the heap of before a fork).
---@param entry table
function Timers:remove(entry)
  local slot, n = entry.slot, self.n
  if not slot then return end
  if self[slot] == entry then
    local last = self[n]
    if last ~= entry then self.moving = last end
    self.n = n - 1
    self[n] = nil
    if last ~= entry then
      sink(self, last, slot)
      rise(self, last, last.slot)
    end
  end
  entry.slot, entry.when = nil, nil
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

---After an interrupt, which may have struck in the middle of any of these: the heap is
---made anew, of what was in it and of those `others` that have a `when`.
---@param others table<table, any>
function Timers:mend(others)
  local entries = {}
  for key, value in pairs(self) do
    if (type(key) == "number" or key == "moving") and value.when then entries[value] = true end
  end
  for entry in pairs(others) do
    if entry.when then entries[entry] = true end
  end
  for key in pairs(self) do self[key] = nil end
  self.n = 0
  for entry in pairs(entries) do self:add(entry, entry.when) end
end

return { new = new }
