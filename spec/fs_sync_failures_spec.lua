-- What a user gets when a tree of files cannot be brought over, whichever end or
-- link fails and whenever: an error that says so, a tree in which no file is half,
-- and nothing of ours left in it.

local Child = require "spec.support.child"
local daytona = require "daytona"
local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local haste = require "spec.support.haste"
local nap = require "spec.support.nap"
local shell = require "daytona.base.shell"
local small_disk = require "spec.support.small_disk"

local files = require("spec.support.files").new()
local service, box, fs, folder, remote

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)
before_each(function() folder, remote = files:fresh() end)
after_each(function() files:sweep() end)

local function sh(command) return files:sh(command) end
local function there(command) return files:there(command) end

local function fails(expected, operation, result, err)
  assert.is_nil(result)
  assert.is_true(errors.is(err), tostring(err))
  assert.equal(expected, err.kind .. " " .. tostring(err.code), tostring(err))
  assert.equal(operation, err.operation)
  return err
end

local ALL = "find . -mindepth 1 | LC_ALL=C sort"
local CONTENTS = "find . -type f | LC_ALL=C sort | while read -r f; do echo $f: $(head -c 20 $f); done"

--- Full disks --------------------------------------------------------------------------------

describe("a full disk in the sandbox", function()
  local small

  setup(function()
    if small_disk.possible() then small = require("spec.support.box").start { small_disk = "3m" } end
  end)
  teardown(function() if small then small:stop() end end)

  local function try(megabytes, message)
    if not small then return pending "no file system to be mounted here" end
    local sandbox = small.sandbox
    assert(sandbox.fs:write("t/old", "as it was"))
    sh("echo new >old; mkdir d; head -c " .. megabytes * 1048576 .. " /dev/urandom >d/big")
    local err = fails("io FILE_NO_SPACE", "sync", sandbox.fs:sync(folder, "t"))
    assert.equal("t", err.what)
    assert.equal(sandbox, err.sandbox)
    assert.is_false(err.retryable)
    assert.truthy(err.message:lower():find(message, 1, true), err.message)
    assert.equal("t\nt/old: as it was\n", assert(sandbox:exec("find t -mindepth 1 -name '.*' ; echo t; "
      .. "for f in $(find t -type f); do echo \"$f: $(cat $f)\"; done")).result)
    sh "rm d/big"
    assert.equal(1, assert(sandbox.fs:sync(folder, "t")).uploaded)
    assert(sandbox.fs:remove("t", { recursive = true }))
  end

  it("while the archive is sent leaves the tree as it was", function()
    try(4, "no space left on device")
  end)

  it("while it is unpacked leaves the tree as it was", function()
    try(2, "no space left on device")
  end)

  it("is told of an upload of one file, or of many", function()
    if not small then return pending "no file system to be mounted here" end
    local files_there = small.sandbox.fs
    local data = ("x"):rep(4 * 1048576)
    assert(files_there:write("big", "old"))
    local err = fails("io FILE_NO_SPACE", "upload", files_there:write("big", data))
    assert.equal("big", err.what)
    assert.is_true(errors.is(err, "file"))
    assert.equal("old", assert(files_there:read "big"))
    assert.is_nil(tostring(err):find(".daytona", 1, true), tostring(err))
    local list = { { { data = "1" }, "a" }, { { data = data }, "big" }, { { data = "1" }, "b" } }
    local _, many = files_there:upload_many(list)
    assert.equal("io FILE_NO_SPACE", many.kind .. " " .. many.code)
    assert.equal("big", many.what)
    assert.equal("old", assert(files_there:read "big"))
    assert.equal("1", assert(files_there:read "a"))
    assert.equal("", assert(small.sandbox:exec "find . -name '.daytona-sync*'").result)
  end)
end)

