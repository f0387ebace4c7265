-- Listing sandboxes at the local server.

local daytona = require "daytona"
local loop = require "daytona.loop"

local service, client

setup(function()
  service = require("spec.support.service").start()
  client = service.client
end)

teardown(function() service:stop() end)

before_each(function() assert(service.server:clear_faults()) end)

describe("a list", function()
  setup(function()
    for i = 1, 5 do
      local box = assert(client:create { name = "row-" .. i, labels = { odd = tostring(i % 2), n = "n" .. i } })
      if i > 3 then assert(box:stop()) end
    end
  end)

  it("comes in pages", function()
    local page = assert(client:list { limit = 2, sort = "name", order = "asc" })
    assert.equal("page (2 sandboxes, more)", tostring(page))
    assert.equal("row-1 row-2", page.items[1].name .. " " .. page.items[2].name)
    page = assert(client:list { limit = 2, sort = "name", order = "asc", cursor = page.next_cursor })
    assert.equal("row-3", page.items[1].name)
    page = assert(client:list { limit = 2, sort = "name", order = "asc", cursor = page.next_cursor })
    assert.equal("page (1 sandboxes)", tostring(page))
    assert.is_nil(page.next_cursor)
  end)

  it("takes filters of the service that this library does not know", function()
    local page = assert(client:list { query = { limit = 1, name = "row-4" } })
    assert.same({ 1, "row-4" }, { #page.items, page.items[1].name })
  end)

  it("is narrowed down by what there is to filter by", function()
    local function names(filter)
      filter.sort, filter.order = "name", "asc"
      local out = {}
      for box in client:each(filter) do out[#out + 1] = box.name:match "%d+$" end
      return table.concat(out)
    end
    assert.equal("12345", names {})
    assert.equal("135", names { labels = { odd = "1" } })
    assert.equal("1", names { labels = { odd = "1", n = "n1" } })
    assert.equal("45", names { states = "stopped" })
    assert.equal("12345", names { states = { "stopped", "started" } })
    assert.equal("", names { states = { "archived" } })
    assert.equal("3", names { name = "ROW-3" })
    assert.equal("12345", names { limit = 1 })
    assert.equal("", names { created_at_before = "2001-01-01T00:00:00Z" })
    assert.equal("12345", names { created_at_after = "2001-01-01T00:00:00Z" })
  end)

  it("of a filter that does not exist raises", function()
    for _, filter in ipairs {
      { label = {} }, { limit = 0 }, { limit = 201 }, { states = 1 }, { labels = { "x" } }, { sort = "size" },
      { order = "up" }, { is_public = "yes" }, { cursor = "" },
    } do
      assert.has_error(function() client:list(filter) end)
      assert.has_error(function() client:each(filter) end)
    end
  end)

  it("of a cursor that is none is an error", function()
    local page, err = client:list { cursor = "nonsense" }
    assert.is_nil(page)
    assert.equal("invalid", err.kind)
  end)

  it("has rows that read and act like sandboxes", function()
    local row = assert(client:list { name = "row-1" }).items[1]
    assert.equal("sandbox (row-1, started)", tostring(row))
    assert.equal("1", row.labels.odd)
    assert.is_number(row.auto_stop_interval)
    assert.is_nil(row.nothing)
    assert.is_false(row.public)
    assert.is_nil(row[1000])
    assert.equal(row.id, assert(client:get(row.id)).id)
    row = assert(client:list { name = "row-1" }).items[1]
    assert.equal(client, row.client)
    assert.equal("row-1", row.raw.name)
    assert.is_nil(rawget(row, 1))
    row = assert(client:list { name = "row-1" }).items[1]
    assert.equal("hi\n", assert(row:exec "echo hi").result)
    assert.equal("row-1", row.name)
    for _, entry in ipairs(assert(row.fs:list())) do assert.equal(".", entry.name:sub(1, 1)) end
    assert.equal("started", assert(row:refresh()).state)
    assert(client:stop(assert(client:list { name = "row-2" }).items[1]))
    assert.equal("stopped", assert(client:get "row-2").state)
  end)

  it("has rows of any fields, each with its own", function()
    local answers = {}
    for i = 1, 6 do
      answers[i] = { id = "r" .. i, name = "n" .. i, state = "stopped", public = i % 2 == 0 }
      if i % 3 == 0 then answers[i].errorReason = "reason " .. i end
      if i == 4 then answers[i] = { id = "r4", state = "error" } end
    end
    assert(service.server:faults { { method = "GET", path = "/sandbox", status = 200, body =
      { items = answers } } })
    local items = assert(client:list()).items
    assert(service.server:clear_faults())
    for i, row in ipairs(items) do
      assert.equal("r" .. i, row.id)
      assert.equal(answers[i].state, row.state)
      assert.equal(answers[i].name, row.name)
      assert.equal(answers[i].public, row.public)
      assert.equal(answers[i].errorReason, row.error_reason)
      assert.same(answers[i], row.raw) -- it is a sandbox now
      assert.equal(answers[i].errorReason, row.error_reason)
    end
  end)

  it("that fails is nil, err; an iterator raises", function()
    assert(service.server:faults { { method = "GET", path = "/sandbox", status = 403, message = "not yours" } })
    local page, err = client:list()
    assert.is_nil(page)
    assert.equal("forbidden", err.kind)
    local fine, raised = pcall(function() for _ in client:each() do end end)
    assert.is_false(fine)
    assert.truthy(tostring(raised):find("list: not yours (forbidden, 403)", 1, true))
  end)

  it("goes on after a page that is empty, and reads no page ahead", function()
    assert(service.server:faults { { method = "GET", path = "/sandbox", times = 1, status = 200, body =
      '{"items":[],"nextCursor":null}' } })
    for _ in client:each() do error "an empty list has no items" end
    assert(service.server:clear_faults())
    assert(service.server:forget_requests())
    assert(client:each { limit = 1 } ())
    assert.equal(1, service:count("GET", "/sandbox"))
  end)

  it("of another shape is a protocol error", function()
    for _, body in ipairs { "[]x", '{"items":"none"}', "17" } do
      assert(service.server:clear_faults())
      assert(service.server:faults { { method = "GET", path = "/sandbox", status = 200, body = body } })
      assert.equal("protocol", select(2, client:list()).kind, body)
    end
  end)

  it("of ten thousand asks for each page once, over one connection", function()
    assert(service.server:seed(10000))
    assert(service.server:forget_requests())
    local before, n = loop.engine():stats().connects, 0
    for row in client:each { name = "seed-", limit = 200 } do
      n = n + 1
      assert.is_string(row.id)
    end
    assert.equal(10000, n)
    assert.is_true(service:count("GET", "/sandbox") <= 51)
    assert.is_true(loop.engine():stats().connects - before <= 1)
  end)
end)

describe("a service", function()
  it("answers a ping, and says what it is", function()
    assert.is_true(client:ping())
    assert.is_string(assert(client:config()).version)
    local other = service:connect { api_key = "wrong-key" }
    local fine, err = other:ping()
    assert.is_nil(fine)
    assert.equal("auth", err.kind)
    assert.is_nil(tostring(err):find("wrong-key", 1, true))
  end)

  it("is open to any other request", function()
    local response = assert(client:request("GET", "/config"))
    assert.equal(200, response.status)
    assert.is_table(response.json)
    local _, err = client:request("GET", "/no/such")
    assert.equal("unsupported 404", string.format("%s %d", err.kind, err.status))
    assert.has_error(function() client:request("GET", "no-slash") end)
    assert.has_error(function() client:request("GET") end)
  end)
end)

describe("the default client", function()
  it("is made of the environment at its first use", function()
    local name = daytona.client and "daytona"
    assert.equal("daytona", name)
    if os.getenv "DAYTONA_API_KEY" or os.getenv "DAYTONA_JWT_TOKEN" then return end
    local box, err = daytona.create()
    assert.is_nil(box)
    assert.equal("config", err.kind)
    assert.has_error(function() daytona.each() end)
  end)
end)
