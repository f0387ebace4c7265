-- Git in a sandbox of the local server.

local daytona = require "daytona"
local json = require "daytona.http.json"

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

  it("takes a token that stands alone in the URL for a password", function()
    local loop = require "daytona.loop"
    local start, sent = loop.start, nil
    function loop.start(request, ...)
      if request.url and request.url:find("/git/clone", 1, true) then sent = json.decode(request.body) end
      return start(request, ...)
    end
    for _, address in ipairs { "https://t%2Dk@127.0.0.1:1/r.git", "https://t%2Dk:@127.0.0.1:1/r.git" } do
      local _, err = box.git:clone(address)
      assert.same({ url = "https://127.0.0.1:1/r.git", path = "r", username = "git", password = "t-k" }, sent)
      assert.is_nil(tostring(err):find("t%-k"), tostring(err))
    end
    loop.start = start
  end)

  it("is refused where it makes no sense", function()
    for _, call in ipairs {
      function() box.git:clone() end, function() box.git:clone "" end, function() box.git:clone("x\ny", "p") end,
      function() box.git:clone(origin, "p", { username = "u" }) end,
      function() box.git:clone(origin, "p", { password = "p" }) end,
      function() box.git:clone(origin, "p", { brnch = "p" }) end,
      function() box.git:add("p", { "a\0" }) end, function() box.git:add("p", { "a", "" }) end,
    } do assert.has_error(call) end
  end)
end)

local WHO, MAIL = "Ann", "ann@example.org"

-- A repository with one commit, under this path.
local function repository(path)
  assert(box.git:init(path, { initial_branch = "main" }))
  assert(box.fs:write(path .. "/file", "1\n"))
  assert(box.git:add(path, "."))
  return assert(box.git:commit(path, "first\n\nwith more", WHO, MAIL)).hash
end

local function names(status)
  local out = {}
  for i, file in ipairs(status.file_status) do out[i] = file.name .. " " .. file.staging .. " " .. file.worktree end
  return out
end

describe("a repository", function()
  it("is made once", function()
    assert(box.git:init("made", { bare = true }))
    local _, err = box.git:init("made")
    assert.equal("conflict", err.kind)
    _, err = box.git:status("nowhere")
    assert.equal("not_found", err.kind)
    assert.equal("GIT_REPO_NOT_FOUND", err.code)
  end)

  it("tells what has changed, in order", function()
    repository "st"
    assert.same({}, assert(box.git:status "st").file_status)
    for _, name in ipairs { "z", "b c", "ä", "a" } do assert(box.fs:write("st/" .. name, "x")) end
    assert(box.fs:write("st/file", "2\n"))
    assert(box.git:add("st", { "a", "b c" }))
    local status = assert(box.git:status "st")
    assert.same({
      "a Added Unmodified", "b c Added Unmodified", "file Unmodified Modified", "z Untracked Untracked",
      "ä Untracked Untracked",
    }, names(status))
    assert.equal("main", status.current_branch)
    assert.equal(0, status.ahead)
    assert.is_false(status.branch_published)
    assert.is_false(status.detached)
  end)

  it("is committed to, and has a history", function()
    local first = repository "co"
    local _, err = box.git:commit("co", "nothing", WHO, MAIL)
    assert.same({ "conflict", "GIT_NOTHING_TO_COMMIT" }, { err.kind, err.code })
    local second = assert(box.git:commit("co", "empty", WHO, MAIL, { allow_empty = true })).hash
    assert.truthy(second:find "^%x+$")
    local log = assert(box.git:log "co")
    assert.same({ second, first }, { log[1].hash, log[2].hash })
    assert.equal(WHO, log[2].author)
    assert.equal(MAIL, log[2].email)
    assert.equal("first\n\nwith more", (log[2].message:gsub("%s*$", "")))
    _, err = box.git:add("co", "none")
    assert.same({ "not_found", "GIT_FILE_NOT_FOUND" }, { err.kind, err.code })
    assert.is_true(daytona.is_error(err, "git"))
  end)

  it("is put back", function()
    local first = repository "re"
    assert(box.fs:write("re/file", "2\n"))
    assert(box.git:restore("re", "file"))
    assert.equal("1\n", file_in "re")
    assert(box.fs:write("re/file", "2\n"))
    assert(box.git:add("re", "."))
    assert(box.git:restore("re", { "file" }, { staged = true }))
    assert.same({ "file Unmodified Modified" }, names(assert(box.git:status "re")))
    assert(box.git:add("re", "."))
    assert(box.git:reset("re", { files = "file" }))
    assert.same({ "file Unmodified Modified" }, names(assert(box.git:status "re")))
    assert(box.git:add("re", "."))
    assert(box.git:commit("re", "second", WHO, MAIL))
    assert(box.git:reset("re", { mode = "hard", target = first }))
    assert.equal("1\n", file_in "re")
    local _, err = box.git:reset("re", { target = "nonsense" })
    assert.equal("not_found", err.kind)
  end)
end)

