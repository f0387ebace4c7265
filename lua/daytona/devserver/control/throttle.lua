-- Throttling per organization, as the service does it. A switch: without it nothing is
-- throttled. `throttle` is a table of throttlers, each { limit = , ttl = seconds }:
--
--   authenticated       every call that is of no other
--   sandbox-create      POST /sandbox
--   sandbox-lifecycle   start, stop, delete and their like
--   failed-auth         calls with no key or a wrong one; while it blocks, a good key is
--                       refused, too
--
-- Who goes beyond a limit is blocked for the whole ttl. Answers tell limit, what is left,
-- and the seconds until the count begins anew.

local httpd = require "daytona.devserver.http"

local Throttle = {}
Throttle.__index = Throttle

local LIFECYCLE = {}
for name in ("start stop pause archive recover resize fork snapshot backup"):gmatch "%S+" do LIFECYCLE[name] = true end

---@param clock table
---@param set? table<string, { limit: integer, ttl: number }>
function Throttle.new(clock, set)
  return setmetatable({ clock = clock, set = set or {}, counts = {} }, Throttle)
end

local function kind_of(req)
  local path = req.path:gsub("/$", "")
  if req.method == "POST" and path == "/sandbox" then return "sandbox-create" end
  local rest = path:match("^/sandbox/[^/]+(.*)$")
  if not rest then return "authenticated" end
  if req.method == "DELETE" and rest == "" then return "sandbox-lifecycle" end
  if req.method == "POST" and LIFECYCLE[rest:match("^/([^/]+)$") or ""] then return "sandbox-lifecycle" end
  return "authenticated"
end

-- The count of a throttler, begun anew when its time is over.
local function count_of(self, name, ttl)
  local now = self.clock:now()
  local count = self.counts[name]
  if not count or now >= count.ends then
    count = { used = 0, ends = now + ttl }
    self.counts[name] = count
  end
  return count, now
end

local function refuse(name, seconds, more)
  local headers = { ["retry-after-" .. name] = tostring(seconds) }
  for key, value in pairs(more or {}) do headers[key] = value end
  httpd.fail(429, nil, "ThrottlerException: Too Many Requests", { headers = headers })
end

local function told(name, setting, count, now)
  return {
    ["x-ratelimit-limit-" .. name] = tostring(setting.limit),
    ["x-ratelimit-remaining-" .. name] = tostring(math.max(0, setting.limit - count.used)),
    ["x-ratelimit-reset-" .. name] = tostring(math.ceil(count.ends - now)),
  }
end

---Counts a request; fails with 429 where it is one too many.
---@param req table
function Throttle:admit(req)
  if next(self.set) == nil or req.path:find("^/__devserver/") then return end
  self:check_blocked()
  local name = kind_of(req)
  local setting = self.set[name]
  if not setting then return end
  local count, now = count_of(self, name, setting.ttl)
  if count.blocked then refuse(name, math.ceil(count.ends - now)) end
  count.used = count.used + 1
  if count.used > setting.limit then
    count.blocked, count.ends = true, now + setting.ttl
    refuse(name, math.ceil(setting.ttl))
  end
  req.extra = told(name, setting, count, now)
end

local FAILED = "failed-auth"

local function refuse_failed(setting, count, now)
  local seconds = tostring(math.ceil(count.ends - now))
  httpd.fail(429, nil, "ThrottlerException: Too Many Requests", {
    headers = {
      ["retry-after"] = seconds, ["x-ratelimit-limit-" .. FAILED] = tostring(setting.limit),
      ["x-ratelimit-remaining-" .. FAILED] = "0", ["x-ratelimit-reset-" .. FAILED] = seconds,
    },
  })
end

---Fails with 429 while failed calls have blocked everybody.
function Throttle:check_blocked()
  local setting, count = self.set[FAILED], self.counts[FAILED]
  local now = self.clock:now()
  if setting and count and count.blocked and now < count.ends then refuse_failed(setting, count, now) end
end

---Counts a call with no key or a wrong one.
function Throttle:note_failed()
  local setting = self.set[FAILED]
  if not setting then return end
  self:check_blocked()
  local count, now = count_of(self, FAILED, setting.ttl)
  count.used = count.used + 1
  if count.used > setting.limit then
    count.blocked, count.ends = true, now + setting.ttl
    refuse_failed(setting, count, now)
  end
end

return Throttle
