--- Tells the control plane that the sandbox is in use, by a byte for each
-- request and one now and then while a request lasts. Silent when idle.

local cqueues = require "cqueues"
local sys = require "daytona.devserver.toolbox.sys"

local activity = {}

local INTERVAL = 50       -- seconds of the service's clock

local fd, interval, active, ticking = nil, INTERVAL, 0, false

local function tell()
  sys.write(fd, ".", 1)
end

local function tick()
  while active > 0 do
    cqueues.sleep(interval)
    if active > 0 then tell() end
  end
  ticking = false
end

---@param descriptor integer?  where to write; nil: nobody wants to know
---@param time_scale number
function activity.init(descriptor, time_scale)
  fd, interval = descriptor, INTERVAL / time_scale
end

--- A request begins.
function activity.begin(req)
  if not fd or req.headers["x-daytona-skip-last-activity-update"] == "true" then return end
  tell()
  req.counted = true
  active = active + 1
  if not ticking then
    ticking = true
    cqueues.running():wrap(tick)
  end
end

--- A request is over, its answer sent.
function activity.finish(req)
  if req.counted then active = active - 1 end
end

return activity
