-- Computer use: the desktop of a sandbox, its life and its processes. Pictures, mouse and
-- keyboard, recordings and the accessibility tree are groups in files of their own.

local calls = require "daytona.toolbox.calls"
local group = require "daytona.toolbox.computer.group"
local input = require "daytona.toolbox.computer.input"
local names = require "daytona.http.names"
local recordings = require "daytona.toolbox.computer.recordings"
local screen = require "daytona.toolbox.computer.screen"
local together = require "daytona.loop.group"
local tree = require "daytona.toolbox.computer.tree"

local M = {}

-- Seconds: the desktop's processes start one after the other.
local START_TIMEOUT = 120

---@class daytona.ComputerProcess
---@field running boolean
---@field priority? integer
---@field auto_restart? boolean
---@field pid? integer

-- By name, whose keys are no fields; old daemons write the fields with capitals.
local function processes_in(answer)
  local list = {}
  for name, status in pairs(type(answer.status) == "table" and answer.status or {}) do
    list[name] = type(status) == "table" and names.to_lua(status) or nil
  end
  return list
end

local function running_in(answer)
  return { running = answer.running == true or answer.Running == true }
end

local function field(name)
  return function(answer) return answer[name] or "" end
end

local NAME = { { "process", "text" } }

local function process(operation, path, refine)
  return { "GET", "/computeruse/process/{process}/" .. path, "object", raw = true, operation = operation, args = NAME,
           refine = refine }
end

local function change(path)
  return { "POST", "/computeruse/" .. path, "object", raw = true, safe = true, timeout = START_TIMEOUT,
           options = { timeout = "seconds" }, refine = processes_in }
end

local api = calls.of_daemon {
  start = change "start",
  stop = change "stop",
  -- /computeruse/process-status answers the same.
  status = { "GET", "/computeruse/status", "object", refine = function(answer) return answer.status or "unknown" end },
  process = process("process", "status", running_in),
  logs = process("logs", "logs", field "logs"),
  error_logs = process("error_logs", "errors", field "errors"),
  restart = { "POST", "/computeruse/process/{process}/restart", args = NAME },
}

---The desktop of a sandbox. Fails with kind "unavailable" where the programs for
---it are not installed, or it is not started.
---@class daytona.Computer
---@field sandbox daytona.Sandbox
---@field mouse daytona.ComputerMouse
---@field keyboard daytona.ComputerKeyboard
---@field screenshot daytona.ComputerScreenshot
---@field display daytona.ComputerDisplay
---@field recording daytona.ComputerRecording
---@field accessibility daytona.ComputerAccessibility
local Computer = {}
local new_computer = group.class(Computer, "Computer")

---@param sandbox daytona.Sandbox
---@return daytona.Computer
function M.new(sandbox)
  local computer = new_computer(sandbox)
  computer.mouse, computer.keyboard = input.mouse(sandbox), input.keyboard(sandbox)
  computer.screenshot, computer.display = screen.screenshot(sandbox), screen.display(sandbox)
  computer.recording, computer.accessibility = recordings.recording(sandbox), tree.accessibility(sandbox)
  return computer
end

---Starts the desktop, which takes several seconds (at most `timeout`, 120). Success when
---it runs already. Its processes by name.
---@type fun(self: daytona.Computer, opts?: { timeout?: number }): table<string, daytona.ComputerProcess>?, daytona.Error?
Computer.start = calls.method(api.start)

---Stops it, in at most `timeout` seconds (120). Its processes by name.
---@type fun(self: daytona.Computer, opts?: { timeout?: number }): table<string, daytona.ComputerProcess>?, daytona.Error?
Computer.stop = calls.method(api.stop)

---"active", "partial", "inactive", "error" or "unknown".
---@type fun(self: daytona.Computer): string?, daytona.Error?
Computer.status = calls.method(api.status)

-- The processes of a desktop; atspi is not on all of them.
local PROCESSES = { "xvfb", "xfce4", "x11vnc", "novnc" }

---Which of the desktop's processes run, by name.
---@return table<string, { running: boolean }>?
---@return daytona.Error?
function Computer:processes()
  local list, err = together.map(PROCESSES, function(name) return self:process(name) end)
  if not list then return nil, err end
  local by_name = {}
  for i, name in ipairs(PROCESSES) do by_name[name] = list[i] end
  return by_name
end

---Whether one process runs: "xvfb", "xfce4", "x11vnc", "novnc", "atspi".
---@type fun(self: daytona.Computer, name: string): { running: boolean }?, daytona.Error?
Computer.process = calls.method(api.process)

---What a process printed.
---@type fun(self: daytona.Computer, name: string): string?, daytona.Error?
Computer.logs = calls.method(api.logs)

---What a process printed to its standard error.
---@type fun(self: daytona.Computer, name: string): string?, daytona.Error?
Computer.error_logs = calls.method(api.error_logs)

---Starts a process again.
---@type fun(self: daytona.Computer, name: string): true?, daytona.Error?
Computer.restart = calls.method(api.restart)

group.guard(Computer)

return M
