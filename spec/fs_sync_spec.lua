-- Trees of files between this machine and a sandbox of the local server.

local daytona = require "daytona"
local core = require "daytona.base.native"

local files = require("spec.support.files").new()
local service, fs, folder, remote, _

setup(function() service, _, fs = files:open() end)
teardown(function() files:close() end)
before_each(function() folder, remote = files:fresh() end)
after_each(function() files:sweep() end)

local function sh(command) return files:sh(command) end
local function put(name, data) return files:put(name, data) end
local function there(command) return files:there(command) end
local function assert_alike() files:assert_alike() end

local function summary(result)
  return ("%d up, %d down, %d deleted, %d unchanged, %d bytes"):format(result.uploaded, result.downloaded,
    result.deleted, result.unchanged, result.bytes)
end

local function requests()
  return #assert(service.server:requests())
end

local LONG = ("n"):rep(255)

local function make_tree()
  sh [[
    mkdir -p a/b/c empty 'two words'; chmod 700 a; ln -s ../file a/link; ln -s nowhere broken
    ln -s "$(printf '%0150d' 7)" far; ln -s "$(printf '%0250d' 8)" further
    printf '#!/bin/sh\n' >run; chmod 755 run
  ]]
  for _, name in ipairs { "file", "a/b/c/deep", "two words/qu'o\"te", "new\nline", "Grüße ☺", "-dash", "latin \233",
    " around ", LONG, "a/b/" .. LONG, "back\\slash" } do put(name) end
  put("big", ("0123456789"):rep(100000))
  put("nothing", "")
end

