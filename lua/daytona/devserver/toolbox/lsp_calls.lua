--- The language server calls: /lsp/...

local unistd = require "posix.unistd"
local json = require "daytona.devserver.http.json"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local lsp = require "daytona.devserver.toolbox.lsp"
local sys = require "daytona.devserver.toolbox.sys"

local calls = {}

-- Jedi's server knows the symbols of a whole project, which pylsp does not; the
-- service's image has one that does.
local PYTHON = { { "jedi-language-server" }, { "pylsp" } }
local TYPESCRIPT = { "typescript-language-server", "--stdio" }
local PROGRAM = { typescript = TYPESCRIPT, javascript = TYPESCRIPT }

-- "language\0project" → { argv, server (once started) }
local servers = {}

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return unistd.getcwd() .. "/" .. path
end

local function is_installed(name)
  for dir in (environment.get "PATH" or ""):gmatch "[^:]+" do
    if sys.stat(dir .. "/" .. name) then return true end
  end
  return false
end

local function python_server()
  return is_installed(PYTHON[1][1]) and PYTHON[1] or PYTHON[2]
end

local function program_of(req, language)
  local argv = language == "python" and python_server() or PROGRAM[language]
  if not argv or req.app.legacy and language == "javascript" then
    failures.raise(400, "unsupported language: " .. language)
  end
  return argv
end

-- The entry of a language and project. An old daemon starts a TypeScript server
-- for whatever it has not heard of by another call before.
local function entry_of(req, f, starting)
  local key = f.languageId .. "\0" .. absolute(f.pathToProject)
  if not servers[key] then
    local argv = req.app.legacy and starting and TYPESCRIPT or program_of(req, f.languageId)
    servers[key] = { argv = argv, key = key }
  end
  return servers[key]
end

local SERVER = { languageId = "string!", pathToProject = "string!" }

--- POST /lsp/start
function calls.start(req)
  local f = fields.read(req, SERVER)
  local entry = entry_of(req, f, true)
  if entry.server and not entry.server.ended then return 200 end
  local server, err = lsp.start(entry.argv, absolute(f.pathToProject))
  if not server then
    failures.raise(500, "failed to start the language server: " .. err)
  end
  entry.server = server
  return 200
end

local function running(req, f)
  local server = entry_of(req, f, false).server
  if not server or not server.ready then
    failures.code(400, "LSP_SERVER_NOT_INITIALIZED", "the language server is not initialized")
  end
  return server
end

--- POST /lsp/stop
function calls.stop(req)
  local f = fields.read(req, SERVER)
  local entry = entry_of(req, f, false)
  servers[entry.key] = nil
  if not entry.server then
    failures.code(req.app.legacy and 500 or 400, "LSP_SERVER_NOT_INITIALIZED",
      "the language server is not initialized")
  end
  entry.server:stop()
  return 200
end

local function document_of(req, more)
  local shape = { languageId = "string!", pathToProject = "string!", uri = "string!" }
  for name, kind in pairs(more or {}) do shape[name] = kind end
  local f = fields.read(req, shape)
  return running(req, f), f
end

-- The text of the file that a URI names, as the service reads it: not decoded.
local function read_document(uri)
  local path = uri:gsub("^file://", "")
  local file, err = io.open(path, "rb")
  local data = file and file:read "*a"
  if file then file:close() end
  if not data then failures.raise(400, err or "read " .. path .. ": is a directory") end
  return data
end

--- POST /lsp/did-open
function calls.did_open(req)
  local server, f = document_of(req)
  server.version = (server.version or 0) + 1
  server:notify("textDocument/didOpen", { textDocument = {
    uri = f.uri, languageId = f.languageId, version = server.version, text = read_document(f.uri),
  } })
  return 200
end

--- POST /lsp/did-close
function calls.did_close(req)
  local server, f = document_of(req)
  server:notify("textDocument/didClose", { textDocument = { uri = f.uri } })
  return 200
end

local function ask(server, method, params)
  local result, err = server:request(method, params)
  if not result then failures.raise(400, err) end
  return result ~= json.null and result or nil
end

local ITEM = { "label", "kind", "detail", "documentation", "sortText", "filterText", "insertText" }

local function completion_item(item)
  local out = {}
  for _, name in ipairs(ITEM) do
    if item[name] ~= json.null then out[name] = item[name] end
  end
  return out
end

--- POST /lsp/completions
function calls.completions(req)
  local server, f = document_of(req, { position = "object!", context = "object" })
  local position = fields.pick(f.position, { line = "uint32!", character = "uint32!" })
  if req.app.legacy and (position.line == 0 or position.character == 0) then
    failures.raise(400, "position is required")
  end
  local context = f.context and fields.pick(f.context,
    { triggerKind = "uint32!", triggerCharacter = "string" })
  local result = ask(server, "textDocument/completion",
    { textDocument = { uri = f.uri }, position = position, context = context }) or {}
  local items = json.array {}
  for i, item in ipairs(result.items or result) do items[i] = completion_item(item) end
  return 200, { isIncomplete = result.isIncomplete == true, items = items }
end

-- Symbols, flat, each with its place; servers also answer with trees.
local function flatten(symbols, uri, out)
  for _, symbol in ipairs(symbols) do
    out[#out + 1] = { name = symbol.name, kind = symbol.kind,
                      location = symbol.location or { uri = uri, range = symbol.range } }
    if type(symbol.children) == "table" then flatten(symbol.children, uri, out) end
  end
  return out
end

local function queried(req, ...)
  local f = {}
  for _, name in ipairs { "languageId", "pathToProject", ... } do
    f[name] = req.query[name]
    if (f[name] or "") == "" then failures.raise(400, name .. " is required") end
  end
  return running(req, f), f
end

local function symbols_answer(result, uri)
  if not result then return 200, "null", { ["content-type"] = "application/json; charset=utf-8" } end
  return 200, flatten(result, uri, json.array {})
end

--- GET /lsp/document-symbols
function calls.document_symbols(req)
  local server, f = queried(req, "uri")
  return symbols_answer(ask(server, "textDocument/documentSymbol",
    { textDocument = { uri = f.uri } }), f.uri)
end

--- GET /lsp/workspacesymbols
function calls.workspace_symbols(req)
  local server, f = queried(req, "query")
  return symbols_answer(ask(server, "workspace/symbol", { query = f.query }))
end

return calls
