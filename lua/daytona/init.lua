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
---@field webhook { parse: fun(body: string, headers: table<string, string|string[]>, opts: table): daytona.Event?, daytona.Error? }  what the service posts to you
---@field null any                           an explicit null, for sending
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
  main = { "daytona.loop.main", "run" },
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
  webhook = { "daytona.control.webhook" },
  workflow = { "daytona.agent.workflow" },
  image = { "daytona.image" },
}

-- Never run: tells editors and type checkers what the names stand for.
if false then
  daytona.new = require("daytona.control.client").new
  daytona.client = require("daytona.control.client").default
  daytona.spawn = require("daytona.loop.task").spawn
  daytona.callback = require("daytona.loop.task").callback
  daytona.within = require("daytona.loop.task").within
  daytona.gather = require("daytona.loop.group").gather
  daytona.map = require("daytona.loop.group").map
  daytona.on_unhandled = require("daytona.loop.unhandled").on_unhandled
  daytona.trap = require("daytona.loop.interrupt").trap
  daytona.main = require("daytona.loop.main").run
  daytona.sleep = require("daytona.loop").sleep
  daytona.update = require("daytona.loop").update
  daytona.use = require("daytona.loop").use
  daytona.driver = require("daytona.loop").driver_info
  daytona.using = require("daytona.loop.closing").using
  daytona.assert = assert -- only of this one do they know that what it returns is not nil
  daytona.is_error = require("daytona.base.errors").is
  daytona.array = require("daytona.http.json").array
  daytona.tools = require("daytona.agent.tools").new
  daytona.agent = require("daytona.agent").new
  daytona.budget = require("daytona.control.budget").new
  daytona.workflow = require("daytona.agent.workflow")
end

local function found(name)
  local place = ELSEWHERE[name]
  local value = require(place[1])
  if place[2] then value = value[place[2]] end
  daytona[name] = value
  return value
end

-- No functions: there is nothing to stand for them until they are needed.
local VALUES = { null = true, version = true, webhook = true, workflow = true, image = true }

-- Whoever looks what there is, at a prompt, finds the others by their names.
for name in pairs(ELSEWHERE) do
  if not VALUES[name] then
    daytona[name] = function(...) return found(name)(...) end
  end
end

setmetatable(daytona, {
  __index = function(_, name)
    if VALUES[name] then return found(name) end
    return require("daytona.base.sdk_names").look("daytona", "daytona", name)
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
