-- Trees that travel packed from a sandbox that is far away: when they do, that they arrive as any
-- other, and what goes wrong with them. A sandbox may send what it likes.

local archive = require "daytona.toolbox.fs.archive"
local calls_of_files = require "daytona.toolbox.fs.calls"
local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local daytona = require "daytona"
local errors = require "daytona.base.errors"
local haste = require "spec.support.haste"
local shell = require "daytona.base.shell"
local small_disk = require "spec.support.small_disk"

local files = require("spec.support.files").new()
local service, box, fs, folder, remote
local pays = archive.pays

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)

before_each(function()
  folder, remote = files:fresh()
  function archive.pays(connection) return connection.compression end
  assert(fs:mkdir(remote))
end)

after_each(function()
  archive.pays = pays
  box.exec = nil
  assert.equal("", assert(box:exec "ls -d /tmp/.daytona-sync-* 2>/dev/null").result)
  assert.equal("", files:sh "ls -d .daytona-sync-* 2>/dev/null")
  files:sweep()
end)

local function make_tree()
  files:there [[
    mkdir -p a/b empty; seq 30000 >a/numbers; seq 20000 -1 1 >a/b/back; : >none; ln -s a/numbers link
    head -c 300000 /dev/urandom >noise; chmod 640 noise; printf x >'odd name'; chmod 750 a/b
    touch -d @1700000000 a/numbers a/b/back noise
  ]]
end

-- Requests that a sync makes: by the archive, and one by one.
local function requests(fn)
  local function count()
    return service:count("GET", "/files/download"), service:count("POST", "/files/bulk-download")
  end
  local packed, plain = count()
  fn()
  local packed_after, plain_after = count()
  return packed_after - packed, plain_after - plain
end

local function down(opts)
  opts = opts or {}
  opts.direction = "down"
  return fs:sync(folder, remote, opts)
end

-- Changes what is run over there: `change(script)`, of the scripts that pack.
local function with_scripts(change)
  local exec = box.exec
  function box.exec(self, command, opts)
    if type(command) == "string" and command:find("/tree.gz", 1, true) then command = change(command) end
    return exec(self, command, opts)
  end
end

local function replaced(script, from, to)
  local first, last = script:find(from, 1, true)
  if not first then return script end
  return script:sub(1, first - 1) .. to .. script:sub(last + 1)
end

-- In place of the stream comes what a command prints, whose input is the archive's stream.
local function with_stream(command)
  with_scripts(function(script) return replaced(script, "exec gzip -5c", "gzip -5c | { " .. command .. "\n}") end)
end

