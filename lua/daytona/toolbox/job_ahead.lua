-- A job's output asked for ahead: while an answer is on its way, the next requests wait in the
-- sandbox already, so that what is printed leaves at once, however far away that is.
--
-- It is for those who print a little, often: what is seldom or large goes as well by one
-- request at a time (job_output.lua). The requests of a chain are answered there in
-- their order, from one offset on without a gap, and taken here in that order. Whatever is odd about one
-- (lost, empty, of another number) ends the chain, and reading goes on where it was, by looks.

local ahead_script = require "daytona.toolbox.job_ahead_script"
local base64 = require "daytona.base.base64"
local calls = require "daytona.toolbox.job_calls"
local command_line = require "daytona.toolbox.command_line"
local loop = require "daytona.loop"
local task = require "daytona.loop.task"

local job_ahead = {}

-- So many requests wait at first, and at most: what is printed without pause is answered
-- each 10 ms or so, so these are enough where an answer takes 150 ms. After so many answers in
-- a row that found a request waiting, one is left out.
local FIRST, ENOUGH = 2, 64
job_ahead.most = ahead_script.RING

-- Seconds that may lie between two answers of one request each, and how often in a row, for it to pay.
local SOON, OFTEN = 0.4, 2

-- Seconds that one may wait over there.
local WAIT = 20

---@class daytona.JobAhead
---@field token string        its name over there
---@field package asks table<integer, daytona.Task>  what was asked and not yet taken
---@field package sent integer
---@field package taken integer
---@field package depth integer  so many are to be under way
---@field package on_time integer  answers in a row that found a request waiting
local Ahead = {}
Ahead.__index = Ahead

local function ask(job, text)
  return calls.run(job.sandbox, "read", job.id, text,
    { seconds = WAIT + 10, timeout = WAIT + calls.patience, once = true })
end

local function ask_next(self, text)
  local n = self.sent
  self.sent = n + 1
  text = text or ahead_script.next(self.token, n, self.taken == 0)
  self.asks[n] = task.spawn(ask, self.job, text):detach()
end

local function fill_up(self)
  while self.sent - self.taken < self.depth do ask_next(self) end
end

---@param job daytona.Job
---@param file "out"|"err"
---@param offset integer  from which on it is asked for
---@return daytona.JobAhead
function job_ahead.new(job, file, offset)
  local self = setmetatable({
    job = job, token = command_line.new_id(), asks = {}, sent = 0, taken = 0, depth = FIRST, on_time = 0,
  }, Ahead)
  ask_next(self, ahead_script.start(job.id, self.token, file, offset))
  fill_up(self)
  return self
end

-- More requests where an answer had to wait for one, and one less where so many had not.
local function adapt(self, was_late)
  self.on_time = was_late and 0 or self.on_time + 1
  if was_late then
    self.depth = math.min(self.depth + 2, job_ahead.most)
  elseif self.on_time == ENOUGH then
    self.on_time, self.depth = 0, math.max(self.depth - 1, FIRST)
  end
end

---Waits for the next bytes. false when the chain is over; nil, err when the time is ("timeout") or
---the task was cancelled: what was asked stays so.
---@param deadline? number  on the clock of loop.now
---@return string|false|nil
---@return daytona.Error?
function Ahead:take(deadline)
  local n = self.taken
  local first = self.asks[n]
  local ended, err = loop.join(first, deadline)
  if not ended then return nil, err end
  local answer = first:wait()
  local number, mark, text = (answer or ""):match "^(%d+)(%+?) (%S+)\n?$"
  local data = tonumber(number) == n and base64.decode(text)
  if not data then return false end
  self.asks[n], self.taken = nil, n + 1
  adapt(self, mark == "+")
  if #data < ahead_script.PIECE then fill_up(self) end
  return data
end

---Whether there is more than a chain is good for.
---@param data string  that `take` gave
---@return boolean
function job_ahead.is_much(data)
  return #data >= ahead_script.PIECE
end

---Lets go of what was asked; it is over there until somebody stops it (`script.stop`), or for
---10 seconds.
function Ahead:drop()
  for n = self.taken, self.sent - 1 do
    self.asks[n]:cancel()
    self.asks[n] = nil
  end
end

--- When it pays ----------------------------------------------------------------------------

---Notes that a look brought bytes. Whether to ask ahead from now on.
---@param output daytona.JobOutput
---@param bytes integer
---@return boolean
function job_ahead.pays(output, bytes)
  if bytes == 0 then return false end
  local now = loop.now()
  local soon = output.came and now - output.came < SOON and bytes < ahead_script.PIECE
  output.came, output.streak = now, soon and (output.streak or 0) + 1 or 0
  return output.streak >= OFTEN and job_ahead.most > 0
end

return job_ahead
