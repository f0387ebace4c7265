-- MCP over standard input and output: one message a line, each request a task of its
-- own, so that a long one holds no other up. Nothing but messages goes to standard
-- output.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local interrupt = require "daytona.loop.interrupt"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local protocol = require "daytona.agent.mcp.protocol"
local task = require "daytona.loop.task"

local stdio = {}

-- Bytes that a message may have; seconds that requests may still take when the client
-- has closed its end, and then to clean up.
local LONGEST, GRACE, CLEANING = 64 * 1024 * 1024, 0.5, 8

-- Revision 2025-03-26 alone knows lists of messages.
local BATCHES = "2025-03-26"

local function send(message)
  local text, why = ordered.encode(message)
  if not text then
    text = assert(ordered.encode(protocol.error(message.id, -32603, "the answer cannot be sent: " .. why)))
  end
  io.stdout:write(text, "\n")
  io.stdout:flush()
end

-- 1 and "1" are two ids.
local function key_of(id)
  return type(id) .. ":" .. tostring(id)
end

local function cancel(self, message)
  local params = message.params
  local running = type(params) == "table" and self.running[key_of(params.requestId)]
  if not running then return end
  running.silent = true
  running.work:cancel()
end

-- Answers one message: `reply` gets the response, if there is any.
local function answer(self, message, reply)
  local is_request = type(message) == "table" and message.method ~= nil and message.id ~= nil
  if not is_request then
    if type(message) == "table" and message.method == "notifications/cancelled" then return cancel(self, message) end
    local response = self.server:handle(message, self.peer)
    if response then reply(response) end
    return
  end
  local running, key = { silent = false }, key_of(message.id)
  running.task = task.spawn(function()
    self.running[key] = running
    running.work = task.spawn(self.server.handle, self.server, message, self.peer)
    local response, err = running.work:wait() -- also for the end of what was cancelled
    if self.running[key] == running then self.running[key] = nil end
    if running.silent or errors.is(err, "canceled") then return end
    reply(response or protocol.error(message.id, -32603, "internal error: " .. tostring(err)))
  end)
end

local function answer_all(self, messages)
  local responses = json.array()
  local all = task.spawn(function()
    for _, message in ipairs(messages) do
      answer(self, message, function(response) responses[#responses + 1] = response end)
    end
  end)
  task.spawn(function()
    all:wait()
    if responses[1] then send(responses) end
  end)
end

local function take_line(self, line)
  if not line:find "%S" then return end
  local message, why = json.decode(line)
  if message == nil then return send(protocol.not_json(why)) end
  if self.peer.version == BATCHES and type(message) == "table" and message[1] ~= nil then
    return answer_all(self, message)
  end
  answer(self, message, send)
end

local function take(self, chunk)
  self.buffer:push(chunk)
  local line = self.buffer:line()
  while line do
    take_line(self, line)
    line = self.buffer:line()
  end
  if self.buffer.size > LONGEST then
    self.buffer = line_buffer.new()
    send(protocol.not_json("a message has more than 64 MiB"))
  end
end

local function all_running(self)
  local list = {}
  for _, running in pairs(self.running) do list[#list + 1] = running end
  return list
end

-- Waits until nothing is in progress, or the time is over.
local function settle(self, seconds)
  local deadline = loop.now() + seconds
  for _, running in ipairs(all_running(self)) do
    running.task:wait(math.max(deadline - loop.now(), 0.001))
  end
end

local function finish(self)
  settle(self, GRACE)
  for _, running in ipairs(all_running(self)) do
    running.silent = true
    running.work:cancel()
  end
  settle(self, CLEANING)
end

local function serve(self)
  while true do
    local fd = loop.busy() and loop.engine():fd() or -1
    if core.input_wait(fd, loop.timeout()) then
      local chunk = core.input_read()
      if not chunk then return end
      take(self, chunk)
    end
    loop.step()
  end
end

---Serves until standard input ends; what is in progress then is ended too.
---@param server daytona.McpServer
function stdio.run(server)
  local self = { server = server, running = {}, buffer = line_buffer.new(), peer = { notify = send } }
  loop.drive(serve, self)
  finish(self)
end

---Does so as a program, which a signal ends as the end of standard input does; the exit
---status. What is in progress at the end is ended over there, too.
---@param name string                  the program's, for messages
---@param server daytona.McpServer
---@param to_close { close: function }  what goes away with it
---@return integer status
function stdio.serve(name, server, to_close)
  interrupt.trap()
  local fine, err = pcall(stdio.run, server)
  local ended = fine or interrupt.ended(err)
  to_close:close()
  if ended then return 0 end
  io.stderr:write(name, ": ", tostring(err), "\n")
  return 1
end

return stdio
