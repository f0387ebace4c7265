-- A sandbox as a machine: its folders, its ports, its environment, what it uses. Methods of
-- sandboxes, some of which also stand under `sb.machine`.

local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.calls"
local daemons = require "daytona.toolbox.daemon"
local grouping = require "daytona.base.grouping"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"
local variables = require "daytona.base.variables"

local machine = {}

local api = calls.of_daemon {
  ports          = { "GET",  "/port", "object" },
  port_in_use    = { "GET",  "/port/{port}/in-use", "object" },
  set_env        = { "POST", "/env", body = true, safe = true, since = "0.200", lists = { "unset" } },
  metrics_latest = { "GET",  "/system/metrics", "object", since = "0.200" },
}

--- What its daemon says ----------------------------------------------------------------

---The home directory inside.
---@param self daytona.Sandbox
---@return string?
---@return daytona.Error?
function machine.home_dir(self)
  local daemon, err = daemons.of(self)
  if not daemon then return nil, err end
  return daemon:home(self)
end

---The directory that relative paths start from.
---@param self daytona.Sandbox
---@return string?
---@return daytona.Error?
function machine.work_dir(self)
  local daemon, err = daemons.of(self)
  if not daemon then return nil, err end
  return daemon:work(self)
end

---The version of the daemon inside.
---@param self daytona.Sandbox
---@return string?
---@return daytona.Error?
function machine.version(self)
  local daemon, err = daemons.of(self)
  if not daemon then return nil, err end
  return daemon:version(self)
end

--- Ports -------------------------------------------------------------------------------

-- The daemon answers for these only.
local FIRST_PORT, LAST_PORT = 3000, 9999

---The TCP ports that something listens on, in order. Old daemons leave out those
---of IPv6 alone; `port_in_use` and `wait_for_port` do not.
---@param self daytona.Sandbox
---@return integer[]?
---@return daytona.Error?
function machine.ports(self)
  local answer, err = api.ports(self)
  if not answer then return nil, err end
  local list = type(answer.ports) == "table" and answer.ports or {}
  table.sort(list)
  return list
end

-- For any POSIX shell: whether a socket listens on the port, by the kernel's own
-- tables, which every Linux has.
local LISTENS = "grep -qs ':%04X [0-9A-Fa-f]*:0000 0A ' /proc/net/tcp /proc/net/tcp6"

-- Whether a host accepts connections, with what there is in the sandbox. The nc
-- of busybox may not know -z; it runs a program when it is connected.
local REACHES = [[
has() { command -v "$1"; }
{ if has nc && nc -h 2>&1 </dev/null | grep -q -e -z; then nc -z -w 2 %s %d
elif has bash && has timeout; then timeout 2 bash -c ': </dev/tcp/"$0"/"$1"' %s %d
elif has python3; then
  python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' %s %d
elif has nc; then nc -w 2 %s %d -e true
else exit 126; fi; } >/dev/null 2>&1]]

local function probe_script(port, host)
  if not host then return LISTENS:format(port) end
  local name = shell.quote(host)
  return (REACHES:gsub("%%s %%d", function() return name .. " " .. string.format("%d", port) end))
end

-- Runs a probe; whether it succeeded, or nil, err.
local function probe(self, script, seconds)
  local r, err = self:exec(script, { timeout = seconds })
  if not r then return nil, err end
  if r.exit_code == 126 then
    return nil, errors.new {
      kind = "unsupported", operation = "wait_for_port", sandbox = self,
      message = "the sandbox has no nc, bash or python3 to reach another host with",
    }
  end
  return r.exit_code == 0
end

local function daemon_answers_for(port)
  return port >= FIRST_PORT and port <= LAST_PORT
end

-- What the daemon says; it does not see what listens on IPv6 alone.
local function daemon_sees(self, port, timeout)
  local answer, err = api.port_in_use(self, { port = port },
    { what = string.format("port %d", port), timeout = timeout })
  if not answer then return nil, err end
  return answer.is_in_use == true
end

-- The same by a script, where the daemon sees nothing; without a shell that is all there is.
local function script_sees(self, port, script, seconds)
  local open, err = probe(self, script, seconds)
  if open == nil and daemon_answers_for(port) and err.code == "PROCESS_START_FAILED" then return false end
  return open, err
end

---Whether something listens on a port inside.
---@param self daytona.Sandbox
---@param port integer|string  a number, or its digits
---@return boolean?  or nil and an error, when that could not be found out
---@return daytona.Error?
function machine.port_in_use(self, port)
  port = options.port("port_in_use: the port", port)
  if daemon_answers_for(port) then
    local open, err = daemon_sees(self, port)
    if open or open == nil then return open, err end
  end
  return script_sees(self, port, probe_script(port), 10)
end

local WAIT = { timeout = "seconds", host = "text" }

-- Between looks, and what one look may take, seconds.
local FIRST_POLL, LONGEST_POLL, POLL_GROWTH, LOOK_TIMEOUT = 0.05, 1, 1.5, 15

-- A shell loop around a probe, so that one command looks for a while.
local ROUND = "end=$(($(date +%%s) + %d)); until %s; do [ $(date +%%s) -lt $end ] || exit 1; "
  .. "sleep 0.1 2>/dev/null || sleep 1; done"
