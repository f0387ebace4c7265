-- Runs programs in real hosts (Neovim, LÖVE, luv, cqueues), headless, each a child
-- process under a time limit, against a local server of their own.
--
--   local hosts = require "spec.support.hosts"
--   local stage = hosts.stage()          a server and a started sandbox
--   local said = stage:run("luv", [[ say("answer", 42) ]])
--   said.answer, said.exit, said.text
--   local said = stage:work("nginx", "spec/support/host_calls.lua")
--   stage:close()
--
-- A program finds `daytona`, `loop` and `say(name, value)`; the environment holds
-- the server's address and key, and SANDBOX the sandbox's id. `work` runs one file,
-- the same in every host, in a task of the host.

local devserver = require "daytona.devserver"
local loop = require "daytona.loop"
local shell = require "daytona.base.shell"

local hosts = {}

local ROOT = io.popen("pwd"):read("*l")

-- Seconds after which a host is ended.
hosts.limit = 60

-- What comes before a program. LuaJIT and Lua 5.4.
local COMMON = [[
local function say(name, value) io.stdout:write("@", name, " ", tostring(value), "\n") io.stdout:flush() end
local daytona = require "daytona"
local loop = require "daytona.loop"
]]

-- With SANITIZE=1 the hosts load the C module that is built with the sanitizers,
-- and bars of time are not judged. A host does not free all it has at its end
-- (Neovim never closes its Lua), so that leaks are looked for in luv and cqueues;
-- LÖVE does not even start under ASan.
hosts.sanitize = os.getenv "SANITIZE" ~= nil

local function sanitized(lua, leaks)
  if not hosts.sanitize then return "" end
  local library = io.popen("gcc -print-file-name=libasan.so"):read("*l")
  local cpath = ('LUA_CPATH="${LUA_CPATH-%s/build/asan/%s/?.so;;}" '):format(ROOT, lua)
  return ("env LD_PRELOAD=%s ASAN_OPTIONS=detect_leaks=%d:exitcode=99 "):format(library, leaks) .. cpath
end

-- How to start each host. %s is the program's file, or folder in LÖVE's case.
local COMMAND = {
  neovim = sanitized("luajit", 0) .. "nvim --headless -u NONE -i NONE -n --cmd "
    .. shell.quote("set rtp^=" .. ROOT) .. " -c 'luafile %s'",
  love = "xvfb-run -a love %s",
  plain = sanitized("lua5.4", 1) .. "lua5.4 %s",
  luv = sanitized("lua5.4", 1) .. "lua5.4 %s",
  cqueues = sanitized("lua5.4", 1) .. "lua5.4 %s",
  ["plain-luajit"] = sanitized("luajit", 0) .. "luajit %s",
  ["luv-luajit"] = sanitized("luajit", 0) .. "luajit %s",
  ["cqueues-luajit"] = sanitized("luajit", 0) .. "luajit %s",
}

local PATH = ("package.path = %q .. package.path\n"):format(("%s/lua/?.lua;%s/lua/?/init.lua;"):format(ROOT, ROOT))

local BEFORE = {
  -- An error would leave the editor open.
  neovim = COMMON .. "local uv = vim.uv or vim.loop\nlocal function program()\n",
  love = PATH .. COMMON,
  plain = PATH .. COMMON,
  luv = PATH .. COMMON .. 'local uv = require "luv"\n',
  cqueues = PATH .. COMMON .. 'local cqueues = require "cqueues"\n',
}

local AFTER = {
  neovim = "\nend\nlocal fine, why = pcall(program)\nif not fine then say('error', why) vim.cmd 'cquit' end\n",
}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  file:close()
end

local function temporary_folder()
  return io.popen("mktemp -d"):read("*l")
end

