-- Commands in a sandbox of the local server.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local nap = require "spec.support.nap"

local service, box

setup(function()
  service = require("spec.support.service").start()
  box = assert(service.client:create { language = "python" })
end)

teardown(function() service:stop() end)

before_each(function() assert(service.server:clear_faults()) end)

local function output(command, opts)
  return assert(box:exec(command, opts)).result
end

describe("a command", function()
  it("gives its exit code and what it printed, both streams", function()
    local result = assert(box:exec "echo out; echo err >&2; exit 3")
    assert.equal("3", tostring(result.exit_code))
    assert.equal("out\nerr\n", result.result)
    assert.is_false(result.timed_out)
    assert.equal("exit 3, 8 bytes: out err", tostring(result))
  end)

  it("is shell text of many lines, with whatever is in it", function()
    assert.equal("a'b\n\"$x\" `d`\n", output "x=1\ncat <<'END'\na'b\n\"$x\" `d`\nEND\n")
    assert.equal("3\n", output "for i in 1 2 3; do :; done; echo $i")
  end)

  it("as a list is a program and its arguments, untouched", function()
    assert.equal("<a b><it's><*><$HOME><><\n>", output { "printf", "<%s>", "a b", "it's", "*", "$HOME", "", "\n" })
    assert.equal(127, assert(box:exec { "no such program" }).exit_code)
  end)

  it("that reads its input gets none, and cannot eat the rest of itself", function()
    assert.equal("after\n", output "cat\nread x\npython3\necho after")
  end)

  it("reads stdin where there is one, of any bytes", function()
    assert.equal("hello\nafter\n", output("cat; echo after", { stdin = "hello\n" }))
    assert.equal("4\n", output("wc -c", { stdin = "\0\255\n'" }))
    assert.equal("0\n", output("wc -c", { stdin = "" }))
    assert.equal("300000\n", output("wc -c", { stdin = ("x"):rep(300000) }))
    assert.equal(3, assert(box:exec("read x; exit $x", { stdin = "3\n" })).exit_code)
  end)

  it("of more than the system takes as arguments runs", function()
    assert.equal("2200001\n", output("echo " .. ("x"):rep(2200000) .. " | wc -c"))
  end)

  it("of bytes that are no text runs as it is", function()
    assert.equal(" 303 277 377\n", output "printf '%s' '\195\191\255' | od -An -to1")
    assert.equal(" 377\n", output({ "sh", "-c", "printf %s \"$1\" | od -An -to1", "x", "\255" }))
  end)

  it("runs in the directory and environment it is given", function()
    assert.equal("/tmp\n", output("pwd", { cwd = "/tmp" }))
    assert.equal("one\n two\n", output('printf %s "$A$B"', { env = { A = "one\n", B = " two\n" } }))
    local bytes = "a\255\n'\"$x`\n\n"
    assert.equal(#bytes .. "\n", output('printf %s "$ODD" | wc -c', { env = { ODD = bytes, PLAIN = "x" } }))
  end)

  it("takes numbers where Lua writes them as text", function()
    assert.equal("7 0.5 8000 -1\n", output({ "printf", "%s %s %s %s\\n", 7, 0.5, 8000.0, -1 }))
    assert.equal("8000|1.5", output("printf '%s|%s' $PORT $RATE", { env = { PORT = 8000, RATE = 1.5 } }))
    local job = assert(box:popen({ "echo", 5 }, { env = { N = 6 } }))
    assert.equal("5", job:read())
    job:close()
    assert.equal("6\n", output("echo $N", { env = { N = 6, ODD = "\255" } }))
  end)

  it("that fails is an error where it is checked", function()
    local result, err = box:exec("echo detail; exit 4", { check = true })
    assert.is_nil(result)
    assert.equal("exit", err.kind)
    assert.equal(4, err.exit_code)
    assert.equal("detail\n", err.result)
    assert.equal("exec on " .. box.name .. ": exit status 4: detail (exit)", tostring(err))
    assert(box:exec("true", { check = true }))
  end)

  it("does not show the values of its environment in an error", function()
    local _, err = box:exec("echo pw is $PW; exit 1", { check = true, env = { PW = "hunter22" } })
    assert.is_nil(tostring(err):find("hunter22", 1, true))
  end)

  it("in a directory that is not there, or no directory, is not started", function()
    local result, err = box:exec("pwd", { cwd = "/nope" })
    assert.is_nil(result)
    assert.equal("not_found PROCESS_START_FAILED", err.kind .. " " .. err.code)
    result, err = box:exec("pwd", { cwd = "/etc/passwd" })
    assert.is_nil(result)
    assert.equal("invalid PROCESS_START_FAILED", err.kind .. " " .. err.code)
  end)

  it("is told where it could not start, though daemons speak of the shell", function()
    assert(service.server:faults { { path = "/process/execute", status = 200, body = {
      exitCode = -1, result = "fork/exec /usr/bin/bash: no such file or directory",
    } } })
    local _, err = box:exec("pwd", { cwd = "/nope" })
    assert.same({ "not_found", "cannot start in /nope: no such file or directory" }, { err.kind, err.message })
    _, err = box:popen("pwd", { cwd = "/nope" })
    assert.same({ "not_found", "cannot start in /nope: no such file or directory" }, { err.kind, err.message })
    _, err = box:exec "pwd"
    assert.same({ "not_found", "fork/exec /usr/bin/bash: no such file or directory" }, { err.kind, err.message })
  end)

  it("that merely prints such words and exits with 255 is none of that", function()
    assert.equal(255, assert(box:exec "echo chdir /nope: no such file or directory; exit 255").exit_code)
  end)

  it("whose time is over is killed and says so", function()
    local result = assert(box:exec("echo begun; sleep 60", { timeout = 0.2 }))
    assert.is_true(result.timed_out)
    assert.equal(-1, result.exit_code)
    assert.equal("timed out", tostring(result))
    local _, err = box:exec("sleep 60", { timeout = 1, check = true })
    assert.equal("process_timeout", err.kind)
    assert.is_true(daytona.is_error(err, "timeout"))
  end)

  it("that is no command raises", function()
    for _, bad in ipairs { "", " \n", {}, { "" }, { true }, { "a", {} }, { "a", 0 / 0 }, "a\0b", 7, { "a\0" } } do
      assert.has_error(function() box:exec(bad) end)
    end
    assert.has_error(function() box:exec() end)
    for _, opts in ipairs {
      { cwd = 1 }, { cwd = "" }, { timeout = -1 }, { timeout = 1e12 }, { env = { ["A-B"] = "x" } },
      { env = { A = "\0" } }, { env = { A = true } }, { nope = 1 }, { env = { 1 } }, { cwd = "a\0b" }, { cwd = "\255" },
    } do assert.has_error(function() box:exec("true", opts) end) end
  end)
end)

describe("a command that is listened to", function()
  local function jobs() return #assert(box:jobs()) end

  after_each(function() assert.equal(0, jobs()) end)

  it("hands out what it prints as it comes, both streams apart", function()
    local seen, errors_seen = {}, ""
    local command = "echo one; until [ -e heard ]; do sleep 0.02; done; printf 'two\\377'; echo e >&2; exit 3"
    local result = assert(box:exec(command, {
      on_stdout = function(chunk)
        if #seen == 0 then assert(box.fs:write("heard", "")) end
        seen[#seen + 1] = chunk
      end,
      on_stderr = function(chunk) errors_seen = errors_seen .. chunk end,
    }))
    assert(box.fs:remove "heard")
    assert.same({ "one\ntwo\255", "e\n", 3, "", false },
      { table.concat(seen), errors_seen, result.exit_code, result.result, result.timed_out })
    assert.is_true(#seen > 1)
  end)

  it("keeps what no function hears, and takes both in their order", function()
    local result = assert(box:exec("echo out; echo err >&2", { on_stderr = function() end }))
    assert.same({ "out\n", "out\n", "out\n", nil }, { result.result, result.output, result.stdout, result.stderr })
    local all = {}
    assert(box:exec("for i in 1 2 3; do echo $i; echo -$i >&2; done", {
      on_output = function(chunk, stream)
        all[#all + 1] = chunk
        assert.equal("stdout", stream)
      end,
    }))
    assert.equal("1\n-1\n2\n-2\n3\n-3\n", table.concat(all))
    all = {}
    assert(box:exec("echo out; echo err >&2", {
      on_output = function(chunk, stream) all[stream] = chunk end, on_stdout = function() end,
    }))
    assert.same({ stdout = "out\n", stderr = "err\n" }, all)
    local _, err = box:exec("echo out; yes", { on_stderr = function() end, max_bytes = 10 })
    assert.same({ "too_large", "exec" }, { err.kind, err.operation })
  end)

  it("takes the options of all commands", function()
    local text = ""
    local function hear(chunk) text = text .. chunk end
    assert(box:exec({ "sh", "-c", "cat; pwd; echo $A" },
      { cwd = "/tmp", env = { A = 5 }, stdin = "in\n", on_stdout = hear }))
    assert.equal("in\n/tmp\n5\n", text)
    local _, err = box:exec("echo detail; exit 4", { check = true, on_output = hear, env = { S = "detail" } })
    assert.same({ "exit", 4, "exec" }, { err.kind, err.exit_code, err.operation })
    assert.is_nil(tostring(err):find("detail", 1, true))
    assert.is_true(assert(box:exec(nap(65), { timeout = 1, on_output = hear })).timed_out)
    _, err = box:exec(nap(65), { timeout = 1, on_output = hear, check = true })
    assert.equal("process_timeout", err.kind)
    _, err = box:exec("true", { cwd = "/nope", on_output = hear })
    assert.same({ "not_found", "exec" }, { err.kind, err.operation })
    for _, bad in ipairs { "", { true }, "a\0" } do
      assert.has_error(function() box:exec(bad, { on_output = hear }) end)
    end
    assert.has_error(function() box:exec("true", { on_output = 5 }) end)
  end)

  it("is ended when a function raises, and when its caller gives up", function()
    local ok, err = pcall(function()
      box:exec("echo up; " .. nap(66), { on_stdout = function() error("enough", 0) end })
    end)
    assert.same({ false, "enough" }, { ok, err })
    local up = false
    local task = daytona.spawn(function()
      return box:exec("echo up; " .. nap(66), { on_stdout = function() up = true end })
    end)
    while not up do daytona.sleep(0.01) end
    task:cancel()
    assert.equal("canceled", select(2, task:wait()).kind)
    assert.equal("0\n", output("ps -eo args | grep -c '^" .. nap(66) .. "' || true"))
  end)

  it("goes on through connections that break", function()
    assert(service.server:faults { { path = "/process/execute", reset = "mid", times = 1, after = 1 } })
    local text = ""
    assert(box:exec("echo a; sleep 0.2; echo b", { on_stdout = function(chunk) text = text .. chunk end }))
    assert.equal("a\nb\n", text)
  end)
end)

describe("a command whose answer", function()
  local function with(fault, path)
    fault.path = path or "/process/execute"
    assert(service.server:faults { fault })
    assert(service.server:forget_requests())
  end

  it("is lost is never sent again", function()
    for _, fault in ipairs {
      { reset = "before" }, { drop = true }, { empty = true }, { status = 503 }, { status = 504 },
    } do
      with(fault)
      local result, err = box:exec "true"
      assert.is_nil(result)
      assert.truthy(err.kind == "connection" or err.kind == "unavailable" or err.kind == "timeout", err.kind)
      assert(service.server:clear_faults())
      assert.equal(1, service:count("POST", "/process/execute"))
    end
  end)

  it("is of another shape is a protocol error", function()
    for _, fault in ipairs {
      { invalid_json = true }, { wrong_types = true }, { status = 200, body = "[]" }, { html = true, status = 200 },
      { status = 200, body = '{"exitCode":"0","result":1}' },
    } do
      with(fault)
      local result, err = box:exec "true"
      assert.is_nil(result)
      assert.equal("protocol", err.kind, tostring(err))
    end
  end)

  it("is long is read whole, whatever stands where a piece of it ends", function()
    local function output_of(json, more)
      assert(service.server:clear_faults())
      with { status = 200, body = ('{"exitCode":3,"result":"%s"%s}'):format(json, more or "") }
      return daytona.spawn(box.exec, box, "true"):wait()
    end
    local lines, plain = ("y"):rep(1000) .. "\\n", ("x"):rep(131072 - 26)
    for _, case in ipairs {
      { plain .. plain, plain .. plain }, { lines:rep(400), (("y"):rep(1000) .. "\n"):rep(400) },
      { plain .. "\\u00e9\\n" .. plain, plain .. "é\n" .. plain },
      { plain .. "xx\\ud83d\\ude00" .. plain, plain .. "xx\240\159\152\128" .. plain },
    } do
      for shift = 0, 8 do
        local result = assert(output_of(("x"):rep(shift) .. case[1]))
        assert.equal(3, result.exit_code)
        assert.is_true(("x"):rep(shift) .. case[2] == result.result, "shifted by " .. shift)
      end
    end
    local result = assert(output_of(lines:rep(400), ',"stdout":"o"'))
    assert.same({ 400400, "o" }, { #result.result, result.stdout })
    for _, cut in ipairs { '"', "\\", "\\q" } do
      local none, err = output_of(lines:rep(400) .. cut)
      assert.is_true(none == nil)
      assert.equal("protocol", err.kind)
    end
  end)

  it("has no exit code is -1, and the old name of it is known", function()
    with { status = 200, body = '{"result":"x"}' }
    assert.equal(-1, assert(box:exec "true").exit_code)
    assert(service.server:clear_faults())
    with { status = 200, body = '{"code":4,"result":"x"}' }
    assert.equal(4, assert(box:exec "true").exit_code)
  end)

  it("is throttled is asked for again, since it never ran", function()
    with { throttle = "authenticated", retry_after = 0, times = 2 }
    assert.equal("ran\n", output "echo ran")
    assert.equal(3, service:count("POST", "/process/execute"))
  end)

  it("is larger than allowed is an error", function()
    local result, err = box:exec("head -c 100000 /dev/zero | tr '\\0' x", { max_bytes = 10000 })
    assert.is_nil(result)
    assert.equal("too_large", err.kind)
    assert.equal("fine\n", output "echo fine")
  end)
end)

describe("a command that is given up", function()
  -- Whether processes with this mark still run in the sandbox.
  local function running(mark)
    return output("grep -lsF 'MARK=" .. mark .. "' /proc/[0-9]*/environ | grep -v self | wc -l"):match("%d+") ~= "0"
  end

  local function eventually(condition)
    for _ = 1, 100 do
      if condition() then return true end
      daytona.sleep(0.05)
    end
    return false
  end

  it("by a cancelled task is ended over there, with all it started", function()
    local task = daytona.spawn(function()
      return box:exec(("trap '' TERM; env -i %s & %s & echo up > up; wait; %s"):format(nap(61), nap(60), nap(60)),
        { env = { MARK = "one" } })
    end)
    assert.is_true(eventually(function() return box.fs:exists "up" end))
    assert.is_true(running "one")
    task:cancel()
    local result, err = task:wait()
    assert.is_nil(result)
    assert.equal("canceled", err.kind)
    assert.is_true(eventually(function() return not running "one" end))
    assert.equal("0\n", output("ps -eo args | grep -c '^" .. nap(60):gsub("60", "6[01]", 1) .. "' || true"))
  end)

  it("by the caller's own deadline is ended over there", function()
    assert(service.server:faults { { path = "/process/execute", times = 1, hold = 0 } })
    local impatient = service:connect()
    local there = impatient:attach(box.id)
    local real = http.request
    -- The daemon is not told of the timeout, so only the client's deadline ends it.
    http.request = function(connection, request)
      if request.exec_id then request.timeout = 0.5 end
      return real(connection, request)
    end
    local result, err = there:exec("sleep 62", { env = { MARK = "two" } })
    http.request = real
    assert.is_true(assert(result, err).timed_out)
    assert.is_false(running "two")
  end)

  it("by a deadline, and not known to have been ended, is an error", function()
    local there = service:connect { max_retries = 0 }:attach(box.id)
    local real = http.request
    http.request = function(connection, request)
      if request.exec_id then request.timeout = 0.3 end
      if request.operation ~= "stop command" then return real(connection, request) end
      return nil, errors.new { kind = "connection", message = "no way" }
    end
    local result, err = there:exec("sleep 64", { env = { MARK = "four" }, check = true })
    http.request = real
    assert.is_nil(result)
    assert.same({ "timeout", "timeout" }, { err.kind, err.code })
    assert(box:exec "pkill -xf 'sleep 64'")
  end)

  it("ends no other command", function()
    local stays = daytona.spawn(function() return box:exec "sleep 1; echo stayed" end)
    local goes = daytona.spawn(function() return box:exec("sleep 63", { env = { MARK = "three" } }) end)
    assert.is_true(eventually(function() return running "three" end))
    goes:cancel()
    goes:wait()
    assert.equal("stayed\n", assert(stays:wait()).result)
  end)
end)

describe("commands", function()
  it("run side by side in one thread", function()
    local before = require("daytona.loop").now()
    local results = assert(daytona.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(i)
      return box:exec("sleep 0.5; echo " .. i)
    end))
    for i = 1, 8 do assert.equal(i .. "\n", results[i].result) end
    assert.is_true(require("daytona.loop").now() - before < 3)
  end)
end)
