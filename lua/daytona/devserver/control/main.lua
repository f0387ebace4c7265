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
local text = require "daytona.devserver.http.text"
local Storage = require "daytona.devserver.storage"
local Events = require "daytona.devserver.control.events"
local Lifecycle = require "daytona.devserver.control.lifecycle"
local admin = require "daytona.devserver.control.admin"
local build = require "daytona.devserver.control.build"
local checks = require "daytona.devserver.control.checks"
local children = require "daytona.devserver.control.children"
local create = require "daytona.devserver.control.create"
local daemon = require "daytona.devserver.control.daemon"
local files = require "daytona.devserver.control.files"
local gate = require "daytona.devserver.control.gate"
local isolation = require "daytona.devserver.control.isolation"
local page = require "daytona.devserver.control.page"
local program = require "daytona.devserver.control.program"
local Records = require "daytona.devserver.control.records"
local routes = require "daytona.devserver.control.routes"
local sandboxes = require "daytona.devserver.control.sandboxes"
local snapshots = require "daytona.devserver.control.snapshots"
local telemetry = require "daytona.devserver.control.telemetry"
local Throttle = require "daytona.devserver.control.throttle"
local volumes = require "daytona.devserver.control.volumes"
local tls = require "daytona.devserver.control.tls"

local main = {}

local USAGE = [=[
usage: daytona-devserver [options] [-- program [argument...]]

A small Daytona service on this machine: listens on 127.0.0.1 only and prints the
lines to export, so that programs use it. Ctrl-C ends it and its sandboxes' processes.
With a program it prints nothing, runs the program with the variables set, ends with
it, and hands on its exit status.

  --port N         port to listen on (default: any free one)
  --dir DIR        keep sandboxes and the key in DIR (default: a temporary folder,
                   removed at the end)
  --key KEY        the key that requests must carry (default: DIR/key, else random;
                   better given in DAYTONA_DEVSERVER_KEY, which `ps` does not show)
  --time-scale N   the service's clock runs N times as fast
  --faults FILE    JSON list of faults to begin with
  --legacy 0.190   answer as that release of the service did
  --strict         refuse what today's published contract does not have
  --lag            states last as long as with the service, on the service's clock
  --limits JSON    limits and quotas (control/limits.lua), `true` for the smallest tier's
  --throttle JSON  throttlers (control/throttle.lua)
  --tls            HTTPS with a certificate that nobody trusts
  --child          for programs: print one line of JSON, end when nobody reads it
  --help           this text
]=]

-- Options -----------------------------------------------------------------------

local TAKES_VALUE = {
  port = true, dir = true, key = true, ["time-scale"] = true, faults = true, legacy = true,
  host = true, limits = true, throttle = true,
}
local FLAGS = { tls = true, child = true, help = true, strict = true, lag = true }

