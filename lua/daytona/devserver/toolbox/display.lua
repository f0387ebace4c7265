--- The sandbox's private X display and the programs that make a desktop of it,
-- as far as they are installed. Xvfb, xdotool and ImageMagick are needed; a
-- desktop and its VNC servers are started when they are there. Knows no HTTP.

local cqueues = require "cqueues"
local ffi = require "ffi"
local posix_signal = require "posix.signal"
local command = require "daytona.devserver.toolbox.command"
local environment = require "daytona.devserver.toolbox.environment"
local files = require "daytona.devserver.toolbox.files"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"

local display = {}

local START_PATIENCE = 10      -- seconds the X server has to come up

-- In the order of their start.
local PROCESSES = {
  { name = "xvfb", program = "Xvfb", priority = 100 },
  { name = "xfce4", program = "startxfce4", priority = 200 },
  { name = "x11vnc", program = "x11vnc", priority = 300 },
  { name = "novnc", program = "websockify", priority = 400 },
}

local by_name = {}
for _, each in ipairs(PROCESSES) do by_name[each.name] = each end

--- Whether a program is in PATH.
function display.installed(program)
  for dir in (environment.get "PATH" or ""):gmatch "[^:]+" do
    if sys.stat(dir .. "/" .. program) then return true end
  end
  return false
end

--- The programs that computer use cannot do without and that are missing.
---@return string[]
function display.missing()
  local list = {}
  for _, program in ipairs { "Xvfb", "xdotool", "convert" } do
    if not display.installed(program) then list[#list + 1] = program end
  end
  return list
end

local function variable(name, default)
  local value = environment.get(name)
  return value and value ~= "" and value or default
end

local function argv_of(name)
  local vnc = variable("VNC_PORT", "5901")
  if name == "xvfb" then
    local size = variable("VNC_RESOLUTION", "1024x768")
    return { "Xvfb", "-displayfd", "3", "-screen", "0", size .. "x24", "-nolisten", "tcp", "-noreset" }
  elseif name == "xfce4" then
    return { "startxfce4" }
  elseif name == "x11vnc" then
    return { "x11vnc", "-forever", "-shared", "-nopw", "-localhost", "-rfbport", vnc }
  end
  return { "websockify", "--web=/usr/share/novnc", "127.0.0.1:" .. variable("NO_VNC_PORT", "6080"),
           "127.0.0.1:" .. vnc }
end

--- The log file of a process.
---@param name string
---@param kind "log"|"err"
function display.log_path(name, kind)
  return ("%s/.daytona/computeruse/%s.%s"):format(environment.get "HOME", name, kind)
end

local function open_log(name, kind)
  local path = display.log_path(name, kind)
  files.make_dirs((path:gsub("/[^/]*$", "")), 493)
  return sys.open(path, sys.O_WRONLY + sys.O_CREAT + sys.O_TRUNC, 420)
end

local function launch(each, third)
  local out, err = open_log(each.name, "log"), open_log(each.name, "err")
  local process, message = spawn.start {
    argv = argv_of(each.name), env = environment.list { DISPLAY = display.number },
    stdout = out, stderr = err, third = third,
  }
  if out then sys.close(out) end
  if err then sys.close(err) end
  each.process = process
  return process, message
end

-- Starts the X server, which chooses its own display number and says it.
local function launch_server(each)
  local said, say = sys.pipe()
  sys.nonblock(said)
  local process, err = launch(each, say)
  sys.close(say)
  local buffer, text = sys.buffer(32), ""
  local deadline = cqueues.monotime() + START_PATIENCE
  while process and not text:find "\n" do
    local n, errno = sys.read(said, buffer, 32)
    if n and n > 0 then
      text = text .. ffi.string(buffer, n)
    elseif n == 0 or errno ~= sys.EAGAIN or cqueues.monotime() > deadline then
      process, err = nil, "the X server did not start"
    else
      sys.wait_fd(said, "r", deadline - cqueues.monotime())
    end
  end
  sys.close(said)
  if not process then return nil, err end
  display.number = ":" .. text:match "%d+"
  environment.set("DISPLAY", display.number)
  return true
end

--- Whether a process runs.
function display.running(name)
  local process = by_name[name].process
  return process ~= nil and process.exit_code == nil
end

local function start_one(each)
  if display.running(each.name) or not display.installed(each.program) then return true end
  if each.name == "xvfb" then return launch_server(each) end
  return launch(each)
end

--- Starts what does not run yet.
---@return boolean? ok
---@return string? err
function display.start()
  for _, each in ipairs(PROCESSES) do
    local ok, err = start_one(each)
    if not ok then return nil, each.name .. ": " .. err end
  end
  return true
end

local function stop_one(each)
  if not display.running(each.name) then return end
  each.process:kill_group(posix_signal.SIGTERM)
  if not each.process:wait(2) then
    each.process:kill_group(posix_signal.SIGKILL)
    each.process:wait()
  end
end

function display.stop()
  for i = #PROCESSES, 1, -1 do stop_one(PROCESSES[i]) end
  display.number = nil
  environment.set("DISPLAY", nil)
end

--- Starts one process anew.
---@return boolean? ok  nil also when there is none of this name
---@return string? err
function display.restart(name)
  local each = by_name[name]
  if not each then return nil, "process not found: " .. name end
  stop_one(each)
  return start_one(each)
end

function display.known(name)
  return by_name[name] ~= nil
end

--- Every process: name, running, priority, pid.
function display.processes()
  local list = {}
  for i, each in ipairs(PROCESSES) do
    local running = display.running(each.name)
    list[i] = { name = each.name, running = running, priority = each.priority,
                pid = running and each.process.pid or nil }
  end
  return list
end

--- "active" when all that is installed runs, "partial", or "inactive".
function display.status()
  local installed, running = 0, 0
  for _, each in ipairs(PROCESSES) do
    if display.installed(each.program) then installed = installed + 1 end
    if display.running(each.name) then running = running + 1 end
  end
  if running == 0 then return "inactive" end
  return running == installed and "active" or "partial"
end

--- Runs a program on the display.
---@param argv string[]
---@param input string?
---@return string? output  nil and a message when it failed
---@return string? err
function display.run(argv, input)
  local envs = { DISPLAY = display.number, LC_ALL = "C.UTF-8" } -- xdotool reads text by the locale
  local code, out, err = command.run { argv = argv, envs = envs, input = input }
  if code == 0 then return out end
  return nil, code and err ~= "" and err:match "[^\n]+" or argv[1] .. " failed"
end

return display
