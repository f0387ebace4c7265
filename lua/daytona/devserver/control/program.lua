-- The program that the server was started for (daytona-devserver -- PROGRAM): its
-- environment, its start, its signals, and its end, which is the server's.

local fcntl = require "posix.fcntl"
local signal = require "posix.signal"
local stdlib = require "posix.stdlib"
local children = require "daytona.devserver.control.children"

local program = {}

local INPUT = 3   -- where bin/daytona-devserver leaves the caller's standard input

-- Variable -> value or false, as the caller had them before bin/daytona-devserver looked
-- for this server's own modules.
local caller = {}

---Notes the caller's variables, and takes them and its input from the processes of sandboxes.
function program.take_environment()
  for _, name in ipairs { "LUA_PATH", "LUA_CPATH", "LUA_PATH_5_1", "LUA_CPATH_5_1" } do
    caller[name] = os.getenv("DAYTONA_CALLER_" .. name) or false
    stdlib.setenv("DAYTONA_CALLER_" .. name)
  end
  fcntl.fcntl(INPUT, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
end

-- Of another account, which would be tried instead of this server, or with it.
local OTHERS = {
  "DAYTONA_SERVER_URL", "DAYTONA_JWT_TOKEN", "DAYTONA_ORGANIZATION_ID", "DAYTONA_TARGET", "DAYTONA_DEVSERVER_KEY",
}

---Starts it, as `context.program`.
function program.start(context)
  local child, message = children.run(context.options.program, INPUT, function()
    for name, value in pairs(caller) do stdlib.setenv(name, value or nil) end
    for _, name in ipairs(OTHERS) do stdlib.setenv(name) end
    stdlib.setenv("DAYTONA_API_URL", context.api_url)
    stdlib.setenv("DAYTONA_API_KEY", context.key)
  end)
  if not child then error("cannot start the program: " .. tostring(message), 0) end
  context.program = child
end

---Ends the server with it.
function program.watch(context)
  while not context.program.status do context.program.ended:wait() end
  context.status = context.program.status
  context.why = "program"
  context.quit:signal()
end

---Hands on a signal. A terminal sends Ctrl-C to both of us.
function program.signal(context, number)
  if number ~= signal.SIGINT then context.program:kill(number) end
end

return program
