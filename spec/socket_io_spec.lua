-- Socket.IO's frames: what the service sends, as recorded, and whatever else could come.

local socket_io = require "daytona.http.socket_io"

describe("a frame of Socket.IO", function()
  it("that begins the conversation says how often it will be pinged", function()
    local kind, hello = socket_io.parse
      '0{"sid":"z3","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
    assert.equal("open", kind)
    assert.equal(25000, hello.pingInterval)
  end)

  it("that is a ping is answered with what came with it", function()
    assert.same({ "ping", "" }, { socket_io.parse "2" })
    assert.same({ "ping", "probe" }, { socket_io.parse "2probe" })
    assert.equal("3probe", socket_io.pong "probe")
    assert.equal("3", socket_io.pong())
  end)

  it("lets in, or refuses and says why", function()
    assert.equal("connected", (socket_io.parse '40{"sid":"ruZy3Q_TctPic9J-AAAE"}'))
    assert.equal("connected", (socket_io.parse "40"))
    assert.same({ "refused", "Unauthorized" }, { socket_io.parse '44{"message":"Unauthorized"}' })
    assert.same({ "refused", "old style" }, { socket_io.parse '44"old style"' })
    assert.same({ "refused", "no reason" }, { socket_io.parse "44" })
    assert.equal('40{"token":"a\\"b"}', socket_io.connect 'a"b')
  end)

  it("is an event with a name and a table", function()
    local kind, name, payload = socket_io.parse
      '42["sandbox.state.updated",{"sandbox":{"id":"a"},"oldState":"creating","newState":"started"}]'
    assert.same({ "event", "sandbox.state.updated", "a", "started" },
      { kind, name, payload.sandbox.id, payload.newState })
    for _, text in ipairs { '42/,["x",{"a":1}]', '4212["x",{"a":1}]', '42/,7["x",{"a":1}]' } do
      assert.same({ "event", "x", { a = 1 } }, { socket_io.parse(text) })
    end
    assert.same({ "event", "bare", {} }, { socket_io.parse '42["bare"]' })
    assert.same({ "event", "text", {} }, { socket_io.parse '42["text","no table"]' })
    assert.equal("other", (socket_io.parse '42/admin,["x",{}]'))
  end)

  it("ends the conversation, or is of no concern", function()
    assert.equal("left", (socket_io.parse "41"))
    assert.equal("left", (socket_io.parse "1"))
    for _, text in ipairs { "3", "3probe", "5", "6", "430[]", "45-[]", "46", "4", "49" } do
      assert.equal("other", (socket_io.parse(text)), text)
    end
  end)

  it("that is none is told, and raises nothing", function()
    for _, text in ipairs { "", "x", "7", "0", "0[", "0nothing", "42", "42{", "42[", "42[]", "42[1]",
      '42{"a":1}', "42null",
      "\0", "\255\254" } do
      local kind, why = socket_io.parse(text)
      assert.is_nil(kind, text)
      assert.is_string(why)
    end
  end)

  it("of noise is one of the kinds, or nil and why", function()
    local known = { open = true, ping = true, connected = true, refused = true, event = true, left = true,
      other = true }
    local pieces = { "0", "1", "2", "3", "4", "40", "41", "42", "43", "44", "45", "/", ",", "-", "[", "]", "{", "}",
      '"', "null", '"x"', '{"a":1}', '{"sid":"s"}', "1e999", "\\u0000", "\0", "\200", " ", ("["):rep(300), "true" }
    local seed = 20261126
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
    for _ = 1, 20000 do
      local text = {}
      for i = 1, random(6) do text[i] = pieces[random(#pieces)] end
      text = table.concat(text)
      local fine, kind, value, payload = pcall(socket_io.parse, text)
      assert.is_true(fine, ("%q: %s"):format(text, tostring(kind)))
      if kind == nil then
        assert.is_string(value)
      else
        assert.is_true(known[kind], text)
        if kind == "event" then
          assert.is_string(value)
          assert.is_table(payload)
        elseif kind == "open" then
          assert.is_table(value)
        end
      end
    end
  end)
end)
