-- Starts the toolbox daemon by itself, for its specs: binds a loopback socket,
-- prints "port pid", and becomes the daemon. Run by LuaJIT:
--
--   luajit spec/support/toolboxd.lua CONFIG.json
--
-- CONFIG.json is the daemon's configuration without listen_fd. It ends with its
-- parent, and when nobody reads its output any more: where a spec fails before it has
-- stopped its daemon, the collector closes the pipe and waits for the daemon's end.

local ffi = require "ffi"
local fcntl = require "posix.fcntl"
local poll = require "posix.poll"
local signal = require "posix.signal"
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"
local stdio = require "posix.stdio"

ffi.cdef "int prctl(int option, unsigned long a, ...);"
local PR_SET_PDEATHSIG = 1
ffi.C.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

local listener = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
assert(socket.bind(listener, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
assert(socket.listen(listener, 128))

local file = assert(io.open(arg[1], "r+"))
local config = file:read "*a"
file:seek "set"
file:write((config:gsub("}%s*$", (',"listen_fd":%d}'):format(listener))))
file:seek "set"
local fd = stdio.fileno(file)
fcntl.fcntl(fd, fcntl.F_SETFD, 0)

io.stdout:write(socket.getsockname(listener).port, " ", unistd.getpid(), "\n")
io.stdout:flush()

local daemon = unistd.getpid()
if unistd.fork() == 0 then
  ffi.C.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
  unistd.close(listener)
  unistd.close(fd)
  poll.poll({ [1] = { events = {} } }, -1)
  signal.kill(daemon, signal.SIGTERM)
  os.exit(0)
end

local here = arg[0]:match "^(.*)spec/support/toolboxd%.lua$"
unistd.execp("luajit", {
  here .. "lua/daytona/devserver/toolbox/main.lua", "--config-fd", tostring(fd),
})
