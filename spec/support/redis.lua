-- A redis-server of a spec's own, with a password.
--
--   local redis = require("spec.support.redis").start()     nil where there is none
--   redis.port, redis.password
--   redis:stop()

local Redis = {}
Redis.__index = Redis

local PASSWORD = "hunter22"

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

-- Whether it answers.
local function answers(port)
  return output(("printf 'AUTH %s\\r\\nPING\\r\\nQUIT\\r\\n' | timeout 2 bash -c "
    .. "'exec 3<>/dev/tcp/127.0.0.1/%s; cat >&3; cat <&3' 2>/dev/null"):format(PASSWORD, port)):find "PONG" ~= nil
end

---Ends it, and waits until it has ended.
function Redis:stop()
  os.execute(("kill %s; while kill -0 %s 2>/dev/null; do sleep 0.02; done; rm -rf %s"):format(
    self.pid, self.pid, self.folder))
end

local function start()
  if output "command -v redis-server" == "" then return nil end
  local folder = output "mktemp -d"
  local port = output [[python3 -c "import socket
s = socket.socket()
s.bind(('127.0.0.1', 0))
print(s.getsockname()[1])"]]
  local pid = output(("redis-server --port %s --bind 127.0.0.1 --dir %s --save '' --requirepass %s "
    .. ">%s/log 2>&1 & echo $!"):format(port, folder, PASSWORD, folder))
  local self = setmetatable({ port = tonumber(port), password = PASSWORD, pid = pid, folder = folder }, Redis)
  local deadline = os.time() + 20
  while not answers(port) do
    if os.time() > deadline then
      self:stop()
      error "redis-server does not answer"
    end
  end
  return self
end

return { start = start }
