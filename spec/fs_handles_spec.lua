-- Downloads into what is open already, into pipes and into devices: it is all there, in its place,
-- and whoever has to wait for a reader can be ended.

local Child = require "spec.support.child"
local core = require "daytona.base.native"

local files = require("spec.support.files").new()
local service, box, fs

-- More than a pipe holds, and no two parts of it alike.
local lines = {}
for i = 1, 40000 do lines[i] = ("%07d\n"):format(i) end
local WHOLE = table.concat(lines)

setup(function()
  service, box, fs = files:open()
  assert(fs:write("file", WHOLE))
end)
teardown(function() files:close() end)
before_each(function() files:fresh() end)
after_each(function() files:sweep() end)

describe("a download into an open file", function()
  local function open(mode, text)
    local file = assert(io.open(files:here("f", "0123456789"), mode))
    if text then file:write(text) end
    return file
  end

  it("begins where it is, and what is written then comes behind", function()
    local file = open("w+b", "before ")
    local done
    local info = assert(fs:download("file", file, { on_progress = function(n, total) done = { n, total } end }))
    assert.equal(#WHOLE, info.size)
    assert.same({ #WHOLE, #WHOLE }, done)
    assert.equal(7 + #WHOLE, file:seek())
    file:write " after"
    file:seek("set", 3)
    assert.equal("ore 000", file:read(7))
    file:close()
    assert.is_true(files.content(files:here "f") == "before " .. WHOLE .. " after")
  end)

  it("goes on where something was read, and overwrites", function()
    local file = open "r+b"
    assert.equal("0123", file:read(4))
    assert(fs:write("small", "abc"))
    assert(fs:download("small", file))
    assert.equal(7, file:seek())
    assert.equal("789", file:read "*a")
    file:close()
    assert.equal("0123abc789", files.content(files:here "f"))
  end)

  it("that is appended to comes at its end, also behind what others append", function()
    local file = open("ab", "own ")
    file:seek("set", 2)
    local other = assert(io.open(files:here "f", "ab"))
    assert(other:write "other ")
    other:close()
    assert(fs:download("file", file))
    assert.equal(20 + #WHOLE, file:seek())
    file:write "end"
    file:close()
    assert.is_true(files.content(files:here "f") == "0123456789own other " .. WHOLE .. "end")
  end)

  it("that is only read is an error of this machine", function()
    local file = open "rb"
    local info, err = fs:download("file", file)
    file:close()
    assert.is_nil(info)
    assert.equal("io sink file", err.kind .. " " .. err.code .. " " .. err.what)
    assert.matches("Bad file descriptor", err.message)
    assert.equal("0123456789", files.content(files:here "f"))
  end)

  it("says so when what was written before does not fit", function()
    local full = io.open("/dev/full", "wb")
    if not full then return pending "this machine has no /dev/full" end
    full:write "waits in Lua's buffer"
    local before = service:count("GET", "/files/download")
    local _, err = fs:download("file", full)
    full:close()
    assert.equal("io download file", err.kind .. " " .. err.operation .. " " .. err.what)
    assert.equal(before, service:count("GET", "/files/download"))
  end)

  it("of what is not there writes nothing", function()
    local file = open("w+b", "before")
    local _, err = fs:download("none", file)
    assert.equal("not_found", err.kind)
    assert.equal(6, file:seek())
    file:close()
  end)
end)

describe("a download into a device", function()
  it("goes nowhere, or does not fit", function()
    assert.equal(#WHOLE, assert(fs:download("file", "/dev/null")).size)
    if core.file_type "/dev/full" ~= "other" then return pending "this machine has no /dev/full" end
    local file = assert(io.open("/dev/full", "wb"))
    for _, target in ipairs { "/dev/full", file } do
      local info, err = fs:download("file", target)
      assert.is_nil(info)
      assert.equal("io sink 28", ("%s %s %d"):format(err.kind, err.code, err.errno))
      assert.matches("No space left", err.message)
    end
    file:close()
  end)

  it("is no matter of readers", function()
    for path, expected in pairs { ["/dev/null"] = false, [files:here("f", "")] = false } do
      local file = assert(io.open(path, "wb"))
      assert.equal(expected, core.may_block(file), path)
      file:close()
      assert.has_error(function() core.may_block(file) end)
      core.catch_up(file)
    end
    local pipe = assert(io.popen("cat >/dev/null", "w"))
    assert.is_true(core.may_block(pipe))
    core.catch_up(pipe)
    pipe:close()
  end)
end)

describe("a download into a pipe", function()
  it("comes whole, behind what was written, and more may follow", function()
    local pipe = assert(io.popen("cat >" .. files:here "copy", "w"))
    pipe:write "before "
    local done
    assert.equal(#WHOLE, assert(fs:download("file", pipe, { on_progress = function(n) done = n end })).size)
    assert.equal(#WHOLE, done)
    pipe:write " after"
    pipe:close()
    assert.is_true(files.content(files:here "copy") == "before " .. WHOLE .. " after")
  end)

  it("above its cap is an error", function()
    local pipe = assert(io.popen("cat >" .. files:here "copy", "w"))
    local _, err = fs:download("file", pipe, { max_bytes = 1000 })
    pipe:close()
    assert.equal("too_large", err.kind)
    assert.equal("", files.content(files:here "copy"))
  end)

  it("ends when it is cancelled, or a file when that is closed under it", function()
    for _, command in ipairs { "cat >/dev/null", false } do
      local file = command and assert(io.popen(command, "w")) or assert(io.open(files:here "f", "wb"))
      assert(service.server:faults { { path = "/files/download", slow = 20000, times = 1 } })
      local daytona, begun = require "daytona", false
      local task = daytona.spawn(function()
        return fs:download("file", file, { on_progress = function() begun = true end })
      end)
      while not begun do assert(daytona.sleep(0.005)) end
      if not command then file:close() end
      task:cancel()
      local _, err = task:wait()
      assert.equal("canceled", err.kind)
      if command then file:close() end
    end
  end)

  -- Runs a program in the folder, with `box`, in a shell command that has it as PROGRAM.
  local function run(program, command)
    files:put("program.lua", ([[
      package.path = "%s/lua/?.lua;%s/lua/?/init.lua;" .. package.path
      local daytona = require "daytona"
      local box = assert(daytona.new { api_url = %q, api_key = %q }:get(%q))
    ]]):format(os.getenv "PWD", os.getenv "PWD", service.server.api_url, service.server.api_key, box.id)
      .. program)
    local call = "env -u LUA_INIT " .. require("daytona.base.compat").name .. " program.lua"
    return files:sh((command:gsub("PROGRAM", function() return call end)))
  end

  it("whose reader has left is an error where the signal is ignored", function()
    assert.equal("io sink 32\n", run([[
      local info, err = box.fs:download("file", io.stdout)
      io.stderr:write(tostring(info or ("%s %s %d"):format(err.kind, err.code, err.errno)), "\n")
    ]], "trap '' PIPE; PROGRAM | head -c 100 >/dev/null"))
  end)

  it("whose reader has left ends a program as a closed pipe does", function()
    assert.equal("141\n", run([[
      daytona.main(function() print(box.fs:download("file", io.stdout)) end)
    ]], "{ PROGRAM; echo $? >status; } | head -c 100 >/dev/null; cat status"))
  end)

  it("that does not block comes whole, too", function()
    if files:sh "dd if=/dev/null of=/dev/null oflag=nonblock 2>/dev/null && echo fine" ~= "fine\n" then
      return pending "no dd that makes pipes so"
    end
    assert.equal(files:sh(("echo %d; seq -f %%07g 40000 | cksum"):format(#WHOLE)), run([[
      io.open("begun", "w"):close()
      local info, err = box.fs:download("file", io.stdout)
      io.stderr:write(info and info.size or tostring(err), "\n")
    ]], "{ dd if=/dev/null oflag=nonblock 2>/dev/null; PROGRAM; } | { until [ -e begun ]; do :; done; cksum; }"))
  end)

  it("that nobody reads can be ended", function()
    files:sh "mkfifo pipe"
    local child = Child.start(([[
      if jit then jit.off() end
      local daytona = require "daytona"
      daytona.trap()
      local box = assert(daytona.new { api_url = %q, api_key = %q }:get(%q))
      local pipe = assert(io.open(ARG, "r+b")) -- its own reader, who does not read
      say "begins"
      print(box.fs:download("file", pipe, { on_progress = function() say "waits" end }))
    ]]):format(service.server.api_url, service.server.api_key, box.id), files:here "pipe")
    assert.equal("begins", child:line())
    local waiting = ([[
      [ ! -d /proc/self ] || { grep -q ') S ' /proc/%d/stat &&
        case $(cat /proc/%d/wchan) in *pipe* | 0) ;; *) false ;; esac; } ]]):format(child.pid, child.pid)
    repeat local waits = os.execute(waiting) until waits == true or waits == 0
    child:signal "TERM"
    assert.matches("ended by SIGTERM", (child:rest()))
  end)
end)
