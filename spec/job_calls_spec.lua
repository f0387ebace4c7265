-- Jobs as their scripts go to a sandbox, and what is made of what these print. No server, and a
-- clock that a spec sets.

local core = require "daytona.base.native"
local failure = require "daytona.http.failure"
local json = require "daytona.http.json"
local support = require "spec.support.canned"

local kind_of, misused = support.kind_of, support.misused

local EXEC = "POST /process/execute"

local canned, sb
local answers, asked -- by operation; a text, a status and a body, or what gives one; what was asked

-- Answers of scripts, by the call that they are for.
local function daemon(given)
  answers, asked = given, {}
  local counts = {}
  canned = support.start { [EXEC] = function(request)
    local name = request.operation
    asked[#asked + 1] = name
    counts[name] = (counts[name] or 0) + 1
    local said = answers[name]
    if type(said) == "function" then said = said(counts[name], request) end
    -- A look waits over there for news, so long.
    if type(said) == "string" and said:find "^running\n0 0" then canned.now = canned.now + request.json.timeout - 10 end
    if type(said) == "string" then return { exitCode = 0, result = said } end
    return said
  end }
  sb = canned.sandbox
end
after_each(support.stop)

local function last() return canned.requests[#canned.requests] end

-- What a look prints: state, and what is new of both outputs.
local function news(state, out, err, out_size, err_size)
  out, err = out or "", err or ""
  return ("%s\n%d %d\n%s\n%s\n"):format(state, out_size or #out, err_size or #err, core.base64(out), core.base64(err))
end

local function started(more)
  local given = { popen = "started", discard = "ok" }
  for name, value in pairs(more or {}) do given[name] = value end
  daemon(given)
  return assert(sb:popen("make", { id = "j", stdin = true }))
end

describe("a job", function()
  it("is started as its options say", function()
    daemon { popen = "started" }
    local job = assert(sb:popen({ "make", "a b" }, { id = "j", cwd = "/w", env = { A = "it's" }, timeout = 2.5 }))
    assert.same({ "j", "'make' 'a b'", nil, "job (j, running)" }, { job.id, job.command, job.result, tostring(job) })
    local request = last()
    assert.same({ "/w", 30, 35, true, "j" }, { request.json.cwd, request.json.timeout, request.timeout, request.safe,
      request.what })
    assert.equal("it's", request.secrets[1])
    local env = core.base64 "export A='it'\\''s'\n"
    assert.truthy(request.json.command:find(env, 1, true), request.json.command)
    assert.is_function(request.on_abandon)
    assert.truthy(assert(sb:popen "true").id:find "^[%w.-]+[^.]$")
    for _, odd in ipairs { "a/b", "-x" } do misused("popen: the id", sb.popen, sb, "x", { id = odd }) end
    misused("not valid UTF-8", sb.popen, sb, "x", { cwd = "\255" })
    misused("NUL", sb.popen, sb, "x", { cwd = "a\0b" })
    misused("NUL", sb.popen, sb, "x", { env = { A = "a\0b" } })
    misused("the timeout is longer", sb.popen, sb, "x", { timeout = 4294967296 })
    misused("stdin", sb.popen, sb, "x", { stdin = 5 })
    misused("stderr", sb.popen, sb, "x", { stderr = "out" })
  end)

  it("that was not started says why, and leaves nothing where it may have begun", function()
    local function popen(said)
      daemon { popen = said, discard = "ok" }
      local none, err = sb:popen("make", { id = "j" })
      assert.is_nil(none)
      return kind_of(nil, err), table.concat(asked, " "), err.message
    end
    assert.same({ "conflict JOB_EXISTS", "popen" }, { (popen "exists") , asked[1] })
    assert.equal("popen", select(2, popen "exists"))
    assert.same({ "forbidden JOB_FAILED", "popen", "Permission denied" }, { popen "failed Permission denied\n" })
    assert.same({ "io JOB_FAILED", "popen", "No space left on device" }, { popen "failed No space left on device" })
    assert.same({ "io JOB_FAILED", "popen", "what the job needs cannot be written" }, { popen "failed" })
    assert.same({ "protocol JOB_FAILED", "popen", "the sandbox's shell answered: sh: odd" }, { popen "x\nsh: odd\n" })
    assert.same({ "protocol JOB_FAILED", "popen", "the sandbox's shell did not answer" }, { popen "" })
    assert.same({ "not_found JOB_NOT_FOUND", "popen" }, { (popen "gone"), asked[1] })
    assert.equal("protocol json", (popen { exitCode = 0, result = 5 }))
    for _, said in ipairs { { 500, "x" }, { 502, "" }, failure.from_transport "reset",
      failure.from_transport "truncated", failure.from_transport "too_large" } do
      local _, calls = popen(said)
      assert.equal("popen discard", calls)
    end
    for _, said in ipairs { { 400, "x" }, { 404, "" }, failure.from_transport "connect" } do
      local _, calls = popen(said)
      assert.equal("popen", calls)
    end
    assert.equal("timeout PROCESS_EXECUTION_TIMEOUT",
      (popen { 408, json.encode { message = "x", code = "PROCESS_EXECUTION_TIMEOUT" } }))
    local kind = popen { exitCode = -1, result = "fork/exec /bin/sh: no such file or directory" }
    assert.truthy(kind:find "PROCESS_START_FAILED")
  end)

  it("is read: what it prints, piece by piece, to its end", function()
    local text = ("0123456789"):rep(20000)
    local job = started { read = function(n, request)
      local from = tonumber(request.json.command:match "%f[%d](%d+)%f[%D]")
      assert.is_number(from)
      if n == 1 then return news("running", "one\ntw") end
      if n == 2 then return news("running", "o\n", "", 8) end
      return news("exited 3 0", "end", "", 11)
    end }
    assert.same({ "one", "two", "end", nil }, { job:read(), job:read "l", job:read "a", job:read() })
    assert.same({ 3, "exited", false, nil, 11 }, { job.result.exit_code, job.result.reason, job.result.timed_out,
      job.result.signal, job.stdout:tell() })
    assert.equal("job (j, exited, exit 3)", tostring(job))
    assert.equal("output (j, stdout)", tostring(job.stdout))
    assert.equal("output (j, stderr)", tostring(job.stderr))
    assert.same({ 30, 35, true }, { last().json.timeout, last().timeout, last().safe })
    -- Larger and larger pieces where there is more.
    local pieces, at = {}, 0
    job = started { read = function(_, request)
      local most = 0
      for number in request.json.command:gmatch "%d+" do
        number = tonumber(number)
        if number >= 65536 and number % 65536 == 0 then most = math.max(most, number) end
      end
      pieces[#pieces + 1] = most
      local piece = text:sub(at + 1, at + most)
      at = at + #piece
      return news("exited 0 0", piece, "", #text)
    end }
    assert.equal(text, job:read "a")
    assert.same({ 65536, 131072, 262144 }, pieces)
  end)

  it("is not waited for longer than one wants, nor given up for a passing failure", function()
    local job = started { read = news "running" }
    assert.equal("timeout wait", kind_of(job:read { timeout = 3 }))
    assert.is_true(canned.now >= 1003 and canned.now < 1003.2, canned.now)
    job = started { read = function(n) return n <= 5 and { 503 } or news("exited 0 0", "x") end }
    assert.equal("x", job:read())
    assert.equal(5, #canned.slept)
    job = started { read = { 503 } }
    assert.equal("unavailable", kind_of(job:read()))
    assert.equal(7, #asked)
    job = started { read = { 400, "no" } }
    assert.equal("invalid", kind_of(job:read()))
    assert.equal(2, #asked)
    for _, odd in ipairs { "x", "running\n", "running\n1 2\n", "running\n0 0\n\n\nmore", "running\n3 0\n!\n\n" } do
      job = started { read = odd }
      assert.equal("protocol JOB_FAILED", kind_of(job:read()), odd)
    end
    job = started { read = "gone" }
    assert.equal("not_found JOB_NOT_FOUND", kind_of(job:read()))
  end)

  it("is waited for, and tells how it ended", function()
    for state, wanted in pairs {
      ["exited 0 0"] = { "exited", 0, nil, false }, ["signaled 137 9"] = { "signaled", 137, 9, false },
      ["timed_out 143 15"] = { "timed_out", 143, 15, true }, ["lost -1 0"] = { "lost", -1, nil, false },
    } do
      local job = started { wait = news(state) }
      local result = assert(job:wait())
      assert.same(wanted, { result.reason, result.exit_code, result.signal, result.timed_out })
      assert.same({ 30, 35 }, { last().json.timeout, last().timeout })
    end
    local job = started { wait = function(n) return news(n < 3 and "running" or "exited 0 0") end }
    assert.equal(0, job:wait().exit_code)
    assert.equal(4, #asked)
    job = started { wait = news "running" }
    assert.equal("timeout wait", kind_of(job:wait(43.5)))
    assert.is_true(canned.now >= 1043.5 and canned.now < 1043.6, canned.now)
    assert.equal("timeout wait", kind_of(job:wait(0.25)))
    job = started { wait = { 503 } }
    assert.equal("unavailable", kind_of(job:wait()))
    assert.is_false(pcall(job.wait, job, -1))
  end)

  it("is given input, in pieces, and its end", function()
    local job = started { write = "ok", close_stdin = "ok" }
    assert.equal(job, job:write "x")
    assert.equal(60, last().json.timeout)
    for n, pieces in pairs { [262144] = 1, [262145] = 2, [0] = 0 } do
      asked = {}
      assert.equal(job, job:write(("x"):rep(n), { timeout = 7 }))
      assert.equal(pieces, #asked)
    end
    assert.equal(7, last().json.timeout)
    assert.is_true(job:close_stdin())
    for said, wanted in pairs { closed = "gone INPUT_CLOSED", odd = "protocol JOB_FAILED",
      ["failed x"] = "io JOB_FAILED" } do
      job = started { write = said, close_stdin = said }
      assert.equal(wanted, kind_of(job:write "x"))
      if said ~= "closed" then assert.equal(wanted, kind_of(job:close_stdin())) end
    end
    job = started { write = { 400, "x" }, close_stdin = { 503 } }
    assert.same({ "invalid", "unavailable" }, { kind_of(job:write "x"), kind_of(job:close_stdin()) })
    misused("write: the data", job.write, job, 5)
  end)

  it("is sent signals, cancelled, removed and closed", function()
    local job = started { kill = "ok", remove = "ok", wait = news "exited 3 0", close_stdin = "ok" }
    for _, name in ipairs { "INT", "sigusr1", "SIGTERM", "kill" } do
      assert.is_true(job:kill(name))
      assert.is_false(last().safe)
    end
    assert.is_true(job:kill())
    assert.is_true(last().safe)
    local default = last().json.command
    job:kill(nil, { grace = 77 })
    assert.truthy(last().json.command:find "77")
    assert.is_nil(default:find "77")
    for _, odd in ipairs { "FOO", 5, "SEGV" } do misused("there is no signal", job.kill, job, odd) end
    assert.is_true(job:remove())
    asked = {}
    assert.same({ nil, "exit", 3 }, { job:close() })
    assert.same({ "close_stdin", "wait", "remove" }, asked)
    assert.equal("job (j, closed)", tostring(job))
    for _, call in ipairs { "read", "lines", "write", "close_stdin", "wait", "kill", "close" } do
      misused("closed job", job[call], job, "x")
    end
    job = started { wait = news "signaled 143 15", remove = "ok", close_stdin = "ok" }
    assert.same({ nil, "signal", 15 }, { job:close() })
    job = started { wait = news "exited 0 0", remove = "ok", close_stdin = "ok" }
    assert.same({ true, "exit", 0 }, { job:close() })
    for name in pairs { wait = 1, remove = 1, close_stdin = 1 } do
      job = started { wait = news "exited 0 0", remove = "ok", close_stdin = "ok", [name] = { 400, "x" } }
      assert.equal("invalid", kind_of(job:close()))
      assert.equal("job (j, " .. (job.result and "exited, exit 0" or "running") .. ")", tostring(job))
    end
    job = started { remove = "gone" }
    assert.is_true(job:remove())
    job = started { remove = "running" }
    assert.equal("conflict JOB_RUNNING", kind_of(job:remove()))
    job = started { kill = { 503 } }
    assert.equal("unavailable", kind_of(job:kill()))
  end)

  it("is taken up again by its id, from where one was", function()
    daemon { job = news("running", "", "", 9, 4), read = function(_, request)
      return news("exited 0 0", request.json.command:find "%f[%d]7%f[%D]" and "89" or "x", "", 9, 4)
    end }
    local job = assert(sb:job("j", { offset = 7, stderr_offset = 4 }))
    assert.same({ 7, 4 }, { job.stdout:tell(), job.stderr:tell() })
    assert.equal("89", job:read "a")
    daemon { job = "gone" }
    assert.equal("not_found JOB_NOT_FOUND", kind_of(sb:job "j"))
    misused("job: the id", sb.job, sb, "a/b")
  end)

  it("is one of a list, in order of their start", function()
    daemon { jobs = "b 20 " .. core.base64 "make b\n" .. " running\nc 20 " .. core.base64 "c" .. " exited 1 0\n"
      .. "a 30  lost -1 0\nodd\n" }
    local list = assert(sb:jobs())
    local seen = {}
    for i, job in ipairs(list) do
      seen[i] = ("%s %d %s %s"):format(job.id, job.started_at, job.command, job.result and job.result.reason or "runs")
    end
    assert.same({ "b 20 make b runs", "c 20 c exited", "a 30  lost" }, seen)
    daemon { jobs = { 503 } }
    assert.equal("unavailable", kind_of(sb:jobs()))
    daemon { jobs = "" }
    assert.same({}, sb:jobs())
  end)
end)
