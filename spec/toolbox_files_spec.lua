-- Files in a sandbox: looking at them, changing them, finding things in them.

local toolbox = require "spec.support.toolbox"

describe("the files of a sandbox", function()
  local daemon
  before_each(function()
    daemon = daemon or toolbox.start()
    os.execute("rm -rf " .. daemon.dir .. "/*")
  end)
  teardown(function() daemon:stop() end)

  local function call(method, path, query)
    return daemon:request(method, path, { query = query })
  end

  local function names(list)
    local found = {}
    for i, entry in ipairs(list) do found[i] = entry.path or entry.name end
    return found
  end

  local function fails(r, status, code)
    assert.are.equal(status, r.status, r.body)
    assert.are.equal(code, r.json.code)
    assert.are.equal("DAYTONA_DAEMON", r.json.source)
  end

  it("are listed by name, with what is known about each", function()
    daemon:exec [[mkdir b; printf 12345 > a.txt; chmod 640 a.txt; ln -s a.txt l; ln -s nowhere broken
      touch -d '2026-01-02 03:04:05.5 UTC' a.txt]]
    local r = call("GET", "/files")
    assert.are.equal(200, r.status)
    assert.are.equal(3, #r.json)
    local a = r.json[1]
    assert.are.equal("a.txt", a.name)
    assert.are.equal(daemon.dir .. "/a.txt", a.path)
    assert.are.equal(5, a.size)
    assert.are.equal("-rw-r-----", a.mode)
    assert.are.equal("0640", a.permissions)
    assert.are.equal("2026-01-02T03:04:05.5Z", a.modifiedAt)
    assert.are.equal("2026-01-02 03:04:05.5 +0000 UTC", a.modTime)
    assert.is_false(a.isDir)
    assert.are.equal(toolbox.sh "id -u":match "%d+", a.owner)
    assert.is_true(r.json[2].isDir)
    assert.are.equal("l", r.json[3].name)
    assert.are.equal(5, r.json[3].size)
  end)

  it("are listed to a depth, folders before their content", function()
    daemon:exec "mkdir -p d/a/x d/b; touch d/a/1 d/a/x/2 d/c"
    assert.are.same({ "d/a", "d/b", "d/c" }, names(call("GET", "/files", { path = "d" }).json))
    assert.are.same({ "d/a", "d/a/1", "d/a/x", "d/b", "d/c" },
      names(call("GET", "/files/", { path = "d/", depth = "2" }).json))
    assert.are.equal(6, #call("GET", "/files", { path = "d", depth = "9" }).json)
    fails(call("GET", "/files", { path = "d", depth = "0" }), 400, "BAD_REQUEST")
    fails(call("GET", "/files", { path = "d", depth = "x" }), 400, "BAD_REQUEST")
  end)

  it("may be none, missing or no folder", function()
    daemon:exec "mkdir empty; touch f"
    assert.are.equal("[]", call("GET", "/files", { path = "empty" }).body)
    fails(call("GET", "/files", { path = "nope" }), 404, "FILE_NOT_FOUND")
    fails(call("GET", "/files", { path = "f" }), 400, "BAD_REQUEST")
    fails(call("GET", "/files/info", { path = "nope" }), 404, "FILE_NOT_FOUND")
    fails(call("GET", "/files/info"), 400, "BAD_REQUEST")
    fails(call("GET", "/files/info", { path = ("x"):rep(300) }), 400, "BAD_REQUEST")
    fails(call("GET", "/files/info", { path = "a\0b" }), 400, "BAD_REQUEST")
  end)

  it("may have any name", function()
    local odd = "a b'\"\n\195\188\240\159\152\128" .. ("x"):rep(230)
    assert.are.equal(201, call("POST", "/files/folder", { path = odd }).status)
    assert.are.equal(odd, call("GET", "/files").json[1].name)
    assert.is_true(call("GET", "/files/info", { path = odd }).json.isDir)
    assert.are.equal(204, call("DELETE", "/files", { path = odd, recursive = "true" }).status)
  end)

  it("live in folders that are made with their parents", function()
    assert.are.equal(201, call("POST", "/files/folder", { path = "x/y/z", mode = "700" }).status)
    assert.are.equal(201, call("POST", "/files/folder", { path = "x/y/z", mode = "700" }).status)
    assert.are.equal("0700", call("GET", "/files/info", { path = "x/y" }).json.permissions)
    assert.are.equal(201, call("POST", "/files/folder", { path = "~" }).status)
    assert.are.equal("~\n", daemon:exec("ls -d '~'").result)
    daemon:exec "touch f"
    fails(call("POST", "/files/folder", { path = "f", mode = "755" }), 400, "BAD_REQUEST")
    fails(call("POST", "/files/folder", { path = "g", mode = "799" }), 400, "BAD_REQUEST")
  end)

  it("are deleted, folders only on purpose", function()
    daemon:exec "mkdir -p d/e; touch d/e/f f target; ln -s d l; ln -s nowhere broken"
    assert.are.equal(204, call("DELETE", "/files", { path = "f" }).status)
    fails(call("DELETE", "/files", { path = "f" }), 404, "FILE_NOT_FOUND")
    fails(call("DELETE", "/files", { path = "d" }), 400, "BAD_REQUEST")
    fails(call("DELETE", "/files", { path = "broken" }), 404, "FILE_NOT_FOUND")
    assert.are.equal(204, call("DELETE", "/files", { path = "l", recursive = "true" }).status)
    assert.are.equal("d/e/f\n", daemon:exec("ls d/e/f").result)
    assert.are.equal(204, call("DELETE", "/files", { path = "d", recursive = "true" }).status)
    assert.are.equal("broken\ntarget\n", daemon:exec("ls").result)
  end)

  it("are moved, never over something else", function()
    daemon:exec "mkdir d; echo 1 > a; echo 2 > b"
    fails(call("POST", "/files/move", { source = "a", destination = "b" }), 409, "CONFLICT")
    fails(call("POST", "/files/move", { source = "a", destination = "d" }), 409, "CONFLICT")
    fails(call("POST", "/files/move", { source = "x", destination = "y" }), 404, "FILE_NOT_FOUND")
    fails(call("POST", "/files/move", { source = "a", destination = "no/b" }), 404, "FILE_NOT_FOUND")
    assert.are.equal(200, call("POST", "/files/move", { source = "a", destination = "d/c" }).status)
    assert.are.equal("b\nd\nd/c\n", daemon:exec("find * | sort").result)
  end)

  it("have their permissions set", function()
    daemon:exec "touch f"
    assert.are.equal(200, call("POST", "/files/permissions", { path = "f", mode = "0611" }).status)
    assert.are.equal("0611", call("GET", "/files/info", { path = "f" }).json.permissions)
    fails(call("POST", "/files/permissions", { path = "f", owner = "nobody-here" }), 400, "BAD_REQUEST")
    fails(call("POST", "/files/permissions", { path = "g", mode = "600" }), 404, "FILE_NOT_FOUND")
  end)

  it("are searched for text", function()
    daemon:exec [[mkdir d; touch none; ln -s d/x link
      printf 'one\ntwo (a+b)\r\nthree a+b' > d/x; printf 'a\0a+b' > d/bin]]
    assert.are.same({
      { file = "d/x", line = 2, content = "two (a+b)" },
      { file = "d/x", line = 3, content = "three a+b" },
    }, call("GET", "/files/find", { path = ".", pattern = "a+b" }).json)
    assert.are.same({ file = "d/x", line = 1, content = "one" },
      call("GET", "/files/find", { path = "d/x", pattern = "one" }).json[1])
    assert.are.equal("[]", call("GET", "/files/find", { path = "nope", pattern = "x" }).body)
    fails(call("GET", "/files/find", { path = "." }), 400, "BAD_REQUEST")
  end)

  it("are searched for text line by line, also when they are big", function()
    toolbox.write(daemon.dir .. "/big", ("filler line\n"):rep(50000) .. "needle\n"
      .. ("x"):rep(70000) .. "\nneedle\n")
    assert.are.same({ { file = "big", line = 50001, content = "needle" } },
      call("GET", "/files/find", { path = "big", pattern = "needle" }).json)
  end)

  it("are searched by name", function()
    daemon:exec "mkdir -p d/e; touch d/a.txt d/b.md d/e/c.txt 'd/e/[x]' d/e/\195\188.txt"
    local function search(pattern)
      return call("GET", "/files/search", { path = "d", pattern = pattern }).json.files
    end
    assert.are.same({ "d/a.txt", "d/e/c.txt", "d/e/\195\188.txt" }, search "*.txt")
    assert.are.same({ "d/a.txt", "d/e/c.txt", "d/e/\195\188.txt" }, search "?.txt")
    assert.are.same({ "d/a.txt" }, search "[ab].txt")
    assert.are.same({ "d/e/c.txt", "d/e/\195\188.txt" }, search "[^a-b].txt")
    assert.are.same({ "d/e/[x]" }, search "\\[x]")
    assert.are.same({ "d", "d/e" }, search "[de]")
    assert.are.same({}, search "[")
    assert.are.equal('{"files":[]}',
      call("GET", "/files/search", { path = "nope", pattern = "*" }).body)
  end)

  it("have text replaced in them", function()
    daemon:exec "mkdir d; echo 'a.b a.b' > f; chmod 600 f"
    local r = daemon:post("/files/replace",
      { files = { "f", "nope", "d" }, pattern = "a.b", newValue = "%1" })
    assert.are.equal(200, r.status)
    assert.are.same({ file = "f", success = true }, r.json[1])
    assert.are.same({ file = "nope", success = false,
      error = "open nope: no such file or directory" }, r.json[2])
    assert.is_false(r.json[3].success)
    assert.are.equal("%1 %1\n600\n", daemon:exec("cat f; stat -c %a f").result)
    assert.are.equal(200, daemon:post("/files/replace",
      { files = { "f" }, pattern = "%", newValue = "" }).status)
    assert.are.equal("1 1\n", daemon:exec("cat f").result)
    fails(daemon:post("/files/replace", { files = { "f" }, pattern = "1" }), 400, "INVALID_REQUEST_BODY")
    fails(daemon:post("/files/replace", { files = { "f" }, pattern = "", newValue = "x" }), 400,
      "INVALID_REQUEST_BODY")
  end)
end)

describe("the daemon", function()
  local daemon
  setup(function() daemon = toolbox.start() end)
  teardown(function() daemon:stop() end)

  it("says what and where it is", function()
    assert.is_truthy(daemon:request("GET", "/version").json.version:find "^%d+%.%d+%.%d+$")
    assert.are.equal(daemon.dir, daemon:request("GET", "/user-home-dir").json.dir)
    assert.are.equal(daemon.dir, daemon:request("GET", "/project-dir").json.dir)
    assert.are.equal(daemon.dir, daemon:request("GET", "/work-dir").json.dir)
  end)

  it("answers only who has its key", function()
    for _, key in ipairs { false, "wrong", "secretx" } do
      local r = daemon:request("GET", "/version", { key = key })
      assert.are.equal(401, r.status)
      assert.are.equal("UNAUTHORIZED", r.json.code)
    end
    assert.are.equal(401, daemon:request("GET", "/version", { key = false, prefix = "" }).status)
    assert.are.equal(200, daemon:request("GET", "/version", { prefix = "" }).status)
    assert.are.equal(200, daemon:request("GET", "/version",
      { key = false, headers = { ["X-Daytona-Preview-Token"] = "secret" } }).status)
  end)

  it("knows no other path, and no other method", function()
    for _, request in ipairs { { "GET", "/nope" }, { "PUT", "/files" }, { "GET", "/toolbox/other/version" } } do
      local r = daemon:request(request[1], request[2])
      assert.are.equal(404, r.status)
      assert.are.equal("404 page not found", r.body)
      assert.is_truthy(r.headers["content-type"]:find("text/plain", 1, true))
    end
  end)
end)

describe("an old daemon", function()
  local daemon
  setup(function() daemon = toolbox.start { legacy = "0.190" } end)
  teardown(function() daemon:stop() end)

  it("fails in its own ways", function()
    assert.are.equal("v0.190.0", daemon:request("GET", "/version").json.version)
    local r = daemon:request("GET", "/files/info", { query = { path = "nope" } })
    assert.are.equal(404, r.status)
    assert.are.equal("", r.body)
    r = daemon:post("/process/execute", { command = "sleep 60", timeout = 1 })
    assert.are.equal(408, r.status)
    assert.are.equal("REQUEST_TIMEOUT", r.json.code)
    assert.are.equal("request timeout: command execution timeout", r.json.message)
    assert.is_nil(r.json.source)
    r = daemon:post("/files/bulk-download", {})
    assert.are.equal(400, r.status)
    assert.is_truthy(r.json.error:find "^request body must be")
  end)

  it("lacks what came later", function()
    daemon:exec "touch f"
    assert.are.equal(404, daemon:request("POST", "/files/upload-v2", { query = { path = "x" } }).status)
    assert.are.equal(404, daemon:post("/env", { set = {} }).status)
    local list = daemon:request("GET", "/files", { query = { depth = "5" } }).json
    assert.is_nil(list[1].path)
  end)
end)