describe("sync up", function()
  it("makes the other side alike, whatever the names", function()
    make_tree()
    local result = assert(fs:sync(folder, remote))
    assert.equal(18, result.uploaded)
    assert_alike()
    assert.equal(0, result.unchanged)
  end)

  it("is one request when nothing has changed", function()
    make_tree()
    assert(fs:sync(folder, remote))
    local before = requests()
    local result = assert(fs:sync(folder, remote))
    assert.equal(before + 1, requests())
    assert.equal("0 up, 0 down, 0 deleted, 18 unchanged, 0 bytes", summary(result))
  end)

  it("sends what has changed, in size, time, mode or target", function()
    make_tree()
    assert(fs:sync(folder, remote))
    put("file", "new content")
    put("a/b/c/deep", "a/b/c/peed")  -- as long, within the same second
    put "a/new"
    sh "chmod 600 run; ln -sf run a/link; mkdir -p x/y; echo 1 >x/y/z"
    local result = assert(fs:sync(folder, remote))
    assert.equal(5, result.uploaded)
    assert_alike()
  end)

  it("changes what is in read-only folders, which stay so", function()
    sh "mkdir -p ro/deep; echo 1 >ro/a; echo 1 >ro/deep/b; echo 1 >ro/gone; chmod 555 ro/deep ro"
    assert(fs:sync(folder, remote))
    sh "chmod 755 ro ro/deep; echo 22 >ro/a; echo 22 >ro/deep/b; rm ro/gone; echo 3 >ro/new; chmod 555 ro/deep ro"
    local result = assert(fs:sync(folder, remote, { delete = true }))
    assert.equal("3 up, 0 down, 1 deleted, 0 unchanged, 8 bytes", summary(result))
    assert_alike()
    sh "chmod -R u+w ro; rm -r ro"
    assert.equal(3, assert(fs:sync(folder, remote, { delete = true })).deleted)
    assert_alike()
  end)

  it("that fails leaves a read-only folder as it was", function()
    sh "mkdir ro; echo 1 >ro/a; mkdir ro/b; echo 1 >ro/b/c; chmod 555 ro/b ro"
    assert(fs:sync(folder, remote))
    sh "chmod 755 ro ro/b; echo 22 >ro/a; rm -r ro/b; echo 2 >ro/b; chmod 555 ro"
    local _, err = fs:sync(folder, remote)
    assert.equal("conflict", err.kind)
    assert.equal("555 555\n", there "echo $(stat -c %a ro ro/b)")
    -- Where a command fails half way, the folders are shut as well.
    sh "chmod 755 ro; rm ro/b; chmod 555 ro"
    there "mkdir ../bin; printf '#!/bin/sh\\nexit 1\\n' >../bin/tar; chmod 755 ../bin/tar"
    local box = service.client:attach(files.box.id)
    local exec = box.exec
    function box.exec(self, command, opts) return exec(self, "PATH=$PWD/bin:$PATH\n" .. command, opts) end
    _, err = box.fs:sync(folder, remote)
    assert.equal("io", err.kind)
    assert.equal("555 555\n", there "echo $(stat -c %a ro ro/b)")
    there "rm -r ../bin"
  end)

  it("keeps times that an archive's numbers do not hold", function()
    sh [[
      echo 1 >a; echo 2 >b; echo 3 >c; echo 4 >d
      touch -d 1965-03-04T05:06:07Z a; touch -d 1969-12-31T23:59:59.33Z b; touch -d 2300-01-01 c
    ]]
    assert.equal(4, assert(fs:sync(folder, remote)).uploaded)
    local result = assert(fs:sync(folder, remote))
    assert.equal("0 up, 0 down, 0 deleted, 4 unchanged, 0 bytes", summary(result))
    assert.equal(sh "stat -c '%Y %n' a b c", there "stat -c '%Y %n' a b c")
    result = assert(fs:sync(folder, remote, { direction = "down" }))
    assert.equal(4, result.unchanged)
  end)

  it("removes only with delete, and never what is ignored", function()
    sh "mkdir -p d/e; echo 1 >d/e/f; echo 1 >g; echo '*.log' >.gitignore; echo x >a.log; mkdir .git; echo 1 >.git/x"
    local result = assert(fs:sync(folder, remote))
    assert.equal(3, result.uploaded)
    there "echo keep >their.log; mkdir -p gone/deep; echo 1 >gone/deep/f; echo 1 >gone/x.log; echo 2 >h"
    assert.equal(0, assert(fs:sync(folder, remote)).deleted)
    assert.equal(2, assert(fs:sync(folder, remote, { delete = true })).deleted)
    assert.equal("./.gitignore\n./d/e/f\n./g\n./gone/x.log\n./their.log\n", there "find . -type f | LC_ALL=C sort")
    assert.equal(2, assert(fs:sync(folder, remote, { gitignore = false })).uploaded)
    assert.equal("1\n", there "cat .git/x")
  end)

  it("leaves out what it is told to", function()
    sh "mkdir -p d node_modules/x; echo 1 >d/a.o; echo 1 >d/b.c; echo 1 >node_modules/x/y"
    local result = assert(fs:sync(folder, remote, { exclude = { "*.o", "node_modules/" } }))
    assert.equal("1 up, 0 down, 0 deleted, 0 unchanged, 2 bytes", summary(result))
  end)

  it("compares contents when told to", function()
    make_tree()
    assert(fs:sync(folder, remote))
    sh "find . -type f -exec touch -d 2001-01-01 {} +"
    assert.equal(0, assert(fs:sync(folder, remote, { checksum = true })).uploaded)
    there "printf elif >file; touch -d 2001-01-01 file"
    assert.equal(0, assert(fs:sync(folder, remote, { checksum = true, exclude = { "file" } })).uploaded)
    assert.equal(1, assert(fs:sync(folder, remote, { checksum = true })).uploaded)
    assert.equal("file", there "cat file")
  end)

  it("puts a folder in the place of a file only with delete", function()
    sh "mkdir a; echo 1 >a/x; echo 1 >b"
    assert(fs:mkdir(remote))
    there "echo 1 >a; mkdir b; echo 1 >b/y; mkdir ../outside; ln -s ../outside l"
    local result, err = fs:sync(folder, remote)
    assert.is_nil(result)
    assert.equal("conflict", err.kind)
    assert(fs:sync(folder, remote, { delete = true }))
    assert_alike()
  end)

  it("does not write through a link over there", function()
    sh "mkdir l; echo 1 >l/x"
    assert(fs:mkdir(remote))
    there "mkdir -p ../elsewhere; rm -f ../elsewhere/x; ln -s ../elsewhere l"
    local _, err = fs:sync(folder, remote)
    assert.equal("conflict", err.kind)
    assert(fs:sync(folder, remote, { delete = true }))
    assert_alike()
    assert.is_false(fs:exists "elsewhere/x")
  end)

  it("that is cut, refused or finds no room leaves no half file and nothing of its own", function()
    put("file", "old")
    assert(fs:sync(folder, remote))
    put("file", ("new"):rep(100000))
    assert(service.server:faults { { path = "/files/bulk-upload", drop = true } })
    local result, err = fs:sync(folder, remote)
    assert.is_nil(result)
    assert.equal("connection", err.kind)
    assert.equal("sync", err.operation)
    assert(service.server:clear_faults())
    assert.equal("old", there "cat file")
    assert.equal("./file\n", there "find . -mindepth 1")
    there "mkdir full; mv file full/; rmdir full 2>/dev/null || :"
    local _, problem = fs:sync(folder, remote .. "/full/file")
    assert.equal("conflict", problem.kind)
  end)

  it("that is cancelled ends at once, whatever it is at", function()
    sh "for i in $(seq 3000); do : >f$i; done"
    local before = requests()
    local _, err
    local task = daytona.spawn(function() _, err = fs:sync(folder, remote) end)
    task:cancel()
    task:wait()
    assert.equal("canceled sync", err.kind .. " " .. err.operation)
    assert.equal(before, requests())
  end)

  it("that is cancelled leaves no half file", function()
    put("file", ("new"):rep(1000000))
    assert(service.server:faults { { path = "/files/bulk-upload", slow = 1000 } })
    local _, err
    local task
    task = daytona.spawn(function()
      _, err = fs:sync(folder, remote, { on_progress = function() task:cancel() end })
    end)
    task:wait()
    assert(service.server:clear_faults())
    assert.equal("canceled sync", err.kind .. " " .. err.operation)
    assert.equal("", there "find . -mindepth 1")
  end)

  it("of an empty folder makes one; of none is an error", function()
    assert(fs:sync(folder, remote))
    assert.is_true(assert(fs:stat(remote)).is_dir)
    local _, err = fs:sync(folder .. "/none", remote)
    assert.equal("io", err.kind)
  end)

  it("reports progress, and what it cannot copy", function()
    sh "mkfifo pipe; echo 1 >x"
    local done, total
    local result = assert(fs:upload_dir(folder, remote, { on_progress = function(d, t) done, total = d, t end }))
    assert.same({ "pipe" }, result.skipped)
    assert.equal(total, done)
  end)
end)

