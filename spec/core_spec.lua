-- daytona.core: the C module as lua/daytona/meta/core.lua describes it.

local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local Peer = require "spec.support.peer"

local DONE, READABLE, WRITABLE = core.DONE, core.READABLE, core.WRITABLE

-- Whether the set `what` of events contains `event`, in every Lua.
local function has(what, event)
  return what % (event * 2) >= event
end

describe("daytona.core", function()
  local peer, engine

  setup(function() peer = Peer.start() end)
  teardown(function() peer:close() end)

  before_each(function() engine = core.new() end)
  after_each(function() engine:close() end)

  -- Polls until one of `events` has happened to the transfer.
  local function await(transfer, events)
    local limit = core.now() + 10
    local id = transfer:id()
    while core.now() < limit do
      local list = engine:poll(limit - core.now()) or {}
      for i = 1, #list, 2 do
        for _, event in ipairs(events) do
          if list[i] == id and has(list[i + 1], event) then return list[i + 1] end
        end
      end
    end
    error("nothing happened within 10 s", 2)
  end

  local function start(path, fields)
    local request = { url = peer.url .. path }
    for name, value in pairs(fields or {}) do request[name] = value end
    return assert(engine:start(request))
  end

  local function finish(path, fields)
    local transfer = start(path, fields)
    await(transfer, { DONE })
    return transfer
  end

  local function temp_file(content)
    local path = os.tmpname()
    local file = assert(io.open(path, "w+b"))
    os.remove(path)
    if content then file:write(content) end
    return file
  end

  describe("functions", function()
    it("tell versions, the time, the process and random bytes", function()
      assert.matches("^%d+%.%d+%.%d+$", core.version)
      assert.equal(require("daytona.version").library, core.version)
      assert.matches("^libcurl/", core.curl_version())
      local before = core.now()
      assert.is_true(core.now() >= before)
      assert.is_true(core.pid() > 0)
      assert.equal(256, #core.random(256))
      assert.not_equal(core.random(16), core.random(16))
      assert.has_error(function() core.random(0) end)
      assert.has_error(function() core.random(257) end)
    end)

    it("write strings as JSON does", function()
      assert.equal([["\"\\/\b\t\n\f\r\u0001\u001f"]], core.json_string('"\\/\b\t\n\f\r\1\31'))
      local long = ("a\"\1"):rep(100000)
      assert.equal('"' .. ([[a\"\u0001]]):rep(100000) .. '"', core.json_string(long))
    end)

    it("recognize UTF-8", function()
      local good = {
        "", "plain", "\194\128", "\223\191", "\224\160\128", "\237\159\191", "\239\191\191",
        "\240\144\128\128", "\244\143\191\191", "a\226\130\172b", "\0",
      }
      local bad = {
        "\128", "\192\128", "\193\191", "\194", "\194a", "\224\159\191", "\237\160\128", "\226\130",
        "\240\143\191\191", "\244\144\128\128", "\245\128\128\128", "\255", "ok\240\144\128",
      }
      for _, s in ipairs(good) do assert.is_true(core.is_utf8(s), ("%q"):format(s)) end
      for _, s in ipairs(bad) do assert.is_false(core.is_utf8(s), ("%q"):format(s)) end
      for _, s in ipairs(good) do
        assert.equal('"' .. s:gsub("%z", "\\u0000") .. '"', core.json_string(s))
      end
      for _, s in ipairs(bad) do assert.is_nil(core.json_string(s), ("%q"):format(s)) end
    end)
  end)

  describe("the short cuts for JSON", function()
    local cjson = require("cjson").new()

    it("write commands as the long way does", function()
      local texts = {
        "ls -l", "it's", "''", "'", "a\\'b\"\n\tc\1", "\226\130\172", (" "):rep(99) .. "x", ("'"):rep(340),
        ("\1"):rep(340), ("it's \"so\"\n\226\130\172"):rep(20000),
      }
      for _, text in ipairs(texts) do
        local quoted = "'" .. text:gsub("'", "'\\''") .. "'"
        local before, id, after = core.json_command("<", text, "|", ">"):match "^<(.*)|(%x+%-%d+%.)(>)$"
        assert.equal(core.json_string(quoted), "\"'" .. before .. "'\"")
        assert.is_string(id .. after)
      end
      for _, text in ipairs { "", " \t\n", "a\0b", "\255", ("x"):rep(5000) .. "\255", false, 12, {} } do
        assert.is_nil(core.json_command("", text, "", ""))
      end
      local long = ("x"):rep(5000)
      assert.equal(long .. "y", core.json_command(long, "y", "", ""):match "^x+y")
    end)

    it("read the plainest objects as cjson does, and leave all others to it", function()
      local function pair(text) return core.json_pair(text, "n", "s") end
      for _, text in ipairs {
        '{"n":0,"s":""}', '{"n":-1,"s":"x"}', ' { "n" : 123456789012345 , "s" : "a b" } \n',
        [[{"n":7,"s":"\"\\\/\b\f\n\r\t"}]], [[{"n":7,"s":"\u0000\u001b[1m\u00e9\u20ACx\uffff"}]],
        '{"n":-0,"s":"\195\169"}', [[{"n":1,"s":"\ud83d\ude00x\uDBFF\uDFFF"}]],
        '{"n":1,"s":"' .. ([[\n]]):rep(5000) .. '"}',
      } do
        local n, s = pair(text)
        local value = cjson.decode(text)
        assert.equal(value.n, n)
        assert.equal(value.s, s)
        if math.type then assert.equal("integer", math.type(n)) end
      end
      for _, text in ipairs {
        "", "{", "{}", "[]", "null", '{"n":1}', '{"s":"","n":1}', '{"n":1,"s":"","x":1}', '{"n":1,"s":null}',
        '{"n":null,"s":""}', '{"n":1.5,"s":""}', '{"n":1e3,"s":""}', '{"n":01,"s":""}', '{"n":-,"s":""}',
        '{"n":1234567890123456,"s":""}', '{"n":"1","s":""}', '{"n":1,"s":"\n"}', [[{"n":1,"s":"\ud83d"}]],
        [[{"n":1,"s":"\ude00\ud83d"}]], [[{"n":1,"s":"\ud83dxude00"}]], [[{"n":1,"s":"\ud83d\ud83d"}]],
        [[{"n":1,"s":"\x"}]], [[{"n":1,"s":"\u12"}]], [[{"n":1,"s":"\u12g4"}]], '{"n":1,"s":"a', [[{"n":1,"s":"a\]],
        [[{"n":1,"s":"a\u00]], '{"n":1,"s":"a"', '{"n":1,"s":"a"}x', '{"n":1,"s":"a"}\0', '{"nn":1,"s":""}',
        '{"n" "s":""}',
      } do
        assert.equal(0, select("#", pair(text)), text)
      end
    end)
  end)

  it("find the end of a plain text wherever it is among eight bytes", function()
    for size = 0, 24 do
      for _, fill in ipairs { "x", " ", "!", "#", "[", "]", "\127", "\195", "\255" } do
        local text = fill:rep(size)
        local function pair(tail) return core.json_pair('{"n":1,"s":"' .. text .. tail, "n", "s") end
        assert.equal(text, (select(2, pair '"}')))
        assert.equal(text .. "\n" .. ("y"):rep(17), (select(2, pair([[\n]] .. ("y"):rep(17) .. '"}'))))
        for _, control in ipairs { "\0", "\1", "\31" } do
          assert.is_nil(pair(control .. ("z"):rep(14) .. '"}'))
        end
        assert.is_nil(pair(("z"):rep(15)))
      end
    end
  end)

  it("gives names that are found once", function()
    local seen = {}
    for _ = 1, 200 do
      local name = core.unique()
      assert.matches("^%x+%-%d+%.$", name)
      assert.is_nil(seen[name])
      seen[name] = true
    end
  end)

  it("knows whether a coroutine can yield, where Lua does", function()
    if core.is_yieldable() == nil then return end -- 5.1 and 5.2
    local inside, beyond
    coroutine.wrap(function()
      inside = core.is_yieldable()
      table.sort({ 2, 1 }, function(a, b)
        beyond = core.is_yieldable()
        return a < b
      end)
    end)()
    assert.same({ true, false }, { inside, beyond })
  end)

  describe("a request", function()
    it("gets an answer of any status", function()
      local transfer = finish("/status/503")
      local status, body = transfer:result()
      assert.equal(503, status)
      assert.equal('{"status":503}', body)
      assert.equal(503, transfer:status())
      assert.equal("application/json", transfer:header("content-TYPE"))
      assert.is_nil(transfer:header("x-none"))
      if math.type then assert.equal("integer", math.type(status)) end
    end)

    it("says what it sent and got", function()
      local transfer = finish("/bytes/1000", { method = "POST", body = "four" })
      local received, announced, sent = transfer:progress()
      assert.same({ 1000, 1000, 4 }, { received, announced, sent })
      local left, answered, reused, seconds = transfer:trace()
      assert.same({ true, true, false }, { left, answered, reused })
      assert.is_true(seconds >= 0 and seconds < 10)
      local _, _, again = finish("/ok"):trace()
      assert.is_true(again)
    end)

    it("carries the profile's headers and its own, which win", function()
      local profile = core.profile {
        headers = { "X-Both: profile", "X-Profile: yes" }, user_agent = "spec/1",
      }
      local transfer = finish("/echo", {
        method = "PATCH", profile = profile, headers = { "X-Both: request", "X-Own: yes" }, body = "b",
      })
      local _, text = transfer:result()
      assert.matches("^PATCH /echo HTTP/1.1\n", text)
      assert.matches("\nX%-Both: request\n", text)
      assert.matches("\nX%-Profile: yes\n", text)
      assert.matches("\nX%-Own: yes\n", text)
      assert.matches("\nUser%-Agent: spec/1\n", text)
      assert.is_nil(text:find("X-Both: profile", 1, true))
      assert.matches("\n\nb$", text)
    end)

    it("reads headers in any letter case, joined by name", function()
      local headers = finish("/headers"):headers()
      assert.equal("1", headers["x-one"])
      assert.equal("a, b", headers["x-twice"])
      assert.equal("", headers["x-empty"])
      assert.equal("c=1, d=2", headers["set-cookie"])
      assert.equal("a, b", finish("/headers"):header("X-TWICE"))
    end)

    it("takes many headers", function()
      local headers = {}
      for i = 1, 100 do headers[i] = ("X-%d: %d"):format(i, i) end
      local _, text = finish("/echo", { headers = headers }):result()
      assert.matches("\nX%-1: 1\n", text)
      assert.matches("\nX%-100: 100\n", text)
    end)

    it("sends bodies with zeros, and empty ones", function()
      local _, text = finish("/echo", { method = "POST", body = "a\0b" }):result()
      assert.equal("a\0b", text:sub(-3))
      local _, size = finish("/size", { method = "POST", body = "" }):result()
      assert.equal("0", size)
    end)

    it("sends a file from its current position", function()
      local file = temp_file("0123456789")
      file:seek("set", 4)
      local fields = { method = "PUT", body_file = file, body_length = 6 }
      local _, text = finish("/echo", fields):result()
      assert.equal("456789", text:sub(-6))
      file:close()
    end)

    it("sends a file that Lua closes meanwhile", function()
      local file = temp_file(("x"):rep(100000))
      file:seek("set")
      local transfer = start("/size", { method = "PUT", body_file = file, body_length = 100000 })
      file:close()
      await(transfer, { DONE })
      assert.equal("100000", (select(2, transfer:result())))
    end)

    it("writes an answer to a file, behind what Lua wrote", function()
      local file = temp_file("before ")
      local status, body = finish("/bytes/16", { sink_file = file }):result()
      assert.same({ 200, "" }, { status, body })
      file:seek("set")
      assert.equal("before 0123456789abcdef", file:read("*a"))
      file:close()
    end)

    it("keeps what is no success out of the file", function()
      local file = temp_file()
      local status, body = finish("/status/404", { sink_file = file }):result()
      assert.same({ 404, '{"status":404}' }, { status, body })
      assert.equal(0, file:seek("end"))
      file:close()
    end)

    it("streams a body in, as it is written", function()
      local transfer = start("/echo", { method = "POST", body_queue = true })
      assert.is_true(transfer:write("one "))
      assert.is_true(transfer:write("two"))
      transfer:finish()
      transfer:finish()
      await(transfer, { DONE })
      assert.equal("one two", (select(2, transfer:result())):sub(-7))
      assert.is_nil((transfer:write("late")))
    end)

    it("pushes back when a body is written too fast", function()
      local transfer = start("/size", { method = "POST", body_queue = true })
      local piece, total, full = ("x"):rep(65536), 0, 0
      while total < 200 * #piece do
        local taken = transfer:write(piece)
        assert.is_boolean(taken)
        if taken then
          total = total + #piece
        else
          full = full + 1
          await(transfer, { WRITABLE })
        end
      end
      transfer:finish()
      await(transfer, { DONE })
      assert.is_true(full > 0)
      assert.equal(tostring(total), (select(2, transfer:result())))
    end)

    it("streams an answer out, chunk by chunk", function()
      local transfer = start("/chunked/1000000", { sink_queue = true })
      local size = 0
      local chunk
      repeat
        chunk = transfer:read()
        if chunk then
          size = size + #chunk
        elseif chunk == nil then
          await(transfer, { READABLE, DONE })
        end
      until chunk == false
      assert.equal(1000000, size)
      assert.equal(200, transfer:status())
    end)

    it("pours an answer into a file", function()
      local file = temp_file "before "
      local transfer = start("/chunked/1000000", { sink_queue = true })
      local over = false
      repeat
        local at = transfer:pour(file, 0)
        while at do at = transfer:pour(file, at) end
        if over then break end
        over = has(await(transfer, { READABLE, DONE }), DONE)
      until false
      assert.is_false(transfer:read())
      assert.equal(1000007, file:seek("end"))
      file:close()
      assert.has_error(function() transfer:pour(file, 0) end)
    end)

    it("says what keeps it from pouring, and where it is told nonsense", function()
      local transfer = start("/bytes/16", { sink_queue = true })
      await(transfer, { DONE })
      local unwritable = assert(io.open("/dev/null", "rb"))
      for _, from in ipairs { -1, 16, 17 } do
        assert.has_error(function() transfer:pour(unwritable, from) end)
      end
      local at, message, errno = transfer:pour(unwritable, 0)
      assert.same({ nil, "Bad file descriptor", 9 }, { at, message, errno })
      assert.equal(12, transfer:pour(temp_file(), 12) + 12)
      assert.is_nil((transfer:pour(unwritable, 0)))
      assert.has_error(function() transfer:pour("file", 0) end)
    end)

    it("hands out what came before a stream broke", function()
      local transfer = start("/truncate", { sink_queue = true })
      await(transfer, { DONE })
      assert.equal("01234", transfer:read())
      local chunk, code, message = transfer:read()
      assert.is_nil(chunk)
      assert.equal("truncated", code)
      assert.is_string(message)
    end)

    it("sends multipart forms from memory and files", function()
      local file = temp_file("from a file")
      file:seek("set")
      local _, text = finish("/echo", {
        method = "POST",
        parts = {
          { name = "path", data = "a b" },
          { name = "file", filename = "f.txt", type = "text/plain", file = file, length = 11 },
        },
      }):result()
      file:close()
      assert.matches("Content%-Type: multipart/form%-data; boundary=", text)
      assert.matches('name="path".-\r\n\r\na b\r\n', text)
      assert.matches('name="file"; filename="f.txt"', text)
      assert.matches("\r\n\r\nfrom a file\r\n", text)
    end)
  end)

  describe("a failure", function()
    local function failure(path, fields)
      local transfer = finish(path, fields)
      local status, code, message, errno = transfer:result()
      assert.is_nil(status)
      assert.is_string(message)
      return code, errno
    end

    it("has a code", function()
      assert.equal("reset", (failure("/close-before")))
      assert.equal("reset", (failure("/reset-before")))
      assert.equal("truncated", (failure("/truncate")))
      assert.equal("protocol", (failure("/garbage")))
      assert.equal("too_large", (failure("/bytes/1001", { max_bytes = 1000 })))
      assert.equal("timeout", (failure("/never", { timeout = 0.05 })))
      assert.equal("idle_timeout", (failure("/stall", { idle_timeout = 0.2 })))
    end)

    it("of a connection carries the system's error", function()
      local transfer = assert(engine:start { url = "http://127.0.0.1:1/" })
      await(transfer, { DONE })
      local status, code, _, errno = transfer:result()
      assert.is_nil(status)
      assert.equal("connect", code)
      assert.equal(111, errno)
      assert.is_false((transfer:trace()))
    end)

    it("to find a descriptor for a file is told, not raised", function()
      local program = [[
        package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
        local core = require "daytona.base.native"
        local engine, file, taken = core.new(), io.tmpfile(), {}
        local more = io.open("/dev/null")
        while more do taken[#taken + 1], more = more, io.open("/dev/null") end
        print(engine:start { url = "http://127.0.0.1:1/", body_file = file })
        print(engine:start { url = "http://127.0.0.1:1/", sink_file = file })
        print(engine:start { url = "http://127.0.0.1:1/", parts = { { name = "a", file = file } } })
      ]]
      local out = io.popen("ulimit -n 40; exec " .. compat.name .. " -e '" .. program .. "' 2>&1 </dev/null")
      for _, field in ipairs { "body_file", "sink_file", "file" } do
        assert.equal("nil\t" .. field .. ": Too many open files\t24", out:read "*l")
      end
      out:close()
    end)

    it("is nothing before the end", function()
      local transfer = start("/never")
      assert.is_nil((transfer:result()))
      assert.equal(1, select("#", transfer:result()))
      assert.is_nil(transfer:status())
      transfer:cancel()
      assert.equal("canceled", (select(2, transfer:result())))
      transfer:cancel()
    end)
  end)

  describe("an exchange", function()
    local profile = core.profile { headers = { "X-Of: profile" } }

    local function call_of(path, body)
      return core.call(profile, body and "POST" or "GET", peer.url .. path, body and "Content-Type: text/plain",
        nil, "status", "text")
    end

    local function exchange(out, wait, path, body)
      return engine:exchange(out, wait, call_of(path, body), body, 10, 1000)
    end

    it("has the answer of 2xx at once, and nothing else to do with", function()
      local out = { false, 0 }
      local status, body = exchange(out, 10, "/echo", "some text")
      assert.equal(200, status)
      for _, part in ipairs { "^POST /echo ", "X%-Of: profile\r?\n", "Content%-Type: text/plain\r?\n", "some text$" } do
        assert.matches(part, body)
      end
      assert.is_false(out[1])
      assert.is_nil(engine:step())
      assert.equal(1, engine:stats().finished)
    end)

    it("hands over the transfer of any other answer", function()
      local out = { false, 0 }
      assert.same({ nil, true }, { exchange(out, 10, "/status/404") })
      assert.equal(404, (out[1]:result()))
      assert.equal(out[1]:id(), out[2])
      assert.same({ nil, true }, { exchange(out, 10, "/bytes/1001") })
      assert.equal("too_large", (select(2, out[1]:result())))
      assert.is_nil(engine:step())
    end)

    it("hands over the transfer that is still under way", function()
      for _, wait in ipairs { 0, 0.01 } do
        local out = { false, 0 }
        assert.same({ nil, false }, { exchange(out, wait, "/delay?ms=400") })
        assert.is_nil((out[1]:result()))
        await(out[1], { DONE })
        assert.equal(200, (out[1]:result()))
      end
    end)

    it("does not keep other events waiting", function()
      local out, other = { false, 0 }, start("/ok")
      assert.same({ nil, false }, { exchange(out, 10, "/never") })
      assert.equal(other:id(), engine:step()[1])
      out[1]:close()
    end)

    it("does nothing where a character is forbidden", function()
      local out = { false, 0 }
      for _, path in ipairs { "/\n", "/ " } do
        assert.equal(0, select("#", exchange(out, 10, path)))
      end
      assert.is_nil(call_of "/\0")
      assert.is_false(out[1])
    end)

    it("takes a small answer apart that holds nothing but what was named", function()
      local out = { false, 0 }
      assert.same({ 200, 7, "a\nb" }, { exchange(out, 10, '/reply?body=%7B%22status%22:7,%22text%22:%22a%5Cnb%22%7D') })
    end)

    it("may be made again and again, whatever changes", function()
      local out, calls = { false, 0 }, {}
      for i, path in ipairs { "/echo", "/echo?b", "/echo" } do calls[i] = call_of(path, "") end
      for i = 1, 30 do
        local body = ("x"):rep(i * 50 % 1300)
        local status, answer = engine:exchange(out, 10, calls[i % 3 + 1], body, 10, 10000)
        assert.equal(200, status)
        assert.matches(i % 3 == 1 and "^POST /echo%?b " or "^POST /echo ", answer)
        assert.equal(body, answer:match "\r?\n\r?\n(.*)$")
      end
      collectgarbage()
      profile:close()
      assert.has_error(function() engine:exchange(out, 10, calls[1]) end)
    end)
  end)

  describe("misuse", function()
    it("raises", function()
      assert.has_error(function() engine:start() end)
      assert.has_error(function() engine:start {} end,
        "bad field 'url' (string expected, got nil)")
      local wrong = {
        url = 1, method = true, headers = "X: y", profile = {}, body = 1, body_file = "f",
        body_queue = 1, parts = 1, sink_file = {}, sink_queue = "yes", max_bytes = "1",
        connect_timeout = "1", timeout = -1, idle_timeout = 0 / 0, progress = 1,
      }
      for name, value in pairs(wrong) do
        local request = { url = peer.url .. "/ok" }
        request[name] = value
        local ok, message = pcall(engine.start, engine, request)
        assert.is_false(ok, name)
        if name ~= "profile" then assert.matches("bad field '" .. name .. "'", message) end
      end
      assert.has_error(function() start("/ok", { body = "a", body_queue = true }) end)
      assert.has_error(function() start("/ok", { sink_file = io.stdout, sink_queue = true }) end)
      assert.has_error(function() start("/ok", { headers = { 1 } }) end)
      assert.has_error(function() start("/ok", { max_bytes = 1.5 }) end)
      assert.has_error(function() start("/ok", { parts = { {} } }) end)
      assert.has_error(function() start("/ok", { parts = { { name = "empty" } } }) end)
      local closed = temp_file()
      closed:close()
      assert.has_error(function() start("/ok", { sink_file = closed }) end)
      assert.equal(0, engine:stats().running)
    end)

    it("of characters is refused with the culprit's name", function()
      for _, bad in ipairs { "\r\nX: y", "\0", "\n" } do
        local request, culprit = engine:start { url = peer.url .. "/ok" .. bad }
        assert.is_nil(request)
        assert.matches("url", culprit:lower())
        request, culprit = engine:start { url = peer.url .. "/ok", method = "GET" .. bad }
        assert.is_nil(request)
        assert.matches("method", culprit)
        request, culprit = engine:start { url = peer.url .. "/ok", headers = { "X: y" .. bad } }
        assert.is_nil(request)
        assert.matches("header", culprit)
        assert.has_error(function() core.profile { headers = { "X: y" .. bad } } end)
        assert.has_error(function() core.profile { user_agent = bad } end)
      end
      assert.equal(0, peer:stats().requests["/okX"] or 0)
    end)

    it("of profiles raises", function()
      assert.has_error(function() core.profile() end)
      assert.has_error(function() core.profile { headers = { {} } } end)
      assert.has_error(function() core.profile { insecure = 1 } end)
      assert.has_error(function() core.profile { proxy = {} } end)
      assert.has_error(function() core.new { max_connections = -1 } end)
      assert.has_error(function() core.new "x" end)
    end)
  end)

  describe("objects", function()
    local function refuses(text, fn, ...)
      local ok, message = pcall(fn, ...)
      assert.is_false(ok)
      assert.matches(text, message)
    end

    it("have names", function()
      assert.matches("^daytona.core.Engine: ", tostring(engine))
      local transfer, id = start("/never")
      assert.equal(("daytona.core.Transfer: %d"):format(id), tostring(transfer))
      assert.equal(id, transfer:id())
      assert.matches("^daytona.core.Profile: ", tostring(core.profile {}))
    end)

    it("close twice and are unusable then", function()
      local transfer, profile = start("/never"), core.profile {}
      for _, object in ipairs { transfer, profile, engine } do
        object:close()
        object:close()
        assert.matches(": closed$", tostring(object))
      end
      for _, name in ipairs { "id", "result", "status", "headers", "progress", "trace", "read",
        "finish", "cancel" } do
        refuses("attempt to use a closed transfer", transfer[name], transfer)
      end
      refuses("attempt to use a closed transfer", transfer.header, transfer, "x")
      refuses("attempt to use a closed transfer", transfer.write, transfer, "x")
      for _, name in ipairs { "fd", "timeout", "step", "poll", "alarm", "is_ours", "abandon",
        "stats" } do
        refuses("attempt to use a closed engine", engine[name], engine)
      end
      refuses("attempt to use a closed engine", engine.start, engine, { url = "http://x/" })
      engine = core.new()
      refuses("attempt to use a closed profile", engine.start, engine,
        { url = "http://x/", profile = profile })
    end)

    it("refuse each other's methods", function()
      local transfer = start("/never")
      assert.has_error(function() engine.step(transfer) end)
      assert.has_error(function() transfer.result(engine) end)
      assert.has_error(function() transfer.result(io.stdout) end)
      assert.has_error(function() transfer.result() end)
    end)

    it("close in any order", function()
      local transfer, queue = start("/never"), start("/stall", { sink_queue = true })
      engine:close()
      assert.equal("canceled", (select(2, transfer:result())))
      assert.equal("canceled", (select(2, queue:read())))
      transfer:cancel()
      transfer:close()
      queue:close()
    end)

    it("are collected, and end what they did", function()
      start("/never?collected")
      peer:wait("/never", peer:stats().requests["/never"])
      collectgarbage()
      collectgarbage()
      assert.equal(0, engine:stats().running)
    end)

    it("keep what they need alive", function()
      local transfer
      do
        local own = core.new()
        transfer = own:start {
          url = peer.url .. "/echo", profile = core.profile { headers = { "X-Kept: yes" } },
        }
      end
      collectgarbage()
      collectgarbage()
      assert.is_nil((transfer:result()))
      transfer:close()
    end)

    if _VERSION >= "Lua 5.4" then it("close by the scope", function()
      local closing = load [[
        local core, url = ...
        local kept
        do
          local engine <close> = core.new()
          local transfer <close> = engine:start { url = url }
          kept = transfer
        end
        return kept
      ]]
      assert.matches("closed", tostring(closing(core, peer.url .. "/never")))
    end) end
  end)

  describe("an engine", function()
    it("is quiet when idle", function()
      finish("/ok")
      local before = engine:stats().steps
      assert.is_nil((engine:poll(0.02)))
      assert.equal(before + 1, engine:stats().steps)
      assert.is_nil((engine:step()))
    end)

    it("wakes at its alarm", function()
      engine:alarm(core.now() + 0.03)
      assert.is_true(engine:timeout() <= 0.03)
      local before = core.now()
      engine:poll(5)
      assert.is_true(core.now() - before < 4)
      assert.is_nil(engine:timeout())
      engine:alarm(core.now() + 0.03)
      engine:alarm()
      assert.is_nil(engine:timeout())
    end)

    it("has a descriptor and counts", function()
      assert.is_true(engine:fd() >= 0)
      assert.is_true(engine:is_ours())
      finish("/ok")
      local stats = engine:stats()
      assert.same({ 1, 1, 1, 0, 0 },
        { stats.started, stats.finished, stats.connects, stats.running, stats.queued })
    end)

    it("opens no more connections than allowed, and queues the rest", function()
      local small = core.new { max_connections = 2 }
      local list = {}
      for i = 1, 5 do list[i] = assert(small:start { url = peer.url .. "/ok" }) end
      small:step()
      assert.is_true(small:stats().running <= 2)
      local done, limit = 0, core.now() + 10
      while done < 5 and core.now() < limit do done = done + #(small:poll(10) or {}) / 2 end
      assert.equal(5, done)
      assert.is_true(small:stats().connects <= 2)
      for i = 1, 5 do assert.equal(200, (list[i]:result())) end
      small:close()
    end)

    it("sends small requests over connections of its own, or all through libcurl", function()
      for _, through in ipairs { false, true } do
        local other = core.new { max_connections = 1, through_libcurl = through }
        for _, streams in ipairs { false, true, false, true } do
          local transfer = assert(other:start { url = peer.url .. "/ok", sink_queue = streams })
          local limit = core.now() + 10
          while not transfer:result() and core.now() < limit do other:poll(limit - core.now()) end
          assert.equal(200, (transfer:result()))
          transfer:close()
        end
        assert.equal(through and 1 or 2, other:stats().connects)
        other:close()
      end
    end)

    it("reports progress when asked", function()
      local transfer = start("/slow-body?ms=5&n=5", { progress = true })
      local what = await(transfer, { core.PROGRESS })
      assert.is_true(has(what, core.PROGRESS))
      assert.is_true((transfer:progress()) <= 5)
    end)

    it("has a doorbell, which nobody may answer", function()
      local bell = assert(engine:doorbell())
      assert.matches("/daytona%-bell%-%w+/bell$", bell:path())
      assert.is_nil((bell:open()))
      assert.is_false(bell:is_open())
      assert.is_false(bell:arm(0))
      local path = bell:path()
      assert.equal("other", core.file_type(path))
      bell:close()
      bell:close()
      assert.is_nil((core.file_type(path)))
      assert.has_error(function() bell:arm() end, "attempt to use a closed doorbell")
    end)

    it("lets go of itself", function()
      engine:abandon()
      engine:close()
      engine = core.new()
    end)
  end)
end)
