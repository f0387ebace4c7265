-- Whose a sandbox is, and how long it may be left alone: labels that it carries from its
-- creation on, and that `sb.labels` does not show.
--
--   daytona-lua         "1": made by this library
--   daytona-lua-owner   the process that made it (owner.lua)
--   daytona-lua-lease   seconds that it may be unused before anybody may delete it
--   daytona-lua-create  the mark of one creation (create_options.lua)
--
-- What they say of a sandbox that is there is read in custody.lua.

local owner = require "daytona.control.owner"

local lease = {}

lease.MADE, lease.OWNER, lease.LEASE = "daytona-lua", "daytona-lua-owner", "daytona-lua-lease"

-- The service notes the activity of a sandbox at most once in so many seconds.
local NOTED_EVERY = 60

lease.NOTED_EVERY = NOTED_EVERY

---The type of the option: seconds.
---@param value any
---@return boolean
---@return string
function lease.seconds(value)
  return type(value) == "number" and value >= NOTED_EVERY and value < math.huge,
    ("%d seconds or more (activity is noted once in so many)"):format(NOTED_EVERY)
end

---Puts the labels of a new sandbox among the others.
---@param labels table<string, string>
---@param opts { lease?: number, owned?: boolean }
function lease.mark(labels, opts)
  if opts.owned == false and not opts.lease then return end
  labels[lease.MADE] = "1"
  labels[lease.OWNER] = opts.owned ~= false and owner.own_text() or nil
  labels[lease.LEASE] = opts.lease and ("%d"):format(math.ceil(opts.lease)) or nil
end

return lease
