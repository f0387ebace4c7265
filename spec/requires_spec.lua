-- Which file may need which: the arrows between the rooms of lua/daytona point
-- down, and there is no way back from what a file needs to the file. Every
-- literal that names a module counts, so a lazy require, `later "..."` and the
-- lists of lazily loaded names do, too.

-- The rooms, from the ground up. A file may need its own room and those below.
-- Two rooms of one height do not need each other.
local HEIGHTS = {
  version = 0, base = 1, loop = 2, http = 3, toolbox = 4, image = 4, control = 5, agent = 6,
  init = 7, health = 8, devserver = 8, cli = 8,
}

-- Circles that are known, by two of their files. One that is no more must go
-- from here, too.
local KNOWN_CIRCLES = {
}

local function files()
  local list = {}
  local find = assert(io.popen("find lua/daytona -name '*.lua' -not -path '*/meta/*' | sort"))
  for path in find:lines() do list[#list + 1] = path end
  find:close()
  return list
end

local function module_of(path)
  return path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
end

local function room_of(module)
  return module:match "^daytona%.([%w_]+)" or "init"
end

local function code_of(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return (text:gsub("%-%-[^\n]*", ""))
end

-- What one literal names: a module, or the modules whose names begin so. The
-- library's own name is also a word of texts.
local function named(known, own, name, required)
  local found = {}
  for module in pairs(known) do
    local is = module == name and (required or name ~= "daytona")
      or required and name:sub(-1) == "." and module:sub(1, #name) == name
    if is and module ~= own then found[#found + 1] = module end
  end
  return found
end

-- Module -> the modules it names.
local function graph()
  local known, arrows = {}, {}
  local paths = files()
  for _, path in ipairs(paths) do known[module_of(path)] = true end
  for _, path in ipairs(paths) do
    local own, needs, code = module_of(path), {}, code_of(path)
    for before, name in code:gmatch "([%w]*[ (]*)[\"'](daytona[%w_.]*)[\"']" do
      for _, module in ipairs(named(known, own, name, before:find "^require" ~= nil)) do needs[module] = true end
    end
    for name in code:gmatch "require%(\"(daytona[%w_.]*)\"%)" do -- also inside a text, as for an editor
      for _, module in ipairs(named(known, own, name, true)) do needs[module] = true end
    end
    arrows[own] = needs
  end
  return arrows
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- Those that can be reached from a module; itself, where a circle leads back.
local function reach(arrows, from)
  local seen, stack = {}, { from }
  while stack[1] do
    for needed in pairs(arrows[table.remove(stack)] or {}) do
      if not seen[needed] then
        seen[needed] = true
        stack[#stack + 1] = needed
      end
    end
  end
  return seen
end

-- Pairs that need each other, however far the way back is.
local function circles(arrows)
  local found, reached = {}, {}
  for module in pairs(arrows) do reached[module] = reach(arrows, module) end
  for module in pairs(arrows) do
    for needed in pairs(arrows[module]) do
      if reached[needed][module] then
        local pair = { module, needed }
        table.sort(pair)
        found[table.concat(pair, " ")] = true
      end
    end
  end
  return found
end

describe("the files of the library", function()
  local arrows = graph()

  it("each lie in a room that has its height", function()
    for _, module in ipairs(sorted(arrows)) do
      assert.is_number(HEIGHTS[room_of(module)], module)
    end
  end)

  it("need only what is below", function()
    local up = {}
    for module, needs in pairs(arrows) do
      local from = room_of(module)
      for needed in pairs(needs) do
        local to = room_of(needed)
        if from ~= to and HEIGHTS[from] <= HEIGHTS[to] then up[module .. " -> " .. needed] = true end
      end
    end
    assert.same({}, sorted(up))
  end)

  it("never need the local server", function()
    local wrong = {}
    for module, needs in pairs(arrows) do
      for needed in pairs(needs) do
        if room_of(needed) == "devserver" and room_of(module) ~= "devserver" then
          wrong[module .. " -> " .. needed] = true
        end
      end
    end
    assert.same({}, sorted(wrong))
  end)

  it("do not need each other in circles", function()
    assert.same(sorted(KNOWN_CIRCLES), sorted(circles(arrows)))
  end)

  it("are found by this spec, lazy ones too", function()
    assert.is_true(arrows["daytona"]["daytona.control.client"])           -- a list of names
    assert.is_true(arrows["daytona.loop.host"]["daytona.loop.driver.uv"]) -- the beginning of a name
    assert.is_true(arrows["daytona.base.errors"]["daytona.base.redact"])
  end)
end)
