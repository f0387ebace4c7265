-- What happens at the service, one event after the other: `client:events`. Also what
-- events are made of, however they come (webhook.lua).

local errors = require "daytona.base.errors"
local event_stream = require "daytona.control.event_stream"
local loop = require "daytona.loop"
local names = require "daytona.http.names"
local options = require "daytona.base.options"
local deadline = require "daytona.loop.deadline"

local M = {}

---Something that happened. What it happened to is there as an object, under its kind's
---name; its fields are those that it had then.
---@class daytona.Event
---@field kind string              "sandbox.created", "sandbox.state.updated", "sandbox.desired-state.updated",
---"snapshot.created", "snapshot.state.updated", "snapshot.removed", "volume.created", "volume.state.updated", and
---what the service adds; "gap": some may have been missed, so that who must know has to look
---@field id? string               of the object
---@field old_state? string
---@field new_state? string
---@field old_desired_state? string
---@field new_desired_state? string
---@field timestamp? string        of webhooks
---@field sandbox? daytona.Sandbox
---@field snapshot? daytona.Snapshot
---@field volume? daytona.Volume
---@field raw? table               as it came
local Event = { __name = "daytona.Event" }
Event.__index = Event

---"sandbox.state.updated (name: starting to started)"
---@private
function Event:__tostring()
  local object = self.sandbox or self.snapshot or self.volume
  local of = object and object.name or self.id
  local old, new = self.old_state or self.old_desired_state, self.new_state or self.new_desired_state
  if not of then return self.kind end
  return ("%s (%s%s)"):format(self.kind, of, new and (": %s to %s"):format(tostring(old), new) or "")
end

local MAKERS = {
  sandbox = function(...) return require("daytona.control.row").new(...) end,
  snapshot = function(...) return require("daytona.control.snapshots").object(...) end,
  volume = function(...) return require("daytona.control.volumes").object(...) end,
}

local STATES = { "oldState", "newState", "oldDesiredState", "newDesiredState", "timestamp" }

---An event of what came.
---@param client? daytona.Client  without one there is no object, but `id` and `raw`
---@param name string
---@param kind string   "sandbox"
---@param object table  as it came
---@param payload table as it came
---@return daytona.Event
function M.event(client, name, kind, object, payload)
  local self = setmetatable({ kind = name, id = object.id, raw = payload }, Event)
  for _, field in ipairs(STATES) do
    if type(payload[field]) == "string" then self[names.snake_name(field)] = payload[field] end
  end
  if client and MAKERS[kind] then self[kind] = MAKERS[kind](client, object) end
  return self
end

--- One after the other ------------------------------------------------------------------------

-- So many events wait for who does not take them; then the oldest are lost, which is told.
local MOST = 10000

---The events of an organization: a `for` loop's iterator, with `next` and `close`.
---@class daytona.Events
---@field client daytona.Client
---@field listener daytona.Listener
---@field queue { first: integer, last: integer, gap: boolean }  what has come, by number
local Events = {}
Events.__index = Events
Events.__name = "daytona.Events"

---@private
function Events:__tostring()
  return "events of " .. tostring(self.client)
end

local function push(queue, item)
  queue.last = queue.last + 1
  queue[queue.last] = item
  if queue.last - queue.first < MOST then return end
  queue[queue.first], queue.first, queue.gap = nil, queue.first + 1, true
end

local function pop(queue)
  if queue.gap then
    queue.gap = false
    return setmetatable({ kind = "gap" }, Event)
  end
  if queue.first > queue.last then return nil end
  local item = queue[queue.first]
  queue[queue.first], queue.first = nil, queue.first + 1
  return item
end

-- Whether an event is wanted: its kind is named, or the beginning of it.
local function filter_of(kinds)
  if not kinds then return function() return true end end
  return function(name)
    for i = 1, #kinds do
      local kind = kinds[i]
      if name == kind or name:sub(1, #kind + 1) == kind .. "." then return true end
    end
    return false
  end
end

-- Waits until events come, so that nothing that is done then is missed. true, or nil, err.
local function come_up(listener, limit)
  local stream = listener.stream
  while not stream.live do
    if stream.refused then return nil, stream.refused end
    local fine, err = listener:wait(limit)
    if not fine then return nil, err end
  end
  return true
end

local OPTIONS = { kinds = "list", timeout = "seconds" }

---Listens to what happens in the organization from now on. Returns when the service has
---begun to tell, within `timeout` seconds (30); nil and an error when it does not (kind
---"unsupported" where it has no events, "auth" where it refuses the credential).
---
---    for event in assert(client:events { kinds = { "sandbox.state.updated" } }) do print(event) end
---
---The loop goes on until it is left, or the iterator is closed. When the connection
---breaks it is made again; what happened meanwhile is not told, but an event of kind
---"gap" is. All of the organization's events come, whoever caused them.
---@param client daytona.Client
---@param opts? { kinds?: string[], timeout?: number }  kinds: whole ones, or beginnings ("sandbox", "snapshot.state")
---@return daytona.Events?
---@return daytona.Error?
function M.events(client, opts)
  opts = options.check("events", OPTIONS, opts)
  client:connection_of "events"
  local queue, wanted = { first = 1, last = 0, gap = false }, filter_of(opts.kinds)
  local function on_event(name, kind, object, payload)
    if wanted(name) then push(queue, { name, kind, object, payload }) end
  end
  local listener, refused = event_stream.listen(client, nil, on_event, function() queue.gap = true end)
  if not listener then return nil, refused end
  local fine, err = come_up(listener, loop.after(opts.timeout or 30))
  if not fine then
    listener:close()
    err.operation = "events"
    return nil, err
  end
  queue.gap = false
  return setmetatable({ client = client, listener = listener, queue = queue }, Events)
end

---The next event: waits for it, for `timeout` seconds (0 or nothing: as long as it takes).
---nil when it was closed; nil and an error when the time is over (kind "timeout"), the task
---was cancelled, or the service refuses to go on.
---@param opts? number|{ timeout?: number }
---@return daytona.Event?
---@return daytona.Error?
function Events:next(opts)
  local limit = deadline.of("next", opts)
  while true do
    local item = pop(self.queue)
    if item then return item.kind and item or M.event(self.client, item[1], item[2], item[3], item[4]) end
    if self.listener.closed then return nil end
    if self.listener.stream.refused then return nil, self.listener.stream.refused end
    local fine, err = self.listener:wait(limit)
    if not fine then
      err.operation = "events"
      return nil, err
    end
  end
end

-- For `for`: raises where `next` returns an error.
---@private
function Events:__call()
  local event, err = self:next()
  if err then errors.raise(err) end
  return event
end

---Listens no more: who waits for an event gets nil. Idempotent.
function Events:close()
  self.listener:close()
end

---@private
Events.__close = Events.close

require("daytona.base.methods").guard(Events, "daytona.Events", "events")

return M
