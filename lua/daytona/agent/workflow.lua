-- Workflows: lists of components (of sets/components.lua) that follow each other, with
-- expressions for what former steps gave. `daytona.workflow.run`.
--
--   daytona.workflow.run {
--     { id = "box", component = "createSandbox" },
--     { id = "test", component = "executeCommand", sandbox = '{{ $["box"].data.id }}', command = "make test" },
--     { component = "deleteSandbox", sandbox = '{{ $["box"].data.id }}', after = { "test.success", "test.failed" } },
--   }

local arguments_of = require "daytona.agent.arguments"
local components = require "daytona.agent.sets.components"
local errors = require "daytona.base.errors"
local expression = require "daytona.agent.expression"
local group = require "daytona.loop.group"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local options = require "daytona.base.options"
local toolsets = require "daytona.agent.tools"

local workflow = {}

-- What a step's result may have of a command's output, so that later steps get it whole.
local MOST_BYTES, MOST_LINES = 8 * 1024 * 1024, 1000000

---A step: with the inputs of its component besides.
---@class daytona.WorkflowStep
---@field component string     createSandbox, createRepositorySandbox, executeCode, executeCommand, deleteSandbox, getPreviewUrl
---@field id? string           what others call it by; the component's name without
---@field after? string|string[]  steps, or channels of steps ("test.failed"), that must have come first: of every step that is named one of its channels. Without, the step before
---@field [string] any

---What a run of a workflow was.
---@class daytona.WorkflowRun
---@field results table<string, { type: string, timestamp: string, data: table }>  by step
---@field channels table<string, string>  by step: "success" or "failed" of commands, else "default"
---@field skipped string[]  steps that did not run, as none of their channels came

local OPTIONS = {
  client = "table", api_key = "text", api_url = "text", secrets = "table", results = "table", keep = "boolean",
  on_step = "callable",
}

--- Reading the steps -----------------------------------------------------------------------

local function channels_of(component)
  return components.CHANNELS[component] or { "default" }
end

-- "test.failed": a step and one of its channels; an id may hold dots itself.
local function target(text, known)
  if known[text] then return known[text], channels_of(known[text].component)[1] end
  local id, channel = text:match "^(.+)%.([^.]+)$"
  local step = known[id or ""]
  if not step then return nil, ("after: there is no step '%s' before it"):format(text) end
  for _, one in ipairs(channels_of(step.component)) do
    if one == channel then return step, channel end
  end
  return nil, ("after: the step '%s' has no channel '%s'; it has: %s"):format(id, channel,
    table.concat(channels_of(step.component), ", "))
end

-- Step before -> set of its channels that will do.
local function conditions(after, known, before)
  local wanted = {}
  if after == nil then
    if before then wanted[before] = { [channels_of(before.component)[1]] = true } end
    return wanted
  end
  if type(after) == "string" then after = { after } end
  if type(after) ~= "table" then return nil, "after must be the name of a step, or a list of them" end
  for _, text in ipairs(after) do
    if type(text) ~= "string" then return nil, "after must be the name of a step, or a list of them" end
    local step, channel = target(text, known)
    if not step then return nil, channel end
    wanted[step] = wanted[step] or {}
    wanted[step][channel] = true
  end
  return wanted
end

local OWN = { id = true, component = true, after = true }

local function inputs_of(step)
  local inputs = {}
  for name, value in pairs(step) do
    if not OWN[name] then inputs[name] = value end
  end
  return inputs
end

-- A step as it is run; nil and why it is none.
local function read_step(raw, known, before, tools)
  if type(raw) ~= "table" then return nil, "must be a table, not a " .. type(raw) end
  if type(raw.component) ~= "string" then return nil, "component is required" end
  local component = raw.component:gsub("^daytona%.", "")
  local tool, id = tools.by_name[component], raw.id == nil and component or raw.id
  if not tool then
    local names = {}
    for i, one in ipairs(tools.tools) do names[i] = one.name end
    return nil, ("there is no component '%s'; the components are: %s"):format(raw.component, table.concat(names, ", "))
  end
  if type(id) ~= "string" or id == "" then return nil, "id must be a text" end
  if known[id] then return nil, ("there is a step '%s' already; give it another id"):format(id) end
  local wanted, why = conditions(raw.after, known, before)
  if not wanted then return nil, why end
  local step = { id = id, component = component, after = wanted, inputs = inputs_of(raw), latch = new_latch() }
  if expression.is_in(step.inputs) then return step end
  local given
  given, why = arguments_of.check(tool, step.inputs)
  if not given then return nil, why end
  return step
end

-- The steps; nil and what is wrong with which.
local function read(steps, tools)
  local list, known = {}, {}
  if type(steps) ~= "table" or (next(steps) ~= nil and steps[1] == nil) then
    return nil, "a list of steps expected"
  end
  for i, raw in ipairs(steps) do
    local step, why = read_step(raw, known, list[i - 1], tools)
    if not step then
      local id = type(raw) == "table" and raw.id
      return nil, ("step %d%s: %s"):format(i, type(id) == "string" and " (" .. id .. ")" or "", why)
    end
    list[i], known[step.id] = step, step
  end
  return list
end

--- Running them -------------------------------------------------------------------------------

local function failure(kind, what, message, retryable)
  return errors.new { kind = kind, operation = "workflow", what = what, message = message, retryable = retryable }
