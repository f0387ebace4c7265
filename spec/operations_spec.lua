-- The tables of calls beside the operations that the service publishes: each has a row, or
-- is made here as a raw call. Which have none prints:
--   DAYTONA_OPERATIONS=1 busted spec/operations_spec.lua

local calls = require "daytona.http.calls"
local daytona = require "daytona"
local operations = require "spec.support.operations"
local sandbox = require "daytona.control.sandbox"

-- Loads every file that has a table.
local function load_tables()
  local list = assert(io.popen "LC_ALL=C find lua/daytona/control lua/daytona/toolbox -name '*.lua' | LC_ALL=C sort")
  for path in list:lines() do
    require((path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")))
  end
  list:close()
  -- The one that becomes a function with its first use.
  pcall(require("daytona.toolbox.exec_call").execute, { toolbox = function() end })
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

-- What is asked again after an answer was lost, though it is no GET, PUT or DELETE: once more
-- makes nothing more. The one DELETE is not, as it may then fail over its own success.
local ASKED_AGAIN = [[
  DELETE /git/branches
  PATCH /secret/{secret}
  PATCH /warm-pools/{pool_id}
  POST /computeruse/a11y/find
  POST /computeruse/a11y/node/focus
  POST /computeruse/a11y/node/value
  POST /computeruse/mouse/move
  POST /computeruse/start
  POST /computeruse/stop
  POST /env
  POST /files/bulk-download
  POST /files/folder
  POST /files/permissions
  POST /git/add
  POST /git/checkout
  POST /git/config
  POST /git/config/user
  POST /git/credentials
  POST /git/restore
  POST /lsp/completions
  POST /lsp/did-close
  POST /lsp/did-open
  POST /lsp/start
  POST /process/pty/{id}/resize
  POST /process/session
  POST /sandbox/{sandbox}/autoarchive/{minutes}
  POST /sandbox/{sandbox}/autodelete/{minutes}
  POST /sandbox/{sandbox}/autopause/{minutes}
  POST /sandbox/{sandbox}/autostop/{minutes}
  POST /sandbox/{sandbox}/last-activity
  POST /sandbox/{sandbox}/network-settings
  POST /sandbox/{sandbox}/ports/{port}/signed-preview-url/{token}/expire
  POST /sandbox/{sandbox}/public/{public}
  POST /sandbox/{sandbox}/ttl/{minutes}
  POST /snapshots/{snapshot}/deactivate
]]

local HARMLESS = { GET = true, HEAD = true, PUT = true, DELETE = true }

describe("the tables of calls", function()
  local found = rows()

  it("ask again after a lost answer only where that makes nothing more", function()
    local unusual = {}
    for _, tbl in ipairs(calls.tables) do
      for _, row in pairs(tbl) do
        local usual = HARMLESS[row[1]] or false
        if row.safe ~= nil and row.safe ~= usual then unusual[#unusual + 1] = ("  %s %s\n"):format(row[1], row[2]) end
      end
    end
    table.sort(unusual)
    assert.equal(ASKED_AGAIN, table.concat(unusual))
  end)

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

  local missing = {}
  for _, operation in ipairs(operations.list) do
    if not found[operations.name(operation.method, operation.path)] then missing[#missing + 1] = operation end
  end

  it("hold at least those that had a row before", function()
    local count = #operations.list - #missing
    if os.getenv "DAYTONA_OPERATIONS" then
      for _, operation in ipairs(missing) do print(operation.service, operation.method, operation.path) end
      print(("%d of %d published operations have a row, %d are raw calls"):format(count, #operations.list, #missing))
    end
    assert.is_true(count >= 174, count .. " rows of " .. #operations.list .. " operations")
  end)

  describe("leave the rest to raw calls:", function()
    local peer, client, box

    setup(function()
      peer = require("spec.support.peer").start()
      client = assert(daytona.new { api_key = "sk-raw", api_url = peer.url .. "/echo/api" })
      client.config = function() return { analytics_api_url = peer.url .. "/echo/analytics/" } end
      box = sandbox.new(client, { id = "box", state = "started", toolboxProxyUrl = peer.url .. "/echo/toolbox" })
    end)
    teardown(function() peer:close() end)

    -- How each service is reached, and what stands before its paths.
    local WAYS = {
      api = { "/echo/api", function(...) return client:request(...) end },
      toolbox = { "/echo/toolbox/box", function(...) return box:request(...) end },
      analytics = { "/echo/analytics", function(method, path, opts)
        opts.service = "analytics"
        return client:request(method, path, opts)
      end },
    }

    for _, operation in ipairs(missing) do
      it(operation.service .. " " .. operation.method .. " " .. operation.path, function()
        local way = WAYS[operation.service]
        local path = operation.path:gsub("{%w+}", "an-id")
        local sends = operation.method ~= "GET" and operation.method ~= "DELETE"
        local response = assert(way[2](operation.method, path, {
          query = { page = 2 }, json = sends and { some = "body" } or nil,
        }))
        local text = response.body
        assert.equal(operation.method .. " " .. way[1] .. path .. "?page=2 HTTP/1.1", text:match "^[^\n]*")
        assert.truthy(text:find("\nAuthorization: Bearer sk-raw\n", 1, true), text)
        assert.equal(sends and '{"some":"body"}' or "", text:match "\n\n(.*)$")
      end)
    end
  end)
end)
