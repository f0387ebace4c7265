-- What a job prints: two files over there, each fetched one request at a time, which is
-- answered as soon as there is something new. So a lost connection loses nothing. Where it comes
-- little and often, it is asked for ahead (job_ahead.lua).

local ahead = require "daytona.toolbox.job_ahead"
local calls = require "daytona.toolbox.job_calls"
local errors = require "daytona.base.errors"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local reader = require "daytona.toolbox.reader"
local task = require "daytona.loop.task"

local job_output = {}

-- Seconds that one look waits for news (proxies cut quiet requests after 30).
local LOOK = 20

-- Bytes in one answer: first, and when there is more and more. So many can be decoded
-- in a second, which must not hold the host up.
local FIRST_PIECE, LARGEST_PIECE, DECODED = 64 * 1024, 1024 * 1024, 128 * 1024 * 1024

---One of a job's two outputs, read like a file. Bytes come as they were written.
---@class daytona.JobOutput
---@field job daytona.Job
---@field package file "out"|"err"
---@field package fetched integer  bytes that have come
---@field package piece integer    bytes to ask for
---@field package over boolean     that was all
---@field package ahead? daytona.JobAhead  what was asked ahead
---@field package stale? string    a chain that is to be ended over there
---@field package came? number     when a look last brought something
---@field package streak? integer  how often in a row that was soon
---@field package tried? boolean  a look has brought something
---@field package due? boolean    who reads on is to ask ahead
---@field package bringing? daytona.Task  that brings more of it alone
---@field package buffer daytona.LineBuffer
local JobOutput = { __name = "daytona.JobOutput" }
JobOutput.__index = JobOutput

---"output (id, stdout)"
---@private
function JobOutput:__tostring()
  return "output (" .. self.job.id .. ", " .. (self.file == "out" and "stdout" or "stderr") .. ")"
end

---@param job daytona.Job
---@param file "out"|"err"
---@param offset? integer  where reading begins
---@return daytona.JobOutput
function job_output.new(job, file, offset)
  return setmetatable({
    job = job, file = file, fetched = offset or 0, piece = FIRST_PIECE, buffer = line_buffer.new(), over = false,
  }, JobOutput)
end

--- As a source of toolbox/reader.lua --------------------------------------------------------

---@private
function JobOutput:subject()
  return self.job.sandbox, self.job.id
end

function JobOutput:most()
  return self.job.sandbox:toolbox().max_bytes
end

-- Larger pieces as long as there is more than fits.
local function next_piece(self, size)
  if size <= self.fetched then return FIRST_PIECE end
  local slice = loop.slice()
  local largest = slice and math.max(FIRST_PIECE, math.floor(slice * DECODED)) or LARGEST_PIECE
  return math.min(self.piece * 2, largest)
end

---Seconds, as whole ones are counted over there, that a look may wait; less than one is
---slept here. nil, err when the deadline has passed.
---@param deadline? number
---@return integer?
function job_output.patience(deadline)
  local left = deadline and deadline - loop.now() or LOOK
  if left <= 0 then return nil end
  return math.floor(math.min(left, LOOK))
end

-- Takes in what a look at the job brought.
local function note(self, data, size)
  self.buffer:push(data)
  self.fetched = self.fetched + #data
  self.over = self.job.result ~= nil and self.fetched >= size
  self.piece = next_piece(self, size)
end

-- Over there only whole seconds are waited for.
local function nap(seconds)
  if seconds > 0 then return true end
  return loop.sleep(0.05)
end

-- Takes in what a chain's last answer told, as a look does, from an offset on that was passed meanwhile. Whether it
-- did.
local function note_end(self, answer, offset)
  if not answer:find "^[%a_]+ %-?%d+ %d+\n" then return false end
  local news = calls.news(self.job, { [self.file] = offset, most = 0 }, "read", answer)
  if not news then return false end
  note(self, news[self.file]:sub(self.fetched - offset + 1), news[self.file .. "_size"])
  local other = self.file == "out" and self.job.stderr or self.job.stdout
  other.over = other.over or self.job.result ~= nil and other.fetched >= news[other.file .. "_size"]
  return true
end

-- Takes in what was asked ahead. As `fill`; false when there is nothing asked any more.
local function take_ahead(self, deadline)
  local data, err, offset = self.ahead:take(deadline)
  if data == nil then
    if errors.is(err, "timeout") then return reader.too_late(self) end
    return nil, err
  end
  if data then
    self.buffer:push(data)
    self.fetched = self.fetched + #data
    if not ahead.is_much(data) then return true end
  end
  self.ahead:drop()
  self.stale, self.ahead, self.came = self.ahead.token, nil, nil
  return data and true or offset ~= nil and note_end(self, err, offset)
