-- Waiting until something is over at the service: by its events where they can be had,
-- and by looking, seldomer and seldomer.
--
-- A short wait is over at its first look. A longer one opens the stream of events, or
-- uses the one that is open: then a look now and then is enough. What an event tells
-- counts when it is newer than what is known; whatever is not plain success is looked at.

local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local random = require "daytona.base.random"

local watch = {}

-- Between looks: the first is early for the sake of near servers.
local FIRST_POLL, LONGEST_POLL, POLL_GROWTH = 0.05, 5, 1.5

-- Between looks where events tell: while none has come at all, and afterwards.
local FIRST_CALM, SURE_CALM, LONGEST_CALM, CALM_GROWTH = 2, 30, 60, 2

-- A single look may take so long, the one after the end of the time so long, and so
-- many may fail in a row.
local LOOK_TIMEOUT, LAST_LOOK, FAILED_LOOKS = 30, 5, 5

---What is watched.
---@class daytona.Watched
---@field look fun(timeout: number): any, daytona.Error?       asks for the current record; nil, err where that fails
---@field judge fun(): boolean|nil, daytona.Error?             of that: true, over; nil, go on; nil, err: it failed
---@field failed fun(err: daytona.Error): nil, daytona.Error   a failure of a step on the way, as one of the whole
---@field late fun(): nil, daytona.Error                       the time is over
---@field deadline? number
---@field at_once? boolean       nothing is known yet: the first look is not waited with
---@field client? daytona.Client whose events may tell, of
---@field key? string            this: "sandbox ID"; and
---@field hear? fun(news: table): boolean  takes over what an event says of it, as it came; false: of no use

--- Listening -------------------------------------------------------------------------------

-- One wait: what is watched, and how it stands.
---@class daytona.Wait
---@field of daytona.Watched
---@field listener? daytona.Listener
---@field delay number   until the next look
---@field calm number    the same where events tell
---@field told boolean   they did when it was last looked at
---@field failures integer
---@field throttled? number  seconds that the service asked for, at the last look

-- Listens, unless there is nothing to listen to; to a stream that is open already where
-- no longer wait is to be expected.
local function listen(self, open)
  local of = self.of
  local client = of.client
  if self.listener or not client or not client.listens or not (open or rawget(client, "_stream")) then return end
  self.listener = require("daytona.control.event_stream").listen(client, of.key)
end

-- Seconds until the next look.
local function next_pause(self)
  local listener, throttled = self.listener, self.throttled
  self.throttled = nil
  if throttled then return throttled end
  if not (listener and self.looked and listener:is_told()) then
    if self.told then -- it broke: let the others look first
      self.told, self.delay = false, LONGEST_POLL
      return LONGEST_POLL * random.chance()
    end
    local delay = self.delay
    self.delay = math.min(delay * POLL_GROWTH, LONGEST_POLL)
    return delay * (0.8 + 0.4 * random.chance())
  end
  self.told = true
  local calm = listener:is_sure() and math.max(self.calm, SURE_CALM) or self.calm
  self.calm = math.min(calm * CALM_GROWTH, LONGEST_CALM)
  return calm * (0.8 + 0.4 * random.chance())
end

-- Until the time has come, or something is told. true; false where it is to be looked at
-- now; or nil, err.
local function wait_for_news(self, moment)
  local told, err = self.listener:wait(moment)
  if told then return true end
  if err.kind == "timeout" then return false end
  return nil, err
end

-- What an event told: true, it is over; false, a look is needed; nil, nothing.
local function judge_news(self)
  local news, look = self.listener:take()
  if news and self.of.hear(news) then
    local over, why = self.of.judge()
    if over then return true end
    if why then return false end
  elseif news then
    return false
  end
  if look then return false end
end

-- Rests until it is time to look. true: it is over, as an event told; false: look; nil, err.
local function rest(self, left)
  local pause = next_pause(self)
  if left then pause = math.min(pause, left) end
  if not self.listener then
    local slept, err = loop.sleep(pause)
    return not slept and nil, err
  end
  local moment = loop.now() + pause
  while true do
    local news, err = wait_for_news(self, moment)
    if not news then return news, err end
    local over = judge_news(self)
    if over ~= nil then return over end
    -- Woken by a break: it is looked at soon.
    if self.told and not self.listener:is_told() then moment = math.min(moment, loop.now() + next_pause(self)) end
  end
end

--- Looking ---------------------------------------------------------------------------------

-- Looks once. true, over; nil, err; or false, to go on.
local function look(self, last)
  local of = self.of
  local seen, err = of.look(last and LAST_LOOK or LOOK_TIMEOUT)
  self.looked = self.looked or seen ~= nil
  if seen then
    self.failures = 0
    local over, why = of.judge()
    if over or why then return over, why end
  else
    self.throttled = (err.retry_after or 0) >= 1 and http.delay_after(err, 1) or nil
    if not self.throttled then self.failures = self.failures + 1 end
    if errors.is(err, "canceled") or not err.retryable or self.failures > FAILED_LOOKS then return of.failed(err) end
  end
  if last then return of.late() end
  return false
end

local function run(self)
  local of, rested = self.of, not self.of.at_once
  listen(self, false)
  while true do
    local left = of.deadline and of.deadline - loop.now()
    local last = left and left <= 0
    if rested and not last then
      local over, err = rest(self, left)
      if err then return of.failed(err) end
      if over then return true end
    end
    rested = true
    local over, err = look(self, last)
    if over or err then return over, err end
    listen(self, true)
  end
end

local function close(self)
  if self.listener then self.listener:close() end
end

local function closed(self, ...)
  close(self)
  return ...
end

---Watches until it is over. What may pass (a lost connection, a 502) is tolerated a few
---times in a row; while the service throttles it is not looked, as long as that says.
---@param of daytona.Watched
---@return true?
---@return daytona.Error?
function watch.over(of)
  local self = { of = of, delay = FIRST_POLL, calm = FIRST_CALM, told = false, looked = false, failures = 0 }
  return closed(self, loop.guard(run, close, self))
end

---What is known of something, with what an event tells of it; nil where that is not newer
---(it may have been on its way for long) or not whole enough to say so.
---@param known? table  as it came
---@param news table    as it came
---@return table?
function watch.merged(known, news)
  local before = known and known.updatedAt
  if type(news.state) ~= "string" or type(news.updatedAt) ~= "string" then return nil end
  if type(before) ~= "string" or news.updatedAt < before then return nil end
  local all = {}
  for name, value in pairs(known) do all[name] = value end
  for name, value in pairs(news) do all[name] = value end
  return all
end

return watch
