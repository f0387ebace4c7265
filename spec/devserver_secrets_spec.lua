-- Secrets on the local server: placeholders in sandboxes, values nowhere.

describe("secrets on the local server", function()
  local plane

  setup(function() plane = require("spec.support.plane").start() end)
  teardown(function() plane:stop() end)

  it("are made, changed, listed and deleted, and never shown", function()
    local made, status, response = plane:must("POST", "/secret",
      { name = "API_KEY", value = "s3cr3t-value", description = "d", hosts = { "*.x.org" } })
    assert.same({ 201, "API_KEY", "d", "*.x.org", "string" },
      { status, made.name, made.description, made.hosts[1], type(made.placeholder) })
    assert.is_nil(response.body:find("s3cr3t", 1, true))
    assert.equal(made.id, plane:must("GET", "/secret/" .. made.id).id)
    local changed = plane:must("PATCH", "/secret/" .. made.id, { value = "n3w-value" })
    assert.same({ "d", made.placeholder }, { changed.description, changed.placeholder })
    plane:must("POST", "/secret", { name = "SECOND", value = "x" })
    local _, _, list = plane:must("GET", "/secret/paginated", nil, { sort = "name", order = "asc", limit = "1" })
    assert.same({ 2, "API_KEY" }, { list.json.total, list.json.items[1].name })
    assert.is_nil(list.body:find("n3w", 1, true))
    local rest = plane:must("GET", "/secret/paginated", nil,
      { sort = "name", order = "asc", limit = "1", cursor = list.json.nextCursor })
    assert.same({ "SECOND", nil }, { rest.items[1].name, rest.nextCursor })
    assert.equal(2, #plane:must("GET", "/secret"))
    plane:refuses(409, "already exists", "POST", "/secret", { name = "SECOND", value = "y" })
    plane:refuses(400, "value must be a string", "POST", "/secret", { name = "THIRD" })
    plane:refuses(400, "name must start with a letter or underscore", "POST", "/secret", { name = "1x", value = "y" })
    plane:refuses(400, "Invalid host", "POST", "/secret", { name = "H", value = "y", hosts = { "a b" } })
    for _, secret in ipairs(plane:must("GET", "/secret")) do
      assert.equal(204, select(2, plane:must("DELETE", "/secret/" .. secret.id)))
    end
    plane:refuses(404, "not found", "GET", "/secret/" .. made.id)
  end)

  it("are placeholders in the environment of a sandbox, from the start or later", function()
    local one = plane:must("POST", "/secret", { name = "ONE", value = "value-of-one" })
    local two = plane:must("POST", "/secret", { name = "TWO", value = "value-of-two" })
    local id = plane:create { secrets = { { TOKEN = "ONE" } } }
    assert.equal(one.placeholder .. "\n", plane:run(id, "echo $TOKEN"))
    plane:must("PUT", "/sandbox/" .. id .. "/secrets", { secrets = { { OTHER = "TWO" } } })
    assert.equal("-" .. two.placeholder .. "\n", plane:run(id, "echo $TOKEN-$OTHER"))
    assert.is_nil(plane:run(id, "env"):find("value-of", 1, true))
    plane:must("PUT", "/sandbox/" .. id .. "/secrets", { secrets = {} })
    assert.equal("-\n", plane:run(id, "echo $TOKEN-$OTHER"))
    plane:refuses(400, "Secret 'NONE' not found", "PUT", "/sandbox/" .. id .. "/secrets",
      { secrets = { { X = "NONE" } } })
    plane:refuses(400, "Secret 'NONE' not found", "POST", "/sandbox", { secrets = { { X = "NONE" } } })
    plane:refuses(403, "Invalid authentication context", "GET", "/sandbox/" .. id .. "/secrets")
  end)
end)
