-- Sessions as a user meets them: shells that stay, commands that are followed
-- live, and an end that always comes.

local core = require "daytona.core"
local daytona = require "daytona"
local failure = require "daytona.http.failure"
local following = require "daytona.toolbox.follow"
local haste = require "spec.support.haste"
local http = require "daytona.http"
local loop = require "daytona.loop"
local session_module = require "daytona.toolbox.session"
local support = require "spec.support.box"
local watch = require "daytona.toolbox.watch"

local is_lua51 = _VERSION == "Lua 5.1" and not jit

-- Both streams of a reader, joined.
local function drain(reader)
  local got = { stdout = {}, stderr = {} }
  while true do
    local stream, chunk = reader:read()
    if not stream then return table.concat(got.stdout), table.concat(got.stderr), chunk end
    table.insert(got[stream], chunk)
  end
end

-- Runs fn(real, connection, request) in place of the requests that it is for.
local function with_requests(replacement, fn)
  local real = http.request
  http.request = function(connection, request) return replacement(real, connection, request) end
  local ok, err = pcall(fn)
  http.request = real
  if not ok then error(err, 0) end
end

describe("a session", function()
  local box, sb, session

  setup(function()
    box = support.start()
    sb = box.sandbox
  end)
  teardown(function() box:stop() end)
  before_each(function() session = assert(sb:session()) end)
  after_each(function() assert(session:delete()) end)

  local function start(command, opts)
    opts = opts or {}
    opts.async = true
    return assert(session:exec(command, opts))
  end

  it("keeps directory, variables and functions", function()
    assert(session:exec "cd /tmp; x=5; f() { echo f$x; }")
    local r = assert(session:exec "pwd; f; echo oops >&2; return 7")
    assert.same({ 7, "/tmp\nf5\n", "oops\n" }, { r.exit_code, r.stdout, r.stderr })
    assert.equal(#"/tmp\nf5\noops\n", #r.output)
    assert.is_nil(r.output:find "[\1\2]")
    assert.truthy(tostring(r):find "^exit 7, 13 bytes: .*/tmp .*f5") -- the order of the streams is not certain
    assert.equal("a b;c\n", assert(session:exec { "echo", "a b;c" }).stdout)
    assert.equal("", assert(session:exec "cat").stdout)
  end)

  it("is made when it is not there, found when it is", function()
    local first = assert(sb:session "one")
    assert.is_true(first.created)
    assert.is_false(assert(sb:session "one").created)
    assert(first:exec "x=1")
    assert.equal("1\n", assert(sb:session("one", { create = false }):exec "echo $x").stdout)
    local ids = {}
    for i, each in ipairs(assert(sb:sessions())) do ids[i] = each.id end
    table.sort(ids)
    assert.same({ session.id, "one" }, ids)
    assert(first:delete())
    assert(first:delete())
    local none, err = sb:session("one", { create = false })
    assert.is_nil(none)
    assert.same({ "not_found", "PROCESS_NOT_FOUND" }, { err.kind, err.code })
    none, err = first:exec "true"
    assert.is_nil(none)
    assert.equal("not_found", err.kind)
  end)

  it("refuses what cannot be meant", function()
    for _, id in ipairs { "", "a/b", "..", "x y", ("x"):rep(101), "entrypoint" } do
      assert.has_error(function() sb:session(id) end)
    end
    assert.has_error(function() session:exec "" end)
    assert.has_error(function() session:exec("true", { cwd = "/" }) end)
    assert.has_error(function() session:exec "a\0b" end)
    assert.has_error(function() session:command "../x" end)
  end)

  it("lists its commands as they were given", function()
    assert(session:exec "true")
    assert(session:exec "false")
    local list = assert(session:commands())
    assert.same({ "true", 0, "false", 1 },
      { list[1].command, list[1].exit_code, list[2].command, list[2].exit_code })
    assert.equal(0, assert(session:command(list[1].id):refresh()).exit_code)
  end)

  it("says with check that a command failed", function()
    local r, err = session:exec("echo no such luck >&2; return 3", { check = true })
    assert.is_nil(r)
    assert.same({ "exit", 3 }, { err.kind, err.exit_code })
    assert.truthy(tostring(err):find("no such luck", 1, true))
  end)

  it("takes command text of any bytes", function()
    assert.equal("\239\191\189\n", assert(session:exec "echo '\255'").stdout)
    assert.equal("h\195\169\n", assert(session:exec "echo 'h\195\169' # \195\169").stdout)
  end)

  it("runs a command in the background, gives it input and waits for it", function()
    local command = start("read x; echo got $x; read y; echo $y", { echo = false })
    assert.is_nil(command.exit_code)
    assert(command:input "one")
    assert(command:input "two\n")
    assert.equal(0, assert(command:wait(20)))
    assert.equal("got one\ntwo\n", assert(command:logs()).stdout)
    local late, err = command:input "three"
    assert.is_nil(late)
    assert.same({ "gone", "COMMAND_ALREADY_COMPLETED" }, { err.kind, err.code })
  end)

  it("answers a prompt that no newline ends, though it shows only with its line", function()
    local command = start("printf 'name? '; read x; echo hello $x", { echo = false })
    local reader = command:follow()
    local none, err = reader:read(0.1)
    assert.same({ nil, "timeout" }, { none, err.kind })
    assert(command:input "you")
    assert.equal("name? hello you\n", (drain(reader)))
  end)

  it("gives all the input of several tasks", function()
    local command = start("for i in 1 2 3 4 5; do read x; echo $x; done | sort", { echo = false })
    assert(daytona.map({ "a", "b", "c", "d", "e" }, function(text) return command:input(text) end))
    assert.equal(0, assert(command:wait(20)))
    assert.equal("a\nb\nc\nd\ne\n", assert(command:logs()).stdout)
  end)

  it("waits no longer than it is told to, and the command goes on", function()
    local r, err = session:exec("sleep 0.4; echo on", { timeout = 0.1 })
    assert.is_nil(r)
    assert.same({ "timeout", "wait" }, { err.kind, err.code })
    assert.equal(0, assert(err.command:wait(20)))
    assert.equal("on\n", assert(err.command:logs()).stdout)
    local _, late = start("sleep 0.4"):wait(0.05)
    assert.equal("timeout", late.kind)
  end)

  it("that dies still gives an answer, and then takes no more", function()
    local r = assert(session:exec "echo bye; exit 3")
    assert.same({ 3, "bye\n" }, { r.exit_code, r.stdout })
    local none, err = session:exec "true"
    assert.is_nil(none)
    assert.same({ "gone", "SESSION_ENDED" }, { err.kind, err.code })
    assert.is_true(session.ended)
    assert.is_false(session:is_alive())
  end)

  it("that is not wanted any more before it was there is deleted, unless it was named", function()
    local function create(id, moment)
      local one = daytona.spawn(sb.session, sb, id)
      daytona.sleep(moment)
      one:cancel()
      return one:wait()
    end
    for _, moment in ipairs { 0, 0.002, 0.005, 0.01 } do
      local made, err = create(nil, moment)
      if made then assert(made:delete()) else assert.equal("canceled", err.kind) end
      create("mine", moment)
    end
    assert.is_true(#assert(sb:sessions()) <= 2) -- that of this spec, and perhaps "mine"
    assert(assert(sb:session "mine"):delete())
  end)

  it("ends with its scope", function()
    local id
    daytona.using(sb:session(), function(it) id = it.id end)
    assert.equal("not_found", select(2, sb:session(id, { create = false })).kind)
  end)

  it("never runs a command twice when its answer is lost", function()
    for _, async in ipairs { true, false } do
      local lost = 0
      with_requests(function(real, connection, request)
        local response, err = real(connection, request)
        if request.operation ~= "session exec" or not response then return response, err end
        lost = lost + 1
        local lost_it = failure.from_transport "reset"
        lost_it.sent = true
        return nil, lost_it
      end, function()
        local done = assert(session:exec("echo run >>count; cat count", { async = async }))
        if async then
          assert.equal("echo run >>count; cat count", done.command)
          done:wait(20)
          done = assert(done:logs())
        end
        assert.equal("run\n", done.stdout)
      end)
      assert.equal(1, lost)
      assert(session:exec "rm count")
    end
  end)

  it("does not claim to have run what never arrived", function()
    for _, sent in ipairs { true, false } do
      local looks = 0
      with_requests(function(real, connection, request)
        if request.operation == "session get" then looks = looks + 1 end
        if request.operation ~= "session exec" then return real(connection, request) end
        local err = failure.from_transport "reset"
        err.sent = sent
        return nil, err
      end, function()
        local r, err = session:exec "echo never"
        assert.is_nil(r)
        assert.same({ "connection", "reset" }, { err.kind, err.code })
      end)
      assert.equal(sent, looks > 0) -- nobody looks for what never left
    end
    assert.same({}, session:commands())
  end)

  it("sees an exit code that is just being written as none yet", function()
    local command, times = start "true", 0
    with_requests(function(real, connection, request)
      if request.operation == "session command" and times < 2 then
        times = times + 1
        return nil, failure.from_response { status = 500, body = '{"message":"failed to convert exit code to int"}' }
      end
      return real(connection, request)
    end, function() assert.equal(0, assert(command:wait(20))) end)
    assert.equal(2, times)
  end)

  it("is made, asked and deleted through connections that break", function() haste(function()
    local function broken(how, method, path, fn)
      how.method, how.path, how.times = method, path, 1
      assert.equal(200, box.daemon:post("/__devserver/faults", how).status)
      local result = assert(fn())
      box.daemon:request("DELETE", "/__devserver/faults")
      return result
    end
    for i, how in ipairs { { reset = true, handled = true }, { reset = true }, { drop = true }, { empty = true } } do
      local own = broken(how, "POST", "/process/session", function() return sb:session("own" .. i) end)
      local command = assert(own:exec("echo a; read x; echo $x", { async = true, echo = false }))
      local id = command.id
      assert.equal(id, broken(how, "GET", "/process/session/*", function() return own:commands() end)[1].id)
      broken(how, "GET", "/process/session/*/command/*", function() return command:refresh() end)
      assert.is_nil(command.exit_code)
      assert(command:input "b")
      assert.equal(0, broken(how, "GET", "/process/session/*/command/*", function() return command:wait(20) end))
      local log = broken(how, "GET", "/process/session/*/command/*/logs", function() return command:logs() end)
      assert.equal("a\nb\n", log.stdout)
      broken(how, "DELETE", "/process/session/*", function() return own:delete() end)
      assert.equal("not_found", select(2, sb:session("own" .. i, { create = false })).kind)
    end
  end) end)

  it("takes input from its first moment on, before the shell has made the pipe for it", function()
    local function no_pipe(times)
      box.daemon:request("DELETE", "/__devserver/faults")
      assert.equal(200, box.daemon:post("/__devserver/faults", {
        method = "POST", path = "/process/session/*/command/*/input", status = 500, times = times,
        body = { message = "failed to open input pipe: open /x/input.pipe: no such file or directory" },
      }).status)
    end
    finally(function() box.daemon:request("DELETE", "/__devserver/faults") end)
    local command = start("read x; echo got $x", { echo = false })
    no_pipe(3)
    assert(command:input "one")
    assert.equal(0, assert(command:wait { timeout = 20 }))
    assert.equal("got one\n", assert(command:logs()).stdout)
    assert.same({ "gone", "COMMAND_ALREADY_COMPLETED" },
      { select(2, command:input "late").kind, select(2, command:input "late").code })
    command = start "read x"
    no_pipe(1000)
    local none, err = command:input("two", { timeout = 0.4 })
    assert.is_nil(none)
    assert.same({ "timeout", "wait" }, { err.kind, err.code })
    box.daemon:request("DELETE", "/__devserver/faults")
    assert(command:input("three", 5))
  end)

  -- What is asked while the daemon answers so.
  local function answered(fault, fn)
    fault.status = fault.status or 200
    assert.equal(200, box.daemon:post("/__devserver/faults", fault).status)
    local value, err = fn()
    box.daemon:request("DELETE", "/__devserver/faults")
    return value, err
  end

  it("has its output whole however long it is, each stream apart", function()
    local result = assert(session:exec("for i in $(seq 4000); do echo out $i é; echo \"$i \\\"err\\\"\" >&2; done; "
      .. "head -c 600000 /dev/zero | tr '\\0' x; echo"))
    local out, err = {}, {}
    for i = 1, 4000 do out[i], err[i] = "out " .. i .. " é\n", i .. ' "err"\n' end
    local stdout, stderr = table.concat(out) .. ("x"):rep(600000) .. "\n", table.concat(err)
    local function is_whole(log)
      assert.is_true(stdout == log.stdout)
      assert.is_true(stderr == log.stderr)
      assert.equal(#stdout + #stderr, #log.output)
      assert.truthy(log.output:find("\nout 4000 é\n", 1, true) and log.output:find('\n4000 "err"\n', 1, true))
    end
    is_whole(result)
    is_whole(assert(result.command:logs()))
    is_whole(daytona.spawn(result.command.logs, result.command):wait())
    is_whole(assert(result.command:logs { exact = true }))
  end)

  it("has a long log that is JSON where the daemon says so, and else what was printed", function()
    local command = assert(session:exec "echo a").command
    local text = '{"output":"' .. ("\\n"):rep(40000) .. '"}'
    local function log_as(kind, body)
      local fault = { path = "/process/session/*/command/*/logs", headers = { ["content-type"] = kind }, body = body }
      return answered(fault, function() return command:logs() end)
    end
    assert.is_true(("\n"):rep(40000) == log_as("application/json", text).output)
    assert.is_true(text == log_as("text/plain", text).output)
    for _, wrong in ipairs { text .. "x", "[" .. text .. "]," } do
      local none, err = log_as("application/json", wrong)
      assert.same({ nil, "protocol" }, { none, err.kind })
    end
  end)

  it("is one of many, or their list is no list, however long it is", function()
    local function sessions_as(body)
      return answered({ method = "GET", path = "/process/session", body = body,
        headers = { ["content-type"] = "application/json" } }, function() return sb:sessions() end)
    end
    local many = {}
    for i = 1, 2000 do many[i] = ('{"sessionId":"s%04d","commands":[null,{"id":"c"}]}'):format(i) end
    local list = table.concat(many, ",")
    local found = assert(sessions_as("[" .. list .. "]"))
    assert.same({ 2000, "s0001", "s2000" }, { #found, found[1].id, found[2000].id })
    for _, wrong in ipairs { '{"items":[' .. list .. "]}", "[" .. list } do
      local none, err = sessions_as(wrong)
      assert.same({ nil, "protocol" }, { none, err.kind })
      assert.truthy(err.message:find(wrong:sub(1, 100), 1, true), err.message)
    end
  end)

  it("that is a here-document without its end does not print our mark", function()
    assert.equal("hi\n", assert(session:exec "cat <<E 2>/dev/null\nhi").stdout)
    local commands = assert(session:commands())
    assert.equal("cat <<E 2>/dev/null\nhi", commands[#commands].command)
  end)

  it("never gives input twice when the answer is lost", function()
    local command = start("read w; read x; read y; echo $w-$x-$y", { echo = false })
    assert(command:input "zero")             -- from now on its input is there
    assert.equal(200, box.daemon:post("/__devserver/faults", {
      method = "POST", path = "/process/session/*/command/*/input", reset = true, handled = true, times = 1,
    }).status)
    local none, err = command:input "one"
    assert.same({ nil, "connection", "reset" }, { none, err.kind, err.code })
    assert(command:input "two")
    assert.equal(0, assert(command:wait(20)))
    assert.equal("zero-one-two\n", assert(command:logs()).stdout)
  end)

  describe("is followed", function()
    it("live, both streams apart, to the end and no longer", function()
      local command = start "echo a; read x; echo e >&2; exec sleep 0"
      local reader = command:follow()
      assert.same({ "stdout", "a\n" }, { reader:read() })
      local none, err = reader:read(0.01)
      assert.is_nil(none)
      assert.same({ "timeout", "wait" }, { err.kind, err.code })
      assert(command:input "go")
      local out, problem, broken = drain(reader)
      assert.is_nil(broken)
      assert.same({ "go\n", "e\n", 0, 0 }, { out, problem, reader.exit_code, command.exit_code })
      assert.is_nil((reader:read()))
    end)

    it("without waiting for the daemon to notice the end", function()
      local slow = support.start { time_scale = 0.001 } -- a thousand seconds after it
      local command = assert(assert(slow.sandbox:session()):exec("echo a; sleep 0.1; exit 3", { async = true }))
      assert.equal(3, (command:follow { on_stdout = function() end, timeout = 60 }))
      slow:stop()
    end)

    it("by functions, which get bytes as they were printed", function()
      local got = {}
      local code = assert(start([[printf 'a\377\303'; printf '\251\n'; exit 4]]):follow {
        on_stdout = function(chunk) got[#got + 1] = chunk end,
      })
      assert.same({ 4, "a\255\195\169\n" }, { code, table.concat(got) })
      assert.has_error(function()
        start "echo x":follow { on_stdout = function() error "enough" end }
      end)
    end)

    if not is_lua51 then
      it("by iterators, over chunks and over lines", function()
        local command = start([[printf 'one\nt\303\251\n\nlast'; echo err >&2]])
        local n = 0
        for _, chunk in command:follow() do n = n + #chunk end
        assert.equal(18, n)
        local lines = {}
        for stream, line in command:follow():lines() do
          lines[#lines + 1] = (stream == "stderr" and "e" or "o") .. line
        end
        table.sort(lines)
        assert.same({ "eerr", "o", "olast", "oone", "ot\195\169" }, lines)
        local gone = session:command "none"
        assert.has_error(function() for _ in gone:follow() do error "?" end end)
      end)
    end

    it("by several tasks, each of which gets what the others do not", function()
      local follow = start("for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.02; done"):follow()
      local text = {}
      local function reader()
        while true do
          local stream, chunk = follow:read()
          if not stream then return true end
          text[#text + 1] = chunk
        end
      end
      assert(daytona.gather { reader, reader, reader })
      text = table.concat(text)
      assert.same({ 18, 45 }, { #text, select(2, text:gsub("%d", "")) * 5 })
    end)

    it("one stream like a file, and what the other brings is kept for it", function()
      local follow = start("echo oops >&2; sleep 0.05; echo 12 34; echo more >&2; printf end"):follow()
      assert.same({ 12, 34, "\n", "end\n" }, { follow.stdout:read("n", "n", 1, "L") })
      assert.same({ "oops\nmore\n", "" }, { follow.stderr:read "a", follow.stdout:read "a" })
      assert.equal(0, follow.exit_code)
      follow = start("sleep 0.3; echo late"):follow()
      assert.equal("timeout", select(2, follow.stdout:read("l", { timeout = 0.02 })).kind)
      local both = assert(daytona.gather {
        function() return follow.stdout:read { timeout = 10 } end,
        function() return follow.stderr:read() or "none" end,
      })
      assert.same({ "late", "none" }, { both[1], both[2] })
      local gone = session:command "none":follow()
      assert.equal("not_found", select(2, gone.stdout:read()).kind)
    end)

    it("no longer than it is told to", function()
      local command = start "echo a; sleep 2"
      local _, _, err = drain(command:follow { timeout = 0.1 })
      assert.same({ "timeout", "wait" }, { err.kind, err.code })
      _, _, err = drain(command:follow { idle_timeout = 0.1 })
      assert.same({ "timeout", "idle_timeout" }, { err.kind, err.code })
      local task = daytona.spawn(function() return command:follow { on_stdout = print, timeout = 5 } end)
      task:cancel()
      assert.equal("canceled", select(2, task:wait()).kind)
    end)

    it("to the end when the session's shell dies", function()
      local reader = start "echo bye; set -e; false":follow()
      assert.equal("bye\n", (drain(reader)))
      assert.equal(1, reader.exit_code)
    end)

    it("until the session is deleted", function()
      local reader = start "echo a; sleep 60":follow()
      assert.equal("stdout", (reader:read()))
      assert(session:delete())
      local _, _, err = drain(reader)
      assert.equal("not_found", err.kind)
    end)

    it("to the end where the log's size cannot be had", function()
      with_requests(function(real, connection, request)
        if request.operation == "stat" then return nil, failure.from_response { status = 404, body = "" } end
        return real(connection, request)
      end, function()
        local reader = start "echo a; exit 5":follow()
        assert.equal("a\n", (drain(reader)))
        assert.equal(5, reader.exit_code)
      end)
    end)

    it("when it is over already, also exactly at once", function()
      local r = assert(session:exec "printf 'a\\0\\377\\n'; printf no >&2")
      assert.same({ "a\255\n", "no\n" }, { drain(r.command:follow()) })
      local log = assert(r.command:logs { exact = true })
      assert.same({ "a\255\n", "no\n" }, { log.stdout, log.stderr })
      local none, err = r.command:logs { exact = true, max_bytes = 3 }
      assert.is_nil(none)
      assert.equal("too_large", err.kind)
    end)

    it("exactly, also by a daemon that closes before it has sent anything", function()
      local command = assert(session:exec "echo all; echo of it >&2").command
      finally(function() box.daemon:request("DELETE", "/__devserver/faults") end)
      for _, sized in ipairs { true, false } do
        assert.equal(200, box.daemon:post("/__devserver/faults", {
          path = "/process/session/*/command/*/logs", messages = 0, close_code = 1000, times = 1,
        }).status)
        with_requests(function(real, connection, request)
          if request.operation == "stat" and not sized then
            return nil, failure.from_response { status = 404, body = "" }
          end
          return real(connection, request)
        end, function()
          local log = assert(command:logs { exact = true })
          assert.same({ "all\n", "of it\n" }, { log.stdout, log.stderr })
        end)
      end
      command = assert(session:exec "true").command
      assert.equal("", assert(command:logs { exact = true }).output)
    end)

    it("in memory that does not grow and in linear time, through 20 MB of tiny lines", function()
      local function measure(n) -- lines of 5 bytes in the log
        local command = start("yes | head -n " .. n)
        assert.equal(0, assert(command:wait(120)))
        collectgarbage()
        local before, most = collectgarbage "count", 0
        local bytes, chunks, thousands, steps = 0, 0, 0, loop.engine():stats().steps
        local reader = command:follow()
        debug.sethook(function() thousands = thousands + 1 end, "", 1000) -- instructions; LuaJIT may not tell
        while true do
          local stream, chunk = reader:read()
          if not stream then break end
          bytes, chunks = bytes + #chunk, chunks + 1
          if chunks % 5000 == 0 then
            collectgarbage()
            most = math.max(most, collectgarbage "count" - before)
          end
        end
        debug.sethook()
        assert.same({ 2 * n, 0 }, { bytes, reader.exit_code })
        return most, chunks, thousands, loop.engine():stats().steps - steps
      end
      local _, few, few_thousands = measure(400000)
      local most, many, many_thousands, steps = measure(4000000)
      assert.is_true(most < 4 * 1024, "memory: " .. most .. " KiB more")
      assert.is_true(many < 20 * few, -- a hundred times, were it not linear
        "chunks: " .. few .. ", then " .. many)
      assert.is_true(steps <= many, "steps: " .. steps .. " for chunks: " .. many)
      if not jit then
        assert.is_true(many_thousands < 20 * few_thousands,
          "thousands of instructions: " .. few_thousands .. ", then " .. many_thousands)
      end
    end)

    it("by a slow reader, through tiny lines, byte for byte", function()
      local command = start "seq 200000"
      local reader, pieces, n = command:follow(), {}, 0
      while true do
        local stream, chunk = reader:read()
        if not stream then break end
        pieces[#pieces + 1] = chunk
        n = n + 1
        if n < 5 then loop.sleep(0.02) end
      end
      local expected = {}
      for i = 1, 200000 do expected[i] = i .. "\n" end
      assert.is_true(table.concat(expected) == table.concat(pieces))
      assert.equal(0, reader.exit_code)
    end)
  end)

  describe("over connections that are cut", function()
    local relay, cut
    setup(function() relay = require("spec.support.relay").start(box.daemon.port) end)
    teardown(function() relay:close() end)
    before_each(function()
      cut = assert(box:through(relay.url):session(session.id))
      relay:cut {}
    end)

    local TEXT = [[printf 'h\303\251\n'; printf 'w\360\237\230\200' >&2; sleep 0.02; printf '\377\n\nend']]

    it("is followed without losing or repeating a byte, wherever the cut is", function()
      local command = assert(cut:exec(TEXT, { async = true }))
      assert.equal(0, assert(command:wait(20)))
      local out, problem = drain(command:follow())
      assert.same({ "h\195\169\n\255\n\nend\n", "w\240\159\152\128\n" }, { out, problem })
      for at = 0, 48 do
        relay:cut { at }
        local again_out, again_problem, err = drain(command:follow())
        assert.is_nil(err)
        assert.same({ out, problem, 0 }, { again_out, again_problem, relay:cuts() }, "cut at " .. at)
      end
    end)

    it("is followed while it prints, through several cuts", function()
      local text = "for i in 1 2 3 4 5 6 7 8; do echo \195\169$i; sleep 0.02; done"
      local command = assert(cut:exec(text, { async = true }))
      relay:cut { 9, 20, 30, 45, 45 }
      local reader = command:follow()
      local expected = {}
      for i = 1, 8 do expected[i] = "\195\169" .. i .. "\n" end
      assert.equal(table.concat(expected), (drain(reader)))
      assert.equal(0, reader.exit_code)
    end)

    it("fails when there is no getting further", function()
      local backoff = http.backoff
      finally(function() http.backoff = backoff end)
      http.backoff = function() return 0.01 end
      local command = assert(cut:exec("echo a; sleep 60", { async = true }))
      relay:cut { 0, 0, 0, 0, 0, 0, 0, 0 }
      local _, _, err = drain(command:follow())
      assert.same({ "connection", true }, { err.kind, err.retryable })
      relay:cut {}
      assert.same({ "stdout", "a\n" }, { command:follow():read(10) })
    end)
  end)
end)

describe("a session of an old daemon", function()
  local box, session

  setup(function()
    box = support.start { legacy = "0.190" }
    watch.first_probe, session_module.patience, following.settle = 0.4, 0.4, 0.4
  end)
  teardown(function()
    watch.first_probe, session_module.patience, following.settle = 2, 2, 2
    box:stop()
  end)
  before_each(function() session = assert(box.sandbox:session()) end)

  it("that dies gives a bounded answer too", function()
    local before = loop.now()
    local r = assert(session:exec "echo bye; exit 3")
    assert.same({ -1, "bye\n", true }, { r.exit_code, r.stdout, session.ended })
    assert.is_true(loop.now() - before < 10)
    local _, err = session:exec "true"
    assert.same({ "gone", "SESSION_ENDED" }, { err.kind, err.code })
    _, err = assert(box.sandbox:session "none"):command "x":refresh()
    assert.equal("not_found", err.kind)
  end)

  it("that dies does not keep its followers", function()
    local reader = assert(session:exec("echo bye; exit 3", { async = true })):follow()
    assert.equal("bye\n", (drain(reader)))
    assert.equal(-1, reader.exit_code)
  end)

  it("that dies does not keep them where the log's size cannot be had either", function()
    with_requests(function(real, connection, request)
      if request.operation == "stat" then return nil, failure.from_response { status = 404, body = "" } end
      return real(connection, request)
    end, function()
      local reader = assert(session:exec("echo bye; exit 3", { async = true })):follow()
      assert.equal("bye\n", (drain(reader)))
      assert.equal(-1, reader.exit_code)
    end)
  end)

  it("is not said to be dead while it works", function()
    local r = assert(session:exec "sleep 1; echo done")
    assert.same({ 0, "done\n" }, { r.exit_code, r.stdout })
    for _, command in ipairs(assert(session:commands())) do
      assert.is_nil(command.command:find("probe", 1, true))
    end
  end)

  it("has the same errors", function()
    local gone = assert(box.sandbox:session())
    assert(gone:delete())
    local _, err = gone:exec "true"
    assert.same({ "not_found", "PROCESS_NOT_FOUND" }, { err.kind, err.code })
  end)
end)

describe("an entrypoint", function()
  it("can be watched, where there is one", function()
    local box = support.start { entrypoint = "echo started; echo oops >&2; exit 4" }
    local command = assert(box.sandbox:entrypoint())
    local reader = command:follow()
    assert.same({ "started\n", "oops\n" }, { drain(reader) })
    assert.equal(4, reader.exit_code)
    assert.equal(4, assert(command:wait(10)))
    assert.equal("oops\n", assert(command:logs()).stderr)
    box:stop()
    box = support.start()
    local none, err = box.sandbox:entrypoint()
    assert.is_nil(none)
    assert.equal("not_found", err.kind)
    box:stop()
  end)

  it("is what the image's Dockerfile says, runs with the sandbox, and is followed live", function()
    local service = require("spec.support.service").start()
    local function built(dockerfile)
      local made = assert(service.client:request("POST", "/sandbox", { json = {
        buildInfo = { dockerfileContent = dockerfile },
      } })).json
      return assert(service.client:attach(made.id):wait())
    end
    local script = "echo one; until [ -e go ]; do sleep 0.02; done; echo two; exit 3"
    local sandbox = built('FROM x\nENTRYPOINT ["never"]\nFROM y\nENTRYPOINT ["sh", "-c"]\nCMD ["' .. script .. '"]\n')
    local command = assert(sandbox:entrypoint())
    assert.equal("sh -c '" .. script .. "'", command.command)
    local reader = command:follow()
    assert.same({ "stdout", "one\n" }, { reader:read(10) })
    assert(sandbox.fs:write("go", ""))
    assert.same({ "stdout", "two\n" }, { reader:read(10) })
    assert.is_nil((reader:read(10)))
    assert.equal(3, reader.exit_code)
    -- without being asked for, and again with each start
    sandbox = built "FROM x\nCMD echo here >>started\n"
    local seen = service.server.dir .. "/sandboxes/" .. sandbox.id .. "/home/started"
    local tries = 0
    repeat
      daytona.sleep(0.02)
      tries = tries + 1
      local file = io.open(seen)
      local text = file and file:read "*a" or ""
      if file then file:close() end
    until text ~= "" or tries > 1000
    assert(sandbox:stop())
    assert(sandbox:start())
    command = assert(sandbox:entrypoint())
    assert.equal(0, assert(command:wait(10)))
    assert.equal("here\nhere\n", (assert(sandbox.fs:read "started")))
    -- an image that says nothing sleeps
    assert.equal("sleep infinity", assert(built("FROM x\nRUN make\n"):entrypoint()).command)
    service:stop()
  end)
end)

describe("a log", function()
  it("of a daemon that keeps no streams apart is all standard output", function()
    local command = require "daytona.toolbox.command"
    assert.same({ stdout = "a\nb\n", stderr = "", output = "a\nb\n" }, command.split "a\nb\n")
    assert.same({ stdout = "a\n\1", stderr = "b\n", output = "a\nb\n\1" }, command.split "\1\1\1a\n\2\2\2b\n\1\1\1\1")
    assert.same({ stdout = "o", stderr = "", output = "a\nb\n" },
      command.split("\1\1\1a\n\2\2\2b\n", "o", ""))
    assert.same({ stdout = "a\n", stderr = "b\n", output = "a\nb\n" },
      command.split("\1\1\1a\n\2\2\2b\n", nil, false))
  end)

  it("is taken apart in slices as it is in one go, wherever these end", function()
    local text = ("\1\1\1a\n\2\2\2b\1\1\n\1\1\1\2\2\1\n"):rep(20) .. "\2\2"
    local demux, pieces, whole = core.demux(true), {}, { [0] = "", "", "" }
    local function add(count)
      for i = 1, count, 2 do
        local stream = pieces[i] == 2 and 2 or 1
        whole[stream], whole[0] = whole[stream] .. pieces[i + 1], whole[0] .. pieces[i + 1]
      end
    end
    add(demux:feed("x" .. text, pieces))
    add(demux:finish(pieces))
    for most = 1, 40 do
      local other = core.demux(true)
      repeat until other:gather("x" .. text, most)
      for stream = 0, 2 do assert.equal(whole[stream], other:gathered(stream)) end
    end
    local empty = core.demux(true)
    assert.is_true(empty:gather("", 5))
    assert.equal("", empty:gathered(0))
    assert.has_error(function() empty:gathered(3) end)
    assert.has_error(function() empty:gather(("x"):rep(1000), 1000) end) -- for which there is no room
    local other = core.demux(true)
    other:gather("abc", 1)
    assert.has_error(function() other:gather("abcd", 1) end)
    assert.has_error(function() other:gather("abc", 0) end)
  end)
end)