describe("a tree from a sandbox that is far away", function()
  it("comes packed, as it was, and is not asked for file by file", function()
    make_tree()
    local told, total = 0, nil
    local packed, plain = requests(function()
      local result = assert(down { on_progress = function(done, all)
        assert.is_true(done >= told and done <= all)
        told, total = done, all
      end })
      assert.equal(6, result.downloaded)
      assert.equal(total, result.bytes)
      assert.equal(total, told)
    end)
    assert.is_true(packed >= 1)
    assert.equal(0, plain)
    files:assert_alike()
    packed, plain = requests(function() assert.equal(0, assert(down()).downloaded) end)
    assert.equal(0, packed + plain)
  end)

  it("comes without what is ignored, and with what an archive cannot name", function()
    make_tree()
    files:there [[
      printf '*.o\nout/\n' >.gitignore; mkdir out a/c; echo 1 >out/x; echo 1 >a/x.o; echo 1 >a/c/kept
      printf 1 >"$(printf 'line\nend')"; printf 2 >'back\slash'; printf 3 >"$(printf 'n\351')"; printf 4 >-x
      ln a/numbers a/hard; d=$(printf %0150d 7); mkdir -p "$d/$d"; echo long >"$d/$d/$d"
    ]]
    local _, plain = requests(function() assert(down()) end)
    assert.equal(1, plain)
    files:there "rm -r out a/x.o"
    files:assert_alike()
    -- Some of a folder only.
    files:there "echo more >>a/numbers; echo more >>noise"
    assert.equal(3, assert(down()).downloaded)
    files:assert_alike()
  end)

  it("comes file by file where the client wants that, or nothing would be gained", function()
    make_tree()
    local function plainly(fn)
      local packed, plain = requests(fn)
      assert.equal(0, packed)
      assert.equal(1, plain)
      files:assert_alike()
      files:sh "rm -rf *"
    end
    plainly(function()
      local other = service:connect { compression = false }:attach(box.id)
      assert(other.fs:sync(folder, remote, { direction = "down" }))
    end)
    for _, lack in ipairs { "command -v gzip", "command -v tar", "mkdir /tmp" } do
      plainly(function()
        with_scripts(function(script) return replaced(script, lack, "false") end)
        assert(down())
        box.exec = nil
      end)
    end
    plainly(function() -- no room over there
      with_scripts(function(script) return (script:gsub('"%$room" %-ge %d+', '"$room" -ge 999999999999')) end)
      assert(down())
      box.exec = nil
    end)
    files:there "rm -rf a"
    plainly(function() assert(down()) end)
  end)

  it("is known by its distance, the size, what the client wants and the sandbox has", function()
    local wants, near = { compression = true }, { packs = true, distance = 0.001 }
    local far = { packs = true, distance = 0.05 }
    assert.is_true(pays(wants, 2e6, far))
    assert.is_false(pays({ compression = false }, 2e6, far))
    assert.is_false(pays(wants, 1000, far))
    assert.is_false(pays(wants, 2e6, near))
    assert.is_false(pays(wants, 2e6, { packs = true }))
    assert.is_false(pays(wants, 2e6, { packs = false, distance = 0.05 }))
  end)

  it("is asked for on before all has come that was asked for", function()
    make_tree()
    files:there "head -c 3000000 /dev/urandom | base64 >large"
    with_scripts(function(script)
      return replaced(script, "until is_gone ||", "until is_gone; do nap; done; until is_gone ||")
    end)
    local download, under_way, most = calls_of_files.api.download, 0, 0
    function calls_of_files.api.download(...)
      under_way = under_way + 1
      most = math.max(most, under_way)
      local response, err = download(...)
      under_way = under_way - 1
      return response, err
    end
    local result, err = down()
    calls_of_files.api.download = download
    assert.is_nil(err)
    assert.equal(7, result.downloaded)
    assert.same({ 2, 0 }, { most, under_way })
    files:assert_alike()
  end)

  it("goes on where it was cut", function()
    make_tree()
    for _, cut in ipairs { 0, 15, 100000 } do
      assert(service.server:faults {
        { path = "/files/download", times = 1, cut_after = cut },
        { path = "/files/download", times = 1, cut_after = 7 },
      })
      local _, plain = requests(function() haste(function() assert(down()) end) end)
      assert.equal(0, plain)
      files:assert_alike()
      files:sh "rm -rf *"
      assert(service.server:clear_faults())
    end
  end)

  it("does not mind a server that heeds no ranges", function()
    make_tree()
    assert(service.server:faults { { path = "/files/download", times = 1, cut_after = 5000 } })
    local calls = require "daytona.toolbox.fs.calls"
    local real = calls.api.download
    function calls.api.download(self, values, request)
      request.headers = nil
      return real(self, values, request)
    end
    local fine, err = pcall(haste, function() assert(down()) end)
    calls.api.download = real
    assert(fine, err)
    files:assert_alike()
  end)
end)

describe("what spoils the archive", function()
  -- The tree comes nevertheless, by the other way, and nothing else does.
  local function comes_plainly()
    local _, plain = requests(function() haste(function() assert(down()) end) end)
    assert.equal(1, plain)
    files:assert_alike()
    assert.is_nil(core.lstat(folder .. "/../evil"))
  end

  before_each(make_tree)

  it("by much more than there is to be costs no memory", function()
    with_stream "cat >/dev/null; head -c 300000000 /dev/zero | gzip -1c"
    collectgarbage()
    comes_plainly()
  end)

  it("by an end inside of it, or behind it", function()
    with_stream "head -c 20000; cat >/dev/null"
    comes_plainly()
  end)

  it("by what is behind its end", function()
    with_stream "cat; head -c 70000 /dev/zero | tr '\\0' x"
    haste(function() assert(down()) end)
    files:assert_alike()
  end)

  it("by a wrong checksum", function()
    with_stream "cat >/tmp/stream; head -c -8 /tmp/stream; printf 12345678; rm /tmp/stream"
    comes_plainly()
  end)

  it("by being none", function()
    local noise = "head -c 1000000 /dev/urandom"
    for _, what in ipairs { "echo nothing", noise, noise .. " | gzip -1c", ":" } do
      with_stream("cat >/dev/null; " .. what)
      comes_plainly()
      files:sh "rm -rf *"
      box.exec = nil
    end
  end)

  it("by other names, sizes and types than were listed", function()
    with_stream [[cat >/dev/null; cd /tmp; mkdir other; cd other; mkdir -p x/a; echo evil >x/evil; cd x
      echo evil >noise; ln -s /etc/passwd none
      tar -cPf - ../x/../../evil ../x/evil noise none a | gzip -c; rm -r /tmp/other]]
    comes_plainly()
  end)

  it("by a packer that is killed", function()
    with_scripts(function(script) return replaced(script, "exec gzip -5c", 'kill -9 "$PPID"; cat >/dev/null') end)
    comes_plainly()
  end)

  it("by a file that changed while it was packed", function()
    with_scripts(function(script)
      script = replaced(script, 'echo "tar $?"', "sed -i 's/^1/2/' a/numbers; echo tar 1")
      return script
    end)
    comes_plainly()
    assert.equal("2\n", files:sh "head -n 1 a/numbers")
  end)
end)

