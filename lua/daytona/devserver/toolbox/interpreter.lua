--- The stateful Python interpreter: contexts, each a worker process with a
-- namespace of its own, that run pieces of code in turn. What they are;
-- interpreter_calls.lua is how they are asked for.

local cqueues = require "cqueues"
local ffi = require "ffi"
local posix_signal = require "posix.signal"
local ids = require "daytona.devserver.ids"
local json = require "daytona.devserver.http.json"
local environment = require "daytona.devserver.toolbox.environment"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"
local worker = require "daytona.devserver.toolbox.interpreter_worker"

local interpreter = {}

local DEFAULT = "default"
local MOST_WAITING = 128
local START_PATIENCE = 20     -- seconds a worker has to come up

-- Seconds between a timeout's interrupt, or a deletion, and the kill.
interpreter.grace_seconds = 2

---@class daytona.devserver.context
---@field id string
---@field active boolean  its worker runs
local Context = {}
Context.__index = Context

local contexts = {}
local count = 0

--- A piece of code to run, and what came of it.
---@class daytona.devserver.job
---@field code string
---@field envs table<string, string>?
---@field timeout number?  seconds, nil: none
---@field begin fun()  its turn has come
---@field emit fun(message: table)  gets each message as it comes
---@field close_code integer?  set at the end
---@field close_reason string
---@field changed any  a condition

function interpreter.get(id)
  return contexts[id]
end

