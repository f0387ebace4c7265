-- Where sessions of tools are kept by programs in nginx: its shared dictionary, and Redis by
-- lua-resty-redis, which two servers share. `scripts/test hosts` runs these specs.

local hosts = require "spec.support.hosts"
local nginx = require "spec.support.nginx"
local redis_of = require "spec.support.redis"

-- A store does what the others do.
local KEEPS = [[
  local store = require("daytona.agent.store").open(%s)
  assert(store:put("a", "1", "one"))
  assert(store:put("a", "2", "two"))
  assert(store:put("a", "2", "new"))
  assert(store:put("ab", "1", "other"))
  assert(store:remove("a", "1"))
  local all = store:all "a"
  ngx.say(tostring(all["1"]), " ", all["2"], " ", store:all("ab")["1"], " ", tostring(next(store:all("none"))))
]]

-- A request of the session: what its tools answer.
local CALL = [[
  local tools = require("daytona").tools("session", { session = "shared", store = %s, storage = "/tmp" })
  local result = tools:call(ngx.var.arg_tool, ngx.unescape_uri(ngx.var.arg_with))
  ngx.print(result.ok and require("daytona.http.json").encode(result.data) or "failed: " .. result.text)
]]

local function call(server, tool, arguments)
  local given = (arguments or "{}"):gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)
  return (server:get("/call?tool=daytona_" .. tool .. "&with=" .. given))
end

describe("sessions in nginx #host", function()
  local stage, redis, servers

  setup(function() stage = hosts.stage() end)
  teardown(function() stage:close() end)

  before_each(function() servers = {} end)

  after_each(function()
    for _, server in ipairs(servers) do server:stop() end
    if redis then redis:stop() end
    redis = nil
  end)

  local function start(locations, http)
    local server = nginx.start { locations = locations, http = http, env = stage:env { HOME = "/" } }
    servers[#servers + 1] = server
    return server
  end

  local function settings()
    redis = redis_of.start()
    return redis and ("{ redis = { port = %d, password = %q, db = 1, prefix = 'spec:' } }"):format(
      redis.port, redis.password)
  end

  it("are kept in its shared dictionary, for all workers", function()
    local server = start({ kept = KEEPS:format [[{ ngx = "sessions" }]] }, "lua_shared_dict sessions 1m;")
    assert.equal("nil new other nil\n", (server:get "/kept"))
  end)

  it("are kept in Redis, without blocking", function()
    local store = settings()
    if not store then return pending "redis-server is not there" end
    local server = start { kept = KEEPS:format(store), slow = [[ngx.sleep(0.3) ngx.print "slept"]] }
    assert.equal("nil new other nil\n", (server:get "/kept"))
    local results = server:all { "/slow", "/kept", "/kept" }
    assert.equal("slept", results[1].body)
    assert.equal("nil new other nil\n", results[3].body)
  end)

  it("in Redis are shared by two servers, of which one dies", function()
    local store = settings()
    if not store then return pending "redis-server is not there" end
    local one, other = start { call = CALL:format(store) }, start { call = CALL:format(store) }
    local id = call(one, "create_sandbox", [[{"title":"shared"}]]):match '"sandbox_id":"([^"]+)"'
    assert.is_string(id)
    one:kill()
    local list = call(other, "list_sandboxes")
    assert.equal(1, select(2, list:gsub('"sandbox_id"', "")))
    assert.truthy(list:find(id, 1, true))
    local ran = call(other, "exec", ([[{"sandbox_id":"%s","command":"echo hi"}]]):format(id))
    assert.truthy(ran:find("hi\\n", 1, true), ran)
    local gone = call(other, "manage_sandbox", ([[{"sandbox_id":"%s","action":"delete"}]]):format(id))
    assert.is_nil(gone:find "failed")
    assert.is_nil(call(other, "list_sandboxes"):find '"sandbox_id"')
  end)

  it("in Redis say so when it has gone, without the password", function()
    local store = settings()
    if not store then return pending "redis-server is not there" end
    local server = start { call = CALL:format(store) }
    assert.is_nil(call(server, "list_sandboxes"):find "failed")
    redis:stop()
    redis = nil
    local said = call(server, "list_sandboxes")
    assert.truthy(said:find "failed: .*Redis")
    assert.is_nil(said:find("hunter22", 1, true))
  end)
end)
