-- The set "components": each of its six components, with right, wrong and malicious
-- arguments, and the shapes that their results have.

local daytona = require "daytona"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local schema = require "daytona.agent.schema"
local support = require "spec.support.tools"

local service, tools, id, git

local SECRETS = { git = { token = "ghp_hunter2hunter2", wrong = "nobodys-token" }, plain = "one'two\nthree" }

-- The data of a component that must succeed; its result has these fields and no others.
local function call(name, kind, arguments)
  local result = support.call(tools, name, arguments)
  local whole = json.decode(ordered.encode(result.data))
  assert.equal(kind, whole.type)
  assert.truthy(whole.timestamp:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
  local data = whole.data
  whole.type, whole.timestamp, whole.data = nil, nil, nil
  assert.same({}, whole)
  return data, result
end

local function fail(name, arguments) return support.fail(tools, name, arguments) end

setup(function()
  service = require("spec.support.service").start()
  git = require("spec.support.git_server").start {
    ["README"] = "read me\n",
    ["scripts/bootstrap.sh"] = "echo \"in $PWD\" >done; cp README $HOME/copy\n",
    ["scripts/bash.sh*"] = "#!/bin/bash\n[[ -f README ]] && echo \"$TOKEN\" >token\n",
    ["fail.sh"] = "echo no such luck; exit 4\n",
  }
  tools = daytona.tools("components", { client = service.client, secrets = SECRETS })
  id = call("createSandbox", "daytona.sandbox", {}).id
end)

teardown(function()
  tools:close()
  git:stop()
  service:stop()
end)

describe("the set components", function()
  it("has six components whose schemas hold", function()
    local names = {}
    for i, tool in ipairs(tools.tools) do
      names[i] = tool.name
      assert.is_nil(schema.flaw(tool.input))
      assert.is_nil(schema.flaw(tool.output))
    end
    assert.same({ "createSandbox", "createRepositorySandbox", "executeCode", "executeCommand", "deleteSandbox",
      "getPreviewUrl" }, names)
  end)

  it("refuses wrong arguments of every field, and says which it is", function()
    local right = { sandbox = id, command = "x", code = "x", repository = "a/b" }
    local requests = #assert(service.server:requests())
    for _, tool in ipairs(tools.tools) do
      local own = {}
      for name in pairs(tool.input.properties) do own[name] = right[name] end
      support.wrong_arguments(tool, own, function(arguments, name)
        local kind, text = support.fail(tools, tool.name, arguments)
        assert.equal("invalid", kind)
        assert.truthy(text:find(name:match "%S+", 1, true), tool.name .. ": " .. text)
      end)
    end
    assert.equal(requests, #assert(service.server:requests()))
  end)

  it("refuses secrets that are no texts where it is made", function()
    assert.has_error(function() daytona.tools("components", { secrets = { a = 1 } }) end)
    assert.has_error(function() daytona.tools("components", { secrets = { a = { b = {} } } }) end)
  end)
end)

describe("createSandbox and deleteSandbox", function()
  it("give the id and the state", function()
    local data, result = call("createSandbox", "daytona.sandbox",
      { autoStopInterval = 7, env = { { name = "A", value = "hunter2" } } })
    assert.same({ id = data.id, state = "started" }, data)
    assert.is_nil(result.text:find "hunter2")
    local sandbox = assert(service.client:get(data.id))
    assert.equal(7, sandbox.auto_stop_interval)
    assert.equal("hunter2\n", call("executeCommand", "daytona.command.response",
      { sandbox = data.id, command = "echo $A" }).result)
    assert.same({ deleted = true, id = data.id }, call("deleteSandbox", "daytona.delete.response",
      { sandbox = sandbox.name, force = true }))
    assert.truthy(sandbox:refresh() == nil or sandbox.state:find "^destroy")
  end)

  it("are nobody's: no program but the caller's deletes them", function()
    local first = call("createSandbox", "daytona.sandbox", {}).id
    local second = call("createRepositorySandbox", "daytona.repository.sandbox",
      { repository = git.url, username = "me", password = { secret = "git", key = "token" } }).sandboxId
    local made = { first, second }
    for _, one in ipairs(made) do
      local labels = assert(service.client:get(one)).raw.labels or {}
      assert.is_nil(labels["daytona-lua-owner"])
      call("deleteSandbox", "daytona.delete.response", { sandbox = one })
    end
  end)

  it("fail without leaving anything", function()
    local before = service:sandboxes()
    assert(service.server:faults { method = "POST", path = "/sandbox", status = 403 })
    assert.equal("forbidden", (fail("createSandbox", {})))
    assert(service.server:clear_faults())
    assert.equal("invalid", (fail("createSandbox", { env = { ["A B"] = "x" } })))
    assert.equal("not_found", (fail("deleteSandbox", { sandbox = "../api-keys" })))
    assert.equal(before, service:sandboxes())
  end)
end)

describe("executeCommand", function()
  local function run(arguments)
    arguments.sandbox = id
    return call("executeCommand", "daytona.command.response", arguments)
  end

  it("gives the exit code and what was printed", function()
    assert.same({ exitCode = 0, timeout = false, result = "it's in /tmp\n" },
      run { command = "echo $A in $(pwd)", cwd = "/tmp", env = { A = "it's" } })
    assert.same({ exitCode = 3, timeout = false, result = "err\n" }, run { command = "echo err >&2; exit 3" })
  end)

  it("counts seconds, and tells that they were over", function()
    assert.same({ exitCode = -1, timeout = true, result = "begun\n" },
      run { command = "echo begun; sleep 1000", timeout = 1 })
  end)

  it("in a directory or a sandbox that is not there fails", function()
    assert.equal("not_found", (fail("executeCommand", { sandbox = id, command = "x", cwd = "/none" })))
    assert.equal("not_found", (fail("executeCommand", { sandbox = "none", command = "x" })))
    assert.equal("invalid", (fail("executeCommand", { sandbox = id, command = "a\0b" })))
  end)

  it("says where the rest of ten megabytes is", function()
    local data, result = run { command = "head -c 10000000 /dev/zero | tr '\\0' x | fold -w 99; echo the end" }
    assert.truthy(data.result:find "the end\n$")
    assert.is_true(result.truncated)
    assert.is_true(#result.text <= 50 * 1024)
    assert.equal("10101018\n", run({ command = "wc -c <" .. result.read_more }).result)
  end)
end)

describe("executeCode", function()
  local function run(arguments)
    arguments.sandbox = id
    return call("executeCode", "daytona.execute.response", arguments)
  end

  it("gives the exit code and what was printed", function()
    assert.same({ exitCode = 0, result = "4\n" }, run { code = "print(2 + 2)", language = "python" })
    local data = run { code = "import sys; print('no'); sys.exit(5)" }
    assert.equal(5, data.exitCode)
  end)

  it("counts milliseconds, and tells that they were over", function()
    local data = run { code = "import time; time.sleep(1000)", timeout = 1000 }
    assert.equal(-1, data.exitCode)
    assert.truthy(data.result:find "1000 ms")
  end)
end)

describe("getPreviewUrl", function()
  local function preview(arguments)
    arguments.sandbox = id
    return call("getPreviewUrl", "daytona.preview.response", arguments)
  end

  it("is signed, of port 3000 and lives a minute when nothing is said", function()
    local data = preview {}
    assert.truthy(data.url:find("://3000-" .. data.token, 1, true))
    assert.same({ sandbox = id, port = 3000, signed = true, url = data.url, token = data.token, expiresInSeconds = 60 },
      data)
    assert.equal(86400, preview({ expiresInSeconds = 86400 }).expiresInSeconds)
  end)

  it("takes its token in a header when it is not signed", function()
    local data = preview { port = 8080, signed = false }
    assert.same({ sandbox = id, port = 8080, signed = false, url = data.url, token = data.token }, data)
    assert.truthy(data.url:find("://8080-" .. id, 1, true))
  end)

  it("lives between a minute and a day", function()
    for _, seconds in ipairs { 59, 86401 } do
      local kind, text = fail("getPreviewUrl", { sandbox = id, expiresInSeconds = seconds })
      assert.equal("invalid", kind)
      assert.truthy(text:find "expiresInSeconds")
    end
  end)
end)

describe("createRepositorySandbox", function()
  local before

  before_each(function() before = service:sandboxes() end)

  local function with(more)
    local arguments = { repository = git.url, username = "me", password = { secret = "git", key = "token" } }
    for name, value in pairs(more or {}) do arguments[name] = value end
    return arguments
  end

  local function make(more)
    local data, result = call("createRepositorySandbox", "daytona.repository.sandbox", with(more))
    finally(function() call("deleteSandbox", "daytona.delete.response", { sandbox = data.sandboxId }) end)
    return data, result
  end

  local function inside(data, command)
    return call("executeCommand", "daytona.command.response",
      { sandbox = data.sandboxId, command = command, cwd = data.directory }).result
  end

  -- Makes one that must fail, and leave nothing.
  local function refuse(more)
    local kind, text = fail("createRepositorySandbox", with(more))
    assert.equal(before, service:sandboxes())
    assert.is_nil(text:find("hunter2", 1, true))
    return text, kind
  end

  it("clones a private repository, and a script of it has run in the clone", function()
    local data = make { bootstrap = { from = "file", path = "scripts/bootstrap.sh" }, timeout = 100 }
    assert.truthy(data.sandboxStartedAt:find "^%d%d%d%d%-%d%d%-%d%dT")
    assert.same({
      sandboxId = data.sandboxId, sandboxStartedAt = data.sandboxStartedAt, timeout = 100, repository = git.url,
      directory = data.directory, bootstrap = { from = "file", path = "scripts/bootstrap.sh" },
    }, data)
    assert.truthy(data.directory:find "/r$")
    assert.equal("in " .. data.directory .. "\nread me\n", inside(data, "cat done ~/copy"))
    assert.equal("origin\t" .. git.url .. " (fetch)\n", inside(data, "git remote -v | head -n 1"))
  end)

  it("gives secrets to the bootstrap and to later steps, and shows them nowhere", function()
    local wanted = {
      { type = "env", name = "TOKEN", value = { secret = "plain" } },
      { type = "file", path = "keys/token", value = { secret = "git", key = "token" } },
    }
    local data, result = make { secrets = wanted, bootstrap = { from = "file", path = "scripts/bash.sh" } }
    assert.same(wanted, data.secrets)
    for _, secret in ipairs { "hunter2", "one'two" } do assert.is_nil(result.text:find(secret, 1, true)) end
    local sandbox = service.client:get(data.sandboxId)
    assert.equal(SECRETS.plain .. "\n", sandbox.fs:read(data.directory .. "/token"))
    local home = sandbox:home_dir()
    assert.equal(SECRETS.git.token, sandbox.fs:read(home .. "/keys/token"))
    assert.equal("-rw-------", sandbox.fs:stat(home .. "/keys/token").mode)
    assert.equal("[redacted]\n", inside(data, "echo \"$TOKEN\""))
    assert.equal("14\n", inside(data, "printf %s \"$TOKEN\" | wc -c"):gsub("%d+", "14", 1))
    local everything = assert(sandbox:exec("grep -rIl -e hunter2 -e \"two\" ~ /tmp --exclude-dir=.git; "
      .. "cat ~/.gitconfig; git -C " .. data.directory .. " config --list; ps axww")).result
    assert.is_nil(everything:find("hunter2", 1, true))
    local found = {}
    for path in everything:gmatch "(/%S+/token)\n" do found[#found + 1] = path end
    table.sort(found)
    assert.same({ home .. "/keys/token", data.directory .. "/token" }, found)
    assert.equal("", (sandbox:exec "printf 'protocol=http\\nhost=127.0.0.1\\n\\n' | git credential-cache get").result)
  end)

  it("runs a script inline, whatever its line ends are", function()
    local script = "for i in 1 2\r\ndo\r\n  echo \"it's $i\" >>out\r\ndone\r\n"
    local data = make { bootstrap = { from = "inline", script = script } }
    assert.same({ from = "inline", script = script }, data.bootstrap)
    assert.equal("it's 1\nit's 2\n", inside(data, "cat out"))
  end)

  it("takes credentials out of the address", function()
    local data, result = make {
      repository = git.url:gsub("://", "://me:" .. git.password .. "@"), password = nil, username = nil,
    }
    assert.equal(git.url, data.repository)
    assert.is_nil(result.text:find("hunter2", 1, true))
  end)

  it("fails with what git says, when the secret is the wrong one or the address is", function()
    assert.truthy(refuse({ password = { secret = "git", key = "wrong" } }):find "clone failed with exit code 128")
    assert.truthy(refuse({ repository = "http://" .. git.host .. "/none.git" }):find "clone failed")
    assert.truthy(refuse({ repository = "http://127.0.0.1:1/r.git" }):find "clone failed")
  end)

  it("fails with what the bootstrap printed", function()
    local text = refuse { bootstrap = { from = "file", path = "fail.sh" } }
    assert.truthy(text:find "bootstrap failed with exit code 4: no such luck$")
    assert.truthy(refuse({ bootstrap = { from = "file", path = "none.sh" } }):find "none.sh")
    assert.truthy(refuse({ bootstrap = { from = "inline", script = "kill -9 $PPID" } }) ~= "")
  end)

  it("does not show secrets that a failing bootstrap prints", function()
    local text = refuse {
      secrets = { { type = "env-var", name = "TOKEN", value = { secret = "git", key = "token" } } },
      bootstrap = { from = "inline", script = "echo $TOKEN; exit 1" },
    }
    assert.truthy(text:find("[redacted]", 1, true))
  end)

  it("says at what it was when its time is over", function()
    -- Where a busy machine does not come so far in time, it is given more.
    local text, kind, seconds
    for try = 1, 4 do
      seconds = 2 ^ try
      text, kind = refuse { timeout = seconds, bootstrap = { from = "inline", script = "sleep 1000" } }
      assert.equal("timeout", kind)
      if text:find "bootstrap" then break end
    end
    assert.truthy(text:find(("within %d s: it was at bootstrap"):format(seconds), 1, true), text)
  end)

  it("makes no sandbox when what it is asked for is wrong", function()
    local requests = service:count("POST", "/sandbox")
    local wrong = {
      ["no secret 'none'"] = { password = { secret = "none" } },
      ["no value 'none'"] = { password = { secret = "git", key = "none" } },
      ["has several values"] = { password = { secret = "git" } },
      ["secrets: one of type file needs a path"] = { secrets = { { type = "file", value = { secret = "plain" } } } },
      ["secrets: 'A B' is no name"] = { secrets = { { type = "env", name = "A B", value = { secret = "plain" } } } },
      ["secrets: an environment variable needs"] = { secrets = { { type = "env", value = { secret = "plain" } } } },
      ["bootstrap.path is required"] = { bootstrap = { from = "file", script = "x" } },
      ["bootstrap.script is required"] = { bootstrap = { from = "inline", path = "x" } },
      ["must be in the repository"] = { bootstrap = { from = "file", path = "a/../../x" } },
      ["must be in the repository: /etc"] = { bootstrap = { from = "file", path = "/etc/x" } },
      ["names no folder"] = { repository = "https://example.com/.." },
      ["neither an address"] = { repository = "a b" },
      ["http address only"] = { repository = "git@example.com:a/b.git" },
    }
    for expected, more in pairs(wrong) do
      local _, text = fail("createRepositorySandbox", with(more))
      assert.truthy(text:find(expected, 1, true), expected .. ": " .. text)
    end
    assert.equal(requests, service:count("POST", "/sandbox"))
  end)

  it("leaves nothing when it is cancelled", function()
    local job = daytona.spawn(function()
      return tools:call("createRepositorySandbox", with { bootstrap = { from = "inline", script = "sleep 1000" } })
    end)
    local deadline = os.time() + 20
    local function bootstrapping()
      for box in service.client:each() do
        if box.id ~= id and box.state == "started" then return #(box:sessions() or {}) > 0 end
      end
    end
    while not bootstrapping() and os.time() < deadline do daytona.sleep(0.05) end
    job:cancel()
    job:wait()
    assert.equal(before, service:sandboxes())
  end)
end)
