-- What a job prints: two files over there, each fetched one request at a time, which is
-- answered as soon as there is something new. So a lost connection loses nothing.

local calls = require "daytona.toolbox.job_calls"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local reader = require "daytona.toolbox.reader"

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

---@private
function JobOutput:fill(deadline)
  if self.over then return false end
  local seconds = job_output.patience(deadline)
  if not seconds then return reader.too_late(self) end
  local news, err = calls.look(self.job, { [self.file] = self.fetched, most = self.piece }, seconds, "read",
    deadline)
  if not news then return nil, err end
  note(self, news[self.file], news[self.file .. "_size"])
  if self.buffer.size > 0 or self.over then return true end
  return nap(seconds)
end

---Brings more of both outputs of a job that nobody else reads; as `fill` does.
---@param job daytona.Job
---@param deadline? number
---@return boolean?
---@return daytona.Error?
function job_output.fill_both(job, deadline)
  local out, err = job.stdout, job.stderr
  if out.over and err.over then return false end
  local seconds = job_output.patience(deadline)
  if not seconds then return reader.too_late(out) end
  local news, problem = calls.look(job,
    { out = out.fetched, err = err.fetched, most = math.min(out.piece, err.piece) }, seconds, "read", deadline)
  if not news then return nil, problem end
  note(out, news.out, news.out_size)
  note(err, news.err, news.err_size)
  return true
end

JobOutput.read, JobOutput.lines = reader.read, reader.lines
JobOutput.chunk, JobOutput.chunks = reader.chunk, reader.chunks

---How many bytes were read: where `sandbox:job(id, { offset = ... })` goes on.
---@return integer
function JobOutput:tell()
  return self.fetched - self.buffer.size
end

return job_output
