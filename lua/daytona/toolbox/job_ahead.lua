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
local rest_task = require "daytona.loop.rest_task"
local task = require "daytona.loop.task"

local job_ahead = {}

-- So many requests wait at first, near and far away; and at most, of a ring of pipes.
local FIRST, FIRST_FAR = 2, 4
job_ahead.most = ahead_script.RING - 4

-- Seconds that a request is to wait over there before something is printed for it, and as a part of the
-- way there and back: those that come later make it more requests. After so many answers in a
-- row for which one less had done, it is one less.
local SPARE, PART, ENOUGH = 0.01, 0.25, 64

-- Seconds that may lie between two answers of one request each, and how often in a row, for it to pay.
local SOON, OFTEN = 0.4, 2

-- Seconds there and back from which on it pays after a single answer: the next would be late.
local FAR = 0.05

-- Seconds that one may wait over there.
local WAIT = 20

---@class daytona.JobAhead
---@field token string        its name over there
---@field id string           the job's
---@field file "out"|"err"
---@field package job daytona.Job
---@field package offset integer  of what is to be taken next
---@field package asks table<integer, daytona.Task>  what was asked and not yet taken
---@field package sent integer
---@field package taken integer
---@field package depth integer  so many are to be under way
---@field package distance number  seconds there and back, as far as is known
---@field package on_time integer  answers in a row for which one less had done
local Ahead = {}
Ahead.__index = Ahead

-- The answer, how long it took, and the offset from which a look would have told.
local function ask(job, text, offset)
  local before = loop.now()
  local answer = calls.run(job.sandbox, "read", job.id, text,
    { seconds = WAIT + 10, timeout = WAIT + calls.patience, once = true })
  return answer, loop.now() - before, offset
end

local function ask_next(self, text)
  local n = self.sent
  self.sent = n + 1
  text = text or ahead_script.next(self, n, self.offset, self.taken == 0)
  self.asks[n] = task.spawn(ask, self.job, text, self.offset):detach()
  rest_task(self.asks[n], true)
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
    job = job, id = job.id, file = file, offset = offset, token = command_line.new_id(), asks = {}, sent = 0, taken = 0,
    on_time = 0, distance = job.distance or math.huge, depth = job_ahead.is_far(job) and FIRST_FAR or FIRST,
  }, Ahead)
  ask_next(self, ahead_script.start(self, offset))
  fill_up(self)
  return self
end

-- More requests where one came when there was something for it already, or hardly before; and one less where
-- so many had done without.
local function adapt(self, took)
  self.distance = math.min(self.distance, took)
  local waited, spare = took - self.distance, math.max(SPARE, self.distance * PART)
  if waited < spare then
    self.on_time, self.depth = 0, math.min(self.depth + 2, job_ahead.most)
    return
  end
  self.on_time = waited - took / self.depth < 2 * spare and 0 or self.on_time + 1
  if self.on_time == ENOUGH then
    self.on_time, self.depth = 0, math.max(self.depth - 1, FIRST)
  end
end

---Waits for the next bytes. false when the chain is over, perhaps with what a look answers and the offset from
---which on it tells; nil, err when the time is ("timeout") or the task was cancelled: what was asked stays so.
---@param deadline? number  on the clock of loop.now
---@return string|false|nil
---@return daytona.Error|string|nil
---@return integer?
function Ahead:take(deadline)
  local n = self.taken
  local first = self.asks[n]
  rest_task(first, false)
  local ended, err = loop.join(first, deadline)
  if not ended then
    rest_task(first, true)
    return nil, err
  end
  local answer, took, offset = first:wait()
  local number, text = (answer or ""):match "^(%d+) (%S+)\n?$"
  local data = tonumber(number) == n and base64.decode(text)
  if not data then return false, answer or "", offset end
  self.asks[n], self.taken, self.offset = nil, n + 1, self.offset + #data
  adapt(self, took)
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

---Whether a job is so far away that what it prints next would be late.
---@param job daytona.Job
---@return boolean
function job_ahead.is_far(job)
  return job.distance ~= nil and job.distance >= FAR
end

---Notes that a look brought bytes. Whether to ask ahead from now on.
---@param output daytona.JobOutput
---@param bytes integer
---@return boolean
function job_ahead.pays(output, bytes)
  if bytes == 0 then return false end
  local now = loop.now()
  local soon = output.came and now - output.came < SOON and bytes < ahead_script.PIECE
  output.came, output.streak = now, soon and (output.streak or 0) + 1 or 0
  local first = not output.tried and job_ahead.is_far(output.job)
  output.tried = true
  return (first or output.streak >= OFTEN) and job_ahead.most > 0
end

return job_ahead
