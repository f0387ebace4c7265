--- Sessions: a long-lived shell that runs one command after another, so that
-- directories, variables and functions stay. What they are; session_calls.lua
-- is how they are asked for.
--
-- A command's text lies in a file that the shell sources, with its streams on
-- named pipes that the daemon reads; its exit status comes back on a pipe that
-- only the shell holds. All of a command's files are in
-- ~/.daytona/sessions/<session>/<command>/.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local ffi = require "ffi"
local posix_signal = require "posix.signal"
local stat = require "posix.sys.stat"
local quote = require "daytona.base.shell".quote
local ids = require "daytona.devserver.ids"
local environment = require "daytona.devserver.toolbox.environment"
local files = require "daytona.devserver.toolbox.files"
local session_log = require "daytona.devserver.toolbox.session_log"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"

local session = {}

-- Seconds that processes which outlive a dead shell may still write to the log.
local LAST_WORDS = 1
-- Seconds that a deleted session's processes have to end by themselves.
session.grace_seconds = 5

-- Seconds from the start of a command until its input is there: the service's is made by
-- the shell, a little later.
session.pipe_seconds = 0.02

-- Seconds that what was killed may take to be gone; others may hold it up.
local DEATH_SECONDS = 1

-- An old daemon never notices that a shell has died.
session.legacy = false

---@class daytona.devserver.session
---@field id string
---@field commands table[]  by order of their start
---@field ended boolean  its shell is gone
---@field deleted boolean
local Session = {}
Session.__index = Session

local sessions = {}

function session.get(id)
  return sessions[id]
end

