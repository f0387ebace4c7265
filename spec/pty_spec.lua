-- Terminals in a sandbox, as a program has them.

local daytona = require "daytona"
local loop = require "daytona.loop"
local http = require "daytona.http"
local scripted = require "spec.support.scripted_daemon"

local CONNECTED = { "text", '{"type":"control","status":"connected"}' }
local CREATE = "/process/pty/create-connect"
local unpack = unpack or table.unpack -- luacheck: ignore 143

describe("a terminal", function()
  local service, sandbox

  setup(function()
    service = require("spec.support.service").start()
    sandbox = assert(service.client:create { env = { PS1 = "$ " } })
  end)
  teardown(function()
    sandbox:delete()
    service:stop()
  end)
  after_each(function()
    for _, left in ipairs(assert(sandbox:ptys())) do left:kill() end
  end)

  -- Reads until the output matches; what was read.
  local function expect(pty, pattern)
    local text = ""
    while not text:find(pattern) do
      local chunk, err = pty:read { timeout = 10 }
      if not chunk then error("no " .. pattern .. " in " .. text .. ": " .. tostring(err)) end
      text = text .. chunk
    end
    return text
  end

  local function all(pty)
    local chunks = {}
    for chunk in pty:chunks() do chunks[#chunks + 1] = chunk end
    return table.concat(chunks)
  end

  it("is a shell of its size, in its folder, with its variables", function()
    local pty = assert(sandbox:pty { cols = 91, rows = 17, cwd = "/tmp", env = { A = "h\195\169" } })
    assert.is_truthy(tostring(pty):find("^terminal %(lua%-%x+, connected%)$"))
    assert(pty:write "stty size; echo is-$A-$TERM; pwd; exit 3\n")
    local text = all(pty)
    assert.is_truthy(text:find("17 91\r\nis-h\195\169-xterm-256color\r\n/tmp\r\n", 1, true), text)
    assert.same({ 3, "non-zero exit" }, { pty:wait() })
    assert.same({ true, 3, "non-zero exit" }, { pty.ended, pty.exit_code, pty.reason })
    assert.is_truthy(tostring(pty):find "ended, exit code 3")
    assert.is_nil(pty:read())
    assert.equal("gone", select(2, pty:write "late").kind)
    assert.is_true(pty:close())
  end)

  it("ends with 0, and says how it was killed", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "exit\n")
    assert.same({ 0 }, { pty:wait() })
    pty = assert(sandbox:pty())
    assert.is_true(pty:kill())
    assert.same({ 137, "SIGKILL" }, { pty:wait() })
    assert.is_true(pty:kill())
  end)

  it("takes what is typed, and Ctrl+C", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "echo rea''dy; cat\n")
    expect(pty, "ready\r\n")
    assert(pty:write "some\nlines\n")
    expect(pty, "lines\r\n.*lines\r\n")
    assert(pty:write "\3")
    expect(pty, "%^C.*%$ ") -- what is typed before that is thrown away with what was typed
    assert(pty:write "echo st''ill here\n")
    expect(pty, "still here")
    pty:close()
    assert.same({}, assert(sandbox:ptys()))
  end)

  it("takes more than fits into one message", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "stty raw -echo; echo rea''dy; head -c 300000 | md5sum; exit\n")
    expect(pty, "ready")
    local data = ("0123456789"):rep(30000)
    assert(pty:write(data))
    local sum = sandbox:exec("printf '%030000d' 0 | sed 's/0/0123456789/g' | md5sum").result:match "%x+"
    assert.is_truthy(expect(pty, "%x+  %-"):find(sum, 1, true))
    assert.equal(0, pty:wait())
  end)

  it("is read line by line", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "PS1=; stty -echo; echo rea''dy; cat; exec printf 'l\\303\\251ast'\n")
    repeat until assert(pty:read("l", { timeout = 10 })):find "ready$"
    local none, err = pty:read("l", { timeout = 0.05 })
    assert.same({ nil, "timeout" }, { none, err.kind })
    assert(pty:write "one\n\ntwo\n")
    assert.same({ "one", "\r\n", "two" }, { pty:read "l", pty:read "L", pty:read "*l" })
    assert(pty:write "three\nfour\n")
    assert.equal("three", pty:read "l")
    assert.equal("four\r\n", expect(pty, "\n")) -- kept for who reads on otherwise
    assert(pty:write "\4")
    local lines = {}
    for line in pty:lines() do lines[#lines + 1] = line end
    assert.same({ { "l\195\169ast" }, 0 }, { lines, pty.exit_code })
    assert.is_nil((pty:read "l"))
    assert.has_error(function() pty:read "x" end)
  end)

  it("is read by all formats of a file, and waited for in all ways of a wait", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "PS1=; stty -echo; echo rea''dy; cat; exit 4\n")
    repeat until assert(pty:read("l", { timeout = 10 })):find "ready$"
    assert(pty:write("12 0x10 abc\nrest\n", 10))
    assert.same({ 12, 16, " abc", "\r\n" }, { pty:read("n", "n", 4, 2) })
    assert.equal("timeout", select(2, pty:read("a", { timeout = 0.05 })).kind)
    assert.equal("timeout", select(2, pty:wait(0.05)).kind)
    assert(pty:write "\4")
    assert.truthy(pty:read "a":find "^rest\r\n")
    assert.equal(4, pty:wait(10))
    assert(pty:kill(10))
  end)

  it("carries any bytes both ways, cut anywhere", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "stty raw -echo; echo rea''dy; head -c 25600; exit\n")
    expect(pty, "ready\r?\n")
    local every = {}
    for i = 0, 255 do every[#every + 1] = string.char(i) end
    local bytes = table.concat(every):rep(100)
    local writer = daytona.spawn(function()
      for i = 1, #bytes, 1000 do assert(pty:write(bytes:sub(i, i + 999))) end
    end)
    local text = ""
    while #text < #bytes do text = text .. assert(pty:read { timeout = 10 }) end
    assert.is_true(text:sub(1, #bytes) == bytes)
    writer:wait()
    assert.equal(0, pty:wait())
  end)

  it("is read by several tasks, each of which gets what the others do not", function()
    local pty = assert(sandbox:pty())
    local chunks = 0
    local function reader()
      local chunk, err = pty:read { timeout = 0.5 }
      if chunk then chunks = chunks + 1 else assert.equal("timeout", err.kind) end
      return true
    end
    assert(daytona.gather { reader, reader, reader })
    assert.is_true(chunks > 0)
    assert(pty:write "echo st''ill there\n")
    expect(pty, "still there\r\n")
    pty:close()
  end)

  it("takes what several tasks type, each line of it whole", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "stty -echo; echo rea''dy; sort | uniq -c; exit\n")
    expect(pty, "ready\r\n")
    assert(daytona.map({ "a", "b", "c", "d", "e" }, function(letter)
      for _ = 1, 20 do assert(pty:write(letter:rep(50) .. "\n")) end
      return true
    end))
    assert(pty:write "\4")
    local text = all(pty)
    for letter in ("abcde"):gmatch "." do
      assert.is_truthy(text:find("20 " .. letter:rep(50) .. "\r\n", 1, true), text)
    end
  end)

  it("shows a prompt that no newline ends, and takes the answer", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "printf 'na''me? '; read x; echo hello-$x; exit\n")
    expect(pty, "name%? $")
    assert(pty:write "you\n")
    expect(pty, "hello%-you\r\n")
    assert.equal(0, pty:wait())
  end)

  it("hands out everything that is printed, to a reader that takes its time", function()
    local pty = assert(sandbox:pty())
    assert(pty:write "stty -echo; seq 1 100000; echo do''ne; exit\n")
    local size, tail = 0, ""
    for chunk in pty:chunks() do
      if size == 0 then loop.sleep(0.05) end
      size, tail = size + #chunk, (tail .. chunk):sub(-200)
    end
    assert.is_true(size >= 688894)
    assert.is_truthy(tail:find("100000\r\ndone\r\n", 1, true), tail)
    assert.equal(0, pty.exit_code)
  end)

  it("changes its size", function()
    local pty = assert(sandbox:pty())
    assert(pty:resize(120, 40))
    assert(pty:write "stty size\n")
    expect(pty, "40 120")
    assert.same({ 120, 40 }, { pty.cols, pty.rows })
    assert.has_error(function() pty:resize(0, 40) end)
    assert.has_error(function() pty:resize(80, 1001) end)
    pty:kill()
    pty:wait()
    assert.same({ nil, "gone" }, { pty:resize(80, 24), select(2, pty:resize(80, 24)).kind })
  end)

  it("goes on without a connection, and is found again", function()
    local pty = assert(sandbox:pty { id = "work" })
    expect(pty, "%$")
    assert(pty:write "export KEPT=yes; echo se''t\n")
    expect(pty, "set")
    pty:disconnect()
    local _, err = pty:read()
    assert.same({ "connection", "closed" }, { err.kind, err.code })
    local again = assert(sandbox:pty "work")
    assert(again:write "echo kept-$KEPT\n")
    expect(again, "kept%-yes")
    assert.is_true(again:close()) -- not its own: it is left
    local list = assert(sandbox:ptys())
    assert.same({ 1, "work", true, 80, 24 }, { #list, list[1].id, list[1].active, list[1].cols, list[1].rows })
    assert(list[1]:connect())
    assert(list[1]:write "exit 5\n")
    assert.equal(5, list[1]:wait())
    assert.equal("not_found", select(2, sandbox:pty "work").kind)
    assert.equal("not_found", select(2, pty:info()).kind)
    assert.equal("not_found", select(2, pty:connect()).kind)
  end)

  it("is shared: all see it", function()
    local pty = assert(sandbox:pty { id = "shared" })
    local other = assert(sandbox:pty "shared")
    assert(pty:write "echo bo''th\n")
    expect(pty, "both")
    expect(other, "both")
    pty:close()
    assert.same({ 137, "SIGKILL" }, { other:wait() })
  end)

  it("starts when it is first wanted, with `lazy`", function()
    local pty = assert(sandbox:pty { lazy = true, id = "later" })
    assert.is_truthy(tostring(pty):find "not connected")
    assert.same({ false, true }, { pty:info().active, pty.lazy_start })
    assert(pty:connect())
    assert.is_true(pty:info().active)
    pty:close()
  end)

  it("fails as it should", function()
    assert(sandbox:pty { id = "taken" })
    local _, err = sandbox:pty { id = "taken" }
    assert.same({ "conflict", 409, "pty", "taken" }, { err.kind, err.status, err.operation, err.what })
    assert.equal(1, #sandbox:ptys())
    _, err = sandbox:pty { cwd = "/no/such/place" }
    assert.equal("not_found", err.kind)
    _, err = sandbox:pty "none"
    assert.same({ "not_found", "PROCESS_NOT_FOUND" }, { err.kind, err.code })
    for _, bad in ipairs {
      { cols = 0 }, { rows = 1001 }, { id = "a b" }, { env = { ["A B"] = "x" } }, { env = { A = "\255" } },
      { colour = true },
    } do assert.has_error(function() sandbox:pty(bad) end) end
  end)

  it("is not made twice when the answer to its opening is lost", function()
    -- A sandbox of its own: what opened a terminal is noted when that has ended, and those of
    -- other specs may still be ending.
    local patient = service:connect { max_retries = 3 }
    local own = assert(patient:create())
    finally(function()
      assert(service.server:clear_faults())
      own:delete()
      patient:close()
    end)
    local function openings()
      local n = 0
      for _, request in ipairs(assert(service.server:requests())) do
        if request.sandbox == own.id and request.path == CREATE then n = n + 1 end
      end
      return n
    end
    for i, how in ipairs { { reset = true }, { drop = true } } do
      how.path, how.times = CREATE, 1
      assert(service.server:clear_faults())
      assert(service.server:faults { how })
      local pty, err = own:pty()
      assert.is_nil(pty)
      assert.equal("connection", err.kind)
      assert.equal(i, openings())
      assert.same({}, assert(own:ptys()))
    end
  end)

  it("ends with the scope and with the task it was opened in", function()
    local pty = daytona.using(assert(sandbox:pty()), function(pty)
      assert(pty:write "true\n")
      return pty
    end)
    assert.same({}, assert(sandbox:ptys()))
    assert.is_nil((pty:read()))
    -- A task that is cancelled while it opens one leaves none behind.
    for _, moment in ipairs { 0, 0.001, 0.01 } do
      local t = daytona.spawn(function() return sandbox:pty() end)
      if moment > 0 then daytona.sleep(moment) end
      t:cancel()
      local opened = t:wait()
      if opened then opened:close() end
    end
    assert.same({}, assert(sandbox:ptys()))
  end)

  it("wakes who waits for it when another task lets go of it", function()
    local pty = assert(sandbox:pty())
    expect(pty, "%$")
    local reader = daytona.spawn(function() return pty:read() end)
    daytona.sleep(0.01)
    pty:disconnect()
    local chunk, err = reader:wait(5)
    assert.is_nil(chunk)
    assert.equal("canceled", err.kind)
  end)

  it("loses the connection with a task that is cancelled, and can be taken up again", function()
    local pty = assert(sandbox:pty())
    expect(pty, "%$")
    local reader = daytona.spawn(function() return pty:read() end)
    reader:cancel()
    assert.equal("canceled", select(2, reader:wait()).kind)
    assert(pty:connect())
    assert(pty:write "echo ba''ck; exit 2\n")
    expect(pty, "back")
    assert.equal(2, pty:wait())
  end)

  it("can be read by one task while another waits for the end", function()
    local pty = assert(sandbox:pty())
    local reader = daytona.spawn(function()
      local text, chunk = "", pty:read() -- not `chunks`: Lua 5.1 cannot wait in an iterator of a task
      while chunk do
        text, chunk = text .. chunk, pty:read()
      end
      return text
    end)
    local waiter = daytona.spawn(function() return pty:wait { timeout = 10 } end)
    assert(pty:write "seq 1 2000; exit 4\n")
    assert.equal(4, waiter:wait(20))
    assert.is_truthy(reader:wait(5):find("\r\n2000\r\n", 1, true))
  end)

  it("waits as long as it is told to", function()
    local pty = assert(sandbox:pty())
    local code, err = pty:wait { timeout = 0.05 }
    assert.same({ nil, "timeout", "wait" }, { code, err.kind, err.code })
    assert(pty:write "echo on-$((6 * 7)); exit\n")
    local seen = ""
    assert.equal(0, pty:wait { timeout = 10, on_output = function(chunk) seen = seen .. chunk end })
    assert.is_truthy(seen:find("on-42", 1, true))
  end)

  it("carries more variables than a header would", function()
    local pty = assert(sandbox:pty { env = { BIG = ("x"):rep(20000) } })
    assert(pty:write "echo ${#BIG}; exit\n")
    assert.is_truthy(all(pty):find "20000\r\n")
  end)
end)

describe("a terminal of an old daemon", function()
  it("is made in two steps, and its end told by the close alone", function()
    local service = require("spec.support.service").start { legacy = "0.190" }
    local sandbox = assert(service.client:create())
    local pty = assert(sandbox:pty { cols = 70, rows = 20, env = { A = "old" } })
    assert(pty:write "echo $A; stty size; exit 3\n")
    local text = ""
    for chunk in pty:chunks() do text = text .. chunk end
    assert.is_truthy(text:find("old\r\n20 70\r\n", 1, true), text)
    assert.same({ 3, "non-zero exit" }, { pty:wait() })
    assert(sandbox:pty { id = "taken" })
    assert.equal("conflict", select(2, sandbox:pty { id = "taken" }).kind)
    assert.equal(1, service:count("GET", CREATE)) -- and not tried again
    local taken = assert(sandbox:pty "taken")
    taken:kill()
    assert.equal("gone", select(2, taken:resize(80, 24)).kind)
    sandbox:delete()
    service:stop()
  end)
end)

describe("a terminal whose daemon misbehaves", function()
  local peer
  setup(function() peer = scripted.start() end)
  teardown(function() peer:close() end)

  local function open(steps, opts)
    return peer:sandbox({ [CREATE] = steps }):pty(opts)
  end

  local function ending(...)
    local pty = assert(open { CONNECTED, { "binary", "out" }, ... })
    local text = ""
    local chunk, err
    repeat
      chunk, err = pty:read()
      text = text .. (chunk or "")
    until not chunk
    assert.equal("out", text)
    return pty, err
  end

  it("tells its end in any of the ways there are", function()
    for _, case in ipairs {
      { { { "close", 1000, '{"exitCode":0}' } }, 0 },
      { { { "close", 1000, "" } }, 0 },
      { { { "close", 1000, '{"exitCode":9,"exitReason":"non-zero exit"}' } }, 9, "non-zero exit" },
      { { { "close", 1011, '{"exitCode":130,"exitReason":"Ctrl+C"}' } }, 130, "Ctrl+C" },
      { { { "close", 1011, '{"exitCode":-1,"exitReason":"non-zero exit"}' } }, -1, "non-zero exit" },
      { { { "text", '{"type":"control","status":"exited","exitCode":143,"exitReason":"(SIGTERM)"}' },
          { "close", 1011, "" } }, 143, "SIGTERM" },
      { { { "text", '{"type":"control","status":"exited","exitCode":130,"exitReason":"(SIGINT - Ctrl+C)"}' },
          { "drop" } }, 130, "Ctrl+C" },
      { { { "text", '{"type":"control","status":"exited","exitCode":0}' }, { "close", 1006 } }, 0 },
    } do
      local pty, err = ending(unpack(case[1]))
      assert.is_nil(err)
      assert.same({ case[2], case[3] }, { pty:wait() })
    end
  end)

  it("may tell its end before its last output, and before it is connected", function()
    local pty = assert(open {
      { "binary", "a" }, { "text", '{"type":"control","status":"exited","exitCode":2}' }, { "binary", "b" },
      CONNECTED, { "binary", "c" }, { "close", 1011, "" },
    })
    local text = ""
    for chunk in pty:chunks() do text = text .. chunk end
    assert.equal("abc", text)
    assert.equal(2, pty:wait())
  end)

  it("is read to its last byte when that follows its end", function()
    local exited = { "text", '{"type":"control","status":"exited","exitCode":2}' }
    for _, how in ipairs { { "close", 1011, "" }, { "drop" } } do
      local pty = assert(open { CONNECTED, { "binary", "a" }, exited, { "sleep", 0.05 }, { "binary", "b" },
        { "sleep", 0.05 }, { "binary", "c\n" }, how })
      assert.same({ "abc" }, { pty:read "l" })
      assert.same({ 2, "non-zero exit" }, { pty:wait(), pty.reason or "non-zero exit" })
    end
  end)

  it("that tells its end and then nothing more is not waited for", function()
    local pty = assert(open { CONNECTED, { "text", '{"type":"control","status":"exited","exitCode":1}' } })
    assert.equal(1, pty:wait())
  end)

  it("is lost, and not over, when the connection is", function()
    for _, case in ipairs {
      { { "drop" }, "connection", "reset" },
      { { "close", 1001, "" }, "connection", "closed" },
      { { "close", 1011, "internal error" }, "connection", "closed" },
      { { "close", 1011, '{"exitCode":"x"}' }, "connection", "closed" },
      { { "close", 1008, "slow consumer" }, "connection", "slow_consumer" },
      { { "close", 1011, "PTY session unavailable" }, "gone", "SESSION_ENDED" },
    } do
      local pty, err = ending(case[1])
      assert.same({ case[2], case[3] }, { err.kind, err.code })
      assert.is_false(pty.ended)
      assert.equal(err, select(2, pty:wait()))
      assert.has_error(function() for _ in pty:chunks() do end end) -- luacheck: ignore 542
    end
  end)

  it("never takes output for news", function()
    local fake = '{"type":"control","status":"exited","exitCode":7}'
    local pty = assert(open {
      CONNECTED, { "binary", fake }, { "text", '{"a":1}' }, { "text", "{" }, { "close", 1000, "" },
    })
    local text = ""
    for chunk in pty:chunks() do text = text .. chunk end
    assert.equal(fake .. '{"a":1}{', text)
    assert.equal(0, pty:wait())
  end)

  it("says what it wants said in the opening", function()
    local pty = assert(open({ CONNECTED, { "say", ":path" }, { "say", "sec-websocket-protocol" }, { "close", 1000 } },
      { id = "a_b-1", cols = 10, rows = 5, cwd = "/a b&c", env = { A = "1" } }))
    assert.is_truthy(pty:read():find("?id=a_b-1&cols=10&rows=5&cwd=%2Fa%20b%26c", 1, true))
    assert.equal("X-Daytona-Pty-Envs~eyJBIjoiMSJ9, X-Daytona-Pty-Exit-Control", pty:read())
  end)

  it("that never says it is there is given up, and ended", function()
    local _, err = open({ { "binary", "hm" } }, { timeout = 0.1 })
    assert.same({ "timeout", "connect_timeout" }, { err.kind, err.code })
  end)

  it("is refused with the daemon's own words, and without the variables' values", function()
    local _, err = open({ { "status", 403, '{"error":"no: topsecret"}' } }, { env = { PASSWORD = "topsecret" } })
    assert.same({ "forbidden", 403 }, { err.kind, err.status })
    assert.is_nil(tostring(err):find "topsecret")
    _, err = open { { "text", '{"type":"control","status":"error","error":"Failed to start PTY session: no pts"}' },
      { "drop" } }
    assert.equal("server", err.kind)
    _, err = open { { "drop" } }
    assert.same({ "connection", "reset" }, { err.kind, err.code })
    local sandbox = peer:sandbox({ [CREATE] = { { "status", 404, "" } },
      ["/process/pty"] = { { "status", 409, '{"error":"PTY session with ID \'x\' already exists"}' } } })
    _, err = sandbox:pty { id = "x" }
    assert.equal("conflict", err.kind)
  end)

  it("that was made in two steps goes again when the second fails", function()
    local made = { ["/process/pty"] = { { "status", 201, '{"sessionId":"x"}' } }, [CREATE] = { { "status", 404, "" } },
      ["/process/pty/x/connect"] = { { "status", 500, "" } }, ["/process/pty/x"] = { { "status", 200, "{}" } } }
    local sandbox, deleted = peer:sandbox(made), 0
    local request = http.request
    http.request = function(connection, what, ...)
      if what.method == "DELETE" then deleted = deleted + 1 end
      return request(connection, what, ...)
    end
    local _, err = sandbox:pty { id = "x" }
    http.request = request
    assert.equal("server", err.kind)
    assert.equal(1, deleted)
  end)

  it("does not stop the program when it prints and prints", function()
    local pty = assert(open { CONNECTED, { "many", 2000, "binary", "y", 32768 }, { "close", 1000, "" } })
    loop.sleep(0.1)
    local received = pty.socket.op.transfer:progress()
    assert.is_true(received < 16 * 1024 * 1024, "held: " .. received)
    local size = 0
    for chunk in pty:chunks() do size = size + #chunk end
    assert.equal(2000 * 32768, size)
  end)

  it("says what is wrong with its folder", function()
    local sandbox = peer:sandbox({ ["/process/pty"] = { { "status", 500,
      '{"message":"failed to start PTY session: chdir /nope: no such file or directory"}' } } })
    local none, err = sandbox:pty { cwd = "/nope", lazy = true }
    assert.is_nil(none)
    assert.same({ "not_found", 500 }, { err.kind, err.status })
    sandbox = peer:sandbox({
      ["/process/pty"] = { { "status", 500, '{"error":"failed to start PTY session"}' } },
      ["/files/info"] = { { "status", 404, '{"message":"no such file","code":"FILE_NOT_FOUND"}' } },
    })
    none, err = sandbox:pty { cwd = "/nope" }
    assert.is_nil(none)
    assert.same({ "not_found", 500 }, { err.kind, err.status })
    assert.truthy(tostring(err):find("/nope is not there", 1, true))
    sandbox = peer:sandbox({
      ["/process/pty"] = { { "status", 500, '{"error":"failed to start PTY session"}' } },
      ["/files/info"] = { { "status", 200, '{"name":"f","isDir":false,"size":1}' } },
    })
    assert.equal("invalid", select(2, sandbox:pty { cwd = "/etc/passwd" }).kind)
    assert.equal("server", select(2, sandbox:pty()).kind)
  end)

  it("is what `ptys` says, in order, and with nothing there an empty list", function()
    local sandbox = peer:sandbox({ ["/process/pty"] = { { "status", 200,
      '{"sessions":[{"id":"b","createdAt":"2","cols":1,"rows":2,"envs":{"camelCase":"x"}},'
        .. '{"id":"a","createdAt":"1"}]}',
    } } })
    local list = assert(sandbox:ptys())
    assert.same({ "a", "b", "x" }, { list[1].id, list[2].id, list[2].env.camelCase })
    sandbox = peer:sandbox({ ["/process/pty"] = { { "status", 200, '{"sessions":null}' } } })
    assert.same({}, assert(sandbox:ptys()))
  end)
end)

