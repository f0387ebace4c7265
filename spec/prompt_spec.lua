-- What somebody finds who does not know the names: at a prompt, or coming from another
-- client of the service.

local daytona = require "daytona"

local client = assert(daytona.new { api_key = "k", api_url = "http://127.0.0.1:1" })

-- Whether `pairs` asks metatables here.
local asks = false
for _ in pairs(setmetatable({}, { __pairs = function() return next, { true } end })) do asks = true end

-- The names that pairs shows, of functions or of anything.
local function shown(object)
  local names, methods = {}, 0
  for name, value in pairs(object) do
    names[name] = true
    if type(value) == "function" then methods = methods + 1 end
  end
  return names, methods
end

-- What Neovim's command line completes: keys of the table, and of its __index.
local function completed(object)
  local names = shown(object)
  local index = (getmetatable(object) or {}).__index
  if type(index) == "table" then
    for name in pairs(index) do names[name] = true end
  end
  return names
end

describe("at a prompt", function()
  it("the module shows its functions", function()
    local names = shown(require "daytona")
    for _, name in ipairs { "new", "create", "get", "spawn", "gather", "sleep", "using", "assert", "is_error" } do
      assert.is_true(names[name], name)
    end
    if asks then assert.is_true(names.version) end
    assert.is_string(daytona.version)
    assert.is_nil(daytona.no_such)
    for name, ours in pairs {
      Daytona = "daytona.new{}", exec = "sb:exec(command)", createSandbox = "daytona.create{}",
    } do
      local ok, why = pcall(function() return daytona[name] end)
      assert.is_false(ok)
      assert.truthy(why:find(("daytona.%s is %s here"):format(name, ours), 1, true), why)
    end
  end)

  it("an editor completes no metamethods", function()
    local box = client:attach "b"
    for _, object in ipairs {
      client, box, box.fs, box.git, box.interpreter, box.settings, client.snapshots, client.volumes,
    } do
      assert.is_not_nil(object.sandbox or object.client or object.close) -- loaded
      local names = completed(object)
      assert.is_not_nil(next(names))
      for name in pairs(names) do assert.is_nil(name:find "^__", name) end
    end
  end)

  it("a sandbox shows fields, methods and nouns", function()
    local box = client:attach "b"
    box.state = "started"
    local names = completed(box)
    for _, name in ipairs { "id", "state", "exec", "start", "popen", "fs", "git", "settings", "preview", "family" } do
      assert.is_true(names[name], name)
    end
    if asks then
      assert.is_nil(names._toolbox)
      assert.is_true(shown(box).exec)
    end
  end)

  it("no object has more than thirty names, besides its fields", function()
    local box = client:attach "b"
    for _, name in ipairs {
      "settings", "preview", "telemetry", "ssh", "family", "life", "machine", "running", "git", "interpreter",
    } do
      local _, methods = shown(box[name])
      assert.is_true(methods > 0 and methods <= 30 or not asks, name .. " shows " .. methods)
    end
    for _, object in ipairs { client, box } do
      local _, count = shown(object)
      for _, value in next, object do -- nouns
        local of = type(value) == "table" and (rawget(value, 1) or rawget(value, "sandbox"))
        if of == object then count = count + 1 end
      end
      assert.is_true(count > 20 and count <= 30 or not asks, tostring(object) .. " shows " .. count)
    end
  end)

  it("what only groups methods of the sandbox does as these do", function()
    local box = client:attach "b"
    for noun, names in pairs {
      life = { "start", "stop", "pause", "resume", "archive", "recover", "ensure_started", "delete", "wait" },
      machine = { "home_dir", "work_dir", "version", "ports", "port_in_use", "wait_for_port", "keep_alive" },
      running = { "sessions", "entrypoint", "job", "jobs", "ptys" },
    } do
      assert.equal(noun .. " of sandbox (b, unknown)", tostring(box[noun]))
      local there = completed(box[noun])
      for _, name in ipairs(names) do
        assert.is_true(there[name], name)
        assert.is_function(box[name], name)
        local _, text = pcall(box[noun][name], box)
        assert.matches(("%s is a method: call it as sandbox.%s:%s%%(%%.%%.%%.%%)"):format(name, noun, name), text)
      end
    end
    local fine, text = pcall(function() return box.machine:port_in_use(0) end)
    assert.is_false(fine)
    assert.matches("prompt_spec.lua:%d+: port_in_use: the port must be a whole number from 1 to 65535, not 0", text)
    assert.equal("connection", select(2, box.life:pause()).kind)
  end)

  it("a noun shows its methods, and loads when it is looked at", function()
    local box = client:attach "b"
    assert.is_function(box.settings.set_labels)
    local names = completed(box.settings)
    assert.is_true(names.set_labels)
    assert.equal("settings of sandbox (b, unknown)", tostring(box.settings))
  end)

  it("methods that also stand under a noun are the same", function()
    local box = client:attach "b"
    for noun, names in pairs {
      settings = { "set_labels", "merge_labels", "set_ttl", "set_public", "set_network", "set_secrets", "set_env" },
      telemetry = { "metrics", "metrics_latest", "logs", "traces", "trace", "build_logs" },
      preview = { "download_url", "upload_url", "rotate_signing_key" },
    } do
      for _, name in ipairs(names) do
        assert.is_function(box[name], name)
        assert.is_function(box[noun][name], name)
      end
    end
    local _, text = pcall(box.preview_url, box, 0)
    local _, same = pcall(box.preview.url, box.preview, 0)
    assert.equal(text:match ": (.*)", same:match ": (.*)")
    _, text = pcall(box.preview_url, 3000)
    assert.matches("preview_url is a method: call it as sandbox:preview_url%(%.%.%.%)", text)
  end)

  it("fields of the service hide neither methods nor nouns", function()
    local sandbox = require "daytona.control.sandbox"
    local odd = { id = "x", git = { url = "u" }, fs = "ext4", computer = true, exec = 1, setLabels = 2, settings = 3,
      client = "c", raw = "r", name = "n" }
    for _, box in ipairs { sandbox.new(client, odd), require("daytona.control.row").new(client, odd) } do
      assert.equal("n", box.name)
      assert.is_function(box.git.status)
      assert.is_function(box.fs.read)
      assert.is_function(box.computer.start)
      assert.is_function(box.exec)
      assert.is_function(box.set_labels)
      assert.is_function(box.settings.set_ttl)
      assert.equal(client, box.client)
      assert.same(odd, box.raw)
    end
  end)
end)