--- The contexts that were asked for, in order.
function interpreter.all()
  local list = {}
  for id, each in pairs(contexts) do
    if id ~= DEFAULT then list[#list + 1] = each end
  end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

-- The worker ---------------------------------------------------------------

local function which_python()
  for _, name in ipairs { "python3", "python" } do
    for dir in (environment.get "PATH" or ""):gmatch "[^:]+" do
      if sys.stat(dir .. "/" .. name) then return name end
    end
  end
  return "python3"
end

local SIZE = 65536
local buffer = sys.buffer(SIZE)

-- Passes on what the code wrote to a descriptor directly. Returns false at the end.
function Context:pump(stream)
  while true do
    local n, errno = sys.read(stream.fd, buffer, SIZE)
    if not n or n == 0 then return not n and errno == sys.EAGAIN end
    local valid
    valid, stream.rest = text.utf8(stream.rest .. ffi.string(buffer, n), true)
    if valid ~= "" then
      self:emit { type = stream.name, text = valid, name = "", value = "", traceback = "" }
    end
    cqueues.sleep(0)
  end
end

-- What comes while nothing is executed is lost.
function Context:emit(message)
  if self.current then self.current.emit(message) end
end

local function watch(self, fd, name)
  local stream = { fd = fd, name = name, rest = "" }
  sys.nonblock(fd)
  cqueues.running():wrap(function()
    while self:pump(stream) do sys.wait_fd(fd, "r") end
    stream.ended = true
    sys.close(fd)
  end)
  return stream
end

-- The worker's own frames must not bear the name that those of the code have.
local LOADER = "import sys; exec(compile(sys.argv.pop(), '<interpreter>', 'exec'))"

--- Starts its worker.
---@return boolean? ok
---@return string? err
function Context:start()
  local ours, theirs = sys.socketpair()
  local out_read, out_write = sys.pipe()
  local err_read, err_write = sys.pipe()
  local process, err = spawn.start {
    argv = { which_python(), "-u", "-c", LOADER, worker }, env = environment.list(), cwd = self.cwd,
    stdout = out_write, stderr = err_write, third = theirs,
  }
  sys.close(theirs)
  sys.close(out_write)
  sys.close(err_write)
  if not process then
    for _, fd in ipairs { ours, out_read, err_read } do sys.close(fd) end
    return nil, err
  end
  sys.nonblock(ours)
  self.process, self.fd = process, ours
  self.whole, self.at, self.pieces = "", 1, {}     -- whole lines, and the beginning of one
  self.streams = { watch(self, out_read, "stdout"), watch(self, err_read, "stderr") }
  self.active = true
  local ready = self:receive(cqueues.monotime() + START_PATIENCE)
  if not ready then
    self:stop()
    return nil, "the interpreter did not start"
  end
  return true
end

-- Ends the worker at once.
function Context:stop()
  if not self.active then return end
  self.active = false
  self.process:kill_group(posix_signal.SIGKILL)
  self.process:wait()
  sys.close(self.fd)
end

-- The next message of the worker: nil when it has ended, false at the deadline.
function Context:receive(deadline)
  while true do
    local stop = self.whole:find("\n", self.at, true)
    if stop then
      local line = self.whole:sub(self.at, stop - 1)
      self.at = stop + 1
      return json.decode(line)
    end
    local n, errno = sys.read(self.fd, buffer, SIZE)
    if n and n > 0 then
      self:hold(ffi.string(buffer, n))
    elseif n == 0 or errno ~= sys.EAGAIN then
      return nil
    else
      local left = deadline and deadline - cqueues.monotime()
      if left and left <= 0 then return false end
      sys.wait_fd(self.fd, "r", left)
    end
  end
end

-- Keeps what arrived: in pieces, until one of them ends a line.
function Context:hold(piece)
  if self.at <= #self.whole then
    self.pieces[1] = self.whole:sub(self.at)
    self.whole, self.at = "", 1
  end
  self.pieces[#self.pieces + 1] = piece
  if piece:find("\n", 1, true) then
    self.whole, self.at, self.pieces = table.concat(self.pieces), 1, {}
  end
end

-- Jobs ---------------------------------------------------------------------

local function finish(job, code, reason)
  if job.close_code then return end
  job.close_code, job.close_reason = code, reason or ""
  job.changed:signal()
end

-- Runs a job until its control message. Returns how its connection is closed.
function Context:converse(job)
  local deadline = job.timeout and cqueues.monotime() + job.timeout
  local interrupted = false
  sys.feed(self.fd, json.encode { code = job.code, envs = job.envs } .. "\n")
  while true do
    local message = self:receive(deadline)
    if message == nil then
      self:stop()
      if interrupted then return 4008, "" end
      return 1001, self.deleted and "context shutdown" or "worker process ended"
    elseif message == false then
      self.process:kill(interrupted and posix_signal.SIGKILL or posix_signal.SIGINT)
      deadline = not interrupted and cqueues.monotime() + interpreter.grace_seconds or nil
      interrupted = true
    elseif message.type == "control" then
      for _, stream in ipairs(self.streams) do
        if not stream.ended then self:pump(stream) end
      end
      self:emit(message)
      if message.text == "interrupted" then return 4008, "" end
      return 1000, ""
    else
      self:emit(message)
    end
  end
end

function Context:run(job)
  if not self.active then
    local ok, err = self:start()
    if self.deleted then
      self:stop()
      return finish(job, 1001, "context shutdown")
    end
    if not ok then return finish(job, 1011, "context is not active: " .. err) end
  end
  self.current = job
  job.begin()
  local code, reason = self:converse(job)
  self.current = nil
  finish(job, code, reason)
end

--- Takes up a job, to be run after those before it.
---@param job daytona.devserver.job
---@return boolean? ok  nil when too many wait
function Context:add(job)
  if #self.waiting >= MOST_WAITING then return nil end
  self.waiting[#self.waiting + 1] = job
  if not self.working then
    self.working = true
    cqueues.running():wrap(function()
      while self.waiting[1] do
        self:run(table.remove(self.waiting, 1))
      end
      self.working = false
    end)
  end
  return true
end

-- Contexts -----------------------------------------------------------------

local function new(id, cwd)
  count = count + 1
  local self = setmetatable({
    id = id, number = count, cwd = cwd, created = os.time(), active = false, waiting = {},
  }, Context)
  local ok, err = self:start()
  if not ok then return nil, err end
  contexts[id] = self
  return self
end

--- Makes a context.
---@param cwd string?
---@return daytona.devserver.context? context
---@return string? err
function interpreter.create(cwd)
  return new(ids.uuid(), cwd)
end

--- The context of those who name none, made when it is first wanted.
function interpreter.default()
  if contexts[DEFAULT] then return contexts[DEFAULT] end
  return new(DEFAULT)
end

--- Ends a context and everything that runs or waits in it.
function Context:delete()
  contexts[self.id] = nil
  self.deleted = true
  for _, job in ipairs(self.waiting) do finish(job, 1001, "context shutdown") end
  self.waiting = {}
  if not self.active then return end
  self.process:kill_group(posix_signal.SIGTERM)
  if not self.process:wait(interpreter.grace_seconds) then
    self.process:kill_group(posix_signal.SIGKILL)
    self.process:wait()
  end
  if not self.current then self:stop() end
end

return interpreter
