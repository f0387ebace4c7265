-- What has left this machine is not sent again: whenever the other side goes away
-- in the middle of a call and comes back, a command has run once or not at all, and
-- its caller is told when it may have.

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local errors = require "daytona.base.errors"
local shell = require "daytona.base.shell"
local vanishing = require "spec.support.vanishing"

local box, relay, sandbox, session -- these two are reached through the relay

setup(function()
  box = require("spec.support.box").start()
  relay = vanishing.start((box.daemon.url:match "%d+$"))
  sandbox = box:through(relay.url)
  session = assert(sandbox:session())
  assert(box.sandbox:exec([[
    git init -q -b main repo && cd repo && git config user.email a@example.org && git config user.name n
    git commit -q --allow-empty -m first
  ]], { check = true }))
end)

teardown(function()
  relay:close()
  box:stop()
end)

-- A number that a command prints over there, asked for beside the relay.
local function number_of(command)
  return tonumber(assert(box.sandbox:exec(command, { check = true })).result)
end

local function lines()
  return number_of "touch count && wc -l <count"
end

local function commits()
  return number_of "git -C repo rev-list --count HEAD"
end

local APPEND = "echo x >>count"

-- Calls that must not happen twice, and how often they have. What looks for a lost
-- answer by itself may find it.
local CALLS = {
  { name = "exec", count = lines, run = function(s) return s:exec(APPEND) end },
  { name = "run", count = lines, run = function(s)
    return s:run "open('count', 'a').write('x\\n')"
  end },
  { name = "session exec", count = lines, finds = true, slow = true, run = function()
    return session:exec(APPEND)
  end },
  { name = "git commit", count = commits, run = function(s)
    return s.git:commit("repo", "more", "n", "a@example.org", { allow_empty = true })
  end },
}

-- From now on the next call is made over a kept connection.
local function connect(s)
  relay:wait()
  assert(s:exec "true")
end

local function told(err, call)
  assert.is_true(errors.is(err, "connection"), tostring(err))
  assert.equal("reset", err.code)
  assert.is_true(err.sent)
  if not call.finds then assert.truthy(err.message:find("may have run", 1, true), err.message) end
end

-- How many bytes the call is, found out by its last of them.
local function length_of(call)
  connect(sandbox)
  relay:arm("answer", "close")
  call.run(sandbox)
  return relay:wait()
end