describe("an archive on its way", function()
  before_each(function()
    make_tree()
    files:there "head -c 3000000 /dev/urandom | base64 >large"
  end)

  it("that is given up leaves nothing, and nothing at work", function()
    assert(service.server:faults { { path = "/files/download", slow = 200000 } })
    local going
    local task = daytona.spawn(function() return down { on_progress = function() going = true end } end)
    local limit = os.time() + 20
    while not going and os.time() < limit do daytona.sleep(0.01) end
    task:cancel()
    local result, err = task:wait()
    assert.is_nil(result)
    assert.is_true(errors.is(err, "canceled"), tostring(err))
    assert.equal("", files:listing())
    assert.equal("0\n", assert(box:exec "ps -eo args | grep -cE '^(gzip|sleep 3600)' || :").result)
  end)

  it("to a program that is killed goes away by itself", function()
    assert(service.server:faults { { path = "/files/download", slow = 200000 } })
    local program = ([[
      package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
      local archive = require "daytona.toolbox.fs.archive"
      archive.pays, archive.KEPT = function() return true end, 0.61
      local client = assert(require "daytona".new { api_url = %q, api_key = %q, ledger = false })
      local pid = require "daytona.core".pid()
      local function kill() os.execute("kill -9 " .. pid) end
      assert(client:get(%q)).fs:download_dir(%q, %q, { on_progress = kill })
    ]]):format(service.server.api_url, service.server.api_key, box.id, remote, folder)
    local command = "exec 2>/dev/null; env -u LUA_INIT %s -e %s >&2; echo $?"
    local pipe = io.popen(command:format(compat.name, shell.quote(program)))
    assert.equal("137\n", pipe:read "*a")
    pipe:close()
    local limit, left = os.time() + 20
    local look = "ls -d /tmp/.daytona-sync-* 2>/dev/null; ps -eo args | grep -E '^(gzip|sleep 0.61$)'; true"
    repeat
      left = assert(box:exec(look)).result
    until left == "" or os.time() > limit
    assert.equal("", left)
    files:sh "rm -rf .daytona-sync-*"
  end)

  it("ends when the time is over", function()
    assert(service.server:faults { { path = "/files/download", slow = 100000 } })
    local result, err = down { timeout = 0.8 }
    assert.is_nil(result)
    assert.equal("timeout", err.kind, tostring(err))
    assert.equal("", files:listing())
  end)

  it("that fills the disk here leaves the tree as it was", function()
    if not small_disk.possible() then return pending "no file system to be mounted here" end
    local disk = folder .. "/disk"
    files:sh "mkdir disk"
    files:there "echo new >old"
    local program = ([[
      package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
      require "daytona.toolbox.fs.archive".pays = function() return true end
      local client = assert(require "daytona".new { api_url = %q, api_key = %q })
      local box = assert(client:get(%q))
      local result, err = box.fs:download_dir(%q, %q)
      print(result, err.kind, err.operation, err.message:match "No space left")
    ]]):format(service.server.api_url, service.server.api_key, box.id, remote, disk)
    local packed, plain = requests(function()
      local command = ("echo as it was >%s/old; %s -e %s; cd %s && find . && cat old"):format(disk, compat.name,
        shell.quote(program), disk)
      local pipe = assert(io.popen("env -u LUA_INIT " .. small_disk.command(disk, "1m", command) .. " 2>&1"))
      local text = pipe:read "*a"
      pipe:close()
      assert.equal("nil\tio\tdownload_dir\tNo space left\n.\n./old\nas it was\n", text)
    end)
    assert.equal(0, plain)
    assert.is_true(packed > 0)
    files:sh "rmdir disk"
  end)
end)
