-- A sandbox's toolbox daemon: when it starts, its process, and its end. It knows no
-- HTTP route; what stands around the process is isolation.lua's, its port gate.lua's.
--
-- The start protocol. The control plane spawns, at the first connection to the
-- sandbox's port (at once where it has an entrypoint),
--
--   luajit lua/daytona/devserver/toolbox/main.lua --config-fd N
--
-- with the Lua path set so that `require "daytona.devserver.http"` works, the
-- environment otherwise clean (PATH, HOME, USER, LANG, SHELL, TERM). From
-- descriptor N the daemon reads, up to the end of file, one JSON object:
--
--   sandbox_id   string
--   key          the daemon's own key: the control plane's requests carry it, and it
--                opens nothing else
--   owner        the service's key, sealed (see seal.lua): clients' requests carry it
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
--   uid          the user and group to become before anything else; optional
--   limits       { processes, file_size }: how many processes and threads the sandbox
--                may have, how many bytes a file; optional
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
local unistd = require "posix.unistd"
local children = require "daytona.devserver.control.children"
local isolation = require "daytona.devserver.control.isolation"
local ids = require "daytona.devserver.ids"
local seal = require "daytona.devserver.seal"
local json = require "daytona.devserver.http.json"

local daemon = {}

local GRACE = 2            -- seconds between SIGTERM and SIGKILL
local BACKOFF_MAX = 5      -- seconds between starts of a daemon that keeps dying

local function cloexec(fd)
  fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
  return fd
end

local function pipe()
  local r, w = unistd.pipe()
  if not r then return nil, w end
  return cloexec(r), cloexec(w)
end

-- One sandbox's daemon ------------------------------------------------------------

---@class daytona.devserver.Daemon
local Daemon = {}
Daemon.__index = Daemon

---The daemon starts with the first connection to the gate, or `at_once`.
---@param options { gate: daytona.devserver.Gate, at_once?: boolean, id: string, hostname: string, folder: string, lua_dir: string, luajit: string, isolation?: string, linked?: string, mounts?: table[], config: fun(): table, on_activity: fun() }
---@return daytona.devserver.Daemon
function daemon.new(options)
  local self = setmetatable({}, Daemon)
  for name, value in pairs(options) do self[name] = value end
  self.port = self.gate.port
  self.key = ids.hex(24)
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

-- What the daemon is told, completed.
function Daemon:settings(inside)
  local config = self.config()
  config.owner, config.key = seal.of(config.key), self.key
  config.listen_fd, config.activity_fd = 3, 5
  config.isolated = self.isolation ~= nil
  config.home, config.work_dir, config.uid = inside.home, inside.home, inside.uid
  config.limits = isolation.limits(self.isolation, config.disk)
  return config
end

function Daemon:spawn()
  local program, argv, inside = isolation.command(self)
  local config = self:settings(inside)
  local config_r, config_w = pipe()
  local activity_r, activity_w = pipe()
  local info_r, info_w = pipe()
  fcntl.fcntl(activity_r, fcntl.F_SETFL, fcntl.O_NONBLOCK)
  fcntl.fcntl(activity_w, fcntl.F_SETFL, fcntl.O_NONBLOCK)
  local fds = { self.gate.socket:pollfd(), config_r, activity_w, self.isolation and info_w or nil }
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
  local somebody = { pollfd = self.gate.socket:pollfd(), events = "r" }
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
end

---@return boolean
function Daemon:running()
  return self.child ~= nil and self.child.status == nil
end

local function kill(self, number)
  if self.pid then psignal.kill(self.pid, number) end
  if number == psignal.SIGKILL then self.child:kill(number, true) end
end

---Ends the daemon and everything in its namespace. The port stays the gate's.
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
