-- One run of an agent: the model's replies and the tools' answers by turns, until the model
-- is done or a limit is reached.

local context = require "daytona.agent.context"
local errors = require "daytona.base.errors"
local group = require "daytona.loop.group"
local http = require "daytona.http"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local outcome = require "daytona.agent.outcome"
local task = require "daytona.loop.task"
local transcript = require "daytona.agent.transcript"
local trouble = require "daytona.agent.model.trouble"

local M = {}

---@class daytona.Run
---@field agent daytona.Agent
---@field emit fun(event: daytona.AgentEvent)
---@field usage daytona.Usage
---@field steps integer
---@field deadline? number
local Run = {}
Run.__index = Run

--- Limits ---------------------------------------------------------------------------------

local function total(usage)
  return usage.input + usage.cached + usage.cache_write + usage.output
end

local MILLION = 1000000

-- What the tokens cost; nil without prices.
local function money(self)
  local prices, usage = self.agent.options.prices, self.usage
  if not prices then return nil end
  local input = prices.input or 0
  return (usage.input * input + usage.cached * (prices.cached or input)
    + usage.cache_write * (prices.cache_write or input) + usage.output * (prices.output or 0)) / MILLION
end

local function seconds_left(self)
  return self.deadline and self.deadline - loop.now()
end

-- The limit that was reached, or nil.
local function reached(self)
  local limits = self.agent.limits
  if self.steps >= limits.steps then return "steps" end
  if self.deadline and seconds_left(self) <= 0 then return "seconds" end
  if limits.tokens and total(self.usage) >= limits.tokens then return "tokens" end
  if limits.money and money(self) >= limits.money then return "money" end
end

-- What a request costs at least is known before it is sent, where the API counts: that is
-- asked when a bound is near.
local NEAR = 0.75

local function tokens_ahead(self, bound)
  local agent = self.agent
  local guess = agent:guess()
  if guess < bound * NEAR then return guess end
  return agent:count() or guess
end

-- "tokens" when the next request alone would go beyond that limit; a conversation that
-- does not fit into the model's window is made shorter.
local function look_ahead(self)
  local limit, window = self.agent.limits.tokens, self.agent.options.context_window
  if limit and total(self.usage) + tokens_ahead(self, limit - total(self.usage)) > limit then return "tokens" end
  while window and tokens_ahead(self, window) > window do
    if context.shrink(self.agent.history) == 0 then return end
    self.agent.measured = nil
    self.emit { type = "shortened" }
  end
end

--- The model --------------------------------------------------------------------------------

-- One try: a reply, or nil, err.
local function try(self)
  local agent = self.agent
  local self_reply, on_event = agent.driver.reader(self.emit)
  local left = seconds_left(self)
  local fine, err = agent.endpoint:stream(agent.driver.path, agent:request(), on_event,
    left and math.max(math.min(left, agent.endpoint.connection.timeout), 0.001) or nil)
  if self_reply.failure then return nil, trouble.told(self_reply.failure, agent.endpoint) end
  if self_reply.stop then return self_reply end
  return nil, not fine and err or trouble.cut(agent.endpoint)
end

-- After a failed try: true when there may be another, else nil, err.
local function again(self, tries, err)
  if trouble.is_overflow(err) then
    if context.shrink(self.agent.history) == 0 then return nil, err end
    self.agent.measured = nil
    self.emit { type = "shortened" }
    return true
  end
  if not trouble.may_pass(err) or tries > self.agent.retries then return nil, err end
  local delay = trouble.delay(err) or http.backoff(tries)
  self.emit { type = "retry", error = err, seconds = delay }
  local slept, why = http.pause(delay, self.deadline)
  if slept == nil then return nil, why end
  if not slept then return nil, err end
  return true
end