describe("a full disk here", function()
  -- What a program prints that has `box`, with a disk of 1 MiB mounted on `place`.
  local function in_a_child(place, before, program, after)
    program = ([[
      package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
      local client = assert(require "daytona".new { api_url = %q, api_key = %q })
      local box = assert(client:get(%q))
    ]]):format(service.server.api_url, service.server.api_key, box.id) .. program
    local pipe = assert(io.popen("env -u LUA_INIT " .. small_disk.command(place, "1m",
      ("%s; %s -e %s; %s"):format(before, compat.name, shell.quote(program), after)) .. " 2>&1"))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  it("leaves the local tree as it was, and nothing of the download", function()
    if not small_disk.possible() then return pending "no file system to be mounted here" end
    assert(fs:mkdir(remote))
    there "echo new >old; mkdir d; head -c 4000000 /dev/zero >d/big; echo 1 >d/small"
    local disk = folder .. "/disk"
    sh "mkdir disk"
    local text = in_a_child(disk, "echo old >" .. disk .. "/old", ([[
      local result, err = box.fs:download_dir(%q, %q)
      print(result, err.kind, err.operation, err.message:match "No space left")
    ]]):format(remote, disk), "cd " .. disk .. " && find . && cat old")
    assert.equal("nil\tio\tdownload_dir\tNo space left\n.\n./old\nold\n", text)
  end)

  it("is told of what is written to an open file, and nothing is sent", function()
    if not small_disk.possible() then return pending "no file system to be mounted here" end
    assert(fs:write(remote .. "/x", "as it was"))
    assert.equal("nil\tio\tNo space left\n", in_a_child("/tmp", ":", ([[
      local file = assert(box.fs:open(%q, "w"))
      local fine, err
      for _ = 1, 32 do
        fine, err = file:write(("x"):rep(65536 + 10))
        if not fine then break end
      end
      if fine then fine, err = file:close() end
      print(fine, err.kind, err.message:match "No space left")
    ]]):format(remote .. "/x"), ":"))
    assert.equal("as it was", assert(fs:read(remote .. "/x")))
  end)
end)

--- The connection ------------------------------------------------------------------------------

describe("a connection that is cut", function()
  local relay, cut

  setup(function()
    local port = box.toolbox_proxy_url:match ":(%d+)"
    relay = require("spec.support.relay").start(port)
    cut = service.client:attach(box.id)
    cut.toolbox_proxy_url = (box.toolbox_proxy_url:gsub(":%d+", relay.url:match ":%d+"))
  end)
  teardown(function() relay:close() end)

  it("in the middle of the archive leaves the tree as it was", function()
    sh "echo old >file; echo 1 >same"
    assert(fs:sync(folder, remote))
    sh "mkdir d; head -c 4000000 /dev/urandom >d/big; echo newer >file"
    relay:cut_sent(1000000)
    -- With retries what is packed, on its way to what seems far away, goes on.
    local once = service:connect { max_retries = 0 }:attach(box.id)
    once.toolbox_proxy_url = cut.toolbox_proxy_url
    local err = fails("connection reset", "sync", once.fs:sync(folder, remote))
    assert.equal(0, relay:cuts())
    assert.equal(remote, err.what)
    assert.equal("./file: old\n./same: 1\n", there(CONTENTS))
    assert.equal("./file\n./same\n", there(ALL))
    assert.equal(2, assert(cut.fs:sync(folder, remote)).uploaded)
    files:assert_alike()
  end)

  it("in the middle of a large archive goes on with the rest", function()
    sh "mkdir d; head -c 9000000 /dev/urandom >d/big; head -c 1000 /dev/urandom >d/small; echo 1 >file"
    local other = require("spec.support.relay").start(box.toolbox_proxy_url:match ":(%d+)")
    other:cut_sent(5000000, 3000000, 700000)
    cut.toolbox_proxy_url = (box.toolbox_proxy_url:gsub(":%d+", other.url:match ":%d+"))
    local result, err = cut.fs:sync(folder, remote)
    local left = other:cuts()
    other:close()
    cut.toolbox_proxy_url = (box.toolbox_proxy_url:gsub(":%d+", relay.url:match ":%d+"))
    assert.equal(3, assert(result, err).uploaded)
    assert.equal(0, left)
    files:assert_alike()
  end)

  it("while it is looked, or changed over there, is an error to who retries nothing", function()
    sh "echo old >file"
    local once = service:connect { max_retries = 0 }:attach(box.id)
    assert(service.server:faults { { path = "/process/execute", reset = true, times = 1 } })
    fails("connection reset", "sync", once.fs:sync(folder, remote))
    assert(service.server:clear_faults())
    assert.is_false(fs:exists(remote))
    assert(service.server:faults { { path = "/process/execute", reset = true, after = 1, times = 1 } })
    fails("connection reset", "sync", once.fs:sync(folder, remote))
    assert(service.server:clear_faults())
    assert.equal("", there(ALL))
    assert.equal(1, assert(fs:sync(folder, remote)).uploaded)
  end)
end)