describe("branches", function()
  it("are listed, made, checked out and deleted", function()
    repository "br"
    assert(box.git:create_branch("br", "b"))
    assert(box.git:create_branch("br", "a/b"))
    local list, current = box.git:branches "br"
    assert.same({ "a/b", "b", "main" }, list)
    assert.equal("a/b", current)
    local _, err = box.git:create_branch("br", "b")
    assert.equal("conflict", err.kind)
    assert.equal("GIT_BRANCH_EXISTS", err.code)
    _, err = box.git:delete_branch("br", "a/b")
    assert.equal("conflict", err.kind)
    assert(box.git:checkout("br", "main"))
    assert(box.git:delete_branch("br", "a/b"))
    _, err = box.git:delete_branch("br", "a/b")
    assert.equal("not_found", err.kind)
    assert.is_true(daytona.is_error(err, "git"))
  end)

  it("are checked out by name, tag or hash, and never another", function()
    local first = repository "ck"
    assert(box:exec("git -C ck branch master && git -C ck tag v1", { check = true }))
    assert(box.git:checkout("ck", "v1"))
    assert.is_true(assert(box.git:status "ck").detached)
    assert(box.git:checkout("ck", "refs/heads/main"))
    assert(box.git:checkout("ck", first))
    assert(box.git:checkout("ck", "main"))
    for _, name in ipairs { "mian", "deadbeef" } do
      local _, err = box.git:checkout("ck", name)
      assert.equal("not_found", err.kind)
      assert.equal("main", assert(box.git:status "ck").current_branch)
    end
  end)

  it("are not left when changes are in the way", function()
    repository "di"
    assert(box.git:create_branch("di", "other"))
    assert(box.fs:write("di/file", "2\n"))
    assert(box.git:add("di", "."))
    assert(box.git:commit("di", "second", WHO, MAIL))
    assert(box.fs:write("di/file", "3\n"))
    local _, err = box.git:checkout("di", "main")
    assert.equal("conflict", err.kind)
    assert.equal("GIT_DIRTY_WORKTREE", err.code)
  end)

  it("are known when the daemon says that it finds no reference, for what is in the way", function()
    repository "dw"
    assert(box.git:create_branch("dw", "other"))
    assert(service.server:faults { { path = "/git/checkout", status = 404, code = "NOT_FOUND",
      message = "failed to checkout branch or commit 'main': reference not found" } })
    local _, err = box.git:checkout("dw", "main")
    assert.same({ "conflict", "GIT_DIRTY_WORKTREE", "checkout", "main" },
      { err.kind, err.code, err.operation, err.what })
  end)
end)

