-- Commands and code as they go to a sandbox, and what is made of the answers; no server.

local core = require "daytona.base.native"
local failure = require "daytona.http.failure"
local support = require "spec.support.canned"

local failed, kind_of, misused = support.failed, support.kind_of, support.misused

local EXEC, RUN = "POST /process/execute", "POST /process/code-run"

local canned, sb

local function daemon(routes)
  canned = support.start(routes)
  sb = canned.sandbox
end
after_each(support.stop)

local function last() return canned.requests[#canned.requests] end

describe("a command", function()
  local function exec(answer, opts)
    daemon { [EXEC] = answer }
    return sb:exec("make", opts)
  end

  it("gives what the daemon answers, in any of its shapes", function()
    for _, answer in ipairs { { exitCode = 3, result = "out" }, { code = 3, result = "out" },
      { exitCode = 3, result = "out", stdout = "o", stderr = "e" } } do
      for _, opts in ipairs { false, { cwd = "/w" } } do
        local r = assert(exec(answer, opts or nil))
        assert.same({ 3, "out", false, answer.stdout, answer.stderr },
          { r.exit_code, r.result, r.timed_out, r.stdout, r.stderr })
      end
    end
    assert.equal("", exec({ exitCode = 0 }).result)
    assert.equal(-1, exec({ result = "x" }).exit_code)
    for _, odd in ipairs { { exitCode = "0" }, { exitCode = 0, result = 5 }, { exitCode = 0, stdout = 5 },
      { exitCode = 0, stderr = {} } } do
      assert.equal("protocol", (kind_of(exec(odd))))
      assert.equal("protocol", (kind_of(exec(odd, { cwd = "/w" }))))
    end
  end)

  it("is sent as it is meant", function()
    exec({ exitCode = 0, result = "" }, { cwd = "/w", env = { A = "b", N = 1 }, timeout = 2.5, max_bytes = 9 })
    local request = last()
    assert.same({ "/w", 3, 7.5, 9 }, { request.json.cwd, request.json.timeout, request.timeout, request.max_bytes })
    assert.same({ "b", "1" }, { request.json.envs.A, request.json.envs.N })
    assert.truthy(request.json.command:find("make", 1, true))
    exec({ exitCode = 0, result = "" }, { timeout = 0 })
    assert.same({ 0, nil }, { last().timeout, last().json.timeout ~= 0 and last().json.timeout or nil })
    exec({ exitCode = 0, result = "" }, { stdin = "in" })
    assert.truthy(last().json.command:find(core.base64 "in", 1, true))
    exec({ exitCode = 0, result = "" }, { env = { A = "\255" } })
    assert.truthy(last().json.command:find(core.base64 "\255", 1, true))
    assert.is_nil(last().json.envs.A)
    for _, odd in ipairs { "", "  ", {}, { "" }, 5, "a\0b", { "a", {} } } do misused("exec: ", sb.exec, sb, odd) end
    misused("the argument list is empty", sb.exec, sb, {})
    misused("the program's name is empty", sb.exec, sb, { "", "x" })
    misused("got number", sb.exec, sb, 5)
    misused("NUL", sb.exec, sb, "x", { cwd = "a\0b" })
    misused("NUL", sb.exec, sb, "x", { env = { A = "a\0b" } })
    misused("the timeout is longer", sb.exec, sb, "x", { timeout = 4294967296 })
    assert(exec({ exitCode = 0, result = "" }, { timeout = 4294967295 }))
  end)

  it("with check fails by its exit status, with its last line", function()
    local none, err = exec({ exitCode = 3, result = "one\nlast words\n\n" }, { check = true })
    assert.same({ nil, "exit", 3, "exit status 3: last words", "one\nlast words\n\n" },
      { none, err.kind, err.exit_code, err.message, err.result })
    assert.equal("exit status 3", select(2, exec({ exitCode = 3, result = "" }, { check = true })).message)
    assert.equal(0, exec({ exitCode = 0, result = "x" }, { check = true }).exit_code)
    assert.equal("exit", (kind_of(exec({ exitCode = -1, result = "killed" }, { check = true }))))
    local _, long = exec({ exitCode = 1, result = ("x"):rep(5000) }, { check = true })
    assert.equal(#"exit status 1: " + 1000, #long.message)
  end)

  it("that was not started is an error that says why", function()
    for said, wanted in pairs {
      ["fork/exec /bin/sh: no such file or directory"] = "not_found", ["chdir /x: permission denied"] = "forbidden",
      ["exec: \"sh\": executable file not found in $PATH"] = "not_found", ["fork/exec /bin/sh: odd"] = "invalid",
    } do
      local none, err = exec { exitCode = -1, result = said }
      assert.same({ nil, wanted, "PROCESS_START_FAILED", said }, { none, err.kind, err.code, err.message })
      assert.equal(0, exec({ exitCode = 0, result = said }).exit_code)
    end
    assert.equal(-1, exec({ exitCode = -1, result = "my chdir x" }).exit_code)
    local none, err = exec({ exitCode = -1, result = "fork/exec /bin/sh: no such file or directory" }, { cwd = "/w" })
    assert.same({ nil, "cannot start in /w: no such file or directory" }, { none, err.message })
    none, err = exec({ exitCode = -1, result = "chdir /w: not a directory" }, { cwd = "/w" })
    assert.same({ nil, "chdir /w: not a directory" }, { none, err.message })
  end)

  it("whose time is over says so; with check that is an error", function()
    local late = failed(408, "x", "PROCESS_EXECUTION_TIMEOUT")
    for _, answer in ipairs { late, { 408, "" } } do
      local r = assert(exec(answer))
      assert.same({ -1, "", true }, { r.exit_code, r.result, r.timed_out })
      assert.equal("process_timeout", kind_of(nil, select(2, exec(answer, { check = true }))):match "^%S+")
    end
    for _, answer in ipairs { { 504, "" }, { 500, "x" }, failure.from_transport "reset",
      failure.from_transport "timeout" } do
      assert.is_nil((exec(answer)))
    end
  end)
end)

describe("a command that is heard", function()
  -- Looks at it print these pieces, { stdout, stderr } each; then it ends so.
  local function heard(pieces, state, opts)
    local n, out_size, err_size, asked = 0, 0, 0, {}
    daemon { [EXEC] = function(request)
      asked[#asked + 1] = request.operation
      if request.operation == "popen" then return { exitCode = 0, result = "started" } end
      if request.operation ~= "read" then return { exitCode = 0, result = "ok" } end
      n = n + 1
      local piece = pieces[n] or { "", "" }
      if not piece[1] then return piece[2] end
      out_size, err_size = out_size + #piece[1], err_size + #piece[2]
      return { exitCode = 0, result = ("%s\n%d %d\n%s\n%s\n"):format(n >= #pieces and state or "running", out_size,
        err_size, core.base64(piece[1]), core.base64(piece[2])) }
    end }
    local result, err = sb:exec("make", opts)
    return result, err, asked
  end

  it("tells each function what it wants to hear, and keeps the rest", function()
    local got = {}
    local function note(name) return function(chunk, stream) got[#got + 1] = name .. chunk .. (stream or "") end end
    local pieces = { { "a", "b" }, { "c", "" }, { "", "d" } }
    local r = assert(heard(pieces, "exited 0 0", { on_stdout = note "o:" }))
    assert.same({ { "o:a", "o:c" }, 0, "bd", nil, "bd" }, { got, r.exit_code, r.result, r.stdout, r.stderr })
    got = {}
    r = assert(heard(pieces, "exited 2 0", { on_stderr = note "e:" }))
    assert.same({ { "e:b", "e:d" }, 2, "ac", "ac", nil }, { got, r.exit_code, r.result, r.stdout, r.stderr })
    got = {}
    r = assert(heard({ { "ab", "" }, { "c", "" }, { "d", "" } }, "exited 0 0", { on_output = note "" })) -- one stream there
    assert.same({ { "abstdout", "cstdout", "dstdout" }, "", nil }, { got, r.result, r.stdout })
    got = {}
    assert(heard(pieces, "exited 0 0", { on_output = note "", on_stderr = note "e:" }))
    assert.same({ "astdout", "e:b", "bstderr", "cstdout", "e:d", "dstderr" }, got)
  end)

  it("ends as others do", function()
    local hear = { on_stdout = function() end }
    local r, _, asked = heard({ { "a", "" } }, "timed_out 143 15", hear)
    assert.same({ true, -1 }, { r.timed_out, r.exit_code })
    assert.same({ "popen", "read", "remove" }, asked)
    local function checked(pieces, state)
      local none, err = heard(pieces, state, { on_stdout = function() end, check = true })
      return none and none.exit_code or err.kind, err and err.message, err and err.exit_code
    end
    assert.equal(0, (checked({ { "a", "" } }, "exited 0 0")))
    assert.same({ "process_timeout", "the command's time was over" }, { checked({ { "a", "" } }, "timed_out 143 15") })
    assert.same({ "exit", "exit status 3: last", 3 }, { checked({ { "one\nla", "" }, { "st\n", "" } }, "exited 3 0") })
    assert.same({ "exit", "exit status 3", 3 }, { checked({ { "", "" } }, "exited 3 0") })
    local pieces = { { "12", "34" }, { "", "5" } }
    assert.equal("345", heard(pieces, "exited 0 0", { on_stdout = function() end, max_bytes = 3 }).result)
    local none, err, calls = heard(pieces, "exited 0 0", { on_stdout = function() end, max_bytes = 2 })
    assert.same({ nil, "too_large", "exec", "discard" }, { none, err.kind, err.operation, calls[#calls] })
    none, err, calls = heard({ { "a", "" }, { false, failed(400, "no") } }, "x", hear)
    assert.same({ nil, "invalid", "exec", "discard" }, { none, err.kind, err.operation, calls[#calls] })
    assert.is_false(pcall(heard, pieces, "exited 0 0", { on_stdout = function() error "mine" end }))
    assert.equal("discard", last().operation)
    daemon { [EXEC] = failed(400, "no") }
    none, err = sb:exec("make", hear)
    assert.same({ nil, "exec" }, { none, err.operation })
    misused("exec: ", sb.exec, sb, "", hear)
    misused("the timeout is longer", sb.exec, sb, "x", { on_stdout = print, timeout = 4294967296 })
  end)
end)

describe("code", function()
  it("is sent as it is, with its language and arguments", function()
    daemon { [RUN] = { exitCode = 0, result = "out", artifacts = { charts = { { title = "t" }, 5 } } } }
    local r = assert(sb:run("print(1)", { argv = { "a b", 2 }, env = { A = "b" }, timeout = 2.5, max_bytes = 9 }))
    assert.same({ 0, "out", "out", 1 }, { r.exit_code, r.result, r.artifacts.stdout, #r.artifacts.charts })
    local said = last().json
    assert.same({ "print(1)", "python", { "'a b'", "2" }, 3, "b" }, { said.code, said.language, said.argv, said.timeout,
      said.envs.A })
    assert.same({ 7.5, 9 }, { last().timeout, last().max_bytes })
    sb:run("x", { timeout = 0 })
    assert.same({ 0, nil, nil }, { last().timeout, last().json.timeout, last().json.argv })
    sb:run "x"
    assert.same({ 605, 600 }, { last().timeout, last().json.timeout })
    for label, language in pairs { typescript = "typescript", cobol = "python" } do
      sb.labels = { ["code-toolbox-language"] = label }
      sb:run "x"
      assert.equal(language, last().json.language)
    end
    sb.labels = { ["code-toolbox-language"] = "typescript" }
    sb:run("x", { language = "javascript" })
    assert.equal("javascript", last().json.language)
    for _, odd in ipairs { "", 5 } do misused("run: code", sb.run, sb, odd) end
    misused("not valid UTF-8", sb.run, sb, "x", { env = { A = "\255" } })
    misused("run: an argument", sb.run, sb, "x", { argv = { "a\0b" } })
    misused("language", sb.run, sb, "x", { language = "cobol" })
    misused("the timeout is longer", sb.run, sb, "x", { timeout = 4294967296 })
  end)

  it("fails, or is over time, as commands are", function()
    local function run(answer, opts)
      daemon { [RUN] = answer }
      local result, err = sb:run("x", opts)
      return result, err and kind_of(nil, err)
    end
    local late = failed(408, "x", "PROCESS_EXECUTION_TIMEOUT")
    assert.is_true((run(late)).timed_out)
    assert.same({}, (run(late)).artifacts.charts)
    assert.equal("process_timeout PROCESS_EXECUTION_TIMEOUT", select(2, run(late, { check = true })))
    assert.equal("exit", select(2, run({ exitCode = 1, result = "x" }, { check = true })))
    assert.equal("protocol", select(2, run { exitCode = "x" }))
    assert.equal("unavailable", select(2, run { 503 }))
    assert.equal("not_found X", select(2, run(failed(404, "x", "X"))))
  end)

  it("goes to its interpreter by a command where the daemon is old, or the output is heard", function()
    daemon { [EXEC] = { exitCode = 0, result = "out" } }
    local r = assert(sb:run("print(1)", { env = { A = "b" }, timeout = 5 }))
    assert.same({ "out", "out", {} }, { r.result, r.artifacts.stdout, r.artifacts.charts })
    assert.same({ RUN, EXEC }, canned:asked())
    assert.same({ 5, "b" }, { last().json.timeout, last().json.envs.A })
    sb:run "x"
    assert.same({ EXEC }, canned:asked()) -- it is known now
    daemon { [EXEC] = failed(400, "no") }
    local none, err = sb:run("x", { on_stdout = function() end })
    assert.same({ nil, "run" }, { none, err.operation })
    assert.same({ EXEC }, canned:asked())
  end)
end)