describe("a name of another client of the service", function()
  local box = client:attach "b"

  -- The text that it raises, at the line of the program.
  local function raised(fn)
    local fine, text = pcall(fn)
    assert.is_false(fine)
    return (assert(tostring(text):match "prompt_spec%.lua:%d+: (.*)", text))
  end

  it("says ours", function()
    for ours, fn in pairs {
      ["sandbox.process.executeCommand is sb:exec(command) here"] = function() return box.process.executeCommand end,
      ["sandbox.process.code_run is sb:run(code) here"] = function() return box.process.code_run "1" end,
      ["sandbox.codeRun is sb:run(code) here"] = function() return box:codeRun "1" end,
      ["sandbox.get_preview_link is sb:preview_url(port) here"] = function() return box:get_preview_link(1) end,
      ["sandbox.fs.createFolder is sb.fs:mkdir(path) here"] = function() return box.fs:createFolder "x" end,
      ["sandbox.fs.upload_file is sb.fs:write(path, data), sb.fs:upload(file, path) here"] = function()
        return box.fs:upload_file("a", "b")
      end,
      ["sandbox.git.checkout_branch is sb.git:checkout(path, branch) here"] = function()
        return box.git:checkout_branch("a", "b")
      end,
      ["sandbox.interpreter.runCode is sb.interpreter:run(code) here"] = function()
        return box.interpreter:runCode "1"
      end,
      ["sandbox.execute is sb:exec(command) here"] = function() return box:execute "ls" end,
      ["sandbox.upload is sb.fs:upload(file, path) here"] = function() return box:upload("a", "b") end,
      ["sandbox.kill is sb:delete() here"] = function() return box:kill() end,
      ["sandbox.fs.rename is sb.fs:move(from, to) here"] = function() return box.fs:rename("a", "b") end,
      ["sandbox.fs.set_permissions is sb.fs:chmod(path, change) here"] = function()
        return box.fs:set_permissions "x"
      end,
      ['sandbox.git.diff is sb:exec { "git", "-C", path, "diff" } here'] = function() return box.git:diff "w" end,
      ["sandbox._experimental_fork is sb:fork{} here"] = function() return box:_experimental_fork() end,
      ["daytona.image.debianSlim is daytona.image.debian_slim(version) here"] = function()
        return daytona.image.debianSlim "3.12"
      end,
      ["image.pipInstall is image:pip_install { packages } here"] = function()
        return daytona.image.base "b:1":pipInstall "numpy"
      end,
      ["image.addLocalDir is image:add_local_dir(path, target) here"] = function()
        return daytona.image.base "b:1":addLocalDir("a", "/a")
      end,
      ["client.snapshot is client.snapshots here"] = function() return client.snapshot.list end,
    } do assert.equal(ours, raised(fn)) end
  end)

  it("is nil where it is nobody's", function()
    assert.is_nil(box.no_such_field)
    assert.is_nil(box.fs.no_such)
    assert.is_nil(client.no_such)
    assert.is_nil(daytona.image.no_such)
    assert.is_nil(box[1])
  end)
end)
