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

describe("a repository in the sandbox", function()
  local daemon, number, path = nil, 0, nil
  setup(function()
    daemon = toolbox.start()
    daemon:exec "git config --global init.defaultBranch main"
  end)
  teardown(function() daemon:stop() end)

  local function post(call, body)
    body.path = body.path or path
    return daemon:post("/git/" .. call, body)
  end

  local function get(call, query)
    query = query or {}
    query.path = query.path or path
    return daemon:request("GET", "/git/" .. call, { query = query })
  end

  local function ok(r, status)
    assert.are.equal(status or 200, r.status, r.body)
    return r.json
  end

  local function fails(r, status, code)
    assert.are.equal(status, r.status, r.body)
    assert.are.equal(code, r.json.code)
  end

  local function sh(command)
    return daemon:exec("cd " .. path .. "; " .. command).result
  end

  local function commit(message, more)
    local body = { message = message, author = "Ann", email = "ann@example.com" }
    for name, value in pairs(more or {}) do body[name] = value end
    return post("commit", body)
  end

  before_each(function()
    number = number + 1
    path = "repo" .. number
    ok(post("init", { initial_branch = "main" }), 201)
    sh "echo 1 > a; echo 1 > b"
    ok(post("add", { files = { "." } }))
    ok(commit "first\n\nwith # a body")
  end)

  it("is made once, bare or with a branch of any name", function()
    fails(post("init", {}), 409, "CONFLICT")
    ok(post("init", { path = path .. "/bare", bare = true }), 201)
    ok(post("init", { path = path .. "/x", initial_branch = "trunk" }), 201)
    assert.are.equal("trunk\n", sh "git -C x symbolic-ref --short HEAD")
  end)

  it("takes commits by anybody, and keeps their history", function()
    fails(commit "again", 500, "INTERNAL_SERVER_ERROR")
    local hash = ok(commit("empty", { allow_empty = true })).hash
    assert.are.equal(hash .. "\n", sh "git rev-parse HEAD")
    local history = ok(get "history")
    assert.are.same({ "empty", "first\n\nwith # a body" }, { history[1].message, history[2].message })
    assert.are.same({ hash, "Ann", "ann@example.com" },
      { history[1].hash, history[1].author, history[1].email })
    assert.is_truthy(history[1].timestamp:find "^%d+%-%d+%-%d+T%d+:%d+:%d+")
    fails(post("commit", { message = "m" }), 400, "INVALID_REQUEST_BODY")
    fails(post("add", { files = { "nope" } }), 500, "INTERNAL_SERVER_ERROR")
  end)

  it("tells its state file by file", function()
    assert.are.equal("[]", get("status").body:match '"fileStatus":(%[%])')
    sh "echo 2 > a; git mv b 'c \195\188'; echo x > new; echo y > staged; git add staged"
    local status = ok(get "status")
    assert.are.same({ "main", false, false, 0, 0 }, { status.currentBranch, status.branchPublished,
      status.detached, status.ahead, status.behind })
    local seen = {}
    for _, file in ipairs(status.fileStatus) do
      seen[file.name] = table.concat({ file.staging, file.worktree, file.extra }, ",")
    end
    assert.are.same({
      a = "Unmodified,Modified,", ["c \195\188"] = "Renamed,Unmodified,b",
      new = "Untracked,Untracked,", staged = "Added,Unmodified,",
    }, seen)
    local strict = daemon:request("GET", "/git/status", { query = { path = path },
      headers = { ["X-Daytona-Source"] = "sdk-go", ["X-Daytona-SDK-Version"] = "0.187.0" } })
    assert.is_nil(strict.json.detached)
  end)

  it("has branches", function()
    ok(post("branches", { name = "feature/x" }), 201)
    assert.are.same({ branches = { "feature/x", "main" }, current = "feature/x" }, ok(get "branches"))
    fails(post("branches", { name = "main" }), 409, "GIT_BRANCH_EXISTS")
    fails(post("branches", { name = "a..b" }), 400, "BAD_REQUEST")
    fails(post("branches", { name = "-D" }), 400, "BAD_REQUEST")
    ok(post("checkout", { branch = "main" }))
    local function delete(name)
      return daemon:request("DELETE", "/git/branches", { json = { path = path, name = name } })
    end
    fails(delete "main", 400, "BAD_REQUEST")
    ok(delete "feature/x", 204)
    fails(delete "feature/x", 404, "GIT_BRANCH_NOT_FOUND")
  end)

  it("is checked out at a branch or a commit, never over changes", function()
    local first = ok(get "history")[1].hash
    sh "git checkout -q -b other; echo other > a; git -c user.name=x -c user.email=x@x commit -qam other"
    ok(post("checkout", { branch = "main" }))
    sh "echo dirty > a"
    fails(post("checkout", { branch = "other" }), 409, "GIT_DIRTY_WORKTREE")
    sh "git checkout -q a"
    ok(post("checkout", { branch = first }))
    local status = ok(get "status")
    assert.are.same({ "HEAD", true }, { status.currentBranch, status.detached })
    fails(post("checkout", { branch = "nope" }), 404, "GIT_BRANCH_NOT_FOUND")
  end)

  it("is pushed and pulled", function()
    sh "git init -q --bare ../bare$(basename $PWD); git init -q --bare ../second"
    ok(post("remotes", { name = "origin", url = daemon.dir .. "/bare" .. path }), 201)
    ok(post("push", { set_upstream = true }))
    local status = ok(get "status")
    assert.are.same({ true, "origin/main" }, { status.branchPublished, status.upstream })
    ok(daemon:post("/git/clone", { url = daemon.dir .. "/bare" .. path, path = path .. "-copy" }))
    sh "echo 2 > a"
    ok(post("add", { files = { "a" } }))
    ok(commit "second")
    assert.are.equal(1, ok(get "status").ahead)
    ok(post("push", { branch = "main", remote = "origin" }))
    ok(post("pull", { path = path .. "-copy" }))
    ok(post("pull", { path = path .. "-copy", branch = "main" }))
    assert.are.equal("2\n", sh("cat ../" .. path .. "-copy/a"))
    sh("cd ../" .. path .. "-copy; git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x")
    ok(commit("third", { allow_empty = true }))
    ok(post("push", {}))
    fails(post("push", { path = path .. "-copy" }), 409, "GIT_PUSH_REJECTED")
    fails(post("pull", { path = path .. "-copy" }), 409, "GIT_PUSH_REJECTED")
    sh("printf '#!/bin/sh\\nexit 1\\n' > ../bare" .. path .. "/hooks/pre-receive; chmod +x ../bare"
      .. path .. "/hooks/pre-receive")
    ok(commit("fourth", { allow_empty = true }))
    fails(post("push", {}), 422, "GIT_REMOTE_REJECTED")
    fails(post("pull", { remote = "nowhere", branch = "main" }), 404, "GIT_REPO_NOT_FOUND")
    fails(post("pull", { branch = "nope" }), 404, "GIT_BRANCH_NOT_FOUND")
  end)

  it("has remotes, shown without their passwords", function()
    assert.are.equal('{"remotes":[]}', get("remotes").body)
    ok(post("remotes", { name = "origin", url = "https://u:hunter2@example.com/r.git" }), 201)
    assert.are.same({ { name = "origin", url = "https://u:***@example.com/r.git" } }, ok(get "remotes").remotes)
    fails(post("remotes", { name = "origin", url = "x" }), 409, "CONFLICT")
    ok(post("remotes", { name = "origin", url = daemon.dir .. "/" .. path, overwrite = true, fetch = true }), 201)
    assert.are.equal("origin/main\n", sh "git branch -r --format '%(refname:short)'")
  end)

  it("is reset and restored", function()
    sh "echo 2 > a; echo 2 > b; git add a b"
    ok(post("reset", { files = { "a" } }))
    assert.are.equal(" M a\nM  b\n", sh "git status --short")
    ok(post("restore", { files = { "b" }, staged = true }))
    assert.are.equal(" M a\n M b\n", sh "git status --short")
    ok(post("restore", { files = { "a" } }))
    assert.are.equal(" M b\n", sh "git status --short")
    ok(post("reset", { mode = "hard", target = "HEAD" }))
    assert.are.equal("", sh "git status --short")
    fails(post("reset", { mode = "nope" }), 400, "BAD_REQUEST")
    fails(post("reset", { target = "nope" }), 404, "GIT_BRANCH_NOT_FOUND")
    fails(post("restore", { files = { "nope" } }), 400, "BAD_REQUEST")
    fails(post("restore", { files = { "a" }, staged = false, worktree = false }), 400, "BAD_REQUEST")
    fails(post("restore", { files = {} }), 400, "BAD_REQUEST")
  end)

  it("must be there", function()
    for _, call in ipairs { "status", "branches", "history", "remotes" } do
      fails(get(call, { path = "nope" }), 404, "GIT_REPO_NOT_FOUND")
      fails(daemon:request("GET", "/git/" .. call), 400, "BAD_REQUEST")
    end
    sh "mkdir inside"
    fails(get("status", { path = path .. "/inside" }), 404, "GIT_REPO_NOT_FOUND")
    sh "git init -q ../fresh"
    fails(get("status", { path = "fresh" }), 404, "NOT_FOUND")
    assert.are.equal(200, get("status", { path = "~/" .. path }).status)
  end)

  it("is configured", function()
    local function config(query) return daemon:request("GET", "/git/config", { query = query }) end
    assert.are.equal("{}", config({ key = "user.name" }).body)
    ok(daemon:post("/git/config", { key = "user.name", value = "A \"B\"" }))
    assert.are.equal("A \"B\"", config({ key = "user.name" }).json.value)
    ok(post("config/user", { name = "L", email = "l@l", scope = "local" }))
    assert.are.equal("L", config({ key = "user.name", scope = "local", path = path }).json.value)
    fails(config { key = "user.name", scope = "local" }, 400, "BAD_REQUEST")
    fails(config { key = "user.name", scope = "galactic" }, 400, "BAD_REQUEST")
    fails(config {}, 400, "BAD_REQUEST")
    fails(daemon:post("/git/config", { key = "a.b", value = "" }), 400, "INVALID_REQUEST_BODY")
  end)

  it("remembers credentials when told to", function()
    ok(daemon:post("/git/credentials", { username = "u", password = "p w", host = "example.com" }))
    assert.are.equal("https://u:p%20w@example.com\n", daemon:exec("cat ~/.git-credentials").result)
    fails(daemon:post("/git/credentials", { username = "u", password = "a\nb" }), 400, "BAD_REQUEST")
  end)
end)
