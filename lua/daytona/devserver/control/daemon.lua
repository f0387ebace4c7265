-- Starting a sandbox's toolbox daemon: its listening socket, its process (under
-- bubblewrap where possible) and its end. It knows no HTTP route.
--
-- The start protocol. The control plane binds 127.0.0.1:0 for each started
-- sandbox and spawns, at the first connection (at once where it has an entrypoint),
--
--   luajit lua/daytona/devserver/toolbox/main.lua --config-fd N
--
-- with the Lua path set so that `require "daytona.devserver.http"` works, the
-- environment otherwise clean (PATH, HOME, USER, LANG, SHELL, TERM). From
-- descriptor N the daemon reads, up to the end of file, one JSON object:
--
--   sandbox_id   string
--   key          the bearer key that requests must carry
--   listen_fd    descriptor of the listening socket; connections are waiting
--   activity_fd  descriptor to write one byte to when there is activity (a
--                request, or one that goes on: again every 50 s of the service's
--                clock); non-blocking, losing bytes does not matter
--   home         home directory
--   work_dir     where relative paths begin (= home, unless configured)
--   user         "daytona"
--   env          the sandbox's environment (map), for every command
--   labels       the sandbox's labels (map)
--   signing_key  for signed file URLs
--   cpu, memory, disk  the sandbox's size: cores, GiB, GiB
--   entrypoint   a shell script to run at the start, its session being "entrypoint"; optional
--   time_scale   the clock's speed; divide every service delay by it
--   now          what the clock says, seconds since the epoch; optional
--   legacy       nil, or "0.190": answer as that old daemon did
--   faults       list of faults for daytona.devserver.http.faults
--   isolated     whether bubblewrap is around it
--
-- It closes N, sets close-on-exec on listen_fd and activity_fd, removes nothing
-- from disk, serves `/toolbox/<sandbox_id>/...` until SIGTERM, upon which it kills
-- what it started and exits 0. Below that path it also has `/__devserver/...`: the
-- routes of faults.lua, `PUT signing-key` with {key} after a rotation, `PUT clock` with
-- {now, scale} when the clock was changed, and `GET spans` (see toolbox/spans.lua).
-- It runs as the first process of its own process namespace when isolated, so it
-- reaps orphans (waitpid -1) and its end kills everything; unisolated it is the
-- leader of its own process group.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local fcntl = require "posix.fcntl"
local psignal = require "posix.signal"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"
local children = require "daytona.devserver.control.children"
local files = require "daytona.devserver.control.files"
local httpd = require "daytona.devserver.http"
local json = require "daytona.devserver.http.json"

local daemon = {}

local GRACE = 2            -- seconds between SIGTERM and SIGKILL
local BACKOFF_MAX = 5      -- seconds between starts of a daemon that keeps dying
local INSIDE = "/run/daytona/lua"
local PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

local function cloexec(fd)
  fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
  return fd
end

local function pipe()
  local r, w = unistd.pipe()
  if not r then return nil, w end
  return cloexec(r), cloexec(w)
end

-- Isolation --------------------------------------------------------------------

