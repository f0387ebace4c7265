-- Files of some megabytes over a line that is cut at every megabyte, both ways: they end whole, and
-- what was there before stays until then.

local compat = require "daytona.base.compat"
local haste = require "spec.support.haste"
local pieces = require "daytona.toolbox.fs.pieces"
local shell = require "daytona.base.shell"
local small_disk = require "spec.support.small_disk"

local MIB = 1024 * 1024
local SIZE = 5 * MIB + 4321

local files = require("spec.support.files").new()
local service, box, relay, cut, WHOLE
local LARGE = pieces.LARGE

setup(function()
  service, box = files:open()
  local noise = assert(io.open("/dev/urandom", "rb"))
  WHOLE = noise:read(SIZE)
  noise:close()
end)
teardown(function() files:close() end)

-- Each case has an address of its own, and so connections that it begins.
before_each(function()
  files:fresh()
  relay = require("spec.support.relay").start(box.toolbox_proxy_url:match ":(%d+)")
  cut = service:connect {}:attach(box.id)
  cut.toolbox_proxy_url = (box.toolbox_proxy_url:gsub(":%d+", relay.url:match ":%d+"))
end)
after_each(function()
  pieces.LARGE = LARGE
  relay:close()
  files:sweep()
end)

describe("a download that is cut", function()
  local function comes(...)
    local target = files:here "target"
    files:put("target", "old")
    relay:cut_got(...)
    haste(function() assert(cut.fs:download("file", target)) end)
    assert.equal(0, relay:cuts())
    assert.is_true(files.content(target) == WHOLE)
    assert.equal("target\n", files:listing())
  end

  before_each(function()
    assert(box.fs:write("file", WHOLE))
    assert(box:exec("touch -d @1700000000 file", { check = true }))
  end)

  for megabyte = 0, 5 do
    it("at megabyte " .. megabyte .. " ends whole", function() comes(megabyte * MIB + 300) end)
  end

  it("at every megabyte ends whole", function()
    comes(MIB + 300, MIB + 300, MIB + 300, MIB + 300, MIB + 300)
  end)
end)

describe("an upload that is cut", function()
  local function arrives(...)
    assert(box.fs:write("up", "old"))
    relay:cut_sent(...)
    haste(function() assert(cut.fs:upload(files:put("source", WHOLE), "up")) end)
    assert.equal(0, relay:cuts())
    assert.is_true(assert(box.fs:read "up") == WHOLE)
    assert.equal("", assert(box:exec "ls -d .daytona-sync-* 2>/dev/null").result)
  end

  for megabyte = 0, 5 do
    it("at megabyte " .. megabyte .. " arrives whole, sent once more", function() arrives(megabyte * MIB + 300) end)

    it("at megabyte " .. megabyte .. " arrives whole, gone on with", function()
      pieces.LARGE = MIB
      arrives(megabyte * MIB + 300)
    end)
  end

  it("at every megabyte arrives whole", function()
    pieces.LARGE = MIB
    arrives(MIB, MIB, MIB, MIB)
  end)

  it("for good leaves what was there", function()
    assert(box.fs:write("up", "old"))
    relay:cut_sent(MIB, MIB, MIB, MIB, MIB, MIB, MIB, MIB)
    local result, err
    haste(function() result, err = cut.fs:upload(files:put("source", WHOLE), "up") end)
    assert.is_nil(result)
    assert.equal("connection", err.kind)
    assert.equal("old", assert(box.fs:read "up"))
    assert.equal("", assert(box:exec "ls -d .daytona-sync-* 2>/dev/null").result)
  end)
end)

it("a download that fills the disk here leaves the old file whole, and nothing else", function()
  if not small_disk.possible() then return pending "no file system to be mounted here" end
  assert(box.fs:write("file", WHOLE))
  local disk = files:here "disk"
  files:sh "mkdir disk"
  local program = ([[
    package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
    local client = assert(require "daytona".new { api_url = %q, api_key = %q })
    local box = assert(client:get(%q))
    for _, target in ipairs { "old", "new" } do
      local result, err = box.fs:download("file", %q .. "/" .. target)
      print(result, err.kind, err.message:match "No space left")
    end
    local results, err = box.fs:download_many { { "file", %q .. "/old" } }
    print(results, err.kind, err.results[1].error.message:match "No space left")
  ]]):format(service.server.api_url, service.server.api_key, box.id, disk, disk)
  local command = ("seq 100000 >%s/old; %s -e %s; cd %s && find . && seq 100000 | cmp - old && echo whole"):format(disk,
    compat.name, shell.quote(program), disk)
  local pipe = assert(io.popen("env -u LUA_INIT " .. small_disk.command(disk, "2m", command) .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  assert.equal("nil\tio\tNo space left\n" .. ("nil\tio\tNo space left\n"):rep(2) .. ".\n./old\nwhole\n", text)
end)
