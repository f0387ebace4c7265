-- A file system of a few megabytes, for specs of full disks. It is there for one
-- command and what that starts, in a mount namespace of their own.
--
--   local small_disk = require "spec.support.small_disk"
--   if not small_disk.possible() then return pending "..." end
--   small_disk.command(folder, "2m", command)   that command, with it mounted on `folder`

local shell = require "daytona.base.shell"

local small_disk = {}

-- By root, or in a user namespace.
local WAYS = { "unshare -m", "unshare -rm" }

local function succeeds(command)
  local status = os.execute(command .. " >/dev/null 2>&1")
  return status == true or status == 0
end

local way

local function find_way()
  for _, words in ipairs(WAYS) do
    if succeeds(words .. " mount -t tmpfs none /mnt") then return words end
  end
  return false
end

---Whether this machine lets us mount one.
function small_disk.possible()
  if way == nil then way = find_way() end
  return way ~= false
end

---The command line that runs `command` with the disk mounted, in its own process.
---@param folder string
---@param size string   as of tmpfs: "64k", "2m"
---@param command string
---@return string
function small_disk.command(folder, size, command)
  assert(small_disk.possible())
  return ("%s sh -c %s"):format(way, shell.quote(("mount -t tmpfs -o size=%s none %s && %s"):format(size,
    shell.quote(folder), command)))
end

return small_disk
