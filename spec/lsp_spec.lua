-- Language servers in a sandbox, as a program has them; the server itself is a
-- small one of the specs' own (spec/support/bin/pylsp).

local daytona = require "daytona"
local scripted = require "spec.support.scripted_daemon"

describe("a language server", function()
  local service, sandbox, server

  setup(function()
    service = require("spec.support.service").start()
    sandbox = assert(service.client:create())
    local home = assert(sandbox:home_dir())
    assert(sandbox.fs:upload("spec/support/bin/pylsp", "bin/"))
    assert(sandbox:exec("chmod +x bin/pylsp; mkdir 'my project'", { check = true }))
    assert(sandbox:set_env { set = { PATH = home .. "/bin:/usr/bin:/bin" } })
    assert(sandbox.fs:write("my project/a b.py", "def first():\n  pass\ndef second(): pass\n"))
    server = sandbox:lsp("python", "my project")
  end)
  teardown(function()
    sandbox:delete()
    service:stop()
  end)

  it("must be started first", function()
    local done, err = server:did_open "a b.py"
    assert.same({ nil, "invalid", "LSP_SERVER_NOT_INITIALIZED" }, { done, err.kind, err.code })
    assert.is_true(daytona.is_error(err, "lsp"))
    assert.is_true(server:stop())
  end)

  it("finds the names in documents", function()
    assert.equal(server, assert(server:start()))
    assert(server:start())
    assert(server:did_open "a b.py")
    local symbols = assert(server:document_symbols "./a b.py")
    assert.same({ "first", "second", 12 }, { symbols[1].name, symbols[2].name, symbols[1].kind })
    local uri = "file://" .. assert(sandbox:work_dir()) .. "/my project/a b.py"
    assert.same({ uri = uri, range = { start = { line = 2, character = 4 }, ["end"] = { line = 2, character = 4 } } },
      symbols[2].location)
    assert.equal(2, #assert(server:document_symbols(uri)))
    assert.equal(2, #assert(server:document_symbols(uri:sub(8))))
    assert.equal("second", assert(server:workspace_symbols "sec")[1].name)
    assert.same({}, assert(server:workspace_symbols "third"))
    assert.same({}, assert(server:workspace_symbols "nothing")) -- null
  end)

  it("completes, also at the very beginning, and is told how it was asked", function()
    local list = assert(server:completions("a b.py", { line = 0, character = 0 }))
    assert.same({ is_incomplete = false, items = { { label = "0:0:None", kind = 3 } } }, list)
    list = assert(server:completions("a b.py", { line = 2, character = 5 },
      { context = { trigger_kind = 2, trigger_character = "." } }))
    assert.equal("2:5:2", list.items[1].label)
  end)

  it("reads a document again when it is closed and opened", function()
    assert(sandbox.fs:write("my project/a b.py", "def third(): pass\n"))
    assert.equal(0, #assert(server:workspace_symbols "third"))
    assert(server:did_close "a b.py")
    assert(server:did_open "a b.py")
    assert.equal(1, #assert(server:workspace_symbols "third"))
    local _, err = server:did_open "none.py"
    assert.same({ "invalid", "none.py" }, { err.kind, err.what })
  end)

  it("is stopped", function()
    assert.is_true(server:stop())
    assert.is_true(server:stop())
    assert.equal("LSP_SERVER_NOT_INITIALIZED", select(2, server:document_symbols "a b.py").code)
  end)

  it("may not be installed", function()
    local _, err = sandbox:lsp("javascript", "."):start()
    assert.same({ "server", "start" }, { err.kind, err.operation })
  end)

  it("is of a language that the daemon knows", function()
    assert.equal("language server (typescript, p)", tostring(sandbox:lsp("javascript", "p")))
    assert.has_error(function() sandbox:lsp("cobol", "p") end)
    assert.has_error(function() sandbox:lsp("python", "") end)
    assert.has_error(function() server:completions("x", { line = -1, character = 0 }) end)
    assert.has_error(function() server:completions("x", { line = 1 }) end)
    assert.has_error(function() server:completions("x", { line = 1, character = 1 }, { context = {} }) end)
    assert.has_error(function() server:completions("x", { line = 1, character = 1 }, { kontext = {} }) end)
  end)
end)

describe("a language server of an old daemon", function()
  local peer
  setup(function() peer = scripted.start() end)
  teardown(function() peer:close() end)

  it("is the right one: the daemon has heard of it when it is started", function()
    local service = require("spec.support.service").start { legacy = "0.190" }
    local sandbox = assert(service.client:create())
    assert(sandbox:exec "mkdir p")
    local _, err = sandbox:lsp("python", "p"):start()
    assert(service.client:list()) -- so that what came before is noted
    assert.equal(1, service:count("POST", "/lsp/did-open"))
    assert.equal(1, service:count("POST", "/lsp/start"))
    assert.is_true(err == nil or err.kind == "server") -- pylsp may not be installed there
    sandbox:delete()
    service:stop()
  end)

  it("refuses the first line and column, and that is said", function()
    local box = peer:sandbox({
      ["/lsp/completions"] = { { "status", 400, "" } }, ["/version"] = { { "status", 200, '{"version":"v0.190.0"}' } },
    })
    local server = box:lsp("python", "/p")
    local _, err = server:completions("a.py", { line = 0, character = 3 })
    assert.same({ "unsupported", "completions" }, { err.kind, err.operation })
    assert.is_truthy(tostring(err):find("0.190.0", 1, true))
    _, err = server:completions("a.py", { line = 1, character = 3 })
    assert.same({ "invalid", nil }, { err.kind, err.code })
  end)

  it("may be stopped without having been started", function()
    local box = peer:sandbox({ ["/lsp/stop"] = { { "status", 500, "" } } })
    assert.is_true(box:lsp("python", "/p"):stop())
    box = peer:sandbox({ ["/lsp/stop"] = { { "status", 500, '{"message":"no space"}' } } })
    assert.equal("server", select(2, box:lsp("python", "/p"):stop()).kind)
  end)

  it("answers null for nothing", function()
    local box = peer:sandbox({
      ["/lsp/document-symbols"] = { { "status", 200, "null" } },
      ["/lsp/completions"] = { { "status", 200, '{"isIncomplete":true,"items":null}' } },
    })
    assert.same({}, assert(box:lsp("python", "/p"):document_symbols "a.py"))
    assert.same({ is_incomplete = true, items = {} },
      assert(box:lsp("python", "/p"):completions("a.py", { line = 1, character = 1 })))
  end)
end)
