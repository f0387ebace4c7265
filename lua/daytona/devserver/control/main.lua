-- The control plane as a program: options, the server's folder and key, start and
-- end. What bin/daytona-devserver runs; `run` returns the exit status.

local cqueues = require "cqueues"
local signal = require "cqueues.signal"
local ffi = require "ffi"
local fcntl = require "posix.fcntl"
local resource = require "posix.sys.resource"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"
local Clock = require "daytona.devserver.clock"
local Faults = require "daytona.devserver.http.faults"
local httpd = require "daytona.devserver.http"
local json = require "daytona.devserver.http.json"
local Lifecycle = require "daytona.devserver.control.lifecycle"
local admin = require "daytona.devserver.control.admin"
local build = require "daytona.devserver.control.build"
local children = require "daytona.devserver.control.children"
local daemon = require "daytona.devserver.control.daemon"
local files = require "daytona.devserver.control.files"
local gate = require "daytona.devserver.control.gate"
local isolation = require "daytona.devserver.control.isolation"
local routes = require "daytona.devserver.control.routes"
local sandboxes = require "daytona.devserver.control.sandboxes"
local telemetry = require "daytona.devserver.control.telemetry"
local tls = require "daytona.devserver.control.tls"

local main = {}

local USAGE = [[
usage: daytona-devserver [options]

A small Daytona service on this machine: listens on 127.0.0.1 only and prints the
lines to export, so that programs use it. Ctrl-C ends it and its sandboxes' processes.

  --port N         port to listen on (default: any free one)
  --dir DIR        keep sandboxes and the key in DIR (default: a temporary folder,
                   removed at the end)
  --key KEY        the key that requests must carry (default: DIR/key, else random;
                   better given in DAYTONA_DEVSERVER_KEY, which `ps` does not show)
  --time-scale N   the service's clock runs N times as fast
  --faults FILE    JSON list of faults to begin with
  --legacy 0.190   answer as that release of the service did
  --tls            HTTPS with a certificate that nobody trusts
  --child          for programs: print one line of JSON, end when nobody reads it
  --help           this text
]]

-- Options -----------------------------------------------------------------------

local TAKES_VALUE = {
  port = true, dir = true, key = true, ["time-scale"] = true, faults = true, legacy = true,
  host = true,
}
local FLAGS = { tls = true, child = true, help = true }

local function parse(argv)
  local options, i = {}, 1
  while argv[i] do
    local name, value = argv[i]:match("^%-%-([%w%-]+)=(.*)$")
    name = name or argv[i]:match("^%-%-([%w%-]+)$")
    if not name or not (TAKES_VALUE[name] or FLAGS[name]) then
      return nil, "unknown option: " .. argv[i]
    end
    if TAKES_VALUE[name] and not value then
      i = i + 1
      value = argv[i]
      if not value then return nil, "--" .. name .. " needs a value" end
    end
    options[name] = value or true
    i = i + 1
  end
  return options
end

local LOOPBACK = { ["127.0.0.1"] = true, localhost = true }

local function check(options)
  if options.host and not LOOPBACK[options.host] then
    return nil, "it listens on 127.0.0.1 only, not on " .. options.host
  end
  local port = tonumber(options.port or 0)
  if not port or port % 1 ~= 0 or port < 0 or port > 65535 then
    return nil, "--port takes a number from 0 to 65535"
  end
  options.port = port
  local scale = tonumber(options["time-scale"] or 1)
  if not scale or scale <= 0 then return nil, "--time-scale takes a positive number" end
  options.scale = scale
  if options.legacy and options.legacy ~= "0.190" then return nil, "--legacy knows 0.190 only" end
  if options.faults then
    local list = json.decode(files.read(options.faults) or "")
    if type(list) ~= "table" then return nil, "--faults takes a file with a JSON list" end
    options.fault_list = list[1] and list or { list }
  end
  return options
end

-- Folder and key -------------------------------------------------------------------

-- Two servers must not share a folder. The descriptor stays open, and locked.
local function lock(dir)
  local fd = fcntl.open(dir .. "/lock", fcntl.O_RDWR + fcntl.O_CREAT, 384)
  if not fd then return nil, "cannot write to " .. dir end
  fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
  local ok = fcntl.fcntl(fd, fcntl.F_SETLK, {
    l_type = fcntl.F_WRLCK, l_whence = unistd.SEEK_SET, l_start = 0, l_len = 0,
  })
  if not ok then return nil, "another server uses " .. dir end
  return true
