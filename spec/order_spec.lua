-- Arguments that have changed places: what is beyond doubt is refused at the caller's line, what
-- may be so is a hint in the error of what failed.

local daytona = require "daytona"

local service, box, folder

setup(function()
  service = require("spec.support.service").start()
  box = assert(service.client:create())
  assert(box:exec([[
    mkdir w && cd w && git init -q -b main && git config user.email a@example.org && git config user.name n
    echo TODO > file && git add file && git commit -qm one
  ]], { check = true }))
  folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  local file = assert(io.open(folder .. "/mine.txt", "w"))
  assert(file:write "x" and file:close())
end)

teardown(function()
  os.execute("rm -r " .. folder)
  service:stop()
end)

local function refused(reason, call)
  local fine, message = pcall(call)
  assert.is_false(fine)
  assert.truthy(message:find("^spec/order_spec.lua:%d+: ") or message:find("order_spec.lua:%d+: "), message)
  assert.truthy(message:find(reason, 1, true), message)
end

local function hints(reason, kind, ...)
  local done, err = ...
  assert.is_nil(done)
  assert.equal(kind, err.kind)
  assert.truthy(tostring(err):find("(" .. reason .. ")", 1, true), tostring(err))
  assert.is_nil(tostring(err):find("%).*" .. reason), tostring(err)) -- once
end

local function no_hint(...)
  local done, err = ...
  assert.is_nil(done)
  assert.is_nil(tostring(err):find "comes? first", tostring(err))
end

describe("arguments that have changed places are refused", function()
  it("where a path stands for an address of git, or a name for one", function()
    for _, url in ipairs { "https://example.org/r.git", "git@example.org:r.git", "file:///srv/r" } do
      refused("clone: the URL comes first, then the path", function() return box.git:clone("copy", url) end)
      refused("add_remote: the name comes first, then the URL",
        function() return box.git:add_remote("w", url, "up") end)
    end
  end)

  it("where a name stands for an address of mail", function()
    refused("commit: the author's name comes first, then the address", function()
      return box.git:commit("w", "two", "ann@example.org", "Ann")
    end)
    refused("configure_user: the name comes first, then the address", function()
      return box.git:configure_user("ann@example.org", "Ann")
    end)
    assert(box.git:commit("w", "two", "ann@example.org", "ann@example.org", { allow_empty = true }))
  end)

  it("where a value stands for a setting, and a user for a token, which is not shown", function()
    refused("set_config: the key comes first, then the value",
      function() return box.git:set_config("Ann", "user.name") end)
    for _, token in ipairs { "ghp_abcdef0123", "github_pat_abc_def", "glpat-abcdef" } do
      local fine, message = pcall(function() return box.git:authenticate(token, "ann") end)
      assert.is_false(fine)
      assert.truthy(message:find("authenticate: the user comes first, then the token", 1, true))
      assert.is_nil(message:find(token, 1, true))
    end
  end)

  it("where a function stands for what is to be closed", function()
    refused("using: a function has no close method (the object comes first, then the function)",
      function() return daytona.using(function() end, box) end)
    assert.equal("started", box.state)
  end)
end)

describe("arguments that may have changed places are a hint in the error", function()
  local old_first = "there is one at the destination: the old path comes first, then the new one"

  it("of files in the sandbox, if what came second is there", function()
    hints(old_first, "not_found", box.fs:move("new", "w/file"))
    no_hint(box.fs:move("new", "newer"))
    hints("grep: the path comes first, then what is looked for", "not_found", box.fs:grep("TODO", "w"))
    hints("glob: the path comes first, then what is looked for", "not_found", box.fs:glob("*.lua", "w"))
    no_hint(box.fs:grep("TODO", "nowhere"))
    hints("the files come first, then the text that is looked for, then the new one", "not_found",
      box.fs:replace("TODO", "DONE", "w/file"))
    no_hint(box.fs:replace("nowhere", "TODO", "DONE"))
    assert.equal("TODO\n", box.fs:read "w/file")
  end)

  it("of a repository in the sandbox", function()
    local hint = "the path of the repository comes first"
    hints(hint, "not_found", box.git:checkout("main", "w"))
    hints(hint, "not_found", box.git:create_branch("side", "w"))
    hints(hint, "not_found", box.git:delete_branch("main", "w"))
    hints(hint, "not_found", box.git:add("file", "w"))
    hints(hint, "not_found", box.git:commit("two", "w", "Ann", "ann@example.org"))
    no_hint(box.git:checkout("nowhere", "main"))
    no_hint(box.git:add("nowhere", { "w" }))
  end)

  it("of folders, one of which is on this machine", function()
    local here_first = "the folder of this machine comes first, then that in the sandbox"
    local function kind_of(_, err) return err.kind end
    for _, call in ipairs {
      function() return box.fs:sync("no/folder", folder) end,
      function() return box.fs:sync("no/folder", folder, { direction = "down" }) end,
      function() return box.fs:upload_dir("no/folder", folder) end,
    } do hints(here_first, kind_of(call()), call()) end
    hints("the folder in the sandbox comes first, then that of this machine", "not_found",
      box.fs:download_dir(folder, "no/folder"))
    no_hint(box.fs:sync("no/folder", "no/other"))
    no_hint(box.fs:download_dir("no/folder", folder))
  end)

  it("of many files, each of which has its own", function()
    local _, err = box.fs:upload_many { { "no/file", folder .. "/mine.txt" }, { { data = "x" }, "fine" } }
    assert.truthy(tostring(err.results[1].error):find(
      "(an item is the file of this machine, then its path in the sandbox)", 1, true))
    _, err = box.fs:download_many { { folder .. "/mine.txt", folder .. "/theirs.txt" }, "w/file" }
    assert.truthy(tostring(err.results[1].error):find(
      "(an item is the path in the sandbox, then that of this machine)", 1, true))
    _, err = box.fs:download_many { folder .. "/mine.txt" }
    assert.is_nil(tostring(err.results[1].error):find("an item is", 1, true))
  end)

  it("of what is copied into an image", function()
    for _, call in ipairs {
      function(image) return image:add_local_file("no/file", folder .. "/mine.txt") end,
      function(image) return image:add_local_dir("no/folder", folder) end,
    } do
      hints("the path on this machine comes first, then that in the image", "not_found",
        service.client:create { image = call(daytona.image.base "debian") })
    end
  end)
end)