-- The sandbox's view of the file system, apart from its own folders.
local function system_mounts(argv)
  local function add(...)
    for _, word in ipairs { ... } do argv[#argv + 1] = word end
  end
  add("--ro-bind", "/usr", "/usr")
  for _, path in ipairs { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" } do
    local info = stat.lstat(path)
    if info and stat.S_ISLNK(info.st_mode) ~= 0 then
      add("--symlink", unistd.readlink(path), path)
    elseif info then
      add("--ro-bind", path, path)
    end
  end
  add("--ro-bind", "/etc", "/etc", "--ro-bind-try", "/opt", "/opt")
  add("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", "--tmpfs", "/var",
    "--dir", "/var/tmp", "--dir", "/home")
  return add
end

local function namespaces(mode)
  local argv = { "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1",
    "--die-with-parent" }
  if mode == "user" then
    for _, word in ipairs { "--unshare-user", "--uid", "1000", "--gid", "1000" } do
      argv[#argv + 1] = word
    end
  end
  return argv
end

local function works(mode)
  local argv = namespaces(mode)
  system_mounts(argv)
  argv[#argv + 1] = "--"
  argv[#argv + 1] = "/bin/true"
  local null = cloexec(fcntl.open("/dev/null", fcntl.O_WRONLY))
  local old = fcntl.fcntl(2, fcntl.F_DUPFD, 200)
  cloexec(old)
  unistd.dup2(null, 2)                -- its complaint is not for the user
  local child = children.spawn("bwrap", argv, {})
  unistd.dup2(old, 2)
  unistd.close(old)
  unistd.close(null)
  return child and child:wait(5) and child.status == 0
end

---How sandboxes can be isolated here: "user" (a user namespace of their own),
---"root" (namespaces made by root), or nil. Needs the loop and SIGCHLD.
---@return "user"|"root"|nil
function daemon.probe()
  if works("user") then return "user" end
  if unistd.geteuid() == 0 and works("root") then return "root" end
  return nil
end

local MODULES = { "cqueues", "_cqueues", "http.websocket", "posix.unistd", "cjson", "openssl.rand",
  "_openssl", "lpeg", "lpeg_patterns.http", "basexx", "fifo", "binaryheap", "compat53.string" }

-- Folders outside /usr from which the interpreter loads what the daemon needs.
local function module_folders()
  local seen, list = {}, {}
  for template in (package.path .. ";" .. package.cpath):gmatch("[^;]+") do
    local folder = template:match("^(/[^?]*)/[^/?]*%?")
    if folder and not folder:find("^/usr/") and not folder:find("^/lib") and not seen[folder] then
      for _, name in ipairs(MODULES) do
        if package.searchpath(name, template) then seen[folder] = true end
      end
      if seen[folder] then list[#list + 1] = folder end
    end
  end
  return list
end

local function identity_files(folder)
  files.write(folder .. "/passwd", "root:x:0:0:root:/root:/bin/bash\n"
    .. "daytona:x:1000:1000:daytona:/home/daytona:/bin/bash\n"
    .. "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
  files.write(folder .. "/group", "root:x:0:\ndaytona:x:1000:\nnogroup:x:65534:\n")
end

local function luajit_words(self, lua)
  return self.luajit, {
    "-e", ("package.path=%q..package.path"):format(lua .. "/?.lua;" .. lua .. "/?/init.lua;"),
    lua .. "/daytona/devserver/toolbox/main.lua", "--config-fd", "4",
  }
end

local function environment(self, home, tmp)
  return {
    PATH = PATH, HOME = home, USER = "daytona", LOGNAME = "daytona", SHELL = "/bin/bash",
    LANG = "C.UTF-8", TERM = "xterm-256color", TMPDIR = tmp,
    DAYTONA_SANDBOX_ID = self.id,
  }
end

local function isolated_command(self)
  local argv = namespaces(self.isolation)
  local add = system_mounts(argv)
  identity_files(self.folder)
  add("--ro-bind", self.folder .. "/passwd", "/etc/passwd",
    "--ro-bind", self.folder .. "/group", "/etc/group",
    "--bind", self.folder .. "/home", "/home/daytona",
    "--bind", self.folder .. "/tmp", "/tmp",
    "--ro-bind", self.lua_dir, INSIDE,
    "--hostname", self.hostname, "--chdir", "/home/daytona",
    "--info-fd", "6", "--clearenv")
  for _, folder in ipairs(module_folders()) do add("--ro-bind", folder, folder) end
  if not self.luajit:find("^/usr/") then add("--ro-bind", self.luajit, self.luajit) end
  for name, value in pairs(environment(self, "/home/daytona")) do add("--setenv", name, value) end
  local program, words = luajit_words(self, INSIDE)
  add("--", program)
  add(unpack(words))
  return "bwrap", argv
end

local function plain_command(self)
  local argv = { "-i", "-C", self.folder .. "/home" }
  for name, value in pairs(environment(self, self.folder .. "/home", self.folder .. "/tmp")) do
    argv[#argv + 1] = name .. "=" .. value
  end
  local program, words = luajit_words(self, self.lua_dir)
  argv[#argv + 1] = program
  for _, word in ipairs(words) do argv[#argv + 1] = word end
  return "env", argv
end

-- One sandbox's daemon ------------------------------------------------------------

---@class daytona.devserver.Daemon
local Daemon = {}
Daemon.__index = Daemon

---Binds the sandbox's port; the daemon starts with the first connection, or `at_once`.
---`port` is tried first, so that a sandbox keeps its address.
---@param options { at_once?: boolean, id: string, port?: integer, hostname: string, folder: string, lua_dir: string, luajit: string, isolation?: string, config: fun(): table, on_activity: fun() }
---@return daytona.devserver.Daemon? daemon, string? message
function daemon.new(options)
  local self = setmetatable({}, Daemon)
  for name, value in pairs(options) do self[name] = value end
  local socket, port = httpd.listen(options.port or 0)
  if not socket then socket, port = httpd.listen(0) end
  if not socket then return nil, port end
  self.socket, self.port = socket, port
  self.changed = condition.new()
  self.starts = 0
  cqueues.running():wrap(function() self:watch() end)
  return self
end

local function write_all(fd, text)
  while #text > 0 do
    local n, _, errno = unistd.write(fd, text)
    if n then
      text = text:sub(n + 1)
    elseif errno == 11 then
      cqueues.poll({ pollfd = fd, events = "w" }, 5)
    else
      return
    end
  end
end

local function hand_over(fd, config)
  fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.O_NONBLOCK)
  write_all(fd, json.encode(config))
  cqueues.cancel(fd)
  unistd.close(fd)
end

-- bubblewrap says which process is the first of the namespace.
local function inner_pid(fd)
  local text = ""
  while not text:find("}") do
    cqueues.poll({ pollfd = fd, events = "r" }, 5)
    local more = unistd.read(fd, 4096)
    if not more or more == "" then break end
    text = text .. more
  end
  cqueues.cancel(fd)
  unistd.close(fd)
  return tonumber(text:match('"child%-pid"%s*:%s*(%d+)'))
end

-- One byte means activity; the end of the file means that the daemon ended.
local function listen_to(self, fd, child)
  while true do
    cqueues.poll({ pollfd = fd, events = "r" })
    local bytes, _, errno = unistd.read(fd, 4096)
    if bytes and bytes ~= "" then
      self.on_activity()
    elseif not (bytes == nil and errno == 11) then
      break
    end
    if child.status then break end
  end
  cqueues.cancel(fd)
  unistd.close(fd)
end

function Daemon:spawn()
  local config = self.config()
  config.listen_fd, config.activity_fd = 3, 5
  config.isolated = self.isolation ~= nil
  config.home = self.isolation and "/home/daytona" or self.folder .. "/home"
  config.work_dir = config.home
  local config_r, config_w = pipe()
  local activity_r, activity_w = pipe()
  local info_r, info_w = pipe()
  fcntl.fcntl(activity_r, fcntl.F_SETFL, fcntl.O_NONBLOCK)
  fcntl.fcntl(activity_w, fcntl.F_SETFL, fcntl.O_NONBLOCK)
  local fds = { self.socket:pollfd(), config_r, activity_w, self.isolation and info_w or nil }
  local program, argv = (self.isolation and isolated_command or plain_command)(self)
  -- without a namespace that dies with it, the daemon must end its commands itself
  local child, message = children.spawn(program, argv, fds, not self.isolation and psignal.SIGTERM or nil)
  unistd.close(config_r)
  unistd.close(activity_w)
  unistd.close(info_w)
  if not child then
    unistd.close(config_w)
    unistd.close(activity_r)
    unistd.close(info_r)
    return nil, message
  end
  self.starts = self.starts + 1
  self.child = child
  self.pid = nil
  local cq = cqueues.running()
  cq:wrap(hand_over, config_w, config)
  cq:wrap(listen_to, self, activity_r, child)
  if self.isolation then
    self.pid = inner_pid(info_r)
  else
    unistd.close(info_r)
    self.pid = child.pid
  end
  return child
end

-- Starts the daemon whenever somebody connects, or it is to run anyway, and none runs.
function Daemon:watch()
  local pause = 0
  local somebody = { pollfd = self.socket:pollfd(), events = "r" }
  while not self.closed do
    if not self.at_once then cqueues.poll(somebody, self.changed) end
    if self.closed then break end
    local born = cqueues.monotime()
    local child, message = self:spawn()
    if not child then
      io.stderr:write("daytona-devserver: no daemon for ", self.id, ": ", tostring(message), "\n")
    end
    while child and not child.status do cqueues.poll(child.ended) end
    if not self.closed and child and child.status ~= 0 then
      io.stderr:write("daytona-devserver: the daemon of ", self.id, " ended with status ",
        child.status, "\n")
    end
    if cqueues.monotime() - born < 1 then
      pause = math.min(math.max(pause * 2, 0.1), BACKOFF_MAX)
      if not self.closed then cqueues.poll(self.changed, pause) end
    else
      pause = 0
    end
  end
  cqueues.cancel(self.socket:pollfd())
  self.socket:close()
end

---@return boolean
function Daemon:running()
  return self.child ~= nil and self.child.status == nil
end

local function kill(self, number)
  if self.pid then psignal.kill(self.pid, number) end
  if number == psignal.SIGKILL then self.child:kill(number, true) end
end

---Ends the daemon and everything in its namespace, and gives up the port.
---@param force? boolean  without asking it first
function Daemon:stop(force)
  self.closed = true
  self.changed:signal()
  if not self:running() then return end
  if not force then
    kill(self, psignal.SIGTERM)
    if not self.isolation then self.child:kill(psignal.SIGTERM, true) end
    if self.child:wait(GRACE) then return end
  end
  kill(self, psignal.SIGKILL)
  self.child:wait(GRACE)
end

return daemon