-- Some places in so many bytes: the first, the last, and `n` between.
local function places(length, n)
  local list = { 1 }
  for i = 1, n do list[#list + 1] = math.floor(length * i / (n + 1)) end
  list[#list + 1] = length - 1
  return list
end

for _, call in ipairs(CALLS) do
  describe(call.name, function()
    for _, how in ipairs { "close", "reset" } do
      it("has run once when its answer was lost by a " .. how, function()
        connect(sandbox)
        local before = call.count()
        relay:arm("answer", how)
        local result, err = call.run(sandbox)
        if call.finds then assert.truthy(result, tostring(err)) else told(err, call) end
        assert.equal(before + 1, call.count())
      end)

      it("has not run when it was cut by a " .. how .. ", and is not sent again", function()
        local length = length_of(call)
        local before = call.count()
        for _, place in ipairs(places(length, call.slow and 0 or 4)) do
          connect(sandbox)
          relay:arm(place, how)
          local result, err = call.run(sandbox)
          assert.is_nil(result)
          told(err, call)
        end
        assert.equal(before, call.count())
      end)
    end

    it("is sent anew when nothing of it had left", function()
      connect(sandbox)
      local before = call.count()
      relay:arm(0, "close")
      assert(call.run(sandbox))
      assert.equal(before + 1, call.count())
    end)
  end)
end

describe("every byte of a request", function()
  it("that was sent counts", function()
    local call = CALLS[1]
    local length = length_of(call)
    local before = call.count()
    for _, place in ipairs(places(length, 40)) do
      connect(sandbox)
      relay:arm(place, place % 2 == 0 and "close" or "reset")
      local _, err = call.run(sandbox)
      told(err, call)
    end
    assert.equal(before, call.count())
  end)
end)

describe("a client that repeats nothing", function()
  it("says of a lost command that it may have run, of an unsent one that it has not", function()
    local client = assert(daytona.new { api_key = "secret", api_url = "http://127.0.0.1:1", max_retries = 0 })
    local once = require("daytona.control.sandbox").new(client, {
      id = "box", state = "started", toolboxProxyUrl = relay.url .. "/toolbox",
    })
    connect(once)
    local before = lines()
    relay:arm("answer", "close")
    local _, err = once:exec(APPEND)
    told(err, CALLS[1])
    assert.equal(before + 1, lines())
    connect(once)
    relay:arm(0, "close", { away = 0.5 })
    _, err = once:exec(APPEND)
    assert.equal("connect", err.code)
    assert.is_false(err.sent)
    assert.equal(before + 1, lines())
    relay:wait()
    client:close()
  end)
end)

--- The control plane, over TLS too ------------------------------------------------------

local function count_of(server)
  local client = assert(daytona.new {
    api_url = server.api_url, api_key = server.api_key, ca_file = server.certificate,
  })
  local n = 0
  for other in client:each() do
    if other.state ~= "destroying" and other.desired_state ~= "destroyed" then n = n + 1 end
  end
  client:close()
  return n
end

for _, tls in ipairs { false, true } do
  describe(tls and "over TLS," or "over plain TCP,", function()
    local server, gate

    setup(function()
      server = assert(devserver.start { tls = tls })
      gate = vanishing.start((server.api_url:match ":(%d+)/"))
    end)

    teardown(function()
      gate:close()
      server:stop()
    end)

    -- A client that has a kept connection.
    local function connected(opts)
      local all = {
        api_url = server.api_url:gsub(":%d+/", ":" .. gate.port .. "/"), api_key = server.api_key,
        ca_file = server.certificate, connect_timeout = 0.3,
      }
      for name, value in pairs(opts or {}) do all[name] = value end
      local client = assert(daytona.new(all))
      client.goes_ahead = false -- the gate counts what comes
      gate:mend()
      gate:wait()
      assert(client:config())
      return client
    end

    local function body(name)
      return { json = { name = name, labels = { x = "y" } } }
    end

    for _, how in ipairs { "close", "reset" } do
      it("a plain POST is sent once, " .. how, function()
        local before = count_of(server)
        local client = connected()
        gate:arm("answer", how)
        local _, err = client:request("POST", "/sandbox", body("plain-" .. how))
        told(err, {})
        assert.equal(before + 1, count_of(server))
        client:close()
      end)

      it("a creation is looked for and adopted, " .. how, function()
        local before = count_of(server)
        local client = connected()
        gate:arm("answer", how)
        assert(client:create { name = "adopted-" .. how, wait = false })
        assert.equal(before + 1, count_of(server))
        client:close()
      end)
    end

    it("a creation that did not arrive is made", function()
      local before = count_of(server)
      for _, place in ipairs { 0, 1, 100 } do
        local client = connected()
        gate:arm(place, "close")
        assert(client:create { wait = false })
        client:close()
      end
      assert.equal(before + 3, count_of(server))
    end)

    it("a creation that cannot be looked for at once is undone", function()
      local before = count_of(server)
      local client = connected { max_retries = 0 }
      gate:arm("answer", "close", { away = 0.1 })
      local made, err = client:create()
      assert.is_nil(made)
      assert.is_true(err.sent)
      assert.equal(before, count_of(server))
      client:close()
    end)
  end)
end

describe("where the new connection fails in another way,", function()
  local server, gate, client

  setup(function()
    server = assert(devserver.start { tls = true })
    gate = vanishing.start((server.api_url:match ":(%d+)/"))
    client = assert(daytona.new {
      api_url = server.api_url:gsub(":%d+/", ":" .. gate.port .. "/"), api_key = server.api_key,
      ca_file = server.certificate, connect_timeout = 0.2, max_retries = 1,
    })
  end)

  teardown(function()
    client:close()
    gate:close()
    server:stop()
  end)

  for back, what in pairs { silent = "it is silent", plain = "it speaks no TLS" } do
    it("because " .. what .. ", the first one still counts", function()
      gate:mend()
      gate:wait()
      assert(client:config())
      local before = count_of(server)
      gate:arm("answer", "close", { away = 0, back = back })
      local _, err = client:request("POST", "/sandbox", { json = { name = shell.quote(back):gsub("%W", "") } })
      told(err, {})
      assert.equal(before + 1, count_of(server))
    end)
  end
end)
