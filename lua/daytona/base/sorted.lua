-- Sorting long lists piece by piece: table.sort cannot be left in its middle, and a few
-- thousand comparisons take milliseconds.

-- So many neighbours are sorted in one go.
local RUN = 64

-- Merges from[first..middle-1] with from[middle..stop] into `to`.
local function merge(from, to, first, middle, stop, before)
  local a, b = first, middle
  for at = first, stop do
    if a < middle and (b > stop or not before(from[b], from[a])) then
      to[at], a = from[a], a + 1
    else
      to[at], b = from[b], b + 1
    end
  end
end

local function sort_runs(list, before, rest)
  for first = 1, #list, RUN do
    local run = {}
    for i = first, math.min(first + RUN - 1, #list) do run[#run + 1] = list[i] end
    table.sort(run, before)
    for i, item in ipairs(run) do list[first + i - 1] = item end
    rest()
  end
end

---Sorts a list in place, as table.sort does.
---@generic T
---@param list T[]
---@param before fun(a: T, b: T): boolean
---@param rest fun()  called now and then
---@return T[]
return function(list, before, rest)
  local n = #list
  if n <= RUN then
    table.sort(list, before)
    return list
  end
  sort_runs(list, before, rest)
  local from, to, width = list, {}, RUN
  while width < n do
    for first = 1, n, 2 * width do
      merge(from, to, first, math.min(first + width, n + 1), math.min(first + 2 * width - 1, n), before)
      rest()
    end
    from, to, width = to, from, width * 2
  end
  if from ~= list then
    for i = 1, n do list[i] = from[i] end
  end
  return list
end
