-- What an upload writes over stays as it is until the new file is there, whole.

local errors = require "daytona.base.errors"
local haste = require "spec.support.haste"

local files = require("spec.support.files").new()
local service, box, fs, remote

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)
before_each(function()
  remote = select(2, files:fresh())
  assert(fs:mkdir(remote))
end)
after_each(function() files:sweep() end)

local function there(command) return files:there(command) end

-- The same sandbox, in which commands run after this.
local function box_after(prelude)
  local other = service.client:attach(box.id)
  local exec = other.exec
  function other.exec(self, command, opts) return exec(self, prelude .. "\n" .. command, opts) end
  return other
end

describe("a file that is written over", function()
  it("keeps its permissions", function()
    there "echo old >run; chmod 750 run; echo old >secret; chmod 600 secret"
    assert(fs:write(remote .. "/run", "new"))
    assert.equal(1, #assert(fs:upload_many { { { data = "new" }, remote .. "/secret" } }))
    assert.equal("new750\nnew600\n", there "for f in run secret; do cat $f; stat -c %a $f; done")
  end)

  it("is what a link leads to, also where that is not there yet", function()
    there "mkdir d; echo old >d/to; ln -s d/to link; ln -s d/none made; ln -s nowhere/x broken"
    assert(fs:write(remote .. "/link", "new"))
    assert(fs:write(remote .. "/made", "made"))
    assert.equal("new made d/to d/none\n", there "echo $(cat d/to) $(cat d/none) $(readlink link) $(readlink made)")
    local _, err = fs:write(remote .. "/broken", "x")
    assert.equal("upload " .. remote .. "/broken", err.operation .. " " .. err.what)
  end)

  it("keeps its other names, and a pipe stays one", function()
    there "echo old >a; ln a b; mkfifo pipe; { cat pipe >from-pipe; } >/dev/null 2>&1 & :"
    assert(fs:write(remote .. "/a", "new"))
    assert(fs:write(remote .. "/pipe", "through"))
    assert.equal("new new 2 fifo\n", there "echo $(cat a) $(cat b) $(stat -c %h a) $(stat -c %F pipe)")
    assert.equal("through", there "until [ -s from-pipe ]; do sleep 0.05; done; cat from-pipe")
    assert.equal("", there "find . -name '.daytona-sync*'")
  end)

  it("is not, where it is a folder or may not be written to", function()
    if there "id -u" == "0\n" then return pending "nothing is closed to the sandbox's user here" end
    there "mkdir d; echo old >ro; chmod 444 ro"
    local list = { { { data = "x" }, remote .. "/d" }, { { data = "x" }, remote .. "/ro" } }
    for i, kind in ipairs { "invalid", "forbidden" } do
      local _, err = fs:write(list[i][2], "x")
      assert.equal(kind .. " upload " .. list[i][2], err.kind .. " " .. err.operation .. " " .. err.what)
      assert.is_nil(tostring(err):find(".daytona", 1, true), tostring(err))
    end
    local _, err = fs:upload_many(list)
    assert.same({ "invalid", "forbidden" }, { err.results[1].error.kind, err.results[2].error.kind })
    assert.equal("old\n./d ./ro\n", there "cat ro; echo $(find . -mindepth 1 | sort)")
  end)

  it("is, in a folder that may not be written to, if its source can be read again", function()
    if there "id -u" == "0\n" then return pending "nothing is closed to the sandbox's user here" end
    there "mkdir d; for i in 1 2 3 4; do echo old >d/$i; done; chmod 555 d"
    local path = remote .. "/d/"
    assert(fs:write(path .. 1, "new"))
    assert(fs:upload(files:put("x", "new"), path .. 2))
    assert(fs:upload_many { { { data = "new" }, path .. 3 } })
    local given
    local _, err = fs:upload(function()
      given = not given
      return given and "new" or nil
    end, path .. 4)
    assert.equal("forbidden", err.kind)
    assert.equal("newnewnewold\n", there "chmod 755 d; cat d/*")
  end)
end)

describe("an upload that fails", function()
  -- Of what is and of what was not there, one and many.
  local function tries(try)
    there "echo old >old"
    for _, name in ipairs { "old", "new" } do
      local data, path = ("x"):rep(300000), remote .. "/" .. name
      try(function() return fs:write(path, data) end)
      try(function() return fs:upload_many { { { data = data }, path } } end)
      try(function() return fs:upload(files:put("here", data), path) end)
    end
    assert(service.server:clear_faults())
    assert.equal("old ./old\n", there "echo $(cat old) $(find . -mindepth 1)")
  end

  for _, fault in ipairs { { drop = true }, { status = 500 }, { reset = true } } do
    it("leaves what was there: " .. next(fault), function()
      tries(function(send)
        fault.path = "/files/bulk-upload"
        assert(service.server:faults { fault })
        haste(function() assert.is_nil(send()) end)
        assert(service.server:clear_faults())
      end)
    end)
  end

  it("when it is to take its place leaves what was there", function()
    tries(function(send)
      assert(service.server:faults { { path = "/process/execute", status = 500 } })
      local _, err = send()
      assert.equal("server", err.kind)
      assert.truthy(err.operation:find "^upload", err.operation)
      assert(service.server:clear_faults())
    end)
  end)

  it("while its source does leaves what was there", function()
    there "echo old >old"
    local n = 0
    local _, err = fs:upload(function()
      n = n + 1
      if n > 40 then return nil, "tape broke" end
      return ("x"):rep(65536)
    end, remote .. "/old")
    assert.equal("io source", err.kind .. " " .. err.code)
    assert.equal("old ./old\n", there "echo $(cat old) $(find . -mindepth 1)")
  end)
end)

describe("a move into place whose answer is lost", function()
  -- Of one and of many, with what was there: done already, and not done.
  local function each_way(prepare, try)
    for _, handled in ipairs { true, false } do
      for name, send in pairs {
        one = function(path) return fs:write(path, "new") end,
        many = function(path)
          local all, err = fs:upload_many { { { data = "new" }, path }, { { data = "2" }, path .. "2" } }
          return all, err and err.results[1].error
        end,
      } do
        there("rm -rf ..?* .[!.]* *; " .. prepare)
        assert(service.server:faults {
          { path = "/process/execute", drop = true, handled = handled, times = 1, after = 0 },
        })
        haste(function() try(send, ("%s, %s"):format(name, handled and "done" or "not done")) end)
        assert(service.server:clear_faults())
        assert.equal("", there "find . -name '.daytona-sync*'")
      end
    end
  end

  it("is made once more, or is known to be done", function()
    local files_there = "mkdir d; echo old >old; chmod 640 old; echo old >a; ln a b; echo old >d/to; ln -s d/to link"
    each_way(files_there, function(send, way)
      for _, name in ipairs { "old", "none", "a", "link" } do
        local fine, err = send(remote .. "/" .. name)
        assert.truthy(fine, name .. ", " .. way .. ": " .. tostring(err))
      end
      assert.equal("new new new new new 640 link\n",
        there "echo $(cat old) $(cat none) $(cat a) $(cat b) $(cat d/to) $(stat -c %a old) $(find link -type l)")
    end)
  end)

  it("says what is wrong all the same", function()
    each_way("mkdir d", function(send, way)
      local _, err = send(remote .. "/d")
      assert.equal("invalid is a directory", err.kind .. " " .. err.message, way)
    end)
  end)

  it("gives a pipe nothing twice, and that is said", function()
    local pipe = "mkfifo pipe; { cat pipe >from-pipe; } >/dev/null 2>&1 & until [ -p pipe ]; do :; done"
    each_way(pipe, function(send, way)
      local _, err = send(remote .. "/pipe")
      local is_done = way:find ", done" ~= nil
      assert.equal(is_done and "nil" or "connection", tostring(err and err.kind), way)
      if not is_done then there "printf later >pipe" end
      local got = there "until [ -s from-pipe ]; do sleep 0.05; done; cat from-pipe"
      assert.equal(is_done and "new" or "later", got, way)
    end)
  end)

  it("is made by the daemon as often, where there is no shell", function()
    local other = service.client:attach(box.id)
    function other.exec(self)
      return nil, errors.new { kind = "not_found", code = "PROCESS_START_FAILED", operation = "exec", sandbox = self,
                               message = "fork/exec /bin/sh: no such file or directory" }
    end
    for _, handled in ipairs { true, false } do
      assert(service.server:faults { { path = "/files/move", drop = true, handled = handled, times = 1 } })
      haste(function() assert(other.fs:write(remote .. "/made" .. tostring(handled), "new")) end)
    end
    assert.equal("newnew", there "cat made*")
  end)

  it("is not made again by a client that repeats nothing", function()
    local once = service:connect({ max_retries = 0 }):attach(box.id).fs
    assert(service.server:faults { { path = "/process/execute", drop = true, times = 1 } })
    local _, err = once:write(remote .. "/x", "new")
    assert.equal("connection upload " .. remote .. "/x", err.kind .. " " .. err.operation .. " " .. err.what)
    assert.equal("", there "find . -mindepth 1")
  end)
end)

describe("many files", function()
  it("of several folders, new and old, of any name, take their places", function()
    there "mkdir -p b/c; echo old >b/old; chmod 640 b/old"
    local list = {}
    for _, name in ipairs { "b/old", "b/new", "b/c/x", "d/e/y", "b/two words", "b/qu'ote", "b/-n", "b/ blank ", " b/z ",
      "b/new\nline", "b//double", "b/old" } do
      list[#list + 1] = { { data = name .. #list }, remote .. "/" .. name }
    end
    assert.equal(#list, #assert(fs:upload_many(list)))
    for i = 2, #list do assert.equal(list[i][1].data, assert(fs:read(list[i][2]))) end
    assert.equal("640\n", there "stat -c %a b/old")
    assert.equal("", there "find . -name '.daytona-sync*'")
  end)

  it("that are there already take their places by few programs, each as the one before", function()
    there [[
      mkdir d ../counted
      for i in $(seq 300); do echo old >d/$i; done
      chmod 600 d/7 d/250; chmod 755 d/8; touch "d/a
b"; chmod 640 "d/a
b"
      ln d/9 other; mv d/10 target; ln -s ../target d/10; rm d/11 d/12; mkdir d/12
      for p in stat chown chmod mv rm cat readlink; do
        printf '#!/bin/sh\necho %s >>%s\nexec %s "$@"\n' $p "$PWD/../counted/log" "$(command -v $p)" >../counted/$p
      done
      chmod 755 ../counted/*]]
    local list = { { { data = "new" }, remote .. "/d/a\nb" } }
    for i = 1, 300 do list[i + 1] = { { data = "new" .. i }, remote .. "/d/" .. i } end
    local other = box_after 'PATH="$PWD/counted:$PATH"'
    local _, err = other.fs:upload_many(list)
    assert.equal("1 of 301 files failed, the first: is a directory", err.message)
    assert.equal(remote .. "/d/12", err.results[13].error.what)
    assert.equal("new new1 new7 new9 new10 new11 new300\n",
      there "echo $(for i in 'a\nb' 1 7 ../other ../target 11 300; do cat \"d/$i\"; echo; done)")
    assert.equal("640 644 600 755 2 600 symbolic link\n",
      there "cd d; echo $(stat -c %a 'a\nb' 1 7 8; stat -c %h 9; stat -c %a 250; stat -c %F 10)")
    assert.equal("", there "find . -name '.daytona-sync*'; grep -lr old d || :")
    local programs = tonumber((there "wc -l <../counted/log"))
    assert.is_true(programs < 50, programs .. " programs")
    there "rm -r ../counted"
  end)

  it("that one of them cannot are there but for that one", function()
    there "mkdir d"
    local _, err = fs:upload_many {
      { { data = "1" }, remote .. "/a" }, { { data = "2" }, remote .. "/d" }, { { data = "3" }, remote .. "/b" },
    }
    assert.equal("1 of 3 files failed, the first: is a directory", err.message)
    assert.same({ 1, "invalid", 1 }, { err.results[1].size, err.results[2].error.kind, err.results[3].size })
    assert.equal("./a ./b ./d\n", there "echo $(find . -mindepth 1 | sort)")
  end)
end)

describe("a sandbox without a shell", function()
  it("takes files all the same", function()
    there "echo old >old"
    local other = service.client:attach(box.id)
    function other.exec(self)
      return nil, errors.new { kind = "not_found", code = "PROCESS_START_FAILED", operation = "exec", sandbox = self,
                               message = "fork/exec /bin/sh: no such file or directory" }
    end
    for _, name in ipairs { "old", "new" } do assert(other.fs:write(remote .. "/" .. name, "1")) end
    assert(other.fs:upload_many { { { data = "2" }, remote .. "/old" }, { { data = "2" }, remote .. "/x y" } })
    assert.equal("122 ./new ./old ./x y\n", there "echo $(cat new old 'x y') $(find . -mindepth 1 | sort)")
  end)

  it("or without stat and readlink does, too, by writing to what is there", function()
    there "mkdir ../few; for p in mv rm cat tail; do ln -s $(command -v $p) ../few/; done; echo old >old; chmod 700 old"
    local other = box_after "PATH=$PWD/few"
    assert(other.fs:write(remote .. "/old", "1"))
    assert(other.fs:write(remote .. "/new", "2"))
    assert.equal("1 2 700\n", there "echo $(cat old) $(cat new) $(stat -c %a old)")
    there "rm -r ../few"
  end)
end)
