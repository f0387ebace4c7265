-- The pace of work on many files: whoever else is about gets its turn, a cancel is
-- noticed, and all of it ends when its time is over.

local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"

---@class daytona.Pace
---@field package operation string
---@field package deadline? number
---@field idle? number  seconds that a line may be silent, where not the usual ones
---@field package last number  when others had their turn
local Pace = {}
Pace.__index = Pace

local pace = {}

-- Seconds that tasks of a host without work of its own may wait for each other.
local SHARE = 0.005

-- What is sorted in one go; steps of a merge in one go.
local RUN, STEPS = 128, 256

---For one operation, which may take so long (nil and 0: as long as it likes).
---@param operation string
---@param timeout? number  seconds
---@param idle? number     seconds that a line may be silent; 0: as long as it likes
---@return daytona.Pace
function pace.new(operation, timeout, idle)
  local now = loop.now()
  local deadline = timeout and timeout > 0 and now + timeout or nil
  return setmetatable({ operation = operation, deadline = deadline, idle = idle, last = now }, Pace)
end

---To be called in every round of a loop: true, or nil and an error, with which the loop
---is to end.
---@return boolean?
---@return daytona.Error?
function Pace:breathe()
  local now = loop.now()
  if self.deadline and now > self.deadline then return self:over() end
  if now - self.last > SHARE and not loop.slice() and loop.current() then
    self.last = now
    return loop.sleep(0)
  end
  return loop.breathe()
end

---Calls a function for each item of a list. true, or nil, err.
---@param list any[]
---@param fn fun(item: any)
---@return boolean?
---@return daytona.Error?
function Pace:each(list, fn)
  for i = 1, #list do
    fn(list[i])
    local fine, err = self:breathe()
    if not fine then return nil, err end
  end
  return true
end

---The error of an operation whose time is over.
---@return nil
---@return daytona.Error
function Pace:over()
  return nil, errors.new {
    kind = "timeout", code = "timeout", operation = self.operation, message = "not done within the time allowed",
  }
end

---Whether its time is over.
---@return boolean
function Pace:is_over()
  return self.deadline ~= nil and loop.now() >= self.deadline
end

---Seconds that are left; nil without a limit.
---@return number?
function Pace:left()
  return self.deadline and math.max(self.deadline - loop.now(), 0.001)
end

---Waits before the next of several tries: true; nil and `err` when there is no time for
---it, or the error of a cancel.
---@param tries integer  that failed
---@param err daytona.Error
---@return true?
---@return daytona.Error?
function Pace:try_again(tries, err)
  local slept, why = http.pause(http.backoff(tries), self.deadline)
  if slept then return true end
  return nil, why or err
end

-- Merges from[low .. middle - 1] and from[middle .. high - 1] into the same places of `into`.
local function merge(self, from, into, low, middle, high)
  local a, b = low, middle
  for at = low, high - 1 do
    if at % STEPS == 0 then
      local fine, err = self:breathe()
      if not fine then return nil, err end
    end
    if b >= high or (a < middle and from[a] <= from[b]) then
      into[at], a = from[a], a + 1
    else
      into[at], b = from[b], b + 1
    end
  end
  return true
end

-- The list in pieces of RUN, each of them sorted.
local function sorted_runs(self, list)
  local out, n = {}, #list
  for first = 1, n, RUN do
    local run = {}
    for i = first, math.min(first + RUN - 1, n) do run[#run + 1] = list[i] end
    table.sort(run)
    for i = 1, #run do out[first + i - 1] = run[i] end
    local fine, err = self:breathe()
    if not fine then return nil, err end
  end
  return out
end

---A sorted copy of a list of texts, however long, made in slices.
---@param list string[]
---@return string[]?
---@return daytona.Error?
function Pace:sorted(list)
  local from, err = sorted_runs(self, list)
  if not from then return nil, err end
  local n, width = #list, RUN
  while width < n do
    local into = {}
    for low = 1, n, 2 * width do
      local fine
      fine, err = merge(self, from, into, low, math.min(low + width, n + 1), math.min(low + 2 * width, n + 1))
      if not fine then return nil, err end
    end
    from, width = into, width * 2
  end
  return from
end

---The keys of a table, sorted.
---@param tree table<string, any>
---@return string[]?
---@return daytona.Error?
function Pace:keys(tree)
  local list = {}
  for key in pairs(tree) do
    list[#list + 1] = key
    if #list % STEPS == 0 then
      local fine, err = self:breathe()
      if not fine then return nil, err end
    end
  end
  return self:sorted(list)
end

return pace
