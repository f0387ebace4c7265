-- A real nginx with one worker, a child process with a folder of its own, and a
-- client that sends it many requests at once. Linux.
--
--   local nginx = require "spec.support.nginx"
--   local server = nginx.start {
--     init = "...", worker = "...",              init_by_lua, init_worker_by_lua
--     locations = { run = "content, in Lua", ... },
--     http = "...", env = { NAME = value }, user = "nobody" }
--   local server = nginx.start { config = "nginx.conf", prefix = "examples/...", env = ... }
--                                              a file, of which port and folder are changed
--   server:get "/run"                          body, status, seconds
--   server:all { "/run", "/run" }              a list of these, all at once
--   server:beside("/run", "/plain", 0.01)      one, and others meanwhile
--   server:hang_up("/run", seconds or function)   a client that goes away
--   server:stream("/run", "body", on_line)
--   server:workers()                           their process ids
--   server:stop()                              what its error log says
--   server:kill()
--   nginx.complaints(log)                      what of it is an error
--
-- With NGINX_SANITIZE=1 it gets the module of `make SANITIZE=1 LUA=luajit` and the
-- sanitizers' libraries; what these have to say is in the error log, and fails the
-- specs. nginx's own leaks are left out by name.

local cqueues = require "cqueues"
local shell = require "daytona.base.shell"
local ports = require "spec.support.ports"
local socket = require "cqueues.socket"

local ROOT = io.popen("pwd"):read("*l")

local Server = {}
Server.__index = Server

-- Seconds until something that must happen has happened.
local PATIENCE = 20

local SANITIZE = os.getenv "NGINX_SANITIZE"

local CONFIG = [[
load_module @MODULES@/ndk_http_module.so;
load_module @MODULES@/ngx_http_lua_module.so;
daemon off;
@USER@
worker_processes 1;
pid @DIR@/pid;
error_log @DIR@/error.log info;
@ENV@
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path @DIR@/body;
  proxy_temp_path @DIR@/proxy;
  fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi;
  scgi_temp_path @DIR@/scgi;
  lua_check_client_abort on;
  lua_package_path "@ROOT@/lua/?.lua;@ROOT@/lua/?/init.lua;;";
  lua_package_cpath "@ROOT@/@BUILD@/luajit/?.so;;";
  init_by_lua_block {
@INIT@
  }
  init_worker_by_lua_block {
@WORKER@
  }
@HTTP@
  server {
    listen 127.0.0.1:@PORT@ backlog=1024;
    location = /plain { return 200 "plain"; }
    location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
@LOCATIONS@
  }
}
]]

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read("*a")
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  file:close()
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

