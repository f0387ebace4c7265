-- The way to the sandboxes, opened while one is made or looked up.

local core = require "daytona.core"
local daytona = require "daytona"
local secure = require "spec.support.secure_service"

describe("The way to the sandboxes", function()
  local service, folder

  local function begin(opts)
    service = secure.start(opts)
    folder = os.tmpname()
    os.remove(folder)
  end

  local function connect(opts)
    local settings = { api_url = service.api_url, api_key = "k", ca_file = service.certificate, ledger = false }
    for name, value in pairs(opts or {}) do settings[name] = value end
    return assert(daytona.new(settings))
  end

  local function use(client)
    local sandbox = assert(client:create())
    assert.equal("hello\n", assert(sandbox:exec "x").result)
    assert(sandbox:delete { wait = false })
  end

  after_each(function()
    service:close()
    os.execute("rm -rf '" .. folder .. "'")
  end)

  it("is opened while a sandbox is made, and is the one that its commands go", function()
    begin { held = true } -- answered only then
    use(connect())
    assert.equal(1, service:count "^toolbox connection")
    assert.equal(1, service:count "^api connection")
    assert.equal(1, service:count "^api GET /api/config bare")
  end)

  it("is opened without the key", function()
    begin { held = true }
    assert(connect():create())
    assert.equal(1, service:count "^toolbox HEAD /health bare")
    assert.equal(0, service:count "^toolbox .* key")
  end)

  it("is asked for once, and opened once a minute at most", function()
    begin()
    local client = connect()
    for _ = 1, 3 do use(client) end
    assert.equal(1, service:count "^api GET /api/config")
    assert.is_true(service:count "^toolbox HEAD" <= 1)
    assert.equal(1, service:count "^toolbox connection")
  end)

  it("is known by the next program, from a note beside the ledger", function()
    begin { held = true }
    use(connect { ledger = folder })
    use(connect { ledger = folder })
    assert.equal(1, service:count "^api GET /api/config")
    assert.equal(2, service:count "^toolbox HEAD")
    local note = assert(io.open(folder .. "/toolboxes")):read "*a"
    assert.matches("^toolbox " .. service.api_url:gsub("%p", "%%%0") .. " https://127%.0%.0%.1:%d+\n$", note)
  end)

  it("keeps what a note says of other services, and takes no nonsense from it", function()
    begin()
    assert(core.make_directory(folder, 448))
    local file = assert(io.open(folder .. "/toolboxes", "w"))
    file:write("toolbox https://other/api https://there:443\nnonsense\n")
    file:write("toolbox ", service.api_url, " http://127.0.0.1:1\n")
    file:close()
    use(connect { ledger = folder })
    local note = assert(io.open(folder .. "/toolboxes")):read "*a"
    assert.matches("^toolbox https://other/api https://there:443\ntoolbox https://127", note)
    assert.not_matches("nonsense", note)
    assert.not_matches("http:", note)
  end)

  it("is opened while a sandbox is looked up, once it is known", function()
    begin { held = true }
    use(connect { ledger = folder })
    assert(connect({ ledger = folder }):get "x")
    assert.equal(1, service:count "^api GET /api/config")
    assert.equal(2, service:count "^toolbox HEAD")
  end)

  for _, config in ipairs { "dead", "plain", "none", "odd" } do
    it("that is not to be known costs nothing: " .. config, function()
      begin { config = config }
      use(connect())
      assert.equal(1, service:count "^toolbox connection")
      assert.equal(0, service:count "^toolbox HEAD")
    end)
  end

  it("is not opened where the client would show a certificate of its own", function()
    begin()
    assert.is_false(connect { client_cert = service.certificate, client_key = service.certificate }.goes_ahead)
    local client = connect()
    client.goes_ahead = false
    use(client)
    assert.equal(0, service:count "bare")
  end)

  it("keeps no program from its end", function()
    begin()
    assert(connect():create())
    assert.is_false(require("daytona.loop").busy())
  end)
end)
