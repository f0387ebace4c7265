-- Trees that travel packed to a sandbox that is far away: when they do, that they arrive as any
-- other, and what goes wrong with them.

local haste = require "spec.support.haste"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local packing = require "daytona.toolbox.fs.packing"
local small_disk = require "spec.support.small_disk"

local files = require("spec.support.files").new()
local service, box, fs, folder, remote, relay, asked
local pays = packing.pays

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)

before_each(function()
  folder, remote = files:fresh()
  asked = nil
  function packing.pays(connection, size, distance)
    asked = { connection = connection, size = size, distance = distance }
    return connection.compression
  end
end)

after_each(function()
  packing.pays = pays
  if relay then relay:close() end
  relay = nil
  files:sweep()
end)

local function make_tree()
  files:sh [[
    mkdir -p a/b
    seq 30000 >a/numbers; seq 20000 -1 1 >a/b/back; : >empty; ln -s a/numbers link
    head -c 4000000 /dev/urandom >noise; chmod 640 noise; printf x >'odd name'
    touch -d @1700000000 a/numbers a/b/back noise
  ]]
end

--- The stream ---------------------------------------------------------------------------------

-- What a sandbox would unpack.
local function unpacked(stream)
  local gzip = assert(io.popen("gzip -dc <'" .. files:here("stream.gz", stream) .. "'"))
  local text = gzip:read "*a"
  gzip:close()
  return text
end

local function chunks_of(text, size)
  local at = 0
  return function()
    if at >= #text then return nil end
    at = at + size
    return text:sub(at - size + 1, at)
  end
end

