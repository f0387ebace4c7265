-- What programs leave behind that are killed, is found and deleted; what is somebody's
-- stays. With real programs, ended by SIGKILL.

local child = require "spec.support.child"
local core = require "daytona.base.native"
local daytona = require "daytona"

local service, client, folder

setup(function()
  service = require("spec.support.service").start()
end)

teardown(function() service:stop() end)

before_each(function()
  folder = os.tmpname()
  os.remove(folder)
  client = service:connect { ledger = folder .. "/ledger" }
end)

after_each(function()
  assert(service.server:clear_faults())
  for box in client:each { include_errored_deleted = true } do client:delete(box.id) end
  os.execute("rm -rf '" .. folder .. "'")
end)

local PROGRAM = [[
local daytona = require "daytona"
local url, key, ledger = ARG:match "(%S+) (%S+) (%S+)"
local client = assert(daytona.new { api_url = url, api_key = key, ledger = ledger ~= "none" and ledger or false })
]]

local function program(text, ledger)
  return child.start(PROGRAM .. text,
    ("%s %s %s"):format(service.server.api_url, service.server.api_key, ledger or client.ledger))
end

-- A program that does this, and is killed then.
local function killed_after(text)
  local dead = program(text .. ' say "made" loop.sleep(60)')
  dead:line()
  dead:signal "KILL"
  dead:rest()
end

local function names_of(list)
  local names = {}
  for i, item in ipairs(list) do names[i] = item.sandbox.name end
  table.sort(names)
  return table.concat(names, " ")
end

local function ledgers()
  return core.list_directory(client.ledger) or {}
end

