-- A client of a language server on its standard streams, for specs.
--
--   local server = require("spec.support.language_server").start("emmylua_ls --log-path none", folder)
--   server:open("prog.lua", text)                  and waits until the server has looked at it
--   server:complete("prog.lua", line, character)   labels, by name
--   server:stop()

local json = require "daytona.http.json"
local mcp_client = require "spec.support.mcp_client"

local Server = {}
Server.__index = Server

local function framed(self, text)
  assert(self.input:write(("Content-Length: %d\r\n\r\n%s"):format(#text, text)))
  self.input:flush()
end

local function send(self, message)
  framed(self, type(message) == "string" and message or assert(json.encode(message)))
end

-- The next message. What the server asks is answered at once: with nothing.
local function read(self)
  local length
  for line in self.output:lines() do
    if line == "\r" then break end
    length = tonumber(line:match "^Content%-Length: (%d+)") or length
  end
  if not length then return nil end
  local message = assert(json.decode(self.output:read(length)))
  if message.id == nil or not message.method then return message end
  local items = message.method == "workspace/configuration" and #message.params.items
  framed(self, ('{"jsonrpc":"2.0","id":%s,"result":%s}'):format(assert(json.encode(message.id)),
    items and "[" .. ("null,"):rep(items):sub(1, -2) .. "]" or "null"))
  return read(self)
end

-- What it keeps for itself goes into the folder, too.
local function start(program, folder)
  local command = ("timeout 120 env XDG_DATA_HOME=%s/data %s 2>%s/errors"):format(folder, program, folder)
  local wire = mcp_client.start({ api_url = "", api_key = "" }, "", command)
  wire.send, wire.read = send, read
  local self = setmetatable({ wire = wire, root = "file://" .. folder }, Server)
  wire:ask("initialize", { rootUri = self.root, workspaceFolders = { { uri = self.root, name = "spec" } },
    capabilities = { workspace = { configuration = true, workspaceFolders = true },
      textDocument = { publishDiagnostics = { relatedInformation = false },
        completion = { completionItem = { snippetSupport = false } } } } })
  wire:send '{"jsonrpc":"2.0","method":"initialized","params":{}}'
  return self
end

function Server:open(name, text)
  local uri = self.root .. "/" .. name
  self.wire:send { jsonrpc = "2.0", method = "textDocument/didOpen", params = {
    textDocument = { uri = uri, languageId = "lua", version = 1, text = text } } }
  repeat
    local message = assert(self.wire:read(), "the language server has ended")
  until message.method == "textDocument/publishDiagnostics" and message.params.uri == uri
end

function Server:complete(name, line, character)
  local answer = self.wire:ask("textDocument/completion", {
    textDocument = { uri = self.root .. "/" .. name }, position = { line = line, character = character },
    context = { triggerKind = 1 },
  })
  local labels = {}
  local list = type(answer.result) == "table" and (answer.result.items or answer.result) or {}
  for _, item in ipairs(list) do labels[item.label:match "^[%w_]+" or item.label] = true end
  return labels
end

function Server:stop()
  self.wire:ask "shutdown"
  self.wire:send '{"jsonrpc":"2.0","method":"exit"}'
  self.wire:stop()
end

return { start = start }
