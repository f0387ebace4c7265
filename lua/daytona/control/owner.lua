-- Who made a sandbox: the process, as its labels name it. Whether that still runs is found out
-- in fate.lua.
--
-- "web1/9f3c…/5b2e…/4026531836/4711/88123/c0ffee12": host, machine, boot, namespace of
-- process ids, process, its start, Lua state. A process is known by what the kernel says:
-- boot and namespace say whether a process id means the same here as there, the start
-- whether it is the same process. Where the kernel does not say, nobody is taken for dead.

local core = require "daytona.base.native"

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

-- The first and the twentieth word.
local STATE_AND_START = "^(%S+)" .. (" +%S+"):rep(18) .. " +(%S+)"

-- State and start of a process, of /proc; nil where there is none. The name, in front,
-- may hold anything.
local function proc_stat(pid)
  local line = first_line("/proc/" .. pid .. "/stat")
  local rest = line and line:match "^.*%) (.*)$"
  if not rest then return nil end
  return rest:match(STATE_AND_START)
end

local has_proc

-- The start of this process, where /proc says it; that says whether there is one.
local function own_start(pid)
  local state, start = proc_stat(pid)
  has_proc = state ~= nil
  return start
end

---State and start of a process; nil where there is none.
---@param pid string
---@return string?
---@return string?
function owner.process(pid)
  if has_proc == nil then own_start(("%d"):format(core.pid())) end
  if has_proc then return proc_stat(pid) end
  return require("daytona.control.owner_ps").process(pid)
end

---Whether a process that is there would be seen: not where /proc hides those of others.
---@return boolean
function owner.sees_all()
  return not has_proc or proc_stat "1" ~= nil
end

local function facts_of_proc()
  return {
    host = first_line "/proc/sys/kernel/hostname", boot = first_line "/proc/sys/kernel/random/boot_id",
    machine = first_line "/etc/machine-id", namespace = (core.read_link "/proc/self/ns/pid" or ""):match "%d+",
  }
end

--- This process --------------------------------------------------------------------------

---A text as it stands in a label.
---@param text string
---@return string
function owner.plain(text)
  return (text:gsub("[^%w%._-]", "_"))
end

local own, own_pid, own_text

---This Lua state of this process. Made anew in the child of a fork, which is another one.
---@return daytona.Owner
function owner.own()
  local pid = core.pid()
  if own and own_pid == pid then return own end
  local text = ("%d"):format(pid)
  local start = own_start(text)
  if not has_proc then start = select(2, owner.process(text)) end
  local facts = has_proc and facts_of_proc() or require("daytona.control.owner_ps").facts()
  local function hashed(value) return value and value ~= "" and digest(value) or "" end
  own_pid, own_text = pid, nil
  own = {
    host = owner.plain(facts.host or "unknown"), machine = hashed(facts.machine),
    boot = start and hashed(facts.boot) or "", namespace = facts.namespace or "",
    pid = text, start = owner.plain(start or ""), state = core.hex(core.random(4)),
  }
  return own
end

---An owner as its label.
---@param of daytona.Owner
---@return string
function owner.text(of)
  local words = {}
  for i, field in ipairs(FIELDS) do words[i] = of[field] end
  return table.concat(words, "/")
end

---This Lua state of this process, as its label.
---@return string
function owner.own_text()
  local of = owner.own()
  own_text = own_text or owner.text(of)
  return own_text
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

return owner
