-- Whose a sandbox is, and how long it may be left alone: labels that it carries from its
-- creation on, and that `sb.labels` does not show.
--
--   daytona-lua         "1": made by this library
--   daytona-lua-owner   the process that made it (owner.lua)
--   daytona-lua-lease   seconds that it may be unused before anybody may delete it
--   daytona-lua-create  the mark of one creation (create_options.lua)
--
-- A lease ends by what the service notes itself: the last activity. Every call into the
-- sandbox is one, `keep_alive` and `touch` are, so that a prolongation costs nothing where
-- the sandbox is used. Nothing here deletes: see leftovers.lua.

local options = require "daytona.base.options"
local owner = require "daytona.control.owner"

local lease = {}

lease.MADE, lease.OWNER, lease.LEASE = "daytona-lua", "daytona-lua-owner", "daytona-lua-lease"

-- The service notes the activity of a sandbox at most once in so many seconds.
local NOTED_EVERY = 60

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
  labels[lease.OWNER] = opts.owned ~= false and owner.text(owner.own()) or nil
  labels[lease.LEASE] = opts.lease and ("%d"):format(math.ceil(opts.lease)) or nil
end

-- The labels as the service holds them.
local function held(raw)
  return type(raw.labels) == "table" and raw.labels or {}
end

---Who owns a sandbox, by its record; nil where nobody is named.
---@param raw table
---@return daytona.Owner?
function lease.owner_of(raw)
  return owner.parse(held(raw)[lease.OWNER])
end

---The seconds of its lease, by its record; nil without one.
---@param raw table
---@return number?
function lease.of(raw)
  local seconds = tonumber(held(raw)[lease.LEASE])
  return seconds and seconds >= NOTED_EVERY and seconds or nil
end

--- Moments ---------------------------------------------------------------------------------

-- Seconds since 1970 of "2026-01-31T12:00:00.000Z", or nil.
local function moment(text)
  if type(text) ~= "string" then return nil end
  local year, month, day, h, m, s = text:match "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)"
  if not year then return nil end
  return require("daytona.http.failure").utc(year, month, day, h, m, s)
end

---Seconds for which nothing was done with a sandbox, at a moment of the service's clock;
---nil where its record does not tell.
---@param raw table
---@param now number
---@return number?
function lease.idle(raw, now)
  local last
  for _, field in ipairs { "lastActivityAt", "createdAt" } do
    local at = moment(raw[field])
    if at and (not last or at > last) then last = at end
  end
  return last and now - last
end

---Whether nobody has used it for longer than its lease.
---@param raw table
---@param now? number  of the service's clock; nil: not known, so it is not
---@return boolean
function lease.is_over(raw, now)
  local seconds, idle = lease.of(raw), now and lease.idle(raw, now)
  return seconds ~= nil and idle ~= nil and idle > seconds + NOTED_EVERY
end

---What time it is at the service, in seconds since 1970; nil where it does not say.
---@param client daytona.Client
---@return number?
---@return daytona.Error?
function lease.clock(client)
  local response, err = client:request("GET", "/config")
  if not response then return nil, err end
  local date = response.headers.date
  return date and require("daytona.http.failure").http_date(date)
end

--- Changing hands ----------------------------------------------------------------------------

---The labels of a sandbox of another process's making, as this process's own; nil where
---they are that already.
---@param raw table
---@return table<string, string>?
function lease.claimed(raw)
  local own = owner.text(owner.own())
  if held(raw)[lease.OWNER] == own then return nil end
  local labels = options.copy(held(raw))
  labels[lease.MADE], labels[lease.OWNER] = "1", own
  return labels
end

---The labels of a sandbox that is to be nobody's; nil where it is that already.
---@param raw table
---@return table<string, string>?
function lease.disowned(raw)
  if not held(raw)[lease.OWNER] then return nil end
  local labels = options.copy(held(raw))
  labels[lease.OWNER] = nil
  if not labels[lease.LEASE] then labels[lease.MADE] = nil end
  return labels
end

return lease
