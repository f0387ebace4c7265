-- daytona: sandboxes for Lua programs.
--
--   local daytona = require "daytona"
--   local sb <close> = assert(daytona.create { language = "python" })
--   print(assert(sb:exec("uname -a")).result)
--
-- The calls here use a client made of the environment at its first use; others
-- come from `daytona.new`. Requiring this loads nothing else: what a name needs
-- is loaded when it is first used.

---@class daytona
---@field version string                     of this library
---@field null any                           an explicit null, for sending
---@field new fun(opts?: daytona.Config): daytona.Client?, daytona.Error?
---@field client fun(): daytona.Client?, daytona.Error?  the one that create, get, list, each and delete use
---@field spawn fun(fn: function, ...: any): daytona.Task
---@field within fun(seconds: number, fn: function, ...: any): any, any...  gives fn(...) so many seconds
---@field on_unhandled fun(fn?: fun(err: daytona.Error))  hears of tasks that failed while nobody waited
---@field callback fun(fn: function): fun(...): daytona.Task  fn with a callback as its last argument
---@field gather fun(fns: function[], opts?: daytona.GroupOptions): table?, daytona.Error?
---@field map fun(list: any[], fn: (fun(item: any, index: integer): any), opts?: daytona.GroupOptions): table?, daytona.Error?
---@field sleep fun(seconds: number): boolean?, daytona.Error?
---@field update fun(budget?: number)        once a frame, for hosts with a frame loop
---@field use fun(driver: string|table)      chooses the host's driver
---@field driver fun(): string, string       its name, and why it was chosen
---@field using fun(object: any, fn: function): any  calls fn(object), then closes the object
---@field trap fun()                         makes SIGTERM, SIGHUP and SIGPIPE errors, as Ctrl-C is
---@field assert fun(value: any, err?: any, ...: any): any  as assert, for errors of this library
---@field budget fun(limits: daytona.BudgetLimits): daytona.Budget  what new sandboxes must fit in
---@field is_error fun(e: any, kind?: string): boolean
---@field tools fun(sets: string|table, opts?: daytona.ToolOptions): daytona.Toolset  tools that a model can call
---@field workflow { run: fun(steps: daytona.WorkflowStep[]|string, opts?: table): daytona.WorkflowRun?, daytona.Error? }  steps that follow each other
---@field agent fun(opts?: daytona.AgentOptions): daytona.Agent?, daytona.Error?  a model that works with tools until it is done
---@field array fun(list?: table): table     an array also when it is empty, for sending
---@field image daytona.Images               begins images that are built: see doc/images.md
local daytona = {}

-- Name -> module it is in, and its name there (without one it is the module).
local ELSEWHERE = {
  new = { "daytona.control.client", "new" },
  client = { "daytona.control.client", "default" },
  spawn = { "daytona.loop.task", "spawn" },
  callback = { "daytona.loop.task", "callback" },
  gather = { "daytona.loop.group", "gather" },
  map = { "daytona.loop.group", "map" },
  within = { "daytona.loop.task", "within" },
  on_unhandled = { "daytona.loop.unhandled", "on_unhandled" },
  trap = { "daytona.loop.interrupt", "trap" },
  sleep = { "daytona.loop", "sleep" },
  update = { "daytona.loop", "update" },
  use = { "daytona.loop", "use" },
  driver = { "daytona.loop", "driver_info" },
  using = { "daytona.loop.closing", "using" },
  assert = { "daytona.base.errors", "assert" },
  is_error = { "daytona.base.errors", "is" },
  array = { "daytona.http.json", "array" },
  null = { "daytona.http.json", "null" },
  budget = { "daytona.control.budget", "new" },
  tools = { "daytona.agent.tools", "new" },
  agent = { "daytona.agent", "new" },
  version = { "daytona.version", "library" },
  workflow = { "daytona.agent.workflow" },
  image = { "daytona.image" },
}

local function found(name)
  local place = ELSEWHERE[name]
  local value = require(place[1])
  if place[2] then value = value[place[2]] end
  daytona[name] = value
  return value
end

-- No functions: there is nothing to stand for them until they are needed.
local VALUES = { null = true, version = true, workflow = true, image = true }

-- Whoever looks what there is, at a prompt, finds the others by their names.
for name in pairs(ELSEWHERE) do
  if not VALUES[name] then
    daytona[name] = function(...) return found(name)(...) end
  end
end

setmetatable(daytona, {
  __index = function(_, name)
    if VALUES[name] then return found(name) end
  end,
  __pairs = function(self)
    for name in pairs(VALUES) do found(name) end
    return next, self
  end,
})

---Makes a sandbox; see daytona.Client.create.
---@param opts? daytona.CreateOptions
---@return daytona.Sandbox?
---@return daytona.Error?
function daytona.create(opts)
  local client, err = daytona.client()
  if not client then return nil, err end
  return client:create(opts)
end

---The sandbox of that id or name.
---@param id_or_name string
---@return daytona.Sandbox?
---@return daytona.Error?
function daytona.get(id_or_name)
  local client, err = daytona.client()
  if not client then return nil, err end
  return client:get(id_or_name)
end

---One page of sandboxes.
---@param filter? daytona.ListFilter
---@return daytona.Page?
---@return daytona.Error?
function daytona.list(filter)
  local client, err = daytona.client()
  if not client then return nil, err end
  return client:list(filter)
end

---All sandboxes, one by one; raises when they cannot be had.
---@param filter? daytona.ListFilter
---@return fun(): daytona.Sandbox?
function daytona.each(filter)
  return daytona.assert(daytona.client()):each(filter)
end

---Deletes a sandbox, by its id or name. kind "not_found" when there is none, unless
---`missing_ok`.
---@param which string|daytona.Sandbox
---@param opts? { timeout?: number, wait?: boolean, force?: boolean, missing_ok?: boolean }
---@return true?
---@return daytona.Error?
function daytona.delete(which, opts)
  local client, err = daytona.client()
  if not client then return nil, err end
  return client:delete(which, opts)
end

return daytona
