-- A job that prints little and often, read from far away: what it prints is asked for ahead, by
-- requests that wait for it in the sandbox. It is the same as without, and costs nothing when it is quiet.

local ahead_script = require "daytona.toolbox.job_ahead_script"
local core = require "daytona.base.native"
local daytona = require "daytona"
local failure = require "daytona.http.failure"
local loop = require "daytona.loop"
local support = require "spec.support.canned"

local PATIENCE = 20 -- seconds that nothing here takes

--- Answers that a spec gives ----------------------------------------------------------------

describe("lines that come often", function()
  local canned, asked

  after_each(support.stop)

  -- A job whose looks give a line each and whose chains are answered by `chain(n)`; `apart`:
  -- seconds between two looks. What was asked is noted: "look <offset>", "start <offset>" or "next <n>".
  local function popen(chain, apart)
    asked = {}
    local looks = 0
    canned = support.start { ["POST /process/execute"] = function(request)
      local command = request.json.command
      if request.operation == "popen" then return { exitCode = 0, result = "started" } end
      local offset, pipe = command:match "\np=[^\n]- o=(%d+) m=", command:match "\np=%$w/(%d+) n=0"
      if offset or pipe then
        asked[#asked + 1] = offset and ("start %d"):format(offset - 1) or "next " .. pipe
        local said = chain(tonumber(pipe) or 0)
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

  local function line(n, mark) return n .. (mark or "") .. " " .. core.base64("line " .. n .. "\n") .. "\n" end

  local function read(job, n)
    local lines = {}
    for i = 1, n do lines[i] = job:read() or "none" end
    return table.concat(lines, ",")
  end

  it("are asked for ahead: two at a time, in order, and no more for who does not read", function()
    local job = popen(function(n) return line(n) end)
    assert.equal("1,2,3", read(job, 3))
    assert.same({ "look 0", "look 2", "look 4", "start 6", "next 1" }, asked)
    assert.equal("line 0,line 1", read(job, 2))
    assert.same({ "next 2", "next 3" }, { asked[6], asked[7] })
    assert.equal(7, #asked)
    assert.equal(6 + 14, job.stdout:tell())
  end)

  it("are asked for by more where answers found nobody, up to a limit", function()
    local job = popen(function(n) return line(n, "+") end)
    read(job, 3)
    local function under_way() return #asked - 3 end
    for i, wanted in ipairs { 2 + 2 + 1, 4 + 2 + 2, 6 + 2 + 3 } do
      read(job, 1)
      assert.equal(wanted, under_way(), i)
    end
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
  local quiet = ahead_script.quiet

  setup(function()
    box = require("spec.support.box").start()
    sb = box.sandbox
  end)
  teardown(function() box:stop() end)

  after_each(function()
    ahead_script.quiet = quiet
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