function session.all()
  local list = {}
  for _, each in pairs(sessions) do list[#list + 1] = each end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

local count = 0

--- Starts a session.
---@param id string  may be a folder's name
---@param cwd string?
---@return daytona.devserver.session? session
---@return string? err
function session.create(id, cwd)
  local in_read, in_write = sys.pipe()
  local report_read, report_write = sys.pipe()
  local shell, err = spawn.start {
    argv = { environment.shell() }, env = environment.list(), cwd = cwd,
    stdin = in_read, third = report_write,
  }
  sys.close(in_read)
  sys.close(report_write)
  if not shell then
    sys.close(in_write)
    sys.close(report_read)
    return nil, err
  end
  sys.nonblock(in_write)
  sys.nonblock(report_read)
  count = count + 1
  local self = setmetatable({
    id = id, number = count, shell = shell, input = in_write, report = report_read,
    dir = environment.get "HOME" .. "/.daytona/sessions/" .. id,
    commands = {}, by_id = {}, waiting = {}, ended = false, deleted = false,
    changed = condition.new(),
  }, Session)
  files.make_dirs(self.dir, 493)
  sessions[id] = self
  cqueues.running():wrap(self.work, self)
  return self
end

-- Commands -----------------------------------------------------------------

---@class daytona.devserver.session_command
---@field id string
---@field text string
---@field exit_code integer?  once it is over
---@field log daytona.devserver.log
---@field changed any  a condition

local function make_pipe(path, flags)
  local ok, err = stat.mkfifo(path, 384)
  if not ok then error(err) end
  local fd, errno = sys.open(path, flags + sys.O_NONBLOCK)
  if not fd then error("open " .. path .. ": " .. sys.strerror(errno)) end
  return fd
end

local function write_file(path, data)
  local file = assert(io.open(path, "wb"))
  file:write(data)
  file:close()
end

--- Takes up a command, to be run when those before it are over.
---@param text string
---@param o { async: boolean, echo: boolean }  echo: input appears in the log
---@return daytona.devserver.session_command
function Session:add(text, o)
  local command = {
    id = ids.uuid(), text = text, echo = o.echo, changed = condition.new(),
  }
  command.dir = self.dir .. "/" .. command.id
  files.make_dirs(command.dir, 493)
  write_file(command.dir .. "/cmd.sh", text .. "\n")
  command.log = session_log.new(command.dir .. "/output.log")
  if o.async then
    command.input_from = cqueues.monotime() + session.pipe_seconds
    command.input = make_pipe(command.dir .. "/input.pipe", sys.O_RDWR)
  end
  self.commands[#self.commands + 1] = command
  self.by_id[command.id] = command
  self.waiting[#self.waiting + 1] = command
  self.changed:signal()
  return command
end

local function close_input(command)
  if command.input then
    sys.close(command.input)
    command.input = nil
    command.changed:signal()
    os.remove(command.dir .. "/input.pipe")
  end
end

local function finish(command, exit_code)
  close_input(command)
  local path = command.dir .. "/exit_code"
  write_file(path .. ".new", tostring(exit_code))
  os.rename(path .. ".new", path)
  command.exit_code = exit_code
  command.log:finish()
  command.changed:signal()
end

-- Starts the two copies of a command's streams to its log.
local function collect(self, command)
  local pending = 2
  local copies = { done = condition.new() }
  function copies.pending() return pending > 0 end
  local function stopped() return copies.stop end
  for _, stream in ipairs { "stdout", "stderr" } do
    local path = command.dir .. "/" .. stream .. ".pipe"
    local fd = make_pipe(path, sys.O_RDONLY)
    cqueues.running():wrap(function()
      command.log:copy(fd, stream, stopped, copies.done)
      os.remove(path)
      pending = pending - 1
      copies.done:signal()
    end)
  end
  self.copies = copies
  return copies
end

-- Waits for the status that the shell reports: nil when it has ended instead.
local function read_report(self)
  local buffer, text = sys.buffer(64), ""
  while not text:find("\n", 1, true) do
    local n, errno = sys.read(self.report, buffer, 64)
    if n and n > 0 then
      text = text .. ffi.string(buffer, n)
    elseif n == 0 or errno ~= sys.EAGAIN then
      return nil
    else
      sys.wait_fd(self.report, "r")
    end
  end
  return tonumber(text:match "%d+")
end

local function shell_status(shell)
  local code = shell:wait()
  return shell.signal and 128 + shell.signal or code
end

-- Waits until the copies are done; a limit is for those of a dead shell.
local function await_copies(copies, limit)
  local deadline = limit and cqueues.monotime() + limit
  while copies.pending() do
    local left = deadline and deadline - cqueues.monotime()
    if left and left <= 0 then
      copies.stop = true
      copies.done:signal()
      deadline, left = nil, nil
    end
    copies.done:wait(left)
  end
end

-- Runs one command to its end. Returns false when the shell ended with it.
local function run(self, command)
  local copies = collect(self, command)
  local dir = command.dir
  local stdin = command.input and quote(dir .. "/input.pipe") or "/dev/null"
  sys.feed(self.input, ("{ . %s; } <%s >%s 2>%s 3>&-; echo \"$?\" >&3\n"):format(
    quote(dir .. "/cmd.sh"), stdin, quote(dir .. "/stdout.pipe"), quote(dir .. "/stderr.pipe")))
  local status = read_report(self)
  if status then
    close_input(command)
    await_copies(copies)
    finish(command, status)
    return true
  end
  status = shell_status(self.shell)
  if session.legacy and not self.deleted then
    self.ended = true
    self.changed:signal()
    while not self.deleted do self.changed:wait() end
  end
  await_copies(copies, LAST_WORDS)
  finish(command, status)
  return false
end

-- The session's own coroutine: commands, one at a time, until the shell ends.
function Session:work()
  local alive = true
  while alive do
    local command = table.remove(self.waiting, 1)
    if command then
      alive = run(self, command)
    elseif self.shell.exit_code then
      alive = false
    else
      cqueues.poll(self.changed, self.shell.ended)
    end
  end
  self.ended = true
  sys.close(self.input)
  sys.close(self.report)
  for _, command in ipairs(self.waiting) do finish(command, -1) end
  self.over = true
  self.changed:signal()
end

--- Gives a running command more input.
---@return boolean? ok  nil when it is over
function Session:feed(command, data) -- luacheck: no self
  local function over() return not command.input end
  if over() or not sys.feed(command.input, data, over, command.changed) then return nil end
  if command.echo then command.log:add("stdout", data) end
  return true
end

local function signal_tree(pids, signo)
  for _, pid in ipairs(pids) do posix_signal.kill(pid, signo) end
end

local function is_any_there(pids)
  for _, pid in ipairs(pids) do
    if posix_signal.kill(pid, 0) then return true end
  end
  return false
end

--- Ends the session and all that it has started, and removes its folder.
function Session:delete()
  sessions[self.id] = nil
  self.deleted = true
  local shell, deadline = self.shell, cqueues.monotime() + session.grace_seconds
  local tree = spawn.descendants(shell.pid)
  signal_tree(tree, posix_signal.SIGTERM)
  shell:kill_group(posix_signal.SIGTERM)
  while #spawn.descendants(shell.pid) > 0 and cqueues.monotime() < deadline do
    shell:wait(0.1)
    cqueues.sleep(0.02)
  end
  tree = spawn.descendants(shell.pid)
  shell:kill_group(posix_signal.SIGKILL)
  signal_tree(tree, posix_signal.SIGKILL)
  shell:wait()
  deadline = cqueues.monotime() + DEATH_SECONDS
  while is_any_there(tree) and cqueues.monotime() < deadline do cqueues.sleep(0.005) end
  if self.copies then
    self.copies.stop = true
    self.copies.done:signal()
  end
  self.changed:signal()
  while not self.over do self.changed:wait() end
  for _, command in ipairs(self.commands) do
    command.log.deleted = true
  end
  files.remove_tree(self.dir)
end

return session