local function parse(argv)
  local options, i = {}, 1
  while argv[i] do
    if argv[i] == "--" then
      options.program = { unpack(argv, i + 1) }
      return options
    end
    local name, value = argv[i]:match("^%-%-([%w%-]+)=(.*)$")
    name = name or argv[i]:match("^%-%-([%w%-]+)$")
    if not name or not (TAKES_VALUE[name] or FLAGS[name]) then
      if argv[i]:sub(1, 1) ~= "-" then return nil, "a program follows --: -- " .. table.concat(argv, " ", i) end
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
  if options.program and not options.program[1] then return nil, "a program must follow --" end
  if options.program and options.child then return nil, "--child starts no program" end
  if options.legacy and options.legacy ~= "0.190" then return nil, "--legacy knows 0.190 only" end
  for _, name in ipairs { "limits", "throttle" } do
    if options[name] then
      options[name] = json.decode(options[name])
      if type(options[name]) ~= "table" and options[name] ~= true then
        return nil, "--" .. name .. " takes a JSON object"
      end
    end
  end
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
  local ok, message = files.write(dir .. "/key", key .. "\n")
  stat.umask(mask)
  if not ok then error("cannot keep the key: " .. tostring(message), 0) end
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
    local entrypoint = build.start_of(box)
    return daemon.new {
      id = box.id, gate = box.gate, linked = box.linked, folder = context.store:folder(box),
      lua_dir = lua_dir, luajit = luajit,
      hostname = box.id:sub(1, 12), isolation = context.isolation, at_once = entrypoint ~= nil,
      mounts = volumes.mounts(context, box),
      on_activity = function() context.store:touch(box) end,
      config = function()
        return {
          sandbox_id = box.id, key = context.key, user = box.user, env = sandboxes.environment(box),
          labels = type(box.labels) == "table" and box.labels or {}, signing_key = box.signing_key,
          cpu = box.cpu, memory = box.memory, disk = box.disk, entrypoint = entrypoint or "sleep infinity",
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

-- What req:json() is here. Bodies that are no JSON are ignored, forms are read, and a list
-- says as much as nothing, as with the service.
local function read_json(req, body, value, message)
  if req.path:find("^/__devserver/") then
    return type(value) == "table" and value or checks.bad("%s", message or "expected an object")
  end
  local kind = req.headers["content-type"] or ""
  if kind:find("^application/x%-www%-form%-urlencoded") then return (text.query(body)) end
  if body == "" or not kind:find("^application/json") then return {} end
  if type(value) ~= "table" then
    httpd.fail(400, nil, nil, {
      body = { message = "Invalid JSON in request body", error = "Bad Request", statusCode = 400 },
    })
  end
  return value[1] == nil and value or {}
end

local LARGEST_BODY = 102400

local function make_app(context, tls_context)
  local app = httpd.new {
    key = context.key, source = "DAYTONA_API", prefix = "/api", clock = context.clock, tls = tls_context,
    legacy = context.legacy, version = context.version, max_body = LARGEST_BODY, read_json = read_json,
    too_large = function(req) httpd.fail(404, nil, "Cannot " .. req.method .. " " .. req.full_path) end,
    refuse = function() context.throttle:note_failed() end,
    admit = function(req) context.throttle:admit(req) end,
  }
  app.strict = context.options.strict
  return app
end

local KINDS = { "snapshots", "volumes", "secrets", "warm_pools", "regions", "registries" }

-- What is kept, and what is told of it.
local function add_records(context)
  context.records = {}
  for _, kind in ipairs(KINDS) do context.records[kind] = Records.new(context.dir, kind) end
  snapshots.add_general(context)
  context.events = Events.new(context.clock, {
    sandbox = function(box) return context.store:dto(box) end,
    snapshot = snapshots.describe, volume = volumes.describe,
  })
  context.events.key = context.key
end

local function add_life(context)
  context.life = Lifecycle.new(context.store, context.clock, daemon_maker(context),
    function(...) return context.faults:for_state(...) end, telemetry.note, refusals(context))
  context.life.lag = context.options.lag or false
  context.life.furnish = function(box) return snapshots.furnish(context, box) end
  context.life.tell = function(name, box, old, new)
    if name == "sandbox.state.updated" then
      context.events:moved("sandbox", box, old, new)
    else
      context.events:desired(box, old, new)
    end
  end
end

-- Binds the port.
local function listen(context, tls_context)
  local listener, port = httpd.listen(context.options.port)
  if not listener then
    return nil, ("cannot listen on 127.0.0.1:%d: %s"):format(context.options.port, port)
  end
  context.listener, context.port = listener, port
  context.scheme = tls_context and "https" or "http"
  context.api_url = ("%s://127.0.0.1:%d/api"):format(context.scheme, port)
  context.store.proxy_url = ("%s://127.0.0.1:%d/toolbox"):format(context.scheme, port)
  context.store.legacy = context.legacy
  return true
end

local function make_context(options, dir, temporary)
  local clock = Clock.new(options.scale)
  local context = {
    options = options, dir = dir, temporary = temporary, clock = clock,
    key = choose_key(options, dir), legacy = options.legacy, limits = options.limits, create = create,
    version = options.legacy and sandboxes.LEGACY_VERSION or sandboxes.VERSION,
    store = sandboxes.new(dir, clock), faults = Faults.new(options.fault_list),
    throttle = Throttle.new(clock, options.throttle),
    started = clock:now(), quit = require("cqueues.condition").new(),
  }
  local tls_context
  if options.tls then
    tls_context, context.certificate = tls.self_signed()
    files.write(dir .. "/certificate.pem", context.certificate)
  end
  local ok, message = listen(context, tls_context)
  if not ok then return nil, message end
  context.app = make_app(context, tls_context)
  context.storage = Storage.new {
    dir = dir, clock = clock, tls = tls_context, faults = context.faults,
    url = function(port) return ("%s://127.0.0.1:%d"):format(context.scheme, port) end,
  }
  context.push = admin.ask
  add_records(context)
  add_life(context)
  return context
end

-- Running ------------------------------------------------------------------------------

local function announce(context)
  if context.options.program then
    program.start(context)
  elseif context.options.child then
    io.stdout:write(json.encode {
      api_url = context.api_url, api_key = context.key, dir = context.dir, pid = unistd.getpid(),
      isolated = context.isolated,
      certificate = context.certificate and context.dir .. "/certificate.pem" or nil,
    }, "\n")
  else
    io.stdout:write(("export DAYTONA_API_URL=%s\nexport DAYTONA_API_KEY=%s\n# what goes on: %s\n"):format(
      context.api_url, context.key, page.address(context)))
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
  local number = listener:wait()
  while context.program do
    program.signal(context, number)
    number = listener:wait()
  end
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
  page.add(context)
  for _, box in ipairs(context.store:load()) do context.life:resume(box) end
  snapshots.resume(context)
  volumes.resume(context)
  cq:wrap(function() context.life:run_timers() end)
  cq:wrap(telemetry.run, context)
  cq:wrap(function() context.app:serve(context.listener) end)
  local also = gate.beside(context.port)
  if also then also:enter(context.app) end
  announce(context)
  if context.program then cq:wrap(program.watch, context) end
  while not context.why do context.quit:wait() end
  context.app:stop()
  context.storage:stop()
  if also then also:close() end
  context.life:shut_down()
end

-- The exit status: that of the program, where there is one.
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
  return status ~= 0 and status or context.status or 0
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
  if options.program then program.take_environment() end
  if options.child then ffi.C.setsid() end   -- the terminal's Ctrl-C is our parent's affair
  signal.block(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
  signal.ignore(signal.SIGPIPE)
  raise_limits()
  local dir, temporary = open_folder(options)
  files.durable = not temporary
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