end

local function open_folder(options)
  if not options.dir then
    local base = os.getenv("TMPDIR") or "/tmp"
    return stdlib.mkdtemp(base .. "/daytona-devserver-XXXXXX"), true
  end
  local ok, message = files.mkdir(options.dir)
  if not ok then return nil, "cannot make " .. options.dir .. ": " .. tostring(message) end
  local dir = stdlib.realpath(options.dir)
  ok, message = lock(dir)
  if not ok then return nil, message end
  return dir, false
end

local function choose_key(options, dir)
  local key = options.key or os.getenv("DAYTONA_DEVSERVER_KEY")
  if key and key ~= "" then return key end
  local kept = files.read(dir .. "/key")
  if kept and kept:find("%S") then return kept:match("%S+") end
  key = "local_" .. sandboxes.token(24)
  local mask = stat.umask(63)
  files.write(dir .. "/key", key .. "\n")
  stat.umask(mask)
  return key
end

-- Parts ------------------------------------------------------------------------------

local function interpreter()
  return unistd.readlink("/proc/self/exe") or "luajit"
end

local function lua_folder()
  local source = debug.getinfo(1, "S").source:match("^@(.*)/daytona/devserver/control/main%.lua$")
  return stdlib.realpath(source or "lua")
end

local function daemon_maker(context)
  local lua_dir, luajit = lua_folder(), interpreter()
  return function(box)
    local entrypoint = box.build_info and build.entrypoint(build.parse(box.build_info.dockerfileContent))
    return daemon.new {
      id = box.id, gate = box.gate, linked = box.linked, folder = context.store:folder(box),
      lua_dir = lua_dir, luajit = luajit,
      hostname = box.id:sub(1, 12), isolation = context.isolation, at_once = entrypoint ~= nil,
      on_activity = function() context.store:touch(box) end,
      config = function()
        return {
          sandbox_id = box.id, key = context.key, user = box.user, env = box.env,
          labels = box.labels, signing_key = box.signing_key,
          cpu = box.cpu, memory = box.memory, disk = box.disk, entrypoint = entrypoint,
          time_scale = context.clock.scale, now = context.clock:now(), legacy = context.legacy,
          faults = json.array(context.faults:all()),
        }
      end,
    }
  end
end

-- What answers at the port of a sandbox that is not started: the control plane, as it
-- does for a sandbox's path, and then hangs up, as the sandbox may start.
local function refusals(context)
  return httpd.new {
    key = context.key, source = "DAYTONA_API", clock = context.clock, legacy = context.legacy,
    not_found = function(req)
      req.last = true
      return routes.not_started(context, req)
    end,
  }
end

local function make_context(options, dir, temporary)
  local clock = Clock.new(options.scale)
  local context = {
    options = options, dir = dir, temporary = temporary, clock = clock,
    key = choose_key(options, dir), legacy = options.legacy,
    store = sandboxes.new(dir, clock), faults = Faults.new(options.fault_list),
    started = clock:now(), quit = require("cqueues.condition").new(),
  }
  local scheme = "http"
  local tls_context
  if options.tls then
    tls_context, context.certificate = tls.self_signed()
    scheme = "https"
    files.write(dir .. "/certificate.pem", context.certificate)
  end
  context.app = httpd.new {
    key = context.key, source = "DAYTONA_API", prefix = "/api", clock = clock, tls = tls_context,
    legacy = options.legacy,
  }
  local listener, port = httpd.listen(options.port)
  if not listener then return nil, ("cannot listen on 127.0.0.1:%d: %s"):format(options.port, port) end
  context.listener, context.port, context.scheme = listener, port, scheme
  context.api_url = ("%s://127.0.0.1:%d/api"):format(scheme, port)
  context.store.proxy_url = ("%s://127.0.0.1:%d/toolbox"):format(scheme, port)
  context.store.legacy = options.legacy
  context.push = admin.ask
  context.life = Lifecycle.new(context.store, clock, daemon_maker(context),
    function(...) return context.faults:for_state(...) end, telemetry.note, refusals(context))
  return context
end

-- Running ------------------------------------------------------------------------------