describe("sync down", function()
  it("makes this side alike, in one request more than it looks", function()
    make_tree()
    assert(fs:sync(folder, remote))
    local up = folder
    folder = up .. "/../" .. up:match "[^/]+$" .. ".down"
    files.folder = folder
    local result = assert(fs:download_dir(remote, folder))
    assert.equal(18, result.downloaded)
    assert_alike()
    local before = requests()
    result = assert(fs:sync(folder, remote, { direction = "down" }))
    assert.equal("0 up, 0 down, 0 deleted, 18 unchanged, 0 bytes", summary(result))
    assert.equal(before + 1, requests())
    os.execute("rm -rf " .. folder)
    folder, files.folder = up, up
  end)

  it("takes over changes, and removes with delete", function()
    sh "mkdir d; echo 1 >d/a; echo 2 >b; chmod 500 d"
    assert(fs:sync(folder, remote))
    there "chmod 700 d; echo longer >d/a; chmod 600 b; rm -f c; mkdir new; echo 1 >new/n; printf 'x.log' >.gitignore"
    sh "echo 1 >extra; echo 1 >x.log"
    local result = assert(fs:sync(folder, remote, { direction = "down", delete = true }))
    assert.equal("0 up, 3 down, 1 deleted, 1 unchanged, 14 bytes", summary(result))
    assert.equal("1\n", sh "cat x.log; rm x.log")
    assert_alike()
  end)

  it("changes what is in read-only folders, which stay so", function()
    sh "mkdir -p ro/deep; echo 1 >ro/a; echo 1 >ro/deep/b; echo 1 >ro/gone; chmod 555 ro/deep ro"
    assert(fs:sync(folder, remote))
    there "chmod 755 ro ro/deep; echo 22 >ro/a; echo 22 >ro/deep/b; rm ro/gone; echo 3 >ro/new; chmod 555 ro/deep ro"
    local result = assert(fs:sync(folder, remote, { direction = "down", delete = true }))
    assert.equal("0 up, 3 down, 1 deleted, 0 unchanged, 8 bytes", summary(result))
    assert_alike()
    there "chmod -R u+w ro; rm -r ro"
    assert.equal(3, assert(fs:sync(folder, remote, { direction = "down", delete = true })).deleted)
    assert_alike()
  end)

  it("counts the bytes that came, whatever was said", function()
    assert(fs:write(remote .. "/x", "abc"))
    assert(service.server:faults {
      { path = "/process/execute", status = 200, times = 1, body = ('{"exitCode":0,"result":"tree\\n%s\\n\\n\\n\\n"}')
        :format(require("daytona.base.base64").encode "81a4 4503599627370496 1700000000 ./x//\n0\n") },
    })
    local result = assert(fs:download_dir(remote, folder .. "/t"))
    assert.equal("0 up, 1 down, 0 deleted, 0 unchanged, 3 bytes", summary(result))
  end)

  it("of what is not there is an error", function()
    local _, err = fs:download_dir("none", folder .. "/new")
    assert.equal("not_found", err.kind)
    assert.is_nil(core.lstat(folder .. "/new"))
    assert(fs:write(remote, "a file"))
    _, err = fs:download_dir(remote, folder)
    assert.equal("invalid", err.kind)
  end)

  it("that is cut changes nothing, and leaves nothing of its own", function()
    assert(fs:mkdir(remote))
    there "echo new >a; echo new >b"
    put("a", "old")
    assert(service.server:faults { { path = "/files/bulk-download", cut_after = 250 } })
    local impatient = service:connect({ max_retries = 0 }):attach(files.box.id).fs
    local _, err = impatient:sync(folder, remote, { direction = "down" })
    assert.equal("connection", err.kind)
    assert.equal("old", sh "cat *")
    assert.equal("./a\n", sh "find . -mindepth 1")
  end)

  it("that is cut goes on with what had not come", function()
    assert(fs:mkdir(remote))
    there "echo new >a; echo new >b; echo new >c"
    assert(service.server:faults { { path = "/files/bulk-download", cut_after = 250 } })
    assert.equal(3, assert(fs:sync(folder, remote, { direction = "down" })).downloaded)
    assert.equal("new\nnew\nnew\n", sh "cat *")
  end)

  it("makes no links that lead out of the folder", function()
    assert(fs:mkdir(remote))
    there [[
      mkdir d; ln -s /etc/passwd abs; ln -s ../../x d/out; ln -s ../in d/in; ln -s . self
      mkdir d/e; ln -s ../../d/in d/e/up; ln -s up/../../x d/e/behind
    ]]
    local result = assert(fs:download_dir(remote, folder))
    assert.same({ "abs", "d/e/behind", "d/out" }, result.skipped)
    assert.equal("./d/e/up\n./d/in\n./self\n", sh "find . -type l | LC_ALL=C sort")
  end)

  it("does not write through a link on this side", function()
    assert(fs:mkdir(remote))
    there "mkdir d; echo 1 >d/x"
    sh "mkdir -p out t; ln -s ../out t/d"
    local _, err = fs:download_dir(remote, folder .. "/t")
    assert.equal("conflict", err.kind)
    assert(fs:download_dir(remote, folder .. "/t", { delete = true }))
    assert.equal("t/d/x\n", sh "ls out; ls t/d/x")
  end)

  -- A server that answers this list of files, in place of the true one.
  local function lying(records, opts)
    local base64 = require "daytona.base.base64"
    local list = base64.encode(table.concat(records, "//\n") .. "//\n0\n")
    assert(service.server:clear_faults())
    assert(service.server:faults {
      { path = "/process/execute", status = 200,
        body = ('{"exitCode":0,"result":"tree\\n%s\\n\\n\\n\\n"}'):format(list) },
    })
    return fs:download_dir(remote, folder .. "/t", opts)
  end

  for _, records in ipairs {
    { "81a4 1 1700000000 ./../../x" }, { "81a4 1 1700000000 .//x" }, { "81a4 1 1700000000 ./a/../../x" },
    { "a1ff 1 1700000000 ./a", "81a4 1 1700000000 ./a/x" }, { "81a4 1 1700000000 ./nowhere/x" },
    { "41ed 1 1700000000 ./a", "81a4 1 1700000000 ./a/.." }, { "81a4 1 1700000000 ./." },
  } do
    it("believes no name that leads out of the folder: " .. table.concat(records, ", "), function()
      local result, err = lying(records)
      assert.is_nil(result)
      assert.equal("protocol", err.kind)
      assert.equal("", sh "find . -mindepth 1")
    end)
  end

  for _, record in ipairs {
    "81a4 1 99999999999999999999999 ./x", "81a4 1 -99999999999999999999999 ./x", "81a4 99999999999999999999999 1 ./x",
    "81a4 9223372036854775808 1 ./x", "ffffffffffffffffffffffff 1 1 ./x", "81a4 1 1.99999999999999999999999 ./x",
  } do
    it("believes no number that cannot be: " .. record, function()
      assert(fs:write(remote .. "/x", "x"))
      local result, err = lying { record }
      assert.is_nil(result)
      assert.equal("protocol", err.kind)
      assert.equal("", sh "find . -mindepth 1")
    end)
  end

  it("takes what is no file for what it says it is", function()
    assert(fs:write(remote .. "/x", "x"))
    assert.equal("d\n", lying { "41ff 1 1 ./x" } and sh "find t/x -printf '%y\n'; rm -rf t")
    assert.same({ "x" }, assert(lying { "0 0 0 ./x" }).skipped)
  end)

  -- Nested folders, as long as a path may be.
  local function nested(n, name)
    local records, path = {}, "."
    for i = 1, n do
      path = path .. "/" .. name
      records[i] = "41ed 1 1700000000 " .. path
    end
    return records
  end

  it("ends at its time, and soon, however deep a tree is said to be", function()
    local before = os.clock()
    local result, err = lying(nested(2000, "a"), { delete = true, gitignore = true, timeout = 60 })
    assert.is_nil(result and err)
    assert.is_true(os.clock() - before < 10, "it took long")
    result, err = lying(nested(3000, "a"))
    assert.is_nil(result)
    assert.equal("too_large", err.kind)
    result, err = lying(nested(2000, "b"), { timeout = 0.001 })
    assert.is_nil(result)
    assert.equal("timeout download_dir", err.kind .. " " .. err.operation)
  end)
end)

