-- What the labels of a sandbox (lease.lua) say of it: whose it is, whether anybody still uses it;
-- and how they change when it changes hands.
--
-- A lease ends by what the service notes itself: the last activity. Every call into the
-- sandbox is one, `keep_alive` and `touch` are, so that a prolongation costs nothing where
-- the sandbox is used. Nothing here deletes: see leftovers.lua.

local lease = require "daytona.control.lease"
local options = require "daytona.base.options"
local owner = require "daytona.control.owner"

local custody = {}

-- The labels as the service holds them.
local function held(raw)
  return type(raw.labels) == "table" and raw.labels or {}
end

---Who owns a sandbox, by its record; nil where nobody is named.
---@param raw table
---@return daytona.Owner?
function custody.owner_of(raw)
  return owner.parse(held(raw)[lease.OWNER])
end

---The seconds of its lease, by its record; nil without one.
---@param raw table
---@return number?
function custody.of(raw)
  local seconds = tonumber(held(raw)[lease.LEASE])
  return seconds and seconds >= lease.NOTED_EVERY and seconds or nil
end

--- Moments ---------------------------------------------------------------------------------

-- Seconds since 1970 of "2026-01-31T12:00:00.000Z", or nil.
local function moment(text)
  if type(text) ~= "string" then return nil end
  local year, month, day, h, m, s = text:match "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)"
  if not year then return nil end
  return require("daytona.http.failure").utc(year, month, day, h, m, s)
end

---Seconds since a sandbox was made, at a moment of the service's clock; nil where its record
---does not tell.
---@param raw table
---@param now number
---@return number?
function custody.age(raw, now)
  local at = moment(raw.createdAt)
  return at and now - at
end

---Seconds for which nothing was done with a sandbox, at a moment of the service's clock;
---nil where its record does not tell.
---@param raw table
---@param now number
---@return number?
function custody.idle(raw, now)
  local last
  for _, field in ipairs { "lastActivityAt", "createdAt" } do
    local at = moment(raw[field])
    if at and (not last or at > last) then last = at end
  end
  return last and now - last
end

---Whether nobody has used it for longer than its custody.
---@param raw table
---@param now? number  of the service's clock; nil: not known, so it is not
---@return boolean
function custody.is_over(raw, now)
  local seconds, idle = custody.of(raw), now and custody.idle(raw, now)
  return seconds ~= nil and idle ~= nil and idle > seconds + lease.NOTED_EVERY
end

---What time it is at the service, in seconds since 1970; nil where it does not say.
---@param client daytona.Client
---@return number?
---@return daytona.Error?
function custody.clock(client)
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
function custody.claimed(raw)
  local own = owner.text(owner.own())
  if held(raw)[lease.OWNER] == own then return nil end
  local labels = options.copy(held(raw))
  labels[lease.MADE], labels[lease.OWNER] = "1", own
  return labels
end

---The labels of a sandbox that is to be nobody's; nil where it is that already.
---@param raw table
---@return table<string, string>?
function custody.disowned(raw)
  if not held(raw)[lease.OWNER] then return nil end
  local labels = options.copy(held(raw))
  labels[lease.OWNER] = nil
  if not labels[lease.LEASE] then labels[lease.MADE] = nil end
  return labels
end

return custody
