-- Child processes of the control plane: starting them with chosen descriptors,
-- learning of their end, killing them. It knows nothing of sandboxes.
--
-- A child dies with the control plane (parent-death signal), inherits only the
-- descriptors it was given, as 3, 4, 5, ..., reads /dev/null and writes to the
-- control plane's stderr.

local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local signal = require "cqueues.signal"
local ffi = require "ffi"
local dirent = require "posix.dirent"
local errno = require "posix.errno"
local fcntl = require "posix.fcntl"
local psignal = require "posix.signal"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"

ffi.cdef [[
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int setsid(void);
]]

local PR_SET_PDEATHSIG = 1
local HIGH = 100   -- descriptors are parked above this while they are rearranged

local children = {}

local living = {}  -- pid -> child

---@class daytona.devserver.Child
---@field pid integer
---@field status? integer  exit status, or 128 + signal; nil while it lives
---@field ended any        condition, signalled at its end
local Child = {}
Child.__index = Child

local function rearrange(fds)
  local null = fcntl.open("/dev/null", fcntl.O_RDONLY)
  local parked = {}
  for i, fd in ipairs(fds) do parked[i] = fcntl.fcntl(fd, fcntl.F_DUPFD, HIGH) end
  unistd.dup2(null, 0)
  unistd.dup2(2, 1)
  for i, fd in ipairs(parked) do unistd.dup2(fd, 2 + i) end
  for name in dirent.files("/proc/self/fd") do
    local fd = tonumber(name)
    if fd and fd > 2 + #fds then unistd.close(fd) end
  end
end

-- To run in a forked child: it is as a program expects it, and the given program.
local function execute(path, argv)
  signal.default(signal.SIGPIPE)
  signal.unblock(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
  local _, message, code = unistd.execp(path, argv)
  io.stderr:write("daytona-devserver: cannot run ", path, ": ", tostring(message), "\n")
  unistd._exit(code == errno.ENOENT and 127 or 126)
end

local function become(path, argv, fds, at_our_end)
  ffi.C.setsid()
  ffi.C.prctl(PR_SET_PDEATHSIG, at_our_end or psignal.SIGKILL, 0, 0, 0)
  if unistd.getppid() == 1 then unistd._exit(1) end
  signal.default(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
  rearrange(fds)
  execute(path, argv)
end

-- A child that does so and never returns.
local function fork(fn, ...)
  local pid, message = unistd.fork()
  if not pid then return nil, message end
  if pid == 0 then
    pcall(fn, ...)
    unistd._exit(127)
  end
  local child = setmetatable({ pid = pid, ended = condition.new() }, Child)
  living[pid] = child
  return child
end

---Starts a program (its own session and process group).
---@param path string
---@param argv string[]
---@param fds integer[]  become 3, 4, ... in the child; the caller keeps its own
---@param at_our_end? integer  the signal it gets when the control plane is gone (SIGKILL)
---@return daytona.devserver.Child? child, string? message
function children.spawn(path, argv, fds, at_our_end)
  return fork(become, path, argv, fds, at_our_end)
end

---Starts the program that the server was started for: at the same terminal, in the same
---process group, with the same files but for what it reads, which is descriptor `input`.
---@param argv string[]   the program first, found as a shell finds it
---@param input integer
---@param prepare fun()   called in the child
---@return daytona.devserver.Child? child, string? message
function children.run(argv, input, prepare)
  return fork(function()
    prepare()
    unistd.dup2(input, 0)
    unistd.close(input)
    execute(argv[1], { unpack(argv, 2) })
  end)
end

local function reap(child, flags)
  local pid, how, status = wait.wait(child.pid, flags)
  if pid ~= child.pid or (how ~= "exited" and how ~= "killed") then return false end
  living[child.pid] = nil
  child.status = how == "exited" and status or 128 + status
  child.ended:signal()
  return true
end

---Collects the children that ended; to be called upon SIGCHLD.
function children.reap()
  for _, child in pairs(living) do reap(child, wait.WNOHANG) end
end

---@return integer
function children.count()
  local n = 0
  for _ in pairs(living) do n = n + 1 end
  return n
end

---Signals the child, or with `group` its whole process group.
function Child:kill(number, group)
  if self.status then return end
  psignal.kill(group and -self.pid or self.pid, number)
end

---Waits for the end; false when it has not come within `timeout` real seconds.
---@param timeout number
---@return boolean
function Child:wait(timeout)
  local deadline = cqueues.monotime() + timeout
  while not self.status do
    local left = deadline - cqueues.monotime()
    if left <= 0 then return false end
    cqueues.poll(self.ended, left)
  end
  return true
end

---Kills everything and collects it, without a loop: for the very end.
function children.finish()
  for pid in pairs(living) do
    psignal.kill(-pid, psignal.SIGKILL)
    psignal.kill(pid, psignal.SIGKILL)
  end
  for _, child in pairs(living) do reap(child, 0) end
end

return children
