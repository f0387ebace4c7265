-- Git's calls as the daemon gets them, and what is made of its answers; no server.

local json = require "daytona.http.json"
local support = require "spec.support.canned"

local failed = support.failed

local canned, git

-- Routes are given anew by each case; the remotes tell how old the daemon is.
local function daemon(routes)
  canned = support.start(routes)
  git = canned.sandbox.git
end
after_each(support.stop)

local NEW = { remotes = json.array() }
local OLD = { 404, "404 page not found" }

local function last() return canned.requests[#canned.requests] end

local function misused(words, fn, ...)
  support.misused(words, fn, git, ...)
end

describe("a clone", function()
  it("takes credentials out of the URL, and names its folder", function()
    daemon { ["POST /git/clone"] = true }
    for address, wanted in pairs {
      ["https://host/a/b.git"] = { "https://host/a/b.git", "b" }, ["https://host/b/"] = { "https://host/b/", "b" },
      ["git@host:a/c.git"] = { "git@host:a/c.git", "c" }, ["host:d"] = { "host:d", "d" },
      ["https://u:p%40w@host/b"] = { "https://host/b", "b", "u", "p@w" },
      ["HTTP://tok%2Fen@host/b"] = { "HTTP://host/b", "b", "git", "tok/en" },
      ["https://tok:@host/b"] = { "https://host/b", "b", "git", "tok" },
      ["https://:pw@host/b"] = { "https://host/b", "b", "", "pw" },
      ["https://u:a:b@host/b"] = { "https://host/b", "b", "u", "a:b" },
      ["https://host/b@c"] = { "https://host/b@c", "b@c" },
    } do
      local made = assert(git:clone(address))
      assert.same({ url = wanted[1], path = wanted[2] }, made)
      assert.same({ url = wanted[1], path = wanted[2], username = wanted[3], password = wanted[4] }, last().json)
      assert.equal(600, last().timeout)
      assert.same({ wanted[4] }, last().secrets)
    end
    assert.same({ url = "https://host/b", path = "to" }, git:clone("https://host/b", "to", { timeout = 7, branch = "x",
      commit_id = "abc", username = "me", password = "pw", insecure_skip_tls = true }))
    assert.same({ url = "https://host/b", path = "to", branch = "x", commit_id = "abc", username = "me",
      password = "pw", insecure_skip_tls = true }, last().json)
    assert.equal(7, last().timeout)
    misused("the URL names no folder", git.clone, "https://")
    misused("username and password go together", git.clone, "https://h/b", "b", { username = "u" })
    misused("username and password go together", git.clone, "https://h/b", "b", { password = "p" })
    misused("cannot hold control characters", git.clone, "https://h/b\n")
    misused("cannot hold control characters", git.clone, "https://h/b", "b\0")
  end)

  it("to a depth is refused by old servers, before anything is fetched", function()
    daemon { ["GET /git/remotes"] = NEW, ["POST /git/clone"] = true }
    assert(git:clone("https://h/b", nil, { depth = 1 }))
    assert.equal(1, last().json.depth)
    daemon { ["GET /git/remotes"] = OLD, ["POST /git/clone"] = true }
    local none, err = git:clone("https://h/b", nil, { depth = 1 })
    assert.same({ nil, "unsupported" }, { none, err.kind })
    assert.same({ "GET /git/remotes" }, canned:asked())
    daemon { ["GET /git/remotes"] = { 503, "" } }
    assert.same({ nil, "unavailable" }, { nil, select(2, git:clone("https://h/b", nil, { depth = 1 })).kind })
    -- A daemon that says what is wrong knows the question.
    daemon { ["GET /git/remotes"] = failed(404, "no repository", "GIT_REPO_NOT_FOUND"), ["POST /git/clone"] = true }
    assert(git:clone("https://h/b", nil, { depth = 1 }))
    assert(git:clone("https://h/b", nil, { depth = 1 }))
    assert.same({ "GET /git/remotes", "POST /git/clone", "POST /git/clone" }, canned:asked())
  end)

  it("fails as what the daemon says", function()
    for message, wanted in pairs {
      ["dial: connection refused"] = { "unavailable", "GIT_TRANSPORT_FAILED" },
      ["lookup x: no such host"] = { "unavailable", "GIT_TRANSPORT_FAILED" },
      ["dial tcp 1.2.3.4"] = { "unavailable", "GIT_TRANSPORT_FAILED" },
      ["repository not exported"] = { "not_found", "GIT_REPO_NOT_FOUND" },
      ["couldn't find remote ref x"] = { "not_found", "GIT_BRANCH_NOT_FOUND" },
      ["pre-receive hook declined"] = { "invalid", "GIT_REMOTE_REJECTED" },
      ["non-fast-forward update"] = { "conflict", "GIT_PUSH_REJECTED" },
      ["what else"] = { "server" },
    } do
      daemon { ["POST /git/clone"] = failed(500, message) }
      local _, err = git:clone "https://h/b"
      assert.same(wanted, { err.kind, err.code })
      daemon { ["POST /git/clone"] = failed(400, message) }
      assert.equal("invalid", select(2, git:clone "https://h/b").kind)
    end
  end)
end)

describe("a repository", function()
  it("is told what callers give", function()
    daemon { ["POST /git/init"] = true, ["POST /git/add"] = true, ["POST /git/commit"] = { hash = "h", more = 1 },
      ["POST /git/reset"] = true, ["POST /git/restore"] = true, ["POST /git/branches"] = true }
    assert.is_true(git:init("p", { bare = true, initial_branch = "b" }))
    assert.same({ path = "p", bare = true, initial_branch = "b" }, last().json)
    for _, files in ipairs { "f", { "f" } } do
      assert.is_true(git:add("p", files))
      assert.same({ path = "p", files = { "f" } }, last().json)
    end
    assert.same({ hash = "h" }, git:commit("p", "m", "a", "e", { allow_empty = true }))
    assert.same({ path = "p", message = "m", author = "a", email = "e", allow_empty = true }, last().json)
    assert.is_true(git:reset("p", { mode = "mixed", files = "f", target = "t" }))
    assert.same({ path = "p", mode = "mixed", files = { "f" }, target = "t" }, last().json)
    assert.is_true(git:reset("p", { files = { "f" } }))
    assert.is_true(git:reset("p", { mode = "hard" }))
    misused("only a mixed reset", git.reset, "p", { mode = "hard", files = "f" })
    assert.is_true(git:restore("p", "f", { staged = true }))
    assert.same({ path = "p", files = { "f" }, staged = true }, last().json)
    assert.is_true(git:create_branch("p", "b"))
    for _, odd in ipairs { {}, "", { "" }, { "f", 1 }, { "f", "a\0b" }, 5 } do misused("add: ", git.add, "p", odd) end
    misused("without NUL bytes", git.commit, "p", "a\0b", "a", "e")
    misused("init: the path", git.init, "")
  end)

  it("is told again, where that answer is lost, what may be said twice", function()
    local routes = {}
    for _, path in ipairs { "add", "restore", "checkout", "config", "config/user", "credentials", "commit", "push",
      "reset", "init", "clone" } do routes["POST /git/" .. path] = true end
    routes["GET /git/branches"], routes["GET /git/remotes"] = { branches = { "b" } }, NEW
    daemon(routes)
    for call, safe in pairs {
      [function() git:add("p", "f") end] = true, [function() git:restore("p", "f") end] = true,
      [function() git:checkout("p", "b") end] = true, [function() git:set_config("k", "v") end] = true,
      [function() git:configure_user("n", "e") end] = true, [function() git:authenticate("u", "p") end] = true,
      [function() git:commit("p", "m", "a", "e") end] = false, [function() git:push "p" end] = false,
      [function() git:reset "p" end] = false, [function() git:clone "https://h/b" end] = false,
    } do
      call()
      assert.equal(safe, last().safe or false, last().path)
    end
  end)

  it("is named by a path, and what is in it by names", function()
    daemon {}
    for _, odd in ipairs { "", 5, "a\0b" } do
      misused("clone: the URL", git.clone, odd ~= "a\0b" and odd or 5)
      for _, name in ipairs { "delete_branch", "checkout", "pull", "get_remote", "status", "push" } do
        misused(name .. ": the path", git[name], odd, "x")
      end
      misused("delete_branch: the name", git.delete_branch, "p", odd)
      misused("checkout: the branch", git.checkout, "p", odd)
      misused("get_remote: the name", git.get_remote, "p", odd)
    end
    assert.same({}, canned:asked())
  end)

  it("is understood where it fails", function()
    for _, case in ipairs {
      { "POST /git/add", "entry not found", { "not_found", "GIT_FILE_NOT_FOUND" },
        function() return git:add("p", "f") end },
      { "POST /git/commit", "clean working tree", { "conflict", "GIT_NOTHING_TO_COMMIT" },
        function() return git:commit("p", "m", "a", "e") end },
      { "POST /git/branches", "branch already exists", { "conflict", "GIT_BRANCH_EXISTS" },
        function() return git:create_branch("p", "b") end },
    } do
      daemon { [case[1]] = failed(500, case[2]) }
      local _, err = case[4]()
      assert.same(case[3], { err.kind, err.code })
      daemon { [case[1]] = failed(400, case[2]) }
      assert.is_nil(select(2, case[4]()).code)
    end
  end)

  it("has a status, branches and remotes, in order", function()
    daemon {
      ["GET /git/status"] = { currentBranch = "main", fileStatus = { { name = "b" }, { name = "a" } } },
      ["GET /git/branches"] = { branches = { "b", "a" }, current = "b" },
      ["GET /git/remotes"] = { remotes = { { name = "o2", url = "u2" }, { name = "o", url = "u" } } },
      ["GET /git/config"] = { value = "v" },
    }
    assert.same({ current_branch = "main", file_status = { { name = "a" }, { name = "b" } } }, git:status "p")
    assert.same({ path = "p" }, last().query)
    assert.same({ { "a", "b" }, "b" }, { git:branches "p" })
    assert.same({ { name = "o", url = "u" }, { name = "o2", url = "u2" } }, git:remotes "p")
    assert.same({ name = "o2", url = "u2" }, git:get_remote("p", "o2"))
    assert.equal("not_found", select(2, git:get_remote("p", "o3")).kind)
    assert.equal("v", git:get_config "k")
    daemon { ["GET /git/status"] = { currentBranch = "main" }, ["GET /git/branches"] = { current = "" },
      ["GET /git/remotes"] = { other = 1 }, ["GET /git/config"] = { value = 5 } }
    assert.same({ current_branch = "main", file_status = {} }, git:status "p")
    assert.same({ {} }, { git:branches "p" })
    assert.same({}, git:remotes "p")
    assert.equal("", git:get_config "k")
  end)

  it("that answers with something else is a protocol error", function()
    for route, bodies in pairs {
      ["GET /git/status"] = { { a = 1 }, { currentBranch = 1 }, { currentBranch = "m", fileStatus = 5 },
        { currentBranch = "m", fileStatus = { 5 } }, { currentBranch = "m", fileStatus = { { name = 5 } } } },
      ["GET /git/branches"] = { { branches = 5 }, { branches = { "a", 5 } } },
      ["GET /git/remotes"] = { { remotes = { { url = "u" } } }, { remotes = "x" } },
      ["POST /git/commit"] = { { hash = 5 }, { a = 1 } },
    } do
      for _, body in ipairs(bodies) do
        daemon { [route] = body }
        local call = ({ ["GET /git/status"] = "status", ["GET /git/branches"] = "branches",
          ["GET /git/remotes"] = "remotes", ["POST /git/commit"] = "commit" })[route]
        local none, err = git[call](git, "p", call == "commit" and "m" or nil, call == "commit" and "a" or nil,
          call == "commit" and "e" or nil)
        assert.same({ nil, "protocol" }, { none, err.kind }, json.encode(body))
      end
    end
  end)

  it("is configured in a scope", function()
    daemon { ["POST /git/config"] = true, ["POST /git/config/user"] = true, ["POST /git/credentials"] = true,
      ["POST /git/remotes"] = true }
    assert.is_true(git:set_config("k", "v", { scope = "local", path = "p" }))
    assert.same({ key = "k", value = "v", scope = "local", path = "p" }, last().json)
    assert.same({ "v" }, last().secrets)
    assert.is_true(git:set_config("k", "v", { scope = "global" }))
    misused("set_config: the local scope", git.set_config, "k", "v", { scope = "local" })
    misused("get_config: the local scope", git.get_config, "k", { scope = "local" })
    misused("configure_user: the local scope", git.configure_user, "n", "e", { scope = "local" })
    assert.is_true(git:configure_user("n", "e"))
    assert.same({ name = "n", email = "e" }, last().json)
    assert.is_true(git:authenticate("u", "p", { host = "h" }))
    assert.same({ username = "u", password = "p", host = "h" }, last().json)
    for _, odd in ipairs { "a\nb", "a\rb" } do misused("cannot hold line ends", git.authenticate, "u", odd) end
    assert.is_true(git:add_remote("p", "o", "https://h/b"))
    assert.same({ { path = "p", name = "o", url = "https://h/b" }, nil }, { last().json, last().timeout })
    git:add_remote("p", "o", "https://h/b", { fetch = true, overwrite = true })
    assert.equal(600, last().timeout)
    git:add_remote("p", "o", "https://h/b", { fetch = true, timeout = 5 })
    assert.equal(5, last().timeout)
    misused("a URL with credentials", git.add_remote, "p", "o", "https://u:p@h/b")
  end)
end)

describe("a branch", function()
  local STATUS = "GET /git/status"

  it("is deleted where it is there, and not the one that is checked out", function()
    local function delete(name, branches, status)
      daemon { ["GET /git/branches"] = branches, [STATUS] = status, ["DELETE /git/branches"] = true }
      local fine, err = git:delete_branch("p", name)
      return fine or err.kind .. (err.code and " " .. err.code or ""), canned:asked()
    end
    local there = { branches = { "a", "b" }, current = "a" }
    assert.same({ true, { "GET /git/branches", "DELETE /git/branches" } }, { delete("b", there) })
    assert.same({ path = "p", name = "b" }, last().json)
    assert.is_false(last().safe)
    assert.same({ "conflict", { "GET /git/branches" } }, { delete("a", there) })
    assert.same({ "not_found GIT_BRANCH_NOT_FOUND", { "GET /git/branches" } }, { delete("c", there) })
    local untold = { branches = { "a", "b" } }
    assert.equal(true, (delete("b", untold, { currentBranch = "a" })))
    assert.equal("conflict", (delete("a", untold, { currentBranch = "a" })))
    assert.equal("unavailable", (delete("b", untold, { 503 })))
    assert.equal("unavailable", (delete("b", { 503 })))
  end)

  -- What checking it out comes to, and what was asked. `checkouts`: answers to those.
  local function checkout(name, fields)
    daemon {
      ["GET /git/branches"] = fields.branches or { branches = { "a", "main" }, current = "main" },
      ["GET /git/remotes"] = fields.old and OLD or fields.remotes or NEW, [STATUS] = fields.status,
      ["POST /git/checkout"] = function(_, n) return fields.checkouts and fields.checkouts[n] or true end,
    }
    local fine, err = git:checkout("p", name)
    local went = {}
    for _, request in ipairs(canned.requests) do
      if request.path == "/git/checkout" then went[#went + 1] = request.json.branch end
    end
    return fine or err.kind .. (err.code and " " .. err.code or ""), table.concat(went, ",")
  end

  it("that is there is gone to, unless changes are in the way", function()
    for _, name in ipairs { "a", "refs/heads/a" } do assert.same({ true, "a" }, { checkout(name, {}) }) end
    assert.same({ "conflict GIT_DIRTY_WORKTREE", "a" }, { checkout("a", { checkouts = { failed(404, "not found") } }) })
    assert.same({ "not_found GIT_REPO_NOT_FOUND", "a" },
      { checkout("a", { checkouts = { failed(404, "no", "GIT_REPO_NOT_FOUND") } }) })
    assert.same({ "server", "a" }, { checkout("a", { checkouts = { failed(500, "no") } }) })
    assert.same({ "unavailable", "" }, { checkout("a", { remotes = { 503 } }) })
    assert.same({ "unavailable", "" }, { checkout("a", { branches = { 503 } }) })
  end)

  it("that is there is not gone to by old daemons where files have changes", function()
    local function with(state) return { currentBranch = "main", fileStatus = { { name = "f", worktree = state } } } end
    assert.same({ "conflict GIT_DIRTY_WORKTREE", "" }, { checkout("a", { old = true, status = with "Modified" }) })
    assert.same({ true, "a" }, { checkout("a", { old = true, status = with "Untracked" }) })
    assert.same({ true, "a" }, { checkout("a", { old = true, status = with "Unmodified" }) })
    assert.same({ "unavailable", "" }, { checkout("a", { old = true, status = { 503 } }) })
  end)

  it("that is none of these may be a hash, or a tag, and never leads to another", function()
    for _, hash in ipairs { "abcd", ("0"):rep(40), ("f"):rep(64) } do
      assert.same({ true, hash }, { checkout(hash, {}) })
    end
    for _, name in ipairs { "abc", ("f"):rep(65), "abcg" } do
      assert.same({ true, name }, { checkout(name, { status = { currentBranch = "HEAD", detached = true } }) })
      assert.same({ true, name }, { checkout(name, { status = { currentBranch = name } }) })
      assert.same({ "not_found GIT_BRANCH_NOT_FOUND", name .. ",main" },
        { checkout(name, { status = { currentBranch = "master" } }) })
      assert.same({ "not_found GIT_BRANCH_NOT_FOUND", name },
        { checkout(name, { status = { currentBranch = "main" } }) })
      assert.same({ "not_found GIT_BRANCH_NOT_FOUND", name },
        { checkout(name, { status = { currentBranch = "master" }, branches = { branches = { "a" } } }) })
      assert.same({ "not_found GIT_BRANCH_NOT_FOUND", "" }, { checkout(name, { old = true }) })
      assert.same({ "unavailable", "" }, { checkout(name, { remotes = { 503 } }) })
      assert.same({ "unavailable", name }, { checkout(name, { status = { 503 } }) })
      assert.same({ "server", name }, { checkout(name, { checkouts = { failed(500, "no") } }) })
      assert.same({ "server", name .. ",main" },
        { checkout(name, { status = { currentBranch = "x" }, checkouts = { true, failed(500, "no") } }) })
    end
  end)
end)

describe("a remote", function()
  it("is pushed to; old servers push nothing but the current branch", function()
    local function push(remotes, opts, answer)
      daemon { ["GET /git/remotes"] = remotes, ["POST /git/push"] = answer or true }
      local fine, err = git:push("p", opts)
      return fine or err.kind .. (err.code and " " .. err.code or ""), canned:asked()
    end
    assert.same({ true, { "POST /git/push" } }, { push(OLD, nil) })
    assert.same({ path = "p" }, last().json)
    assert.equal(600, last().timeout)
    for _, opts in ipairs { { branch = "b" }, { remote = "r" }, { set_upstream = true } } do
      assert.same({ true, { "GET /git/remotes", "POST /git/push" } }, { push(NEW, opts) })
      for name, value in pairs(opts) do assert.equal(value, last().json[name]) end
      assert.same({ "unsupported", { "GET /git/remotes" } }, { push(OLD, opts) })
      assert.equal("unavailable", (push({ 503 }, opts)))
    end
    assert.equal(true, (push(NEW, { username = "u", password = "pw", timeout = 3 })))
    assert.same({ { path = "p", username = "u", password = "pw" }, 3, { "pw" } },
      { last().json, last().timeout, last().secrets })
    misused("push: username and password go together", git.push, "p", { username = "u" })
    assert.equal("conflict GIT_PUSH_REJECTED", (push(NEW, nil, failed(500, "non-fast-forward"))))
    assert.equal("unavailable GIT_TRANSPORT_FAILED", (push(NEW, nil, failed(500, "no such host"))))
  end)

  it("is pulled from: what the branch follows, or what is named", function()
    local function pull(status, opts, remotes)
      daemon { ["GET /git/status"] = status, ["GET /git/remotes"] = remotes or NEW, ["POST /git/pull"] = true }
      local fine, err = git:pull("p", opts)
      if not fine then return err.kind end
      return (last().json.remote or "") .. " " .. (last().json.branch or "")
    end
    local follows = { currentBranch = "b", upstream = "origin/x/y" }
    assert.equal("origin x/y", pull(follows))
    assert.equal(600, last().timeout)
    assert.equal("origin x/y", pull(follows, { remote = "origin" }))
    assert.equal("other b", pull(follows, { remote = "other" }))
    assert.equal("origin z", pull(follows, { branch = "z" }))
    local named = { remote = "other", branch = "z", username = "u", password = "p", timeout = 3 }
    assert.equal("other z", pull(follows, named))
    assert.same({ "u", "p", 3 }, { last().json.username, last().json.password, last().timeout })
    assert.equal(" b", pull { currentBranch = "b" })
    assert.equal(" b", pull { currentBranch = "b", upstream = "fork/x" })
    assert.equal("conflict", pull { currentBranch = "HEAD" })
    assert.equal("conflict", pull { currentBranch = "b", detached = true })
    assert.equal("unavailable", pull { 503 })
    assert.equal("unavailable", pull(follows, nil, { 503 }))
    misused("pull: username and password go together", git.pull, "p", { password = "u" })
    assert.equal(" main", pull({ currentBranch = "main" }, nil, OLD))
    assert.equal(" master", pull({ currentBranch = "master" }, nil, OLD))
    assert.equal("unsupported", pull({ currentBranch = "b" }, nil, OLD))
    assert.equal("unsupported", pull({ currentBranch = "main" }, { branch = "x" }, OLD))
    assert.equal("unsupported", pull({ currentBranch = "main" }, { remote = "x" }, OLD))
  end)
end)
