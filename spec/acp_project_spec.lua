-- A project folder and its copy in a sandbox, kept alike while both are worked on.

local daytona = require "daytona"
local projects = require "daytona.agent.acp.project"

local service, box, folder, project

local function run(command)
  local pipe = assert(io.popen("cd " .. folder .. " && { " .. command .. "\n} 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local function there(command)
  return assert(box:exec("cd project && { " .. command .. "\n}", { check = true })).result
end

local function never() error "asked" end
local function yes() return true end

local function sync(may_delete) return assert(project:sync(may_delete or never)) end

setup(function()
  service = require("spec.support.service").start()
  box = assert(service.client:create {})
end)

teardown(function() service:stop() end)

before_each(function()
  folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir -p " .. folder .. "/src")
  run "printf 'one\\n' >src/a.lua; printf 'b\\n' >b; printf 'out/\\n' >.gitignore; mkdir .git out; touch .git/x out/y"
  assert(box:exec "rm -rf project")
  project = projects.new(box, folder, assert(box:work_dir()) .. "/project")
  assert.same({}, sync())
end)

after_each(function() os.execute("rm -rf " .. folder) end)

describe("a project", function()
  it("goes to the sandbox without what git ignores", function()
    assert.equal("./.gitignore\n./b\n./src/a.lua\n", there "find . -type f | sort")
    assert.same({}, sync())
  end)

  it("gets what was changed there, with what was in it before", function()
    there "printf 'two\\n' >src/a.lua; mkdir new out; printf 'n\\n' >new/file; printf '\\0' >binary; touch out/z"
    assert.same({
      { path = "binary" }, { path = "new/file", new = "n\n" }, { path = "src/a.lua", old = "one\n", new = "two\n" },
    }, sync())
    assert.equal("two\nn\n", run "cat src/a.lua new/file")
    assert.equal("", run "ls out | grep z")
    assert.same({}, sync())
  end)

  it("shows of what was changed what is text and at most 1 MiB", function()
    there "head -c 1048576 /dev/zero | tr '\\0' x >b; cp b src/a.lua; printf x >>src/a.lua"
    local changes = sync()
    assert.same({ "b", "src/a.lua" }, { changes[1].path, changes[2].path })
    assert.same({ "b\n", ("x"):rep(1048576) }, { changes[1].old, changes[1].new })
    assert.same({ "one\n" }, { changes[2].old, changes[2].new })
    assert.equal("1048577\n", run "wc -c <src/a.lua")
  end)

  it("asks before it deletes, and gives back what is not to be deleted", function()
    there "rm b"
    local asked
    sync(function(paths)
      asked = paths
      return false
    end)
    assert.same({ "b" }, asked)
    assert.equal("b\n", run "cat b")
    assert.equal("b\n", there "cat b")
    there "rm b"
    assert.same({ { path = "b", old = "b\n" } }, sync(yes))
    assert.equal("", run "ls b 2>/dev/null")
  end)

  it("gives what the user changed meanwhile to the sandbox", function()
    run "echo mine >>b; echo new >c; rm src/a.lua"
    assert.same({}, sync())
    assert.equal("b\nmine\nnew\n", there "cat b c; ls src")
  end)

  it("keeps the user's version where both have changed a file, and takes the rest", function()
    run "echo mine >b; echo mine >'odd [name]*? '"
    there "echo theirs >b; echo theirs >src/a.lua"
    assert.same({ { path = "src/a.lua", old = "one\n", new = "theirs\n" } }, sync())
    assert.equal("mine\ntheirs\nmine\n", run "cat b src/a.lua odd*")
    assert.equal("mine\ntheirs\nmine\n", there "cat b src/a.lua odd*")
  end)

  it("that is gone in the sandbox changes nothing here", function()
    assert(box:exec "rm -rf project")
    local changes, err = project:sync(yes)
    assert.is_nil(changes)
    assert.equal("not_found", err.kind)
    assert.equal("one\n", run "cat src/a.lua")
  end)

  it("is looked at by one at a time", function()
    there "echo x >x"
    local results = assert(daytona.gather { function() return sync() end, function() return sync() end })
    assert.equal(1, #results[1] + #results[2])
  end)

  it("leads nowhere else by links", function()
    there "ln -s /etc/passwd link; ln -s b fine"
    sync()
    assert.equal("fine\n", run "ls | grep -e fine -e link")
  end)
end)
