-- The requests of jobs: a script of job_script.lua goes to the sandbox's shell, and what
-- it printed is taken apart. All but signals may be sent twice and do their work once, so
-- they are `safe` to http, which sends them again where an answer breaks off.

local base64 = require "daytona.base.base64"
local errors = require "daytona.base.errors"
local exec_call = require "daytona.toolbox.exec_call"
local outcome = require "daytona.toolbox.exec_outcome"
local http = require "daytona.http"
local loop = require "daytona.loop"
local printable = require "daytona.base.printable"
local script = require "daytona.toolbox.job_script"

local job_calls = {}

-- Seconds that a call may take.
local CALL_TIMEOUT = 30

-- Seconds beyond those that a look waits for news after which its line is taken for lost, and
-- beyond a deadline of the caller's, which an answer just in time may need.
job_calls.patience = 15
local SLACK = 1

-- So many looks may fail in a row, when trying again may help.
local FAILED_LOOKS = 5

function job_calls.failure(sandbox, operation, id, kind, code, message)
  return nil, errors.new {
    kind = kind, code = code, operation = operation, sandbox = sandbox, what = id, message = message,
  }
end

local failure = job_calls.failure

-- Ways in which an answer breaks off.
local BROKE_OFF = { truncated = true, reset = true }

---Whether a script may have done its work although its answer was lost, or was not its
---own.
---@param err daytona.Error
---@return boolean
function job_calls.may_have_run(err)
  return BROKE_OFF[err.code] or err.kind == "protocol" or err.kind == "too_large"
    or (err.status or 0) >= 500
end

---Runs a script of job_script.lua. What it printed, or nil, err.
---@param sandbox daytona.Sandbox
---@param operation string  for errors
---@param id? string        of the job, for errors
---@param text string
---@param o? { seconds?: number, timeout?: number, cwd?: string, secrets?: string[], once?: boolean, on_abandon?: function }  once: not to be repeated
---@return string?
---@return daytona.Error?
function job_calls.run(sandbox, operation, id, text, o)
  o = o or {}
  local seconds = math.ceil(o.seconds or CALL_TIMEOUT)
  local answer, err = exec_call.execute(sandbox, { command = text, timeout = seconds, cwd = o.cwd }, {
    operation = operation, what = id, timeout = o.timeout or seconds + 5, safe = not o.once, secrets = o.secrets,
    on_abandon = o.on_abandon,
  })
  if not answer then
    if err.kind == "process_timeout" then err.kind = "timeout" end
    return nil, err
  end
  local result = answer.result
  if type(result) ~= "string" then
    return failure(sandbox, operation, id, "protocol", "json", "the answer is not what a command gives")
  end
  local kind = answer.exitCode == -1 and outcome.start_failure(result)
  if kind then
    return failure(sandbox, operation, id, kind, "PROCESS_START_FAILED", outcome.start_message(result, o.cwd))
  end
  if result:find("^gone") then
    return failure(sandbox, operation, id, "not_found", "JOB_NOT_FOUND", "there is no such job")
  end
  return result
end

-- What a script could not do, in the system's words: "failed <words>".
local function not_done(sandbox, operation, id, answer)
  local why = printable.line(answer:match "^failed(.*)" or "")
  local kind = why:find("ermission denied", 1, true) and "forbidden" or "io"
  if why == "" then why = "what the job needs cannot be written" end
  return failure(sandbox, operation, id, kind, "JOB_FAILED", why)
end

---The error for an answer that says what went wrong, or that no script of ours gives.
function job_calls.strange(sandbox, operation, id, answer)
  if answer:find "^failed" then return not_done(sandbox, operation, id, answer) end
  local said = outcome.last_line(answer:sub(1, 1000))
  return failure(sandbox, operation, id, "protocol", "JOB_FAILED",
    said ~= "" and "the sandbox's shell answered: " .. said or "the sandbox's shell did not answer")
end

---"exited 3 0" as what happened; nil while it runs.
---@param state string
---@return daytona.JobResult?
function job_calls.outcome(state)
  local reason, code, signal = state:match("^(%a[%a_]*) (%-?%d+) (%d+)$")
  if not reason then return nil end
  signal = tonumber(signal)
  return {
    reason = reason, exit_code = tonumber(code), signal = signal > 0 and signal or nil,
    timed_out = reason == "timed_out",
  }
end

--- Looking --------------------------------------------------------------------------------

-- The four lines of an answer, two of which may be long: found, not matched.
local function take_apart(answer)
  local _, head, state, out_size, err_size = answer:find("^([^\n]+)\n(%d+) (%d+)\n")
  local middle = head and answer:find("\n", head + 1, true)
  local last = middle and (answer:find("\n", middle + 1, true) or #answer + 1)
  if not last or last < #answer then return nil end
  return state, out_size, err_size, answer:sub(head + 1, middle - 1), answer:sub(middle + 1, last - 1)
end

---What is to be fetched of a job's outputs: from which offsets on (nil: nothing), and how
---many bytes of each at most.
---@class daytona.JobWish
---@field out? integer
---@field err? integer
---@field most integer
---@field stale? string[]  chains of requests (job_ahead.lua) that are to be ended

---What is new: of each output that was wished for its bytes, and its size by now.
---@class daytona.JobNews
---@field out? string
---@field out_size? integer
---@field err? string
---@field err_size? integer

local NOTHING = { most = 0 }

---What a look has answered; notes the job's `result` when it has ended. nil, err.
---@param job daytona.Job
---@param wish daytona.JobWish
---@param operation string  for errors
---@param answer string
---@return daytona.JobNews?
---@return daytona.Error?
function job_calls.news(job, wish, operation, answer)
  local state, out_size, err_size, out, errors_text = take_apart(answer)
  if not state then return job_calls.strange(job.sandbox, operation, job.id, answer) end
  job.result = job_calls.outcome(state) or job.result
  local news = {
    out = wish.out and base64.decode(out), out_size = tonumber(out_size),
    err = wish.err and base64.decode(errors_text), err_size = tonumber(err_size),
  }
  if (wish.out and not news.out) or (wish.err and not news.err) then
    return job_calls.strange(job.sandbox, operation, job.id, answer)
  end
  return news
end

-- Looks once: the job's state, and news of its outputs.
local function look(job, wish, seconds, operation, deadline)
  local limit = seconds + job_calls.patience
  if deadline then limit = math.min(limit, math.max(deadline - loop.now(), 0) + SLACK) end
  local answer, err = job_calls.run(job.sandbox, operation, job.id,
    script.poll(job.id, wish.out, wish.err, seconds, wish.most, wish.stale),
    { seconds = seconds + 10, timeout = limit })
  if not answer then
    if deadline and err.kind == "timeout" and loop.now() >= deadline then err.code = "wait" end -- the caller's time
    return nil, err
  end
  return job_calls.news(job, wish, operation, answer)
end

---Looks at a job, through what may pass: notes its `result` when it has ended, and returns
---what is new. nil, err.
---@param job daytona.Job
---@param wish? daytona.JobWish
---@param seconds integer    that there may be to wait for news
---@param operation string   for errors
---@param deadline? number   on the clock of loop.now
---@return daytona.JobNews?
---@return daytona.Error?
function job_calls.look(job, wish, seconds, operation, deadline)
  for try = 1, FAILED_LOOKS + 1 do
    local news, err = look(job, wish or NOTHING, seconds, operation, deadline)
    if news then return news end
    if not err.retryable or try > FAILED_LOOKS or deadline and loop.now() >= deadline then return nil, err end
    local slept, why = loop.sleep(http.delay_after(err, try))
    if not slept then return nil, why end
  end
end

return job_calls
