-- Source code in a sandbox of the local server, and the charts it draws.

local base64 = require "daytona.base.base64"

local service, box

setup(function()
  service = require("spec.support.service").start()
  box = assert(service.client:create { language = "python" })
end)

teardown(function() service:stop() end)

before_each(function() assert(service.server:clear_faults()) end)

-- A picture of one pixel.
local PNG = base64.decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
  .. "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

local function with_charts(charts)
  assert(service.server:faults { { path = "/process/code-run", status = 200, body = {
    exitCode = 0, result = "done\n", artifacts = { charts = charts },
  } } })
end

describe("code", function()
  it("runs in the language of the sandbox", function()
    local result = assert(box:run "print(6 * 7)")
    assert.equal(0, result.exit_code)
    assert.equal("42\n", result.result)
    assert.equal("42\n", result.artifacts.stdout)
    assert.same({}, result.artifacts.charts)
  end)

  it("runs in another language when it is told so", function()
    assert.equal("js 3\n", assert(box:run("console.log('js', 1 + 2)", { language = "javascript" })).result)
  end)

  it("gets its arguments exactly, and its environment", function()
    local code = "import sys, os\nprint(sys.argv[1:], os.environ['A'])"
    local result = assert(box:run(code, { argv = { "a b", "$(x)", "it's", "" }, env = { A = "é" } }))
    assert.equal("['5', '0.5'] 8\n", assert(box:run("import sys, os; print(sys.argv[1:], os.environ['N'])",
      { argv = { 5, 0.5 }, env = { N = 8 } })).result)
    assert.equal("['a b', '$(x)', \"it's\", ''] é\n", result.result)
  end)

  it("that fails says how", function()
    local result = assert(box:run "raise SystemExit(3)")
    assert.equal(3, result.exit_code)
    local _, err = box:run("1/0", { check = true })
    assert.equal("exit", err.kind)
    assert.truthy(err.message:find("ZeroDivisionError", 1, true))
  end)

  it("whose time is over is killed and says so", function()
    assert.is_true(assert(box:run("import time\ntime.sleep(60)", { timeout = 1 })).timed_out)
  end)

  it("is listened to while it runs", function()
    local out, err = "", "" -- which come cut anywhere
    local result = assert(box:run("import sys\nprint('a')\nprint(sys.argv[1], file=sys.stderr)\nsys.exit(3)", {
      argv = { "b c" }, on_stdout = function(chunk) out = out .. chunk end,
      on_stderr = function(chunk) err = err .. chunk end,
    }))
    assert.same({ "a\n", "b c\n", 3, {} }, { out, err, result.exit_code, result.artifacts.charts })
  end)

  it("that is none raises", function()
    for _, bad in ipairs { "", 1, {} } do assert.has_error(function() box:run(bad) end) end
    assert.has_error(function() box:run("x", { language = "cobol" }) end)
    assert.has_error(function() box:run("x", { argv = { true } }) end)
    assert.has_error(function() box:run("x", { cwd = "/" }) end)
    local fine, text = pcall(function() return (box:run "print('\255')") end)
    assert.is_false(fine)
    assert.truthy(text:find("run: code: not valid UTF-8", 1, true), text)
  end)
end)

describe("a chart", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("has its data, and its picture to keep", function()
    with_charts { { type = "bar", title = "Sales", x_label = "q", png = base64.encode(PNG),
      elements = { { label = "a", group = "g", value = 3 }, { label = "b", group = "g", value = "4" } } } }
    local chart = assert(box:run "...").artifacts.charts[1]
    assert.equal("chart (bar, Sales)", tostring(chart))
    assert.equal("q", chart.x_label)
    assert.equal("3 4", tostring(chart.elements[1].value) .. " " .. tostring(chart.elements[2].value))
    assert.equal(PNG, assert(chart:png()))
    assert.equal(path, assert(chart:save(path)))
    local file = assert(io.open(path, "rb"))
    assert.equal(PNG, file:read "*a")
    file:close()
  end)

  it("without a picture, or with a broken one, says so and writes nothing", function()
    os.remove(path)
    with_charts { { type = "line" }, { type = "line", png = "!!" }, { type = "line", png = "AAAA" } }
    local charts = assert(box:run "...").artifacts.charts
    for i, kind in ipairs { "not_found", "protocol", "protocol" } do
      local saved, err = charts[i]:save(path)
      assert.is_nil(saved)
      assert.equal(kind, err.kind)
    end
    assert.is_nil((io.open(path)))
  end)

  it("that cannot be written leaves no half file", function()
    with_charts { { type = "line", png = base64.encode(PNG) } }
    local chart = assert(box:run "...").artifacts.charts[1]
    local saved, err = chart:save "/nonexistent/x.png"
    assert.is_nil(saved)
    assert.equal("io", err.kind)
  end)
end)

describe("code for a daemon that knows commands only", function()
  local old

  before_each(function()
    assert(service.server:faults { path = "/process/code-run", status = 404, body = "404 page not found" })
    assert(service.server:forget_requests())
    old = service.client:attach(box.id)
  end)

  it("runs by its interpreter all the same", function()
    local code = "import sys, os\nprint(sys.argv[1:], os.environ['A'], sys.stdin.read() == '')\nraise SystemExit(3)"
    local result = assert(old:run(code, { argv = { "a b", "$(x)", "it's", "" }, env = { A = "é" } }))
    assert.same({ 3, "['a b', '$(x)', \"it's\", ''] é True\n" }, { result.exit_code, result.result })
    assert.same({ stdout = result.result, charts = {} }, result.artifacts)
    assert.equal("js 3 x y\n", assert(old:run("console.log('js', 1 + 2, process.argv[1])",
      { language = "javascript", argv = { "x y" } })).result)
    -- the daemon was asked for the call once, and knows no better since
    assert.equal(1, service:count("POST", "/process/code-run"))
  end)

  it("runs TypeScript by ts-node", function()
    assert(old.fs:write("bin/npx", '#!/bin/sh\nfor word; do case $word in *.ts) file=$word; esac; last=$word; done\n'
      .. 'echo "$last"; cat "$file"; echo "$file" >file; exit 4\n'))
    assert(old.fs:chmod("bin/npx", "755"))
    local home = assert(old:home_dir())
    local result = assert(old:run("let a: number = 1", { language = "typescript", argv = { "it's" },
      env = { PATH = home .. "/bin:/usr/bin:/bin" } }))
    assert.same({ 4, "it's\nprocess.argv.splice(1, 1);\nlet a: number = 1" }, { result.exit_code, result.result })
    assert.is_false((old.fs:exists((assert(old.fs:read "file"):gsub("%s+$", "")))))
  end)

  it("fails, and is ended, as it does elsewhere", function()
    local _, err = old:run("1/0", { check = true })
    assert.same({ "exit", "run" }, { err.kind, err.operation })
    assert.is_true(assert(old:run("import time\ntime.sleep(60)", { timeout = 1 })).timed_out)
  end)

  it("is not taken for such where the sandbox is gone", function()
    assert(service.server:clear_faults())
    assert(service.server:faults { path = "/process/code-run", status = 404, code = "NOT_FOUND" })
    local _, err = old:run "print(1)"
    assert.same({ "not_found", "NOT_FOUND", "run" }, { err.kind, err.code, err.operation })
    assert.equal(0, service:count("POST", "/process/execute"))
  end)
end)
