--- Terminals: an interactive shell on a pseudo-terminal, shared by any number of
-- attached channels. What they are; pty_calls.lua is how they are asked for.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local ffi = require "ffi"
local posix_signal = require "posix.signal"
local stdlib = require "posix.stdlib"
local json = require "daytona.devserver.http.json"
local environment = require "daytona.devserver.toolbox.environment"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"

local pty = {}

-- An old daemon tells the exit code in the close reason only.
pty.legacy = false

local OUTPUT_FRAME = 32768
local MOST_QUEUED = 256        -- frames that a client may leave untaken
local HOLD_BACK = 192          -- from here on the terminal waits a little for it

---@class daytona.devserver.pty
---@field id string
---@field active boolean  its shell runs
---@field ended boolean
local Pty = {}
Pty.__index = Pty

local terminals = {}
local count = 0

function pty.get(id)
  return terminals[id]
end

function pty.all()
  local list = {}
  for _, each in pairs(terminals) do list[#list + 1] = each end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

--- Takes a terminal's name; its shell is not started yet.
---@param o { id: string, cwd: string?, envs: table<string, string>?, cols: integer, rows: integer, lazy: boolean }
function pty.create(o)
  count = count + 1
  local envs = { TERM = "xterm-256color" }
  for name, value in pairs(o.envs or {}) do envs[name] = value end
  local self = setmetatable({
    id = o.id, number = count, cwd = o.cwd, envs = envs, cols = o.cols, rows = o.rows,
    lazy = o.lazy or false, active = false, ended = false, channels = {},
    created = os.time(), over = condition.new(),
  }, Pty)
  terminals[o.id] = self
  return self
end

local function open_master()
  local fd, err = stdlib.openpt(sys.O_RDWR + sys.O_NOCTTY)
  if not fd then return nil, err end
  sys.cloexec(fd)
  sys.nonblock(fd)
  if not stdlib.grantpt(fd) or not stdlib.unlockpt(fd) then
    sys.close(fd)
    return nil, "cannot unlock the terminal"
  end
  return fd
end

function Pty:forget()
  if terminals[self.id] == self then terminals[self.id] = nil end
end

--- Starts its shell. A terminal whose shell cannot start is forgotten.
---@return boolean? ok
---@return string? err
function Pty:start()
  local master, err = open_master()
  if not master then
    self:forget()
    return nil, err
  end
  sys.set_size(master, self.cols, self.rows)
  self.shell, err = spawn.start {
    argv = { environment.shell(), "-i", "-l" }, env = environment.list(self.envs),
    cwd = self.cwd, session = true, tty = stdlib.ptsname(master),
  }
  if not self.shell then
    sys.close(master)
    self:forget()
    return nil, err
  end
  self.master, self.active = master, true
  cqueues.running():wrap(self.work, self)
  return true
end

-- Output -------------------------------------------------------------------

local buffer = sys.buffer(OUTPUT_FRAME)

function Pty:broadcast(data)
  for channel in pairs(self.channels) do
    if channel.queued >= MOST_QUEUED then
      self:detach(channel)
      cqueues.running():wrap(channel.close, channel, 1008, "slow consumer")
    else
      channel:send(data, "binary")
    end
  end
end

-- Gives slow clients a moment, so that a burst of output does not lose them.
function Pty:hold_back()
  for channel in pairs(self.channels) do
    if channel.queued >= HOLD_BACK and not channel.gone then
      channel.changed:wait(0.05)
      return
    end
  end
end

-- Hands on what is there. Returns false at the terminal's end.
function Pty:read()
  while true do
    local n, errno = sys.read(self.master, buffer, OUTPUT_FRAME)
    if not n or n == 0 then
      return not n and errno == sys.EAGAIN
    end
    self:broadcast(ffi.string(buffer, n))
    self:hold_back()
    cqueues.sleep(0)
  end
end

-- Its own coroutine: output until the shell has ended and all of it is out.
function Pty:work()
  local open = true
  while not self.shell.exit_code do
    open = open and self:read()
    if open then
      sys.wait_fd(self.master, "r", nil, self.shell.ended)
    else
      self.shell:wait()
    end
  end
  if open then self:read() end
  self:finish()
end

-- The end ------------------------------------------------------------------

local REASON = { [130] = "Ctrl+C", [137] = "SIGKILL", [143] = "SIGTERM" }
local FRAME_REASON = { [130] = "(SIGINT - Ctrl+C)", [137] = "(SIGKILL)", [143] = "(SIGTERM)" }

local function reason_of(code)
  if code == 0 then return nil end
  return REASON[code] or code > 128 and "signal " .. code - 128 or "non-zero exit"
end

local function frame_reason_of(code)
  if code == 0 then return nil end
  return FRAME_REASON[code] or code > 128 and ("(signal %d)"):format(code - 128) or "(non-zero exit)"
end

function Pty:finish()
  self.active, self.ended = false, true
  self:forget()
  sys.close(self.master)
  local code = self.killed and 137 or self.shell.exit_code
  self.exit_code = code
  local reason = json.encode { exitCode = code, exitReason = reason_of(code) }
  for channel in pairs(self.channels) do
    if not pty.legacy then
      channel:send(json.encode { type = "control", status = "exited", exitCode = code,
                                 exitReason = frame_reason_of(code) }, "text")
    end
    cqueues.running():wrap(channel.close, channel, code == 0 and 1000 or 1011, reason)
  end
  self.channels = {}
  self.over:signal()
end

--- Kills its shell and what hangs on the terminal.
function Pty:kill()
  self.killed = true
  if not self.active then
    self.ended = true
    return self:forget()
  end
  local tree = spawn.descendants(self.shell.pid)
  self.shell:kill_group(posix_signal.SIGKILL)
  for _, pid in ipairs(tree) do posix_signal.kill(pid, posix_signal.SIGHUP) end
  while not self.ended do self.over:wait() end
end

-- Clients ------------------------------------------------------------------

--- Sends its output to a channel from now on.
function Pty:attach(channel)
  self.channels[channel] = true
end

function Pty:detach(channel)
  self.channels[channel] = nil
end

--- Types into it.
---@return boolean? ok  nil when it has ended
function Pty:input(data)
  if not self.active then return nil end
  return sys.feed(self.master, data, function() return not self.active end, self.shell.ended)
end

---@return boolean? ok
function Pty:resize(cols, rows)
  self.cols, self.rows = cols, rows
  return sys.set_size(self.master, cols, rows)
end

return pty
