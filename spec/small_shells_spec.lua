-- What a user gets in a sandbox with another shell than bash, or with no programs
-- but busybox's: the same. What we run there asks for a POSIX shell with coreutils
-- or busybox.

local daytona = require "daytona"
local native = require "daytona.base.native"
local socket = require "cqueues.socket"
local toolbox = require "spec.support.toolbox"

local files = require("spec.support.files").new()
local folder, remote

before_each(function() folder, remote = files:fresh() end)
after_each(function() files:sweep() end)

-- A command that takes long, and of which no other run of the specs has one.
local function new_sleep()
  local a, b = native.random(2):byte(1, 2)
  return ("sleep %d"):format(100000 + a * 256 + b)
end

local function is_running(command)
  return toolbox.sh("pgrep -fx '" .. command .. "'") ~= ""
end

local function path_of(program)
  return toolbox.sh("command -v " .. program):match "%S+"
end

-- A folder that holds busybox and the names of all it can do.
local function applets()
  local tools = toolbox.sh "mktemp -d":match "%S+"
  toolbox.sh(([[cd %s && cp %s busybox && for name in $(./busybox --list); do
    [ "$name" = busybox ] || ln -s busybox "$name"; done]]):format(tools, path_of "busybox"))
  return tools
end

local SHELLS = {
  { name = "dash" },
  { name = "zsh" },
  { name = "busybox", alone = true },
}