end

-- Asks ahead, where that pays and more is to be read.
local function ask_ahead(self)
  if self.due and not self.job.result then self.ahead = ahead.new(self.job, self.file, self.fetched) end
  self.due = nil
end

-- One look at the job, for one of its outputs or both. true; nil, err.
local function look(outputs, seconds, deadline)
  local wish, stale = { most = math.huge }, {}
  for _, output in ipairs(outputs) do
    wish[output.file], wish.most = output.fetched, math.min(wish.most, output.piece)
    stale[#stale + 1] = output.stale
  end
  wish.stale = stale[1] and stale
  local news, err = calls.look(outputs[1].job, wish, seconds, "read", deadline)
  if not news then return nil, err end
  for _, output in ipairs(outputs) do
    local data = news[output.file]
    output.stale = nil
    note(output, data, news[output.file .. "_size"])
    output.due = ahead.pays(output, #data) and output.piece == FIRST_PIECE
  end
  return true
end

---@private
function JobOutput:fill(deadline)
  if self.over then return false end
  ask_ahead(self)
  if self.ahead then
    local came, why = take_ahead(self, deadline)
    if came or why then return came, why end
  end
  local seconds = job_output.patience(deadline)
  if not seconds then return reader.too_late(self) end
  local fine, err = look({ self }, seconds, deadline)
  if not fine then return nil, err end
  if self.buffer.size > 0 or self.over then return true end
  return nap(seconds)
end

--- Both at once -------------------------------------------------------------------------------

-- What comes next of one output, in a task of its own: as `fill`, but false also at the end of what was asked
-- ahead.
local function bring(self)
  local came, err
  if self.ahead then came, err = take_ahead(self) else came, err = look({ self }, LOOK) end
  self.job.bell:open()
  return came, err
end

-- Where one output is asked for ahead, the other one is not waited for with it.
local function fill_apart(job, outputs, deadline)
  job.bell = new_latch()
  local any
  for _, output in ipairs(outputs) do
    if not output.over and not output.bringing then output.bringing = task.spawn(bring, output):detach() end
    any = any or output.bringing and output.bringing:done()
  end
  if not any then
    local came, err = loop.join(job.bell, deadline)
    if not came then return nil, reader.explain(job.stdout, err) end
  end
  for _, output in ipairs(outputs) do
    local bringing = output.bringing
    if bringing and bringing:done() then
      output.bringing = nil
      local came, err = bringing:wait()
      if came == nil then return nil, err end
    end
  end
  return true
end

-- Ends the tasks that bring one output each. What they were about to is asked for again.
local function join_again(outputs)
  for _, output in ipairs(outputs) do
    if output.bringing then output.bringing:cancel() end
    output.bringing = nil
  end
end

---Brings more of both outputs of a job that nobody else reads; as `fill` does.
---@param job daytona.Job
---@param deadline? number
---@return boolean?
---@return daytona.Error?
function job_output.fill_both(job, deadline)
  local out, err = job.stdout, job.stderr
  if job.merged then return JobOutput.fill(out, deadline) end
  local outputs = { out, err }
  if out.over and err.over then
    join_again(outputs)
    return false
  end
  for _, output in ipairs(outputs) do ask_ahead(output) end
  local last = out.over and err.bringing or err.over and out.bringing
  if out.ahead or err.ahead or last then return fill_apart(job, outputs, deadline) end
  join_again(outputs)
  local seconds = job_output.patience(deadline)
  if not seconds then return reader.too_late(out) end
  return look(outputs, seconds, deadline)
end

---Lets go of what was asked and has not been answered.
---@param job daytona.Job
function job_output.let_go(job)
  local outputs = { job.stdout, job.stderr }
  for _, output in ipairs(outputs) do
    if output.ahead then output.ahead:drop() end
    output.ahead = nil
  end
  join_again(outputs)
end

JobOutput.read, JobOutput.lines = reader.read, reader.lines
JobOutput.chunk, JobOutput.chunks = reader.chunk, reader.chunks

---How many bytes were read: where `sandbox:job(id, { offset = ... })` goes on.
---@return integer
function JobOutput:tell()
  return self.fetched - self.buffer.size
end

return job_output
