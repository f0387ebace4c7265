--- What the sandbox's machine does: listening ports and resource use, both
-- counted over the sandbox's own processes.

local bit = require "bit"
local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local dirent = require "posix.dirent"
local unistd = require "posix.unistd"
local json = require "daytona.devserver.http.json"
local command = require "daytona.devserver.toolbox.command"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"

local system = {}

local FIRST_PORT, LAST_PORT = 3000, 9999
local DIAL_SECONDS = 0.05
local GIB = 1024 ^ 3

local function read(path)
  local file = io.open(path, "rb")
  local data = file and file:read "*a"
  if file then file:close() end
  return data
end

-- Ports --------------------------------------------------------------------

-- The inodes of every socket that the sandbox's processes hold; with those of the
-- daemon itself if wanted.
local function own_sockets(and_mine)
  local found = {}
  local pids = spawn.descendants(unistd.getpid())
  if and_mine then pids[#pids + 1] = unistd.getpid() end
  for _, pid in ipairs(pids) do
    local dir = "/proc/" .. pid .. "/fd/"
    local ok, names = pcall(dirent.dir, dir)
    for _, name in ipairs(ok and names or {}) do
      local inode = (sys.readlink(dir .. name) or ""):match "^socket:%[(%d+)%]$"
      if inode then found[inode] = true end
    end
  end
  return found
end

-- Calls each(address, port, inode) for every listening socket of a table in /proc/net;
-- the address is in the kernel's hexadecimal.
local function each_listener(path, each)
  local LISTEN = "0A"
  for line in (read(path) or ""):gmatch "[^\n]+" do
    local address, port, state, inode =
      line:match "^%s*%d+: (%x+):(%x+) %x+:%x+ (%x+) %S+ %S+ %S+ +%d+ +%d+ (%d+)"
    if state == LISTEN then each(address, tonumber(port, 16), inode) end
  end
end

local BOTH, IPV4 = { "/proc/net/tcp", "/proc/net/tcp6" }, { "/proc/net/tcp" }

-- Calls each(address, port) for what the sandbox's own processes listen on.
local function each_own(each, and_mine, tables)
  local own = own_sockets(and_mine)
  for _, path in ipairs(tables or BOTH) do
    each_listener(path, function(address, port, inode)
      if own[inode] then each(address, port) end
    end)
  end
end

-- How to reach one that listens on the loopback interface, or everywhere. (An
-- everywhere of IPv6 may leave the IPv4 port to another program.)
local DIAL = {
  ["0100007F"] = "127.0.0.1", ["00000000"] = "127.0.0.1",
  ["0000000000000000FFFF00000100007F"] = "127.0.0.1", ["0000000000000000FFFF000000000000"] = "127.0.0.1",
  [("0"):rep(24) .. "01000000"] = "::1", [("0"):rep(32)] = "::1",
}

--- The address at which a process of the sandbox, or the daemon, itself can be reached
-- on a port. Others of the machine may listen on the same port of other addresses.
---@param port integer
---@return string? host  nil: none listens there
function system.listens(port)
  local host
  each_own(function(address, number)
    if number == port and host ~= "127.0.0.1" then host = DIAL[address] or host end
  end, true)
  return host
end

--- GET /port (an old daemon does not see what listens on IPv6 alone)
function system.ports(req)
  local list, seen = json.array {}, {}
  each_own(function(_, port)
    if not seen[port] then list[#list + 1], seen[port] = port, true end
  end, false, req.app.legacy and IPV4 or BOTH)
  table.sort(list)
  return 200, { ports = list }
end

-- Whether somebody accepts connections on a port of this machine, by IPv4: the service
-- does not see what listens on [::1] alone.
local function answers(port)
  local peer = socket.connect { host = "127.0.0.1", port = port }
  peer:onerror(function(_, _, why) return why end)
  local ok = peer:connect(DIAL_SECONDS)
  cqueues.cancel(peer:pollfd())
  peer:close()
  return ok ~= nil and ok ~= false
end

--- GET /port/{port}/in-use
function system.port_in_use(req)
  local port = tonumber(req.params.port:match "^%d+$")
  if not port or port < FIRST_PORT or port > LAST_PORT then
    failures.raise(400, ("port must be between %d and %d"):format(FIRST_PORT, LAST_PORT))
  end
  return 200, { isInUse = answers(port) }
end

-- Metrics ------------------------------------------------------------------

local limits = {}
local last           -- { time, ticks } of the sample before

--- Sets the sandbox's size, where it has one.
---@param o { cpu: number?, memory: number?, disk: number? }  memory and disk in GiB
function system.init(o)
  limits = o
end

local function online_cpus()
  local count = 0
  for _ in (read "/proc/stat" or ""):gmatch "\ncpu%d+" do count = count + 1 end
  return math.max(count, 1)
end

-- Clock ticks and resident bytes of the sandbox's processes.
local function usage()
  local ticks, pages = 0, 0
  local pids = spawn.descendants(unistd.getpid())
  pids[#pids + 1] = unistd.getpid()
  for _, pid in ipairs(pids) do
    local rest = (read("/proc/" .. pid .. "/stat") or ""):match "%) (.*)$"
    local fields = {}
    for field in (rest or ""):gmatch "%S+" do fields[#fields + 1] = tonumber(field) or 0 end
    if fields[22] then
      ticks = ticks + fields[12] + fields[13] + fields[14] + fields[15]
      pages = pages + fields[22]
    end
  end
  return ticks, pages * 4096
end

local function cpu_percent(ticks, cpus)
  local now, before = cqueues.monotime(), last
  last = { time = now, ticks = ticks }
  if not before or now <= before.time then return 0 end
  local hertz = unistd.sysconf(unistd._SC_CLK_TCK)
  local used = math.max(0, ticks - before.ticks) / hertz / (now - before.time) / cpus * 100
  return bit.tobit(used * 100) / 100
end

-- Bytes in all, used, free: of the sandbox's own share, or of the file system.
local function disk()
  local home = environment.get "HOME"
  if limits.disk then
    local _, out = command.run { argv = { "du", "-s", "-x", "-B1", home } }
    local used, total = tonumber((out or ""):match "^%d+") or 0, limits.disk * GIB
    return total, used, math.max(0, total - used)
  end
  local _, out = command.run { argv = { "df", "-P", "-B1", home } }
  local total, used, free = (out or ""):match "\n%S+ +(%d+) +(%d+) +(%d+)"
  return tonumber(total) or 0, tonumber(used) or 0, tonumber(free) or 0
end

--- GET /system/metrics
function system.metrics()
  local cpus = math.ceil(limits.cpu or online_cpus())
  local ticks, resident = usage()
  local total, used, free = disk()
  local memory = (read "/proc/meminfo" or ""):match "MemTotal:%s*(%d+)"
  local now = os.time()
  return 200, {
    timestamp = text.rfc3339(now), timestampUnix = now, cpuCount = cpus,
    cpuUsedPct = cpu_percent(ticks, cpus), memUsed = resident,
    memTotal = limits.memory and limits.memory * GIB or (tonumber(memory) or 0) * 1024,
    memCache = 0, diskUsed = used, diskTotal = total, diskFree = free,
  }
end

return system
