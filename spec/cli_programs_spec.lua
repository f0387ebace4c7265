-- The command line: commands, code and terminals in a sandbox, as if they ran here.

local cli

setup(function()
  cli = require("spec.support.cli").start()
  cli:must "create --name box"
end)
teardown(function() cli:stop() end)

local function jobs()
  return #assert(assert(cli.client:get "box"):jobs())
end

-- Waits until fn() is true, for at most 10 seconds.
local function eventually(fn, what)
  for _ = 1, 500 do
    if fn() then return end
    os.execute "sleep 0.02"
  end
  error("did not happen: " .. what, 2)
end

local function processes(pattern)
  local found = assert(assert(cli.client:get "box"):exec("pgrep -f '" .. pattern .. "' | wc -l"))
  return tonumber(found.result) > 1 -- the shell that asks has it in its text, too
end

describe("exec", function()
  it("hands on both streams, byte for byte, and the exit status", function()
    local out, err, status = cli:run [[exec box -- sh -c 'printf "out\0\377"; echo err >&2; exit 3']]
    assert.equal("out\0\255", out)
    assert.equal("err\n", err)
    assert.equal(3, status)
    assert.equal(0, jobs())
  end)

  it("takes one word for a line of shell, and more for a program and its arguments", function()
    assert.equal("3\n", cli:must [[exec box 'echo a b c | wc -w']])
    assert.equal("a  b|$HOME\n", cli:must [[exec box -- echo 'a  b|$HOME']])
    assert.equal("--help\n", cli:must [[exec --cwd /tmp box echo --help]])
    assert.equal("/tmp x\n", cli:must [[exec box --cwd=/tmp --env V=x 'echo $PWD $V']])
  end)

  it("passes standard input on: what is there, what comes later, and its end", function()
    assert.equal("hello\n", cli:must("exec box cat", { before = "echo hello |" }))
    assert.equal("", cli:must("exec box cat", { input = "</dev/null" }))
    local out, _, status = cli:run([[exec box 'while read -r x; do echo "<$x>"; done; exit 5']],
      { before = "{ echo a; sleep 0.2; echo b; sleep 0.2; printf 'c\\n'; } |" })
    assert.equal("<a>\n<b>\n<c>\n", out)
    assert.equal(5, status)
    os.execute("head -c 1000000 /dev/urandom >" .. cli.dir .. "/big")
    local pipe = io.popen("sha256sum <" .. cli.dir .. "/big")
    local sum = pipe:read "*a"
    pipe:close()
    assert.equal(sum, cli:must("exec box sha256sum", { input = "<" .. cli.dir .. "/big" }))
    local slowly = "{ sleep 0.1; head -c 600000 BIG; sleep 0.1; tail -c 400000 BIG; } |"
    slowly = slowly:gsub("BIG", cli.dir .. "/big")
    assert.equal(sum, cli:must("exec box sha256sum", { before = slowly }))
    assert.equal(0, jobs())
  end)

  it("ends when the command does, whether or not there is more input", function()
    os.execute("mkfifo " .. cli.dir .. "/fifo")
    local _, _, status = cli:run("exec box 'read -r x; exit 7'",
      { before = ("exec 9<>%s/fifo; echo line >&9;"):format(cli.dir), input = "<&9" })
    assert.equal(7, status)
    local out
    out, _, status = cli:run("exec -n box 'cat; exit 6'",
      { before = ("exec 9<>%s/fifo;"):format(cli.dir), input = "<&9" })
    assert.equal("", out)
    assert.equal(6, status)
  end)

  it("ends a command whose time is over, with 124", function()
    local out, err, status = cli:run "exec --timeout 1 box 'echo begun; exec sleep 4713'"
    assert.equal("begun\n", out)
    assert.equal("daytona-lua: the time was over, and the program was ended\n", err)
    assert.equal(124, status)
    eventually(function() return not processes "sleep 4713" end, "the end of the command")
  end)

  it("fails with 125 where the command cannot be run", function()
    for words, kind in pairs { ["exec nobody true"] = "not_found", ["exec --cwd /nowhere box true"] = "not_found" } do
      local out, err, status = cli:run(words)
      assert.equal(125, status)
      assert.equal("", out)
      assert.truthy(err:find("^daytona%-lua: [^\n]*" .. kind .. "[^\n]*\n$"), err)
    end
  end)

  for _, case in ipairs { { "INT", 130 }, { "TERM", 143 }, { "HUP", 129 } } do
    for _, input in ipairs { "</dev/null", "<&9" } do
      it(("ends the remote command upon SIG%s, with %s"):format(case[1], input), function()
        local fifo = cli.dir .. "/waiting"
        os.execute("rm -f " .. fifo .. " && mkfifo " .. fifo)
        local pid = cli.dir .. "/pid"
        local _, err, status = cli:run("exec box 'echo begun; exec sleep 4714'", {
          -- A shell's background commands ignore SIGINT: this one is a program of its own.
          before = ("exec 9<>%s; { python3 -c 'import os, sys; open(sys.argv[1], \"w\").write(str(os.getpid())); "
            .. "os.execvp(sys.argv[2], sys.argv[2:])' %s"):format(fifo, pid),
          input = input .. (" 9>&-; echo $? >%s/own; } | { read -r x; kill -%s $(cat %s); cat; }")
            :format(cli.dir, case[1], pid),
        })
        assert.equal("", err)
        assert.equal(0, status) -- of the pipe
        local file = assert(io.open(cli.dir .. "/own"))
        assert.equal(case[2], tonumber(file:read "*a"))
        file:close()
        eventually(function() return not processes "sleep 4714" end, "the end of the command")
        eventually(function() return jobs() == 0 end, "the end of the job")
      end)
    end
  end

  it("ends the remote command when nobody reads any more", function()
    local out = cli:run("exec box 'yes; exec sleep 4715'", { input = "</dev/null | head -n 1" })
    assert.equal("y\n", out)
    eventually(function() return jobs() == 0 end, "the end of the job")
  end)
end)

