-- How a daemon of release 0.190 says no: in four shapes, by endpoint, and never in
-- today's one.

local toolbox = require "spec.support.toolbox"

describe("an old daemon", function()
  local daemon
  setup(function()
    daemon = toolbox.start { legacy = "0.190" }
    daemon:post("/process/session", { sessionId = "s" })
    daemon:post("/process/pty", { id = "p" })
    toolbox.write(daemon.dir .. "/file", "x")
    daemon:exec("git init -q -b main r && cd r && git config user.email a@b.c && git config user.name n "
      .. "&& git commit -q --allow-empty -m one && mkdir ../plain")
  end)
  teardown(function() daemon:stop() end)

  local function ask(row)
    local method, path = row[1]:match "^(%S+) (%S+)$"
    local query, json = row.query, row.json
    if json == "bad" then return daemon:request(method, path, { query = query, body = "{" }) end
    return daemon:request(method, path, { query = query, json = json })
  end

  local function each(rows, check)
    for _, row in ipairs(rows) do
      local r = ask(row)
      assert.are.equal(row[2], r.status, row[1] .. " " .. r.body)
      check(r, row)
    end
  end

  it("has an envelope without a source for commands, sessions and git", function()
    each({
      { "POST /process/execute", 400, "BAD_REQUEST",
        "bad request: command cannot be empty or whitespace-only", json = { command = " " } },
      { "POST /process/execute", 408, "REQUEST_TIMEOUT",
        "request timeout: command execution timeout", json = { command = "sleep 9", timeout = 1 } },
      { "POST /process/execute", 400, "BAD_REQUEST",
        "bad request: invalid environment variable name: 'A-B'",
        json = { command = "true", envs = { ["A-B"] = "x" } } },
      { "POST /process/code-run", 400, "BAD_REQUEST",
        "bad request: unsupported language: x", json = { code = "1", language = "x" } },
      { "POST /process/code-run", 400, "INVALID_REQUEST_BODY", nil, json = "bad" },
      { "GET /process/session/none", 404, "NOT_FOUND", "not found: session not found" },
      { "GET /process/session/s/command/none", 404, "NOT_FOUND", "not found: command not found" },
      { "POST /process/session", 409, "CONFLICT", "conflict: session already exists", json = { sessionId = "s" } },
      { "POST /process/session", 400, "INVALID_REQUEST_BODY", nil, json = {} },
      { "GET /git/status", 404, "NOT_FOUND", nil, query = { path = "plain" } },
      { "GET /git/status", 400, "BAD_REQUEST", nil },
      { "POST /git/clone", 400, "INVALID_REQUEST_BODY", nil, json = {} },
    }, function(r, row)
      local e = r.json
      assert.are.same({ row[2], row[3], row[1] }, { e.statusCode, e.code, e.method .. " " .. e.path })
      if row[4] then assert.are.equal(row[4], e.message) end
      assert.is_nil(e.source)
    end)
  end)

  it("has one without a code where it did not know what went wrong", function()
    each({
      { "POST /process/session/none/exec", 500, json = { command = "true" } },
    }, function(r)
      assert.are.same({ 500, "0001-01-01T00:00:00Z", "" }, { r.json.statusCode, r.json.timestamp, r.json.path })
      assert.is_true(#r.json.message > 0)
      assert.is_nil(r.json.code or r.json.source or r.json.method)
    end)
  end)

  it("has no word at all for files, contexts, ports and language servers", function()
    each({
      { "GET /files/info", 404, query = { path = "none" } },
      { "GET /files/info", 400 },
      { "GET /files", 404, query = { path = "none" } },
      { "GET /files", 400, query = { path = "file" } },
      { "GET /files/download", 404, query = { path = "none" } },
      { "DELETE /files", 400, query = { path = "plain" } },
      { "POST /files/folder", 400, query = { path = "file/x" } },
      { "POST /files/move", 409, query = { source = "file", destination = "plain" } },
      { "POST /files/permissions", 404, query = { path = "none" } },
      { "POST /files/replace", 400, json = {} },
      { "POST /process/session/s/exec", 400, json = "bad" },
      { "POST /process/interpreter/context", 400, json = { language = "cobol" } },
      { "DELETE /process/interpreter/context/default", 400 },
      { "DELETE /process/interpreter/context/none", 404 },
      { "GET /port/80/in-use", 400 },
      { "POST /lsp/did-open", 400, json = { languageId = "cobol", pathToProject = "r", uri = "file://x" } },
      { "GET /lsp/document-symbols", 400, query = { languageId = "cobol", pathToProject = "r", uri = "x" } },
    }, function(r, row)
      assert.are.equal("", r.body, row[1])
      assert.is_nil(r.headers["content-type"])
    end)
  end)

  it("has shapes of their own for terminals, many files and recordings", function()
    each({
      { "GET /process/pty/none", 404, "PTY session not found" },
      { "GET /process/pty/create-connect", 404, "PTY session not found" },
      { "POST /process/pty", 400, "session ID is required", json = {} },
      { "POST /process/pty", 409, "PTY session with ID 'p' already exists", json = { id = "p" } },
      { "POST /process/pty", 400, "invalid value for cols - must be less than 1000", json = { id = "q", cols = 1001 } },
      { "POST /process/pty/none/resize", 410, "PTY session none not found", json = { cols = 80, rows = 24 } },
      { "POST /process/pty/p/resize", 400, "cols must be less than 1000", json = { cols = 1001, rows = 24 } },
      { "POST /process/pty", 500, "failed to start PTY session", json = { id = "z", cwd = "/nope" } },
      { "POST /files/bulk-download", 400, nil, json = {} },
      { "GET /computeruse/recordings/none", 404, nil },
    }, function(r, row)
      assert.are.equal("string", type(r.json.error), row[1])
      if row[3] then assert.are.equal(row[3], r.json.error) end
      assert.is_nil(r.json.code or r.json.source or r.json.statusCode or r.json.message)
    end)
    local r = daemon:request("POST", "/files/bulk-upload", { form = { "files[0].path= ", "files[0].file=x" } })
    assert.are.equal(400, r.status)
    assert.are.equal("table", type(r.json.errors))
  end)

  it("speaks of git with the words of its library", function()
    daemon:exec [[git init -q -b main --bare far.git; cd r; echo one >f; git add f; git commit -qm two; git branch conf
git remote add origin ../far.git; git push -q origin main; git checkout -q conf; echo conf >f; git commit -qam conf
git checkout -q main; echo dirty >f; git clone -q ../far.git ../other; cd ../other; git config user.email a@b.c
git config user.name n; echo x >x; git add x; git commit -qm ahead; git push -q origin main 2>/dev/null]]
    each({
      { "POST /git/add", 500, "entry not found", json = { path = "r", files = { "none" } } },
      { "POST /git/add", 200, json = { path = "r", files = {} } },
      { "POST /git/commit", 500, "cannot create empty commit: clean working tree",
        json = { path = "other", message = "m", author = "a", email = "e" } },
      { "POST /git/branches", 500, 'a branch named "refs/heads/conf" already exists',
        json = { path = "r", name = "conf" } },
      { "POST /git/branches", 500, "invalid reference name", json = { path = "r", name = "a..b" } },
      { "POST /git/clone", 500, 'couldn\'t find remote ref "refs/heads/nope"',
        json = { url = daemon.dir .. "/far.git", path = "c", branch = "nope" } },
      { "POST /git/push", 500, "non-fast-forward update: refs/heads/main", json = { path = "r" } },
      { "POST /git/push", 404, "not found: remote not found", json = { path = "r", remote = "nowhere" } },
      { "POST /git/checkout", 404, "not found: failed to checkout branch or commit 'conf': reference not found",
        json = { path = "r", branch = "conf" } },
    }, function(r, row)
      if row[3] then assert.are.same({ row[3], "/git" }, { r.json.message, r.json.path:match "^/git" }) end
      if row[2] == 500 then assert.are.equal("INTERNAL_SERVER_ERROR", r.json.code) end
    end)
    local status = daemon:request("GET", "/git/status", { query = { path = "r" } }).json
    assert.are.equal("conf", status.currentBranch)   -- it moved before it noticed
    assert.is_nil(status.detached)
  end)

  it("loses a snapshot of a log now and then, which its close overtakes", function()
    daemon:post("/process/session", { sessionId = "l" })
    local id = daemon:post("/process/session/l/exec", { command = "echo text" }).json.cmdId
    local lost = 0
    for _ = 1, 10 do
      local events = daemon:talk("/process/session/l/command/" .. id .. "/logs", {})()
      assert.are.equal(1000, events.code)
      if events.binary == "" then lost = lost + 1 end
    end
    assert.are.equal(2, lost)
  end)

  it("does not know what came later", function()
    each({
      { "POST /env", 404, json = {} }, { "GET /system/metrics", 404 }, { "POST /files/upload-v2", 404 },
      { "HEAD /files/download", 404, query = { path = "file" } }, { "POST /git/init", 404, json = { path = "x" } },
      { "POST /git/reset", 404, json = { path = "r" } }, { "POST /git/restore", 404, json = { path = "r" } },
      { "GET /git/remotes", 404, query = { path = "r" } }, { "GET /git/config", 404, query = { key = "a.b" } },
      { "POST /git/config/user", 404, json = {} }, { "POST /git/credentials", 404, json = {} },
      { "GET /nothing", 404 }, { "PUT /process/execute", 404 },
    }, function(r, row)
      if row[1]:sub(1, 4) ~= "HEAD" then assert.are.equal("404 page not found", r.body) end
      assert.is_truthy(r.headers["content-type"]:find "^text/plain")
    end)
  end)
end)
