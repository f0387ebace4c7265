--- One language server: its process, and the conversation with it (JSON-RPC, each
-- message after a Content-Length header). Knows no HTTP; lsp_calls.lua does.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local ffi = require "ffi"
local posix_signal = require "posix.signal"
local json = require "daytona.devserver.http.json"
local environment = require "daytona.devserver.toolbox.environment"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"

local lsp = {}

local PATIENCE = 30            -- seconds for an answer
local GOODBYE = 2              -- seconds to end after being asked to

---@class daytona.devserver.lsp
---@field ready boolean  it has been initialised and still runs
local Server = {}
Server.__index = Server

--- A file's URI.
function lsp.uri(path)
  return "file://" .. path:gsub("[^%w%-._~/]", function(c) return ("%%%02X"):format(c:byte()) end)
end

-- Talking ------------------------------------------------------------------

function Server:write(message)
  message.jsonrpc = "2.0"
  local data = json.encode(message)
  local queue = self.queue
  queue[#queue + 1] = ("Content-Length: %d\r\n\r\n%s"):format(#data, data)
  if self.writing then return end
  self.writing = true
  cqueues.running():wrap(function()
    while self.queue[1] and not self.ended do
      sys.feed(self.input, table.remove(self.queue, 1), function() return self.ended end, self.changed)
    end
    self.writing = false
    if self.ended then self:release() end
  end)
end

function Server:notify(method, params)
  self:write { method = method, params = params }
end

--- Asks for something and waits for the answer.
---@return any result  nil and a message when it failed; json.null is a result
---@return string? err
function Server:request(method, params)
  self.last_id = self.last_id + 1
  local id = self.last_id
  self:write { id = id, method = method, params = params }
  local deadline = cqueues.monotime() + PATIENCE
  while not self.answers[id] do
    local left = deadline - cqueues.monotime()
    if self.ended then return nil, "the language server has ended" end
    if left <= 0 then return nil, "the language server does not answer" end
    self.changed:wait(left)
  end
  local answer = self.answers[id]
  self.answers[id] = nil
  if type(answer.error) == "table" then return nil, tostring(answer.error.message) end
  return answer.result == nil and json.null or answer.result
end

-- What servers ask of their clients is granted with nothing.
local function answer_to(message)
  if message.method == "workspace/configuration" then
    local list = json.array {}
    for i in ipairs(message.params and message.params.items or {}) do list[i] = json.null end
    return list
  end
  return json.null
end

function Server:handle(message)
  if message.method and message.id ~= nil then
    self:write { id = message.id, result = answer_to(message) }
  elseif message.id ~= nil then
    self.answers[message.id] = message
    self.changed:signal()
  end
end

-- Takes whole messages off the front of what arrived.
function Server:parse(held)
  while true do
    local head, body = held:find("\r\n\r\n", 1, true)
    local length = head and tonumber(held:sub(1, head):lower():match "content%-length:%s*(%d+)")
    if not length or #held < body + length then return held end
    local message = json.decode(held:sub(body + 1, body + length))
    held = held:sub(body + length + 1)
    if type(message) == "table" then self:handle(message) end
  end
end

local SIZE = 65536
local buffer = sys.buffer(SIZE)

function Server:listen()
  local held = ""
  while true do
    local n, errno = sys.read(self.output, buffer, SIZE)
    if n and n > 0 then
      held = self:parse(held .. ffi.string(buffer, n))
    elseif not n and errno == sys.EAGAIN then
      sys.wait_fd(self.output, "r")
    else
      break
    end
  end
  self.ready, self.ended = false, true
  sys.close(self.output)
  if not self.writing then self:release() end
  self.changed:signal()
end

-- Closes its input, once nobody writes to it.
function Server:release()
  if self.input then
    sys.close(self.input)
    self.input = nil
  end
end

-- Life ---------------------------------------------------------------------

local CAPABILITIES = {
  textDocument = {
    synchronization = { didSave = false },
    completion = { completionItem = { snippetSupport = false } },
    documentSymbol = { hierarchicalDocumentSymbolSupport = false },
  },
  workspace = { workspaceFolders = true, configuration = true },
}

local function initialise(self, project)
  local uri = lsp.uri(project)
  local result, err = self:request("initialize", {
    processId = json.null, rootUri = uri, rootPath = project, capabilities = CAPABILITIES,
    workspaceFolders = { { uri = uri, name = project:match "[^/]*$" } },
  })
  if not result then return nil, err end
  self:notify("initialized", {})
  self.ready = true
  return true
end

--- Starts a server and introduces it to its project.
---@param argv string[]
---@param project string  absolute
---@return daytona.devserver.lsp? server
---@return string? err
function lsp.start(argv, project)
  local in_read, in_write = sys.pipe()
  local out_read, out_write = sys.pipe()
  local process, err = spawn.start {
    argv = argv, env = environment.list(), cwd = project, stdin = in_read, stdout = out_write,
    stderr = false,
  }
  sys.close(in_read)
  sys.close(out_write)
  if not process then
    sys.close(in_write)
    sys.close(out_read)
    return nil, err
  end
  sys.nonblock(in_write)
  sys.nonblock(out_read)
  local self = setmetatable({
    process = process, input = in_write, output = out_read, queue = {}, answers = {},
    last_id = 0, ready = false, ended = false, changed = condition.new(),
  }, Server)
  cqueues.running():wrap(self.listen, self)
  local ok, why = initialise(self, project)
  if not ok then
    self:stop()
    return nil, why
  end
  return self
end

--- Ends it, politely at first.
function Server:stop()
  if self.ready and not self.ended then
    self.ready = false
    if self:request("shutdown", nil) then self:notify("exit", nil) end
  end
  if not self.process:wait(GOODBYE) then
    self.process:kill_group(posix_signal.SIGKILL)
    self.process:wait()
  end
end

return lsp
