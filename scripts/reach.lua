-- Which specs run which places of the client, and how long they take: for scripts/mutate,
-- which tries with them what the specs of a file let through.
--
-- A copy of the client notes where it comes by, in its child processes as well, while each
-- spec file runs once; only those that pass count. What was learned is kept in a file. A
-- place is known by its file and the text of its line, so that most of it stays true
-- while the code changes; what is new is not known.

local mutations = require "mutations"

local reach = {}

-- Defines _MET in every process of the copy, once, before anything of the client runs.
local NOTE = [[if not _G._MET then local seen = {} _G._MET = function(place) if not seen[place] then seen[place] = true
local out = io.open("%s", "a") if out then out:write(place, "\n") out:close() end end end end ]]

local function key(file, text, place)
  return file .. (place.head and "() " or ": ") .. mutations.line_at(text, place.at)
end

---The program, which calls _MET with each place that it comes by.
---@param file string
---@param text string
---@param notes string  path of the file to note them in
function reach.noting(file, text, notes)
  local out, from = {}, 1
  for _, place in ipairs(mutations.places(text)) do
    out[#out + 1] = text:sub(from, place.at - 1)
    out[#out + 1] = (" if _MET then _MET(%q) end "):format(key(file, text, place))
    from = place.at
  end
  local note = NOTE:format(notes):gsub("\n", " ")
  return note .. table.concat(out) .. text:sub(from)
end

---@param specs string[]
---@param run fun(spec: string): boolean, integer, string[]  passed, seconds, places
---@param path string  is written
function reach.learn(specs, run, path)
  local out = assert(io.open(path, "w"))
  for _, spec in ipairs(specs) do
    local passed, seconds, places = run(spec)
    if passed then
      out:write(("%d\t%s\n"):format(seconds, spec))
      for _, place in ipairs(places) do out:write(place, "\n") end
    end
    print(("%s: %s, %d s, %d places"):format(spec, passed and "passes" or "fails", seconds, #places))
  end
  out:close()
end

---@param path string
---@return table<string, { spec: string, seconds: integer }[]>?  the specs of a place
function reach.read(path)
  local file = io.open(path)
  if not file then return nil end
  local known, spec = {}, nil
  for line in file:lines() do
    local seconds, name = line:match "^(%d+)\t(.*)"
    if name then
      spec = { spec = name, seconds = tonumber(seconds) }
    else
      known[line] = known[line] or {}
      table.insert(known[line], spec)
    end
  end
  file:close()
  return known
end

local places_of = {} -- by text

local function place_of(text, at)
  places_of[text] = places_of[text] or mutations.places(text)
  local found
  for _, place in ipairs(places_of[text]) do
    if place.at > at then break end
    found = place
  end
  return found
end

---The specs that run the place of a bug, the quickest first, so many as take `limit` seconds.
---@param known table  of `reach.read`
---@param bug { file: string, at: integer }
---@param text string  of the file
---@param but string[]  specs that are not wanted again
---@param limit number
---@return string[] specs
---@return number seconds
function reach.specs(known, bug, text, but, limit)
  local place = place_of(text, bug.at)
  local found = place and known[key(bug.file, text, place)] or {}
  table.sort(found, function(a, b)
    if a.seconds ~= b.seconds then return a.seconds < b.seconds end
    return a.spec < b.spec
  end)
  local tried = {}
  for _, spec in ipairs(but) do tried[spec] = true end
  local specs, sum = {}, 0
  for _, one in ipairs(found) do
    if not tried[one.spec] and sum + one.seconds <= limit then
      specs[#specs + 1], sum = one.spec, sum + one.seconds
    end
  end
  return specs, sum
end

return reach
