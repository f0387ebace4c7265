-- Server-sent events, cut anywhere.

local sse = require "daytona.http.sse"

-- What comes of a stream that is fed in pieces of that size.
local function events_of(text, size)
  local list = {}
  local parser = sse.new(function(event) list[#list + 1] = event end)
  for i = 1, #text, size do parser:feed(text:sub(i, i + size - 1)) end
  return list
end

local STREAM = "\239\187\191: hello\r\n" .. "event: a\r\ndata: {\"x\":\"\195\164\240\159\152\128\"}\r\n\r\n"
  .. "data: one\ndata:  two\ndata\nid: 7\n\n" .. "event: empty\n\n" .. "data:three\r\rretry: 5\n\n"
  .. "event: cut\ndata: never told"

local WANTED = {
  { event = "a", data = "{\"x\":\"\195\164\240\159\152\128\"}" },
  { event = "message", data = "one\n two\n", id = "7" },
  { event = "message", data = "three", id = "7" },
}

describe("a stream of events", function()
  it("is the same wherever it is cut", function()
    for size = 1, #STREAM do assert.same(WANTED, events_of(STREAM, size), "pieces of " .. size) end
    for at = 1, #STREAM - 1 do
      local list = {}
      local parser = sse.new(function(event) list[#list + 1] = event end)
      parser:feed(STREAM:sub(1, at))
      parser:feed ""
      parser:feed(STREAM:sub(at + 1))
      assert.same(WANTED, list, "cut behind " .. at)
    end
  end)

  it("may begin with a byte order mark, which elsewhere is a part of what is said", function()
    local mark = "\239\187\191"
    assert.same({ { event = "message", data = "a" }, { event = "message", data = mark .. "b" } },
      events_of(mark .. "data: a\n\ndata: " .. mark .. "b\n" .. mark .. "data: c\n\n", 7))
  end)

  it("takes long data in linear time", function()
    local data = ("x"):rep(300000)
    local before = os.clock()
    assert.equal(#data, #events_of("data: " .. data .. "\n\n", 16)[1].data)
    assert.is_true(os.clock() - before < 5)
  end)

  it("tells no event that has no data, and none that was not ended", function()
    assert.same({}, events_of("event: x\n\n: c\n\ndata: y\n", 3))
  end)
end)
