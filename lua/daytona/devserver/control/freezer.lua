-- Pausing a sandbox: every process that descends from its daemon is stopped where it is,
-- the daemon too, and goes on later as if nothing had been. Memory stays in memory, so
-- that a pause does not outlive the local server. Knows Linux's /proc and nothing of states.

local psignal = require "posix.signal"
local files = require "daytona.devserver.control.files"

local freezer = {}

-- Every process of the machine by its parent.
local function by_parent()
  local children = {}
  for _, name in ipairs(files.list "/proc") do
    local pid = tonumber(name)
    local stat = pid and files.read("/proc/" .. name .. "/stat")
    local parent = stat and tonumber(stat:match("^.*%) %S (%d+)"))
    if parent then
      children[parent] = children[parent] or {}
      table.insert(children[parent], pid)
    end
  end
  return children
end

local function signal_tree(pid, number)
  local children = by_parent()
  local function visit(at)
    psignal.kill(at, number)
    for _, child in ipairs(children[at] or {}) do visit(child) end
  end
  visit(pid)
end

---Stops every process of a sandbox. (Twice over: one may be born while we look.)
---@param box table
function freezer.freeze(box)
  local d = box.daemon
  if not d or not d:running() or not d.pid then return end
  box.frozen = true
  for _ = 1, 2 do signal_tree(d.pid, psignal.SIGSTOP) end
end

---Lets them go on.
---@param box table
function freezer.thaw(box)
  if not box.frozen then return end
  box.frozen = nil
  local d = box.daemon
  if d and d.pid then signal_tree(d.pid, psignal.SIGCONT) end
end

return freezer
