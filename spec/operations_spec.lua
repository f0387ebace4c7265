-- The tables of calls beside the operations that the service publishes. What has no row
-- is printed by: DAYTONA_OPERATIONS=1 busted spec/operations_spec.lua

local calls = require "daytona.http.calls"
local operations = require "spec.support.operations"

-- Loads every file that has a table.
local function load_tables()
  local list = assert(io.popen "LC_ALL=C find lua/daytona/control lua/daytona/toolbox -name '*.lua' | LC_ALL=C sort")
  for path in list:lines() do
    require((path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")))
  end
  list:close()
end

-- Name of an operation -> the names of the rows that make it.
local function rows()
  load_tables()
  local found = {}
  for _, tbl in ipairs(calls.tables) do
    for name, row in pairs(tbl) do
      local operation = operations.name(row[1], row[2])
      found[operation] = found[operation] or {}
      table.insert(found[operation], name)
    end
  end
  return found
end

-- What the packages do not have, but daemons do.
local UNPUBLISHED = { ["GET /process/pty/create-connect"] = true }

-- With another row: one asks in a way that does nothing whether it is there; one sends a
-- file and reads the answer, the other many.
local TWICE = { ["POST /computeruse/mouse/up"] = true, ["POST /files/bulk-upload"] = true }

describe("the tables of calls", function()
  local found = rows()

  it("hold operations that are published", function()
    local unknown = {}
    for name in pairs(found) do
      if not operations.by_name[name] and not UNPUBLISHED[name] then unknown[#unknown + 1] = name end
    end
    table.sort(unknown)
    assert.same({}, unknown)
  end)

  it("hold each of them once", function()
    local twice = {}
    for name, by in pairs(found) do
      if #by > 1 and not TWICE[name] then twice[#twice + 1] = name .. " (" .. table.concat(by, ", ") .. ")" end
    end
    table.sort(twice)
    assert.same({}, twice)
  end)

  it("hold at least those that had a row before", function()
    local missing, count = {}, 0
    for _, operation in ipairs(operations.list) do
      if not found[operations.name(operation.method, operation.path)] then
        missing[#missing + 1] = operation.service .. " " .. operation.method .. " " .. operation.path
      else
        count = count + 1
      end
    end
    if os.getenv "DAYTONA_OPERATIONS" then
      print(table.concat(missing, "\n"))
      print(("%d of %d published operations have a row"):format(count, #operations.list))
    end
    assert.is_true(count >= 174, count .. " rows of " .. #operations.list .. " operations")
  end)
end)
