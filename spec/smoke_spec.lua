-- What every Lua must be able to do: load the client and work with a sandbox.

local daytona = require "daytona"
local devserver = require "daytona.devserver"

describe("on " .. (jit and "LuaJIT" or _VERSION), function()
  local server, client, sandbox

  setup(function()
    server = assert(devserver.start {})
    client = daytona.new { api_url = server.api_url, api_key = server.api_key }
    sandbox = assert(client:create { language = "python", labels = { purpose = "smoke" } })
  end)

  teardown(function()
    if sandbox then sandbox:delete() end
    if client then client:close() end
    if server then server:close() end
  end)

  it("a sandbox is created, found and listed", function()
    assert.equal("started", sandbox.state)
    assert.equal(sandbox.id, assert(client:get(sandbox.name)).id)
    local page = assert(client:list { labels = { purpose = "smoke" } })
    assert.equal(1, #page.items)
    for row in client:each() do assert.equal(sandbox.id, row.id) end
  end)

  it("a command runs, its exit code and output come back", function()
    local r = assert(sandbox:exec("echo \"$A\"; exit 3", { env = { A = "it's" } }))
    assert.equal(3, r.exit_code)
    assert.equal("it's\n", r.result)
    assert.equal("3", tostring(r.exit_code))
    assert.equal("a  b\n", assert(sandbox:exec { "echo", "a  b" }).result)
  end)

  it("code runs", function()
    local r = assert(sandbox:run("print(6 * 7)"))
    assert.equal("42", (r.result:gsub("%s+$", "")))
  end)

  it("files go up and down", function()
    local bytes = ("\0\1\255\r\n"):rep(1000)
    assert(sandbox.fs:write("smoke.bin", bytes))
    assert.equal(bytes, (assert(sandbox.fs:read("smoke.bin"))))
    local found
    for _, entry in ipairs(assert(sandbox.fs:list("."))) do
      found = found or entry.name == "smoke.bin" and entry.size
    end
    assert.equal(#bytes, found)
  end)

  it("many commands run at once", function()
    local results = assert(daytona.map({ 1, 2, 3, 4, 5, 6 }, function(i)
      return sandbox:exec("echo " .. i)
    end, { concurrency = 3 }))
    for i = 1, 6 do assert.equal(i .. "\n", results[i].result) end
  end)

  it("what is not there is an error with a kind, misuse raises", function()
    local none, err = client:get("no-such-sandbox")
    assert.is_nil(none)
    assert.is_true(daytona.is_error(err, "not_found"))
    assert.has_error(function() client:create { colour = "blue" } end)
  end)

  it("a stopped sandbox starts again with its files", function()
    assert(sandbox.fs:write("kept.txt", "here"))
    assert(sandbox:stop())
    assert(sandbox:start())
    assert.equal("here", (assert(sandbox.fs:read("kept.txt"))))
  end)
end)