-- In the configuration, which is read before the user is changed.
local function locations(list)
  local text = {}
  for name, code in pairs(list) do
    if not code:find "^%s*location" then
      code = ("location = /%s { content_by_lua_block {\n%s\n} }"):format(name, code)
    end
    text[#text + 1] = code
  end
  return table.concat(text, "\n")
end

local function is_listening(port)
  local sock = socket.connect("127.0.0.1", port)
  sock:onerror(function(_, _, why) return why end)
  local connected = sock:connect(PATIENCE)
  sock:close()
  return connected
end

local function assignments(env)
  local lines, names = {}, {}
  for name, value in pairs(env) do
    lines[#lines + 1] = name .. "=" .. shell.quote(tostring(value))
    names[#names + 1] = "env " .. name .. ";"
  end
  return table.concat(lines, " "), table.concat(names, "\n")
end

---Where the distribution keeps nginx's modules.
local function modules()
  return output "ls -d /usr/lib/nginx/modules /usr/lib64/nginx/modules 2>/dev/null | head -n 1"
end

---Whether workers that may do nothing can read this checkout: one in root's home
---they cannot.
local function nobody_reads()
  return output(("setpriv --reuid nobody --clear-groups test -r %s && echo yes")
    :format(shell.quote(ROOT .. "/lua/daytona/init.lua"))) == "yes"
end

--- Asking ------------------------------------------------------------------------------

-- A connection of its own, with a request on it; nil when nobody listens.
local function send(self, path, body, version)
  local sock = socket.connect { host = "127.0.0.1", port = self.port, nodelay = true }
  sock:setmode("bn", "bn")
  sock:settimeout(self.patience)
  sock:onerror(function(_, _, why) return why end)
  local head = ("%s %s HTTP/%s\r\nHost: nginx\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"):format(
    body and "POST" or "GET", path, version or "1.0", #(body or ""))
  return sock:xwrite(head .. (body or ""), "n") and sock or nil
end

-- One request. body, status, seconds; nil when nobody listens.
local function ask(self, path, body)
  local start = cqueues.monotime()
  local sock = send(self, path, body)
  if not sock then return nil end
  local answer = sock:read("*a") or ""
  sock:close()
  local status = tonumber(answer:match "^HTTP/1%.%d (%d+)")
  return answer:match "\r\n\r\n(.*)$", status, cqueues.monotime() - start
end

---Many requests at once; meanwhile(self) runs beside them.
---@return { body: string, status: integer, seconds: number }[]
function Server:all(paths, meanwhile)
  local results, controller = {}, cqueues.new()
  for i, path in ipairs(paths) do
    controller:wrap(function()
      local body, status, seconds = ask(self, path)
      results[i] = { body = body, status = status, seconds = seconds }
    end)
  end
  if meanwhile then controller:wrap(function() meanwhile(self) end) end
  assert(controller:loop())
  return results
end

function Server:get(path, body)
  local result
  local controller = cqueues.new()
  controller:wrap(function() result = { ask(self, path, body) } end)
  assert(controller:loop())
  return (table.unpack or unpack)(result, 1, 3)
end

---The same for use in `meanwhile`.
Server.ask = ask

---One request, and others at an interval until it is answered; the others must be,
---too. body, status, seconds of the one.
function Server:beside(path, other, interval)
  local result
  self:all({}, function()
    cqueues.running():wrap(function() result = { ask(self, path) } end)
    while not result do
      assert(ask(self, other))
      cqueues.sleep(interval)
    end
  end)
  return (table.unpack or unpack)(result, 1, 3)
end

---Asks, and closes the connection after so many seconds, or when the function
---`moment` returns.
function Server:hang_up(path, moment, body)
  local sock = send(self, path, body)
  if type(moment) == "function" then moment() else cqueues.sleep(moment) end
  sock:close()
end

---Posts, and calls on_line(line) for each line of the answer, as it comes (and for
---those of the chunked encoding: nginx keeps answers to HTTP/1.0 back).
function Server:stream(path, body, on_line)
  local sock = send(self, path, body, "1.1")
  for line in sock:lines "*l" do on_line((line:gsub("\r$", ""))) end
  sock:close()
end

--- The process -------------------------------------------------------------------------

function Server:log()
  local command = "cat %s/error.log %s/asan.* 2>/dev/null | sed 's/^==/[alert] ==/'"
  local pipe = io.popen(command:format(self.dir, self.dir))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

---Process ids of the workers, those that are still leaving included.
function Server:workers()
  local list = {}
  for pid in output("ps -o pid= --ppid " .. self.pid):gmatch "%d+" do list[#list + 1] = tonumber(pid) end
  return list
end

---Threads, descriptors and resident kilobytes of a worker.
function Server.usage(_, pid)
  local status = read("/proc/" .. pid .. "/status")
  return {
    threads = tonumber(status:match "Threads:%s*(%d+)"), memory = tonumber(status:match "VmRSS:%s*(%d+)"),
    descriptors = tonumber(output("ls /proc/" .. pid .. "/fd | wc -l")),
  }
end

function Server:signal(name)
  os.execute(("kill -%s %d"):format(name, self.pid))
end

---Waits until fn() is true. Whether it was.
function Server.wait_until(_, fn, seconds)
  local limit = cqueues.monotime() + (seconds or PATIENCE)
  while not fn() do
    if cqueues.monotime() > limit then return false end
    cqueues.sleep(0.02)
  end
  return true
end

---Ends it and removes its folder. Returns its error log.
function Server:stop()
  if not self.pid then return end
  self:signal "QUIT"
  local pid = self.pid
  local ended = self:wait_until(function() return output("ps -o pid= -p " .. pid) == "" end)
  if not ended then self:signal "KILL" end
  self.out:close()
  local text = self:log()
  os.execute("rm -rf " .. shell.quote(self.dir))
  self.pid = nil
  if not ended then error("nginx did not end:\n" .. text:sub(-2000)) end
  return text
end

---Kills it, as the machine's end would.
function Server:kill()
  os.execute(("kill -KILL %s %s"):format(self.pid, table.concat(self:workers(), " ")))
  self.out:close()
  os.execute("rm -rf " .. shell.quote(self.dir))
  self.pid = nil
end

-- A configuration as it stands, but for its port, what it puts into /tmp and its log.
local function configuration_of(path, dir, port)
  local text = read(path):gsub("127%.0%.0%.1:8080", "127.0.0.1:" .. port):gsub("/tmp/", dir .. "/")
  return (text:gsub("error_log stderr %a+;", "error_log " .. dir .. "/error.log info;"))
end

local function configuration(opts, dir, port, kept)
  local values = {
    DIR = dir, ROOT = ROOT, MODULES = modules(), PORT = port, ENV = kept,
    BUILD = SANITIZE and "build/asan" or "build",
    HTTP = opts.http or "", INIT = opts.init or "", WORKER = opts.worker or "",
    USER = opts.user and "user " .. opts.user .. ";" or "user root;",
    LOCATIONS = locations(opts.locations or {}),
  }
  if output "id -u" ~= "0" then values.USER = "" end
  return (CONFIG:gsub("@(%u+)@", values))
end

-- What runs nginx under the sanitizers.
local function sanitized(dir)
  write(dir .. "/leaks", "leak:ngx_alloc\n")
  return ("env LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=log_path=%s/asan "
    .. "LSAN_OPTIONS=suppressions=%s/leaks:print_suppressions=0"):format(dir, dir)
end

local function start(opts)
  local dir, port = output "mktemp -d", ("%d"):format(ports.free())
  os.execute("chmod 755 " .. dir)
  local self = setmetatable({ dir = dir, port = port, patience = opts.patience or PATIENCE }, Server)
  local env = { TMPDIR = os.getenv "TMPDIR" or "/tmp" }
  for name, value in pairs(opts.env or {}) do env[name] = value end
  local given, kept = assignments(env)
  write(dir .. "/nginx.conf", opts.config and configuration_of(opts.config, dir, port)
    or configuration(opts, dir, port, kept))
  local prefix, more = dir, ""
  if opts.config then
    prefix = opts.prefix and ROOT .. "/" .. opts.prefix
    -- Some modules make nginx clear its environment before Lua looks where its files are.
    local global = "env LUA_PATH; env LUA_CPATH;"
    if output "id -u" == "0" and not nobody_reads() then global = global .. " user root;" end
    more = '-g "' .. global .. '"'
  end
  local command = ("env -u LUA_INIT %s sh -c 'echo $$; exec %s nginx %s %s -e %s/error.log -c %s/nginx.conf'")
    :format(given, SANITIZE and sanitized(dir) or "", prefix and "-p " .. prefix or "", more, dir, dir)
    .. " </dev/null 2>&1"
  self.out = assert(io.popen("PATH=$PATH:/usr/sbin:/sbin " .. command, "r"))
  self.pid = tonumber(self.out:read "*l")
  if not self:wait_until(function() return is_listening(port) end) then
    error("nginx did not start:\n" .. self:log())
  end
  return self
end

-- What nginx should never have to say.
local function complaints(log)
  local found = {}
  for line in log:gmatch "[^\n]+" do
    if line:find "%[error%]" or line:find "%[crit%]" or line:find "%[alert%]" or line:find "%[emerg%]" then
      found[#found + 1] = line
    end
  end
  return table.concat(found, "\n")
end

return { start = start, nobody_reads = nobody_reads, wait_until = Server.wait_until, complaints = complaints }
