-- How much an organization may have, and one sandbox of it. A switch: without limits
-- there are none. `limits` is a table of
--
--   cpu memory disk                           of one sandbox (GiB)
--   total_cpu total_memory total_disk         of all that are started; disk: of all
--   snapshots volumes                         how many
--
-- or true, which means the service's smallest tier.

local checks = require "daytona.devserver.control.checks"

local limits = {}

local SMALLEST = {
  cpu = 4, memory = 8, disk = 10, total_cpu = 10, total_memory = 10, total_disk = 30, snapshots = 30, volumes = 100,
}

local NEED = "\nNeed higher resource limits per-sandbox? "
  .. "Contact us at support@daytona.io and let us know about your use case."

---@param context table
---@return table
function limits.of(context)
  local set = context.limits
  if set == true then return SMALLEST end
  return set or {}
end

local ONE = {
  { "cpu", "CPU request %g exceeds maximum allowed per sandbox (%g)." },
  { "memory", "Memory request %gGB exceeds maximum allowed per sandbox (%gGB)." },
  { "disk", "Disk request %gGB exceeds maximum allowed per sandbox (%gGB)." },
}

---Fails when a size is too large for one sandbox.
---@param context table
---@param size { cpu?: number, memory?: number, disk?: number }
function limits.check_one(context, size)
  local set = limits.of(context)
  for _, entry in ipairs(ONE) do
    local name, message = entry[1], entry[2]
    local most = set[name]
    if most and (size[name] or 0) > most then checks.bad("%s", message:format(size[name], most) .. NEED) end
  end
end

local IDLE = { stopped = true, archived = true, error = true, build_failed = true, destroyed = true }

---What is in use: CPUs and memory of what is not stopped, disks of all.
---@param context table
---@return { cpu: number, memory: number, disk: number }
function limits.usage(context)
  local sum = { cpu = 0, memory = 0, disk = 0 }
  for _, box in pairs(context.store.by_id) do
    if box.state ~= "destroyed" and box.state ~= "archived" then sum.disk = sum.disk + box.disk end
    if not IDLE[box.state] then sum.cpu, sum.memory = sum.cpu + box.cpu, sum.memory + box.memory end
  end
  return sum
end

local TOTALS = { { "cpu", "CPU", "" }, { "memory", "memory", "GiB" }, { "disk", "disk", "GiB" } }

---Fails when a sandbox of that size is too large, or one too many.
---@param context table
---@param size { cpu: number, memory: number, disk: number }
function limits.check_sandbox(context, size)
  limits.check_one(context, size)
  local set = limits.of(context)
  local used = limits.usage(context)
  for _, entry in ipairs(TOTALS) do
    local name = entry[1]
    local most = set["total_" .. name]
    if most and used[name] + size[name] > most then
      checks.bad("%s", ("Total %s limit exceeded. Maximum allowed: %g%s.\nTo increase concurrency limits, upgrade your "
        .. "organization's Tier by visiting %s/dashboard/limits."):format(entry[2], most, entry[3], context.api_url))
    end
  end
end

---Fails when there is one too many of a kind.
---@param context table
---@param kind "snapshots"|"volumes"
---@param count integer  how many there are
function limits.check_count(context, kind, count)
  local most = limits.of(context)[kind]
  if most and count >= most then
    checks.bad("%s quota exceeded. Maximum allowed: %d", kind == "volumes" and "Volume" or "Snapshot", most)
  end
end

return limits