describe("remotes", function()
  local function remote(name)
    assert(box:exec("git init -q --bare -b main " .. name .. ".git", { check = true }))
    return "file://" .. assert(box:work_dir()) .. "/" .. name .. ".git"
  end

  it("are added and listed", function()
    repository "rl"
    assert.same({}, assert(box.git:remotes "rl"))
    assert(box.git:add_remote("rl", "z", "https://example.org/z.git"))
    assert(box.git:add_remote("rl", "a", "https://example.org/a.git"))
    local _, err = box.git:add_remote("rl", "a", "https://example.org/b.git")
    assert.equal("conflict", err.kind)
    assert(box.git:add_remote("rl", "a", "https://example.org/b.git", { overwrite = true }))
    assert.same({
      { name = "a", url = "https://example.org/b.git" }, { name = "z", url = "https://example.org/z.git" },
    }, assert(box.git:remotes "rl"))
    assert.equal("https://example.org/z.git", assert(box.git:get_remote("rl", "z")).url)
    _, err = box.git:get_remote("rl", "none")
    assert.equal("not_found", err.kind)
  end)

  it("are pushed to and pulled from, each branch from what it follows", function()
    local address = remote "pp"
    repository "pa"
    assert(box.git:add_remote("pa", "origin", address))
    assert(box.git:push("pa", { set_upstream = true }))
    assert(box.git:push "pa")
    local status = assert(box.git:status "pa")
    assert.is_true(status.branch_published)
    assert.equal("origin/main", status.upstream)
    assert(box.git:clone(address, "pb"))
    assert(box.git:create_branch("pb", "feature"))
    assert(box.git:push("pb", { branch = "feature", set_upstream = true }))
    assert(box.fs:write("pa/file", "2\n"))
    assert(box.git:add("pa", "."))
    assert(box.git:commit("pa", "second", WHO, MAIL))
    assert(box.git:push "pa")
    assert(box.git:pull "pb") -- of feature, though main has gone on
    assert.equal("1\n", file_in "pb")
    assert(box.git:checkout("pb", "main"))
    assert(box.git:pull("pb", { branch = "main", remote = "origin" }))
    assert.equal("2\n", file_in "pb")
    assert(box.git:pull "pb")
    -- Histories that have parted.
    for _, path in ipairs { "pa", "pb" } do
      assert(box.git:commit(path, "of " .. path, WHO, MAIL, { allow_empty = true }))
    end
    assert(box.git:push "pa")
    local _, err = box.git:push "pb"
    assert.equal("conflict", err.kind)
    assert.equal("GIT_PUSH_REJECTED", err.code)
    _, err = box.git:pull "pb"
    assert.equal("conflict", err.kind)
  end)

  it("that cannot be reached, or that refuse, have their kinds, and no passwords", function()
    repository "rx"
    assert(box.git:add_remote("rx", "origin", "https://127.0.0.1:1/r.git"))
    local _, err = box.git:push("rx", { username = "u", password = "s3cret-word" })
    assert.equal("unavailable", err.kind)
    assert.equal("GIT_TRANSPORT_FAILED", err.code)
    for _, code in ipairs { "GIT_AUTH_FAILED", "GIT_REMOTE_REJECTED", "GIT_MERGE_CONFLICT" } do
      assert(service.server:clear_faults())
      assert(service.server:faults { { path = "/git/pull", status = 400, code = code, message = "s3cret-word" } })
      _, err = box.git:pull("rx", { username = "u", password = "s3cret-word" })
      assert.equal(code, err.code)
      assert.is_nil((tostring(err) .. err.message .. (err.body or "")):find("s3cret", 1, true))
    end
    assert.has_error(function() box.git:add_remote("rx", "o", "https://u:p@example.org/r.git") end)
    assert.has_error(function() box.git:push("rx", { username = "u" }) end)
  end)

  -- What daemons say that use a library and not the git program.
  for _, case in ipairs {
    { "push", "non-fast-forward update: refs/heads/main", "conflict GIT_PUSH_REJECTED" },
    { "push", "command error on refs/heads/main: pre-receive hook declined", "invalid GIT_REMOTE_REJECTED" },
    { "push", "dial tcp 127.0.0.1:1: connect: connection refused", "unavailable GIT_TRANSPORT_FAILED" },
    { "pull", "non-fast-forward update", "conflict GIT_PUSH_REJECTED" },
    { "clone", "couldn't find remote ref \"refs/heads/none\"", "not_found GIT_BRANCH_NOT_FOUND" },
    { "clone", "dial tcp: lookup git.example: no such host", "unavailable GIT_TRANSPORT_FAILED" },
    { "clone", "access denied or repository not exported: /r.git", "not_found GIT_REPO_NOT_FOUND" },
    { "clone", "something else", "server nil" },
  } do
    it("may answer 500 to a " .. case[1] .. ": " .. case[2], function()
      assert(box:exec("[ -d five ] || git clone -q origin.git five", { check = true }))
      assert(service.server:faults { { path = "/git/" .. case[1], status = 500, message = case[2] } })
      local way = case[1] == "clone" and origin or "five"
      local _, err = box.git[case[1]](box.git, way, case[1] == "clone" and "six" or nil)
      assert.equal(case[3], err.kind .. " " .. tostring(err.code))
      assert.equal(case[1], err.operation)
    end)
  end

  it("cannot be pulled from with no branch checked out", function()
    local hash = repository "dh"
    assert(box.git:checkout("dh", hash))
    local _, err = box.git:pull "dh"
    assert.equal("conflict", err.kind)
  end)
end)

