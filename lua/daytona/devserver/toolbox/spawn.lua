--- Starts programs and learns how they ended. Each child gets its own process
-- group, the default signal dispositions, and no descriptor but the ones that
-- it is given. As the first process of a sandbox the daemon is also the parent
-- of every orphan: they are reaped here, and their statuses dropped.
--
-- Nothing is forked by hand: posix_spawn shares the daemon's memory with the
-- child until it runs its program, so starting one costs the same however
-- much the daemon holds, and no Lua runs in between.

local ffi = require "ffi"
local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local signal = require "cqueues.signal"
local posix_signal = require "posix.signal"
local wait = require "posix.sys.wait"
local dirent = require "posix.dirent"
local unistd = require "posix.unistd"
local sys = require "daytona.devserver.toolbox.sys"

ffi.cdef [[
int posix_spawnp(int *pid, const char *file, const void *actions,
                 const void *attributes, const char *const *argv,
                 const char *const *env);
int posix_spawnattr_init(void *);
int posix_spawnattr_destroy(void *);
int posix_spawnattr_setflags(void *, short);
int posix_spawnattr_setsigmask(void *, const void *);
int posix_spawnattr_setsigdefault(void *, const void *);
int posix_spawn_file_actions_init(void *);
int posix_spawn_file_actions_destroy(void *);
int posix_spawn_file_actions_adddup2(void *, int, int);
int posix_spawn_file_actions_addopen(void *, int, const char *, int, unsigned);
int posix_spawn_file_actions_addchdir_np(void *, const char *);
int posix_spawn_file_actions_addclosefrom_np(void *, int);
int sigemptyset(void *);
int sigfillset(void *);
int sigdelset(void *, int);
]]

local C = ffi.C
local SETPGROUP, SETSIGDEF, SETSIGMASK, SETSID = 0x02, 0x04, 0x08, 0x80

local spawn = {}

---@class daytona.devserver.process
---@field pid integer
---@field exit_code integer?  set when it has ended; -1 when a signal ended it
---@field signal integer?  the signal that ended it
---@field ended any  a condition, signalled at its end
local Process = {}
Process.__index = Process

local living = {}        -- pid → Process, until its status is known