describe("an old server", function()
  it("gets trees and many files, and gives them", function()
    local old = require("spec.support.service").start { legacy = "0.190" }
    local sandbox = assert(old.client:create())
    sh "mkdir -p t/d; echo 1 >t/d/a; echo 2 >t/b; ln -s b t/l"
    assert.equal(3, assert(sandbox.fs:sync(folder .. "/t", "t")).uploaded)
    assert.equal(3, assert(sandbox.fs:download_dir("t", folder .. "/u")).downloaded)
    assert.equal("", sh "diff -r t u")
    local _, err = sandbox.fs:download_many { "t/b", "none" }
    assert.equal("2\n", err.results[1].data)
    assert.equal("not_found", err.results[2].error.kind)
    assert.equal(1, #assert(sandbox.fs:upload_many { { { data = "x" }, "y" } }))
    assert.equal("2\n", assert(sandbox.fs:tail "t/b"))
    _, err = sandbox.fs:grep("none", "x")
    assert.equal("not_found", err.kind)
    old:stop()
  end)
end)

describe("sync", function()
  it("is refused where it makes no sense", function()
    for _, call in ipairs {
      function() fs:sync() end, function() fs:sync(folder) end, function() fs:sync(folder, "") end,
      function() fs:sync(folder, "x", { direction = "left" }) end,
      function() fs:upload_dir(folder, "x", { way = 1 }) end,
    } do assert.has_error(call) end
  end)
end)
