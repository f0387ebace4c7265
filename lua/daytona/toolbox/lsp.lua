-- Language servers in a sandbox: symbols and completions for its files.
--
-- The daemon keeps one server a language and project. A document's text is what
-- is on the sandbox's disk when it is opened: after a change, close and open it.

local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.calls"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"

local M = {}

-- Starting one may mean that it reads the whole project.
local START_TIMEOUT = 120

local api = calls.of_daemon {
  start             = { "POST", "/lsp/start", safe = true },
  stop              = { "POST", "/lsp/stop" },
  did_open          = { "POST", "/lsp/did-open", safe = true },
  did_close         = { "POST", "/lsp/did-close", safe = true },
  completions       = { "POST", "/lsp/completions", "object", safe = true },
  document_symbols  = { "GET",  "/lsp/document-symbols", "list" },
  workspace_symbols = { "GET",  "/lsp/workspacesymbols", "list" },
}

-- Old daemons know one server for both, under one name.
local LANGUAGES = { python = "python", typescript = "typescript", javascript = "typescript" }

---A language server for a project in a sandbox.
---@class daytona.LanguageServer
---@field language string   "python" or "typescript" (which does JavaScript too)
---@field root string
---@field sandbox daytona.Sandbox
local LanguageServer = {}
LanguageServer.__index = LanguageServer
LanguageServer.__name = "daytona.LanguageServer"

---@private
function LanguageServer:__tostring()
  return string.format("language server (%s, %s)", self.language, self.root)
end

---A language server for the project in the folder `root`; `start` starts it.
---@param self daytona.Sandbox
---@param language "python"|"typescript"|"javascript"
---@param root string   a relative one is in the working directory
---@return daytona.LanguageServer
function M.lsp(self, language, root)
  options.argument("lsp: the language", { "python", "typescript", "javascript" }, language)
  options.argument("lsp: the project's folder", "text", root)
  return setmetatable({ sandbox = self, language = LANGUAGES[language], root = root }, LanguageServer)
end

--- Names -----------------------------------------------------------------------------

-- The project's folder as an absolute path, or nil, err.
local function root_of(self)
  if self.absolute then return self.absolute end
  local root = self.root:gsub("^file://", "")
  if root:sub(1, 1) ~= "/" then
    local here, err = self.sandbox:work_dir()
    if not here then return nil, err end
    root = here .. "/" .. root:gsub("^%./", "")
  end
  self.absolute = #root > 1 and root:gsub("/+$", "") or root
  return self.absolute
end

-- The URI that the daemon reads as a path again, without decoding it; or nil, err.
local function uri_of(self, path)
  if path:find("^file://") then return path end
  if path:sub(1, 1) == "/" then return "file://" .. path end
  local root, err = root_of(self)
  if not root then return nil, err end
  return "file://" .. root .. "/" .. path:gsub("^%./", "")
end

--- Requests ----------------------------------------------------------------------------

local function project(self)
  return { language_id = self.language, path_to_project = self.root }
end

-- Makes a call about a document.
local function call_on(self, operation, path, more)
  options.argument(operation .. ": the path", "text", path)
  local uri, err = uri_of(self, path)
  if not uri then return nil, err end
  local body = project(self)
  body.uri = uri
  for name, value in pairs(more or {}) do body[name] = value end
  return api[operation](self, body, { what = path })
end

local START = { timeout = "seconds" }

---Starts it. Success when it runs already. Fails with kind "server" when it is
---not installed in the sandbox.
---@param opts? { timeout?: number }  seconds, 120
---@return daytona.LanguageServer?
---@return daytona.Error?
function LanguageServer:start(opts)
  opts = options.check("start", START, opts)
  local timeout = opts.timeout or START_TIMEOUT
  if self.language ~= "typescript" then
    -- Asked to start, some daemons start a TypeScript server unless they have
    -- heard of this one before. This call fails, and is what they hear.
    local body = project(self)
    body.uri = "file://" .. self.root
    local _, err = api.did_open(self, body, { what = self.root, operation = "start" })
    if err and not errors.is(err, "invalid") and err.kind ~= "server" then return nil, err end
  end
  local done, err = api.start(self, project(self), { what = self.root, timeout = timeout })
  if not done then return nil, err end
  return self