describe("run", function()
  it("runs a local file with its arguments, and ends as it did", function()
    local file = assert(io.open(cli.dir .. "/code.py", "w"))
    file:write "import sys\nprint(sys.argv[1:])\nprint('oops', file=sys.stderr)\nsys.exit(4)\n"
    file:close()
    local out, err, status = cli:run("run box " .. cli.dir .. "/code.py a 'b c' --help")
    assert.equal("['a', 'b c', '--help']\n", out)
    assert.equal("oops\n", err)
    assert.equal(4, status)
    assert.equal("2\n", cli:must("run box -", { before = "echo 'print(1 + 1)' |" }))
  end)

  it("says what it cannot read", function()
    local _, err, status = cli:run "run box /no/such/file.py"
    assert.equal(125, status)
    assert.truthy(err:find("/no/such/file.py", 1, true), err)
  end)
end)

describe("ssh", function()
  it("is a shell at this terminal, and ends as that did", function()
    local command = ("env %s bin/daytona-lua ssh box"):format(cli.account)
    os.execute("mkfifo " .. cli.dir .. "/typed")
    -- Typed when the prompt is there; there is no more to come, but no end either.
    local pipe = io.popen(([[exec 9<>%s/typed; { until [ -s %s/typescript ]; do sleep 0.02; done
      echo 'echo $((6 * 7)); exit 9' >&9; } & script -qefc '%s' %s/typescript <&9; echo "status $?"; wait]])
      :format(cli.dir, cli.dir, command, cli.dir))
    local text = pipe:read "*a"
    pipe:close()
    assert.truthy(text:find("42\r?\n"), text)
    assert.truthy(text:find("status 9\n", 1, true), text)
  end)

  it("prints the way in for another client", function()
    assert.truthy(cli:must("ssh --print --expires 60 box"):find "%S")
    local access = require("daytona.http.json").decode(cli:must "ssh --json box")
    assert.is_string(access.token)
    assert.is_string(access.ssh_command)
  end)

  it("needs a terminal", function()
    local _, err, status = cli:run "ssh box"
    assert.equal(2, status)
    assert.truthy(err:find("standard input is no terminal", 1, true), err)
  end)
end)

describe("preview and logs", function()
  it("give the address of a port, which answers", function()
    local box = assert(cli.client:get "box")
    local job = assert(box:popen("python3 -u -m http.server 0 --bind 127.0.0.1", { stderr = "stdout" }))
    local port = assert(job:read "l"):match "port (%d+)"
    local url = cli:must("preview --wait box " .. port):match "^(http%S+)\n$"
    local pipe = io.popen("curl -s -o /dev/null -w '%{http_code}' --retry 3 '" .. url .. "'")
    assert.equal("200", pipe:read "*a")
    pipe:close()
    assert.truthy(cli:must("preview --token box " .. port):find "^http%S+\nX%-Daytona%-Preview%-Token: %S+\n$")
    job:kill()
  end)

  it("show what the main program printed", function()
    assert.equal("", cli:must "logs box")
    local made = assert(cli.client:request("POST", "/sandbox", { json = {
      name = "talks", buildInfo = { dockerfileContent = "FROM x\nCMD echo out; echo err >&2\n" },
    } })).json
    local talks = assert(cli.client:attach(made.id):wait())
    assert(assert(talks:entrypoint()):wait(20))
    local said, apart = cli:run "logs talks"
    assert.same({ "out\n", "err\n" }, { said, apart })
    assert(talks:delete())
    local _, err, status = cli:run "logs --build box"
    assert.equal(1, status)
    assert.truthy(err:find("not_found", 1, true), err)
  end)
end)