describe("configuration", function()
  it("is set and read in its scope", function()
    repository "cf"
    assert.equal("", assert(box.git:get_config("spec.key")))
    assert(box.git:set_config("spec.key", "v w"))
    assert.equal("v w", assert(box.git:get_config("spec.key")))
    assert(box.git:configure_user("Bob", "bob@example.org", { scope = "local", path = "cf" }))
    assert.equal("Bob", assert(box.git:get_config("user.name", { scope = "local", path = "cf" })))
    assert.equal("", assert(box.git:get_config("user.name")))
    assert.has_error(function() box.git:get_config("user.name", { scope = "local" }) end)
    assert.has_error(function() box.git:set_config("user.name", "") end)
  end)

  it("of credentials is where the git program looks", function()
    assert(box.git:authenticate("u", "token-1234", { host = "example.org" }))
    local filled = assert(box:exec([[printf 'protocol=https\nhost=example.org\n\n' | git credential fill]])).result
    assert.truthy(filled:find("password=token-1234", 1, true))
    assert.has_error(function() box.git:authenticate("u", "a\nb") end)
    assert(service.server:faults { { path = "/git/credentials", status = 500, message = "token-1234" } })
    local _, err = box.git:authenticate("u", "token-1234")
    assert.is_nil((tostring(err) .. (err.body or "")):find("1234", 1, true))
  end)
end)

describe("an old server", function()
  local old, sandbox

  setup(function()
    old = require("spec.support.service").start { legacy = "0.190" }
    sandbox = assert(old.client:create())
    assert(sandbox:exec([[
      set -e
      git init -q -b main r && cd r
      git config user.email a@example.org && git config user.name n
      git commit -q --allow-empty -m one && git branch master && git branch gone
    ]], { check = true }))
  end)

  teardown(function() old:stop() end)

  it("says that it is too old", function()
    local git = sandbox.git
    for _, call in ipairs {
      function() return git:init "x" end, function() return git:reset "r" end,
      function() return git:restore("r", "f") end, function() return git:remotes "r" end,
      function() return git:add_remote("r", "o", "u") end, function() return git:get_remote("r", "o") end,
      function() return git:get_config "a.b" end, function() return git:set_config("a.b", "c") end,
      function() return git:configure_user("a", "b") end, function() return git:authenticate("a", "b") end,
      function() return git:push("r", { branch = "b" }) end, function() return git:pull("r", { branch = "b" }) end,
    } do
      local fine, err = call()
      assert.is_nil(fine)
      assert.equal("unsupported", err.kind)
      assert.truthy(tostring(err):find("too old", 1, true))
    end
  end)

  it("does not lose a branch, and does not land on another", function()
    local git = sandbox.git
    assert.same({ "gone", "main", "master" }, assert(git:branches "r"))
    local _, err = git:checkout("r", "mian")
    assert.equal("GIT_BRANCH_NOT_FOUND", err.code)
    assert.equal("main", assert(git:status "r").current_branch)
    _, err = git:delete_branch("r", "main")
    assert.equal("conflict", err.kind)
    _, err = git:delete_branch("r", "none")
    assert.equal("not_found", err.kind)
    assert(git:delete_branch("r", "gone"))
    assert(git:create_branch("r", "feature"))
    assert(old.server:faults { { method = "POST", path = "/git/branches", status = 500, times = 1,
      body = { error = "a branch named 'feature' already exists" } } })
    _, err = git:create_branch("r", "feature")
    assert.same({ "conflict", "GIT_BRANCH_EXISTS" }, { err.kind, err.code })
    _, err = git:pull "r"
    assert.equal("unsupported", err.kind)
    assert.same({}, assert(git:status "r").file_status)
  end)

  it("does not leave a branch while files have changes", function()
    local git = sandbox.git
    assert(sandbox:exec("cd r && git checkout -q main && echo 1 >f && git add f && git commit -qm f", { check = true }))
    assert(sandbox:exec("cd r && git branch -f feature && echo 2 >f", { check = true }))
    local _, err = git:checkout("r", "feature")
    assert.same({ "conflict", "GIT_DIRTY_WORKTREE" }, { err.kind, err.code })
    assert.equal("main", assert(git:status "r").current_branch)
    assert(sandbox:exec("cd r && git checkout -q f && touch untracked", { check = true }))
    assert(git:checkout("r", "feature"))
    assert.equal("feature", assert(git:status "r").current_branch)
  end)

  it("would clone everything where a depth is asked for, which is said", function()
    local _, err = sandbox.git:clone("https://127.0.0.1:1/r.git", nil, { depth = 1 })
    assert.same({ "unsupported", "clone" }, { err.kind, err.operation })
  end)

  it("may say null where there are no branches", function()
    assert(sandbox:exec("git init -q empty", { check = true }))
    assert.same({}, assert(sandbox.git:branches "empty"))
  end)
end)
