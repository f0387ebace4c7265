--- The toolbox daemon: the first process of a sandbox, serving the sandbox's own
-- API on a listening socket that it was given. Started as
--
--   luajit .../toolbox/main.lua --config-fd N
--
-- where descriptor N holds one JSON object and then ends; the fields are
-- described in daytona/devserver/control/daemon.lua. It runs until SIGTERM,
-- and everything that was started in the sandbox ends with it.

local here = arg and arg[0]:match "^(.*)/daytona/devserver/toolbox/main%.lua$"
if here then package.path = here .. "/?.lua;" .. here .. "/?/init.lua;" .. package.path end

local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local ffi = require "ffi"
local signal = require "cqueues.signal"
local posix_signal = require "posix.signal"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"
local Clock = require "daytona.devserver.clock"
local Faults = require "daytona.devserver.http.faults"
local httpd = require "daytona.devserver.http"
local json = require "daytona.devserver.http.json"
local access = require "daytona.devserver.toolbox.access"
local activity = require "daytona.devserver.toolbox.activity"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local git = require "daytona.devserver.toolbox.git"
local interpreter = require "daytona.devserver.toolbox.interpreter"
local process = require "daytona.devserver.toolbox.process"
local pty = require "daytona.devserver.toolbox.pty"
local routes = require "daytona.devserver.toolbox.routes"
local session = require "daytona.devserver.toolbox.session"
local session_calls = require "daytona.devserver.toolbox.session_calls"
local spans = require "daytona.devserver.toolbox.spans"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"
local system = require "daytona.devserver.toolbox.system"

local function read_config(fd)
  local pieces, size = {}, 65536
  local buffer = sys.buffer(size)
  while true do
    local n = assert(sys.read(fd, buffer, size))
    if n == 0 then break end
    pieces[#pieces + 1] = ffi.string(buffer, n)
  end
  sys.close(fd)
  return assert(json.decode(table.concat(pieces)))
end

-- Everything in the sandbox: as its first process, all that it can see;
-- otherwise all that descends from it.
local function kill_everything()
  if unistd.getpid() == 1 then
    posix_signal.kill(-1, posix_signal.SIGKILL)
  else
    spawn.kill_descendants()
  end
end

local function stop_on(signo)
  local listener = signal.listen(signo)
  listener:wait()
  kill_everything()
  os.exit(0, false)
end

-- From here on it has no more rights than what it starts.
local function confine(config)
  if config.uid then
    for _, shared in ipairs { "/dev/shm", "/var/tmp" } do sys.share(shared) end
    assert(sys.become(config.uid))
  end
  sys.hide_memory()
  sys.limit(config.limits or {})
end

local function prepare(config)
  confine(config)
  local env = stdlib.getenv()
  env.HOME = config.home
  for name, value in pairs(config.env or {}) do env[name] = value end
  environment.init(env, config.shells)
  assert(unistd.chdir(config.work_dir or config.home))
  posix_signal.signal(posix_signal.SIGPIPE, posix_signal.SIG_IGN)
  posix_signal.signal(posix_signal.SIGXFSZ, posix_signal.SIG_IGN)   -- a file too large is an error
  sys.adopt_orphans()
  system.init { cpu = config.cpu, memory = config.memory, disk = config.disk }
  local time_scale = config.time_scale or 1
  process.drain_seconds = process.drain_seconds / time_scale
  session.grace_seconds = session.grace_seconds / time_scale
  interpreter.grace_seconds = interpreter.grace_seconds / time_scale
  session.pipe_seconds = session.pipe_seconds / time_scale
  session_calls.follow_delay = session_calls.follow_delay / time_scale
  local old = config.legacy ~= nil
  session.legacy, pty.legacy, git.legacy = old, old, old
  if config.activity_fd then sys.cloexec(config.activity_fd) end
  activity.init(config.activity_fd, time_scale)
end

-- What the control plane tells a running daemon.
local function admin(app, config)
  local prefix = "/toolbox/" .. config.sandbox_id
  Faults.new(config.faults):install(app, prefix, nil, access.is_control_plane)
  local function route(method, path, handler)
    app:route(method, prefix .. "/__devserver/" .. path, handler, { auth = access.is_control_plane })
  end
  route("PUT", "signing-key", function(req)
    app.signing_key = req:json().key
    return 204
  end)
  route("PUT", "clock", function(req)
    local body = req:json()
    app.clock:set_scale(body.scale)
    app.clock:set(body.now)
    return 204
  end)
  route("GET", "spans", function() return 200, spans.all() end)
end

local function finish(req)
  spans.note(req)
  activity.finish(req)
end

local function main(config)
  prepare(config)
  local app = httpd.new {
    key = config.key, source = "DAYTONA_DAEMON", authenticate = access.has_key,
    envelope = config.legacy and failures.legacy or nil,
    clock = Clock.new(config.time_scale, config.now), not_found = routes.missing, on_request = finish,
  }
  app.legacy, app.signing_key, app.owner = config.legacy, config.signing_key, config.owner
  routes.install(app, config)
  admin(app, config)
  local cq = cqueues.new()
  spawn.init(cq)
  signal.block(signal.SIGTERM, signal.SIGINT)
  cq:wrap(stop_on, signal.SIGTERM)
  cq:wrap(stop_on, signal.SIGINT)
  sys.cloexec(config.listen_fd)
  local listener = assert(socket.fdopen(config.listen_fd))
  cq:wrap(function()
    if config.entrypoint then session_calls.start_entrypoint(config.entrypoint) end
    app:serve(listener)
  end)
  for err in cq:errors() do
    io.stderr:write("daytona toolbox: ", tostring(err), "\n")
  end
end

local fd
for i = 1, #arg do
  if arg[i] == "--config-fd" then fd = tonumber(arg[i + 1]) end
end
if not fd then
  io.stderr:write "usage: main.lua --config-fd N\n"
  os.exit(2)
end
main(read_config(fd))