end

-- Waits for those that come first: whether the step is to be run; nil, err.
local function is_due(self, step)
  for before, channels in pairs(step.after) do
    local there, err = loop.join(before.latch)
    if not there then return nil, err end
    local came = self.channels[before.id]
    if not came or not channels[came] then return false end
  end
  return true
end

-- A tool's failure as an error.
local KINDS = { failed = "exit", rejected = "canceled", unknown_tool = "internal" }

local function perform(self, step)
  local inputs, why = expression.resolve(step.inputs, self.results)
  if not inputs then return nil, failure("invalid", step.id, why) end
  local result = self.tools:call(step.component, inputs)
  if not result.ok then
    local err = result.error
    return nil, failure(KINDS[err.kind] or err.kind, step.id, err.message, err.retryable)
  end
  return result.data
end

local function run_step(self, step)
  local due, err = is_due(self, step)
  if due == nil then return nil, err end
  if due then
    local result
    result, err = perform(self, step)
    if not result then return nil, err end
    local channel = components.channel_of(result)
    self.results[step.id], self.channels[step.id] = result, channel
    if self.on_step then self.on_step(step.id, result, channel) end
  else
    self.ran[step.id] = false
  end
  step.latch:open()
  return true
end

local function skipped(self, steps)
  local list = json.array()
  for _, step in ipairs(steps) do
    if self.ran[step.id] == false then list[#list + 1] = step.id end
  end
  return list
end

-- What the run made and is to stay is nobody's from now on.
local function let_go(self)
  for id, sandbox in pairs(self.tools.made) do
    local fine, err = sandbox:disown()
    if not fine and not errors.is(err, "not_found") then return nil, err end
    self.tools.made[id] = nil
  end
  return true
end

-- What was made for a run that came to nothing.
local function clean_up(self)
  if self.keep then let_go(self) end
  for id, sandbox in pairs(self.tools.made) do
    if not self.keep then sandbox:close() end
    self.tools.made[id] = nil
  end
  self.tools:close()
end

local function run_all(self)
  local jobs = {}
  for i, step in ipairs(self.steps) do
    jobs[i] = function() return run_step(self, step) end
  end
  local fine, err = group.gather(jobs)
  if not fine then return nil, err end
  return let_go(self)
end

local function given_up(self, err)
  loop.shield(clean_up, self)
  if errors.is(err) then
    err.results = self.results
    if err.kind == "canceled" then err.operation = err.operation or "workflow" end
  end
  return nil, err
end

local function copy(results)
  local out = {}
  for id, result in pairs(results or {}) do out[id] = result end
  return out
end

-- The steps of a table or of JSON text. Of a table what is wrong is the program's mistake.
local function checked(steps, tools)
  if type(steps) ~= "string" then
    local list, why = read(steps, tools)
    if not list then errors.misuse(1, "workflow: %s", why) end
    return list
  end
  local decoded, why = json.decode(steps)
  if decoded == nil then return nil, failure("invalid", nil, "the workflow is not valid JSON: " .. tostring(why)) end
  local list
  list, why = read(decoded, tools)
  if not list then return nil, failure("invalid", nil, why) end
  return list
end

---Runs a workflow: a list of steps, or the JSON text of one. Steps run as soon as those
---that they come after have ended, beside each other where these are the same; a step
---none of whose channels comes is skipped. A command that fails is a channel; any other
---failure ends the run: nil and the error, which says which step it was (`what`) and has
---the `results` until then. The sandboxes that the run made are deleted then, also when
---it is cancelled or interrupted, unless `keep`; what a program that was killed made,
---`client:reap` finds. A run that ends well leaves those that it did not delete.
---
---Raises when a table is no workflow; JSON text that is none is an error of kind "invalid".
---Nothing is done in either case.
---@param steps daytona.WorkflowStep[]|string
---@param opts? { client?: daytona.Client, api_key?: string, api_url?: string, secrets?: table<string, string|table<string, string>>, results?: table<string, table>, keep?: boolean, on_step?: fun(id: string, result: table, channel: string) }  results: of steps before, for expressions; on_step: hears of each step that ended
---@return daytona.WorkflowRun?
---@return daytona.Error?
function workflow.run(steps, opts)
  opts = options.check("workflow", OPTIONS, opts)
  local tools = toolsets.new("components", {
    client = opts.client, api_key = opts.api_key, api_url = opts.api_url, secrets = opts.secrets,
    max_bytes = MOST_BYTES, max_lines = MOST_LINES,
  })
  tools.made = {}
  local list, err = checked(steps, tools)
  if not list then return nil, err end
  local self = {
    tools = tools, steps = list, results = copy(opts.results), channels = {}, ran = {}, keep = opts.keep,
    on_step = opts.on_step,
  }
  local fine
  fine, err = loop.guard(run_all, clean_up, self)
  if not fine then return given_up(self, err) end
  tools:close()
  return { results = self.results, channels = self.channels, skipped = skipped(self, list) }
end

---A value with the expressions in it replaced by what steps gave, as `run` does it with
---the inputs of each. nil, and which value is missing.
---@param value any
---@param results table<string, table>  by step
---@return any
---@return string? why
function workflow.resolve(value, results)
  return expression.resolve(value, results)
end

return workflow
