-- Who made a sandbox: the process, as its labels name it, and whether that still runs.
--
-- "web1/9f3c…/5b2e…/4026531836/4711/88123/c0ffee12": host, machine, boot, namespace of
-- process ids, process, its start, Lua state. A process is known by what the kernel says:
-- boot and namespace say whether a process id means the same here as there, the start
-- whether it is the same process. Where the kernel does not say, nobody is taken for dead.

local core = require "daytona.base.native"
local random = require "daytona.base.random"

local owner = {}

---@class daytona.Owner
---@field host string
---@field machine string    "" where it has no identity
---@field boot string       "" where that is unknown; then its processes are nobody's to judge
---@field namespace string
---@field pid string
---@field start string
---@field state string      of several Lua states in one process, which one
local FIELDS = { "host", "machine", "boot", "namespace", "pid", "start", "state" }

--- What the machine says ----------------------------------------------------------------

local function first_line(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local line = file:read "*l"
  file:close()
  return line
end

local function digest(text)
  return core.hex(core.sha256(text)):sub(1, 12)
end

-- State and start of a process, of /proc; nil where there is none. The name, in front,
-- may hold anything.
local function proc_stat(pid)
  local line = first_line("/proc/" .. pid .. "/stat")
  local rest = line and line:match "^.*%) (.*)$"
  if not rest then return nil end
  local words = {}
  for word in rest:gmatch "%S+" do words[#words + 1] = word end
  return words[1], words[20]
end

-- The same where there is no /proc, as in macOS.
local function lines_of(command)
  local out = io.popen(command .. " 2>/dev/null", "r")
  local lines = {}
  for line in out and out:lines() or function() end do lines[#lines + 1] = line:match "^%s*(.-)%s*$" end
  if out then out:close() end
  return lines
end

local function ps_stat(pid)
  local line = lines_of("LC_ALL=C TZ=UTC ps -o state= -o lstart= -p " .. pid)[1]
  local state, start = (line or ""):match "^(%S+)%s+(.+)$"
  return state, start and start:gsub("%s+", "_")
end

local has_proc

local function stat_of(pid)
  if has_proc == nil then has_proc = proc_stat(("%d"):format(core.pid())) ~= nil end
  if has_proc then return proc_stat(pid) end
  return ps_stat(pid)
end

local function facts_of_proc()
  return {
    host = first_line "/proc/sys/kernel/hostname", boot = first_line "/proc/sys/kernel/random/boot_id",
    machine = first_line "/etc/machine-id", namespace = (core.read_link "/proc/self/ns/pid" or ""):match "%d+",
  }
end

local function facts_of_sysctl()
  local lines = lines_of "sysctl -n kern.hostname kern.bootsessionuuid"
  return { host = lines[1], boot = lines[2] }
end

--- This process --------------------------------------------------------------------------

local function plain(text)
  return (text:gsub("[^%w%._-]", "_"))
end

local own, own_pid

-- Made anew in the child of a fork, which is another process.
local function own_facts()
  local pid = core.pid()
  if own and own_pid == pid then return own end
  local text = ("%d"):format(pid)
  local _, start = stat_of(text)
  local facts = has_proc and facts_of_proc() or facts_of_sysctl()
  local function hashed(value) return value and value ~= "" and digest(value) or "" end
  own_pid = pid
  own = {
    host = plain(facts.host or "unknown"), machine = hashed(facts.machine), boot = start and hashed(facts.boot) or "",
    namespace = facts.namespace or "", pid = text, start = plain(start or ""), state = random.hex(4),
  }
  return own
end

---This Lua state of this process.
---@return daytona.Owner
function owner.own()
  return own_facts()
end

---An owner as its label.
---@param of daytona.Owner
---@return string
function owner.text(of)
  local words = {}
  for i, field in ipairs(FIELDS) do words[i] = of[field] end
  return table.concat(words, "/")
end

---What a label says; nil where that is no owner.
---@param text any
---@return daytona.Owner?
function owner.parse(text)
  if type(text) ~= "string" or #text > 500 then return nil end
  local found, n = {}, 0
  for word in (text .. "/"):gmatch "([%w%._-]*)/" do
    n = n + 1
    found[FIELDS[n] or 0] = word
  end
  return n == #FIELDS and found.pid:find "^%d+$" and owner.text(found) == text and found or nil
end

--- Others ----------------------------------------------------------------------------------

-- Of the first processes of a machine, outside of containers.
local INITIAL = "4026531836"

-- The same machine, booted again since: what ran then runs no more. Images of machines
-- and containers are copied, names and identities with them, so in doubt it is another.
local function was_rebooted(of, here)
  return of.machine ~= "" and of.machine == here.machine and of.host == here.host and of.boot ~= here.boot
    and of.namespace == INITIAL and here.namespace == INITIAL
end

-- Whether a process that is there would be seen: not where /proc hides those of others.
local function sees_all()
  return not has_proc or proc_stat "1" ~= nil
end

local DEAD = { Z = true, X = true, x = true }

---What became of an owner: "self", this Lua state; "alive"; "gone"; or "elsewhere", on
---another machine, in another container, or where the kernel does not tell.
---@param of daytona.Owner
---@return "self"|"alive"|"gone"|"elsewhere"
function owner.fate(of)
  local here = own_facts()
  if here.boot == "" or of.boot == "" then return owner.text(of) == owner.text(here) and "self" or "elsewhere" end
  if was_rebooted(of, here) then return "gone" end
  if of.boot ~= here.boot or of.namespace ~= here.namespace then return "elsewhere" end
  local state, start = stat_of(of.pid)
  if not state then return sees_all() and "gone" or "elsewhere" end
  if plain(start) ~= of.start or DEAD[state:sub(1, 1)] then return "gone" end
  return of.pid == here.pid and of.state == here.state and "self" or "alive"
end

return owner