describe("the lost answer to", function()
  local archives

  before_each(function()
    sh "mkdir d; echo 1 >d/x; echo new >file; head -c 100000 /dev/urandom >big"
    assert(fs:write(remote .. "/gone", "to be deleted"))
    archives = service:count("POST", "/files/bulk-upload")
  end)
  after_each(function() box.exec = nil end)

  -- What becomes of the command that puts all in its place, the first time: `fn(run)`; then its
  -- answer is lost, unless there is a result.
  local function last_command(fn)
    local exec, seen = box.exec, false
    function box.exec(self, command, opts)
      local is_last = not seen and type(command) == "string" and command:find("merge()", 1, true)
      if not is_last then return exec(self, command, opts) end
      seen = true
      local function run(script) return exec(self, script or command, { timeout = 20 }) end
      local result, err = fn(run, command, opts, exec)
      if result or err then return result, err end
      return nil, errors.new { kind = "connection", code = "reset", message = "lost" }
    end
  end

  -- The tree is there as it is to be, by so many archives, and nothing else.
  local function is_done(sent)
    local result
    haste(function() result = assert(fs:sync(folder, remote, { delete = true })) end)
    assert.equal(3, result.uploaded)
    assert.equal(1, result.deleted)
    assert.equal(sent, service:count("POST", "/files/bulk-upload") - archives)
    box.exec = nil
    files:assert_alike()
    assert.equal("", there "ls -d .daytona-sync-* 2>/dev/null || :")
  end

  it("a look is asked for again", function()
    assert(service.server:faults { { path = "/process/execute", reset = true, handled = true, times = 1 } })
    is_done(1)
  end)

  it("what put all in its place is found to be done", function()
    assert(service.server:faults { { path = "/process/execute", reset = true, handled = true, after = 1, times = 1 } })
    is_done(1)
  end)

  it("what has not begun lets it begin", function()
    assert(service.server:faults { { path = "/process/execute", reset = true, after = 1, times = 1 } })
    is_done(1)
  end)

  it("what is still at work waits for it", function()
    last_command(function(run, command)
      local slow = command:gsub("\nmkdir ([^ ]+)/tree\n", "\nmkdir %1/tree; sleep 0.3\n", 1)
      assert(run("sh -c " .. shell.quote(slow) .. " >/dev/null 2>&1 & while [ ! -e " .. remote
        .. "/.daytona-sync-*/begun/pid ]; do sleep 0.01; done"))
    end)
    is_done(1)
  end)

  it("what was killed in the middle does it anew", function()
    last_command(function(run, command)
      run((command:gsub("(\necho %$%$ >[^\n]+)", '%1; sh -c \'kill -9 "$PPID"\'', 1)))
    end)
    is_done(2)
  end)

  it("what failed does it anew", function()
    last_command(function(run, command)
      assert.equal(5, run((command:gsub("\nmkdir ([^ ]+)/tree\n", "\nexit 5\n", 1))).exit_code)
    end)
    is_done(2)
  end)

  it("what was made twice on its way is the first one's", function()
    last_command(function(run, command, opts, exec)
      -- The second comes while the first is at work, which has the folder.
      assert(run(command:match "(cd %-P %-%- [^\n]+)" .. "\nmkdir " .. command:match "(%S+/begun)" .. "\ntrue"))
      local result, err = exec(box, command, opts)
      assert.equal(74, err and err.exit_code)
      assert(run(command:match "(cd %-P %-%- [^\n]+)" .. "\nrmdir " .. command:match "(%S+/begun)"))
      return result, err
    end)
    is_done(1)
  end)

  it("what only deletes looks again", function()
    assert(fs:sync(folder, remote))
    assert(service.server:faults { { path = "/process/execute", reset = true, handled = true, after = 1, times = 1 } })
    local result
    haste(function() result = assert(fs:sync(folder, remote, { delete = true })) end)
    assert.equal(1, result.deleted)
    files:assert_alike()
  end)

  it("everything ends when nothing helps", function()
    assert(service.server:faults { { path = "/process/execute", reset = true, after = 1 } })
    haste(function() fails("connection reset", "sync", fs:sync(folder, remote)) end)
    assert(service.server:clear_faults())
    assert.equal("./gone\n", there(ALL))
  end)
end)

