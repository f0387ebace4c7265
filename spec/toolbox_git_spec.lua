-- Git in a sandbox, against repositories on the same machine.

local toolbox = require "spec.support.toolbox"

describe("git in the sandbox", function()
  local daemon
  setup(function()
    daemon = toolbox.start()
    assert.are.equal(0, daemon:exec([[
set -e
git config --global user.name Me; git config --global user.email me@example.com
git config --global init.defaultBranch main; git config --global advice.detachedHead false
git init -q "origin repo"; cd "origin repo"
echo 1 > a; git add a; git commit -qm first; git tag one
echo 2 > a; git commit -qam second
git checkout -qb side; echo side > b; git add b; git commit -qm side
git checkout -q main; git init -q ../empty]]).exitCode)
  end)
  teardown(function() daemon:stop() end)

  local function clone(body) return daemon:post("/git/clone", body) end

  local function fails(r, status, code)
    assert.are.equal(status, r.status, r.body)
    assert.are.equal(code, r.json.code)
  end

  it("clones a repository", function()
    assert.are.equal(200, clone({ url = daemon.dir .. "/origin repo", path = "new/here" }).status)
    assert.are.equal("2\nmain\n", daemon:exec("cd new/here; cat a; git branch --format '%(refname:short)'").result)
    fails(clone { url = daemon.dir .. "/origin repo", path = "new/here" }, 409, "CONFLICT")
  end)

  it("clones one branch, one commit, a short history", function()
    local url = "file://" .. daemon.dir .. "/origin%20repo"
    assert.are.equal(200, clone({ url = url, path = "b", branch = "side", depth = 1 }).status)
    assert.are.equal("side\n1\n", daemon:exec("cd b; cat b; git rev-list --count HEAD").result)
    local commit = daemon:exec("cd 'origin repo'; git rev-parse one").result:match "%x+"
    assert.are.equal(200, clone({ url = url, path = "c", commit_id = commit }).status)
    assert.are.equal("1\nHEAD\n", daemon:exec("cd c; cat a; git rev-parse --abbrev-ref HEAD").result)
  end)

  it("says why it could not, and leaves nothing", function()
    local url = daemon.dir .. "/origin repo"
    fails(clone { url = url, path = "x", branch = "nope" }, 404, "GIT_BRANCH_NOT_FOUND")
    fails(clone { url = url, path = "x", commit_id = ("0"):rep(40) }, 404, "GIT_BRANCH_NOT_FOUND")
    fails(clone { url = daemon.dir .. "/nothing", path = "x" }, 404, "GIT_REPO_NOT_FOUND")
    fails(clone { url = daemon.dir .. "/empty", path = "x" }, 404, "NOT_FOUND")
    fails(clone { url = "http://127.0.0.1:9/x.git", path = "x" }, 502, "GIT_TRANSPORT_FAILED")
    fails(clone { url = url }, 400, "INVALID_REQUEST_BODY")
    assert.are_not.equal(0, daemon:exec("ls -d x").exitCode)
  end)

  it("needs credentials where the remote does, and never shows them", function()
    -- The daemon's own answer to a request without its key is a 401.
    local url = daemon.url .. "/toolbox/box/repo.git"
    local r = clone { url = url, path = "x", username = "u", password = "hunter2" }
    fails(r, 401, "GIT_AUTH_FAILED")
    assert.is_nil(r.body:find("hunter2", 1, true))
    r = clone { url = url:gsub("://", "://u:hunter2@"), path = "x" }
    fails(r, 401, "GIT_AUTH_FAILED")
    assert.is_nil(r.body:find("hunter2", 1, true))
    fails(clone { url = url, path = "x" }, 401, "GIT_AUTH_FAILED")
  end)
end)