end

---Stops it. Success when it does not run.
---@return true?
---@return daytona.Error?
function LanguageServer:stop()
  local done, err = api.stop(self, project(self), { what = self.root })
  -- Old daemons answer 500, and nothing else, for one that they do not know.
  local unknown = err and (err.code == "LSP_SERVER_NOT_INITIALIZED" or err.status == 500 and not err.body)
  if done or unknown then return true end
  return nil, err
end

LanguageServer.close = LanguageServer.stop
---@private
LanguageServer.__close = LanguageServer.stop

---Opens a document: its text is read now.
---@param path string  relative to the project, absolute, or a file:// URI
---@return true?
---@return daytona.Error?
function LanguageServer:did_open(path)
  return call_on(self, "did_open", path)
end

---Closes a document.
---@param path string
---@return true?
---@return daytona.Error?
function LanguageServer:did_close(path)
  return call_on(self, "did_close", path)
end

---A place or a name in a document. Lines and characters count from 0, characters
---in UTF-16 units.
---@class daytona.Symbol
---@field name string
---@field kind integer   as the Language Server Protocol numbers them
---@field location { uri: string, range: { start: { line: integer, character: integer }, ["end"]: { line: integer, character: integer } } }

---The names that a document defines.
---@param path string
---@return daytona.Symbol[]?
---@return daytona.Error?
function LanguageServer:document_symbols(path)
  return call_on(self, "document_symbols", path)
end

---The names in the project that match.
---@param query string
---@return daytona.Symbol[]?
---@return daytona.Error?
function LanguageServer:workspace_symbols(query)
  options.argument("workspace_symbols: the query", "text", query)
  local all = project(self)
  all.query = query
  return api.workspace_symbols(self, all, { what = query })
end

--- Completions ---------------------------------------------------------------------------

local PLACE = { line = "count", character = "count" }
local COMPLETE = { context = "table" }
local CONTEXT = { trigger_kind = options.range(1, 3), trigger_character = "text" }

---@class daytona.Completion
---@field label string
---@field kind? integer      as the Language Server Protocol numbers them
---@field detail? string
---@field documentation? any string, or { kind =, value = }
---@field sort_text? string
---@field filter_text? string
---@field insert_text? string

-- Old daemons take a 0 for a missing number.
local function explain_zero(self, err, position)
  if err.status ~= 400 or err.code or (position.line > 0 and position.character > 0) then return err end
  local version = self.sandbox:version()
  local minor = version and tonumber(version:match("^v?0%.(%d+)%."))
  if not minor or minor > 190 then return err end
  return errors.new {
    kind = "unsupported", status = 400, operation = err.operation, what = err.what,
    sandbox = err.sandbox, cause = err,
    message = "the daemon in this sandbox (" .. version .. ") cannot complete in the first line or column",
  }
end

---What could be written at a place. Lines and characters count from 0. The
---context says how that was asked for: trigger_kind 1 (invoked), 2 (by typing
---`trigger_character`) or 3 (the list before was incomplete).
---@param path string
---@param position { line: integer, character: integer }
---@param opts? { context?: { trigger_kind: integer, trigger_character?: string } }
---@return { is_incomplete: boolean, items: daytona.Completion[] }?
---@return daytona.Error?
function LanguageServer:completions(path, position, opts)
  options.argument("completions: the position", "table", position)
  options.check("completions: the position", PLACE, position)
  if not position.line or not position.character then
    errors.misuse(1, "completions: the position is { line =, character = }")
  end
  opts = options.check("completions", COMPLETE, opts)
  local context = opts.context and options.check("completions: the context", CONTEXT, opts.context)
  if context and not context.trigger_kind then
    errors.misuse(1, "completions: the context needs a trigger_kind")
  end
  local answer, err = call_on(self, "completions", path, {
    position = { line = position.line, character = position.character }, context = context,
  })
  if not answer then return nil, explain_zero(self, err, position) end
  return { is_incomplete = answer.is_incomplete == true, items = answer.items or {} }
end

methods.guard(LanguageServer, "daytona.LanguageServer", "server")

return M
