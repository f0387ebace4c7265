-- The set "session": several sandboxes within one conversation, kept in a store that
-- other programs share; against the local server, a git server with a password, and a
-- real Redis.

local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local daytona = require "daytona"
local schema = require "daytona.agent.schema"
local store = require "daytona.agent.store"
local support = require "spec.support.tools"

local service, folder

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

setup(function()
  service = require("spec.support.service").start()
  folder = output "mktemp -d"
end)

teardown(function()
  service:stop()
  os.execute("rm -rf " .. folder)
end)

local sessions = 0

-- A toolset of a session of its own, or of that name.
local function toolset(opts)
  sessions = sessions + 1
  local all = { client = service.client, session = "s" .. sessions,
    store = { file = folder .. "/store" }, storage = folder .. "/storage" .. sessions }
  for name, value in pairs(opts or {}) do all[name] = value end
  return daytona.tools("session", all)
end

local function call(tools, name, arguments)
  return support.call(tools, "daytona_" .. name, arguments).data
end

local function fail(tools, name, arguments)
  local kind, text = support.fail(tools, "daytona_" .. name, arguments)
  return text, kind
end

local function write(path, text)
  os.execute("mkdir -p " .. path:match "^(.*)/")
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function content(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

describe("the set session", function()
  it("has schemas that hold, and refuses wrong arguments by name", function()
    local tools = toolset()
    local right = { sandbox_id = "x", command = "x", path = "x", content = "x", action = "stop", repository = "a/b" }
    for _, tool in ipairs(tools.tools) do
      assert.is_nil(schema.flaw(tool.output))
      local own = {}
      for name in pairs((tool.input or {}).properties or {}) do own[name] = right[name] end
      support.wrong_arguments(tool, own, function(arguments, name)
        local text, kind = fail(tools, tool.name:gsub("daytona_", ""), arguments)
        assert.equal("invalid", kind)
        assert.truthy(text:find(name:match "%S+", 1, true), tool.name .. ": " .. text)
      end)
    end
  end)

  it("makes sandboxes that stop when they are idle, with files of the session", function()
    local tools = toolset()
    write(tools.options.storage .. "/in/data.csv", "1,2\n")
    write(folder .. "/secret", "secret")
    os.execute(("ln -s ../secret %s/link"):format(tools.options.storage))
    local made = call(tools, "create_sandbox", { title = "Analysis", upload_files = { "in/data.csv" } })
    assert.same({ "in/data.csv" }, made.uploaded)
    local sandbox = service.client:get(made.sandbox_id)
    assert.equal(5, sandbox.auto_stop_interval)
    assert.equal("1,2\n", sandbox.fs:read "in/data.csv")
    for _, name in ipairs { "../secret", "link", "none", "in", "/etc/passwd", "in/../../secret", "a\0b" } do
      assert.truthy(fail(tools, "create_sandbox", { upload_files = { name } }):find "has no file")
    end
    assert.equal(1, #call(tools, "list_sandboxes").sandboxes)
  end)

  it("sees no sandbox of another session", function()
    local one, other = toolset(), toolset()
    local id = call(one, "create_sandbox", { title = "Mine" }).sandbox_id
    assert.same({}, call(other, "list_sandboxes").sandboxes)
    assert.equal("Mine", call(one, "list_sandboxes").sandboxes[1].title)
    for name, more in pairs {
      exec = { command = "id" }, read_file = { path = "x" }, write_file = { path = "x", content = "" },
      manage_sandbox = { action = "delete" }, git_clone = { repository = "/x" }, download_workspace = {},
      git_credentials = { token = "secret1234" } } do
      more.sandbox_id = id
      assert.truthy(fail(other, name, more):find "has no sandbox", name)
    end
  end)

  it("runs commands, reads and writes files, also after a stop", function()
    local tools = toolset()
    local id = call(tools, "create_sandbox", {}).sandbox_id
    assert.same({ exit_code = 2, output = "/tmp\n" },
      call(tools, "exec", { sandbox_id = id, command = "pwd; exit 2", cwd = "/tmp" }))
    local bytes = { sandbox_id = id, path = "b", content = "AP8=", encoding = "base64" }
    assert.equal(2, call(tools, "write_file", bytes).size)
    call(tools, "write_file", { sandbox_id = id, path = "t", content = "é\n" })
    assert.equal("stopped", call(tools, "manage_sandbox", { sandbox_id = id, action = "stop" }).state)
    assert.equal("é", call(tools, "read_file", { sandbox_id = id, path = "t" }).content)
    local text = fail(tools, "exec", { sandbox_id = id, command = "sleep 60", timeout_ms = 1000 })
    assert.truthy(text:find "time was over")
    bytes.content = "!"
    assert.truthy(fail(tools, "write_file", bytes):find "base64")
    call(tools, "manage_sandbox", { sandbox_id = id, action = "delete" })
    assert.same({}, call(tools, "list_sandboxes").sandboxes)
    assert.truthy(fail(tools, "exec", { sandbox_id = id, command = "id" }):find "has no sandbox")
  end)

  it("keeps a workspace in the session's storage, and nothing outside it", function()
    local tools = toolset()
    local id = call(tools, "create_sandbox", {}).sandbox_id
    call(tools, "exec", { sandbox_id = id,
      command = "mkdir -p w/in && echo 1 >w/a && echo 2 >w/in/b && ln -s /etc w/out" })
    local kept = call(tools, "download_workspace", { sandbox_id = id, path = "w" })
    assert.equal(2, kept.files)
    assert.equal(tools.options.storage, kept.folder:sub(1, #tools.options.storage))
    assert.equal("2\n", content(kept.folder .. "/in/b"))
    assert.equal("700", output("stat -c %a " .. tools.options.storage)) -- nobody else's
    assert.is_nil(core.lstat(kept.folder .. "/out"))
    assert.truthy(fail(tools, "download_workspace", { sandbox_id = id, path = "none" }):find "none")
  end)

  it("uses the session's own API key first", function()
    local tools = toolset { secrets = { DAYTONA_API_KEY = "dtn_not_the_right_key" } }
    local text, kind = fail(tools, "create_sandbox", {})
    assert.equal("auth", kind)
    assert.is_nil(text:find("dtn_not", 1, true))
  end)
end)

describe("a session", function()
  local PROGRAM = [[
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local daytona = require "daytona"
local tools = daytona.tools("session", { session = %q, store = %s, storage = %q })
local made = tools:call("daytona_create_sandbox", { title = "theirs" })
if %q == "die" then
  -- as one that dies between its record and its answer
  local client = daytona.client()
  local create = client.create
  client.create = function(...)
    create(...)
    io.write(made.data.sandbox_id, "\n")
    io.flush()
    os.execute("kill -KILL " .. require("daytona.base.native").pid())
  end
  tools:call("daytona_create_sandbox", { title = "lost" })
end
io.write(made.data.sandbox_id, "\n")
]]

  -- What another program makes in the session; it dies if asked to.
  local function elsewhere(tools, store_text, how)
    local program = PROGRAM:format(tools.options.session, store_text, tools.options.storage, how or "")
    local file = os.tmpname()
    write(file, program)
    local line = output(("DAYTONA_API_URL=%s DAYTONA_API_KEY=%s %s %s 2>/dev/null"):format(
      service.server.api_url, service.server.api_key, compat.name, file))
    os.remove(file)
    return line
  end

  local function shared(opts, store_text)
    local tools = toolset(opts)
    local mine = call(tools, "create_sandbox", { title = "mine" }).sandbox_id
    local theirs = elsewhere(tools, store_text)
    assert.equal("hi\n", call(tools, "exec", { sandbox_id = theirs, command = "echo hi" }).output)
    local second = elsewhere(tools, store_text, "die")
    local list = call(tools, "list_sandboxes").sandboxes
    local titles, ids = {}, {}
    for _, one in ipairs(list) do
      titles[one.title] = (titles[one.title] or 0) + 1
      assert.is_nil(ids[one.sandbox_id])
      ids[one.sandbox_id] = true
      assert.equal("started", one.state)
    end
    assert.same({ mine = 1, theirs = 2, lost = 1 }, titles)
    assert.is_true(ids[mine] and ids[theirs] and ids[second])
    assert.same(list, call(tools, "list_sandboxes").sandboxes)
    for id in pairs(ids) do call(tools, "manage_sandbox", { sandbox_id = id, action = "delete" }) end
    assert.same({}, call(tools, "list_sandboxes").sandboxes)
  end

  it("in files is shared by programs, of which one dies", function()
    shared({}, ("{ file = %q }"):format(folder .. "/store"))
  end)

  it("in Redis is shared by programs, of which one dies", function()
    local found = pcall(require, "redis")
    if not found then return pending "redis-lua is not there for this Lua" end
    local redis = require("spec.support.redis").start()
    if not redis then return pending "redis-server is not there" end
    local text = ("{ redis = { port = %d, password = %q, prefix = 'spec:' } }"):format(redis.port, redis.password)
    local settings = { redis = { port = redis.port, password = redis.password, prefix = "spec:" } }
    local kept = store.open(settings)
    local fine, why = pcall(shared, { store = settings }, text)
    redis:stop()
    assert(fine, why)
    local gone, err = kept:all "x"
    assert.is_nil(gone)
    assert.truthy(err:find "Redis")
    assert.is_nil(err:find "hunter22")
  end)

  it("that cannot be kept makes nothing", function()
    local broken = { put = function() return nil, "disk is full" end, remove = function() return true end,
      all = function() return {} end }
    local before = service:sandboxes()
    assert.truthy(fail(toolset { store = broken }, "create_sandbox", {}):find "disk is full")
    assert.equal(before, service:sandboxes())
  end)

  it("of a store or name that is none raises", function()
    assert.error_matches(function() store.open "mysql" end, "file, memory, ngx, redis")
    assert.error_matches(function() store.open { ngx = "none" } end, "lua_shared_dict")
    local ok = toolset { session = "../x" }:call("daytona_list_sandboxes")
    assert.is_false(ok.ok)
  end)
end)

describe("each store", function()
  for _, which in ipairs { "memory", "file" } do
    it(which .. " keeps, replaces, removes and lists records", function()
      local kept = store.open(which == "file" and { file = folder .. "/kept" } or which)
      assert.same({}, kept:all "a")
      assert(kept:put("a", "1", "one"))
      assert(kept:put("a", "2", "two"))
      assert(kept:put("b", "1", "other"))
      assert(kept:put("a", "1", "new"))
      assert.same({ ["1"] = "new", ["2"] = "two" }, kept:all "a")
      assert(kept:remove("a", "1"))
      assert(kept:remove("a", "1"))
      assert.same({ ["2"] = "two" }, kept:all "a")
      assert.same({ ["1"] = "other" }, kept:all "b")
    end)
  end
end)

describe("git credentials", function()
  local TOKEN = "ghp_hunter2hunter2"
  local git, address, pipe, tools, id

  setup(function()
    git = output "mktemp -d"
    os.execute(("cd %s && git init -q --bare -b main r.git && git -C r.git config http.receivepack true && "
      .. "git init -q -b main w && cd w && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one && "
      .. "git push -q ../r.git main"):format(git))
    os.execute("mkfifo " .. git .. "/in")
    pipe = io.popen(("python3 spec/support/git_http.py %s me %s <%s/in"):format(git, TOKEN, git))
    address = { hold = io.open(git .. "/in", "w"), port = pipe:read "*l" }
    address.url = "http://127.0.0.1:" .. address.port .. "/r.git"
    tools = toolset()
    id = call(tools, "create_sandbox", {}).sandbox_id
  end)

  teardown(function()
    address.hold:close()
    pipe:close()
    os.execute("rm -rf " .. git)
  end)

  local function run(command)
    return support.call(tools, "daytona_exec", { sandbox_id = id, command = command })
  end

  it("are needed for a private repository", function()
    local text = fail(tools, "git_clone", { sandbox_id = id, repository = address.url, path = "none" })
    assert.truthy(text:find "^git: ")
  end)

  it("let git clone, push, pull and fetch afterwards", function()
    local arguments = { sandbox_id = id, token = TOKEN, username = "me", host = "127.0.0.1:" .. address.port,
      protocol = "http" }
    assert.same({ host = "127.0.0.1:" .. address.port, username = "me" }, call(tools, "git_credentials", arguments))
    assert.same({ repository = address.url, path = "r" },
      call(tools, "git_clone", { sandbox_id = id, repository = address.url, branch = "main" }))
    local pushed = run("cd r && git config user.name a && git config user.email a@b && "
      .. "git commit -q --allow-empty -m two && git push -q && git pull -q && git fetch && git log --oneline | wc -l")
    assert.equal("2\n", pushed.data.output)
    assert.equal("2", output("git -C " .. git .. "/r.git rev-list --count main"))
  end)

  it("show in no output, command line, process list, configuration or file", function()
    local everything = run("git config --global --list; git -C r config --list; cat r/.git/config ~/.gitconfig; env; "
      .. "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; git -C r remote -v")
    assert.is_nil(everything.text:find(TOKEN, 1, true))
    assert.equal(1, run("grep -rsq hunter2hunter ~ /tmp 2>/dev/null").data.exit_code)
    local filled = run("printf 'protocol=http\\nhost=127.0.0.1:" .. address.port .. "\\n\\n' | git credential fill")
    assert.is_nil(filled.text:find(TOKEN, 1, true)) -- git has it, and the result hides it
    assert.truthy(filled.text:find("password=[redacted]", 1, true))
  end)

  it("in an address go the same way", function()
    local other = toolset()
    local box = call(other, "create_sandbox", {}).sandbox_id
    local with = address.url:gsub("//", "//me:" .. TOKEN .. "@")
    assert.equal(address.url, call(other, "git_clone", { sandbox_id = box, repository = with }).repository)
    local config = call(other, "exec", { sandbox_id = box, command = "cat r/.git/config" }).output
    assert.truthy(config:find(address.url, 1, true))
    assert.is_nil(config:find("hunter2", 1, true))
  end)

  it("that cannot be are refused", function()
    for name, value in pairs { token = "a\nb", username = "a\nhost=evil", host = "a b", path = "x" } do
      local arguments = { sandbox_id = id, token = "tokentoken" }
      arguments[name] = value
      assert.is_string(fail(tools, "git_credentials", arguments))
    end
    assert.truthy(fail(tools, "git_credentials", { sandbox_id = id }):find "token is required")
    for _, bad in ipairs { "x", "--upload-pack=x", "a b/c" } do
      assert.truthy(fail(tools, "git_clone", { sandbox_id = id, repository = bad }):find "neither an address")
    end
    assert.is_string(fail(tools, "git_clone", { sandbox_id = id, repository = "/none", branch = "--x" }))
  end)

  it("of the connected account are for GitHub", function()
    local git_access = require "daytona.agent.git_access"
    assert.equal("https://github.com/user/repo.git", (git_access.address "user/repo"))
    assert.is_true(git_access.is_github "https://github.com/user/repo.git")
    assert.is_false(git_access.is_github "https://github.com.evil.org/user/repo.git")
    assert.same({ protocol = "https", host = "github.com", username = "x-access-token", token = "t" },
      git_access.connected { GITHUB_TOKEN = "t" })
    local connected = toolset { secrets = { GITHUB_TOKEN = "ghp_connected" } }
    local box = call(connected, "create_sandbox", {}).sandbox_id
    assert.equal("github.com", call(connected, "git_credentials", { sandbox_id = box }).host)
    assert.equal("password=[redacted]\n", call(connected, "exec", { sandbox_id = box,
      command = "printf 'protocol=https\\nhost=github.com\\n\\n' | git credential fill | grep password" }).output)
  end)
end)