local function string_array(list)
  local array = ffi.new("const char *[?]", #list + 1)
  for i = 1, #list do
    array[i - 1] = list[i]
  end
  return array
end

-- What the child's descriptors become. Ours are never below 3, so that no
-- target overwrites a source that is still needed.
local function add_descriptors(actions, o)
  if o.tty then
    C.posix_spawn_file_actions_addopen(actions, 0, o.tty, sys.O_RDWR, 0)
    C.posix_spawn_file_actions_adddup2(actions, 0, 1)
    C.posix_spawn_file_actions_adddup2(actions, 0, 2)
  else
    local stderr = o.stderr
    if stderr == nil then stderr = o.stdout end
    local wanted = { [0] = o.stdin, [1] = o.stdout, [2] = stderr }
    for target = 0, 2 do
      if wanted[target] then
        C.posix_spawn_file_actions_adddup2(actions, wanted[target], target)
      else
        C.posix_spawn_file_actions_addopen(actions, target, "/dev/null", sys.O_RDWR, 0)
      end
    end
  end
  if o.third then
    C.posix_spawn_file_actions_adddup2(actions, o.third, 3)
  end
  C.posix_spawn_file_actions_addclosefrom_np(actions, o.third and 4 or 3)
end

local function make_attributes(o)
  local attributes, set = ffi.new "char[1024]", ffi.new "char[256]"
  C.posix_spawnattr_init(attributes)
  C.sigemptyset(set)
  C.posix_spawnattr_setsigmask(attributes, set)
  C.sigfillset(set)
  C.sigdelset(set, posix_signal.SIGKILL)
  C.sigdelset(set, posix_signal.SIGSTOP)
  C.posix_spawnattr_setsigdefault(attributes, set)
  local group = o.session and SETSID or SETPGROUP
  C.posix_spawnattr_setflags(attributes, group + SETSIGDEF + SETSIGMASK)
  return attributes
end

-- The reason a directory cannot be entered, as an errno.
local function cannot_enter(dir)
  local info, errno = sys.stat(dir)
  if not info then
    return errno
  end
  if info.kind ~= sys.S_IFDIR then
    return sys.ENOTDIR
  end
  local ok, _, access_errno = unistd.access(dir, "x")
  return not ok and access_errno or nil
end

---@class daytona.devserver.spawn_options
---@field argv string[]  the program, searched in PATH, and its arguments
---@field env string[]  "NAME=value"
---@field cwd string?  default: the daemon's
---@field stdin integer?  descriptors; what is absent is /dev/null
---@field stdout integer?
---@field stderr integer|false|nil  default: stdout; false: /dev/null
---@field third integer?  becomes descriptor 3
---@field session boolean?  a session of its own instead of only a group
---@field tty string?  a terminal to be its stdin, stdout, stderr; with `session` its controlling one

--- Starts a program. The caller keeps its own descriptors and closes them.
---@param o daytona.devserver.spawn_options
---@return daytona.devserver.process? process
---@return string? err  such as "chdir /nope: no such file or directory"
---@return integer? errno
function spawn.start(o)
  if o.cwd then
    local errno = cannot_enter(o.cwd)
    if errno then
      return nil, ("chdir %s: %s"):format(o.cwd, sys.strerror(errno)), errno
    end
  end
  local actions, attributes = ffi.new "char[1024]", make_attributes(o)
  C.posix_spawn_file_actions_init(actions)
  if o.cwd then
    C.posix_spawn_file_actions_addchdir_np(actions, o.cwd)
  end
  add_descriptors(actions, o)
  local pid = ffi.new "int[1]"
  local argv, env = string_array(o.argv), string_array(o.env)
  local errno = C.posix_spawnp(pid, o.argv[1], actions, attributes, argv, env)
  C.posix_spawn_file_actions_destroy(actions)
  C.posix_spawnattr_destroy(attributes)
  if errno ~= 0 then
    return nil, ("fork/exec %s: %s"):format(o.argv[1], sys.strerror(errno)), errno
  end
  local process = setmetatable({ pid = pid[0], ended = condition.new() }, Process)
  living[process.pid] = process
  return process
end

--- Waits for its end.
---@param timeout number?  seconds
---@return integer? exit_code  nil when it still runs; -1 when a signal ended it
function Process:wait(timeout)
  local deadline = timeout and cqueues.monotime() + timeout
  while not self.exit_code do
    local left = deadline and deadline - cqueues.monotime()
    if left and left <= 0 then
      return nil
    end
    self.ended:wait(left)
  end
  return self.exit_code
end

--- Sends a signal to its whole group, which may outlive it.
function Process:kill_group(signo)
  return posix_signal.kill(-self.pid, signo)
end

--- Sends a signal to it alone, if it still runs.
function Process:kill(signo)
  return not self.exit_code and posix_signal.kill(self.pid, signo)
end

local function reap()
  while true do
    local pid, how, status = wait.wait(-1, wait.WNOHANG)
    if not pid or pid == 0 then
      return
    end
    local process = living[pid]
    if process then
      living[pid] = nil
      process.signal = how == "killed" and status or nil
      process.exit_code = how == "exited" and status or -1
      process.ended:signal()
    end
  end
end

--- Takes over SIGCHLD: to be called once, before anything is started. The
-- coroutine that reaps belongs to `cq` and ends with it.
function spawn.init(cq)
  signal.block(signal.SIGCHLD)
  local listener = signal.listen(signal.SIGCHLD)
  cq:wrap(function()
    while true do
      reap()
      listener:wait()
    end
  end)
end

-- pid → parent pid of every process that can be seen.
local function parents()
  local found = {}
  for _, name in ipairs(dirent.dir "/proc") do
    local pid = tonumber(name)
    local file = pid and io.open("/proc/" .. name .. "/stat")
    if file then
      local parent = (file:read "*a" or ""):match "^%d+ %(.*%) %S (%d+)"
      file:close()
      found[pid] = tonumber(parent)
    end
  end
  return found
end

-- The children of a process as the kernel lists them, thread by thread.
local function children_of(pid)
  local list = {}
  local ok, threads = pcall(dirent.dir, "/proc/" .. pid .. "/task")
  for _, thread in ipairs(ok and threads or {}) do
    local file = io.open(("/proc/%d/task/%s/children"):format(pid, thread))
    for child in (file and file:read "*a" or ""):gmatch "%d+" do list[#list + 1] = tonumber(child) end
    if file then file:close() end
  end
  return list
end

-- The same for a kernel without such lists: all processes are looked through.
local function children_by_parent()
  local children = {}
  for pid, parent in pairs(parents()) do
    children[parent] = children[parent] or {}
    table.insert(children[parent], pid)
  end
  return function(pid) return children[pid] or {} end
end

local has_lists = sys.stat("/proc/self/task/" .. unistd.getpid() .. "/children") ~= nil

--- Every process that descends from one. What it costs depends on how many these are.
---@param root integer
---@return integer[] pids
function spawn.descendants(root)
  local found, children = {}, has_lists and children_of or children_by_parent()
  local function collect(pid)
    for _, child in ipairs(children(pid)) do
      found[#found + 1] = child
      collect(child)
    end
  end
  collect(root)
  return found
end

--- Kills everything that this process has started, and what that has started.
-- Orphans come back to this process, so a few rounds find them all.
function spawn.kill_descendants()
  for _ = 1, 10 do
    local pids = spawn.descendants(unistd.getpid())
    if #pids == 0 then return end
    for _, pid in ipairs(pids) do
      posix_signal.kill(pid, posix_signal.SIGKILL)
    end
    reap()
  end
end

return spawn