local function assignments(env)
  local words = {}
  for name, value in pairs(env) do words[#words + 1] = name .. "=" .. shell.quote(tostring(value)) end
  return table.concat(words, " ")
end

---Lines "@name value" of what a program printed; numbers as numbers.
function hosts.parse(text, exit)
  local said = { text = text, exit = exit }
  for name, value in text:gmatch("@(%S+) ([^\r\n]*)") do said[name] = tonumber(value) or value end
  return said
end

---Runs a shell command under the time limit. What it said.
function hosts.command(command, env)
  local line = ("timeout -s KILL %d env -u LUA_INIT %s sh -c %s </dev/null 2>&1; echo \"@exit $?\""):format(
    hosts.limit, assignments(env or {}), shell.quote("exec " .. command))
  local out = assert(io.popen(line, "r"))
  local text = out:read("*a")
  out:close()
  return hosts.parse(text)
end

---Whether a program is installed.
function hosts.has(program)
  return hosts.command("which " .. program).exit == 0
end

--- A stage: server, sandbox, folder -------------------------------------------------

local Stage = {}
Stage.__index = Stage

---A local server with one started sandbox, and a folder for files.
function hosts.stage(opts)
  local server = assert(devserver.start(opts))
  local client = assert(require("daytona").new { api_url = server.api_url, api_key = server.api_key })
  local sandbox = assert(client:create {})
  return setmetatable({
    server = server, client = client, sandbox = sandbox, dir = temporary_folder(), root = ROOT,
  }, Stage)
end

---The environment of a program that uses the stage's server.
function Stage:env(more)
  local env = {
    DAYTONA_API_URL = self.server.api_url, DAYTONA_API_KEY = self.server.api_key,
    SANDBOX = self.sandbox.id, STAGE = self.dir, HOME = self.dir, XDG_RUNTIME_DIR = self.dir,
    XDG_CONFIG_HOME = self.dir, XDG_DATA_HOME = self.dir, XDG_CACHE_HOME = self.dir,
    SDL_AUDIODRIVER = "dummy", ALSOFT_DRIVERS = "null", LIBGL_ALWAYS_SOFTWARE = "1",
  }
  for name, value in pairs(more or {}) do env[name] = value end
  return env
end

---Runs a program's text in a host ("neovim", "love", "plain", "luv", "cqueues", the
---last three also with "-luajit"); `before` is put before the command. What it said.
function Stage:run(host, program, env, before)
  local kind = host:gsub("%-luajit$", "")
  local text = BEFORE[kind] .. program .. (AFTER[kind] or "")
  local path = self.dir .. "/program.lua"
  if host == "love" then
    path = self.dir .. "/game"
    os.execute("mkdir -p " .. shell.quote(path))
    write(path .. "/main.lua", text)
  else
    write(path, text)
  end
  return hosts.command((before or "") .. COMMAND[host]:format(shell.quote(path)), self:env(env))
end

--- One file in every host ---------------------------------------------------------------

-- `beats()` tells how often the host's own work came round.
local WORK = [[
local rounds = 0
local function beat() rounds = rounds + 1 end
local function beats() return rounds end
local work = assert(loadfile(os.getenv "WORK"))(daytona, loop, say)
local function finish(task)
  local _, err = task:wait()
  if err then say("failure", err.traceback or err) end
end
]]

-- Runs `work` in a task, beside the host's own work, and leaves.
local IN_A_TASK = {
  plain = [[
    local task = daytona.spawn(work, beats)
    while not task:done() do daytona.sleep(0.005) beat() end
    finish(task)
  ]],
  neovim = [[
    uv.new_timer():start(5, 5, beat)
    daytona.spawn(function()
      finish(daytona.spawn(work, beats))
      vim.cmd "qa!"
    end)
  ]],
  love = [[
    local task
    function love.load() task = daytona.spawn(work, beats) end
    function love.update()
      daytona.update(0.002)
      beat()
      if task:done() then finish(task) love.event.quit() end
    end
    function love.draw() love.timer.sleep(0.002) end
    function love.errorhandler(message) say("failure", message) os.exit(1) end
  ]],
  luv = [[
    local timer = uv.new_timer()
    timer:start(5, 5, beat)
    daytona.spawn(function()
      finish(daytona.spawn(work, beats))
      timer:close()
    end)
    uv.run()
  ]],
  cqueues = [[
    local controller, over = cqueues.new(), false
    controller:wrap(function()
      finish(daytona.spawn(work, beats))
      over = true
    end)
    controller:wrap(function()
      while not over do cqueues.sleep(0.005) beat() end
    end)
    assert(controller:loop())
  ]],
}

-- In nginx the file's globals are the worker's, and each request gets its own `say`.
local IN_NGINX = [[
local daytona, loop = require "daytona", require "daytona.loop"
local function say(name, value) ngx.say("@", name, " ", tostring(value)) end
]] .. WORK .. [[
in_a_task = function() finish(daytona.spawn(work, beats)) end
one_beat = beat
require("daytona.loop.driver.ngx").use_doorbell(%s)
]]

