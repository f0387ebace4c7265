-- Cloning into a sandbox of the local server.

local daytona = require "daytona"

local service, box, origin

setup(function()
  service = require("spec.support.service").start()
  box = assert(service.client:create())
  assert(box:exec([[
    set -e
    git init -q -b main w && cd w
    git config user.email a@example.org && git config user.name n
    echo one > file && git add file && git commit -qm one
    git checkout -q -b side && echo two > file && git commit -qam two && git checkout -q main
    git clone -q --bare . ../origin.git
  ]], { check = true }))
  origin = "file://" .. assert(box:work_dir()) .. "/origin.git"
end)

teardown(function() service:stop() end)

before_each(function() assert(service.server:clear_faults()) end)

local function file_in(path)
  return assert(box.fs:read(path .. "/file"))
end

describe("a clone", function()
  it("is where it was wanted, and says where", function()
    assert.same({ url = origin, path = "copies/one" }, assert(box.git:clone(origin, "copies/one")))
    assert.equal("one\n", file_in "copies/one")
  end)

  it("without a path takes the repository's name", function()
    assert.equal("origin", assert(box.git:clone(origin)).path)
    assert.equal("one\n", file_in "origin")
  end)

  it("is of a branch, or a commit", function()
    assert(box.git:clone(origin, "side", { branch = "side" }))
    assert.equal("two\n", file_in "side")
    local commit = assert(box:exec "git -C w rev-parse main").result:match "%x+"
    assert(box.git:clone(origin, "commit", { branch = "side", commit_id = commit }))
    assert.equal("one\n", file_in "commit")
  end)

  it("of what is not there, or onto what is, has its kind", function()
    local _, err = box.git:clone(origin .. "x", "none")
    assert.equal("not_found", err.kind)
    _, err = box.git:clone(origin, "none2", { branch = "nope" })
    assert.equal("not_found", err.kind)
    assert(box.git:clone(origin, "taken"))
    _, err = box.git:clone(origin, "taken")
    assert.equal("conflict", err.kind)
  end)

  it("that needs other credentials is of kind auth, and of git", function()
    assert(service.server:faults { { path = "/git/clone", status = 401, code = "GIT_AUTH_FAILED", message = "no" } })
    local _, err = box.git:clone(origin, "x")
    assert.equal("auth", err.kind)
    assert.is_true(daytona.is_error(err, "git"))
  end)

  it("shows its password nowhere", function()
    local _, err = box.git:clone("https://me:pa%24sw0rd@127.0.0.1:1/r.git")
    assert.equal("unavailable", err.kind)
    assert.equal("https://127.0.0.1:1/r.git", err.what)
    assert(service.server:faults {
      { path = "/git/clone", status = 500, message = "for pa$sw0rd at https://u:pa$sw0rd@h/" },
    })
    local _, echoed = box.git:clone("https://127.0.0.1:1/r.git", nil, { username = "me", password = "pa$sw0rd" })
    for _, e in ipairs { err, echoed } do
      for _, text in ipairs { tostring(e), e.message, e.body or "", e.what } do
        assert.is_nil(text:find("sw0rd", 1, true), text)
      end
    end
  end)

  it("is refused where it makes no sense", function()
    for _, call in ipairs {
      function() box.git:clone() end, function() box.git:clone "" end, function() box.git:clone("x\ny", "p") end,
      function() box.git:clone(origin, "p", { username = "u" }) end,
      function() box.git:clone(origin, "p", { password = "p" }) end,
      function() box.git:clone(origin, "p", { brnch = "p" }) end,
    } do assert.has_error(call) end
  end)
end)