local ROUND_SECONDS = 20

-- Whether it is open now or soon: the daemon's word first, as it costs no process.
local function look(self, port, host, left)
  if not host and daemon_answers_for(port) then
    local open, err = daemon_sees(self, port, math.min(left, LOOK_TIMEOUT))
    if open or open == nil then return open, err end
  end
  local seconds = math.max(1, math.ceil(math.min(left, ROUND_SECONDS)))
  local script = ROUND:format(seconds, "(" .. probe_script(port, host) .. ")")
  if host then return probe(self, script, seconds + 5) end
  return script_sees(self, port, script, seconds + 5)
end

---Waits until something listens on a port inside; with `host`, until that port
---of another host can be reached from inside. self, or nil and an error of kind
---"timeout" after `timeout` seconds (60; 0 for none).
---@param self daytona.Sandbox
---@param port integer|string  a number, or its digits
---@param opts? { timeout?: number, host?: string }
---@return daytona.Sandbox?
---@return daytona.Error?
function machine.wait_for_port(self, port, opts)
  port = options.port("wait_for_port: the port", port)
  opts = options.check("wait_for_port", WAIT, opts)
  if opts.host and not opts.host:find("^[%w:][%w.:_-]*$") then
    errors.misuse(1, "wait_for_port: option 'host' must be a name or an address")
  end
  local timeout = opts.timeout or 60
  local deadline = timeout > 0 and loop.now() + timeout or math.huge
  local delay = FIRST_POLL
  while true do
    local open, err = look(self, port, opts.host, deadline - loop.now())
    if open then return self end
    if open == nil and not err.retryable then return nil, err end
    local left = deadline - loop.now()
    if left <= 0 then
      return nil, errors.new {
        kind = "timeout", code = "wait", operation = "wait_for_port", sandbox = self, cause = err,
        message = string.format("nothing listens on port %d%s after %g seconds", port,
          opts.host and " of " .. opts.host or "", timeout),
      }
    end
    local slept, why = loop.sleep(math.min(delay, left))
    if not slept then return nil, why end
    delay = math.min(delay * POLL_GROWTH, LONGEST_POLL)
  end
end

--- Environment ---------------------------------------------------------------------------

local SET_ENV = { set = "variables", unset = "list" }

local function check_name(name)
  if shell.is_name(name) then return name end
  errors.misuse(1, "set_env: '%s' cannot be the name of an environment variable", tostring(name))
end

---Changes the environment of what is started in the sandbox from now on:
---commands, sessions, terminals, interpreter contexts; what runs keeps its own.
---The values are kept out of errors. kind "unsupported" where the daemon is
---too old.
---@param self daytona.Sandbox
---@param changes { set?: table<string, string|number>, unset?: string[] }
---@return true?
---@return daytona.Error?
function machine.set_env(self, changes)
  options.argument("set_env: the changes", "table", changes)
  changes = options.check("set_env", SET_ENV, changes)
  local set, secrets = variables("set_env", changes.set)
  for _, name in ipairs(changes.unset or {}) do check_name(name) end
  return api.set_env(self, { set = set, unset = changes.unset }, { secrets = secrets })
end

--- Use ---------------------------------------------------------------------------------------

---What a sandbox used at a moment; sizes in bytes.
---@class daytona.Metrics
---@field timestamp string       RFC 3339
---@field timestamp_unix? integer
---@field cpu_count number
---@field cpu_used_pct number    of all its processors
---@field mem_used number
---@field mem_total number
---@field mem_cache number
---@field disk_used number
---@field disk_total number
---@field disk_free? number      of the latest only

---What the sandbox uses now, as it says itself.
---@param self daytona.Sandbox
---@return daytona.Metrics?
---@return daytona.Error?
function machine.metrics_latest(self)
  return api.metrics_latest(self)
end

--- Staying alive -----------------------------------------------------------------------------

local KEEP_ALIVE = { interval = "seconds" }

local function touch_for_ever(self, interval)
  while true do
    self:touch() -- a failure now may be none the next time
    local slept, err = loop.sleep(interval)
    if not slept then return nil, err end
  end
end

local function stop(state)
  state.toucher:cancel()
  loop.shield(state.toucher.wait, state.toucher, 5)
end

local function stopped(state, ...)
  stop(state)
  return ...
end

---Calls `fn`, and meanwhile, whenever this program waits, tells the service every
---`interval` seconds (60) that the sandbox is in use, so that it is not stopped for
---being idle. Returns what `fn` returns.
---@param self daytona.Sandbox
---@param fn fun(): any
---@param opts? { interval?: number }
---@return any ...
function machine.keep_alive(self, fn, opts)
  options.argument("keep_alive: what to do", "callable", fn)
  opts = options.check("keep_alive", KEEP_ALIVE, opts)
  local interval = math.max(opts.interval or 60, 0.01)
  local state = { toucher = require("daytona.loop.task").spawn(touch_for_ever, self, interval) }
  return stopped(state, loop.guard(function() return fn() end, stop, state))
end

machine.new = grouping("daytona.Machine", "machine", {
  "home_dir", "work_dir", "version", "ports", "port_in_use", "wait_for_port", "keep_alive",
})

return machine