--- Giving up -------------------------------------------------------------------------------------

describe("a sync that is cancelled", function()
  -- Runs it in a task, which is cancelled as soon as `reached` is true.
  local function cancelled(way, reached)
    local task = daytona.spawn(function() return fs:sync(folder, remote, { direction = way }) end)
    local limit = os.time() + 20
    while not reached() do
      assert(os.time() < limit, "did not get there")
      daytona.sleep(0.01)
    end
    task:cancel()
    return fails("canceled nil", "sync", task:wait())
  end

  before_each(function()
    sh "echo old >file; mkdir gone; echo 1 >gone/x"
    assert(fs:sync(folder, remote))
    sh "echo newer >file; mkdir d; echo 1 >d/y; rm -r gone"
  end)

  local function unchanged()
    assert(service.server:clear_faults())
    assert.equal("./file: old\n./gone/x: 1\n", there(CONTENTS))
    assert.equal("./file\n./gone\n./gone/x\n", there(ALL))
  end

  it("while it looks changes nothing", function()
    assert(service.server:faults { { path = "/process/execute", slow = 50 } })
    local turns = 0
    cancelled("up", function() turns = turns + 1 return turns > 20 end)
    unchanged()
  end)

  it("when the archive has arrived changes nothing", function()
    assert(service.server:faults { { path = "/files/bulk-upload", hold = 300 } })
    cancelled("up", function()
      local found = assert(box:exec("ls -a " .. remote)).result:find(".daytona-sync-", 1, true)
      return found ~= nil
    end)
    unchanged()
  end)

  it("while it is unpacked ends that, and changes nothing", function()
    assert(box:set_env { set = { PATH = "/home/daytona/slow:/usr/bin:/bin" } })
    assert(fs:write("slow/tar", "#!/bin/sh\necho >/home/daytona/unpacking; exec " .. nap(299) .. "\n"))
    assert(fs:chmod("slow/tar", "755"))
    cancelled("up", function() return fs:exists "unpacking" end)
    assert(box:set_env { set = { PATH = "/usr/bin:/bin" } })
    assert(fs:remove "unpacking")
    assert.equal("0\n", assert(box:exec("ps -eo args | grep -c '^" .. nap(299) .. "' || :")).result)
    unchanged()
  end)

  it("on the way down changes nothing here, and leaves nothing", function()
    sh "echo mine >file"
    there "head -c 100000 /dev/urandom >big"
    assert(service.server:faults { { path = "/files/bulk-download", slow = 20000 } })
    local turns = 0
    cancelled("down", function()
      turns = turns + 1
      return sh("ls -a"):find(".daytona-sync-", 1, true) and sh("find . -path '*sync-*' -type f") ~= "" or turns > 1000
    end)
    assert(service.server:clear_faults())
    assert.equal("./d/y: 1\n./file: mine\n", sh(CONTENTS))
    assert.equal("./d\n./d/y\n./file\n", sh(ALL))
  end)
end)