-- The host's own work are other requests.
local function work_in_nginx(stage, host, env)
  local nginx = require "spec.support.nginx"
  env.HOME = "/"
  local server = nginx.start {
    env = stage:env(env), patience = hosts.limit, init = IN_NGINX:format(host == "nginx"),
    locations = { work = "in_a_task()", beat = "one_beat() ngx.print 'beat'" },
  }
  local text, status = server:beside("/work", "/beat", 0.005)
  local log = server:stop()
  local said = hosts.parse(text or "", status == 200 and 0 or 1)
  local complaints = nginx.complaints(log)
  if said.exit ~= 0 then said.failure = log:sub(-2000) end
  if complaints ~= "" then said.failure = complaints end
  return said
end

---Runs a file in a task of a host: a host of `run`, "nginx", or "nginx-sleep", where
---there is no doorbell. The file is a chunk that gets `daytona`, `loop` and `say`, and
---returns work(beats). What it said; `failure` is what it raised.
function Stage:work(host, path, env)
  env = env or {}
  env.WORK = self.root .. "/" .. path
  if host:find "^nginx" then return work_in_nginx(self, host, env) end
  return self:run(host, WORK .. IN_A_TASK[host:gsub("%-luajit$", "")], env)
end

--- A flood --------------------------------------------------------------------------------

---Program text: `flood(how)`, which reads 5 MB of a command's output; and `held()`,
---how long the host was kept from its own work since the last call: in seconds of
---this process's own time, whatever else the machine does.
hosts.FLOOD = [[
local TEXT = "yes 'a line of the output of a program' | head -c 5100000" -- whole lines
local function flood(how)
  local sb, size = assert(daytona.get(os.getenv "SANDBOX")), 0
  if how == "follow" then
    daytona.using(assert(sb:session()), function(session)
      for _, chunk in assert(session:exec(TEXT, { async = true })):follow() do size = size + #chunk end
    end)
  else
    daytona.using(assert(sb:popen(TEXT)), function(job)
      for line in job:lines "L" do size = size + #line end
    end)
  end
  return size == 5100000
end
local before = os.clock()
local function held()
  local now = os.clock()
  local seconds = now - before
  before = now
  return seconds
end
]]

--- Judging ------------------------------------------------------------------------------

---Whether a command with this text runs in the sandbox.
function Stage:is_running(text)
  local pattern = "[" .. text:sub(1, 1) .. "]" .. text:sub(2)
  local result = assert(self.sandbox:exec("ps -eo args | grep -c " .. shell.quote(pattern)))
  return tonumber(result.result:match("%d+")) > 0
end

-- So often a bar of time may be missed; and where other work keeps the processors busy.
local ROUNDS, BUSY_ROUNDS = 8, 3

-- More wants to run than twice what can.
local function is_busy()
  local file = io.open "/proc/loadavg"
  local load = file and file:read "*n" or 0
  if file then file:close() end
  return load > 2 * (tonumber(io.popen("nproc"):read "*l") or 1)
end

---Whether fn() meets a bar of time, when nothing else keeps the processors busy:
---the best of a few rounds, with longer and longer rests between them. fn returns
---whether it did, and says in words what it measured; returned are those of all,
---which with SHOW=1 are printed, too. nil: not met, on a machine too busy to judge by.
---@param fn fun(): boolean, string
---@return boolean? met
---@return string words
function hosts.meets(fn)
  local words, busy = {}, is_busy()
  for round = 1, busy and BUSY_ROUNDS or ROUNDS do
    local met
    met, words[round] = fn()
    if os.getenv "SHOW" then print(words[round]) end
    if met or hosts.sanitize then return true, words[round] end
    loop.sleep(0.25 * round)
  end
  local all = table.concat(words, "\n")
  if busy then return nil, "this machine is too busy to judge by: " .. all end
  return false, all
end

---Fails a case that missed its bar, or skips it.
---@param pending fun(why: string)  busted's, as the case sees it
---@param met boolean?
---@param words string
function hosts.judge(pending, met, words)
  if met == nil then pending(words) end
  if not met then error(words, 2) end
end

function Stage:close()
  self.sandbox:delete()
  self.server:stop()
  os.execute("rm -rf " .. shell.quote(self.dir))
end

return hosts
