local config = require "daytona.control.config"
local daytona = require "daytona"

local function resolved(opts, env)
  return config.resolve(opts, function(name) return (env or {})[name] end)
end

local function refused(opts, env)
  local settings, err = resolved(opts, env)
  assert.is_nil(settings)
  assert.equal("config", err.kind)
  return err.message
end

describe("a configuration", function()
  local path

  local function env_file(text)
    path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
  end

  after_each(function()
    if path then os.remove(path) end
    path = nil
  end)

  it("comes from options, else the environment, else the file, else defaults", function()
    local file = env_file [[
DAYTONA_API_KEY=file-key
DAYTONA_TARGET='eu' # here
export DAYTONA_API_URL="https://file/api/"
]]
    local settings = assert(resolved { env_file = file })
    assert.equal("file-key", settings.api_key)
    assert.equal("eu", settings.target)
    assert.equal("https://file/api", settings.api_url)

    local env = { DAYTONA_API_KEY = "env-key", DAYTONA_API_URL = "https://env/api", DAYTONA_TARGET = "us" }
    settings = assert(resolved({ env_file = file }, env))
    assert.equal("env-key https://env/api us", settings.api_key .. " " .. settings.api_url .. " " .. settings.target)

    settings = assert(resolved({ api_key = "own", api_url = "https://own", target = "t" }, env))
    assert.equal("own https://own t", settings.api_key .. " " .. settings.api_url .. " " .. settings.target)

    settings = assert(resolved { api_key = "k" })
    assert.equal("https://app.daytona.io/api", settings.api_url)
    assert.is_nil(settings.target)
    assert.same({ 10, 60, 64 * 1024 * 1024, 3 },
      { settings.connect_timeout, settings.timeout, settings.max_bytes, settings.max_retries })
  end)

  it("has comments behind values, quoted or not", function()
    for text, key in pairs {
      ['"abc" # mine'] = "abc", ['"abc"#mine'] = "abc", ["'abc' # mine"] = "abc", ["abc # mine"] = "abc",
      ['"a\\"b#c"'] = 'a"b#c', ['"abc"'] = "abc", ["a#b"] = "a#b",
      ['"abc"def'] = '"abc"def', ['"\\"'] = '"\\"', ['"a\\\\" # "'] = "a\\",
    } do
      assert.equal(key, assert(resolved { env_file = env_file("DAYTONA_API_KEY=" .. text .. "\n") }).api_key, text)
      os.remove(path)
    end
  end)

  it("reads .env.local and .env of the working directory where it is told to, in this order", function()
    local folder = os.tmpname()
    os.remove(folder)
    local function says(files)
      assert(os.execute(("rm -rf %s; mkdir %s"):format(folder, folder)))
      for name, text in pairs(files) do
        local file = assert(io.open(folder .. "/" .. name, "w"))
        file:write(text)
        file:close()
      end
      local child = require("spec.support.child").start([[
        local config = require "daytona.control.config"
        local env_file = require "daytona.control.env_file"
        local open = io.open
        io.open = function(path, ...) return open(ARG .. "/" .. path, ...) end
        local settings, err = config.resolve({ env_file = true }, function() end)
        print(settings and settings.api_key, settings and settings.target, err)
      ]], folder)
      return (child:rest():gsub("%s+$", ""))
    end
    local both = { [".env"] = "DAYTONA_API_KEY=k\nDAYTONA_TARGET=us\n", [".env.local"] = "DAYTONA_TARGET=eu\n" }
    assert.equal("k\teu\tnil", says(both))
    assert.equal("k\tnil\tnil", says { [".env"] = "DAYTONA_API_KEY=k\n" })
    assert.equal("l\tnil\tnil", says { [".env.local"] = "DAYTONA_API_KEY=l\n" })
    assert.matches("^nil\tnil\t.*no API key", says {})
    assert(os.execute("rm -rf " .. folder))
  end)

  it("takes an empty variable for none, and does not look further for it in the file", function()
    assert.truthy(refused({}, { DAYTONA_API_KEY = "" }):find("no API key", 1, true))
    local file = env_file "DAYTONA_API_KEY=k\nDAYTONA_TARGET=eu\n"
    assert.is_nil(assert(resolved({ env_file = file }, { DAYTONA_TARGET = "" })).target)
  end)

  it("reads no file unless it is asked to", function()
    assert.truthy(refused({}):find("no API key", 1, true))
    assert.truthy(refused({ env_file = "/nonexistent/.env" }):find("cannot be read", 1, true))
  end)

  it("knows the old name of the address", function()
    assert.equal("https://old", assert(resolved({ api_key = "k" }, { DAYTONA_SERVER_URL = "https://old" })).api_url)
    assert.equal("https://old", assert(resolved { api_key = "k", server_url = "https://old" }).api_url)
    local both = { DAYTONA_SERVER_URL = "https://old", DAYTONA_API_URL = "https://new" }
    assert.equal("https://new", assert(resolved({ api_key = "k" }, both)).api_url)
  end)

  it("lets an explicit JWT win over a key in the environment", function()
    local settings = assert(resolved({ jwt_token = "j", organization_id = "o" }, { DAYTONA_API_KEY = "k" }))
    assert.is_nil(settings.api_key)
    assert.equal("j", settings.jwt_token)
    settings = assert(resolved({}, { DAYTONA_API_KEY = "k", DAYTONA_JWT_TOKEN = "j" }))
    assert.equal("k", settings.api_key)
    assert.is_nil(settings.jwt_token)
    settings = assert(resolved({ env_file = env_file "DAYTONA_API_KEY=k\n" },
      { DAYTONA_JWT_TOKEN = "j", DAYTONA_ORGANIZATION_ID = "o" }))
    assert.equal("j", settings.jwt_token)
    assert.is_nil(settings.api_key)
  end)

  it("listens to events unless the environment, or the program, says otherwise", function()
    assert.is_true(assert(resolved { api_key = "k" }).events)
    local env = { DAYTONA_USE_DEPRECATED_POLLING = "True" }
    assert.is_false(assert(resolved({ api_key = "k" }, env)).events)
    assert.is_true(assert(resolved({ api_key = "k", events = true }, env)).events)
    assert.is_false(assert(resolved { api_key = "k", events = false }).events)
  end)

  it("wants the organization of a JWT", function()
    assert.truthy(refused({ jwt_token = "j" }):find("organization", 1, true))
    assert(resolved({ jwt_token = "j" }, { DAYTONA_ORGANIZATION_ID = "o" }))
  end)

  it("never sends a key from elsewhere to an address that a file chose", function()
    local file = env_file "DAYTONA_API_URL=https://evil/api\n"
    local why = "the env file chooses api_url"
    assert.truthy(refused({ env_file = file }, { DAYTONA_API_KEY = "k" }):find(why, 1, true))
    assert.truthy(refused({ env_file = file, api_key = "k" }):find(why, 1, true))
    assert(resolved { env_file = file, api_key = "k", api_url = "https://own/api" })
  end)

  it("sends no key unencrypted to another machine", function()
    assert.truthy(refused({ api_key = "k", api_url = "http://example.org/api" }):find("unencrypted", 1, true))
    assert(resolved { api_key = "k", api_url = "http://example.org/api", insecure_http = true })
    for _, near in ipairs { "localhost:3986", "127.0.0.1:80", "[::1]:5", "x.localhost" } do
      assert(resolved { api_key = "k", api_url = "http://" .. near .. "/api" })
    end
  end)

  it("keeps the path of an address and drops its last slashes", function()
    local settings = assert(resolved { api_key = "k", api_url = "HTTPS://HOST:443/pre/api//" })
    assert.equal("https://host/pre/api", settings.api_url)
    for _, bad in ipairs { "host/api", "ftp://host", "https://host/api?x=1", "https://u:p@host/api" } do
      local message = refused { api_key = "k", api_url = bad }
      assert.is_nil(message:find("u:p", 1, true))
    end
  end)

  it("refuses a key that cannot be one, without showing it", function()
    local message = refused { api_key = "two words\n" }
    assert.is_nil(message:find("two words", 1, true))
    assert.matches("^the API key holds white space", message)
    assert.matches("^the JWT holds", refused { jwt_token = "a b", organization_id = "o" })
  end)

  it("refuses a key that is given and empty", function()
    assert.matches("api_key is an empty string", refused({ api_key = "" }, { DAYTONA_API_KEY = "k" }))
  end)

  it("without a key names the way without an account", function()
    assert.matches("bin/daytona%-devserver", refused {})
  end)

  it("raises at the caller's line on line ends where they would be headers", function()
    for _, name in ipairs { "user_agent", "proxy", "no_proxy" } do
      local fine, message = pcall(function() return (daytona.new { api_key = "k", [name] = "x\r\nA: b" }) end)
      assert.is_false(fine)
      assert.matches("config_spec.lua:%d+: daytona.new: option '" .. name .. "'", message)
    end
  end)

  it("takes an absolute path, or false, for its ledger", function()
    for _, ledger in ipairs { "there", "./there", "", true } do
      assert.has_error(function() resolved { api_key = "k", ledger = ledger } end)
    end
    assert(resolved { api_key = "k", ledger = "/var/tmp/there" })
    assert(resolved { api_key = "k", ledger = false })
  end)

  it("raises on an option that does not exist", function()
    assert.has_error(function() resolved { api_kee = "x" } end)
    assert.has_error(function() resolved { timeout = -1 } end)
  end)

  it("raises on options of another kind, and takes each of those that it says", function()
    local trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for name, values in pairs {
      env_file = { 1, {} }, proxy = { 1, "a\nb" }, budget = { {}, 1, setmetatable({}, {}) },
      traceparent = { 1, {}, "x", trace .. "-" }, ledger = { 1 },
    } do
      for _, value in ipairs(values) do
        assert.has_error(function() resolved { api_key = "k", [name] = value } end)
      end
    end
    for name, values in pairs {
      proxy = { "", "http://p:1" }, budget = { daytona.budget { minutes = 1 } },
      traceparent = { true, false, trace, function() end },
    } do
      for _, value in ipairs(values) do
        assert.equal(value, assert(resolved { api_key = "k", [name] = value })[name])
      end
    end
    assert(resolved { api_key = "k", env_file = false })
  end)
end)

