-- What a user gets when what is sent or received does not fit: answers above the
-- cap, full disks, sources and sinks that give up, transfers that stand still,
-- Ctrl-C in the middle.

local check = require "luassert"
local trials = require "spec.support.trial"
local compat = require "daytona.base.compat"
local Child = require "spec.support.child"
local nap = require "spec.support.nap"
local shell = require "daytona.base.shell"
local small_disk = require "spec.support.small_disk"

local trial

setup(function() trial = trials.start() end)
teardown(function() trial:stop() end)
before_each(function() trial:begin() end)

local function fails(expected, operation, result, err)
  check.is_nil(result)
  check.equal(expected, err.kind .. " " .. tostring(err.code), tostring(err))
  check.equal(operation, err.operation)
end

describe("an answer above the cap", function()
  for _, name in ipairs { "list", "each", "get", "fs.list" } do
    local operation = trials.operation(name)
    if compat.pcall_yields or name ~= "each" then
      it("of " .. name .. " is not kept", function()
        trial:use(trial:connect { max_bytes = 60 })
        fails("too_large too_large", operation.says or name, trial:run(operation))
        trial:after()
      end)
    end
  end

  it("of exec and run is not kept; the command has run, once", function()
    trial:use(trial:connect { max_bytes = 1000, max_retries = 3 })
    fails("too_large too_large", "exec", trial.box:exec "echo ran >> ran.log; seq 1000")
    check.equal(1, trial:after())
    trial:begin()
    fails("too_large too_large", "run",
      trial.box:run("open('ran.log', 'a').write('ran\\n'); print('x' * 5000)", { max_bytes = 1000 }))
    check.equal(1, trial:after())
  end)

  it("of read and download is not kept, whatever the sink", function()
    local handle = assert(io.tmpfile())
    local got = 0
    for _, target in ipairs { trial.dir .. "/down.bin", handle, function(chunk) got = got + #chunk end } do
      fails("too_large too_large", "download", trial.box.fs:download("big.bin", target, { max_bytes = 1000 }))
    end
    handle:close()
    check.is_true(got <= 1000)
    fails("too_large too_large", "read", trial.box.fs:read("big.bin", { max_bytes = trial.SIZE - 1 }))
    check.equal(trial.SIZE, #assert(trial.box.fs:read("big.bin", { max_bytes = trial.SIZE })))
    trial:after()
  end)

  it("that is an error still says what the error is", function()
    trial:use(trial:connect { max_bytes = 60 })
    trial:fault(trials.operation "get", { status = 403, message = "not " .. ("very "):rep(100) .. "allowed" })
    local box, err = trial:run(trials.operation "get")
    check.is_nil(box)
    check.is_true(err.status == 403 or err.kind == "too_large", tostring(err))
    trial:after(err)
  end)
end)

describe("a disk that is full", function()
  it("ends a download into an open file, also where the last bytes do not fit", function()
    for _, name in ipairs { "big.bin", "small.bin" } do
      assert(trial.home.fs:write("small.bin", "only a few bytes"))
      local full = io.open("/dev/full", "wb")
      if not full then return pending "this machine has no /dev/full" end
      local info, err = trial.box.fs:download(name, full)
      full:close()
      fails("io sink", "download", info, err)
      assert(trial.home.fs:remove "small.bin")
    end
    trial:after()
  end)

  it("ends a download to a path, and no part of it stays", function()
    if not small_disk.possible() then return pending "no file system to be mounted here" end
    local folder = trial.dir .. "/small"
    local program = ([[
      package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
      local daytona = require "daytona"
      local client = assert(daytona.new { api_url = %q, api_key = %q })
      local box = assert(client:get "home")
      local info, err = box.fs:download("big.bin", %q)
      print(info, err.kind, err.code, err.errno, err.message:match "No space left")
      print(assert(box:exec "echo fine").result)
    ]]):format(trial.server.api_url, trial.server.api_key, folder .. "/down.bin")
    local command = ("mkdir %s; env -u LUA_INIT %s 2>&1; rmdir %s"):format(folder, small_disk.command(folder, "64k",
      ("%s -e %s; ls -A %s"):format(compat.name, shell.quote(program), folder)), folder)
    local pipe = assert(io.popen(command))
    local text = pipe:read "*a"
    pipe:close()
    check.equal("nil\tio\tsink\t28\tNo space left\nfine\n\n", text)
    trial:after()
  end)
end)

describe("a source", function()
  local CHUNK = ("x"):rep(50000)

  -- A function that gives some chunks, then does as it is told.
  local function giving(chunks, last)
    return function()
      chunks = chunks - 1
      if chunks >= 0 then return CHUNK end
      return last()
    end
  end

  -- The upload failed; what had arrived may be there.
  local function over()
    trial:reset()
    local path = trial.home.fs:stat "up.bin"
    if path then assert(trial.home.fs:remove "up.bin") end
    trial:after()
  end

  for _, chunks in ipairs { 0, 30 } do
    it("that gives up after " .. chunks .. " chunks is why the upload failed", function()
      local info, err = trial.box.fs:upload(giving(chunks, function() return nil, "the disk is gone" end), "up.bin")
      fails("io source", "upload", info, err)
      check.truthy(err.message:find("the disk is gone", 1, true))
      over()
    end)

    it("that raises after " .. chunks .. " chunks raises", function()
      local fine, text = pcall(function()
        return trial.box.fs:upload(giving(chunks, function() error "boom" end), "up.bin")
      end)
      check.is_false(fine)
      check.truthy(tostring(text):find("boom", 1, true))
      over()
    end)

    it("that has less than it said after " .. chunks .. " chunks is an error", function()
      local info, err = trial.box.fs:upload(giving(chunks, function() return nil end), "up.bin", { length = 2000000 })
      fails("io source", "upload", info, err)
      over()
    end)
  end

  it("that has more than it said is an error", function()
    local info, err = trial.box.fs:upload(giving(30, function() return nil end), "up.bin", { length = 1000 })
    check.is_nil(info)
    check.equal("io", err.kind, tostring(err))
    over()
  end)

  it("that gives something else than text raises, or is an error", function()
    local fine, info, err = pcall(function()
      return trial.box.fs:upload(giving(1, function() return {} end), "up.bin")
    end)
    check.is_true(not fine or info == nil)
    if fine then check.equal("io", err.kind) end
    over()
  end)

  it("that is a file which shrinks meanwhile is an error", function()
    local name = trial.dir .. "/down.bin"
    local file = assert(io.open(name, "w+b"))
    for _ = 1, 100 do file:write(CHUNK) end
    file:flush()
    file:seek("set", 0)
    local shrunk = false
    local info, err = trial.box.fs:upload(file, "up.bin", {
      on_progress = function()
        if not shrunk then os.execute(": > " .. shell.quote(name)) end
        shrunk = true
      end,
    })
    file:close()
    os.remove(name)
    check.is_true(shrunk)
    fails("io source", "upload", info, err)
    over()
  end)

  it("that cannot be read is an error, and nothing is sent", function()
    local folder = assert(io.open(trial.dir, "rb"))
    local info, err = trial.box.fs:upload(folder, "up.bin")
    folder:close()
    check.is_nil(info)
    check.equal("io", err.kind, tostring(err))
    info, err = trial.box.fs:upload(trial.dir .. "/none", "up.bin")
    fails("io nil", "upload", info, err)
    over()
  end)
end)

describe("a sink", function()
  it("that gives up, or raises, ends the download", function()
    local info, err = trial.box.fs:download("big.bin", function() return false, "enough" end)
    fails("io sink", "download", info, err)
    trial:after(err)
    trial:begin()
    local fine, text = pcall(trial.box.fs.download, trial.box.fs, "big.bin", function() error "boom" end)
    check.is_false(fine)
    check.truthy(tostring(text):find("boom", 1, true))
    trial:after()
  end)

  it("that is closed is an error, or raises", function()
    local file = assert(io.tmpfile())
    file:close()
    check.has_error(function() trial.box.fs:download("big.bin", file) end)
    check.has_error(function() trial.box.fs:upload(file, "up.bin") end)
    trial:after()
  end)
end)

describe("a transfer that stands still", function()
  for _, name in ipairs { "download", "read" } do
    it("ends a " .. name .. " by its idle time", function()
      trial:fault(trials.operation(name), { slow = 1 })
      local result, err = trial:run(trials.operation(name), { idle_timeout = 0.2 })
      fails("timeout idle_timeout", name, result, err)
      trial:after(err)
    end)

    it("goes on while anything moves, until its time is over, in a " .. name, function()
      trial:fault(trials.operation(name), { slow = 100 })
      local result, err = trial:run(trials.operation(name), { idle_timeout = 0.8, timeout = 1.2 })
      fails("timeout timeout", name, result, err)
      trial:after(err)
    end)
  end

  it("ends an upload that the service does not answer by its idle time", function()
    trial:fault(trials.operation "upload", { hold = 60 })
    local info, err = trial:run(trials.operation "upload", { idle_timeout = 0.2 })
    fails("timeout idle_timeout", "upload", info, err)
    trial:after(err, { perhaps = "up.bin 300000\n" })
  end)
end)

describe("Ctrl-C", function()
  local CONNECT = [[
    local daytona = require "daytona"
    local url, key, id, dir = ARG:match("^(%S+) (%S+) (%S+) (%S+)$")
    local client = assert(daytona.new { api_url = url, api_key = key })
    local box = client:attach(id)
    local told = false
    local function tell(n) if n > 0 and not told then told = true say "some" end end
  ]]

  local function interrupted(program)
    local child = Child.start(CONNECT .. program,
      table.concat({ trial.server.api_url, trial.server.api_key, trial.home.id, trial.dir }, " "))
    check.equal("some", child:line())
    child:signal "INT"
    local text = child:rest()
    check.matches("interrupted!", text)
    check.is_nil(text:find("not reached", 1, true))
  end

  it("in a download leaves no part of it", function()
    trial:fault(trials.operation "download", { slow = 2000 })
    interrupted [[
      box.fs:download("big.bin", dir .. "/down.bin", { on_progress = tell })
      say "not reached"
    ]]
    trial:after()
  end)

  it("in a gather ends all of it: commands, downloads, sandboxes", function()
    trial:fault(trials.operation "download", { slow = 2000 })
    assert(trial.server:faults { { state = "creating" } })
    interrupted(([[
      daytona.gather {
        function() return box:exec "echo ran >> ran.log; NAP" end,
        function() return client:create() end,
        function()
          return box.fs:download("big.bin", dir .. "/down.bin", { on_progress = function(n)
            if n > 3000 then tell(n) end
          end })
        end,
      }
      say "not reached"
    ]]):gsub("NAP", nap(305)))
    check.equal("0\n", assert(trial.home:exec("ps -eo args | grep -c '^" .. nap(305) .. "' || true")).result)
    -- what the service would not delete yet was told to go as soon as it is idle
    assert(trial.server:clear_faults())
    trial.eventually(function() return (assert(trial.server:stats()).sandboxes.started or 0) ~= 1 end)
    assert(trial.server:advance(120))
    check.equal(1, trial:after())
  end)
end)

describe("an answer that the service holds for half a minute", function()
  for _, name in ipairs { "create", "start", "stop", "delete" } do
    it("is no failure of " .. name, function()
      local operation = trials.operation(name)
      trial:prepare(operation)
      assert(trial.server:set_time_scale(100))
      trial:fault(operation, { hold = 30, times = 1 })
      local request
      local loop = require "daytona.loop"
      local start = loop.start
      function loop.start(r)
        request = request or r
        return start(r)
      end
      local box, err = trial:run(operation)
      loop.start = start
      assert(trial.server:set_time_scale(1))
      assert(box, tostring(err))
      check.is_true(request.timeout > 35 and (request.idle_timeout or 60) > 35)
      if name == "create" then assert(box:delete { wait = true }) end
      trial:after()
    end)
  end
end)