local function cases(shell)
  local box, sandbox, fs, tools

  setup(function()
    tools = shell.alone and applets()
    box = require("spec.support.box").start {
      shells = "/none", -- else the daemon would prefer bash
      env = {
        PATH = tools or os.getenv "PATH", TERM = "dumb", SHELL = tools and tools .. "/sh" or path_of(shell.name),
      },
    }
    sandbox = box.sandbox
    fs, files.box = sandbox.fs, sandbox
  end)

  teardown(function()
    box:stop()
    if tools then toolbox.sh("rm -rf " .. tools) end
  end)

  it("runs commands with input, environment and any bytes", function()
    if shell.alone then assert.equal(tools .. "\n", assert(sandbox:exec "echo $PATH").result) end
    assert.equal("a b'c\n", assert(sandbox:exec({ "printf", "%s\n", "a b'c" })).result)
    assert.equal("x\0y", assert(sandbox:exec("cat", { stdin = "x\0y" })).result)
    assert.equal("2\n", assert(sandbox:exec("printf %s \"$A\" | wc -c | tr -d ' '", { env = { A = "\255\n" } })).result)
    assert.equal("1\n", assert(sandbox:exec "printf %s '\233' | wc -c | tr -d ' '").result)
    assert.equal(7, assert(sandbox:exec "exit 7").exit_code)
  end)

  it("ends a command that is given up", function()
    local sleep = new_sleep()
    local task = daytona.spawn(function() return sandbox:exec("touch begun; " .. sleep .. "; touch over") end)
    while not fs:exists "begun" do daytona.sleep(0.02) end
    task:cancel()
    local _, err = task:wait()
    assert.equal("canceled", err.kind)
    assert.is_false(is_running(sleep))
  end)

  it("brings trees over, both ways", function()
    files:sh [[
      mkdir -p a/b 'c d' empty; chmod 700 a; echo 1 >a/b/f; echo 2 >'c d/x
y'; echo 3 >-dash; ln -s a/b/f link; ln -s nowhere broken; printf '#' >run; chmod 755 run; printf 4 >'back\slash'
    ]]
    assert.equal(7, assert(fs:sync(folder, remote)).uploaded)
    files:assert_alike(box.daemon.dir .. "/" .. remote)
    assert.equal(7, assert(fs:sync(folder, remote, { checksum = true })).unchanged)
    files:sh "rm -r 'c d' link empty; echo new >a/b/f; chmod 711 a; mkdir link; echo 1 >link/x"
    assert(fs:sync(folder, remote, { delete = true }))
    files:assert_alike(box.daemon.dir .. "/" .. remote)
    files:sh "rm -rf -- *; echo '*.o' >.gitignore"
    assert(fs:sync(folder, remote))
    assert(fs:write(remote .. "/x.o", "x"))
    assert.equal(6, assert(fs:sync(folder, remote, { direction = "down", checksum = true })).downloaded)
    assert(fs:remove(remote .. "/x.o"))
    files:assert_alike(box.daemon.dir .. "/" .. remote)
    assert.equal("not_found", select(2, fs:download_dir("none", folder)).kind)
  end)

  it("takes many files at once, which keep the permissions of those before", function()
    assert(fs:mkdir(remote))
    files:there "echo old >a; chmod 600 a; echo old >'b c'; chmod 755 'b c'; echo old >'d\ne'; ln a other; echo old >f"
    local list = {}
    for i, name in ipairs { "a", "b c", "d\ne", "f", "new", "n/new" } do
      list[i] = { { data = "new" .. i }, remote .. "/" .. name }
    end
    assert.equal(6, #assert(fs:upload_many(list)))
    for i, item in ipairs(list) do assert.equal("new" .. i, assert(fs:read(item[2]))) end
    assert.equal("new1", assert(fs:read(remote .. "/other")))
    assert.equal("600\n755\n644\n2\n", files:there "stat -c %a a 'b c' f; stat -c %h a")
    assert.equal("", files:there "find . -name '.daytona-sync*'")
  end)

  it("lets two bring over trees at the same time", function()
    local other = folder .. "/other"
    files:sh "mkdir -p one/d/e one/.h other/d/e other/.h; echo 1 >one/d/e/x; echo 1 >one/.h/x; ln -s x one/d/l"
    files:sh "echo 2 >other/d/e/x; echo 2 >other/.h/y; ln -s y other/d/l"
    box.daemon:request("POST", "/__devserver/faults", { json = { path = "/process/execute", hold = 0.3, times = 2 } })
    assert(daytona.map({ folder .. "/one", other }, function(root) return fs:sync(root, remote) end))
    assert.equal(".\n./.h\n./.h/x\n./.h/y\n./d\n./d/e\n./d/e/x\n./d/l\n", files:there "find . | LC_ALL=C sort")
    files:sh "rm -rf other; mkdir -p other; echo 3 >other/d"
    local _, err = fs:sync(other, remote)
    assert.equal("conflict", err.kind)
    box.daemon:request("DELETE", "/__devserver/faults")
  end)

  it("notices changes", function()
    assert(fs:mkdir(remote))
    local seen, before = {}, box:commands()
    local task = daytona.spawn(function()
      return fs:watch(remote, function(changes)
        for _, change in ipairs(changes) do seen[#seen + 1] = change.change .. " " .. change.path end
        if #seen == 1 then assert(fs:remove(remote .. "/a")) end
        return #seen < 2
      end, { interval = 0.1 })
    end)
    -- The first look takes two commands; then it only watches.
    repeat daytona.sleep(0.02) until box:commands() >= before + 3
    assert(fs:write(remote .. "/a", "x"))
    assert(task:wait(20))
    assert.same({ "created a", "deleted a" }, seen)
  end)

  it("keeps jobs, with input, signals and time limits", function()
    local job = assert(sandbox:popen("read a; printf '%s\\000' \"$a\"; echo e >&2; exit 3", { stdin = true }))
    assert(job:write "h\255\n")
    assert.equal("h\255\0", job:read "a")
    assert.equal("e\n", job.stderr:read "a")
    assert.equal(3, assert(job:wait(20)).exit_code)
    assert(job:remove())
    local sleep = new_sleep()
    job = assert(sandbox:popen(sleep .. " & " .. sleep))
    assert(job:kill())
    assert.equal("canceled", assert(job:wait(20)).reason)
    assert(job:remove())
    job = assert(sandbox:popen(sleep, { timeout = 1 }))
    assert.equal("timed_out", assert(job:wait(20)).reason)
    assert(job:remove())
    assert.same({}, assert(sandbox:jobs()))
    assert.is_false(is_running(sleep))
  end)

  it("has sessions, followed live, and terminals", function()
    local session = assert(sandbox:session "s")
    assert.equal("1\n", assert(session:exec "a=1; echo $a").stdout)
    local command = assert(session:exec("echo $a; echo e >&2; (exit 4)", { async = true }))
    local out = {}
    assert.equal(4, command:follow { on_stdout = function(chunk) out[#out + 1] = chunk end })
    assert.equal("1\n", table.concat(out))
    assert(session:delete())
    local pty = assert(sandbox:pty { cols = 80, rows = 24 })
    assert(pty:write "echo $((20+22)); exit 5\n")
    local text = {}
    local exit_code = assert(pty:wait { timeout = 20, on_output = function(chunk) text[#text + 1] = chunk end })
    assert.truthy(table.concat(text):find("42", 1, true), ("%q"):format(table.concat(text)))
    assert.equal(5, exit_code)
  end)

  it("waits for ports, here and of others", function()
    local listener = socket.listen("127.0.0.1", 0)
    listener:listen()
    local _, _, port = listener:localname()
    assert(sandbox:wait_for_port(port, { timeout = 5 }))
    assert(sandbox:wait_for_port(port, { timeout = 5, host = "127.0.0.1" }))
    assert.is_true(sandbox:port_in_use(port))
    assert.is_false(sandbox:port_in_use(1))
    local _, err = sandbox:wait_for_port(1, { timeout = 0.1, host = "127.0.0.1" })
    assert.equal("timeout", err.kind)
    listener:close()
  end)
end

for _, shell in ipairs(SHELLS) do
  describe("a sandbox with " .. shell.name .. (shell.alone and " alone" or ""), function()
    if path_of(shell.name) then return cases(shell) end
    it("is tried where it is installed", function() pending(shell.name .. " is not installed") end)
  end)
end