describe("a program that is killed", function()
  for _, kept in ipairs { "its ledger", "no ledger" } do
    it("leaves sandboxes that are found and deleted, by " .. kept, function()
      local mine = assert(client:create { name = "mine" })
      local dead = program([[
        assert(client:create { name = "dead-1" })
        assert(client:create { name = "dead-2" })
        say "made"
        loop.sleep(60)
      ]], kept == "no ledger" and "none" or nil)
      assert.equal("made", dead:line())
      assert.same({}, assert(client:leftovers()))
      assert.same({}, assert(client:reap()))
      dead:signal "KILL"
      dead:rest()
      local list = assert(client:leftovers())
      assert.equal("dead-1 dead-2", names_of(list))
      for _, item in ipairs(list) do
        assert.equal("owner_gone", item.why)
        assert.equal(("%d"):format(dead.pid), item.owner.pid)
        assert.matches("^dead%-%d %(started%): process " .. item.owner.pid .. " on %S+, which made it, is gone$",
          tostring(item))
      end
      assert.equal("dead-1 dead-2", names_of(assert(client:reap { dry_run = true })))
      assert.equal(3, service:sandboxes())
      assert.equal("dead-1 dead-2", names_of(assert(client:reap())))
      assert.equal("started", assert(mine:refresh()).state)
      assert.equal(1, service:sandboxes())
      assert.equal(1, #ledgers()) -- of this program alone
      assert.same({}, assert(client:reap()))
      assert(mine:delete())
      assert.same({}, ledgers())
    end)
  end

  it("in the middle of a creation leaves nothing that is not found", function()
    assert(service.server:faults { { state = "creating", name = "half", times = 1 } })
    local dead = program [[
      say "begins"
      client:create { name = "half" }
    ]]
    dead:line()
    for _ = 1, 500 do
      if client:get "half" then break end
      daytona.sleep(0.01)
    end
    dead:signal "KILL"
    dead:rest()
    assert.equal("half", names_of(assert(client:leftovers())))
    assert(service.server:clear_faults())
    assert.equal("half", names_of(assert(client:reap())))
    assert.equal(0, service:sandboxes())
    assert.same({}, ledgers())
  end)

  it("leaves what is meant to stay", function()
    killed_after [[
      assert(client:create { name = "meant", owned = false })
      assert(assert(client:create { name = "given" }):disown())
    ]]
    assert.same({}, assert(client:reap()))
    assert.equal(2, service:sandboxes())
  end)

  it("while others make and delete, costs those nothing", function()
    local busy = program [[
      for i = 1, 12 do
        local box = client:create { name = "busy-" .. i }
        if not box or box:exec("echo " .. i).result ~= i .. "\n" or not box:delete() then say("failed " .. i) end
      end
      say "done"
    ]]
    for _ = 1, 3 do
      killed_after [[
        assert(client:create())
      ]]
      assert.equal(1, #assert(client:reap()))
    end
    assert.equal("done", busy:line())
    busy:rest()
    assert.equal(0, service:sandboxes())
    assert.same({}, ledgers())
  end)

  it("is reaped by several at once", function()
    killed_after [[
      assert(daytona.map({ 1, 2, 3, 4 }, function() return client:create() end))
    ]]
    local lists = assert(daytona.gather {
      function() return client:reap() end, function() return client:reap() end, function() return client:reap() end,
    })
    local n = 0
    for i = 1, 3 do n = n + #lists[i] end
    assert.is_true(n >= 4)
    assert.equal(0, service:sandboxes())
    assert.same({}, ledgers())
  end)

  it("keeps a sandbox whose name was asked for again", function()
    local box = assert(client:create { name = "twice" })
    assert.equal("conflict", select(2, client:create { name = "twice" }).kind)
    assert.same({}, assert(client:reap()))
    assert(box:refresh())
  end)

  it("is forgotten once: who comes second begins no ledger anew", function()
    local old = require "daytona.control.old_ledgers"
    killed_after [[
      assert(client:create())
    ]]
    local of = old.orphans(client)[1]
    assert(client:reap())
    old.settle(of, client, assert(next(old.names(of, client))))
    assert.same({}, ledgers())
  end)
end)

describe("leftovers", function()
  it("are those whose lease is over, wherever they were made", function()
    local box = assert(client:create { lease = 60, auto_stop_interval = 0 })
    local labels = assert(client:request("GET", "/sandbox/" .. box.id)).json.labels
    labels["daytona-lua-owner"] = "farhost/a/b/1/2/3/4"
    assert(client:request("PUT", "/sandbox/" .. box.id .. "/labels", { json = { labels = labels } }))
    assert.same({}, assert(client:leftovers()))
    service.server:advance(200)
    local item = assert(client:leftovers())[1]
    assert.equal("lease_over", item.why)
    assert.equal("farhost", item.owner.host)
    assert.is_true(item.idle >= 200)
    assert.matches("nobody has used it for longer than its lease", tostring(item))
    assert.equal(1, #assert(client:reap()))
    assert.equal(0, service:sandboxes())
  end)

  it("that are used again meanwhile are left alone", function()
    local box = assert(client:create { lease = 60, auto_stop_interval = 0 })
    service.server:advance(200)
    local list = require "daytona.control.list"
    local real = list.list
    finally(function() list.list = real end)
    list.list = function(...) -- it is used between the list and the deletion
      local page, err = real(...)
      assert(box:touch())
      return page, err
    end
    assert.same({}, assert(client:reap()))
    assert.equal("started", assert(box:refresh()).state)
  end)

  it("come of a creation that arrives after its deletion", function()
    local box = assert(client:create { name = "late" })
    local body = { name = "late", labels = box.raw.labels }
    assert(box:delete { wait = true })
    assert(client:request("POST", "/sandbox", { json = body })) -- what a gateway held back
    local list = assert(client:reap())
    assert.equal("unknown late", list[1].why .. " " .. list[1].sandbox.name)
    assert.equal(0, service:sandboxes())
  end)

  it("of other Lua states of this process are none", function()
    local box = assert(client:create { name = "state" })
    local body = { name = "state", labels = box.raw.labels }
    body.labels["daytona-lua-owner"] = body.labels["daytona-lua-owner"]:gsub("%x+$", "00000000")
    assert(box:delete { wait = true })
    assert(client:request("POST", "/sandbox", { json = body }))
    assert.same({}, assert(client:reap()))
  end)

  it("can be narrowed down by labels", function()
    killed_after [[
      assert(client:create { name = "red", labels = { team = "red" } })
      assert(client:create { name = "blue", labels = { team = "blue" } })
    ]]
    assert.equal("red", names_of(assert(client:reap { labels = { team = "red" } })))
    assert.equal("blue", names_of(assert(client:leftovers())))
    assert.equal("blue", names_of(assert(client:reap())))
    assert.same({}, ledgers())
  end)

  it("are told when the service does not delete them", function()
    killed_after [[
      assert(client:create { name = "stuck" })
      assert(client:create { name = "loose" })
    ]]
    local id = assert(client:get "stuck").id
    assert(service.server:faults { { method = "DELETE", path = "/sandbox/" .. id, status = 403 } })
    local list, err = client:reap()
    assert.is_nil(list)
    assert.equal("reap", err.operation)
    assert.matches("1 of 2 sandboxes could not be deleted: ", err.message)
    assert.equal("loose", names_of(err.deleted))
    assert.equal("stuck", names_of(err.left))
    assert.equal("forbidden", err.left[1].err.kind)
    assert(service.server:clear_faults())
    assert.equal("stuck", names_of(assert(client:reap())))
  end)

  it("are those, too, whose deletion has failed", function()
    local box = assert(client:create { name = "stuck" })
    assert(service.server:faults {
      { state = "destroying", name = "*stuck*", becomes = "error", error_reason = "disk" },
    })
    assert(box:delete())
    local item
    for _ = 1, 500 do
      item = assert(client:leftovers())[1]
      if item then break end
      daytona.sleep(0.01)
    end
    assert.equal("delete_failed", item.why)
    assert(service.server:clear_faults())
    local list, err = client:reap()
    assert.is_true(list ~= nil and #list == 1 or err.left[1].why == "delete_failed")
  end)

  it("raise at unknown options and of a closed client", function()
    assert.error_matches(function() client:reap { dryrun = true } end, "reap: unknown option 'dryrun'")
    assert.error_matches(function() client:leftovers { dry_run = true } end, "leftovers: unknown option 'dry_run'")
    local closed = service:connect()
    closed:close()
    assert.error_matches(function() closed:leftovers() end, "closed client")
  end)

  it("are not known where the service does not answer", function()
    assert(service.server:faults { { path = "/config", status = 500 } })
    local list, err = client:leftovers()
    assert(service.server:clear_faults())
    assert.is_nil(list)
    assert.equal("server", err.kind)
  end)
end)
