-- Jobs as a user meets them: like io.popen's files, but nothing that happens to
-- the connection or to this program touches them.

local base64 = require "daytona.base.base64"
local daytona = require "daytona"
local errors = require "daytona.base.errors"
local haste = require "spec.support.haste"
local http = require "daytona.http"
local job_module = require "daytona.toolbox.job"
local job_script = require "daytona.toolbox.job_script"
local loop = require "daytona.loop"
local small_disk = require "spec.support.small_disk"
local support = require "spec.support.box"
local toolbox = require "spec.support.toolbox"

-- A command that takes long and is not mistaken for that of another run of these.
local SLEEP = require "spec.support.nap"(6173)

describe("a job", function()
  local box, sb

  setup(function()
    box = support.start()
    sb = box.sandbox
  end)
  teardown(function() box:stop() end)

  after_each(function()
    box.daemon:request("DELETE", "/__devserver/faults")
    for _, job in ipairs(assert(sb:jobs())) do
      assert(job:kill())
      assert(job:wait(20))
      assert(job:remove())
    end
    assert.equal("", sb:exec("ls .daytona/lua-jobs").result)
  end)

  local function popen(command, opts) return assert(sb:popen(command, opts)) end

  local function fault(fields)
    fields.method, fields.path = "POST", "/process/execute"
    assert.equal(200, box.daemon:post("/__devserver/faults", fields).status)
  end

  -- What is left of the commands of these specs.
  local function sleepers() return sb:exec("pgrep -fx '" .. SLEEP .. "'").result end

  local function ended(job)
    local result = assert(job:wait(20))
    return { result.reason, result.exit_code, result.signal }
  end

  it("is read line by line as it is written, to its end, and nothing of the reader stays", function()
    for _, stream in ipairs { "stdout", "stderr" } do
      local job = popen(("for i in $(seq 30); do echo $i; sleep 0.01; done >&%d; exit 3")
        :format(stream == "stdout" and 1 or 2))
      local lines = {}
      for line in job[stream]:lines() do lines[#lines + 1] = line end
      assert.equal(30, #lines)
      assert.equal("30", lines[30])
      assert.same({ "exited", 3 }, ended(job))
      local left
      for _ = 1, 100 do -- they are told to end, and do
        left = sb:exec(("ls .daytona/lua-jobs/%s | grep 'watch[.]'; pgrep -f 'lua-jobs/%s/(out|err|events)'; true")
          :format(job.id, job.id)).result
        if left == "" then break end
      end
      assert.equal("", left)
      assert(job:remove())
    end
  end)

  it("is read and closed like a file of io.popen", function()
    local job = popen "echo one; echo two; printf 'three'; exit 0"
    assert.truthy(tostring(job):find "^job %(.+, running%)$")
    assert.equal("one", job:read())
    assert.equal("two\n", job:read "L")
    assert.equal("thr", job:read(3))
    assert.equal("ee", job:read "*a")
    assert.equal("", job:read "a")
    assert.is_nil((job:read "l"))
    assert.same({ true, "exit", 0 }, { job:close() })
    assert.has_error(function() job:read() end)
    assert.same({ n = 3, nil, "exit", 3 }, { n = select("#", popen "exit 3":close()), popen "exit 3":close() })
    local _, how, signal = popen "kill -9 $$":close()
    assert.same({ "signal", 9 }, { how, signal })
  end)

  if _VERSION ~= "Lua 5.1" or jit then
    it("gives its lines as they are printed", function()
      local job = popen("echo a; read x; echo b$x", { stdin = true })
      local lines = {}
      for line in job:lines() do
        lines[#lines + 1] = line
        if line == "a" then assert(job:write "c\n") end
      end
      assert.same({ "a", "bc" }, lines)
      local chunks = {}
      for chunk in popen "printf x":lines(10) do chunks[#chunks + 1] = chunk end
      assert.same({ "x" }, chunks)
    end)
  end

  it("prints numbers, which are read as Lua reads them, at once and in pieces", function()
    local job = popen("printf ' 12 -0x1F\\n3.5e2;'; read x; printf '\\t7'; read x; printf '8 rest'", { stdin = true })
    assert.same({ 12, -31, 350 }, { job:read("n", "*n", "n") })
    assert.equal(";", job:read(1))
    assert(job:write "\n")
    daytona.sleep(0.05)
    assert(job:write "\n")
    assert.same({ 78, " rest" }, { job:read("n", "a") })
    assert.same({ n = 1 }, { n = select("#", job:read "n"), (job:read "n") })
    assert.is_nil((popen "echo end":read "n"))
    local sum = 0
    for a, b in popen "seq 1 1000":lines("n", "n") do sum = sum + a * b end
    assert.equal(166916500, sum)
  end)

  it("prints bytes, which arrive as they are, each stream apart", function()
    local job = popen([[printf 'a\0\377\303'; printf '\251' ; printf '\1\1\1\r\n\n' >&2]])
    assert.equal("a\0\255\195\169", job:read "a")
    assert.equal("\1\1\1\r\n\n", job.stderr:read "a")
    assert.equal("a\nb\n", popen("echo a; echo b >&2", { stderr = "stdout" }):read "a")
  end)

  it("shows a prompt before its line ends", function()
    local job = popen("printf 'name? '; read x; echo hello $x", { stdin = true })
    assert.equal("name? ", job.stdout:chunk())
    assert(job:write "you\n")
    assert.equal("hello you", job:read())
  end)

  it("runs where, and with what, it is told to", function()
    local env = { A = "it's\n\255 $HOME", B = "" }
    local job = popen("pwd; printf '%s|' \"$A\" \"$B\"; umask", { cwd = "/tmp", env = env })
    assert.equal("/tmp\nit's\n\255 $HOME||0022\n", job:read "a")
    assert.equal("a b|$HOME|", popen { "printf", "%s|", "a b", "$HOME" }:read "a")
    assert.equal(("x"):rep(100000), popen("cat", { stdin = ("x"):rep(100000) }):read "a")
    assert.equal("", popen "cat":read "a")
    local none, err = sb:popen("true", { cwd = "/nope" })
    assert.is_nil(none)
    assert.same({ "not_found", "PROCESS_START_FAILED" }, { err.kind, err.code })
    assert.equal("drwx------", sb:exec("stat -c %A .daytona/lua-jobs/* | uniq").result:sub(1, 10))
    assert.equal("", sb:exec("ls .daytona/lua-jobs/*/env 2>/dev/null").result)
  end)

  it("refuses what cannot be meant", function()
    for _, opts in ipairs { { id = "a/b" }, { id = ".." }, { id = "-x" }, { stdin = 1 }, { timeout = -1 },
      { env = { ["a b"] = "" } }, { nonsense = 1 }, { cwd = "\255" } } do
      assert.has_error(function() sb:popen("true", opts) end)
    end
    assert.has_error(function() sb:popen "" end)
    local job = popen "true"
    assert.has_error(function() job:read "x" end)
    assert.has_error(function() job:kill "NONSENSE" end)
  end)

  it("tells how it ended", function()
    finally(function() job_script.grace = 5 end)
    job_script.grace = 0.2
    local late = popen(SLEEP .. " | cat", { timeout = 0.5 })
    local stubborn = popen("trap '' TERM; " .. SLEEP .. "; " .. SLEEP, { timeout = 1 })
    assert.same({ "exited", 137 }, ended(popen "exit 137"))
    assert.same({ "exited", 127 }, ended(popen "no-such-program"))
    assert.same({ "exited", 143 }, ended(popen "exit 143"))
    assert.same({ true, "exit", 0 }, { popen "(exit 130) || true":close() })
    assert.same({ n = 3, nil, "exit", 130 }, { n = 3, popen "exit 130":close() })
    assert.same({ "signaled", 137, 9 }, ended(popen "kill -9 $$"))
    assert.same({ "signaled", 139, 11 }, ended(popen "kill -SEGV $$"))
    local job = popen("echo up; " .. SLEEP)
    job:read()
    assert(job:kill "INT")
    assert.same({ "signaled", 130, 2 }, ended(job))
    job = popen(SLEEP .. " & " .. SLEEP)
    assert(job:kill())
    assert.same({ "canceled", 143, 15 }, ended(job))
    job = popen("trap 'exit 5' TERM; echo up; " .. SLEEP .. " & wait")
    job:read()
    assert(job:kill "TERM")
    assert.same({ "exited", 5 }, ended(job))
    job = popen("trap '' TERM; echo up; " .. SLEEP .. "; " .. SLEEP)
    job:read()
    assert(job:kill(nil, { grace = 0.2 }))
    assert.same({ "canceled", 137, 9 }, ended(job))
    assert.same({ "timed_out", 143, 15 }, ended(late))
    assert.same({ "timed_out", 137, 9 }, ended(stubborn))
    assert.same({ true, false }, { stubborn.result.timed_out, job.result.timed_out })
    assert.equal("", sleepers())
  end)

  it("waits no longer than it is told to", function()
    local job = popen(SLEEP)
    for _, seconds in ipairs { 0.05, 1.1 } do
      local before = loop.now()
      local none, err = job:wait(seconds == 1.1 and { timeout = seconds } or seconds)
      assert.is_nil(none)
      assert.same({ "timeout", "wait" }, { err.kind, err.code })
      assert.is_true(loop.now() - before >= seconds)
    end
    local none, err = job:read("l", { timeout = 0.05 })
    assert.is_nil(none)
    assert.same({ "timeout", "wait", job.id }, { err.kind, err.code, err.what })
    fault { hold = 2, times = 1 } -- the answer, which says that it still runs
    none, err = job:wait(0.05)
    assert.is_nil(none)
    assert.same({ "timeout", "wait", job.id }, { err.kind, err.code, err.what })
  end)

  it("is read in a task that is cancelled, and afterwards", function()
    local job = popen "echo a; until [ -e go ]; do sleep 0.05; done; rm go; echo b"
    assert.equal("a", job:read())
    local task = daytona.spawn(function() return job:read() end)
    task:cancel()
    assert.equal("canceled", select(2, task:wait()).kind)
    sb:exec "touch go"
    assert.equal("b", job:read())
  end)

  it("is read by several tasks, each of which gets lines that the others do not", function()
    local job = assert(popen "for i in 1 2 3 4 5 6; do echo $i; sleep 0.05; done; seq 7 2000")
    local lines = {}
    local function reader()
      local line = job:read() -- not `lines`: Lua 5.1 cannot wait in an iterator of a task
      while line do
        lines[#lines + 1] = tonumber(line)
        line = job:read()
      end
      return true
    end
    assert(daytona.gather { reader, reader, reader })
    table.sort(lines)
    assert.same({ 2000, 1, 1000, 2000 }, { #lines, lines[1], lines[1000], lines[2000] })
    job:close()
  end)

  it("is taken up again from where another program stopped", function()
    local first = popen("echo one; echo two; sleep 0.1; echo three", { id = "build" })
    assert.equal("one", first:read())
    local again = assert(sb:job("build", { offset = first.stdout:tell() }))
    assert.equal("two\nthree\n", again:read "a")
    assert.equal("exited", again:wait().reason)
    local none, err = sb:job "none"
    assert.is_nil(none)
    assert.same({ "not_found", "JOB_NOT_FOUND" }, { err.kind, err.code })
    none, err = sb:popen("true", { id = "build" })
    assert.is_nil(none)
    assert.same({ "conflict", "JOB_EXISTS" }, { err.kind, err.code })
  end)

  it("is listed until it is removed", function()
    local running = popen(SLEEP, { id = "b" })
    popen("echo h\195\169; exit 2", { id = "a" }):wait()
    local jobs, by_id = assert(sb:jobs()), {}
    for _, job in ipairs(jobs) do by_id[job.id] = job end
    assert.equal(2, #jobs)
    assert.same({ "echo h\195\169; exit 2", 2 }, { by_id.a.command, by_id.a.result.exit_code })
    assert.is_nil(by_id.b.result)
    assert.equal("h\195\169\n", by_id.a:read "a")
    assert.is_true(math.abs(by_id.a.started_at - os.time()) < 60)
    local none, err = running:remove()
    assert.is_nil(none)
    assert.equal("conflict", err.kind)
    assert(by_id.a:remove())
    assert(by_id.a:remove())
    assert.equal(1, #sb:jobs())
  end)

  it("that lost its supervisor is lost, and nobody waits for it", function()
    local job = popen("echo up; " .. SLEEP)
    job:read()
    assert(sb:exec("kill -9 $(cat .daytona/lua-jobs/" .. job.id .. "/pid); pkill -9 -f '^" .. SLEEP .. "'"))
    assert.same({ "lost", -1 }, ended(job))
  end)

  it("gets input, also much of it, from several tasks, to its end", function()
    local job = popen("cat", { stdin = true })
    local big = ("0123456789abcdef"):rep(30000)
    local writing = daytona.spawn(function()
      assert(job:write(big))
      return job:close_stdin()
    end)
    assert.is_true(big == job:read "a")
    assert.is_true(writing:wait())
    local none, err = job:write "late"
    assert.is_nil(none)
    assert.same({ "gone", "INPUT_CLOSED" }, { err.kind, err.code })
    job = popen("sort", { stdin = true })
    assert(daytona.map({ "c", "a", "b" }, function(text) return job:write((text .. "\n"):rep(1000)) end))
    assert(job:close_stdin())
    assert(job:close_stdin())
    assert.equal(("a\n"):rep(1000) .. ("b\n"):rep(1000) .. ("c\n"):rep(1000), job:read "a")
    job = popen("true", { stdin = true })
    job:wait()
    assert.equal("gone", select(2, job:write "x").kind)
    job = popen(SLEEP, { stdin = true })
    assert.equal("timeout", select(2, job:write(big, { timeout = 1 })).kind)
  end)

  it("prints much, which arrives in linear pieces", function()
    local job, n, sum = popen "seq 300000", 0, 0
    while true do
      local chunk = assert.is_truthy(job) and job.stdout:chunk()
      if not chunk then break end
      n, sum = n + 1, sum + #chunk
    end
    assert.equal(1988895, sum)
    assert.is_true(n < 60)
  end)

  it("starts once, whatever happens to the answers", haste.case(function()
    for _, how in ipairs { { reset = true, handled = true }, { reset = true }, { reset = "mid" },
      { empty = true, handled = true }, { drop = true, handled = true } } do
      how.times = 1
      fault(how)
      local job = popen("echo run >>count; cat count; rm count")
      assert.equal("run\n", job:read "a")
      job:wait()
    end
  end))

  -- Not in a hurry: the start may be on its way yet, and is looked for again.
  it("whose start is not known to have been is ended", function()
    for _, how in ipairs {
      { reset = "mid", times = 3 }, { status = 200, body = { result = 5 }, handled = true, times = 1 },
    } do
      fault(how)
      local none, err = sb:popen(SLEEP)
      assert.is_nil(none)
      assert.truthy(err.kind == "connection" or err.kind == "protocol", tostring(err))
      assert.same({}, sb:jobs())
      assert.equal("", sleepers())
      box.daemon:request("DELETE", "/__devserver/faults")
    end
  end)

  it("leaves nothing of the input it was given", function()
    local job = popen("cat; echo up; " .. SLEEP, { stdin = "secret\n" })
    assert.same({ "secret", "up" }, { job:read("l", "l") })
    assert.equal("", sb:exec("grep -rl secret .daytona/lua-jobs/*/input 2>/dev/null").result)
  end)

  it("is read, fed and ended through connections that break", haste.case(function()
    local job = popen("cat; echo end", { stdin = true })
    for _, how in ipairs { { reset = true, handled = true }, { reset = "mid" }, { empty = true } } do
      how.times = 1
      fault(how)
      assert(job:write "x\n")
      box.daemon:request("DELETE", "/__devserver/faults")
      fault(how)
      assert.equal("x", job:read())
    end
    fault { reset = true, handled = true, times = 1 }
    assert(job:close_stdin())
    assert.equal("end\n", job:read "a")
    fault { status = 503, times = 2 }
    assert.same({ true, "exit", 0 }, { job:close() })
  end))

  it("is killed, waited for, listed and removed through connections that break", haste.case(function()
    for _, how in ipairs { { reset = true, handled = true }, { reset = "mid" }, { empty = true }, { drop = true } } do
      local job = popen(SLEEP)
      local function through(fn)
        how.times = 1
        fault(how)
        local result = assert(fn())
        box.daemon:request("DELETE", "/__devserver/faults")
        return result
      end
      assert.equal(job.id, through(function() return sb:jobs() end)[1].id)
      assert.equal(job.id, through(function() return sb:job(job.id) end).id)
      through(function() return job:kill() end)
      assert.equal("canceled", through(function() return job:wait(20) end).reason)
      through(function() return job:remove() end)
      assert.same({}, sb:jobs())
    end
  end))

  it("that is not wanted any more before it was started never runs", function()
    fault { hold = 0.3, times = 1 }
    local task = daytona.spawn(function() return sb:popen(SLEEP) end)
    loop.sleep(0.1)
    task:cancel()
    assert.equal("canceled", select(2, task:wait()).kind)
    loop.sleep(0.4)
    assert.equal("", sleepers())
    assert.same({}, sb:jobs())
    sb:exec "rm -rf .daytona/lua-jobs/*"
  end)

  it("ends with its scope", function()
    local scopes = { function(job) return daytona.using(job, function() return job:read() end) end }
    local load = _G.load
    if _VERSION == "Lua 5.4" then scopes[2] = load "local job <close> = ...; return job:read()" end
    for _, scope in ipairs(scopes) do
      assert.equal("up", scope(popen("echo up; " .. SLEEP)))
      assert.equal("", sleepers())
      assert.same({}, sb:jobs())
    end
  end)

  it("does not show its environment in errors", function()
    fault { status = 500, body = { message = "bad: hunter2hunter2" } }
    local _, err = sb:popen("true", { env = { PASSWORD = "hunter2hunter2" } })
    assert.equal("server", err.kind)
    assert.is_nil(tostring(err):find("hunter2", 1, true))
  end)

  it("of another answer than ours is an error", function()
    local job = popen(SLEEP)
    for _, result in ipairs { "", "hello", "running\n1 1\n!\n!\n", 5 } do
      fault { status = 200, body = { exitCode = 0, result = result }, times = 1 }
      local _, err = job:read()
      assert.equal("protocol", err.kind)
      box.daemon:request("DELETE", "/__devserver/faults")
    end
    assert.is_true(errors.is(select(2, job:wait(0.01)), "timeout"))
  end)
end)

describe("a job on a full disk", function()
  it("is not started, and the error says why", function()
    if not small_disk.possible() then return pending "no file system to be mounted here" end
    local box = support.start { small_disk = "1m" }
    finally(function() box:stop() end)
    assert(box.sandbox:exec "mkdir -p .daytona; dd if=/dev/zero of=full bs=4096 2>/dev/null || true")
    local none, err = box.sandbox:popen "echo hello"
    assert.is_nil(none)
    assert.same({ "io", "JOB_FAILED" }, { err.kind, err.code })
    assert.truthy(tostring(err):find("No space left", 1, true), tostring(err))
    assert(box.sandbox:exec "rm full")
    assert.same({}, box.sandbox:jobs())
    local job = assert(box.sandbox:popen "echo hello")
    assert.equal("hello\n", job:read "a")
    assert.same({ true, "exit", 0 }, { job:close() })
  end)
end)

-- The scripts alone, run by every shell that is here: no daemon is needed.
describe("a job's scripts", function()
  local SHELLS = { dash = "dash", bash = "bash", zsh = "zsh -f", busybox = "busybox sh" }

  local function installed(name)
    return toolbox.sh("command -v " .. name .. " && echo yes"):find "yes" ~= nil
  end

  -- Runs fn with a sandbox that is a shell of this machine, and a folder that is its home.
  local function in_shell(command, fn)
    local home = toolbox.sh "mktemp -d":match "%S+"
    local real = http.request
    http.request = function(_, request)
      toolbox.write(home .. "/script", request.json.command)
      local line = ("cd %s && HOME=%s %s <script 2>&1"):format(home, home, command)
      return { status = 200, json = { exitCode = 0, result = toolbox.sh(line) } }
    end
    local sandbox = { toolbox = function() return { max_bytes = 1e9 } end }
    local ok, err = pcall(fn, sandbox, home)
    http.request = real
    toolbox.sh("rm -rf " .. home)
    if not ok then error(err, 0) end
  end

  local function each_shell(name, command)
    it("work in " .. name, function()
      in_shell(command, function(sandbox)
        local job = assert(job_module.popen(sandbox, "cat; echo e >&2; exit 3", { stdin = true, env = { A = "b" } }))
        assert(job:write "h\0\255\n")
        assert.equal("h\0\255", job:read())
        assert(job:close_stdin())
        assert.same({ "exited", 3 }, { job:wait(20).reason, job:wait().exit_code })
        assert.equal("e\n", job.stderr:read "a")
        job = assert(job_module.popen(sandbox, "kill -9 $$"))
        assert.equal(9, job:wait(20).signal)
        job = assert(job_module.popen(sandbox, "exit 143"))
        assert.same({ "exited", 143 }, { job:wait(20).reason, job:wait().exit_code })
        job = assert(job_module.popen(sandbox, SLEEP))
        assert(job:kill())
        assert.equal("canceled", job:wait(20).reason)
        job = assert(job_module.popen(sandbox, SLEEP, { timeout = 1 }))
        assert.equal("timed_out", job:wait(20).reason)
        local jobs = assert(job_module.jobs(sandbox))
        assert.equal(5, #jobs)
        for _, each in ipairs(jobs) do assert(each:remove()) end
      end)
    end)
  end

  it("end no other job where there is no setsid", function()
    local path = toolbox.sh "mktemp -d":match "%S+"
    finally(function() toolbox.sh("rm -rf " .. path) end)
    toolbox.sh(("ln -s /usr/bin/* /bin/* %s 2>/dev/null; rm -f %s/setsid"):format(path, path))
    in_shell("PATH=" .. path .. " sh", function(sandbox)
      local one = assert(job_module.popen(sandbox, SLEEP, { id = "a" }))
      local other = assert(job_module.popen(sandbox, SLEEP, { id = "a.b" }))
      assert(one:kill())
      assert.equal("canceled", one:wait(20).reason)
      assert.equal("timeout", select(2, other:wait(0.3)).kind)
      in_shell("PATH=" .. path .. " sh", function(elsewhere) -- another home
        local same = assert(job_module.popen(elsewhere, SLEEP, { id = "a.b" }))
        assert(same:kill())
        assert.equal("canceled", same:wait(20).reason)
      end)
      assert.equal("timeout", select(2, other:wait(0.3)).kind)
      assert(other:kill())
      assert.equal("canceled", other:wait(20).reason)
    end)
  end)

  -- As timeout is for a moment: told to end, it does, and what it has just started goes on.
  local LOSES_ITS_CHILD = [[
#!/usr/bin/env python3
import os, sys
if sys.argv[1] == "--version": sys.exit(0)
os.setpgid(0, 0)
pid = os.fork()
if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])
os.waitpid(pid, 0)
]]

  it("leave nothing of a look whose timeout lost what it had started", function()
    local path = toolbox.sh "mktemp -d":match "%S+"
    finally(function() toolbox.sh("pkill -f '[t]ail -f .*" .. path .. "'; rm -rf " .. path) end)
    toolbox.write(path .. "/timeout", LOSES_ITS_CHILD)
    toolbox.sh("chmod +x " .. path .. "/timeout; mkdir " .. path .. "/home")
    local limit = toolbox.sh "command -v timeout":match "%S+"
    in_shell(("HOME=%s/home PATH=%s:$PATH %s 15 sh"):format(path, path, limit), function(sandbox)
      local job = assert(job_module.popen(sandbox, "sleep 0.5; echo out"))
      assert.equal("", job.stderr:read "a")
      assert.equal("out\n", job.stdout:read "a")
      local left
      for _ = 1, 100 do -- they are told to end, and do
        left = toolbox.sh("pgrep -f '[t]ail -f .*" .. path .. "'; true")
        if left == "" then break end
      end
      assert.equal("", left)
    end)
  end)

  for name, command in pairs(SHELLS) do
    if installed(name) then each_shell(name, command) end
  end

  it("carry any bytes", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local all = table.concat(bytes)
    assert.equal(all, base64.decode(base64.encode(all)))
  end)
end)
