-- Failures that nobody hears of: of tasks that raised and are then thrown away, which
-- are told when the collector finds that nobody can ask for them any more, or at the
-- end of the program; and of the ends of scopes, which return nothing.

local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local loaded = package.loaded

local unhandled = {}

-- Where the host's people look for such lines.
local function tell(text)
  local editor, nginx = rawget(_G, "vim"), rawget(_G, "ngx") or loaded.ngx
  if type(editor) == "table" and editor.schedule then
    return editor.schedule(function() editor.notify(text, editor.log and editor.log.levels.ERROR) end)
  elseif nginx then
    return nginx.log(nginx.ERR, text)
  elseif rawget(_G, "love") then
    return print(text)
  end
  io.stderr:write(text, "\n")
end

local function tell_failure(err, what)
  tell("daytona: " .. (what or "a task failed, and nobody waited for it") .. ": " .. tostring(err))
end

local listener = tell_failure

---What is called with the error of a task that failed while nobody waited for it: once,
---when the task is collected or the program ends, with no way to wait there; and with the
---error of a sandbox that the end of a scope could not delete. nil brings
---back what is done by default: one line where the host shows such (stderr, vim.notify,
---nginx's error log, LÖVE's console). What `fn` raises is lost.
---@param fn? fun(err: daytona.Error, what?: string)  what: of which kind it is, for people, where it is no task
function unhandled.on_unhandled(fn)
  if fn ~= nil and type(fn) ~= "function" then
    errors.misuse(1, "on_unhandled: a function expected, got %s", type(fn))
  end
  listener = fn or tell_failure
end

local function collected(self)
  if self.err then pcall(listener, self.err) end
end

local WATCHED = { __gc = collected }

---Tells a failure that is returned to nobody.
---@param err daytona.Error
---@param what string  what became of it, for people
function unhandled.report(err, what)
  pcall(listener, err, what)
end

-- Hosts that idle collect little or nothing: they are to look, for once, a little later. Where
-- much is going on, not for each failure.
local LATER, REST = 0.5, 10
local HOSTS = { manual = true, ngx = true }
local looked = -REST

local function look_soon()
  local editor = rawget(_G, "vim")
  if type(editor) == "table" and editor.defer_fn then return editor.defer_fn(collectgarbage, LATER * 1000) end
  local now = core.now()
  if now < looked + REST or not HOSTS[loop.driver_info()] then return end
  looked = now
  loop.timer(LATER, collectgarbage)
end

---Begins to watch over a failure: what keeps what comes back keeps it from being told.
---@param err daytona.Error
---@return { err?: daytona.Error }  without `err` it has been heard
function unhandled.watch(err)
  local watch = { err = err }
  look_soon()
  if compat.gc_tables then return setmetatable(watch, WATCHED) end
  local proxy = rawget(_G, "newproxy")(true)
  getmetatable(proxy).__gc = function() collected(watch) end
  watch.proxy = proxy
  return watch
end

return unhandled