it("Ctrl-C in the middle of a sync leaves both trees as they were", function()
  files:put("big", ("x"):rep(2000000))
  assert(fs:mkdir(remote))
  there "head -c 200000 /dev/zero >theirs"
  for way, path in pairs { up = "/files/bulk-upload", down = "/files/bulk-download" } do
    assert(service.server:faults { { path = path, hold = way == "up" and 300 or nil, slow = 20000 } })
    local child = Child.start(([[
      local client = assert(require "daytona".new { api_url = %q, api_key = %q })
      local told
      client:attach(%q).fs:sync(%q, %q, { direction = %q, on_progress = function(done)
        if done > 1000 and not told then told = true say "some" end
      end })
      say "not reached"
    ]]):format(service.server.api_url, service.server.api_key, box.id, folder, remote, way))
    assert.equal("some", child:line())
    child:signal "INT"
    local text = child:rest()
    assert.truthy(text:find("interrupted!", 1, true), text)
    assert.is_nil(text:find("not reached", 1, true))
    assert(service.server:clear_faults())
    assert.equal("./big\n", sh(ALL))
    assert.equal("./theirs\n", there(ALL))
  end
end)

it("a service that is silent does not hold up a sync that failed", function()
  sh "head -c 200000 /dev/zero >file"
  assert(service.server:faults {
    { path = "/files/bulk-upload", reset = true }, { method = "DELETE", path = "/files", hold = 3000 },
  })
  local before = os.time()
  fails("connection reset", "sync", fs:sync(folder, remote))
  assert.is_true(os.time() - before <= 8)
end)

--- Others at work ---------------------------------------------------------------------------------