local function all_of(part)
  if part.data then return part.data end
  local list = {}
  for chunk in part.source do list[#list + 1] = chunk end
  return table.concat(list)
end

describe("packed content", function()
  local noise = io.open("/dev/urandom", "rb")
  local text = ("some line of a program\n"):rep(30000)
  local mixed = text .. noise:read(900000) .. text
  noise:close()

  local function content_of(raw)
    return packing.content({
      source = chunks_of(raw, 65536), length = #raw, again = function() return chunks_of(raw, 65536) end,
    }, {})
  end

  it("is what it was, and smaller where it can be", function()
    local content = content_of(mixed)
    local stream = all_of(content)
    assert.equal(mixed, unpacked(stream))
    assert.equal(#stream, content.length)
    assert.equal(#mixed, content.given)
    assert.is_true(#stream > 900000 and #stream < 960000, #stream)
  end)

  it("of nothing is an empty stream", function()
    assert.equal("", unpacked(all_of(content_of "")))
  end)

  it("goes on at any byte", function()
    local stream = all_of(content_of(mixed))
    for _, at in ipairs { 0, 1, 1000, 65536, 500000, #stream - 1, #stream } do
      local content = content_of(mixed)
      assert.equal(stream:sub(at + 1), all_of(assert(content.from(at, math.huge))))
      assert.equal(#stream, content.length)
      local part = assert(content_of(mixed).from(at, 70000))
      assert.equal(stream:sub(at + 1, at + 70000), part.data)
      assert.equal(#part.data, part.length)
    end
  end)

  it("fails as what it is made of", function()
    local content = packing.content({
      source = function() return nil, "gone" end, length = 5, again = function() return nil, "changed" end,
    }, {})
    local chunk, why = content.source()
    assert.is_nil(chunk)
    assert.equal("gone", why)
    chunk, why = content.from(3, math.huge)
    assert.is_nil(chunk)
    assert.equal("changed", why)
  end)

  it("is made where the sandbox is far, there is much to send, and the client wants it", function()
    local wants, not_so = { compression = true }, { compression = false }
    assert.is_true(pays(wants, 1e6, 0.05))
    assert.is_false(pays(not_so, 1e6, 0.05))
    assert.is_false(pays(wants, 1000, 0.05))
    assert.is_false(pays(wants, 1e6, 0.001))
    assert.is_false(pays(wants, 1e6, nil))
  end)
end)

--- Trees ---------------------------------------------------------------------------------------

-- How many bytes of archives have arrived: what the last look at a staged one saw.
local function staged_size(fn)
  local exec, seen = box.exec, nil
  function box.exec(self, command, opts)
    if type(command) == "string" and command:find("tree.tar", 1, true) then
      seen = tonumber(exec(self, "cd " .. remote .. " && wc -c <.daytona-sync-*/tree.tar").result)
    end
    return exec(self, command, opts)
  end
  fn()
  box.exec = nil
  return seen
end

describe("a tree for a sandbox that is far away", function()
  it("arrives packed, as it was", function()
    make_tree()
    local told, total = 0, nil
    local size = staged_size(function()
      local result = assert(fs:sync(folder, remote, { on_progress = function(done, all)
        assert.is_true(done >= told and done <= all)
        told, total = done, all
      end }))
      assert.equal(6, result.uploaded)
    end)
    assert.is_true(size > 4000000 and size < 4200000, size)
    assert.is_true(total > 4200000 and told == total, told)
    files:assert_alike()
    assert.equal(0, assert(fs:sync(folder, remote)).uploaded)
    assert.equal("", files:there "ls -d .daytona-sync-* 2>/dev/null || :")
  end)

  it("is known by the time that a question takes which is not the script's", function()
    make_tree()
    assert(fs:sync(folder, remote))
    local near = asked.distance
    files:sh "echo new >new"
    assert(service.server:faults { { path = "/process/execute", times = 1, delay = 0.3 } })
    assert(fs:sync(folder, remote))
    assert.is_true(asked.distance >= 0.28 and asked.distance > near, asked.distance)
    assert.equal(service.client.connection.compression, asked.connection.compression)
  end)

  it("arrives as it is where the client wants that, or the sandbox has no gzip", function()
    make_tree()
    local size = staged_size(function()
      assert(box:exec([[mkdir -p few; for tool in find stat base64 tr tar sh mkdir mv rm rmdir chmod touch wc cat; do
        ln -sf "$(command -v $tool)" few/; done]], { check = true }))
      assert(box:set_env { set = { PATH = "/home/daytona/few" } })
      local result, err = fs:sync(folder, remote)
      assert(box:set_env { set = { PATH = "/usr/bin:/bin" } })
      assert(result, err)
    end)
    assert.is_true(size > 4200000, size)
    assert.is_nil(asked)
    files:assert_alike()
  end)

  it("goes on where it was cut", function()
    make_tree()
    local arrives = staged_size(function() assert(fs:sync(folder, remote)) end)
    for _, cut in ipairs { 3000, 100000, 2000000, arrives - 50000 } do
      assert(box:exec("rm -rf " .. remote, { check = true }))
      relay = require("spec.support.relay").start(box.toolbox_proxy_url:match ":(%d+)")
      local other = service.client:attach(box.id)
      other.toolbox_proxy_url = (box.toolbox_proxy_url:gsub(":%d+", relay.url:match ":%d+"))
      relay:cut_sent(2000 + cut) -- the look before it is shorter
      haste(function() assert(other.fs:sync(folder, remote)) end)
      assert.equal(0, relay:cuts())
      files:assert_alike()
      relay:close()
      relay = nil
    end
  end)

  it("that is spoilt on its way changes nothing", function()
    make_tree()
    assert(fs:write(remote .. "/old", "as it was"))
    local packer = core.packer
    function core.packer(level)
      local real = packer(level)
      return {
        write = function(_, data, now) return real:write(data, now) end,
        finish = function() return real:finish():sub(1, -9) .. "12345678" end,
      }
    end
    local result, err = fs:sync(folder, remote)
    core.packer = packer
    assert.is_nil(result)
    assert.is_true(errors.is(err, "io"))
    assert.truthy(err.message:find("gzip", 1, true), err.message)
    assert.equal("old\n", files:there "ls -A")
  end)

  it("that fills the disk over there leaves the tree as it was", function()
    if not small_disk.possible() then return pending "no file system to be mounted here" end
    local small = require("spec.support.box").start { small_disk = "3m" }
    local there = small.sandbox
    assert(there.fs:write("t/old", "as it was"))
    files:sh "head -c 6000000 /dev/zero >big"
    local result, err = there.fs:sync(folder, "t")
    local left = assert(there:exec "ls -A t").result
    small:stop()
    assert.is_nil(result)
    assert.equal("io FILE_NO_SPACE", err.kind .. " " .. tostring(err.code), tostring(err))
    assert.equal("old\n", left)
  end)
end)
