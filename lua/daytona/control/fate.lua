-- What became of a process that made a sandbox. Where the kernel does not say, nobody is taken
-- for dead.

local owner = require "daytona.control.owner"

local fate = {}

-- Of the first processes of a machine, outside of containers.
local INITIAL = "4026531836"

-- The same machine, booted again since: what ran then runs no more. Images of machines
-- and containers are copied, names and identities with them, so in doubt it is another.
local function was_rebooted(of, here)
  return of.machine ~= "" and of.machine == here.machine and of.host == here.host and of.boot ~= here.boot
    and of.namespace == INITIAL and here.namespace == INITIAL
end

local DEAD = { Z = true, X = true, x = true }

---What became of an owner: "self", this Lua state; "alive"; "gone"; or "elsewhere", on
---another machine, in another container, or where the kernel does not tell.
---@param of daytona.Owner
---@return "self"|"alive"|"gone"|"elsewhere"
function fate.of(of)
  local here = owner.own()
  if here.boot == "" or of.boot == "" then return owner.text(of) == owner.text(here) and "self" or "elsewhere" end
  if was_rebooted(of, here) then return "gone" end
  if of.boot ~= here.boot or of.namespace ~= here.namespace then return "elsewhere" end
  local state, start = owner.process(of.pid)
  if not state then return owner.sees_all() and "gone" or "elsewhere" end
  if owner.plain(start) ~= of.start or DEAD[state:sub(1, 1)] then return "gone" end
  return of.pid == here.pid and of.state == here.state and "self" or "alive"
end

return fate