describe("two syncs into one place at the same time", function()
  local other

  before_each(function() other = folder .. "-other" end)
  after_each(function() os.execute("rm -rf " .. other) end)

  -- Both have looked before either changes anything.
  local function both(way)
    assert(service.server:faults { { path = "/process/execute", hold = 0.4, times = 2 } })
    local results = {}
    local function run(i, root)
      return daytona.spawn(function()
        results[i] = { fs:sync(root, remote, way) }
        return true
      end)
    end
    local one, two = run(1, folder), run(2, other)
    one:wait()
    two:wait()
    return results
  end

  it("both succeed; of each file there is one of the two, whole", function()
    sh(([[
      mkdir -p %s/d/e/f %s/only2 d/e/f only1 .dir; head -c 300000 /dev/zero | tr '\0' 1 >d/e/f/x; echo 1 >d/.hidden
      echo 1 >only1/a; echo 1 >d/e/one; echo 1 >.dir/..x; ln -s one d/link
      cd %s; mkdir .dir; head -c 300000 /dev/zero | tr '\0' 2 >d/e/f/x; echo 2 >d/.hidden; echo 2 >only2/a
      echo 2 >d/e/two; echo 2 >.dir/..y; ln -s two d/link
    ]]):format(other, other, other))
    for _ = 1, 3 do
      local results = both()
      for i = 1, 2 do assert(results[i][1], tostring(results[i][2])) end
      assert.equal(".\n./.dir\n./.dir/..x\n./.dir/..y\n./d\n./d/.hidden\n./d/e\n./d/e/f\n./d/e/f/x\n./d/e/one\n"
        .. "./d/e/two\n./d/link\n./only1\n./only1/a\n./only2\n./only2/a\n", there "find . | LC_ALL=C sort")
      assert.truthy(there("cat d/.hidden"):find "^[12]\n$")
      local data = assert(fs:read(remote .. "/d/e/f/x"))
      assert.equal(data:sub(1, 1):rep(300000), data)
      assert(fs:remove(remote, { recursive = true }))
    end
  end)

  it("the last one wins also where the first removes", function()
    sh(("mkdir -p d/e %s; echo 1 >d/e/x; echo 1 >d/y; chmod 640 d/y; echo 1 >%s/z"):format(other, other))
    assert(fs:sync(folder, remote))
    sh "echo 11 >d/e/x; chmod 600 d/y"
    -- The one that removes all is done while the other has only looked.
    assert(service.server:faults { { path = "/process/execute", hold = 1.5, times = 1 } })
    local late = daytona.spawn(function() return fs:sync(folder, remote) end)
    daytona.sleep(0.3)
    assert(fs:sync(other, remote, { delete = true }))
    local result, err = late:wait()
    assert(result, tostring(err))
    assert.equal("./d/e/x: 11\n./z: 1\n", there(CONTENTS))
    assert.equal("./d\n./d/e\n./d/e/x\n./z\n", there(ALL))
  end)

  it("that do not agree what is a folder end in a conflict, and in a tree that is one of theirs", function()
    sh(("mkdir -p x %s; echo 1 >x/a; echo 2 >%s/x"):format(other, other))
    local results = both()
    local won = results[1][1] and 1 or 2
    assert(results[won][1], tostring(results[won][2]))
    fails("conflict nil", "sync", results[3 - won][1], results[3 - won][2])
    assert.equal(won == 1 and "./x\n./x/a\n" or "./x\n", there(ALL))
  end)

  it("on the way down both succeed, too", function()
    assert(fs:mkdir(remote))
    there "mkdir -p d/e; echo 1 >d/e/x; echo 1 >d/y; ln -s y d/l"
    assert(service.server:faults { { path = "/files/bulk-download", hold = 0.4, times = 2 } })
    local results = assert(daytona.map({ 1, 2 }, function() return fs:download_dir(remote, folder) end))
    assert.equal(3, results[1].downloaded)
    files:assert_alike()
    sh "rm -rf *"
    -- What had its place is gone when its turn comes.
    sh "mkdir -p d/e"
    assert(service.server:faults { { path = "/files/bulk-download", hold = 0.6, times = 1 } })
    local late = daytona.spawn(function() return fs:download_dir(remote, folder) end)
    daytona.sleep(0.3)
    sh "rm -r d"
    local result, err = late:wait()
    assert(result, tostring(err))
    assert.equal("./d\n./d/e\n./d/e/x\n./d/l\n./d/y\n", sh(ALL))
  end)
end)

it("what a client that was killed left is removed a day later", function()
  local left = "mkdir .daytona-sync-0 .daytona-sync-1; echo 1 >.daytona-sync-0/x; touch -d '2 days ago' .daytona-sync-0"
  sh "echo 1 >a"
  assert(fs:mkdir(remote))
  there(left)
  assert(fs:sync(folder, remote, { delete = true }))
  assert.equal("./.daytona-sync-1\n./a\n", there(ALL))
  sh("echo 2 >a; " .. left)
  assert(fs:sync(folder, remote, { direction = "down" }))
  assert.equal("./.daytona-sync-1\n./a\n", sh(ALL))
end)

