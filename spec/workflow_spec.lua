-- daytona.workflow: components one after the other and beside each other, against the
-- local server and a git server that wants a password.

local daytona = require "daytona"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"

local service, git

setup(function()
  service = require("spec.support.service").start()
  git = require("spec.support.git_server").start {
    ["scripts/bootstrap.sh"] = "echo ready >ready\n", ["fail.sh"] = "exit 4\n",
    ["Makefile"] = "test:\n\t@cat ready\nbroken:\n\t@exit 7\n",
  }
end)

teardown(function()
  git:stop()
  service:stop()
end)

before_each(function() assert(service.server:clear_faults()) end)

local function run(steps, opts)
  opts = opts or {}
  opts.client = service.client
  opts.secrets = { git = { password = git.password } }
  return daytona.workflow.run(steps, opts)
end

local function box(more)
  local step = { id = "box", component = "createSandbox" }
  for name, value in pairs(more or {}) do step[name] = value end
  return step
end

local function command(id, text, more)
  local step = { id = id, component = "executeCommand", sandbox = '{{ $["box"].data.id }}', command = text }
  for name, value in pairs(more or {}) do step[name] = value end
  return step
end

local DELETE = { component = "deleteSandbox", sandbox = '{{ $["box"].data.id }}' }

local function keys(map)
  local list = {}
  for key in pairs(map) do list[#list + 1] = key end
  table.sort(list)
  return list
end

-- The workflow of a repository: prepare, test, delete whatever the test said.
local function repository(target, more)
  local first = {
    id = "box", component = "createRepositorySandbox", repository = git.url, username = git.user,
    password = { secret = "git", key = "password" }, bootstrap = { from = "file", path = "scripts/bootstrap.sh" },
  }
  for name, value in pairs(more or {}) do first[name] = value end
  return {
    first,
    { id = "test", component = "executeCommand", sandbox = '{{ $["box"].data.sandboxId }}',
      cwd = '{{ $["box"].data.directory }}', command = "make -s " .. target },
    { component = "deleteSandbox", sandbox = '{{ $["box"].data.sandboxId }}',
      after = { "test.success", "test.failed" } },
  }
end

describe("the workflow of a repository", function()
  it("prepares, tests and deletes", function()
    local done = assert(run(repository "test"))
    assert.same({ box = "default", test = "success", deleteSandbox = "default" }, done.channels)
    assert.same({}, done.skipped)
    local results = json.decode(ordered.encode(done)).results
    for id, kind in pairs {
      box = "daytona.repository.sandbox", test = "daytona.command.response", deleteSandbox = "daytona.delete.response",
    } do
      assert.same({ "data", "timestamp", "type" }, keys(results[id]))
      assert.equal(kind, results[id].type)
    end
    assert.same({ exitCode = 0, timeout = false, result = "ready\n" }, results.test.data)
    assert.same({ deleted = true, id = results.box.data.sandboxId }, results.deleteSandbox.data)
    assert.same({ "bootstrap", "directory", "repository", "sandboxId", "sandboxStartedAt", "timeout" },
      keys(results.box.data))
    assert.equal(0, service:sandboxes())
  end)

  it("deletes after a test that failed, too", function()
    local done = assert(run(repository "broken"))
    assert.equal("failed", done.channels.test)
    assert.equal(2, done.results.test.data.exitCode)
    assert.equal(0, service:sandboxes())
  end)

  it("is the same as JSON text", function()
    local done = assert(run(ordered.encode(repository "test")))
    assert.equal("ready\n", done.results.test.data.result)
    assert.equal(0, service:sandboxes())
  end)

  it("is an error of its first step and leaves nothing, whatever goes wrong there", function()
    for expected, more in pairs {
      ["clone failed"] = { repository = git.url:gsub("r%.git", "none.git") },
      ["clone failed with exit code 128"] = { username = "somebody" },
      ["bootstrap failed with exit code 4"] = { bootstrap = { from = "file", path = "fail.sh" } },
      ["no secret 'github'"] = { password = { secret = "github" } },
      ["within 1 s"] = { timeout = 1, bootstrap = { from = "inline", script = "sleep 1000" } },
    } do
      local done, err = run(repository("test", more))
      assert.is_nil(done)
      assert.equal("box", err.what)
      assert.truthy(err.message:find(expected, 1, true), err.message)
      assert.is_nil(tostring(err):find(git.password, 1, true))
      assert.same({}, err.results)
      assert.equal(0, service:sandboxes())
    end
  end)
end)

describe("steps", function()
  it("follow the one before, and run on the channels that they name", function()
    local heard = {}
    local done = assert(run({
      box(), command("a", "exit 1"), command("b", "echo b"), command("c", "echo c", { after = "a.failed" }),
      command("d", "echo {{ $.c.data.result }}", { after = { "c", "box" } }),
      { component = "deleteSandbox", sandbox = '{{ $["box"].data.id }}', after = { "d" } },
    }, { on_step = function(id, result, channel) heard[id] = channel .. " " .. result.type end }))
    assert.same({ "b" }, done.skipped)
    assert.equal("c\n", done.results.d.data.result)
    assert.same({ a = "failed daytona.command.response", box = "default daytona.sandbox",
      c = "success daytona.command.response", d = "success daytona.command.response",
      deleteSandbox = "default daytona.delete.response" }, heard)
    assert.equal(0, service:sandboxes())
  end)

  it("after the same one run beside each other", function()
    local done = assert(run {
      box(), command("left", "touch left; while [ ! -e right ]; do sleep 0.02; done; echo met", { after = "box" }),
      command("right", "touch right; while [ ! -e left ]; do sleep 0.02; done; echo met", { after = "box" }),
      { component = "deleteSandbox", sandbox = DELETE.sandbox, after = { "left", "right" } },
    })
    assert.equal("met\n", done.results.left.data.result)
    assert.equal("met\n", done.results.right.data.result)
  end)

  it("are skipped after one that was", function()
    local done = assert(run { box(), command("a", "exit 1"), command("b", "x"), command("c", "x"), {
      component = "deleteSandbox", sandbox = DELETE.sandbox, after = "a.failed" } })
    assert.same({ "b", "c" }, done.skipped)
  end)

  it("get long output whole, and never read it as an expression", function()
    local done = assert(run {
      box(), command("long", "head -c 200000 /dev/zero | tr '\\0' x"),
      command("count", "printf %s \"$TEXT\" | wc -c", { env = { TEXT = "{{ $.long.data.exitCode }}" } }),
      command("evil", "echo '{{ $[\"box\"].data.id }}' | sed 's/.*/\\{{ $.box.data.id }}/'"),
      command("quoted", "cat", { env = { A = "{{ $.evil.data.result }}" }, command = "printf %s \"$A\"" }), DELETE,
    })
    assert.equal(200000, #done.results.long.data.result)
    assert.equal("1\n", done.results.count.data.result)
    assert.equal("{{ $.box.data.id }}\n", done.results.quoted.data.result)
  end)

  it("of a run before are there for expressions", function()
    local first = assert(run { box() })
    local done = assert(run({ command("a", "echo again"), DELETE }, { results = first.results }))
    assert.equal("again\n", done.results.a.data.result)
    assert.equal(0, service:sandboxes())
  end)
end)

describe("a run", function()
  it("that ends well leaves the sandboxes that it did not delete", function()
    local done = assert(run { box() })
    assert.equal(1, service:sandboxes())
    assert(service.client:delete(done.results.box.data.id))
  end)

  it("stops with the first failure, says which step it was, and deletes what it made", function()
    local done, err = run { box(), command("a", "echo a"), command("b", "x", { cwd = "/none" }), command("c", "x") }
    assert.is_nil(done)
    assert.equal("b", err.what)
    assert.is_true(daytona.is_error(err, "not_found"))
    assert.same({ "a", "box" }, keys(err.results))
    assert.equal(0, service:sandboxes())
  end)

  it("keeps what it made when it is told so", function()
    local _, err = run({ box(), command("b", "x", { cwd = "/none" }) }, { keep = true })
    assert.equal(1, service:sandboxes())
    assert(service.client:delete(err.results.box.data.id))
  end)

  it("names the value that a step lacks", function()
    local _, err = run { box(), command("b", "x", { sandbox = "{{ $.box.data.sandboxId }}" }) }
    assert.equal('workflow on b: $["box"].data.sandboxId has no value; there is: id, state (invalid)', tostring(err))
    assert.equal(0, service:sandboxes())
  end)

  it("checks what an expression gave as any argument", function()
    local _, err = run {
      box(), { component = "getPreviewUrl", sandbox = "{{ $.box.data.id }}", port = "{{ $.box.data.state }}" },
    }
    assert.equal("invalid", err.kind)
    assert.truthy(err.message:find "port")
    assert.equal(0, service:sandboxes())
  end)

  it("fails with the server, and still leaves nothing", function()
    assert(service.server:faults { path = "*/process/execute", status = 500, times = 50 })
    local _, err = run { box(), command("a", "x") }
    assert.equal("server", err.kind)
    assert.equal(0, service:sandboxes())
  end)

  it("that is cancelled ends its command and deletes what it made", function()
    local begun
    local job = daytona.spawn(run, { box(), command("a", "sleep 1000") }, { on_step = function() begun = true end })
    while not begun do daytona.sleep(0.02) end
    daytona.sleep(0.1)
    job:cancel()
    local done, err = job:wait()
    assert.is_nil(done)
    assert.is_true(daytona.is_error(err, "canceled"))
    assert.equal("string", type(err.operation))
    assert.equal(0, service:sandboxes())
  end)

  it("that is cancelled while it makes a sandbox leaves none", function()
    for _, delay in ipairs { 0, 0.02, 0.05, 0.1, 0.2, 0.4 } do
      local job = daytona.spawn(run, repository "test")
      daytona.sleep(delay)
      job:cancel()
      job:wait()
      assert.equal(0, service:sandboxes())
    end
  end)

  it("that is interrupted by the user deletes what it made", function()
    local child = require("spec.support.child").start(([[
      local daytona = require "daytona"
      local client = assert(daytona.new { api_url = %q, api_key = %q })
      local fine, err = pcall(daytona.workflow.run, {
        { id = "box", component = "createSandbox" },
        { component = "executeCommand", sandbox = "{{ $.box.data.id }}", command = "sleep 1000" },
      }, { client = client, on_step = say })
      say(fine, err)
    ]]):format(service.server.api_url, service.server.api_key))
    assert.truthy(child:line():find "^box")
    child:signal "INT"
    assert.truthy(child:rest():find "^false .*interrupt")
    assert.equal(0, service:sandboxes())
  end)
end)

describe("what is no workflow", function()
  local WRONG = {
    ["step 1 (a): component is required"] = { { id = "a" } },
    ["step 1 (a): there is no component 'createSandboxes'; the components are: createSandbox, "]
      = { { id = "a", component = "createSandboxes" } },
    ["step 2 (box): there is a step 'box' already"] = { box(), box() },
    ["step 1 (box): surprise"] = { box { surprise = 1 } },
    ["step 1 (box): autoStopInterval"] = { box { autoStopInterval = "7" } },
    ["step 2 (a): after: there is no step 'boxx' before it"] = { box(), command("a", "x", { after = "boxx" }) },
    ["step 1 (box): after: there is no step 'a' before it"] = { box { after = "a" }, command("a", "x") },
    ["step 2 (a): after: the step 'box' has no channel 'success'; it has: default"]
      = { box(), command("a", "x", { after = { "box.success" } }) },
    ["step 2 (a): after must be"] = { box(), command("a", "x", { after = { 1 } }) },
    ["step 1: must be a table"] = { "createSandbox" },
    ["a list of steps expected"] = { box = box() },
  }

  it("raises as a table, is an error as text, and does nothing", function()
    local requests = service:count("POST", "/sandbox")
    for expected, steps in pairs(WRONG) do
      local fine, raised = pcall(run, steps)
      assert.is_false(fine, expected)
      assert.truthy(raised:find(expected, 1, true), expected .. ": " .. raised)
      assert.truthy(raised:find("workflow_spec.lua", 1, true), raised)
      local done, err = run(ordered.encode(steps))
      assert.is_nil(done)
      assert.equal("invalid", err.kind)
      assert.truthy(err.message:find(expected, 1, true), err.message)
    end
    assert.equal("invalid", select(2, run "[{").kind)
    assert.equal("invalid", select(2, run "7").kind)
    assert.equal(requests, service:count("POST", "/sandbox"))
  end)

  it("is nothing to do when it is empty", function()
    assert.same({ results = {}, channels = {}, skipped = {} }, assert(run {}))
  end)
end)

describe("a program that is killed", function()
  -- A program with a workflow, killed as soon as it says that this step has ended, or, with
  -- none, that the sandbox's bootstrap runs.
  local function killed(steps, step)
    local child = require("spec.support.child").start(([[
      local daytona = require "daytona"
      local client = assert(daytona.new { api_url = %q, api_key = %q })
      local steps = assert(require("daytona.http.json").decode(ARG))
      task.spawn(function()
        daytona.workflow.run(steps, { client = client, on_step = say, secrets = { git = { password = %q } } })
        say "ended"
      end)
      while true do
        for box in client:each() do
          if box.state == "started" and box:exec("pgrep -f 'sleep 100[0]'").exit_code == 0 then say "sleeps" end
        end
        loop.sleep(0.1)
      end
    ]]):format(service.server.api_url, service.server.api_key, git.password), json.encode(steps))
    local line
    repeat line = assert(child:line()) until line:find("^" .. step)
    child:signal "KILL"
    child:rest()
  end

  local function reaped()
    local names = {}
    for i, item in ipairs(assert(service.client:reap())) do names[i] = item.why end
    assert.equal(0, service:sandboxes())
    return names
  end

  it("in the middle of a repository's bootstrap leaves what reap deletes", function()
    killed(repository("test", { bootstrap = { from = "inline", script = "sleep 1000" } }), "sleeps")
    assert.equal(1, service:sandboxes())
    assert.same({ "owner_gone" }, reaped())
  end)

  it("between steps does, too", function()
    killed({ box(), command("a", "sleep 1000") }, "sleeps")
    assert.same({ "owner_gone" }, reaped())
  end)

  it("when its workflow has ended well leaves the sandboxes that are to stay", function()
    killed({ box() }, "ended")
    assert.same({}, assert(service.client:reap()))
    assert.equal(1, service:sandboxes())
    for one in service.client:each() do service.client:delete(one.id) end
  end)
end)
