-- Language servers in a sandbox, with a small one of the specs' own.

local toolbox = require "spec.support.toolbox"

local PATH = toolbox.sh "pwd":match "[^\n]+" .. "/spec/support/bin:" .. os.getenv "PATH"

describe("a language server", function()
  local daemon
  setup(function()
    daemon = toolbox.start { env = { PATH = PATH } }
    daemon:exec "mkdir project; printf 'def first():\\n  pass\\ndef second(): pass\\n' > project/a.py"
  end)
  teardown(function() daemon:stop() end)

  local function body(more)
    local b = { languageId = "python", pathToProject = "project" }
    for name, value in pairs(more or {}) do b[name] = value end
    return b
  end

  local function post(call, more)
    return daemon:post("/lsp/" .. call, body(more))
  end

  local function get(call, more)
    return daemon:request("GET", "/lsp/" .. call, { query = body(more) })
  end

  local function uri(name)
    return "file://" .. daemon.dir .. "/project/" .. name
  end

  local function fails(r, status, code)
    assert.are.equal(status, r.status, r.body)
    assert.are.equal(code, r.json.code)
  end

  it("must be started first", function()
    fails(post("did-open", { uri = uri "a.py" }), 400, "LSP_SERVER_NOT_INITIALIZED")
    fails(get("document-symbols", { uri = uri "a.py" }), 400, "LSP_SERVER_NOT_INITIALIZED")
    fails(post "stop", 400, "LSP_SERVER_NOT_INITIALIZED")
  end)

  it("finds symbols in what is opened", function()
    assert.are.equal(200, post("start").status)
    assert.are.equal(200, post("start").status)
    assert.are.equal(200, post("did-open", { uri = uri "a.py" }).status)
    local symbols = get("document-symbols", { uri = uri "a.py" }).json
    assert.are.same({ "first", "second" }, { symbols[1].name, symbols[2].name })
    assert.are.same({ uri = uri "a.py", range = { start = { line = 2, character = 4 },
      ["end"] = { line = 2, character = 4 } } }, symbols[2].location)
    symbols = get("workspacesymbols", { query = "sec" }).json
    assert.are.same({ 1, "second" }, { #symbols, symbols[1].name })
    assert.are.equal("[]", get("workspacesymbols", { query = "third" }).body)
    assert.are.equal("null", get("workspacesymbols", { query = "nothing" }).body)
    fails(get "workspacesymbols", 400, "BAD_REQUEST")
  end)

  it("completes, also in the first column of the first line", function()
    local r = post("completions", { uri = uri "a.py", position = { line = 0, character = 0 } })
    assert.are.same({ isIncomplete = false, items = { { label = "0:0:None", kind = 3 } } }, r.json)
    r = post("completions", { uri = uri "a.py", position = { line = 2, character = 5 },
      context = { triggerKind = 2, triggerCharacter = "." } })
    assert.are.equal("2:5:2", r.json.items[1].label)
    fails(post("completions", { uri = uri "a.py" }), 400, "INVALID_REQUEST_BODY")
  end)

  it("is told of closed and unreadable documents", function()
    assert.are.equal(200, post("did-close", { uri = uri "a.py" }).status)
    assert.are.equal("[]", get("workspacesymbols", { query = "sec" }).body)
    fails(post("did-open", { uri = uri "nope.py" }), 400, "BAD_REQUEST")
  end)

  it("may die", function()
    daemon:exec "echo DIE > project/d.py"
    assert.are.equal(200, post("did-open", { uri = uri "d.py" }).status)
    assert.are.equal(400, get("workspacesymbols", { query = "x" }).status)
    fails(get("workspacesymbols", { query = "x" }), 400, "LSP_SERVER_NOT_INITIALIZED")
    assert.are.equal(200, post("start").status)
  end)

  it("is stopped, process and all", function()
    assert.are.equal(0, daemon:exec("pgrep -P $PPID -f pyls[p]").exitCode)
    assert.are.equal(200, post("stop").status)
    assert.are_not.equal(0, daemon:exec("pgrep -P $PPID -f pyls[p]").exitCode)
    fails(post "stop", 400, "LSP_SERVER_NOT_INITIALIZED")
  end)

  it("must be of a known language and be installed", function()
    fails(post("start", { languageId = "cobol" }), 400, "BAD_REQUEST")
    fails(post("start", { pathToProject = "" }), 400, "INVALID_REQUEST_BODY")
    daemon:post("/env", { set = { PATH = "/usr/bin:/bin" } })
    if daemon:exec("command -v typescript-language-server").exitCode ~= 0 then
      fails(post("start", { languageId = "javascript" }), 500, "INTERNAL_SERVER_ERROR")
    end
  end)
end)

describe("a language server of an old daemon", function()
  it("is a TypeScript one, unless something else was asked first", function()
    local daemon = toolbox.start { env = { PATH = PATH }, legacy = "0.190" }
    daemon:exec "mkdir p; touch p/a.py"
    local function post(call, more)
      local b = { languageId = "python", pathToProject = "p" }
      for name, value in pairs(more or {}) do b[name] = value end
      return daemon:post("/lsp/" .. call, b).status
    end
    assert.are.equal(400, post("did-open", { uri = "file://p/a.py" }))
    assert.are.equal(200, post "start")
    assert.are.equal(200, post("did-open", { uri = "file://p/a.py" }))
    assert.are.equal(400, post("completions", { uri = "x", position = { line = 0, character = 1 } }))
    if daemon:exec("command -v typescript-language-server").exitCode ~= 0 then
      assert.are.equal(500, post("start", { pathToProject = "." }))
    end
    daemon:stop()
  end)
end)