describe("a file that", function()
  local changed

  -- Syncs a big file and one more; `change` is done when a part was sent, `times` times.
  local function sync_while(change, times)
    sh "head -c 3000000 /dev/urandom >a; echo 1 >z" -- (zeros would be on their way at once, packed)
    changed = 0
    local last = 0
    return fs:sync(folder, remote, { on_progress = function(done)
      if done < last then last = 0 end
      if done > 0 and last == 0 and changed < times then
        changed = changed + 1
        change()
      end
      last = done
    end })
  end

  it("changes while it is sent is sent as it is then", function()
    local result, err = sync_while(function() files:put("z", ("new"):rep(1000)) end, 1)
    assert(result, tostring(err))
    assert.equal(1, changed)
    files:assert_alike()
    assert.equal(2, result.uploaded)
  end)

  it("vanishes while it is sent is not there", function()
    local result, err = sync_while(function() os.remove(folder .. "/z") end, 1)
    assert(result, tostring(err))
    assert.equal("./a\n", there(ALL))
    assert.equal(1, result.uploaded)
  end)

  it("never stands still is a conflict", function()
    local n = 0
    local err = fails("conflict FILE_CHANGED", "sync", sync_while(function()
      n = n + 1
      files:put("z", ("x"):rep(n * 100))
    end, 1000))
    assert.equal("z", err.what)
    assert.equal(3, changed)
    assert.equal("", there(ALL))
  end)

  it("vanishes over there while it is fetched is not there", function()
    assert(fs:mkdir(remote))
    there "echo 1 >a; echo 1 >z"
    assert(service.server:faults { { path = "/files/bulk-download", delay = 0.6, times = 1 } })
    local task = daytona.spawn(function() return fs:download_dir(remote, folder) end)
    daytona.sleep(0.2)
    there "rm z"
    local result, err = task:wait()
    assert(result, tostring(err))
    assert.equal("./a\n", sh(ALL))
  end)

  it("may not be read is an error, and nothing is changed", function()
    sh "echo 1 >a; echo secret >b; chmod 000 b; mkdir c; chmod 755 ."
    assert(fs:mkdir(remote))
    local program = ([[
      package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
      local daytona = require "daytona"
      local client = assert(daytona.new { api_url = %q, api_key = %q })
      local box = assert(client:get(%q))
      local result, err = box.fs:sync(%q, %q)
      print(result, err.kind, err.code, err.operation, err.what, err.message:match "Permission denied")
    ]]):format(service.server.api_url, service.server.api_key, box.id, folder, remote)
    local id = io.popen "id -u"
    local root = id:read "*l" == "0"
    id:close()
    local pipe = assert(io.popen(("env -u LUA_INIT %s%s -e %s 2>&1"):format(
      root and "setpriv --reuid=65534 --regid=65534 --clear-groups " or "", compat.name, shell.quote(program))))
    local text = pipe:read "*a"
    pipe:close()
    assert.equal("nil\tio\tsource\tsync\tb\tPermission denied\n", text)
    assert.equal("", there(ALL))
  end)
end)

--- Names and links ----------------------------------------------------------------------------------

describe("names", function()
  it("of both folders may be whatever a name may be", function()
    for _, name in ipairs { "two words", "qu'o\"te", "new\nline", "Grüße ☺", "-dash", "$(touch x)`touch y`", "*",
      ("n"):rep(255), "back\\slash", "~", "-n", "%s", "latin \233" } do
      local here, up = folder .. "/" .. name, remote .. "/" .. name
      assert(core.make_directory(here, 493))
      files:put(name .. "/-f", "content")
      assert(core.make_directory(here .. "/" .. name, 493))
      files:put(name .. "/" .. name .. "/x", name)
      local result, err = fs:sync(here, up)
      assert(result, tostring(err))
      assert.equal(2, result.uploaded, name)
      assert.equal(0, assert(fs:sync(here, up)).uploaded, name)
      os.remove(here .. "/" .. name .. "/x")
      os.remove(here .. "/-f")
      assert.equal(2, assert(fs:sync(here, up, { direction = "down" })).downloaded, name)
      os.remove(here .. "/" .. name .. "/x")
      assert.equal(1, assert(fs:sync(here, up, { delete = true })).deleted, name)
      assert.equal("./-f\n", there(("cd ./%s; find . -type f"):format(shell.quote(name))))
    end
    assert.equal("", sh "find . -name x -o -name y")
  end)
end)

