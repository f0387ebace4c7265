-- Many calls at once over HTTP/2: they share connections.

local daytona = require "daytona"
local secure = require "spec.support.secure_service"

describe("Calls over HTTP/2", function()
  local service, client

  setup(function()
    service = secure.start()
    client = assert(daytona.new {
      api_url = service.api_url, api_key = "k", ca_file = service.certificate, ledger = false,
    })
  end)
  teardown(function() service:close() end)

  local function at_once(sandbox, n)
    local fns = {}
    for i = 1, n do fns[i] = function() return sandbox:exec "x" end end
    local results = assert(daytona.gather(fns))
    for i = 1, n do assert.equal("hello\n", results[i].result) end
  end

  it("that are more than a connection carries open one more, not one each", function()
    local sandbox = assert(client:create())
    at_once(sandbox, 250) -- before anything is known of the other side
    at_once(sandbox, 250)
    assert.equal(500, service:count "^toolbox POST")
    assert.is_true(service:count "^toolbox connection" <= 4)
  end)
end)
