-- Looking again, seldomer and seldomer, until something is over at the service.

local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local random = require "daytona.base.random"

local watch = {}

-- Between looks: the first is early for the sake of near servers.
local FIRST_POLL, LONGEST_POLL, POLL_GROWTH = 0.05, 5, 1.5

-- A single look may take so long, the one after the end of the time so long, and so
-- many may fail in a row.
local LOOK_TIMEOUT, LAST_LOOK, FAILED_LOOKS = 30, 5, 5

watch.FIRST_POLL, watch.LONGEST_POLL, watch.POLL_GROWTH = FIRST_POLL, LONGEST_POLL, POLL_GROWTH
watch.LOOK_TIMEOUT = LOOK_TIMEOUT

---What is watched.
---@class daytona.Watched
---@field look fun(timeout: number): any, daytona.Error?       asks for the current record; nil, err where that fails
---@field judge fun(): boolean|nil, daytona.Error?             of that: true, over; nil, go on; nil, err: it failed
---@field failed fun(err: daytona.Error): nil, daytona.Error   a failure of a step on the way, as one of the whole
---@field late fun(): nil, daytona.Error                       the time is over
---@field deadline? number

---The moment at which so many seconds are over; nil for none.
---@param timeout number  0: no limit
---@return number?
function watch.deadline_after(timeout)
  return timeout > 0 and loop.now() + timeout or nil
end

-- Sleeps before the next look. true, or nil, err.
local function rest(delay, left)
  local pause = delay * (0.8 + 0.4 * random.chance())
  return loop.sleep(left and math.min(pause, left) or pause)
end

---Watches until it is over. What may pass (a lost connection, a 502) is tolerated a few
---times in a row.
---@param of daytona.Watched
---@return true?
---@return daytona.Error?
function watch.over(of)
  local delay, failures = FIRST_POLL, 0
  while true do
    local left = of.deadline and of.deadline - loop.now()
    local last = left and left <= 0
    if not last then
      local slept, err = rest(delay, left)
      if not slept then return of.failed(err) end
      delay = math.min(delay * POLL_GROWTH, LONGEST_POLL)
    end
    local seen, err = of.look(last and LAST_LOOK or LOOK_TIMEOUT)
    if seen then
      failures = 0
      local over, why = of.judge()
      if over or why then return over, why end
    else
      failures = failures + 1
      if errors.is(err, "canceled") or not err.retryable or failures > FAILED_LOOKS then return of.failed(err) end
    end
    if last then return of.late() end
  end
end

-- The request was at the service, perhaps: what it did, its answer does not tell.
local LOST = {
  connection = true, unavailable = true, server = true, protocol = true, too_large = true, tls = true,
}

---Whether a request whose answer this is may have taken effect, all the same.
---@param err daytona.Error
---@return boolean
function watch.is_lost(err)
  if err.status == 504 then return true end
  return LOST[err.kind] and err.sent ~= false or false
end

return watch