describe("links", function()
  it("are never followed on the way up", function()
    sh("mkdir real; echo 1 >real/x; ln -s real in; ln -s /etc out; ln -s " .. folder .. " self")
    assert.equal(4, assert(fs:sync(folder, remote)).uploaded)
    assert.equal("./in\n./out\n./real\n./real/x\n./self\n", there(ALL))
    assert.equal("/etc\n", there "readlink out")
  end)

  it("that lead out of the folder by way of others are not made", function()
    assert(fs:mkdir(remote))
    there [[
      mkdir d; ln -s . a; ln -s a/a/../../x one; ln -s ../d/../.. d/two; ln -s ../d/./../d d/three; ln -s ./d/ four
    ]]
    assert.same({ "d/three", "d/two", "one" }, assert(fs:download_dir(remote, folder)).skipped)
    assert.equal("./a\n./four\n", sh "find . -type l | LC_ALL=C sort")
  end)
end)

describe("permissions over there", function()
  -- Whether nothing can be closed to the sandbox's user.
  local function is_root()
    return there "mkdir probe; chmod 000 probe; (cd probe 2>/dev/null && echo open); rmdir probe" == "open\n"
  end

  before_each(function() assert(fs:mkdir(remote)) end)
  after_each(function() assert(box:exec("chmod -R u+rwX " .. remote)) end)

  local function closed(...)
    for _, try in ipairs { ... } do fails("forbidden nil", try[1], fs[try[1]](fs, try[2], try[3])) end
  end

  it("keep from what may not be entered or read", function()
    if is_root() then return pending "nothing is closed to the sandbox's user here" end
    there "mkdir closed part part/closed file; echo 1 >file/x; chmod 000 closed part/closed file/x"
    local at = remote .. "/"
    closed({ "download_dir", at .. "closed", folder }, { "upload_dir", folder, at .. "closed" },
      { "download_dir", at .. "part", folder })
    local err = fails("forbidden FILE_ACCESS_DENIED", "download_dir", fs:download_dir(at .. "file", folder))
    assert.equal(at .. "file/x", err.what)
    assert.equal("", sh(ALL))
  end)

  it("keep from what may not be written to", function()
    if is_root() then return pending "nothing is closed to the sandbox's user here" end
    sh "echo 1 >a; mkdir d; echo 1 >d/x"
    there "echo old >a; mkdir d; chmod 500 ."
    closed { "upload_dir", folder, remote }
    assert.equal("./d\n", there "find . -name '.d*' -o -name x -o -name d")
  end)
end)

describe("a look at a tree in which something vanishes", function()
  it("takes it for what is not there", function()
    sh "echo 1 >a; mkdir d; echo 2 >d/b"
    assert(fs:sync(folder, remote))
    -- What stat says of all that is there, and of one more that is not.
    assert(fs:write("gone/stat", '#!/bin/sh\n/usr/bin/stat "$@"; exit 1\n'))
    assert(fs:chmod("gone/stat", "755"))
    assert(box:set_env { set = { PATH = "/home/daytona/gone:/usr/bin:/bin" } })
    sh "rm -r *"
    local result, err = fs:download_dir(remote, folder)
    assert(box:set_env { set = { PATH = "/usr/bin:/bin" } })
    assert(result, tostring(err))
    files:assert_alike()
  end)
end)

describe("a sandbox without the programs that are needed", function()
  it("says which one is missing", function()
    assert(box:exec "mkdir few; for tool in find tr stat; do ln -s $(command -v $tool) few/; done")
    assert(box:set_env { set = { PATH = "/home/daytona/few" } })
    local err = fails("unsupported nil", "sync", fs:sync(folder, remote))
    assert.truthy(err.message:find("'base64'", 1, true), err.message)
    fails("io nil", "watch", fs:watch(remote, function() end))
    assert(box:set_env { set = { PATH = "/usr/bin:/bin" } })
  end)
end)
