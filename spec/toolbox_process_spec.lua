-- Commands and code in a sandbox, as its daemon runs them.

local nap = require "spec.support.nap"
local toolbox = require "spec.support.toolbox"

describe("a command in the sandbox", function()
  local daemon
  setup(function() daemon = toolbox.start() end)
  teardown(function() daemon:stop() end)

  local function refused(body, status, code, message)
    local r = daemon:post("/process/execute", body)
    assert.are.equal(status, r.status)
    assert.are.equal(code, r.json.code)
    assert.are.equal("DAYTONA_DAEMON", r.json.source)
    assert.are.equal("/process/execute", r.json.path)
    assert.is_truthy(r.json.message:find(message, 1, true), r.json.message)
  end

  it("gives its exit code and both streams in order", function()
    assert.are.same({ exitCode = 3, result = "out\nerr\nout\n" },
      daemon:exec "echo out; echo err >&2; echo out; exit 3")
  end)

  it("may have many lines, and eats the rest of itself when it reads", function()
    assert.are.same({ exitCode = 0, result = "1\n2\n" }, daemon:exec "x=1\necho $x\necho $((x + 1))")
    assert.are.same({ exitCode = 0, result = "echo rest" }, daemon:exec "cat\necho rest")
  end)

  it("may be longer than an argument list", function()
    local long = ("# a comment of some length\n"):rep(60000) .. "echo end"
    assert.are.same({ exitCode = 0, result = "end\n" }, daemon:exec(long))
  end)

  it("runs in bash, in the working directory, with its variables", function()
    assert.are.equal(daemon.dir .. "\n", daemon:exec("pwd").result)
    assert.are.equal("bash\n", daemon:exec("basename $0").result)
    assert.are.equal("a b'c\n", daemon:exec("echo \"$X\"", { envs = { X = "a b'c" } }).result)
    assert.are.equal("/tmp\n", daemon:exec("pwd", { cwd = "/tmp" }).result)
  end)

  it("tells what became of a killed shell, a killed child, a missing program", function()
    assert.are.equal(-1, daemon:exec("kill -9 $$").exitCode)
    assert.are.equal(137, daemon:exec("sh -c 'kill -9 $$'; exit $?").exitCode)
    assert.are.equal(127, daemon:exec("no-such-program").exitCode)
  end)

  it("that cannot start is a result, not an error", function()
    assert.are.same({ exitCode = -1, result = "fork/exec /usr/bin/bash: no such file or directory" },
      daemon:exec("true", { cwd = "/nope" }))
    assert.are.same({ exitCode = -1, result = "fork/exec /usr/bin/bash: not a directory" },
      daemon:exec("true", { cwd = "/etc/passwd" }))
  end)

  it("has bytes that are no UTF-8 replaced one by one, and keeps NUL", function()
    local r = daemon:exec [[printf '\377a\303\251\0\342\202b\355\240\200']]
    local bad = "\239\191\189"
    assert.are.equal(bad .. "a\195\169\0" .. bad .. bad .. "b" .. bad .. bad .. bad, r.result)
  end)

  it("is refused when it is empty or malformed", function()
    refused({ command = "" }, 400, "INVALID_REQUEST_BODY", "command")
    refused({ command = " \n" }, 400, "BAD_REQUEST", "empty or whitespace-only")
    refused({ command = "true", timeout = -1 }, 400, "INVALID_REQUEST_BODY", "timeout")
    refused({ command = "true", timeout = 0.5 }, 400, "INVALID_REQUEST_BODY", "timeout")
    refused({ command = "true", envs = { ["a-b"] = "" } }, 400, "BAD_REQUEST",
      "invalid environment variable name: 'a-b'")
    local r = daemon:request("POST", "/process/execute", { body = "{" })
    assert.are.equal(400, r.status)
    assert.are.equal("INVALID_REQUEST_BODY", r.json.code)
  end)

  it("that takes too long is killed with its whole group", function()
    refused({ command = "sleep 4242 & echo $! > pid; sleep 4242", timeout = 1 }, 408,
      "PROCESS_EXECUTION_TIMEOUT", "command execution timeout")
    local pid = toolbox.read(daemon.dir .. "/pid"):match "%d+"
    for _ = 1, 100 do
      if daemon:exec("kill -0 " .. pid).exitCode ~= 0 then return end
    end
    error "the background process survived"
  end)

  it("that takes too long is answered when what left its group lets go of the output", function()
    local begin = tonumber(toolbox.read "/proc/uptime":match "%S+")
    refused({ command = "setsid sleep 2.5 & sleep 60", timeout = 1 }, 408,
      "PROCESS_EXECUTION_TIMEOUT", "command execution timeout")
    assert.is_true(tonumber(toolbox.read "/proc/uptime":match "%S+") - begin >= 2.4)
  end)

  it("holds the answer while a background process holds its output", function()
    assert.are.equal("later\n", daemon:exec("(sleep 0.2; echo later) &").result)
    assert.are.equal("", daemon:exec(nap(4243) .. " >/dev/null 2>&1 & disown; exit 0").result)
    assert.are.equal(0, daemon:exec("pkill -f '^" .. nap(4243) .. "'").exitCode)
  end)

  it("goes on when its client hangs up", function()
    local r = daemon:post("/process/execute", { command = "sleep 0.3; echo done > finished" },
      { curl = { "--max-time", "0.1" } })
    assert.are.equal(28, r.exit)
    for _ = 1, 100 do
      if toolbox.read(daemon.dir .. "/finished") == "done\n" then return end
      toolbox.sh "sleep 0.02"
    end
    error "the command was stopped"
  end)

  it("inherits no descriptor of the daemon", function()
    assert.are.equal("0\n1\n2\n3\n", daemon:exec("ls /proc/self/fd").result)
  end)

  it("may print much", function()
    local r = daemon:exec "head -c 20000000 /dev/zero | tr '\\0' x; echo"
    assert.are.equal(20000001, #r.result)
  end)

  it("sees variables set for all later processes", function()
    assert.are.equal(200, daemon:post("/env", { set = { LATER = "yes" } }).status)
    assert.are.equal("yes\n", daemon:exec("echo $LATER").result)
    assert.are.equal(200, daemon:post("/env", { unset = { "LATER" } }).status)
    assert.are.equal("\n", daemon:exec("echo $LATER").result)
  end)
end)

describe("a piece of code in the sandbox", function()
  local daemon
  setup(function() daemon = toolbox.start() end)
  teardown(function() daemon:stop() end)

  local function run(language, code, more)
    local body = { language = language, code = code }
    for name, value in pairs(more or {}) do body[name] = value end
    return daemon:post("/process/code-run", body).json
  end

  it("is run by its interpreter with its arguments, joined unquoted", function()
    assert.are.same({ exitCode = 5, result = "['-', 'a', 'b', 'c d']\n" },
      run("python", "import sys\nprint(sys.argv)\nsys.exit(5)", { argv = { "a b", "'c d'" } }))
    assert.are.same({ exitCode = 0, result = "x\n" },
      run("javascript", "console.log(process.argv[1])", { argv = { "x" } }))
  end)

  it("shows its own traceback", function()
    local r = run("python", "def f():\n  1/0\nf()")
    assert.are.equal(1, r.exitCode)
    assert.are.equal('Traceback (most recent call last):\n  File "<stdin>", line 3, in <module>\n'
      .. '  File "<stdin>", line 2, in f\nZeroDivisionError: division by zero\n', r.result)
  end)

  it("says clearly when its interpreter is missing", function()
    local r = run("python", "print(1)", { envs = { PATH = "/nonexistent" } })
    assert.are.equal(127, r.exitCode)
    assert.is_truthy(r.result:find("python3", 1, true))
    r = run("typescript", "const a: number = 1; console.log(a)", { envs = { PATH = "/bin" } })
    assert.is_true(r.exitCode == 127 or r.result == "1\n")
  end)

  it("must be of a known language", function()
    local r = daemon:post("/process/code-run", { language = "cobol", code = "x" })
    assert.are.equal(400, r.status)
    assert.are.equal("bad request: unsupported language: cobol", r.json.message)
  end)

  it("stops after its time", function()
    local r = daemon:post("/process/code-run",
      { language = "python", code = "import time\ntime.sleep(60)", timeout = 1 })
    assert.are.equal(408, r.status)
  end)

  it("may print charts by itself", function()
    local r = run("python", [[
print("before")
line = 'dtn_artifact_k39fd2:{"type":"chart","value":{"type":"bar","title":"T","elements":[]}}'
print("no newline", end="")
print(line)
print(line)
print("dtn_artifact_k39fd2:nonsense")
print("after")]])
    assert.are.equal("before\nno newlineafter\n", r.result)
    assert.are.same({ { type = "bar", title = "T", elements = {} } }, r.artifacts.charts)
  end)
end)

describe("a chart drawn with matplotlib", function()
  local daemon, stub
  setup(function()
    daemon = toolbox.start()
    stub = toolbox.sh "pwd":match "[^\n]+" .. "/spec/support/python"
  end)
  teardown(function() daemon:stop() end)

  local function draw(code, envs)
    local r = daemon:post("/process/code-run", {
      language = "python", envs = envs or { PYTHONPATH = stub, PYTHONDONTWRITEBYTECODE = "1" },
      code = "import matplotlib.pyplot as plt\nimport datetime\nfig, ax = plt.subplots()\n" .. code,
    }).json
    assert.are.equal(0, r.exitCode, r.result)
    return r.artifacts and r.artifacts.charts, r.result
  end

  it("comes back with its lines, labels and picture", function()
    local charts, output = draw [[
ax.plot([1, 2], [3.5, float("nan")], label="growth")
ax.set_title("T")
ax.set_xlabel("time")
plt.show()
plt.show()
print("done")]]
    assert.are.equal("done\n", output)
    assert.are.equal(1, #charts)
    local chart = charts[1]
    assert.are.equal("line", chart.type)
    assert.are.equal("T", chart.title)
    assert.are.equal("time", chart.x_label)
    assert.are.equal("linear", chart.x_scale)
    assert.are.same({ "0", "1" }, chart.x_tick_labels)
    assert.are.equal("iVBORw0KGgo", chart.png:sub(1, 11))
    assert.are.equal("growth", chart.elements[1].label)
    assert.are.same({ 1, 3.5 }, chart.elements[1].points[1])
  end)

  it("may be a bar chart, whose values are numbers as text", function()
    local chart = draw('ax.bar(["a", "b"], [1, 2.5], label="g")\nplt.show()')[1]
    assert.are.equal("bar", chart.type)
    assert.are.equal("categorical", chart.x_scale)
    assert.are.same({ { label = "a", group = "g", value = "1" },
      { label = "b", group = "g", value = "2.5" } }, chart.elements)
  end)

  it("may have dates for an axis", function()
    local chart = draw("ax.plot([datetime.date(2026, 1, 2)], [1])\nplt.show()")[1]
    assert.are.equal("datetime", chart.x_scale)
    assert.are.same({ "2026-01-02", 1 }, chart.elements[1].points[1])
    assert.are.equal("1970-01-01T00:00:00", chart.x_ticks[1])
  end)

  it("may be scattered, a pie or boxes", function()
    local chart = draw("ax.scatter([1], [2])\nplt.show()")[1]
    assert.are.equal("scatter", chart.type)
    assert.are.same({ { 1, 2 } }, chart.elements[1].points)
    chart = draw('ax.pie([1, 3], ["a", "b"])\nplt.show()')[1]
    assert.are.equal("pie", chart.type)
    assert.are.same({ label = "b", angle = 270, radius = 1 }, chart.elements[2])
    chart = draw [[
ax.bxp([{"label": "A", "whislo": 1, "q1": 2, "med": 3, "q3": 4, "whishi": 5, "fliers": [9]}])
plt.show()]]
    assert.are.equal("box_and_whisker", chart[1].type)
    assert.are.same({ { label = "A", min = 1, first_quartile = 2, median = 3,
      third_quartile = 4, max = 5, outliers = { 9 } } }, chart[1].elements)
  end)

  it("may be made of several", function()
    local chart = draw [[
plt.close(fig)
fig, (a, b) = plt.subplots(2)
a.plot([1], [1])
b.scatter([1], [1])
plt.show()]]
    assert.are.equal("composite_chart", chart[1].type)
    assert.are.equal("line", chart[1].elements[1].type)
    assert.are.equal("scatter", chart[1].elements[2].type)
  end)

  it("does not disturb the program", function()
    local _, output = draw [[
print(__name__, [n for n in dir() if "dtn" in n])
def f(): return g()
def g(): return 7
print(f())]]
    assert.are.equal("__main__ []\n7\n", output)
    local r = daemon:post("/process/code-run", { language = "python",
      code = "import matplotlib", envs = { PYTHONPATH = "" } }).json
    if r.exitCode == 1 then
      assert.are.equal('Traceback (most recent call last):\n  File "<stdin>", line 1, in <module>\n'
        .. "ModuleNotFoundError: No module named 'matplotlib'\n", r.result)
    end
  end)

  it("is drawn by the real matplotlib where it is installed", function()
    if daemon:exec("python3 -c 'import matplotlib'").exitCode ~= 0 then
      pending "matplotlib is not installed here"
    end
    local chart = draw('ax.bar(["a", "b"], [1, 2])\nplt.show()', {})[1]
    assert.are.equal("bar", chart.type)
    assert.are.equal(2, chart.elements[2].value)
  end)
end)
