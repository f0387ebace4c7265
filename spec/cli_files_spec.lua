-- The command line: files and folders of this machine and of a sandbox.

local json = require "daytona.http.json"

local cli, box

setup(function()
  cli = require("spec.support.cli").start()
  box = assert(cli.client:create { name = "box" })
  os.execute(("mkdir -p %s/tree/below; printf 'one\\0\\377' >%s/one; cp %s/one %s/tree/below/two"):format(
    cli.dir, cli.dir, cli.dir, cli.dir))
end)
teardown(function() cli:stop() end)

local CONTENT = "one\0\255"

local function here(name)
  local file = assert(io.open(cli.dir .. "/" .. name, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function cp(words)
  return cli:must("cp " .. words:gsub("%%", cli.dir))
end

describe("cp", function()
  it("copies a file both ways, to a path or into a folder", function()
    cp "%/one box:new/path"
    assert.equal(CONTENT, (assert(box.fs:read "new/path")))
    cp "%/one box:new"
    assert.equal(CONTENT, (assert(box.fs:read "new/one")))
    cp "%/one box:other/"
    assert.equal(CONTENT, (assert(box.fs:read "other/one")))
    cp "%/one box:"
    assert.equal(CONTENT, (assert(box.fs:read "one")))
    cp "box:one %/back"
    assert.equal(CONTENT, here "back")
    os.execute("mkdir " .. cli.dir .. "/into")
    cp "box:new/path %/into"
    assert.equal(CONTENT, here "into/path")
    assert.equal(5, json.decode(cli:must("cp --json " .. cli.dir .. "/one box:one")).size)
  end)

  it("reads standard input and writes standard output", function()
    cli:must("cp - box:streamed", { before = "{ printf 'a\\0'; sleep 0.1; printf b; } |" })
    assert.equal("a\0b", cli:must "cp box:streamed -")
    assert.equal("", cli:must("cp - box:empty", { input = "</dev/null" }))
    assert.equal("", cli:must "cp box:empty -")
  end)

  it("copies folders where that is asked for", function()
    cp "-r %/tree box:"
    assert.equal(CONTENT, (assert(box.fs:read "tree/below/two")))
    cp "-r %/tree box:fresh"
    assert.equal(CONTENT, (assert(box.fs:read "fresh/below/two")))
    cp "-r box:tree %/copied"
    assert.equal(CONTENT, here "copied/below/two")
    cp "-r box:tree %/copied"
    assert.equal(CONTENT, here "copied/tree/below/two")
  end)

  it("fails in one line, and leaves nothing half", function()
    for words, status in pairs {
      ["box:no/such/file %/x"] = 1, ["%/no-such-file box:x"] = 1, ["%/one nobody:x"] = 1,
      ["%/tree box:x"] = 2, ["- box:dir/"] = 2,
    } do
      local out, err, ended = cli:run("cp " .. words:gsub("%%", cli.dir))
      assert.equal(status, ended, words .. ": " .. err)
      assert.equal("", out)
      assert.truthy(err:find "^daytona%-lua: [^\n]*\n$", err)
    end
    assert.is_false(box.fs:exists "x")
    assert.is_nil(io.open(cli.dir .. "/x"))
  end)
end)

describe("sync", function()
  it("makes a folder like another, and tells what it did", function()
    local function sync(words) return json.decode(cli:must("sync --json " .. words:gsub("%%", cli.dir))) end
    assert.equal(1, sync("%/tree box:mirror").uploaded)
    local again = sync "%/tree box:mirror"
    assert.same({ 0, 1 }, { again.uploaded, again.unchanged })
    assert(box.fs:write("mirror/extra", "e"))
    assert(box.fs:write("mirror/left.out", "e"))
    assert.equal(1, sync("--delete --exclude *.out %/tree box:mirror").deleted)
    assert.equal(2, sync("box:mirror %/down").downloaded)
    assert.equal(CONTENT, here "down/below/two")
    assert.equal("copied\t0\ndeleted\t0\nunchanged\t2\nbytes\t0\n",
      cli:must(("sync box:mirror %s/down"):format(cli.dir)))
  end)
end)
