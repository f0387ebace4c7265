-- A job that prints little and often, read from far away: what it prints is asked for ahead, by
-- requests that wait for it in the sandbox. It is the same as without, and costs nothing when it is quiet.

local ahead_script = require "daytona.toolbox.job_ahead_script"
local core = require "daytona.base.native"
local daytona = require "daytona"
local failure = require "daytona.http.failure"
local job_ahead = require "daytona.toolbox.job_ahead"
local loop = require "daytona.loop"
local support = require "spec.support.canned"

local PATIENCE = 20 -- seconds that nothing here takes

--- Answers that a spec gives ----------------------------------------------------------------

describe("lines that come often", function()
  local canned, asked

  after_each(support.stop)

  -- A job whose looks give a line each and whose chains are answered by `chain(n)`; `apart`:
  -- seconds between two looks; `far`: that its start takes. What was asked is noted: "look <offset>",
  -- "start <offset>" or "next <n>".
  local function popen(chain, apart, far)
    asked = {}
    local looks = 0
    canned = support.start { ["POST /process/execute"] = function(request)
      local command = request.json.command
      if request.operation == "popen" then
        canned.now = canned.now + (far or 0)
        return { exitCode = 0, result = "started" }
      end
      local n, offset = command:match "\nn=(%d+) p=%S+ f=out i=(%d+)"
      if n then
        asked[#asked + 1] = command:find("mkfifo", 1, true) and "start " .. offset or "next " .. n
        local said = chain(tonumber(n), tonumber(offset))
        return type(said) == "string" and { exitCode = 0, result = said } or said
      end
      looks = looks + 1
      canned.now = canned.now + (apart or 0.1)
      local from = command:match "\no=(%d+)"
      asked[#asked + 1] = (command:find("lua-ahead", 1, true) and "stop, look " or "look ") .. from
      if looks > 5 then return { exitCode = 0, result = "exited 0 0\n" .. from .. " 0\n\n\n" } end
      return { exitCode = 0, result = "running\n0 0\n" .. core.base64(looks .. "\n") .. "\n\n" }
    end }
    return assert(canned.sandbox:popen "make")
  end

  local function line(n) return n .. " " .. core.base64("line " .. n .. "\n") .. "\n" end

  local function read(job, n)
    local lines = {}
    for i = 1, n do lines[i] = job:read() or "none" end
    return table.concat(lines, ",")
  end

  -- Answers that come so many seconds after they were asked for.
  local function after(seconds)
    return function(n)
      canned.now = canned.now + seconds
      return line(n)
    end
  end

  local function under_way(taken) return #asked - 3 - taken end

  it("are asked for ahead: two at a time, in order, and no more for who does not read", function()
    local job = popen(after(0.1))
    assert.equal("1,2,3", read(job, 3))
    assert.same({ "look 0", "look 2", "look 4" }, asked)
    assert.equal("line 0", read(job, 1))
    assert.same({ "start 6", "next 1", "next 2" }, { asked[4], asked[5], asked[6] })
    assert.equal("line 1", read(job, 1))
    assert.equal("next 3", asked[7])
    assert.equal(7, #asked)
    assert.equal(6 + 14, job.stdout:tell())
  end)

  it("are asked for by more where requests come when something is there for them, up to a limit", function()
    local job = popen(after(0))
    read(job, 3)
    for taken = 1, 20 do
      read(job, 1)
      assert.equal(math.min(2 + 2 * taken, ahead_script.RING - 4), under_way(taken), taken)
    end
  end)

  it("are asked for by less where so many in a row had time", function()
    local job = popen(function(n) return after(n == 0 and 0 or 0.2)(n) end)
    read(job, 3 + 1)
    assert.equal(4, under_way(1))
    read(job, 63)
    assert.equal(4, under_way(64))
    read(job, 1)
    assert.equal(3, under_way(65))
    read(job, 3 * 64)
    assert.equal(2, under_way(65 + 3 * 64))
  end)

  it("are asked for ahead from the second request on where the way is long", function()
    local job = popen(after(0.1), 0.1, 0.1)
    assert.equal("1", read(job, 1))
    assert.same({ "look 0" }, asked)
    assert.equal("line 0", read(job, 1))
    assert.same({ "start 2", "next 1", "next 2", "next 3" }, { asked[2], asked[3], asked[4], asked[5] })
  end)

  it("are asked for so early once: not again when they came seldom", function()
    local job = popen(function(n) return n == 0 and line(n) or "" end, 0.5, 0.1)
    assert.equal("1,line 0,2,3,4", read(job, 5))
    assert.same({ "stop, look 9", "look 11", "look 13" }, { asked[#asked - 2], asked[#asked - 1], asked[#asked] })
  end)

  it("end with what a look says, told to who waited, from where he was on asking", function()
    for name, rest in pairs { ["nothing more"] = "", ["a line"] = "bye\n" } do
      local job = popen(function(n, offset)
        if n < 2 then return line(n) end
        local text = ("line 0\nline 1\n" .. rest):sub(offset - 6 + 1)
        return n > 2 and "" or ("exited 3 0\n%d 0\n%s\n\n"):format(20 + #rest, core.base64(text))
      end)
      local lines = "1,2,3,line 0,line 1," .. (rest == "" and "" or "bye,") .. "none"
      assert.equal(lines, read(job, rest == "" and 6 or 7), name)
      assert.equal(3, job.result.exit_code)
      assert.equal(20 + #rest, job.stdout:tell())
      assert.is_nil(table.concat(asked, ","):match "look 2%d", name)
    end
  end)

  it("are looked for where the end was told with less than has come", function()
    local job = popen(function(n)
      return n < 2 and line(n) or n == 2 and ("exited 3 0\n30 0\n%s\n\n"):format(core.base64 "line 0") or ""
    end)
    assert.equal("1,2,3,line 0,line 1,4", read(job, 6))
    assert.equal("stop, look 20", asked[#asked])
  end)

  it("are looked for, from where one was, after whatever is odd", function()
    for name, odd in pairs {
      nothing = "", ["another's"] = line(7), strange = "sh: no\n", ["no base64"] = "1 !\n",
      refused = { 400, "no" }, lost = failure.from_transport "truncated",
      ["not there"] = "gone\n",
    } do
      local job = popen(function(n) return n == 1 and odd or line(n) end)
      assert.equal("1,2,3,line 0,4,5,none", read(job, 7), name)
      assert.equal("stop, look 13", asked[#asked - 2], name)
      assert.equal("look 15", asked[#asked - 1], name)
      assert.equal(0, job.result.exit_code)
    end
  end)

  it("are fetched in larger pieces when they are many", function()
    local much = ("x"):rep(ahead_script.PIECE)
    local job = popen(function(n) return n .. " " .. core.base64(much) end)
    read(job, 3)
    assert.equal(much, job:read(#much))
    assert.equal("4", job:read())
    assert.equal("stop, look " .. 6 + #much, asked[6])
    assert.equal(6, #asked)
  end)

  it("are not when they come seldom", function()
    local job = popen(line, 0.5)
    assert.equal("1,2,3,4,5", read(job, 5))
    assert.equal(5, #asked)
  end)
end)

--- In a sandbox ---------------------------------------------------------------------------

describe("a job that prints little and often", function()
  local box, sb
  local quiet, is_far = ahead_script.quiet, job_ahead.is_far

  setup(function()
    box = require("spec.support.box").start()
    sb = box.sandbox
  end)
  teardown(function() box:stop() end)

  after_each(function()
    ahead_script.quiet, job_ahead.is_far = quiet, is_far
    box.daemon:request("DELETE", "/__devserver/faults")
  end)

  -- That no chain is left there.
  local function assert_nothing_left()
    local left
    local limit = loop.now() + PATIENCE
    repeat
      left = assert(sb:exec "ls .daytona/lua-ahead; pgrep -fa \"^tail -f .* $HOME/.daytona/lua-jobs/\"; true").result
    until left == "" or loop.now() > limit
    assert.equal("", left)
  end

  it("has its first line by the second request, as a session its first result by its second", function()
    local function all() return #box.daemon:request("GET", "/__devserver/requests").json end
    local before = all()
    local job = assert(sb:popen("echo one; read x; true", { stdin = true }))
    assert.equal("one", job:read("l", { timeout = PATIENCE }))
    assert.equal(2, all() - before)
    assert(job:close())
    before = all()
    local session = assert(sb:session())
    assert.equal("two\n", assert(session:exec "echo two").stdout)
    assert.equal(2, all() - before)
    assert(session:delete())
  end)

  local COUNT = "for i in $(seq %d); do echo $i; sleep 0.01; done"

  local function assert_counted(lines, n)
    assert.equal(n, #lines)
    for i = 1, n do assert.equal(tostring(i), lines[i]) end
  end

  it("is read to its end, each line once, and nothing of the reader stays", function()
    for _, stream in ipairs { "stdout", "stderr" } do
      local job = assert(sb:popen("(" .. COUNT:format(150) .. ") >&" .. (stream == "stdout" and 1 or 2)))
      local lines, asked_ahead = {}, false
      while true do
        local line, err = job[stream]:read("l", { timeout = PATIENCE })
        assert.is_nil(err)
        if not line then break end
        lines[#lines + 1] = line
        asked_ahead = asked_ahead or job[stream].ahead ~= nil
      end
      assert_counted(lines, 150)
      assert.is_true(asked_ahead)
      assert.same({ true, "exit", 0 }, { job:close() })
      assert_nothing_left()
    end
  end)

  it("is read through connections that break, nothing lost, doubled or out of order", function()
    local job = assert(sb:popen(COUNT:format(200)))
    local lines = {}
    while true do
      local line, err = job:read("l", { timeout = PATIENCE })
      assert.is_nil(err, tostring(err))
      if not line then break end
      lines[#lines + 1] = line
      if #lines % 40 == 20 then
        box.daemon:post("/__devserver/faults", {
          method = "POST", path = "/process/execute", times = 1, reset = #lines < 100 or "mid", handled = #lines < 100,
        })
      end
    end
    assert_counted(lines, 200)
    assert(job:close())
    assert_nothing_left()
  end)

  it("is heard by `exec`, both streams at once", function()
    local heard = { stdout = {}, stderr = {} }
    assert(sb:exec("for i in $(seq 100); do echo $i; echo $i >&2; sleep 0.01; done", {
      on_stdout = function(chunk) table.insert(heard.stdout, chunk) end,
      on_stderr = function(chunk) table.insert(heard.stderr, chunk) end,
    }))
    for _, stream in ipairs { "stdout", "stderr" } do
      local lines = {}
      for line in table.concat(heard[stream]):gmatch "[^\n]+" do lines[#lines + 1] = line end
      assert_counted(lines, 100)
    end
    local all = {}
    assert(sb:exec(COUNT:format(100) .. "; echo end >&2", { on_output = function(chunk) all[#all + 1] = chunk end }))
    assert.equal("99\n100\nend\n", table.concat(all):sub(-11))
    assert_nothing_left()
  end)

  -- Reads until requests wait ahead.
  local function read_ahead(job)
    local n = 0
    repeat
      n = n + 1
      assert.equal(tostring(n), job:read("l", { timeout = PATIENCE }))
    until job.stdout.ahead
    return n
  end

  it("has a reader that is cancelled, and goes on after it", function()
    local job = assert(sb:popen(COUNT:format(120) .. "; read x; echo $x", { stdin = true }))
    local n = read_ahead(job)
    repeat
      n = n + 1
      assert.equal(tostring(n), job:read("l", { timeout = PATIENCE }))
    until n == 120
    local reader = daytona.spawn(function() return job:read() end)
    reader:cancel()
    assert.equal("canceled", select(2, reader:wait(PATIENCE)).kind)
    local _, err = job:read { timeout = 0.01 }
    assert.same({ "timeout", "wait" }, { err.kind, err.code })
    assert(job:write "121\n")
    assert.equal("121", job:read("l", { timeout = PATIENCE }))
    assert(job:close())
    assert_nothing_left()
  end)

  it("keeps no host awake by what was asked ahead and nobody waits for", function()
    local job = assert(sb:popen(COUNT:format(60) .. "; read x; echo $x", { stdin = true }))
    local n = read_ahead(job)
    assert.is_false(loop.busy())
    for i = n + 1, 60 do assert.equal(tostring(i), job:read("l", { timeout = PATIENCE })) end
    local late = daytona.spawn(function() return job:read { timeout = 0.05 } end)
    assert.is_true(loop.busy())
    assert.equal("timeout", select(2, late:wait(PATIENCE)).kind)
    assert.is_false(loop.busy())
    assert(job:write "x\n")
    assert.equal("x", job:read("l", { timeout = PATIENCE }))
    assert(job:close())
    assert_nothing_left()
  end)

  it("leaves nothing under way when it was heard by `exec` from far away", function()
    job_ahead.is_far = function() return true end
    for _, command in ipairs { "echo 1; sleep 0.1; echo 2", "echo 1; sleep 0.1; echo 2 >&2", "echo 1 >&2; echo 2" } do
      local heard = {}
      local function note(chunk) heard[#heard + 1] = chunk end
      assert(sb:exec(command, { on_output = note, on_stderr = function() end }))
      table.sort(heard)
      assert.equal("1\n2\n", table.concat(heard))
      assert.is_false(loop.busy())
    end
    assert_nothing_left()
  end)

  it("is asked no more when it is quiet, nor when nobody reads", function()
    ahead_script.quiet = 0.1
    local job = assert(sb:popen(COUNT:format(100) .. "; read x; echo $x", { stdin = true }))
    read_ahead(job)
    assert_nothing_left() -- as nobody reads
    local rest = {}
    repeat
      rest[#rest + 1] = assert(job:read("l", { timeout = PATIENCE }))
    until rest[#rest] == "100"
    local waiting = daytona.spawn(function() return job:read() end)
    local limit = loop.now() + PATIENCE
    while job.stdout.ahead and loop.now() < limit do daytona.sleep(0.01) end
    local before = box:commands()
    assert(job:write "x\n")
    assert.equal("x", waiting:wait(PATIENCE))
    assert.is_true(box:commands() - before <= 2) -- what is written, and no look more than without
    assert(job:close())
  end)

  it("is ended with its scope, and its readers over there with it", function()
    local job = assert(sb:popen(COUNT:format(3000)))
    read_ahead(job)
    getmetatable(job).__close(job)
    assert_nothing_left()
    assert.same({}, sb:jobs())
  end)

  it("is read one request at a time where the sandbox cannot wait for it", function()
    local job = assert(sb:popen(COUNT:format(60)))
    assert(sb:exec("rm .daytona/lua-jobs/" .. job.id .. "/watches", { check = true }))
    local lines = {}
    for line in function() return job:read("l", { timeout = PATIENCE }) end do lines[#lines + 1] = line end
    assert_counted(lines, 60)
    assert(job:close())
  end)
end)
