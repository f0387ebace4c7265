-- Answers of the local server that travel packed (gzip): JSON and texts of more than 4 KiB, of the
-- control plane and of the daemons, for who asks for them so. The client unpacks them.

local daytona = require "daytona"
local shell = require "daytona.base.shell"

describe("an answer of the local server", function()
  local service, box, place

  setup(function()
    service = require("spec.support.service").start()
    box = assert(service.client:create { labels = { text = ("label "):rep(2000) } })
    place = os.tmpname()
  end)
  teardown(function()
    service:stop()
    os.remove(place)
  end)

  -- The head of an answer, in lower case, and its body as it came.
  local function curl(url, arguments)
    local pipe = io.popen(("curl -s -D - -o %s -m 10 -H 'Authorization: Bearer %s' %s %s"):format(place,
      service.server.api_key, arguments or "", shell.quote(url)))
    local head = pipe:read "*a":lower()
    pipe:close()
    local file = assert(io.open(place, "rb"))
    local body = file:read "*a"
    file:close()
    return head, body
  end

  local function unpacked()
    local pipe = assert(io.popen("gzip -dc <" .. place))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  local GZIP = "-H 'Accept-Encoding: br, gzip;q=0.5'"

  local function urls()
    local sandbox, daemon = service.server.api_url .. "/sandbox/" .. box.id, box.toolbox_proxy_url .. "/" .. box.id
    return sandbox, daemon
  end

  local function is_packed(head) return head:find("\ncontent-encoding: gzip\r", 1, true) ~= nil end

  local function length_in(head) return tonumber(head:match "\ncontent%-length: (%d+)\r") end

  it("is packed by the control plane and by a daemon, if it is asked for so", function()
    local sandbox, daemon = urls()
    local run = ([[-X POST -H 'Content-Type: application/json' -d '{"command":"seq 5000"}' ]])
    for _, it in ipairs { { sandbox, "", 12000 }, { daemon .. "/process/execute", run, 23000 } } do
      local head, plain = curl(it[1], it[2])
      assert.is_false(is_packed(head))
      assert.truthy(head:find("\nvary: accept-encoding\r", 1, true), head)
      assert.is_true(#plain > it[3], #plain)
      local packed
      head, packed = curl(it[1], it[2] .. GZIP)
      assert.is_true(is_packed(head), head)
      assert.equal(#packed, length_in(head))
      assert.is_true(#packed < #plain / 2)
      -- What a second look says differs in a time at most.
      assert.equal(#plain, #unpacked())
      assert.equal(plain:sub(1, 500), unpacked():sub(1, 500))
    end
  end)

  it("is as it is for who refuses that, of little, of a part and of a file", function()
    local sandbox, daemon = urls()
    for _, header in ipairs { "br", "gzip;q=0", "gzip; q=0.0", "x" } do
      assert.is_false(is_packed((curl(sandbox, "-H 'Accept-Encoding: " .. header .. "'"))))
    end
    assert.is_false(is_packed((curl(service.server.api_url .. "/regions", GZIP))))
    assert(box.fs:write("text", ("text "):rep(10000)))
    local file = daemon .. "/files/download?path=text"
    local head, body = curl(file, GZIP)
    assert.is_false(is_packed(head))
    assert.equal(50000, #body)
    head, body = curl(file, GZIP .. " -r 100-9099")
    assert.is_false(is_packed(head))
    assert.equal(9000, #body)
  end)

  it("is read by the client as any other, and its bytes stay as they were", function()
    local text = {}
    for i = 0, 255 do text[i + 1] = i < 32 and "x" or i < 128 and string.char(i) or "é€😀\\\"" end
    text = table.concat(text):rep(300)
    assert(box.fs:write("odd", text))
    local result = assert(box:exec("cat odd", { check = true }))
    assert.equal(text, result.result)
    assert.equal(("label "):rep(2000), assert(service.client:get(box.id)).labels.text)
    local plain = service:connect { compression = false }
    assert.equal(text, assert(plain:attach(box.id):exec "cat odd").result)
    assert.equal(box.id, assert(plain:get(box.id)).id)
  end)

  it("that a fault cuts is cut in the bytes that were meant", function()
    assert(service.server:faults { { path = "/process/execute", times = 1, cut_after = 5000 } })
    local _, err = box:exec "seq 5000"
    assert.equal("truncated", err.code)
  end)

  it("of a command is taken with many others at once", function()
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = daytona.spawn(function() return box:exec("seq " .. i .. " 6000", { check = true }) end)
    end
    for i, task in ipairs(tasks) do
      local result = assert(task:wait())
      assert.equal(i .. "\n", result.result:match "^%d+\n")
      assert.equal("\n6000\n", result.result:sub(-6))
    end
  end)
end)