local function announce(context)
  if context.options.child then
    io.stdout:write(json.encode {
      api_url = context.api_url, api_key = context.key, dir = context.dir, pid = unistd.getpid(),
      isolated = context.isolated,
      certificate = context.certificate and context.dir .. "/certificate.pem" or nil,
    }, "\n")
  else
    io.stdout:write(("export DAYTONA_API_URL=%s\nexport DAYTONA_API_KEY=%s\n"):format(
      context.api_url, context.key))
  end
  io.stdout:flush()
  if context.isolation and not context.isolated then
    io.stderr:write("daytona-devserver: root may make no namespaces here: sandboxes are kept apart, ",
      "but their commands act as root; run no code that you do not trust\n")
  elseif not context.isolated then
    io.stderr:write("daytona-devserver: no isolation here (bubblewrap is missing or refused): ",
      "commands of sandboxes run as you and see your files\n")
  end
end

-- Ends when the reader of our output or the process that started us is gone.
local function watch_reader(context)
  local parent = unistd.getppid()
  local info = stat.stat("/proc/self/fd/1")   -- a file cannot be polled, and tells nothing
  local pipe = info and stat.S_ISFIFO(info.st_mode) ~= 0 and { pollfd = 1, events = "r" } or nil
  while unistd.getppid() == parent do
    local ready = cqueues.poll(2, pipe)
    if type(ready) ~= "number" then break end
  end
  context.why = "reader"
  context.quit:signal()
end

local function watch_signals(context)
  local listener = signal.listen(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
  listener:wait()
  context.why = "signal"
  context.quit:signal()
end

local function watch_children()
  local listener = signal.listen(signal.SIGCHLD)
  while true do
    listener:wait()
    children.reap()
  end
end

local function serve(context)
  local cq = cqueues.running()
  cq:wrap(watch_children)
  cq:wrap(watch_signals, context)
  context.isolation = isolation.probe()
  context.isolated = isolation.holds(context.isolation)
  if context.options.child then cq:wrap(watch_reader, context) end
  routes.add(context)
  admin.add(context)
  for _, box in ipairs(context.store:load()) do context.life:resume(box) end
  cq:wrap(function() context.life:run_timers() end)
  cq:wrap(telemetry.run, context)
  cq:wrap(function() context.app:serve(context.listener) end)
  local also = gate.beside(context.port)
  if also then also:enter(context.app) end
  announce(context)
  while not context.why do context.quit:wait() end
  context.app:stop()
  if also then also:close() end
  context.life:shut_down()
end

local function loop(context)
  local cq, status, done = cqueues.new(), 0, false
  cq:wrap(function()
    local ok, err = xpcall(serve, debug.traceback, context)
    if not ok then
      io.stderr:write("daytona-devserver: ", tostring(err), "\n")
      status = 1
    end
    done = true
  end)
  while not done do
    local ok, err = cq:step()
    if not ok then
      io.stderr:write("daytona-devserver: ", tostring(err), "\n")
      context.why = context.why or "failure"   -- a coroutine of the server itself died
      context.quit:signal()
    end
  end
  return status
end

local function raise_limits()
  local limit = resource.getrlimit(resource.RLIMIT_NOFILE)
  if limit and limit.rlim_cur < limit.rlim_max then
    resource.setrlimit(resource.RLIMIT_NOFILE, { rlim_cur = limit.rlim_max, rlim_max = limit.rlim_max })
  end
end

---Runs the server until it is told to end.
---@param argv string[]
---@return integer exit status
function main.run(argv)
  local options, message = parse(argv)
  if options and options.help then
    io.stdout:write(USAGE)
    return 0
  end
  if options then options, message = check(options) end
  if not options then
    io.stderr:write("daytona-devserver: ", message, " (see --help)\n")
    return 2
  end
  if options.child then ffi.C.setsid() end   -- the terminal's Ctrl-C is our parent's affair
  signal.block(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
  signal.ignore(signal.SIGPIPE)
  raise_limits()
  local dir, temporary = open_folder(options)
  if not dir then
    io.stderr:write("daytona-devserver: ", temporary, "\n")
    return 1
  end
  local ok, context, why = pcall(make_context, options, dir, temporary)
  local status = 1
  if ok and context then
    status = loop(context)
    children.finish()
  else
    io.stderr:write("daytona-devserver: ", tostring(ok and why or context), "\n")
  end
  if temporary then files.remove(dir) end
  return status
end

return main
