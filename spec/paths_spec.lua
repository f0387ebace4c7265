-- Whatever a user calls something, it does not become another path: what he names
-- reaches the other side as it was named, dots and all.

local core = require "daytona.base.native"
local daytona = require "daytona"
local url = require "daytona.http.url"

local peer, client, sandbox

setup(function()
  peer = require("spec.support.peer").start()
  client = assert(daytona.new { api_key = "secret", api_url = peer.url .. "/api", max_retries = 0 })
  sandbox = client:attach "box"
  sandbox.toolbox_proxy_url = peer.url .. "/toolbox"
end)

teardown(function()
  client:close()
  peer:close()
end)

-- The paths that were asked for by what f does, whatever becomes of it.
local function paths(f)
  local before = peer:stats().requests
  f()
  local list = {}
  for path, n in pairs(peer:stats().requests) do
    if n > (before[path] or 0) then list[#list + 1] = path end
  end
  table.sort(list)
  return list
end

-- A name, and the segment that stands for it.
local NAMES = {
  { ".", "%2E" }, { "..", "%2E%2E" }, { "%2e%2e", "%252e%252e" }, { "a/../b", "a%2F..%2Fb" },
  { "...", "..." }, { "..a", "..a" }, { "a..", "a.." },
}

-- Where a user's word becomes a part of a path, and what is asked then.
local PLACES = {
  { "get", "/api/sandbox/{}", function(word) client:get(word) end },
  { "attach", "/api/sandbox/{}", function(word) client:attach(word):refresh() end },
  { "delete", "/api/sandbox/{}", function(word) client:attach(word):delete() end },
  { "start", "/api/sandbox/{}/start", function(word) client:start(word) end },
  { "a recording", "/toolbox/box/computeruse/recordings/{}", function(word)
    sandbox.computer.recording:get(word)
  end },
  { "an interpreter's context", "/toolbox/box/process/interpreter/context/{}", function(word)
    sandbox.interpreter:delete_context(word)
  end },
}

for _, place in ipairs(PLACES) do
  describe(place[1], function()
    for _, name in ipairs(NAMES) do
      it("asks for what is called " .. name[1], function()
        local expected = place[2]:gsub("{}", (name[2]:gsub("%%", "%%%%")))
        local asked = paths(function() place[3](name[1]) end)
        assert.truthy(#asked > 0)
        local found = false
        for _, path in ipairs(asked) do
          local head = place[2]:match "^[^{]*" .. name[2]
          assert.equal(head, path:sub(1, #head))
          found = found or path == expected
        end
        assert.is_true(found, table.concat(asked, " "))
      end)
    end
  end)
end

describe("a path that is asked for as it stands", function()
  local AS_THEY_ARE = { "/.", "/..", "/a/./b", "/a/../b", "/%2e%2e/b", "/a/%2E%2E/b", "/a/..", "//a//b" }

  it("arrives so", function()
    for _, path in ipairs(AS_THEY_ARE) do
      assert.same({ "/api" .. path }, paths(function() client:request("GET", path) end))
    end
  end)

  it("arrives so again, over a kept connection", function()
    for _ = 1, 2 do
      assert.same({ "/api/a/../b" }, paths(function() client:request("GET", "/a/../b") end))
    end
  end)

  it("is that of a WebSocket, too", function()
    local websocket = require "daytona.http.websocket"
    local connection = assert(sandbox:toolbox())
    for _, path in ipairs(AS_THEY_ARE) do
      assert.same({ "/toolbox/box" .. path }, paths(function()
        websocket.open(connection, { path = path, retries = 0 })
      end))
    end
  end)
end)

describe("a segment of a path", function()
  it("is never one of dots alone, and never two", function()
    for _, name in ipairs(NAMES) do
      assert.equal("/x/" .. name[2] .. "/y", url.path("/x/{}/y", name[1]))
    end
  end)
end)

describe("a URL with a user in it", function()
  it("is refused: nothing is sent", function()
    local engine = core.new()
    assert.same({}, paths(function()
      local refused, culprit = engine:start { url = peer.url:gsub("//", "//me:hunter2@") .. "/ok" }
      assert.is_nil(refused)
      assert.equal("URL", culprit)
    end))
    engine:close()
  end)
end)