describe("the ledger of a client", function()
  local ledger = require "daytona.control.ledger"

  local function folder(opts, env)
    opts.api_key, opts.api_url = "k", opts.api_url or "https://host/api"
    local client, getenv = assert(daytona.new(opts)), os.getenv
    os.getenv = function(name) return env[name] end -- luacheck: ignore
    local found = ledger.folder(client)
    os.getenv = getenv -- luacheck: ignore
    client:close()
    return found
  end

  it("is in the user's state folder, or where it is said; there is none for servers of this machine", function()
    assert.equal("/s/daytona/ledger", folder({}, { XDG_STATE_HOME = "/s", HOME = "/h" }))
    assert.equal("/h/.local/state/daytona/ledger", folder({}, { HOME = "/h" }))
    assert.equal("/h/.local/state/daytona/ledger", folder({}, { XDG_STATE_HOME = "there", HOME = "/h" }))
    assert.is_nil(folder({}, { HOME = "here" }))
    assert.is_nil(folder({}, {}))
    assert.is_nil(folder({ ledger = false }, { HOME = "/h" }))
    assert.equal("/l", folder({ ledger = "/l" }, { HOME = "/h" }))
    assert.is_nil(folder({ api_url = "http://127.0.0.1:1/api" }, { HOME = "/h" }))
    assert.equal("/l", folder({ ledger = "/l", api_url = "http://127.0.0.1:1/api" }, { HOME = "/h" }))
  end)
end)

describe("a client", function()
  it("shows its address and never its key", function()
    local client = assert(daytona.new { api_key = "sk-secret-key", api_url = "https://host/api" })
    assert.equal("daytona client (https://host/api)", tostring(client))
    local seen = {}
    local function look(value)
      if type(value) == "string" then assert.is_nil(value:find("sk-secret", 1, true)) end
      if type(value) ~= "table" or seen[value] then return end
      seen[value] = true
      for k, v in pairs(value) do look(k); look(v) end
    end
    look(client)
  end)

  it("that is closed refuses to work", function()
    local client = assert(daytona.new { api_key = "k", api_url = "https://host/api" })
    client:close()
    client:close()
    assert.has_error(function() client:get "x" end)
    assert.equal("daytona client (https://host/api, closed)", tostring(client))
  end)
end)