-- The model's next reply, which is then part of the conversation.
local function reply(self)
  local tries = 1
  local said, err = try(self)
  while not said do
    local more, why = again(self, tries, err)
    if not more then return nil, why end
    tries = tries + 1
    said, err = try(self)
  end
  self.steps = self.steps + 1
  for name, tokens in pairs(said.usage) do self.usage[name] = self.usage[name] + tokens end
  local entry = said:entry()
  local noted
  noted, err = self.agent:note(entry)
  if not noted then return nil, err end
  self.agent.measured = { tokens = total(said.usage), entries = #self.agent.history }
  return entry
end

--- The tools ----------------------------------------------------------------------------------

local function call_one(self, call)
  self.emit { type = "call", id = call.id, name = call.name, arguments = call.arguments }
  local result = self.agent.tools:call(call.name, call.arguments, { on_progress = function(message)
    self.emit { type = "progress", id = call.id, name = call.name, message = message }
  end })
  self.emit { type = "result", id = call.id, name = call.name, result = result }
  return result
end

-- What of a result stays in the conversation: the data where an API wants it.
local function kept(self, result)
  local tool = self.agent.tools.by_name[result.tool]
  return {
    ok = result.ok, tool = result.tool, text = result.text, images = json.array(result.images),
    data = tool and tool.reply and result.data or nil, truncated = result.truncated, read_more = result.read_more,
    sandbox = result.sandbox, error = result.error,
  }
end

-- All calls of a reply, at once; their results in the order of the calls. nil, err when
-- that was cancelled; the conversation is whole in any case.
local function answer(self, calls)
  local results, entry = {}, { type = "results", results = json.array() }
  local limit = self.deadline and math.max(seconds_left(self), 0.001) or 0
  local _, err = task.within(limit, group.map, calls, function(call, i)
    results[i] = call_one(self, call)
    return true
  end)
  for i, call in ipairs(calls) do
    local result = results[i] or outcome.failure("canceled", "not run to its end: it was cancelled")
    entry.results[i] = { id = call.id, name = call.name, result = kept(self, result) }
  end
  local noted, why = self.agent:note(entry)
  if not noted then return nil, why end
  local rested, canceled = loop.cancellation()
  if not rested then return nil, canceled end
  if err and not errors.is(err, "within") then return nil, err end
  return true
end

--- The whole -----------------------------------------------------------------------------------

-- The end: what came of it, told as an event, too.
local function done(self, reason, text, limit)
  local event = { type = "done", reason = reason, limit = limit, answer = text, usage = self.usage,
    steps = self.steps, money = money(self) }
  local noted, err = self.agent:write(event)
  if not noted then return nil, err end
  self.emit(event)
  return event
end

-- A model that has no more room: old output goes, and what it began to say; it goes on.
local function make_room(self)
  local history = self.agent.history
  self.agent.measured = nil
  if context.shrink(self.agent.history) == 0 then return false end
  if not history[#history].calls[1] then history[#history] = nil end
  self.emit { type = "shortened" }
  return true
end

local function turns(self)
  local said = { text = "" }
  while true do
    local limit = reached(self) or look_ahead(self)
    if limit then return done(self, "limit", said.text, limit) end
    local err
    said, err = reply(self)
    if not said then
      if self.deadline and seconds_left(self) <= 0 and errors.is(err, "timeout") then
        return done(self, "limit", "", "seconds")
      end
      return nil, err
    end
    local goes_on = said.stop == "pause" or said.stop == "overflow" and make_room(self)
    if said.calls[1] and said.stop ~= "refusal" then
      local answered
      answered, err = answer(self, said.calls)
      if not answered then return nil, err end
    elseif not goes_on then
      return done(self, said.stop, said.text)
    end
  end
end

---Runs an agent on a prompt. The event of its end; nil, err when the model could not be
---had, or the task was cancelled.
---@param agent daytona.Agent
---@param prompt string
---@param emit fun(event: daytona.AgentEvent)
---@return daytona.AgentEvent?
---@return daytona.Error?
function M.run(agent, prompt, emit)
  local self = setmetatable({
    agent = agent, emit = emit, steps = 0, usage = { input = 0, cached = 0, cache_write = 0, output = 0 },
    deadline = agent.limits.seconds and loop.now() + agent.limits.seconds,
  }, Run)
  local noted, err = agent:note { type = "user", text = prompt }
  if not noted then return nil, err end
  local event
  event, err = turns(self)
  local left = transcript.settle(agent.history) -- of a refusal, or when a function of the program's raised
  if left then agent:write(left) end
  return event, err
end

return M
